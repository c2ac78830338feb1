"""TCP connections written down segment by segment."""

from __future__ import annotations

import ipaddress
import struct

from lwm2m_lab.wire import Columns, read_columns
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes

FIN, SYN, RST, PUSH, ACK = 1, 2, 4, 8, 16


def tcp_packet(
    source: tuple[str, int], target: tuple[str, int], sequence: int, flags: int, payload: bytes = b"", options: int = 0
) -> bytes:
    """An IP packet around a TCP segment; its checksums are left at 0."""
    one, other = (ipaddress.ip_address(host) for host, _ in (source, target))
    head = struct.pack("!HHIIBBHHH", source[1], target[1], sequence % 2**32, 0, (5 + options) << 4, flags, 65535, 0, 0)
    segment = head + bytes([1]) * 4 * options + payload
    if one.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(segment), 6, 64) + one.packed + other.packed + segment
    return struct.pack("!BBHIBBH", 0x45, 0, 20 + len(segment), 0, 64, 6, 0) + one.packed + other.packed + segment


class Talk:
    """A TCP connection written down segment by segment; the packets may be shared with others."""

    def __init__(
        self,
        packets: list[Packet] | None = None,
        *,
        client: tuple[str, int] = ("192.0.2.2", 40000),
        server: tuple[str, int] = ("192.0.2.1", 8080),
        first: tuple[int, int] = (1000, 5000),
        now: float = 1_700_000_000.0,
    ) -> None:
        self.packets: list[Packet] = [] if packets is None else packets
        self.ends, self.first, self.now = (client, server), first, now
        self.sent = [0, 0]

    def segment(self, side: int, payload: bytes = b"", flags: int = ACK, *, at: int | None = None) -> int:
        """One segment of the client (0) or the server (1), at an offset of its stream; returns its frame."""
        offset = self.sent[side] if at is None else at
        sequence = self.first[side] + offset + (0 if flags & SYN else 1)
        packet = tcp_packet(self.ends[side], self.ends[1 - side], sequence, flags, payload, options=side)
        self.packets.append(Packet(round(self.now * 10**9), packet))
        self.now += 0.01
        self.sent[side] = max(self.sent[side], offset + len(payload))
        return len(self.packets)

    def open(self) -> Talk:
        """SYN, SYN and ACK, ACK."""
        self.segment(0, flags=SYN)
        self.segment(1, flags=SYN | ACK)
        self.segment(0)
        return self

    def asks(self, text: bytes) -> Talk:
        """The client says something."""
        self.segment(0, text, ACK | PUSH)
        return self

    def answers(self, text: bytes, size: int = 1000) -> Talk:
        """The server says something, in segments of a size."""
        for at in range(0, len(text), size):
            self.segment(1, text[at : at + size], ACK | PUSH)
        return self

    def close(self, flags: int = FIN | ACK) -> Talk:
        """The server ends it."""
        self.segment(1, flags=flags)
        return self

    def columns(self) -> Columns:
        """All packets, read."""
        return read_columns(pcapng_bytes(self.packets, interfaces=[Interface("x")]))

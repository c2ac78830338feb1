"""What the lab has captured itself, as a pcapng file."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lwm2m_lab.wire.pcap import Interface

__all__ = ["Packet", "pcapng_bytes"]

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet to be written.

    Attributes
    ----------
    time_ns : int
        Nanoseconds since the epoch.
    data : bytes
    interface : int
        Number of the interface, from 0.
    comment : str or None
    original : int
        Bytes on the wire of a packet that was cut; 0 for one that was not.
    """

    time_ns: int
    data: bytes
    interface: int = 0
    comment: str | None = None
    original: int = 0


def pcapng_bytes(packets: Iterable[Packet], *, interfaces: Sequence[Interface], comment: str | None = None) -> bytes:
    """A pcapng file; the same arguments give the same bytes.

    Examples
    --------
    >>> from lwm2m_lab.wire.pcap import Interface
    >>> data = pcapng_bytes([Packet(0, b"E")], interfaces=[Interface("server")])
    >>> data[:4].hex()
    '0a0d0d0a'
    """
    out = [_block(_SECTION, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _options([(1, comment)]))]
    for interface in interfaces:
        # if_name, if_tsresol: 10 to the power of -9.
        options = _options([(2, interface.name), (9, b"\x09")])
        out.append(_block(_INTERFACE, struct.pack("<HHI", interface.linktype, 0, 0) + options))
    for packet in packets:
        head = struct.pack(
            "<IIIII",
            packet.interface,
            packet.time_ns >> 32,
            packet.time_ns & 0xFFFFFFFF,
            len(packet.data),
            packet.original or len(packet.data),
        )
        out.append(_block(_PACKET, head + _padded(packet.data) + _options([(1, packet.comment)])))
    return b"".join(out)


def _block(kind: int, body: bytes) -> bytes:
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def _options(options: Sequence[tuple[int, str | bytes | None]]) -> bytes:
    """Options that have a value, and the end of them where there are any."""
    out = b""
    for code, value in options:
        if value:
            raw = value.encode() if isinstance(value, str) else value
            out += struct.pack("<HH", code, len(raw)) + _padded(raw)
    return out + bytes(4) if out else b""


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)

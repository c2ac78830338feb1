"""What the lab has captured itself, as a pcapng file."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lwm2m_lab.errors import BadInput
from lwm2m_lab.wire.pcap import Interface

__all__ = ["Packet", "pcapng_bytes", "with_key_log"]

_SECTION, _INTERFACE, _PACKET, _SECRETS = 0x0A0D0D0A, 1, 6, 10
_TLS_KEY_LOG = 0x544C534B


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


def with_key_log(data: bytes, lines: Sequence[str]) -> bytes:
    """A pcapng file with the keys of its sessions in it, in a block before its packets.

    Parameters
    ----------
    data : bytes
        The file.
    lines : sequence of str
        ``CLIENT_RANDOM <client random> <master secret>``, in hexadecimal; without any the file stays as it is.

    Raises
    ------
    BadInput
        For a file of another format, which has no place for keys.

    Examples
    --------
    >>> from lwm2m_lab.wire.pcap import Interface
    >>> data = pcapng_bytes([], interfaces=[Interface("server")])
    >>> len(with_key_log(data, ["CLIENT_RANDOM 00 00"])) - len(data)
    40
    """
    if not lines:
        return data
    if data[:4] != _SECTION.to_bytes(4, "little"):
        raise BadInput("a capture file of this format has no place for keys; a pcapng file is expected")
    order = "<" if data[8:12] == b"\x4d\x3c\x2b\x1a" else ">"
    (length,) = struct.unpack_from(order + "I", data, 4)
    log = "".join(f"{line}\n" for line in lines).encode()
    secrets = _block(_SECRETS, struct.pack(order + "II", _TLS_KEY_LOG, len(log)) + _padded(log), order)
    return data[:length] + secrets + data[length:]


def _block(kind: int, body: bytes, order: str = "<") -> bytes:
    length = 12 + len(body)
    return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length)


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

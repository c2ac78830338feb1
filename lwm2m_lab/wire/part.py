"""The packets of a capture one by one: between which ends each goes, and a file of some of them."""

from __future__ import annotations

import io
import struct
from collections.abc import Collection, Iterator
from typing import Literal, NamedTuple

from lwm2m_lab.wire.ends import MAPPED, address_text
from lwm2m_lab.wire.pcap import RecordReader, Records
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
from lwm2m_lab.wire.rewrite import ICMP, ICMPV6, TCP, UDP, Ip, ip_at, read_ip

__all__ = ["PacketEnds", "packets_of", "part_of"]

Kind = Literal["udp", "tcp", "icmp", "fragment", "other"]
#: DTLS: ChangeCipherSpec and Handshake, by the first byte of a record.
_HANDSHAKE = (20, 22)
_SYN, _QUOTE_AT = 2, 8


class PacketEnds(NamedTuple):
    """One packet, and whose it is.

    Attributes
    ----------
    frame, time_ns : int
    kind : {"udp", "tcp", "icmp", "fragment", "other"}
        A fragment is one behind the first, whose ports are not to be seen.
    ends : frozenset of str
        Address and port of both; of an ICMP error those of the packet it quotes.
    hosts : frozenset of str
        Both addresses, without ports.
    opens : bool
        Whether it opens a connection: a SYN, or a record of a DTLS handshake.
    """

    frame: int
    time_ns: int
    kind: Kind
    ends: frozenset[str]
    hosts: frozenset[str]
    opens: bool


def packets_of(content: bytes, name: str = "the capture") -> Iterator[PacketEnds]:
    """Each packet of a capture file, in its order."""
    reader = RecordReader(io.BytesIO(content), name)
    for records in reader:
        known = [one.linktype for one in reader.interfaces] or [-1]
        times, interfaces = records.time_ns.tolist(), records.interface.tolist()
        for (frame, _, data), time, interface in zip(_frames(records), times, interfaces, strict=True):
            linktype = known[min(interface, len(known) - 1)]
            at = ip_at(data, linktype)
            ip = None if at is None else read_ip(data, at)
            yield PacketEnds(frame, time, *_whose(data, ip))


def part_of(content: bytes, frames: Collection[int], name: str = "the capture") -> bytes:
    """A capture of these packets alone, of the kind of the whole; a pcapng keeps names and times of its interfaces."""
    reader, chosen = RecordReader(io.BytesIO(content), name), frozenset(frames)
    classic, packets = content[:4] != b"\x0a\x0d\x0d\x0a", []
    out = [content[:24]] if classic else []
    for records in reader:
        times, interfaces, original = (
            column.tolist() for column in (records.time_ns, records.interface, records.original)
        )
        for (frame, head, data), time, interface, length in zip(
            _frames(records), times, interfaces, original, strict=True
        ):
            if frame in chosen and classic:
                out += [head, data]
            elif frame in chosen:
                packets.append(Packet(time & (1 << 64) - 1, data, interface, original=length))
    return b"".join(out) if classic else pcapng_bytes(packets, interfaces=reader.interfaces)


def _frames(records: Records) -> Iterator[tuple[int, bytes, bytes]]:
    """Frame number, the sixteen bytes before each packet, which in a pcap are its header, and the packet."""
    whole = records.data.tobytes()
    columns = (records.frame, records.start, records.captured)
    for frame, start, length in zip(*(column.tolist() for column in columns), strict=True):
        yield frame, whole[max(start - 16, 0) : start], whole[start : start + length]


def _whose(data: bytes, ip: Ip | None) -> tuple[Kind, frozenset[str], frozenset[str], bool]:
    if ip is None:
        return "other", frozenset(), frozenset(), False
    hosts = [data[side] for side in ip.sides()]
    names = frozenset(_text(host, 0).rsplit(":", 1)[0] for host in hosts)
    if ip.fragment is not None and ip.fragment[0]:
        return "fragment", frozenset(), names, False
    content = data[ip.content : ip.end]
    if ip.protocol in (ICMP, ICMPV6):
        quoted = read_ip(data, ip.content + _QUOTE_AT)
        ends = _whose(data, quoted)[1] if quoted is not None and quoted.protocol in (TCP, UDP) else frozenset[str]()
        return "icmp", ends, names, False
    if ip.protocol not in (TCP, UDP) or len(content) < 4:
        return "other", frozenset(), names, False
    ports = struct.unpack("!HH", content[:4])
    ends = frozenset(_text(host, port) for host, port in zip(hosts, ports, strict=True))
    if ip.protocol == TCP:
        return "tcp", ends, names, len(content) > 13 and bool(content[13] & _SYN)
    return "udp", ends, names, len(content) > 9 and content[8] in _HANDSHAKE and content[9] == 0xFE


def _text(host: bytes, port: int) -> str:
    return address_text((MAPPED + host if len(host) == 4 else host) + port.to_bytes(2, "big"))

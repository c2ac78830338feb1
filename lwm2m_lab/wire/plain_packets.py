"""A small capture to UDP datagrams without numpy, one packet at a time; the lower half of `lwm2m_lab.wire.plain`."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from typing import TypeAlias

from lwm2m_lab.wire.formats import (
    LINK_TYPES,
    LONGEST_RECORD,
    NG_MAGIC,
    ORDERS,
    PCAP_MAGIC,
    Interface,
    read_interface,
    read_options,
)

__all__ = ["Datagram", "PlainPackets", "Unusual"]

_ETHERTYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}
_VLAN = (b"\x81\x00", b"\x88\xa8", b"\x91\x00")
_UDP, _FRAGMENT = 17, 44
#: IPv6 extension headers that carry their length.
_EXTENSIONS = (0, 43, 51, 60, 135, 139, 140)
_AUTHENTICATION = 51
_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE, _PACKET, _SECRETS = 0x0A0D0D0A, 1, 2, 3, 6, 10
_COMMENT = 1

#: A UDP datagram: number of its packet from 1, nanoseconds since the epoch, addresses and ports of its two ends
#: (8 or 32 bytes, 4 bytes), where its payload begins and ends in the file, and whether bytes are missing there.
Datagram: TypeAlias = tuple[int, int, bytes, int, int, bool]
#: A packet: nanoseconds since the epoch, where it begins and ends in the file, its link type.
_Packet: TypeAlias = tuple[int, int, int, int]


class Unusual(Exception):
    """Something that is left to the columnar reader."""


class PlainPackets:
    """Iterate over the UDP datagrams of a small file.

    Attributes
    ----------
    packets : int
        In the file, of every kind; known with the first datagram.
    others : bool
        Whether there is IP among them that is no UDP.
    interfaces : list of Interface
    comments : dict of int to str
        By frame.

    Raises
    ------
    Unusual
        Where something comes that is left to the columnar reader: damage, fragments, sections, rare blocks.
    """

    def __init__(self, content: bytes, *, most: int) -> None:
        self._content, self._most = content, most
        self.packets, self.others = 0, False
        self.interfaces: list[Interface] = []
        self.comments: dict[int, str] = {}

    def __iter__(self) -> Iterator[Datagram]:
        content = self._content
        walk = self._blocks if content[:4] == NG_MAGIC else self._records
        # All records first: whether there are too many is to be known before the work.
        found = list(itertools.islice(walk(), self._most + 1))
        if len(found) > self._most or not all(linktype in LINK_TYPES for *_, linktype in found):
            raise Unusual
        for frame, (time_ns, start, end, linktype) in enumerate(found, 1):
            ip, version = _ip(content, start, end, linktype)
            header = _udp4(content, ip) if version == 4 else _udp6(content, ip, end) if version == 6 else None
            if header is None:
                self.others |= version > 0
                continue
            udp, addresses = header
            if udp + 8 > end:
                continue
            length = content[udp + 4] << 8 | content[udp + 5]
            # Length 0 stands for a jumbogram or an offloaded checksum: what was captured is what there is.
            claimed = udp + length if length >= 8 else end
            ends = addresses + content[udp : udp + 4]
            yield frame, time_ns, ends, udp + 8, min(claimed, end), claimed > end

    def _records(self) -> Iterator[_Packet]:
        """The packets of a pcap file."""
        content, end = self._content, len(self._content)
        if content[:4] not in PCAP_MAGIC or end < 24:
            raise Unusual
        order, tick_ns = PCAP_MAGIC[content[:4]]
        linktype = struct.unpack_from(order + "I", content, 20)[0] & 0xFFFF
        self.interfaces.append(Interface(linktype=linktype))
        unpack, at = struct.Struct(order + "III").unpack_from, 24
        while at + 16 <= end:
            seconds, ticks, captured = unpack(content, at)
            start, at = at + 16, at + 16 + captured
            if captured > LONGEST_RECORD or at > end:
                raise Unusual
            self.packets += 1
            yield seconds * 10**9 + ticks * tick_ns, start, at, linktype
        if at != end:
            raise Unusual

    def _blocks(self) -> Iterator[_Packet]:
        """The packets of a pcapng file of one section."""
        content, end, at = self._content, len(self._content), 0
        order = ORDERS.get(content[8:12])
        if order is None:
            raise Unusual
        unpack = struct.Struct(order + "II").unpack_from
        while at + 12 <= end:
            kind, length = unpack(content, at)
            following = at + length
            rare = kind in (_OLD_PACKET, _SIMPLE, _SECRETS) or (kind == _SECTION and at > 0)
            if rare or length < 12 or length % 4 or length > LONGEST_RECORD or following > end:
                raise Unusual
            if kind == _INTERFACE:
                self._add_interface(read_interface(content[at + 8 : following - 4], order))
            elif kind == _PACKET:
                yield self._packet(at, following - 4, order)
            at = following
        if at != end:
            raise Unusual

    def _add_interface(self, interface: Interface) -> None:
        self.interfaces.append(interface)
        # Of a file that shows two sides apart only one is read.
        apart = sorted(one.name for one in self.interfaces) == ["device", "server"]
        if apart or 10**9 % interface.ticks_per_second or interface.offset_s:
            raise Unusual

    def _packet(self, at: int, end: int, order: str) -> _Packet:
        """What an enhanced packet block carries."""
        start = at + 28
        if start > end:
            raise Unusual
        number, high, low, captured = struct.unpack_from(order + "IIII", self._content, at + 8)
        if number >= len(self.interfaces) or start + captured > end:
            raise Unusual
        self.packets += 1
        options = self._content[start + (captured + 3 & ~3) : end]
        if options:
            texts = [text.decode(errors="replace") for code, text in read_options(options, order) if code == _COMMENT]
            if texts:
                self.comments[self.packets] = "; ".join(texts)
        interface = self.interfaces[number]
        time_ns = (high << 32 | low) * (10**9 // interface.ticks_per_second)
        if time_ns >= 1 << 63:
            raise Unusual
        return time_ns, start, start + captured, interface.linktype


def _ip(content: bytes, start: int, end: int, linktype: int) -> tuple[int, int]:
    """Where the IP header of a packet stands, and its version; 0 where there is none."""
    _, skip, type_at = LINK_TYPES[linktype]
    at = start + skip
    kind = content[start + type_at : start + type_at + 2] if type_at >= 0 else None
    for _ in range(3):
        if kind in _VLAN:
            kind, at = content[at + 2 : at + 4], at + 4
    # The header must lie within what was captured, and its version be what the link layer says.
    version = content[at] >> 4 if at + 20 <= end else 0
    fits = version == 4 or (version == 6 and at + 40 <= end)
    return at, version if fits and (kind is None or kind == _ETHERTYPES[version]) else 0


def _udp4(content: bytes, ip: int) -> tuple[int, bytes] | None:
    """Where UDP begins behind an IPv4 header, and the addresses in it."""
    header = (content[ip] & 15) << 2
    if content[ip + 9] != _UDP or header < 20:
        return None
    if content[ip + 6] & 0x3F or content[ip + 7]:
        raise Unusual
    return ip + header, content[ip + 12 : ip + 20]


def _udp6(content: bytes, ip: int, end: int) -> tuple[int, bytes] | None:
    """The same for IPv6, behind extension headers too."""
    following, at = content[ip + 6], ip + 40
    for _ in range(8):
        if following == _UDP or following not in _EXTENSIONS or at + 8 > end:
            break
        unit = 4 if following == _AUTHENTICATION else 8
        following, at = content[at], at + 8 + unit * content[at + 1]
    if following == _FRAGMENT:
        raise Unusual
    return (at, content[ip + 8 : ip + 40]) if following == _UDP else None

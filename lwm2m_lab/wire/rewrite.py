"""Packets rewritten in place: addresses, what they carry, and every checksum that this changes.

A checksum is computed anew where the whole of what it covers is there; in a packet that was cut, and in a quote, it is
moved on by what was changed (RFC 1624).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from lwm2m_lab.wire.packets import LINK_TYPES, checksum
from lwm2m_lab.wire.pseudonyms import Pseudonyms

__all__ = ["Ip", "PacketRewriter", "ip_at", "read_ip"]

_IPV4, _IPV6, _VLAN = 0x0800, 0x86DD, (0x8100, 0x88A8, 0x9100)
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
_EXTENSIONS, _ROUTING, _FRAGMENT = (0, 43, 60, 135, 139, 140), 43, 44
#: Where the checksum stands in each protocol.
_CHECKSUM_AT = {ICMP: 2, TCP: 16, UDP: 6, ICMPV6: 2}
#: ICMP errors, which quote a packet after eight bytes; a redirect names a gateway in the last four of them.
_ERRORS, _ERRORS6, _REDIRECT = (3, 4, 5, 11, 12), (1, 2, 3, 4), 5
_QUOTE_AT = 8


class Ip(NamedTuple):
    """One IP packet: where its parts stand.

    Attributes
    ----------
    version, at, content, end : int
        4 or 6; of the header, of what it carries, and behind that as far as it is there.
    protocol : int
    whole : bool
        Whether nothing is missing at the end.
    fragment : (int, bytes) or None
        Offset of this fragment, and what its siblings share.
    more : bool
        Whether fragments follow.
    routing : tuple of (int, int)
        Where routing headers stand, which name addresses.
    """

    version: int
    at: int
    content: int
    end: int
    protocol: int
    whole: bool
    fragment: tuple[int, bytes] | None = None
    more: bool = False
    routing: tuple[tuple[int, int], ...] = ()

    def sides(self) -> tuple[slice, slice]:
        """Where source and destination stand."""
        first, size = (self.at + 12, 4) if self.version == 4 else (self.at + 8, 16)
        return slice(first, first + size), slice(first + size, first + 2 * size)


def ip_at(data: bytes | bytearray, linktype: int) -> int | None:
    """Where the IP packet of a frame begins; None where there is none, or the link type is unknown."""
    if linktype not in LINK_TYPES:
        return None
    _, at, type_at = LINK_TYPES[linktype]
    if type_at < 0:
        return at if len(data) > at and data[at] >> 4 in (4, 6) else None
    kind = int.from_bytes(data[type_at : type_at + 2], "big")
    for _ in range(3):
        if kind not in _VLAN:
            break
        kind, at = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
    return at if kind in (_IPV4, _IPV6) and len(data) > at else None


def read_ip(data: bytes | bytearray, at: int) -> Ip | None:
    """The IP packet at this place; None for one whose header is not all there."""
    if len(data) <= at:
        return None
    return _read4(data, at) if data[at] >> 4 == 4 else _read6(data, at) if data[at] >> 4 == 6 else None


def _read4(data: bytes | bytearray, at: int) -> Ip | None:
    header = (data[at] & 15) * 4
    if header < 20 or len(data) < at + header:
        return None
    total, identification, flags = struct.unpack_from("!HHH", data, at + 2)
    # A total of 0 is left by hardware that cuts segments itself.
    claimed = at + total if total >= header else len(data)
    end = min(claimed, len(data))
    fragment = None
    if flags & 0x3FFF:
        key = bytes(data[at + 12 : at + 20]) + bytes((data[at + 9],)) + identification.to_bytes(2, "big")
        fragment = (flags & 0x1FFF) * 8, key
    return Ip(4, at, at + header, end, data[at + 9], claimed <= len(data), fragment, bool(flags & 0x2000))


def _read6(data: bytes | bytearray, at: int) -> Ip | None:
    if len(data) < at + 40:
        return None
    length = int.from_bytes(data[at + 4 : at + 6], "big")
    claimed = at + 40 + length if length else len(data)
    end = min(claimed, len(data))
    following, content, fragment, more, routing = data[at + 6], at + 40, None, False, []
    for _ in range(8):
        if following in _EXTENSIONS and content + 8 <= end:
            size = 8 + 8 * data[content + 1]
            if following == _ROUTING:
                routing.append((content + 8, min(content + size, end)))
            following, content = data[content], content + size
        elif following == _FRAGMENT and content + 8 <= end:
            offset, identification = struct.unpack_from("!HI", data, content + 2)
            if offset & 0xFFF9:
                key = bytes(data[at + 8 : at + 40]) + identification.to_bytes(4, "big")
                fragment, more = (offset & 0xFFF8, key), bool(offset & 1)
            following, content = data[content], content + 8
        else:
            break
    return Ip(6, at, min(content, end), end, following, claimed <= len(data), fragment, more, tuple(routing))


#: An address and a port, as they are in the file.
End = tuple[bytes, int]
#: Given frame (None in a quote), protocol, both ends and what they carry, what is to stand there instead.
Carry = Callable[[int | None, int, tuple[End, End], bytes], bytes]


@dataclass(frozen=True)
class _Piece:
    """A fragment: the packet that it is in, and what its packet was before."""

    frame: int
    data: bytearray
    ip: Ip
    old: tuple[bytes, bytes]


class PacketRewriter:
    """Rewrites packets one after the other.

    Parameters
    ----------
    pseudonyms : Pseudonyms
    carry : callable
        What stands for what a datagram or segment carries, of the same length.

    Attributes
    ----------
    hidden : int
        Packets whose content was zeroed, because nobody here knows what it tells.
    """

    def __init__(self, pseudonyms: Pseudonyms, carry: Carry) -> None:
        self._pseudonyms, self._carry = pseudonyms, carry
        self._fragments: dict[bytes, list[_Piece]] = {}
        self.hidden = 0

    def rewrite(self, frame: int, data: bytearray, linktype: int) -> None:
        """Rewrite one packet; one in fragments when its last has come, or by `finish`."""
        at = ip_at(data, linktype)
        ip = None if at is None else read_ip(data, at)
        self._link(data, linktype)
        if ip is None:
            # No IP, such as ARP and LLDP: addresses of other kinds, host names, whatever.
            self.hidden += 1
            start = LINK_TYPES[linktype][1] if linktype in LINK_TYPES else 0
            data[start:] = bytes(max(len(data) - start, 0))
            return
        # What lies behind the packet is padding, which may hold whatever lay in the sender's memory.
        data[ip.end :] = bytes(len(data) - ip.end)
        self._packet(frame, data, ip)

    def finish(self) -> None:
        """Zero what never became whole."""
        for piece in (piece for pieces in self._fragments.values() for piece in pieces):
            self.hidden += 1
            piece.data[piece.ip.content : piece.ip.end] = bytes(piece.ip.end - piece.ip.content)
        self._fragments.clear()

    # ---------------------------------------------------------------- layers

    def _link(self, data: bytearray, linktype: int) -> None:
        """Hardware addresses."""
        mac = self._pseudonyms.mac
        if linktype == 1 and len(data) >= 12:
            data[0:6], data[6:12] = mac(bytes(data[0:6])), mac(bytes(data[6:12]))
        elif linktype in (113, 276):
            at, length_at = (6, 5) if linktype == 113 else (12, 11)
            if len(data) >= at + 8:
                hardware = mac(bytes(data[at : at + 6])) if data[length_at] == 6 else b""
                data[at : at + 8] = hardware.ljust(8, b"\0")

    def _packet(self, frame: int | None, data: bytearray, ip: Ip) -> None:
        """One IP packet, in its frame or in an ICMP error."""
        source, destination = ip.sides()
        old = bytes(data[source]), bytes(data[destination])
        data[source], data[destination] = map(self._pseudonyms.address, old)
        for start, end in ip.routing:
            data[start:end] = bytes(end - start)
        if ip.version == 4:
            # Options such as a recorded route name addresses.
            data[ip.at + 20 : ip.content] = bytes(ip.content - ip.at - 20)
            data[ip.at + 10 : ip.at + 12] = b"\0\0"
            data[ip.at + 10 : ip.at + 12] = checksum(bytes(data[ip.at : ip.content])).to_bytes(2, "big")
        if ip.fragment is not None and frame is not None:
            pieces = self._fragments.setdefault(ip.fragment[1], [])
            pieces.append(_Piece(frame, data, ip, old))
            self._join(ip.fragment[1], pieces)
            return
        content = bytes(data[ip.content : ip.end])
        if ip.fragment is not None and ip.fragment[0]:
            data[ip.content : ip.end] = bytes(len(content))
            return
        whole = ip.whole and ip.fragment is None
        data[ip.content : ip.end] = self._transport(frame, ip, old, content, whole=whole)

    def _join(self, key: bytes, pieces: list[_Piece]) -> None:
        """Rewrite a datagram that is whole now, and put its parts back where they came from."""
        by_offset: dict[int, _Piece] = {}
        for piece in pieces:
            by_offset.setdefault(_offset(piece), piece)
        content, last = b"", None
        for offset in sorted(by_offset):
            last = by_offset[offset]
            if offset != len(content):
                return
            content += bytes(last.data[last.ip.content : last.ip.end])
        if last is None or last.ip.more or not all(piece.ip.whole for piece in pieces):
            return
        del self._fragments[key]
        frame = max(piece.frame for piece in pieces)
        content = self._transport(frame, by_offset[0].ip, by_offset[0].old, content, whole=True)
        for piece in pieces:
            size = piece.ip.end - piece.ip.content
            piece.data[piece.ip.content : piece.ip.end] = content[_offset(piece) :][:size].ljust(size, b"\0")

    def _transport(self, frame: int | None, ip: Ip, old: tuple[bytes, bytes], content: bytes, *, whole: bool) -> bytes:
        """What IP carries: a datagram, a segment, an ICMP message; anything else is zeroed."""
        protocol = ip.protocol
        if protocol == UDP and len(content) >= 8:
            ports = struct.unpack_from("!HH", content)
            length = int.from_bytes(content[4:6], "big") or len(content)
            whole, end = whole and 8 <= length <= len(content), max(min(length, len(content)), 8)
            new = content[:8] + self._carry(frame, UDP, _ends(old, ports), content[8:end]) + bytes(len(content) - end)
        elif protocol == TCP and len(content) >= 20:
            ports, head = struct.unpack_from("!HH", content), max((content[12] >> 4) * 4, 20)
            new = content[:head] + self._carry(frame, TCP, _ends(old, ports), content[head:])
        elif protocol in (ICMP, ICMPV6) and len(content) >= _QUOTE_AT:
            new = self._icmp(protocol, content)
        else:
            self.hidden += 1
            return bytes(len(content))
        return self._summed(ip, old, content, new, whole=whole)

    def _icmp(self, protocol: int, content: bytes) -> bytes:
        """An error with the packet that it quotes rewritten; of other messages the kind alone is kept."""
        kind, head = content[0], content[:_QUOTE_AT]
        quote = bytearray(content[_QUOTE_AT:])
        ip = read_ip(quote, 0)
        if kind not in (_ERRORS if protocol == ICMP else _ERRORS6) or ip is None:
            return content[:4] + bytes(len(content) - 4)
        if protocol == ICMP and kind == _REDIRECT:
            head = head[:4] + self._pseudonyms.address(head[4:8])
        quote[ip.end :] = bytes(len(quote) - ip.end)
        self._packet(None, quote, ip)
        return head + bytes(quote)

    # ---------------------------------------------------------------- checksums

    def _summed(self, ip: Ip, old: tuple[bytes, bytes], before: bytes, after: bytes, *, whole: bool) -> bytes:
        """What IP carries, its checksum right."""
        at = _CHECKSUM_AT[ip.protocol]
        said = int.from_bytes(before[at : at + 2], "big")
        if ip.protocol == UDP and ip.version == 4 and said == 0:
            return after
        covered = old if ip.protocol != ICMP else ()
        addresses = b"".join(map(self._pseudonyms.address, covered))
        blank = after[:at] + b"\0\0" + after[at + 2 :]
        if whole:
            length = int.from_bytes(after[4:6], "big") or len(after) if ip.protocol == UDP else len(after)
            pseudo = addresses + struct.pack("!II", length, ip.protocol) if covered else b""
            found = checksum(pseudo + blank[:length])
        else:
            rest = before[:at] + b"\0\0" + before[at + 2 :]
            found = _moved(said, b"".join(covered) + rest, addresses + blank)
        if ip.protocol == UDP:
            found = found or 0xFFFF
        return after[:at] + found.to_bytes(2, "big") + after[at + 2 :]


def _offset(piece: _Piece) -> int:
    return 0 if piece.ip.fragment is None else piece.ip.fragment[0]


def _ends(addresses: tuple[bytes, bytes], ports: tuple[int, ...]) -> tuple[End, End]:
    return (addresses[0], ports[0]), (addresses[1], ports[1])


def _moved(said: int, before: bytes, after: bytes) -> int:
    """A checksum after what it covers has changed; both are of the same length."""
    sums = [int.from_bytes(one + bytes(len(one) % 2), "big") for one in (before, after)]
    return 0xFFFF - (0xFFFF - said - sums[0] + sums[1]) % 0xFFFF

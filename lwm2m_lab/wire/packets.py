"""From packets to UDP datagrams, a window at a time: link layers, VLAN tags, IPv4, IPv6, fragments; and back.

Everything is a gather over numpy columns. The two rare cases, IPv6 extension headers and IP fragments, go a few packets
at a time.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.wire.flows import Flows
from lwm2m_lab.wire.formats import LINK_TYPES
from lwm2m_lab.wire.gather import SLACK, column, pair, rows
from lwm2m_lab.wire.records import Records

__all__ = [
    "LINK_TYPES",
    "Datagrams",
    "OtherPackets",
    "Reassembler",
    "behind_extensions",
    "checksum",
    "other_packets",
    "tcp_packet",
    "udp_datagrams",
    "udp_packet",
]

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

_IPV4, _IPV6 = 0x0800, 0x86DD
_VLAN = (0x8100, 0x88A8, 0x9100)
_TCP, _UDP, _FRAGMENT = 6, 17, 44
#: IPv6 extension headers that carry their length: hop-by-hop, routing, destination options, and the rarer ones.
_EXTENSIONS = np.array([0, 43, 51, 60, 135, 139, 140], np.uint8)
_AUTHENTICATION = 51
#: Fragments kept for want of the others; more at once is no network but an attack.
MOST_FRAGMENTS = 4096


@dataclass(frozen=True, slots=True)
class Datagrams:
    """UDP datagrams of one window.

    Attributes
    ----------
    data : array of uint8
        Where `start` and `end` point.
    row : array of int64
        Row in the window's records.
    start, end : arrays of int64
        The UDP payload, as far as it was captured.
    cut : array of bool
        Whether bytes are missing at its end (snap length).
    flow : array of int64
        Code of the flow, see `Flows`.
    """

    data: Bytes
    row: Ints
    start: Ints
    end: Ints
    cut: Mask
    flow: Ints

    def take(self, rows: Ints) -> Datagrams:
        """Some of the datagrams."""
        return Datagrams(
            self.data,
            self.row.take(rows),
            self.start.take(rows),
            self.end.take(rows),
            self.cut.take(rows),
            self.flow.take(rows),
        )


@dataclass
class Reassembler:
    """Puts IP fragments together, across windows.

    Attributes
    ----------
    parts : dict
        Fragments by (source, destination, protocol, identification).
    """

    parts: dict[bytes, dict[int, tuple[bytes, bool]]] = field(default_factory=dict)

    def add(self, key: bytes, offset: int, payload: bytes, more: bool) -> bytes | None:
        """Take a fragment; the whole payload once it is there."""
        if sum(map(len, self.parts.values())) >= MOST_FRAGMENTS:
            self.parts.pop(next(iter(self.parts)))
        parts = self.parts.setdefault(key, {})
        parts[offset] = (payload, more)
        whole = b""
        for at in sorted(parts):
            content, following = parts[at]
            if at > len(whole):
                return None
            whole = whole[:at] + content
            if not following:
                del self.parts[key]
                return whole
        return None


def udp_datagrams(
    records: Records, linktypes: Ints | int, reassembler: Reassembler, flows: Flows
) -> tuple[Datagrams, list[Datagrams]]:
    """The UDP datagrams of a window.

    Parameters
    ----------
    records : Records
    linktypes : int or array of int64
        Link type of all records, or of each.
    reassembler : Reassembler
        Keeps fragments until the others come.
    flows : Flows
        Knows the flows of the file.

    Returns
    -------
    Datagrams, list of Datagrams
        Those that lie in the window, and those put together from fragments, each with data of its own.
    """
    data, end = records.data, records.start + records.captured
    ip, version = _ip_headers(data, records.start, end, linktypes)
    four, six = np.flatnonzero(version == 4), np.flatnonzero(version == 6)
    whole4, fragments4 = _ipv4(data, ip.take(four), end.take(four), four)
    whole6, fragments6 = _ipv6(data, ip.take(six), end.take(six), six)
    plain = _merge([_udp(data, whole4, flows), _udp(data, whole6, flows)])
    reassembled = [
        found
        for row, at, wide in [*((r, a, False) for r, a in fragments4), *((r, a, True) for r, a in fragments6)]
        if (found := _reassemble(records, row, at, wide, reassembler, flows)) is not None
    ]
    return plain, reassembled


@dataclass(frozen=True, slots=True)
class OtherPackets:
    """The IP packets of a window that carry no UDP.

    Attributes
    ----------
    row, ip, end : arrays of int64
        Row in the window's records, where the IP header stands, and where the packet ends.
    version : array of uint8
        4 or 6.
    """

    row: Ints
    ip: Ints
    end: Ints
    version: Bytes


def other_packets(records: Records, linktypes: Ints | int, known: Ints) -> OtherPackets:
    """What is left of a window without the rows that are known to be UDP."""
    other = np.ones(len(records.start), bool)
    other[known] = False
    row = np.flatnonzero(other)
    start = records.start.take(row)
    end = start + records.captured.take(row)
    linktypes = linktypes if isinstance(linktypes, int) else linktypes.take(row)
    ip, version = _ip_headers(records.data, start, end, linktypes)
    is_ip = np.flatnonzero(version)
    return OtherPackets(row.take(is_ip), ip.take(is_ip), end.take(is_ip), version.take(is_ip))


def _ip_headers(data: Bytes, start: Ints, end: Ints, linktypes: Ints | int) -> tuple[Ints, Bytes]:
    """Where the IP header of each packet stands, and its version; 0 where there is none."""
    if isinstance(linktypes, int):
        return _ip_headers_of(data, start, end, linktypes)
    ip, version = start.copy(), np.zeros(len(start), np.uint8)
    # With counts: without them `np.unique` imports `numpy.ma`.
    for linktype in np.unique(linktypes, return_counts=True)[0].tolist():
        here = np.flatnonzero(linktypes == linktype)
        ip[here], version[here] = _ip_headers_of(data, start.take(here), end.take(here), linktype)
    return ip, version


def _ip_headers_of(data: Bytes, start: Ints, end: Ints, linktype: int) -> tuple[Ints, Bytes]:
    """The same for packets of one link type."""
    if linktype not in LINK_TYPES:
        return start, np.zeros(len(start), np.uint8)
    _, skip, type_at = LINK_TYPES[linktype]
    at = start + skip
    ethertype = pair(data, start + type_at) if type_at >= 0 else None
    if ethertype is not None:
        for _ in range(3):
            tagged = np.flatnonzero((ethertype == _VLAN[0]) | (ethertype == _VLAN[1]) | (ethertype == _VLAN[2]))
            if not tagged.size:
                break
            # Behind a tag comes the real EtherType; in cooked captures too, where the header ends with the type.
            ethertype[tagged] = pair(data, at[tagged] + 2)
            at[tagged] += 4
    version = data.take(at) >> 4
    # The header must lie within what was captured, and its version be what the link layer says.
    four, six = (version == 4) & (at + 20 <= end), (version == 6) & (at + 40 <= end)
    if ethertype is not None:
        four &= ethertype == _IPV4
        six &= ethertype == _IPV6
    return at, version * (four | six)


@dataclass(frozen=True, slots=True)
class _Headers:
    """UDP headers of one IP version: rows, where the headers stand, where the packets end, and the addresses."""

    row: Ints
    udp: Ints
    end: Ints
    addresses: Bytes

    def take(self, rows: Ints) -> _Headers:
        return _Headers(self.row.take(rows), self.udp.take(rows), self.end.take(rows), self.addresses[rows])


def _ipv4(data: Bytes, ip: Ints, end: Ints, row: Ints) -> tuple[_Headers, list[tuple[int, int]]]:
    """UDP in IPv4, and the fragments: row and IP header."""
    udp = data.take(ip + 9) == _UDP
    if not udp.all():
        here = np.flatnonzero(udp)
        row, ip, end = row.take(here), ip.take(here), end.take(here)
    head = rows(data, ip, 20)
    length = (head[:, 0] & 15) << 2
    whole = length >= 20
    found = _Headers(row, ip + length, end, head[:, 12:20])
    fragment = whole & (column(head, 6, ">u2") & 0x3FFF != 0)
    fragments: list[tuple[int, int]] = []
    if fragment.any():
        parts = np.flatnonzero(fragment)
        fragments = list(zip(row[parts].tolist(), ip[parts].tolist(), strict=True))
        whole &= ~fragment
    return found if whole.all() else found.take(np.flatnonzero(whole)), fragments


def behind_extensions(data: Bytes, ip: Ints, end: Ints) -> tuple[Bytes, Ints]:
    """What follows the extension headers of each IPv6 packet, and where it stands."""
    following, at = data.take(ip + 6), ip + 40
    for _ in range(8 if (following != _UDP).any() else 0):
        extended = np.flatnonzero(np.isin(following, _EXTENSIONS) & (at + 8 <= end))
        if not extended.size:
            break
        here = at[extended]
        length = data[here + 1].astype(np.int64)
        # The Authentication Header alone counts in units of four bytes (RFC 4302, 2.2).
        at[extended] = here + np.where(following[extended] == _AUTHENTICATION, 8 + 4 * length, 8 + 8 * length)
        following[extended] = data[here]
    return following, at


def _ipv6(data: Bytes, ip: Ints, end: Ints, row: Ints) -> tuple[_Headers, list[tuple[int, int]]]:
    """UDP in IPv6, behind extension headers too, and the fragments: row and IP header."""
    following, at = behind_extensions(data, ip, end)
    fragments: list[tuple[int, int]] = []
    for one in np.flatnonzero((following == _FRAGMENT) & (at + 8 <= end)).tolist():
        if int(pair(data, at[one : one + 1] + 2)[0]) & 0xFFF9:
            fragments.append((int(row[one]), int(ip[one])))
        else:
            # An atomic fragment is a whole packet behind a header without meaning (RFC 6946).
            following[one] = data[int(at[one])]
            at[one] += 8
    found = _Headers(row, at, end, rows(data, ip + 8, 32))
    whole = (following == _UDP) & (at + 8 <= end)
    return found if whole.all() else found.take(np.flatnonzero(whole)), fragments


def _udp(data: Bytes, found: _Headers, flows: Flows) -> Datagrams:
    """The datagrams behind these UDP headers."""
    fits = found.udp + 8 <= found.end
    if not fits.all():
        found = found.take(np.flatnonzero(fits))
    head = rows(data, found.udp, 8)
    length = column(head, 4, ">u2").astype(np.int64)
    # Length 0 stands for a jumbogram or an offloaded checksum: what was captured is what there is.
    claimed = np.where(length >= 8, found.udp + length, found.end)
    flow = flows.codes(found.addresses, head[:, :4])
    end = np.minimum(claimed, found.end)
    return Datagrams(data, found.row, found.udp + 8, end, claimed > found.end, flow)


def _merge(parts: list[Datagrams]) -> Datagrams:
    """Several groups of one window, in the order of the file."""
    parts = [part for part in parts if len(part.row)] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    order = np.argsort(np.concatenate([part.row for part in parts]), kind="stable")
    names = ("row", "start", "end", "cut", "flow")
    return Datagrams(parts[0].data, *(np.concatenate([getattr(part, name) for part in parts])[order] for name in names))


def _reassemble(
    records: Records, row: int, ip: int, wide: bool, reassembler: Reassembler, flows: Flows
) -> Datagrams | None:
    """Take one fragment; the whole datagram with its last one."""
    packet = records.data[ip : int(records.start[row] + records.captured[row])].tobytes()
    head, key, offset, more, payload = _split_fragment6(packet) if wide else _split_fragment4(packet)
    whole = reassembler.add(key, offset, payload, more)
    if whole is None:
        return None
    data = np.frombuffer(head + whole + bytes(SLACK), np.uint8)
    addresses = data[8:40] if wide else data[12:20]
    end = np.array([len(head) + len(whole)])
    found = _udp(data, _Headers(np.array([row]), np.array([len(head)]), end, addresses[None]), flows)
    return found if len(found.row) else None


def _split_fragment4(packet: bytes) -> tuple[bytes, bytes, int, bool, bytes]:
    header = (packet[0] & 15) * 4
    total, identification, flags = struct.unpack_from("!HHH", packet, 2)
    payload = packet[header : max(total, header)]
    key = b"4" + packet[12:20] + packet[9:10] + identification.to_bytes(2, "big")
    return packet[:20], key, (flags & 0x1FFF) * 8, bool(flags & 0x2000), payload


def _split_fragment6(packet: bytes) -> tuple[bytes, bytes, int, bool, bytes]:
    following, at = packet[6], 40
    while following != _FRAGMENT:
        following, at = packet[at], at + 8 + 8 * packet[at + 1]
    offset_flags, identification = struct.unpack_from("!HI", packet, at + 2)
    total = 40 + int.from_bytes(packet[4:6], "big")
    # A fragment of something else than UDP gets a key of its own and never becomes a datagram of ours.
    key = b"6" + packet[8:40] + packet[at : at + 1] + identification.to_bytes(4, "big")
    return packet[:40], key, offset_flags & 0xFFF8, bool(offset_flags & 1), packet[at + 8 : max(total, at + 8)]


# ---------------------------------------------------------------- writing


def udp_packet(source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> bytes:
    """An IP packet (link type 101) around a UDP payload, its checksums right.

    Examples
    --------
    >>> udp_packet(("192.0.2.1", 5683), ("192.0.2.2", 5683), b"x")[:2].hex()
    '4500'
    """
    udp = struct.pack("!HHHH", source[1], destination[1], 8 + len(payload), 0) + payload
    # A sum of 0 is sent as all ones: 0 means "no checksum" (RFC 768).
    total = _pseudo_checksum(source, destination, _UDP, udp) or 0xFFFF
    return _ip_packet(source, destination, _UDP, udp[:6] + total.to_bytes(2, "big") + udp[8:])


def tcp_packet(
    source: tuple[str, int], destination: tuple[str, int], sequence: int, acknowledged: int, flags: int, payload: bytes
) -> bytes:
    """An IP packet (link type 101) around a TCP segment, its checksums right.

    Examples
    --------
    >>> len(tcp_packet(("192.0.2.1", 5683), ("192.0.2.2", 5683), 0, 0, 2, b""))
    40
    """
    numbers = sequence % 2**32, acknowledged % 2**32
    tcp = struct.pack("!HHIIBBHHH", source[1], destination[1], *numbers, 5 << 4, flags, 0xFFFF, 0, 0) + payload
    total = _pseudo_checksum(source, destination, _TCP, tcp)
    return _ip_packet(source, destination, _TCP, tcp[:16] + total.to_bytes(2, "big") + tcp[18:])


@functools.lru_cache(maxsize=1024)
def _packed(host: str) -> bytes:
    import ipaddress

    return ipaddress.ip_address(host).packed


def _pseudo_checksum(source: tuple[str, int], destination: tuple[str, int], protocol: int, content: bytes) -> int:
    pseudo = _packed(source[0]) + _packed(destination[0]) + struct.pack("!IHH", len(content), 0, protocol)
    return checksum(pseudo + content)


def _ip_packet(source: tuple[str, int], destination: tuple[str, int], protocol: int, content: bytes) -> bytes:
    """The content behind an IPv4 or IPv6 header."""
    hosts = _packed(source[0]) + _packed(destination[0])
    if len(hosts) > 8:
        return struct.pack("!IHBB", 0x60000000, len(content), protocol, 64) + hosts + content
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(content), 0, 0x4000, 64, protocol, 0) + hosts
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + content


def checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071): the sum in ones' complement is a remainder of 65535."""
    total = int.from_bytes(data + bytes(len(data) % 2), "big") % 0xFFFF
    return 0xFFFF - total if total or not any(data) else 0

"""From packets to UDP datagrams, a window at a time: link layers, VLAN tags, IPv4, IPv6, fragments; and back.

Everything is a gather over numpy columns. The two rare cases, IPv6 extension headers and IP fragments, go a few packets
at a time.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.wire.pcap import Ints, Records

__all__ = [
    "LINK_TYPES",
    "Datagrams",
    "Reassembler",
    "behind_extensions",
    "checksum",
    "ip_headers",
    "udp_datagrams",
    "udp_packet",
]

Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]

#: Link types that can be read: name, bytes before the IP header, and where the EtherType stands (-1: the IP version
#: nibble tells).
LINK_TYPES = {
    0: ("NULL", 4, -1),
    1: ("Ethernet", 14, 12),
    12: ("RAW", 0, -1),
    14: ("RAW", 0, -1),
    101: ("RAW", 0, -1),
    108: ("LOOP", 4, -1),
    113: ("Linux cooked v1", 16, 14),
    228: ("IPv4", 0, -1),
    229: ("IPv6", 0, -1),
    276: ("Linux cooked v2", 20, 0),
}
_IPV4, _IPV6 = 0x0800, 0x86DD
_VLAN = (0x8100, 0x88A8, 0x9100)
_UDP, _FRAGMENT = 17, 44
#: IPv6 extension headers that carry their length: hop-by-hop, routing, destination options, and the rarer ones.
_EXTENSIONS = np.array([0, 43, 60, 135, 139, 140])
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
    source, destination : arrays of uint8, shape (n, 18)
        Address in 16 bytes (IPv4 in the last four, the others zero but for a mark) and port in two.
    """

    data: Bytes
    row: Ints
    start: Ints
    end: Ints
    cut: Mask
    source: Bytes
    destination: Bytes


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


def udp_datagrams(records: Records, linktypes: Ints, reassembler: Reassembler) -> tuple[Datagrams, list[Datagrams]]:
    """The UDP datagrams of a window.

    Parameters
    ----------
    records : Records
    linktypes : array of int64
        Link type of each record.
    reassembler : Reassembler
        Keeps fragments until the others come.

    Returns
    -------
    Datagrams, list of Datagrams
        Those that lie in the window, and those put together from fragments, each with data of its own.
    """
    data, end = records.data, records.start + records.captured
    ip, version = ip_headers(data, records.start, end, linktypes)
    four, six = np.nonzero(version == 4)[0], np.nonzero(version == 6)[0]
    whole4, fragments4 = _ipv4(data, ip[four], end[four], four)
    whole6, fragments6 = _ipv6(data, ip[six], end[six], six)
    plain = _merge([_udp(data, *whole4, wide=False), _udp(data, *whole6, wide=True)])
    reassembled = [
        found
        for row, at, wide in [*((r, a, False) for r, a in fragments4), *((r, a, True) for r, a in fragments6)]
        if (found := _reassemble(records, row, at, wide, reassembler)) is not None
    ]
    return plain, reassembled


def ip_headers(data: Bytes, start: Ints, end: Ints, linktypes: Ints) -> tuple[Ints, Ints]:
    """Where the IP header of each packet stands, and its version; 0 where there is none."""
    ip = start.copy()
    version = np.zeros(len(start), np.int64)
    for linktype in np.unique(linktypes).tolist():
        if linktype not in LINK_TYPES:
            continue
        _, skip, type_at = LINK_TYPES[linktype]
        here = np.nonzero(linktypes == linktype)[0]
        at = start[here] + skip
        if type_at >= 0:
            ethertype = _be16(data, start[here] + type_at)
            for _ in range(3):
                tagged = np.nonzero(np.isin(ethertype, _VLAN))[0]
                if not tagged.size:
                    break
                # Behind a tag comes the real EtherType; in cooked captures too, where the header ends with the type.
                ethertype[tagged] = _be16(data, at[tagged] + 2)
                at[tagged] += 4
            kind = np.where(ethertype == _IPV4, 4, np.where(ethertype == _IPV6, 6, 0))
        else:
            kind = np.asarray(data[at] >> 4, np.int64)
        # The version nibble must agree, and the header lie within what was captured.
        least = np.where(kind == 4, 20, 40)
        good = (at + least <= end[here]) & (np.asarray(data[at] >> 4) == kind) & np.isin(kind, (4, 6))
        ip[here], version[here] = at, np.where(good, kind, 0)
    return ip, version


Parts = tuple[Ints, Ints, Ints, Ints]


def _ipv4(data: Bytes, ip: Ints, end: Ints, rows: Ints) -> tuple[Parts, list[tuple[int, int]]]:
    """UDP in IPv4: rows, IP headers, UDP headers, ends; and the fragments."""
    header = (data[ip] & 15).astype(np.int64) * 4
    flags = _be16(data, ip + 6)
    udp = (data[ip + 9] == _UDP) & (header >= 20)
    fragment = (flags & 0x3FFF) != 0
    keep = udp & ~fragment
    parts = np.nonzero(udp & fragment)[0]
    fragments = list(zip(rows[parts].tolist(), ip[parts].tolist(), strict=True))
    return (rows[keep], ip[keep], (ip + header)[keep], end[keep]), fragments


def behind_extensions(data: Bytes, ip: Ints, end: Ints) -> tuple[Ints, Ints]:
    """What follows the extension headers of each IPv6 packet, and where it stands."""
    following = data[ip + 6].astype(np.int64)
    at = ip + 40
    for _ in range(8):
        extended = np.nonzero(np.isin(following, _EXTENSIONS) & (at + 8 <= end))[0]
        if not extended.size:
            break
        here = at[extended]
        following[extended] = data[here]
        at[extended] = here + 8 + 8 * data[here + 1].astype(np.int64)
    return following, at


def _ipv6(data: Bytes, ip: Ints, end: Ints, rows: Ints) -> tuple[Parts, list[tuple[int, int]]]:
    """UDP in IPv6, behind extension headers too."""
    following, at = behind_extensions(data, ip, end)
    fragment = (following == _FRAGMENT) & (at + 8 <= end)
    fragments = []
    for one in np.nonzero(fragment)[0].tolist():
        offset_flags = int(_be16(data, at[one : one + 1] + 2)[0])
        if offset_flags & 0xFFF9:
            fragments.append((int(rows[one]), int(ip[one])))
        else:
            # An atomic fragment is a whole packet behind a header without meaning (RFC 6946).
            following[one] = data[int(at[one])]
            at[one] += 8
    keep = (following == _UDP) & (at + 8 <= end)
    return (rows[keep], ip[keep], at[keep], end[keep]), fragments


def _udp(data: Bytes, row: Ints, ip: Ints, udp: Ints, end: Ints, *, wide: bool) -> Datagrams:
    """The datagrams behind these UDP headers."""
    fits = udp + 8 <= end
    row, ip, udp, end = row[fits], ip[fits], udp[fits], end[fits]
    length = _be16(data, udp + 4)
    # Length 0 stands for a jumbogram or an offloaded checksum: what was captured is what there is.
    claimed = np.where(length >= 8, udp + length, end)
    sides = []
    for address_at, port_at in ((8, 0), (24, 2)) if wide else ((12, 0), (16, 2)):
        key = np.zeros((len(row), 18), np.uint8)
        if wide:
            key[:, :16] = data[(ip + address_at)[:, None] + np.arange(16)]
        else:
            key[:, 10:12] = 0xFF
            key[:, 12:16] = data[(ip + address_at)[:, None] + np.arange(4)]
        key[:, 16:] = data[(udp + port_at)[:, None] + np.arange(2)]
        sides.append(key)
    return Datagrams(data, row, udp + 8, np.minimum(claimed, end), claimed > end, sides[0], sides[1])


def _merge(parts: list[Datagrams]) -> Datagrams:
    """Several groups of one window, in the order of the file."""
    parts = [part for part in parts if len(part.row)] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    order = np.argsort(np.concatenate([part.row for part in parts]), kind="stable")
    columns = {
        name: np.concatenate([getattr(part, name) for part in parts])[order]
        for name in ("row", "start", "end", "cut", "source", "destination")
    }
    return Datagrams(parts[0].data, **columns)


def _reassemble(records: Records, row: int, ip: int, wide: bool, reassembler: Reassembler) -> Datagrams | None:
    """Take one fragment; the whole datagram with its last one."""
    packet = records.data[ip : int(records.start[row] + records.captured[row])].tobytes()
    head, key, offset, more, payload = _split_fragment6(packet) if wide else _split_fragment4(packet)
    whole = reassembler.add(key, offset, payload, more)
    if whole is None:
        return None
    data = np.frombuffer(head + whole + bytes(64), np.uint8)
    at, end = np.array([len(head)]), np.array([len(head) + len(whole)])
    found = _udp(data, np.array([row]), np.array([0]), at, end, wide=wide)
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


def _be16(data: Bytes, at: Ints) -> Ints:
    words: NDArray[np.uint16] = np.ndarray((data.size - 1,), ">u2", data.data, 0, (1,))
    return words[np.minimum(at, data.size - 2)].astype(np.int64)


# ---------------------------------------------------------------- writing


def udp_packet(source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> bytes:
    """An IP packet (link type 101) around a UDP payload, its checksums right.

    Examples
    --------
    >>> udp_packet(("192.0.2.1", 5683), ("192.0.2.2", 5683), b"x")[:2].hex()
    '4500'
    """
    sender, receiver = ipaddress.ip_address(source[0]), ipaddress.ip_address(destination[0])
    length = 8 + len(payload)
    udp = struct.pack("!HHHH", source[1], destination[1], length, 0) + payload
    pseudo = sender.packed + receiver.packed + struct.pack("!IHH", length, 0, _UDP)
    # A sum of 0 is sent as all ones: 0 means "no checksum" (RFC 768).
    udp = udp[:6] + (checksum(pseudo + udp) or 0xFFFF).to_bytes(2, "big") + udp[8:]
    if sender.version == 6:
        return struct.pack("!IHBB", 0x60000000, length, _UDP, 64) + sender.packed + receiver.packed + udp
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, 64, _UDP, 0) + sender.packed + receiver.packed
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + udp


def checksum(data: bytes) -> int:
    """The internet checksum (RFC 1071): the sum in ones' complement is a remainder of 65535."""
    total = int.from_bytes(data + bytes(len(data) % 2), "big") % 0xFFFF
    return 0xFFFF - total if total or not any(data) else 0

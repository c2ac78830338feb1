"""ICMP errors of a capture: who says that which datagram of ours did not arrive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.wire.ends import address_text
from lwm2m_lab.wire.packets import OtherPackets, behind_extensions
from lwm2m_lab.wire.records import Records

__all__ = ["MOST_ERRORS", "IcmpError", "IcmpErrors"]

Ints = NDArray[np.int64]
_ICMP, _ICMPV6, _UDP = 1, 58, 17
#: What errors say, by IP version, type and code; None for any other code of the type.
_MEANINGS = {
    (4, 3, 0): "network unreachable", (4, 3, 1): "host unreachable", (4, 3, 3): "port unreachable",
    (4, 3, 4): "packet too big", (4, 3, 13): "forbidden by a filter", (4, 3, None): "destination unreachable",
    (4, 11, None): "time exceeded", (4, 12, None): "parameter problem",
    (6, 1, 0): "network unreachable", (6, 1, 1): "forbidden by a filter", (6, 1, 3): "host unreachable",
    (6, 1, 4): "port unreachable", (6, 1, None): "destination unreachable", (6, 2, None): "packet too big",
    (6, 3, None): "time exceeded", (6, 4, None): "parameter problem",
}  # fmt: skip
_TYPES = {version: sorted({kind for one, kind, _ in _MEANINGS if one == version}) for version in (4, 6)}
#: Errors kept; more of them tell nothing new.
MOST_ERRORS = 4096


@dataclass(frozen=True, slots=True)
class IcmpError:
    """One ICMP error that quotes a UDP datagram (RFC 792, RFC 4443).

    Attributes
    ----------
    frame : int
    time : int
        Nanoseconds since the epoch.
    reporter : str
        The address that sends the error: the target itself, or a router before it.
    meaning : str
        ``"port unreachable"``.
    src, dst : str
        Of the datagram quoted, as in the message table.
    mid : int
        The CoAP message id in it; -1 where it was cut before that or is no CoAP.
    """

    frame: int
    time: int
    reporter: str
    meaning: str
    src: str
    dst: str
    mid: int


class IcmpErrors:
    """Collects the ICMP errors of a capture.

    Attributes
    ----------
    found : list of IcmpError
        The first `MOST_ERRORS` of them.
    """

    def __init__(self) -> None:
        self.found: list[IcmpError] = []

    def add(self, records: Records, others: OtherPackets) -> None:
        """Take the ICMP errors of one window."""
        if not len(others.row) or len(self.found) >= MOST_ERRORS:
            return
        data, rows, ip, end, version = records.data, others.row, others.ip, others.end, others.version
        for number, protocol in ((4, _ICMP), (6, _ICMPV6)):
            here = np.flatnonzero(version == number)
            if number == 4:
                following = data[ip[here] + 9]
                at = ip[here] + (data[ip[here]] & 15).astype(np.int64) * 4
            else:
                following, at = behind_extensions(data, ip[here], end[here])
            good = (following == protocol) & (at + 8 <= end[here])
            if not good.any():
                continue
            here, at = here[good], at[good]
            error = np.nonzero(np.isin(data[at], _TYPES[number]))[0][: MOST_ERRORS - len(self.found)]
            for one, icmp in zip(here[error].tolist(), at[error].tolist(), strict=True):
                packet, row = bytes(data[int(ip[one]) : int(end[one])]), int(rows[one])
                found = _error(packet, icmp - int(ip[one]), int(records.frame[row]), int(records.time_ns[row]))
                self.found += [] if found is None else [found]
        self.found.sort(key=lambda one: one.frame)


def _error(packet: bytes, at: int, frame: int, time: int) -> IcmpError | None:
    """The error in an IP packet whose ICMP begins at `at`; None where it quotes no UDP."""
    version, kind, code = packet[0] >> 4, packet[at], packet[at + 1]
    quoted = packet[at + 8 :]
    udp = _udp_of(quoted)
    if udp is None:
        return None
    ends, message = udp
    reporter = address_text(_address(packet, 0) + bytes(2)).rsplit(":", 1)[0]
    meaning = _MEANINGS.get((version, kind, code)) or _MEANINGS[version, kind, None]
    is_coap = len(message) >= 4 and message[0] >> 6 == 1
    mid = int.from_bytes(message[2:4], "big") if is_coap else -1
    return IcmpError(frame, time, reporter, meaning, *ends, mid)


def _udp_of(quoted: bytes) -> tuple[tuple[str, str], bytes] | None:
    """Source and destination of a quoted datagram, and what is there of its content."""
    wide = len(quoted) > 0 and quoted[0] >> 4 == 6
    head = 40 if wide else (quoted[0] & 15) * 4 if quoted else 0
    if head < 20 or len(quoted) < head + 8 or quoted[6 if wide else 9] != _UDP:
        return None
    ends = [address_text(_address(quoted, side) + quoted[head + 2 * side : head + 2 * side + 2]) for side in (0, 1)]
    return (ends[0], ends[1]), quoted[head + 8 :]


def _address(packet: bytes, side: int) -> bytes:
    """Source (0) or destination (1) of an IP packet in 16 bytes, IPv4 mapped."""
    if packet[0] >> 4 == 6:
        return packet[8 + 16 * side : 24 + 16 * side]
    return bytes(10) + b"\xff\xff" + packet[12 + 4 * side : 16 + 4 * side]

"""One look over all packets of a file, not only those that are CoAP: what was cut, late, twice, encrypted, left out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lwm2m_lab.wire import flows
from lwm2m_lab.wire.columns import Source
from lwm2m_lab.wire.packets import LINK_TYPES, Bytes, Datagrams, Mask, Reassembler, udp_datagrams
from lwm2m_lab.wire.pcap import RecordReader, open_capture
from lwm2m_lab.wire.records import Ints, Records

__all__ = ["Flow", "Survey", "survey"]

#: Frames that are named of each kind of trouble; the rest is counted.
MOST_NAMED = 12
#: Neighbouring packets of several interfaces or processors come out of order by microseconds, never by this, in ns.
BACKWARDS_NS = 100_000_000
_HANDSHAKE, _CLIENT_HELLO, _SERVER_HELLO = 22, 1, 2
_RECORD_HEADER = 13


@dataclass
class Flow:
    """The datagrams from one address and port to another.

    Attributes
    ----------
    source, destination : str
    first_frame : int
    datagrams : int
    plausible : int
        Those whose first two bytes could begin a CoAP message.
    dtls : int
        Those that begin with a DTLS record.
    client_hello, server_hello : int
        First frame with one; 0 where there is none.
    """

    source: str
    destination: str
    first_frame: int = 0
    datagrams: int = 0
    plausible: int = 0
    dtls: int = 0
    client_hello: int = 0
    server_hello: int = 0


@dataclass
class Survey:
    """What a file holds, packet by packet.

    Attributes
    ----------
    packets : int
    cut, cut_frames : int, list of int
        Packets of which fewer bytes were kept than were on the wire; the first of them.
    snaplen : int
        The most bytes that were kept of one that was cut.
    backwards : list of (int, float)
        Frames whose time stamp lies before that of the packet before, and by how many seconds.
    tick_ns : int
        The greatest common divisor of the time stamps' differences; 0 where all are equal.
    span_s : float
        Seconds from the earliest to the latest packet.
    first_ns : int
        Nanoseconds since the epoch of the earliest packet.
    link_types : dict of int to int
        Packets of each link type that cannot be read.
    unreachable : list of int
        Frames with an ICMP error "unreachable" (IPv4 and IPv6).
    flows : list of Flow
    notes : list of str
        Damage of the file, in words.
    """

    packets: int = 0
    cut: int = 0
    cut_frames: list[int] = field(default_factory=list)
    snaplen: int = 0
    backwards: list[tuple[int, float]] = field(default_factory=list)
    tick_ns: int = 0
    span_s: float = 0.0
    first_ns: int = 0
    link_types: dict[int, int] = field(default_factory=dict)
    unreachable: list[int] = field(default_factory=list)
    flows: list[Flow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def survey(source: Source) -> Survey:
    """Look over a capture file once, in constant memory but for its flows.

    Raises
    ------
    BadInput
        For what is no capture.

    Examples
    --------
    >>> from lwm2m_lab.wire.pcap import Interface
    >>> from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
    >>> seen = survey(pcapng_bytes([Packet(5 * 10**9, b"?"), Packet(3 * 10**9, b"?")], interfaces=[Interface()]))
    >>> seen.packets, seen.backwards
    (2, [(2, 2.0)])
    """
    stream, name = open_capture(source)
    with stream:
        reader = RecordReader(stream, name)
        surveyor = _Surveyor(reader)
        for records in reader:
            surveyor.add(records)
    return surveyor.finish()


class _Surveyor:
    """Adds up windows."""

    def __init__(self, reader: RecordReader) -> None:
        self.reader, self.reassembler = reader, Reassembler()
        self.found = Survey()
        self.known = flows.Flows(())
        self.flows: dict[int, Flow] = {}
        self.last_ns: int | None = None
        self.earliest: int | None = None
        self.latest = 0

    def add(self, records: Records) -> None:
        """Look at one window."""
        if not len(records.frame):
            return
        self._times(records)
        self._lengths(records)
        known = np.array([one.linktype for one in self.reader.interfaces] or [-1], np.int64)
        linktypes = known[np.minimum(records.interface, len(known) - 1)]
        for linktype, count in zip(*np.unique(linktypes, return_counts=True), strict=True):
            if int(linktype) not in LINK_TYPES:
                self.found.link_types[int(linktype)] = self.found.link_types.get(int(linktype), 0) + int(count)
        plain, reassembled = udp_datagrams(records, linktypes, self.reassembler, self.known)
        for part in (plain, *reassembled):
            self._flows(records, part)
        self._unreachable(records, linktypes)

    def _times(self, records: Records) -> None:
        time, found = records.time_ns, self.found
        steps = np.diff(time, prepend=time[0] if self.last_ns is None else self.last_ns)
        for row in np.nonzero(steps < -BACKWARDS_NS)[0][: MOST_NAMED - len(found.backwards)].tolist():
            found.backwards.append((int(records.frame[row]), -int(steps[row]) / 1e9))
        found.tick_ns = int(np.gcd.reduce(np.append(steps, found.tick_ns)))
        self.last_ns = int(time[-1])
        self.earliest = int(time.min() if self.earliest is None else min(self.earliest, time.min()))
        self.latest = max(self.latest, int(time.max()))

    def _lengths(self, records: Records) -> None:
        found = self.found
        cut = np.nonzero(records.captured < records.original)[0]
        found.cut += len(cut)
        found.cut_frames += records.frame[cut][: MOST_NAMED - len(found.cut_frames)].tolist()
        found.snaplen = max(found.snaplen, int(records.captured[cut].max(initial=0)))

    def _flows(self, records: Records, part: Datagrams) -> None:
        """Count what goes from where to where."""
        keep = np.nonzero(part.end > part.start)[0]
        if not len(keep):
            return
        data, start, end = part.data, part.start[keep], part.end[keep]
        dtls = flows.is_dtls(data, start, end)
        plausible = ~dtls & _may_be_coap(data[start], data[np.minimum(start + 1, data.size - 1)], end - start)
        first_record = dtls & (data[start] == _HANDSHAKE) & (end - start > _RECORD_HEADER)
        kind = np.where(first_record, data[np.minimum(start + _RECORD_HEADER, data.size - 1)], 0)
        frames = records.frame[part.row[keep]]
        which, first, inverse = np.unique(part.flow[keep], return_index=True, return_inverse=True)
        counts = [np.bincount(inverse, one, len(which)) for one in (np.ones(len(keep)), plausible, dtls)]
        for at, number in enumerate(which.tolist()):
            flow = self.flows.get(number)
            if flow is None:
                source, destination = self.known.source[number], self.known.destination[number]
                texts = self.known.endpoints
                flow = self.flows[number] = Flow(texts[source], texts[destination], int(frames[first[at]]))
            flow.datagrams += int(counts[0][at])
            flow.plausible += int(counts[1][at])
            flow.dtls += int(counts[2][at])
        for row in np.nonzero(np.isin(kind, (_CLIENT_HELLO, _SERVER_HELLO)))[0].tolist():
            flow, frame = self.flows[int(part.flow[keep[row]])], int(frames[row])
            if kind[row] == _CLIENT_HELLO:
                flow.client_hello = flow.client_hello or frame
            else:
                flow.server_hello = flow.server_hello or frame

    def _unreachable(self, records: Records, linktypes: Ints) -> None:
        """ICMP errors that say that nobody is there."""
        if len(self.found.unreachable) >= MOST_NAMED:
            return
        # With counts: without them `np.unique` imports `numpy.ma`.
        for linktype in np.unique(linktypes, return_counts=True)[0].tolist():
            if linktype not in LINK_TYPES:
                continue
            rows = np.nonzero((linktypes == linktype) & (records.captured >= LINK_TYPES[linktype][1] + 48))[0]
            at = records.start[rows] + LINK_TYPES[linktype][1]
            head = records.data[at]
            icmp4 = (head >> 4 == 4) & (records.data[at + 9] == 1)
            icmp4 &= records.data[at + 4 * (head & 15).astype(np.int64)] == 3
            icmp6 = (head >> 4 == 6) & (records.data[at + 6] == 58) & (records.data[at + 40] == 1)
            frames = records.frame[rows[icmp4 | icmp6]].tolist()
            self.found.unreachable += frames[: MOST_NAMED - len(self.found.unreachable)]

    def finish(self) -> Survey:
        """The numbers of the whole file."""
        found = self.found
        found.packets, found.notes = self.reader.packets, list(self.reader.notes)
        found.flows = list(self.flows.values())
        found.unreachable.sort()
        if self.earliest is not None:
            found.first_ns, found.span_s = self.earliest, (self.latest - self.earliest) / 1e9
        return found


def _may_be_coap(head: Bytes, code: Bytes, length: Ints) -> Mask:
    """Whether version, token length and code are those of a CoAP message (RFC 7252, 3)."""
    token = head & 15
    # 13 and 14 stand for longer tokens (RFC 8974), which are too rare to be counted in.
    version = (head >> 6 == 1) & ((token <= 8) | (token == 13) | (token == 14))
    kinds = np.isin(code >> 5, (0, 2, 4, 5)) & ((code & 31 <= 8) | np.isin(code, (0x5F, 0x8C, 0x8D, 0x8F, 0x96, 0x9D)))
    plausible: Mask = version & kinds & (length >= 4 + token)
    return plausible

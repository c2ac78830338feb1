"""A capture that may be shown to anybody: the same packets, sizes and times, with nobody's names in them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lwm2m_lab.errors import BadInput
from lwm2m_lab.wire import coap, hiding
from lwm2m_lab.wire.columns import Columns, Source
from lwm2m_lab.wire.framing import Framing
from lwm2m_lab.wire.pcap import Interface, RecordReader, Records, open_capture
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
from lwm2m_lab.wire.private import Private, find_in_messages, is_managed
from lwm2m_lab.wire.pseudonyms import Pseudonyms
from lwm2m_lab.wire.reading import read_columns
from lwm2m_lab.wire.rewrite import TCP, UDP, End, PacketRewriter, ip_at, read_ip

__all__ = ["Anonymized", "anonymize"]

Payload = Literal["keep", "zero"]
_COAP_PORT = 5683
#: Names by which the lab tells the two sides of one file apart; they name nobody.
_SIDES = ["device", "server"]
_GET, _CONTENT = 1, 0x45


@dataclass(frozen=True)
class Anonymized:
    """A capture without names.

    Attributes
    ----------
    data : bytes
        The file: pcap where it was one, else pcapng.
    packets, hidden : int
        All packets, and those that were zeroed because nobody here knows what they tell (no CoAP, DTLS or HTTP).
    addresses, names, identities, hosts, values : int
        How many were replaced: IP addresses, endpoint names, DTLS identities, host names, and serial numbers with other
        secrets.
    leftovers : int
        Private strings that still stand somewhere in the file; 0 unless one is split between packets.
    encrypted : int
        Datagrams of DTLS, whose records stay as they were.
    """

    data: bytes
    packets: int
    hidden: int
    addresses: int
    names: int
    identities: int
    hosts: int
    values: int
    leftovers: int
    encrypted: int = 0

    def __str__(self) -> str:
        counts = [
            f"{count} {what}"
            for count, what in (
                (self.addresses, "addresses"), (self.names, "endpoint names"), (self.identities, "identities"),
                (self.hosts, "host names"), (self.values, "serial numbers and secrets"),
            )
            if count
        ]  # fmt: skip
        lines = [f"{self.packets} packets; replaced: {', '.join(counts) or 'nothing'}"]
        if self.hidden:
            lines.append(f"{self.hidden} packets that are no CoAP, DTLS or HTTP were zeroed")
        if self.encrypted:
            lines.append(
                f"{self.encrypted} datagrams of DTLS stay encrypted: with an extended master secret no old key opens "
                "them any more, for the identity was part of it; without one, or with a key log, whoever has the "
                "keys reads the real names in them"
            )
        if self.leftovers:
            lines.append(f"{self.leftovers} private strings still stand in the file: look before you share it")
        return "; ".join(lines)


def anonymize(
    source: Source, *, seed: int = 0, payload: Payload = "keep", ports: tuple[int, ...] = (_COAP_PORT,)
) -> Anonymized:
    """Replace everything in a capture that names somebody.

    Addresses go to the ranges for documentation (10/8 where these are too few), endpoint names, DTLS identities, serial
    numbers, keys and hosts to others of the same length, always the same for the same. Nothing moves: lengths, blocks,
    times, message ids and tokens stay. Checksums are put right. Comments, names of interfaces, name resolution and
    secrets of a pcapng go. DTLS records stay encrypted. With an extended master secret no pre-shared key opens them any
    more: the identity is part of it. Without one, or with a key log of the session, they open as before, and what they
    carry is as it was: whoever has the keys knows the device.

    Parameters
    ----------
    source : path or bytes
        A pcap or pcapng file.
    seed : int
        Same seed, same file.
    payload : {"keep", "zero"}
        Whether image bytes stay or become zeros.
    ports : tuple of int
        UDP ports that carry CoAP in any case.

    Raises
    ------
    BadInput
        For what is no capture, or an argument out of range.

    Examples
    --------
    >>> from lwm2m_lab.wire.packets import udp_packet
    >>> packet = udp_packet(("203.0.114.1", 5683), ("203.0.114.2", 5683), b"@\\x02\\x00\\x01\\xb2rdIep=nobody")
    >>> data = pcapng_bytes([Packet(0, packet)], interfaces=[Interface()])
    >>> hidden = anonymize(data, seed=1)
    >>> print(hidden)
    1 packets; replaced: 2 addresses, 1 endpoint names
    >>> b"nobody" in hidden.data
    False
    """
    if payload not in ("keep", "zero"):
        raise BadInput(f"payload is {payload!r}; 'keep' or 'zero' is expected")
    if not isinstance(seed, int):
        raise BadInput(f"seed is {seed!r}; a whole number is expected")
    stream, name = open_capture(source)
    with stream:
        content = stream.read()
    work = _Work(content, name, payload, ports)
    return work.done(seed)


class _Work:
    """One file: what is private in it, and its packets."""

    def __init__(self, content: bytes, name: str, payload: Payload, ports: tuple[int, ...]) -> None:
        self.content, self.name, self.payload = content, name, payload
        self.private = Private()
        self.coap_frames: set[int] = set()
        self.emptied: set[bytes] = set()
        self.encrypted = 0
        self.http: set[frozenset[End]] = set()
        #: Sequence numbers by frame, and what of the bodies to be zeroed tells the sizes of chunks.
        self.sequences: dict[int, int] = {}
        framing: list[tuple[int, int]] = []
        for columns in self._columns(ports):
            self.coap_frames |= set(columns["frame"].tolist())
            find_in_messages(columns, self.private)
            if payload == "zero":
                self.emptied |= set(_image_heads(columns))
                framing += [place for one in columns.http for place in one.framing()]
        self.framing: Framing[tuple[End, End]] = Framing(framing)
        for frame, data, linktype, _, place in self._packets():
            self._look(frame, data, linktype, place)

    def _columns(self, ports: tuple[int, ...]) -> Iterator[Columns]:
        """The messages of all interfaces: of a file with two sides, one side is read at a time."""
        columns = read_columns(self.content, ports=ports)
        yield columns
        if columns.interface is not None:
            for number, name in enumerate(columns.interfaces):
                if name != columns.interface:
                    yield read_columns(self.content, ports=ports, interface=number)

    def _records(self) -> Iterator[tuple[RecordReader, Records]]:
        reader = RecordReader(io.BytesIO(self.content), self.name)
        for records in reader:
            yield reader, records

    def _packets(self) -> Iterator[tuple[int, bytes, int, bytes, int]]:
        """Frame, content, link type, the sixteen bytes before it, which in a pcap are its header, and its place."""
        for reader, records in self._records():
            known = [one.linktype for one in reader.interfaces] or [-1]
            whole = records.data.tobytes()
            columns = (records.frame, records.start, records.captured, records.interface)
            for frame, start, length, interface in zip(*(column.tolist() for column in columns), strict=True):
                linktype = known[min(interface, len(known) - 1)]
                head = whole[max(start - 16, 0) : start]
                yield frame, whole[start : start + length], linktype, head, records.base + start

    def _look(self, frame: int, data: bytes, linktype: int, place: int) -> None:
        """What a packet says in places that the table of messages has not."""
        at = ip_at(data, linktype)
        ip = None if at is None else read_ip(data, at)
        if ip is None or ip.fragment is not None:
            return
        content = data[ip.content : ip.end]
        source, destination = ip.sides()
        ports = [int.from_bytes(content[at : at + 2], "big") for at in (0, 2)]
        if ip.protocol == UDP and len(content) > 8:
            body = content[8:]
            if hiding.looks_like_dtls(body):
                hiding.find_in_dtls(body, self.private)
            elif frame in self.coap_frames:
                hiding.find_in_coap(body, self.private)
        elif ip.protocol == TCP and len(content) > 20:
            begin = max((content[12] >> 4) * 4, 20)
            body, ends = content[begin:], ((data[source], ports[0]), (data[destination], ports[1]))
            if self.framing:
                sequence = self.sequences[frame] = int.from_bytes(content[4:8], "big")
                self.framing.learn(ends, sequence=sequence, place=place + ip.content + begin, length=len(body))
            if hiding.is_http(body):
                self.http.add(frozenset(ends))
                hiding.find_in_http(body, self.private)

    def done(self, seed: int) -> Anonymized:
        """The file with everything replaced."""
        pseudonyms = Pseudonyms(self.private, seed=seed)
        rewriter = PacketRewriter(pseudonyms, lambda *told: self._carried(pseudonyms, rewriter, *told))
        kept: list[bytearray] = []
        heads: list[bytes] = []
        for frame, data, linktype, head, _ in self._packets():
            kept.append(bytearray(data))
            heads.append(head)
            rewriter.rewrite(frame, kept[-1], linktype)
        rewriter.finish()
        data = self._file(kept, heads)
        private = self.private
        return Anonymized(
            data=data,
            packets=len(kept),
            hidden=rewriter.hidden,
            addresses=sum(old != new for old, new in pseudonyms.addresses.items()),
            names=len(private.names),
            identities=len(private.identities),
            hosts=len(private.hosts | private.address_texts),
            values=len(private.values),
            leftovers=pseudonyms.left_in(data),
            encrypted=self.encrypted,
        )

    def _carried(
        self,
        pseudonyms: Pseudonyms,
        rewriter: PacketRewriter,
        frame: int | None,
        protocol: int,
        ends: tuple[End, End],
        body: bytes,
    ) -> bytes:
        """What stands for what one datagram or segment carries."""
        if not body:
            return body
        if protocol == UDP:
            if hiding.looks_like_dtls(body):
                self.encrypted += 1
                return hiding.hide_dtls(body, pseudonyms)
            if frame in self.coap_frames or (frame is None and body[0] >> 6 == 1):
                return hiding.hide_coap(body, pseudonyms, emptied=self.emptied)
        elif frozenset(ends) in self.http:
            framing: Iterable[int] = ()
            if frame in self.sequences:
                framing = self.framing.within(ends, sequence=self.sequences[frame], length=len(body))
            return hiding.hide_http(body, pseudonyms, empty=self.payload == "zero", framing=framing)
        elif _COAP_PORT in (ends[0][1], ends[1][1]):
            return pseudonyms.within(body)
        rewriter.hidden += 1
        return bytes(len(body))

    def _file(self, kept: list[bytearray], heads: list[bytes]) -> bytes:
        """The packets as a file of the kind that they came in."""
        if self.content[:4] != b"\x0a\x0d\x0d\x0a":
            return b"".join([self.content[:24], *(part for pair in zip(heads, kept, strict=True) for part in pair)])
        packets: list[Packet] = []
        interfaces: list[Interface] = []
        for reader, records in self._records():
            columns = (records.time_ns, records.interface, records.original)
            for time, interface, original in zip(*(column.tolist() for column in columns), strict=True):
                # Of a damaged file the time may be any number of 64 bits; it is read back as it was.
                packets.append(Packet(time & (1 << 64) - 1, bytes(kept[len(packets)]), interface, original=original))
            interfaces = reader.interfaces
        names = [one.name for one in interfaces]
        named = sorted(names) == _SIDES
        plain = [Interface(one.name if named else "", one.linktype) for one in interfaces]
        return pcapng_bytes(packets, interfaces=plain)


def _image_heads(columns: Columns) -> Iterator[bytes]:
    """Header and token of each message that carries a part of an image."""
    code, length, path = columns["code"], columns["payload_length"], columns["uri_path"]
    paths = columns.categories["uri_path"]
    package = np.array([name == "/5/0/0" for name in paths] + [False], bool)
    file = np.array([not is_managed(name) and name.split("/")[1] not in ("rd", "bs", "dp") for name in paths] + [False])
    request = (code > 0) & (code < 32)
    asked: set[tuple[int, ...]] = set()
    ends = np.stack([columns[name].astype(np.int64) for name in ("src", "dst", "token")], 1)
    for row in np.nonzero(request & (code == _GET) & file[path])[0].tolist():
        asked.add(tuple(ends[row].tolist()))
    answers = [
        row
        for row in np.nonzero((code == _CONTENT) & (length > 0))[0].tolist()
        if (int(ends[row, 1]), int(ends[row, 0]), int(ends[row, 2])) in asked
    ]
    # A reset value is one byte or none, and no image.
    pushed = np.nonzero(request & package[path] & (code != _GET) & (length > 1))[0].tolist()
    for row in (*pushed, *answers):
        datagram = columns.datagram(row)
        yield datagram[: coap.token_span(datagram)[1]]

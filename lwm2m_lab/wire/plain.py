"""Small captures to columns without numpy, one message at a time.

To import numpy takes longer than to decode ten thousand messages without it. What is read here is what most small
captures are: whole, of link types that are known, in the clear, not fragmented. Anything else is left to the columnar
reader, which tests hold against this one; so this one need not know how to name what is damaged.
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from lwm2m_lab.wire import coap
from lwm2m_lab.wire.columns import CODE_NAMES, DTYPES, Columns, Source
from lwm2m_lab.wire.ends import MAPPED, address_text
from lwm2m_lab.wire.fields import fields
from lwm2m_lab.wire.formats import open_capture, size_of
from lwm2m_lab.wire.plain_packets import Datagram, PlainPackets, Unusual

if TYPE_CHECKING:
    from lwm2m_lab.wire.icmp import IcmpError
    from lwm2m_lab.wire.segments import Segments

__all__ = ["MOST_BYTES", "MOST_PACKETS", "read_plain"]

#: Behind so many packets, or bytes, numpy is quicker, its import included.
MOST_PACKETS, MOST_BYTES = 15_000, 1 << 24

#: A row of the table: what `DTYPES` lists, texts as texts.
_Row: TypeAlias = tuple[Any, ...]
_SRC, _DST, _CODE, _MID, _TOKEN, _ERROR = (
    list(DTYPES).index(name) for name in ("src", "dst", "code", "mid", "token", "error")
)
_TYPE_CODES = {"i1": "b", "i2": "h", "i4": "i", "i8": "q"}
_TEXTS = ("token", "uri_path", "uri_query", "etag")
#: What bytes missing at the end of a message explain.
_EXPLAINED = (-1, coap.OPTION_BEYOND, coap.NO_PAYLOAD, coap.TOKEN_CUT)


def read_plain(source: Source, ports: Sequence[int]) -> Columns | None:
    """The columns of a small capture, as `read_columns` gives them; None for one that is not small or not usual.

    Raises
    ------
    BadInput
        Where there is no such file.

    Examples
    --------
    >>> from lwm2m_lab.wire.packets import udp_packet
    >>> from lwm2m_lab.wire.pcapng import Interface, Packet, pcapng_bytes
    >>> packet = udp_packet(("192.0.2.1", 5683), ("192.0.2.2", 5683), bytes.fromhex("4001000db133"))
    >>> columns = read_plain(pcapng_bytes([Packet(0, packet)], interfaces=[Interface()]), [5683])
    >>> columns.text("uri_path", 0), columns.numbers("mid").tolist()
    ('/3', [13])
    """
    content = _small(source)
    if content is None:
        return None
    packets, table = PlainPackets(content, most=MOST_PACKETS), _Table(content, ports)
    try:
        for datagram in packets:
            table.add(datagram)
    except Unusual:
        return None
    arrays, categories = _columns(table.of_coap())
    return Columns(
        arrays,
        categories,
        source=source,
        others=functools.partial(_others, source if packets.others else b"", ports),
        packets=packets.packets,
        comments=packets.comments,
        interfaces=[one.name for one in packets.interfaces],
    )


def _small(source: Source) -> bytes | None:
    """The whole (uncompressed) content; None of what is large."""
    stream, _ = open_capture(source)
    with stream:
        if size_of(stream) > MOST_BYTES:
            return None
        content = stream.read(MOST_BYTES + 1)
    return content if len(content) <= MOST_BYTES else None


def _others(source: Source, ports: Sequence[int]) -> tuple[Segments, Sequence[IcmpError]]:
    """The TCP and the ICMP errors, which only the columnar reader can read; from no source, none."""
    from lwm2m_lab.wire.collecting import collect_others
    from lwm2m_lab.wire.segments import Segments

    if not source:
        return Segments(), ()
    segments, icmp = collect_others(source, ports=ports)
    return segments, icmp.found


class _Table:
    """The rows of the message table, and those of which only the end tells whether they are CoAP."""

    def __init__(self, content: bytes, ports: Sequence[int]) -> None:
        self._content, self._ports = content, frozenset(ports)
        self._rows: list[_Row] = []
        #: By addresses and ports: the two ends, and whether one of the ports is that of CoAP.
        self._flows: dict[bytes, tuple[str, str, bool]] = {}
        #: By their two ends, the rows on other ports.
        self._unsure: dict[frozenset[str], list[_Row]] = {}

    def add(self, datagram: Datagram) -> None:
        """Decode a datagram."""
        frame, time_ns, ends, start, end, cut = datagram
        message = self._content[start:end]
        if not message:
            return
        if 20 <= message[0] <= 25 and message[1:3] in (b"\xfe\xff", b"\xfe\xfd"):
            raise Unusual
        flow = self._flows.get(ends)
        if flow is None:
            flow = self._flows[ends] = _flow(ends, self._ports)
        source, destination, known = flow
        *values, error, payload = fields(message)
        if cut and error in _EXPLAINED:
            error = coap.SNAPPED
        row = (frame, time_ns, source, destination, *values, error, start, end - start, payload)
        self._rows.append(row)
        if not known:
            self._unsure.setdefault(frozenset((source, destination)), []).append(row)

    def of_coap(self) -> Iterable[_Row]:
        """The rows that are CoAP by their port or by their content."""
        foreign = {ends for ends, rows in self._unsure.items() if not _is_coap(rows)}
        if not foreign:
            return self._rows
        left_out = {id(row) for ends in foreign for row in self._unsure[ends]}
        return [row for row in self._rows if id(row) not in left_out]


def _flow(ends: bytes, ports: frozenset[int]) -> tuple[str, str, bool]:
    """Source and destination as text, and whether one of their ports is among these."""
    addresses, of_source, of_destination = ends[:-4], ends[-4:-2], ends[-2:]
    width = len(addresses) // 2
    mapped = MAPPED if width == 4 else b""
    known = not ports.isdisjoint((int.from_bytes(of_source, "big"), int.from_bytes(of_destination, "big")))
    source, destination = mapped + addresses[:width] + of_source, mapped + addresses[width:] + of_destination
    return address_text(source), address_text(destination), known


def _is_coap(rows: Sequence[_Row]) -> bool:
    """Whether what two ends say is CoAP by its content; `lwm2m_lab.wire.flows.recognised` says when."""
    if any(row[_ERROR] >= 0 for row in rows):
        return False
    # With an empty token the message id has to tell; otherwise a separate response may have one of its own.
    said = [(row[_CODE], row[_TOKEN] or row[_MID], row[_SRC] < row[_DST]) for row in rows]
    asked = {(key, upward) for code, key, upward in said if 0 < code < 32}
    return any((key, not upward) in asked for code, key, upward in said if 64 <= code < 192)


def _columns(rows: Iterable[_Row]) -> tuple[dict[str, array[int]], dict[str, list[str]]]:
    """The rows turned round, and the texts of the text columns, which become numbers."""
    found = dict(zip(DTYPES, zip(*rows, strict=True), strict=False)) or dict.fromkeys(DTYPES, ())
    ends = _numbered([*found["src"], *found["dst"]])
    numbers = {"src": ends, "dst": ends, **{name: _numbered(found[name]) for name in _TEXTS}}
    found |= {name: tuple([codes[text] for text in found[name]]) for name, codes in numbers.items()}
    categories = {name: [text for text in codes if text is not None] for name, codes in numbers.items()}
    categories |= {"type": list(coap.TYPES), "code": CODE_NAMES, "error": list(coap.ERRORS)}
    return {name: array(_TYPE_CODES[dtype], found[name]) for name, dtype in DTYPES.items()}, categories


def _numbered(texts: Sequence[str | None]) -> dict[str | None, int]:
    """Each text's number, in the order of their first appearance; -1 of none."""
    distinct = dict.fromkeys(texts)
    distinct.pop(None, None)
    return {None: -1, **{text: number for number, text in enumerate(distinct)}}

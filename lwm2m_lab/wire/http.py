"""HTTP/1.1 in the clear (RFC 9112): requests with their responses, out of the streams of a connection.

Bodies stay where they are: a record holds the ranges of the stream that make its body, and reads them when asked. A
body is as it was sent; a Content-Encoding (gzip) is named, not undone.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from lwm2m_lab.wire.segments import HTTP
from lwm2m_lab.wire.streams import Connection, Stream

__all__ = ["ContentRange", "HttpExchange", "exchanges"]

#: Bytes in which a head usually ends, and beyond which it is none.
USUAL_HEAD, LONGEST_HEAD = 1 << 12, 1 << 16
_END = re.compile(rb"\r?\n\r?\n")
_REQUEST = re.compile(rb"([A-Z]{3,16}) (\S{1,65536}) HTTP/1\.[0-9][ \t]*\Z")
_RESPONSE = re.compile(rb"HTTP/1\.[0-9] ([1-5][0-9][0-9])(?: (.*))?\Z", re.DOTALL)
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(?:(\d{1,18})|\*)\Z")
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")
_BODILESS = frozenset({204, 304})
Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class ContentRange:
    """Which part of a representation a response carries: ``bytes 100-199/300``.

    Attributes
    ----------
    first : int
        Offset of the first byte.
    total : int or None
        Bytes of the whole, where they were said.
    """

    first: int
    total: int | None


@dataclass(frozen=True, slots=True)
class _Head:
    """First line and header fields of a message, and where its body begins."""

    start: int
    body: int
    first: tuple[str, ...]
    fields: Mapping[str, str]


class _Body(NamedTuple):
    """Where a body lies, where the next message begins, how many bytes are missing; None where nobody knows.

    `end_frame` is the packet that ends a body by closing the connection, `framing` is what stands between its chunks.
    """

    ranges: Ranges
    after: int | None
    missing: int | None
    end_frame: int = 0
    framing: Ranges = ()


_NOTHING = _Body((), None, None)


@dataclass(frozen=True)
class HttpExchange:
    """A request and its response; of either the other may be missing in the capture.

    Attributes
    ----------
    client, server : str
        Address and port.
    method, target, host : str or None
        ``GET``, ``/fw.bin?v=2`` as it stands in the request, the Host field.
    status : int or None
        None where no response was seen.
    request, response : mapping of str to str
        Header fields, names in lower case.
    request_frame, response_frame, last_frame : int
        First packets of both, and the last of either; 0 where there is none.
    time_ns : int
        When the first of them came.
    body_length : int
        Bytes of the response's body that the capture has.
    missing : int or None
        Bytes of it that the capture has not; None where nobody knows how many there are.
    """

    client: str
    server: str
    method: str | None
    target: str | None
    status: int | None
    request: Mapping[str, str]
    response: Mapping[str, str]
    request_frame: int
    response_frame: int
    last_frame: int
    time_ns: int
    body_length: int
    missing: int | None
    _ranges: Ranges = field(repr=False)
    _framing: Ranges = field(repr=False)
    _stream: Stream = field(repr=False)

    @property
    def frame(self) -> int:
        """The first packet."""
        return self.request_frame or self.response_frame

    @property
    def complete(self) -> bool:
        """Whether there is a response and no byte of its body is missing."""
        return self.status is not None and self.missing == 0

    @property
    def host(self) -> str | None:
        """The Host field."""
        return self.request.get("host")

    @property
    def etag(self) -> str | None:
        """The entity tag of the response, as it stands there."""
        return self.response.get("etag")

    @property
    def content_length(self) -> int | None:
        """What the response says."""
        return _length(self.response)

    @property
    def content_range(self) -> ContentRange | None:
        """Which part of the representation a 206 carries."""
        found = _CONTENT_RANGE.match(self.response.get("content-range", ""))
        if found is None or found[1] is None:
            return None
        return ContentRange(int(found[1]), int(found[3]) if found[3] else None)

    def framing(self) -> Iterator[tuple[int, int]]:
        """Where the sizes of chunks, and the trailer, stand in the file: place and length."""
        for start, stop in self._framing:
            for _, place, length in self._stream.spans(start, stop):
                yield place, length

    @property
    def disputed(self) -> tuple[int, ...]:
        """Packets that repeat bytes of the body as others than they were; those of the lower sequence number count."""
        return tuple(
            frame
            for start, stop, frame in self._stream.disputed
            if any(start < end and begin < stop for begin, end in self._ranges)
        )

    def body(self) -> bytes:
        """The body up to the first byte that is missing."""
        parts = []
        for start, stop in self._ranges:
            parts.append(self._stream.read(start, stop))
            if len(parts[-1]) < stop - start:
                break
        return b"".join(parts)

    def pieces(self) -> Iterator[tuple[int, bytes, int]]:
        """The body as it came: offset in it, bytes, packet."""
        passed = 0
        for start, stop in self._ranges:
            for at, place, length in self._stream.spans(start, stop):
                yield passed + at - start, self._stream.read_file(place, length), self._stream.frame_at(at)
            passed += stop - start

    @functools.cached_property
    def sha256(self) -> str | None:
        """Of the body, in hex; None where it is not whole."""
        if not self.complete:
            return None
        digest = hashlib.sha256()
        for start, stop in self._ranges:
            for _, at, length in self._stream.spans(start, stop):
                digest.update(self._stream.read_file(at, length))
        return digest.hexdigest()


def exchanges(connections: list[Connection]) -> list[HttpExchange]:
    """The HTTP exchanges of some connections, in the order of their first packets."""
    found = [one for connection in connections for one in _exchanges(connection)]
    return sorted(found, key=lambda one: one.frame)


# ---------------------------------------------------------------- one connection


def _exchanges(connection: Connection) -> Iterator[HttpExchange]:
    """Responses in the order of their requests; a response that came before any request belongs to one not seen."""
    asked, answers = connection.client, connection.server
    requests = list(_requests(asked))
    at, waiting = 0, 0
    while (head := _head(answers, at, _RESPONSE)) is not None:
        when = answers.frame_at(head.start)
        own = requests[waiting] if waiting < len(requests) and asked.frame_at(requests[waiting].start) < when else None
        status = int(head.first[0])
        if 100 <= status < 200 and status != 101:
            at = head.body
            continue
        waiting += own is not None
        method = own.first[0] if own else None
        body = _response_body(answers, head, method, status)
        yield _exchange(connection, own, head, body)
        if status == 101 or (method == "CONNECT" and status < 300):
            break
        at = body.after if body.after is not None else _resumes(answers, head.body)
    for own in requests[waiting:]:
        yield _exchange(connection, own, None, _NOTHING)


def _exchange(connection: Connection, own: _Head | None, head: _Head | None, body: _Body) -> HttpExchange:
    """One record."""
    client, server = connection.client, connection.server
    frames, time_ns = [0], 0
    if own:
        frames.append(client.latest_frame(own.start, own.body))
        time_ns = client.time_at(own.start)
    if head:
        stop = body.after if body.after is not None else body.ranges[-1][1] if body.ranges else head.body
        frames += [server.latest_frame(head.start, min(stop, server.stop)), body.end_frame]
        time_ns = time_ns or server.time_at(head.start)
    return HttpExchange(
        client.source,
        client.destination,
        own.first[0] if own else None,
        own.first[1] if own else None,
        int(head.first[0]) if head else None,
        own.fields if own else {},
        head.fields if head else {},
        client.frame_at(own.start) if own else 0,
        server.frame_at(head.start) if head else 0,
        max(frames),
        time_ns,
        sum(stop - start - server.missing(start, stop) for start, stop in body.ranges),
        body.missing,
        body.ranges,
        body.framing,
        server,
    )


def _requests(stream: Stream) -> Iterator[_Head]:
    at = 0
    while (head := _head(stream, at, _REQUEST)) is not None:
        yield head
        if head.first[0] == "CONNECT":
            return
        if "chunked" in head.fields.get("transfer-encoding", "").lower():
            after = _chunks(stream, head.body).after
            at = after if after is not None else _resumes(stream, head.body)
        else:
            at = head.body + (_length(head.fields) or 0)


def _head(stream: Stream, at: int, form: re.Pattern[bytes]) -> _Head | None:
    """The next head at or behind an offset; where something else stands there, the next that can be told."""
    while at < stream.stop:
        text = stream.read(at, at + USUAL_HEAD)
        lead = len(text) - len(text.lstrip(b"\r\n"))
        first = form.match(text[lead:].split(b"\n", 1)[0].rstrip(b"\r"))
        if first is not None and (end := _END.search(text, lead)) is None:
            text = stream.read(at, at + LONGEST_HEAD)
            end = _END.search(text, lead)
        if first is not None and end is not None:
            words = tuple((word or b"").decode("latin-1") for word in first.groups())
            return _Head(at + lead, at + end.end(), words, _fields(text[lead : end.start()].split(b"\n")[1:]))
        at = _resumes(stream, at + 1)
    return None


def _resumes(stream: Stream, at: int) -> int:
    """The next piece that begins like HTTP, or the end."""
    return next((offset for offset, look in stream.hints if look == HTTP and offset >= at), stream.stop)


def _fields(lines: list[bytes]) -> dict[str, str]:
    """Header fields by their names in lower case; of one that comes twice the values joined by commas."""
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        key = name.decode("latin-1").strip().lower()
        if colon and key:
            text = value.decode("latin-1").strip()
            found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _length(fields: Mapping[str, str]) -> int | None:
    """Content-Length; the same number several times counts once."""
    said = {one.strip() for one in fields.get("content-length", "").split(",")}
    one = next(iter(said))
    return int(one) if len(said) == 1 and one.isascii() and one.isdigit() and len(one) < 19 else None


# ---------------------------------------------------------------- bodies


def _response_body(stream: Stream, head: _Head, method: str | None, status: int) -> _Body:
    """The body of a response."""
    if method == "HEAD" or status in _BODILESS:
        return _Body((), head.body, 0)
    if "chunked" in head.fields.get("transfer-encoding", "").lower():
        return _chunks(stream, head.body)
    length = _length(head.fields)
    if length is not None:
        stop = head.body + length
        return _Body(((head.body, stop),) if length else (), stop, stream.missing(head.body, stop))
    # Without a length the body ends with the connection.
    closed = stream.end is not None and not stream.reset
    stop = max(stream.end or 0, stream.stop, head.body)
    ranges = ((head.body, stop),) if stop > head.body else ()
    missing = stream.missing(head.body, stop) if closed else None
    return _Body(ranges, stop, missing, stream.end_frame if closed else 0)


def _chunks(stream: Stream, at: int) -> _Body:
    """The chunks of a body (RFC 9112, 7.1); one whose header is missing ends what can be told."""
    ranges: list[tuple[int, int]] = []
    framing: list[tuple[int, int]] = []
    missing, begin = 0, at
    while (found := _CHUNK.match(stream.read(at, at + 256))) is not None:
        size = int(found[1], 16)
        at += found.end()
        if size == 0:
            trailer = re.match(rb"(?:[^\r\n]+\r?\n)*\r?\n", stream.read(at, at + LONGEST_HEAD))
            after = at + trailer.end() if trailer else None
            framing.append((begin, after or at))
            return _Body(tuple(ranges), after, missing, framing=tuple(framing))
        framing.append((begin, at))
        ranges.append((at, at + size))
        missing += stream.missing(at, at + size)
        at = begin = at + size
        line_end = stream.read(at, at + 2)
        at += 2 if line_end == b"\r\n" else 1 if line_end[:1] == b"\n" else 0
        if not line_end:
            break
    return _Body(
        tuple(ranges), None, missing or None, framing=((*framing, (begin, at)) if at > begin else tuple(framing))
    )

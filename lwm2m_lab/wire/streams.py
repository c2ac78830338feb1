"""TCP segments put together: the bytes of each direction of each connection, by reference into the file.

Sequence numbers wrap, segments come twice, out of order and overlapping; a capture may begin in the middle, and may
have missed some. A hole stays a hole: nothing is filled in or guessed over.
"""

from __future__ import annotations

import bisect
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.wire.ends import address_text
from lwm2m_lab.wire.segments import ACK, FIN, HTTP, RST, SYN, Segments

__all__ = ["Connection", "Stream", "connections"]

Ints = NDArray[np.int64]
Reader = Callable[[int, int], bytes]
_Part = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Stream:
    """What one side of a connection sent.

    Attributes
    ----------
    source, destination : str
        Address and port.
    offset, at, length, frame, time : arrays of int64, shape (n,)
        The pieces in their order, none overlapping: offset in the stream, place in the file, bytes, packet and when.
    from_start : bool
        Whether the beginning of the connection was seen (SYN); else offset 0 is the first byte that was.
    end, end_frame : int or None, int
        Bytes in all, where the side closed (FIN), and the packet that did so.
    reset : bool
        Whether the connection was aborted (RST) from either side.
    first_frame, last_frame : int
        Of the segments of this side.
    hints : tuple of (int, int)
        Offset and look of each piece that begins like HTTP, CoAP or TLS.
    retransmitted : int
        Segments that brought nothing new.
    repeated : tuple of (int, int, int, int)
        Offset, place in the file, length and packet of what was there before and left out.
    read_file : callable
        Bytes of the file.
    """

    source: str
    destination: str
    offset: Ints
    at: Ints
    length: Ints
    frame: Ints
    time: Ints
    from_start: bool
    end: int | None
    end_frame: int
    reset: bool
    first_frame: int
    last_frame: int
    hints: tuple[tuple[int, int], ...]
    retransmitted: int
    repeated: tuple[tuple[int, int, int, int], ...]
    read_file: Reader = field(repr=False)

    @functools.cached_property
    def _starts(self) -> list[int]:
        starts: list[int] = self.offset.tolist()
        return starts

    @property
    def stop(self) -> int:
        """Offset behind the last byte seen."""
        return int(self.offset[-1] + self.length[-1]) if len(self.offset) else 0

    def piece(self, offset: int) -> int:
        """Position of the piece that holds a byte; -1 in a hole."""
        found = bisect.bisect_right(self._starts, offset) - 1
        return found if found >= 0 and offset < self._starts[found] + int(self.length[found]) else -1

    def spans(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Offset, place in the file and length of what is there between two offsets."""
        holding = self.piece(start)
        first = holding if holding >= 0 else bisect.bisect_left(self._starts, start)
        for one in range(first, len(self.offset)):
            begin, length = int(self.offset[one]), int(self.length[one])
            if begin >= stop:
                return
            inside = max(begin, start)
            yield inside, int(self.at[one]) + inside - begin, min(begin + length, stop) - inside

    def reach(self, start: int) -> int:
        """Where the bytes from `start` on end, or the next hole begins."""
        at = start
        for begin, _, length in self.spans(start, self.stop):
            if begin > at:
                return at
            at = begin + length
        return at

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from `start`, up to `stop` or the next hole."""
        parts, at = [], start
        for begin, place, length in self.spans(start, stop):
            if begin > at:
                break
            parts.append(self.read_file(place, length))
            at = begin + length
        return b"".join(parts)

    def missing(self, start: int, stop: int) -> int:
        """Bytes between two offsets that the capture has not."""
        return stop - start - sum(length for _, _, length in self.spans(start, stop))

    @functools.cached_property
    def disputed(self) -> list[tuple[int, int, int]]:
        """Where a packet repeats bytes as others than they were: from which offset to which, and the packet."""
        return [
            (offset, offset + length, frame)
            for offset, at, length, frame in self.repeated
            if self.read(offset, offset + length) != self.read_file(at, length)
        ]

    def frame_at(self, offset: int) -> int:
        """Packet that brought a byte; 0 in a hole."""
        found = self.piece(offset)
        return int(self.frame[found]) if found >= 0 else 0

    def time_at(self, offset: int) -> int:
        """When it came, nanoseconds; 0 in a hole."""
        found = self.piece(offset)
        return int(self.time[found]) if found >= 0 else 0

    def latest_frame(self, start: int, stop: int) -> int:
        """The last packet that brought any of the bytes between two offsets; 0 where none did."""
        first, last = bisect.bisect_right(self._starts, start) - 1, bisect.bisect_left(self._starts, stop)
        frames = self.frame[max(first, 0) : last]
        return int(frames.max()) if len(frames) else 0


@dataclass(frozen=True, eq=False)
class Connection:
    """One TCP connection: what each side sent.

    Attributes
    ----------
    client, server : Stream
        The client sent the SYN; where none was seen, the side that asks (HTTP), else that of the higher port.
    """

    client: Stream
    server: Stream

    @property
    def first_frame(self) -> int:
        """The first segment of either side."""
        return min(self.client.first_frame, self.server.first_frame)


def connections(segments: Segments, look: int, read_file: Reader) -> list[Connection]:
    """The connections of a capture that speak HTTP, or CoAP, in the order of their first segments.

    Parameters
    ----------
    segments : Segments
    look : int
        `segments.HTTP` or `segments.COAP`.
    read_file : callable
        Bytes of the file by place and length.
    """
    columns = segments.of(look)
    if not len(columns["frame"]):
        return []
    key, back = columns["key"], columns["back"]
    _, code = np.unique(np.concatenate([key, back]), return_inverse=True)
    there, other = (part.astype(np.int64) for part in np.split(code, 2))
    pair = np.minimum(there, other)
    order = np.argsort(pair, kind="stable")
    bounds = np.append(np.nonzero(np.append(True, np.diff(pair[order]) != 0))[0], len(order))
    has_data = np.zeros(int(code.max()) + 1, bool)
    has_data[pair[columns["length"] > 0]] = True
    found: list[Connection] = []
    for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        if has_data[pair[order[first]]]:
            rows = order[first:last]
            part = {name: array[rows] for name, array in columns.items()}
            found += _connections(part, there[rows] == pair[rows], read_file)
    return sorted(found, key=lambda one: one.first_frame)


def _connections(part: _Part, low: NDArray[np.bool_], read_file: Reader) -> Iterator[Connection]:
    """The connections between two ends, one after the other."""
    number = _incarnations(part, low)
    for one in range(int(number[-1]) + 1):
        here = number == one
        sides = [{name: array[here & side] for name, array in part.items()} for side in (low, ~low)]
        if sum(int(side["length"].sum()) for side in sides):
            yield _connection(sides, read_file)


def _incarnations(part: _Part, low: NDArray[np.bool_]) -> Ints:
    """Which connection each segment belongs to: a SYN with another sequence number begins the next one."""
    number = np.zeros(len(low), np.int64)
    started: dict[bool, int] = {}
    opener: bool | None = None
    for at in np.nonzero(part["flags"] & SYN)[0].tolist():
        side, sequence = bool(low[at]), int(part["seq"][at])
        answer = bool(part["flags"][at] & ACK)
        if started.get(side) == sequence:
            continue
        # The answer to a SYN belongs to it; one whose SYN was missed begins a connection itself.
        joins = answer and opener is not None and opener != side and side not in started
        if not joins and at > 0:
            number[at:] += 1
            started = {}
        started[side] = sequence
        opener = (not side) if answer and not joins else side if not answer else opener
    return number


def _connection(sides: list[_Part], read_file: Reader) -> Connection:
    reset = any(bool((side["flags"] & RST).any()) for side in sides)
    ends = next((side["key"][0].tobytes() for side in sides if len(side["key"])), bytes(36))
    low_is_first = bool(len(sides[0]["key"]))
    low, high = (ends[:18], ends[18:]) if low_is_first else (ends[18:], ends[:18])
    streams = [
        _stream(side, reset, address_text(source), address_text(destination), read_file)
        for side, source, destination in ((sides[0], low, high), (sides[1], high, low))
    ]
    opened = [_opened(side) for side in sides]
    if opened[0] == opened[1]:
        opened = [_asks(streams[0]) or _answers(streams[1]), _asks(streams[1]) or _answers(streams[0])]
    if opened[0] == opened[1]:
        opened[0] = int.from_bytes(low[16:], "big") > int.from_bytes(high[16:], "big")
    client, server = streams if opened[0] else streams[::-1]
    return Connection(client, server)


def _opened(side: _Part) -> bool:
    return bool(((side["flags"] & (SYN | ACK)) == SYN).any())


def _asks(stream: Stream) -> bool:
    word = _first_word(stream)
    return bool(word) and word != b"HTTP/"


def _answers(stream: Stream) -> bool:
    return _first_word(stream) == b"HTTP/"


def _first_word(stream: Stream) -> bytes:
    """Where HTTP is spoken, what it begins with."""
    first = next((offset for offset, look in stream.hints if look == HTTP), None)
    return b"" if first is None else stream.read(first, first + 5)


def _stream(side: _Part, reset: bool, source: str, destination: str, read_file: Reader) -> Stream:
    """One direction: its segments placed, and what they bring twice left out."""
    sequence = side["seq"].astype(np.int64)
    opened = np.nonzero(side["flags"] & SYN)[0]
    # The difference of two neighbours as a signed number of 32 bits carries over the wrap.
    steps = (np.diff(sequence) + (1 << 31)) % (1 << 32) - (1 << 31)
    offset = np.append(0, np.cumsum(steps)) if len(sequence) else sequence
    # A SYN takes one sequence number; data in it (Fast Open) begins behind that number.
    offset = offset + (side["flags"] & SYN > 0)
    data = side["length"] > 0
    base = int(offset[opened[0]]) if opened.size else int(offset[data].min()) if data.any() else 0
    offset = offset - base
    closed = np.nonzero(side["flags"] & FIN)[0]
    end = int(offset[closed[0]] + side["length"][closed[0]] + side["cut"][closed[0]]) if closed.size else None
    placed, retransmitted, repeated = _placed(offset[data], {name: array[data] for name, array in side.items()})
    looks = [(at, look) for at, look in zip(placed["offset"].tolist(), placed["hint"].tolist(), strict=True) if look]
    frames = side["frame"]
    return Stream(
        source,
        destination,
        placed["offset"],
        placed["at"],
        placed["length"],
        placed["frame"].astype(np.int64),
        placed["time"],
        from_start=bool(opened.size),
        end=end if end is None or end >= 0 else None,
        end_frame=int(side["frame"][closed[0]]) if closed.size else 0,
        reset=reset,
        first_frame=int(frames[0]) if len(frames) else 1 << 40,
        last_frame=int(frames[-1]) if len(frames) else 0,
        hints=tuple(looks),
        retransmitted=retransmitted,
        repeated=repeated,
        read_file=read_file,
    )


def _placed(offset: Ints, data: _Part) -> tuple[_Part, int, tuple[tuple[int, int, int, int], ...]]:
    """The pieces in the order of the stream, how many segments brought nothing new, and what was left out of all."""
    order = np.lexsort((data["frame"], offset))
    offset, length = offset[order], data["length"][order].astype(np.int64)
    at, frame = data["at"][order], data["frame"][order]
    stop = offset + length
    reached = np.maximum(np.append(0, np.maximum.accumulate(stop)[:-1]), 0) if len(stop) else stop
    skip = np.maximum(reached - offset, 0)
    new = np.nonzero(skip < length)[0]
    placed: _Part = {
        "offset": (offset + skip)[new],
        "at": (at + skip)[new],
        "length": (length - skip)[new],
        "frame": frame[new],
        "time": data["time"][order][new],
        "hint": np.where(skip == 0, data["hint"][order], 0)[new],
    }
    # Before the beginning nothing was there; and one old byte is a keep-alive, of any content (RFC 9293, 3.8.4).
    begin, end = np.maximum(offset, 0), np.minimum(stop, reached)
    again = (end > begin) & (length > 1)
    columns = (begin, at + begin - offset, end - begin, frame)
    repeated = tuple(zip(*(column[again].tolist() for column in columns), strict=True))
    return placed, len(offset) - len(new), repeated

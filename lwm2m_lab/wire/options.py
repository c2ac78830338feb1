"""CoAP messages to columns: header, token and options of thousands of messages at once.

The options of all messages are walked in lock-step, one pass for each option position, so that the number of numpy
calls follows the longest message of a window, not the number of messages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.wire import coap
from lwm2m_lab.wire.intern import Interner

__all__ = ["MessageDecoder"]

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Columns = dict[str, NDArray[Any]]

_NUMBERS = {
    coap.OBSERVE: "observe",
    coap.CONTENT_FORMAT: "content_format",
    coap.ACCEPT: "accept",
    coap.BLOCK1: "block1",
    coap.BLOCK2: "block2",
    coap.SIZE1: "size1",
    coap.SIZE2: "size2",
}
_STRINGS = {coap.URI_PATH: "uri_path", coap.URI_QUERY: "uri_query", coap.ETAG: "etag"}
_INTERESTING = np.zeros(512, bool)
_INTERESTING[[*_NUMBERS, *_STRINGS]] = True
#: Messages with more options than this are decoded one by one: no lock-step for one liar's sake.
MOST_ROUNDS = 64
#: Paths and queries up to this many bytes are interned as rows of a matrix, longer ones one by one.
WIDEST_ROW = 64


def _segments(row: bytes) -> list[bytes]:
    """The values of a repeated option: two bytes first length, two bytes total length, then the wire's own bytes."""
    first, total = int.from_bytes(row[:2], "big"), int.from_bytes(row[2:4], "big")
    data = row[4 : 4 + total]
    found, at = [data[:first]], first
    while at < total:
        length, at = data[at] & 15, at + 1
        if length >= 13:
            extra = length - 12
            length = (0, 13, 269)[extra] + int.from_bytes(data[at : at + extra], "big")
            at += extra
        found.append(data[at : at + length])
        at += length
    return found


def _path_text(row: bytes) -> str:
    return "/" + "/".join(part.decode(errors="replace") for part in _segments(row))


def _query_text(row: bytes) -> str:
    return "&".join(part.decode(errors="replace") for part in _segments(row))


def _hex_text(row: bytes) -> str:
    return _segments(row)[0].hex()


@dataclass
class MessageDecoder:
    """Decodes windows of messages; the categories of its text columns grow from window to window."""

    interners: dict[str, Interner] = field(
        default_factory=lambda: {
            "token": Interner(lambda row: row[1 : 1 + row[0]].hex()),
            "uri_path": Interner(_path_text),
            "uri_query": Interner(_query_text),
            "etag": Interner(_hex_text),
        }
    )

    def window(self, data: Bytes, start: Ints, end: Ints, cut: NDArray[np.bool_]) -> Columns:
        """The columns of the messages that lie at `start` to `end` in `data`.

        `data` has at least 16 bytes behind the last end. The columns are those of the message table, with block1 and
        block2 as raw option values, `payload_from` relative to `start`, and `error` as a position in `coap.ERRORS`.
        """
        n = len(start)
        out = self._header(data, start, end)
        for name in (*_NUMBERS.values(), "payload_from"):
            out[name] = np.full(n, -1, np.int64)
        spans = {name: np.full((n, 3), -1, np.int64) for name in _STRINGS.values()}
        out["payload_length"] = np.zeros(n, np.int64)
        live = np.nonzero((out["error"] < 0) & (out["code"] != 0))[0]
        self._options(data, start, end, live, out, spans)
        # Bytes missing at the end explain whatever does not fit there.
        error = out["error"]
        error[cut & ((error < 0) | np.isin(error, (coap.OPTION_BEYOND, coap.NO_PAYLOAD, coap.TOKEN_CUT)))] = (
            coap.SNAPPED
        )
        for name, span in spans.items():
            out[name] = self._intern(self.interners[name], data, span)
        return out

    def _header(self, data: Bytes, start: Ints, end: Ints) -> Columns:
        first = data[start]
        token_length = (first & 15).astype(np.int64)
        length = end - start
        code = np.where(length >= 2, data[start + 1], 0)
        error = np.full(len(start), -1, np.int64)
        for number, wrong in (
            (coap.NOT_EMPTY, (code == 0) & (length > 4)),
            (coap.TOKEN_CUT, length < 4 + token_length),
            (coap.BAD_TOKEN_LENGTH, token_length > 8),
            (coap.BAD_VERSION, first >> 6 != 1),
            (coap.TOO_SHORT, length < 4),
        ):
            error[wrong] = number
        known = (error < 0) | (error == coap.NOT_EMPTY)
        shown = np.where(known, token_length, 0)
        rows = np.zeros((len(start), 9), np.uint8)
        rows[:, 0] = shown
        token = data[(start + 4)[:, None] + np.arange(8)]
        rows[:, 1:] = np.where(np.arange(8) < shown[:, None], token, 0)
        mid = data[start + 2].astype(np.int64) << 8 | data[start + 3]
        return {
            "type": (first >> 4 & 3).astype(np.int64),
            "code": code.astype(np.int64),
            "mid": np.where(length >= 4, mid, -1),
            "token": self.interners["token"].codes(rows),
            "error": error,
        }

    def _options(self, data: Bytes, start: Ints, end: Ints, live: Ints, out: Columns, spans: dict[str, Ints]) -> None:
        """Walk the options of all live messages in lock-step; fills `out` and `spans`."""
        token_length = (data[start[live]] & 15).astype(np.int64)
        at, stop, number = start[live] + 4 + token_length, end[live], np.zeros(len(live), np.int64)
        error, payload_from, payload_length = out["error"], out["payload_from"], out["payload_length"]
        for _ in range(MOST_ROUNDS):
            here = at < stop
            if not here.all():
                live, at, stop, number = live[here], at[here], stop[here], number[here]
            if not live.size:
                return
            head = data[at]
            marker = head == 0xFF
            if marker.any():
                rows = live[marker]
                payload_from[rows] = at[marker] + 1 - start[rows]
                payload_length[rows] = stop[marker] - at[marker] - 1
                error[rows[(stop[marker] - at[marker] == 1) & (error[rows] < 0)]] = coap.NO_PAYLOAD
                keep = ~marker
                live, at, stop, number, head = live[keep], at[keep], stop[keep], number[keep], head[keep]
                if not live.size:
                    return
            delta, length, value_at, reserved = _option_head(data, at, head)
            beyond = (value_at > stop) | (value_at + length > stop)
            wrong = reserved | beyond
            if wrong.any():
                error[live[wrong]] = np.where(reserved[wrong], coap.RESERVED_NIBBLE, coap.OPTION_BEYOND)
                keep = ~wrong
                live, stop, number = live[keep], stop[keep], number[keep]
                delta, length, value_at = delta[keep], length[keep], value_at[keep]
            number = number + delta
            at = value_at + length
            told = np.nonzero(_INTERESTING[np.minimum(number, 511)])[0]
            if told.size:
                _take(data, live[told], number[told], value_at[told], length[told], out, spans)
        self._one_by_one(data, start, end, live, out, spans)

    def _one_by_one(
        self, data: Bytes, start: Ints, end: Ints, live: Ints, out: Columns, spans: dict[str, Ints]
    ) -> None:
        """Messages with very many options: the plain decoder finds the payload and the first fault."""
        for row in live.tolist():
            datagram = data[start[row] : end[row]].tobytes()
            message = coap.decode(datagram)
            for number, name in _NUMBERS.items():
                found = message.values(number)
                if found and len(found[0]) <= coap.LONGEST_NUMBER[number]:
                    out[name][row] = int.from_bytes(found[0], "big")
            if message.payload:
                out["payload_length"][row] = len(message.payload)
                out["payload_from"][row] = len(datagram) - len(message.payload)
            out["error"][row] = -1 if message.error is None else coap.ERRORS.index(message.error)
            for number, name in _STRINGS.items():
                # So many options are no path of anybody's; what the lock-step saw of it would be a part.
                if not message.values(number):
                    spans[name][row] = -1

    @staticmethod
    def _intern(interner: Interner, data: Bytes, span: Ints) -> NDArray[np.int32]:
        """Codes of the byte strings at (first value's start, first value's length, end); -1 where there is none."""
        codes = np.full(len(span), -1, np.int32)
        rows = np.nonzero(span[:, 0] >= 0)[0]
        if not rows.size:
            return codes
        begin, first, end = span[rows].T
        total = end - begin
        narrow = total <= WIDEST_ROW
        if narrow.any():
            width = int(total[narrow].max())
            matrix = np.zeros((int(narrow.sum()), 4 + width), np.uint8)
            matrix[:, 1], matrix[:, 3] = first[narrow], total[narrow]
            inside = np.arange(width) < total[narrow][:, None]
            matrix[:, 4:] = np.where(inside, data[np.where(inside, begin[narrow][:, None] + np.arange(width), 0)], 0)
            codes[rows[narrow]] = interner.codes(matrix)
        for at in np.nonzero(~narrow)[0].tolist():
            head = int(first[at]).to_bytes(2, "big") + int(total[at]).to_bytes(2, "big")
            codes[rows[at]] = interner.code(head + data[int(begin[at]) : int(end[at])].tobytes())
        return codes


def _option_head(data: Bytes, at: Ints, head: Bytes) -> tuple[Ints, Ints, Ints, NDArray[np.bool_]]:
    """Delta, length and start of the value of one option each, and whether a nibble is reserved."""
    delta, length = (head >> 4).astype(np.int64), (head & 15).astype(np.int64)
    value_at = at + 1
    reserved = (delta == 15) | (length == 15)
    extended = np.nonzero((delta >= 13) | (length >= 13))[0]
    if extended.size:
        where = value_at[extended]
        for nibble in (delta, length):
            short = nibble[extended]
            one, two = short == 13, short == 14
            byte, following = data[where].astype(np.int64), data[where + 1].astype(np.int64)
            nibble[extended] = np.where(one, 13 + byte, np.where(two, 269 + (byte << 8 | following), short))
            where = where + one + 2 * two
        value_at = value_at.copy()
        value_at[extended] = where
    return delta, length, value_at, reserved


def _take(
    data: Bytes, rows: Ints, number: Ints, value_at: Ints, length: Ints, out: Columns, spans: dict[str, Ints]
) -> None:
    """Keep the options that have a column; the first of each kind counts."""
    for kind in np.unique(number).tolist():
        of_kind = number == kind
        row, begin, size = rows[of_kind], value_at[of_kind], length[of_kind]
        if kind in _STRINGS:
            span = spans[_STRINGS[kind]]
            new = span[row, 0] < 0
            span[row[new], 0], span[row[new], 1], span[row[new], 2] = begin[new], size[new], (begin + size)[new]
            if kind != coap.ETAG:
                span[row[~new], 2] = (begin + size)[~new]
            continue
        column = out[_NUMBERS[kind]]
        most = coap.LONGEST_NUMBER[kind]
        new = column[row] < 0
        value = np.zeros(len(row), np.int64)
        for byte in range(most):
            value = np.where(byte < size, value << 8 | data[begin + byte], value)
        column[row] = np.where(new & (size <= most), value, column[row])
        if kind in (coap.BLOCK1, coap.BLOCK2):
            error = out["error"]
            unset = error[row] < 0
            error[row[unset & (size > 3)]] = coap.LONG_BLOCK
            error[row[unset & (size <= 3) & (size > 0) & (value & 7 == 7)]] = coap.RESERVED_SZX

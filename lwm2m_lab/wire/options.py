"""CoAP messages to columns: header, token and options of thousands of messages at once.

The options of all messages are walked in lock-step, one pass for each option position, so that the number of numpy
calls follows the longest message of a window, not the number of messages.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.wire import coap
from lwm2m_lab.wire.fields import FIELDS, fields
from lwm2m_lab.wire.gather import column, numbers, rows
from lwm2m_lab.wire.intern import Interner, TextInterner
from lwm2m_lab.wire.templates import FIXED, VARIABLE, WIDTH, Templates

__all__ = ["MessageDecoder"]

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Columns = dict[str, NDArray[Any]]

_NUMBERS = {
    coap.OBSERVE: "observe",
    coap.CONTENT_FORMAT: "content_format",
    coap.ACCEPT: "accept",
    coap.SIZE1: "size1",
    coap.SIZE2: "size2",
}
_BLOCKS = {coap.BLOCK1: "block1", coap.BLOCK2: "block2"}
_PLACED = {coap.OBSERVE: "observe", **_BLOCKS}
_TEXTS = {coap.URI_PATH: "uri_path", coap.URI_QUERY: "uri_query", coap.ETAG: "etag"}
#: Which options have a column, by number; higher ones have none.
_INTERESTING = np.zeros(64, np.uint8)
_INTERESTING[[*_NUMBERS, *_BLOCKS, *_TEXTS]] = [*_NUMBERS, *_BLOCKS, *_TEXTS]
#: By SZX, bytes of a block; 7 is reserved.
_BLOCK_SIZES = np.array([16, 32, 64, 128, 256, 512, 1024, -1], np.int16)
#: So few messages are decoded one by one: a step of all of them costs as much as one of them.
FEW = 8
#: Paths and queries are interned as rows of so many bytes; longer ones one by one.
WIDTHS = (8, 32, 128)
#: The lower n bytes of a word.
_LOW = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)
_MARKER = 0xFF
#: Fields before the options: type, code, message id, token.
_HEADER = 4


def _segments(row: bytes) -> list[bytes]:
    """The values of a repeated option: four bytes first length, four bytes total length, then the wire's own bytes."""
    first, total = int.from_bytes(row[:4], "little"), int.from_bytes(row[4:8], "little")
    data = row[8 : 8 + total]
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


class MessageDecoder:
    """Decodes windows of messages; the categories of its text columns grow from window to window."""

    def __init__(self) -> None:
        self._tokens, self._templates = Interner(2), Templates()
        #: Tokens of more than 8 bytes; the first word of their key is their number here.
        self._long: dict[bytes, int] = {}
        self._texts = {
            "uri_path": TextInterner(_path_text),
            "uri_query": TextInterner(_query_text),
            "etag": TextInterner(_hex_text),
        }

    @property
    def remembered(self) -> int:
        """Distinct texts so far."""
        return self._tokens.count + sum(len(interner.categories) for interner in self._texts.values())

    def categories(self) -> dict[str, list[str]]:
        """The texts of the text columns so far."""
        values, lengths = self._tokens.keys()
        shown = values.tobytes().hex()
        tokens = [shown[16 * at : 16 * at + 2 * length] for at, length in enumerate(lengths.tolist())]
        if self._long:
            long = [token.hex() for token in self._long]
            for at in np.flatnonzero(lengths > 8).tolist():
                tokens[at] = long[int(values[at])]
        return {"token": tokens, **{name: interner.categories for name, interner in self._texts.items()}}

    def window(self, data: Bytes, start: Ints, end: Ints, cut: NDArray[np.bool_], flow: Ints) -> Columns:
        """The columns of the messages that lie at `start` to `end` in `data`.

        `data` has `SLACK` bytes behind the last end; `flow` says which messages may resemble each other. The columns
        are those of the message table, and `_payload`, which counts from `start`; `error` is a position in
        `coap.ERRORS`.
        """
        n = len(start)
        head = rows(data, start, 12)
        first, code = head[:, 0].copy(), head[:, 1].copy()
        token_length: Bytes = first & np.uint8(15)
        mid = column(head, 2, ">u2").astype(np.int32)
        error = np.full(n, -1, np.int8)
        fault = (
            (first >> 6 != 1) | (token_length > 8) | (end - start < 4 + token_length) | (code == 0) & (end - start > 4)
        )
        if fault.any():
            _header_faults(np.flatnonzero(fault), first, code, token_length, end - start, mid, error)
        token = column(head, 4, "<u8").astype(np.uint64) & _LOW.take(token_length)
        lengths, behind = token_length.astype(np.uint64), None
        if fault.any():
            behind = self._long_tokens(data, start, end, first, code, error, token, lengths)
        out: Columns = {
            "type": (first >> 4 & 3).astype(np.int8),
            "code": code.astype(np.int16),
            "mid": mid,
            "token": self._tokens.codes([token, lengths]),
            "error": error,
            "payload_length": np.zeros(n, np.int32),
            "_payload": np.full(n, -1, np.int32),
        }
        live = np.flatnonzero(code != 0) if not fault.any() else np.flatnonzero((code != 0) & (error < 0))
        at = start.take(live) + (token_length.take(live) + 4)
        if behind is not None:
            at += behind.take(live)
        kind = code.astype(np.uint64) << np.uint64(8) | first
        slot = self._templates.slots(flow.take(live), kind.take(live), data.take(at))
        template = self._templates.recognise(data, at, end.take(live), slot)
        walk = _Walk(self._texts, data, start, end, out)
        walk.fill(self._templates, live, at, template)
        new = np.flatnonzero(template == 0)
        if new.size:
            row, at = live.take(new), at.take(new)
            walk.run(row, at)
            walk.teach(self._templates, row, at, slot.take(new))
        if cut.any():
            # Bytes missing at the end explain whatever does not fit there.
            explained = (error < 0) | np.isin(error, (coap.OPTION_BEYOND, coap.NO_PAYLOAD, coap.TOKEN_CUT))
            error[cut & explained] = coap.SNAPPED
        return out

    def _long_tokens(
        self, data: Bytes, start: Ints, end: Ints, first: Bytes, code: Bytes, error: NDArray[Any],
        token: NDArray[np.uint64], lengths: NDArray[np.uint64],
    ) -> Ints | None:  # fmt: skip
        """Read the tokens of more than 8 bytes (RFC 8974, 2.1), one by one: they are rare.

        `error`, `token` and `lengths` are put right for them; returned are the bytes between header and options.
        """
        extended = (first & 15 == 13) | (first & 15 == 14)
        found = np.flatnonzero((error == coap.BAD_TOKEN_LENGTH) & extended)
        if not found.size:
            return None
        behind = np.zeros(len(start), np.int64)
        for row in found.tolist():
            at = int(start[row])
            begin, stop = coap.token_span(data[at : at + 6].tobytes())
            if at + stop > end[row]:
                error[row] = coap.TOKEN_CUT
                continue
            error[row] = -1 if code[row] else coap.NOT_EMPTY
            text = data[at + begin : at + stop].tobytes()
            token[row], lengths[row] = self._long.setdefault(text, len(self._long)), len(text)
            behind[row] = stop - 4
        return behind


def _header_faults(
    found: Ints, first: Bytes, code: Bytes, token_length: Bytes, length: Ints, mid: NDArray[Any], error: NDArray[Any]
) -> None:
    """Name what is wrong with these headers, and take back what was read of them and is not there."""
    size = length[found]
    for number, wrong in (
        (coap.NOT_EMPTY, (code[found] == 0) & (size > 4)),
        (coap.TOKEN_CUT, size < 4 + token_length[found]),
        (coap.BAD_TOKEN_LENGTH, token_length[found] > 8),
        (coap.BAD_VERSION, first[found] >> 6 != 1),
        (coap.TOO_SHORT, size < 4),
    ):
        error[found[wrong]] = number
    token_length[found[error[found] != coap.NOT_EMPTY]] = 0
    code[found[size < 2]] = 0
    mid[found[size < 4]] = -1


class _Walk:
    """One walk over the options of a window's messages, in lock-step."""

    def __init__(self, texts: dict[str, TextInterner], data: Bytes, start: Ints, end: Ints, out: Columns) -> None:
        self.texts, self.data, self.start, self.end, self.out = texts, data, start, end, out
        self.error = out["error"]
        n = len(start)
        out["observe"] = np.full(n, -1, np.int32)
        for name in _BLOCKS.values():
            out[f"{name}_num"] = np.full(n, -1, np.int32)
            out[f"{name}_more"] = np.full(n, -1, np.int8)
            out[f"{name}_size"] = np.full(n, -1, np.int16)
        #: By text column: rows, beginnings and lengths of the first values; and by row, where the last value ends.
        self.firsts: dict[str, list[tuple[Ints, Ints, Ints]]] = {name: [] for name in _TEXTS.values()}
        self.ends: dict[str, Ints] = {}
        #: By row, where the values that a template leaves open stand, and their sizes in the lowest byte.
        self.places = {name: np.full(n, -1, np.int64) for name in VARIABLE}
        self.alone: Ints = np.zeros(0, np.int64)

    def fill(self, templates: Templates, row: Ints, at: Ints, template: Ints) -> None:
        """The columns of the messages that have a template; -1 in those of the others."""
        of_all = np.zeros(len(self.start), np.int64)
        of_all[row] = template
        for name in FIXED:
            self.out[name] = templates.fixed[name].take(of_all)
        for name in VARIABLE:
            here = np.flatnonzero(templates.place[name].take(template) >= 0)
            if here.size:
                known = template.take(here)
                begin, size = at.take(here) + templates.place[name].take(known), templates.size[name].take(known)
                self._keep_number(name, row.take(here), begin, size)
        here = np.flatnonzero(templates.more.take(template))
        row, at = row.take(here), at.take(here) + templates.length.take(template.take(here))
        self.out["_payload"][row] = at - self.start.take(row)
        self.out["payload_length"][row] = self.end.take(row) - at

    def teach(self, templates: Templates, row: Ints, at: Ints, slot: Ints) -> None:
        """Let the templates know what was walked without fault."""
        payload, alone = self.out["_payload"].take(row), np.isin(row, self.alone)
        length = np.where(payload >= 0, self.start.take(row) + payload, self.end.take(row)) - at
        good = np.flatnonzero((self.error.take(row) < 0) & (length <= WIDTH) & ~alone)
        if not good.size:
            return
        row, at = row.take(good), at.take(good)
        found = {name: self.out[name].take(row) for name in FIXED}
        found |= {"_length": length.take(good), "_more": (payload.take(good) >= 0).astype(np.int64)}
        for name in VARIABLE:
            place = self.places[name].take(row)
            found[name] = np.where(place >= 0, place - (at << 8), -1)
        templates.learn(self.data, at, self.end.take(row), slot.take(good), found)

    def run(self, row: Ints, at: Ints) -> None:
        """Walk from the first options on; fills the columns."""
        stop, number = self.end.take(row), np.zeros(len(row), np.int64)
        while row.size > FEW:
            head = self.data.take(at)
            over = (head == _MARKER) | (at >= stop)
            if over.any():
                done = np.flatnonzero(over)
                self._payloads(row.take(done), at.take(done), stop.take(done))
                going = np.flatnonzero(~over)
                row, at, stop, number, head = _some(going, row, at, stop, number, head)
            delta, length, value_at, reserved = _option_heads(self.data, at, head)
            at = value_at + length
            wrong = (at > stop) | reserved
            if wrong.any():
                bad, good = np.flatnonzero(wrong), np.flatnonzero(~wrong)
                self.error[row[bad]] = np.where(reserved[bad], coap.RESERVED_NIBBLE, coap.OPTION_BEYOND)
                row, at, stop, number = _some(good, row, at, stop, number)
                delta, length, value_at = _some(good, delta, length, value_at)
            number = number + delta
            self._keep(row, number, delta, value_at, length)
        for name, interner in self.texts.items():
            self._intern(name, interner)
        self.alone = row
        self._one_by_one(row)

    def _payloads(self, row: Ints, at: Ints, stop: Ints) -> None:
        """What stands behind the payload markers of messages that are through."""
        row, at, stop = row[at < stop], at[at < stop], stop[at < stop]
        length = stop - at - 1
        self.out["_payload"][row] = at + 1 - self.start.take(row)
        self.out["payload_length"][row] = length
        if not length.all():
            missing = row[length == 0]
            self.error[missing[self.error[missing] < 0]] = coap.NO_PAYLOAD

    def _keep(self, row: Ints, number: Ints, delta: NDArray[Any], at: Ints, length: NDArray[Any]) -> None:
        """Keep the options that have a column; the first of each kind counts."""
        kinds = _INTERESTING.take(number, mode="clip")
        for kind in np.flatnonzero(np.bincount(kinds)).tolist():
            if not kind:
                continue
            here = np.flatnonzero(kinds == kind)
            rows, begin, size = row.take(here), at.take(here), length.take(here)
            if kind in (coap.URI_PATH, coap.URI_QUERY):
                self.ends.setdefault(_TEXTS[kind], np.empty(len(self.start), np.int64))[rows] = begin + size
            # Options stand in the order of their numbers: the first of a kind is the one with a step before it.
            new = delta.take(here) > 0
            if not new.all():
                rows, begin, size = rows[new], begin[new], size[new]
            if kind in _TEXTS:
                self.firsts[_TEXTS[kind]].append((rows, begin, size.astype(np.int64)))
            elif kind in _PLACED:
                self.places[_PLACED[kind]][rows] = begin << 8 | size
                self._keep_number(_PLACED[kind], rows, begin, size)
            else:
                longest = coap.LONGEST_NUMBER[kind]
                if (size > longest).any():
                    rows, begin, size = rows[size <= longest], begin[size <= longest], size[size <= longest]
                self.out[_NUMBERS[kind]][rows] = numbers(self.data, begin, size)

    def _keep_number(self, name: str, row: Ints, begin: Ints, size: NDArray[Any]) -> None:
        """The columns of Observe, Block1 or Block2; values of more than three bytes are none."""
        long = size > 3
        if long.any():
            if name != "observe":
                bad = row[long]
                self.error[bad[self.error[bad] < 0]] = coap.LONG_BLOCK
            row, begin, size = row[~long], begin[~long], size[~long]
        value = numbers(self.data, begin, size)
        if name == "observe":
            self.out["observe"][row] = value
            return
        exponent = value & 7
        self.out[f"{name}_num"][row] = value >> 4
        self.out[f"{name}_more"][row] = value >> 3 & 1
        self.out[f"{name}_size"][row] = _BLOCK_SIZES.take(exponent)
        if (exponent == 7).any():
            bad = row[exponent == 7]
            self.error[bad[self.error[bad] < 0]] = coap.RESERVED_SZX

    def _intern(self, name: str, interner: TextInterner) -> None:
        """The codes of a text column, from where its values stand."""
        if not self.firsts[name]:
            return
        row, begin, first = (np.concatenate(parts) for parts in zip(*self.firsts[name], strict=True))
        total = self.ends[name].take(row) - begin if name in self.ends else first
        # One word tells the lengths, the others are what stands there.
        shape = (first | total << 32).view(np.uint64)
        shortest = -1
        for width in WIDTHS:
            here = np.flatnonzero((total > shortest) & (total <= width))
            shortest = width
            if not here.size:
                continue
            text, length = rows(self.data, begin.take(here), width).view(np.uint64), total.take(here)
            words = [text[:, at] & _LOW.take(length - 8 * at, mode="clip") for at in range(width // 8)]
            self.out[name][row.take(here)] = interner.codes([shape.take(here), *words])
        for at in np.flatnonzero(total > WIDTHS[-1]).tolist():
            value = self.data[int(begin[at]) : int(begin[at] + total[at])].tobytes()
            self.out[name][row[at]] = interner.code(shape[at].tobytes() + value)

    def _one_by_one(self, live: Ints) -> None:
        """Few messages, or those with very many options, by the plain decoder."""
        for row in live.tolist():
            found = fields(self.data[self.start[row] : self.end[row]].tobytes())
            for name, value in zip(FIELDS[_HEADER:], found[_HEADER:], strict=True):
                if isinstance(value, str):
                    self.out[name][row] = self.texts[name].code_of(value)
                else:
                    self.out[name][row] = -1 if value is None else value


def _some(rows: Ints, *columns: NDArray[Any]) -> list[NDArray[Any]]:
    """The same rows of several columns."""
    return [column.take(rows) for column in columns]


def _option_heads(data: Bytes, at: Ints, head: Bytes) -> tuple[NDArray[Any], NDArray[Any], Ints, NDArray[np.bool_]]:
    """Delta, length and start of the value of one option each, and whether a nibble is reserved."""
    delta, length, value_at = head >> 4, head & 15, at + 1
    reserved = np.zeros(len(at), bool)
    extended = np.flatnonzero((delta > 12) | (length > 12))
    if not extended.size:
        return delta, length, value_at, reserved
    delta, length = delta.astype(np.int64), length.astype(np.int64)
    reserved[extended] = (delta[extended] == 15) | (length[extended] == 15)
    where = value_at[extended]
    for nibble in (delta, length):
        short = nibble[extended]
        one, two = short == 13, short == 14
        byte, following = data[where].astype(np.int64), data[where + 1].astype(np.int64)
        nibble[extended] = np.where(one, 13 + byte, np.where(two, 269 + (byte << 8 | following), short))
        where = where + one + 2 * two
    value_at[extended] = where
    return delta, length, value_at, reserved

"""What the options of a message look like: learned from those that were walked, recognised by comparing words.

The messages of a flow resemble each other: a block differs from the one before in its number alone. A template is the
option bytes of a message with the values of Observe, Block1 and Block2 blanked. A message that has the same bytes, but
for the blanked ones, has the same options; nothing is guessed but which template to compare with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.wire.gather import rows
from lwm2m_lab.wire.intern import Interner

__all__ = ["FIXED", "VARIABLE", "Templates"]

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Columns = dict[str, NDArray[Any]]

#: Columns that a template tells, with their types, and options that it tells the places of.
FIXED = {"uri_path": "i4", "uri_query": "i4", "etag": "i4", "content_format": "i4", "accept": "i4", "size1": "i8",
         "size2": "i8"}  # fmt: skip
VARIABLE = ("observe", "block1", "block2")
#: Option bytes of a template at most, templates at most, and new ones in one window: more is no habit of anybody's.
WIDTH, MOST, MOST_NEW = 48, 1 << 12, 64
#: Words of a template, and of what most messages have enough with.
_WORDS, _FEW_WORDS = WIDTH // 8, 2
_SLOT_BITS = 17
_MIX = np.uint64(0x9E3779B97F4A7C15)


class Templates:
    """The templates of a file, and which of them each kind of message of each flow had last."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        #: Template 0 is none: no word of it fits.
        self.mask = [np.zeros(MOST, np.uint64) for _ in range(_WORDS)]
        self.value = [np.ones(MOST, np.uint64) for _ in range(_WORDS)]
        self.length, self.more = np.zeros(MOST, np.int64), np.zeros(MOST, bool)
        self.fixed: Columns = {name: np.full(MOST, -1, dtype) for name, dtype in FIXED.items()}
        #: Where a value begins behind the first option byte, and how many bytes it has; -1 for no such option.
        self.place = {name: np.full(MOST, -1, np.int64) for name in VARIABLE}
        self.size = {name: np.zeros(MOST, np.int64) for name in VARIABLE}
        self._last = np.zeros(1 << _SLOT_BITS, np.int64)
        self._known = Interner(4)

    def slots(self, flow: Ints, kind: NDArray[Any], first: Bytes) -> Ints:
        """Where the template of such messages is remembered: by flow, type and code, and the first option's head."""
        mixed = flow.view(np.uint64) * _MIX
        mixed ^= kind
        mixed *= _MIX
        mixed ^= first
        mixed *= _MIX
        return (mixed >> np.uint64(64 - _SLOT_BITS)).view(np.int64)

    def recognise(self, data: Bytes, at: Ints, end: Ints, slot: Ints) -> Ints:
        """The template of each message whose options begin there; 0 where the one remembered does not fit."""
        template = self._last.take(slot)
        template[~self._fit(data, at, end, template)] = 0
        return template

    def _fit(self, data: Bytes, at: Ints, end: Ints, template: Ints) -> NDArray[np.bool_]:
        """Whether the messages have the bytes of these templates, and a payload or none like them."""
        payload = end - at - self.length.take(template)
        fits: NDArray[np.bool_] = (payload > 0) == self.more.take(template)
        fits &= payload >= 0
        self._compare(data, at, template, range(_FEW_WORDS), fits)
        longer = np.flatnonzero(self.length.take(template) > 8 * _FEW_WORDS)
        if longer.size:
            rest = fits.take(longer)
            self._compare(data, at.take(longer), template.take(longer), range(_FEW_WORDS, _WORDS), rest)
            fits[longer] = rest
        return fits

    def _compare(self, data: Bytes, at: Ints, template: Ints, words: range, fits: NDArray[np.bool_]) -> None:
        """Take back `fits` where one of these words is another."""
        found = rows(data, at + 8 * words.start, 8 * len(words)).view(np.uint64)
        for word in words:
            fits &= (found[:, word - words.start] & self.mask[word].take(template)) == self.value[word].take(template)

    def learn(self, data: Bytes, at: Ints, end: Ints, slot: Ints, found: Columns) -> None:
        """Remember what these messages look like, which were walked without fault.

        `found` has the fixed columns, ``_length`` and ``_more`` of the option bytes, and for each variable option its
        place and size as ``place << 8 | size``, -1 where there is none.
        """
        shape = found["_length"] << 1 | found["_more"]
        for name in VARIABLE:
            shape = shape << 16 | found[name] + 1
        words = [
            _pair(found["uri_path"], found["uri_query"]),
            _pair(found["etag"], found["content_format"] << 16 | found["accept"] & 0xFFFF),
            _pair(found["size1"], found["size2"]),
            shape.view(np.uint64),
        ]
        known = self._known.count
        template = self._known.codes(words) + 1
        if self._known.count >= MOST - 1:
            self._forget()
            return
        for new in range(known + 1, min(self._known.count, known + MOST_NEW) + 1):
            row = int((template == new).argmax())
            self._add(
                new, data[int(at[row]) : int(at[row]) + WIDTH].tobytes(), {k: int(v[row]) for k, v in found.items()}
            )
        fits = self._fit(data, at, end, template)
        self._last[slot[fits]] = template[fits]

    def _add(self, template: int, sample: bytes, found: dict[str, int]) -> None:
        mask = bytearray(b"\xff" * found["_length"]).ljust(WIDTH, b"\0")
        for name in VARIABLE:
            place, size = (found[name] >> 8, found[name] & 255) if found[name] >= 0 else (-1, 0)
            self.place[name][template], self.size[name][template] = place, size
            mask[max(place, 0) : max(place, 0) + size] = bytes(size)
        for word in range(_WORDS):
            bits = int.from_bytes(mask[8 * word : 8 * word + 8], "little")
            self.mask[word][template] = bits
            self.value[word][template] = bits & int.from_bytes(sample[8 * word : 8 * word + 8], "little")
        self.length[template], self.more[template] = found["_length"], bool(found["_more"])
        for name in FIXED:
            self.fixed[name][template] = found[name]


def _pair(high: NDArray[Any], low: NDArray[Any]) -> NDArray[np.uint64]:
    """Two columns in one word."""
    word: NDArray[np.uint64] = (high.astype(np.int64) << 32 | low.astype(np.int64) & 0xFFFFFFFF).view(np.uint64)
    return word

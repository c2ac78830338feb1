"""Keys of a few 64-bit words to small integer codes, a window at a time, exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interner", "TextInterner"]

Words = Sequence[NDArray[np.uint64]]
Codes = NDArray[np.int64]
_MIX = np.uint64(0x9E3779B97F4A7C15)
_FOLD = np.uint64(29)
#: Places looked at in the table before a plain dictionary takes a key: keys may be made to collide.
MOST_PROBES = 24
_EMPTY = -1


class Interner:
    """Gives every distinct key one code, from 0 on.

    A table of hashes with open places, searched for all keys of a window at once. What it finds is compared word by
    word.

    Parameters
    ----------
    width : int
        Words of a key.

    Attributes
    ----------
    count : int
        Distinct keys so far.

    Examples
    --------
    >>> import numpy as np
    >>> some = Interner(1)
    >>> some.codes([np.array([7, 9, 7], np.uint64)]).tolist(), some.count
    ([0, 1, 0], 2)
    """

    def __init__(self, width: int) -> None:
        self.count = 0
        self._keys = [np.zeros(1 << 10, np.uint64) for _ in range(width)]
        self._places = np.full(1 << 14, _EMPTY, np.int64)
        self._collided: dict[tuple[int, ...], int] = {}

    def codes(self, words: Words) -> Codes:
        """The codes of some keys, given word by word."""
        hashes = _hashes(words)
        codes = self._places.take(self._first_places(hashes))
        right = self._are(codes, words)
        if not right.all():
            rows = np.flatnonzero(~right)
            codes[rows] = self._search([word[rows] for word in words], hashes[rows])
        return codes

    def key(self, code: int) -> tuple[int, ...]:
        """The words of a code."""
        return tuple(int(word[code]) for word in self._keys)

    def keys(self) -> list[NDArray[np.uint64]]:
        """The words of all codes."""
        return [word[: self.count] for word in self._keys]

    def _first_places(self, hashes: NDArray[np.uint64]) -> Codes:
        return (hashes >> np.uint64(65 - len(self._places).bit_length())).view(np.int64)

    def _are(self, codes: Codes, words: Words) -> NDArray[np.bool_]:
        """Whether the codes are those of the keys."""
        right = codes >= 0
        for known, word in zip(self._keys, words, strict=True):
            right &= known.take(codes, mode="clip") == word
        return right

    def _search(self, words: Words, hashes: NDArray[np.uint64]) -> Codes:
        """The codes of keys that do not stand in their first place; new ones get one."""
        self._make_room(len(hashes))
        codes = np.full(len(hashes), _EMPTY, np.int64)
        rows, place = np.arange(len(hashes)), self._first_places(hashes)
        if self._collided:
            codes[:] = [self._collided.get(key, _EMPTY) for key in zip(*(word.tolist() for word in words), strict=True)]
            rows = np.flatnonzero(codes < 0)
            place = place[rows]
        for _ in range(MOST_PROBES):
            self._settle(words, rows, place)
            found = self._places[place]
            right = self._are(found, [word[rows] for word in words])
            codes[rows[right]] = found[right]
            rows, place = rows[~right], (place[~right] + 1) % len(self._places)
            if not rows.size:
                return codes
        for row in rows.tolist():
            key = tuple(int(word[row]) for word in words)
            if key not in self._collided:
                self._collided[key] = self._add([word[row : row + 1] for word in words])
            codes[row] = self._collided[key]
        return codes

    def _settle(self, words: Words, rows: Codes, place: Codes) -> None:
        """Let the first key at each empty place have it."""
        free = np.flatnonzero(self._places[place] == _EMPTY)
        if not free.size:
            return
        place, claims = place[free], -2 - np.arange(free.size)
        # Of several claims to one place the last one written stands: so they are written backwards.
        self._places[place[::-1]] = claims[::-1]
        first = self._places[place] == claims
        new = rows[free[first]]
        code = self._add([word[new] for word in words])
        self._places[place[first]] = np.arange(code, code + len(new))

    def _add(self, words: Words) -> int:
        """Keep new keys; the code of the first of them."""
        first, self.count = self.count, self.count + len(words[0])
        if self.count > len(self._keys[0]):
            more = np.zeros(max(self.count, 2 * len(self._keys[0])) - len(self._keys[0]), np.uint64)
            self._keys = [np.concatenate([known, more]) for known in self._keys]
        for known, word in zip(self._keys, words, strict=True):
            known[first : self.count] = word
        return first

    def _make_room(self, more: int) -> None:
        """Keep half of the places empty."""
        if 2 * (self.count + more) <= len(self._places):
            return
        self._places = np.full(1 << (4 * (self.count + more)).bit_length(), _EMPTY, np.int64)
        # Not `np.setdiff1d`: like `np.unique` it imports `numpy.ma`, which takes longer than this table ever will.
        placed = np.ones(self.count, bool)
        placed[[*self._collided.values()]] = False
        rest = np.flatnonzero(placed)
        place = self._first_places(_hashes(self.keys()))[rest]
        for _ in range(MOST_PROBES):
            free = self._places[place] == _EMPTY
            self._places[place[free][::-1]] = rest[free][::-1]
            homeless = self._places[place] != rest
            rest, place = rest[homeless], (place[homeless] + 1) % len(self._places)
        self._collided |= {self.key(code): code for code in rest.tolist()}


class TextInterner:
    """Gives every distinct text one code, where several keys may stand for one text.

    Parameters
    ----------
    width : int
        Words of a key.
    text : callable
        Makes the text of a key, once for each distinct one.

    Attributes
    ----------
    categories : list of str
        The text of each code.
    """

    def __init__(self, text: Callable[[bytes], str]) -> None:
        self.categories: list[str] = []
        self._text = text
        self._by_text: dict[str, int] = {}
        self._by_width: dict[int, tuple[Interner, NDArray[np.int64]]] = {}

    def codes(self, words: Words) -> Codes:
        """The codes of some keys, given word by word."""
        interner, known = self._by_width.get(len(words), (Interner(len(words)), np.zeros(0, np.int64)))
        keys = interner.codes(words)
        if interner.count > len(known):
            texts = [
                self.code(b"".join(word.to_bytes(8, "little") for word in interner.key(new)))
                for new in range(len(known), interner.count)
            ]
            known = np.concatenate([known, np.array(texts, np.int64)])
        self._by_width[len(words)] = interner, known
        return known.take(keys)

    def code(self, key: bytes) -> int:
        """The code of one key, given as bytes."""
        return self.code_of(self._text(key))

    def code_of(self, text: str) -> int:
        """The code of one text."""
        found = self._by_text.get(text)
        if found is None:
            found = self._by_text[text] = len(self.categories)
            self.categories.append(text)
        return found


def _hashes(words: Words) -> NDArray[np.uint64]:
    """A 64-bit mix of each key, its upper bits the best."""
    mixed = words[0] * _MIX
    for word in words[1:]:
        mixed ^= mixed >> _FOLD
        mixed ^= word
        mixed *= _MIX
    return mixed

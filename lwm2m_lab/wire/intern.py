"""Byte strings to small integer codes, a window at a time, exactly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interner"]

Bytes = NDArray[np.uint8]
Codes = NDArray[np.int32]
_MIX = np.uint64(0x9E3779B97F4A7C15)


class Interner:
    """Gives every distinct row of bytes one code, and every code one text.

    Parameters
    ----------
    text : callable
        Makes the text of a row, once for each distinct one. Rows with equal texts share a code.

    Examples
    --------
    >>> import numpy as np
    >>> names = Interner(lambda row: row.decode())
    >>> names.codes(np.array([[97, 98], [99, 100], [97, 98]], np.uint8)).tolist(), names.categories
    ([0, 1, 0], ['ab', 'cd'])
    """

    def __init__(self, text: Callable[[bytes], str]) -> None:
        self.categories: list[str] = []
        self._text = text
        self._by_row: dict[bytes, int] = {}
        self._by_text: dict[str, int] = {}

    def codes(self, rows: Bytes) -> Codes:
        """The codes of a matrix of bytes, one row each; shape (n, width) to (n,)."""
        if not len(rows):
            return np.zeros(0, np.int32)
        rows = np.ascontiguousarray(rows)
        hashes = self._hashes(rows)
        _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
        if not (rows == rows[first[inverse]]).all():
            # Two different rows share a hash: compare whole rows, slower but exact.
            whole = rows.view(np.dtype((np.void, rows.shape[1]))).ravel()
            _, first, inverse = np.unique(whole, return_index=True, return_inverse=True)
        table = np.array([self.code(rows[at].tobytes()) for at in first.tolist()], np.int32)
        return table[inverse]

    def code(self, row: bytes) -> int:
        """The code of one row."""
        found = self._by_row.get(row)
        if found is None:
            found = self._by_row[row] = self.code_of_text(self._text(row))
        return found

    def code_of_text(self, text: str) -> int:
        """The code of a text that is known already as one."""
        found = self._by_text.get(text)
        if found is None:
            found = self._by_text[text] = len(self.categories)
            self.categories.append(text)
        return found

    @staticmethod
    def _hashes(rows: Bytes) -> NDArray[np.uint64]:
        """A 64-bit mix of each row."""
        width = rows.shape[1]
        if width % 8:
            rows = np.concatenate([rows, np.zeros((len(rows), -width % 8), np.uint8)], axis=1)
        words = np.ascontiguousarray(rows).view(np.uint64)
        mixed = np.zeros(len(rows), np.uint64)
        with np.errstate(over="ignore"):
            for column in range(words.shape[1]):
                mixed = (mixed ^ words[:, column]) * _MIX
                mixed ^= mixed >> np.uint64(29)
        return mixed

"""Columns that grow as a file is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Store"]

Array = NDArray[Any]
Ints = NDArray[np.int64]
#: How much larger a full store becomes.
GROWTH = 1.5
#: Rows that a beginning may promise.
MOST_ASSUMED = 1 << 21


class Store:
    """Rows of several columns, kept in one array each.

    Parameters
    ----------
    dtypes : mapping of str to str
        Name and numpy type of each column.

    Attributes
    ----------
    rows : int

    Examples
    --------
    >>> store = Store({"mid": "i4"})
    >>> store.append({"mid": np.array([7, 8])})
    >>> store.append({"mid": np.array([9])})
    >>> store.arrays()["mid"].tolist()
    [7, 8, 9]
    """

    def __init__(self, dtypes: Mapping[str, str]) -> None:
        self.rows = 0
        self._room = 0
        self._arrays: dict[str, Array] = {name: np.empty(0, dtype) for name, dtype in dtypes.items()}

    def append(self, columns: Mapping[str, Array], chosen: Ints | None = None, *, share: float = 1.0) -> None:
        """Put rows, or those chosen, behind those that are there, which are `share` of all that will come."""
        begin, end = self.rows, self.rows + len(next(iter(columns.values())) if chosen is None else chosen)
        if end > self._room:
            # Memory that is never written to costs nothing, copying does: rather too much room than too little.
            expected = min(int(end / max(share, 1e-5) * 1.03), max(4 * end, MOST_ASSUMED))
            self._resize(max(end, expected, int(self._room * GROWTH)))
        for name, array in self._arrays.items():
            column, place = columns[name], array[begin:end]
            if chosen is None:
                place[:] = column
            elif column.dtype == place.dtype:
                # Straight to its place; a mode other than "raise" spares a copy.
                column.take(chosen, out=place, mode="clip")
            else:
                place[:] = column.take(chosen)
        self.rows = end

    def arrays(self) -> dict[str, Array]:
        """The columns."""
        return {name: array[: self.rows] for name, array in self._arrays.items()}

    def _resize(self, room: int) -> None:
        """Move the columns into one piece of memory: a large one is got in large pages."""
        sizes = [-(-room * array.itemsize // 64) * 64 for array in self._arrays.values()]
        memory = np.empty(sum(sizes), np.uint8)
        for (name, array), size, end in zip(self._arrays.items(), sizes, np.cumsum(sizes).tolist(), strict=True):
            larger = memory[end - size : end].view(array.dtype)[:room]
            larger[: self.rows] = array[: self.rows]
            self._arrays[name] = larger
        self._room = room

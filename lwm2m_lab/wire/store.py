"""Columns that grow as a file is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Store"]

Array = NDArray[Any]
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

    def append(self, columns: Mapping[str, Array], *, share: float = 1.0) -> None:
        """Put rows behind those that are there, which are `share` of all that will come, as far as one knows."""
        end = self.rows + len(next(iter(columns.values())))
        if end > self._room:
            # Memory that is never written to costs nothing, copying does: rather too much room than too little.
            expected = min(int(end / max(share, 1e-5) * 1.1), max(4 * end, MOST_ASSUMED))
            self._resize(max(end, expected, int(self._room * GROWTH)))
        for name, array in self._arrays.items():
            array[self.rows : end] = columns[name]
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

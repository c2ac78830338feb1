"""Integers in order, each once, and the number in the middle: numpy has both, at the price of importing `numpy.ma`.

That import takes as long as all of a small capture's tables.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["distinct", "median"]


def distinct(*values: NDArray[Any]) -> NDArray[Any]:
    """The different integers of some arrays, ascending.

    Examples
    --------
    >>> distinct(np.array([5, 2]), np.array([2, 7])).tolist()
    [2, 5, 7]
    """
    ordered = np.sort(np.concatenate(values))
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def median(values: NDArray[Any]) -> float:
    """The number in the middle, or the mean of the two there; NaN of none.

    Examples
    --------
    >>> median(np.array([3.0, 9.0, 4.0])), median(np.array([1, 2]))
    (4.0, 1.5)
    """
    ordered, half = np.sort(values), len(values) // 2
    if not len(ordered):
        return float("nan")
    return float(ordered[half]) if len(ordered) % 2 else float((ordered[half - 1] + ordered[half]) / 2)

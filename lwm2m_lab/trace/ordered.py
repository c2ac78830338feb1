"""Integers in order, each once or among others, and the middle one: numpy has all, and imports `numpy.ma` for them.

That import takes as long as all of a small capture's tables.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["among", "distinct", "median"]


def among(values: NDArray[Any], others: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of some integers are among others.

    Examples
    --------
    >>> among(np.array([5, 2, 7]), np.array([7, 5, 5])).tolist()
    [True, False, True]
    """
    if not len(others):
        return np.zeros(len(values), bool)
    ordered = np.sort(others)
    found: NDArray[np.bool_] = ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values
    return found


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

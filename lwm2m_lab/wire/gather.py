"""Bytes at any position of a window, read as rows of bytes or as numbers.

Reading a word that is not aligned costs numpy almost as much as copying 40 bytes. So a header is copied once, as a row
of bytes, and its fields are columns of the rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SLACK", "column", "numbers", "pair", "rows"]

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

#: Bytes of no meaning behind the content of a window, so that a header may be read at its very end.
SLACK = 256


def rows(data: Bytes, at: Ints, width: int) -> Bytes:
    """The `width` bytes at each position, shape (n, width).

    Examples
    --------
    >>> rows(np.arange(20, dtype=np.uint8), np.array([3, 11]), 4).tolist()
    [[3, 4, 5, 6], [11, 12, 13, 14]]
    """
    everywhere: NDArray[np.void] = np.ndarray((data.size - width + 1,), f"V{width}", data.data, 0, (1,))
    return everywhere[at].view(np.uint8).reshape(-1, width)


def column(found: Bytes, at: int, kind: str) -> NDArray[Any]:
    """A number that stands at byte `at` of each row, as numpy's `kind` (``">u2"``).

    Examples
    --------
    >>> column(np.array([[0, 1, 2], [0, 3, 4]], np.uint8), 1, ">u2").tolist()
    [258, 772]
    """
    number: NDArray[Any] = found[:, at : at + np.dtype(kind).itemsize].view(kind)[:, 0]
    return number


def pair(data: Bytes, at: Ints) -> NDArray[np.uint16]:
    """The 16-bit number in network order at each position; two bytes are quicker read one by one."""
    number: NDArray[np.uint16] = data.take(at).astype(np.uint16) << np.uint16(8)
    number |= data.take(at + 1)
    return number


def numbers(data: Bytes, at: Ints, size: NDArray[Any]) -> NDArray[np.uint32]:
    """The numbers of 0 to 4 bytes in network order that stand at each position.

    Examples
    --------
    >>> numbers(np.arange(8, dtype=np.uint8), np.array([1, 2, 3]), np.array([0, 1, 2])).tolist()
    [0, 2, 772]
    """
    everywhere: NDArray[np.uint32] = np.ndarray((data.size - 3,), ">u4", data.data, 0, (1,))
    value: NDArray[np.uint32] = everywhere[at].astype(np.uint32) >> (32 - 8 * size).astype(np.uint32)
    return value

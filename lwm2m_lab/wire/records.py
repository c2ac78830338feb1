"""What a capture file is made of, whatever its format: interfaces, and the packets of one window as columns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["Part", "Records"]

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Records:
    """The packets of one window of a file, as columns.

    Attributes
    ----------
    data : array of uint8
        The window, with bytes of no meaning behind it so that headers can be read at its end; its memory is used again
        for the next window.
    base : int
        Where the window begins in the (uncompressed) file.
    frame, time_ns, start, captured, interface : arrays of int64
        Number of the packet in the file from 1, nanoseconds since the epoch, offset in `data`, bytes there, and number
        of the interface.
    original : array of int64
        Bytes of the packet before it was cut by the snap length.
    comments : dict of int to str
        By frame.
    """

    data: Bytes
    base: int
    frame: Ints
    time_ns: Ints
    start: Ints
    captured: Ints
    original: Ints
    interface: Ints
    comments: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """What a format's reader made of one window.

    Attributes
    ----------
    records : Records or None
    used : int
        Bytes that are done with.
    damage : str or None
        What stands behind them, where nothing that follows can be read.
    again : bool
        Whether the rest is worth reading before more of the file comes.
    """

    records: Records | None
    used: int
    damage: str | None = None
    again: bool = False

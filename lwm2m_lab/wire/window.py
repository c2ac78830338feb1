"""A capture file, read part by part into one buffer that is used again."""

from __future__ import annotations

from typing import IO

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.wire.gather import SLACK

__all__ = ["Window"]


class Window:
    """The part of a file that is in memory.

    Attributes
    ----------
    buffer : bytearray
        `end` bytes of the file, and at least `SLACK` more of no meaning.
    data : array of uint8
        The same memory.
    base : int
        Where the window begins in the file.
    end : int
        Bytes of the file in the buffer.
    """

    def __init__(self, stream: IO[bytes], head: bytes = b"") -> None:
        self._stream = stream
        self.base, self.end = 0, len(head)
        self._take(bytearray(head) + bytes(SLACK))
        # What the system's allocator has once been given back in one piece of this size it no longer returns to the
        # system piece by piece, to be zeroed again for each window.
        np.empty(1 << 24, np.uint8)

    def _take(self, buffer: bytearray) -> None:
        self.buffer = buffer
        self.data: NDArray[np.uint8] = np.frombuffer(buffer, np.uint8)

    def fill(self, want: int) -> bool:
        """Read so many bytes behind those that are there; False at the end of the file."""
        if len(self.buffer) < self.end + want + SLACK:
            larger = bytearray(self.end + want + SLACK)
            larger[: self.end] = self.buffer[: self.end]
            self._take(larger)
        # A buffered reader fills what it is given, but at the end of the file.
        got: int = self._stream.readinto(memoryview(self.buffer)[self.end : self.end + want])  # type: ignore[attr-defined]
        self.end += got
        self.buffer[self.end : self.end + SLACK] = bytes(SLACK)
        return got == want

    def drop(self, used: int) -> None:
        """Forget the first bytes; what is behind them moves to the front, and arrays of them are no longer good."""
        rest = self.end - used
        self.buffer[:rest] = self.buffer[used : self.end]
        self.base, self.end = self.base + used, rest

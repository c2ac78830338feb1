"""The bytes that tell the sizes of HTTP chunks: where they stand in any copy of the segments that carry them.

The reader tells where the first copy stands in the file. A segment that was sent again has the same bytes under the
same sequence numbers.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

__all__ = ["Framing"]

Direction = TypeVar("Direction")
_WRAP = 1 << 32


class Framing(Generic[Direction]):
    """Framing of the chunked bodies of a file.

    Parameters
    ----------
    places : iterable of (int, int)
        Where it stands in the file, and how many bytes of it.

    Examples
    --------
    >>> framing = Framing([(1000, 3)])
    >>> framing.learn("to the device", sequence=70, place=990, length=40)
    >>> [*framing.within("to the device", sequence=75, length=7)]
    [5, 6]
    """

    def __init__(self, places: Iterable[tuple[int, int]]) -> None:
        self._places = sorted(place + at for place, length in places for at in range(length))
        self._numbers: dict[Direction, set[int]] = {}
        self._ordered: dict[Direction, list[int]] = {}

    def __bool__(self) -> bool:
        return bool(self._places)

    def learn(self, direction: Direction, *, sequence: int, place: int, length: int) -> None:
        """A segment that stands in the file at `place`."""
        first, end = (bisect.bisect_left(self._places, at) for at in (place, place + length))
        numbers = self._numbers.setdefault(direction, set())
        numbers |= {(sequence + at - place) % _WRAP for at in self._places[first:end]}

    def within(self, direction: Direction, *, sequence: int, length: int) -> Iterator[int]:
        """The bytes of a segment that are framing, once all segments are known."""
        if direction not in self._ordered:
            self._ordered[direction] = sorted(self._numbers.get(direction, ()))
        numbers = self._ordered[direction]
        # A segment may reach beyond the last number, where they begin anew.
        for begin in (sequence, sequence - _WRAP):
            first, end = (bisect.bisect_left(numbers, at) for at in (begin, begin + length))
            yield from (number - begin for number in numbers[first:end])

"""The records of a capture: each says how long it is, so that only the first one's place is known.

A loop over them is the slowest thing that a reader in Python can do. Here a few hundred places are guessed, the chains
from all of them are followed in lock-step, and the result is checked: it is right if and only if each record ends where
the next one begins, for then every one of them follows from the first. A wrong guess is repaired by a plain loop.
"""

from __future__ import annotations

import struct
from collections.abc import Container
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.wire.formats import LONGEST_RECORD
from lwm2m_lab.wire.gather import rows
from lwm2m_lab.wire.window import Window

__all__ = ["Chain", "follow"]

Ints = NDArray[np.int64]

#: Chains that are followed side by side, steps between two looks at which have arrived, and below how many bytes a loop
#: is as quick.
CHAINS, STEPS, LEAST = 200, 16, 1 << 16
#: Wrong guesses that are repaired one by one; a file with more in one window is walked by the loop.
MOST_REPAIRS = 40
#: Records among which a repair looks for the one to go on with.
NEAR = 1000


@dataclass(frozen=True, slots=True)
class Chain:
    """How the records of a file hang together.

    Attributes
    ----------
    order : {"<", ">"}
    length_at : int
        Where in a record its 32-bit length stands.
    header : int
        Bytes that must be there before the length can be believed.
    uncounted : int
        Bytes of a record that its length does not count.
    step : int
        Every length is a multiple of it.
    mark : bytes
        What probably stands in each record, to guess where one may be.
    mark_at : int
        Where the mark stands in a record.
    """

    order: str
    length_at: int
    header: int
    uncounted: int
    step: int
    mark: bytes
    mark_at: int


def follow(window: Window, chain: Chain) -> tuple[Ints, int, int | None]:
    """The whole records from the beginning of a window on.

    Returns
    -------
    array of int64, int, int or None
        Where they begin, where the last of them ends, and the length that lies there, if one does.
    """
    offsets, following = _exact(window, chain)
    believable = np.searchsorted(offsets, window.end - chain.header, "right")
    offsets, following = offsets[:believable], following[:believable]
    length = following - offsets - chain.uncounted
    # What is left out of the count is the header; where nothing is, a record cannot be shorter than its header.
    wrong = (length > LONGEST_RECORD) | (length + chain.uncounted < chain.header)
    if chain.step > 1:
        wrong |= length % chain.step != 0
    lies: int | None = None
    if wrong.any():
        first = int(wrong.argmax())
        lies, offsets, following = int(length[first]), offsets[:first], following[:first]
    elif offsets.size and following[-1] > window.end:
        offsets, following = offsets[:-1], following[:-1]
    return offsets, int(following[-1]) if offsets.size else 0, lies


def _exact(window: Window, chain: Chain) -> tuple[Ints, Ints]:
    """The records, and where each ends; the last one may be cut or lie."""
    lengths: NDArray[np.uint32] = np.ndarray(
        (window.data.size - chain.length_at - 3,), chain.order + "u4", window.data.data, chain.length_at, (1,)
    )
    if window.end < LEAST:
        offsets = np.array(_plain(window, chain, 0)[0], np.int64)
    else:
        offsets = _lock_step(window, chain, lengths)
    repairs = 0
    while True:
        following = offsets + lengths[offsets] + chain.uncounted
        stray = np.flatnonzero(following[:-1] != offsets[1:])
        if not stray.size:
            return offsets, following
        # From the first record that does not lead to the next one: walk until a record follows that was found too.
        repairs, last = repairs + 1, int(stray[0])
        if following[last] - offsets[last] < chain.header:
            offsets = offsets[: last + 1]
            continue
        known = frozenset(offsets[last + 1 : last + NEAR].tolist() if repairs < MOST_REPAIRS else ())
        walked, landed = _plain(window, chain, int(following[last]), known)
        rest = offsets[np.searchsorted(offsets, landed) :] if landed in known else offsets[:0]
        offsets = np.concatenate([offsets[: last + 1], np.array(walked, np.int64), rest])


def _guesses(window: Window, chain: Chain, lengths: NDArray[np.uint32]) -> Ints:
    """Places where a record probably begins, evenly spread; the first of them is right."""
    find, end = window.buffer.find, window.end
    stride = max(end // CHAINS, chain.header)
    marks = [find(chain.mark, place, place + stride) for place in range(stride, end - stride, stride)]
    at = np.array(marks, np.int64) - chain.mark_at
    at = at[(at > 0) & (at % chain.step == 0)]
    # What has the mark and leads to a mark again is hardly ever a piece of a payload.
    following = np.minimum(at + lengths[at] + chain.uncounted, end) + chain.mark_at
    marked = rows(window.data, following, len(chain.mark)) == np.frombuffer(chain.mark, np.uint8)
    return np.append(0, at[marked.all(axis=1)])


def _lock_step(window: Window, chain: Chain, lengths: NDArray[np.uint32]) -> Ints:
    """What the chains from all guesses come through, each up to the next one's guess."""
    at = _guesses(window, chain, lengths)
    until = np.append(at[1:], window.end)
    found = []
    while at.size:
        steps = np.empty((STEPS, at.size), np.int64)
        for row in steps:
            row[:] = at
            at = at + lengths[at]
            at += chain.uncounted
            np.minimum(at, window.end, out=at)
        found.append(steps[steps < until])
        # A length of nothing stands still.
        going = np.flatnonzero((at < until) & (at > steps[-1]))
        at, until = at.take(going), until.take(going)
    offsets = np.concatenate(found)
    offsets.sort()
    return offsets


def _plain(window: Window, chain: Chain, at: int, known: Container[int] = ()) -> tuple[list[int], int]:
    """The records from one on, up to one that is known, one that stands still or the end; and where that is."""
    unpack, buffer = struct.Struct(chain.order + "I").unpack_from, window.buffer
    last, least = window.end - chain.header, chain.header - chain.uncounted
    walked: list[int] = []
    while at <= last and at not in known:
        walked.append(at)
        length: int = unpack(buffer, at + chain.length_at)[0]
        if length < least:
            break
        at += length + chain.uncounted
    return walked, at

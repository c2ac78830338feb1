"""What of a capture without end is kept: whole packets, up to a number, with those that explain what comes next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.trace.capture import Capture
from lwm2m_lab.trace.exchanges import EXCHANGE_LIFETIME, numbered
from lwm2m_lab.trace.updates import Update
from lwm2m_lab.wire.collecting import collect
from lwm2m_lab.wire.dtls_records import dtls_records
from lwm2m_lab.wire.growing import records

__all__ = ["Forgotten", "Recent", "is_settled"]

Ints = NDArray[np.int64]
_GET = 1


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was let go.

    Attributes
    ----------
    packets : int
    open_updates : int
        Updates that were neither settled nor followed by another one.
    """

    packets: int
    open_updates: int


class Recent:
    """The packets that are kept, as a capture file in memory.

    Parameters
    ----------
    name : str
    options
        As for `lwm2m_lab.wire.collecting.collect`.

    Attributes
    ----------
    packets : int
        Kept.
    """

    def __init__(self, name: str, **options: Any) -> None:
        self._name, self._options = name, options
        self._data = bytearray()
        #: Numbers of the packets that are kept, once some were let go.
        self._frames: Ints | None = None
        self._origin_ns: int | None = None
        self.packets = self._seen = 0

    def __len__(self) -> int:
        return len(self._data)

    def add(self, whole: bytes, packets: int) -> None:
        """Take whole records; so many packets are among them."""
        self._data += whole
        if self._frames is not None:
            new = np.arange(self._seen + 1, self._seen + packets + 1)
            self._frames = np.concatenate([self._frames, new])
        self._seen += packets
        self.packets += packets

    def capture(self) -> Capture:
        """What is kept as a capture: frames and seconds are those of the whole one."""
        data = bytes(self._data)
        columns = collect(data, frames=self._frames, origin_ns=self._origin_ns, **self._options)
        if columns.rows:
            self._origin_ns = columns.origin_ns
        return Capture(columns, name=self._name, data=data)

    def trim(self, capture: Capture, most: int) -> Forgotten:
        """Let packets go: those of what is over and, while more than `most` are left, of who was silent longest.

        Parameters
        ----------
        capture : Capture
            As `capture` gave it last.
        """
        columns = capture.columns
        frames = np.arange(1, self._seen + 1) if self._frames is None else self._frames
        keep = np.zeros(len(frames), bool)
        of_row = np.searchsorted(frames, columns["frame"])
        owner = capture.rows("messages")["_endpoint"]
        now = int(columns["time"].max(initial=0))
        updates = [update for update, _ in capture.judged()]
        begins = _since(updates, capture, now)
        never = self._seen + 1
        keep[of_row] = columns["frame"] >= np.array([begins.get(name, never) for name in owner.tolist()], np.int64)
        context = np.searchsorted(frames, np.array([*_context(capture)], np.int64))
        keep[context] = True
        keep |= self._without_message(capture, frames, of_row, begins)
        self._drop_silent(keep, of_row, owner, context, most)
        gone = {int(frame) for frame in frames[~keep]}
        lost = [one for one in updates if one.frames[0] in gone and not is_settled(one, capture, now)]
        before = len(frames)
        self._leave_out(keep, frames)
        return Forgotten(before - self.packets, len(lost))

    def _without_message(
        self, capture: Capture, frames: Ints, of_row: Ints, begins: dict[str, int]
    ) -> NDArray[np.bool_]:
        """Packets without a CoAP message that are kept: those since an open update began, and DTLS handshakes."""
        without = np.ones(len(frames), bool)
        without[of_row] = False
        kept: NDArray[np.bool_] = without & (frames >= min(begins.values(), default=frames[-1] + 1))
        if capture.columns.sessions:
            hello = {one.frame for one in dtls_records(bytes(self._data)) if one.epoch == 0}
            kept[[place - 1 for place in hello]] = True
        return kept

    def _drop_silent(
        self, keep: NDArray[np.bool_], of_row: Ints, owner: NDArray[np.object_], context: Ints, most: int
    ) -> None:
        """Keep no more than `most`: whoever was silent longest goes first, and of one alone the oldest packets."""
        owned = np.full(len(keep), -1, np.int64)
        owned[of_row], names = numbered(owner)
        last = np.zeros(len(names), np.int64)
        last[owned[of_row]] = np.arange(len(of_row))
        excess = int(keep.sum()) - most
        counts = np.bincount(owned[keep & (owned >= 0)], minlength=len(names))
        longest_first = np.argsort(last, kind="stable")[:-1]
        dropped = longest_first[
            : int(np.searchsorted(np.cumsum(counts[longest_first]), excess)) + 1 if excess > 0 else 0
        ]
        keep &= ~np.isin(owned, dropped)
        excess -= int(counts[dropped].sum())
        if excess > 0:
            needed = np.zeros(len(keep), bool)
            needed[context] = True
            kept = np.flatnonzero(keep)
            keep[kept[np.argsort(needed[kept], kind="stable")][:excess]] = False

    def _leave_out(self, keep: NDArray[np.bool_], frames: Ints) -> None:
        """Keep these packets, and every block that is no packet."""
        data, kept, number = self._data, bytearray(), 0
        for begin, end, is_packet in records(bytes(data)):
            if not is_packet or keep[number]:
                kept += data[begin:end]
            number += is_packet
        self._data, self._frames, self.packets = kept, frames[keep], int(keep.sum())


def is_settled(update: Update, capture: Capture, now_ns: int) -> bool:
    """Whether nothing that may still come would change what is said of an update.

    Another one has begun at its endpoint; or it has ended, and no copy of its messages is to be expected any more.
    """
    if np.isfinite(update.until):
        return True
    if update.outcome == "unfinished":
        return False
    rows = capture.of("messages", update.endpoint)
    last_ns = int(capture.columns["time"][rows.index[-1]]) if len(rows) else now_ns
    return now_ns - last_ns > EXCHANGE_LIFETIME * 1e9


def _since(updates: list[Update], capture: Capture, now_ns: int) -> dict[str, int]:
    """For each endpoint the first frame of the update that is not settled."""
    return {one.endpoint: one.frames[0] for one in updates if not is_settled(one, capture, now_ns)}


def _context(capture: Capture) -> Iterator[int]:
    """Frames that explain what comes later: the last registration, observation and value of each kind."""
    paths = [*capture.columns.categories["uri_path"], ""]
    exchanges, notifications = capture._wire[0], capture._wire[1]
    of_registration = [path == "/rd" or path.startswith("/rd/") for path in paths]
    names = ("endpoint", "_path", "_code", "observe", "_src", "frame", "response_frame")
    latest: dict[tuple[Any, ...], tuple[int, ...]] = {}
    columns = (exchanges[name].tolist() for name in names)
    for endpoint, path, code, observe, source, frame, answer in zip(*columns, strict=True):
        if of_registration[path]:
            # A device that comes back from another port leaves what it said before without a name.
            latest[endpoint, "registration", path, source] = (frame, answer)
        elif code == _GET and not paths[path].startswith("/5/0/0"):
            latest[endpoint, path, observe == 0] = (frame, answer)
    frames = capture.columns["frame"]
    for row, exchange in zip(notifications["_row"].tolist(), notifications["_exchange"].tolist(), strict=True):
        key = exchanges["endpoint"][exchange], int(exchanges["_path"][exchange])
        latest[*key, "notification"] = (int(frames[row]),)
    for found in latest.values():
        yield from (frame for frame in found if frame > 0)

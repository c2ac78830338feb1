"""A part of a capture: one endpoint, a stretch of time."""

from __future__ import annotations

import contextlib
import datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.errors import BadInput

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["Moment", "moment_within", "selected_rows"]

#: Seconds since the first message, ``"frame:120"``, an ISO 8601 time (UTC where it names no zone), or a date and time.
Moment = float | str | datetime.datetime
Mask = NDArray[np.bool_]
_EPOCH, _MICROSECOND = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC), datetime.timedelta(microseconds=1)


def selected_rows(capture: Capture, *, endpoint: str | None, since: Moment | None, until: Moment | None) -> Mask:
    """Which messages are selected; both ends belong to the part.

    Raises
    ------
    BadInput
        For an endpoint that is not there, a moment that cannot be read, or an end before its beginning.
    """
    columns = capture.columns
    rows = np.ones(columns.rows, bool)
    for moment, at_least in ((since, True), (until, False)):
        if moment is not None:
            column, value = _place(capture, moment)
            rows &= (columns[column] >= value) if at_least else (columns[column] <= value)
    if since is not None and until is not None and _empty(capture, since, until):
        raise BadInput(f"the part from {since} to {until} ends before it begins; an earlier moment first is expected")
    return rows if endpoint is None else rows & _rows_of(capture, endpoint)


def _empty(capture: Capture, since: Moment, until: Moment) -> bool:
    (first_column, first), (last_column, last) = _place(capture, since), _place(capture, until)
    return first_column == last_column and last < first


def _place(capture: Capture, moment: Moment) -> tuple[str, int]:
    """The column that a moment speaks of, and the value in it: a frame, or nanoseconds since the epoch."""
    if isinstance(moment, str):
        kind, _, number = moment.partition(":")
        if kind == "frame" and number.isdecimal() and len(number) < 12:
            return "frame", int(number)
        with contextlib.suppress(ValueError):
            moment = float(moment)
    if isinstance(moment, (str, datetime.datetime)):
        return "time", _nanoseconds(moment)
    if not np.isfinite(moment) or abs(moment) > 1e9:
        raise BadInput(f"{moment} is no moment; seconds since the first message are expected")
    return "time", capture.columns.origin_ns + round(moment * 1e9)


def moment_within(capture: Capture, moment: Moment, frame: int, time_ns: int, *, at_least: bool) -> bool:
    """Whether a packet lies at a moment, or behind it (`at_least`), or before it."""
    column, value = _place(capture, moment)
    place = frame if column == "frame" else time_ns
    return place >= value if at_least else place <= value


def _nanoseconds(moment: str | datetime.datetime) -> int:
    """A date and time as nanoseconds since the epoch."""
    try:
        time = datetime.datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        since = (time.replace(tzinfo=datetime.UTC) if time.tzinfo is None else time) - _EPOCH
        nanoseconds = (since // _MICROSECOND) * 1000 + getattr(since, "nanoseconds", 0)
        if abs(nanoseconds) >> 63:
            raise OverflowError
        return nanoseconds
    except (ValueError, OverflowError):
        raise BadInput(
            f"{moment!r} is no moment; seconds since the first message, frame:N, or a time as in "
            "2024-05-01T12:00:00Z is expected"
        ) from None


def _rows_of(capture: Capture, endpoint: str) -> Mask:
    """The messages of one endpoint, those of its downloads too, which go to another address."""
    owner = capture._owners[0]
    rows: Mask = owner == endpoint
    if not rows.any():
        there = ", ".join(sorted({str(one) for one in owner if one is not None})) or "none"
        raise BadInput(f"{capture.name} has no message of {endpoint!r}; those there are of {there}")
    columns = capture.columns
    asked = capture._wired["_row"]
    source, destination = columns["src"], columns["dst"]
    for update in capture._found_updates:
        if update.endpoint != endpoint or not update.evidence.exchanges:
            continue
        frames = columns["frame"]
        during = (frames >= update.frames[0]) & (frames <= update.frames[1])
        of_update = asked[np.array(update.evidence.exchanges, np.int64)]
        for one, other in set(zip(source[of_update].tolist(), destination[of_update].tolist(), strict=True)):
            there, back = (source == one) & (destination == other), (source == other) & (destination == one)
            rows |= during & (there | back)
    return rows

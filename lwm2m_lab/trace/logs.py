"""Logs of a device or a server, laid beside a capture on its time axis."""

from __future__ import annotations

import datetime as dt
import math
import os
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.exchanges import seconds
from lwm2m_lab.trace.log_clock import Fit, Sightings, fit_offset
from lwm2m_lab.trace.log_formats import LogFormat, Zero, guess_format, pattern_format, without_escapes, zero_of
from lwm2m_lab.wire.text import printable

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["LOG_COLUMNS", "Log", "log_table", "read_log"]

LOG_COLUMNS = ("time", "text", "source", "line", "frame")
#: Lines of a log that are read, and characters of a line that are kept.
MOST_LINES, LONGEST_LINE = 1_000_000, 2000
#: Lines by which a format is guessed.
GUESSED_FROM = 2000
#: A clock that steps back by more than this has begun anew: a boot, or midnight.
RESTART_S = 1.0
DAY_S, QUARTER_S = 86_400.0, 900.0
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Log:
    """One log on the time axis of a capture.

    Attributes
    ----------
    name, format : str
    lines : int
        Lines with a time stamp.
    offset_s : tuple of float
        Seconds that were added to the log's clock, one for each time that it began anew. A clock that tells the time is
        compared with the capture's; one that counts from boot, with the first message of the capture.
    fits : tuple of Fit or None
        What each offset was fitted by; None where it was given or assumed.
    note : str
        How its clock was set, in words.
    table : DataFrame
        ``time`` in seconds since the first message of the capture, ``text``, ``line``.
    """

    name: str
    format: str
    lines: int
    offset_s: tuple[float, ...]
    fits: tuple[Fit | None, ...]
    note: str
    table: pd.DataFrame

    def __str__(self) -> str:
        return f"log {self.name}: {self.lines} lines, {self.format}; {self.note}"


def read_log(
    capture: Capture,
    path: str | os.PathLike[str],
    *,
    pattern: str | None = None,
    offset: float | None = None,
    name: str | None = None,
) -> Log:
    """Read a log and set its clock; the parameters are those of `Capture.with_log`."""
    if offset is not None and not math.isfinite(offset):
        raise BadInput(f"offset of the log is {offset!r}; a finite number of seconds is expected")
    capture.require_messages()
    lines, rest = _lines(path)
    form = guess_format(lines[:GUESSED_FROM]) if pattern is None else pattern_format(pattern)
    numbers, times, texts = _stamped(form, lines)
    if not len(times):
        raise BadInput(f"no line of {path} fits the pattern {pattern!r}; one with a time stamp is expected")
    zero = zero_of(form, lines)
    bounds, times = _restarts(zero, times)
    times = _on_epoch(capture, zero, times)
    placed, offsets, fits, note = _placed(capture, zero, texts, times, bounds, offset)
    table = pd.DataFrame({"time": placed, "text": [printable(text) for text in texts], "line": numbers})
    return Log(
        name=name or pathlib.Path(path).name,
        format=form.name,
        lines=len(times),
        offset_s=tuple(offsets),
        fits=tuple(fits),
        note=note + rest,
        table=table,
    )


def log_table(capture: Capture, logs: tuple[Log, ...]) -> pd.DataFrame:
    """All lines of all logs in order of time, each with the frame that is nearest."""
    parts = [log.table.assign(source=log.name) for log in logs]
    if not parts:
        return pd.DataFrame({name: [] for name in LOG_COLUMNS}).astype({"frame": "int64", "line": "int64"})
    table = pd.concat(parts, ignore_index=True).sort_values("time", kind="stable", ignore_index=True)
    time, frame = seconds(capture.columns), capture.columns["frame"]
    order = np.argsort(time, kind="stable")
    after = np.clip(np.searchsorted(time[order], table["time"]), 1, max(len(time) - 1, 1))
    before, after = order[after - 1], order[np.minimum(after, len(time) - 1)]
    nearer = abs(time[before] - table["time"]) <= abs(time[after] - table["time"])
    table["frame"] = np.where(nearer, frame[before], frame[after])
    return table[list(LOG_COLUMNS)]


def _lines(path: str | os.PathLike[str]) -> tuple[list[str], str]:
    """The lines of a file without colours, and a word about what was left out."""
    found: list[str] = []
    try:
        with pathlib.Path(path).open(encoding="utf-8-sig", errors="replace", newline=None) as stream:
            for line in _bounded(stream.readline):
                if len(found) == MOST_LINES:
                    return found, f"; lines from {MOST_LINES + 1} on were left out"
                found.append(without_escapes(line.rstrip("\r\n")))
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); a log of text lines is expected") from None
    return found, ""


def _bounded(readline: object) -> Iterator[str]:
    """Lines of which the beginning is kept, however long they are."""
    begun = False
    while part := readline(LONGEST_LINE):  # type: ignore[operator]
        if not begun:
            yield part
        begun = not part.endswith("\n")


def _stamped(form: LogFormat, lines: list[str]) -> tuple[NDArray[np.int64], Floats, list[str]]:
    """Number, time and text of each line; one without a stamp belongs to the one before it."""
    numbers, times, texts = [], [], []
    for number, line in enumerate(lines, 1):
        stamp = form.stamp(line)
        if stamp is not None:
            numbers.append(number)
            times.append(stamp.seconds)
            texts.append(stamp.rest)
        elif times and line.strip():
            numbers.append(number)
            times.append(times[-1])
            texts.append(line.strip())
    return np.array(numbers, np.int64), np.array(times, float), texts


def _restarts(zero: Zero, times: Floats) -> tuple[list[int], Floats]:
    """Where the clock began anew; a time of day that begins anew is the next day, and goes on."""
    back = np.nonzero(np.diff(times) < -RESTART_S)[0] + 1
    if zero == "day":
        midnights = [at for at in back.tolist() if times[at - 1] - times[at] > DAY_S / 2]
        days = np.zeros(len(times))
        for at in midnights:
            days[at:] += DAY_S
        return [0], times + days
    return ([0, *back.tolist()] if zero == "boot" else [0]), times


def _on_epoch(capture: Capture, zero: Zero, times: Floats) -> Floats:
    """Seconds since the first message, with what the clock leaves out taken from the capture's date."""
    start = int(capture.columns["time"][0]) / 1e9
    if zero == "boot":
        return times
    if zero == "day":
        midnight = start - start % DAY_S
        # The day on which the log and the capture lie nearest to each other.
        return times + midnight - start + DAY_S * round((start - midnight - float(times[0])) / DAY_S)
    if zero == "year":
        year = dt.datetime.fromtimestamp(max(start, 0.0), dt.UTC).year
        shifts = [_year_shift(one) for one in (year - 1, year, year + 1)]
        return times + min(shifts, key=lambda shift: abs(times[0] + shift - start)) - start
    return times - start


def _year_shift(year: int) -> float:
    """Seconds between the same date in the leap year 2024 and in this year, right to a day in January and February."""
    return dt.datetime(year, 3, 1, tzinfo=dt.UTC).timestamp() - dt.datetime(2024, 3, 1, tzinfo=dt.UTC).timestamp()


Placed = tuple[Floats, list[float], list[Fit | None], str]


def _placed(
    capture: Capture, zero: Zero, texts: list[str], times: Floats, bounds: list[int], offset: float | None
) -> Placed:
    """The lines on the axis of the capture."""
    if offset is not None:
        return times + offset, [offset] * len(bounds), [None] * len(bounds), f"its clock was set by {offset:+.3f} s"
    sightings = Sightings(capture)
    placed = times.copy()
    offsets: list[float] = []
    fits: list[Fit | None] = []
    notes: list[str] = []
    for begin, end in zip(bounds, [*bounds[1:], len(times)], strict=True):
        fit = fit_offset(texts[begin:end], times[begin:end], sightings)
        if fit is not None:
            shift = fit.offset_s
            notes.append(
                f"its clock was set by {shift:+.3f} s after {fit.matches} lines with {fit.by}, "
                f"which differ by {fit.residual_s * 1000:.1f} ms"
            )
        else:
            shift, note = _assumed(capture, zero, times[begin:end], float(placed[begin - 1]) if begin else None)
            notes.append(note)
        placed[begin:end] = times[begin:end] + shift
        offsets.append(shift)
        fits.append(fit)
    return placed, offsets, fits, "; boot again: ".join(notes)


def _assumed(capture: Capture, zero: Zero, times: Floats, last: float | None) -> tuple[float, str]:
    """Where nothing ties the clocks together: as near as what is known allows, and said so."""
    if zero == "boot":
        if last is not None:
            return last - float(times[0]), "nothing ties this boot to the capture, it was laid behind the one before"
        return 0.0, "nothing ties it to the capture, its zero was laid on the first message: offset= would set it"
    span = seconds(capture.columns)[[0, -1]]
    if zero != "epoch" and (times[-1] < span[0] or times[0] > span[1]):
        shift = QUARTER_S * round((float(span.mean()) - float(np.median(times))) / QUARTER_S)
        return shift, f"nothing ties it to the capture, a time zone of {shift / 3600:+.2f} h was assumed"
    return 0.0, "nothing ties it to the capture, its clock was taken as the capture's"

"""Time stamps of log lines: which formats there are, and which one a log has."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from lwm2m_lab.errors import BadInput

__all__ = ["FORMATS", "LogFormat", "Stamp", "guess_format", "pattern_format", "without_escapes", "zero_of"]

#: What a clock counts from: the epoch, a midnight, a new year, or the device's own boot.
Zero = Literal["epoch", "local", "day", "year", "boot"]
Read = Callable[[re.Match[str]], float]

_NAMES = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_MONTHS = {name: number for number, name in enumerate(_NAMES.split("|"), 1)}
#: Colours and cursor movements that a terminal obeys (ECMA-48).
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
#: Days before each month in a leap year: a date without a year is only compared with others of its kind.
_LEAP = 2024


@dataclass(frozen=True, slots=True)
class Stamp:
    """The time stamp of one line.

    Attributes
    ----------
    seconds : float
        By the log's own clock.
    rest : str
        The line without it.
    """

    seconds: float
    rest: str


@dataclass(frozen=True, slots=True)
class LogFormat:
    """One kind of time stamp.

    Attributes
    ----------
    name : str
    zero : {"epoch", "local", "day", "year", "boot"}
        What its seconds count from; ``"local"`` is the epoch in a time zone that the log does not name.
    """

    name: str
    zero: Zero
    pattern: re.Pattern[str]
    read: Read

    def stamp(self, line: str) -> Stamp | None:
        """The time stamp of a line; None where it has none of this kind."""
        found = self.pattern.search(line)
        if found is None:
            return None
        try:
            seconds = self.read(found)
        except (ValueError, OverflowError):
            return None
        start, end = found.span("time")
        return Stamp(seconds, (line[:start].rstrip(" [(") + " " + line[end:].lstrip("]):, ")).strip())


def without_escapes(line: str) -> str:
    """A line without colours."""
    return _ESCAPE.sub("", line)


def _clock(found: re.Match[str]) -> float:
    hour, minute, second = int(found["h"]), int(found["m"]), int(found["s"])
    if hour > 24 or minute > 59 or second > 60:
        raise ValueError
    return 3600 * hour + 60 * minute + second + _fraction(found["f"])


def _fraction(digits: str | None) -> float:
    return float("0." + re.sub(r"\D", "", digits)) if digits else 0.0


def _uptime(found: re.Match[str]) -> float:
    return 3600 * int(found["h"]) + 60 * int(found["m"]) + int(found["s"]) + _fraction(found["f"])


def _date(found: re.Match[str]) -> float:
    day = dt.datetime(int(found["Y"]), _month(found["M"]), int(found["D"]), tzinfo=dt.UTC).timestamp()
    return day + _clock(found) - _zone(found["z"] if "z" in found.re.groupindex else None)


def _yearless(found: re.Match[str]) -> float:
    return dt.datetime(_LEAP, _month(found["M"]), int(found["D"]), tzinfo=dt.UTC).timestamp() + _clock(found)


def _month(text: str) -> int:
    return int(text) if text.isdecimal() else _MONTHS[text[:3].lower()]


def _zone(text: str | None) -> float:
    """Seconds east of Greenwich."""
    if not text or text in "Zz":
        return 0.0
    digits = text[1:].replace(":", "")
    sign = -1 if text[0] == "-" else 1
    return sign * (3600.0 * int(digits[:2]) + 60.0 * int(digits[2:4] or 0))


def _number(found: re.Match[str]) -> float:
    return float(found["time"])


_CLOCK = r"(?P<h>\d{1,2}):(?P<m>\d\d):(?P<s>\d\d)(?:[.,](?P<f>\d{1,9}))?"
#: A stamp stands near the beginning: level, host and thread names may come before it.
_LEAD = r"^.{0,40}?(?<![\d.:,/-])"
_DATE = r"(?P<Y>\d{4})[-/](?P<M>\d\d)[-/](?P<D>\d\d)[T ]\s?" + _CLOCK

#: From the one that says most to the one that says least.
FORMATS: tuple[LogFormat, ...] = (
    LogFormat("ISO 8601 with zone", "epoch", re.compile(rf"{_LEAD}(?P<time>{_DATE}\s?(?P<z>Z|[+-]\d\d:?\d\d))"), _date),
    LogFormat("ISO 8601", "local", re.compile(rf"{_LEAD}(?P<time>{_DATE})"), _date),
    LogFormat(
        "web server", "epoch",
        re.compile(
            rf"{_LEAD}(?P<time>(?P<D>\d\d)/(?P<M>{_NAMES})/(?P<Y>\d{{4}}):{_CLOCK} (?P<z>[+-]\d{{4}}))", re.IGNORECASE
        ),
        _date,
    ),
    LogFormat(
        "syslog", "year",
        re.compile(rf"^(?:<\d+>)?(?P<time>(?P<M>{_NAMES})\w* +(?P<D>\d{{1,2}}) {_CLOCK})", re.IGNORECASE), _yearless,
    ),
    LogFormat("month and day", "year", re.compile(rf"^\W?(?P<time>(?P<M>\d\d)-(?P<D>\d\d) {_CLOCK})"), _yearless),
    LogFormat(
        "epoch milliseconds", "epoch", re.compile(r"^\W{0,2}(?P<time>1\d{12})(?!\d)"), lambda one: _number(one) / 1000
    ),
    LogFormat("epoch seconds", "epoch", re.compile(r"^\W{0,2}(?P<time>1\d{9}(?:\.\d{1,9})?)(?![\d.])"), _number),
    LogFormat(
        "seconds since boot (Zephyr)", "boot",
        re.compile(r"^.{0,40}?\[(?P<time>(?P<h>\d{2,}):(?P<m>\d\d):(?P<s>\d\d)\.(?P<f>\d{3},\d{3}))\]"), _uptime,
    ),
    LogFormat("seconds since boot", "boot", re.compile(r"^\W{0,2}\[ *(?P<time>\d{1,7}\.\d{3,9})\]"), _number),
    LogFormat(
        "milliseconds since boot (ESP-IDF)", "boot", re.compile(r"^[EWIDV] \((?P<time>\d{1,10})\) "),
        lambda one: _number(one) / 1000,
    ),
    LogFormat("time of day", "day", re.compile(rf"{_LEAD}(?P<time>{_CLOCK})(?![\d:])"), _clock),
    LogFormat("plain seconds", "boot", re.compile(r"^(?P<time>\d{1,7}\.\d{1,9})(?=[\s:,;|])"), _number),
)  # fmt: skip


def guess_format(lines: Sequence[str]) -> LogFormat:
    """The format that most of the lines have; of equals the one that says most.

    Raises
    ------
    BadInput
        Where not one line in ten has a time stamp.

    Examples
    --------
    >>> guess_format(["[00:00:01.234,567] <inf> net_lwm2m_engine: Connected", "[00:00:02.000,000] <inf> x: y"]).name
    'seconds since boot (Zephyr)'
    """
    filled = [line for line in lines if line.strip()]
    counts = [sum(one.stamp(line) is not None for line in filled) for one in FORMATS]
    best = max(range(len(FORMATS)), key=lambda at: (counts[at], -at))
    if not filled or counts[best] < max(1, len(filled) / 10):
        known = "2024-03-01T12:00:00.123Z, Mar  1 12:00:00, 12:00:00.123, 1709294400.123, [00:00:01.234,567]"
        raise BadInput(f"no time stamp is recognised in the log; lines as {known}, or a pattern, are expected")
    return FORMATS[best]


def pattern_format(pattern: str) -> LogFormat:
    """A format from a user's pattern, whose group ``time`` is read as one of the known formats, or as seconds.

    Raises
    ------
    BadInput
        For a pattern that is none, or has no group ``time``.

    Examples
    --------
    >>> pattern_format(r"t=(?P<time>[0-9.]+)").stamp("level=info t=12.5 hello").seconds
    12.5
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise BadInput(f"pattern {pattern!r} is no regular expression ({error}); one is expected") from None
    if "time" not in compiled.groupindex:
        raise BadInput(f"pattern {pattern!r} has no group 'time'; (?P<time>...) around the time stamp is expected")

    def read(found: re.Match[str]) -> float:
        return _any(found["time"] or "")[1]

    return LogFormat("pattern", "boot", compiled, read)


def _any(text: str) -> tuple[Zero, float]:
    """What a time stamp on its own says."""
    for one in FORMATS:
        stamp = one.stamp(text) or one.stamp(f"[{text}]")
        if stamp is not None and not stamp.rest.strip("[] "):
            return one.zero, stamp.seconds
    value = float(text)
    return ("epoch", value / 1000) if value > 1e12 else ("epoch", value) if value > 1e9 else ("boot", value)


def zero_of(form: LogFormat, lines: Sequence[str]) -> Zero:
    """What the clock of a log counts from; of a pattern, what its first stamp looks like."""
    if form.name != "pattern":
        return form.zero
    for line in lines:
        found = form.pattern.search(line)
        if found is not None and form.stamp(line) is not None:
            return _any(found["time"])[0]
    return "boot"

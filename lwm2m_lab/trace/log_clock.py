"""The clock of a log against that of a capture: what both speak of, and the offset on which most of it agrees."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.trace.exchanges import seconds

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["Fit", "Sightings", "fit_offset"]

Floats = NDArray[np.float64]
#: Seconds within which differences agree.
AGREE_S = 1.0
#: What a match counts: a message id or token names one message, a path or value many.
STRONG, WEAK = 3.0, 1.0
#: Least sum of matches, and how many times the next best offset it has to be.
ENOUGH, CLEAR = 6.0, 1.5
#: What is mentioned more often than this in a capture says nothing of when.
MOST_SIGHTINGS, MOST_PAIRS = 50, 2_000_000

_HEX = r"(?:0x)?([0-9a-f]{2}(?:[ :]?[0-9a-f]{2}){0,7})"
_MID = re.compile(r"\b(?:m(?:sg|essage)?[ _-]?id|id)\b[ =:#\[(]{1,3}(0x[0-9a-f]{1,4}|\d{1,5})\b", re.IGNORECASE)
_MID_HEX = re.compile(r"\bi:([0-9a-f]{4})\b", re.IGNORECASE)
_TOKEN = re.compile(rf"\btok(?:en)?\b[ =:\[({{]{{1,3}}{_HEX}(?![0-9a-z])|\{{([0-9a-f]{{2,16}})\}}", re.IGNORECASE)
_PATH = re.compile(r"(?<![\d.])/?(\d{1,5}/\d{1,5}/\d{1,5})(?![\d./])")


@dataclass(frozen=True, slots=True)
class Fit:
    """An offset, and how good it is.

    Attributes
    ----------
    offset_s : float
        Seconds to add to the log's clock.
    matches : int
        Lines that agree with it.
    residual_s : float
        Median of what they differ by from it.
    by : str
        What they name: message ids, tokens, values.
    """

    offset_s: float
    matches: int
    residual_s: float
    by: str


class Sightings:
    """When a capture mentions what a log may mention too.

    Parameters
    ----------
    capture : Capture
    """

    def __init__(self, capture: Capture) -> None:
        columns = capture.columns
        self._time = seconds(columns)
        self._columns = columns
        self._tokens = {text: code for code, text in enumerate(columns.categories["token"]) if text}
        self._paths = {text: code for code, text in enumerate(columns.categories["uri_path"])}
        self._values: dict[str, list[float]] = {}
        for time, value in capture.timeline[["time", "value"]].itertuples(index=False):
            if isinstance(value, str) and 4 <= len(value) <= 64:
                self._values.setdefault(value, []).append(float(time))
        self._by_mid = _Index(columns["mid"])
        self._by_token, self._by_path = _Index(columns["token"]), _Index(columns["uri_path"])

    def of(self, line: str) -> Iterator[tuple[str, float, Floats]]:
        """What a line names: the kind, its weight, and the seconds at which the capture has it."""
        for found in _MID.finditer(line):
            yield "message ids", STRONG, self._time[self._by_mid.rows(int(found[1], 0 if "x" in found[1] else 10))]
        for found in _MID_HEX.finditer(line):
            yield "message ids", STRONG, self._time[self._by_mid.rows(int(found[1], 16))]
        for found in _TOKEN.finditer(line):
            token = re.sub(r"[ :]", "", found[1] or found[2]).lower()
            if token in self._tokens:
                yield "tokens", STRONG, self._time[self._by_token.rows(self._tokens[token])]
        for found in _PATH.finditer(line):
            code = self._paths.get("/" + found[1])
            if code is not None:
                yield "paths", WEAK, self._time[self._by_path.rows(code)]
        for value, times in self._values.items():
            if value in line:
                yield "values", WEAK, np.array(times)


class _Index:
    """Rows by value, without a pass over all of them for each."""

    def __init__(self, values: NDArray[np.integer]) -> None:
        self._order = np.argsort(values, kind="stable")
        self._sorted = values[self._order]

    def rows(self, value: int) -> NDArray[np.int64]:
        low, high = np.searchsorted(self._sorted, [value, value + 1])
        found: NDArray[np.int64] = self._order[low:high]
        return found


def fit_offset(lines: Sequence[str], times: Floats, sightings: Sightings) -> Fit | None:
    """The offset on which most of what lines and capture both name agrees; None where nothing is clear.

    Differences between every mention in the log and every sighting in the capture are sorted; the window of a second
    that holds the most is the offset's. Wrong pairs scatter, right ones pile up.
    """
    differences: list[Floats] = []
    weights: list[Floats] = []
    owners: list[Floats] = []
    kinds: list[tuple[str, int]] = []
    pairs = 0
    for number, line in enumerate(lines):
        for kind, worth, seen in sightings.of(line):
            if not 0 < len(seen) <= MOST_SIGHTINGS or pairs > MOST_PAIRS:
                continue
            pairs += len(seen)
            differences.append(seen - times[number])
            weights.append(np.full(len(seen), worth))
            owners.append(np.full(len(seen), float(number)))
            kinds += [(kind, number)] * len(seen)
    if not differences:
        return None
    difference, weight, owner = map(np.concatenate, (differences, weights, owners))
    order = np.argsort(difference, kind="stable")
    difference, weight, owner = difference[order], weight[order], owner[order]
    sums = np.append(0.0, np.cumsum(weight))
    ends = np.searchsorted(difference, difference + AGREE_S, side="right")
    score = sums[ends] - sums[np.arange(len(difference))]
    best = int(np.argmax(score))
    apart = abs(difference - difference[best]) > 2 * AGREE_S
    within = slice(best, int(ends[best]))
    named = {kinds[int(at)] for at in order[within]}
    lines_named = len({number for _, number in named})
    if score[best] < ENOUGH or lines_named < 2 or score[apart].max(initial=0.0) * CLEAR > score[best]:
        return None
    offset = float(np.median(difference[within]))
    # Of several sightings of one mention, as of copies, the nearest one is meant.
    nearest: Floats = np.full(int(owner.max()) + 1, np.inf)
    np.minimum.at(nearest, owner[within].astype(np.int64), abs(difference[within] - offset))
    residual = float(np.median(nearest[np.isfinite(nearest)]))
    by = " and ".join(
        kind for kind in ("message ids", "tokens", "paths", "values") if any(kind == one for one, _ in named)
    )
    return Fit(offset, lines_named, residual, by)

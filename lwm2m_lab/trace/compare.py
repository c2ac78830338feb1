"""Two captures side by side: what differs, and since which frame of each."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.alignment import Event, messages, values
from lwm2m_lab.trace.capture import Capture, read
from lwm2m_lab.trace.updates import Update
from lwm2m_lab.wire.text import printable

__all__ = ["Comparison", "Difference", "compare"]

#: What is said of an update, and is compared.
_FIELDS = (
    "delivery", "image_size", "image_sha256", "image_accepted", "states", "results", "pkg_versions",
    "firmware_versions", "block_sizes", "outcome", "verdict", "cause",
)  # fmt: skip
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs.

    Attributes
    ----------
    what : str
    a, b : str
        What the one and the other capture show; ``"nothing"`` where one has it not.
    frame_a, frame_b : int or None
    endpoint : str
        As the first capture names it, or the second where only that has it.
    time : float
        Seconds since the first Write of the update (without one, since the first message), in the capture in which it
        shows first.
    """

    what: str
    a: str
    b: str
    frame_a: int | None
    frame_b: int | None
    endpoint: str
    time: float

    def __str__(self) -> str:
        sides = [
            f"{value} (frame {frame})" if frame is not None else value
            for value, frame in ((self.a, self.frame_a), (self.b, self.frame_b))
        ]
        return f"{self.what}: {sides[0]} | {sides[1]}"


@dataclass(frozen=True)
class Comparison:
    """What differs between two captures.

    Attributes
    ----------
    a, b : Capture
    differences : tuple of Difference
        In messages and values, in order of time.
    updates : DataFrame
        One row a field of an update that differs: ``endpoint``, ``field``, ``a``, ``b``.
    times : DataFrame
        One row an endpoint and measure: seconds and copies of the one and the other; these differ always.
    alike : int
        Exchanges that both have with the same answer.
    """

    a: Capture
    b: Capture
    differences: tuple[Difference, ...]
    updates: pd.DataFrame
    times: pd.DataFrame
    alike: int

    @property
    def first(self) -> Difference | None:
        """The first difference; None where there is none."""
        return self.differences[0] if self.differences else None

    @property
    def same(self) -> bool:
        """Whether nothing but times and copies differs."""
        return not self.differences and not len(self.updates)

    @property
    def table(self) -> pd.DataFrame:
        """The differences as a table."""
        names = ["endpoint", "time", "what", "a", "frame_a", "b", "frame_b"]
        table = pd.DataFrame([asdict(one) for one in self.differences], columns=names)
        return table.astype({"frame_a": "Int64", "frame_b": "Int64"})

    def to_json(self) -> str:
        """The JSON of ``lwm2m-lab compare --json``."""
        said = {
            "schema": 1,
            "a": self.a.name,
            "b": self.b.name,
            "same": self.same,
            "alike": self.alike,
            "differences": [asdict(one) for one in self.differences],
            "updates": self.updates.to_dict("records"),
            "times": json.loads(self.times.to_json(orient="records")),
        }
        return json.dumps(said, indent=2)

    def _lines(self) -> list[str]:
        lines = [f"a: {self.a.name} | b: {self.b.name}"]
        if self.same:
            lines.append(f"nothing differs but times: {self.alike} exchanges are alike")
        if self.first is not None:
            lines.append(f"first difference, {self.first.endpoint}: {self.first}")
        for row in self.updates.itertuples(index=False):
            lines.append(f"  {row.endpoint}, {row.field}: {row.a} | {row.b}")
        if len(self.differences) > 1:
            lines.append(f"{len(self.differences) - 1} more differences, {self.alike} exchanges alike:")
            rest = list(_runs(self.differences[1:]))
            lines += [f"  {line}" for line in rest[:_SHOWN]]
            if len(rest) > _SHOWN:
                lines.append("  and more, in .table")
        for row in self.times.itertuples(index=False):
            lines.append(f"  {row.endpoint}, {row.measure}: {row.a:.6g} | {row.b:.6g}")
        return [printable(line) for line in lines]

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        head = "<br>".join(html.escape(line) for line in self._lines()[:2])
        shown = [self.updates, self.table.head(_SHOWN), self.times]
        tables = "".join(str(one.to_html(index=False, escape=True, border=0)) for one in shown if len(one))
        return f"<p><b>{head}</b></p>{tables}"


def _runs(differences: tuple[Difference, ...]) -> Iterator[str]:
    """The differences as lines, blocks that differ in the same way as one."""
    at = 0
    while at < len(differences):
        one, stop = differences[at], at + 1
        head, block, _ = one.what.partition(" block ")
        alike = (one.endpoint, head, one.a, one.b)
        while block and stop < len(differences):
            other = differences[stop]
            if (other.endpoint, other.what.partition(" block ")[0], other.a, other.b) != alike:
                break
            stop += 1
        yield str(one) if stop == at + 1 else f"{one}, and so on: {stop - at} blocks"
        at = stop


def compare(a: Capture | str | os.PathLike[str], b: Capture | str | os.PathLike[str]) -> Comparison:
    """What differs between two captures, and since which frame of each.

    Requests that change something (Writes, Executes, registrations) and the blocks of an image are laid side by side by
    method, path and block number, their answers compared. What was read or notified is compared as the sequence of
    values of each path, repeats dropped: how often somebody asks is no difference. Endpoints of the same name belong
    together, others in the order in which they appear.

    Parameters
    ----------
    a, b : Capture, or what `read` takes

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> found = compare(lab.push(size=3000), lab.push(size=3000, device=lab.DeviceOptions(install_fails=True)))
    >>> print(found.first)
    /5/0/5 Update Result: 1 Updated successfully (frame 34) | 8 Update failed (frame 29)
    >>> found.updates.set_index("field").loc["outcome", ["a", "b"]].tolist()
    ['succeeded', 'failed']
    """
    first, second = (one if isinstance(one, Capture) else read(one) for one in (a, b))
    differences: list[Difference] = []
    updates: list[dict[str, str]] = []
    times: list[dict[str, object]] = []
    alike = 0
    for name, other in _pairs(first, second):
        found, same = messages(first, second, name, other)
        alike += same
        zeros = _zero(first, name), _zero(second, other)
        for what, one, two in (*found, *values(first, second, name, other)):
            differences.append(_difference(what, one, two, name or other or "", zeros))
        for pair in _update_pairs(first, second, name, other):
            updates += _fields(*pair, name or other or "")
            times += _times(*pair, name or other or "")
    differences.sort(key=lambda one: (one.time, one.what))
    return Comparison(
        a=first,
        b=second,
        differences=tuple(differences),
        updates=pd.DataFrame(updates, columns=["endpoint", "field", "a", "b"]),
        times=pd.DataFrame(times, columns=["endpoint", "measure", "a", "b"]),
        alike=alike,
    )


def _pairs(a: Capture, b: Capture) -> list[tuple[str | None, str | None]]:
    """Endpoints that belong together: of the same name, else in order; None where the other side has none."""
    names, others = _endpoints(a), _endpoints(b)
    common = [name for name in names if name in others]
    rest = [name for name in names if name not in common], [name for name in others if name not in common]
    most = max(map(len, rest))
    padded = [[*one, *[None] * (most - len(one))] for one in rest]
    return [*((name, name) for name in common), *zip(*padded, strict=True)]


def _endpoints(capture: Capture) -> list[str]:
    """Endpoints with a name; where there is none, whoever there is."""
    seen = list(dict.fromkeys(capture._wired["endpoint"].tolist())) if capture.columns.rows else []
    named = {one["endpoint"] for one in capture._registered} | {one.endpoint for one in capture._updates}
    return [name for name in seen if name in named] or seen


def _zero(capture: Capture, endpoint: str | None) -> float:
    """Seconds at which the first update of an endpoint begins; 0 without one."""
    positions = [one.evidence.exchanges[0] for one in capture._updates if one.endpoint == endpoint]
    return float(capture._wired["time"][positions[0]]) if positions else 0.0


def _difference(
    what: str, one: Event | None, two: Event | None, endpoint: str, zeros: tuple[float, float]
) -> Difference:
    times = [event[1] - zero for event, zero in zip((one, two), zeros, strict=True) if event is not None]
    return Difference(
        what=what,
        a=_answer(one),
        b=_answer(two),
        frame_a=None if one is None else one[0],
        frame_b=None if two is None else two[0],
        endpoint=endpoint,
        time=min(times),
    )


def _answer(event: Event | None) -> str:
    if event is None:
        return "nothing"
    _, _, answer, copies = event
    return f"{answer}, sent {copies} times" if copies > 1 and answer == "no answer" else answer


# ---------------------------------------------------------------- updates


def _update_pairs(
    a: Capture, b: Capture, name: str | None, other: str | None
) -> list[tuple[Update | None, Update | None]]:
    ours = [one for one in a._updates if one.endpoint == name]
    theirs = [one for one in b._updates if one.endpoint == other]
    most = max(len(ours), len(theirs))
    return [(ours[at] if at < len(ours) else None, theirs[at] if at < len(theirs) else None) for at in range(most)]


def _fields(one: Update | None, two: Update | None, endpoint: str) -> Iterator[dict[str, str]]:
    """Fields of two updates that differ."""
    if one is None or two is None:
        sides = ["no update" if side is None else side.outcome for side in (one, two)]
        yield {"endpoint": endpoint, "field": "update", "a": sides[0], "b": sides[1]}
        return
    for field in _FIELDS:
        left, right = getattr(one, field), getattr(two, field)
        # Frames stand in a cause; that they are others is no difference.
        if left != right and not (field == "cause" and one.outcome == two.outcome and one.results == two.results):
            yield {"endpoint": endpoint, "field": field, "a": _shown(left), "b": _shown(right)}


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " -> ".join(map(str, value)) or "not seen"
    return str(value)


def _times(one: Update | None, two: Update | None, endpoint: str) -> Iterator[dict[str, object]]:
    """Seconds and copies of two updates."""
    if one is None or two is None:
        return
    sides = [_measured(side) for side in (one, two)]
    for measure in sides[0]:
        yield {"endpoint": endpoint, "measure": measure, "a": sides[0][measure], "b": sides[1][measure]}


def _measured(update: Update) -> dict[str, float]:
    found = {
        "seconds to the outcome": float("nan") if update.duration_s is None else update.duration_s,
        "retransmissions": float(update.retransmissions),
    }
    try:
        measures = update.measures()
    except BadInput:
        # The image came another way than by CoAP: there is nothing to time.
        return {**found, "seconds of delivery": float("nan"), "median round trip, s": float("nan")}
    return {**found, "seconds of delivery": measures.duration_s, "median round trip, s": measures.rtt_median_s}

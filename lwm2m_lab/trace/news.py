"""What is new in a capture that is looked at again and again; each thing is told once, or taken back."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.trace.capture import Capture
from lwm2m_lab.trace.findings import Finding, Verdict
from lwm2m_lab.trace.outcomes import FIRMWARE_VERSION, PKG_VERSION, RESULT, STATE
from lwm2m_lab.trace.recent import is_settled
from lwm2m_lab.trace.updates import Update
from lwm2m_lab.wire.text import printable

__all__ = ["Kind", "News", "Teller"]

Kind = Literal["began", "value", "delivered", "ended", "finding", "withdrawn", "note"]
_NAMES = {
    STATE: "State", RESULT: "Update Result", PKG_VERSION: "/5/0/7 PkgVersion",
    FIRMWARE_VERSION: "/3/0/3 Firmware Version",
}  # fmt: skip
_PROBLEMS = (Verdict.FAIL, Verdict.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class News:
    """One thing that was seen, as it was seen.

    Attributes
    ----------
    kind : {"began", "value", "delivered", "ended", "finding", "withdrawn", "note"}
        An update began; a value of it was seen; its package was taken or refused; it ended, or ended otherwise than
        was told; a finding that fails or leaves something open; one that no longer holds; something about the capture.
    seconds : float
        Since the first message of the capture.
    frame : int
        Where it shows; 0 for what shows in no frame.
    endpoint : str
        Empty for what is of no endpoint.
    sentence : str
    begins : int
        First frame of the update that it speaks of; 0 for none.
    finding : Finding or None
        Of a finding, and of one that is withdrawn.
    update : dict or None
        The update as it is known now, with the fields of ``docs/json.md``.

    Examples
    --------
    >>> print(News("value", 12.3, 120, "urn:dev:1", "State 2 Downloaded"))
        12.300 s  urn:dev:1: State 2 Downloaded
    """

    kind: Kind
    seconds: float
    frame: int
    endpoint: str
    sentence: str
    begins: int = 0
    finding: Finding | None = None
    update: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        fields = {name: getattr(self, name) for name in ("kind", "seconds", "frame", "endpoint", "sentence", "begins")}
        finding = None if self.finding is None else self.finding.to_dict()
        return {**fields, "finding": finding, "update": self.update}

    def __str__(self) -> str:
        who = f"{self.endpoint}: " if self.endpoint else ""
        return printable(f"{self.seconds:10.3f} s  {who}{self.sentence}")


@dataclass(slots=True)
class _Told:
    """What was said of one update so far."""

    endpoint: str
    values: set[tuple[str, int, Any]] = field(default_factory=set)
    accepted: bool | None = None
    outcome: str = "unfinished"
    findings: list[Finding] = field(default_factory=list)


class Teller:
    """Compares what a capture says with what was told of it.

    Attributes
    ----------
    outcomes : Counter of str
        Of the updates that were let go with their packets.
    failing : Counter of str
        Rules that failed in these updates.
    """

    def __init__(self) -> None:
        self._told: dict[int, _Told] = {}
        self.outcomes: Counter[str] = Counter()
        self.failing: Counter[str] = Counter()

    def tell(self, capture: Capture, *, final: bool = False) -> list[News]:
        """What is new, in order of time.

        What fails is told at once; what leaves something open once its update is settled, for the next packet may
        decide it.

        Parameters
        ----------
        capture : Capture
        final : bool
            Whether nothing more will come.
        """
        now_ns = int(capture.columns["time"].max(initial=0))
        judged = capture.judged()
        news: list[News] = []
        for number in set(self._told) - {update.frames[0] for update, _ in judged}:
            news += self._vanished(capture, number)
        for update, findings in judged:
            settled = final or is_settled(update, capture, now_ns)
            news += self._of_update(capture, update, final)
            problems = [one for one in findings if one.verdict in _PROBLEMS]
            news += self._findings(capture, update, problems, settled)
        return sorted(news, key=operator.attrgetter("seconds"))

    def forget(self, before: Capture, kept: Capture) -> None:
        """Count the updates that were let go between these two, and speak of them no more."""
        there = {update.frames[0] for update, _ in kept.judged()}
        for update, findings in before.judged():
            if update.frames[0] not in there:
                self.outcomes[update.outcome] += 1
                self.failing.update({one.rule for one in findings if one.verdict == Verdict.FAIL})
                self._told.pop(update.frames[0], None)

    # ---------------------------------------------------------------- one update

    def _of_update(self, capture: Capture, update: Update, final: bool) -> Iterator[News]:
        first = update.frames[0]
        told = self._told.get(first)
        if told is None:
            told = self._told[first] = _Told(update.endpoint)
            target = "/5/0/0" if update.delivery == "push" else "/5/0/1"
            yield _news(capture, update, "began", first, f"an update began: {update.delivery}, Write to {target}")
        elif told.endpoint != update.endpoint:
            yield _news(capture, update, "note", first, f"this is who was called {told.endpoint} so far")
            told.endpoint = update.endpoint
        yield from self._values(capture, update, told)
        if update.image_accepted is not None and update.image_accepted != told.accepted:
            told.accepted = update.image_accepted
            size = "its package" if update.image_size is None else f"its package of {update.image_size} bytes"
            done = f"{size} was {'taken' if told.accepted else 'refused'}"
            yield _news(capture, update, "delivered", update.evidence.last_frame, done)
        if update.outcome != told.outcome or (final and update.outcome == "unfinished"):
            before, told.outcome = told.outcome, update.outcome
            otherwise = "" if before == "unfinished" else f", not {before} as was told"
            why = f": {update.cause} [{update.clause}]" if update.cause and update.outcome != "succeeded" else ""
            yield _news(
                capture, update, "ended", update.shown_by or update.frames[1], f"{_ended(update)}{otherwise}{why}"
            )

    def _values(self, capture: Capture, update: Update, told: _Told) -> Iterator[News]:
        """Values that changed."""
        for path, name in _NAMES.items():
            own = capture.values_of(update.endpoint, path)
            last = own.before(update.frames[0]).last("value", 0 if path == STATE else None)
            for frame, value in own.between(update.frames[0], update.until).each("frame", "value"):
                if value == last:
                    continue
                last = value
                if (path, frame, value) not in told.values:
                    told.values.add((path, frame, value))
                    yield _news(capture, update, "value", frame, f"{name} {_worded(path, value)}")

    def _findings(self, capture: Capture, update: Update, problems: list[Finding], settled: bool) -> Iterator[News]:
        """Findings that are new, say something else than before, or no longer hold."""
        told = self._told[update.frames[0]]
        left, kept = list(told.findings), []
        for one in sorted(problems, key=lambda one: one not in left):
            before = one if one in left else next((old for old in left if old.rule == one.rule), None)
            if before is not None:
                left.remove(before)
            if before == one or (before is not None and not settled and before[:4] == one[:4]):
                # It counts more than it did: what it says at last is told at the end.
                kept.append(before)
            elif one.verdict == Verdict.FAIL or settled or before is not None:
                kept.append(one)
                now = "" if before is None else "now "
                yield _news(capture, update, "finding", _last(one, update), f"{now}{one}", one)
        for one in left:
            yield _news(capture, update, "withdrawn", _last(one, update), f"no longer holds: {one}", one)
        told.findings = kept

    def _vanished(self, capture: Capture, number: int) -> Iterator[News]:
        """An update that turned out to be none, or a part of another one."""
        told = self._told.pop(number)
        seconds = _seconds(capture, number)
        what = f"what began in frame {number} is no update of its own"
        yield News("withdrawn", seconds, number, told.endpoint, what, number)
        for one in told.findings:
            yield News("withdrawn", seconds, number, told.endpoint, f"no longer holds: {one}", number, one)


def _last(finding: Finding, update: Update) -> int:
    return finding.frames[-1] if finding.frames else update.frames[1]


def _ended(update: Update) -> str:
    took = "" if update.duration_s is None else f" after {update.duration_s:.3f} s"
    how = {"unfinished": "is unfinished", "cancelled": "was cancelled", "deferred": "was deferred"}
    return f"the update {how.get(update.outcome, update.outcome)}{took}"


def _worded(path: str, value: Any) -> str:
    """A value as the standard names it."""
    named = {STATE: State, RESULT: UpdateResult}.get(path)
    return str(named(value)) if named is not None and value in list(named) else str(value)


def _news(
    capture: Capture, update: Update, kind: Kind, frame: int, sentence: str, finding: Finding | None = None
) -> News:
    first = update.frames[0]
    return News(kind, _seconds(capture, frame), frame, update.endpoint, sentence, first, finding, update.to_dict())


def _seconds(capture: Capture, frame: int) -> float:
    """When a packet came, by the last message up to it: some evidence is ICMP or TCP."""
    columns = capture.columns
    at = int(columns["frame"].searchsorted(frame, "right")) - 1
    return (int(columns["time"][at]) - columns.origin_ns) / 1e9 if at >= 0 else 0.0

"""Triage: can this capture be explained, and what to ask for if not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from lwm2m_lab.trace.ordered import median
from lwm2m_lab.wire.survey import Survey, survey
from lwm2m_lab.wire.text import printable

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["Lack", "Triage", "Weight", "triage"]

#: What a lack does to an explanation: makes it impossible, leaves a part of it open, or only needs to be known.
Weight = Literal["stops", "limits", "note"]
#: Lacks of one kind, as of many devices, that are shown; all of them are in `lacks`.
_OF_A_KIND = 2
_ORDER = {"stops": 0, "limits": 1, "note": 2}
_ANSWERS = {
    "no": "no: what is listed first stands in the way",
    "in part": "in part: something is missing",
    "yes": "yes",
}


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that a capture lacks, or that a reader of it has to know.

    Attributes
    ----------
    what : str
        Its name: ``"encrypted"``, ``"starts late"``.
    weight : {"stops", "limits", "note"}
    found : str
        What was seen, in a sentence.
    frames : tuple of int
        Where.
    remedy : str
        What to do, or to ask for.
    """

    what: str
    weight: Weight
    found: str
    frames: tuple[int, ...]
    remedy: str

    def to_dict(self) -> dict[str, Any]:
        """The fields, frames as a list."""
        return {**asdict(self), "frames": list(self.frames)}

    def __str__(self) -> str:
        frames = f" (frames {', '.join(map(str, self.frames[:6]))})" if self.frames else ""
        return f"{self.weight:<6} {self.what}: {self.found}{frames}\n       -> {self.remedy}"


@dataclass(frozen=True)
class Triage:
    """Whether a capture can be explained.

    Attributes
    ----------
    name : str
        Of the capture.
    facts : tuple of str
        What it holds, in a few lines.
    lacks : tuple of Lack
        The gravest first; empty for a capture that wants nothing.
    """

    name: str
    facts: tuple[str, ...]
    lacks: tuple[Lack, ...]

    @property
    def explainable(self) -> Literal["yes", "in part", "no"]:
        """Whether the lab can say what happened."""
        weights = {one.weight for one in self.lacks}
        return "no" if "stops" in weights else "in part" if "limits" in weights else "yes"

    def to_dict(self) -> dict[str, Any]:
        """The JSON of ``lwm2m-lab triage --json``."""
        lacks = [one.to_dict() for one in self.lacks]
        return {"schema": 1, "file": self.name, "explainable": self.explainable, "facts": [*self.facts], "lacks": lacks}

    def to_json(self) -> str:
        """The same as text."""
        import json

        return json.dumps(self.to_dict(), indent=2)

    def __str__(self) -> str:
        lines = [f"{self.name}: can it be explained? {_ANSWERS[self.explainable]}"]
        lines += [f"  {fact}" for fact in self.facts]
        for lack, more in self._shown():
            lines += [f"  {line}" for line in str(lack).split("\n")]
            lines += [f"         and {more} more of the kind"] if more else []
        return "\n".join(printable(line) for line in lines)

    def _shown(self) -> Iterable[tuple[Lack, int]]:
        """What fits on a screen: the first lacks of each kind, with the last of them how many more there are."""
        seen: Counter[str] = Counter()
        total = Counter(one.what for one in self.lacks)
        for lack in self.lacks:
            seen[lack.what] += 1
            if seen[lack.what] <= _OF_A_KIND:
                last = seen[lack.what] == _OF_A_KIND
                yield lack, total[lack.what] - _OF_A_KIND if last else 0

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        import html

        head = f"<p><b>{html.escape(self.name)}: can it be explained? {_ANSWERS[self.explainable]}</b></p>"
        facts = "<br>".join(html.escape(printable(fact)) for fact in self.facts)
        if not self.lacks:
            return f"{head}<p>{facts}</p>"
        rows = [
            {**one.to_dict(), "found": printable(one.found), "frames": ", ".join(map(str, one.frames[:6]))}
            for one, _ in self._shown()
        ]
        import pandas as pd

        with pd.option_context("display.max_colwidth", None):
            return f"{head}<p>{facts}</p>{pd.DataFrame(rows).to_html(index=False, escape=True, border=0)}"


def triage(capture: Capture) -> Triage:
    """Look for everything that keeps a capture from being explained.

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> found = triage(lab.read("anjay-push-256-ok"))
    >>> found.explainable, found.lacks
    ('yes', ())
    """
    from lwm2m_lab.trace import triage_file, triage_unseen

    seen = survey(capture._data)
    checks = (*triage_unseen.CHECKS, *triage_file.CHECKS)
    found = [lack for check in checks for lack in check(capture, seen)]
    return Triage(capture.name, tuple(_facts(capture, seen)), tuple(sorted(found, key=lambda one: _ORDER[one.weight])))


def _facts(capture: Capture, seen: Survey) -> Iterable[str]:
    """What the capture holds."""
    columns = capture.columns
    opened = int((columns.session >= 0).sum())
    within = f", {opened} of them in DTLS that was opened" if opened else ""
    yield f"{seen.packets} packets in {seen.span_s:.3f} s, {columns.rows} CoAP messages{within}"
    names = list(dict.fromkeys(one["endpoint"] for one in capture._registered)) if columns.rows else []
    if names:
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        yield f"endpoints: {shown}"
    for update in capture._updates[:4]:
        yield f"update: {update.headline()}"
    if len(capture._updates) > 4:
        yield f"and {len(capture._updates) - 4} more updates"
    side = _capture_point(capture)
    if side:
        yield side


def _capture_point(capture: Capture) -> str | None:
    """Nearer to which end the capture was made: whoever is near answers at once."""
    own = capture.rows("exchanges")
    answered = own[(own["_response"] >= 0) & (own.retransmissions == 0)]
    from_device = answered["_device"] == answered["_src"]
    if not from_device.any() or from_device.all():
        return None
    to_server, to_device = (median(answered.rtt_s[way]) for way in (from_device, ~from_device))
    if not (to_server >= 0 and to_device >= 0) or abs(to_device - to_server) < 0.02:
        return None
    near, quick, slow = (
        ("server", to_server, to_device) if to_server * 5 < to_device else ("device", to_device, to_server)
    )
    if quick * 5 >= slow:
        return None
    return f"seen from the {near}'s side: it answers within {quick * 1000:.1f} ms, the other end within {slow:.3f} s"

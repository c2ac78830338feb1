"""`explain()`: what happened, why, and which clause, in words and in the JSON of the contract."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lwm2m_lab.errors import BadInput
from lwm2m_lab.files import write_beside
from lwm2m_lab.trace.capture import Capture, read
from lwm2m_lab.trace.findings import Finding, Verdict, findings_of
from lwm2m_lab.trace.findings.chains import chained
from lwm2m_lab.trace.sentences import facts_of, sentence_of
from lwm2m_lab.trace.updates import Update
from lwm2m_lab.wire.text import printable

__all__ = ["Explanation", "as_json", "explain"]

#: Lines of logs that are told of one update.
MOST_LOGGED = 12


@dataclass(frozen=True)
class Explanation:
    """What a capture says, in words.

    Attributes
    ----------
    capture : Capture
    updates : tuple of Update
    findings : tuple of Finding
        All of them: first those that fail or leave something open, update by update, each cause before what it led to.
    """

    capture: Capture
    updates: tuple[Update, ...]
    findings: tuple[Finding, ...]

    @property
    def sentence(self) -> str:
        """One sentence for each update; what there is instead, where there is none."""
        if self.updates:
            return " ".join(sentence_of(update) for update in self.updates)
        return self._nothing()

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that fail or leave something open."""
        return tuple(one for one in self.findings if one.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE))

    def chain(self, update: Update) -> list[tuple[int, Finding]]:
        """The problems of one update, each with its depth: 0 for a first cause, 1 for what it led to, and so on."""
        return chained(self._of_update.get((update.endpoint, update.frames[0]), ()))

    @functools.cached_property
    def _of_update(self) -> dict[tuple[str, int], list[Finding]]:
        found: dict[tuple[str, int], list[Finding]] = {}
        for one in self.problems:
            found.setdefault((one.endpoint, one.begins), []).append(one)
        return found

    def of_endpoint(self, endpoint: str) -> Explanation:
        """The same for one endpoint alone.

        Raises
        ------
        BadInput
            Where no update is of that endpoint.
        """
        updates = tuple(one for one in self.updates if one.endpoint == endpoint)
        if not updates:
            there = ", ".join(dict.fromkeys(one.endpoint for one in self.updates)) or "none"
            raise BadInput(f"{self.capture.name} has no update of {endpoint!r}; those there are of {there}")
        return Explanation(self.capture, updates, tuple(one for one in self.findings if one.endpoint == endpoint))

    def of_update(self, update: Update) -> Explanation:
        """The same for one update alone."""
        mine = (one for one in self.findings if (one.endpoint, one.begins) == (update.endpoint, update.frames[0]))
        return Explanation(self.capture, (update,), tuple(mine))

    def _nothing(self) -> str:
        capture = self.capture
        encrypted = f"encrypted: {capture.encrypted_records} records"
        if not capture.columns.rows:
            if capture.encrypted_records:
                return f"{encrypted}: {_closed(capture)}; the right key (or a key log) would show what they carry."
            return f"No CoAP message in {capture.columns.packets} packets."
        if capture.encrypted_records:
            return (
                f"No firmware update in {capture.columns.rows} readable CoAP messages; {encrypted}: {_closed(capture)}."
            )
        return f"No firmware update in {capture.columns.rows} CoAP messages: no Write to /5/0/0 or /5/0/1."

    def to_dict(self, *, all_findings: bool = False) -> dict[str, Any]:
        """The JSON of the contract, schema 1."""
        shown = self.findings if all_findings else self.problems
        return {
            "schema": 1,
            "file": self.capture.name,
            "messages": self.capture.columns.rows,
            "encrypted_records": self.capture.encrypted_records,
            "updates": [update.to_dict() for update in self.updates],
            "findings": [finding.to_dict() for finding in shown],
        }

    def to_json(self, *, all_findings: bool = False) -> str:
        """The same as text."""
        return as_json(self.to_dict(all_findings=all_findings))

    def report(self, path: str | os.PathLike[str]) -> None:
        """Write one self-contained HTML page: what happened and why, with the evidence; no network, no script.

        Raises
        ------
        BadInput
            For a place that cannot be written.
        """
        from lwm2m_lab.show.report import report_html

        write_beside(path, report_html(self).encode())

    def __str__(self) -> str:
        capture = self.capture
        lines = [f"{capture.name}: {capture.columns.rows} CoAP messages in {capture.columns.packets} packets"]
        if capture.encrypted_records:
            lines.append(f"encrypted: {capture.encrypted_records} records")
        lines += [f"note: {note}" for note in capture.notes]
        lines += map(str, capture.logs)
        if not self.updates:
            lines.append(self._nothing())
        for update in self.updates:
            chain = self.chain(update)
            lines += ["", sentence_of(update)]
            lines += [f"  {line}" for line in facts_of(update)]
            lines += [f"  {'   ' * depth}{'-> ' if depth else ''}{finding}" for depth, finding in chain]
            lines += [f"  {line}" for line in _logged(update, [finding for _, finding in chain])]
        return "\n".join(printable(line) for line in lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        import html

        head = [self.capture.name, *(f"note: {note}" for note in self.capture.notes)]
        if self.capture.encrypted_records:
            head.append(f"encrypted: {self.capture.encrypted_records} records")
        text = "<br>".join(html.escape(line) for line in head)
        sentences = "".join(f"<p><b>{html.escape(sentence_of(update))}</b></p>" for update in self.updates)
        if not self.updates:
            sentences = f"<p><b>{html.escape(self._nothing())}</b></p>"
        chains = [link for update in self.updates for link in self.chain(update)]
        return f"<p>{text}</p>{sentences}{_findings_html(chains)}"


def _logged(update: Update, findings: list[Finding]) -> Iterator[str]:
    """Lines of the logs that stand beside the frames which the findings, or the outcome, name."""
    if not update.capture.logs:
        return
    frames = {update.shown_by, *(frame for one in findings for frame in one.frames[:6])}
    table = update.capture.log
    near = table[table["frame"].isin(frames)]
    for time, text, source, _, frame in near.head(MOST_LOGGED).itertuples(index=False):
        yield f"{source} at {time:.3f} s, beside frame {frame}: {text}"
    if len(near) > MOST_LOGGED:
        yield f"and {len(near) - MOST_LOGGED} more lines of logs beside these frames"


def _closed(capture: Capture) -> str:
    """Who speaks in the DTLS sessions that stayed closed, and why they did, in a few words."""
    closed = [one for one in capture.columns.sessions if not one.opened]
    told = {(one.identity, one.suite, one.reason): None for one in closed}
    parts = []
    for identity, suite, reason in [*told][:3]:
        who = "a DTLS session" if identity is None else f"{identity!r} in DTLS"
        parts.append(f"{who}{f' ({suite})' if suite else ''}: {reason}")
    more = [f"{len(told) - 3} more kinds"] if len(told) > 3 else []
    return "; ".join([*parts, *more]) or "single records did not authenticate"


def _findings_html(chains: list[tuple[int, Finding]]) -> str:
    """A table; what a cause led to follows it, marked with an arrow for each step."""
    if not chains:
        return ""
    rows = [
        {
            "rule": f"{'→ ' * depth}{one.rule}",
            "verdict": f"{one.verdict}, {one.certainty}",
            "party": one.party,
            "sentence": one.sentence,
            "clause": one.clause,
            "frames": ", ".join(map(str, one.frames[:8])),
        }
        for depth, one in chains
    ]
    import pandas as pd

    with pd.option_context("display.max_colwidth", None):
        return str(pd.DataFrame(rows).to_html(index=False, escape=True, border=0))


def as_json(shown: dict[str, Any]) -> str:
    """The JSON of the contract as text."""
    import json

    return json.dumps(shown, indent=2, default=_plain)


def _plain(value: Any) -> Any:
    """numpy's numbers as Python's."""
    return value.item() if hasattr(value, "item") else str(value)


def explain(capture: Capture | str | os.PathLike[str]) -> Explanation:
    """Say what a capture shows: every update, how it went, why, and whether the device conforms.

    Parameters
    ----------
    capture : Capture, or what `read` takes

    Examples
    --------
    >>> print(explain("anjay-pull-coap-404").sentence)
    urn:dev:anjay-1: the pull of a package that never came whole (frames 15 to 39) failed: the repository answered ...
    """
    if not isinstance(capture, Capture):
        capture = read(capture)
    order = {Verdict.FAIL: 0, Verdict.INCONCLUSIVE: 0, Verdict.PASS: 1, Verdict.NOT_APPLICABLE: 2}
    findings = sorted(findings_of(capture), key=lambda one: order[one.verdict])
    return Explanation(capture, tuple(capture._updates), tuple(findings))

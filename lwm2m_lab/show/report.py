"""The report: one HTML page for the engineer who was not there, in the order in which one asks.

It needs no network and no script, follows the reader's light or dark, and prints. Everything that came over the wire is
escaped. The same capture gives the same bytes.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

import lwm2m_lab
from lwm2m_lab.show.evidence import decisive_frames, log_lines, messages_around
from lwm2m_lab.show.page import Cell, Row, escaped, facts_table, picture, signed, table, whole_page
from lwm2m_lab.show.style import svg_text
from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.trace.findings import RULES, Finding, Verdict

if TYPE_CHECKING:
    from lwm2m_lab.trace.explain import Explanation
    from lwm2m_lab.trace.updates import Update

__all__ = ["report_html"]

#: Updates told in full: all where they are few, else the first that did not go well.
DETAILED = 8
#: Rows of the summary.
SUMMARISED = 1000
_FRAMES_SHOWN = 12


def report_html(explanation: Explanation) -> str:
    """The whole page."""
    capture = explanation.capture
    told = _told(explanation.updates)
    parts = [
        *_head(explanation),
        *_sentences(explanation, told),
        *_summary(explanation.updates, told),
        *(piece for number, update in told.items() for piece in _update(explanation, number, update)),
        *_triage(explanation),
        *_origin(explanation),
    ]
    return whole_page(f"Firmware update report: {capture.name}", parts)


def _told(updates: Sequence[Update]) -> dict[int, Update]:
    """The updates that are told in full, by their numbers."""
    if len(updates) <= DETAILED:
        return dict(enumerate(updates))
    failing = [at for at, one in enumerate(updates) if one.outcome != "succeeded" or one.verdict == "FAIL"]
    return {number: updates[number] for number in (failing or [0])[:DETAILED]}


def _kind(update: Update) -> str:
    """Good, bad or open: how the update went and whether the device conforms, as one colour."""
    if update.outcome == "failed" or update.verdict == "FAIL":
        return "bad"
    return "good" if update.outcome == "succeeded" and update.verdict in ("PASS", "NOT APPLICABLE") else "open"


_OUTCOME_KINDS = {"succeeded": "good", "failed": "bad"}
_VERDICT_KINDS = {"PASS": "good", "FAIL": "bad"}


def _outcome(update: Update) -> Cell:
    return Cell(signed(_OUTCOME_KINDS.get(update.outcome, "open"), update.outcome), "short")


def _verdict(verdict: str) -> Cell:
    return Cell(signed(_VERDICT_KINDS.get(verdict, "open"), verdict), "short")


# ---------------------------------------------------------------- the beginning


def _head(explanation: Explanation) -> Iterator[str]:
    number = len(explanation.updates)
    counts = [
        f"{sum(one.outcome == outcome for one in explanation.updates)} {outcome}"
        for outcome in dict.fromkeys(one.outcome for one in explanation.updates)
    ]
    what = f"{number} firmware update{'s' * (number != 1)}" + (f": {', '.join(counts)}" if counts else "")
    yield '<a class="skip" href="#main">to the report</a>'
    yield f"<header><h1>Firmware update report: {escaped(explanation.capture.name)}</h1>"
    yield f'<p class="quiet">{escaped(what)}</p></header>\n<main id="main">'


def _sentences(explanation: Explanation, told: dict[int, Update]) -> Iterator[str]:
    """One sentence for each update that is told, with the finding that says why and its clause."""
    if not explanation.updates:
        yield f'<div class="said open"><p>{escaped(explanation.sentence)}</p></div>'
    for number, update in told.items():
        own = explanation.of_update(update)
        more = f' <a href="#u{number}">Evidence</a>' if len(told) > 1 else ""
        yield f'<div class="said {_kind(update)}"><p>{escaped(own.sentence)}{more}</p>'
        for _, finding in explanation.chain(update)[:1]:
            yield (
                f'<p class="quiet">{escaped(finding.verdict)} of {escaped(finding.rule)}, {escaped(finding.title)}: '
                f"{escaped(finding.clause)}</p>"
            )
        yield "</div>"


def _summary(updates: Sequence[Update], told: dict[int, Update]) -> Iterator[str]:
    """A row for each update, where there are several."""
    if len(updates) < 2:
        return
    yield "<h2>All updates</h2>"
    rows = [
        Row(
            [
                Cell(f'<a href="#u{number}">{number + 1}</a>' if number in told else str(number + 1)),
                Cell(escaped(update.endpoint), "short"), update.delivery, _outcome(update), _verdict(update.verdict),
                Cell(escaped(_arrow(update.firmware_version_before, update.firmware_version_after)), "short"),
                _seconds(update.duration_s), update.cause or "",
            ]
        )
        for number, update in enumerate(updates[:SUMMARISED])
    ]  # fmt: skip
    heads = ("no.", "endpoint", "delivery", "outcome", "verdict", "/3/0/3", "duration", "cause")
    kinds = ("number", "short", "short", "short", "short", "", "number", "words")
    yield table("One row an update", heads, rows, kinds=kinds)
    if len(updates) > SUMMARISED:
        yield f'<p class="quiet">and {len(updates) - SUMMARISED} updates more, which the export has.</p>'
    if len(told) < len(updates):
        yield f'<p class="quiet">Told in full below: {len(told)} of {len(updates)}, what did not go well.</p>'


def _arrow(before: object, after: object) -> str:
    return f"{'?' if before is None else before} → {'?' if after is None else after}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3f} s"


# ---------------------------------------------------------------- one update


def _update(explanation: Explanation, number: int, update: Update) -> Iterator[str]:
    """Facts, pictures, findings, transfers, messages."""
    own = explanation.of_update(update)
    evidence = decisive_frames(update, own.problems)
    messages, anchored = messages_around(update, evidence, prefix=f"u{number}f")
    title = escaped(f"{update.endpoint}: {update.delivery}, {update.outcome}")
    yield f'<section aria-labelledby="u{number}"><h2 id="u{number}">{title}</h2>'
    yield facts_table(_facts(update))
    yield from _pictures(update, number, evidence)
    yield from _findings(own, explanation.chain(update), anchored, f"u{number}f")
    yield from _transfers(update)
    yield "<h3>Messages around the evidence</h3>"
    yield messages
    yield log_lines(update, anchored, prefix=f"u{number}f")
    yield "</section>"


def _facts(update: Update) -> Iterator[tuple[str, str | Cell]]:
    yield "outcome of the update", _outcome(update)
    yield "verdict on the device", _verdict(update.verdict)
    yield "State /5/0/3", _sequence([_named(State, one) for one in update.states])
    yield "Update Result /5/0/5", _sequence([_named(UpdateResult, one) for one in update.results])
    yield "Firmware Version /3/0/3", _sequence(update.firmware_versions)
    yield "PkgVersion /5/0/7", _sequence(update.pkg_versions)
    yield "package", _package(update)
    if update.evidence.info is not None:
        info = update.evidence.info
        hashed = {True: "valid", False: "does not match", None: "absent"}[info.hash_valid]
        yield "MCUboot image", f"version {info.version}, hash {hashed}"
    if update.evidence.uri is not None:
        yield "Package URI", update.evidence.uri
    sizes = ", ".join(map(str, update.block_sizes))
    yield "blocks", f"of {sizes} bytes, {update.retransmissions} retransmissions" if sizes else "none"
    yield "duration", _seconds(update.duration_s) or "the end was not seen"
    yield "frames", f"{update.frames[0]} to {update.frames[1]}"


def _sequence(values: Sequence[object]) -> str:
    shown = [str(one) for one in values[:40]]
    return (" → ".join(shown) + (" …" if len(values) > 40 else "")) or "not seen"


def _named(names: type[IntEnum], value: int) -> str:
    """A number as people say it, and as it is where the object does not know it."""
    return str(names(value)) if value in set(names) else str(value)


def _package(update: Update) -> str:
    if update.image_sha256 is None:
        return "never came whole, or cannot be read"
    taken = {True: "taken", False: "refused", None: "no final answer seen"}[update.image_accepted]
    return f"{update.image_size:,} bytes, {taken}, SHA-256 {update.image_sha256}"


def _pictures(update: Update, number: int, evidence: Sequence[int]) -> Iterator[str]:
    """The version chart, where a value was seen, and the ladder of the decisive messages."""
    from lwm2m_lab.show import ladder, version_chart

    capture = update.capture
    if len(capture.of("timeline", update.endpoint)):
        yield "<h3>Versions over time</h3>"
        chart = svg_text(version_chart(capture, endpoint=update.endpoint), name=f"c{number}")
        words = (
            f"State went {_sequence(update.states)}, Update Result {_sequence(update.results)}, Firmware Version "
            f"{_sequence(update.firmware_versions)}. A dot is a sighting; the line between two is assumed."
        )
        yield picture(chart, title=f"Version chart of {update.endpoint}", words=words)
    yield "<h3>Decisive messages</h3>"
    # Every message of the evidence, and as many lines of a log between them as a page bears.
    figure = ladder(capture, frames=evidence, collapse=False, max_rows=120).figure
    words = "Seconds since the first message, frame number, and what was said; the table below has every detail."
    yield picture(
        svg_text(figure, name=f"l{number}"),  # type: ignore[arg-type]
        title=f"Ladder of the decisive messages of {update.endpoint}",
        words=words,
    )


# ---------------------------------------------------------------- findings, transfers


def _findings(own: Explanation, chain: Sequence[tuple[int, Finding]], anchored: set[int], prefix: str) -> Iterator[str]:
    """What failed or stayed open as a table, causes before what they led to; what passed or did not apply, folded."""
    yield "<h3>Findings</h3>"
    if chain:
        caption = "Rules that fail, or leave something open; → marks what the one above led to"
        yield _findings_table(caption, chain, anchored, prefix)
    else:
        yield "<p>No rule fails, and none leaves anything open.</p>"
    passed = [one for one in own.findings if one.verdict == Verdict.PASS]
    if passed:
        yield f"<details><summary>{len(passed)} findings pass</summary>"
        yield _findings_table("Rules that pass", [(0, one) for one in passed], anchored, prefix) + "</details>"
    rest = sorted({one.rule for one in own.findings if one.verdict == Verdict.NOT_APPLICABLE})
    if rest:
        yield f'<p class="quiet">Not applicable here: {escaped(", ".join(rest))}.</p>'


def _findings_table(caption: str, findings: Sequence[tuple[int, Finding]], anchored: set[int], prefix: str) -> str:
    rows = [
        Row(
            [
                f"{'→ ' * depth}{one.rule}",
                Cell(f"{_verdict(one.verdict).html}<br>{escaped(one.certainty)}", "short"),
                one.party,
                Cell(f"<b>{escaped(one.title)}</b><br>{escaped(one.sentence)}", "words"),
                Cell(_linked(one.frames, anchored, prefix)),
                one.clause,
            ]
        )
        for depth, one in findings[:200]
    ]
    return table(caption, ("rule", "verdict", "whose", "what was seen", "frames", "clause"), rows)


def _linked(frames: Sequence[int], anchored: set[int], prefix: str) -> str:
    """Frame numbers, with a way to their rows where the table of messages has them."""
    shown = [f'<a href="#{prefix}{one}">{one}</a>' if one in anchored else str(one) for one in frames[:_FRAMES_SHOWN]]
    return ", ".join(shown) + (f" and {len(frames) - _FRAMES_SHOWN} more" if len(frames) > _FRAMES_SHOWN else "")


def _transfers(update: Update) -> Iterator[str]:
    """The block-wise bodies that were moved meanwhile."""
    found = update.capture.transfers
    first, last = update.frames[0], min(update.until, update.frames[1] + 1)
    found = found[(found["endpoint"] == update.endpoint) & found["first_frame"].between(first, last - 1)]
    if not len(found):
        return
    yield "<h3>Transfers</h3>"
    rows = []
    for one in found.head(50).to_dict("records"):
        goodput = one["goodput"]
        rows.append(
            Row(
                [
                    str(one["transfer"]), "pushed" if one["kind"] == "block1" else "fetched",
                    Cell(escaped(one["uri_path"] or "/"), "code"), f"{one['first_frame']} to {one['last_frame']}",
                    f"{one['blocks']} of {', '.join(map(str, one['block_sizes']))} bytes", f"{one['size']:,} bytes",
                    "whole" if one["complete"] else f"{one['missing']} holes, or no last block",
                    str(one["retransmissions"]), _seconds(one["duration_s"]),
                    "" if goodput != goodput or goodput is None else f"{goodput / 1000:.2f} kB/s",
                    Cell(escaped(one["final_code"] or "none"), "code"),
                ]
            )
        )  # fmt: skip
    heads = ("no.", "kind", "path", "frames", "blocks", "seen", "body", "again", "duration", "goodput", "answer")
    kinds = ("number", "short", "short", "short", "short", "number", "short", "number", "number", "number", "short")
    yield table("One row a body in blocks", heads, rows, kinds=kinds)


# ---------------------------------------------------------------- the end


def _triage(explanation: Explanation) -> Iterator[str]:
    """What the capture lacks, with the remedy of each lack, and the notes of the reader."""
    found = explanation.capture.triage()
    answer = escaped(found.explainable)
    yield f'<section aria-labelledby="triage"><h2 id="triage">Can this capture be explained? {answer}</h2>'
    if found.lacks:
        rows = [
            Row([lack.what, lack.weight, Cell(escaped(lack.found), "words"), Cell(escaped(lack.remedy), "words")])
            for lack in found.lacks
        ]
        yield table("What the capture lacks", ("lack", "weight", "found", "remedy"), rows, kinds=("short", "short"))
    else:
        yield "<p>Nothing that an explanation needs is missing.</p>"
    if explanation.capture.notes:
        yield "<ul>" + "".join(f"<li>{escaped(note)}</li>" for note in explanation.capture.notes[:50]) + "</ul>"
    yield "</section>"


def _origin(explanation: Explanation) -> Iterator[str]:
    """How the report was made: enough to make it again."""
    capture, columns = explanation.capture, explanation.capture.columns
    digest, size = capture.fingerprint()
    facts: list[tuple[str, str | Cell]] = [
        ("made by", f"lwm2m-lab {lwm2m_lab.__version__}, {len(RULES)} rules"),
        ("capture", f"{capture.name}, {size:,} bytes"),
        ("SHA-256", digest),
        ("packets", f"{columns.packets:,}"),
        ("CoAP messages", f"{columns.rows:,}"),
        ("encrypted records", f"{capture.encrypted_records:,}"),
        ("selection", capture.selection or "the whole capture"),
        *(("log", str(log)) for log in capture.logs),
    ]
    if columns.rows:
        first, last = (_utc(int(time)) for time in (columns["time"].min(), columns["time"].max()))
        facts.append(("first and last message", f"{first} to {last} (UTC)"))
    yield '<section aria-labelledby="origin"><h2 id="origin">How this report was made</h2>'
    yield facts_table(facts) + "</section>"


def _utc(time_ns: int) -> str:
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=time_ns // 1000)
    return moment.isoformat(sep=" ", timespec="milliseconds")

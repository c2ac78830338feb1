"""The conformance board: every case a tile, many devices beside each other, and the page that holds every step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import lwm2m_lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.page import Cell, Row, escaped, facts_table, signed, table, whole_page
from lwm2m_lab.trace.findings import Verdict

if TYPE_CHECKING:
    from lwm2m_lab.live.conformance.records import CaseResult, StepResult
    from lwm2m_lab.live.conformance.result import Conformance

__all__ = ["Fragment", "conformance_board", "conformance_matrix", "conformance_page", "verdict_sign"]

_KINDS = {
    Verdict.PASS: "good",
    Verdict.FAIL: "bad",
    Verdict.INCONCLUSIVE: "open",
    Verdict.NOT_APPLICABLE: "quiet",
}
_SIGNS = {Verdict.PASS: "✓", Verdict.FAIL: "✗", Verdict.INCONCLUSIVE: "?", Verdict.NOT_APPLICABLE: "–"}
#: Grounds under the text of a page or a notebook, light or dark alike: Okabe and Ito's green, red and yellow, thinned.
_GROUNDS = {
    Verdict.PASS: "rgba(0,158,115,.20)",
    Verdict.FAIL: "rgba(213,94,0,.38)",
    Verdict.INCONCLUSIVE: "rgba(230,159,0,.28)",
    Verdict.NOT_APPLICABLE: "rgba(128,128,128,.10)",
}
_TILE = "display:inline-block;margin:2px;padding:3px 7px;border-radius:4px;font-size:12px;line-height:1.35"
_LEGEND = "✓ passes, ✗ fails, ? cannot be decided, – does not apply; * fails by the letter of the draft alone"


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece of a page that a notebook shows by itself.

    Attributes
    ----------
    html : str
    """

    html: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"<a piece of a page, {len(self.html)} characters>"


def verdict_sign(verdict: Verdict) -> str:
    """A sign for those who see no colour.

    Examples
    --------
    >>> verdict_sign(Verdict.FAIL)
    '✗'
    """
    return _SIGNS[verdict]


def conformance_board(result: Conformance) -> Fragment:
    """Every case of one device as a tile, and why where it does not pass.

    Parameters
    ----------
    result : Conformance

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> board = conformance_board(lab.conformance(cases=["int-772"]))
    >>> "✓ int-772" in board.html
    True
    """
    parts = [f"<p><b>{escaped(result.sentence)}</b></p>", _tiles(result)]
    reasons = [one for one in result.results if one.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)]
    if reasons:
        rows = "".join(
            f"<li><b>{escaped(one.case.id)}</b>, {escaped(one.case.title)}, {escaped(one.verdict)}: "
            f"{escaped(one.sentence)}</li>"
            for one in reasons
        )
        parts.append(f"<ul style='margin:4px 0'>{rows}</ul>")
    return Fragment("".join(parts))


def _tiles(result: Conformance) -> str:
    """OMA's cases, then the lab's own."""
    groups = (
        ("OMA's test cases", [one for one in result.results if one.case.id.startswith("int-")]),
        ("the lab's checks", [one for one in result.results if not one.case.id.startswith("int-")]),
    )
    parts = []
    for name, cases in groups:
        if cases:
            tiles = "".join(_tile(one) for one in cases)
            parts.append(f"<div role='list' aria-label='{escaped(name)}' style='margin:4px 0'>{tiles}</div>")
    return "".join(parts) + f"<p style='font-size:12px;opacity:.8;margin:2px'>{_LEGEND}</p>"


def _tile(one: CaseResult) -> str:
    star = "*" if _by_letter_alone(one) else ""
    label = f"{one.case.id}, {one.case.title}: {one.verdict}"
    return (
        f"<span role='listitem' style='{_TILE};background:{_GROUNDS[one.verdict]}' title='{escaped(label)}'>"
        f"{_SIGNS[one.verdict]} {escaped(one.case.id)}{star}</span>"
    )


def _by_letter_alone(one: CaseResult) -> bool:
    """Whether only the draft's letter is missed."""
    return one.verdict == Verdict.PASS and one.as_printed == Verdict.FAIL


# ---------------------------------------------------------------- many devices


def conformance_matrix(results: Mapping[str, Conformance], *, as_printed: bool = False) -> Fragment:
    """Cases down, devices across: who fails what.

    Parameters
    ----------
    results : mapping of str to Conformance
        The heads of the columns and what the bench found.
    as_printed : bool
        By the letter of the draft instead of as meant; cases of which it prints nothing are left out.

    Raises
    ------
    BadInput
        Where there is nothing to show.

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> fragment = conformance_matrix({"strict": lab.conformance(cases=["int-772"])})
    >>> fragment.html.count("<tr>")
    2
    """
    if not results:
        raise BadInput("no results are given; one or more as lab.conformance() returns them are expected")
    found = {name: {one.case.id: one for one in result.results} for name, result in results.items()}
    titles = {one.case.id: one.case.title for cases in found.values() for one in cases.values()}
    heads = "".join(f"<th scope='col' style='text-align:center'>{escaped(name)}</th>" for name in found)
    rows = []
    for id, title in titles.items():
        verdicts = [_verdict_of(cases.get(id), as_printed=as_printed) for cases in found.values()]
        if not as_printed or any(verdicts):
            cells = "".join(_matrix_cell(one) for one in verdicts)
            head = f"<th scope='row' style='text-align:left'>{escaped(id)}</th>"
            rows.append(f"<tr>{head}{cells}<td style='text-align:left'>{escaped(title)}</td></tr>")
    how = "by the letter of the draft" if as_printed else "as meant"
    caption = f"<caption style='text-align:left'>Cases {how}: ✓ passes, ✗ fails, ? open, – does not apply</caption>"
    return Fragment(
        f"<table>{caption}<thead><tr><th scope='col' style='text-align:left'>case</th>{heads}"
        f"<th scope='col' style='text-align:left'>title</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _verdict_of(one: CaseResult | None, *, as_printed: bool) -> Verdict | None:
    if one is None:
        return None
    return one.as_printed if as_printed else one.verdict


def _matrix_cell(verdict: Verdict | None) -> str:
    if verdict is None:
        return "<td></td>"
    style = f"text-align:center;background:{_GROUNDS[verdict]}"
    return f"<td style='{style}' title='{escaped(verdict)}' aria-label='{escaped(verdict)}'>{_SIGNS[verdict]}</td>"


# ---------------------------------------------------------------- the page


def conformance_page(results: Sequence[Conformance]) -> str:
    """The page of the bench: what came out, case by case, with every step; as meant and as printed apart."""
    parts = [*_head(results)]
    for number, result in enumerate(results):
        parts += _device(result, number)
    parts += _foot()
    return whole_page("Conformance report", parts)


def _head(results: Sequence[Conformance]) -> Iterator[str]:
    yield '<a class="skip" href="#main">to the report</a>'
    yield "<header><h1>Conformance: the LwM2M firmware update</h1>"
    yield "<p class=\"quiet\">OMA's test cases for Objects 3 and 5, and the lab's own checks</p></header>"
    yield '<main id="main">'
    for one in results:
        yield f'<div class="said {"good" if one.conforms else "bad"}"><p>{escaped(one.sentence)}</p></div>'


def _device(result: Conformance, number: int) -> Iterator[str]:
    """One device: who it is, its tiles, the table, every case step by step."""
    yield f"<h2>{escaped(result.device)}, Object 5 version {escaped(result.object_version)}</h2>"
    yield facts_table(
        [
            ("endpoint", result.endpoint),
            ("LwM2M", result.lwm2m),
            ("ran", _PLACES.get(result.network, result.network)),
            ("as meant", _counted(result.counts())),
            ("as printed", _counted(result.counts(as_printed=True))),
        ]
    )
    yield _tiles(result)
    rows = (
        Row((_link(one, number), _cell(one.verdict), _cell(one.as_printed), one.case.title, one.sentence))
        for one in result.results
    )
    heads = ("case", "as meant", "as printed", "title", "why")
    yield table("Every case", heads, rows, kinds=("short", "short", "short", "words", "words"))
    for one in result.results:
        yield _case(one, number)


_PLACES = {
    "simulated": "the lab's device in simulated time, one for each case",
    "loopback": "the lab's device on real sockets, one for each case; every time scaled down",
    "registered": "a device that registered by itself",
}


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items()) or "nothing"


def _link(one: CaseResult, number: int) -> Cell:
    return Cell(f'<a href="#d{number}-{escaped(one.case.id)}">{escaped(one.case.id)}</a>', "short")


def _cell(verdict: Verdict | None) -> Cell:
    return Cell("") if verdict is None else Cell(signed(_KINDS[verdict], str(verdict)), "short")


def _case(one: CaseResult, number: int) -> str:
    """One case, folded up where it passes."""
    case = one.case
    unfolded = " open" if one.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE) else ""
    star = '<span class="quiet">not by the letter</span>' if _by_letter_alone(one) else ""
    parts = [
        f'<details id="d{number}-{escaped(case.id)}"{unfolded}><summary><b>{escaped(case.id)}</b> '
        f"{escaped(case.title)}: {signed(_KINDS[one.verdict], str(one.verdict))} {star}</summary>",
        f'<p>{escaped(one.sentence)}</p><p class="quiet">{escaped(case.clause)}</p>',
    ]
    if case.errata:
        parts.append("<ul>" + "".join(f"<li>Erratum {escaped(erratum)}</li>" for erratum in case.errata) + "</ul>")
    if one.steps:
        parts.append(_steps(one.steps, case.id))
    return "".join([*parts, "</details>"])


def _steps(steps: Iterable[StepResult], id: str) -> str:
    rows = [
        Row((str(one.number), one.did, _expected(one), one.came, _cell(one.verdict), _cell(one.as_printed)))
        for one in steps
    ]
    heads = ("step", "the server does", "expected", "what came", "as meant", "as printed")
    return table(f"Steps of {id}", heads, rows, kinds=("number", "words", "words", "words", "short", "short"))


def _expected(one: StepResult) -> Cell:
    printed = "" if one.printed is None else f'<br><span class="quiet">as printed: {escaped(one.printed)}</span>'
    return Cell(escaped(one.expected) + printed, "words")


def _foot() -> Iterator[str]:
    yield "<h2>How to read this</h2>"
    yield (
        "<p>A case passes <b>as meant</b> where the device does what the specification asks for. <b>As printed</b> is "
        "the letter of OMA's draft test specification, which has errata: a device can do right and fail by the letter. "
        "INCONCLUSIVE is a case that could not be tried or not be decided, and says why; NOT APPLICABLE one that is "
        "not for this device. Where the standard can be read in more than one way (A1 to A15) every reading passes.</p>"
    )
    yield f'<p class="quiet">Made by lwm2m-lab {escaped(lwm2m_lab.__version__)}.</p>'

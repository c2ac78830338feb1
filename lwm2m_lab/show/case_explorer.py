"""A case of the bench, step by step: what the server did, what was expected, what came, and the messages beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.board import verdict_sign
from lwm2m_lab.show.page import escaped
from lwm2m_lab.show.style import png_bytes

if TYPE_CHECKING:
    from lwm2m_lab.live.conformance.records import CaseResult, StepResult
    from lwm2m_lab.live.conformance.result import Conformance

__all__ = ["CaseExplorer", "conformance_explorer"]

#: Messages that are drawn: the last of a case, where it was decided.
MOST_RUNGS = 14
_HEADS = ("", "the server does", "expected", "came", "")


class CaseExplorer:
    """The cases of one device, one at a time.

    Parameters
    ----------
    result : Conformance
    case : str, optional
        Which one first; by default the first that fails.

    Attributes
    ----------
    case : ipywidgets.Dropdown
    words : ipywidgets.HTML
        Verdict, clause, errata, and every step.
    messages : ipywidgets.Image
        The last messages of the case, as a ladder.

    Raises
    ------
    BadInput
        For a case that was not run.

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> explorer = CaseExplorer(lab.conformance(cases=["int-77[02]"]), case="int-772")
    >>> "answer 4.05" in explorer.words.value
    True
    """

    def __init__(self, result: Conformance, *, case: str | None = None) -> None:
        self.result = result
        names = [one.case.id for one in result.results]
        if case is not None and case not in names:
            raise BadInput(f"no case {case!r} was run; one of {', '.join(names)} is expected")
        self.case = widgets.Dropdown(
            options=[(_name(one), one.case.id) for one in result.results],
            value=case or next(iter(result.failing()), names[0]),
            description="case",
            style={"description_width": "4em"},
            layout=widgets.Layout(width="auto"),
        )
        self.words = widgets.HTML()
        self.messages = widgets.Image(format="png", layout=widgets.Layout(max_width="100%", align_self="flex-start"))
        self.panel = widgets.VBox([self.case, self.words, self.messages])
        self.case.observe(lambda _: self._show(), "value")
        self._show()

    def _show(self) -> None:
        """Redraw everything that follows from the choice."""
        one = self.result.case(self.case.value)
        self.words.value = _words(one)
        self.messages.value = _picture(one)
        self.messages.layout.display = "flex" if self.messages.value else "none"

    def _repr_mimebundle_(self, **more: Any) -> Any:
        return self.panel._repr_mimebundle_(**more)

    def __repr__(self) -> str:
        return f"CaseExplorer({self.case.value!r} of {self.result.device})"


def conformance_explorer(result: Conformance, *, case: str | None = None) -> CaseExplorer:
    """Choose a case and see it step by step, with its messages.

    Parameters
    ----------
    result : Conformance
    case : str, optional
        Which one first; by default the first that fails.

    Raises
    ------
    BadInput
        For a case that was not run.

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> conformance_explorer(lab.conformance(cases=["int-772"]))
    CaseExplorer('int-772' of a device by the book)
    """
    return CaseExplorer(result, case=case)


def _name(one: CaseResult) -> str:
    return f"{verdict_sign(one.verdict)} {one.case.id}: {one.case.title}"


def _words(one: CaseResult) -> str:
    """A case in words and as a table."""
    head = f"<p><b>{verdict_sign(one.verdict)} {escaped(one.verdict)}</b>: {escaped(one.sentence)}</p>"
    origin = "; ".join([one.case.clause, *(f"erratum {text}" for text in one.case.errata)])
    rows = "".join(_row(step) for step in one.steps)
    heads = "".join(f"<th scope='col' style='text-align:left'>{name}</th>" for name in _HEADS)
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>" if rows else ""
    return f"{head}<p style='opacity:.8'>{escaped(origin)}</p>{table}"


def _row(step: StepResult) -> str:
    printed = "" if step.printed is None else f"<br><i>as printed: {escaped(step.printed)}</i>"
    texts = (str(step.number), escaped(step.did), escaped(step.expected) + printed, escaped(step.came))
    cells = "".join(f"<td style='text-align:left;vertical-align:top;padding:2px 8px'>{text}</td>" for text in texts)
    return f"<tr>{cells}<td title='{escaped(step.verdict)}'>{verdict_sign(step.verdict)}</td></tr>"


def _picture(one: CaseResult) -> bytes:
    """The last messages; nothing where none passed."""
    capture = one.capture if one.sightings else None
    if capture is None or not len(capture.columns):
        return b""
    frames = capture.columns["frame"]
    first = int(frames[-min(MOST_RUNGS, len(frames))])
    return png_bytes(capture.ladder(first=first, last=int(frames[-1])))

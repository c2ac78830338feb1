"""The case card: a story, five answers to commit to, hints one by one, and only then what the analyser says."""

from __future__ import annotations

import re
from typing import Any

import ipywidgets as widgets

from lwm2m_lab.show.clinic.cases import CASES, Case, case
from lwm2m_lab.show.clinic.judging import LAYERS, OUTCOMES, PARTIES, VERDICTS
from lwm2m_lab.show.page import escaped
from lwm2m_lab.show.style import COLOURS

__all__ = ["CaseCard", "case_card"]

_OPEN = "choose …"
_CHOICES = {"layer": LAYERS, "who": PARTIES, "outcome": OUTCOMES, "verdict": VERDICTS}
_LABELS = {"layer": "which layer", "who": "who", "outcome": "outcome", "verdict": "verdict"}
_TIPS = {
    "check": "say what the conclusion lacks, or that it is right",
    "hint": "show the next hint, a plainer one each time",
    "people say": "the conclusions that are drawn too fast",
    "analyser": "what the lab's analyser says; after a first conclusion of your own",
}


class CaseCard:
    """A case with controls.

    Parameters
    ----------
    number : int
        Of the case that is shown first.

    Attributes
    ----------
    case : Case
        The one that is shown.
    fields : dict of str to ipywidgets.Dropdown
        Layer, who, outcome, verdict.
    frames : ipywidgets.Text
        At most three.
    said : ipywidgets.HTML
        What came of the last press.

    Raises
    ------
    BadInput
        For a number that no case has.

    Examples
    --------
    >>> card = case_card(1)
    >>> card.answer("Object 5", "23", "repository", "failed", "PASS")
    >>> card.press("check")
    >>> "clears the parser" in card.said.value
    True
    """

    def __init__(self, number: int = 1) -> None:
        self.case: Case = case(number)
        style = {"description_width": "7em"}
        names = [(f"{one.number} {'★' * one.stars} {one.title}", one.number) for one in CASES.values()]
        self.chooser = widgets.Dropdown(options=names, value=number, description="case", style=style)
        self.fields = {
            name: widgets.Dropdown(options=[_OPEN, *choices], description=_LABELS[name], style=style)
            for name, choices in _CHOICES.items()
        }
        self.frames = widgets.Text(
            description="frames", placeholder="at most three, as in 15, 23", style=style, continuous_update=False
        )
        self.buttons = {name: self._button(name) for name in _TIPS}
        self.story, self.said = widgets.HTML(), widgets.HTML()
        wrapped = widgets.Layout(flex_flow="row wrap")
        asked = [self.fields["layer"], self.frames, self.fields["who"], self.fields["outcome"], self.fields["verdict"]]
        self.panel = widgets.VBox(
            [
                self.chooser, self.story, widgets.HBox(asked, layout=wrapped),
                widgets.HBox(list(self.buttons.values()), layout=wrapped), self.said,
            ]
        )  # fmt: skip
        self.chooser.observe(lambda _: self._open(), "value")
        self._open()

    def answer(self, layer: str, frames: str, who: str, outcome: str, verdict: str) -> None:
        """Set all five fields."""
        for name, value in (("layer", layer), ("who", who), ("outcome", outcome), ("verdict", verdict)):
            self.fields[name].value = value
        self.frames.value = frames

    def press(self, name: str) -> None:
        """What a button does: ``"check"``, ``"hint"``, ``"people say"``, ``"analyser"``."""
        {"check": self._check, "hint": self._hint, "people say": self._people, "analyser": self._analyser}[name]()

    # ---------------------------------------------------------------- what the buttons do

    def _open(self) -> None:
        """Another case: no answer yet, no hint, and the analyser is silent."""
        self.case, self._hints = case(self.chooser.value), 0
        self.story.value = self.case._repr_html_()
        self.answer(_OPEN, "", _OPEN, _OPEN, _OPEN)
        self.buttons["analyser"].disabled = True
        self._say("Commit to five answers, then check them.")

    def _check(self) -> None:
        frames = [int(one) for one in re.findall(r"\d{1,9}", self.frames.value)]
        chosen = {name: field.value for name, field in self.fields.items()}
        open_ones = [_LABELS[name] for name, value in chosen.items() if value == _OPEN]
        if open_ones:
            self._say(f"Still open: {', '.join(open_ones)}. Commit to an answer, even an unsure one.")
            return
        self.buttons["analyser"].disabled = False
        missing = self.case.lacks(chosen | {"frames": frames})
        if missing:
            self._say(missing, "again")
        else:
            self._say("\n".join(self.case.reasoned()), "firmware", begins="Right. ")

    def _hint(self) -> None:
        most = len(self.case.hints)
        self._hints = min(self._hints + 1, most)
        self._say("\n".join(f"Hint {level} of {most}: {self.case.hint(level)}" for level in range(1, self._hints + 1)))

    def _people(self) -> None:
        self._say("\n".join(f"“{one}”" for one in self.case.people_say))

    def _analyser(self) -> None:
        self._say(self.case.analyser())

    def _say(self, words: str, colour: str = "faint", *, begins: str = "") -> None:
        """Words under the buttons; a screen reader reads them aloud when they change."""
        lines = "<br>".join(escaped(line.strip()) for line in words.splitlines())
        self.said.value = (
            f"<div role='status' style='border-left: 4px solid {COLOURS[colour]}; padding: 2px 10px; line-height: 1.5'>"
            f"<b>{begins}</b>{lines}</div>"
        )

    def _button(self, name: str) -> widgets.Button:
        button = widgets.Button(description=name, tooltip=_TIPS[name], layout=widgets.Layout(width="auto"))
        button.on_click(lambda _: self.press(name))
        return button

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.panel._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        return f"CaseCard({self.case.heading})"


def case_card(number: int = 1) -> CaseCard:
    """A case of the clinic as a card: commit first, then be told what is missing.

    Parameters
    ----------
    number : int
        1 to 12.

    Raises
    ------
    BadInput
        For another number.
    """
    return CaseCard(number)

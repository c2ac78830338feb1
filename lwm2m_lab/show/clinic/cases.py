"""A case: its story and captures, hints one by one, what people say, and the conclusion that the evidence carries."""

from __future__ import annotations

import functools
import html
import importlib.resources
import re
import textwrap
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.clinic import judging
from lwm2m_lab.show.clinic.keys import KEYS, Needed, captures_of
from lwm2m_lab.trace.capture import Capture
from lwm2m_lab.trace.explain import explain
from lwm2m_lab.trace.sentences import sentence_of
from lwm2m_lab.trace.updates import Update

__all__ = ["ASKED", "CASES", "Case", "case"]

#: What a conclusion consists of, in this order.
ASKED = "(layer, [frames], who, outcome, verdict)"
_WIDTH = 110


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case of the clinic; it prints its story.

    Attributes
    ----------
    number, stars : int
    title, story : str
    people_say : tuple of str
        The conclusions that are drawn too fast.
    asks : str
        Which update is to be judged, where there are several.
    layer, who : tuple of str
        What is right; the first is the best word for it.
    outcome, verdict : str
    rules : tuple of str
        Rules of the analyser that speak of it.
    right, look, clause : str
        The conclusion that the evidence carries, what else is worth a look, and where it is written.
    hints : tuple of str
        From gentle to plain.
    half_day : bool
        Whether it belongs to the half-day course.

    Examples
    --------
    >>> print(case(1))
    Case 1 * Nobody at this address
    The roll-out to one gateway fails within a second. Result 7, invalid URI. We checked the URI three times, it
    parses.
    >>> case(1).hint(1)
    'Which port does the device speak to after the Write of the URI?'
    """

    number: int
    title: str
    stars: int
    story: str
    people_say: tuple[str, ...]
    layer: tuple[str, ...]
    who: tuple[str, ...]
    outcome: str
    verdict: str
    rules: tuple[str, ...]
    right: str
    look: str
    clause: str
    hints: tuple[str, ...]
    asks: str = ""
    half_day: bool = False

    # ---------------------------------------------------------------- the evidence

    @property
    def captures(self) -> tuple[Capture, ...]:
        """All that belongs to the case."""
        return _captures(self.number)

    @property
    def capture(self) -> Capture:
        """What came with the story."""
        return self.captures[0]

    @property
    def second(self) -> Capture:
        """A second capture: the other end of the link, or the same with one thing changed.

        Raises
        ------
        BadInput
            Where the case has one capture alone.
        """
        if len(self.captures) < 2:
            raise BadInput(f"case {self.number} has one capture; cases 6, 9 and 12 have a second one")
        return self.captures[1]

    @property
    def judged(self) -> Capture:
        """The capture that is to be judged."""
        return self.captures[KEYS[self.number].capture]

    @property
    def update(self) -> Update:
        """The update that is to be judged, as the analyser sees it."""
        return self.judged.update(KEYS[self.number].update)

    def needed(self) -> tuple[Needed, ...]:
        """What the frames of a conclusion have to show."""
        return KEYS[self.number].needed(self.judged)

    # ---------------------------------------------------------------- the learner

    def hint(self, level: int = 1) -> str:
        """A hint: 1 is gentle, the last one plain."""
        if level not in range(1, len(self.hints) + 1):
            raise BadInput(f"case {self.number} has no hint {level!r}; 1 to {len(self.hints)} are expected")
        return self.hints[level - 1]

    def lacks(self, answer: Any) -> str:
        """What a conclusion lacks, in words; "" where it is right.

        Parameters
        ----------
        answer : tuple, or dict
            ``(layer, [frames], who, outcome, verdict)``.

        Examples
        --------
        >>> case(1).lacks(("Object 5", [16], "repository", "failed", "PASS"))
        'Frame 16 (ACK 2.04 Changed) does not decide. Among the frames is missing: the message in which somebody ...
        """
        found = judging.conclusion_of(answer)
        if isinstance(found, str):
            return found
        words = []
        if found.layer not in self.layer:
            words.append(f"The layer {found.layer!r} would show {judging.LAYERS[found.layer]}.")
        words.append(judging.lacking_frames(found.frames, self.needed(), self.judged))
        if found.who not in self.who:
            words.append(f"To say {found.who!r} takes {judging.PARTIES[found.who]}: where is it in the capture?")
        if found.outcome != self.outcome:
            words.append(f"An update that is {found.outcome!r} shows {judging.OUTCOMES[found.outcome]}.")
        if found.verdict != self.verdict:
            words.append(f"The verdict {found.verdict!r} on the device takes {judging.VERDICTS[found.verdict]}.")
        return " ".join(one for one in words if one)

    def reasoned(self) -> tuple[str, ...]:
        """The right conclusion with its clause and frames, and what the analyser says of it, in paragraphs."""
        shown = [f"{one.words}: {_listed(sorted(one.frames))}" for one in self.needed()]
        return (
            f"{self.layer[0]}; {self.who[0]}; outcome {self.outcome}, verdict {self.verdict}. {self.right}",
            self.look,
            f"Clause: {self.clause}.",
            f"Frames: {'; '.join(shown)}.",
            f"The analyser: {self.analyser()}",
        )

    def reasoning(self) -> str:
        """The same as text of a line's width."""
        return "\n".join(textwrap.fill(line, _WIDTH, subsequent_indent="  ") for line in self.reasoned())

    def analyser(self) -> str:
        """What `explain` says of the update, and which rule speaks."""
        update = self.update
        findings = [one for one in explain(self.judged).of_update(update).problems if one.rule in self.rules]
        spoken = "".join(f" {one.rule} {one.verdict}, {one.certainty}, {one.party}." for one in findings)
        return f"{sentence_of(update)} Verdict on the device: {update.verdict}.{spoken}"

    # ---------------------------------------------------------------- shown

    @property
    def heading(self) -> str:
        """Number, stars and title."""
        return f"Case {self.number} {'*' * self.stars} {self.title}"

    def __str__(self) -> str:
        return "\n".join(textwrap.fill(line, _WIDTH) for line in (self.heading, self.story, self.asks) if line)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        stars = f"<span aria-label='{self.stars} of 4 stars'>{'★' * self.stars}</span>"
        asks = f"<p>{_marked(self.asks)}</p>" if self.asks else ""
        return (
            f"<p><b>Case {self.number} · {html.escape(self.title)}</b> {stars}</p>"
            f"<blockquote>{_marked(self.story)}</blockquote>{asks}"
        )


def _marked(text: str) -> str:
    """Text of a page, its resources in the type of code."""
    return re.sub(r"(/\d+/\d+/\d+|lab\.show\.\S+\w|capture\.\w+)", r"<code>\1</code>", html.escape(text))


def _listed(frames: list[int]) -> str:
    """Frames, the first few of many."""
    return ", ".join(map(str, frames[:5])) + (f" and {len(frames) - 5} more" if len(frames) > 5 else "")


def _load() -> Mapping[int, Case]:
    text = importlib.resources.files("lwm2m_lab.show.clinic").joinpath("cases.toml").read_text(encoding="utf-8")
    found = {}
    for number, fields in tomllib.loads(text).items():
        values: dict[str, Any] = {key: _plain(value) for key, value in fields.items()}
        found[int(number)] = Case(number=int(number), **values)
    return found


def _plain(value: Any) -> Any:
    """A value of the file as a case has it."""
    return tuple(value) if isinstance(value, list) else value.strip() if isinstance(value, str) else value


#: By number.
CASES: Mapping[int, Case] = _load()


@functools.lru_cache(maxsize=4)
def _captures(number: int) -> tuple[Capture, ...]:
    return captures_of(number)


def case(number: int) -> Case:
    """One of the twelve cases of the clinic.

    Parameters
    ----------
    number : int
        1 to 12, the later the harder.

    Raises
    ------
    BadInput
        For another number.

    Examples
    --------
    >>> case(4).capture.updates["outcome"].tolist()
    ['succeeded', 'succeeded', 'succeeded']
    """
    if isinstance(number, bool) or number not in CASES:
        raise BadInput(f"there is no case {number!r}; a number from 1 to {len(CASES)} is expected")
    return CASES[number]

"""An exercise, what a learner is told, and how the common kinds of answer are judged: "" where nothing is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lwm2m_lab.show.answers import whole
from lwm2m_lab.spec.firmware import Event
from lwm2m_lab.spec.objects import DEVICE, FIRMWARE_UPDATE

__all__ = ["Exercise", "Feedback", "events", "number", "path", "whole_number"]


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the learner is told."""

    right: bool
    words: str

    def __repr__(self) -> str:
        return ("✓ " if self.right else "… ") + self.words


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes
    ----------
    judge : callable
        Takes the answer; returns "" where it is right, else what is missing.
    hints : tuple of str
        From gentle to plain.
    praise : str or callable
        What follows from the right answer; what has to be computed is when it is asked for.
    """

    judge: Callable[[Any], str]
    hints: tuple[str, ...]
    praise: str | Callable[[], str]


def number(answer: Any, right: int, what: str) -> str:
    """What is missing where a number was asked for."""
    given = whole(answer)
    if given is None:
        return f"A whole number is asked for: {what}."
    if given == right:
        return ""
    return f"{given} is too {'many' if given > right else 'few'}. Asked for: {what}."


def whole_number(
    answer: Any,
    right: int,
    slips: Mapping[int, str],
    otherwise: str,
    means: Callable[[int], object] = lambda number: number,
) -> str:
    """What is missing where a number was asked for, with words of their own for the usual slips.

    Parameters
    ----------
    otherwise : str
        For any other number: ``{}`` is what it means.
    """
    given = whole(answer)
    if given is None:
        return "A whole number is asked for."
    if given == right:
        return ""
    if not 0 <= given < 2**32:
        return f"{given} is out of the question here."
    return slips.get(given) or otherwise.format(means(given))


def path(answer: Any, right: str) -> str:
    """What is missing where a resource was asked for."""
    answer = answer.strip() if isinstance(answer, str) else ""
    if not answer.startswith("/"):
        return "A path is asked for, as a string that begins with a slash, such as '/3/0/0'."
    if answer == right:
        return ""
    parts = answer.strip("/").split("/")
    table = {"3": DEVICE["1.1"], "5": FIRMWARE_UPDATE["1.1"]}.get(parts[0])
    if table is None or len(parts) != 3 or not parts[2].isdecimal() or int(parts[2]) not in table.resources:
        return f"{answer} is no resource of Object 3 or 5."
    resource = table.resources[int(parts[2])]
    note = f" ({resource.note})" if resource.note else ""
    return f"{answer} is {resource.name}{note}: that answers another question."


def events(answer: Any, right: set[Event], where: str) -> str:
    """What is missing where a set of events was asked for."""
    try:
        given = {answer} if isinstance(answer, Event) else set(answer)
    except TypeError:
        return "A set of events is asked for, such as {lab.Event.RESET}."
    if not given <= set(Event):
        return "Something in there is no event; lab.Event lists them."
    if given == right:
        return ""
    extra, lacking = sorted(given - right), sorted(right - given)
    if extra:
        return f"{extra[0]!s} does not belong there: think of {where}."
    return f"{len(given)} of {len(right)} found; {len(lacking)} missing in {where}."

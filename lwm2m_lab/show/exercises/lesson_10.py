"""Exercises of lesson 10, from 1.0 to 1.2."""

from __future__ import annotations

from typing import Any

from lwm2m_lab.show.exercises.judging import Exercise
from lwm2m_lab.spec.firmware import Event, Machine
from lwm2m_lab.spec.objects import OBJECT_VERSION_OF_LWM2M, State, UpdateResult
from lwm2m_lab.spec.rules import VERSIONS

__all__ = ["EXERCISES"]


def _version(answer: Any) -> str:
    right = OBJECT_VERSION_OF_LWM2M["1.2"][5]
    if not isinstance(answer, str) or answer.strip() not in VERSIONS:
        return "A version of Object 5 is asked for, as a string: one of '1.0', '1.1', '1.2'."
    if answer.strip() == right:
        return ""
    said = "That is the version of LwM2M itself." if answer.strip() == "1.2" else "So it is for LwM2M 1.0 and 1.1."
    return f"{said} Which version of the object came with LwM2M 1.2?"


def _cancel(answer: Any) -> str:
    right = {state for state in State if Event.CANCEL in Machine("1.1", state=state).legal_events()}
    try:
        given = {State(one) for one in answer}
    except (TypeError, ValueError):
        return "A set of states is asked for, such as {lab.State.IDLE}."
    if given - right:
        return f"In {min(given - right)} a Cancel is refused."
    return "" if given == right else f"{len(given)} of {len(right)} found."


def _results(answer: Any) -> str:
    right = {result for result in UpdateResult if result.valid("1.1") and not result.valid("1.0")}
    try:
        given = {int(one) for one in answer}
    except (TypeError, ValueError):
        return "A set of numbers is asked for, such as {1, 2}."
    if given & {12, 13}:
        return "12 and 13 are results of object 33629, not of Object 5."
    if given - right:
        return f"{min(given - right)} is no result that only 1.1 has."
    return "" if given == right else f"{len(given)} of {len(right)} found."


EXERCISES: dict[str, Exercise] = {
    "10-version": Exercise(
        _version,
        ("look at the table of the three versions.", "LwM2M 1.2 lists Object 5 in version 1.1."),
        "LwM2M 1.2 comes with Object 5 version 1.1; version 1.2 of the object is in the registry alone.",
    ),
    "10-cancel": Exercise(
        _cancel,
        (
            "ask a Machine in each state for its legal_events().",
            "while there is a package, and nothing is installed.",
        ),
        "while a package comes and while it waits; before there is nothing to cancel, later it is too late.",
    ),
    "10-results": Exercise(
        _results,
        ("ask lab.UpdateResult(...).valid('1.0') and the same for '1.1'.", "one for Cancel, one for deferral."),
        "10 cancelled and 11 deferred: an old server that takes every other number for a failure errs twice.",
    ),
}

"""Exercises of lesson 02, the state machine."""

from __future__ import annotations

from typing import Any

from lwm2m_lab.show.exercises import judging
from lwm2m_lab.show.exercises.judging import Exercise
from lwm2m_lab.spec.firmware import Event, Machine
from lwm2m_lab.spec.objects import State, UpdateResult

__all__ = ["EXERCISES"]


def _only_later() -> set[Event]:
    return set(Machine("1.1", state=State.DOWNLOADED).legal_events()) - set(
        Machine("1.0", state=State.DOWNLOADED).legal_events()
    )


def _failed_machine(answer: Any) -> str:
    if not isinstance(answer, Machine):
        return "A machine is asked for: the one that you have driven."
    if not answer.history:
        return f"The machine has not moved from {answer.start[0]}."
    if answer.start[0] != State.IDLE:
        return f"The machine started in {answer.start[0]}; begin in Idle."
    if (answer.state, answer.result) == (State.DOWNLOADED, UpdateResult.UPDATE_FAILED):
        return ""
    return f"The machine is in {answer.state} with {answer.result} after {len(answer.history)} steps."


EXERCISES: dict[str, Exercise] = {
    "02-only-later": Exercise(
        lambda answer: judging.events(answer, _only_later(), "what Downloaded accepts in 1.1 and not in 1.0"),
        (
            "ask two machines, lab.Machine('1.0', state=lab.State.DOWNLOADED) and the same for '1.1'.",
            "subtract one set of legal_events() from the other.",
        ),
        "the server can cancel a package that is not installed yet only since 1.1.",
    ),
    "02-failed": Exercise(
        _failed_machine,
        (
            "push, complete the package, execute the update, and let the installation fail.",
            "Event.FIRST_BLOCK, Event.PACKAGE_COMPLETE, Event.UPDATE, Event.INSTALL_FAILED.",
        ),
        "the strict reading keeps the package: back to Downloaded with Result 8, ready for another Execute.",
    ),
}

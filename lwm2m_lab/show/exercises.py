"""Exercises that check themselves: what is missing in words, hints one after the other, never just "wrong".

The right answers are computed by the library when they are asked for; none is written down here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.image import image
from lwm2m_lab.spec.firmware import Event, Machine
from lwm2m_lab.spec.objects import DEVICE, FIRMWARE_UPDATE, State, UpdateResult
from lwm2m_lab.trace.capture import Capture, read

__all__ = ["EXERCISES", "Exercise", "Feedback", "check"]


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
    praise : str
        What follows from the right answer.
    """

    judge: Callable[[Any], str]
    hints: tuple[str, ...]
    praise: str


#: How often each exercise was tried: each try shows the next hint.
_tries: dict[str, int] = {}


def check(name: str, answer: Any) -> Feedback:
    """Check an answer.

    Parameters
    ----------
    name : str
        Of the exercise, ``"01-blocks"``.
    answer : object
        ``...`` asks for the first hint.

    Raises
    ------
    BadInput
        For an exercise that does not exist.

    Examples
    --------
    >>> check("01-blocks", 79)
    ✓ 78 full blocks and one that is shorter: the last block ends the transfer by its M bit, not by its size.
    """
    if name not in EXERCISES:
        raise BadInput(f"there is no exercise {name!r}; one of {', '.join(EXERCISES)} is expected")
    exercise = EXERCISES[name]
    if answer is ...:
        return Feedback(False, f"Replace the dots by your answer. Hint: {exercise.hints[0]}")
    missing = exercise.judge(answer)
    if not missing:
        _tries.pop(name, None)
        return Feedback(True, exercise.praise)
    tried = _tries[name] = _tries.get(name, -1) + 1
    return Feedback(False, f"{missing} Hint: {exercise.hints[min(tried, len(exercise.hints) - 1)]}")


def _number(answer: Any, right: int, what: str) -> str:
    """What is missing where a number was asked for."""
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return f"A number is asked for: {what}."
    if answer == right:
        return ""
    return f"{answer} is too {'many' if answer > right else 'few'}: {what} is asked for."


def _path(answer: Any, right: str) -> str:
    """What is missing where a resource was asked for."""
    if not isinstance(answer, str) or not answer.startswith("/"):
        return "A path is asked for, such as '/3/0/0'."
    if answer == right:
        return ""
    parts = answer.strip("/").split("/")
    table = {"3": DEVICE["1.1"], "5": FIRMWARE_UPDATE["1.1"]}.get(parts[0])
    if table is None or len(parts) != 3 or not parts[2].isdecimal() or int(parts[2]) not in table.resources:
        return f"{answer} is no resource of Object 3 or 5."
    resource = table.resources[int(parts[2])]
    return f"{answer} is {resource.name}{': ' + resource.note if resource.note else ''}, which is something else."


def _events(answer: Any, right: set[Event], where: str) -> str:
    """What is missing where a set of events was asked for."""
    try:
        given = set(answer)
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


def _image_blocks() -> int:
    return -(-image(size=20_000).size // 256)


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


@functools.lru_cache(maxsize=4)
def _sample(name: str) -> Capture:
    return read(name)


def _deciding_frame() -> int:
    """The frame in which the repository refuses."""
    return int(_sample("anjay-pull-coap-404").update(0).evidence.last_frame)


def _outcome_and_verdict(answer: Any) -> str:
    update = _sample("anjay-push-badcrc").update(0)
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return "Two words are asked for: (outcome, verdict)."
    outcome, verdict = (str(word).strip() for word in answer)
    if outcome.lower() != update.outcome:
        return f"The update did not end as {outcome!r}: look at the last Update Result."
    if verdict.upper() != update.verdict:
        return f"The outcome is right; the verdict is not {verdict!r}: which rule did the device break?"
    return ""


def _doubled_gap() -> int:
    """How often the block of the cut link was sent in all."""
    return int(_sample("anjay-push-link-cut-midway").update(0).retransmissions) + 1


def _copies(answer: Any) -> str:
    return _number(answer, _doubled_gap(), "the copies of block 12, the first one included")


EXERCISES: dict[str, Exercise] = {
    "01-blocks": Exercise(
        lambda answer: _number(answer, _image_blocks(), "the blocks of 256 bytes in 20000 bytes, the last included"),
        ("divide, and think of what is left over.", "20000 / 256 is a little more than 78."),
        "78 full blocks and one that is shorter: the last block ends the transfer by its M bit, not by its size.",
    ),
    "01-what-runs": Exercise(
        lambda answer: _path(answer, "/3/0/3"),
        ("which object describes the device itself?", "Object 3; the change request speaks of its resource 3."),
        "/3/0/3 says what runs, and the change request makes the device keep it true.",
    ),
    "02-only-later": Exercise(
        lambda answer: _events(answer, _only_later(), "what Downloaded accepts in 1.1 and not in 1.0"),
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
    "07-frame": Exercise(
        lambda answer: "" if answer == _deciding_frame() else f"Frame {answer} does not decide who refused.",
        ("who is asked on port 5700, and what does it answer?", "look for a 4.04 whose request is GET /nope.bin."),
        "the repository answered: the URI was read, resolved and asked for, so parser and firewall are cleared.",
    ),
    "07-outcome-verdict": Exercise(
        _outcome_and_verdict,
        (
            "how the update went, and whether the device keeps the rules, are two questions.",
            "a device that refuses a damaged image does what it must.",
        ),
        "failed and PASS: the update failed because the device kept the rules.",
    ),
    "07-copies": Exercise(
        _copies,
        ("count the lines with one message id.", "the first copy and MAX_RETRANSMIT more."),
        "one copy and four more, each gap twice the one before: an ordinary confirmable message that nobody heard.",
    ),
}

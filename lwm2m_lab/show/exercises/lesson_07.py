"""Exercises of lesson 07, why it failed."""

from __future__ import annotations

import functools
from typing import Any

from lwm2m_lab.show.answers import verdict, whole
from lwm2m_lab.show.exercises import judging
from lwm2m_lab.show.exercises.judging import Exercise
from lwm2m_lab.show.scene import rungs
from lwm2m_lab.trace.capture import Capture, read

__all__ = ["EXERCISES"]


@functools.lru_cache(maxsize=4)
def _sample(name: str) -> Capture:
    return read(name)


def _deciding_frame() -> int:
    """The frame in which the repository refuses."""
    return int(_sample("anjay-pull-coap-404").update(0).evidence.last_frame)


def _frame(answer: Any) -> str:
    answer = whole(answer)
    if answer is None:
        return "The number of a frame is asked for, a whole number as in the first column of the ladder."
    if answer == _deciding_frame():
        return ""
    lines = rungs(_sample("anjay-pull-coap-404"), frames=[answer], collapse=False)
    if not lines:
        return f"The capture has no CoAP message in frame {answer}."
    return (
        f"Frame {answer} is {lines[0].source} to {lines[0].destination}, {lines[0].label}: it does not refuse the file."
    )


def _outcome_and_verdict(answer: Any) -> str:
    update = _sample("anjay-push-badcrc").update(0)
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        return "Two words are asked for: (outcome, verdict)."
    outcome, said = (str(word).strip() for word in answer)
    if outcome.lower() != update.outcome:
        return f"The update did not end as {outcome!r}: look at the last Update Result."
    if verdict(said) != update.verdict:
        return f"The outcome is right; the verdict is not {said!r}: which rule did the device break?"
    return ""


def _doubled_gap() -> int:
    """How often the block of the cut link was sent in all."""
    return int(_sample("anjay-push-link-cut-midway").update(0).retransmissions) + 1


def _copies(answer: Any) -> str:
    return judging.number(answer, _doubled_gap(), "the copies of block 12, the first one included")


EXERCISES: dict[str, Exercise] = {
    "07-frame": Exercise(
        _frame,
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

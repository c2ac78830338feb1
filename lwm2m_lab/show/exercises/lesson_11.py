"""Exercises of lesson 11, your device on the bench."""

from __future__ import annotations

import functools
from typing import Any

from lwm2m_lab.live.conformance import conformance
from lwm2m_lab.live.faults import all_faults
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.show.answers import verdict
from lwm2m_lab.show.exercises.judging import Exercise
from lwm2m_lab.trace.findings import Verdict

__all__ = ["EXERCISES"]

#: The case that a fault is looked for, and alone.
_ALONE = "cancel-updating"


@functools.lru_cache(maxsize=64)
def _broken_by(fault: str) -> tuple[str, ...]:
    """The cases that fail with a fault."""
    return conformance(DeviceOptions(faults=(fault,))).failing()


def _remedy(answer: Any) -> str:
    if not isinstance(answer, str) or not answer.strip():
        return "A few words are asked for, as a string."
    said = answer.lower().replace("-", " ").replace("_", " ")
    if "key log" in said or "keylog" in said:
        return ""
    if "psk" in said or "pre shared" in said:
        return "With forward secrecy the pre-shared key is only who somebody is: it does not open the records."
    return f"{answer!r} opens no record: what does the card of an encrypted capture ask for besides the key?"


def _fault(answer: Any) -> str:
    if not isinstance(answer, str) or answer not in all_faults():
        return "The name of a fault is asked for, as a string; `lwm2m-lab device --fault list` lists them."
    broken = _broken_by(answer)
    if broken == (_ALONE,):
        return ""
    return f"With {answer} these fail: {', '.join(broken) or 'none'}."


@functools.lru_cache(maxsize=1)
def _without_version() -> Verdict:
    """What int-770 says of a device without a firmware version."""
    return conformance(DeviceOptions.named("D7"), cases=["int-770"]).case("int-770").verdict


def _verdict(answer: Any) -> str:
    if verdict(answer) not in set(Verdict):
        return f"A verdict is asked for, as a string: one of {', '.join(Verdict)}."
    if verdict(answer) == _without_version():
        return ""
    return f"{str(answer)!r} would blame or excuse the device for a resource that is optional."


EXERCISES: dict[str, Exercise] = {
    "11-remedy": Exercise(
        _remedy,
        ("read the last line of the first card.", "the server can write down the secrets of each session."),
        "a key log of the session: with forward secrecy no key that is known beforehand opens it.",
    ),
    "11-fault": Exercise(
        _fault,
        (
            "which fault concerns Cancel, and State 3?",
            "try one: lab.conformance(lab.DeviceOptions(faults=('NAME',))).failing().",
        ),
        "one fault, one case: when a single case fails you know where to look.",
    ),
    "11-verdict": Exercise(
        _verdict,
        ("is /3/0/3 mandatory in Object 3?", "a step that cannot apply is left out; what remains of the case?"),
        "PASS: the step that reads /3/0/3 is left out, and everything else of int-770 is as it has to be.",
    ),
}

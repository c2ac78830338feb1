"""Exercises of lesson 03, which version it is."""

from __future__ import annotations

import functools
from typing import Any

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.catalogue import NamedDevice
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.strategies import STRATEGIES
from lwm2m_lab.live.strategy_score import score_strategy
from lwm2m_lab.live.truth_table import TruthTable, case_run, truth_table
from lwm2m_lab.show.exercises.judging import Exercise
from lwm2m_lab.trace.capture import read

__all__ = ["EXERCISES"]

_FILES = ("anjay-push-same-version", "anjay-push-delayed-failure")
_EVIDENCE = ("hash", "digest", "attest", "measured boot", "behaviour", "behavior", "feature", "signed report")


@functools.lru_cache(maxsize=1)
def _table() -> TruthTable:
    return truth_table()


def _rows(answer: Any) -> str:
    """Three rows, each a string of eleven scores."""
    if not isinstance(answer, dict) or len(set(answer) & set(STRATEGIES)) < 3:
        return "Three rows are asked for: {'S2': 'ok ok FS ...', 'S3': ..., 'S6': ...}."
    for name, row in answer.items():
        if name not in STRATEGIES:
            return f"There is no strategy {name!r}."
        right, given = _table()[name], str(row).split()
        if len(given) != len(right):
            return f"{name} has {len(given)} cells of {len(right)}."
        off = [device for device, said in zip(right, given, strict=True) if said != right[device]]
        if off:
            return f"{name} has {len(off)} cells that the runs do not bear out, {off[0]} the first."
    return ""


@functools.lru_cache(maxsize=1)
def _best_cost() -> int:
    return min(score_strategy(one.judge).cost for one in STRATEGIES.values())


def _server(answer: Any) -> str:
    try:
        score = score_strategy(answer)
    except BadInput as error:
        return f"{str(error)[:1].upper()}{str(error)[1:]}."
    if score.cost < _best_cost():
        return ""
    return f"It loses {score.cost} points, the best of S1 to S7 {_best_cost()}: {score}."


def _device(answer: Any) -> str:
    if not isinstance(answer, DeviceOptions):
        return "The options of a device are asked for: lab.DeviceOptions(...)."
    if answer.faults:
        return f"A device with the fault {answer.faults[0]} does not conform."
    own = NamedDevice("own", "your device", answer)
    if case_run(own).update(0).verdict == "FAIL":
        return "The device breaks a rule."
    broken = [name for name, row in truth_table(devices=[own]).rows.items() if row["own"] in ("FS", "FF")]
    return "" if len(broken) == 1 else f"It fools {', '.join(broken) or 'nobody'}; exactly one is asked for."


def _judged(answer: Any) -> str:
    if not isinstance(answer, dict) or set(answer) != set(_FILES):
        return f"A dictionary is asked for, with {' and '.join(_FILES)}, each a pair (outcome, verdict)."
    for name in _FILES:
        update, given = read(name).update(0), answer[name]
        if not isinstance(given, tuple | list) or len(given) != 2:
            return f"Of {name} two words are asked for: (outcome, verdict)."
        if str(given[0]).lower() != update.outcome:
            return f"{name} did not end as {given[0]!r}: look at the last Update Result."
        if str(given[1]).upper() != update.verdict:
            return f"The outcome of {name} is right; its verdict is not {given[1]!r}."
    return ""


def _evidence(answer: Any) -> str:
    if not isinstance(answer, str) or not answer.strip():
        return "A few words are asked for, as a string."
    if any(word in answer.lower() for word in _EVIDENCE):
        return ""
    return "That is told by the same firmware that lies: what comes from elsewhere, or cannot be made up?"


EXERCISES: dict[str, Exercise] = {
    "03-rows": Exercise(
        _rows,
        ("which of the four labels does the strategy read, and when?", "D3, D5 and D11 show the new version too soon."),
        "filled before the run: three rows, each fooled by other devices.",
    ),
    "03-server": Exercise(
        _server,
        (
            "what tells D9 from D2? Look at seen.downloaded.",
            "State 0 and no failure once it has settled; but a success before the Execute is none.",
        ),
        "better than S1 to S7; whoever beats the table still believes D11.",
    ),
    "03-device": Exercise(
        _device,
        ("S2 looks at the package, wherever it lies.", "an installation may fail and the package be kept."),
        "a device that keeps every rule, and one strategy that takes the package for the firmware.",
    ),
    "03-files": Exercise(
        _judged,
        ("outcome is how it ended, verdict whether the rules were kept.", "lab.read(NAME).update(0) tells both."),
        "the outcome is one question, the verdict another; neither follows from the other.",
    ),
    "03-evidence": Exercise(
        _evidence,
        ("who else knows what runs?", "a boot loader can measure and sign what it starts."),
        "attested by the boot loader, or shown by behaviour that only the new firmware has: not by a stored string.",
    ),
}

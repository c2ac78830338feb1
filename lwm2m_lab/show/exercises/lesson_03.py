"""Exercises of lesson 03, which version it is."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.catalogue import CATALOGUE, NamedDevice
from lwm2m_lab.live.experiment import push
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.strategies import STRATEGIES
from lwm2m_lab.live.strategy_score import score_strategy
from lwm2m_lab.live.truth_table import TruthTable, case_run, truth_table
from lwm2m_lab.show.answers import verdict, words
from lwm2m_lab.show.exercises.judging import Exercise
from lwm2m_lab.trace.capture import read

__all__ = ["EXERCISES"]

#: What to ask oneself where the verdict is not what was handed in.
_WHY = {
    "INCONCLUSIVE": "which reading or file is not in the capture, and would decide?",
    "FAIL": "do the result and the version that were read fit together?",
}
_FILES = ("anjay-push-same-version", "anjay-push-delayed-failure")
#: What is offered as evidence against a string that lies, and what it lacks; "" for what sees through it.
_EVIDENCE = {
    "a": "/3/0/3 an hour later is the same string, written by the same firmware.",
    "b": "State 0 and Result 1 are told by the firmware that lies.",
    "c": "A reboot has happened on D11, too: into the old firmware.",
    "d": "",
    "e": "",
    "f": "A hash in a resource of the firmware's own is one string more that it stores.",
    "g": "The frames show that every byte arrived, not that any of them runs.",
}
_LABELS = ("/5/0/7", "/3/0/3", "/3/0/19")
_MOMENTS = ("before", "at the first block", "Downloaded", "on trial", "settled")
#: What to ask oneself where a label is not what was written down.
_ASK = {
    "/5/0/7": "does a whole package lie there at that moment?",
    "/3/0/3": "which image has booted by then?",
    "/3/0/19": "is a package of firmware about this label at all?",
}


@functools.lru_cache(maxsize=1)
def _table() -> TruthTable:
    return truth_table()


@functools.lru_cache(maxsize=1)
def _labels_of_the_run() -> dict[str, tuple[str, ...]]:
    """What the three labels of the box in part A are at the five moments, from its run."""
    box = DeviceOptions(slots="ab", software_version="5.0.0")
    truth = push(version="2.0.0", device=box, seed=1).truth
    at = {one.what: one for one in truth}
    reboot = next(number for number, one in enumerate(truth) if one.what == "reboot")
    trial = next(one for one in truth[reboot:] if one.what == "registered")
    moments = (truth[0], at["Write Package, first block"], at["package complete and accepted"], trial, truth[-1])
    return {
        "/5/0/7": tuple(one.package_version or "-" for one in moments),
        "/3/0/3": tuple(one.firmware_version or "-" for one in moments),
        "/3/0/19": (str(box.software_version),) * len(moments),
    }


def _labels(answer: Any) -> str:
    """Five values for each of three labels."""
    if not isinstance(answer, dict) or set(answer) != set(_LABELS):
        return f"A dictionary is asked for, with {', '.join(_LABELS)}, each with five values, as '- - 1.0.0 - -'."
    for label, right in _labels_of_the_run().items():
        given = words(answer[label])
        if len(given) != len(right):
            return f"{label} has {len(given)} values; five are asked for: {', '.join(_MOMENTS)}."
        for moment, said, value in zip(_MOMENTS, given, right, strict=True):
            if said != value:
                return f"{label} is not {said} {moment}: {_ASK[label]}"
    return ""


def _rows(answer: Any) -> str:
    """Three rows, each a string of eleven scores."""
    if not isinstance(answer, dict) or len(set(answer) & set(STRATEGIES)) < 3:
        return "Three rows are asked for: {'S2': 'ok ok FS ...', 'S3': ..., 'S6': ...}."
    for name, row in answer.items():
        if name not in STRATEGIES:
            return f"There is no strategy {name!r}."
        right, given = _table()[name], words(row)
        if len(given) != len(right):
            return f"{name} has {len(given)} of {len(right)} cells."
        off = [device for device, said in zip(right, given, strict=True) if said.upper() != right[device].upper()]
        if off:
            case = next(one for one in _table().cases if one.name == off[0])
            return (
                f"{name} has {len(off)} cell{'s' * (len(off) > 1)} that the runs do not bear out, {off[0]} the first: "
                f"it {case.about}; "
                f"downloaded {case.seen.downloaded}, first look {case.seen.first}."
            )
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
    return f"It loses {score.cost} points, the best of S1 to S7 {_best_cost()}; for one, {score.worst}."


def _device(answer: Any) -> str:
    if not isinstance(answer, DeviceOptions):
        return "The options of a device are asked for: lab.DeviceOptions(...)."
    if answer.faults:
        return f"A device with the fault {answer.faults[0]} does not conform."
    same = [one for one in CATALOGUE.values() if _kind(one.options) == _kind(answer)]
    if same:
        return f"That is {same[0].name}, which {same[0].about}: it stands in the table. Another one is asked for."
    own = NamedDevice("own", "your device", answer)
    update = case_run(own).update(0)
    if update.verdict == "FAIL":
        return f"The device breaks a rule: {update.cause or 'see what lab.explain says of it'}."
    broken = [name for name, row in truth_table(devices=[own]).rows.items() if row["own"] in ("FS", "FF")]
    return "" if len(broken) == 1 else f"It fools {', '.join(broken) or 'nobody'}; exactly one is asked for."


def _kind(options: DeviceOptions) -> DeviceOptions:
    """A device without what makes no other kind of it: its name, its version, its times."""
    usual = DeviceOptions()
    same = {name: getattr(usual, name) for name in ("endpoint", "firmware_version", "reboot_time", "lifetime")}
    return replace(options, **same, install_time=max(usual.install_time, options.install_time // 600 * 600))


def _judged(answer: Any) -> str:
    if not isinstance(answer, dict) or set(answer) != set(_FILES):
        return f"A dictionary is asked for, with {' and '.join(_FILES)}, each a pair (outcome, verdict)."
    for name in _FILES:
        update, given = read(name).update(0), answer[name]
        if not isinstance(given, tuple | list) or len(given) != 2:
            return f"Of {name} two words are asked for: (outcome, verdict)."
        if str(given[0]).strip().lower() != update.outcome:
            return f"{name} did not end as {given[0]!r}: look at the last Update Result."
        if verdict(given[1]) != update.verdict:
            return f"The outcome of {name} is right; its verdict is not {given[1]!r}: {_WHY[update.verdict]}"
    return ""


def _evidence(answer: Any) -> str:
    try:
        given = {str(one).strip().lower() for one in answer}
    except TypeError:
        given = set()
    if not given or not given <= set(_EVIDENCE):
        return f"A set of letters is asked for, as {{'a', 'b'}}; {', '.join(_EVIDENCE)} are offered."
    for letter in sorted(given):
        if _EVIDENCE[letter]:
            return _EVIDENCE[letter]
    right = {letter for letter, lacks in _EVIDENCE.items() if not lacks}
    return (
        ""
        if given == right
        else f"{len(given)} of {len(right)} found: what else cannot be made up by the old firmware?"
    )


EXERCISES: dict[str, Exercise] = {
    "03-labels": Exercise(
        _labels,
        (
            "before the update /5/0/7 is '-': there is no package to name.",
            "/5/0/7 names a package while a whole one lies there; /3/0/3 changes with the boot, not with the download.",
        ),
        "one label moves at the download and is gone at the boot, one moves at the boot, one does not move at all.",
    ),
    "03-rows": Exercise(
        _rows,
        ("which of the four labels does the strategy read, and when?", "D3, D5 and D11 show the new version too soon."),
        "filled before the run: three rows, each fooled by other devices.",
    ),
    "03-server": Exercise(
        _server,
        (
            "what tells D9 from D2? Look at seen.downloaded.",
            "settled may be None, and so may a result; State 3 has not settled, whatever the Result.",
            "State 0 with Result 0 or 1 once it has settled; but a success before the Execute is none.",
        ),
        "better than S1 to S7; whoever beats the table still believes D11.",
    ),
    "03-device": Exercise(
        _device,
        (
            "S6 takes Idle for success: which failure ends in Idle?",
            "profiles differ there: lab.DeviceOptions(profile=..., install_fails=True).",
        ),
        "a device that keeps every rule, and one strategy that asks for a sign which a failure gives as well.",
    ),
    "03-files": Exercise(
        _judged,
        ("outcome is how it ended, verdict whether the rules were kept.", "lab.read(NAME).update(0) tells both."),
        "the outcome is one question, the verdict another; neither follows from the other.",
    ),
    "03-evidence": Exercise(
        _evidence,
        (
            "who tells each of them? The firmware that lies tells three.",
            "a boot loader can measure and sign what it starts; and what is a new firmware for?",
        ),
        "attested by the boot loader, or shown by behaviour that only the new firmware has: not by a stored string.",
    ),
}

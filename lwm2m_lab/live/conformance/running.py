"""One case on the bench: does it apply, can it be tried, then step by step to a verdict."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from lwm2m_lab.live.conformance.images import PREPARATIONS
from lwm2m_lab.live.conformance.records import (
    Came,
    Case,
    CaseResult,
    Expectation,
    Step,
    StepResult,
    Verdict,
    status_text,
    worst,
)
from lwm2m_lab.live.conformance.station import Station
from lwm2m_lab.live.requests import NoAnswer
from lwm2m_lab.spec.objects import State
from lwm2m_lab.spec.rules import VERSIONS

__all__ = ["run_case", "unanswered"]

_LACKING = {
    "push": "the device takes no push (/5/0/9)",
    "pull": "the device does not pull (/5/0/9)",
    "http": "the device pulls by nothing but CoAP (/5/0/8)",
}


async def run_case(case: Case, station: Station) -> CaseResult:
    """Run one case; whatever the device does, there is a result."""
    began = station.now
    try:
        result = await _run(case, station)
    except NoAnswer as error:
        result = unanswered(case, f"the device does not answer: {error}")
    finally:
        station.stop_observing()
    return replace(result, duration_s=round(station.now - began, 3))


async def _run(case: Case, station: Station) -> CaseResult:
    version = station.declared.object_version
    # A version that does not exist is judged by the latest that does.
    if (version if version in VERSIONS else VERSIONS[-1]) not in case.versions:
        return _not_applicable(case, f"Object 5 version {version} has no such resource")
    await _lay_out(case, station)
    lacking = [one for one in case.needs if one not in station.offers]
    if lacking:
        return _not_applicable(case, _LACKING.get(lacking[0], f"the device has no {lacking[0]}"))
    if case.prepared and case.prepared not in station.prepared:
        return _awaiting(case, PREPARATIONS[case.prepared])
    return await _take_steps(case, station)


def unanswered(case: Case, why: str) -> CaseResult:
    """A case that could not be begun, since nobody answers."""
    open_ = Verdict.INCONCLUSIVE
    return CaseResult(case=case, verdict=open_, sentence=why, as_printed=_letter(case, open_))


def _not_applicable(case: Case, why: str) -> CaseResult:
    return CaseResult(
        case=case, verdict=Verdict.NOT_APPLICABLE, sentence=why, as_printed=_letter(case, Verdict.NOT_APPLICABLE)
    )


def _awaiting(case: Case, what: str) -> CaseResult:
    """Not tried, until somebody prepares what it needs."""
    return CaseResult(
        case=case,
        verdict=Verdict.INCONCLUSIVE,
        sentence=f"the operator would have to prepare {what}",
        as_printed=_letter(case, Verdict.INCONCLUSIVE),
        awaits=what,
    )


def _letter(case: Case, verdict: Verdict) -> Verdict | None:
    """A verdict as printed, where anything is."""
    return verdict if case.is_printed else None


async def _lay_out(case: Case, station: Station) -> None:
    """The device in Idle, as far as it lets itself be brought there, and what it offers known."""
    station.clear(watches=case.watches)
    await station.look()
    await station.learn()
    await _to_idle(station)
    station.version_before = await station.read("/3/0/3") if "/3/0/3" in station.offers else None
    await station.watch()


async def _to_idle(station: Station) -> None:
    """End what an earlier case has left."""
    if station.status[0] == State.UPDATING:
        await station.until(lambda: station.status[0] != State.UPDATING)
    for reset in (station.reset_by_package, station.reset_by_uri):
        if station.status != (State.IDLE, 0):
            with contextlib.suppress(NoAnswer):
                await reset()
                await station.look()


async def _take_steps(case: Case, station: Station) -> CaseResult:
    """The steps, up to the first that does not pass as meant."""
    taken: list[StepResult] = []
    for number, step in enumerate(case.steps, start=1):
        if step.needs and step.needs not in station.offers:
            continue
        came = await step.do.perform(station)
        if step.unless is not None and step.unless.judge(came) == Verdict.PASS:
            why = f"the device ended with {status_text(came.after)}, which it may"
            return replace(_not_applicable(case, why), steps=tuple(taken))
        taken.append(_judged(number, step, came, is_printed=case.is_printed))
        if taken[-1].verdict != Verdict.PASS:
            break
    return _concluded(case, taken)


def _judged(number: int, step: Step, came: Came, *, is_printed: bool) -> StepResult:
    by_letter = step.expect if step.printed is None else step.printed
    verdict = _judge(step.expect, came)
    if step.prepares and verdict == Verdict.FAIL:
        verdict = Verdict.INCONCLUSIVE
    letter = verdict if step.printed is None else _judge(by_letter, came)
    return StepResult(
        number=number,
        did=str(step.do),
        expected=_text(step.expect),
        came=str(came),
        verdict=verdict,
        missed=_text(_missed(step.expect, came) or _missed(by_letter, came)),
        printed=None if step.printed is None else _text(by_letter),
        as_printed=letter if is_printed else None,
    )


def _judge(expectations: Sequence[Expectation], came: Came) -> Verdict:
    return worst(one.judge(came) for one in expectations)


def _missed(expectations: Sequence[Expectation], came: Came) -> list[Expectation]:
    return [one for one in expectations if one.judge(came) != Verdict.PASS]


def _text(expectations: Sequence[Expectation]) -> str:
    return "; ".join(one.text for one in expectations)


def _concluded(case: Case, taken: list[StepResult]) -> CaseResult:
    """The verdict of a case and the step that made it."""
    last = taken[-1]
    letters = [one.as_printed for one in taken if one.as_printed is not None]
    if last.verdict == Verdict.PASS:
        sentence = _by_letter(taken)
    elif last.verdict == Verdict.FAIL:
        sentence = f"step {last.number}, {last.did}: expected {last.missed}; came {last.came}"
    else:
        sentence = f"step {last.number}, {last.did}, could not be decided: expected {last.missed}; came {last.came}"
    return CaseResult(
        case=case,
        verdict=last.verdict,
        sentence=sentence,
        as_printed=worst(letters) if letters else None,
        steps=tuple(taken),
    )


def _by_letter(taken: Sequence[StepResult]) -> str:
    """What to say of a case that passes as meant."""
    for one in taken:
        if one.as_printed == Verdict.FAIL:
            return f"as meant; by the letter step {one.number} would want: {one.missed}"
    return "every step came as expected"

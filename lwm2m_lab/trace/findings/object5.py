"""Rules of Object 5 itself: its transitions, what it answers out of turn, and the range of each of its resources."""

from __future__ import annotations

from collections.abc import Iterator

from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.spec.rules import Event
from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.following import RESULT, STATE, Broken, follow, package_seen
from lwm2m_lab.trace.findings.registry import Conclusion, Verdict, rule

__all__: list[str] = []


def _requests(case: Case, event: Event, *, whole_from: float = 0) -> list[Broken]:
    """Requests of one kind that were accepted where they are no trigger."""
    return [one for one in follow(case, whole_from=whole_from) if one.what == "request" and one.value == event]


@rule(
    "O5",
    "State and Update Result follow the permitted transitions",
    clause="LwM2M E.6.1; Object 5, resources 3 and 5",
    after=("F4", "F8", "F9", "F20", "T26", "T25"),
)
def transitions(case: Case) -> Iterator[Conclusion]:
    """A path of permitted rules must lead from each sighting to the next; unseen states are no violation."""
    sighted = len(case.values(STATE)) + len(case.values(RESULT))
    # What came after a declared 1.0 is a matter of the declaration (F22), not of the update.
    declared = case.object_versions == (("1.0",), True)
    later = (UpdateResult.CANCELLED, UpdateResult.DEFERRED) if declared else ()
    broken = [one for one in follow(case) if one.what == STATE or (one.what == RESULT and one.value not in later)]
    for one in broken:
        shown = State(one.value) if one.what == STATE else UpdateResult(one.value)
        name = "State" if one.what == STATE else "Update Result"
        yield (
            Verdict.FAIL,
            f"{name} {shown} in frame {one.frame} does not follow by any permitted transition from what was seen "
            f"before (the device could have been in {one.named})",
            [one.frame],
        )
    if not broken and sighted:
        yield Verdict.PASS, f"{sighted} sightings of State and Update Result follow permitted transitions", ()


@rule("T26", "Update is executed in Downloaded only", clause="Object 5, resource 2; ETS int-772", after=("F20",))
def execute_in_downloaded(case: Case) -> Iterator[Conclusion]:
    """An Execute outside State 2 is answered 4.05; one that is accepted must be explained by State 2."""
    broken = _requests(case, Event.UPDATE)
    executes = case.update_executes
    for one in broken:
        yield (
            Verdict.FAIL,
            f"the Execute of Update in frame {one.frame} was accepted; the device was in {one.named}",
            [one.frame],
        )
    whole_from = package_seen(case)
    in_question = not broken and bool((executes.frame < whole_from).any())
    early = _requests(case, Event.UPDATE, whole_from=whole_from) if in_question else []
    for one in early:
        yield (
            Verdict.INCONCLUSIVE,
            f"the Execute of Update in frame {one.frame} was accepted, and the last block of the package was not seen "
            "before it; a capture without losses decides whether the device was still in State 1 Downloading",
            [one.frame],
        )
    if not broken and not early and len(executes):
        refused = executes[executes.response_code != None]  # noqa: E711
        refused = refused[[code[0] in "45" for code in refused.response_code]] if len(refused) else refused
        if not len(refused):
            yield Verdict.PASS, "Update was executed where State 2 explains it", executes.frame
        for frame, code in refused.each("response_frame", "response_code"):
            named = "" if code == "4.05" else ", where ETS int-772 expects 4.05 and the object's text names no code"
            yield Verdict.PASS, f"an Execute of Update was refused with {code}{named}", [frame]


@rule("T25", "no Cancel once the installation runs", clause="Object 5, resource 10", after=("F22",))
def cancel_while_updating(case: Case) -> Iterator[Conclusion]:
    """In Updating a Cancel is answered 4.05, the only code that the object's text names."""
    for frame, code in _cancels(case):
        state = case.values(STATE).before(frame).last("value", case.before(STATE))
        if state != State.UPDATING:
            continue
        if code.startswith("4."):
            yield Verdict.PASS, f"the Cancel in frame {frame} was refused with {code} in State 3", [frame]
            continue
        later = case.values(STATE).after(frame)
        again = len(case.update_executes.after(frame).before(later.first("frame", 0))) > 0
        if later.first("value") == State.UPDATING and not again:
            yield (
                Verdict.FAIL,
                f"the Cancel in frame {frame} was accepted with {code}, and State is 3 before it and in frame "
                f"{later.first('frame')}: the installation went on; 4.05 is expected",
                [frame, later.first("frame")],
            )
        else:
            yield (
                Verdict.INCONCLUSIVE,
                f"the Cancel in frame {frame} was accepted with {code}, and the last State seen is 3; a reading right "
                "before it would tell whether the installation had ended",
                [frame],
            )


@rule("T28", "no Cancel after success", clause="Object 5, resource 10; ambiguity A7", after=("F22",))
def cancel_in_idle(case: Case) -> Iterator[Conclusion]:
    """After an installation a Cancel is answered 4.05; in Idle before one no code is named (A7)."""
    # A push may hide State 1 (A4): only what was seen after the delivery tells that the device is in Idle.
    delivered = case.update.evidence.last_frame
    for frame, code in _cancels(case):
        state, result = (case.values(path).before(frame).after(delivered).last("value") for path in (STATE, RESULT))
        if state != State.IDLE:
            continue
        if code.startswith("4."):
            yield Verdict.PASS, f"the Cancel in frame {frame} was refused with {code} in State 0", [frame]
        elif result == UpdateResult.SUCCESS:
            yield (
                Verdict.FAIL,
                f"the Cancel in frame {frame} was accepted with {code} after the installation; 4.05 is expected",
                [frame],
            )
        else:
            yield Verdict.PASS, f"the Cancel in frame {frame} was accepted in Idle, which A7 leaves open", [frame]


def _cancels(case: Case) -> list[tuple[int, str]]:
    """Cancels that were answered, and how; none for a device that declares a version without resource 10."""
    if case.object_versions == (("1.0",), True):
        return []
    executes = case.executes.where(path="/5/0/10").each("frame", "response_code")
    return [(frame, code) for frame, code in executes if code is not None]


@rule(
    "T27",
    "a package is written in Idle only",
    clause="LwM2M E.6.1: what is no trigger should be rejected",
    certainty="suspected",
)
def write_out_of_turn(case: Case) -> Iterator[Conclusion]:
    """Over a package at hand, or during an installation, a Write is no trigger; a SHOULD, and no code is named."""
    begin, first = case.update.frames[0], case.delivery[:1]
    state, frame = case.before(STATE), 0
    if state not in (2, 3) or not len(first) or first.first("response_code") is None:
        return
    frame = case.history_of(STATE).before(begin).last("frame")
    if _happened(case, frame, begin):
        return
    code = first.first("response_code")
    if code.startswith("2."):
        yield (
            Verdict.INCONCLUSIVE,
            f"the Write in frame {begin} was accepted with {code} although State {State(state)} was seen in frame "
            f"{frame}; it should be rejected there, and nothing says how",
            [frame, begin],
        )
    else:
        yield (
            Verdict.PASS,
            f"the Write in frame {begin} was refused with {code} in State {State(state)}",
            [frame, begin],
        )


def _happened(case: Case, first: int, last: int) -> bool:
    """Whether anything between two frames may have changed State: a registration, an Execute, a reset."""
    endpoint = case.update.endpoint
    for name in ("registrations", "executes"):
        rows = case.capture.of(name, endpoint)
        if bool(((rows.frame > first) & (rows.frame < last)).any()):
            return True
    asked = case.capture.of("exchanges", endpoint)
    asked = asked[(asked.frame > first) & (asked.frame < last)]
    return bool((asked.uri_path == "/5/0/0").any() or (asked.uri_path == "/5/0/1").any())


@rule("R3", "State is one of 0 to 3", clause="Object 5, resource 3")
def state_range(case: Case) -> Iterator[Conclusion]:
    """The same in every version of the object."""
    yield from _in_range(case, STATE, "State", range(4))


@rule("R5", "Update Result is one of 0 to 11", clause="Object 5, resource 5")
def result_range(case: Case) -> Iterator[Conclusion]:
    """12 and 13 belong to object 33629; which of the others a declared version has is another rule's (F22)."""
    yield from _in_range(case, RESULT, "Update Result", range(12))


@rule("R9", "Delivery Method is one of 0 to 2", clause="Object 5, resource 9")
def method_range(case: Case) -> Iterator[Conclusion]:
    """Pull only, push only, both."""
    yield from _in_range(case, "/5/0/9", "Delivery Method", range(3))


@rule("R11", "Severity is one of 0 to 2", clause="Object 5, resource 11")
def severity_range(case: Case) -> Iterator[Conclusion]:
    """Critical, mandatory, optional; another value that is written must be refused."""
    yield from _in_range(case, "/5/0/11", "Severity", range(3))


def _in_range(case: Case, path: str, name: str, allowed: range) -> Iterator[Conclusion]:
    """The values of a resource that were shown, or written and accepted."""
    own = case.own_values(path)
    wrong = [one for one in own.each("frame", "value", "how") if one[1] is not None and one[1] not in allowed]
    for frame, value, how in wrong:
        verb = "was written and accepted" if how == "write" else "is shown"
        yield (
            Verdict.FAIL,
            f"{name} {value} {verb} in frame {frame}; {allowed.start} to {allowed.stop - 1} exist",
            [frame],
        )
    if len(own) and not wrong:
        yield Verdict.PASS, f"{len(own)} values of {name} are in range", ()


@rule("R13", "no deferral where it is not allowed", clause="Object 5, resource 13")
def deferred_all_the_same(case: Case) -> Iterator[Conclusion]:
    """A Maximum Defer Period of 0 forbids what Result 11 says; a negative one does not exist."""
    own = case.own_values("/5/0/13")
    for frame, value in own.each("frame", "value"):
        if isinstance(value, int) and value < 0:
            yield Verdict.FAIL, f"Maximum Defer Period {value} stands in frame {frame}; 0 or more exist", [frame]
            return
    for frame in case.values(RESULT).where(value=11).frame[:1].tolist():
        period = own.before(frame)
        if period.last("value") == 0:
            yield (
                Verdict.FAIL,
                f"Update Result 11 Deferred in frame {frame}, and Maximum Defer Period 0 in frame "
                f"{period.last('frame')} allows none",
                [period.last("frame"), frame],
            )
        elif len(period):
            yield Verdict.PASS, f"the update was deferred, and {period.last('value')} s are allowed", [frame]


@rule("A8", "a new process begins with Update Result 0", clause="Object 5, resource 5, value 0; ambiguity A8")
def result_begins_at_zero(case: Case) -> Iterator[Conclusion]:
    """The text ties the 0 to the start of a download or update; implementations reset at one of the two, or later."""
    for frame in case.values(STATE).where(value=(1, 2, 3)).frame[:1].tolist():
        shown = case.values(RESULT).after(frame)
        old = case.before(RESULT)
        if shown.first("value") == 0:
            yield Verdict.PASS, f"Update Result is 0 in frame {shown.first('frame')}, after State left Idle", [frame]
        elif old not in (None, 0) and shown.first("value") == old and not len(case.installs):
            yield (
                Verdict.PASS,
                f"Update Result is still {UpdateResult(old) if old in list(UpdateResult) else old} in frame "
                f"{shown.first('frame')} while the next process runs: one reading of A8 permits it",
                [frame, shown.first("frame")],
            )

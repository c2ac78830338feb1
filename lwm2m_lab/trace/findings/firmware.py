"""Rules of Object 5: states and results against the relation, requests in the wrong state, and what servers forget."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.trace.deliveries import uri_target
from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.following import RESULT, STATE, follow, package_seen
from lwm2m_lab.trace.findings.registry import Conclusion, Verdict, rule

__all__: list[str] = []


@rule(
    "O5", "State and Update Result follow the permitted transitions", clause="LwM2M E.6.1; Object 5, resources 3 and 5"
)
def transitions(case: Case) -> Iterator[Conclusion]:
    """A path of permitted rules must lead from each sighting to the next; unseen states are no violation."""
    sighted = len(case.values(STATE)) + len(case.values(RESULT))
    broken = [item for item in follow(case) if item[0] != "request"]
    for path, frame, value, states in broken:
        shown = State(value) if path == STATE else UpdateResult(value)
        name = "State" if path == STATE else "Update Result"
        possible = ", ".join(map(str, states)) or "none"
        yield (
            Verdict.FAIL,
            f"{name} {shown} in frame {frame} does not follow by any permitted transition from what was seen before "
            f"(the device could have been in {possible})",
            [frame],
        )
    if not broken and sighted:
        yield Verdict.PASS, f"{sighted} sightings of State and Update Result follow permitted transitions", ()


@rule("T26", "Update is executed in Downloaded only", clause="Object 5, resource 2; ETS int-772")
def execute_in_downloaded(case: Case) -> Iterator[Conclusion]:
    """An Execute outside State 2 is answered 4.05; one that is accepted must be explained by State 2."""
    broken = [item for item in follow(case) if item[0] == "request"]
    executes = case.executes.where(path="/5/0/2")
    for _, frame, _, states in broken:
        possible = ", ".join(map(str, states)) or "none"
        yield (
            Verdict.FAIL,
            f"the Execute of Update in frame {frame} was accepted; the device was in {possible}",
            [frame],
        )
    whole_from = package_seen(case)
    early = [] if broken else [item for item in follow(case, whole_from=whole_from) if item[0] == "request"]
    for _, frame, _, _ in early:
        yield (
            Verdict.INCONCLUSIVE,
            f"the Execute of Update in frame {frame} was accepted, and the last block of the package was not seen "
            "before it; a capture without losses decides whether the device was still in State 1 Downloading",
            [frame],
        )
    if not broken and not early and len(executes):
        refused = executes.where(response_code="4.05")
        if len(refused):
            yield Verdict.PASS, "an Execute of Update outside Downloaded was refused with 4.05", refused.frame
        else:
            yield Verdict.PASS, "Update was executed where State 2 explains it", executes.frame


@rule("F4", "no success before the installation", clause="LwM2M E.6.1; Object 5, resource 5, value 1")
def success_before_execute(case: Case) -> Iterator[Conclusion]:
    """Result 1 says that the new firmware was installed; at the end of a download nothing is."""
    first, results = case.executes.where(path="/5/0/2").first("frame"), case.values(RESULT)
    early = results.before(np.inf if first is None else first).where(value=1)
    fresh = early.first("frame") if case.before(RESULT) != 1 else None
    if fresh is not None and first is not None and len(case.values(STATE).where(value=2)):
        yield (
            Verdict.FAIL,
            f"Update Result 1 stands in frame {fresh}, before the Execute in frame {first}",
            [fresh, first],
        )
    elif first is not None and len(results):
        yield Verdict.PASS, "no success was reported before the Execute", [first]


@rule(
    "F1",
    "a server that waits for notifications reads in the end",
    clause="RFC 7641, 1.3",
    party="server",
    certainty="suspected",
)
def stale_notification(case: Case) -> Iterator[Conclusion]:
    """Observe promises the last value in the end, not each one: a Read may show what no notification told."""
    for path in (STATE, RESULT):
        own = case.values(path)
        told = own.where(how=("notify", "observe"))
        for frame, value in own.where(how="read").each("frame", "value"):
            earlier = told.before(frame)
            if len(earlier) and earlier.last("value") != value and not len(case.registrations):
                yield (
                    Verdict.PASS,
                    f"{path} was last told as {earlier.last('value')} and is read as {value}: the reading found it",
                    [earlier.last("frame"), frame],
                )
                return


@rule(
    "F2",
    "the server observes again after a new registration",
    clause="RFC 7641, 3.1",
    party="server",
    certainty="suspected",
)
def observe_again(case: Case) -> Iterator[Conclusion]:
    """Observations belong to the registration before the reboot; without new ones nobody learns the end."""
    executed = case.executes.where(path="/5/0/2").first("frame")
    back = case.registrations.where(operation="register").after(np.inf if executed is None else executed)
    if not len(back):
        return
    frame = back.first("frame")
    asked = case.timeline.after(frame).where(path=(STATE, RESULT))
    if len(asked):
        yield Verdict.PASS, "after the new registration State or Update Result was asked for", asked.frame[:1]
    else:
        yield (
            Verdict.FAIL,
            f"the device registered again in frame {frame}, and nobody observed or read /5/0/3 and /5/0/5 afterwards",
            [frame],
        )


@rule("F3", "the result survives the reboot", clause="Object 5, resources 3 and 5; ambiguity A6", certainty="suspected")
def result_forgotten(case: Case) -> Iterator[Conclusion]:
    """State 0 with Result 0 after the installation: the device forgot; /3/0/3 tells whether it succeeded."""
    executed = case.executes.where(path="/5/0/2").first("frame")
    back = case.registrations.where(operation="register").after(np.inf if executed is None else executed)
    if not len(back):
        return
    after = case.values(RESULT).after(back.first("frame"))
    idle = case.values(STATE).after(back.first("frame")).where(value=0)
    if not len(after) or not len(idle):
        return
    if (after.value == 0).all():
        yield (
            Verdict.INCONCLUSIVE,
            "after the reboot State is 0 and Update Result 0: the device forgot its result, and only /3/0/3 tells",
            after.frame,
        )
    else:
        yield Verdict.PASS, "the result was kept over the reboot", after.frame[:1]


@rule("F5", "an accepted Execute starts the installation", clause="LwM2M E.6.1, T15", certainty="suspected")
def execute_without_effect(case: Case) -> Iterator[Conclusion]:
    """2.04, and then neither State 3 nor a registration nor a result."""
    frame = case.installs.first("frame")
    if frame is None:
        return
    states, results = case.values(STATE).after(frame), case.values(RESULT).after(frame)
    moved = (states.value != 2).any() or (results.value != 0).any()
    again = len(case.registrations.after(frame)) > 0
    if moved or again:
        yield Verdict.PASS, "the Execute of Update had an effect", [frame]
    else:
        yield (
            Verdict.INCONCLUSIVE,
            f"the Execute in frame {frame} was accepted, and neither State 3 nor a registration nor a result followed; "
            "a reading of /5/0/3 and /5/0/5 later on would decide",
            [frame],
        )


@rule("F10", "the device fetches the URI that was written", clause="Object 5, resource 1")
def uri_cut(case: Case) -> Iterator[Conclusion]:
    """A GET to the beginning of the path: the URI was cut in the device."""
    evidence = case.update.evidence
    if evidence.kind != "pull" or not evidence.uri:
        return
    path, _ = uri_target(evidence.uri)
    gets = case.delivery.where(code="0.01")
    for frame, asked in gets.each("frame", "uri_path"):
        if asked != path:
            yield (
                Verdict.FAIL,
                f"{path} was written, and {asked} is asked for in frame {frame}: the URI was cut",
                [frame],
            )
            return
    if len(gets):
        yield Verdict.PASS, f"the device asks for {path}, as written", gets.frame[:1]


@rule("F11", "the repository serves what was written", clause="RFC 7252, 5.9.2.5", party="repository")
def repository_refuses(case: Case) -> Iterator[Conclusion]:
    """The device asked for what it was told, and the repository has nothing there."""
    evidence = case.update.evidence
    if evidence.kind != "pull" or evidence.final_code is None or evidence.refused_by == "device":
        return
    if evidence.accepted:
        yield Verdict.PASS, "the repository served the package", [evidence.last_frame]
    else:
        yield (
            Verdict.FAIL,
            f"the repository answered {evidence.final_code} to the URI that the server wrote, {evidence.uri}",
            [evidence.first_frame, evidence.last_frame],
        )


@rule(
    "F22",
    "results belong to the declared object version",
    clause="Object 5, resource 5; LwM2M Core 7.2.3",
    judges_update=False,
)
def result_of_another_version(case: Case) -> Iterator[Conclusion]:
    """10 and 11 exist since 1.1: a device that shows them offers more than it declares. The update is not judged."""
    versions, declared = case.object_versions
    high = case.values(RESULT).where(value=(10, 11))
    if not len(high) or (declared and versions != ("1.0",)):
        return
    frame, value = high.first("frame"), high.first("value")
    if declared:
        yield Verdict.FAIL, f"Object 5 is declared as 1.0, which has no Update Result {value} (frame {frame})", [frame]
    else:
        assumed = case.capture.of("registrations", case.update.endpoint).where(object5_version="1.0")
        if len(assumed):
            yield (
                Verdict.INCONCLUSIVE,
                f"Update Result {value} (frame {frame}) exists since Object 5 version 1.1, and lwm2m= stands for 1.0; "
                "a registration that declares ver= would decide",
                [assumed.first("frame"), frame],
            )

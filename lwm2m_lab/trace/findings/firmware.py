"""Rules of Object 5: states and results against the relation, requests in the wrong state, and what servers forget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.spec.rules import Event
from lwm2m_lab.spec.tracking import Tracker
from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import Conclusion, Verdict, rule

__all__: list[str] = []

STATE, RESULT = "/5/0/3", "/5/0/5"


def _requests(case: Case) -> list[tuple[int, Event, bool | None]]:
    """Requests that are events of Object 5: frame, event, accepted."""
    events = {"/5/0/2": Event.UPDATE, "/5/0/10": Event.CANCEL}
    found: list[tuple[int, Event, bool | None]] = []
    for frame, path, code in case.executes[["frame", "path", "response_code"]].itertuples(index=False):
        if path in events:
            found.append((int(frame), events[path], code.startswith("2.") if isinstance(code, str) else None))
    evidence = case.update.evidence
    event = Event.FIRST_BLOCK if evidence.kind == "push" else Event.PACKAGE_URI
    # A pull's Write is answered before the download begins; a push that ends with an error began all the same.
    accepted = None if evidence.kind == "push" or evidence.refused_by == "device" else True
    return sorted(
        [(evidence.first_frame, event, accepted), *((frame, Event.RESET, None) for frame in evidence.resets), *found]
    )


def _package_seen(case: Case) -> float:
    """Frame from which on the package may be complete: its last block, or the first after a gap in the capture."""
    evidence, columns = case.update.evidence, case.capture.columns
    if evidence.kind != "push":
        return 0
    expected = 0
    for frame in sorted(evidence.request_frames):
        row = int(np.searchsorted(columns["frame"], frame))
        num, more = int(columns["block1_num"][row]), int(columns["block1_more"][row])
        if more < 1 or num > expected:
            return frame
        expected = max(expected, num + 1)
    return np.inf


def _follow(case: Case, *, whole_from: float = 0) -> Iterator[tuple[str, int, Any, list[State]]]:
    """Follow the endpoint through the update; what no path of permitted rules explains: kind, frame, value, states.

    `whole_from` is the frame before which the package cannot have been complete.
    """
    tracker = Tracker(case.object_versions[0])
    own = case.history[case.history["path"].isin((STATE, RESULT))]
    before = own[own["frame"] < case.update.frames[0]].groupby("path").tail(1)
    during = own[own["frame"].between(case.update.frames[0], case.update.until - 1)]
    sightings = pd.concat([before, during])[["frame", "path", "value", "how"]]
    items: list[tuple[int, int, Any]] = [
        (int(frame), 1, (path, value, how)) for frame, path, value, how in sightings.itertuples(index=False)
    ]
    items += [(frame, 0, (event, accepted)) for frame, event, accepted in _requests(case)]
    again = case.registrations[case.registrations["operation"] == "register"]
    items += [(int(frame), 2, None) for frame in again["frame"]]
    for frame, kind, what in sorted(items, key=lambda item: item[:2]):
        early = case.update.frames[0] <= frame < whole_from
        tracker.held = frozenset({Event.PACKAGE_COMPLETE}) if early else frozenset()
        if kind == 2:
            tracker.reboot()
        elif kind == 0:
            event, accepted = what
            states = tracker.states
            if accepted and event == Event.UPDATE and not tracker.explains(event):
                yield "request", frame, event, states
            tracker.request(event, accepted=accepted)
        else:
            path, value, how = what
            states = tracker.states
            if not _known(path, value):
                continue
            late = how in ("notify", "send")
            if path == STATE:
                good = tracker.saw_state(State(value), may_be_late=late)
            else:
                good = tracker.saw_result(UpdateResult(value), may_be_late=late)
            if not good:
                yield path, frame, value, states


def _known(path: str, value: object) -> bool:
    return value in list(State) if path == STATE else value in list(UpdateResult)


@rule(
    "O5", "State and Update Result follow the permitted transitions", clause="LwM2M E.6.1; Object 5, resources 3 and 5"
)
def transitions(case: Case) -> Iterator[Conclusion]:
    """A path of permitted rules must lead from each sighting to the next; unseen states are no violation."""
    sighted = len(case.values(STATE)) + len(case.values(RESULT))
    broken = [item for item in _follow(case) if item[0] != "request"]
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
    broken = [item for item in _follow(case) if item[0] == "request"]
    executes = case.executes[case.executes["path"] == "/5/0/2"]
    for _, frame, _, states in broken:
        possible = ", ".join(map(str, states)) or "none"
        yield (
            Verdict.FAIL,
            f"the Execute of Update in frame {frame} was accepted; the device was in {possible}",
            [frame],
        )
    early = [] if broken else [item for item in _follow(case, whole_from=_package_seen(case)) if item[0] == "request"]
    for _, frame, _, _ in early:
        yield (
            Verdict.INCONCLUSIVE,
            f"the Execute of Update in frame {frame} was accepted, and the last block of the package was not seen "
            "before it; a capture without losses decides whether the device was still in State 1 Downloading",
            [frame],
        )
    if not broken and not early and len(executes):
        frames = executes["frame"].tolist()
        refused = executes[executes["response_code"] == "4.05"]
        if len(refused):
            yield (
                Verdict.PASS,
                "an Execute of Update outside Downloaded was refused with 4.05",
                refused["frame"].tolist(),
            )
        else:
            yield Verdict.PASS, "Update was executed where State 2 explains it", frames


@rule("F4", "no success before the installation", clause="LwM2M E.6.1; Object 5, resource 5, value 1")
def success_before_execute(case: Case) -> Iterator[Conclusion]:
    """Result 1 says that the new firmware was installed; at the end of a download nothing is."""
    earlier = case.before(RESULT)
    executes = case.executes[case.executes["path"] == "/5/0/2"]
    results = case.values(RESULT)
    first = int(executes["frame"].iloc[0]) if len(executes) else None
    early = results if first is None else results[results["frame"] < first]
    fresh = early[early["value"] == 1] if earlier != 1 else early.iloc[:0]
    downloaded = (case.values(STATE)["value"] == 2).any()
    if len(fresh) and downloaded and first is not None:
        frame = int(fresh["frame"].iloc[0])
        yield (
            Verdict.FAIL,
            f"Update Result 1 stands in frame {frame}, before the Execute in frame {first}",
            [frame, first],
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
        told = own[own["how"].isin(("notify", "observe"))]
        for frame, value, how in own[["frame", "value", "how"]].itertuples(index=False):
            earlier = told[told["frame"] < frame]
            if how == "read" and len(earlier) and earlier["value"].iloc[-1] != value and len(case.registrations) == 0:
                yield (
                    Verdict.PASS,
                    f"{path} was last told as {earlier['value'].iloc[-1]} and is read as {value}: the reading found it",
                    [int(earlier["frame"].iloc[-1]), frame],
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
    executes = case.executes[case.executes["path"] == "/5/0/2"]
    again = case.registrations[case.registrations["operation"] == "register"]
    if not len(executes) or not len(again):
        return
    back = again[again["frame"] > executes["frame"].iloc[0]]
    if not len(back):
        return
    frame = int(back["frame"].iloc[0])
    asked = case.timeline[(case.timeline["frame"] > frame) & case.timeline["path"].isin((STATE, RESULT))]
    if len(asked):
        yield (
            Verdict.PASS,
            "after the new registration State or Update Result was asked for",
            asked["frame"].tolist()[:1],
        )
    else:
        yield (
            Verdict.FAIL,
            f"the device registered again in frame {frame}, and nobody observed or read /5/0/3 and /5/0/5 afterwards",
            [frame],
        )


@rule("F3", "the result survives the reboot", clause="Object 5, resources 3 and 5; ambiguity A6", certainty="suspected")
def result_forgotten(case: Case) -> Iterator[Conclusion]:
    """State 0 with Result 0 after the installation: the device forgot; /3/0/3 tells whether it succeeded."""
    executes = case.executes[case.executes["path"] == "/5/0/2"]
    again = case.registrations[case.registrations["operation"] == "register"]
    again = again[again["frame"] > executes["frame"].iloc[0]] if len(executes) else again.iloc[:0]
    if not len(again):
        return
    results = case.values(RESULT)
    after = results[results["frame"] > again["frame"].iloc[0]]
    states = case.values(STATE)
    idle = states[(states["frame"] > again["frame"].iloc[0]) & (states["value"] == 0)]
    if not len(after) or not len(idle):
        return
    if set(after["value"]) == {0}:
        yield (
            Verdict.INCONCLUSIVE,
            "after the reboot State is 0 and Update Result 0: the device forgot its result, and only /3/0/3 tells",
            after["frame"].tolist(),
        )
    else:
        yield Verdict.PASS, "the result was kept over the reboot", after["frame"].tolist()[:1]


@rule("F5", "an accepted Execute starts the installation", clause="LwM2M E.6.1, T15", certainty="suspected")
def execute_without_effect(case: Case) -> Iterator[Conclusion]:
    """2.04, and then neither State 3 nor a registration nor a result."""
    good = case.executes["response_code"].str.startswith("2.").fillna(False) if len(case.executes) else case.executes
    executes = case.executes[(case.executes["path"] == "/5/0/2") & good] if len(case.executes) else case.executes
    if not len(executes):
        return
    frame = int(executes["frame"].iloc[0])
    states, results = case.values(STATE), case.values(RESULT)
    moved = (states[states["frame"] > frame]["value"] != 2).any() or (
        results[results["frame"] > frame]["value"] != 0
    ).any()
    again = (case.registrations["frame"] > frame).any()
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
    from lwm2m_lab.trace.deliveries import uri_target

    path, _ = uri_target(evidence.uri)
    gets = case.exchanges[(case.exchanges["code"] == "0.01") & case.exchanges["frame"].isin(evidence.request_frames)]
    for frame, asked in gets[["frame", "uri_path"]].itertuples(index=False):
        if asked != path:
            yield (
                Verdict.FAIL,
                f"{path} was written, and {asked} is asked for in frame {frame}: the URI was cut",
                [frame],
            )
            return
    if len(gets):
        yield Verdict.PASS, f"the device asks for {path}, as written", gets["frame"].tolist()[:1]


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
    high = case.values(RESULT)
    high = high[high["value"].isin((10, 11))]
    if not len(high) or (declared and versions != ("1.0",)):
        return
    frame, value = int(high["frame"].iloc[0]), int(high["value"].iloc[0])
    if declared:
        yield Verdict.FAIL, f"Object 5 is declared as 1.0, which has no Update Result {value} (frame {frame})", [frame]
    else:
        assumed = case.capture.of("registrations", case.update.endpoint)
        assumed = assumed[assumed["object5_version"] == "1.0"]
        if len(assumed):
            yield (
                Verdict.INCONCLUSIVE,
                f"Update Result {value} (frame {frame}) exists since Object 5 version 1.1, and lwm2m= stands for 1.0; "
                "a registration that declares ver= would decide",
                [int(assumed["frame"].iloc[0]), frame],
            )

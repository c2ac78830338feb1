"""An endpoint followed through an update, from sighting to sighting, along the permitted transitions."""

from __future__ import annotations

from typing import Any

import numpy as np

from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.spec.rules import Event
from lwm2m_lab.spec.tracking import Tracker
from lwm2m_lab.trace.findings.case import Case

__all__ = ["RESULT", "STATE", "follow", "package_seen"]

STATE, RESULT = "/5/0/3", "/5/0/5"
#: What, in which frame, which value or event, and the states that were possible.
Broken = tuple[str, int, Any, list[State]]


def _requests(case: Case) -> list[tuple[int, Event, bool | None]]:
    """Requests that are events of Object 5: frame, event, accepted."""
    events = {"/5/0/2": Event.UPDATE, "/5/0/10": Event.CANCEL}
    found: list[tuple[int, Event, bool | None]] = []
    for frame, path, code in case.executes.each("frame", "path", "response_code"):
        if path in events:
            found.append((frame, events[path], None if code is None else code.startswith("2.")))
    evidence = case.update.evidence
    event = Event.FIRST_BLOCK if evidence.kind == "push" else Event.PACKAGE_URI
    # A pull's Write is answered before the download begins; a push that ends with an error began all the same.
    accepted = None if evidence.kind == "push" or evidence.refused_by == "device" else True
    return sorted(
        [(evidence.first_frame, event, accepted), *((frame, Event.RESET, None) for frame in evidence.resets), *found]
    )


def package_seen(case: Case) -> float:
    """Frame from which on the package may be complete: its last block, or the first after a gap in the capture."""
    if case.update.evidence.kind != "push":
        return 0
    writes = case.delivery
    num, more = writes.block1_num, writes.request_block1_more
    ahead = np.append(0, np.maximum.accumulate(num + 1)[:-1])
    whole = writes[(more < 1) | (num > ahead)]
    frame: float = whole.first("frame", np.inf)
    return frame


def follow(case: Case, *, whole_from: float = 0) -> list[Broken]:
    """Follow the endpoint through the update; what no path of permitted rules explains.

    `whole_from` is the frame before which the package cannot have been complete.
    """
    key = ("follow", whole_from)
    if key not in case.memo:
        case.memo[key] = _followed(case, whole_from)
    broken: list[Broken] = case.memo[key]
    return broken


def _items(case: Case) -> list[tuple[int, int, Any]]:
    """Requests (0), sightings (1) and new registrations (2) in the order of the file; first what was last seen before
    the update."""
    own = case.history.where(path=(STATE, RESULT))
    earlier = own.before(case.update.frames[0])
    seen = [earlier.where(path=STATE)[-1:], earlier.where(path=RESULT)[-1:]]
    seen.append(own[(own.frame >= case.update.frames[0]) & (own.frame < case.update.until)])
    columns = ("frame", "path", "value", "how")
    items: list[tuple[int, int, Any]] = [(frame, 1, tuple(what)) for one in seen for frame, *what in one.each(*columns)]
    items += [(frame, 0, (event, accepted)) for frame, event, accepted in _requests(case)]
    items += [(frame, 2, None) for frame in case.registrations.where(operation="register").frame.tolist()]
    return sorted(items, key=lambda item: item[:2])


def _followed(case: Case, whole_from: float) -> list[Broken]:
    tracker, broken = Tracker(case.object_versions[0]), []
    for frame, kind, what in _items(case):
        early = case.update.frames[0] <= frame < whole_from
        tracker.held = frozenset({Event.PACKAGE_COMPLETE}) if early else frozenset()
        if kind == 2:
            tracker.reboot()
            continue
        states = tracker.states
        if kind == 0:
            event, accepted = what
            if accepted and event == Event.UPDATE and not tracker.explains(event):
                broken.append(("request", frame, event, states))
            tracker.request(event, accepted=accepted)
        elif _known(*what[:2]) and not _saw(tracker, *what):
            broken.append((what[0], frame, what[1], states))
    return broken


def _saw(tracker: Tracker, path: str, value: int, how: str) -> bool:
    late = how in ("notify", "send")
    if path == STATE:
        return tracker.saw_state(State(value), may_be_late=late)
    return tracker.saw_result(UpdateResult(value), may_be_late=late)


def _known(path: str, value: object) -> bool:
    return value in list(State) if path == STATE else value in list(UpdateResult)

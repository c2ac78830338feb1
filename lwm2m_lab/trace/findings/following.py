"""An endpoint followed through an update, from sighting to sighting, along the permitted transitions."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.spec.rules import Event
from lwm2m_lab.spec.tracking import Lagging, Tracker
from lwm2m_lab.trace.findings.case import Case

__all__ = ["RESULT", "STATE", "Broken", "follow", "package_seen"]

STATE, RESULT = "/5/0/3", "/5/0/5"
_KNOWN = {STATE: tuple(map(int, State)), RESULT: tuple(map(int, UpdateResult))}
#: Frame; 0 a request, 1 a sighting, 2 a registration; what it is.
Item = tuple[int, int, Any]
#: Seconds after which nothing of an exchange is on its way any more (RFC 7252, 4.8.2).
EXCHANGE_LIFETIME = 247.0
_EVENTS = {"/5/0/2": Event.UPDATE, "/5/0/10": Event.CANCEL}


@dataclass(frozen=True, slots=True)
class Broken:
    """A sighting, or a request that was accepted, that no path of permitted rules explains.

    Attributes
    ----------
    what : str
        The path of the sighting, or ``"request"``.
    frame : int
    value : int or Event
    possible : tuple of (State, UpdateResult)
        What the device could have been in.
    """

    what: str
    frame: int
    value: Any
    possible: tuple[tuple[State, UpdateResult], ...]

    @property
    def states(self) -> tuple[State, ...]:
        """The states among them."""
        return tuple(sorted({state for state, _ in self.possible}))

    @property
    def named(self) -> str:
        """The states in words."""
        return ", ".join(map(str, self.states)) or "none"


def _requests(case: Case, start: int) -> list[tuple[int, Event, bool | None]]:
    """Requests that are events of Object 5 from a frame on: frame, event, accepted."""
    executes = case.capture.of("executes", case.update.endpoint).between(start, case.update.until)
    found: list[tuple[int, Event, bool | None]] = []
    for frame, path, code in executes.each("frame", "path", "response_code"):
        if path in _EVENTS:
            found.append((frame, _EVENTS[path], None if code is None else code.startswith("2.")))
    evidence = case.update.evidence
    event = Event.FIRST_BLOCK if evidence.kind == "push" else Event.PACKAGE_URI
    # A pull's Write is answered before the download begins; a push that ends with an error began all the same.
    accepted = None if evidence.kind == "push" or evidence.refused_by == "device" else True
    found.append((evidence.first_frame, event, accepted))
    # A block 0 that is no copy begins the push anew.
    writes = case.delivery
    again: NDArray[np.bool_] = (writes.block1_num == 0) & (writes.frame > evidence.first_frame) & (writes["_code"] != 1)
    found += [(frame, Event.FIRST_BLOCK, None) for frame in writes[again].frame.tolist()]
    found += [(frame, Event.RESET, None) for frame in case.resets.frame.tolist() if frame >= start]
    return sorted(found)


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


def _items(case: Case) -> list[Item]:
    """Requests (0), sightings (1) and registrations (2) in the order of the file; first what was last seen before the
    update, and what has happened since then."""
    begin = case.update.frames[0]
    seen = [case.history_of(path).before(begin)[-1:] for path in (STATE, RESULT)]
    start = min([begin, *(frame for one in seen for frame in one.frame.tolist())])
    if case.earlier and case.earlier[-1].frames[0] >= start:
        # Nothing was seen since an earlier update: what it has left behind is not known.
        seen, start = [], begin
    seen.append(case.timeline.where(path=(STATE, RESULT)))
    columns = ("frame", "path", "value", "how")
    items: list[Item] = [(frame, 1, tuple(what)) for one in seen for frame, *what in one.each(*columns)]
    items += [(frame, 0, (event, accepted)) for frame, event, accepted in _requests(case, start)]
    registers = case.all_registers.frame
    items += [(frame, 2, None) for frame in registers.tolist() if start <= frame < case.update.until]
    return sorted(items, key=lambda item: item[:2])


def _followed(case: Case, whole_from: float) -> list[Broken]:
    """What the order of the file does not explain, and no notification or answer that is late either."""
    items = _items(case)
    broken = _explained(case, items, whole_from)
    if not broken:
        return broken
    late = _perhaps_late(case, items)
    if not late:
        return broken
    certain = {one.frame for one in _explained(case, [item for item in items if item[0] not in late], whole_from)}
    certain |= _told_in_no_order(case, items) & late
    return [one for one in broken if one.frame in certain]


def _perhaps_late(case: Case, items: list[Item]) -> set[int]:
    """Frames of notifications that a reading may have overtaken, and of answers that were a long time on their way.

    A device sends one confirmable notification after the other, so that several may wait, each with the value of its
    moment. A repeated request is answered as its first copy was.
    """
    asked = dict(case.exchanges.each("response_frame", "frame"))
    read: dict[str, float] = {}
    late: set[int] = set()
    others = sorted(frame for frame, kind, _ in items if kind != 2)
    time = dict(case.timeline.each("frame", "time"))
    for frame, kind, what in items:
        if kind != 1 or frame not in time:
            continue
        path, _, how = what
        if how in ("notify", "send"):
            if time[frame] - read.get(path, -np.inf) < EXCHANGE_LIFETIME:
                late.add(frame)
            continue
        read[path] = time[frame]
        if bisect.bisect_left(others, frame) - bisect.bisect_right(others, asked.get(frame, frame)) > 0:
            late.add(frame)
    return late


def _told_in_no_order(case: Case, items: list[Item]) -> set[int]:
    """Frames of notifications that even a device which tells of everything late cannot have sent."""
    lagging, broken = Lagging(case.object_versions[0]), set()
    for frame, kind, what in items:
        if kind == 0:
            lagging.request(what[0], accepted=what[1])
        elif kind == 2:
            lagging.request(Event.REBOOT, accepted=None)
        elif what[2] != "read" and _known(*what[:2]):
            path, value, _ = what
            told = lagging.told_state(State(value)) if path == STATE else lagging.told_result(UpdateResult(value))
            if not told:
                broken.add(frame)
    return broken


def _explained(case: Case, items: list[Item], whole_from: float) -> list[Broken]:
    tracker, broken = Tracker(case.object_versions[0]), []
    for frame, kind, what in items:
        early = case.update.frames[0] <= frame < whole_from
        tracker.held = frozenset({Event.PACKAGE_COMPLETE}) if early else frozenset()
        if kind == 2:
            tracker.reboot()
            continue
        possible = tracker.statuses
        if kind == 0:
            event, accepted = what
            if accepted and event in _EVENTS.values() and not tracker.explains(event):
                broken.append(Broken("request", frame, event, tuple(sorted(possible))))
            tracker.request(event, accepted=accepted)
        elif _known(*what[:2]) and not _saw(tracker, *what):
            broken.append(Broken(what[0], frame, what[1], tuple(sorted(possible))))
    return broken


def _saw(tracker: Tracker, path: str, value: int, how: str) -> bool:
    late = how in ("notify", "send")
    pending = how == "read"
    if path == STATE:
        return tracker.saw_state(State(value), may_be_late=late, pending=pending)
    return tracker.saw_result(UpdateResult(value), may_be_late=late, pending=pending)


def _known(path: str, value: object) -> bool:
    return value in _KNOWN[path]

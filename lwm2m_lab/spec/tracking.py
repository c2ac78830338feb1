"""The judge's side of the relation: which states a device may be in, given what was seen.

States are sampled: between two sightings a device passes through states that nobody saw. The tracker keeps every
(state, result) pair that a path of permitted rules can have led to; a sighting that none explains is a violation.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.spec.rules import INTERNAL, RULES, VERSIONS, Event

__all__ = ["Lagging", "Tracker"]

Status = tuple[State, UpdateResult]
_DELIVERIES = (Event.FIRST_BLOCK, Event.PACKAGE, Event.PACKAGE_URI)
_EVERYTHING = frozenset((state, result) for state in State for result in UpdateResult)


class Tracker:
    """Follows one device through requests and sightings.

    Every reading of every ambiguity is allowed, so what the tracker refuses no reading permits.

    Parameters
    ----------
    versions : iterable of str
        Object versions that the device may have: one if it declared it, all of them if not.

    Examples
    --------
    >>> tracker = Tracker(["1.1"])
    >>> tracker.saw_state(State.IDLE), tracker.request(Event.UPDATE, accepted=False), tracker.saw_state(State.UPDATING)
    (True, None, False)
    """

    def __init__(self, versions: Iterable[str] = VERSIONS) -> None:
        self._versions = frozenset(versions)
        self._possible: frozenset[Status] = _EVERYTHING
        # Whether a delivery was begun: only then may a device look Idle while it downloads (A4).
        self._delivering = False
        #: Internal events that cannot have happened yet, such as the end of a delivery whose last block is to come.
        self.held: frozenset[Event] = frozenset()
        # What was possible at any time since the last notification of each resource: the next one may come late.
        self._states_since: set[State] = set(State)
        self._results_since: set[UpdateResult] = set(UpdateResult)
        # Whether a request came since: a notification may then be of the time before it, and decides nothing.
        self._asked = {State: False, UpdateResult: False}

    @property
    def states(self) -> list[State]:
        """The states that the device may be in now."""
        return sorted(_states(self._after_internal()))

    @property
    def statuses(self) -> frozenset[Status]:
        """The pairs of state and result that it may be in now."""
        return self._after_internal()

    def request(self, event: Event, *, accepted: bool | None) -> None:
        """A request and whether it was answered 2.xx; None where no answer was seen.

        A request that was accepted in a state in which it is no trigger leaves nothing possible but what follows it
        from anywhere: `explains` says whether it may have been accepted.
        """
        before = self._after_internal()
        taken = self._taken(event, before)
        self._asked = {State: True, UpdateResult: True}
        self._delivering |= event in _DELIVERIES and accepted is not False
        if accepted is None:
            self._set(before | taken)
        elif accepted:
            self._set(taken or self._taken(event, _EVERYTHING))
        else:
            # A refusal of a Write may carry the failure of the process with it (A3, A9, A15).
            self._set(before | (self._close(taken) if event in (Event.FIRST_BLOCK, Event.PACKAGE) else frozenset()))

    def explains(self, event: Event) -> bool:
        """Whether the device may be in a state in which this request is a trigger."""
        return bool(self._taken(event, self._after_internal()))

    def reboot(self) -> None:
        """A new registration was seen: what survives a reboot is not specified (A6)."""
        before = self._after_internal()
        self._set(before | self._taken(Event.REBOOT, before))

    def saw_state(self, state: State, *, may_be_late: bool = False, pending: bool = False) -> bool:
        """A sighting of State; False where no permitted path leads there. A notification may be of a moment ago.

        `pending` says that a notification may be on its way still: a reading does not speak for it.
        """
        now = self._after_internal()
        fitting = _with_state(now, state)
        # A push that does not show State 1 looks Idle until it is complete (A4).
        looks_idle = state == State.IDLE and self._delivering
        hidden = _with_state(now, State.DOWNLOADING) if looks_idle else frozenset()
        good = bool(fitting or hidden) or (may_be_late and state in self._states_since)
        if self._undecided(State, may_be_late) and good:
            return True
        if fitting or hidden:
            self._possible = fitting | hidden
        elif not good:
            self._possible = _with_state(_EVERYTHING, state)
        self._states_since = set(_states(self._possible)) | (self._states_since if pending else set())
        return good

    def saw_result(self, result: UpdateResult, *, may_be_late: bool = False, pending: bool = False) -> bool:
        """A sighting of Update Result; False where no permitted path leads there."""
        now = self._after_internal()
        fitting = _with_result(now, result)
        good = bool(fitting) or (may_be_late and result in self._results_since)
        if self._undecided(UpdateResult, may_be_late) and good:
            return True
        if fitting:
            self._possible = fitting
        elif not good:
            self._possible = _with_result(_EVERYTHING, result)
        self._results_since = set(_results(self._possible)) | (self._results_since if pending else set())
        return good

    def _undecided(self, what: type[State] | type[UpdateResult], may_be_late: bool) -> bool:
        """Whether a sighting may be of the time before the last request; the next one is not."""
        asked, self._asked[what] = self._asked[what], False
        return asked and may_be_late

    def _set(self, possible: frozenset[Status]) -> None:
        self._possible = possible
        self._remember(possible)

    def _after_internal(self) -> frozenset[Status]:
        """The pairs after any number of events that no request causes."""
        closed = self._close(self._possible)
        self._remember(closed)
        return closed

    def _remember(self, possible: frozenset[Status]) -> None:
        self._states_since |= _states(possible)
        self._results_since |= _results(possible)

    def _close(self, statuses: Iterable[Status]) -> frozenset[Status]:
        return _closure(self._versions, self.held, frozenset(statuses))

    def _taken(self, event: Event, before: Iterable[Status]) -> frozenset[Status]:
        """The pairs that a request leads to where it is a trigger; the old result may stay visible (A8)."""
        return _following(self._versions, event, frozenset(before))


class Lagging:
    """Follows what one device *tells*, where each notification may be of any moment since the one before it.

    State and result are told by notifications of their own, which wait behind one another: a result may be told while
    the state of before it is still to come. So each resource has a course of its own, and a notification is explained
    if the device could have been so after some of the requests, and no fewer than the last time.

    Parameters
    ----------
    versions : iterable of str
        Object versions that the device may have.

    Examples
    --------
    >>> lagging = Lagging(["1.1"])
    >>> lagging.told_state(State.IDLE), lagging.request(Event.PACKAGE_URI, accepted=True)
    (True, None)
    >>> lagging.told_state(State.DOWNLOADED), lagging.told_state(State.DOWNLOADING)
    (True, False)
    """

    def __init__(self, versions: Iterable[str] = VERSIONS) -> None:
        self._versions = frozenset(versions)
        self._requests: list[tuple[Event, bool | None]] = []
        # Whether a delivery was begun: only then may a device look Idle while it downloads (A4).
        self._delivering = False
        # For each resource: what was possible, by the number of requests that had come by then.
        self._state: dict[int, frozenset[Status]] = {0: _EVERYTHING}
        self._result: dict[int, frozenset[Status]] = {0: _EVERYTHING}

    def request(self, event: Event, *, accepted: bool | None) -> None:
        """A request, and whether it was answered 2.xx; None where that is not known, or tells nothing."""
        self._requests.append((event, accepted))
        self._delivering |= event in _DELIVERIES and accepted is not False

    def told_state(self, state: State) -> bool:
        """A notification of State; False where no path of permitted rules leads there, however late it is told."""
        looks_idle = state == State.IDLE and self._delivering
        shown = {state, State.DOWNLOADING} if looks_idle else {state}
        self._state, good = self._told(self._state, lambda one: one[0] in shown)
        return good

    def told_result(self, result: UpdateResult) -> bool:
        """A notification of Update Result."""
        self._result, good = self._told(self._result, lambda one: one[1] == result)
        return good

    def _told(
        self, possible: dict[int, frozenset[Status]], fits: Callable[[Status], bool]
    ) -> tuple[dict[int, frozenset[Status]], bool]:
        reached: dict[int, frozenset[Status]] = {}
        before: frozenset[Status] = frozenset()
        for at in range(min(possible), len(self._requests) + 1):
            before = _closure(self._versions, frozenset(), possible.get(at, frozenset()) | before)
            reached[at] = before
            if at < len(self._requests):
                event, accepted = self._requests[at]
                taken = _following(self._versions, event, before)
                before = (taken or _following(self._versions, event, _EVERYTHING)) if accepted else before | taken
        found = {at: frozenset(filter(fits, statuses)) for at, statuses in reached.items()}
        found = {at: statuses for at, statuses in found.items() if statuses}
        return (found, True) if found else ({len(self._requests): frozenset(filter(fits, _EVERYTHING))}, False)


# The same few sets of pairs come up again and again, device after device.
@functools.lru_cache(maxsize=4096)
def _states(statuses: frozenset[Status]) -> frozenset[State]:
    return frozenset(state for state, _ in statuses)


@functools.lru_cache(maxsize=4096)
def _results(statuses: frozenset[Status]) -> frozenset[UpdateResult]:
    return frozenset(result for _, result in statuses)


@functools.lru_cache(maxsize=4096)
def _with_state(statuses: frozenset[Status], state: State) -> frozenset[Status]:
    return frozenset(status for status in statuses if status[0] == state)


@functools.lru_cache(maxsize=4096)
def _with_result(statuses: frozenset[Status], result: UpdateResult) -> frozenset[Status]:
    return frozenset(status for status in statuses if status[1] == result)


@functools.lru_cache(maxsize=4096)
def _closure(versions: frozenset[str], held: frozenset[Event], statuses: frozenset[Status]) -> frozenset[Status]:
    found, pending = set(statuses), list(statuses)
    rules = [rule for rule in RULES if rule.versions & versions and rule.event in INTERNAL and rule.event not in held]
    while pending:
        state, result = pending.pop()
        for rule in rules:
            if rule.source != state or not _allows(rule.results, result):
                continue
            for after, new in rule.outcomes:
                status = (after, result if new is None else new)
                if status not in found:
                    found.add(status)
                    pending.append(status)
    return frozenset(found)


@functools.lru_cache(maxsize=4096)
def _following(versions: frozenset[str], event: Event, before: frozenset[Status]) -> frozenset[Status]:
    found: set[Status] = set()
    for rule in RULES:
        if rule.event != event or not rule.versions & versions:
            continue
        for state, result in before:
            if rule.source == state and _allows(rule.results, result):
                for after, new in rule.outcomes:
                    found.add((after, result if new is None else new))
                    if "A8" in rule.ambiguities:
                        found.add((after, result))
    return frozenset(found)


def _allows(results: frozenset[UpdateResult] | None, result: UpdateResult) -> bool:
    return results is None or result in results

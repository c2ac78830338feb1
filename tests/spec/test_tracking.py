"""The judge's side of the relation: what a device may be in, given what was seen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lwm2m_lab.errors import ChoiceNeeded, IllegalEvent
from lwm2m_lab.spec.firmware import Event, Machine
from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.spec.rules import INTERNAL
from lwm2m_lab.spec.tracking import Tracker

IDLE, DOWNLOADING, DOWNLOADED, UPDATING = State


def test_unseen_states_are_no_violation() -> None:
    """Idle, then a push, then Updating after an Execute, then success: everything between was simply not looked at."""
    tracker = Tracker(["1.1"])
    assert tracker.saw_state(IDLE)
    tracker.request(Event.FIRST_BLOCK, accepted=None)
    tracker.request(Event.UPDATE, accepted=True)
    assert tracker.saw_state(IDLE)
    assert tracker.saw_result(UpdateResult.SUCCESS)


def test_updating_without_an_execute() -> None:
    """In 1.1 nothing leads from Idle to Updating without a request."""
    tracker = Tracker(["1.1"])
    assert tracker.saw_state(IDLE)
    assert not tracker.saw_state(UPDATING)


def test_an_execute_that_no_state_explains() -> None:
    """Accepted in Idle, with no delivery before it."""
    tracker = Tracker(["1.1"])
    tracker.saw_state(IDLE)
    assert not tracker.explains(Event.UPDATE)


def test_the_result_of_a_failed_installation_in_either_state() -> None:
    """A2: Downloaded or Idle with Result 8, neither is a violation."""
    for state in (DOWNLOADED, IDLE):
        tracker = Tracker(["1.1"])
        tracker.saw_state(DOWNLOADED)
        tracker.request(Event.UPDATE, accepted=True)
        assert tracker.saw_state(state)
        assert tracker.saw_result(UpdateResult.UPDATE_FAILED)


def test_a_late_notification() -> None:
    """A notification of a state that has passed is no violation, a reading of it is one."""
    tracker = Tracker(["1.1"])
    tracker.saw_state(DOWNLOADED)
    tracker.request(Event.UPDATE, accepted=True)
    tracker.saw_state(UPDATING)
    assert not Tracker.saw_state(_copy(tracker), DOWNLOADING)
    assert tracker.saw_state(UPDATING, may_be_late=True)


def _copy(tracker: Tracker) -> Tracker:
    import copy

    return copy.deepcopy(tracker)


@given(
    version=st.sampled_from(["1.0", "1.1", "1.2"]),
    events=st.lists(st.tuples(st.sampled_from(list(Event)), st.integers(0, 5)), max_size=20),
    looks=st.lists(st.booleans(), min_size=20, max_size=20),
)
def test_no_machine_is_ever_accused(version: str, events: list, looks: list[bool]) -> None:
    """Whatever a machine does within the relation, a tracker that sees requests and some sightings explains it."""
    machine, tracker = Machine(version, profile=None), Tracker([version])
    assert tracker.saw_state(machine.state)
    assert tracker.saw_result(machine.result)
    for (event, pick), look in zip(events, looks, strict=False):
        outcomes = machine.outcomes(event)
        try:
            machine.send(event, choose=outcomes[pick % len(outcomes)] if outcomes else None)
            accepted = True
        except (IllegalEvent, ChoiceNeeded):
            accepted = False
        if event == Event.REBOOT:
            tracker.reboot()
        elif event not in INTERNAL:
            tracker.request(event, accepted=accepted)
        if look:
            assert tracker.saw_state(machine.state)
            assert tracker.saw_result(machine.result)

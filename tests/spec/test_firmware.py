"""The machine: transcripts of updates, refusals that change nothing, choices, and no step outside the relation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwm2m_lab.errors import BadInput, ChoiceNeeded, IllegalEvent
from lwm2m_lab.spec.firmware import AMBIGUITIES, RULES, Event, Machine, rules_for
from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.spec.profiles import PROFILES

IDLE, DOWNLOADING, DOWNLOADED, UPDATING = State
R = UpdateResult


def drive(machine: Machine, *events: Event) -> list[tuple[int, int]]:
    """The (state, result) pairs after each event."""
    return [(int(step.after[0]), int(step.after[1])) for step in map(machine.send, events)]


def test_every_transition_of_the_standard_is_there() -> None:
    """T1 to T32, T28 in its two parts, each with a clause; and every ambiguity A1 to A15 is named."""
    assert {rule.id for rule in RULES} == {f"T{n}" for n in range(1, 33) if n != 28} | {"T28a", "T28b"}
    assert all(rule.clause for rule in RULES)
    assert list(AMBIGUITIES) == [f"A{n}" for n in range(1, 16)]
    marked = {name for rule in RULES for name in rule.ambiguities}
    assert marked == set(AMBIGUITIES)


def test_a_push_that_succeeds() -> None:
    """First block, complete, Execute, installed: 1/0, 2/0, 3/0, 0/1."""
    path = drive(Machine("1.0"), Event.FIRST_BLOCK, Event.PACKAGE_COMPLETE, Event.UPDATE, Event.INSTALLED)
    assert path == [(1, 0), (2, 0), (3, 0), (0, 1)]


@pytest.mark.parametrize(
    ("event", "result"),
    [
        (Event.NO_STORAGE, 2),
        (Event.NO_MEMORY, 3),
        (Event.CONNECTION_LOST, 4),
        (Event.INTEGRITY_FAILURE, 5),
        (Event.UNSUPPORTED_TYPE, 6),
        (Event.INVALID_URI, 7),
        (Event.UNSUPPORTED_SCHEME, 9),
    ],
)
def test_a_download_that_fails(event: Event, result: int) -> None:
    """Every failure ends in Idle with its own result, which stays until the next update begins."""
    machine = Machine()
    assert drive(machine, Event.PACKAGE_URI, event) == [(1, 0), (0, result)]
    assert drive(machine, Event.FIRST_BLOCK) == [(1, 0)]


def test_an_illegal_event_changes_nothing() -> None:
    """State, result and history are as before; the error names state, clause, code and what would be accepted."""
    machine = Machine("1.1", state=DOWNLOADING)
    with pytest.raises(IllegalEvent, match="'Execute Update' is refused in 1 Downloading with 4.05") as caught:
        machine.send(Event.UPDATE)
    assert (machine.state, machine.result, machine.history) == (DOWNLOADING, R.INITIAL, ())
    assert caught.value.response == "4.05"
    assert caught.value.clause == "Object 5, resource 2; ETS int-772"
    assert Event.CANCEL in caught.value.accepted


def test_an_event_of_another_version() -> None:
    """A 1.0 object has no resource 10."""
    with pytest.raises(IllegalEvent, match="does not exist in Object 5 version 1.0") as caught:
        Machine("1.0", state=DOWNLOADED).send(Event.CANCEL)
    assert caught.value.response == "4.04"


def test_several_outcomes_demand_a_choice() -> None:
    """Without a profile the caller chooses, by state, result or both; what is not permitted is refused."""
    machine = Machine("1.1", profile=None, state=UPDATING)
    with pytest.raises(ChoiceNeeded, match="several permitted outcomes") as caught:
        machine.send(Event.INSTALL_FAILED)
    assert caught.value.outcomes == ((DOWNLOADED, R.UPDATE_FAILED), (IDLE, R.UPDATE_FAILED))
    with pytest.raises(BadInput, match="not among the permitted outcomes"):
        machine.send(Event.INSTALL_FAILED, choose=UPDATING)
    assert machine.send(Event.INSTALL_FAILED, choose=IDLE).rule.id == "T24"


def test_delivery_methods() -> None:
    """A device that only pulls refuses a push (T31), and the other way round."""
    with pytest.raises(IllegalEvent, match="T31"):
        Machine(delivery=0).send(Event.FIRST_BLOCK)
    with pytest.raises(IllegalEvent, match="T31"):
        Machine(delivery=1).send(Event.PACKAGE_URI)


def test_cancel_in_every_state() -> None:
    """Since 1.1: taken in Downloading and Downloaded with Result 10, refused with 4.05 in Idle and Updating."""
    for state, good in ((IDLE, False), (DOWNLOADING, True), (DOWNLOADED, True), (UPDATING, False)):
        machine = Machine("1.1", state=state)
        if good:
            assert drive(machine, Event.CANCEL) == [(0, 10)]
        else:
            with pytest.raises(IllegalEvent) as caught:
                machine.send(Event.CANCEL)
            assert caught.value.response == "4.05"


def test_deferral() -> None:
    """Execute may be deferred since 1.1; when the deferral ends the update goes on."""
    machine = Machine("1.1", state=DOWNLOADED)
    assert machine.send(Event.UPDATE, choose=R.DEFERRED).rule.id == "T16"
    assert drive(machine, Event.DEFERRAL_ENDS, Event.INSTALLED) == [(3, 0), (0, 1)]
    assert [r.id for r in rules_for(DOWNLOADED, Event.UPDATE, "1.0")] == ["T15"]


def test_profiles_choose_as_the_field_does() -> None:
    """Zephyr's failed installation ends in Idle; Anjay refuses a Write in Downloaded with 4.00."""
    assert drive(Machine("1.0", profile="zephyr", state=UPDATING), Event.INSTALL_FAILED) == [(0, 8)]
    with pytest.raises(IllegalEvent) as caught:
        Machine("1.1", profile="anjay", state=DOWNLOADED).send(Event.PACKAGE_URI)
    assert caught.value.response == "4.00"
    assert Machine(profile="wakaama").state == DOWNLOADING


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"version": "2.0"}, "one of 1.0, 1.1, 1.2"),
        ({"profile": "leshan"}, "one of strict, anjay, zephyr, wakaama"),
        ({"delivery": 3}, "0 \\(pull\\), 1 \\(push\\) or 2 \\(both\\)"),
        ({"state": 7}, "0 to 3 and 0 to 11"),
        ({"version": "1.0", "result": 10}, "version 1.0 has 0 to 9"),
    ],
)
def test_what_no_machine_can_be(arguments: dict, sentence: str) -> None:
    """Each is refused in a sentence that says what would do."""
    with pytest.raises(BadInput, match=sentence):
        Machine(**arguments)
    with pytest.raises(BadInput, match="there is no event 'EXPLODE'"):
        Machine().send("EXPLODE")


@given(
    version=st.sampled_from(["1.0", "1.1", "1.2"]),
    profile=st.sampled_from([None, *PROFILES]),
    events=st.lists(st.tuples(st.sampled_from(list(Event)), st.integers(0, 3)), max_size=25),
)
def test_the_machine_never_leaves_the_relation(version: str, profile: str | None, events: list) -> None:
    """Whatever is sent: each step is an outcome of a rule of this version, and a refusal changes nothing."""
    machine = Machine(version, profile=profile)
    for event, pick in events:
        before = (machine.state, machine.result, machine.history)
        outcomes = machine.outcomes(event)
        legal = event in machine.legal_events()
        choose = outcomes[pick % len(outcomes)] if outcomes and pick else None
        try:
            step = machine.send(event, choose=choose)
        except (IllegalEvent, ChoiceNeeded) as error:
            assert (machine.state, machine.result, machine.history) == before
            assert not legal or isinstance(error, ChoiceNeeded)
        else:
            assert version in step.rule.versions
            assert step.before == before[:2]
            assert any(step.after == (s, before[1] if r is None else r) for s, r in step.rule.outcomes)
            assert machine.result.valid(version)


def test_a_machine_shows_itself() -> None:
    """Text and HTML name state, result, steps and what is accepted, the same each time."""
    machine = Machine("1.1")
    machine.send(Event.FIRST_BLOCK)
    assert "T1   Write Package, first block       0/0 -> 1/0  2.31" in str(machine)
    assert machine._repr_html_() == machine._repr_html_()
    assert "State 1 Downloading" in machine._repr_html_()
    assert "Execute Cancel" in machine._repr_html_()

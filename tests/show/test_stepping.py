"""The stepper, pressed as a learner presses it."""

from __future__ import annotations

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.stepping import Stepper
from lwm2m_lab.spec.firmware import Event
from lwm2m_lab.spec.profiles import PROFILES


def press(steps: Stepper, label: str) -> str:
    """Click the button with this label; returns what is said."""
    for box in (steps.legal, steps.illegal, steps.choices):
        for button in box.children:
            if button.description == label:
                button.click()
                return str(steps.message.value)
    raise AssertionError(f"no button {label!r}")


def legal(steps: Stepper) -> set[str]:
    """The labels of the accepted events."""
    return {button.description for button in steps.legal.children}


def test_every_event_has_one_button() -> None:
    """Accepted or not, each is offered once, and the accepted ones are the machine's."""
    steps = lab.show.stepper("1.1")
    labels = [button.description for box in (steps.legal, steps.illegal) for button in box.children]
    assert sorted(labels) == sorted(event.value for event in Event)
    assert legal(steps) == {event.value for event in steps.machine.legal_events()}


def test_a_press_moves_machine_words_and_picture() -> None:
    """State, clause and diagram change together."""
    steps = lab.show.stepper("1.0")
    before = steps.picture.value
    said = press(steps, Event.FIRST_BLOCK.value)
    assert "T1" in said
    assert "Clause: E.6.1" in said
    assert "1 Downloading" in steps.status.value
    assert steps.picture.value != before
    assert len(steps.machine.history) == 1


def test_an_illegal_press_explains_and_moves_nothing() -> None:
    """The sentence names state, clause and what would have been accepted."""
    steps = lab.show.stepper("1.1")
    said = press(steps, Event.UPDATE.value)
    assert "Nothing changed." in said
    assert "Object 5, resource 2" in said
    assert steps.machine.history == ()


def test_a_choice_is_offered_as_buttons() -> None:
    """Where the standard leaves it open, each permitted outcome is one press."""
    steps = lab.show.stepper("1.0")
    for event in (Event.FIRST_BLOCK, Event.PACKAGE_COMPLETE, Event.UPDATE):
        press(steps, event.value)
    said = press(steps, Event.INSTALL_FAILED.value)
    assert "the device chooses" in said
    labels = [button.description for button in steps.choices.children]
    assert any("2 Downloaded" in label for label in labels)
    press(steps, labels[0])
    assert int(steps.machine.result) == 8
    assert steps.choices.children == ()


def test_version_and_profile_start_again() -> None:
    """A new machine with the new rules."""
    steps = lab.show.stepper("1.1")
    press(steps, Event.FIRST_BLOCK.value)
    steps.version.value = "1.2"
    assert (steps.machine.version, steps.machine.history) == ("1.2", ())
    for name in PROFILES:
        steps.profile.value = name
        assert steps.machine.profile == name
    press(steps, Event.FIRST_BLOCK.value)
    steps.again.click()
    assert steps.machine.history == ()


@pytest.mark.parametrize(("version", "profile"), [("2.0", "strict"), ("1.1", "mine")])
def test_bad_input(version: str, profile: str) -> None:
    """Named with what there is."""
    with pytest.raises(BadInput, match="expected"):
        lab.show.stepper(version, profile=profile)


def test_it_shows_itself_in_a_notebook() -> None:
    """The bundle is the panel's widget."""
    bundle = lab.show.stepper()._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle

"""The slots of a device, moment by moment."""

from __future__ import annotations

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.slots import slot_picture


def slots(**options: object) -> list[str]:
    """What happened, with the two slots."""
    run = lab.push(version="2.1.0", size=3000, device=lab.DeviceOptions(**options), seed=1)  # type: ignore[arg-type]
    return [f"{one.what}: {one.slots[0]} | {one.slots[1]}" for one in run.truth]


def test_a_trial_that_is_confirmed() -> None:
    """Written beside, swapped at the reboot, on trial, confirmed; the old image stays."""
    assert slots(slots="ab")[2:] == [
        "Write Package, first block: 1.0.0 runs | being written",
        "package complete and accepted: 1.0.0 runs | 2.1.0 waits for Update",
        "Execute Update: 1.0.0 runs | 2.1.0 is being installed",
        "reboot: 1.0.0 runs | 2.1.0 to be swapped in",
        "boot: 2.1.0 starts | 1.0.0 to go back to",
        "registered: 2.1.0 runs on trial | 1.0.0 to go back to",
        "installation succeeds: 2.1.0 runs | 1.0.0 left over",
    ]


def test_a_trial_that_is_reverted() -> None:
    """The boot loader swaps back before the old firmware says anything."""
    assert slots(slots="ab", trial_fails=True)[-4:] == [
        "reboot: 2.1.0 runs on trial | 1.0.0 to go back to",
        "boot: 1.0.0 runs again | 2.1.0 failed its trial",
        "installation fails: 1.0.0 runs | 2.1.0 left over",
        "registered: 1.0.0 runs | 2.1.0 left over",
    ]


def test_one_slot_has_no_way_back() -> None:
    """The package is copied over what runs, and nothing else is left."""
    assert slots()[-4:] == [
        "reboot: 1.0.0 runs | 2.1.0 to be copied over the other",
        "boot: 2.1.0 starts | empty",
        "installation succeeds: 2.1.0 runs | empty",
        "registered: 2.1.0 runs | empty",
    ]


def test_the_slider_redraws() -> None:
    """Words and picture follow it; arrows are there where the boot loader is about to move an image."""
    run = lab.push(version="2.1.0", size=3000, device=lab.DeviceOptions(slots="ab", trial_fails=True), seed=1)
    animation = lab.show.slot_animation(run)
    seen = set()
    for at in (2, 5, 8, 11):
        one = run.truth[at]
        animation.cursor.value = at
        assert f"State <b>{one.state}</b>" in animation.status.value
        seen.add(bytes(animation.picture.value))
        arrows = [patch for patch in slot_picture(run.truth, at).axes[1].patches if "Arrow" in type(patch).__name__]
        assert len(arrows) == (2 if one.what == "reboot" else 0)
    assert len(seen) == 4
    animation.play.value = 3
    assert animation.cursor.value == 3
    assert animation.now.what == "package complete and accepted"


def test_the_title_says_what_lies_where() -> None:
    """And the axis has its unit."""
    run = lab.push(version="2.1.0", size=3000, device=lab.DeviceOptions(slots="ab"), seed=1)
    figure = slot_picture(run.truth, 7)
    assert "registered: 2.1.0 runs on trial, 1.0.0 to go back to" in figure.get_suptitle()
    assert figure.axes[0].get_xlabel() == "seconds since the run began"


def test_what_is_no_run_is_refused() -> None:
    """A capture from the field does not know its device's flash; nor is there a happening 99."""
    with pytest.raises(BadInput, match=r"a run of lab.push or lab.pull is expected"):
        lab.show.slot_animation(lab.read())
    run = lab.push(size=2000)
    with pytest.raises(BadInput, match="no happening 99"):
        lab.show.slot_animation(run, at=99)
    with pytest.raises(BadInput, match="no happening -1"):
        slot_picture(run.truth, -1)

"""Updates on simulated time in which everything goes wrong that can: sixty of them here, thousands in the bench."""

from __future__ import annotations

import pathlib
from dataclasses import replace

import pytest

from lwm2m_lab.spec.objects import State
from tests import soak

#: Of each of the first updates of this seed one finds something to do: kills, damaged packages, outages.
SEED, UPDATES, PARTS = 1, 60, 6


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_that_must_not_be(part: int, tmp_path: pathlib.Path) -> None:
    """A legal end, no wrong image, no lie, nothing left behind, and no false alarm."""
    for number in range(part, UPDATES, PARTS):
        plan, folder = soak.draw(SEED, number), tmp_path / str(number)
        folder.mkdir()
        lived = soak.live(plan, folder)
        assert not list(soak.violations(plan, lived)), plan
        assert soak.alarms(lived) == [], plan


def test_the_plans_are_of_all_kinds() -> None:
    """And the same number draws the same again."""
    plans = [soak.draw(SEED, number) for number in range(UPDATES)]
    assert {plan.damage for plan in plans} == {"none", "hash", "cut", "alien", "too large"}
    assert {plan.delivery for plan in plans} == {"push", "pull"}
    assert {plan.device.object_version for plan in plans} == {"1.0", "1.1", "1.2"}
    assert max(len(plan.kills) for plan in plans) == 3
    assert plans == [soak.draw(SEED, number) for number in range(UPDATES)]


def _first(**wanted: object) -> soak.Plan:
    """The first plan without kills over a calm link that is like that."""
    for number in range(500):
        plan = soak.draw(SEED, number)
        like = all(getattr(plan, name) == value for name, value in wanted.items())
        if like and not plan.kills and not plan.link.loss and not plan.device.install_fails:
            return plan
    raise AssertionError(f"no plan is like {wanted}")


def test_what_it_looks_for_it_finds(tmp_path: pathlib.Path) -> None:
    """Each check, on an update that went well and was changed afterwards."""
    plan = _first(damage="none", delivery="push")
    lived = soak.live(plan, tmp_path)
    assert not list(soak.violations(plan, lived))
    wrong = {
        "ran, which nobody offered": replace(lived, flash=replace(lived.flash, running="9.9.9")),
        "belong there": replace(lived, files=lived.files | {"device.json.part"}),
        "comes to no rest": replace(lived, flash=replace(lived.flash, state=State.UPDATING)),
        "of a package in": replace(lived, flash=replace(lived.flash, package=b"x")),
        "none that was offered": replace(lived, flash=replace(lived.flash, state=State.DOWNLOADED, package=b"x")),
        "leads from": replace(lived, truth=[one for one in lived.truth if one[2].state != State.UPDATING]),
        "task": replace(lived, left=["task of nobody"]),
        "says /3/0/3 is": replace(
            lived, truth=[(time, life, replace(one, firmware_version="1.0.0")) for time, life, one in lived.truth]
        ),
    }
    for said, changed in wrong.items():
        found = [one for one in soak.violations(plan, changed) if said in one]
        assert found, said


def test_a_package_that_must_not_be_taken(tmp_path: pathlib.Path) -> None:
    """One that is called damaged, and was taken all the same."""
    plan = replace(_first(damage="none", delivery="push"), damage="hash")
    found = list(soak.violations(plan, soak.live(plan, tmp_path)))
    assert "a package with damage 'hash' was taken" in found
    assert any("ran, which nobody offered or nobody should have taken" in one for one in found)

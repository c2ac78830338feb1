"""The campaign panel: a control moves, the campaign runs anew, words and picture follow."""

from __future__ import annotations

from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.campaigning import CampaignDashboard

#: How a PNG begins.
PNG = b"\x89PNG"


def panel(**given: Any) -> CampaignDashboard:
    """Twenty devices, one of them bad."""
    return CampaignDashboard(**{"devices": 20, "size": 2000, **given})


@pytest.mark.parametrize(
    ("name", "value"), [("limit", 20), ("cell_rate", 20e3), ("stages", (0.1, 1.0)), ("stop_at", 0.05)]
)
def test_every_control_changes_the_picture(name: str, value: Any) -> None:
    """And what is shown is the campaign with these settings."""
    one = panel(faults={"keeps-firmware-version": 0.5})
    before = one.picture.value
    one.controls[name].value = value
    assert one.picture.value[:4] == before[:4] == PNG
    assert one.picture.value != before
    given = {"at_least": one.run.rule.at_least} if one.run.rule else {}
    again = lab.campaign(20, size=2000, faults={"keeps-firmware-version": 0.5}, captures=5, **given, **one.settings)
    assert str(again) == str(one.run)
    assert one.run.sentence in one.message.value


def test_a_setting_that_was_shown_is_shown_again() -> None:
    """Without being run: the very same campaign."""
    one = panel()
    first, picture = one.run, one.picture.value
    one.controls["limit"].value = 10
    assert one.run is not first
    one.controls["limit"].value = 5
    assert one.run is first
    assert one.picture.value == picture


def test_what_went_wrong_where() -> None:
    """Those that failed can be chosen; each says why, and who says so."""
    one = panel(faults={"keeps-firmware-version": 0.1, "refuses-block1": 0.05})
    failed = one.run.devices.loc[one.run.devices["outcome"] == "failed", "endpoint"].tolist()
    assert list(one.device.options) == failed
    told = set()
    for name in failed:
        one.device.value = name
        assert "an analysed capture" in one.why.value
        told.add(one.why.value.split("</b>")[0].rpartition(">")[2])
    assert {words.split()[0] for words in told} == {"V1", "C6"}


def test_where_nothing_went_wrong() -> None:
    """There is nothing to choose."""
    one = panel(faults={})
    assert one.device.disabled
    assert one.why.value == ""


def test_a_rule_that_can_stop_nothing_is_said() -> None:
    """All at once in one stage: the picture stays, the sentence says why."""
    one = panel(start={"limit": 20})
    picture = one.picture.value
    one.controls["stop_at"].value = 0.1
    assert "the stop rule can never stop anything" in one.message.value
    assert one.picture.value == picture
    one.controls["stages"].value = (0.1, 1.0)
    assert one.run.sentence in one.message.value


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"devices": 500}, "devices is 500; 200 at the most are expected here, lab.campaign runs more"),
        ({"start": {"limit": 7}}, "limit is 7; one of 1, 2, 5, 10, 20 is expected"),
        ({"start": {"loss": 0.1}}, "the campaign panel has no control 'loss'; one of limit, cell_rate, "),
        ({"profiles": "anjey"}, "profiles names 'anjey'"),
        ({"devices": 0}, "devices is 0; a whole number of 1 or more"),
    ],
)  # fmt: skip
def test_where_nothing_can_be_shown(given: dict[str, Any], words: str) -> None:
    """One sentence."""
    with pytest.raises(BadInput) as refused:
        lab.show.campaign_dashboard(**{"devices": 20, "size": 2000, **given})
    assert words in str(refused.value)


def test_no_list_of_the_panel_is_blank() -> None:
    """A list whose value is None shows nothing: at first "never" is chosen, and the first device that failed."""
    one = panel(faults={"keeps-firmware-version": 0.5})
    assert all(control.label for control in (one.controls["stages"], one.controls["stop_at"], one.device))
    assert one.controls["stop_at"].label == "never"
    assert one.settings["stop_at"] is None
    assert one.device.value in one.why.value
    assert panel(faults={}).device.label == "nowhere"

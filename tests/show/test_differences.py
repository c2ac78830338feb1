"""Two versions of Object 5 side by side."""

from __future__ import annotations

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.differences import diff_picture
from lwm2m_lab.spec.changes import changes


def signed_labels(old: str, new: str) -> list[list[str]]:
    """The labels with a sign, side by side."""
    figure = diff_picture(old, new)
    return [[text.get_text() for text in ax.texts if text.get_text()[0] in "+−"] for ax in figure.axes]


def test_what_differs_has_a_sign_on_its_side() -> None:
    """Went on the old one's side, came on the new one's; the other way round it is the other way round."""
    assert signed_labels("1.0", "1.1") == [["−T22"], ["+T14", "+T19", "+T16", "+T17", "+T30"]]
    assert signed_labels("1.1", "1.0") == [["−T14", "−T19", "−T16", "−T17", "−T30"], ["+T22"]]
    assert signed_labels("1.1", "1.2") == [[], ["+T20"]]
    assert signed_labels("1.1", "1.1") == [[], []]


def test_the_title_counts_rules() -> None:
    """Those of each kind, or says that there are none."""
    assert diff_picture("1.0", "1.1").get_suptitle() == "Object 5 version 1.0 to 1.1: rules: 6 came, 2 changed"
    assert diff_picture("1.2", "1.2").get_suptitle() == "Object 5 version 1.2 to 1.2: the same rules"


def test_each_change_is_a_row_of_table_and_panel() -> None:
    """And choosing other versions redraws both."""
    diff = lab.show.rule_diff("1.0", "1.1")
    assert diff.table["id"].tolist() == [one.id for one in changes("1.0", "1.1")]
    assert diff.rows.value.count("<tr>") == len(diff.table) + 1
    before = bytes(diff.picture.value)
    diff.new.value = "1.2"
    assert bytes(diff.picture.value) != before
    assert "automatic upgrade in 2 Downloaded" in diff.rows.value
    diff.old.value = "1.2"
    assert diff.rows.value == "<p>Between 1.2 and 1.2 nothing differs.</p>"
    assert diff.table.empty


def test_controls_are_labelled() -> None:
    """From and to."""
    diff = lab.show.rule_diff("1.1", "1.2")
    assert (diff.old.description, diff.new.description) == ("from", "to")
    assert repr(diff) == "RuleDiff('1.1', '1.2')"


def test_a_version_that_does_not_exist() -> None:
    """Is refused in a sentence."""
    with pytest.raises(BadInput, match=r"one of 1.0, 1.1, 1.2 is expected"):
        lab.show.rule_diff("1.0", "2.0")

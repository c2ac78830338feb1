"""The version rule as data: it speaks of resources and transitions that exist, and the findings quote it."""

from __future__ import annotations

from lwm2m_lab.spec.firmware import RULES, Event
from lwm2m_lab.spec.objects import DEVICE, FIRMWARE_UPDATE, State, UpdateResult
from lwm2m_lab.spec.versions import VERSION_CHECKS, VERSION_RESOURCES


def test_the_resources_are_those_of_the_objects() -> None:
    """Each path names an optional, readable resource of Object 3 or 5, under its own name."""
    for path, one in VERSION_RESOURCES.items():
        _, obj, instance, resource = path.split("/")
        assert instance == "0"
        table = {"3": DEVICE, "5": FIRMWARE_UPDATE}[obj]["1.1"]
        entry = table.resources[int(resource)]
        assert (entry.name, entry.operations, entry.mandatory) == (one.name, "R", False)


def test_only_a_successful_installation_changes_the_firmware_version() -> None:
    """/3/0/3 must follow T21, the row that ends in Idle with Result 1, and no other row ends so."""
    assert VERSION_RESOURCES["/3/0/3"].must
    assert [path for path, one in VERSION_RESOURCES.items() if one.must] == ["/3/0/3"]
    successes = {rule.id for rule in RULES if (State.IDLE, UpdateResult.SUCCESS) in rule.outcomes}
    assert successes == set(VERSION_RESOURCES["/3/0/3"].transitions) == {"T21"}
    assert {rule.event for rule in RULES if rule.id == "T21"} == {Event.INSTALLED}


def test_seven_checks_of_which_three_find_violations() -> None:
    """V1, V3 and V4 can fail a device; the others explain what a reader may wonder about."""
    assert list(VERSION_CHECKS) == [f"V{n}" for n in range(1, 8)]
    assert [one.id for one in VERSION_CHECKS.values() if one.finds == "violation"] == ["V1", "V3", "V4"]


def test_the_rules_of_the_findings_carry_these_titles_and_clauses() -> None:
    """The registry of findings has each check once, in the words of the version rule."""
    from lwm2m_lab.trace.findings import RULES as FINDINGS

    for one in VERSION_CHECKS.values():
        assert (FINDINGS[one.id].title, FINDINGS[one.id].clause) == (one.title, one.clause)
        assert FINDINGS[one.id].certainty == one.certainty

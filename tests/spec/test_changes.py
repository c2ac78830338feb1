"""What differs between the versions of Object 5: nothing is forgotten, nothing invented, and it reads both ways."""

from __future__ import annotations

import itertools

import pytest

from lwm2m_lab.errors import BadInput
from lwm2m_lab.spec.changes import changes
from lwm2m_lab.spec.firmware import Machine
from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.spec.rules import VERSIONS, Event

PAIRS = list(itertools.product(VERSIONS, VERSIONS))


def test_what_1_1_brought() -> None:
    """Cancel and deferral, with their resources and results; a failed integrity check no longer keeps the package."""
    said = [(one.kind, one.id, one.what) for one in changes("1.0", "1.1")]
    assert said == [
        ("came", "T28a, T28b", "rule"), ("came", "T14", "rule"), ("changed", "T16", "rule"), ("came", "T19", "rule"),
        ("came", "T17", "rule"), ("came", "T25", "rule"), ("changed", "T22", "rule"), ("came", "T30", "rule"),
        ("changed", "/5/0/5", "resource"), ("came", "/5/0/10", "resource"), ("came", "/5/0/11", "resource"),
        ("came", "/5/0/12", "resource"), ("came", "/5/0/13", "resource"), ("came", "10", "result"),
        ("came", "11", "result"),
    ]  # fmt: skip
    failed = next(one for one in changes("1.0", "1.1") if one.id == "T22")
    assert (failed.before, failed.after) == ("2 Downloaded with 5 or 0 Idle with 5", "0 Idle with 5")


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_both_ways(old: str, new: str) -> None:
    """What came one way went the other, with the sides exchanged; a version does not differ from itself."""
    turned = {"came": "went", "went": "came", "changed": "changed"}
    there = [(turned[one.kind], one.what, one.name, one.after, one.before) for one in changes(old, new)]
    back = [(one.kind, one.what, one.name, one.before, one.after) for one in changes(new, old)]
    assert there == back
    assert (old == new) == (not back)


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_the_machines_differ_where_the_rules_do(old: str, new: str) -> None:
    """A machine without a profile permits other outcomes in exactly those states and events that are listed."""
    listed = {(one.state, one.event) for one in changes(old, new) if one.what == "rule"}
    for state, event in itertools.product(State, Event):
        pair = []
        for version in (old, new):
            results = [result for result in UpdateResult if result.valid(version)]
            machines = [Machine(version, profile=None, state=state, result=result) for result in results]
            pair.append({outcome for machine in machines for outcome in machine.outcomes(event)})
        if pair[0] != pair[1]:
            assert (state, event) in listed


def test_a_version_that_does_not_exist() -> None:
    """Is named, with those that do."""
    with pytest.raises(BadInput, match=r"'1.3'; one of 1.0, 1.1, 1.2 is expected"):
        changes("1.0", "1.3")

"""Every rule has a capture that makes it speak, and is silent where it nearly would have to."""

from __future__ import annotations

import functools

import pytest

import lwm2m_lab as lab
from lwm2m_lab.trace.findings import RULES
from tests.peers import Session
from tests.trace.triggers import TRIGGERS

QUIET = [(rule, number) for rule, one in TRIGGERS.items() for number in range(len(one.quiet))]
#: Conclusions that accuse nobody.
HARMLESS = {"PASS", "NOT APPLICABLE"}


@functools.cache
def findings(script: str) -> tuple[lab.Finding, ...]:
    """What all rules conclude of a script."""
    return lab.explain(Session(script).capture()).findings


def of(rule: str, script: str) -> list[lab.Finding]:
    """What one rule concludes."""
    return [one for one in findings(script) if one.rule == rule]


def test_every_rule_has_a_trigger() -> None:
    """And every trigger a rule."""
    assert set(TRIGGERS) == set(RULES)


@pytest.mark.parametrize("rule", TRIGGERS)
def test_the_trigger_makes_its_rule_speak(rule: str) -> None:
    """With the verdict, the party and the certainty that it names, on frames that are evidence."""
    trigger = TRIGGERS[rule]
    found = of(rule, trigger.script)
    said = [(str(one.verdict), one.party, one.certainty) for one in found]
    assert (trigger.verdict, trigger.party, trigger.certainty) in said, "\n".join(map(str, found))
    assert trigger.verdict == "PASS" or all(one.frames for one in found if one.verdict == trigger.verdict)


@pytest.mark.parametrize(("rule", "number"), QUIET)
def test_a_near_miss_is_no_finding(rule: str, number: int) -> None:
    """A false alarm is as grave as a miss."""
    trigger = TRIGGERS[rule]
    said = [one for one in of(rule, trigger.quiet[number]) if str(one.verdict) not in HARMLESS]
    assert said == []
    assert trigger.quiet

"""What a rule may yield, and what becomes of one that raises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.trace.findings import RULES, Said, Verdict
from tests.peers import Session


@pytest.fixture
def own() -> Iterator[Any]:
    """Registers rules that are gone after the test."""
    before = dict(RULES)
    yield lab.rule
    RULES.clear()
    RULES.update(before)


def said(session: Any, id: str) -> lab.Finding:
    """What one rule says."""
    (one,) = [one for one in lab.explain(session.capture()).findings if one.rule == id]
    return one


def test_a_conclusion_may_name_another_party_and_certainty(own: Any, ready: Any, image: bytes) -> None:
    """The registry's own are what a rule says unless it says otherwise."""

    @own("X1", "somebody else", clause="none")
    def other(case: Any) -> Any:
        yield Said(Verdict.FAIL, "the path did it", [3], certainty="suspected", party="network")

    ready.push(image)
    one = said(ready, "X1")
    assert (str(one.verdict), one.certainty, one.party, one.frames) == ("FAIL", "suspected", "network", (3,))
    assert ready.capture().update(0).verdict == "PASS"


def test_a_rule_that_raises_is_a_finding(own: Any, ready: Any, image: bytes) -> None:
    """The explanation goes on; the rule and its error are told in one sentence, and the verdict is left open."""

    @own("X1", "divides by nothing", clause="none")
    def broken(case: Any) -> Any:
        yield Verdict.PASS, "so far so good", ()
        yield Verdict.PASS, f"{1 / 0}", ()

    ready.push(image)
    found = lab.explain(ready.capture())
    first, second = [one for one in found.findings if one.rule == "X1"]
    assert {str(first.verdict), str(second.verdict)} == {"PASS", "INCONCLUSIVE"}
    assert "X1 INCONCLUSIVE, suspected, device: the rule could not be applied: ZeroDivisionError: division" in str(
        found
    )
    assert found.updates[0].verdict == "INCONCLUSIVE"


@pytest.mark.parametrize("wrong", [("FAIL",), ("BROKEN", "no such verdict", ()), ("FAIL", "frames", ["x"]), None])
def test_a_rule_that_yields_nonsense_is_a_finding(own: Any, ready: Any, image: bytes, wrong: Any) -> None:
    """What is no conclusion does not end the explanation either."""

    @own("X1", "nonsense", clause="none")
    def nonsense(case: Any) -> Any:
        yield wrong

    ready.push(image)
    one = said(ready, "X1")
    assert str(one.verdict) == "INCONCLUSIVE"
    assert "could not be applied" in one.sentence


def test_a_rule_names_what_explains_it(own: Any) -> None:
    """`after` is kept with the rule; without it nothing explains it."""

    @own("X1", "a consequence", clause="none", after=["M0", "W1"])
    def later(case: Any) -> Any:
        yield from ()

    assert RULES["X1"].after == ("M0", "W1")
    assert RULES["V3"].after == ()


def test_an_overtaken_notification_is_no_news() -> None:
    """An older number of the same observation that arrives later: the rules do not see its value, the tables do."""
    said = (
        "ready\npush\nnotify /5/0/3 2 sequence=5\nnotify /5/0/3 1 sequence=4\nnotify /5/0/3 {} sequence=6\n"
        "server > device CON GET /5/0/3 observe=0 token=77\ndevice > server ACK 2.05 observe=1 cf=0 text=2\n"
    )
    capture = Session(said.format(2)).capture()
    assert capture.update(0).states == (0, 2, 1, 2)
    assert capture.stale_frames.tolist() == [17]
    assert [one.rule for one in lab.explain(capture).problems] == []

"""Findings in the order of cause, and the sentence that says why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.trace.findings import RULES
from lwm2m_lab.trace.findings.chains import chained
from tests.peers import Session

CUT_URI = (
    "ready\nuri coap://192.0.2.3/images/fw.bin\n"
    "device > repository CON GET /images 2:0/0/1024\nrepository > device ACK 4.04\nnotify /5/0/5 7\nread /5/0/3 0"
)


def explained(script: str) -> Any:
    """A script, explained."""
    return lab.explain(Session(script).capture())


def chain(script: str) -> list[tuple[int, str]]:
    """Depth and rule of each problem."""
    explanation = explained(script)
    return [(depth, one.rule) for depth, one in explanation.chain(explanation.updates[-1])]


def test_a_consequence_stands_below_its_cause() -> None:
    """The repository answers 4.04 because the URI was cut; the text indents it, the table marks it."""
    assert chain(CUT_URI) == [(0, "F10"), (1, "F11")]
    explanation = explained(CUT_URI)
    assert "\n  F10 FAIL" in str(explanation)
    assert "\n     -> F11 FAIL" in str(explanation)
    assert explanation._repr_html_().index("<td>F10</td>") < explanation._repr_html_().index("<td>→ F11</td>")
    assert [one["rule"] for one in explanation.to_dict()["findings"]] == ["F10", "F11"]


def test_the_sentence_names_outcome_cause_and_clause() -> None:
    """How it ended first, then the first cause, with its clause; what it led to is not told again."""
    said = explained(CUT_URI).sentence
    assert "failed: the repository answered 4.04 in frame 12, and the device reports Update Result 7" in said
    assert said.endswith("and /images is asked for in frame 11: the URI was cut [Object 5, resource 1].")
    assert "it can be reached" not in said


def test_a_proved_failure_goes_before_a_suspicion_and_before_an_open_question() -> None:
    """Among the causes; a consequence stays with its cause however certain it is."""
    script = "register b=UQ\nread /5/0/9 0\npush final=4.05\nread /5/0/3 2\nwait 200\nexecute code=none"
    told = chain(script)
    assert told.index((0, "T31")) < told.index((0, "F21"))
    assert chain("ready\npush\nnotify /5/0/3 2\nnotify /5/0/5 1\nexecute") == [
        (0, "F4"),
        (1, "O5"),
        (1, "F5"),
        (1, "V1"),
    ]


def test_what_does_not_judge_the_update_comes_last() -> None:
    """An unknown version is asked about below the update's own questions; a slip beside the update is no cause."""
    assert "/5/0/4" not in explained("ready\nread /5/0/4 - code=4.04\npush\nnotify /5/0/5 5\nread /5/0/3 0").sentence
    script = "register version=9.9\nread /3/0/3 1.0.0\nimage 3000 raw\npush\nread /5/0/3 2\nexecute\nwait 9"
    assert chain(f"{script}\nregister version=9.9\nread /5/0/3 0\nread /5/0/5 1\nread /3/0/3 2.0.0")[-1] == (0, "G1")


def test_findings_that_accuse_nobody_follow_in_the_order_of_the_rules() -> None:
    """Every finding is there, each once."""
    explanation = explained("ready\npush\ninstalled")
    verdicts = [str(one.verdict) for one in explanation.findings]
    assert verdicts == ["PASS"] * verdicts.count("PASS") + ["NOT APPLICABLE"] * verdicts.count("NOT APPLICABLE")
    assert {one.rule for one in explanation.findings} == set(RULES)


@pytest.fixture
def circle() -> Iterator[None]:
    """Three rules each of which names the next as its cause."""
    before = dict(RULES)
    for name, cause in (("X1", "X2"), ("X2", "X3"), ("X3", "X1")):

        @lab.rule(name, name, clause="none", after=[cause, name, "no such rule"])
        def fails(case: Any, name: str = name) -> Any:
            yield lab.Verdict.FAIL, name, [1]

        fails.__qualname__ = name
    yield
    RULES.clear()
    RULES.update(before)


def test_rules_that_explain_each_other_are_all_told(circle: None) -> None:
    """A circle is broken, nothing is lost, and nothing hangs."""
    explanation = explained("ready\npush\ninstalled")
    told = chained(explanation.problems)
    assert sorted(one.rule for _, one in told) == ["X1", "X2", "X3"]
    assert sorted(depth for depth, _ in told) == [0, 1, 2]


def test_two_updates_of_one_device_keep_their_own_findings() -> None:
    """What fails in the second is not printed below the first."""
    explanation = explained("ready\npush\ninstalled\npush\nnotify /5/0/3 2")
    first, second = explanation.updates
    assert explanation.chain(first) == []
    assert [one.rule for _, one in explanation.chain(second)] == ["F16"]
    assert explanation.problems[0].speaks_of(second)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("anjay-push-badcrc", "the package arrived as it was sent, 20000 bytes without a gap by frame 54"),
        ("anjay-push-badcrc", "the device refuses it with Update Result 5 Integrity check failed in frame 55"),
        ("anjay-push-badcrc", "[Object 5, resource 5, value 5]"),
        ("anjay-pull-coap-404", "the repository answered 4.04 in frame 23, and the device reports Update Result 7"),
        ("anjay-pull-coap-404", "[RFC 7252, 5.9.2.5]"),
        ("anjay-push-same-version", "succeeded without change: /3/0/3 is 3.13.1 as before, which is right if the"),
        ("anjay-push-link-cut-midway", "frame 39 (block 12 of the push) was sent 5 times, each gap twice the one"),
        ("anjay-push-link-cut-midway", "the path was gone; the device speaks again in frame 45 with 5.03, as one does"),
        ("anjay-push-delayed-failure", "Update Result 8 in frame 72 says that the update failed, and yet /3/0/3 went"),
        ("anjay-push-delayed-failure", "what was read breaks the rule, whether it is a trial boot"),
        ("anjay-push-delayed-failure", "[LwM2M E.6; ETS int-779, criterion C.b]"),
        ("anjay-push-256-ok", "succeeded: /3/0/3 went from 3.13.1 to 3.14.0."),
    ],
)  # fmt: skip
def test_what_the_sentence_says_of_real_sessions(name: str, said: str) -> None:
    """The conclusions that the evidence carries, with frames and clause."""
    assert said in lab.explain(name).sentence


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("ready\npush\nnotify /5/0/5 5\nread /5/0/3 0", "the hash in the image is right"),
        ("ready\nimage 3000 raw\npush\nnotify /5/0/5 5\nread /5/0/3 0", "compare SHA-256"),
        ("ready\npush\ninstalled 2.0.9", "to 2.0.9, but the device breaks a rule: Update Result is 1"),
        ("ready\npush\ninstalled unread", "succeeded; no /3/0/3 was seen afterwards."),
        ("ready\nimage 3000 1.0.0\npush\ninstalled 1.0.0", "as before, and the image carries that version."),
        ("ready\nuri coaps://192.0.2.3/" + "x" * 90, "…, whose bytes are not in this capture,"),
        ("ready\npush\nnotify /5/0/3 2\nexecute\nwait 10\nregister\nread /3/0/3 2.1.0",
         "nobody observed or read /5/0/3 and /5/0/5 afterwards [RFC 7641, 3.1]."),
    ],
)  # fmt: skip
def test_what_the_sentence_says_of_a_script(script: str, said: str) -> None:
    """The image's own hash and version, and what was not seen."""
    assert said in explained(script).sentence

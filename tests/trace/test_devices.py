"""Eleven devices and their /3/0/3: which rule each of them breaks, and whom the judge believes.

Target version 2.0.0, version before 1.0.0. A device is what a server reads of it: State, Update Result, /5/0/7 and
/3/0/3 when the package is there, right after the reboot, and once everything has settled.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import lwm2m_lab as lab
from tests.peers import Session

Reading = tuple[int, int, str, str]


@dataclass(frozen=True)
class Device:
    """What a device shows, what becomes of its update, and the rules that fail and that stay open."""

    downloaded: Reading
    rebooted: Reading
    outcome: str
    verdict: str
    fails: frozenset[str] = frozenset()
    opens: frozenset[str] = frozenset()
    settled: Reading | None = None
    target: str = "2.0.0"


NONE = "-"
DEVICES = {
    "D1 by the book": Device((2, 0, "2.0.0", "1.0.0"), (0, 1, NONE, "2.0.0"), "succeeded", "PASS"),
    "D2 never sets 3/0/3": Device(
        (2, 0, "2.0.0", "1.0.0"), (0, 1, NONE, "1.0.0"), "succeeded", "FAIL", frozenset({"V1", "F15"})
    ),
    "D3 copies at download, install fails": Device(
        (2, 0, "2.0.0", "2.0.0"), (2, 8, "2.0.0", "2.0.0"), "failed", "FAIL", frozenset({"V3", "V4"})
    ),
    "D4 forgets the result": Device(
        (2, 0, "2.0.0", "1.0.0"), (0, 0, NONE, "2.0.0"), "succeeded", "INCONCLUSIVE", opens=frozenset({"F3", "V2"})
    ),
    "D5 trial boot, reverts": Device(
        (2, 0, "2.0.0", "1.0.0"), (3, 0, NONE, "2.0.0"), "failed", "PASS", settled=(0, 8, NONE, "1.0.0")
    ),
    "D6 fails, keeps the package": Device((2, 0, "2.0.0", "1.0.0"), (2, 8, "2.0.0", "1.0.0"), "failed", "PASS"),
    "D7 has no 3/0/3": Device((2, 0, "2.0.0", NONE), (0, 1, NONE, NONE), "succeeded", "PASS"),
    "D8 two naming schemes": Device((2, 0, "b77", "1.0.0"), (0, 1, "b77", "2.0.0"), "succeeded", "PASS"),
    "D9 success before Execute": Device(
        (2, 1, "2.0.0", "1.0.0"), (0, 1, NONE, "1.0.0"), "succeeded", "FAIL", frozenset({"F4", "O5"}), frozenset({"V1"})
    ),
    "D10 same version again": Device(
        (2, 0, "1.0.0", "1.0.0"), (0, 1, NONE, "1.0.0"), "succeeded", "PASS", target="1.0.0"
    ),
    # It breaks the rule, and nothing on the wire says so: the bytes that run would have to be asked.
    "D11 the stored string lies": Device((2, 0, "2.0.0", "1.0.0"), (0, 1, NONE, "2.0.0"), "succeeded", "PASS"),
}


def read(session: Session, reading: Reading) -> None:
    """State, Update Result, /5/0/7 and /3/0/3 in turn."""
    for path, value in zip(("/5/0/3", "/5/0/5", "/5/0/7", "/3/0/3"), reading, strict=True):
        session.read(path, value, code="4.04" if value == NONE else "2.05")


def played(device: Device) -> lab.Capture:
    """The whole update as the server sees it."""
    session = Session("register")
    read(session, (0, 0, NONE, NONE if device.downloaded[3] == NONE else "1.0.0"))
    session.script(f"image 3000 {device.target}\npush")
    read(session, device.downloaded)
    session.script("execute\nwait 10\nregister")
    read(session, device.rebooted)
    if device.settled is not None:
        session.script("wait 60\nregister")
        read(session, device.settled)
    return session.capture()


@pytest.mark.parametrize("name", DEVICES)
def test_which_rules_a_device_breaks(name: str) -> None:
    """Outcome and verdict apart, and exactly the rules that fail or stay open against the device."""
    device = DEVICES[name]
    explanation = lab.explain(played(device))
    (update,) = explanation.updates
    assert (update.outcome, update.verdict) == (device.outcome, device.verdict), str(explanation)
    against = [one for one in explanation.problems if one.party == "device"]
    assert {one.rule for one in against if str(one.verdict) == "FAIL"} == device.fails, str(explanation)
    assert {one.rule for one in against if str(one.verdict) == "INCONCLUSIVE"} == device.opens, str(explanation)


def test_a_trial_boot_told_as_failed_breaks_the_rule() -> None:
    """D5 before its second reboot, told as failed already: what was read breaks the rule; why it does is open."""
    device = Device((2, 0, "2.0.0", "1.0.0"), (0, 8, NONE, "2.0.0"), "failed", "FAIL")
    explanation = lab.explain(played(device))
    assert explanation.updates[0].verdict == "FAIL"
    assert "what was read breaks the rule, whether it is a trial boot not yet taken back" in explanation.sentence
    assert "the cause is open" not in explanation.sentence


def test_the_version_rule_does_not_apply_without_the_resource() -> None:
    """D7 conforms: V7 says so, and V1 has nothing to say."""
    found = {one.rule: str(one.verdict) for one in lab.explain(played(DEVICES["D7 has no 3/0/3"])).findings}
    assert (found["V7"], found["V1"]) == ("PASS", "NOT APPLICABLE")


def test_versions_of_the_package_prove_nothing() -> None:
    """D8: /5/0/7 is another name than /3/0/3, which is allowed and told."""
    (one,) = [one for one in lab.explain(played(DEVICES["D8 two naming schemes"])).findings if one.rule == "V6"]
    assert (str(one.verdict), "nothing follows" in one.sentence) == ("PASS", True)

"""The rules on sessions that break them, and on sessions that nearly do."""

from __future__ import annotations

from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.findings import RULES


def rules(session: Any) -> dict[str, str]:
    """Verdicts by rule."""
    return {one.rule: str(one.verdict) for one in lab.explain(session.capture()).findings}


def finding(session: Any, rule: str) -> lab.Finding:
    """What one rule says."""
    (one,) = [one for one in lab.explain(session.capture()).findings if one.rule == rule]
    return one


def deliver(session: Any, image: bytes) -> Any:
    """Push and tell State 2."""
    session.push(image)
    session.notify("/5/0/3", 2)
    return session


def reboot(session: Any, *, result: int = 1, state: int = 0, version: str | None = "2.1.0") -> Any:
    """Execute and come back."""
    session.execute()
    session.notify("/5/0/3", 3)
    session.wait(10).register()
    session.read("/5/0/3", state)
    session.read("/5/0/5", result)
    if version is not None:
        session.read("/3/0/3", version)
    return session


def test_v1_success_with_another_version(ready: Any, image: bytes) -> None:
    """Result 1, but /3/0/3 is not the image's: the update succeeded and the device fails."""
    reboot(deliver(ready, image), version="2.0.9")
    update = ready.capture().update(0)
    assert (update.outcome, update.verdict) == ("succeeded", "FAIL")
    assert update.cause == "Update Result is 1, but /3/0/3 is 2.0.9 and the installed image's version is 2.1.0"
    one = finding(ready, "V1")
    assert (str(one.verdict), one.certainty, one.party) == ("FAIL", "proved", "device")
    assert "change request" in one.clause


def test_v1_versions_are_compared_exactly(ready: Any, image: bytes) -> None:
    """2.1.0 is not 2.1.00, nor part of 2.1.0-rc1."""
    assert rules(reboot(deliver(ready, image), version="2.1.0-rc1"))["V1"] == "FAIL"


def test_v1_without_a_reading_is_open(ready: Any, image: bytes) -> None:
    """The lab says which reading would decide."""
    reboot(deliver(ready, image), version=None)
    one = finding(ready, "V1")
    assert (str(one.verdict), ready.capture().update(0).verdict) == ("INCONCLUSIVE", "INCONCLUSIVE")
    assert "that reading would decide" in one.sentence


def test_v1_with_an_image_that_says_nothing(ready: Any) -> None:
    """A raw binary has no version to compare with."""
    reboot(deliver(ready, bytes(range(256)) * 8))
    one = finding(ready, "V1")
    assert str(one.verdict) == "INCONCLUSIVE"
    assert "header would decide" in one.sentence


def test_v2_a_new_version_without_a_result(ready: Any, image: bytes) -> None:
    """A note that asks for the result, not an accusation."""
    reboot(deliver(ready, image), result=0)
    one = finding(ready, "V2")
    assert (str(one.verdict), one.certainty) == ("INCONCLUSIVE", "suspected")


def test_v3_the_new_version_before_the_execute(ready: Any, image: bytes) -> None:
    """Downloaded is not installed."""
    deliver(ready, image)
    frame = ready.read("/3/0/3", "2.1.0") + 1
    reboot(ready)
    one = finding(ready, "V3")
    assert (str(one.verdict), one.frames) == ("FAIL", (frame,))


def test_v4_failed_and_yet_it_moved(ready: Any, image: bytes) -> None:
    """Result 8 and a new version, with the way out said."""
    reboot(deliver(ready, image), result=8, state=2)
    one = finding(ready, "V4")
    assert str(one.verdict) == "FAIL"
    assert "trial boot" in one.sentence
    assert ready.capture().update(0).outcome == "failed"


@pytest.mark.parametrize("result", [10, 11])
def test_v4_does_not_speak_of_cancelled_and_deferred(ready: Any, image: bytes, result: int) -> None:
    """Results 10 and 11 are no failures."""
    deliver(ready, image)
    ready.execute("/5/0/10" if result == 10 else "/5/0/2")
    ready.notify("/5/0/5", result)
    ready.read("/3/0/3", "2.1.0")
    assert rules(ready)["V4"] == "NOT APPLICABLE"


def test_v5_and_v6_explain_and_accuse_nobody(ready: Any, image: bytes) -> None:
    """/5/0/7 in Idle, and another value than /3/0/3."""
    ready.read("/5/0/7", "package-9")
    reboot(deliver(ready, image))
    ready.read("/5/0/7", "package-9")
    found = rules(ready)
    assert (found["V5"], found["V6"], ready.capture().update(0).verdict) == ("PASS", "PASS", "PASS")
    assert "differs" in finding(ready, "V6").sentence


def test_v7_without_the_resource(session: Any, image: bytes) -> None:
    """/3/0/3 answers 4.04: the rule does not apply."""
    session.register()
    session.observe("/5/0/3", 0)
    session.observe("/5/0/5", 0)
    session.read("/3/0/3", "", code="4.04")
    deliver(session, image)
    reboot(session, version=None)
    found = rules(session)
    assert (found["V1"], found["V7"]) == ("NOT APPLICABLE", "PASS")


def test_o5_a_way_that_does_not_exist(ready: Any, image: bytes) -> None:
    """Updating without an Execute, in an object version that knows no automatic upgrade."""
    deliver(ready, image)
    ready.notify("/5/0/3", 3)
    assert rules(ready)["O5"] == "FAIL"


def test_o5_unseen_states_are_no_violation(ready: Any, image: bytes) -> None:
    """A server that looks at the beginning and at the end sees a jump, and the judge allows for it."""
    ready.push(image)
    ready.execute()
    ready.wait(10).register()
    ready.read("/5/0/3", 0)
    ready.read("/5/0/5", 1)
    ready.read("/3/0/3", "2.1.0")
    assert (rules(ready)["O5"], ready.capture().update(0).verdict) == ("PASS", "PASS")


def test_o5_hangs_on_a_declared_version(session: Any, image: bytes) -> None:
    """Result 10 exists since 1.1: proved against a declared 1.0, open where nothing was declared; the update is not
    judged by either."""
    verdicts, updates = {}, []
    for version in ("1.0", None):
        session.packets.clear()
        session.register(version=version, lwm2m="1.0")
        session.observe("/5/0/3", 0)
        session.observe("/5/0/5", 0)
        deliver(session, image)
        session.execute("/5/0/10")
        session.notify("/5/0/5", 10)
        verdicts[version] = rules(session)
        updates.append(session.capture().update(0).verdict)
    assert (verdicts["1.0"]["F22"], verdicts[None]["F22"]) == ("FAIL", "INCONCLUSIVE")
    assert (verdicts["1.0"]["O5"], verdicts[None]["O5"]) == ("PASS", "PASS")
    assert updates == ["PASS", "PASS"], "more was offered than was declared: that is the declaration's fault"


def test_t26_execute_in_the_wrong_state(ready: Any) -> None:
    """An Execute of Update that is accepted in Idle, where nothing was delivered."""
    ready.push(bytes(2000), final="4.13")
    ready.read("/5/0/5", 2)
    ready.read("/5/0/3", 0)
    ready.execute()
    one = finding(ready, "T26")
    assert (str(one.verdict), one.certainty) == ("FAIL", "proved")


def test_t26_execute_while_blocks_are_missing(ready: Any) -> None:
    """Accepted in the middle of a delivery: unless the capture has lost the last block, the device is wrong."""
    ready.push(bytes(2000), upto=1)
    ready.notify("/5/0/3", 1)
    ready.execute()
    one = finding(ready, "T26")
    assert str(one.verdict) == "INCONCLUSIVE"
    assert "a capture without losses decides" in one.sentence


def test_t26_refused_as_it_should_be(ready: Any) -> None:
    """4.05 in Downloading is right."""
    ready.push(bytes(2000), upto=1)
    ready.notify("/5/0/3", 1)
    ready.execute(code="4.05")
    assert rules(ready)["T26"] == "PASS"


def test_a_rule_of_ones_own_counts(ready: Any, image: bytes) -> None:
    """Registered, it is in the findings and in the verdict; another of the same id is refused."""

    @lab.rule("X9", "an image below 1 kB", clause="house rule 4")
    def small(case: Any) -> Any:
        yield lab.Verdict.FAIL, f"{case.update.image_size} bytes", [case.update.frames[0]]

    try:
        reboot(deliver(ready, image))
        update = ready.capture().update(0)
        assert (update.verdict, update.cause) == ("FAIL", "3000 bytes")
        assert str(finding(ready, "X9")).endswith("[house rule 4]")
        with pytest.raises(BadInput, match="a rule 'X9' exists already"):

            @lab.rule("X9", "something else", clause="none")
            def other(case: Any) -> Any:
                yield from ()

    finally:
        del RULES["X9"]


def test_every_rule_has_a_title_a_clause_and_a_party() -> None:
    """What a finding quotes."""
    for one in RULES.values():
        assert one.title
        assert one.clause
        assert one.party in ("device", "server", "repository", "network")


def test_every_finding_names_frames_of_the_capture(ready: Any, image: bytes) -> None:
    """Evidence can be looked up."""
    capture = reboot(deliver(ready, image)).capture()
    for one in lab.explain(capture).findings:
        assert all(1 <= frame <= capture.columns.packets for frame in one.frames)
        assert str(one.verdict) == "NOT APPLICABLE" or one.sentence

"""The rules on sessions that break them, and on sessions that nearly do."""

from __future__ import annotations

from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.findings import RULES
from lwm2m_lab.wire.coap import Block


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


def test_an_answer_that_was_asked_for_before(session: Any) -> None:
    """The Read of Result was taken at once and its answer lost; its copy is answered as the first one was."""
    session.script("""
        ready
        uri coap://192.0.2.3/fw.bin
        server > device  CON GET /5/0/5 mid=900 token=aa
        device > server  CON 2.05 for=/5/0/5 observe=5 cf=0 text=6
        server > device  ACK
        server > device  CON GET /5/0/5 mid=900 token=aa
        device > server  ACK 2.05 cf=0 text=0
        read /5/0/5 6
        read /5/0/3 0
    """)
    found = rules(session)
    assert (found["F8"], found["O5"]) == ("PASS", "PASS")


def test_an_error_that_is_lost_for_the_reader(session: Any) -> None:
    """The same with a Read that was asked for afterwards: there the error is lost."""
    session.script("""
        ready
        uri coap://192.0.2.3/fw.bin
        device > server  CON 2.05 for=/5/0/5 observe=5 cf=0 text=6
        server > device  ACK
        read /5/0/5 0
        read /5/0/3 0
    """)
    assert rules(session)["F8"] == "FAIL"


def test_notifications_that_wait_for_one_another(ready: Any, image: bytes) -> None:
    """A reading overtakes them: both pushes were refused long before 0 and 1 are told of."""
    for size in (1024, 256):
        block = Block(0, True, size.bit_length() - 5)
        ready.exchange("0.03", "/5/0/0", "4.13", payload=image[:size], block1=block, content_format=42)
    ready.read("/5/0/3", 0)
    ready.read("/5/0/5", 2)
    for path, value in [("/5/0/5", 2), ("/5/0/5", 0), ("/5/0/5", 2), ("/5/0/3", 1), ("/5/0/3", 0)]:
        ready.notify(path, value)
    found = rules(ready)
    assert (found["F8"], found["O5"]) == ("NOT APPLICABLE", "PASS"), "no error has become another value"


def test_notifications_that_no_waiting_explains(ready: Any, image: bytes) -> None:
    """Late or not: there is no way back from Downloaded to Downloading without a Write."""
    deliver(ready, image)
    ready.read("/5/0/3", 2)
    ready.notify("/5/0/3", 2)
    ready.notify("/5/0/3", 1)
    assert rules(ready)["O5"] == "FAIL"


def test_a_restart_from_another_port_is_no_proof_of_a_nat(session: Any) -> None:
    """It registers anew: started anew, or behind a NAT that forgot it; nobody can tell."""
    session.script("""
        ready
        push 0
        wait 600
        server > device  CON GET /5/0/3
        +2.5 server > device  again
        +5 server > device  again
        register
        read /5/0/3 0
    """)
    one = finding(session, "M12")
    assert str(one.verdict) == "INCONCLUSIVE"
    assert "it started anew, or a NAT forgot the mapping" in one.sentence


def test_a_reset_that_was_lost_ends_nothing(session: Any) -> None:
    """The device sends the notification again, so it has not heard; after the second reset it is still."""
    session.script("""
        ready
        push
        device > server  CON 2.05 for=/5/0/3 observe=5 cf=0 text=2 mid=700
        server > device  RST
        +2.5 device > server  CON 2.05 for=/5/0/3 observe=5 cf=0 text=2 mid=700
        server > device  RST
        +1 device > server  CON 2.05 for=/5/0/3 observe=6 cf=0 text=2
        server > device  RST
    """)
    assert rules(session)["N2"] == "PASS"


def test_one_message_that_the_path_doubles_is_no_timer(session: Any) -> None:
    """Four arrivals at even gaps; all others of this sender come again after 2 s and more."""
    lines = ["ready", "push 0-5 size=256"]
    for num in (6, 7, 8, 9):
        put = f"server > device  CON PUT /5/0/0 1:{num}/1/256 cf=42 256B mid={300 + num} token=a{num}"
        gaps = (0.8, 0.8, 0.8) if num == 9 else (2.5,)
        lines += [put, *(f"+{gap} server > device  again" for gap in gaps), f"device > server  ACK 2.31 1:{num}/1/256"]
    session.script("\n".join([*lines, "push 10-11 size=256"]))
    one = finding(session, "M7")
    assert str(one.verdict) == "INCONCLUSIVE"
    assert "the path may have doubled and delayed it" in one.sentence

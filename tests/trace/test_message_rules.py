"""What the rules of messages and blocks say in words: numbers, frames, and the way out."""

from __future__ import annotations

import io
import pathlib
import random

import pytest

import lwm2m_lab as lab
from lwm2m_lab.trace.findings import Case
from lwm2m_lab.trace.findings.traffic import traffic
from lwm2m_lab.wire.pcap import Interface, RecordReader
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
from tests.peers import Session
from tests.trace.triggers import TRIGGERS

SENTENCES = {
    "M0": "/5/0/0 was sent 5 times over 37.7 s from frame 11 on and never answered",
    "M1": "a time-out of 120 s for the whole body and not for each block",
    "M3": "reports Update Result 5; the same 3000 bytes were taken in the update of frames 20 to 26",
    "M5": "block 0 was answered after 6.1 s, the others after 50 ms (median), and 1 needless copy was sent",
    "M6": "raise ACK_TIMEOUT above 3.1 s",
    "M7": "was sent 4 times at gaps of 2.0 s, 2.1 s and 2.0 s",
    "M9": "message id 7 is used again in frame 11 for another message, 100 ms after frame 9",
    "M12": "after 607.7 s of silence the device speaks from 192.0.2.2:61234",
    "M14": "192.0.2.2 itself says 'port unreachable' in frame 12 of a message to 192.0.2.2:50001 (frame 11)",
    "M15": "and no response in 120.1 s",
    "W1": "it differs from block 0 in nothing but its token",
    "W2": "block 0 in frame 11 has the query 'v=2', block 1 in frame 13 has no query, and 4.04 is the answer",
    "W3": "the server goes on with block 4 as if block 0 had been taken (frame 11)",
    "W5": "which repeats 768 bytes; block 4 is expected",
    "W7": "block 2 in frame 11 has message id 106, the message before it (frame 9) 105",
    "W9": "block 2 in frame 16 ends the 3072 bytes that were announced, and has M=1, and block 3 was asked for in vain",
    "W11": "ETag is aa in block 0 and bb in block 2",
    "W12": "goes on at byte 2048 in frame 15, though the ETag went from aa to bb",
    "W13": "the transfer ends at 8192 bytes exactly, where the next block was answered 4.13",
    "W16": "use blocks of 512 bytes",
    "W17": "carries the token bb, the request in frame 9 with the same message id aa",
    "B7": "Size1 announces 4000 bytes, and the body has 3000",
    "N1": "has the number 7",
}


@pytest.mark.parametrize("rule", SENTENCES)
def test_the_sentence_has_the_numbers(rule: str) -> None:
    """And the advice where there is one."""
    found = lab.explain(Session(TRIGGERS[rule].script).capture()).findings
    said = [one.sentence for one in found if one.rule == rule]
    assert any(SENTENCES[rule] in sentence for sentence in said), said


@pytest.mark.parametrize(("answer", "verdict"), [(0.05, "FAIL"), (1, "INCONCLUSIVE")])
def test_a_server_stops_or_its_copies_are_lost(answer: float, verdict: str) -> None:
    """Where the device waits longer for answers than the server, the tap is beside it and misses what the path lost."""
    script = f"""
    ready
    image 20000 raw
    push 0-4
    device > server  CON POST /rd/1
    +{answer} server > device  ACK 2.04
    push 5-9
    wait 59.5
    push 10
    wait {59.33 - answer}
    push 11
    wait 100
    read /5/0/3 1
    """
    found = lab.explain(Session(script).capture()).findings
    assert [one.verdict for one in found if one.rule == "M1"] == [verdict]


@pytest.mark.parametrize(("next_word", "verdict"), [("read /5/0/3 1", "FAIL"), ("register", "INCONCLUSIVE")])
def test_whoever_ignores_copies_has_to_be_there(next_word: str, verdict: str) -> None:
    """A device that says nothing before it registers anew may have been off, and heard none of the copies."""
    copies = "".join(f"+{gap} server > device again\n" for gap in (2.5, 5, 10, 20))
    script = f"ready\npush 0-8\n{copies}wait 9\n{next_word}\n" + "read /5/0/3 1\n" * 6
    found = lab.explain(Session(script).capture()).findings
    assert [one.verdict for one in found if one.rule == "M2"] == [verdict]


@pytest.mark.parametrize(
    ("heard_after", "verdict"), [((1, 2, 3, 4), "FAIL"), ((1, 2), "INCONCLUSIVE"), ((1,), "INCONCLUSIVE")]
)
def test_whoever_ignores_a_response_has_to_be_in_reach(heard_after: tuple[int, ...], verdict: str) -> None:
    """Heard after two copies and not since: their acknowledgements may have been lost, and the path then gone."""
    script = "ready\npush\nnotify /5/0/3 2\nserver > device CON GET /3/0/3 token=ee\ndevice > server ACK\n"
    for number, gap in enumerate((3, 2.5, 5, 10, 20), 1):
        script += f"+{gap} device > server CON 2.05 text=1.0.0 token=ee mid=900\n"
        if number in heard_after:
            script += f"+1 server > device CON GET /5/0/3 token=f{number}\n"
            script += f"device > server ACK 2.05 text=2 cf=0 token=f{number}\n"
    found = lab.explain(Session(script).capture()).findings
    assert [one.verdict for one in found if one.rule == "M10"] == [verdict]


@pytest.mark.parametrize(("port", "verdict"), [(50001, "FAIL"), (50007, "INCONCLUSIVE")])
def test_a_copy_to_the_address_of_before_finds_nobody(port: int, verdict: str) -> None:
    """Where the device has registered from another port since, it is not that Execute that makes it start once more."""
    script = f"""
    ready
    push
    notify /5/0/3 2
    server > device:50001 CON POST /5/0/2 mid=7 token=aa
    +9 device:{port} > server CON POST /rd ?ep=dev-1&lwm2m=1.1&lt=300&b=U cf=40 text='</3/0>,</5>;ver=1.1,</5/0>'
    server > device:{port} ACK 2.01
    server > device:50001 CON POST /5/0/2 mid=7 token=aa
    wait 9
    register
    read /5/0/3 0
    read /5/0/5 1
    """
    found = lab.explain(Session(script).capture()).findings
    assert [one.verdict for one in found if one.rule == "F19"] == [verdict]


def test_copies_and_answers() -> None:
    """A copy belongs to its first one; an acknowledgement to the copy before it, whichever side counts alike."""
    script = """
    push 0
    server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B mid=7 token=aa
    +2.5 server > device  again
    device > server  ACK 2.31 1:1/1/1024
    device > server  CON POST /rd/1 mid=7 token=bb
    server > device  ACK 2.04
    +0.1 device > server  ACK 2.31 1:1/1/1024 mid=7 token=aa
    """
    seen = traffic(Case(Session(script).capture().update(0)))
    assert seen.first.tolist() == [0, 1, 2, 2, 4, 5, 6, 4]
    assert seen.rank.tolist() == [0, 0, 0, 1, 0, 0, 0, 1]
    assert seen.answered.tolist() == [-1, 0, -1, -1, 3, -1, 5, 3]
    assert seen.repeats.tolist() == [3], "the second acknowledgement is no retransmission"
    assert (seen.answer[2], seen.answers[2], seen.copies[2]) == (4, 2, 2)


def test_a_device_that_said_so_may_give_half_a_body_up() -> None:
    """Result 4 and State 0 are told before the 4.08: the block comes too late, and the device is right."""
    link, device = lab.Link(outages=[(0.75, 9)]), lab.DeviceOptions(forget_after=5)
    explanation = lab.explain(lab.push(size=8000, link=link, device=device, seed=1))
    said = [(one.verdict, one.sentence) for one in explanation.findings if one.rule == "W1"]
    assert said == [
        ("PASS", "4.08 in frame 27 is right: the device had given the body up, and said State 0 in frame 24")
    ]
    assert explanation.updates[0].verdict == "PASS"


def test_a_network_that_doubles_answers_makes_no_device_slow() -> None:
    """Two answers to two copies of block 0 prove nothing where others come twice without a copy."""
    link = lab.Link(loss=0.203125, duplication=0.5, reordering=0.125, jitter=1.0)
    run = lab.push(version="2.1.0", size=200, block_size=32, link=link, seed=151, time_limit=3000)
    assert ("M5", "PASS") in [(one.rule, one.verdict) for one in lab.explain(run).findings]


def test_a_device_that_does_not_start_with_the_server_is_blamed_for_nothing(shared: pathlib.Path) -> None:
    """One real server takes 4.13 with a smaller size for an acceptance: what follows is its own doing."""
    path = shared / "captures" / "wakaama" / "wakaama-push-1024-client-S-256.pcap"
    explanation = lab.explain(lab.read(path))
    wrong = [(one.rule, one.party) for one in explanation.findings if one.verdict == "FAIL"]
    assert wrong == [("W3", "server")]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("side", ["server", "device"])
def test_packets_that_the_capture_lost_accuse_nobody(seed: int, side: str) -> None:
    """Frames missing in the file, at random, at its beginning and at its end, are nobody's failure."""
    how = (lab.push, lab.pull)[seed % 2]
    run = how(link=lab.Link(loss=0.1, duplication=0.05, reordering=0.05), seed=seed, size=6000, block_size=512)
    packets = _packets(run.pcapng(side=side))  # type: ignore[arg-type]
    chance = random.Random(seed)
    first = chance.randrange(len(packets) // 3)
    kept = [one for one in packets[first:] if chance.random() > 0.05]
    capture = lab.Capture.from_bytes(pcapng_bytes(kept, interfaces=[Interface(side)]), name="lossy")
    found = [one for one in lab.explain(capture).findings if one.rule[0] in "MWCBN" and one.rule != "M0"]
    assert [str(one) for one in found if one.verdict == "FAIL"] == []


def _packets(data: bytes) -> list[Packet]:
    """The packets of a file."""
    found = []
    for records in RecordReader(io.BytesIO(data), "run"):
        for time, start, length in zip(records.time_ns, records.start, records.captured, strict=True):
            found.append(Packet(int(time), records.data[start : start + length].tobytes()))
    return found


def test_a_body_of_one_block_has_no_pace() -> None:
    """Nothing to take a median of, and no rule that stumbles over it."""
    script = "ready\nimage 20000 raw\npush 0-3\npush 0\nwait 100\nread /5/0/3 1"
    found = lab.explain(Session(script).capture()).findings
    (one,) = [one for one in found if one.rule == "M1"]
    assert (str(one.verdict), one.frames[-1]) == ("INCONCLUSIVE", 18)
    assert not [one for one in found if "could not be applied" in one.sentence]


def test_two_addresses_that_cannot_be_reached_are_two_things() -> None:
    """Each is told with its own errors: a server that is not there, and a device that is not there."""
    script = """
        ready
        push 0
        device > server  CON POST /rd/1
        server > device  ICMP port-unreachable
        server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B
        device > server  ICMP port-unreachable
        +2 server > device  again
        device > server  ICMP port-unreachable
    """
    found = [one for one in lab.explain(Session(script).capture()).findings if one.rule == "M14"]
    assert [(one.party, one.frames) for one in found] == [("server", (11, 12)), ("device", (13, 14, 16))]
    assert "more" not in found[0].sentence
    assert found[1].sentence.endswith(
        "and once more: nobody listens on that port: asleep, stopped, or restarted on another one, or it is a NAT "
        "that forgot the device"
    )


def test_a_copy_of_an_answer_finds_a_closed_port() -> None:
    """Who asked had its answer and left; the copy that comes to nobody accuses nobody, and a first answer does."""
    copies = "ready\npush 0-1\n+1 device > server again\nserver > device ICMP port-unreachable\npush 2"
    (one,) = [one for one in lab.explain(Session(copies).capture()).findings if one.rule == "M14"]
    assert (str(one.verdict), one.frames) == ("PASS", (14,))
    first = "ready\npush 0-1\nserver > device ICMP port-unreachable\npush 2"
    (one,) = [one for one in lab.explain(Session(first).capture()).findings if one.rule == "M14"]
    assert (str(one.verdict), one.party) == ("FAIL", "server")


def test_whose_port_is_closed_is_told_without_the_message_itself() -> None:
    """The message that an ICMP error quotes was lost to the capture; the error says who sent it."""
    script = "ready\npush 0\ndevice > server CON POST /rd/1 lost\nserver > device ICMP port-unreachable\npush 1-2"
    (one,) = [one for one in lab.explain(Session(script).capture()).findings if one.rule == "M14"]
    assert (str(one.verdict), one.party) == ("FAIL", "server")

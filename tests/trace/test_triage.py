"""Triage: silent over captures that want nothing, one sentence and its remedy for everything that can be wrong."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.__main__ import main
from lwm2m_lab.trace.samples import path_of
from lwm2m_lab.trace.triage import Lack, Triage
from lwm2m_lab.wire.coap import Block, Message
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
from tests.peers import Session


def of(packets: list[Packet], *, linktype: int = 101) -> Triage:
    """The triage of these packets."""
    data = pcapng_bytes(packets, interfaces=[Interface("eth0", linktype)])
    return lab.Capture.from_bytes(data, name="packets").triage()


def names(found: Triage) -> list[str]:
    """What is lacking."""
    return [one.what for one in found.lacks]


@pytest.fixture
def whole(ready: Any, image: bytes) -> Any:
    """A session from the registration to the readings after the reboot."""
    ready.push(image)
    ready.notify("/5/0/3", 2)
    ready.execute()
    ready.wait(10).register()
    ready.read("/5/0/3", 0)
    ready.read("/5/0/5", 1)
    ready.read("/3/0/3", "2.1.0")
    return ready


def test_a_whole_session_wants_nothing(whole: Any) -> None:
    """No lack, and the facts say what there is."""
    found = of(whole.packets)
    assert (found.explainable, found.lacks) == ("yes", ())
    assert "endpoints: dev-1" in str(found)
    assert "succeeded" in str(found)


def test_real_captures_want_nothing_but_keys(shared: pathlib.Path) -> None:
    """No false alarm on any real capture; the encrypted ones say so."""
    paths = sorted([*shared.glob("captures/*/*.pcap"), *shared.glob("captures/*/*.pcapng")])
    assert len(paths) > 20
    for path in paths:
        capture = lab.read(path)
        assert names(capture.triage()) == (["encrypted"] if capture.encrypted_records else []), path.name


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.3])
def test_simulated_runs_want_nothing(loss: float) -> None:
    """Loss, duplicates and reordering on the link are no fault of the capture, on either side."""
    run = lab.push(size=8000, seed=3, link=lab.Link(loss=loss, duplication=0.2, reordering=0.1))
    assert names(run.triage()) == []
    assert names(run.device_side().triage()) == []


def test_the_side_of_the_capture_is_told(shared: pathlib.Path) -> None:
    """Who is near answers at once."""
    base = shared / "captures" / "anjay" / "anjay-push-lossy-80ms-7pct"
    for end, side in ((".pcap", "server"), (".client-side.pcap", "device")):
        assert f"seen from the {side}'s side" in str(lab.read(f"{base}{end}").triage())


def test_encrypted_without_its_handshake() -> None:
    """A key alone would not open it."""
    records = lab.read("anjay-dtls-psk")
    assert names(records.triage()) == ["encrypted"]
    data = path_of("anjay-dtls-psk").read_bytes()
    at, skipped = 24, 0
    while skipped < 12:
        at += 16 + int.from_bytes(data[at + 8 : at + 12], "little")
        skipped += 1
    late = lab.Capture.from_bytes(data[:24] + data[at:], name="late").triage()
    assert names(late)[-1] == "encrypted, without handshake"
    assert late.explainable == "no"


@pytest.mark.parametrize("source", ["192.0.2.1", "192.0.2.2"])
def test_one_direction(whole: Any, source: str) -> None:
    """Only what the server sent, or only what the device sent."""
    address = bytes(int(part) for part in source.split("."))
    found = of([one for one in whole.packets if one.data[12:16] == address])
    assert found.lacks[0].what == "one direction"
    assert found.explainable == "no"
    assert source in found.lacks[0].found


def test_a_device_that_is_gone_is_no_missing_direction(session: Any) -> None:
    """Five copies of each request and silence: the sender was not answered, the capture is whole."""
    for path in ("/5/0/3", "/5/0/5", "/3/0/3", "/3/0/0"):
        session.exchange("0.01", path, None, copies=5)
    assert "one direction" not in names(of(session.packets))


def test_packets_that_the_capture_lost(ready: Any, image: bytes) -> None:
    """Answers without their questions."""
    ready.push(image, szx=2)
    kept = [one for at, one in enumerate(ready.packets) if at % 7 or at < 8]
    assert "packets missing" in names(of(kept))


def test_it_starts_late(whole: Any) -> None:
    """Behind the registration; within the transfer."""
    blocks = [at for at, one in enumerate(whole.packets) if len(one.data) > 1000]
    assert names(of(whole.packets[blocks[0] :])) == ["starts late"]
    without = [one for one in whole.packets if b"ep=dev-1" not in one.data]
    assert "starts late" in names(of(without))
    assert "starts within the transfer" in names(of(whole.packets[blocks[1] :]))


def test_it_ends_early(ready: Any, image: bytes) -> None:
    """Within the delivery, before the Execute, before the first reading."""
    ready.push(image, upto=2)
    (lack,) = of(ready.packets).lacks
    assert (lack.what, lack.weight) == ("ends early", "limits")
    assert "before the delivery did" in lack.found
    ready.exchange("0.03", "/5/0/0", "2.04", payload=image[2048:], content_format=42, block1=Block(2, False, 6))
    assert "before the Execute did" in of(ready.packets).lacks[0].found
    ready.notify("/5/0/3", 2)
    ready.execute()
    assert "without a reading" in of(ready.packets).lacks[0].found


def test_silence_is_no_early_end(ready: Any, image: bytes) -> None:
    """A block that was given up, with the capture running on."""
    ready.push(image, upto=1)
    ready.exchange(
        "0.03", "/5/0/0", None, payload=image[1024:2048], content_format=42, block1=Block(1, True, 6), copies=5
    )
    ready.wait(60).read("/3/0/3", "1.0.0")
    assert "ends early" not in names(of(ready.packets))


@pytest.mark.parametrize("path", ["/5/0/3", "/5/0/5", "/3/0/3"])
def test_no_reading_after_the_reboot(ready: Any, image: bytes, path: str) -> None:
    """Each of the three is missed by its path."""
    ready.push(image)
    ready.notify("/5/0/3", 2)
    ready.execute()
    ready.wait(10).register()
    for one, value in (("/5/0/3", 0), ("/5/0/5", 1), ("/3/0/3", "2.1.0")):
        if one != path:
            ready.read(one, value)
    (lack,) = of(ready.packets).lacks
    assert (lack.what, lack.found.rsplit(" ", 1)[1]) == ("no reading", path)


def test_cut_packets() -> None:
    """Fewer bytes kept than there were."""
    data = bytearray(path_of("anjay-push-256-ok").read_bytes()[:24])
    whole = path_of("anjay-push-256-ok").read_bytes()
    at = 24
    while at < len(whole):
        length = int.from_bytes(whole[at + 8 : at + 12], "little")
        kept = min(length, 96)
        data += whole[at : at + 8] + kept.to_bytes(4, "little") + whole[at + 12 : at + 16 + kept]
        at += 16 + length
    found = lab.Capture.from_bytes(bytes(data), name="cut").triage()
    (lack,) = [one for one in found.lacks if one.what == "cut packets"]
    assert "to at most 96 bytes" in lack.found
    assert lack.frames[0] > 0


def test_every_packet_twice(whole: Any) -> None:
    """As captured on 'any', or from a mirror port."""
    twice = [Packet(one.time_ns + late, one.data) for one in whole.packets for late in (0, 20_000)]
    assert names(of(twice)) == ["duplicated packets"]


def test_clocks(whole: Any) -> None:
    """Backwards, by hours, and too coarse."""
    half = len(whole.packets) // 2
    back = [Packet(one.time_ns - (at >= half) * 5 * 10**9, one.data) for at, one in enumerate(whole.packets)]
    (lack,) = of(back).lacks
    assert (lack.what, lack.frames) == ("time runs backwards", (half + 1,))
    answer = next(at for at, one in enumerate(whole.packets) if at > 8 and one.data[28] >> 4 == 6)
    jump = [Packet(one.time_ns + (at >= answer) * 7200 * 10**9, one.data) for at, one in enumerate(whole.packets)]
    assert "time jumps" in names(of(jump))
    coarse = [Packet(one.time_ns // 10**9 * 10**9, one.data) for one in whole.packets]
    assert names(of(coarse)) == ["coarse clock"]


def test_a_port_that_was_not_recognised(session: Any) -> None:
    """Requests alone on another port: nothing proves that they are CoAP."""
    for mid in range(6):
        session.say(("192.0.2.9", 40000), ("192.0.2.8", 6000), Message("NON", "0.01", mid, b"\1", ((11, b"x"),)))
    session.register()
    lacks = {one.what: one for one in of(session.packets).lacks}
    assert "--port 6000" in lacks["unusual port"].remedy


def test_both_sides_of_a_nat(session: Any, image: bytes) -> None:
    """A private device, a public repository, and no download; several names behind one public address."""
    session.device = ("10.1.2.3", 50000)
    session.register()
    session.exchange("0.03", "/5/0/1", "2.04", payload=b"coap://8.8.8.8/fw.bin", content_format=0)
    session.wait(60).read("/3/0/3", "1.0.0")
    assert "other side of a NAT" in names(of(session.packets))
    session.device = ("8.8.4.4", 50000)
    for name in (b"ep=one", b"ep=two"):
        queries = (name.decode(), "lwm2m=1.1", "lt=300")
        session.exchange("0.02", "/rd", "2.01", payload=b"</5/0>", from_device=True, queries=queries, content_format=40)
        session.device = ("8.8.4.4", session.device[1] + 1)
    lacks = {one.what: one for one in of(session.packets).lacks}
    assert lacks["behind a NAT"].weight == "note"


def test_files_that_hold_nothing(session: Any, tmp_path: pathlib.Path) -> None:
    """No packet, no CoAP, another link type, no update, a cut file: each its own word."""
    assert names(of([])) == ["no CoAP"]
    assert names(of([Packet(10**18, b"\x45" + bytes(60))])) == ["no CoAP"]
    session.register()
    assert "not registered" not in names(of(session.packets))
    assert "link type" in names(of(session.packets, linktype=195))
    assert names(of(session.packets)) == ["no update"]
    data = path_of("anjay-push-256-ok").read_bytes()
    found = lab.Capture.from_bytes(data[:-7], name="cut").triage()
    assert "damaged file" in names(found)


def test_whoever_was_not_let_in() -> None:
    """Without a registration there is no update to explain, and the answer to the Register is where to look."""
    register = "device > server CON POST /rd ?ep=dev-1&lt=300&mac=00:00 cf=40 text='</5/0>'\n"
    refused = triaged(f"{register}server > device ACK 4.00")
    assert (refused.what, refused.frames) == ("not registered", (1, 2))
    assert refused.found == "dev-1: its Register in frame 1 was answered 4.00 in frame 2, and no other one was taken"
    # Wakaama answers an option that it cannot read without the token of the request, and the device asks on and on.
    strange = triaged(f"{register}server > device ACK 4.02 token=\n+2.5 device > server again\nserver > device again")
    assert "was answered 4.02 in frame 2 under another token" in strange.found
    silent = triaged(f"{register}+2.5 device > server again\nwait 60\ndevice > server CON GET /x")
    assert "was never answered" in silent.found
    other = "192.0.2.9:5 > server CON POST /rd ?ep=dev-9&lt=3 cf=40 text='</5/0>'\nserver > 192.0.2.9:5 ACK 4.00\n"
    beside = Session(f"{other}ready\npush\ninstalled").capture().triage()
    assert ([(one.what, one.weight) for one in beside.lacks], beside.explainable) == (
        [("not registered", "note")],
        "yes",
    )
    assert triaged(f"{register}server > device ACK 4.00\n{register}server > device ACK 2.01").what == "no update"


def triaged(script: str) -> Any:
    """The first thing that a session lacks."""
    return Session(script).capture().triage().lacks[0]


def test_every_lack_says_what_to_do(whole: Any) -> None:
    """In print, in a notebook and as JSON, with nothing that a terminal or a browser would obey."""
    found = of(whole.packets[12:], linktype=101)
    assert found.lacks
    for lack in found.lacks:
        assert lack.remedy in str(found)
        assert lack.remedy in found._repr_html_()
    assert json.loads(found.to_json())["explainable"] == "in part"
    evil = Triage("x", ("<script>\x1b[2J",), ())
    assert "\x1b" not in str(evil)
    assert "<script>" not in evil._repr_html_()


def test_many_devices_fit_on_one_screen() -> None:
    """The same lack of many devices is shown twice, and counted."""
    lacks = tuple(Lack("ends early", "limits", f"device {number}", (number,), "wait") for number in range(1, 41))
    shown = str(Triage("x", ("many",), lacks))
    assert "and 38 more of the kind" in shown
    assert len(shown.split("\n")) < 10
    assert len(Triage("x", (), lacks).to_dict()["lacks"]) == 40


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 0 where the file could be read, whatever is lacking in it."""
    path = str(path_of("anjay-dtls-psk"))
    assert main(["triage", path]) == 0
    assert capsys.readouterr().out == f"{lab.read(path).triage()}\n"
    assert main(["triage", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["explainable"] == "no"
    assert main(["triage", "nowhere.pcap"]) == 2


def test_responses_alone_can_be_read(whole: Any) -> None:
    """Not one request: tables are empty, and it is said which direction is missing."""
    device = bytes((192, 0, 2, 2))
    answers = [one for one in whole.packets if one.data[12:16] == device and one.data[29] >= 64]
    assert of(answers).lacks[0].what == "one direction"

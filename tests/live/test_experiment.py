"""Whole updates: every way to deliver, every way to fail, the same bytes each time, and on real sockets."""

from __future__ import annotations

import asyncio
import hashlib
import os
import pathlib
import subprocess
import sys
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.observing import Observations
from lwm2m_lab.live.run import Run

SUCCESS = "Update Result is 1 Updated successfully and /3/0/3 is 2.1.0"


def states(run: Run) -> list[int]:
    """The states that the device went through, from its own memory."""
    seen = [int(one.state) for one in run.truth]
    return [one for at, one in enumerate(seen) if at == 0 or one != seen[at - 1]]


def row(run: Run) -> dict[str, Any]:
    """The update as the capture shows it."""
    (only,) = run.updates.to_dict("records")
    return only


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("package_format", ["opaque", "tlv"])
@pytest.mark.parametrize("block_size", [64, 1024])
def test_a_push_succeeds(method: Any, package_format: Any, block_size: int) -> None:
    """States 0, 1, 2, 3, 0 on the device; the capture has the image whole, out of its wrapping."""
    run = lab.push(version="2.1.0", size=5000, method=method, package_format=package_format, block_size=block_size)
    assert (run.report.sentence, states(run)) == (SUCCESS, [0, 1, 2, 3, 0])
    update = row(run)
    assert (update["image_sha256"], update["outcome"], update["verdict"]) == (run.image.sha256, "succeeded", "PASS")
    assert (update["firmware_version_before"], update["firmware_version_after"]) == ("1.0.0", "2.1.0")
    requests = run.messages[run.messages["uri_path"] == "/5/0/0"]
    assert set(requests["code"]) == {"0.03" if method == "PUT" else "0.02"}
    assert set(requests["block1_size"]) == {block_size}


@pytest.mark.parametrize("block_size", [16, 1024])
def test_a_pull_succeeds(block_size: int) -> None:
    """The device fetches by Block2 what the repository serves."""
    run = lab.pull(version="2.1.0", size=3000, block_size=block_size)
    update = row(run)
    assert (run.report.sentence, states(run)) == (SUCCESS, [0, 1, 2, 3, 0])
    assert (update["delivery"], update["image_sha256"]) == ("pull", run.image.sha256)
    assert run.update(0).evidence.uri == "coap://192.0.2.3/fw/2.1.0.bin"
    served = run.messages[run.messages["code"] == "2.05"]
    assert set(served["block2_size"].dropna()) == {block_size}


@pytest.mark.parametrize("object_version", ["1.0", "1.1", "1.2"])
@pytest.mark.parametrize("lwm2m", ["1.0", "1.1", "1.2"])
def test_every_version_of_lwm2m_and_object(lwm2m: str, object_version: str) -> None:
    """The registration declares what the device is, and the update goes the same way."""
    device = lab.DeviceOptions(lwm2m=lwm2m, object_version=object_version)
    run = lab.push(version="2.1.0", size=2000, device=device)
    assert run.succeeded
    assert [str(one) for one in lab.explain(run).findings if one.verdict == "FAIL"] == []
    register = run.messages[run.messages["uri_path"] == "/rd"].iloc[0]
    assert f"lwm2m={lwm2m}" in register["uri_query"]


@pytest.mark.parametrize(
    ("what", "arguments", "sentence", "results"),
    [
        ("no such file", {"uri": "coap://192.0.2.3/nope.bin"}, "Update Result 7 Invalid URI", [0, 7]),
        ("an unknown host", {"uri": "coap://nobody.example/x"}, "Update Result 7 Invalid URI", [0, 7]),
        ("another scheme", {"uri": "ftp://192.0.2.3/x"}, "Update Result 9 Unsupported protocol", [0, 9]),
        ("nobody there", {"uri": "coap://192.0.2.77/x"}, "Update Result 4 Connection lost", [0, 4]),
    ],
)
def test_a_pull_that_cannot_be(what: str, arguments: dict[str, Any], sentence: str, results: list[int]) -> None:
    """Each wrong URI ends in Idle with its own Update Result, and the version stays."""
    run = lab.pull(version="2.1.0", size=2000, **arguments)
    assert (run.report.outcome, states(run)[-1]) == ("failed", 0)
    assert sentence in run.report.sentence
    assert row(run)["results"] == results
    assert row(run)["firmware_version_after"] in (None, "1.0.0")


def test_a_damaged_image_fails_its_hash() -> None:
    """One turned bit: Update Result 5, nothing installed."""
    bad = lab.image(version="2.1.0", size=4000).damaged()
    for run in (lab.push(bad), lab.pull(bad)):
        assert "Update Result 5 Integrity check failed" in run.report.sentence
        assert row(run)["firmware_versions"] == ["1.0.0"]
        assert row(run)["verdict"] == "PASS"


def test_what_is_no_image_is_an_unsupported_package() -> None:
    """A script is not firmware: Update Result 6."""
    assert "Update Result 6 Unsupported package type" in lab.push(b"#!/bin/sh\n" * 30).report.sentence


def test_an_image_larger_than_the_storage() -> None:
    """Refused with Update Result 2, before or while it comes."""
    run = lab.push(size=5000, device=lab.DeviceOptions(storage=1000))
    assert run.report.outcome == "failed"
    assert row(run)["results"][-1] == 2


def test_a_deferral_is_no_failure() -> None:
    """The server waits for the installation as long as it may; then its word is that of the capture."""
    device = lab.DeviceOptions(object_version="1.1", user_defers=90_000.0, max_defer_period=100_000)
    run = lab.push(version="2.1.0", size=4000, device=device)
    assert (run.report.outcome, row(run)["outcome"]) == ("deferred", "deferred")
    assert "Update Result 11" in run.report.sentence


def test_an_installation_that_fails_keeps_the_package() -> None:
    """Result 8 in Downloaded, and the old firmware still runs."""
    run = lab.push(version="2.1.0", size=4000, device=lab.DeviceOptions(install_fails=True))
    assert states(run) == [0, 1, 2, 3, 2]
    update = row(run)
    assert (update["states"][-1], update["results"][-1]) == (2, 8)
    assert (update["outcome"], update["verdict"], update["firmware_version_after"]) == ("failed", "PASS", "1.0.0")


@pytest.mark.parametrize("delivery", [0, 1])
def test_a_delivery_that_the_device_does_not_offer(delivery: int) -> None:
    """A device that pulls only refuses a push, and the other way round, with 4.05 and its state untouched."""
    device = lab.DeviceOptions(delivery=delivery)
    run = lab.pull(size=2000, device=device) if delivery == 1 else lab.push(size=2000, device=device)
    assert (run.report.outcome, states(run)) == ("failed", [0])
    assert "4.05" in run.report.sentence


def test_without_optional_resources() -> None:
    """A device without /3/0/3, /5/0/6 and /5/0/7 updates, and the version rule does not apply."""
    device = lab.DeviceOptions(has_firmware_version=False, has_package_names=False)
    run = lab.push(version="2.1.0", size=4000, device=device)
    assert run.report.sentence == "Update Result is 1 Updated successfully and the device has no /3/0/3"
    rules = {one.rule: str(one.verdict) for one in lab.explain(run).findings}
    assert (rules["V1"], rules["V7"]) == ("NOT APPLICABLE", "PASS")


@pytest.mark.parametrize("seed", range(6))
def test_30_percent_loss_ends_in_a_run(seed: int) -> None:
    """Whatever the dice say, there is a Run, and the capture agrees with the device about how it went."""
    run = lab.push(version="2.1.0", size=3000, block_size=256, link=lab.Link(loss=0.3), seed=seed)
    assert run.report.outcome in ("succeeded", "failed", "unfinished")
    assert run.report.sentence
    if run.succeeded:
        assert row(run)["image_sha256"] == run.image.sha256
        assert states(run) == [0, 1, 2, 3, 0]


def test_a_link_that_dies_for_ever() -> None:
    """The server gives up after its last copy, and says to what there was no answer."""
    run = lab.push(version="2.1.0", size=20_000, block_size=256, link=lab.Link(outages=[(5, float("inf"))]))
    assert run.report.outcome == "unfinished"
    assert "gave up" in run.report.sentence
    assert row(run)["outcome"] == "unfinished"


def test_a_notification_that_never_comes_is_made_up_for_by_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that forgets to tell State 2: the server reads after its patience, and the update goes on."""
    monkeypatch.setattr(Observations, "changed", lambda *_, **__: None)
    run = lab.push(version="2.1.0", size=4000, patience=20)
    assert run.succeeded
    reads = run.timeline[(run.timeline["path"] == "/5/0/3") & (run.timeline["value"] == 2)]
    assert list(reads["how"]) == ["read"]
    assert 20 < float(reads["time"].iloc[0]) < 25


@settings(max_examples=12, deadline=None)
@given(
    loss=st.floats(0, 0.25),
    duplication=st.floats(0, 0.5),
    reordering=st.floats(0, 0.5),
    jitter=st.floats(0, 2),
    size=st.integers(200, 3000),
    block_size=st.sampled_from([32, 128, 1024]),
    seed=st.integers(0, 10**6),
    pulled=st.booleans(),
)
def test_no_link_makes_a_wrong_image(pulled: bool, loss: float, duplication: float, reordering: float, jitter: float,
                                     size: int, block_size: int, seed: int) -> None:  # fmt: skip
    """Loss, copies and disorder cost time or the update; a device never installs what was not sent."""
    link = lab.Link(loss=loss, duplication=duplication, reordering=reordering, jitter=jitter)
    call = lab.pull if pulled else lab.push
    run = call(version="2.1.0", size=size, block_size=block_size, link=link, seed=seed, time_limit=3000)
    if run.succeeded:
        assert row(run)["image_sha256"] == run.image.sha256
        assert run.truth[-1].firmware_version == "2.1.0"
    explanation = lab.explain(run)
    broken = [str(one) for one in explanation.findings if one.verdict == "FAIL" and one.party == "device"]
    assert broken == [], "our own device keeps the rules on any link"


PROGRAM = """
import hashlib, lwm2m_lab as lab
link = lab.Link(loss=0.1, jitter=0.2, reordering=0.1, duplication=0.1)
for run in (lab.push(size=4000, link=link, seed=9), lab.pull(size=4000, link=link, seed=9)):
    print(hashlib.sha256(run.pcapng(side="both")).hexdigest())
"""


def test_same_arguments_same_bytes_in_any_process() -> None:
    """Two processes with different hash seeds, and this one after other runs, write the same captures."""
    link = lab.Link(loss=0.1, jitter=0.2, reordering=0.1, duplication=0.1)
    lab.push(size=1000, seed=3)
    runs = [lab.push(size=4000, link=link, seed=9), lab.pull(size=4000, link=link, seed=9)]
    here = [hashlib.sha256(run.pcapng(side="both")).hexdigest() for run in runs]
    for hash_seed in ("1", "77"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
        )  # fmt: skip
        assert done.stdout.split() == here
    assert runs[0].pcapng() != lab.push(size=4000, link=link, seed=10).pcapng()


def test_inside_a_running_loop_and_a_thread() -> None:
    """A kernel runs a loop of its own; a plain call works there, and several threads take turns."""

    async def cell() -> bool:
        return lab.push(size=1000).succeeded

    assert asyncio.run(cell())
    outcomes: list[bool] = []
    threads = [threading.Thread(target=lambda: outcomes.append(lab.push(size=1000).succeeded)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [True] * 3


def test_other_threads_may_throw_dice_as_well() -> None:
    """A thread that draws all the time, as a cluster's worker may: the same seed gives the same bytes."""
    import random
    import threading

    link, ended = lab.Link(loss=0.1), threading.Event()
    expected = lab.push(link=link, seed=5).pcapng(side="both")

    def draw() -> None:
        while not ended.wait(0.0005):
            random.uniform(0, 1)
            random.randint(0, 65535)

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        assert lab.push(link=link, seed=5).pcapng(side="both") == expected
    finally:
        ended.set()
        thread.join()


def test_the_dice_of_the_caller_are_left_alone() -> None:
    """aiocoap draws from the module random; a run leaves its state alone."""
    import random

    random.seed(5)
    expected = random.random()
    random.seed(5)
    lab.push(size=1000)
    assert random.random() == expected


@pytest.mark.parametrize("call", [lab.push, lab.pull])
def test_on_real_sockets(call: Any) -> None:
    """The same device and server over UDP of this machine."""
    device = lab.DeviceOptions(install_time=0.1, reboot_time=0.2)
    run = call(version="2.1.0", size=5000, network="loopback", device=device)
    assert run.report.sentence == SUCCESS
    update = row(run)
    assert (update["image_sha256"], update["states"][-1], update["results"][-1]) == (run.image.sha256, 0, 1)
    assert set(run.messages["dst"].str.rpartition(":")[0]) == {"127.0.0.1"}


def test_both_sides_in_one_file(tmp_path: pathlib.Path) -> None:
    """Losses are marked, and a reader is told that it sees one side."""
    run = lab.push(size=5000, block_size=256, link=lab.Link(loss=0.2), seed=2)
    run.save(tmp_path / "both.pcapng", side="both")
    capture = lab.read(tmp_path / "both.pcapng")
    assert capture.columns.rows == run.columns.rows
    assert capture.notes == ("this is the server's side; the device's is there too: interface='device'",)
    device = lab.read(tmp_path / "both.pcapng", interface="device")
    assert list(device.messages["mid"]) == list(run.device_side().messages["mid"])
    lost = [comment for comment in run.columns.comments.values() if "lost" in comment]
    sent = int((run.messages["src"] == "192.0.2.1:5683").sum())
    arrived = int((device.messages["src"] == "192.0.2.1:5683").sum())
    assert sent - arrived == len(lost) > 0


def test_tshark_finds_nothing_malformed(tmp_path: pathlib.Path, tshark: str) -> None:
    """Push and pull, both sides, with losses: no malformed packet, and as many messages as rows."""
    link = lab.Link(loss=0.1, duplication=0.1)
    for at, run in enumerate((lab.push(size=4000, link=link, package_format="tlv"), lab.pull(size=4000, link=link))):
        path = tmp_path / f"{at}.pcapng"
        run.save(path)
        command = [tshark, "-r", str(path), "-T", "fields", "-e", "_ws.malformed", "-e", "coap.mid", "-e", "_ws.expert"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        malformed, mids, _ = zip(*(line.split("\t") for line in shown), strict=True)
        assert set(malformed) == {""}
        assert [int(mid) for mid in mids] == list(run.messages["mid"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"size": 0}, "size of the image is 0 bytes; "),
        ({"size": 10**9}, "16 MiB"),
        ({"size": "large"}, "a number of bytes is expected"),
        ({"version": "two"}, "three numbers as in '2.1.0'"),
        ({"version": "256.0.0"}, "at most 255.255.65535"),
        ({"block_size": 100}, "one of 16, 32, 64, 128, 256, 512, 1024 is expected"),
        ({"seed": 1.5}, "a whole number is expected"),
        ({"network": "wlan"}, "'simulated' or 'loopback' is expected"),
        ({"network": "loopback", "link": lab.Link()}, "only 'simulated' has one"),
        ({"method": "GET"}, "'PUT' or 'POST' is expected"),
        ({"package_format": "zip"}, "'opaque' or 'tlv' is expected"),
        ({"ack_timeout": 0}, "ack_timeout"),
        ({"max_retransmit": -1}, "max_retransmit"),
        ({"time_limit": 0}, "time_limit"),
        ({"image": b""}, "at least one byte is expected"),
        ({"image": "no/such/file.bin"}, "the path of a firmware image is expected"),
    ],
)
def test_bad_input(arguments: dict[str, Any], said: str) -> None:
    """One sentence that names what was wrong and what would do."""
    with pytest.raises(BadInput) as caught:
        lab.push(**arguments)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: lab.Link(loss=1.5), "loss of the link is 1.5; a probability from 0 to 1 is expected"),
        (lambda: lab.Link(loss={"up": 0.5}), "both 'up' and 'down', are expected"),
        (lambda: lab.Link(delay=-1), "seconds, 0 or more, are expected"),
        (lambda: lab.Link(rate=0), "bits per second, 1 or more, are expected"),
        (lambda: lab.Link(outages=[(5, 3)]), "start before end"),
        (lambda: lab.DeviceOptions(object_version="2.0"), "one of '1.0', '1.1', '1.2' is expected"),
        (lambda: lab.DeviceOptions(endpoint="a&b"), "without '&' is expected"),
        (lambda: lab.DeviceOptions(delivery=3), "0 (pull), 1 (push) or 2 (both) is expected"),
        (lambda: lab.pull(uri=""), "1 to 255 are expected"),
        (lambda: lab.pull(uri="coap://h/" + "x" * 300), "1 to 255 are expected"),
        (lambda: lab.image(size=10).damaged(), "16 MiB"),
        (lambda: lab.image(size=1000).damaged(offset=1000), "0 to 999 are expected"),
    ],
)
def test_bad_worlds(make: Any, said: str) -> None:
    """The same of links, devices, URIs and images."""
    with pytest.raises(BadInput) as caught:
        make()
    assert said in str(caught.value)


def test_a_device_that_is_gone_is_not_said_to_be_in_a_state() -> None:
    """Killed in mid-download: what was seen last is the past, and the report says so."""
    gone = lab.Link(delay=0.2, outages=[(6.0, 5000.0)])
    run = lab.pull(size=20_000, block_size=64, link=gone, time_limit=60)
    said = "the device was in State 1 Downloading when it was last heard, and answers no more after 60 s"
    assert (run.report.outcome, run.report.sentence) == ("unfinished", said)

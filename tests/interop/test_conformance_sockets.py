"""The conformance bench on real sockets: a device that registers by itself."""

from __future__ import annotations

import pathlib
import sys
import time

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import LabError
from lwm2m_lab.live.conformance import Pace
from lwm2m_lab.live.network import free_ports
from lwm2m_lab.live.requests import Timers
from lwm2m_lab.wire.coap import Message, encode
from tests.live.test_conformance import verdicts

# ---------------------------------------------------------------- whatever registers

#: All but a few that wait for seconds.
MOST = ["int-65*", "int-75*", "int-77*", "int-78*", "cancel*", "re[ps]*", "push*", "severity", "resume-same"]
#: A registration by hand.
REGISTER = ((11, b"rd"), (12, b"\x28"), (15, b"lwm2m=1.1"), (15, b"ep=urn:dev:mute"))
QUICK = Pace(timers=Timers(ack_timeout=0.2, max_retransmit=2), patience=0.5, time_limit=6.0)


def test_a_device_that_registers_by_itself_is_taken_through_every_case() -> None:
    """One device on real sockets for all of them; what needs an image of the operator's says so."""
    port = free_ports(1)[0]
    options = lab.DeviceOptions(
        endpoint="urn:dev:own", install_time=0.3, reboot_time=0.2, resume_after=0.2, resume_attempts=1
    )
    told: list[str] = []
    with lab.Device(options, server=f"coap://127.0.0.1:{port}", timers=QUICK.timers):
        result = lab.conformance(
            bind=("127.0.0.1", port),
            endpoint="urn:dev:own",
            pace=QUICK,
            wait=30,
            told=lambda one: told.append(one.case.id),
        )
    assert {one.case.id: one.sentence for one in result.results if one.verdict == "FAIL"} == {}
    waiting = {one.case.id for one in result.results if one.awaits}
    assert waiting == {"int-773-push", "int-773-pull", "int-774-push", "int-774-pull", "int-779"}
    assert "--too-large FILE" in result.case("int-773-push").sentence
    assert verdicts(result, "INCONCLUSIVE") == waiting
    assert (result.object_version, result.lwm2m, result.network) == ("1.1", "1.1", "registered")
    assert result.conforms
    assert told == [one.case.id for one in result.results]
    assert result.case("int-771").verdict == "PASS"


def test_an_operator_gives_images(tmp_path: pathlib.Path) -> None:
    """The good one is what is installed, the one that is too large ends in Result 2."""
    lab.image(version="7.1.0", size=3_000).save(tmp_path / "good.bin")
    lab.image(version="7.2.0", size=20_000).save(tmp_path / "large.bin")
    port = free_ports(1)[0]
    options = lab.DeviceOptions(storage=10_000, install_time=0.1, reboot_time=0.1)
    with lab.Device(options, server=f"coap://127.0.0.1:{port}", timers=QUICK.timers) as device:
        result = lab.conformance(
            bind=("127.0.0.1", port),
            cases=["int-770", "int-773-pu*"],
            image=tmp_path / "good.bin",
            prepared={"too large": tmp_path / "large.bin"},
            pace=QUICK,
            wait=30,
        )
        assert device.firmware_version == "7.1.0"
    assert [one.verdict for one in result.results] == ["PASS", "PASS", "PASS"]
    assert "'7.1.0'" in result.case("int-770").steps[-1].came


def test_nobody_registers() -> None:
    """The wait ends, and says what was waited for."""
    with pytest.raises(LabError, match=r"urn:dev:none did not register at coap://127.0.0.1:\d+ within 0.1 s"):
        lab.conformance(bind=("127.0.0.1", free_ports(1)[0]), endpoint="urn:dev:none", wait=0.1)


def test_the_bench_starts_the_process_of_a_device_and_ends_it() -> None:
    """A program of its own, which is told where the server is."""
    result = lab.conformance(
        start="lwm2m-lab device --server {server} --endpoint urn:dev:started", cases=["int-652", "int-772"], wait=60
    )
    assert [one.verdict for one in result.results] == ["PASS", "PASS"]
    assert (result.device, result.network) == ("urn:dev:started", "registered")


def test_a_process_that_never_registers_is_ended_too() -> None:
    """The wait has an end, and the process goes with it."""
    with pytest.raises(LabError, match="no device registered at coap://127.0.0.1"):
        lab.conformance(start=[sys.executable, "-c", "import time; time.sleep(60)", "{server}"], wait=0.5)


def test_a_device_that_is_gone_is_not_waited_for_in_every_case() -> None:
    """It registers and never answers: two cases wait, the others say so."""
    register = encode(Message("CON", "0.02", 1, options=REGISTER, payload=b"</5/0>"))
    script = "import socket,sys,time;s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);"
    script += f"s.sendto({register!r},('127.0.0.1',int(sys.argv[1].rpartition(':')[2])));time.sleep(60)"
    began = time.perf_counter()
    result = lab.conformance(start=[sys.executable, "-c", script, "{server}"], pace=QUICK, wait=30)
    assert time.perf_counter() - began < 20
    assert {one.verdict for one in result.results} == {"INCONCLUSIVE"}
    assert result.case("int-652").sentence.startswith("the device does not answer: ")
    assert result.case("int-755").sentence == "nobody answers any more, so it was not tried"
    assert not result.conforms

"""The conformance bench against a client that is not ours: Wakaama's, which answers in TLV, and each request twice."""

from __future__ import annotations

import pathlib

import lwm2m_lab as lab
from lwm2m_lab.live.conformance import Pace
from lwm2m_lab.live.network import free_ports
from lwm2m_lab.live.requests import Timers
from tests.conftest import need_tool

PACE = Pace(timers=Timers(ack_timeout=0.5, max_retransmit=2), patience=1.0, time_limit=3.0)


def test_the_bench_finds_what_a_client_without_an_updater_does(wakaama_module: str, tmp_path: pathlib.Path) -> None:
    """It is read and takes blocks by the book; that an Execute is taken in Idle fails, and no pull is asked for."""
    script = str(pathlib.Path(__file__).with_name("wakatiwai.js"))
    command = [
        need_tool("node"),
        script,
        wakaama_module,
        str(tmp_path / "cred.json"),
        str(free_ports(1)[0]),
        "{server}",
    ]
    result = lab.conformance(
        start=command, cases=["int-652", "int-751", "int-756", "int-772", "push-gap", "cancel-idle"], pace=PACE, wait=30
    )
    assert (result.endpoint, result.lwm2m, result.object_version) == ("wakatiwai", "1.0", "1.0")
    assert {one.case.id: str(one.verdict) for one in result.results} == {
        "int-652": "PASS",
        "int-751": "PASS",
        "int-756": "NOT APPLICABLE",
        "int-772": "FAIL",
        "push-gap": "PASS",
        "cancel-idle": "NOT APPLICABLE",
    }
    assert result.case("int-772").sentence.startswith("step 2, Execute /5/0/2: expected answer 4.05; came 2.04")
    assert result.case("int-751").as_printed == "FAIL", "the draft wants /5/0/8 there"

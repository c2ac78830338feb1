"""The command `conformance` as a shell sees it, and the page of its cases."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

import lwm2m_lab as lab
from lwm2m_lab.__main__ import main
from lwm2m_lab.live.conformance import CASES

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_a_device_that_conforms_is_exit_status_0(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Results on standard output, progress on standard error, files where they were asked for."""
    outputs = [f"--{kind}={tmp_path}/out.{kind}" for kind in ("html", "junit", "json")]
    captures = tmp_path / "captures"
    status = main(["conformance", "--case", "int-77[02]", *outputs, f"--captures={captures}"])
    out = capsys.readouterr()
    assert status == 0
    assert "a device by the book conforms to Object 5 version 1.1: 2 PASS" in out.out
    assert [line.split()[1] for line in out.err.splitlines()] == ["int-770", "int-772"]
    assert "<title>Conformance report</title>" in (tmp_path / "out.html").read_text()
    assert ET.parse(tmp_path / "out.junit").getroot().get("tests") == "2"
    device = json.loads((tmp_path / "out.json").read_text())["devices"][0]
    assert [(one["id"], one["verdict"]) for one in device["cases"]] == [("int-770", "PASS"), ("int-772", "PASS")]
    assert {path.name for path in captures.iterdir()} == {"int-770.pcapng", "int-772.pcapng"}
    assert lab.read(captures / "int-770.pcapng").update().outcome == "succeeded"


def test_one_that_does_not_is_exit_status_1(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one of its versions is enough; each has a folder of its own."""
    arguments = ["--object-version=1.0", "--object-version=1.1", "--fault=takes-any-severity", "--case=severity"]
    status = main(["conformance", *arguments, "--case=int-652", "--json=-", f"--captures={tmp_path}/c"])
    devices = json.loads(capsys.readouterr().out)["devices"]
    assert status == 1
    assert [(one["object_version"], one["conforms"]) for one in devices] == [("1.0", True), ("1.1", False)]
    assert {path.name for path in (tmp_path / "c").iterdir()} == {"object-5-1.0", "object-5-1.1"}


def test_the_cases_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CASES)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--case", "int-1"], "no case is named 'int-1'"),
        (["--profile", "purple"], "one of strict, anjay, zephyr, wakaama is expected"),
        (["--object-version", "2.0"], "'2.0'; one of '1.0', '1.1', '1.2' is expected"),
        (["--html", "no/such/folder/x.html"], "a path in an existing folder is expected"),
        (["--port", "5683", "--profile", "anjay"], "one of them is expected"),
        (["--bind", "0.0.0.0"], "the one address of this machine"),
        (["--port", "0", "--ack-timeout", "0"], "ack_timeout is 0.0"),
        (["--port", "0", "--time-limit", "-1"], "time_limit is -1.0"),
        (["--port", "0", "--wait", "0"], "wait is 0.0"),
        (["--start", "lwm2m-lab device"], "where the URI of the server goes"),
        (["--start", "no-such-program {server}"], "no-such-program cannot be started"),
        (["--port", "0", "--failing", "nowhere.bin"], "nowhere.bin cannot be read"),
    ],
)
def test_bad_input_is_exit_status_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence on standard error."""
    assert main(["conformance", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_ctrl_c_ends_the_wait_for_a_device() -> None:
    """At once, with status 130."""
    command = [sys.executable, "-m", "lwm2m_lab", "conformance", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "waiting at 127.0.0.1" in process.stderr.readline()
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == "lwm2m-lab: stopped\n"


def test_the_page_of_cases_is_what_the_cases_say() -> None:
    """The table of docs/conformance.md is made, not written."""
    command = [sys.executable, str(ROOT / ".ci" / "make_conformance.py"), "--check"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (made.returncode, made.stderr) == (0, "")

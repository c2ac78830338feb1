"""The page without code: what is chosen or uploaded, and what is said of it."""

from __future__ import annotations

import contextlib
import datetime
import os
import pathlib
import pkgutil
import subprocess
import sys

import nbformat
import pytest

import lwm2m_lab as lab
from lwm2m_lab import show
from lwm2m_lab.errors import BadInput
from lwm2m_lab.show import serving
from lwm2m_lab.show.app import Reading
from lwm2m_lab.trace import samples


def upload(reading: Reading, name: str, content: bytes) -> None:
    """What the browser sends when a file was chosen."""
    file = {"name": name, "type": "", "size": len(content), "content": memoryview(content)}
    reading.upload.value = ({**file, "last_modified": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)},)


def test_a_sample_is_explained_and_explored() -> None:
    """One line for the update, and the explorer below."""
    reading = Reading()
    reading.sample.value = "anjay-push-badcrc"
    assert "failed, verdict PASS" in reading.verdict.value
    assert len(reading.place.children) == 1


def test_a_capture_of_ones_own_is_uploaded() -> None:
    """Its bytes are read as the file would be."""
    reading = Reading()
    upload(reading, "mine.pcap", samples.path_of("anjay-push-link-cut-midway").read_bytes())
    assert "unfinished" in reading.verdict.value


def test_what_is_no_capture_gets_a_sentence_and_hides_the_one_before() -> None:
    """A wrong file, and one whose name is markup."""
    reading = Reading()
    upload(reading, "<b>notes</b>.txt", b"no capture at all")
    assert "<b>Not read.</b>" in reading.verdict.value
    assert "<b>notes" not in reading.verdict.value
    assert reading.place.children == ()


def test_the_workbench_shows_each_instrument_twice_if_asked() -> None:
    """Two of them do not share a state."""
    one, other = lab.show.workbench(), lab.show.workbench()
    one.stepper.profile.value = "zephyr"
    assert other.stepper.profile.value == "strict"


def test_the_notebook_behind_the_page_is_one_cell() -> None:
    """Valid, and nothing in it but the call."""
    book = nbformat.reads(serving.workbench_notebook(), as_version=4)
    nbformat.validate(book)
    assert [cell.source.splitlines()[-1] for cell in book.cells] == ["lab.show.workbench()"]


def test_without_voila_the_page_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """And starts nothing."""
    monkeypatch.setattr(serving.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"lwm2m-lab\[app\]"):
        serving.serve_workbench()


def test_voila_is_started_on_loopback_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command, and the notebook that it is given is there while it runs."""
    seen: list[list[str]] = []

    def run(command: list[str]) -> int:
        seen.append(command)
        assert pathlib.Path(command[3]).exists()
        return 0

    monkeypatch.setattr(serving.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(serving, "run_with_us", run)
    assert serving.serve_workbench(port=8867, browser=False) == 0
    assert "--Voila.ip=127.0.0.1" in seen[0]
    assert not pathlib.Path(seen[0][3]).exists()


def test_a_name_of_the_room_is_no_module_of_the_room() -> None:
    """Else the import of the module would hide the function of the same name at its second use."""
    modules = {module.name for module in pkgutil.iter_modules(show.__path__)}
    assert modules & set(dir(show)) == set()


def test_a_server_ends_with_the_command_that_started_it(tmp_path: pathlib.Path) -> None:
    """Terminated from outside, as a service is, the command leaves nobody behind."""
    told = tmp_path / "child"
    child = f"import os, pathlib, time; pathlib.Path({str(told)!r}).write_text(str(os.getpid())); time.sleep(60)"
    code = f"import sys; from lwm2m_lab.show.lessons import run_with_us; run_with_us([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        while not (told.exists() and told.read_text(encoding="utf-8")):
            with contextlib.suppress(subprocess.TimeoutExpired):
                parent.wait(0.05)
        parent.terminate()
        parent.wait(20)
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text(encoding="utf-8")), 0)

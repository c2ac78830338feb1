"""`lwm2m-lab capture`: real traffic on loopback, by dumpcap and by tcpdump, ended in every way there is."""

from __future__ import annotations

import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator

import pytest

import lwm2m_lab as lab
from lwm2m_lab.__main__ import main
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.network import free_ports
from lwm2m_lab.live.sniffing import Sniffed, sniff
from lwm2m_lab.wire.coap import Message, encode
from tests.conftest import need_tool

TOOLS = ("dumpcap", "tcpdump")
WITHIN = 20.0
#: The running count, once there is something to count.
COUNTED = "captured: [1-9][0-9]* packets"

Tools = Callable[..., pathlib.Path]


@pytest.fixture(scope="session")
def may_capture(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whoever runs the tests may capture with both tools: root, in CI."""
    for tool in (*TOOLS, "setpriv", "timeout"):
        need_tool(tool)
    if os.geteuid():
        if os.environ.get("CI"):
            pytest.fail("the tests of a live capture need root, which CI has")
        pytest.skip("captures need root")


@pytest.fixture
def only(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, may_capture: None) -> Tools:
    """Leaves some tools on the PATH; those in `unprivileged` as a user has them who may not capture."""

    def leave(*names: str, unprivileged: tuple[str, ...] = ()) -> pathlib.Path:
        folder = tmp_path / "tools"
        folder.mkdir()
        for name in ("setpriv", "timeout", *names):
            (folder / name).symlink_to(need_tool(name))
        for name in unprivileged:
            drop = f"{need_tool('setpriv')} --reuid 65534 --clear-groups"
            (folder / name).write_text(f'#!/bin/sh\nexec {drop} {need_tool(name)} "$@"\n')
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return folder

    return leave


class Traffic:
    """Somebody who says one message after another to a port, until the end of the block."""

    def __init__(self, payload: bytes = b"") -> None:
        (self.port,) = free_ports(1)
        self._payload, self._end = payload, threading.Event()
        self._thread = threading.Thread(target=self._talk)

    def _talk(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            for number in range(1_000_000):
                path = ((11, b"5"), (11, b"0"), (11, b"3"))
                message = Message("NON", "0.01", number % 65536, token=b"t", options=path, payload=self._payload)
                peer.sendto(encode(message), ("127.0.0.1", self.port))
                if self._end.wait(0.002):
                    return

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


@pytest.fixture
def traffic() -> Iterator[Traffic]:
    """Short messages."""
    with Traffic() as one:
        yield one


def assert_readable(path: pathlib.Path, packets: int, tshark: str, port: int) -> None:
    """Our reader and tshark find the same in a file, whole to its last byte."""
    capture = lab.read(path, ports=(port,))
    assert (len(capture.messages), capture.notes) == (packets, ())
    assert set(capture.messages["uri_path"]) == {"/5/0/3"}
    command = [tshark, "-r", str(path), "-d", f"udp.port=={port},coap", "-Y", "coap.code == 1"]
    # A file that is cut short is exit status 2 there.
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(shown.stdout.splitlines()) == packets


# ---------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seconds": 0}, "seconds is 0"),
        ({"megabytes": -1}, "megabytes is -1"),
        ({"ports": (70000,)}, "70000"),
        ({"interface": "nowhere9"}, "no interface"),
    ],
)
def test_what_cannot_be_captured_is_one_sentence(tmp_path: pathlib.Path, options: dict, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        sniff(**{"interface": "lo", "path": tmp_path / "out.pcapng", **options})
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_does_not_exist_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(BadInput, match="cannot be written"):
        sniff("lo", tmp_path / "none" / "out.pcapng")


# ---------------------------------------------------------------- who captures


def test_dumpcap_is_preferred(only: Tools, tmp_path: pathlib.Path, traffic: Traffic) -> None:
    only("dumpcap", "tcpdump")
    done = sniff("lo", tmp_path / "out", ports=(traffic.port,), packets=1, seconds=10)
    assert (done.tool, done.passed_over) == ("dumpcap", ())


def test_tcpdump_where_there_is_no_dumpcap(
    only: Tools, tmp_path: pathlib.Path, traffic: Traffic, capsys: pytest.CaptureFixture[str]
) -> None:
    """And it is said which was used, and why."""
    only("tcpdump")
    assert main(["capture", "-i", "lo", "-w", f"{tmp_path}/out", "--port", str(traffic.port), "--packets", "2"]) == 0
    said = capsys.readouterr().err
    assert "note: dumpcap is not installed, so tcpdump was used\n" in said
    assert "out: 2 packets" in said
    assert "by tcpdump, ended by 2 packets\n" in said


def test_tcpdump_where_dumpcap_may_not(only: Tools, tmp_path: pathlib.Path, traffic: Traffic) -> None:
    """It says in its own words why."""
    only("tcpdump", unprivileged=("dumpcap",))
    done = sniff("lo", tmp_path / "out", ports=(traffic.port,), packets=2, seconds=10)
    assert (done.tool, done.packets) == ("tcpdump", 2)
    assert "permission to capture" in done.passed_over[0]


def test_where_neither_may_it_is_said_what_to_do(only: Tools, tmp_path: pathlib.Path) -> None:
    """A file that was there before stays as it was."""
    only(unprivileged=TOOLS)
    out = tmp_path / "out"
    out.write_bytes(b"before")
    with pytest.raises(BadInput, match=r"dumpcap: .*permission.*; tcpdump: .*permission.*setcap .* is expected"):
        sniff("lo", out)
    assert out.read_bytes() == b"before"


def test_where_there_is_no_tool_it_is_said(only: Tools, tmp_path: pathlib.Path) -> None:
    only()
    with pytest.raises(BadInput, match="dumpcap is not installed; tcpdump is not installed"):
        sniff("lo", tmp_path / "out")


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize("tool", TOOLS)
def test_a_limit_of_packets(only: Tools, tool: str, tmp_path: pathlib.Path, traffic: Traffic, tshark: str) -> None:
    """To the packet, told as they come."""
    only(tool)
    told: list[int] = []
    done = sniff("lo", tmp_path / "out", ports=(traffic.port,), packets=20, seconds=20, told=told.append)
    size = (tmp_path / "out").stat().st_size
    assert done == Sniffed(tool, 20, size, "20 packets", done.dropped, done.passed_over)
    assert (told[0], told[-1], told) == (0, 20, sorted(told))
    assert_readable(tmp_path / "out", 20, tshark, traffic.port)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_limit_of_time(only: Tools, tool: str, tmp_path: pathlib.Path) -> None:
    """Also where nothing passes."""
    only(tool)
    (port,) = free_ports(1)
    done = sniff("lo", tmp_path / "out", ports=(port,), seconds=1)
    assert (done.packets, done.ended, done.size) == (0, "1 s", (tmp_path / "out").stat().st_size)
    assert len(lab.read(tmp_path / "out").messages) == 0


@pytest.mark.parametrize("tool", TOOLS)
def test_a_limit_of_size(only: Tools, tool: str, tmp_path: pathlib.Path, tshark: str) -> None:
    """The last record that fits is the last one."""
    only(tool)
    with Traffic(payload=bytes(40_000)) as traffic:
        done = sniff("lo", tmp_path / "out", ports=(traffic.port,), megabytes=1, seconds=30)
    assert done.ended == "1 MB"
    assert 950_000 < done.size == (tmp_path / "out").stat().st_size <= 1_000_000
    assert_readable(tmp_path / "out", done.packets, tshark, traffic.port)


# ---------------------------------------------------------------- ends


class Command:
    """`lwm2m-lab capture` in a process of its own, its standard error a terminal."""

    def __init__(self, *arguments: str, limit: int | None = None) -> None:
        code = "import resource, sys; from lwm2m_lab.__main__ import main; "
        if limit is not None:
            code += f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
        self._terminal, ours = pty.openpty()
        termios.tcsetwinsize(ours, (24, 100))
        self.process = subprocess.Popen(
            [sys.executable, "-c", code + "sys.exit(main())", "capture", "-i", "lo", *arguments], stderr=ours
        )
        os.close(ours)
        self.said = ""

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)

    def until(self, pattern: str) -> None:
        """Read the terminal until something is there."""
        while not re.search(pattern, self.said):
            ready, _, _ = select.select([self._terminal], [], [], WITHIN)
            assert ready, f"{pattern!r} expected, heard {self.said!r}"
            try:
                self.said += os.read(self._terminal, 10_000).decode()
            except OSError:  # of a terminal that nobody has any more
                pytest.fail(f"{pattern!r} expected, heard {self.said!r}")

    def family(self) -> list[int]:
        """Its children, and theirs, as files that tell when they end."""
        found, looked_at = [], [self.process.pid]
        while looked_at:
            pid = looked_at.pop()
            children = [int(one) for one in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
            looked_at += children
            found += [os.pidfd_open(one) for one in children]
        return found


def assert_ended(family: list[int]) -> None:
    """All of these processes end."""
    assert family
    for one in family:
        ready, _, _ = select.select([one], [], [], WITHIN)
        os.close(one)
        assert ready, "a tool was left behind"


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_in_order(
    only: Tools, tool: str, how: signal.Signals, tmp_path: pathlib.Path, traffic: Traffic, tshark: str
) -> None:
    """With a running count until then, exit status 0, a whole file, and nobody left behind."""
    only(tool)
    with Command("-w", f"{tmp_path}/out", "--port", str(traffic.port)) as command:
        command.until(COUNTED)
        family = command.family()
        command.process.send_signal(how)
        command.until("ended by an interrupt")
        assert command.process.wait(WITHIN) == 0
        assert_ended(family)
    packets = len(lab.read(tmp_path / "out", ports=(traffic.port,)).messages)
    assert f"{packets} packets" in command.said.rpartition("note: ")[2]
    assert packets > 0
    assert_readable(tmp_path / "out", packets, tshark, traffic.port)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_kill_leaves_a_readable_file_and_no_tool(
    only: Tools, tool: str, tmp_path: pathlib.Path, traffic: Traffic, tshark: str
) -> None:
    """Nobody is asked at a kill -9: each moment's file is whole, and the tool ends with us."""
    only(tool)
    with Command("-w", f"{tmp_path}/out", "--port", str(traffic.port)) as command:
        command.until(COUNTED)
        family = command.family()
        command.process.kill()
        command.process.wait(WITHIN)
        assert_ended(family)
    packets = len(lab.read(tmp_path / "out", ports=(traffic.port,)).messages)
    assert packets > 0
    assert_readable(tmp_path / "out", packets, tshark, traffic.port)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_killed_tool_is_said(only: Tools, tool: str, tmp_path: pathlib.Path, traffic: Traffic, tshark: str) -> None:
    """What it caught before is whole."""
    only(tool)
    with Command("-w", f"{tmp_path}/out", "--port", str(traffic.port)) as command:
        command.until(COUNTED)
        family = command.family()
        signal.pidfd_send_signal(family[-1], signal.SIGKILL)
        command.until("it ended with status")
        assert command.process.wait(WITHIN) == 0
        assert_ended(family)
    packets = len(lab.read(tmp_path / "out", ports=(traffic.port,)).messages)
    assert_readable(tmp_path / "out", packets, tshark, traffic.port)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_full_disk_is_one_sentence(
    only: Tools, tool: str, tmp_path: pathlib.Path, traffic: Traffic, tshark: str
) -> None:
    """The record for which there is no room is taken back; a limit of the system stands for the disk."""
    only(tool)
    with Command("-w", f"{tmp_path}/out", "--port", str(traffic.port), limit=3000) as command:
        command.until("for more")
        assert command.process.wait(WITHIN) == 2
    packets = len(lab.read(tmp_path / "out", ports=(traffic.port,)).messages)
    assert f"the {packets} packets in it are whole" in command.said
    assert packets > 0
    assert_readable(tmp_path / "out", packets, tshark, traffic.port)


def test_a_disk_that_is_full_already_is_one_sentence(only: Tools) -> None:
    only("dumpcap")
    with pytest.raises(BadInput, match=r"/dev/full cannot be written \(No space left on device\)"):
        sniff("lo", "/dev/full")


# ---------------------------------------------------------------- what it is for


def test_a_real_update_is_explained(only: Tools, tmp_path: pathlib.Path, tshark: str) -> None:
    """A device and a server on real sockets, captured from outside: what the server's own tap saw, no more, no less."""
    only("dumpcap")
    image = lab.image(version="2.1.0", size=5000)
    options = lab.DeviceOptions(install_time=0.1, reboot_time=0.1)
    with lab.Server(bind=("127.0.0.1", 0)) as server:
        port = server.address.rpartition(":")[2]
        with Command("-w", f"{tmp_path}/out", "--port", port) as command:
            command.until("captured: 0 packets")
            with lab.Device(options, server=server.uri):
                server.wait_for(options.endpoint)
                assert server.update(options.endpoint, image).outcome == "succeeded"
            command.process.send_signal(signal.SIGINT)
            command.until("ended by")
            assert command.process.wait(WITHIN) == 0
        tapped = server.capture()
    capture = lab.read(tmp_path / "out", ports=(int(port),))
    columns = ["type", "code", "mid", "token", "uri_path", "payload_length"]
    # Of two that are sent at the same time each has its own opinion which was first.
    seen, known = (one.messages[columns].sort_values(columns, ignore_index=True) for one in (capture, tapped))
    assert seen.equals(known)
    (update,) = capture.updates.to_dict("records")
    assert (update["outcome"], update["firmware_version_after"]) == ("succeeded", "2.1.0")


def test_nothing_here_is_skipped_in_ci() -> None:
    """A runner without the tools would pass everything else by skipping it."""
    if os.environ.get("CI"):
        assert all(shutil.which(name) for name in TOOLS)
        assert os.geteuid() == 0

"""`lab.Device` and `lwm2m-lab device`: real sockets, a thread or a process of its own, and what outlives a kill."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import pathlib
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.__main__ import main
from lwm2m_lab.errors import BadInput, LabError
from lwm2m_lab.live.client import MAX_TRANSMIT_WAIT
from lwm2m_lab.live.credentials import Credentials
from lwm2m_lab.live.image import public_key
from lwm2m_lab.live.network import LoopbackNetwork, free_ports
from lwm2m_lab.live.requests import NoAnswer, Requester, Timers, end_loop
from lwm2m_lab.live.secure import Sessions
from lwm2m_lab.wire.coap import Message, decode, encode
from tests.live.bench import Bench, LoggingServer, converse

IMAGE = lab.image(version="2.1.0", size=3000)
QUICK = {"install_time": 0.1, "reboot_time": 0.1}


class Managed:
    """A server on loopback, and a plain way to ask whoever has registered there; under DTLS with credentials."""

    def __init__(self, port: int, credentials: Credentials | None = None) -> None:
        self.port, self.uri = port, f"{'coaps' if credentials else 'coap'}://127.0.0.1:{port}"
        self.sessions = Sessions(credentials, opens=False) if credentials else None
        self.network, self.site = LoopbackNetwork(), LoggingServer()

    def serve(self, work: Callable[[Bench], Any], *, endpoint: str = "urn:dev:lab-1") -> Any:
        """Wait for the endpoint, do the work, end."""
        loop = self.network.new_loop()

        async def live() -> Any:
            bind = ("127.0.0.1", self.port)
            context = await self.network.context(self.site, side="server", bind=bind, sessions=self.sessions)
            requester = Requester(context, Timers(ack_timeout=0.5))
            try:
                await asyncio.wait_for(self.site.registration_after(None, endpoint), 20)
                bench = Bench(None, self.site, requester)  # type: ignore[arg-type]
                bench.name = endpoint
                return await asyncio.wait_for(work(bench), 40)
            finally:
                await context.shutdown()

        try:
            return loop.run_until_complete(live())
        finally:
            end_loop(loop)


@pytest.fixture
def server() -> Managed:
    """A server that is not yet there."""
    return Managed(free_ports(1)[0])


def test_a_device_beside_the_caller(server: Managed) -> None:
    """It registers, is updated, tells what it knows, and de-registers when it is stopped."""
    device = lab.Device(lab.DeviceOptions(**QUICK), server=server.uri, timers=Timers(ack_timeout=0.3))

    async def update(bench: Bench) -> str:
        await bench.push(IMAGE.data)
        await bench.code("POST", "/5/0/2")
        await bench.reborn()
        return f"{await bench.status()} {await bench.read('/3/0/3')}"

    with device:
        assert device.address.startswith("127.0.0.1:")
        assert server.serve(update) == "0/1 2.1.0"
        assert (device.state, device.result, device.firmware_version) == (0, 1, "2.1.0")
        assert device.wait_for("installation succeeds").firmware_version == "2.1.0"
        capture = device.capture()
        assert len(capture.updates) == 1
        assert [one.what for one in device.truth].count("registered") == 2
    assert device.capture().messages["code"].iloc[-1] in ("0.04", "2.02"), "the last word is the De-register"


def test_its_own_port_outlives_a_reboot(server: Managed) -> None:
    """A port that was asked for is where the device is after a reboot, too, for whoever knows no other."""
    (port,) = free_ports(1)
    device = lab.Device(
        lab.DeviceOptions(**QUICK), server=server.uri, bind=("127.0.0.1", port), timers=Timers(ack_timeout=0.3)
    )

    async def reboot(bench: Bench) -> str:
        assert await bench.code("POST", "/3/0/4") == "2.04"
        await bench.reborn()
        return str(bench.remote.hostinfo)

    with device:
        assert server.serve(reboot) == device.address == f"127.0.0.1:{port}"


def test_what_cannot_be() -> None:
    """A port in use, a server that is none, a device that runs already or does not run: one sentence each."""
    with pytest.raises(BadInput, match=r"coap://127\.0\.0\.1:5683 is expected"):
        lab.Device(server="http://127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(BadInput, match="cannot be opened"):
            lab.Device(bind=taken.getsockname()).start()
    device = lab.Device(server="coap://127.0.0.1:9")
    with pytest.raises(LabError, match="start it first"):
        device.send("/5/0/3")
    with device:
        with pytest.raises(BadInput, match="runs already"):
            device.start()
        with pytest.raises(LabError, match="did not happen"):
            device.wait_for("registered", within=0.1)
    device.stop()


def test_it_keeps_serving_whatever_comes() -> None:
    """Not CoAP, half a message, a lying option, thousands of bytes, a thousand contexts: and then a Read as ever."""
    device = lab.Device(server="coap://127.0.0.1:9", timers=Timers(ack_timeout=0.2))
    read = encode(Message("CON", "0.01", 77, b"t", ((11, b"5"), (11, b"0"), (11, b"3"))))
    with device, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        host, port = device.address.split(":")
        peer.connect((host, int(port)))
        peer.settimeout(0.5)
        lying = (b"\x40\x01", b"\x4f" + read[1:], read[:3], read + b"\xff", b"\x7f" * 65_000)
        for junk in (b"", b"\0", b"GET / HTTP/1.1\r\n\r\n", *lying):
            peer.send(junk)
        for number in range(1, 1000):
            block = (number << 4 | 8).to_bytes(2, "big")
            options = ((11, b"5"), (11, b"0"), (11, b"0"), (12, b"*"), (27, block))
            peer.send(encode(Message("NON", "0.03", 1000 + number, block, options, b"y" * 16)))
        answer = None
        while answer is None or answer.token != b"t":
            # The socket's buffer is full: as any client would, ask again until there is an answer.
            peer.send(read)
            with contextlib.suppress(TimeoutError):
                answer = decode(peer.recv(2000))
        assert (answer.code, answer.payload) == ("2.05", b"0")
        assert len(device.truth) == 1


def test_a_device_in_queue_mode_sleeps() -> None:
    """93 s after its last message it hears nothing; its Update wakes it."""

    async def script(bench: Bench) -> None:
        await bench.sleep(MAX_TRANSMIT_WAIT - 10)
        assert await bench.read("/5/0/3") == "0"
        await bench.sleep(MAX_TRANSMIT_WAIT + 10)
        with pytest.raises(NoAnswer):
            await bench.read("/5/0/3")
        updates = len(bench.server.received)
        while len(bench.server.received) == updates:
            await bench.sleep(1)
        assert await bench.read("/5/0/3") == "0"

    converse(script, queue_mode=True, lifetime=500)


# ---------------------------------------------------------------- the command


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`lwm2m-lab device` in a process of its own."""
    command = [sys.executable, "-u", "-m", "lwm2m_lab", "device", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_command_runs_until_ctrl_c(tmp_path: pathlib.Path) -> None:
    """Events on standard output, exit status 130, and a capture of what passed."""
    path = tmp_path / "x.pcapng"
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        uri = f"coap://127.0.0.1:{server.getsockname()[1]}"
        process = stack.enter_context(running("--server", uri, "--endpoint", "urn:dev:x", "--pcap", str(path)))
        assert process.stdout is not None
        assert "boot" in process.stdout.readline()
        assert process.stdout.readline().startswith("urn:dev:x at 127.0.0.1:")
        assert decode(server.recv(2000)).uri_path == "/rd"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors.strip()) == (130, "lwm2m-lab: stopped")
    assert lab.read(path, ports=(int(uri.rpartition(":")[2]),)).messages["uri_path"].iloc[0] == "/rd"


def test_state_and_package_outlive_a_kill(server: Managed, tmp_path: pathlib.Path) -> None:
    """Killed with the package downloaded, and again in the middle of the installation: it goes on where it was."""
    state = tmp_path / "state.json"
    arguments = ("--server", server.uri, "--state", str(state), "--install-time", "1", "--reboot-time", "0.1")

    async def push(bench: Bench) -> str:
        await bench.push(IMAGE.data)
        return await bench.status()

    async def execute(bench: Bench) -> str:
        before = f"{await bench.status()} {await bench.read('/5/0/7')}"
        await bench.code("POST", "/5/0/2")
        return f"{before} {await bench.status()}"

    async def settle(bench: Bench) -> str:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(bench.reborn(), 8)
        return f"{await bench.status()} {await bench.read('/3/0/3')}"

    for work, expected in ((push, "2/0"), (execute, "2/0 2.1.0 3/0"), (settle, "0/1 2.1.0")):
        with running(*arguments):
            assert Managed(server.port).serve(work) == expected
        assert not list(tmp_path.glob("*.part"))
    assert [one.name for one in tmp_path.iterdir()] == ["state.json"]


def test_the_options_of_the_command_are_those_of_the_device(tmp_path: pathlib.Path) -> None:
    """Slots, signature, delivery, deferral and software apart from firmware can be had without Python."""
    from lwm2m_lab.cli import device as command

    key = tmp_path / "key.pem"
    key.write_bytes(public_key(3))
    words = ["device", "--delivery", "pull", "--slots", "ab", "--confirm-after", "9", "--trial-fails", "--verify-key"]
    words += [str(key), "--software-version", "7.0.0", "--installs", "software", "--user-defers", "5"]
    words += ["--max-defer-period", "60", "--like", "D4", "--fault", "never-clears-m"]
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    options = command._device_options(parser.parse_args(words))
    assert (options.delivery, options.slots, options.confirm_after, options.trial_fails) == (0, "ab", 9.0, True)
    assert (options.verify_key, options.software_version, options.installs) == (public_key(3), "7.0.0", "software")
    assert (options.user_defers, options.max_defer_period) == (5.0, 60)
    assert options.faults == ("forgets-result", "never-clears-m")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--bind", "0.0.0.0"], "one address of this machine is expected"),
        (["--bind", "127.0.0.1:x"], "one address of this machine is expected"),
        (["--server", "127.0.0.1"], "coap://127.0.0.1:5683 is expected"),
        (["--like", "D12"], "no device is named 'D12'"),
        (["--fault", "is-late"], "no fault is named 'is-late'"),
        (["--profile", "leshan"], "profile is 'leshan'"),
        (["--state", "no/such/folder/x"], "its folder does not exist"),
        (["--pcap", "no/such/folder/x"], "its folder does not exist"),
    ],
)
def test_bad_arguments(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2 and one sentence."""
    assert main(["device", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_run_of_a_device_that_lies(capsys: pytest.CaptureFixture[str]) -> None:
    """`push --like D9` succeeds for a server that trusts the result alone; the version tells."""
    assert main(["push", "--like", "D9", "--size", "2000"]) == 1
    assert "/3/0/3 is 1.0.0 and the image's version 2.0.0" in capsys.readouterr().out
    assert main(["pull", "--fault", "forgets-result", "--size", "2000", "--time-limit", "100"]) == 1
    assert main(["push", "--profile", "anjay", "--size", "2000"]) == 0


def test_the_faults_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """By name, with the rules that speak of them."""
    assert main(["device", "--fault", "list"]) == 0
    assert "forgets-result                 F3, V2   After the reboot" in capsys.readouterr().out

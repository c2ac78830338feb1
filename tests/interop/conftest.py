"""Real peers: started by the test, on loopback, and ended with it. What needs real time stands here, too."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import IO

import pytest

import lwm2m_lab as lab
from lwm2m_lab.live.network import free_ports
from lwm2m_lab.wire.coap import Message, encode
from tests.conftest import ROOT, need_tool
from tests.tshark import assert_same

#: The key of the tests, as libcoap and OpenSSL take keys on their command lines; the lab takes none there.
PSK = "0123456789abcdef"

#: Where `.ci/run` puts the peers that npm brings.
MODULES = ROOT / "build/peers/node_modules"
#: Wakaama's server; another place by the environment.
WAKAAMA = MODULES / "node-red-contrib-lwm2m/build/Release/lwm2mserver"


@pytest.fixture
def judge(tshark: str, tmp_path: pathlib.Path) -> Callable[..., int]:
    """Holds the capture of a device or a server against what tshark reads in it; how many messages there are."""

    def compare(one: lab.Device | lab.Server, port: int | None = None) -> int:
        path = tmp_path / "judged.pcapng"
        one.capture().save(path)
        return assert_same(tshark, path, port=port or int(one.address.rpartition(":")[2]))

    return compare


@pytest.fixture(scope="session")
def coap_client() -> str:
    """libcoap's client."""
    return need_tool("coap-client-notls")


@pytest.fixture
def coap_server() -> Iterator[str]:
    """libcoap's server, which keeps what is PUT into it; its URI."""
    tool, (port,) = need_tool("coap-server-notls"), free_ports(1)
    with subprocess.Popen([tool, "-A", "127.0.0.1", "-p", str(port), "-d", "10"]) as process:
        try:
            _wait_until_it_answers(port)
            yield f"coap://127.0.0.1:{port}"
        finally:
            process.kill()


@pytest.fixture
def coap_server_with_dtls() -> Iterator[int]:
    """libcoap's server with a pre-shared key; its port for coap and coap+tcp, the next one is for coaps."""
    tool, (port,) = need_tool("coap-server-openssl"), free_ports(1)
    command = [tool, "-A", "127.0.0.1", "-p", str(port), "-d", "10", "-k", PSK, "-h", "urn:srv:1"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_until_it_answers(port)
            yield port
        finally:
            process.kill()


def _wait_until_it_answers(port: int) -> None:
    """Until a ping is answered; a probe that binds the port itself could take it from whom it waits for."""
    deadline = time.monotonic() + 20
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.connect(("127.0.0.1", port))
        peer.settimeout(0.2)
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError, ConnectionRefusedError):
                peer.send(encode(Message("CON", "0.00", 1)))
                peer.recv(2000)
                return
            time.sleep(0.05)
    pytest.fail(f"nobody answers at port {port}")


class Peer:
    """A peer that takes commands on its standard input and tells on its standard output what happens."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._said, self._news = "", threading.Condition()
        assert self._process.stdout is not None
        self._listener = threading.Thread(target=self._listen, args=(self._process.stdout,))
        self._listener.start()

    def _listen(self, out: IO[str]) -> None:
        while piece := out.read(1):
            with self._news:
                self._said += piece
                self._news.notify_all()

    def until(self, *texts: str, after: int = 0, within: float = 15) -> str:
        """What it has said since, once it has said all of these."""
        with self._news:
            heard = self._news.wait_for(lambda: all(text in self._said[after:] for text in texts), within)
            assert heard, f"{texts} expected, heard: {self._said[after:]}"
            return self._said[after:]

    def say(self, text: str) -> None:
        """Type a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()

    def command(self, text: str, *expected: str) -> str:
        """Type a command, and wait for what it brings."""
        at = len(self._said)
        self.say(text)
        return self.until(*expected, after=at)

    def close(self) -> None:
        """End it, and close its pipes."""
        with self._process:
            self._process.kill()
            self._listener.join()


def _wakaama_server() -> pathlib.Path:
    """Where Wakaama's server is, built by the module that brings the client, too."""
    path = pathlib.Path(os.environ.get("LWM2MSERVER", WAKAAMA))
    if not path.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{path} is missing; .ci/run brings it")
        pytest.skip("needs Wakaama's lwm2mserver: npm install --prefix build/peers node-red-contrib-lwm2m")
    return path


@pytest.fixture
def wakaama_module() -> str:
    """The folder of the module with Wakaama's client and its proxy."""
    return str(_wakaama_server().resolve().parents[2])


@pytest.fixture
def wakaama() -> Iterator[Callable[[int], Peer]]:
    """Starts Wakaama's server on a port."""
    path = _wakaama_server()
    running: list[Peer] = []

    def start(port: int) -> Peer:
        running.append(Peer([str(path), "-4", "-l", str(port)]))
        _wait_until_it_answers(port)
        return running[-1]

    yield start
    for one in running:
        one.close()


@pytest.fixture
def script() -> Iterator[Callable[..., Peer]]:
    """Starts a script of this folder with the module of npm that it drives, `script("coap-node", "name", uri)`."""
    running: list[Peer] = []

    def start(module: str, *arguments: str) -> Peer:
        if not (MODULES / module).exists():
            if os.environ.get("CI"):
                pytest.fail(f"{MODULES / module} is missing; .ci/run brings it")
            pytest.skip(f"needs npm's {module}: npm install --ignore-scripts --prefix build/peers {module}")
        file = pathlib.Path(__file__).with_name(f"{module}.js")
        running.append(Peer([need_tool("node"), "--no-warnings", str(file), str(MODULES), *arguments]))
        return running[-1]

    yield start
    for one in running:
        one.close()

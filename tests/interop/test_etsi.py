"""ETSI's plugtest cases for CoAP, as far as they apply to a device and a server of LwM2M, with libcoap as the client.

The numbers are those of the ETSI CoAP interoperability test descriptions. Their resources ``/test``, ``/large`` and
``/obs`` are ``/3/0/3``, the package and ``/1/0/1`` here. Cases of links, of proxies and of URIs with queries have
nothing to ask of a device that offers LwM2M's objects alone.
"""

from __future__ import annotations

import os
import pathlib
import random
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest

import lwm2m_lab as lab
from lwm2m_lab.live.network import free_ports
from lwm2m_lab.live.requests import Timers
from lwm2m_lab.wire.coap import Message, decode, encode

IMAGE = lab.image(version="2.1.0", size=4000)
QUICK = Timers(ack_timeout=0.2, max_retransmit=2)
URI_PATH, OBSERVE, FORMAT, ACCEPT = 11, 6, 12, 17


@pytest.fixture
def device() -> Iterator[lab.Device]:
    """A device whose own server is not there."""
    options = lab.DeviceOptions(install_time=0.2, reboot_time=0.2)
    with lab.Device(options, server="coap://127.0.0.1:9", timers=QUICK) as one:
        yield one


@pytest.fixture
def server() -> Iterator[lab.Server]:
    """A server with an image."""
    with lab.Server(images={"/fw/large": IMAGE.data}, bind=("127.0.0.1", 0), timers=QUICK) as one:
        yield one


def run(client: str, uri: str, *arguments: str) -> bytes:
    """What libcoap's client prints, errors included."""
    done = subprocess.run([client, "-B", "10", *arguments, uri], capture_output=True, timeout=60, check=False)
    return (done.stdout + done.stderr).strip()


class Client:
    """A socket that says single messages, where a case asks for one that libcoap's client does not say."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((host, int(port)))
        self._socket.settimeout(10)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, message: Message) -> None:
        """One datagram."""
        self._socket.send(encode(message))

    def hear(self) -> Message:
        """The next datagram."""
        return decode(self._socket.recv(2000))

    def ask(self, message: Message) -> Message:
        """One datagram, and what comes back."""
        self.send(message)
        return self.hear()


def get(kind: str, mid: int, path: str, token: bytes = b"", *options: tuple[int, bytes]) -> Message:
    """A GET."""
    segments = [(URI_PATH, part.encode()) for part in path.strip("/").split("/")]
    return Message(kind, "0.01", mid, token, tuple(sorted([*options, *segments], key=lambda one: one[0])))  # type: ignore[arg-type]


class Lossy:
    """A relay to an address that loses datagrams with a seed of its own, so that each run loses the same ones."""

    def __init__(self, target: str, *, loss: float, seed: int) -> None:
        host, _, port = target.rpartition(":")
        self._target, self._loss, self._random = (host, int(port)), loss, random.Random(seed)
        (self.port,) = free_ports(1)
        self._near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._near.bind(("127.0.0.1", self.port))
        self._near.settimeout(0.1)
        self._far: dict[tuple[str, int], socket.socket] = {}
        self._end = threading.Event()
        self.lost = 0
        self._threads = [threading.Thread(target=self._there)]

    def __enter__(self) -> Lossy:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for one in self._threads:
            one.join()
        for each in (self._near, *self._far.values()):
            each.close()

    def _passes(self) -> bool:
        passes = self._random.random() >= self._loss
        self.lost += not passes
        return passes

    def _there(self) -> None:
        while not self._end.is_set():
            try:
                data, client = self._near.recvfrom(2000)
            except TimeoutError:
                continue
            if client not in self._far:
                far = self._far[client] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                far.connect(self._target)
                far.settimeout(0.1)
                self._threads.append(threading.Thread(target=self._back, args=(far, client)))
                self._threads[-1].start()
            if self._passes():
                self._far[client].send(data)

    def _back(self, far: socket.socket, client: tuple[str, int]) -> None:
        while not self._end.is_set():
            try:
                data = far.recv(2000)
            except TimeoutError:
                continue
            if self._passes():
                self._near.sendto(data, client)


# ---------------------------------------------------------------- TD_COAP_CORE


def test_core_01_02_03_04_confirmable(coap_client: str, device: lab.Device) -> None:
    """GET, DELETE, PUT, POST as CON: the answer is an ACK with the same message id and token."""
    uri = f"coap://{device.address}"
    assert run(coap_client, f"{uri}/3/0/3") == b"1.0.0"
    assert run(coap_client, f"{uri}/3/0/3", "-m", "delete").startswith(b"4.05")
    assert run(coap_client, f"{uri}/1/0/1", "-m", "put", "-t", "0", "-e", "500") == b""
    assert run(coap_client, f"{uri}/1/0/8", "-m", "post") == b""
    with Client(device.address) as client:
        answer = client.ask(get("CON", 700, "/3/0/3", b"\x20"))
        assert (answer.type, answer.code, answer.mid, answer.token) == ("ACK", "2.05", 700, b"\x20")
        assert (answer.payload, answer.values(FORMAT)) == (b"1.0.0", [b""])


def test_core_05_06_07_08_non_confirmable(coap_client: str, device: lab.Device) -> None:
    """The same as NON: the answer is a NON with a message id of its own, and never an ACK."""
    uri = f"coap://{device.address}"
    assert run(coap_client, f"{uri}/3/0/3", "-N") == b"1.0.0"
    assert run(coap_client, f"{uri}/1/0/1", "-N", "-m", "put", "-t", "0", "-e", "600") == b""
    assert run(coap_client, f"{uri}/1/0/1") == b"600"
    with Client(device.address) as client:
        answer = client.ask(get("NON", 701, "/3/0/3", b"\x21"))
        assert (answer.type, answer.code, answer.token) == ("NON", "2.05", b"\x21")


def test_core_10_11_12_tokens(device: lab.Device, server: lab.Server) -> None:
    """A token of 8 bytes, of one, and none at all comes back as it was."""
    for address, path in ((device.address, "/3/0/3"), (server.address, "/fw/large")):
        with Client(address) as client:
            for mid, token in enumerate((bytes(range(8)), b"\x00", b"")):
                answer = client.ask(get("CON", mid, path, token))
                assert (answer.code, answer.token, answer.mid) == ("2.05", token, mid)


def test_core_15_a_lossy_path(coap_client: str, device: lab.Device, server: lab.Server) -> None:
    """Requests and answers are lost; nothing is done twice, and each transfer comes to its end."""
    with Lossy(device.address, loss=0.15, seed=3) as path:
        uri = f"coap://127.0.0.1:{path.port}"
        for value in range(100, 106):
            assert run(coap_client, f"{uri}/1/0/1", "-B", "60", "-m", "put", "-t", "0", "-e", str(value)) == b""
            assert run(coap_client, f"{uri}/1/0/1", "-B", "60") == str(value).encode()
        assert path.lost


def test_core_20_accept(coap_client: str, device: lab.Device) -> None:
    """Each format that is asked for, and 4.06 for one that is not there."""
    uri = f"coap://{device.address}/3/0/3"
    assert run(coap_client, uri, "-A", "0") == b"1.0.0"
    assert run(coap_client, uri, "-A", "110") == b'[{"bn":"/3/0/3","vs":"1.0.0"}]'
    assert run(coap_client, uri, "-A", "41").startswith(b"4.06")


def test_core_21_etag(server: lab.Server) -> None:
    """A file has an ETag; asked with it the answer is 2.03, without payload."""
    with Client(server.address) as client:
        first = client.ask(get("CON", 1, "/fw/large", b"a"))
        (etag,) = first.values(4)
        again = client.ask(get("CON", 2, "/fw/large", b"b", (4, etag)))
        assert (again.code, again.payload, again.values(4)) == ("2.03", b"", [etag])


def test_core_31_ping(device: lab.Device, server: lab.Server) -> None:
    """An empty CON is answered by RST."""
    for address in (device.address, server.address):
        with Client(address) as client:
            answer = client.ask(Message("CON", "0.00", 4711))
            assert (answer.type, answer.code, answer.mid) == ("RST", "0.00", 4711)


# ---------------------------------------------------------------- TD_COAP_BLOCK


@pytest.mark.parametrize("size", [64, 1024])
def test_block_01_02_get_large(size: int, coap_client: str, server: lab.Server, tmp_path: pathlib.Path) -> None:
    """GET with early negotiation, and without: the file comes whole."""
    path = tmp_path / "got"
    early = ("-b", str(size)) if size < 1024 else ()
    assert run(coap_client, f"{server.uri}/fw/large", *early, "-o", str(path)) == b""
    assert path.read_bytes() == IMAGE.data


def test_block_03_04_put_large(coap_client: str, device: lab.Device, tmp_path: pathlib.Path) -> None:
    """PUT block by block: 2.31 to all but the last, which is answered 2.04 with the Block1 of the request."""
    path = tmp_path / "image.bin"
    path.write_bytes(IMAGE.data)
    uri = f"coap://{device.address}/5/0/0"
    assert run(coap_client, uri, "-m", "put", "-t", "42", "-b", "256", "-f", str(path)) == b""
    rows = device.capture().messages
    answers = rows[rows["type"].eq("ACK") & rows["block1_num"].notna()]
    assert answers["code"].tolist() == ["2.31"] * 15 + ["2.04"]
    assert answers["block1_num"].tolist() == [*range(16)]
    assert answers["block1_more"].tolist() == [1] * 15 + [0]
    assert device.capture().updates["image_sha256"].tolist() == [IMAGE.sha256]


def test_block_06_get_a_single_block(coap_client: str, server: lab.Server) -> None:
    """Block 3 of 64 bytes alone, and none beyond the end."""
    done = subprocess.run(
        [coap_client, "-B", "10", "-b", "3,64", f"{server.uri}/fw/large"], capture_output=True, check=True
    )
    assert done.stdout.startswith(IMAGE.data[192:256])
    assert run(coap_client, f"{server.uri}/fw/large", "-b", "400,64").startswith(b"4.00")


def test_block_through_loss(coap_client: str, device: lab.Device, tmp_path: pathlib.Path) -> None:
    """A push through a path that loses every tenth datagram: whole, and the analyser sees who repeated what."""
    path = tmp_path / "image.bin"
    path.write_bytes(IMAGE.data)
    with Lossy(device.address, loss=0.1, seed=5) as lossy:
        uri = f"coap://127.0.0.1:{lossy.port}/5/0/0"
        assert run(coap_client, uri, "-B", "90", "-m", "put", "-t", "42", "-b", "512", "-f", str(path)) == b""
        assert lossy.lost
    update = device.capture().updates.iloc[0]
    assert (update["image_sha256"], update["verdict"], device.state) == (IMAGE.sha256, "PASS", lab.State.DOWNLOADED)


# ---------------------------------------------------------------- TD_COAP_OBS


def test_obs_01_07_observe_and_what_is_told(device: lab.Device) -> None:
    """The first answer has Observe, a change is told under the same token with a larger number."""
    with Client(device.address) as client:
        first = client.ask(get("CON", 1, "/1/0/1", b"o", (OBSERVE, b"")))
        assert (first.code, first.token, len(first.values(OBSERVE))) == ("2.05", b"o", 1)
        write = (*((URI_PATH, part) for part in (b"1", b"0", b"1")), (FORMAT, b""))
        client.send(Message("CON", "0.03", 2, b"w", write, b"77"))
        heard = {one.token: one for one in (client.hear(), client.hear())}
        assert (heard[b"w"].code, heard[b"o"].payload) == ("2.04", b"77")
        numbers = [int.from_bytes(one.values(OBSERVE)[0], "big") for one in (first, heard[b"o"])]
        assert numbers[0] < numbers[1]
        client.send(Message("ACK", "0.00", heard[b"o"].mid))


def test_obs_04_05_a_client_that_leaves(device: lab.Device) -> None:
    """Observe 1 ends an observation, and so does a reset of a notification."""
    write = (*((URI_PATH, part) for part in (b"1", b"0", b"1")), (FORMAT, b""))
    with Client(device.address) as client:
        client.ask(get("CON", 1, "/1/0/1", b"o", (OBSERVE, b"")))
        ended = client.ask(get("CON", 2, "/1/0/1", b"o", (OBSERVE, b"\x01")))
        assert (ended.code, ended.values(OBSERVE)) == ("2.05", [])
        assert client.ask(Message("CON", "0.03", 3, b"w", write, b"78")).token == b"w"

        client.ask(get("CON", 4, "/1/0/1", b"p", (OBSERVE, b"")))
        client.send(Message("CON", "0.03", 5, b"w", write, b"79"))
        told = next(one for one in (client.hear(), client.hear()) if one.token == b"p")
        client.send(Message("RST", "0.00", told.mid))
        assert client.ask(Message("CON", "0.03", 6, b"x", write, b"80")).token == b"x"
        # Nothing more is told: the next thing heard is the answer to a ping.
        assert client.ask(Message("CON", "0.00", 7)).type == "RST"


def test_obs_02_libcoap_stops(coap_client: str, device: lab.Device) -> None:
    """It observes for two seconds, hears of a change, and says Observe 1 at its end."""
    uri = f"coap://{device.address}/1/0/1"
    with subprocess.Popen([coap_client, "-s", "2", "-w", uri], stdout=subprocess.PIPE) as observer:
        assert observer.stdout is not None
        told = os.read(observer.stdout.fileno(), 100)
        assert run(coap_client, uri, "-m", "put", "-t", "0", "-e", "81") == b""
        told += observer.communicate(timeout=20)[0]
    assert told.split()[:2] == [b"86400", b"81"]
    asked = device.capture().messages
    assert asked[asked["code"].eq("0.01")]["observe"].dropna().tolist() == [0, 1]

"""libcoap and OpenSSL shake hands with our DTLS, on both sides; tshark reads what passed, with the same key."""

from __future__ import annotations

import pathlib
import queue
import subprocess
import threading
from collections.abc import Iterator
from typing import IO, Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import LabError
from lwm2m_lab.live.credentials import Credentials
from lwm2m_lab.live.requests import Timers
from lwm2m_lab.wire.coap import Message, decode, encode
from tests.conftest import need_tool
from tests.interop.conftest import PSK

IMAGE = lab.image(version="2.1.0", size=10_000)
KEYS = Credentials({"urn:dev:1": PSK.encode()})
TIMERS = Timers(ack_timeout=0.2)

pytestmark = pytest.mark.usefixtures("dtls")


@pytest.fixture
def device() -> Iterator[lab.Device]:
    """A device whose server is not there: whoever holds the key may speak to it."""
    options = lab.DeviceOptions(install_time=0.2, reboot_time=0.2)
    with lab.Device(options, server="coaps://127.0.0.1:9", credentials=KEYS, timers=TIMERS) as one:
        yield one


def libcoap(device: lab.Device, *arguments: str, path: str, user: str = "urn:dev:1", key: str = PSK) -> bytes:
    """What libcoap's client prints, errors included."""
    client = need_tool("coap-client-openssl")
    command = [client, "-B", "5", "-u", user, "-k", key, *arguments, f"coaps://{device.address}{path}"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    return (done.stdout + done.stderr).strip()


def seen_by_tshark(tshark: str, capture: Any, folder: pathlib.Path, *ports: int, key: str = PSK) -> list[str]:
    """Codes and paths of the CoAP messages that tshark finds within DTLS with the key."""
    path = folder / "seen.pcapng"
    capture.save(path)
    command = [tshark, "-r", str(path), "-o", f"dtls.psk:{key.encode().hex()}", "-Y", "coap", "-T", "fields"]
    for port in ports:
        command += ["-d", f"udp.port=={port},dtls", "-d", f"dtls.port=={port},coap"]
    command += ["-e", "coap.code", "-e", "coap.opt.uri_path"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize("block_size", [64, 1024])
def test_libcoap_pushes_over_coaps(
    block_size: int, device: lab.Device, tmp_path: pathlib.Path, tshark: str
) -> None:  # fmt: skip
    """The image arrives; the lab's reader and tshark find the same messages in the capture, with the key alone."""
    path = tmp_path / "image.bin"
    path.write_bytes(IMAGE.data)
    push = ("-m", "put", "-t", "42", "-b", str(block_size), "-f", str(path))
    assert libcoap(device, *push, path="/5/0/0") == b""
    assert (device.state, device.result) == (2, 0)
    assert libcoap(device, path="/5/0/7") == b"2.1.0"
    capture = device.capture()
    assert capture.updates.iloc[0]["image_sha256"] == IMAGE.sha256
    ours = [code for code in capture.messages["code"] if code != "0.00"]
    port = int(device.address.rpartition(":")[2])
    theirs = [line.split("\t")[0] for line in seen_by_tshark(tshark, capture, tmp_path, port)]
    assert [f"{int(code) >> 5}.{int(code) & 31:02}" for code in theirs if code != "0"] == ours
    assert seen_by_tshark(tshark, capture, tmp_path, port, key="another key 1234") == []


def test_libcoap_with_another_name_or_key(device: lab.Device) -> None:
    """An alert for an identity that nobody knows, and for a key that does not fit; then all is as ever."""
    assert b"unknown PSK identity" in libcoap(device, path="/5/0/3", user="nobody")
    assert b"bad record mac" in libcoap(device, path="/5/0/3", key="x" * 16)
    assert libcoap(device, path="/5/0/3") == b"0"
    assert any("the Finished of 'urn:dev:1' does not authenticate" in one.what for one in device.truth)
    assert any("the handshake was refused: unknown identity" in one.what for one in device.truth)


def listen(out: IO[bytes], heard: queue.Queue[bytes]) -> None:
    """Put what is said into the queue."""
    while said := out.read1(2000):  # type: ignore[attr-defined]
        heard.put(said)


@pytest.mark.parametrize("suite", ["PSK-AES128-CCM8", "PSK-AES128-CCM"])
def test_openssl_asks_over_a_session_of_its_own(suite: str, device: lab.Device) -> None:
    """`openssl s_client` carries a Read, with either suite; the answer comes back on the same session."""
    tool, heard = need_tool("openssl"), queue.Queue[bytes]()
    command = [tool, "s_client", "-dtls1_2", "-quiet", "-psk", PSK.encode().hex(), "-psk_identity", "urn:dev:1"]
    command += ["-cipher", f"{suite}:@SECLEVEL=0", "-connect", device.address]
    read = encode(Message("CON", "0.01", 7, b"t", ((11, b"3"), (11, b"0"), (11, b"3"))))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        listener = threading.Thread(target=listen, args=(client.stdout, heard))
        listener.start()
        try:
            client.stdin.write(read)
            client.stdin.flush()
            answer = decode(heard.get(timeout=15))
        finally:
            client.kill()
            listener.join()
    assert (answer.code, answer.token, answer.payload) == ("2.05", b"t", b"1.0.0")
    (session,) = [one for one in device.capture().columns.sessions if one.identity and one.opened]
    assert session.suite == f"TLS_{suite.replace('AES128', 'WITH_AES_128').replace('-', '_').replace('CCM8', 'CCM_8')}"


@pytest.mark.parametrize("scheme", ["coaps", "coap+tcp"])
def test_a_pull_from_libcoap(
    scheme: str, coap_server_with_dtls: int, device: lab.Device, tmp_path: pathlib.Path
) -> None:  # fmt: skip
    """The device fetches what libcoap's server keeps, by either scheme."""
    path, port = tmp_path / "image.bin", coap_server_with_dtls
    path.write_bytes(IMAGE.data)
    put = [need_tool("coap-client-openssl"), "-m", "put", "-b", "1024", "-f", str(path)]
    subprocess.run([*put, f"coap://127.0.0.1:{port}/fw.bin"], check=True, timeout=60)
    uri = f"{scheme}://127.0.0.1:{port + (scheme == 'coaps')}/fw.bin"
    assert libcoap(device, "-m", "put", "-t", "0", "-e", uri, path="/5/0/1") == b""
    device.wait_for("package complete and accepted")
    assert (device.state, device.result) == (2, 0)
    assert libcoap(device, path="/5/0/7") == b"2.1.0"


def test_a_server_of_libcoap_with_another_key(coap_server_with_dtls: int) -> None:
    """OpenSSL drops our Finished in silence; the device says so in its own time."""
    wrong = Credentials({"urn:dev:1": b"another key 1234"})
    uri = f"coaps://127.0.0.1:{coap_server_with_dtls + 1}"
    with (
        lab.Device(server=uri, credentials=wrong, timers=TIMERS) as device,
        pytest.raises(LabError, match="of 'urn:dev:1'|the identity 'urn:dev:1'"),
    ):
        device.wait_for("registered", within=18)

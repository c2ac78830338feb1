"""libcoap pushes images into our device, reads and observes it; and serves one to it."""

from __future__ import annotations

import os
import pathlib
import subprocess
from collections.abc import Callable, Iterator

import pytest

import lwm2m_lab as lab
from lwm2m_lab.live.requests import Timers

IMAGE = lab.image(version="2.1.0", size=10_000)


@pytest.fixture
def device(judge: Callable[..., int]) -> Iterator[lab.Device]:
    """A device whose own server is not there; in the end tshark reads its capture as we do."""
    options = lab.DeviceOptions(install_time=0.2, reboot_time=0.2, lwm2m="1.2", object_version="1.2")
    with lab.Device(options, server="coap://127.0.0.1:9", timers=Timers(ack_timeout=0.2)) as one:
        yield one
        assert judge(one) > 2


def run(client: str, device: lab.Device, *arguments: str, path: str) -> bytes:
    """What libcoap's client prints, errors included."""
    command = [client, "-B", "10", *arguments, f"coap://{device.address}{path}"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    return (done.stdout + done.stderr).strip()


@pytest.mark.parametrize("block_size", [64, 128, 256, 512, 1024])
def test_a_push_block_by_block(block_size: int, coap_client: str, device: lab.Device, tmp_path: pathlib.Path) -> None:
    """The image arrives whole at every size, and the capture of the device's socket has its hash."""
    path = tmp_path / "image.bin"
    path.write_bytes(IMAGE.data)
    said = run(coap_client, device, "-m", "put", "-t", "42", "-b", str(block_size), "-f", str(path), path="/5/0/0")
    assert said == b""
    assert (device.state, device.result) == (2, 0)
    assert run(coap_client, device, path="/5/0/7") == b"2.1.0"
    update = device.capture().updates.iloc[0]
    assert (update["image_sha256"], update["block_sizes"]) == (IMAGE.sha256, [block_size])


def test_reads_in_every_format(coap_client: str, device: lab.Device) -> None:
    """Text, TLV, SenML and LwM2M CBOR by Accept; in blocks of 16 it is the same."""
    assert run(coap_client, device, path="/3/0/3") == b"1.0.0"
    assert run(coap_client, device, "-A", "11542", path="/5/0/9") == b"\xc1\x09\x02"
    assert run(coap_client, device, "-A", "110", path="/5/0/3") == b'[{"bn":"/5/0/3","v":0}]'
    assert run(coap_client, device, "-A", "11544", path="/5/0/3").hex() == "a105a100a10300"
    links = run(coap_client, device, "-A", "40", path="/5")
    assert links.startswith(b"</5>;ver=1.2,</5/0>,</5/0/0>,")
    assert run(coap_client, device, "-A", "40", "-b", "16", path="/5") == links
    for arguments, path, code in ((("-A", "60"), "/3/0/3", b"4.06"), ((), "/0", b"4.01"), ((), "/5/0/4", b"4.04"),
                                  ((), "/5/0/2", b"4.05"), (("-O", "2051,x"), "/5/0/3", b"4.02")):  # fmt: skip
        assert run(coap_client, device, *arguments, path=path).startswith(code)


def test_write_execute_and_observe(coap_client: str, device: lab.Device) -> None:
    """A lifetime, an Execute out of turn, a notification of what was written while somebody listened."""
    command = [coap_client, "-s", "4", "-w", f"coap://{device.address}/1/0/5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as observer:
        assert observer.stdout is not None
        told = os.read(observer.stdout.fileno(), 100)
        assert run(coap_client, device, "-m", "put", "-t", "0", "-e", "77", path="/1/0/5") == b""
        told += observer.communicate(timeout=20)[0]
    assert told.split() == [b"86400", b"77"]
    assert run(coap_client, device, "-m", "post", path="/5/0/2").startswith(b"4.05")
    assert run(coap_client, device, "-m", "put", "-t", "0", "-e", "x", path="/1/0/1").startswith(b"4.00")
    assert run(coap_client, device, "-m", "put", "-t", "50", "-e", "x", path="/1/0/1").startswith(b"4.15")


def test_composite(coap_client: str, device: lab.Device) -> None:
    """FETCH with SenML JSON, answered in the same format."""
    asked = '[{"n":"/5/0/3"},{"n":"/3/0/3"}]'
    said = run(coap_client, device, "-m", "fetch", "-t", "110", "-A", "110", "-e", asked, path="/")
    assert said == b'[{"n":"/5/0/3","v":0},{"n":"/3/0/3","vs":"1.0.0"}]'


@pytest.mark.parametrize("block_size", [64, 128, 256, 512, 1024])
def test_a_pull_from_libcoap(
    block_size: int, coap_client: str, coap_server: str, tmp_path: pathlib.Path, judge: Callable[..., int]
) -> None:
    """The device fetches what libcoap's server keeps, at the size that the device asks for."""
    path = tmp_path / "image.bin"
    path.write_bytes(IMAGE.data)
    put = [coap_client, "-m", "put", "-b", "1024", "-f", str(path), f"{coap_server}/fw.bin"]
    subprocess.run(put, check=True, timeout=60)
    options = lab.DeviceOptions(block_size=block_size)
    with lab.Device(options, server="coap://127.0.0.1:9", timers=Timers(ack_timeout=0.2)) as device:
        uri = f"{coap_server}/fw.bin"
        assert run(coap_client, device, "-m", "put", "-t", "0", "-e", uri, path="/5/0/1") == b""
        device.wait_for("package complete and accepted")
        assert (device.state, device.result) == (2, 0)
        gets = device.capture().messages
        assert set(gets[gets["uri_path"] == "/fw.bin"]["block2_size"]) == {block_size}
        assert judge(device) >= 2 * -(-IMAGE.size // block_size)

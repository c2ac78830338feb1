"""npm's lwm2m-node-lib as a server that manages our device, through the proxy that it makes of itself."""

from __future__ import annotations

import json
import pathlib
import subprocess
from collections.abc import Callable, Iterator

import pytest

import lwm2m_lab as lab
from lwm2m_lab.live.network import free_ports
from lwm2m_lab.live.requests import Timers
from tests.interop.conftest import Peer
from tests.tshark import assert_same

#: What it can push: one datagram of 1280 bytes at the most, for it knows no Block1.
SMALL = lab.image(version="2.1.0", size=900)
LARGE = lab.image(version="2.2.0", size=3000)
OPTIONS = lab.DeviceOptions(
    endpoint="bench", lwm2m="1.0", object_version="1.0", install_time=0.2, reboot_time=0.2, lifetime=600
)
#: Its proxy acknowledges no notification; until the device gives one up nothing else leaves it (NSTART, RFC 7252, 4.7).
PROMPT = Timers(ack_timeout=0.2, max_retransmit=1)


class Bench:
    """The server and our device, registered with it."""

    def __init__(self, peer: Peer, device: lab.Device, port: int) -> None:
        self.peer, self.device, self.port = peer, device, port

    def do(self, what: str, path: str, *more: object) -> str:
        """Have the server do something, and return what came of it."""
        head = json.dumps([what, path], separators=(",", ":"))[:-1]
        said = self.peer.command(json.dumps([what, path, *more]), head + ",", "\n")
        return str(json.loads(said[said.index(head) :].splitlines()[0])[2])


@pytest.fixture
def bench(script: Callable[..., Peer]) -> Iterator[Bench]:
    """The server on a free port, and the device."""
    (port,) = free_ports(1)
    peer = script("lwm2m-node-lib", str(port))
    peer.until('["listening"')
    with lab.Device(OPTIONS, server=f"coap://127.0.0.1:{port}", timers=PROMPT) as device:
        registered = peer.until('["registered","bench","600","1.0","U"', "</5/0>")
        assert '</>;rt=\\"oma.lwm2m\\"' in registered
        yield Bench(peer, device, port)
    peer.until('["unregistered","bench"]')


def test_it_manages_our_device(bench: Bench) -> None:
    """Read, discovered, written, executed, observed; what it is refused it calls by its own names."""
    assert (bench.do("read", "/3/0/3"), bench.do("read", "/5/0/3")) == ("1.0.0", "0")
    assert bench.do("read", "/5/0/0").endswith("4.05")
    assert bench.do("read", "/7/0/0").startswith("RESOURCE_NOT_FOUND")
    assert bench.do("discover", "/5").startswith("</5>,</5/0>,</5/0/0>,</5/0/1>")
    assert bench.do("attributes", "/5/0/3", {"pmin": 0, "pmax": 60}) == ""
    assert bench.do("discover", "/5/0/3") == "</5/0/3>;pmin=0;pmax=60"
    assert bench.do("attributes", "/5/0/3", {"gt": "x"}).endswith("4.00")
    assert bench.do("execute", "/5/0/2", "").endswith("4.05")
    bench.do("write", "/1/0/1", "300")
    bench.peer.until('["updated","bench","300"]')
    assert bench.do("execute", "/1/0/8", "") == ""
    assert bench.do("observe", "/5/0/5") == "0", "it keeps nothing of an answer with Observe 0"
    bench.do("write", "/5/0/1", "ftp://x/y")
    bench.peer.until('["notified","/5/0/5","9"]')
    assert bench.do("cancel", "/5/0/5") == "None"


def test_a_push_in_one_datagram_from_beginning_to_end(bench: Bench, tmp_path: pathlib.Path, tshark: str) -> None:
    """All that it can push: a package of one message, executed, booted; tshark and the analyser read the same."""
    path = tmp_path / "small.bin"
    path.write_bytes(SMALL.data)
    assert bench.do("package", str(path)) == ""
    assert (bench.device.state, bench.do("read", "/5/0/3")) == (lab.State.DOWNLOADED, "2")
    said = bench.peer.until()
    assert bench.do("execute", "/5/0/2", "") == ""
    bench.peer.until('["registered","bench"', after=len(said))
    assert (bench.do("read", "/3/0/3"), bench.do("read", "/5/0/3"), bench.do("read", "/5/0/5")) == ("2.1.0", "0", "1")
    path.write_bytes(LARGE.data)
    assert "Max packet size is 1280" in bench.do("package", str(path)), "it has no Block1"
    update = bench.device.capture().updates.iloc[0]
    assert (update["outcome"], update["verdict"], update["delivery"]) == ("succeeded", "PASS", "push")
    assert update["image_sha256"] == SMALL.sha256
    bench.device.capture().save(tmp_path / "push.pcapng")
    assert assert_same(tshark, tmp_path / "push.pcapng", port=bench.port) > 15


def test_a_pull_from_beginning_to_end(
    bench: Bench, coap_client: str, coap_server: str, tmp_path: pathlib.Path
) -> None:  # fmt: skip
    """Its Package URI leads to libcoap's server, from which our device fetches the image."""
    path = tmp_path / "large.bin"
    path.write_bytes(LARGE.data)
    subprocess.run([coap_client, "-m", "put", "-b", "1024", "-f", str(path), f"{coap_server}/fw.bin"], check=True)
    bench.do("observe", "/5/0/3")
    bench.do("write", "/5/0/1", f"{coap_server}/fw.bin")
    bench.peer.until('["notified","/5/0/3","1"]')
    # No acknowledgement, no further notification (RFC 7641, 4.5): it has to read.
    bench.device.wait_for("package complete and accepted")
    assert bench.do("read", "/5/0/3") == "2"
    said = bench.peer.until()
    assert bench.do("execute", "/5/0/2", "") == ""
    bench.peer.until('["registered","bench"', after=len(said))
    assert (bench.do("read", "/3/0/3"), bench.do("read", "/5/0/5")) == ("2.2.0", "1")
    update = bench.device.capture().updates.iloc[0]
    assert (update["outcome"], update["verdict"], update["image_sha256"]) == ("succeeded", "PASS", LARGE.sha256)

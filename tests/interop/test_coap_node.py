"""npm's coap-node as a device that our server manages: TLV unless asked otherwise, no Block1, words of its own."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator

import pytest

import lwm2m_lab as lab
from lwm2m_lab.live.requests import Timers
from lwm2m_lab.live.server_options import ServerOptions
from tests.interop.conftest import Peer
from tests.tshark import assert_same

IMAGE = lab.image(version="2.1.0", size=3000)
PROMPT = ServerOptions(patience=0.5, time_limit=3.0, block_size=512)
Start = Callable[..., Peer]


@pytest.fixture
def server() -> Iterator[lab.Server]:
    """A server of little patience that lets pass what coap-node says beside the standard."""
    timers = Timers(ack_timeout=0.5, max_retransmit=2)
    files = {"/fw/a.bin": IMAGE.data}
    with lab.Server(PROMPT, images=files, bind=("127.0.0.1", 0), timers=timers, parameters=("mac",)) as one:
        yield one


@pytest.fixture
def device(script: Start, server: lab.Server) -> Peer:
    """The device, registered."""
    peer = script("coap-node", "cnode", server.uri)
    peer.until('["registered","2.01","/rd/1"]')
    return peer


def test_a_parameter_of_its_own_is_refused_unless_the_server_was_told(script: Start) -> None:
    """`mac=` is an unknown parameter: 4.00, which names it; `lwm2m=1.0.0`, its default, is no version: 4.12."""
    with lab.Server(bind=("127.0.0.1", 0)) as strict:
        script("coap-node", "cnode", strict.uri).until('["registered","4.00","unknown"]')
        columns = strict.capture().columns
        assert columns.payload(1) == b"'mac' is unknown"
    with lab.Server(bind=("127.0.0.1", 0), parameters=("mac",)) as server:
        script("coap-node", "cnode", server.uri, "1.0.0").until('["registered","4.12","unknown"]')


def test_it_is_managed(server: lab.Server, device: Peer) -> None:
    """Registered, read, discovered, written, executed, observed, and gone."""
    registered = server.wait_for("cnode")
    assert (registered.lwm2m, registered.lifetime, registered.version_of(5)) == ("1.0", 300, "1.0")
    assert registered.objects == ("/", "/3/0", "/4/0", "/5/0")
    client = server.device("cnode")
    firmware = client.read("/3/0/3")
    assert (firmware.text, firmware.content_format) == ("1.0.0", 11542)
    assert (client.read("/5/0/9").text, client.read("/5/0/3").text) == ("2", "0")
    assert {one.path for one in client.read("/3/0").entries} >= {"/3/0/0", "/3/0/3", "/3/0/19"}
    # What cannot be read is in its Read of an instance all the same, as a word.
    assert b"_unreadable_" in client.read("/5/0").payload
    assert (client.read("/5/0/0").code, client.read("/7/0/0").code) == ("4.05", "4.04")
    assert [one.target for one in client.discover("/5").links][:3] == ["/5", "/5/0/8", "/5/0/9"]
    assert (client.write("/3/0/3", "9.9").code, client.execute("/5/0/2").code) == ("4.05", "4.05")
    assert client.execute("/3/0/4").code == "4.04", "it has no Reboot, which is mandatory"
    assert client.write_attributes("/5/0/3", pmin=0, pmax=30).code == "2.04"

    device.command("update", '["update","2.04"]')
    assert server.wait_for("cnode").lifetime == 200
    device.command("deregister", '["deregister","2.02"]')
    assert server.registrations == ()


def test_a_pull_from_beginning_to_end(server: lab.Server, device: Peer, tmp_path: pathlib.Path, tshark: str) -> None:
    """node-coap fetches block by block from our repository, with M=1 in its requests, which says nothing there."""
    report = server.update("cnode", IMAGE, delivery="pull")
    assert (report.outcome, report.firmware_version_after) == ("succeeded", "2.1.0")
    device.until('["fetched",3000]', '["settled",0,1]')
    capture = server.capture()
    update = capture.updates.iloc[0]
    assert (update["outcome"], update["verdict"], update["delivery"]) == ("succeeded", "PASS", "pull")
    assert update["image_sha256"] == IMAGE.sha256
    capture.save(tmp_path / "pull.pcapng")
    assert_same(tshark, tmp_path / "pull.pcapng", port=int(server.uri.rpartition(":")[2]))


def test_it_takes_each_block_of_a_push_for_a_body(
    server: lab.Server, device: Peer, tmp_path: pathlib.Path, tshark: str
) -> None:
    """It ignores Block1: six writes, each answered 2.04 without the option; nobody knows when the package is whole."""
    report = server.update("cnode", IMAGE, delivery="push")
    assert report.outcome == "unfinished"
    assert "State 1" in report.sentence
    assert device.until().count('["package",') == 6
    capture = server.capture()
    update = capture.updates.iloc[0]
    assert (update["outcome"], update["verdict"], update["image_size"]) == ("unfinished", "FAIL", 3000)
    assert update["states"] == [0, 1], "the attributes that were written are no value"
    failed = capture.findings[capture.findings["verdict"] == "FAIL"]
    assert set(failed["rule"]) == {"W8"}
    assert "answered 2.04" in failed["sentence"].iloc[0]
    capture.save(tmp_path / "push.pcapng")
    assert_same(tshark, tmp_path / "push.pcapng", port=int(server.uri.rpartition(":")[2]))

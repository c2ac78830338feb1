"""A part of a capture as a file of its own: what it holds, what it leaves out, and that it explains the same."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.__main__ import main
from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.parts import frames_of_part, part_file
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
from tests import carriers
from tests.peers import Session
from tests.wire.dtls_peer import CLIENT, IDENTITY, KEY, SERVER, DtlsPeer

PULLED = "ready\nuri coap://192.0.2.3/fw.bin\npull /fw.bin\ninstalled"


def told(capture: lab.Capture) -> list[Any]:
    """The updates, but for frames and names."""
    return [
        (one.outcome, one.verdict, one.image_sha256, one.states, one.results, one.firmware_versions)
        for one in capture.select()._updates
    ]


def test_an_endpoint_keeps_what_it_said_and_fetched() -> None:
    """Of two devices behind one address, one: its messages and its download, nothing of the other's."""
    data = carriers.with_a_twin(Session(PULLED).packets)
    whole = lab.Capture.from_bytes(data, name="both")
    part = lab.Capture.from_bytes(part_file(whole, data, endpoint="twin"), name="one")
    assert (part.columns.rows, {one.endpoint for one in part._updates}) == (whole.columns.rows // 2, {"twin"})
    assert told(part) == told(whole.select(endpoint="twin"))


def test_a_stretch_of_time_keeps_what_explains_it() -> None:
    """Who it is, what is observed and in what state it was come from before; the rest of that time does not."""
    session = Session(f"ready\nread /9/0/7 5\nread /9/0/8 6\nwait 100\n{PULLED.partition(chr(10))[2]}")
    data = carriers.as_it_is(session.packets)
    whole = lab.Capture.from_bytes(data, name="whole")
    frames = frames_of_part(whole, data, endpoint="dev-1", since=90, until=None)
    # Register, two requests to observe, the reading of the version, each with its answer; not those of /9.
    assert sorted(frames) == [1, 2, 3, 4, 5, 6, 7, 8, *range(13, whole.columns.packets + 1)]
    part = lab.Capture.from_bytes(part_file(whole, data, since=90), name="part")
    assert told(part) == told(whole)


@pytest.mark.parametrize("ending", ["pcap", "pcapng"])
def test_tcp_goes_with_its_endpoint(ready: Any, Talk: Any, image: bytes, ending: str) -> None:
    """The whole connection of a download by HTTP, its SYNs too, though they came before; nobody else's."""
    ready.exchange("0.03", "/5/0/1", "2.04", payload=b"http://192.0.2.9:8080/a.bin", content_format=0)
    for host, port, path in ((ready.device[0], 41000, b"/a.bin"), ("192.0.2.77", 42000, b"/other")):
        ends: dict[str, Any] = {"client": (host, port), "server": ("192.0.2.9", 8080), "now": ready.now}
        talk = Talk(ready.packets, **ends).open().asks(b"GET %b HTTP/1.1\r\nHost: 192.0.2.9:8080\r\n\r\n" % path)
        talk.answers(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(image) + image)
    ready.packets.sort(key=lambda one: one.time_ns)
    data = carriers.as_it_is(ready.packets)
    if ending == "pcap":
        data = carriers.cooked_v2(ready.packets)
    whole = lab.Capture.from_bytes(data, name="whole")
    part = lab.Capture.from_bytes(part_file(whole, data, endpoint="dev-1"), name="part")
    assert [one.client for one in part.columns.http] == [f"{ready.device[0]}:41000"]
    (update,) = part._updates
    assert (update.endpoint, update.image_size) == ("dev-1", len(image))


def test_an_icmp_error_goes_with_what_it_quotes() -> None:
    """The quote is the device's, the sender a router of nobody's."""
    script = "ready\npush 0\nserver > device CON PUT /5/0/0 1:1/1/1024 cf=42 1024B\ndevice > server ICMP too-big"
    data = carriers.as_it_is(Session(script).packets)
    whole = lab.Capture.from_bytes(data, name="whole")
    assert whole.columns.packets in frames_of_part(whole, data, endpoint="dev-1", since=None, until=None)


def test_a_handshake_goes_with_its_records() -> None:
    """The part begins behind the handshake, and the key opens it all the same."""
    peer = DtlsPeer().connect()
    register = lab.wire.coap.encode(
        lab.wire.coap.Message("CON", "0.02", 1, b"a", ((11, b"rd"), (12, b"("), (15, b"ep=dev-7")), b"</5/0>")
    )
    peer.say(CLIENT, register)
    peer.packets = [Packet(at * 10**9, one.data) for at, one in enumerate(peer.packets)]
    begins = len(peer.packets)
    read = lab.wire.coap.encode(lab.wire.coap.Message("CON", "0.01", 9, b"b", ((11, b"5"), (11, b"0"), (11, b"3"))))
    peer.say(SERVER, read)
    peer.packets[-1] = Packet((begins + 100) * 10**9, peer.packets[-1].data)
    data = pcapng_bytes(peer.packets, interfaces=[Interface("one")])
    whole = lab.Capture.from_bytes(data, name="whole", psk={IDENTITY: KEY})
    assert whole.columns.rows == 2
    file = part_file(whole, data, endpoint="dev-7", since=50)
    part = lab.Capture.from_bytes(file, name="part", psk={IDENTITY: KEY})
    assert part.messages["uri_path"].tolist() == ["/rd", "/5/0/3"]


def test_the_command_shares_a_part(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One endpoint of two, without its name; an endpoint that is not there is told, and nothing is written."""
    source, out = tmp_path / "in.pcapng", tmp_path / "out.pcapng"
    source.write_bytes(carriers.with_a_twin(Session(PULLED).packets))
    assert main(["anonymize", str(source), str(out), "--endpoint", "twin"]) == 0
    assert "1 endpoint names" in capsys.readouterr().out
    shared = lab.read(out)
    assert [one.outcome for one in shared._updates] == ["succeeded"]
    assert b"twin" not in out.read_bytes()
    assert b"dev-1" not in out.read_bytes()
    out.unlink()
    assert main(["anonymize", str(source), str(out), "--endpoint", "nobody"]) == 2
    assert not out.exists()
    with pytest.raises(BadInput, match="this is a part of"):
        lab.read(source).select(endpoint="twin").anonymized(out)


@pytest.mark.parametrize(("ems", "opens"), [(True, False), (False, True)])
def test_a_key_and_records_whose_identity_was_replaced(ems: bool, opens: bool, tmp_path: pathlib.Path) -> None:
    """An extended master secret is made of the identity, too; without one the key opens what it always did."""
    peer = DtlsPeer(ems=ems).connect()
    peer.say(CLIENT, b"@\x01\x00\x01")
    whole = lab.Capture.from_bytes(peer.capture(), name="whole", psk={"": KEY})
    found = whole.anonymized(tmp_path / "out.pcapng")
    assert "stay encrypted" in str(found)
    shared = lab.Capture.from_bytes(found.data, name="shared", psk={"": KEY})
    assert bool(shared.columns.rows) is opens

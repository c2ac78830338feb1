"""Captures without names: nothing private is left, nothing moves, every checksum is right, every verdict stays."""

from __future__ import annotations

import ipaddress
import json
import pathlib
import struct
import subprocess
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lwm2m_lab as lab
from lwm2m_lab.__main__ import main
from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.samples import path_of
from lwm2m_lab.wire import read_columns
from lwm2m_lab.wire.anonymize import anonymize
from lwm2m_lab.wire.coap import Message, encode
from lwm2m_lab.wire.packets import checksum, udp_packet
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
from lwm2m_lab.wire.private import Private
from lwm2m_lab.wire.pseudonyms import Pseudonyms
from tests.peers import Session

CAPTURES = pathlib.Path(__file__).resolve().parents[3] / "shared" / "captures"
FILES = sorted([*CAPTURES.glob("*/*.pcap"), *CAPTURES.glob("*/*.pcapng")])
DEVICE, SERVER = ("203.0.114.7", 50000), ("203.0.114.8", 5683)


def judged(capture: lab.Capture) -> list[Any]:
    """Everything that an explanation says, but for names."""
    explanation = lab.explain(capture)
    updates = [
        {key: value for key, value in one.to_dict().items() if key not in ("endpoint", "cause")}
        for one in explanation.updates
    ]
    return [updates, [(one.rule, one.verdict, one.frames) for one in explanation.findings]]


def bad_checksums(tshark: str, path: pathlib.Path) -> list[str]:
    """What tshark finds wrong in a file."""
    checks = [part for name in ("ip", "udp", "tcp") for part in ("-o", f"{name}.check_checksum:TRUE")]
    wrong = " || ".join(f"{name}.checksum.status == 0" for name in ("ip", "udp", "tcp", "icmp", "icmpv6"))
    command = [tshark, "-r", str(path), *checks, "-Y", f"{wrong} || _ws.malformed"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def secrets_of(path: pathlib.Path) -> set[bytes]:
    """What the manifest says of one capture that must not be told."""
    manifest = json.loads((CAPTURES / "MANIFEST.json").read_text())
    entry = next(one for one in manifest["captures"] if one["file"].endswith(path.name.replace(".client-side", "")))
    told = {name.encode() for name in entry["devices"]}
    for key in ("psk_identity", "identity"):
        told |= {str(entry["dtls"][key]).encode()} if entry.get("dtls") and key in entry["dtls"] else set()
    return told | {b"10.77.0.1", b"10.77.0.2", b"127.0.0.1", bytes((10, 77, 0, 1)), bytes((10, 77, 0, 2))}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_real_captures_lose_names_and_keep_verdicts(path: pathlib.Path, tmp_path: pathlib.Path, tshark: str) -> None:
    """Updates, findings, frames, times and images stay; no name is in the file; no checksum is wrong."""
    out = tmp_path / path.name
    capture = lab.read(path)
    found = capture.anonymized(out, seed=5)
    data = out.read_bytes()
    assert (found.leftovers, found.packets) == (0, capture.columns.packets)
    assert [one for one in secrets_of(path) if one in data] == []
    hidden = lab.read(out)
    assert judged(hidden) == judged(capture)
    for name in ("frame", "time", "mid", "block1_num", "payload_length"):
        assert np.array_equal(hidden.columns[name], capture.columns[name])
    assert bad_checksums(tshark, out) == []
    for address in hidden.columns.categories["src"]:
        host = ipaddress.ip_address(address.rsplit(":", 1)[0])
        assert any(host in ipaddress.ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"))


def test_the_same_seed_gives_the_same_file() -> None:
    """And another one another."""
    data = path_of("anjay-push-256-ok").read_bytes()
    first, again, other = (anonymize(data, seed=seed).data for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) == len(data)


def test_zeroed_images_are_zeros(tmp_path: pathlib.Path) -> None:
    """Of pushes and of pulls; everything that is no image stays, and so does how it went."""
    for run in (lab.push(size=5000), lab.pull(size=5000)):
        run.anonymized(tmp_path / "x.pcapng", payload="zero")
        capture = lab.read(tmp_path / "x.pcapng")
        assert capture.body(0) == bytes(5000)
        update = capture.update()
        assert (update.outcome, update.firmware_version_after) == ("succeeded", "2.0.0")
        assert run.image.data[64:128] not in (tmp_path / "x.pcapng").read_bytes()


def test_both_sides_of_a_run(tmp_path: pathlib.Path) -> None:
    """Comments go; the names that tell the sides apart name nobody and stay."""
    run = lab.push(size=5000, seed=4, link=lab.Link(loss=0.1))
    data = run.pcapng(side="both")
    assert b"lost on the way" in data
    hidden = anonymize(data).data
    assert b"lost" not in hidden
    assert b"urn:dev:lab-1" not in hidden
    both = lab.Capture.from_bytes(hidden, name="both")
    assert both.columns.interface == "server"
    assert judged(both)[0] == judged(lab.Capture.from_bytes(data, name="both"))[0]


@pytest.fixture
def session() -> Session:
    """An empty session."""
    return Session()


@pytest.fixture
def told() -> Session:
    """A session that tells a serial number in text and TLV, a URI with a login, an identity and a key."""
    ready = Session("ready")
    ready.read("/3/0/2", "SN-4711-XZ")
    ready.exchange("0.01", "/3/0", "2.05", answer=b"\xc8\x02\x0aSN-4711-XZ", answer_format=11542)
    uri = b"coap://joe:secret@files.example.com:5683/fw.bin"
    ready.exchange("0.03", "/5/0/1", "2.04", payload=uri, content_format=0)
    ready.exchange("0.03", "/0/1", "2.04", payload=b"\xc8\x03\x08identity\xc8\x05\x10" + b"\x80key" * 4,
                   content_format=11542)  # fmt: skip
    return ready


def test_every_private_field_of_messages(told: Session) -> None:
    """Endpoint name, serial number, host, login, identity and key, wherever they stand; lengths stay."""
    data = pcapng_bytes(told.packets, interfaces=[Interface("eth0")], comment="at Joe's desk")
    found = anonymize(data)
    for secret in (b"dev-1", b"SN-4711-XZ", b"files.example.com", b"joe", b"secret", b"identity", b"\x80key", b"eth0",
                   b"Joe's desk"):  # fmt: skip
        assert secret not in found.data, secret
    hidden = lab.Capture.from_bytes(found.data, name="hidden")
    serial = set(hidden.timeline[hidden.timeline["path"] == "/3/0/2"]["value"].map(str))
    assert len(serial) == 1
    assert [len(one) for one in serial] == [len("SN-4711-XZ")]
    uri = hidden.timeline[hidden.timeline["path"] == "/5/0/1"]["value"].iloc[0]
    assert uri.startswith("coap://")
    assert uri.endswith(".test:5683/fw.bin")


def test_an_address_that_is_written_stays_the_same_address(session: Session) -> None:
    """The host of a Package URI is the address that the packets have, whatever it is called now."""
    session.register()
    session.exchange("0.03", "/5/0/1", "2.04", payload=b"coap://192.0.2.1/fw.bin", content_format=0)
    data = pcapng_bytes(session.packets, interfaces=[Interface()])
    hidden = lab.Capture.from_bytes(anonymize(data, seed=9).data, name="hidden")
    uri = str(hidden.timeline["value"].iloc[-1])
    assert uri.removeprefix("coap://").removesuffix("/fw.bin") in {
        one.rsplit(":", 1)[0] for one in hidden.columns.categories["src"]
    }
    assert "192.0.2.1/" not in uri


@pytest.mark.parametrize("host", ["8.8.8.8", "192.168.100.200", "[2001:4860::8888]", "fw", "a-very-long.host.example"])
def test_hosts_of_any_length(session: Session, host: str) -> None:
    """Where no address has a text of that length, a name stands for it."""
    session.register()
    session.exchange("0.03", "/5/0/1", "2.04", payload=f"coap://{host}/f".encode(), content_format=0)
    found = anonymize(pcapng_bytes(session.packets, interfaces=[Interface()]))
    uri = str(lab.Capture.from_bytes(found.data, name="hidden").timeline["value"].iloc[-1])
    assert len(uri) == len(f"coap://{host}/f")
    assert host.strip("[]") not in uri or len(host) < 4


def test_short_names_do_no_harm(session: Session) -> None:
    """An endpoint called as a parameter is, or by one letter."""
    for name in ("lwm2m", "U", "rd"):
        queries = (f"ep={name}", "lwm2m=1.1", "lt=300", "b=U")
        session.exchange("0.02", "/rd", "2.01", payload=b"</5/0>", from_device=True, queries=queries, content_format=40)
    found = anonymize(pcapng_bytes(session.packets, interfaces=[Interface()]))
    table = lab.Capture.from_bytes(found.data, name="hidden").registrations
    assert set(table["lwm2m"]) == {"1.1"}
    assert not set(table["endpoint"]) & {"lwm2m", "rd"}
    assert table["endpoint"].str.len().tolist() == [5, 1, 2]


def test_many_devices_have_many_pseudonyms() -> None:
    """More addresses than the documentation has, more names than one pattern holds."""
    packets = []
    for number in range(1000):
        register = Message("CON", "0.02", number, b"\1", ((11, b"rd"), (15, b"ep=urn:dev:%04d" % number)))
        source = (str(ipaddress.IPv4Address(0x0B000000 + number)), 5683)
        packets.append(Packet(number * 10**9, udp_packet(source, SERVER, encode(register))))
    capture = lab.Capture.from_bytes(anonymize(pcapng_bytes(packets, interfaces=[Interface()])).data, name="hidden")
    assert capture.registrations["endpoint"].nunique() == 1000
    assert len({one.split(":")[0] for one in capture.registrations["address"]}) == 1000
    assert not capture.registrations["endpoint"].str.fullmatch(r"urn:dev:\d{4}").any()


# ---------------------------------------------------------------- packets


def in_frame(packet: bytes, linktype: int) -> bytes:
    """An IP packet behind a link layer."""
    mac = bytes.fromhex("0050c2123456")
    return {
        101: packet,
        1: mac + b"\x00\x50\xc2\xff\xff\x01" + b"\x81\x00\x00\x07\x08\x00" + packet + b"PAD",
        113: b"\0\0\0\1\0\6" + mac + b"\0\0\x08\0" + packet,
        276: b"\x08\0\0\0\0\0\0\1\0\1\0\6" + mac + b"\0\0" + packet,
    }[linktype]


REGISTER = encode(Message("CON", "0.02", 7, b"\1", ((11, b"rd"), (15, b"ep=somebody-1"))))


@pytest.mark.parametrize("linktype", [101, 1, 113, 276])
def test_link_layers(linktype: int, tmp_path: pathlib.Path, tshark: str) -> None:
    """Hardware addresses go with VLAN tags and cooked headers; padding is emptied."""
    data = pcapng_bytes(
        [Packet(0, in_frame(udp_packet(DEVICE, SERVER, REGISTER), linktype))], interfaces=[Interface("", linktype)]
    )
    hidden = anonymize(data).data
    for secret in (b"somebody-1", bytes.fromhex("0050c2123456"), b"PAD", bytes((203, 0, 114))):
        assert secret not in hidden
    (tmp_path / "x.pcapng").write_bytes(hidden)
    assert bad_checksums(tshark, tmp_path / "x.pcapng") == []
    assert lab.read(tmp_path / "x.pcapng").columns.rows == 1


def test_icmp_errors_and_their_quotes(tmp_path: pathlib.Path, tshark: str) -> None:
    """Addresses and names inside the quote, its checksums and those around it; of an echo the kind alone stays."""
    inner = udp_packet(SERVER, DEVICE, REGISTER)
    body = b"\3\3\0\0\0\0\0\0" + inner
    echo = b"\x08\0\0\0\0\1\0\1hello from somebody-1"
    packets = [udp_packet(DEVICE, SERVER, REGISTER)]
    for message in (body, echo):
        message = message[:2] + checksum(message).to_bytes(2, "big") + message[4:]
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(message), 0, 0, 64, 1, 0,
                           bytes((203, 0, 114, 7)), bytes((203, 0, 114, 8)))  # fmt: skip
        packets.append(head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + message)
    data = pcapng_bytes([Packet(0, one) for one in packets], interfaces=[Interface()])
    hidden = anonymize(data).data
    assert b"somebody-1" not in hidden
    assert bytes((203, 0, 114)) not in hidden
    (tmp_path / "x.pcapng").write_bytes(hidden)
    assert bad_checksums(tshark, tmp_path / "x.pcapng") == []


def fragments(packet: bytes, size: int) -> list[bytes]:
    """An IPv4 packet in pieces."""
    head, content = packet[:20], packet[20:]
    found = []
    for at in range(0, len(content), size):
        part = content[at : at + size]
        more = 0x2000 if at + size < len(content) else 0
        one = head[:2] + struct.pack("!HHH", 20 + len(part), 99, more | at // 8) + head[8:10] + b"\0\0" + head[12:]
        found.append(one[:10] + checksum(one).to_bytes(2, "big") + one[12:] + part)
    return found


def test_names_across_fragments(tmp_path: pathlib.Path, tshark: str) -> None:
    """A name that is cut in two by fragmentation is replaced all the same, and the checksum of the whole is right."""
    packet = udp_packet(DEVICE, SERVER, REGISTER)
    pieces = fragments(packet, 24)
    assert len(pieces) == 2
    assert not any(b"somebody-1" in piece for piece in pieces)
    (tmp_path / "x.pcapng").write_bytes(
        anonymize(pcapng_bytes([Packet(0, one) for one in pieces], interfaces=[Interface()])).data
    )
    capture = lab.read(tmp_path / "x.pcapng")
    assert capture.columns.rows == 1
    assert "somebody" not in str(capture.columns.text("uri_query", 0))
    assert bad_checksums(tshark, tmp_path / "x.pcapng") == []


def test_fragments_that_never_become_whole_are_emptied() -> None:
    """Nobody knows what they say."""
    pieces = fragments(udp_packet(DEVICE, SERVER, REGISTER), 24)
    found = anonymize(pcapng_bytes([Packet(0, pieces[1])], interfaces=[Interface()]))
    assert (found.hidden, b"body-1" in found.data) == (1, False)


def test_cut_packets_stay_cut() -> None:
    """Their lengths on the wire are told as before; their names go as far as they are there."""
    packet = udp_packet(DEVICE, SERVER, REGISTER + b"\xff" + bytes(400))
    data = pcapng_bytes([Packet(0, packet[:100], original=len(packet))], interfaces=[Interface()])
    found = anonymize(data).data
    assert b"somebody-1" not in found
    (lack,) = [one for one in lab.Capture.from_bytes(found, name="x").triage().lacks if one.what == "cut packets"]
    assert "1 of 1 packets" in lack.found


def test_a_checksum_is_moved_on_where_it_cannot_be_computed() -> None:
    """Of a packet that was cut: the whole packet, anonymized, has the checksum that the cut one got."""
    packet = udp_packet(DEVICE, SERVER, REGISTER + b"\xff" + bytes(range(200)))
    interfaces = [Interface()]
    whole = anonymize(pcapng_bytes([Packet(0, packet)], interfaces=interfaces), seed=3).data
    cut = anonymize(pcapng_bytes([Packet(0, packet[:90], original=len(packet))], interfaces=interfaces), seed=3).data
    at = whole.index(b"\x45\0") + 26
    assert whole[at : at + 2] == cut[at : at + 2]


def test_ipv6_and_its_headers(tmp_path: pathlib.Path, tshark: str) -> None:
    """Addresses go to 2001:db8::/32, and their names in URIs with them."""
    ends = ("2a00:1450:4001::5", 50000), ("2a00:1450:4001::6", 5683)
    (tmp_path / "x.pcapng").write_bytes(
        anonymize(pcapng_bytes([Packet(0, udp_packet(*ends, REGISTER))], interfaces=[Interface()])).data
    )
    source = str(lab.read(tmp_path / "x.pcapng").columns.text("src", 0))
    assert source.startswith("[2001:db8:")
    assert bad_checksums(tshark, tmp_path / "x.pcapng") == []


def test_what_is_no_coap_is_emptied() -> None:
    """DNS, ARP, and link types that nobody here reads: addresses and names in them are zeros."""
    dns = udp_packet(DEVICE, ("203.0.114.9", 53), b"\x12\x34\x01\0\0\1\0\0\0\0\0\0\x08somebody\2at\0\0\1\0\1")
    arp = b"\xff" * 6 + bytes.fromhex("0050c2123456") + b"\x08\x06" + b"who has somebody"
    found = anonymize(pcapng_bytes([Packet(0, in_frame(dns, 1)), Packet(1, arp)], interfaces=[Interface("", 1)]))
    assert (found.hidden, b"somebody" in found.data, bytes.fromhex("0050c2123456") in found.data) == (2, False, False)
    found = anonymize(pcapng_bytes([Packet(0, b"somebody over 802.15.4")], interfaces=[Interface("", 195)]))
    assert (found.hidden, b"somebody" in found.data) == (1, False)


def test_blocks_of_a_pcapng_that_tell_too_much() -> None:
    """Name resolution, decryption secrets and custom blocks are not copied."""
    data = pcapng_bytes([Packet(0, udp_packet(DEVICE, SERVER, REGISTER), comment="Joe")], interfaces=[Interface("wan")])
    for kind, body in (
        (4, b"\1\0\x0d\0\xcb\0\x72\7host.joe\0\0\0\0"),
        (10, b"KSLT\x08\0\0\0CLIENT_R"),
        (0xBAD, b"joe0joe0"),
    ):
        body = body + bytes(-len(body) % 4)
        length = 12 + len(body)
        data += struct.pack("<II", kind, length) + body + struct.pack("<I", length)
    hidden = anonymize(data).data
    for secret in (b"host.joe", b"CLIENT_R", b"joe0", b"Joe", b"wan"):
        assert secret not in hidden


def test_pseudonyms_are_of_one_piece() -> None:
    """Of the same length, distinct, and without any original in them, whatever the originals are."""
    private = Private(names={b"----", b"device-1", b"urn:dev:1234", b"\xff\xfe\xfd\xfc", "größe".encode(), b"x"})
    for seed in range(20):
        made = Pseudonyms(private, seed=seed).strings
        assert all(len(old) == len(new) for old, new in made.items())
        assert len(set(made.values())) == len(made)
        assert not any(old in new for old in made if len(old) >= 4 for new in made.values())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=40), st.integers(0, 3))
def test_no_capture_is_too_damaged(changes: list[tuple[int, int]], which: int) -> None:
    """Bytes changed anywhere behind the file's header: a file of the same packets, never an exception."""
    name = ("anjay-push-256-ok", "anjay-dtls-psk", "anjay-pull-coap-404", "anjay-push-badcrc")[which]
    data = bytearray(path_of(name).read_bytes()[:6000])
    for at, value in changes:
        data[24 + at % (len(data) - 24)] = value
    found = anonymize(bytes(data))
    assert lab.Capture.from_bytes(found.data, name="x").columns.packets == found.packets


def test_bad_arguments(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence each."""
    data = path_of("anjay-push-256-ok").read_bytes()
    with pytest.raises(BadInput, match="'keep' or 'zero' is expected"):
        anonymize(data, payload="half")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="a whole number is expected"):
        anonymize(data, seed=1.5)  # type: ignore[arg-type]
    assert main(["anonymize", "nowhere.pcap", str(tmp_path / "x.pcap")]) == 2
    assert main(["anonymize", str(path_of("anjay-push-256-ok")), "no/such/folder/x.pcap"]) == 2
    assert list(tmp_path.iterdir()) == []


def test_the_command(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was replaced on standard output, the file in its place."""
    assert main(["anonymize", str(path_of("anjay-push-256-ok")), str(tmp_path / "x.pcap")]) == 0
    assert capsys.readouterr().out == "194 packets; replaced: 1 addresses, 1 endpoint names\n"
    assert b"urn:dev:anjay-1" not in (tmp_path / "x.pcap").read_bytes()


@pytest.mark.parametrize("first", [5000, 2**32 - 2000])
@pytest.mark.parametrize("size", [47, 50, 53, 100, 1400])
def test_chunks_keep_their_framing_when_they_are_zeroed(Talk: Any, size: int, first: int) -> None:
    """Wherever segments are cut, sent twice, and where sequence numbers begin anew; the content becomes zeros."""
    chunks = [bytes([65 + at]) * length for at, length in enumerate((1, 300, 16, 1000, 700))]
    text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"".join(f"{len(one):x};of=it\r\n".encode() + one + b"\r\n" for one in chunks) + b"0\r\nTold: by\r\n\r\n"
    talk = Talk(first=(1000, first)).open().asks(b"GET /fw.bin HTTP/1.1\r\n\r\n").answers(text + body, size)
    talk.segment(1, body[300 : 300 + size], at=len(text) + 300)
    talk.answers(b"HTTP/1.1 204 No Content\r\n\r\n")
    talk.asks(b"GET /again HTTP/1.1\r\n\r\n").answers(b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc")
    data = pcapng_bytes(talk.packets, interfaces=[Interface("x")])
    zeroed = anonymize(data, payload="zero").data
    before, after = read_columns(data).http, read_columns(zeroed).http
    assert [(one.status, one.complete, one.body_length, one.last_frame) for one in after] == [
        (one.status, one.complete, one.body_length, one.last_frame) for one in before
    ]
    assert after[0].body() == bytes(sum(map(len, chunks)))
    assert (after[0].complete, after[0].disputed, after[-1].body()) == (True, (), bytes(3))

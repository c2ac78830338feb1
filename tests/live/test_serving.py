"""`lab.Server` and `lwm2m-lab server`: real sockets, a repository over CoAP and HTTP, campaigns, whatever arrives."""

from __future__ import annotations

import contextlib
import pathlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import lwm2m_lab as lab
from lwm2m_lab.__main__ import main
from lwm2m_lab.errors import BadInput, LabError
from lwm2m_lab.live.credentials import Credentials
from lwm2m_lab.live.folder import ImageFolder
from lwm2m_lab.live.requests import NoAnswer, Timers
from lwm2m_lab.live.server_options import ServerOptions
from lwm2m_lab.wire.coap import Message, decode, encode

IMAGE = lab.image(version="2.1.0", size=5000)
QUICK = {"install_time": 0.1, "reboot_time": 0.1}
LOOPBACK = ("127.0.0.1", 0)
PROMPT = ServerOptions(patience=1.0, time_limit=20.0, block_size=512)


@pytest.fixture
def server(tmp_path: pathlib.Path) -> Iterator[lab.Server]:
    """A server with one image in its folder."""
    (tmp_path / "a.bin").write_bytes(IMAGE.data)
    with lab.Server(PROMPT, images=tmp_path, bind=LOOPBACK, http=LOOPBACK, timers=Timers(ack_timeout=0.5)) as one:
        yield one


def devices(stack: ExitStack, server: lab.Server, *options: lab.DeviceOptions) -> list[lab.Device]:
    """Devices that have registered."""
    found = [stack.enter_context(lab.Device(one, server=server.uri, timers=Timers(ack_timeout=0.5))) for one in options]
    server.wait_for_devices(len(options))
    return found


def test_a_campaign(server: lab.Server) -> None:
    """Push and pull as each device offers, two at once, one that fails; a report for each, and progress."""
    told: list[str] = []
    options = (
        lab.DeviceOptions(endpoint="a", **QUICK),
        lab.DeviceOptions(endpoint="b", delivery=0, **QUICK),
        lab.DeviceOptions(endpoint="c", delivery=1, install_fails=True, **QUICK),
    )
    with ExitStack() as stack:
        by_name = dict(zip("abc", devices(stack, server, *options), strict=True))
        campaign = server.campaign(IMAGE, at_once=2, told=lambda one: told.append(f"{one.endpoint} {one.done}"))
        assert {one.endpoint: (one.outcome, one.delivery) for one in campaign.reports} == {
            "a": ("succeeded", "pull"), "b": ("succeeded", "pull"), "c": ("failed", "push")}  # fmt: skip
        assert campaign.outcomes == {"failed": 1, "succeeded": 2}
        assert [by_name[name].firmware_version for name in "abc"] == ["2.1.0", "2.1.0", "1.0.0"]
        assert "c  failed: the installation ended with Update Result 8" in str(campaign)
        assert "<td>succeeded</td>" in campaign._repr_html_()
    assert len(told) == 6
    updates = server.capture().updates
    assert sorted(updates["delivery"]) == ["pull", "pull", "push"]
    assert set(updates["image_sha256"]) == {IMAGE.sha256}


def test_a_pull_over_http(server: lab.Server) -> None:
    """The device fetches from the repository's HTTP side what the server names."""
    with ExitStack() as stack:
        (device,) = devices(stack, server, lab.DeviceOptions(endpoint="a", **QUICK))
        report = server.update("a", IMAGE, delivery="pull", uri=f"{server.web_uri}/fw/a.bin")
        assert (report.outcome, report.delivery, device.firmware_version) == ("succeeded", "pull", "2.1.0")


def test_a_device_in_hand(server: lab.Server) -> None:
    """Every operation from the caller's thread; who is not there is said to be so."""
    with ExitStack() as stack:
        (device,) = devices(stack, server, lab.DeviceOptions(endpoint="a"))
        hand = server.device("a")
        assert hand.registration.address == device.address
        assert (hand.read("/3/0/3").text, hand.read("/5/0/4").code) == ("1.0.0", "4.04")
        assert hand.observe("/1/0/1").text == "86400"
        assert hand.write("/1/0/1", 60).code == "2.04"
        assert hand.write_attributes("/1/0/1", pmin=1).is_success
        assert hand.discover("/1/0").links
        assert hand.read_composite(["/5/0/3"]).is_success
        assert hand.execute("/5/0/2").diagnostic.startswith("'Execute Update' is refused")
        hand.cancel("/1/0/1")
        assert hand.seen["/3/0/3"] == "1.0.0"
        with pytest.raises(NoAnswer, match="b is not registered"):
            server.device("b").read("/3/0/3")
    assert server.registrations == ()
    with pytest.raises(LabError, match="a did not register within 0.1 s"):
        server.wait_for("a", within=0.1)


def test_what_cannot_be(server: lab.Server, tmp_path: pathlib.Path) -> None:
    """One sentence each, and nothing is left running."""
    with pytest.raises(BadInput, match="runs already"):
        server.start()
    host, _, port = server.address.rpartition(":")
    with pytest.raises(BadInput, match="cannot be opened"):
        lab.Server(bind=(host, int(port))).start()
    with pytest.raises(BadInput, match="is no folder"):
        lab.Server(images=tmp_path / "nowhere")
    with pytest.raises(BadInput, match="'auto', 'push' or 'pull'"):
        server.update("a", IMAGE, delivery="post")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="does not have this image"):
        server.update("a", lab.image(version="9.9.9"), delivery="pull")
    with pytest.raises(BadInput, match="has 301 bytes"):
        server.update("a", IMAGE, delivery="pull", uri="coap://127.0.0.1/" + "x" * 284)
    with pytest.raises(BadInput, match="at_once is 0"):
        server.campaign(IMAGE, at_once=0)
    with pytest.raises(LabError, match="start it first"):
        lab.Server().device("a").read("/3/0/3")


def test_who_may_register() -> None:
    """A list of endpoints lets in those that it names."""
    with lab.Server(bind=LOOPBACK, endpoints={"a"}) as server, ExitStack() as stack:
        (refused,) = asked(server, message(1, "/rd", b"</5/0>", query=("lwm2m=1.1", "ep=b")))
        assert refused.startswith("ACK 4.03")
        stack.enter_context(lab.Device(lab.DeviceOptions(endpoint="a"), server=server.uri))
        server.wait_for("a")
        assert [one.endpoint for one in server.registrations] == ["a"]


@pytest.mark.usefixtures("dtls")
def test_an_update_over_coaps() -> None:
    """With keys the socket speaks coaps alone, and the image goes the same way."""
    keys = Credentials.random("urn:dev:lab-1")
    files = {"/fw/a.bin": IMAGE.data}
    with lab.Server(PROMPT, images=files, bind=LOOPBACK, credentials=keys) as server:
        assert server.uri.startswith("coaps://")
        with lab.Device(lab.DeviceOptions(**QUICK), server=server.uri, credentials=keys):
            server.wait_for("urn:dev:lab-1")
            assert server.update("urn:dev:lab-1", IMAGE).outcome == "succeeded"
        assert len(server.capture().updates) == 1


def test_a_folder_serves_its_files_alone(tmp_path: pathlib.Path) -> None:
    """No path leads out of it, no link, no hidden file; a file that has changed is another one."""
    (tmp_path / "inner").mkdir()
    folder = tmp_path / "inner"
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "a.bin").write_bytes(b"one")
    (folder / ".hidden").write_bytes(b"x")
    (folder / "link").symlink_to(tmp_path / "secret")
    files = ImageFolder(folder)
    assert list(files) == ["/fw/a.bin"]
    assert files["/fw/a.bin"] is files["/fw/a.bin"] == b"one"
    for path in ("/fw/../secret", "/fw/..", "/fw/link", "/fw/.hidden", "/fw/", "/a.bin", "/fw/\0", "/fw/" + "x" * 5000):
        assert path not in files, path
    (folder / "a.bin").write_bytes(b"other")
    assert files["/fw/a.bin"] == b"other"


REGISTER = Message("CON", "0.02", 1, token=b"\1", options=(
    (11, b"rd"), (12, b"\x28"), (15, b"lwm2m=1.1"), (15, b"ep=a")), payload=b"</5/0>")  # fmt: skip


def asked(server: lab.Server, *datagrams: bytes) -> list[str]:
    """What comes back for each datagram, code and diagnostic; "" where a ping afterwards is all that is answered.

    A server that is short of processor time acknowledges first and answers later (RFC 7252, 5.2.2): so an answer is
    told by its token, and waited for as long as it takes.
    """
    host, _, port = server.address.rpartition(":")
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(30)
        peer.connect((host, int(port)))
        for number, data in enumerate(datagrams):
            sent = decode(data)
            peer.send(data)
            expects = len(data) >= 4 and sent.code.startswith("0.")
            if not expects:
                peer.send(encode(Message("CON", "0.00", 60_000 + number)))
            one = decode(peer.recv(2000))
            while one.type == "ACK" and one.code == "0.00":
                one = decode(peer.recv(2000))
            if one.type == "CON":
                peer.send(encode(Message("ACK", "0.00", one.mid)))
            kind = "ACK" if one.type == "CON" else one.type
            answers = (one.mid, kind) == (sent.mid, "RST") or bytes(one.token) == bytes(sent.token)
            said = f"{kind} {one.code} {bytes(one.payload).decode(errors='replace')}".strip()
            found.append(said if expects and answers else "")
    return found


def message(mid: int, path: str, payload: bytes = b"", *, code: str = "0.02", block1: bytes | None = None,
            query: tuple[str, ...] = (), other: tuple[tuple[int, bytes], ...] = ()) -> bytes:  # fmt: skip
    """A request, byte by byte."""
    options = [(11, part.encode()) for part in path.strip("/").split("/")]
    options += [(15, one.encode()) for one in query] + ([(27, block1)] if block1 is not None else []) + list(other)
    return encode(
        Message("CON", code, mid, token=b"\7", options=tuple(sorted(options, key=lambda one: one[0])), payload=payload)
    )


GOOD = ("lwm2m=1.1", "ep=a")


def test_whatever_arrives_is_answered_by_the_book(server: lab.Server) -> None:
    """Code and diagnostic, each; and then a device registers as ever."""
    said = asked(
        server,
        b"GET / HTTP/1.1\r\n\r\n",
        b"",
        message(2, "/rd", b"</5/0>", query=GOOD, other=((9, b"x"),)),
        message(3, "/rd", bytes(16), query=GOOD, block1=b"\x10"),
        message(4, "/rd", b"</5/0>", query=GOOD, block1=b"\x0f"),
        message(5, "/rd/77", query=("lt=60",)),
        message(6, "/rd", b"no links", query=GOOD),
        message(7, "/rd", code="0.01"),
        message(8, "/bs", query=("ep=a",)),
        message(9, "/dp", b"[]"),
        message(10, "/fw/none.bin", code="0.01"),
        message(11, "/fw/a.bin", b"x", code="0.03"),
        message(12, "/rd", b"", query=("lwm2m=7", "ep=a")),
        encode(Message("CON", "0.00", 13)),
    )
    assert said == [
        "", "",
        "ACK 4.02 a critical option is not understood",
        "ACK 4.08 the blocks before this one are not here; begin with block 0",
        "ACK 4.00 the block contradicts itself",
        "ACK 4.04 /rd, a registration beneath it and /dp are here",
        "ACK 4.00 link format breaks off at character 0; '<target>' is expected",
        "ACK 4.05 POST is expected; DELETE ends a registration",
        "ACK 4.04 /rd, a registration beneath it and /dp are here",
        "ACK 4.04 nobody is registered from this address",
        "ACK 4.04 Not Found",
        "ACK 4.05",
        "ACK 4.12 LwM2M 1.0, 1.1, 1.2 are spoken here",
        "RST 0.00",
    ]  # fmt: skip
    with lab.Device(lab.DeviceOptions(endpoint="z"), server=server.uri):
        assert server.wait_for("z").endpoint == "z"


def test_a_registration_of_64_kilobytes(server: lab.Server) -> None:
    """A thousand links in blocks are taken; a body without end is refused at the limit, and nothing of it is kept."""
    links = b",".join(b"</%d/0>" % number for number in range(1000))
    size = range(0, len(links), 1024)
    blocks = [
        message(100 + n, "/rd", links[at : at + 1024], query=GOOD, block1=_block(n, at + 1024 < len(links)))
        for n, at in enumerate(size)
    ]
    assert [one[:8] for one in asked(server, *blocks)] == ["ACK 2.31"] * (len(blocks) - 1) + ["ACK 2.01"]
    assert len(server.wait_for("a").links) == 1000
    endless = [
        message(300 + n, "/rd", b"x" * 1024, query=("lwm2m=1.1", "ep=b"), block1=_block(n, True)) for n in range(40)
    ]
    said = asked(server, *endless)
    assert said.index("ACK 4.13 a body has at most 32768 bytes") == 32
    assert len(server._registrar.bodies) == 0


def _block(number: int, more: bool, szx: int = 6) -> bytes:
    value = number << 4 | more << 3 | szx
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


# ---------------------------------------------------------------- the command


def test_the_command_updates_all(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A server in a process of its own, two devices, one campaign, exit status 0, and a capture."""
    image, capture = tmp_path / "fw.bin", tmp_path / "out.pcapng"
    image.write_bytes(IMAGE.data)
    command = [sys.executable, "-m", "lwm2m_lab", "server", "--bind", "127.0.0.1:0", "--update-all", str(image),
               "--devices", "2", "--time-limit", "20", "--pcap", str(capture)]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        uri = re.findall(r"coap://\S+", process.stdout.readline())[0]
        with lab.Device(lab.DeviceOptions(endpoint="a", **QUICK), server=uri), \
             lab.Device(lab.DeviceOptions(endpoint="b", **QUICK), server=uri):  # fmt: skip
            out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "2 devices: 2 succeeded" in out
    assert "2 of 2" in err
    assert len(lab.read(capture).updates) == 2


def test_the_command_ends_by_ctrl_c() -> None:
    """Without an image it serves until then."""
    command = [sys.executable, "-m", "lwm2m_lab", "server", "--bind", "127.0.0.1:0", "--allow", "a"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("server at coap://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130


def test_the_command_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    """Bad input is exit status 2 and one sentence; nobody binds to all addresses."""
    for arguments in (["--bind", "0.0.0.0:5683"], ["--strategy", "S9"], ["--images", "nowhere"]):
        status = None
        with contextlib.suppress(SystemExit):
            status = main(["server", *arguments])
        assert status == 2, arguments
    assert "one of lab, S1" in capsys.readouterr().err


def test_a_device_with_another_key_is_told_so(dtls: None) -> None:
    """Both sides have a sentence at once, and the wait for the registration says why it was in vain."""
    here, there = (Credentials({"urn:dev:1": bytes([number] * 16)}) for number in (1, 2))
    said: list[str] = []
    with (
        lab.Server(bind=LOOPBACK, credentials=here, said=said.append) as server,
        lab.Device(server=server.uri, credentials=there) as device,
    ):
        with pytest.raises(LabError, match="did not happen .*alert bad_record_mac, the peer has another key"):
            device.wait_for("registered", within=5)
        assert "the Finished of 'urn:dev:1' does not authenticate" in said[0]
        assert len(said) == 1

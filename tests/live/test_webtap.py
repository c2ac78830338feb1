"""Pulls by HTTP and HTTPS in the captures of who makes and who serves them, and certificates."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import pathlib
import socket
import subprocess
import threading
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import lwm2m_lab as lab
from lwm2m_lab.__main__ import main
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.certificate import serving_context, trusting_context
from lwm2m_lab.live.network import Sighting
from lwm2m_lab.live.requests import Timers
from lwm2m_lab.live.server_options import ServerOptions
from lwm2m_lab.live.tcptap import Segment
from lwm2m_lab.live.webtap import TappedSocket

IMAGE = lab.image(version="2.1.0", size=200_000)
LOOPBACK = ("127.0.0.1", 0)
PROMPT = ServerOptions(patience=0.5, time_limit=20.0)
TIMERS = Timers(ack_timeout=0.5)
OPTIONS = lab.DeviceOptions(endpoint="a", install_time=0.1, reboot_time=0.1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, pathlib.Path]:
    """A certificate of 127.0.0.1, signed by itself: with its key in one file, alone in the other."""
    folder, key = tmp_path_factory.mktemp("https"), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lwm2m_lab")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    kind = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    both, alone = folder / "server.pem", folder / "ca.pem"
    both.write_bytes(made + key.private_bytes(serialization.Encoding.PEM, *kind))
    both.chmod(0o600)
    alone.write_bytes(made)
    return both, alone


def pulled(server: lab.Server, scheme: str, **more: Any) -> tuple[Any, lab.Capture]:
    """A pull by one of the server's repositories: the report, and what the device saw of it."""
    root = {uri.partition(":")[0]: uri for uri in server.web_uris}[scheme]
    with lab.Device(OPTIONS, server=server.uri, timers=TIMERS, **more) as device:
        server.wait_for("a")
        report = server.update("a", IMAGE, delivery="pull", uri=f"{root}/fw/a.bin")
        return report, device.capture()


def test_a_pull_by_http_is_in_both_captures(tmp_path: pathlib.Path, tshark: str) -> None:
    """The download is explained with its image; tshark finds it, whole, with nothing wrong in TCP or HTTP."""
    with lab.Server(PROMPT, images={"/fw/a.bin": IMAGE.data}, bind=LOOPBACK, http=LOOPBACK, timers=TIMERS) as server:
        report, seen = pulled(server, "http")
        assert report.outcome == "succeeded"
        captures = {"device": seen, "server": server.capture()}
    for name, capture in captures.items():
        (update,) = capture.updates.to_dict("records")
        assert (update["outcome"], update["verdict"], update["delivery"]) == ("succeeded", "PASS", "pull"), name
        assert (update["image_size"], update["image_sha256"]) == (200_000, IMAGE.sha256), name
        (download,) = capture.columns.http
        assert (download.method, download.status) == ("GET", 200)
        path = tmp_path / f"{name}.pcapng"
        capture.save(path)
        port = download.server.rpartition(":")[2]
        command = [tshark, "-r", str(path), "-d", f"tcp.port=={port},http", "-T", "fields", "-e", "http.response.code"]
        command += ["-e", "http.content_length", "-Y", "http.response"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert shown.split() == ["200", "200000"], name
        bad = "tcp.analysis.flags || _ws.malformed || _ws.expert.severity == error"
        command = [tshark, "-r", str(path), "-d", f"tcp.port=={port},http", "-Y", f"tcp && ({bad})"]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "", name


def test_a_pull_by_https(authority: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path, tshark: str) -> None:
    """The device trusts the authority of its file; both captures have the records, and nobody reads what they carry.

    With the keys of the connection in the file tshark finds the download whole, on either side.
    """
    both, alone = authority
    files = {"/fw/a.bin": IMAGE.data}
    secured: dict[str, Any] = {"https": LOOPBACK, "certificate": both, "session_keys": True}
    with lab.Server(PROMPT, images=files, bind=LOOPBACK, timers=TIMERS, **secured) as server:
        report, seen = pulled(server, "https", ca=alone, session_keys=True)
        assert (report.outcome, report.firmware_version_after) == ("succeeded", "2.1.0")
        captures = {"device": seen, "server": server.capture()}
    records = []
    for name, capture in captures.items():
        (update,) = capture.updates.to_dict("records")
        assert (update["outcome"], update["image_sha256"]) == ("succeeded", None), name
        ((_, _, server_end),) = capture.columns.segments.tls()
        port = server_end.rpartition(":")[2]
        shut, opened = tmp_path / f"{name}.pcapng", tmp_path / f"{name}-keys.pcapng"
        capture.save(shut)
        capture.save(opened, session_keys=True)
        assert b"TRAFFIC_SECRET" not in shut.read_bytes()
        assert IMAGE.data[1000:1100] not in shut.read_bytes()
        layers = ["-d", f"tcp.port=={port},tls", "-d", f"tls.port=={port},http"]
        fields = ["-T", "fields", "-e", "http.response.code", "-e", "http.content_length", "-Y", "http.response"]
        assert _said_by(tshark, shut, *layers, *fields) == []
        assert _said_by(tshark, opened, *layers, *fields) == ["200", "200000"], name
        bad = "tcp.analysis.flags || _ws.malformed || _ws.expert.severity == error"
        assert _said_by(tshark, opened, *layers, "-Y", f"tcp && ({bad})") == [], name
        fields = ["-T", "fields", "-e", "tls.record.content_type", "-e", "tls.record.opaque_type", "-Y", "tls"]
        kinds = ",".join(_said_by(tshark, shut, *layers, *fields))
        assert {"22", "23"} <= set(kinds.split(",")), "handshake and data"
        served = f"tcp.srcport == {port} && tcp.payload"
        records.append("".join(_said_by(tshark, shut, "-T", "fields", "-e", "tcp.payload", "-Y", served)))
        # What was saved with its keys is still a capture that the lab reads.
        assert lab.read(opened).updates.iloc[0]["outcome"] == "succeeded"
    assert len(records[0]) > 2 * IMAGE.size
    assert records[1].startswith(records[0]), "the same records on both sides, as far as the device has listened"


def _said_by(tshark: str, path: pathlib.Path, *options: str) -> list[str]:
    """The words that tshark prints of a file."""
    command = [tshark, "-r", str(path), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_keys_of_https_are_kept_only_where_they_are_asked_for(authority: tuple[pathlib.Path, pathlib.Path]) -> None:
    """Neither side has any, else."""
    files = {"/fw/a.bin": IMAGE.data}
    with lab.Server(PROMPT, images=files, bind=LOOPBACK, https=LOOPBACK, certificate=authority[0]) as server:
        report, seen = pulled(server, "https", ca=authority[1])
        assert (report.outcome, seen.columns.key_log, server.capture().columns.key_log) == ("succeeded", (), ())


def test_a_handshake_that_does_not_end_keeps_nobody_waiting(authority: tuple[pathlib.Path, pathlib.Path]) -> None:
    """Silence, noise and half a ClientHello stand open at the tapped port; a download beside them succeeds."""
    files = {"/fw/a.bin": IMAGE.data}
    with lab.Server(PROMPT, images=files, bind=LOOPBACK, https=LOOPBACK, certificate=authority[0]) as server:
        port = int(server.web_uris[0].rpartition(":")[2])
        with contextlib.ExitStack() as stack:
            for first in (b"", b"GET / HTTP/1.1\r\n\r\n", bytes.fromhex("16030102000100")):
                one = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
                one.sendall(first)
            report, _ = pulled(server, "https", ca=authority[1])
    assert report.outcome == "succeeded"


def test_an_authority_that_is_not_trusted(authority: tuple[pathlib.Path, pathlib.Path]) -> None:
    """The download fails as one whose connection is lost."""
    files = {"/fw/a.bin": IMAGE.data}
    with lab.Server(PROMPT, images=files, bind=LOOPBACK, https=LOOPBACK, certificate=authority[0]) as server:
        report, _ = pulled(server, "https")
    assert report.outcome == "failed"
    assert "Update Result 4" in report.sentence


def test_https_is_announced_and_chosen(authority: tuple[pathlib.Path, pathlib.Path]) -> None:
    """5/0/8 lists it; a server whose device lists nothing else that is served takes it."""
    files = {"/fw/a.bin": IMAGE.data}
    with (
        lab.Server(PROMPT, images=files, bind=LOOPBACK, https=LOOPBACK, certificate=authority[0]) as server,
        lab.Device(OPTIONS, server=server.uri, ca=authority[1]),
    ):
        server.wait_for("a")
        assert 3 in (server.device("a").read("/5/0/8").integers or ())
        server._lines = ()  # a repository that is not served by CoAP
        report = server.update("a", IMAGE)
    assert (report.outcome, report.chosen.partition(":")[0]) == ("succeeded", "pull by https")


def test_an_http_case_of_the_bench_has_its_download() -> None:
    """int-771: what the repository saw is in the capture of the case."""
    (result,) = lab.conformance(network="loopback", cases=["int-771"]).results
    assert result.verdict == "PASS"
    (download,) = result.capture.columns.http
    assert (download.method, download.status) == ("GET", 200)
    assert result.capture.updates.iloc[0]["image_sha256"] is not None


# ---------------------------------------------------------------- certificates


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (None, 0o600, "cannot be read"),
        ("both", 0o644, "is open to others"),
        ("alone", 0o600, "no certificate and key that belong together"),
        ("garbage", 0o600, "no certificate and key that belong together"),
    ],
)
def test_a_certificate_that_cannot_be_shown(
    content: str | None, mode: int, said: str, authority: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    """One sentence each, without anything of the file in it."""
    path = tmp_path / "server.pem"
    texts = {"both": authority[0].read_text(), "alone": authority[1].read_text(), "garbage": "garbage"}
    if content is not None:
        path.write_text(texts[content])
        path.chmod(mode)
    with pytest.raises(BadInput, match=said) as refused:
        serving_context(path)
    assert "BEGIN" not in str(refused.value)


@pytest.mark.parametrize(("text", "said"), [(None, "cannot be read"), ("garbage", "have no certificate")])
def test_authorities_that_are_none(text: str | None, said: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadInput, match=said):
        trusting_context(path)


def test_https_needs_a_certificate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["server", "--bind", "127.0.0.1:0", "--https", "127.0.0.1:0"]) == 2
    assert "https needs a certificate" in capsys.readouterr().err


# ---------------------------------------------------------------- the tap


def test_a_conversation_is_written_down_as_segments() -> None:
    """SYN to FIN, with numbers that go on; what one side says is what the other side's tap hears."""
    seen: list[Sighting] = []

    def see(source: Any, target: Any, data: bytes, segment: Segment) -> None:
        seen.append(Sighting(0, "device", source, target, data, None, segment))

    def answer(server: socket.socket) -> None:
        one, _ = server.accept()
        with one:
            one.recv(100)
            one.sendall(bytes(3000))

    with socket.create_server(LOOPBACK) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        plain = socket.create_connection(server.getsockname()[:2], timeout=5)
        with TappedSocket.over(plain, see, is_client=True) as own:
            own.sendall(b"hello")
            while own.recv(1000):
                pass
        thread.join()
    flags = [one.segment.flags for one in seen if one.segment]
    assert flags[:3] == [2, 18, 16]
    assert [bool(one & 1) for one in flags[-2:]] == [True, True]
    sizes = {side: sum(len(one.payload) for one in seen if one.source == side) for side in {one.source for one in seen}}
    assert sorted(sizes.values()) == [5, 3000]
    for side in sizes:
        expected = 0
        for one in seen:
            if one.source == side and one.segment is not None:
                assert one.segment.sequence == expected
                expected += len(one.payload) + bool(one.segment.flags & 3)

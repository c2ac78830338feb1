"""Whole updates over coaps: the run knows the key, the file has the datagrams as they passed, and no text has a key."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

import lwm2m_lab as lab
from lwm2m_lab.__main__ import main
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.credentials import Credentials

KEY = bytes(range(100, 116))
MINE = Credentials({"urn:dev:mine": KEY})
QUICK = lab.DeviceOptions(install_time=0.1, reboot_time=0.1)


@pytest.mark.parametrize("delivery", ["push", "pull"])
def test_an_update_over_coaps(delivery: str, dtls: None, tmp_path: pathlib.Path) -> None:
    """It succeeds, is explained, and can be read again with the key, or with the session keys in the file."""
    run = getattr(lab, delivery)(size=5000, network="loopback", secure=MINE, device=QUICK)
    assert run.succeeded
    update = run.update(0)
    assert (update.delivery, update.outcome, update.verdict) == (delivery, "succeeded", "PASS")
    assert update.image_sha256 == run.image.sha256
    assert run.columns.encrypted_records == 0
    assert len(run.device_side().messages) == len(run.messages)
    closed, opened = tmp_path / "closed.pcapng", tmp_path / "opened.pcapng"
    run.save(closed)
    run.save(opened, session_keys=True)
    assert (len(lab.read(closed).messages), lab.read(closed).columns.encrypted_records > 10) == (0, True)
    for again in (lab.read(closed, psk=MINE.for_reading()), lab.read(opened)):
        assert again.update(0).image_sha256 == run.image.sha256
    for text in (repr(run), str(run), run._repr_html_(), str(lab.explain(run)), str(run.truth)):
        assert KEY.hex() not in text
        assert repr(KEY)[2:-1] not in text
    for path in (closed, opened):
        assert KEY not in path.read_bytes()
        assert KEY.hex().encode() not in path.read_bytes()


def test_tshark_reads_the_same(dtls: None, tshark: str, tmp_path: pathlib.Path) -> None:
    """As many CoAP messages with the session keys in the file as the lab finds."""
    run = lab.push(size=5000, network="loopback", secure=True, device=QUICK)
    path = tmp_path / "opened.pcapng"
    run.save(path, session_keys=True)
    port = run.columns.text("dst", 0).rpartition(":")[2]
    command = [tshark, "-r", str(path), "-d", f"udp.port=={port},dtls", "-d", f"dtls.port=={port},coap"]
    command += ["-Y", "coap", "-T", "fields", "-e", "frame.number"]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    assert [int(frame) for frame in theirs] == [*run.messages["frame"]]


def test_in_simulated_time_there_is_none(dtls: None) -> None:
    """A sentence says where there is."""
    with pytest.raises(BadInput, match="DTLS keeps real time, network='loopback' is expected"):
        lab.push(secure=True)


def test_the_command_line_takes_a_file_and_no_key(
    dtls: None, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A push with one's own key; a file that others may read is refused."""
    keys, out = tmp_path / "keys", tmp_path / "out.pcapng"
    keys.write_text(f"urn:dev:mine:{KEY.hex()}\n")
    command = ["push", "--network", "loopback", "--secure", "--size", "3000", "--psk-file", str(keys)]
    command += ["--pcap", str(out), "--session-keys"]
    assert main(command) == 2
    assert "keys in a file of mode 600 are expected" in capsys.readouterr().err
    keys.chmod(0o600)
    assert main(command) == 0
    said = capsys.readouterr()
    assert KEY.hex() not in said.out + said.err
    assert len(lab.read(out).updates) == 1
    assert main(["push", "--secure"]) == 2
    assert main(["device", "--server", "coaps://127.0.0.1", "--psk-file", str(tmp_path / "none")]) == 2
    assert "the file of keys cannot be read" in capsys.readouterr().err
    assert main(["device", "--server", "coaps://127.0.0.1"]) == 2
    assert "there is no key for coaps://127.0.0.1; a file of mode 600 or LWM2M_LAB_PSK" in capsys.readouterr().err


def test_the_conformance_bench_over_coaps(dtls: None, tmp_path: pathlib.Path) -> None:
    """A device process that registers with its key; every case has a capture of its own that its key opens."""
    keys = tmp_path / "keys"
    keys.write_text(f"urn:dev:mine:{KEY.hex()}\n")
    keys.chmod(0o600)
    command = f"{sys.executable} -m lwm2m_lab device --server {{server}} --psk-file {keys} --install-time 0.1"
    cases = ["int-652", "int-770", "int-776-pull"]
    result = lab.conformance(start=command, credentials=MINE, cases=cases, wait=60)
    assert [(one.case.id, one.verdict) for one in result.results] == [(case, "PASS") for case in cases]
    for one in result.results:
        assert one.capture.columns.encrypted_records == 0
        assert len(one.capture.messages) > 2
        assert KEY.hex() not in repr(one)
    assert result.case("int-776-pull").capture.update(0).evidence.uri.startswith("coaps://")
    with pytest.raises(BadInput, match="bind or start is expected with them"):
        lab.conformance(credentials=MINE)

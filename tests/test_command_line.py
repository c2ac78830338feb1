"""The commands as a shell sees them: what they print, what they leave behind, and their exit status."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

import lwm2m_lab as lab
from lwm2m_lab import cli
from lwm2m_lab.__main__ import main
from lwm2m_lab.cli import HOMES, modules
from lwm2m_lab.trace.samples import path_of

GOOD = str(path_of("anjay-push-256-ok"))


def run(*arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """A command in a process of its own."""
    command = [sys.executable, "-m", "lwm2m_lab", *arguments]
    return subprocess.run(command, capture_output=True, input=stdin, check=False)


def test_push_twice_writes_the_same_bytes(tmp_path: pathlib.Path, tshark: str) -> None:
    """The issue's own example: identical captures, nothing malformed, exit status 0."""
    for name in ("a.pcapng", "b.pcapng"):
        assert run("push", "--pcap", str(tmp_path / name)).returncode == 0
    first = (tmp_path / "a.pcapng").read_bytes()
    assert first == (tmp_path / "b.pcapng").read_bytes()
    command = [tshark, "-r", str(tmp_path / "a.pcapng"), "-Y", "_ws.malformed || _ws.expert.severity == error"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""


def test_an_update_prints_its_row_and_its_picture(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Table on standard output, picture and capture in files, nothing else in the folder."""
    status = main(["push", "--size", "3000", "--pcap", f"{tmp_path}/x.pcapng", "--plot", f"{tmp_path}/x.png"])
    out = capsys.readouterr()
    assert (status, out.err) == (0, "")
    assert "succeeded: Update Result is 1 Updated successfully and /3/0/3 is 2.0.0" in out.out
    assert "image_size               3000" in out.out
    assert (tmp_path / "x.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert {path.name for path in tmp_path.iterdir()} == {"x.pcapng", "x.png"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pull", "--uri", "coap://192.0.2.3/nope.bin"], "Update Result 7 Invalid URI"),
        (["push", "--install-fails"], "Update Result 8"),
        (["push", "--loss", "1", "--time-limit", "300"], "did not register"),
    ],
)
def test_an_update_that_fails_is_exit_status_1(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A result, not an error."""
    assert main(arguments) == 1
    assert said in capsys.readouterr().out


def test_messages_is_the_table(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To standard output, to a file, and from standard input: the same CSV."""
    assert main(["messages", GOOD]) == 0
    text = capsys.readouterr().out
    assert len(text.splitlines()) == 1 + lab.read(GOOD).columns.rows
    assert main(["messages", GOOD, "--out", f"{tmp_path}/m.csv"]) == 0
    assert (tmp_path / "m.csv").read_text(encoding="utf-8") == text
    piped = run("messages", "-", stdin=pathlib.Path(GOOD).read_bytes())
    assert (piped.returncode, piped.stdout.decode()) == (0, text)


def test_explain_in_words_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The words are those of `lab.explain`, the JSON that of the contract."""
    path = str(path_of("anjay-push-delayed-failure"))
    assert main(["explain", path]) == 0
    assert capsys.readouterr().out == f"{lab.explain(path)}\n"
    assert main(["explain", path, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["rule"] for one in said["findings"] if one["verdict"] == "FAIL"] == ["V4"]
    assert main(["explain", path, "--json", "--all"]) == 0
    assert len(json.loads(capsys.readouterr().out)["findings"]) > len(said["findings"])
    assert main(["explain", path, "--endpoint", "nobody"]) == 2
    assert "those there are of " in capsys.readouterr().err


def test_a_log_is_laid_beside_what_is_explained(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its clock in words, its lines beside the frames that say why; a log that cannot be read is status 2."""
    log, page = tmp_path / "device.log", tmp_path / "report.html"
    log.write_text("[00:00:00.300,000] <inf> fota: begins\n[00:00:00.500,000] <err> fota: <b>crc</b>\n")
    bad = str(path_of("anjay-push-badcrc"))
    assert main(["explain", bad, "--log", str(log)]) == 0
    told = capsys.readouterr().out
    assert "log device.log: 2 lines" in told
    assert "device.log at 0.500 s, beside frame 55: <err> fota: <b>crc</b>" in told
    assert main(["report", bad, "--log", str(log), "-o", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "Lines of the logs beside these messages: 1 of 2" in text
    assert "&lt;b&gt;crc&lt;/b&gt;" in text
    assert "<b>crc</b>" not in text
    assert main(["explain", bad, "--log", str(tmp_path / "none.log")]) == 2


def test_every_command_that_reads_a_file_takes_a_part_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    """From, to and endpoint; what cannot be selected is bad input."""
    assert main(["messages", GOOD, "--from", "frame:10", "--to", "frame:19"]) == 0
    assert [int(line.split(",")[0]) for line in capsys.readouterr().out.splitlines()[1:]] == [*range(10, 20)]
    for command in (["messages"], ["explain"], ["check"], ["export", "--table", "updates"]):
        assert main([*command, GOOD, "--endpoint", "urn:dev:anjay-1", "--from", "0"]) == 0
        whole = capsys.readouterr().out
        assert main([*command, GOOD]) == 0
        assert len(capsys.readouterr().out.splitlines()) == len(whole.splitlines())
        assert main([*command, GOOD, "--from", "soon"]) == 2
        assert "2024-05-01T12:00:00Z is expected" in capsys.readouterr().err


def test_check_is_what_a_build_server_waits_for(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 where all is well, 1 where not, 2 for what cannot be asked; the JUnit file in each of the first two."""
    failed, junit = str(path_of("anjay-push-delayed-failure")), tmp_path / "out.xml"
    for arguments, status in (
        ([GOOD], 0), ([failed], 1), ([failed, "--expect", "failed"], 1), ([GOOD, "--strict"], 1),
        ([failed, "--expect", "failed,cancelled", "--ignore", "V4"], 0),
        ([failed, "--expect", "cancelled", "--expect", "failed", "--rule", "W6,W7", "--rule", "M0"], 0),
        ([str(path_of("anjay-dtls-psk"))], 1),
    ):  # fmt: skip
        junit.unlink(missing_ok=True)
        assert main(["check", *arguments, "--junit", str(junit)]) == status
        assert ("does not pass" in capsys.readouterr().out) == (status == 1)
        assert junit.read_text(encoding="utf-8").startswith("<?xml")
    for arguments in ([GOOD, "--rule", "V44"], [GOOD, "--expect", "good"], ["nowhere.pcap"], [GOOD, "--ignore", "X"]):
        assert main(["check", *arguments]) == 2
        assert capsys.readouterr().out == ""


def test_annotate_and_export_write_files(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pcapng with the same messages; tables in a folder; one table on standard output."""
    assert main(["annotate", GOOD, f"{tmp_path}/a.pcapng"]) == 0
    assert lab.read(tmp_path / "a.pcapng").messages.equals(lab.read(GOOD).messages)
    assert main(["export", GOOD, "-o", f"{tmp_path}/tables"]) == 0
    assert (tmp_path / "tables" / "updates.csv").exists()
    assert capsys.readouterr().out == ""
    assert main(["export", GOOD, "--table", "updates", "--format", "json"]) == 0
    assert [one["outcome"] for one in json.loads(capsys.readouterr().out)] == ["succeeded"]
    for arguments in ([], ["--format", "parquet", "--table", "updates"], ["--table", "x"]):
        assert main(["export", GOOD, *arguments]) == 2
        assert "expected" in capsys.readouterr().err


def test_explain_of_encrypted_traffic(capsys: pytest.CaptureFixture[str]) -> None:
    """Not an empty table but a number of records."""
    assert main(["explain", str(path_of("anjay-dtls-psk"))]) == 0
    out = capsys.readouterr().out
    assert f"encrypted: {lab.read('anjay-dtls-psk').encrypted_records} records" in out


KEY = "00112233445566778899aabbccddeeff"


def test_keys_open_dtls(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By identity, for any identity, from a file; on every command that reads a capture."""
    path, file = str(path_of("anjay-dtls-psk")), tmp_path / "keys"
    file.write_text(f"other:00\n\nh1-device-identity:{KEY}\n")
    for given in (["--psk", f"h1-device-identity:{KEY}"], ["--psk", f":{KEY}"], ["--psk-file", str(file)]):
        assert main(["explain", path, *given]) == 0
        assert "/3/0/3 went from 3.13.1 to 3.14.0" in capsys.readouterr().out
        assert main(["messages", path, *given]) == 0
        assert capsys.readouterr().out.count("\n") == 67
        assert main(["triage", path, *given]) == 0
        assert "encrypted" not in capsys.readouterr().out


def test_a_wrong_key_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """It is said to be wrong, and never repeated."""
    wrong = KEY[::-1]
    assert main(["explain", str(path_of("anjay-dtls-psk")), "--psk", f"h1-device-identity:{wrong}"]) == 0
    out, err = capsys.readouterr()
    assert "'h1-device-identity' in DTLS (TLS_PSK_WITH_AES_128_CCM_8): the key is wrong" in out
    assert main(["explain", str(path_of("anjay-dtls-psk")), "--json", "--psk", f":{wrong}"]) == 0
    assert wrong not in out + err + "".join(capsys.readouterr())


@pytest.mark.parametrize("option", ["--psk", "--psk-file", "--keylog"])
@pytest.mark.parametrize("text", [KEY, f"id:{KEY}0", f"{KEY}:id", "id:", "id:zz"])
def test_malformed_keys(option: str, text: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, which says where but never repeats what may be a key."""
    given = text
    if option != "--psk":
        (tmp_path / "file").write_text(f"\n{text}\n")
        given = str(tmp_path / "file")
    assert main(["explain", str(path_of("anjay-dtls-psk")), option, given]) == 2
    out, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert "expected" in err
    assert KEY not in out + err
    for missing in (tmp_path / "nowhere", tmp_path):
        if option != "--psk":
            assert main(["explain", str(path_of("anjay-dtls-psk")), option, str(missing)]) == 2
            assert "cannot be read" in capsys.readouterr().err


def test_a_key_log_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """What s_client wrote beside a session opens it."""
    data = pathlib.Path(__file__).parent / "wire" / "data" / "openssl-ecdhe-ccm8"
    assert main(["messages", f"{data}.pcapng", "--keylog", f"{data}.keylog"]) == 0
    assert capsys.readouterr().out.count("/5/0/3") == 2


def test_every_capture_beside_the_checkout_can_be_explained(
    shared: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No file there makes it fail, and each says something."""
    paths = sorted([*shared.glob("captures/*/*.pcap"), *shared.glob("captures/*/*.pcapng")])
    assert len(paths) > 20
    for path in paths:
        assert main(["explain", str(path)]) == 0
        out = capsys.readouterr().out
        assert ("verdict" in out) or ("encrypted: " in out) or ("No firmware update" in out)


def test_bad_input_in_files(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, exit status 2, no traceback, whatever the file is."""
    (tmp_path / "empty.pcap").write_bytes(b"")
    (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.7\n" + bytes(range(256)))
    (tmp_path / "head.pcap").write_bytes(pathlib.Path(GOOD).read_bytes()[:10])
    for command in ("messages", "explain"):
        for name in ("nowhere.pcap", "empty.pcap", "paper.pdf", "head.pcap", "."):
            assert main([command, str(tmp_path / name)]) == 2
            out = capsys.readouterr()
            assert out.out == ""
            assert len(out.err.strip().splitlines()) == 1
            assert out.err.startswith("lwm2m-lab: ")
            assert "expected" in out.err


def test_a_truncated_capture_gives_what_came_before(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rows before the cut on standard output, a word about the rest on standard error, exit status 0."""
    path = tmp_path / "cut.pcap"
    path.write_bytes(pathlib.Path(GOOD).read_bytes()[:5000])
    assert main(["messages", str(path)]) == 0
    out = capsys.readouterr()
    assert len(out.out.splitlines()) > 10
    assert "note: the file is cut after frame" in out.err


def test_a_capture_without_coap(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty table with its header; the explanation says that there is none."""
    path = tmp_path / "dns.pcap"
    path.write_bytes(pathlib.Path(GOOD).read_bytes()[:24])
    assert main(["messages", str(path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert main(["explain", str(path)]) == 0
    assert "No CoAP message in 0 packets." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--size", "0"], "size of the image is 0 bytes"),
        (["--size", "1000000000"], "(16 MiB) are expected"),
        (["--size", "big"], "invalid int value: 'big'"),
        (["--loss", "1.5"], "a probability from 0 to 1 is expected"),
        (["--image-version", "two"], "three numbers as in '2.1.0'"),
        (["--object-version", "3.0"], "one of '1.0', '1.1', '1.2' is expected"),
        (["--lwm2m", "0.9"], "one of '1.0', '1.1', '1.2' is expected"),
        (["--block-size", "1000"], "is expected"),
        (["--network", "loopback", "--loss", "0.1"], "only 'simulated' has one"),
        (["no-such-image.bin"], "the path of a firmware image is expected"),
        (["--plot", "x.gif"], "an ending .png, .svg or .pdf is expected"),
        (["--plot", "no/such/folder/x.png"], "a path in an existing folder is expected"),
        (["--pcap", "no/such/folder/x.pcapng"], "a path in an existing folder is expected"),
        (["--method", "GET"], "invalid choice"),
        (["--what"], "unrecognized arguments"),
    ],
)
def test_bad_input_of_an_update(
    arguments: list[str], said: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Refused before anything runs; nothing is written."""
    monkeypatch.chdir(tmp_path)
    try:
        status = main(["push", "--pcap", "out.pcapng", *arguments])
    except SystemExit as error:
        status = int(str(error.code))
    out = capsys.readouterr()
    assert (status, out.out) == (2, "")
    assert said in out.err
    assert len(out.err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_no_command_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    """Help names the commands; the version is the library's."""
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert lab.__version__ in capsys.readouterr().out


def test_each_command_is_found_where_it_is_said_to_be() -> None:
    """The table of commands is that of the modules, so that one command need not import all of them."""
    homes: dict[str, str] = {}
    for name in dict.fromkeys(HOMES.values()):
        commands = argparse.ArgumentParser().add_subparsers()
        importlib.import_module(f"lwm2m_lab.cli.{name}").add(commands)
        homes |= dict.fromkeys(commands.choices, name)
    assert list(homes.items()) == list(HOMES.items())
    assert {path.stem for path in pathlib.Path(cli.__file__).parent.glob("*.py")} == {
        *homes.values(),
        "shared",
        "tapping",
        "__init__",
    }
    assert [module.__name__ for module in modules(["check", "file"])] == ["lwm2m_lab.cli.handing"]
    assert len(modules(["--help"])) == len(set(HOMES.values()))


def test_a_reader_that_goes_away_is_no_error() -> None:
    """`messages FILE | head -1` ends quietly."""
    command = f"{sys.executable} -m lwm2m_lab messages {GOOD} | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("frame,time,src")
    assert done.stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C reaches a process in another way on Windows")
def test_ctrl_c_ends_cleanly(tmp_path: pathlib.Path) -> None:
    """Interrupted in the middle: exit status 130, one line, and no half of a file."""
    command = [sys.executable, "-u", "-c", (
        "import sys, threading, _thread\n"
        "from lwm2m_lab.__main__ import main\n"
        "from lwm2m_lab.live import world\n"
        "real = world.World.live\n"
        "async def live(self):\n"
        "    print('running', flush=True)\n"
        "    return await real(self)\n"
        "world.World.live = live\n"
        "sys.exit(main(['push', '--network', 'loopback', '--size', '4000000', '--block-size', '16',"
        f" '--pcap', {str(tmp_path / 'x.pcapng')!r}]))\n"
    )]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "running\n"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130
    assert errors.strip().splitlines()[-1] == "lwm2m-lab: stopped"
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []

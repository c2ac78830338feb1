"""DTLS between openssl's client and server: every suite, resumed, renegotiated, with a key and with a key log."""

from __future__ import annotations

import pathlib
import struct
import subprocess

import pytest

from lwm2m_lab.wire import Columns, read_columns
from tests.conftest import need_tool
from tests.tshark import as_ours, our_row, tshark_rows
from tests.wire.openssl_peer import DATA, IDENTITY, KEY, SCENARIOS, Scenario

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
SAID = [("0.01", 1, "/5/0/3"), ("2.05", 1, None), ("0.01", 2, "/5/0/3"), ("2.05", 2, None)]


def stored(scenario: Scenario) -> tuple[pathlib.Path, pathlib.Path]:
    """Capture and key log of a scenario."""
    return DATA / f"openssl-{scenario.name}.pcapng", DATA / f"openssl-{scenario.name}.keylog"


def said(columns: Columns) -> list[tuple[str | None, int, str | None]]:
    """Code, message id and path of each message."""
    rows = range(columns.rows)
    return [(columns.text("code", row), int(columns["mid"][row]), columns.text("uri_path", row)) for row in rows]


@each_scenario
def test_the_key_opens_every_plain_psk_session(scenario: Scenario) -> None:
    """Whatever the suite and the extensions; a forward-secret suite stays closed and is named."""
    columns = read_columns(stored(scenario)[0], psk={IDENTITY: KEY})
    if scenario.suite.startswith(("ECDHE", "DHE")):
        assert (columns.rows, all(not one.opened for one in columns.sessions)) == (0, True)
        assert "TLS_ECDHE_" in columns.notes[0]
        assert "key log" in columns.notes[0]
        return
    assert (said(columns), columns.encrypted_records, columns.notes) == (SAID, 0, ())
    assert {one.identity for one in columns.sessions} == {IDENTITY}
    assert all(one.records == one.decrypted > 0 for one in columns.sessions)


@each_scenario
def test_the_key_log_opens_every_session(scenario: Scenario) -> None:
    """As a path and as text; forward-secret suites too."""
    capture, keylog = stored(scenario)
    for given in (keylog, str(keylog), keylog.read_text()):
        columns = read_columns(capture, keylog=given)
        assert (said(columns), columns.encrypted_records) == (SAID, 0)
        assert {one.reason for one in columns.sessions} == {"opened by the key log"}


@pytest.mark.parametrize(
    "scenario",
    [scenario for scenario in SCENARIOS if scenario.name not in ("chacha20", "renegotiated")],
    ids=lambda scenario: scenario.name,
)
def test_the_decrypted_rows_are_tsharks(scenario: Scenario, tshark: str) -> None:
    """Field by field, where tshark has the key log; 4.0 opens neither ChaCha20 in DTLS nor a second epoch."""
    capture, keylog = stored(scenario)
    columns = read_columns(capture, keylog=keylog)
    theirs = [as_ours(row) for row in tshark_rows(tshark, capture, keylog=keylog)]
    assert [our_row(columns, row, list(theirs[0])) for row in range(columns.rows)] == theirs


@each_scenario
def test_a_session_of_today(scenario: Scenario, tmp_path: pathlib.Path) -> None:
    """The openssl at hand, spoken to on loopback, says what the recordings say."""
    capture, keylog = scenario.record(need_tool("openssl"), tmp_path)
    columns = read_columns(capture, keylog=keylog)
    assert (said(columns), columns.encrypted_records) == (SAID, 0)
    suites = [one.suite for one in columns.sessions]
    earlier_capture, earlier_keylog = stored(scenario)
    assert suites == [one.suite for one in read_columns(earlier_capture, keylog=earlier_keylog).sessions]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ccm8", [(True, False, False, 1)]),
        ("ccm8-without-ems", [(False, False, False, 1)]),
        ("cbc", [(True, True, False, 1)]),
        ("cbc-without-etm", [(True, False, False, 1)]),
        ("cbc-without-ems", [(False, True, False, 1)]),
        ("cbc-without-etm-and-ems", [(False, False, False, 1)]),
        ("resumed-by-session-id", [(True, False, False, 1), (True, False, True, 1)]),
        ("resumed-by-ticket", [(True, False, False, 1), (True, False, True, 1)]),
        ("resumed-cbc-without-ems", [(False, True, False, 1), (False, True, True, 1)]),
        ("renegotiated", [(True, False, False, 1), (True, False, False, 2)]),
    ],
)
def test_what_was_agreed(name: str, expected: list[tuple[bool, bool, bool, int]]) -> None:
    """Extended master secret, encrypt-then-MAC, resumption and epoch, as openssl was told."""
    sessions = read_columns(stored(BY_NAME[name])[0], psk={IDENTITY: KEY}).sessions
    told = [(one.extended_master_secret, one.encrypt_then_mac, one.resumed, one.epoch) for one in sessions]
    assert told == expected


def test_a_resumed_session_without_key_has_the_identity_of_the_first() -> None:
    """It names none itself, and says what is missing."""
    first, second = read_columns(stored(BY_NAME["resumed-by-ticket"])[0]).sessions
    assert (first.identity, second.identity, second.resumed) == (IDENTITY, IDENTITY, True)
    assert second.reason == "it resumes a session that was not opened: no key was given for this identity"


def test_a_session_resumed_from_before_the_capture(editcap: str, tmp_path: pathlib.Path) -> None:
    """Without the first handshake the key does not help, and that is said."""
    whole = stored(BY_NAME["resumed-by-session-id"])[0]
    first = read_columns(whole).sessions[0]
    subprocess.run([editcap, str(whole), str(tmp_path / "part.pcapng"), f"1-{first.last_frame}"], check=True)
    (session,) = read_columns(tmp_path / "part.pcapng", psk={IDENTITY: KEY}).sessions
    assert (session.opened, session.resumed) == (False, True)
    assert session.reason == "it resumes a session whose handshake is not in the capture"


def test_the_hint_is_kept() -> None:
    """What the server says before the client chooses an identity."""
    (session,) = read_columns(stored(BY_NAME["aes256-gcm"])[0]).sessions
    assert session.hint == "a hint"


def test_alerts_are_named() -> None:
    """Level and description in words, with who sent it and where; encrypted ones once they are opened."""
    capture = stored(BY_NAME["ccm8"])[0]
    (opened,) = read_columns(capture, psk={IDENTITY: KEY}).sessions
    assert opened.alerts == (
        "warning close_notify from the client in frame 12",
        "warning close_notify from the server in frame 13",
    )
    assert read_columns(capture).sessions[0].alerts == ()


def with_secrets(capture: bytes, keylog: str) -> bytes:
    """A pcapng with a decryption secrets block behind its section header."""
    at = struct.unpack_from("<I", capture, 4)[0]
    text = keylog.encode()
    body = struct.pack("<II", 0x544C534B, len(text)) + text + bytes(-len(text) % 4)
    block = struct.pack("<II", 10, 12 + len(body)) + body + struct.pack("<I", 12 + len(body))
    return capture[:at] + block + capture[at:]


def test_the_secrets_of_a_pcapng_are_used() -> None:
    """A file that brings its key log with it opens without a word."""
    capture, keylog = stored(BY_NAME["ecdhe-ccm8"])
    columns = read_columns(with_secrets(capture.read_bytes(), keylog.read_text()))
    assert (said(columns), columns.encrypted_records) == (SAID, 0)


def test_secrets_that_editcap_injected(editcap: str, tmp_path: pathlib.Path) -> None:
    """The block as Wireshark's own tool writes it."""
    capture, keylog = stored(BY_NAME["ecdhe-gcm"])
    out = tmp_path / "with.pcapng"
    subprocess.run([editcap, "--inject-secrets", f"tls,{keylog}", str(capture), str(out)], check=True)
    assert said(read_columns(out)) == SAID

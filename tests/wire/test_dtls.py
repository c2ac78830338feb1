"""DTLS opened with a key, and what is said where none opens it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput

KEY = "00112233445566778899aabbccddeeff"
IDENTITY = "h1-device-identity"


def test_a_sample_is_opened_by_its_key() -> None:
    """Messages, tables and the update follow as if they had come in the clear."""
    capture = lab.read("anjay-dtls-psk", psk={IDENTITY: KEY})
    assert (len(capture.messages), capture.encrypted_records, capture.notes) == (66, 0, ())
    assert capture.updates[["endpoint", "outcome"]].values.tolist() == [["urn:dev:anjay-dtls", "succeeded"]]
    sessions = capture.sessions
    assert sessions["opened"].tolist() == [True, True]
    assert set(sessions["suite"]) == {"TLS_PSK_WITH_AES_128_CCM_8"}


@pytest.mark.parametrize("psk", [{IDENTITY: bytes.fromhex(KEY)}, {"": KEY}, {IDENTITY: ["00" * 16, KEY]}])
def test_keys_come_in_several_forms(psk: dict[str, bytes | str | list[str]]) -> None:
    """Bytes, text, a key for any identity, several of one identity."""
    assert lab.read("anjay-dtls-psk", psk=psk).encrypted_records == 0


def test_without_a_key_the_identity_is_said() -> None:
    """Who asked, under which suite, and how many records stay closed."""
    (note,) = lab.read("anjay-dtls-psk").notes
    assert note == (
        "2 DTLS sessions of identity 'h1-device-identity' with TLS_PSK_WITH_AES_128_CCM_8, 70 records encrypted: "
        "no key was given for this identity"
    )


def test_a_wrong_key_is_said_to_be_wrong() -> None:
    """No row of garbage, and no word of the key."""
    capture = lab.read("anjay-dtls-psk", psk={IDENTITY: "ff" * 16})
    assert len(capture.messages) == 0
    assert all(reason.startswith("the key is wrong") for reason in capture.sessions["reason"])
    assert "ffff" not in str(capture) + capture.sessions.to_csv() + repr(capture.columns)


def test_a_key_for_any_identity_is_said_to_be_one() -> None:
    """The reason tells which of the keys it was."""
    sessions = lab.read("anjay-dtls-psk", psk={"": KEY, IDENTITY: "00" * 16}).sessions
    assert set(sessions["reason"]) == {"opened by a key for any identity"}


def test_cryptography_comes_with_the_first_key() -> None:
    """A capture without DTLS, or without a key for it, does not wait for its import."""
    code = (
        "import sys\n"
        "from lwm2m_lab.trace.samples import path_of\n"
        "from lwm2m_lab.wire import read_columns\n"
        "loaded = []\n"
        "for name, psk in (('anjay-push-badcrc', None), ('anjay-dtls-psk', None), ('anjay-dtls-psk', {'': %r})):\n"
        "    read_columns(path_of(name), psk=psk)\n"
        "    loaded.append('cryptography' in sys.modules)\n"
        "print(loaded)"
    )
    done = subprocess.run([sys.executable, "-c", code % KEY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[False, False, True]"


@pytest.mark.parametrize("psk", [{"a": "0g"}, {"a": ""}, {"a": "001"}, {"a": 7}, {7: "00"}, "00", {"a": b""}])
def test_what_is_no_key_is_refused(psk: object) -> None:
    """In one sentence that repeats nothing of what was given."""
    with pytest.raises(BadInput, match="expected"):
        lab.read("anjay-dtls-psk", psk=psk)  # type: ignore[arg-type]

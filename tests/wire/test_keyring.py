"""Keys as they are given, and that they are in no text that comes back."""

from __future__ import annotations

import pathlib

import pytest

from lwm2m_lab.errors import BadInput
from lwm2m_lab.wire.keyring import Keyring, parse_psk, read_psk_file

KEY = "00112233445566778899aabbccddeeff"
LINE = f"CLIENT_RANDOM {'ab' * 32} {'cd' * 48}"


def test_an_identity_may_hold_colons_and_have_several_keys() -> None:
    """The last colon parts it from the key."""
    assert parse_psk(["urn:dev:1:00", "urn:dev:1:01", ":ff"]) == {"urn:dev:1": [b"\x00", b"\x01"], "": [b"\xff"]}


def test_the_key_of_an_identity_is_tried_before_those_of_any() -> None:
    """And none of them twice."""
    ring = Keyring(psk={"a": ["00", "01"], "": ["01", "02"]})
    own, any_ = "the key of its identity", "a key for any identity"
    assert [*ring.of_identity(b"a")] == [(own, b"\x00"), (own, b"\x01"), (any_, b"\x02")]
    assert [*ring.of_identity(b"b")] == [(any_, b"\x01"), (any_, b"\x02")]


def test_a_key_log_holds_lines_of_others() -> None:
    """Those of TLS 1.3, comments and damaged ones are passed over."""
    text = f"# written by a client\nSERVER_HANDSHAKE_TRAFFIC_SECRET {'00' * 32} {'11' * 32}\n{LINE}\n{LINE[:-2]}\n"
    ring = Keyring(keylog=text)
    assert ring.master_secret(b"\xab" * 32) == b"\xcd" * 48
    assert ring.master_secret(b"\xac" * 32) is None
    assert repr(ring) == "Keyring(0 pre-shared keys, 1 master secrets)"


@pytest.mark.parametrize("keylog", [f"CLIENT_RANDOM {KEY}", f"\n{KEY}\n", f"CLIENT_RANDOM {'zz' * 32} {'cd' * 48}"])
def test_what_is_no_key_log_is_refused(keylog: str) -> None:
    """In a sentence that does not repeat it."""
    with pytest.raises(BadInput, match="expected") as refused:
        Keyring(keylog=keylog)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("given", [KEY, f"{KEY}\0"])
def test_a_key_in_the_place_of_a_file(given: str) -> None:
    """Who mixes up two options does not find the key in an error message."""
    for wrong in (lambda: Keyring(keylog=given), lambda: read_psk_file(given)):
        with pytest.raises(BadInput, match="cannot be read") as refused:
            wrong()
        assert KEY not in str(refused.value)


def test_a_file_of_keys(tmp_path: pathlib.Path) -> None:
    """Empty lines are passed over; a malformed one is told by its number."""
    file = tmp_path / "keys"
    file.write_text(f"a:{KEY}\n\n  urn:x:{KEY}  \n")
    assert read_psk_file(file) == {"a": [bytes.fromhex(KEY)], "urn:x": [bytes.fromhex(KEY)]}
    file.write_text(f"a:{KEY}\n{KEY}\n")
    with pytest.raises(BadInput, match="line 2 of .* is malformed") as refused:
        read_psk_file(file)
    assert KEY not in str(refused.value)

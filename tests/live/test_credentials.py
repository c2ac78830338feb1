"""Keys come from a file that nobody else may read, or from the environment, and are in no text of ours."""

from __future__ import annotations

import pathlib

import pytest

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.credentials import VARIABLE, Credentials

KEY = bytes(range(16))


def keys_file(folder: pathlib.Path, text: str, mode: int = 0o600) -> pathlib.Path:
    """A file of keys with a mode."""
    path = folder / "keys"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_file_of_mode_600(tmp_path: pathlib.Path) -> None:
    """Identities may hold colons; empty lines are passed over."""
    one = Credentials.from_file(keys_file(tmp_path, f"urn:dev:1:{KEY.hex()}\n\nother:00\n"))
    assert [*one] == ["urn:dev:1", "other"]
    assert one.key_of(b"urn:dev:1") == KEY
    assert one.key_of(b"urn:dev:2") is None
    assert one.for_reading() == {"urn:dev:1": KEY, "other": b"\0"}


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o604, 0o666])
def test_a_file_that_others_may_open_is_refused(mode: int, tmp_path: pathlib.Path) -> None:
    """The sentence says what to do, and no key."""
    with pytest.raises(BadInput, match=f"open to others .mode {mode:o}.; .*: chmod 600") as refused:
        Credentials.from_file(keys_file(tmp_path, f"a:{KEY.hex()}", mode))
    assert KEY.hex() not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"a:{KEY.hex()}\nsecret", "line 2 of .* is malformed; ID:HEX"),
        (f"a:{KEY.hex()}\na:00", "several keys for 'a'; one for each identity is expected"),
        (f"a:{KEY.hex()}00", "the key of 'a' does not fit; 1 to 16 bytes are expected"),
        (f"{'a' * 33}:{KEY.hex()}", "does not fit; 1 to 32 bytes are expected"),
        (f":{KEY.hex()}", "does not fit; 1 to 32 bytes"),
        ("a\0b:00", "does not fit; 1 to 32 bytes"),
        ("", "there are no credentials"),
    ],
)
def test_what_is_no_file_of_keys(text: str, sentence: str, tmp_path: pathlib.Path) -> None:
    """A sentence for each, without the key."""
    with pytest.raises(BadInput, match=sentence) as refused:
        Credentials.from_file(keys_file(tmp_path, text))
    assert KEY.hex() not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path: pathlib.Path) -> None:
    """Both are said in a sentence."""
    with pytest.raises(BadInput, match=r"cannot be read \(No such file or directory\); lines ID:HEX are expected"):
        Credentials.from_file(tmp_path / "none")
    path = keys_file(tmp_path, "")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="it is no text"):
        Credentials.from_file(path)


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines as in the file; without the variable there are none."""
    monkeypatch.delenv(VARIABLE, raising=False)
    assert Credentials.from_environment() is None
    monkeypatch.setenv(VARIABLE, f"a:{KEY.hex()}")
    one = Credentials.from_environment()
    assert one is not None
    assert one.own() == ("a", KEY)
    monkeypatch.setenv(VARIABLE, "a=nothing")
    with pytest.raises(BadInput, match="line 1 of the environment variable LWM2M_LAB_PSK is malformed"):
        Credentials.from_environment()


def test_no_text_of_them_holds_a_key() -> None:
    """Neither repr, nor str, nor the format of a sentence."""
    two = Credentials({"a": KEY, "b": KEY})
    assert {repr(two), str(two), f"{two}"} == {"Credentials(2 identities)"}
    with pytest.raises(BadInput, match="there are 2 identities; the one that is the device's own is expected"):
        two.own()


def test_a_run_of_the_labs_own_makes_a_key() -> None:
    """Another one each time."""
    one, other = Credentials.random("a"), Credentials.random("a")
    assert len(one.own()[1]) == 16
    assert one.own() != other.own()

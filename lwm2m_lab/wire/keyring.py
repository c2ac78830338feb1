"""Keys that open DTLS: pre-shared keys by identity, and key logs. They are in no text that this module gives back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from lwm2m_lab.errors import BadInput

__all__ = ["ANY_IDENTITY", "Key", "Keyring", "PreSharedKeys", "parse_psk", "psk_lines", "read_psk_file"]

Key: TypeAlias = bytes | str
PreSharedKeys: TypeAlias = Mapping[str, Key | Sequence[Key]]

#: The entry whose keys are tried for every identity.
ANY_IDENTITY = ""
_LONGEST_KEY = 0xFFFF
_CLIENT_RANDOM = "CLIENT_RANDOM"


class Keyring:
    """The keys of one reading.

    Parameters
    ----------
    psk : mapping of str to bytes, hexadecimal text, or a sequence of these, optional
        Keys by PSK identity; those of ``""`` are tried for any identity.
    keylog : path or str, optional
        A key log file, or its text: ``CLIENT_RANDOM <client random> <master secret>``, in hexadecimal.

    Raises
    ------
    BadInput
        For what is no key or no key log. The sentence never repeats what was given, which may be a key.

    Examples
    --------
    >>> keys = Keyring(psk={"urn:dev:1": "00112233445566778899aabbccddeeff"})
    >>> [given_for for given_for, _ in keys.of_identity(b"urn:dev:1")], [*keys.of_identity(b"urn:dev:2")]
    (['the key of its identity'], [])
    >>> keys
    Keyring(1 pre-shared keys, 0 master secrets)
    """

    def __init__(self, psk: PreSharedKeys | None = None, keylog: str | os.PathLike[str] | None = None) -> None:
        self._psk: dict[bytes, tuple[bytes, ...]] = {}
        self._masters: dict[bytes, bytes] = {}
        if psk is not None and not isinstance(psk, Mapping):
            raise BadInput("psk is no mapping; a dictionary of identities and their keys is expected")
        for identity, keys in (psk or {}).items():
            if not isinstance(identity, str):
                raise BadInput(f"an identity of psk is {type(identity).__name__}; text is expected")
            several = keys if isinstance(keys, list | tuple) else [keys]
            self._psk[identity.encode(errors="surrogateescape")] = tuple(map(_key, several))
        if keylog is not None:
            text, name = _keylog_text(keylog)
            if not self.add_keylog(text):
                raise BadInput(f"{name} has no line of DTLS 1.2; {_CLIENT_RANDOM} and two values are expected")

    def add_keylog(self, text: str) -> int:
        """Take the lines of a key log, those of other protocols left out; how many were of use."""
        found = [entry for line in text.splitlines() if (entry := _keylog_entry(line)) is not None]
        self._masters.update(found)
        return len(found)

    def master_secret(self, client_random: bytes) -> bytes | None:
        """What a key log says of the handshake with this client random."""
        return self._masters.get(client_random)

    def of_identity(self, identity: bytes) -> Iterator[tuple[str, bytes]]:
        """The keys to try for an identity, its own first, and what each was given for."""
        own = self._psk.get(identity, ())
        for key in own:
            yield "the key of its identity", key
        for key in self._psk.get(ANY_IDENTITY.encode(), ()):
            if key not in own:
                yield "a key for any identity", key

    def __repr__(self) -> str:
        count = sum(map(len, self._psk.values()))
        return f"Keyring({count} pre-shared keys, {len(self._masters)} master secrets)"


def _key(key: object) -> bytes:
    if isinstance(key, str):
        try:
            key = bytes.fromhex(key)
        except ValueError:
            raise BadInput("a key of psk is no hexadecimal text; two digits a byte are expected") from None
    if not isinstance(key, bytes) or not 0 < len(key) <= _LONGEST_KEY:
        raise BadInput(f"a key of psk is no key; bytes or hexadecimal text of 1 to {_LONGEST_KEY} bytes are expected")
    return key


def _keylog_text(keylog: str | os.PathLike[str]) -> tuple[str, str]:
    """The text of a key log and a name for messages."""
    if isinstance(keylog, str) and ("\n" in keylog or keylog.startswith(_CLIENT_RANDOM)):
        return keylog, "the key log"
    try:
        return _text(keylog, errors="replace"), f"the key log {keylog}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no path"
        raise BadInput(f"the key log cannot be read ({reason}); the path of a file, or its text, is expected") from None


def _keylog_entry(line: str) -> tuple[bytes, bytes] | None:
    """Client random and master secret; None for a line of something else."""
    words = line.split()
    if len(words) != 3 or words[0] != _CLIENT_RANDOM:
        return None
    try:
        random, master = bytes.fromhex(words[1]), bytes.fromhex(words[2])
    except ValueError:
        return None
    return (random, master) if (len(random), len(master)) == (32, 48) else None


def parse_psk(entries: Iterable[str], *, where: str = "--psk") -> dict[str, list[Key]]:
    """Keys by identity from texts ``ID:HEX``; an identity may hold colons, and come more than once.

    Raises
    ------
    BadInput
        For an entry of another form; its number is said, not its text.

    Examples
    --------
    >>> parse_psk(["urn:dev:1:0011"]) == {"urn:dev:1": [bytes([0x00, 0x11])]}
    True
    """
    keys: dict[str, list[Key]] = {}
    for number, entry in enumerate(entries, 1):
        identity, colon, digits = entry.rpartition(":")
        try:
            keys.setdefault(identity, []).append(_key(digits if colon else None))
        except BadInput:
            raise BadInput(f"{where} number {number} is malformed; ID:HEX, two digits a byte, is expected") from None
    return keys


def read_psk_file(path: str | os.PathLike[str]) -> dict[str, list[Key]]:
    """Keys by identity from a file with lines ``ID:HEX``; empty lines are passed over.

    Raises
    ------
    BadInput
        Where it cannot be read, or a line is of another form; its number is said, not its text.
    """
    try:
        text = _text(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise BadInput(f"the file of keys cannot be read ({reason}); lines ID:HEX are expected") from None
    return psk_lines(text, name=str(path))


def psk_lines(text: str, *, name: str) -> dict[str, list[Key]]:
    """Keys by identity from lines ``ID:HEX``; `name` says in messages where they are from.

    Raises
    ------
    BadInput
        Where a line is of another form; its number is said, not its text.

    Examples
    --------
    >>> psk_lines("urn:dev:1:0011", name="a text") == {"urn:dev:1": [bytes([0x00, 0x11])]}
    True
    """
    keys: dict[str, list[Key]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        try:
            found = parse_psk([line.strip()]) if line.strip() else {}
        except BadInput:
            raise BadInput(f"line {number} of {name} is malformed; ID:HEX, two digits a byte, is expected") from None
        for identity, ones in found.items():
            keys.setdefault(identity, []).extend(ones)
    return keys


def _text(path: str | os.PathLike[str], *, errors: str = "strict") -> str:
    """The content of a file."""
    import pathlib

    return pathlib.Path(path).read_text(encoding="utf-8", errors=errors)

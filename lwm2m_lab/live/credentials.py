"""Who a device or a server is to DTLS: identities and pre-shared keys, which no text of the lab shows.

They come from a file that its owner alone may read, or from the environment; never from a command line, which everybody
on the machine sees.
"""

from __future__ import annotations

import os
import pathlib
import secrets
import stat
from collections.abc import Iterator, Mapping

from lwm2m_lab.errors import BadInput
from lwm2m_lab.wire.keyring import Key, PreSharedKeys, psk_lines

__all__ = ["VARIABLE", "Credentials"]

#: The environment variable with lines ``ID:HEX``.
VARIABLE = "LWM2M_LAB_PSK"
#: What tinydtls has room for, bytes.
LONGEST_IDENTITY, LONGEST_KEY = 32, 16


class Credentials:
    """Pre-shared keys by identity.

    A server knows many devices; a device has one identity, which is its own.

    Parameters
    ----------
    keys : mapping of str to bytes
        1 to 16 bytes each; identities of 1 to 32 bytes. That is what tinydtls takes.

    Raises
    ------
    BadInput
        For a key or an identity of another size. The sentence holds no key.

    Examples
    --------
    >>> one = Credentials({"urn:dev:1": bytes(16)})
    >>> one
    Credentials(1 identity)
    >>> one.own()[0]
    'urn:dev:1'
    """

    __slots__ = ("_keys",)

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise BadInput("there are no credentials; at least one identity with its key is expected")
        for identity, key in keys.items():
            if not 0 < len(identity.encode()) <= LONGEST_IDENTITY or "\0" in identity:
                raise BadInput(f"identity {identity[:40]!r} does not fit; 1 to {LONGEST_IDENTITY} bytes are expected")
            if not isinstance(key, bytes) or not 0 < len(key) <= LONGEST_KEY:
                raise BadInput(f"the key of {identity!r} does not fit; 1 to {LONGEST_KEY} bytes are expected")
        self._keys = {identity.encode(): key for identity, key in keys.items()}

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Credentials:
        """Credentials from a file with lines ``ID:HEX``, which nobody but its owner may read or write.

        Raises
        ------
        BadInput
            Where it cannot be read, others may read it, or a line is of another form.
        """
        try:
            with pathlib.Path(path).open(encoding="utf-8") as file:
                # Of the file that is open, not of the name, which may be another file by now.
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                if mode & 0o077:
                    raise BadInput(
                        f"{path} is open to others (mode {mode:o}); keys in a file of mode 600 are expected: "
                        f"chmod 600 {path}"
                    )
                text = file.read()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise BadInput(f"the file of keys cannot be read ({reason}); lines ID:HEX are expected") from None
        return cls._from_lines(text, str(path))

    @classmethod
    def from_environment(cls, variable: str = VARIABLE) -> Credentials | None:
        """Credentials from an environment variable with lines ``ID:HEX``; None where it is not set.

        Raises
        ------
        BadInput
            Where a line is of another form.
        """
        text = os.environ.get(variable)
        return None if text is None else cls._from_lines(text, f"the environment variable {variable}")

    @classmethod
    def random(cls, identity: str = "urn:dev:lab-1") -> Credentials:
        """A new key, for a run whose two sides are the lab's own."""
        return cls({identity: secrets.token_bytes(LONGEST_KEY)})

    @classmethod
    def _from_lines(cls, text: str, name: str) -> Credentials:
        found = psk_lines(text, name=name)
        if several := [identity for identity, keys in found.items() if len(keys) > 1]:
            raise BadInput(f"{name} has several keys for {several[0]!r}; one for each identity is expected")
        return cls({identity: _as_bytes(keys[0]) for identity, keys in found.items()})

    def own(self) -> tuple[str, bytes]:
        """Identity and key of a client.

        Raises
        ------
        BadInput
            Where there are several: which is one's own?
        """
        if len(self._keys) != 1:
            raise BadInput(f"there are {len(self._keys)} identities; the one that is the device's own is expected")
        identity, key = next(iter(self._keys.items()))
        return identity.decode(), key

    def for_reading(self) -> PreSharedKeys:
        """The keys as `lab.read(..., psk=)` takes them."""
        return {identity.decode(): key for identity, key in self._keys.items()}

    def key_of(self, identity: bytes) -> bytes | None:
        """The key of an identity; None where it is unknown."""
        return self._keys.get(identity)

    def __iter__(self) -> Iterator[str]:
        return (identity.decode() for identity in self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"Credentials({len(self)} {'identity' if len(self) == 1 else 'identities'})"


def _as_bytes(key: Key) -> bytes:
    return bytes.fromhex(key) if isinstance(key, str) else key

"""Names that stand for others: of the same length, always the same for the same, and of ranges that nobody has."""

from __future__ import annotations

import ipaddress
import random
import re
import string
from collections.abc import Iterable, Iterator, Mapping

from lwm2m_lab.wire.private import Private

__all__ = ["Pseudonyms"]

#: Ranges for documentation (RFC 5737, 3849); 10/8 where they are not enough.
_DOCUMENTATION = ("192.0.2", "198.51.100", "203.0.113")
_IPV6 = "2001:db8:"
#: Shorter strings are replaced only where they stand alone: in the middle of a word they are no name.
SHORT = 8
#: Shorter ones are replaced in their own fields alone.
LEAST = 4
#: Strings up to this number are looked for by one pattern.
FEW = 64
#: Attempts to find a pseudonym that nobody has.
TRIES = 64
_LETTERS, _DIGITS = string.ascii_lowercase, string.digits


class Pseudonyms:
    """What stands for each address, hardware address and string of a capture.

    Parameters
    ----------
    private : Private
        What has to go.
    seed : int
        Same seed and capture, same pseudonyms.

    Attributes
    ----------
    strings : dict of bytes to bytes
    addresses : dict of bytes to bytes
        IPv4 and IPv6, packed.
    """

    def __init__(self, private: Private, *, seed: int) -> None:
        self._dice = random.Random(seed)
        self.strings: dict[bytes, bytes] = {}
        self.addresses: dict[bytes, bytes] = {}
        self._macs: dict[bytes, bytes] = {}
        self._taken: set[bytes] = set()
        pool = [ipaddress.IPv4Address(f"{net}.{host}") for net in _DOCUMENTATION for host in range(1, 255)]
        self._dice.shuffle(pool)
        self._pool = pool
        self._originals = _Finder(private.all())
        for text in sorted(private.address_texts):
            self._address_text(text)
        for number, name in enumerate(sorted(private.names), 1):
            self._add(name, self._name(name, "device", number))
        for number, name in enumerate(sorted(private.identities), 1):
            self._add(name, self._name(name, "psk", number))
        for number, host in enumerate(sorted(private.hosts), 1):
            self._add(host, self._host(host, number))
        for value in sorted(private.values):
            self._add(value, self._alike(value))
        self._finder = _Finder(self.strings)

    # ---------------------------------------------------------------- use

    def address(self, packed: bytes) -> bytes:
        """What stands for an address; groups and "all of them" stand for themselves."""
        known = self.addresses.get(packed)
        if known is None:
            known = self.addresses[packed] = self._new_address(packed)
        return known

    def mac(self, original: bytes) -> bytes:
        """What stands for a hardware address; groups, "all of them" and "none" stand for themselves."""
        if original[0] & 1 or not any(original):
            return original
        if original not in self._macs:
            self._macs[original] = b"\x02\0\0" + (len(self._macs) + 1).to_bytes(3, "big")
        return self._macs[original]

    def string(self, original: bytes) -> bytes:
        """What stands for a string in a field of its own."""
        return self.strings.get(original, original)

    def within(self, data: bytes) -> bytes:
        """Data with every private string in it replaced."""
        return self._finder.replaced(data, self.strings)

    def left_in(self, data: bytes) -> int:
        """How many private strings still stand in data."""
        return self._finder.count(data)

    # ---------------------------------------------------------------- making

    def _add(self, original: bytes, pseudonym: bytes) -> None:
        if not original or original in self.strings:
            return
        for attempt in range(TRIES):
            if pseudonym not in self._taken and not self._originals.finds(pseudonym):
                break
            letters = attempt >= TRIES // 2
            pseudonym = self._letters(len(original)).encode() if letters else self._alike(original)
        self.strings[original] = pseudonym
        self._taken.add(pseudonym)

    def _name(self, original: bytes, kind: str, number: int) -> bytes:
        """``urn:dev:device-1-xyz``: a scheme that the name begins with stays."""
        if not _is_text(original):
            return self._dice.randbytes(len(original))
        head, colon, _ = original.rpartition(b":")
        kept = head + colon if original.startswith(b"urn:") and head.count(b":") == 1 else b""
        room = len(original) - len(kept)
        for stem in (f"{kind}-{number}", f"{kind[0]}{number}"):
            if len(stem) == room or len(stem) + 2 <= room:
                filler = "" if len(stem) == room else "-" + self._letters(room - len(stem) - 1)
                return kept + (stem + filler).encode()
        return kept + self._letters(room).encode()

    def _host(self, original: bytes, number: int) -> bytes:
        """``h1abc.test`` (RFC 6761)."""
        stem, room = f"h{number}", len(original) - len(".test")
        if len(stem) <= room:
            return f"{stem}{self._letters(room - len(stem))}.test".encode()
        return self._letters(len(original)).encode()

    def _alike(self, original: bytes) -> bytes:
        """Letters for letters, digits for digits; other bytes for bytes that are no text."""
        if not _is_text(original):
            return self._dice.randbytes(len(original))
        if not original.isascii():
            return self._letters(len(original)).encode()
        return "".join(map(self._alike_char, original.decode())).encode()

    def _alike_char(self, char: str) -> str:
        if char.isdigit():
            return self._dice.choice(_DIGITS)
        if char.isalpha():
            letter = self._dice.choice(_LETTERS)
            return letter.upper() if char.isupper() else letter
        return char

    def _letters(self, count: int) -> str:
        return "".join(self._dice.choices(_LETTERS, k=count))

    def _address_text(self, text: bytes) -> None:
        """An address that is written somewhere gets one whose text has the same length, where there is such a one."""
        address = ipaddress.ip_address(text.decode())
        if _stands_for_itself(address.packed):
            return
        for candidate in self._of_length(address.version, len(text)):
            if candidate.packed not in self._taken:
                self.addresses[address.packed] = candidate.packed
                self._taken.add(candidate.packed)
                self._add(text, str(candidate).encode())
                return
        self._add(text, self._host(text, len(self.strings) + 1))

    def _of_length(self, version: int, length: int) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
        candidates: Iterable[ipaddress.IPv4Address | ipaddress.IPv6Address]
        if version == 4:
            candidates = [*self._pool, *(self._private() for _ in range(200))]
        else:
            candidates = [self._documented(length - len(_IPV6) - 1) for _ in range(200)]
        yield from (one for one in candidates if len(str(one)) == length)

    def _private(self) -> ipaddress.IPv4Address:
        parts = (self._dice.choice((9, 99, 254)) for _ in range(3))
        return ipaddress.IPv4Address(bytes((10, *(self._dice.randint(1, most) for most in parts))))

    def _documented(self, length: int) -> ipaddress.IPv6Address:
        """``2001:db8::`` and so many characters."""
        groups = -(-max(length, 1) // 5)
        rest = max(length, 1) - 5 * (groups - 1)
        sizes = [4] * (groups - 1) + [min(max(rest, 1), 4)]
        parts = (self._dice.choice("123456789abcdef") + "".join(self._dice.choices(string.digits, k=size - 1))
                 for size in sizes[:5])  # fmt: skip
        tail = ":".join(parts)
        return ipaddress.IPv6Address(f"{_IPV6}:{tail}")

    def _new_address(self, packed: bytes) -> bytes:
        if _stands_for_itself(packed):
            return packed
        while True:
            if len(packed) == 16:
                new: bytes = self._documented(4 if len(self._taken) < 5000 else 19).packed
            elif self._pool:
                new = self._pool.pop().packed
            else:
                new = b"\x0a" + self._dice.randbytes(3)
            if new not in self._taken and new != packed:
                self._taken.add(new)
                return new


class _Finder:
    """Finds strings in bytes, the longest first: by one pattern where they are few, by their beginnings where not."""

    def __init__(self, strings: Iterable[bytes]) -> None:
        # Shorter ones are replaced in their own fields alone: they stand everywhere by chance.
        self._strings = {one for one in strings if len(one) >= LEAST}
        self._lengths: dict[bytes, list[int]] = {}
        for one in self._strings:
            self._lengths.setdefault(one[:LEAST], []).append(len(one))
        for lengths in self._lengths.values():
            lengths[:] = sorted(set(lengths), reverse=True)
        ordered = sorted(self._strings, key=lambda one: (-len(one), one))
        few = 0 < len(ordered) <= FEW
        self._pattern = re.compile(b"|".join(map(_pattern, ordered))) if few else None

    def finds(self, data: bytes) -> bool:
        """Whether one of the strings is there."""
        return next(self._places(data), None) is not None

    def count(self, data: bytes) -> int:
        """How many of the strings are there."""
        if len(self._strings) <= FEW:
            return sum(one in data for one in self._strings)
        return len({data[start:end] for start, end in self._places(data)})

    def replaced(self, data: bytes, by: Mapping[bytes, bytes]) -> bytes:
        """Data with each of them replaced by one of the same length."""
        if not self._strings:
            return data
        hidden = None
        for start, end in self._places(data):
            hidden = hidden or bytearray(data)
            hidden[start:end] = by[data[start:end]]
        return data if hidden is None else bytes(hidden)

    def _places(self, data: bytes) -> Iterator[tuple[int, int]]:
        if self._pattern is not None:
            yield from (found.span() for found in self._pattern.finditer(data))
            return
        end = 0
        for at in range(len(data) - LEAST + 1 if self._strings else 0):
            lengths = self._lengths.get(data[at : at + LEAST])
            if lengths is None or at < end:
                continue
            for length in lengths:
                if data[at : at + length] in self._strings and _stands_alone(data, at, at + length):
                    end = at + length
                    yield at, end
                    break


def _is_word(data: bytes) -> bool:
    """Whether a string is so short that it has to stand alone."""
    return len(data) < SHORT and data.isascii()


def _pattern(one: bytes) -> bytes:
    if not _is_word(one):
        return re.escape(one)
    return rb"(?<![A-Za-z0-9])" + re.escape(one) + rb"(?![A-Za-z0-9=])"


def _stands_alone(data: bytes, start: int, end: int) -> bool:
    if not _is_word(data[start:end]):
        return True
    before, behind = data[max(start - 1, 0) : start], data[end : end + 1]
    return not (before.isalnum() or behind.isalnum() or behind == b"=")


def _stands_for_itself(packed: bytes) -> bool:
    """Groups, "all of them", "nobody"."""
    address = ipaddress.ip_address(packed)
    return address.is_multicast or address.is_unspecified or packed == b"\xff\xff\xff\xff"


def _is_text(data: bytes) -> bool:
    try:
        return data.decode().isprintable()
    except UnicodeDecodeError:
        return False

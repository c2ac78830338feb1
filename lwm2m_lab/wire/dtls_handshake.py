"""Handshakes of DTLS 1.2 (RFC 6347, 4.2): messages put together from fragments, what they say, and their transcript."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from lwm2m_lab.wire.dtls_keys import Suite, cipher_suite

__all__ = [
    "CLIENT", "CLIENT_HELLO", "DRAFT_CONNECTION_ID", "ENCRYPT_THEN_MAC", "EXTENDED_MASTER_SECRET", "FINISHED",
    "NOT_COVERED", "SERVER", "SERVER_HELLO", "SESSION_TICKET", "SUPPORTED_VERSIONS", "Assembly", "Handshake", "Hello",
    "read_hello",
]  # fmt: skip

CLIENT_HELLO, SERVER_HELLO, NEW_SESSION_TICKET = 1, 2, 4
SERVER_KEY_EXCHANGE, SERVER_HELLO_DONE, CLIENT_KEY_EXCHANGE, FINISHED = 12, 14, 16, 20
ENCRYPT_THEN_MAC, EXTENDED_MASTER_SECRET, SESSION_TICKET, SUPPORTED_VERSIONS = 22, 23, 35, 43
#: Connection IDs: those of RFC 9146, and those of its drafts, whose records are authenticated in another way.
CONNECTION_ID, DRAFT_CONNECTION_ID = 54, 53
_HEADER = 12
#: A longer handshake message is no certificate chain but a length that lies.
LONGEST_MESSAGE = 2**15
#: Messages under construction and pieces of each: more at once is no handshake.
MOST_PARTIAL, MOST_PIECES = 4, 256
#: Pieces that overlap may be so many times the message together.
MOST_OVERLAP = 8
#: Messages of one side of a handshake, and bytes of both; the longest known has seven.
MOST_MESSAGES, MOST_BYTES = 16, 2**16

CLIENT, SERVER = 0, 1
#: HelloRequest and HelloVerifyRequest, which no transcript covers.
NOT_COVERED = (0, 3)


class _Short(ValueError):
    """A field reaches beyond the message."""


class _Fields:
    """The fields of a message one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        self.at += count
        if self.at > len(self.data):
            raise _Short
        return self.data[self.at - count : self.at]

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def vector(self, width: int) -> bytes:
        return self.take(self.number(width))


@dataclass(frozen=True, slots=True)
class Hello:
    """A ClientHello or ServerHello, as far as a reader needs it.

    Attributes
    ----------
    version : int
    random, session_id, cookie : bytes
    suites : tuple of int
        Those offered, or the one chosen.
    extensions : dict of int to bytes
    """

    version: int
    random: bytes
    session_id: bytes
    cookie: bytes
    suites: tuple[int, ...]
    extensions: dict[int, bytes]

    def cid(self, extension: int) -> bytes | None:
        """The Connection ID that its sender wants to receive (RFC 9146, 3); None without the extension."""
        value = self.extensions.get(extension)
        return None if not value or len(value) != 1 + value[0] else value[1:]


def read_hello(body: bytes, *, is_client: bool) -> Hello | None:
    """Read a hello; None where a length in it lies.

    Examples
    --------
    >>> hello = read_hello(bytes.fromhex("fefd" + "07" * 32 + "00" + "c0a8" + "00"), is_client=False)
    >>> hello.suites, hello.extensions
    ((49320,), {})
    """
    fields = _Fields(body)
    try:
        version, random, session_id = fields.number(2), fields.take(32), fields.vector(1)
        cookie = fields.vector(1) if is_client else b""
        suites = fields.vector(2) if is_client else fields.take(2)
        if is_client:
            fields.vector(1)
        else:
            fields.take(1)
        extensions = dict(_extensions(fields.vector(2))) if fields.at < len(body) else {}
    except _Short:
        return None
    numbers = tuple(int.from_bytes(suites[at : at + 2], "big") for at in range(0, len(suites) - 1, 2))
    return Hello(version, random, session_id, cookie, numbers, extensions)


def _extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    fields = _Fields(data)
    while fields.at < len(data):
        yield fields.number(2), fields.vector(2)


# ---------------------------------------------------------------- fragments


@dataclass
class Assembly:
    """Puts the handshake messages of one side together from fragments in any order."""

    parts: dict[tuple[int, int, int], dict[int, bytes]] = field(default_factory=dict)

    def add(self, content: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Type, message sequence and body of the messages that the content of a record completes."""
        at = 0
        while at + _HEADER <= len(content):
            kind, total = content[at], int.from_bytes(content[at + 1 : at + 4], "big")
            number = int.from_bytes(content[at + 4 : at + 6], "big")
            offset, size = (int.from_bytes(content[at + k : at + k + 3], "big") for k in (6, 9))
            piece = content[at + _HEADER : at + _HEADER + size]
            at += _HEADER + size
            if total > LONGEST_MESSAGE or len(piece) < size or offset + size > total:
                return
            whole = piece if size == total else self._join((kind, total, number), offset, piece)
            if whole is not None:
                self.parts.pop((kind, total, number), None)
                yield kind, number, whole

    def _join(self, key: tuple[int, int, int], offset: int, piece: bytes) -> bytes | None:
        """Keep a piece; the whole body with the last one."""
        if key not in self.parts and len(self.parts) >= MOST_PARTIAL:
            self.parts.pop(next(iter(self.parts)))
        pieces = self.parts.setdefault(key, {})
        kept = sum(map(len, pieces.values())) - len(pieces.get(offset, b""))
        room = len(pieces) < MOST_PIECES and kept + len(piece) <= MOST_OVERLAP * key[1]
        if room and len(piece) > len(pieces.get(offset, b"")):
            pieces[offset] = piece
        whole = b""
        for begin in sorted(pieces):
            if begin > len(whole):
                return None
            whole = whole[:begin] + pieces[begin] + whole[begin + len(pieces[begin]) :]
        return whole if len(whole) == key[1] else None


# ---------------------------------------------------------------- one handshake


@dataclass
class Handshake:
    """The messages of one handshake, by side and message sequence, with their headers as the transcript has them."""

    hello: Hello
    messages: tuple[dict[int, bytes], dict[int, bytes]] = field(default_factory=lambda: ({}, {}))
    server_hello: Hello | None = None

    def add(self, side: int, kind: int, number: int, body: bytes) -> None:
        """Take a message; a copy changes nothing."""
        mine = self.messages[side]
        kept = sum(len(one) for side_ in self.messages for one in side_.values())
        if number in mine or len(mine) >= MOST_MESSAGES or kept + len(body) > MOST_BYTES:
            return
        size = len(body).to_bytes(3, "big")
        mine[number] = bytes([kind]) + size + number.to_bytes(2, "big") + bytes(3) + size + body
        if kind == CLIENT_HELLO:
            hello = read_hello(body, is_client=True)
            # The one with a cookie follows the HelloVerifyRequest and counts (RFC 6347, 4.2.1).
            if hello is not None and number >= max(mine):
                self.hello = hello
        elif kind == SERVER_HELLO and self.server_hello is None:
            self.server_hello = read_hello(body, is_client=False)

    def body(self, side: int, kind: int) -> bytes | None:
        """The body of the first message of this type."""
        found = self._find(side, kind)
        return None if found is None else self.messages[side][found][_HEADER:]

    def _find(self, side: int, kind: int) -> int | None:
        return min((number for number, one in self.messages[side].items() if one[0] == kind), default=None)

    @property
    def suite(self) -> Suite | None:
        """The suite that the server chose."""
        return None if self.server_hello is None else cipher_suite(self.server_hello.suites[0])

    def agreed(self, extension: int) -> bool:
        """Whether both hellos carry an extension."""
        hello = self.server_hello
        return hello is not None and extension in hello.extensions and extension in self.hello.extensions

    @property
    def cids(self) -> tuple[int, bytes, bytes] | None:
        """The extension on which both agreed, and the Connection IDs that client and server want to receive."""
        for extension in (CONNECTION_ID, DRAFT_CONNECTION_ID):
            if self.server_hello is not None:
                client, server = self.hello.cid(extension), self.server_hello.cid(extension)
                if client is not None and server is not None:
                    return extension, client, server
        return None

    @property
    def identity(self) -> bytes | None:
        """The PSK identity that the client names (RFC 4279, 2)."""
        body = self.body(CLIENT, CLIENT_KEY_EXCHANGE)
        return _leading_vector(body) if self.suite is not None and self.suite.names_identity else None

    @property
    def hint(self) -> bytes | None:
        """The server's PSK identity hint."""
        body = self.body(SERVER, SERVER_KEY_EXCHANGE)
        return _leading_vector(body) if self.suite is not None and self.suite.names_identity else None

    @property
    def ticket(self) -> bytes | None:
        """The ticket that the server hands out (RFC 5077, 3.3)."""
        body = self.body(SERVER, NEW_SESSION_TICKET)
        return _leading_vector(body[4:]) or None if body is not None else None

    @property
    def is_full(self) -> bool:
        """Whether it is more than hellos and Finished: not an abbreviated one."""
        return self._find(SERVER, SERVER_HELLO_DONE) is not None or self._find(CLIENT, CLIENT_KEY_EXCHANGE) is not None

    # ------------------------------------------------------------ transcript

    def session_hash(self) -> bytes | None:
        """Hash of the transcript up to the ClientKeyExchange; None where a message of it is missing."""
        flights = [*self._opening(SERVER_HELLO_DONE), self._from_hello(CLIENT, CLIENT_KEY_EXCHANGE)]
        return self._hash(flights)

    def finished_hash(self, side: int) -> bytes | None:
        """Hash of what the Finished of a side covers; None where a message of it is missing."""
        mine = self._from_hello(side, FINISHED)
        mine = None if mine is None else mine[:-1]
        if self.is_full:
            opening = self._opening(SERVER_HELLO_DONE)
            if side == CLIENT:
                return self._hash([*opening, mine])
            rest = None if mine is None or opening[1] is None else mine[len(opening[1]) :]
            return self._hash([*opening, self._from_hello(CLIENT, FINISHED), rest])
        if side == SERVER:
            return self._hash([self._opening(SERVER_HELLO)[0], mine])
        return self._hash([*self._opening(FINISHED), mine])

    def _opening(self, kind: int) -> list[list[bytes] | None]:
        """The ClientHello, and what the server says from its hello up to a message of this type."""
        hello = max((n for n, one in self.messages[CLIENT].items() if one[0] == CLIENT_HELLO), default=None)
        return [None if hello is None else [self.messages[CLIENT][hello]], self._from_hello(SERVER, kind)]

    def _from_hello(self, side: int, kind: int) -> list[bytes] | None:
        """The messages of a side up to the first of this type: from the ServerHello, or behind the ClientHello."""
        mine, last = self.messages[side], self._find(side, kind)
        hello = CLIENT_HELLO if side == CLIENT else SERVER_HELLO
        first = max((number for number, one in mine.items() if one[0] == hello), default=None)
        if first is None or last is None:
            return None
        numbers = range(first + (side == CLIENT), last + 1)
        return [mine[number] for number in numbers] if all(number in mine for number in numbers) else None

    def _hash(self, flights: list[list[bytes] | None]) -> bytes | None:
        if self.suite is None or any(flight is None for flight in flights):
            return None
        whole = b"".join(one for flight in flights if flight is not None for one in flight)
        return hashlib.new(self.suite.hash, whole).digest()


def _leading_vector(body: bytes | None) -> bytes | None:
    try:
        return None if body is None else _Fields(body).vector(2)
    except _Short:
        return None

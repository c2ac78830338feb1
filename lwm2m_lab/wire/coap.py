"""One CoAP message (RFC 7252): read, shown, written. The plain decoder that the columns are tested against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "CODES", "ERRORS", "NO_LENGTHS", "OPTIONS", "TYPES", "Block", "Message", "Options", "code_name", "decode",
    "decode_options", "early_error", "encode", "fault_of", "option_text", "token_span",
]  # fmt: skip

TYPES = ("CON", "NON", "ACK", "RST")
Type = Literal["CON", "NON", "ACK", "RST"]

#: Names of the codes (RFC 7252, 7959, 8132, 8323, 8516, 8768).
CODES = {
    "0.00": "Empty", "0.01": "GET", "0.02": "POST", "0.03": "PUT", "0.04": "DELETE", "0.05": "FETCH", "0.06": "PATCH",
    "0.07": "iPATCH", "2.01": "Created", "2.02": "Deleted", "2.03": "Valid", "2.04": "Changed", "2.05": "Content",
    "2.31": "Continue", "4.00": "Bad Request", "4.01": "Unauthorized", "4.02": "Bad Option", "4.03": "Forbidden",
    "4.04": "Not Found", "4.05": "Method Not Allowed", "4.06": "Not Acceptable", "4.08": "Request Entity Incomplete",
    "4.09": "Conflict", "4.12": "Precondition Failed", "4.13": "Request Entity Too Large",
    "4.15": "Unsupported Content-Format", "4.22": "Unprocessable Entity", "4.29": "Too Many Requests",
    "5.00": "Internal Server Error", "5.01": "Not Implemented", "5.02": "Bad Gateway", "5.03": "Service Unavailable",
    "5.04": "Gateway Timeout", "5.05": "Proxying Not Supported", "5.08": "Hop Limit Reached", "7.01": "CSM",
    "7.02": "Ping", "7.03": "Pong", "7.04": "Release", "7.05": "Abort",
}  # fmt: skip

#: Names of the options (IANA CoRE parameters).
OPTIONS = {
    1: "If-Match", 3: "Uri-Host", 4: "ETag", 5: "If-None-Match", 6: "Observe", 7: "Uri-Port", 8: "Location-Path",
    9: "OSCORE", 11: "Uri-Path", 12: "Content-Format", 14: "Max-Age", 15: "Uri-Query", 16: "Hop-Limit", 17: "Accept",
    19: "Q-Block1", 20: "Location-Query", 21: "EDHOC", 23: "Block2", 27: "Block1", 28: "Size2", 31: "Q-Block2",
    35: "Proxy-Uri", 39: "Proxy-Scheme", 60: "Size1", 252: "Echo", 258: "No-Response", 292: "Request-Tag",
}  # fmt: skip
ETAG, OBSERVE, URI_PATH, CONTENT_FORMAT, URI_QUERY, ACCEPT = 4, 6, 11, 12, 15, 17
BLOCK2, BLOCK1, SIZE2, SIZE1 = 23, 27, 28, 60
#: Bytes that the number in an option may have; a longer value is as good as no such option (RFC 7252, 5.4.3).
LONGEST_NUMBER = {OBSERVE: 3, CONTENT_FORMAT: 2, ACCEPT: 2, BLOCK2: 3, BLOCK1: 3, SIZE2: 4, SIZE1: 4}
_TEXT_OPTIONS = frozenset({3, 8, 11, 15, 20, 35, 39})
#: Token lengths that mean nothing (RFC 8974, 2.1).
NO_LENGTHS = frozenset({9, 10, 11, 12, 15})
_NUMBER_OPTIONS = frozenset({6, 7, 12, 14, 16, 17, 28, 60, 258})

#: Why a message could not be decoded, or not wholly; the columns hold the position in this list.
ERRORS = (
    "shorter than a CoAP header of 4 bytes",
    "version is not 1",
    "token length is 9 to 12 or 15, which is reserved",
    "the message ends within its token",
    "an empty message (0.00) with bytes behind its header",
    "option delta or length 15 is reserved",
    "an option reaches beyond the message",
    "a payload marker without payload",
    "block size exponent 7 is reserved",
    "a Block option of more than 3 bytes",
    "cut by the snap length",
)
(
    TOO_SHORT, BAD_VERSION, BAD_TOKEN_LENGTH, TOKEN_CUT, NOT_EMPTY, RESERVED_NIBBLE, OPTION_BEYOND, NO_PAYLOAD,
    RESERVED_SZX, LONG_BLOCK, SNAPPED,
) = range(len(ERRORS))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Block:
    """The value of a Block1 or Block2 option (RFC 7959, 2.2).

    Attributes
    ----------
    num : int
    more : bool
    szx : int
        0 to 6; 7 is reserved.

    Examples
    --------
    >>> print(Block.from_bytes(bytes.fromhex("1865")))
    390/0/512
    """

    num: int
    more: bool
    szx: int

    @property
    def size(self) -> int:
        """Bytes of a block."""
        return 16 << self.szx

    @classmethod
    def from_bytes(cls, value: bytes) -> Block:
        """Read the option's value."""
        number = int.from_bytes(value, "big")
        return cls(number >> 4, bool(number & 8), number & 7)

    def __str__(self) -> str:
        return f"{self.num}/{int(self.more)}/{self.size}"


Options = tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One CoAP message.

    Attributes
    ----------
    type : {"CON", "NON", "ACK", "RST"}
    code : str
        ``"0.03"``, ``"2.05"``.
    mid : int
    token : bytes
    options : tuple of (int, bytes)
        In the order of the message.
    payload : bytes
    error : str or None
        Why it could not be decoded, or not wholly; what stands before the fault is there.
    """

    type: Type
    code: str
    mid: int
    token: bytes = b""
    options: Options = ()
    payload: bytes = b""
    error: str | None = None

    def values(self, number: int) -> list[bytes]:
        """The values of an option, in order."""
        return [value for one, value in self.options if one == number]

    @property
    def uri_path(self) -> str | None:
        """``/5/0/3``; None where the message has no Uri-Path."""
        parts = self.values(URI_PATH)
        return "/" + "/".join(part.decode(errors="replace") for part in parts) if parts else None

    @property
    def block1(self) -> Block | None:
        """The Block1 option."""
        found = self.values(BLOCK1)
        return Block.from_bytes(found[0]) if found else None

    @property
    def block2(self) -> Block | None:
        """The Block2 option."""
        found = self.values(BLOCK2)
        return Block.from_bytes(found[0]) if found else None

    def __str__(self) -> str:
        head = f"{self.type} {code_name(self.code)} mid={self.mid} token={self.token.hex() or '-'}"
        shown = [
            f"{OPTIONS.get(number, f'option {number}')}: {option_text(number, value)}" for number, value in self.options
        ]
        tail = [f"payload: {len(self.payload)} bytes"] if self.payload else []
        return "\n  ".join([head, *shown, *tail, *([f"error: {self.error}"] if self.error else [])])


def code_name(code: str) -> str:
    """A code as people say it.

    Examples
    --------
    >>> code_name("2.05"), code_name("0.03"), code_name("2.30")
    ('2.05 Content', 'PUT', '2.30')
    """
    name = CODES.get(code)
    return code if name is None else name if code.startswith("0.") and code != "0.00" else f"{code} {name}"


def option_text(number: int, value: bytes) -> str:
    """The value of an option as people read it.

    Examples
    --------
    >>> option_text(11, b"rd"), option_text(27, b"\\x1e"), option_text(4, b"\\xab")
    ('rd', '1/1/1024', 'ab')
    """
    if number in (BLOCK1, BLOCK2):
        return str(Block.from_bytes(value))
    if number in _TEXT_OPTIONS:
        return value.decode(errors="replace").encode("unicode_escape").decode()
    if number in _NUMBER_OPTIONS:
        return str(int.from_bytes(value, "big"))
    return value.hex() or "(empty)"


def decode(datagram: bytes) -> Message:
    """Read one message; damage is said in `error`, never raised.

    Examples
    --------
    >>> print(decode(bytes.fromhex("44031000deadbeefb13501300130112ad102")))
    CON PUT mid=4096 token=deadbeef
      Uri-Path: 5
      Uri-Path: 0
      Uri-Path: 0
      Content-Format: 42
      error: an option reaches beyond the message
    """
    padded = datagram + bytes(4)
    kind: Type = TYPES[padded[0] >> 4 & 3]  # type: ignore[assignment]
    code = f"{padded[1] >> 5}.{padded[1] & 31:02d}"
    mid = int.from_bytes(padded[2:4], "big")
    early = early_error(datagram)
    if early is not None:
        return Message(kind, code, mid, error=ERRORS[early])
    begin, end = token_span(datagram)
    token = datagram[begin:end]
    if datagram[1] == 0:
        error = ERRORS[NOT_EMPTY] if len(datagram) > 4 else None
        return Message(kind, code, mid, token, error=error)
    options, payload, fault = decode_options(datagram, end)
    return Message(kind, code, mid, token, tuple(options), payload, None if fault is None else ERRORS[fault])


def early_error(datagram: bytes) -> int | None:
    """What is wrong with the header or the token, so that nothing behind them can be read."""
    if len(datagram) < 4:
        return TOO_SHORT
    if datagram[0] >> 6 != 1:
        return BAD_VERSION
    if datagram[0] & 15 in NO_LENGTHS:
        return BAD_TOKEN_LENGTH
    return TOKEN_CUT if len(datagram) < token_span(datagram)[1] else None


def token_span(datagram: bytes, at: int = 4) -> tuple[int, int]:
    """Where the token begins and ends; the lengths 13 and 14 stand for a longer one (RFC 8974, 2.1).

    Parameters
    ----------
    datagram : bytes
    at : int
        Where the header ends: behind the message id, or behind the code in a stream.

    Examples
    --------
    >>> token_span(bytes.fromhex("42010001beefb135")), token_span(bytes.fromhex("4d01000100" + 13 * "aa"))
    ((4, 6), (5, 18))
    """
    length, begin = _extended(datagram, at, datagram[0] & 15)
    return begin, begin + length


def decode_options(data: bytes, at: int = 0) -> tuple[list[tuple[int, bytes]], bytes, int | None]:
    """Options and payload from `at` on; the fault ends the list where it stands."""
    options: list[tuple[int, bytes]] = []
    number, end, fault = 0, len(data), None
    while at < end:
        head, at = data[at], at + 1
        if head == 0xFF:
            payload = data[at:]
            return options, payload, fault if payload or fault is not None else NO_PAYLOAD
        delta, length = head >> 4, head & 15
        if delta > 12 or length > 12:
            if delta == 15 or length == 15:
                return options, b"", RESERVED_NIBBLE
            delta, at = _extended(data, at, delta)
            length, at = _extended(data, at, length)
        number += delta
        value, at = data[at : at + length], at + length
        if at > end:
            return options, b"", OPTION_BEYOND
        options.append((number, value))
        # Only the first of a kind counts, the one with a step before it.
        if delta and number in (BLOCK1, BLOCK2) and fault is None:
            fault = _fault_of_block(value)
    return options, b"", fault


def fault_of(datagram: bytes) -> int | None:
    """What `decode` would find wrong, as a position in `ERRORS`, at a third of its cost: nothing is kept.

    Examples
    --------
    >>> ERRORS[fault_of(bytes.fromhex("44031000deadbeefb13501300130112ad102"))]
    'an option reaches beyond the message'
    """
    early = early_error(datagram)
    if early is not None:
        return early
    end = len(datagram)
    if datagram[1] == 0:
        return NOT_EMPTY if end > 4 else None
    at, number, fault = token_span(datagram)[1], 0, None
    while at < end:
        head, at = datagram[at], at + 1
        if head == 0xFF:
            return fault if at < end or fault is not None else NO_PAYLOAD
        delta, length = head >> 4, head & 15
        if delta > 12 or length > 12:
            if delta == 15 or length == 15:
                return RESERVED_NIBBLE
            delta, at = _extended(datagram, at, delta)
            length, at = _extended(datagram, at, length)
        number, at = number + delta, at + length
        if at > end:
            return OPTION_BEYOND
        if delta and fault is None and number in (BLOCK1, BLOCK2):
            fault = _fault_of_block(datagram[at - length : at])
    return fault


def _fault_of_block(value: bytes) -> int | None:
    """What is wrong with the value of a Block option."""
    return LONG_BLOCK if len(value) > 3 else RESERVED_SZX if value and value[-1] & 7 == 7 else None


def _extended(data: bytes, at: int, nibble: int) -> tuple[int, int]:
    """A delta or a length of more than 12, and what stands behind it; beyond the end, where that is."""
    extra = max(0, nibble - 12)
    return ((0, 13, 269)[extra] + int.from_bytes(data[at : at + extra], "big") if extra else nibble), at + extra


def encode(message: Message) -> bytes:
    """Write one message; the inverse of `decode`.

    Examples
    --------
    >>> encode(Message("ACK", "2.04", 7, b"t", payload=b"x")).hex()
    '6144000774ff78'
    """
    kind, digits = TYPES.index(message.type), message.code.split(".")
    token_length, token_more = _nibble(len(message.token))
    out = bytearray([0x40 | kind << 4 | token_length, int(digits[0]) << 5 | int(digits[1])])
    out += message.mid.to_bytes(2, "big") + token_more + message.token
    last = 0
    for number, value in sorted(message.options, key=lambda option: option[0]):
        delta, delta_more = _nibble(number - last)
        length, length_more = _nibble(len(value))
        out += bytes([delta << 4 | length]) + delta_more + length_more + value
        last = number
    return bytes(out) + (b"\xff" + message.payload if message.payload else b"")


def _nibble(value: int) -> tuple[int, bytes]:
    if value < 13:
        return value, b""
    return (13, bytes([value - 13])) if value < 269 else (14, (value - 269).to_bytes(2, "big"))

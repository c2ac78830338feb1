"""A CoAP message byte by byte and bit by bit: which bytes are which field, and what each says."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Literal

from lwm2m_lab.wire import coap, values
from lwm2m_lab.wire.text import printable

__all__ = ["Bits", "Part", "anatomy"]

Kind = Literal["header", "token", "option", "payload", "damage"]
#: A value longer than this is cut in words; its bytes are all there.
_LONGEST = 160


@dataclass(frozen=True, slots=True)
class Bits:
    """Some bits of a part that are a number of their own.

    Attributes
    ----------
    name : str
        ``SZX``.
    width, value : int
    says : str
        What the number says where that is more than the number: ``1024 bytes``.
    """

    name: str
    width: int
    value: int
    says: str = ""

    @property
    def text(self) -> str:
        """The bits themselves, in fours from the right: ``10 0110``."""
        digits = f"{self.value:0{self.width}b}"
        first = len(digits) % 4
        return " ".join(filter(None, [digits[:first], *(digits[at : at + 4] for at in range(first, len(digits), 4))]))

    def __str__(self) -> str:
        return f"{self.text}  {self.name}" + (f": {self.says}" if self.says else "")


@dataclass(frozen=True, slots=True)
class Part:
    """Some bytes of a message that belong together.

    Attributes
    ----------
    start, stop : int
        Bytes of the datagram, the last not included.
    kind : {"header", "token", "option", "payload", "damage"}
    name : str
        What these bytes are: ``message id``, ``Uri-Path``.
    says : str
        What they say.
    bits : tuple of Bits
        The numbers that share these bytes, from the first bit to the last; empty where the bytes are one value.
    """

    start: int
    stop: int
    kind: Kind
    name: str
    says: str
    bits: tuple[Bits, ...] = ()

    def __str__(self) -> str:
        return f"{self.start:>4}  {self.name}: {self.says}"


def anatomy(datagram: bytes, *, path: str | None = None) -> tuple[Part, ...]:
    """The parts of a message, in its order; together they cover each byte once, of a damaged one too.

    Parameters
    ----------
    datagram : bytes
        What UDP carried.
    path : str, optional
        What the payload speaks of, where the message itself does not say it (a response): names its values.

    Examples
    --------
    >>> for part in anatomy(bytes.fromhex("44031000deadbeefb13501300130112aff32")):
    ...     print(part)
       0  version, type, token length: 1, CON, 4 bytes
       1  code: 0.03 PUT
       2  message id: 4096
       4  token: deadbeef
       8  Uri-Path, head: option 11 (+11), 1 byte
       9  Uri-Path: 5
      10  Uri-Path, head: option 11 (+0), 1 byte
      11  Uri-Path: 0
      12  Uri-Path, head: option 11 (+0), 1 byte
      13  Uri-Path: 0
      14  Content-Format, head: option 12 (+1), 1 byte
      15  Content-Format: 42
      16  payload marker: the payload follows
      17  payload: 1 byte
    >>> for bits in anatomy(bytes.fromhex("44031000deadbeefd10e1e"))[-1].bits:
    ...     print(bits)
    0001  NUM: block 1, from byte 1024 on
    1  M: more blocks follow
    110  SZX: 1024 bytes
    """
    return tuple(part for part in _parts(datagram, path) if part.stop > part.start)


def _parts(datagram: bytes, path: str | None) -> Iterator[Part]:
    message = coap.decode(datagram)
    size = len(datagram)
    if size < 4:
        yield Part(0, size, "damage", "not decoded", message.error or "")
        return
    length = datagram[0] & 15
    says = f"{datagram[0] >> 6}, {message.type}, {_bytes(length) if length < 13 else 'extended'}"
    yield Part(0, 1, "header", "version, type, token length", says, _first_byte(datagram[0], message.type))
    name = coap.CODES.get(message.code)
    code = (Bits("class", 3, datagram[1] >> 5), Bits("detail", 5, datagram[1] & 31))
    yield Part(1, 2, "header", "code", f"{message.code} {name}" if name else message.code, code)
    yield Part(2, 4, "header", "message id", str(message.mid))
    begin, end = coap.token_span(datagram) if message.token else (4, 4)
    if begin > 4:
        yield Part(4, begin, "header", "extended token length", f"{end - begin} bytes (RFC 8974)")
    yield Part(begin, end, "token", "token", message.token.hex())
    at = yield from _options(datagram, end, len(message.options))
    if message.payload:
        yield Part(at, at + 1, "payload", "payload marker", "the payload follows")
        yield Part(at + 1, size, "payload", "payload", _payload(message, path))
    else:
        yield Part(at, size, "damage", "not decoded", message.error or "")


def _options(datagram: bytes, at: int, count: int) -> Generator[Part, None, int]:
    """The options that were decoded, each as its head and its value; returns where they end."""
    number = 0
    for _ in range(count):
        delta, length, value_at = _head(datagram, at)
        number += delta
        name = coap.OPTIONS.get(number, f"option {number}")
        says = f"option {number} (+{delta}), {_bytes(length)}"
        yield Part(at, value_at, "option", f"{name}, head", says, _head_bits(datagram[at:value_at], number, length))
        at = value_at + length
        value = datagram[value_at:at]
        yield Part(value_at, at, "option", name, _value(number, value), _block_bits(number, value))
    return at


def _first_byte(byte: int, kind: str) -> tuple[Bits, ...]:
    return Bits("version", 2, byte >> 6), Bits("type", 2, byte >> 4 & 3, kind), Bits("token length", 4, byte & 15)


def _head_bits(head: bytes, number: int, length: int) -> tuple[Bits, ...]:
    """Two nibbles; 13 and 14 say that one or two further bytes hold the rest (RFC 7252, 3.1)."""
    found, more, at = [], [], 1
    for name, nibble, says in (("delta", head[0] >> 4, f"option {number}"), ("length", head[0] & 15, _bytes(length))):
        extra = max(0, nibble - 12)
        found.append(Bits(name, 4, nibble, f"{_bytes(extra)} more, plus {(0, 13, 269)[extra]}" if extra else says))
        if extra:
            more.append(Bits(f"{name}, rest", 8 * extra, int.from_bytes(head[at : at + extra], "big"), says))
        at += extra
    return (*found, *more)


def _block_bits(number: int, value: bytes) -> tuple[Bits, ...]:
    """NUM, M and SZX of a Block option (RFC 7959, 2.2)."""
    if number not in (coap.BLOCK1, coap.BLOCK2) or not 1 <= len(value) <= 3:
        return ()
    whole = int.from_bytes(value, "big")
    num, more, szx = whole >> 4, whole >> 3 & 1, whole & 7
    says = f"block {num}" + (f", from byte {num << (szx + 4)} on" if szx < 7 else "")
    return (
        Bits("NUM", 8 * len(value) - 4, num, says),
        Bits("M", 1, more, "more blocks follow" if more else "the last block, or the only one"),
        Bits("SZX", 3, szx, f"{16 << szx} bytes" if szx < 7 else "reserved"),
    )


def _value(number: int, value: bytes) -> str:
    """The value of an option; what is wrong with a Block option is said with it."""
    said = _cut(coap.option_text(number, value))
    if number in (coap.BLOCK1, coap.BLOCK2):
        if len(value) > 3:
            return f"{value.hex()}: {coap.ERRORS[coap.LONG_BLOCK]}"
        if value and value[-1] & 7 == 7:
            return f"{value.hex()}: {coap.ERRORS[coap.RESERVED_SZX]}"
        return f"number/more/size {said}"
    return said


def _head(datagram: bytes, at: int) -> tuple[int, int, int]:
    """Delta and length of the option at `at`, and where its value begins; the option is known to be whole."""
    fields, following = [], at + 1
    for nibble in (datagram[at] >> 4, datagram[at] & 15):
        more = max(0, nibble - 12)
        field = int.from_bytes(datagram[following : following + more], "big") if more else nibble
        fields.append(field + (0, 13, 269)[more])
        following += more
    return fields[0], fields[1], following


def _payload(message: coap.Message, path: str | None) -> str:
    """What the payload says: its values where it has some, its length where it has not."""
    payload, number = message.payload, len(message.payload)
    forms = message.values(coap.CONTENT_FORMAT)
    form = int.from_bytes(forms[0], "big") if forms and len(forms[0]) <= 2 else None
    blocks = [block for block in (message.block1, message.block2) if block is not None]
    if any(block.num or block.more for block in blocks):
        return f"{_bytes(number)} of a body in blocks"
    if form is not None or message.code == "2.05":
        try:
            entries = values.decode(payload, content_format=form, path=path or message.uri_path or "/")
        except values.Undecodable as error:
            return f"{_bytes(number)}, {_cut(str(error))}"
        if entries and form != values.OPAQUE:
            return _cut(", ".join(f"{entry.path} = {_in_words(entry.value)}" for entry in entries))
    return _bytes(number)


def _in_words(value: values.Value) -> str:
    return value.hex(" ") if isinstance(value, bytes) else str(value)


def _bytes(number: int) -> str:
    return "1 byte" if number == 1 else f"{number} bytes"


def _cut(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"

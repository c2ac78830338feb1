"""A message byte by byte: every byte is named once, in damaged messages too, and the names agree with the decoder."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lwm2m_lab.wire import coap
from lwm2m_lab.wire.anatomy import Part, anatomy
from lwm2m_lab.wire.coap import Message, encode

OPTIONS = st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=300)), max_size=6)
MESSAGES = st.builds(
    Message,
    st.sampled_from(coap.TYPES),
    st.sampled_from(["0.01", "0.02", "0.03", "2.05", "4.04"]),
    st.integers(0, 65535),
    st.binary(max_size=8) | st.binary(min_size=13, max_size=20),
    OPTIONS.map(tuple),
    st.binary(max_size=100),
)


def check_cover(datagram: bytes, parts: tuple[Part, ...]) -> None:
    """Each byte in one part, in order; the bits of a part are its bytes."""
    assert [one.start for one in parts] == [0, *(one.stop for one in parts)][: len(parts)]
    assert (parts[-1].stop if parts else 0) == len(datagram)
    for one in parts:
        digits = "".join(bits.text for bits in one.bits).replace(" ", "")
        own = datagram[one.start : one.stop]
        assert digits in ("", f"{int.from_bytes(own, 'big'):0{8 * len(own)}b}")


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_covered_once(datagram: bytes) -> None:
    """Whatever stands there; what cannot be decoded is one part at the end that says why."""
    parts = anatomy(datagram)
    check_cover(datagram, parts)
    assert all(one.kind != "damage" for one in parts[:-1])
    if parts and parts[-1].kind == "damage":
        assert parts[-1].says == coap.decode(datagram).error
    assert all(one.says.isprintable() for one in parts)


@given(MESSAGES, st.data())
def test_cut_and_changed_messages_are_covered_once(message: Message, data: st.DataObject) -> None:
    """A message cut anywhere, or with one byte changed."""
    datagram = bytearray(encode(message))
    at = data.draw(st.integers(0, len(datagram) - 1))
    check_cover(bytes(datagram[:at]), anatomy(bytes(datagram[:at])))
    datagram[at] = data.draw(st.integers(0, 255))
    check_cover(bytes(datagram), anatomy(bytes(datagram)))


@given(MESSAGES)
def test_the_parts_are_what_the_decoder_reads(message: Message) -> None:
    """Token, options and payload in the bytes that the parts name."""
    datagram = encode(message)
    parts = anatomy(datagram)
    check_cover(datagram, parts)
    decoded = coap.decode(datagram)

    def bytes_of(kind: str, *, without: str = "\0") -> list[bytes]:
        return [datagram[one.start : one.stop] for one in parts if one.kind == kind and without not in one.name]

    assert b"".join(bytes_of("token")) == decoded.token
    assert b"".join(bytes_of("option", without=", head")) == b"".join(value for _, value in decoded.options)
    assert len([one for one in parts if one.name.endswith(", head")]) == len(decoded.options)
    assert b"".join(bytes_of("payload", without="marker")) == decoded.payload


def test_values_are_said_in_words() -> None:
    """A state as text, TLV by resource, a block by its number; what a Block option has wrong stands with it."""

    def says(message: Message, name: str, **options: str) -> str:
        return next(part.says for part in anatomy(encode(message), **options) if part.name == name)

    answer = Message("ACK", "2.05", 1, b"t", ((12, b""),), b"2")
    assert says(answer, "payload", path="/5/0/3") == "/5/0/3 = 2"
    tlv = Message("ACK", "2.05", 1, b"t", ((12, b"\x2d\x16"),), bytes.fromhex("c103ff"))
    assert says(tlv, "payload", path="/5/0") == "/5/0/3 = ff"
    block = Message("CON", "0.03", 1, b"t", ((27, b"\x1e"),), bytes(1024))
    assert says(block, "payload") == "1024 bytes of a body in blocks"
    assert says(block, "Block1") == "number/more/size 1/1/1024"
    assert (
        says(Message("CON", "0.03", 1, b"t", ((27, b"\x1f"),), b"x"), "Block1")
        == "1f: block size exponent 7 is reserved"
    )
    assert says(Message("CON", "0.01", 1, b"", ((11, b"\x1b[2J"),)), "Uri-Path") == "\\x1b[2J"


def test_bits_are_named() -> None:
    """The nibbles of an option's head with their further bytes, and the three numbers of a Block option."""
    options = ((12, b"\x2a"), (27, bytes.fromhex("1865")), (60, b"\x4e\x20"), (292, bytes(15)))
    message = Message("CON", "0.03", 1, b"t", options, b"x")
    found = {part.name: [(one.text, one.name, one.says) for one in part.bits] for part in anatomy(encode(message))}
    assert found["version, type, token length"][1] == ("00", "type", "CON")
    assert found["Content-Format, head"] == [("1100", "delta", "option 12"), ("0001", "length", "1 byte")]
    assert found["Block1"] == [
        ("0001 1000 0110", "NUM", "block 390, from byte 199680 on"),
        ("0", "M", "the last block, or the only one"),
        ("101", "SZX", "512 bytes"),
    ]
    assert found["Size1, head"] == [
        ("1101", "delta", "1 byte more, plus 13"), ("0010", "length", "2 bytes"),
        ("0001 0100", "delta, rest", "option 60"),
    ]  # fmt: skip
    assert [one[:2] for one in found["Request-Tag, head"]] == [
        ("1101", "delta"), ("1101", "length"), ("1101 1011", "delta, rest"), ("0000 0010", "length, rest"),
    ]  # fmt: skip
    assert found["Size1"] == []

"""Messages: ours against aiocoap's, the columns against the plain decoder, and damage that is said, never raised."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m_lab.wire import Columns, read_columns
from lwm2m_lab.wire.coap import CODES, ERRORS, OPTIONS, Block, Message, code_name, decode, encode, fault_of
from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes

ENDS = (("192.0.2.2", 50000), ("192.0.2.1", 5683))
PLAIN_OPTIONS = st.lists(
    st.tuples(
        st.one_of(st.sampled_from([number for number in OPTIONS if number not in (23, 27)]), st.integers(0, 65535)),
        st.binary(max_size=20) | st.just(b"x" * 13) | st.just(b"y" * 300),
    ),
    max_size=6,
).map(lambda options: tuple(sorted((one for one in options if one[0] not in (23, 27)), key=lambda one: one[0])))
CODES_IN_USE = sorted(code for code in CODES if code != "0.00")


@pytest.fixture(autouse=True, scope="module")
def _every_message_in_lock_step() -> Iterator[None]:
    """A few messages would be decoded one by one, by the decoder that they are held against here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lwm2m_lab.wire.options.FEW", 0)
        yield


def columns_of(*datagrams: bytes) -> Columns:
    """The columns of some datagrams."""
    packets = [Packet(at, udp_packet(*ENDS, datagram)) for at, datagram in enumerate(datagrams)]
    return read_columns(pcapng_bytes(packets, interfaces=[Interface()]))


def as_row(message: Message) -> dict[str, object]:
    """What the message table has to say of a message."""

    def number(option: int) -> int:
        # A value too long is as good as no such option, also before one that is not (RFC 7252, 5.4.3).
        found = [value for value in message.values(option) if len(value) <= {6: 3, 12: 2, 17: 2}[option]]
        return int.from_bytes(found[0], "big") if found else -1

    rows: dict[str, object] = {
        "type": message.type, "code": message.code, "mid": message.mid, "uri_path": message.uri_path,
        "error": message.error, "payload_length": len(message.payload),
        "observe": number(6), "content_format": number(12), "accept": number(17),
    }  # fmt: skip
    for name, block in (("block1", message.block1), ("block2", message.block2)):
        found = message.values({"block1": 27, "block2": 23}[name])
        if found and len(found[0]) <= 3 and block is not None:
            rows[f"{name}_num"], rows[f"{name}_more"] = block.num, int(block.more)
            rows[f"{name}_size"] = block.size if block.szx < 7 else -1
    return rows


def assert_same(columns: Columns, row: int, message: Message) -> None:
    """One row of the columns says what the plain decoder says."""
    if message.error == "shorter than a CoAP header of 4 bytes":
        assert columns.text("error", row) == message.error
        return
    for name, expected in as_row(message).items():
        ours = columns.text(name, row) if name in columns.categories else int(columns[name][row])
        assert ours == expected, (name, message)
    if message.error is None:
        assert (columns.text("token", row), columns.payload(row)) == (message.token.hex(), message.payload)


def test_a_number_that_is_too_long_is_no_number() -> None:
    """A Content-Format of four bytes once came out negative; it is as good as none (RFC 7252, 5.4.3)."""
    options = ((6, b"\1\0\0\0"), (12, b"\x80\0\0\0"), (17, b"\1\0\0"), (60, b"\xff\xff\xff\xff"))
    columns = columns_of(encode(Message("CON", "0.01", 1, b"", options)))
    shown = [int(columns[name][0]) for name in ("observe", "content_format", "accept", "size1")]
    assert shown == [-1, -1, -1, 2**32 - 1]


@given(
    st.builds(
        Message,
        st.sampled_from(["CON", "NON", "ACK", "RST"]),
        st.sampled_from(CODES_IN_USE),
        st.integers(0, 65535),
        st.binary(max_size=8),
        PLAIN_OPTIONS,
        st.binary(max_size=40),
    )
)
def test_what_is_written_is_read(message: Message) -> None:
    """Encode and decode are inverse, for every code, token, option and payload."""
    assert decode(encode(message)) == message


@given(
    st.sampled_from(["0.01", "0.02", "0.03", "2.04", "2.05", "2.31", "4.04"]),
    st.integers(0, 65535),
    st.binary(max_size=8),
    st.lists(st.text(st.characters(codec="ascii", exclude_characters="/&"), min_size=1, max_size=5), max_size=4),
    st.none() | st.tuples(st.integers(0, 2**20 - 1), st.booleans(), st.integers(0, 6)),
    st.binary(max_size=64),
)
def test_aiocoap_and_we_read_the_same(
    code: str, mid: int, token: bytes, path: list[str], block: tuple[int, bool, int] | None, payload: bytes
) -> None:
    """Messages that aiocoap wrote are, field by field, what it meant."""
    import aiocoap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = aiocoap.Message(
            code=aiocoap.Code(int(code[0]) << 5 | int(code[2:])), payload=payload, _token=token, _mid=mid,
            _mtype=aiocoap.CON, uri_path=path,
        )  # fmt: skip
        if block is not None:
            theirs.opt.block1 = block
        raw = theirs.encode()
    ours = decode(raw)
    assert (ours.code, ours.mid, ours.token, ours.payload, ours.error) == (code, mid, token, payload, None)
    assert ours.uri_path == ("/" + "/".join(path) if path else None)
    assert ours.block1 == (None if block is None else Block(*block))
    assert encode(ours) == raw


@settings(max_examples=300)
@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=8))
def test_columns_are_the_plain_decoder_on_any_bytes(datagrams: list[bytes]) -> None:
    """Two decoders, one by message and one in lock step over columns, agree on noise."""
    datagrams = [one for one in datagrams if not (20 <= one[0] <= 25 and one[1:2] == b"\xfe")]
    columns = columns_of(*datagrams)
    assert columns.rows == len(datagrams)
    for row, datagram in enumerate(datagrams):
        assert_same(columns, row, decode(datagram))


@settings(max_examples=300)
@given(st.data())
def test_columns_are_the_plain_decoder_on_damaged_messages(data: st.DataObject) -> None:
    """The same on messages that were right but for a byte or a cut."""
    good = bytes.fromhex("44031000deadbeefb1350130013011 2a d1020a ff 616263".replace(" ", ""))
    raw = bytearray(good[: data.draw(st.integers(1, len(good)))])
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    if 20 <= raw[0] <= 25 and raw[1:2] == b"\xfe":
        return
    assert_same(columns_of(bytes(raw)), 0, decode(bytes(raw)))


@pytest.mark.parametrize(
    ("datagram", "error"),
    [
        ("4001", "shorter than a CoAP header of 4 bytes"),
        ("80010001", "version is not 1"),
        ("49010001", "token length is 9 to 12 or 15, which is reserved"),
        ("4f010001", "token length is 9 to 12 or 15, which is reserved"),
        ("44010001aa", "the message ends within its token"),
        ("4d010001ffaa", "the message ends within its token"),
        ("4e010001", "the message ends within its token"),
        ("4d00000100" + 13 * "aa", "an empty message (0.00) with bytes behind its header"),
        ("40000001ff", "an empty message (0.00) with bytes behind its header"),
        ("40010001f1", "option delta or length 15 is reserved"),
        ("40010001b535", "an option reaches beyond the message"),
        ("40010001b133ff", "a payload marker without payload"),
        ("40030001d10e07", "block size exponent 7 is reserved"),
        ("40030001d40e00000006", "a Block option of more than 3 bytes"),
    ],
)
def test_damage_has_a_name(datagram: str, error: str) -> None:
    """Each fault in one message, the same from both decoders."""
    raw = bytes.fromhex(datagram)
    assert (decode(raw).error, columns_of(raw).text("error", 0)) == (error, error)
    assert error in ERRORS


@pytest.mark.parametrize("length", [13, 14, 20, 268, 269, 270, 1000])
def test_extended_tokens(length: int) -> None:
    """RFC 8974: token lengths 13 and 14 stand for longer tokens; the columns and the plain decoder agree on them."""
    token = bytes(range(256)) * 4
    request = Message("CON", "0.01", 7, token[:length], ((11, b"5"), (11, b"0")))
    answer = Message("ACK", "2.05", 7, token[:length], ((12, b""),), b"1")
    assert (decode(encode(request)), decode(encode(answer))) == (request, answer)
    for one in (request, answer):
        columns = columns_of(encode(one))
        assert_same(columns, 0, one)
        assert columns.text("token", 0) == token[:length].hex()


#: A header, then options that begin well, so that what follows is looked at.
NEARLY_MESSAGES = st.builds(
    lambda code, token, options, tail, more: (
        encode(Message("CON", code, 7, token, options))[: None if more else -1] + tail
    ),
    st.sampled_from(["0.00", *CODES_IN_USE]),
    st.binary(max_size=8) | st.binary(min_size=13, max_size=300),
    st.lists(st.tuples(st.sampled_from([4, 11, 23, 27, 60, 2000]), st.binary(max_size=5)), max_size=5).map(tuple),
    st.binary(max_size=8),
    st.booleans(),
)


@given(st.binary(max_size=40) | NEARLY_MESSAGES)
@settings(max_examples=500)
def test_a_fault_is_found_without_decoding(datagram: bytes) -> None:
    """What an endpoint asks of each datagram is what the decoder says of it."""
    fault = fault_of(datagram)
    assert (None if fault is None else ERRORS[fault]) == decode(datagram).error


def test_codes_are_said_as_people_say_them() -> None:
    """Methods by name alone, responses with their number."""
    assert (code_name("0.02"), code_name("4.08")) == ("POST", "4.08 Request Entity Incomplete")


def test_control_characters_do_not_reach_a_terminal() -> None:
    """A Uri-Path of escape sequences is shown escaped."""
    message = Message("CON", "0.01", 1, options=((11, b"\x1b[31m"),))
    assert "\x1b" not in str(message)
    assert "\\x1b[31m" in str(message)


def test_a_few_messages_are_read_like_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one or in lock-step: ETags, a Block value of four bytes, a second Block option that would be wrong."""
    options = (((4, b"ab"), (11, b"5")), ((27, b"\0\0\0\6"),), ((27, b"\6"), (27, b"\7")), ((23, b"\7"), (23, b"\6")))
    messages = [encode(Message("CON", "0.03", 1, b"", one)) for one in options]
    shown = []
    for few in (0, 8):
        monkeypatch.setattr("lwm2m_lab.wire.options.FEW", few)
        columns = columns_of(*messages)
        texts = [columns.texts(name).tolist() for name in ("etag", "uri_path", "error")]
        shown.append([*texts, *(columns[f"{name}_num"].tolist() for name in ("block1", "block2"))])
    assert shown[0] == shown[1]
    assert shown[0][0] == ["6162", None, None, None]
    assert shown[0][2] == [None, "a Block option of more than 3 bytes", None, "block size exponent 7 is reserved"]
    assert shown[0][3] == [-1, -1, 0, -1]

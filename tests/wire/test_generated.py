"""Ten thousand generated messages: the columns against the plain decoder, aiocoap and tshark, field by field."""

from __future__ import annotations

import functools
import pathlib
import random
import warnings

import pytest

from lwm2m_lab.wire import Columns, coap, read_columns
from lwm2m_lab.wire.coap import Message, decode, encode
from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
from tests.tshark import as_ours, our_row, tshark_rows

SERVER = ("192.0.2.1", 5683)
MESSAGES = 10_000
#: Least and most bytes of each option, and whether it may be repeated (RFC 7252, 7641, 7959, 8613, 9175). OSCORE is
#: left empty: tshark gives a message up whose OSCORE option is noise.
OPTIONS = {
    1: (0, 8, True), 3: (1, 255, False), 4: (1, 8, True), 5: (0, 0, False), 6: (0, 3, False), 7: (0, 2, False),
    8: (0, 255, True), 9: (0, 0, False), 11: (0, 255, True), 12: (0, 2, False), 14: (0, 4, False), 15: (0, 255, True),
    16: (1, 1, False), 17: (0, 2, False), 20: (0, 255, True), 23: (0, 3, False), 27: (0, 3, False), 28: (0, 4, False),
    35: (1, 1034, False), 39: (1, 255, False), 60: (0, 4, False), 252: (1, 40, False), 258: (0, 1, False),
    292: (0, 8, True), 2049: (0, 300, True), 65000: (0, 20, True),
}  # fmt: skip
TEXT = {3, 8, 11, 15, 20, 35, 39}
CODES = ["0.01", "0.02", "0.03", "0.04", "0.05", "0.06", "0.07", "2.01", "2.04", "2.05", "2.31", "4.04", "4.08", "5.03"]


def value_of(r: random.Random, number: int) -> bytes:
    """A value that the option may have; numbers without leading zeros, as every sender writes them."""
    least, most, _ = OPTIONS[number]
    size = r.choice([least, min(most, 3), min(most, 13), r.randint(least, most)])
    size = max(least, size if r.random() < 0.97 else most)
    if number in TEXT:
        return bytes(r.choice(b"abcdefgh0123456789-._~=") for _ in range(size))
    value = bytearray(r.randbytes(size))
    if value and value[0] == 0:
        value[0] = 1
    if number in (23, 27) and value and value[-1] & 7 == 7:
        value[-1] &= 0xFE
    return bytes(value)


@functools.cache
def messages() -> list[Message]:
    """The messages; every other one resembles one before it, as in life."""
    r, made = random.Random(7252), []
    for mid in range(MESSAGES):
        if mid % 2 and r.random() < 0.8:
            model = r.choice(made[-40:])
            options = tuple((number, value_of(r, number) if number in (6, 23, 27) else value)
                            for number, value in model.options)  # fmt: skip
            made.append(Message(model.type, model.code, mid, model.token, options, model.payload))
            continue
        chosen = sorted(r.sample(sorted(OPTIONS), r.choice([0, 1, 2, 3, 4, 5, 12, len(OPTIONS)])))
        options = tuple((number, value_of(r, number)) for number in chosen
                        for _ in range(r.choice([1, 1, 2, 3, 8]) if OPTIONS[number][2] else 1))  # fmt: skip
        kind = r.choice(coap.TYPES[:3])
        payload = r.randbytes(r.choice([0, 0, 1, 16, 512]))
        made.append(Message(kind, r.choice(CODES), mid, r.randbytes(mid % 9), options, payload))
    return made


@functools.cache
def file() -> bytes:
    """Their capture: a hundred clients, each in its own flow."""
    packets = [
        Packet(at, udp_packet((f"192.0.2.{10 + at % 100}", 40000), SERVER, encode(one)))
        for at, one in enumerate(messages())
    ]
    return pcapng_bytes(packets, interfaces=[Interface()])


@functools.cache
def columns() -> Columns:
    """What the reader makes of it."""
    return read_columns(file())


def test_everything_is_generated() -> None:
    """Every option, token length and way to write a delta and a length comes up."""
    made = messages()
    assert {number for one in made for number, _ in one.options} == set(OPTIONS)
    assert {len(one.token) for one in made} == set(range(9))
    deltas = {b - a for one in made for (a, _), (b, _) in zip(((0, b""), *one.options), one.options, strict=False)}
    lengths = {len(value) for one in made for _, value in one.options}
    for found in (deltas, lengths):
        assert min(found) == 0
        assert {13, 268} & found or any(13 <= one < 269 for one in found)
        assert max(found) >= 269


def test_the_columns_are_the_plain_decoder() -> None:
    """All fields of all messages."""
    table = columns()
    assert table.rows == MESSAGES
    for row, message in enumerate(messages()):
        assert decode(table.datagram(row)) == message
        queries = message.values(coap.URI_QUERY)
        expected: dict[str, object] = {
            "type": message.type,
            "code": message.code,
            "mid": message.mid,
            "token": message.token.hex(),
            "uri_path": message.uri_path,
            "uri_query": b"&".join(queries).decode() if queries else None,
            "etag": message.values(coap.ETAG)[0].hex() if message.values(coap.ETAG) else None,
            "payload_length": len(message.payload),
            "error": None,
        }
        for name, option in (("observe", 6), ("content_format", 12), ("accept", 17), ("size1", 60), ("size2", 28)):
            found = message.values(option)
            expected[name] = int.from_bytes(found[0], "big") if found else None
        for name, block in (("block1", message.block1), ("block2", message.block2)):
            parts = (None, None, None) if block is None else (block.num, int(block.more), block.size)
            expected |= dict(zip((f"{name}_num", f"{name}_more", f"{name}_size"), parts, strict=True))
        assert our_row(table, row, list(expected)) == expected, row
        assert table.payload(row) == message.payload


def test_the_columns_are_aiocoaps() -> None:
    """What aiocoap's decoder, which knows nothing of ours, reads in the same bytes."""
    aiocoap = pytest.importorskip("aiocoap")
    table = columns()
    for row in range(table.rows):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = aiocoap.Message.decode(table.datagram(row))
        assert table.payload(row) == theirs.payload
        assert table.text("token", row) == theirs.token.hex()
        assert table.text("uri_path", row) == ("/" + "/".join(theirs.opt.uri_path) if theirs.opt.uri_path else None)
        for name in ("observe", "content_format", "accept", "size1", "size2"):
            value = getattr(theirs.opt, name)
            assert int(table[name][row]) == (-1 if value is None else int(value)), (row, name)
        for name in ("block1", "block2"):
            block = getattr(theirs.opt, name)
            ours = tuple(int(table[f"{name}_{part}"][row]) for part in ("num", "more", "size"))
            assert ours == ((-1, -1, -1) if block is None else (block.block_number, int(block.more), block.size))


def test_the_columns_are_tsharks(tmp_path: pathlib.Path, tshark: str) -> None:
    """And what Wireshark's dissector says of them."""
    path = tmp_path / "generated.pcapng"
    path.write_bytes(file())
    table = columns()
    rows = list(tshark_rows(tshark, path))
    assert len(rows) == MESSAGES
    for row, theirs in enumerate(map(as_ours, rows)):
        ours = our_row(table, row, list(theirs))
        # tshark names every ETag of a message, and leaves an option out that has no text.
        theirs["etag"] = theirs["etag"] and str(theirs["etag"]).split("|")[0]
        ours["uri_path"] = None if theirs["uri_path"] is None and ours["uri_path"] == "/" else ours["uri_path"]
        ours["uri_query"] = ours["uri_query"] or None
        assert ours == theirs, row

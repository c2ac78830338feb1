"""CoAP over TCP (RFC 8323): what aiocoap and libcoap said to each other, aiocoap's encoder, tshark; bytes that lie."""

from __future__ import annotations

import pathlib
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m_lab.wire import coap, coap_tcp, read_columns

#: aiocoap's client and libcoap's, one after the other, at aiocoap's server.
CAPTURE = pathlib.Path(__file__).parent / "data" / "coap-over-tcp.pcap"
CSM = coap_tcp.encode(coap.Message("NON", "7.01", 0, options=((2, b"\x04\x80"), (4, b""))))


def test_a_real_session() -> None:
    """Signals named, requests and answers with their options, bodies measured."""
    found = read_columns(CAPTURE).tcp_messages
    csm = "CSM, Max-Message-Size 1048576, Block-Wise-Transfer"
    assert [(one.frame, one.message.code, one.signal) for one in found[:2]] == [(4, "7.01", csm), (6, "7.01", csm)]
    asked, answer, put = found[2:5]
    assert (asked.message.uri_path, asked.message.token.hex(), asked.payload_length) == ("/fw.bin", "089a", 0)
    assert (answer.message.code, answer.payload_length, answer.message.values(coap.ETAG)) == ("2.05", 4800, [b"\1\2"])
    assert (put.message.code, put.payload_length) == ("0.03", 3000)
    assert found[8].signal == "Release"
    assert [one.error for one in found] == [None] * 13


def test_the_messages_are_tsharks(tshark: str) -> None:
    """Frame, code, token, path and query of every message."""
    fields = ["frame.number", "coap.code", "coap.token", "coap.opt.uri_path", "coap.opt.uri_query"]
    command = [tshark, "-r", str(CAPTURE), "-Y", "coap", "-T", "fields"]
    command += [part for field in fields for part in ("-e", field)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    theirs = [tuple(line.split("\t")) for line in shown.splitlines()]
    ours = []
    for one in read_columns(CAPTURE).tcp_messages:
        kind, detail = map(int, one.message.code.split("."))
        queries = ",".join(value.decode() for value in one.message.values(coap.URI_QUERY))
        path = (one.message.uri_path or "")[1:] if one.signal is None else ""
        ours.append((str(one.frame), str(kind << 5 | detail), one.message.token.hex(), path, queries))
    assert ours == theirs


@given(
    code=st.sampled_from(["0.01", "0.03", "2.05", "4.04"]), token=st.binary(max_size=8), payload=st.integers(0, 70_000),
    path=st.lists(st.text(min_size=1, max_size=9), max_size=4), size=st.sampled_from([1, 7, 1400]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_what_aiocoap_encodes_is_decoded(
    Talk: Any, code: str, token: bytes, payload: int, path: list[str], size: int
) -> None:
    """Every length of length, whatever the segments cut."""
    aiocoap = pytest.importorskip("aiocoap")
    from aiocoap.transports import tcp

    kind, detail = map(int, code.split("."))
    message = aiocoap.Message(code=aiocoap.Code(kind << 5 | detail), payload=bytes(payload), _token=token)
    message.opt.uri_path = tuple(path)
    text = CSM + tcp._serialize(message)
    talk = Talk(server=("192.0.2.1", 9999)).open().answers(CSM)
    talk.asks(text[: len(CSM)])
    for at in range(len(CSM), min(len(text), 60 * size), size):
        talk.asks(text[at : at + size])
    # What is left may be more than one packet can carry.
    left = len(CSM) + len(range(len(CSM), min(len(text), 60 * size), size)) * size
    for at in range(left, len(text), 60_000):
        talk.asks(text[at : at + 60_000])
    (one,) = (one for one in talk.columns().tcp_messages if one.signal is None)
    assert (one.message.code, one.message.token, one.payload_length) == (code, token, payload)
    assert one.message.values(coap.URI_PATH) == [part.encode() for part in path]
    assert one.error is None
    mine = coap.Message("NON", code, 0, token, tuple((11, part.encode()) for part in path), bytes(payload))
    assert coap_tcp.encode(mine) == text[len(CSM) :]


def test_other_tcp_is_no_coap(Talk: Any) -> None:
    """Off its port CoAP is told by a CSM each way; one side alone, or something else, is none."""
    talk = Talk(server=("192.0.2.1", 9999)).open().asks(CSM).answers(b"220 mail.example ready\r\n")
    assert talk.columns().tcp_messages == []
    on_port = (
        Talk(server=("192.0.2.1", 5683)).open().asks(b"GET / HTTP/1.1\r\n\r\n").answers(b"HTTP/1.1 200 OK\r\n\r\n")
    )
    assert on_port.columns().tcp_messages == []


def test_blocks_of_bert(Talk: Any) -> None:
    """Exponent 7 is no fault here: blocks in units of 1024 bytes."""
    get = coap.Message("NON", "2.05", 0, b"t", ((coap.BLOCK2, b"\x4f"),), bytes(3072))
    talk = Talk(server=("192.0.2.1", 5683)).open().asks(CSM).answers(CSM + coap_tcp.encode(get))
    one = talk.columns().tcp_messages[-1]
    assert (one.message.block2, one.payload_length, one.error) == (coap.Block(4, True, 7), 3072, None)


def test_a_hole_ends_what_can_be_told(Talk: Any) -> None:
    """The message that the hole is in says so; where the next begins its length still tells."""
    put = coap_tcp.encode(coap.Message("NON", "0.03", 0, b"t", (), bytes(2000)))
    talk = Talk(server=("192.0.2.1", 5683)).open().answers(CSM).asks(CSM).asks(put[:500])
    talk.sent[0] += 100
    talk.asks(put[600:] + coap_tcp.encode(coap.Message("NON", "7.02", 0)))
    _, _, broken, ping = talk.columns().tcp_messages
    assert (broken.error, broken.payload_length) == (coap_tcp.BEYOND, 1900)
    assert ping.signal == "Ping"


@pytest.mark.parametrize(
    ("option", "code", "said"),
    [
        ((2, b"\x04\x80"), "7.01", "CSM, Max-Message-Size 1152"), ((2, b""), "7.02", "Ping, Custody"),
        ((2, b""), "7.03", "Pong, Custody"), ((2, b"host:1"), "7.04", "Release, Alternative-Address host:1"),
        ((4, b"\x3c"), "7.04", "Release, Hold-Off 60"), ((2, b"\x09"), "7.05", "Abort, Bad-CSM-Option 9"),
        ((99, b"\x01"), "7.01", "CSM, option 99 1"),
    ],
)  # fmt: skip
def test_signals_say_what_they_are(option: tuple[int, bytes], code: str, said: str) -> None:
    """CSM, Ping, Pong, Release and Abort with their options (RFC 8323, 5)."""
    message = coap.Message("NON", code, 0, options=(option,))
    assert coap_tcp.TcpMessage(1, 0, "", "", message, 0, None).signal == said


@given(st.binary(max_size=200), st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_no_bytes_do_harm(Talk: Any, one: bytes, other: bytes) -> None:
    """Whatever follows the CSM of each side: rows or an error, never an exception."""
    talk = Talk(server=("192.0.2.1", 5683)).open().asks(CSM + one).answers(CSM + other)
    found = talk.columns().tcp_messages
    assert len(found) <= 4 + len(one) + len(other)
    assert sum(one.payload_length for one in found) <= len(one) + len(other)

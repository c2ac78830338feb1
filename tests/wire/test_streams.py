"""TCP put together: order, overlap, wrap, holes, reuse of ports, and what is none of our business."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m_lab.wire import Columns, read_columns, segments
from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
from lwm2m_lab.wire.streams import Connection, connections

FIN, SYN, RST, ACK = 1, 2, 4, 16
TEXT = b"GET /fw.bin HTTP/1.1\r\nHost: repository\r\n\r\n"


def built(columns: Columns, look: int = segments.HTTP) -> list[Connection]:
    """The connections of a capture."""
    return connections(columns.segments, look, columns.bytes_at)


def client_text(talk: Any) -> bytes:
    """What the client of the only connection said, up to a hole."""
    (one,) = built(talk.columns())
    return one.client.read(0, one.client.stop)


def test_segments_in_order(Talk: Any) -> None:
    """The stream is what was sent; the ends, the beginning and the end are known."""
    (one,) = built(Talk().open().asks(TEXT[:10]).asks(TEXT[10:]).answers(b"HTTP/1.1 204 \r\n\r\n").close().columns())
    assert (one.client.source, one.server.source) == ("192.0.2.2:40000", "192.0.2.1:8080")
    assert one.client.read(0, 999) == TEXT
    assert (one.client.from_start, one.server.end, one.client.end) == (True, 17, None)
    assert [one.client.frame_at(at) for at in (0, 9, 10, 999)] == [4, 4, 5, 0]


@pytest.mark.parametrize("first", [0, 1000, 2**32 - 1, 2**32 - 5, 2**31 - 3])
@given(order=st.permutations(range(6)))
@settings(max_examples=25, deadline=None)
def test_any_order_and_any_first_sequence_number(Talk: Any, first: int, order: list[int]) -> None:
    """Reordering and the wrap of the sequence number change nothing; nor does what comes twice."""
    talk = Talk(first=(first, 7)).open()
    for at in [*order, *order[:3]]:
        talk.segment(0, TEXT[7 * at : 7 * at + 7], at=7 * at)
    (one,) = built(talk.columns())
    assert one.client.read(0, 999) == TEXT
    assert one.client.retransmitted == 3


@given(cuts=st.lists(st.tuples(st.integers(0, 42), st.integers(1, 43)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_overlaps_fill_and_holes_stay(Talk: Any, cuts: list[tuple[int, int]]) -> None:
    """Whatever pieces came: what is there is right, what is not there is missing, and no byte counts twice."""
    talk = Talk().open()
    talk.segment(0, TEXT[:4], at=0)
    seen = set(range(4))
    for at, size in cuts:
        talk.segment(0, TEXT[at : at + size], at=at)
        seen |= set(range(at, min(at + size, len(TEXT))))
    (one,) = built(talk.columns())
    reach = next((at for at in range(len(TEXT)) if at not in seen), len(TEXT))
    assert one.client.read(0, len(TEXT)) == TEXT[:reach]
    assert one.client.reach(0) == reach
    assert one.client.missing(0, len(TEXT)) == len(TEXT) - len(seen)
    assert {at for at in range(len(TEXT)) if one.client.frame_at(at)} == seen


def test_a_hole_costs_nothing(Talk: Any) -> None:
    """A sequence number that jumps by a gigabyte is a hole of a gigabyte, in no memory."""
    talk = Talk().open().asks(TEXT)
    talk.segment(0, b"far away", at=2**30)
    (one,) = built(talk.columns())
    assert one.client.missing(0, one.client.stop) == 2**30 - len(TEXT)
    assert one.client.read(0, 2**31) == TEXT


def test_a_capture_that_begins_in_the_middle(Talk: Any) -> None:
    """Without a SYN the first byte seen is offset 0, and the client is who asks."""
    talk = Talk()
    talk.sent = [500, 900]
    talk.answers(b"HTTP/1.1 204 \r\n\r\n").asks(TEXT)
    (one,) = built(talk.columns())
    assert one.client.source == "192.0.2.2:40000"
    assert (one.client.from_start, one.client.read(0, 4)) == (False, b"GET ")


def test_the_same_ports_again(Talk: Any) -> None:
    """A SYN with another sequence number is another connection; its own retransmission is not."""
    first = Talk().open().asks(TEXT)
    first.segment(0, flags=SYN, at=0)
    again = Talk(first.packets, first=(9_000_000, 1)).open().asks(b"GET /2 HTTP/1.1\r\n\r\n")
    found = built(again.columns())
    assert [one.client.read(0, 6) for one in found] == [TEXT[:6], b"GET /2"]
    assert [one.server.from_start for one in found] == [True, True]


def test_a_reset(Talk: Any) -> None:
    """An aborted connection says so on both sides."""
    (one,) = built(Talk().open().asks(TEXT).close(RST).columns())
    assert (one.client.reset, one.server.reset, one.server.end) == (True, True, None)


def test_a_snap_length_leaves_a_hole(Talk: Any) -> None:
    """Bytes that the capture cut off are missing, not moved together."""
    talk = Talk().open().asks(TEXT).asks(b"X" * 8)
    cut = [Packet(one.time_ns, one.data[:60]) for one in talk.packets]
    data = pcapng_bytes(cut, interfaces=[Interface("x")])
    (one,) = built(read_columns(data))
    assert (one.client.read(0, 999), one.client.missing(0, 51)) == (TEXT[:20], 23)


@pytest.mark.parametrize("ends", [(("2001:db8::2", 4000), ("2001:db8::1", 80)), (("10.0.0.1", 4000), ("10.0.0.2", 80))])
@pytest.mark.parametrize("linktype", [1, 101, 113, 276, 0, 108])
def test_every_link_type(Talk: Any, linktype: int, ends: Any) -> None:
    """Ethernet with a tag and padding behind short packets, cooked, loopback and raw captures."""
    talk = Talk(client=ends[0], server=ends[1]).open().asks(TEXT)
    six = ":" in ends[0][0]
    kind = b"\x86\xdd" if six else b"\x08\x00"
    head = {
        1: bytes(12) + b"\x81\x00\x00\x05" + kind, 101: b"", 113: bytes(14) + kind, 276: kind + bytes(18),
        0: struct.pack("<I", 30 if six else 2), 108: struct.pack(">I", 30 if six else 2),
    }[linktype]  # fmt: skip
    packets = [Packet(one.time_ns, head + one.data + bytes(6 if linktype == 1 else 0)) for one in talk.packets]
    (one,) = built(read_columns(pcapng_bytes(packets, interfaces=[Interface("x", linktype)])))
    assert one.client.read(0, 999) == TEXT


def test_other_tcp_is_let_go(Talk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that show nothing of ours are dropped while the capture is read; those of ours stay whole."""
    monkeypatch.setattr(segments, "GATHERED", 50)
    monkeypatch.setattr("lwm2m_lab.wire.pcap.WINDOW", 4096)
    talk = Talk().open().asks(TEXT)
    for port in range(50000, 50200):
        noise = Talk(talk.packets, client=("198.51.100.9", port), server=("192.0.2.1", 22)).open()
        noise.asks(b"SSH-2.0-x").answers(b"SSH-2.0-y")
    talk.answers(b"HTTP/1.1 204 \r\n\r\n")
    columns = talk.columns()
    assert columns.segments.total == len(talk.packets)
    assert len(columns.segments.columns()["frame"]) < 500
    (one,) = built(columns)
    assert one.server.read(0, 12) == b"HTTP/1.1 204"


def test_a_capture_without_tcp_collects_nothing() -> None:
    """UDP alone leaves no trace here."""
    packet = udp_packet(("192.0.2.1", 5683), ("192.0.2.2", 5683), bytes.fromhex("4001000db133"))
    columns = read_columns(pcapng_bytes([Packet(0, packet)], interfaces=[Interface("x")]))
    assert (columns.segments.total, built(columns), columns.http, columns.tcp_messages) == (0, [], [], [])


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 63), st.integers(0, 2**32 - 1), st.binary(max_size=40))))
@settings(max_examples=80, deadline=None)
def test_no_segments_do_harm(Talk: Any, parts: list[tuple[int, int, int, bytes]]) -> None:
    """Any flags, any sequence numbers, any bytes, on the port of CoAP too: never an exception."""
    for port in (5683, 80):
        talk = Talk(server=("192.0.2.1", port))
        for side, flags, at, payload in parts:
            talk.segment(side, payload, flags, at=at)
        columns = talk.columns()
        assert len(columns.http) + len(columns.tcp_messages) <= 2 * len(parts) * 40
        assert all(one.payload_length >= 0 for one in columns.tcp_messages)


def test_bytes_repeated_as_others_are_said(Talk: Any) -> None:
    """A retransmission is the same again; one that is not, wholly or in part, is disputed; a keep-alive is neither."""
    talk = Talk().open().asks(b"GET /fw.bin HTTP/1.1\r\n\r\n")
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n"
    talk.answers(head + b"a" * 20)
    at = len(head)
    talk.segment(1, b"a" * 10, at=at + 10)
    talk.segment(1, b"\0", at=at + 19)
    other = talk.segment(1, b"ab" * 10, at=at + 10)
    talk.answers(b"c" * 10)
    whole = talk.segment(1, b"d" * 5, at=at + 32)
    (exchange,) = talk.columns().http
    assert exchange.disputed == (other, whole)
    assert exchange.body() == b"a" * 20 + b"ab" * 5 + b"c" * 10


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12), st.booleans()), max_size=12))
def test_only_what_differs_is_disputed(Talk: Any, parts: list[tuple[int, int, bool]]) -> None:
    """Byte by byte: what a packet says against what the stream has there."""
    talk = Talk().open().asks(b"GET /fw.bin HTTP/1.1\r\n\r\n")
    truth = bytes(range(100, 150))
    said = {talk.segment(1, b"HTTP/1.1 200 OK\r\n\r\n" + truth[:2]): b""}
    head = 19
    for begin, size, lies in parts:
        text = bytes(size) if lies else truth[begin : begin + size]
        said[talk.segment(1, text, at=head + begin)] = text
    (connection,) = built(talk.columns())
    stream = connection.server
    found = {frame for _, _, frame in stream.disputed}
    offsets = {frame: head + begin for frame, (begin, _, _) in zip([*said][1:], parts, strict=True)}
    differ = {
        frame
        for frame, offset in offsets.items()
        if len(said[frame]) > 1 and stream.read(offset, offset + len(said[frame])) != said[frame]
    }
    assert found == differ

"""HTTP out of captures: Python's server and curl, seen by tshark too; and what no well-kept server does."""

from __future__ import annotations

import hashlib
import pathlib
import subprocess
from typing import Any

import pytest

from lwm2m_lab.wire import read_columns
from lwm2m_lab.wire.http import ContentRange, HttpExchange

#: Python's http.server with Range, chunks and redirections, asked by curl; the last connection pipelines.
CAPTURE = pathlib.Path(__file__).parent / "data" / "http.pcap"
BODY = b"".join(hashlib.sha256(bytes([at & 255, at >> 8])).digest() for at in range(150))
GET = b"GET /fw.bin HTTP/1.1\r\nHost: repository:8080\r\n\r\n"


def answered(talk: Any) -> list[HttpExchange]:
    """The exchanges of a connection that was written down."""
    found: list[HttpExchange] = talk.columns().http
    return found


def test_a_real_session() -> None:
    """Keep-alive, HEAD, chunks, until close, ranges, gzip, errors, redirection, pipelining."""
    found = read_columns(CAPTURE).http
    assert [(one.method, one.target, one.status) for one in found] == [
        ("GET", "/fw.bin?v=2", 200), ("GET", "/nothing.bin", 404), ("GET", "/gzip.bin", 200), ("HEAD", "/fw.bin", 200),
        ("GET", "/chunked.bin", 200), ("GET", "/close.bin", 200), ("GET", "/fw.bin", 206), ("GET", "/fw.bin", 206),
        ("GET", "/moved.bin", 302), ("GET", "/fw.bin", 200), ("GET", "/busy.bin", 503), ("GET", "/fw.bin", 200),
        ("HEAD", "/gone", 404), ("GET", "/busy.bin", 503),
    ]  # fmt: skip
    assert all(one.complete for one in found)
    whole = hashlib.sha256(BODY).hexdigest()
    assert [one.target for one in found if one.sha256 == whole] == [
        "/fw.bin?v=2", "/chunked.bin", "/close.bin", "/fw.bin", "/fw.bin",
    ]  # fmt: skip
    first, second = (one for one in found if one.status == 206)
    assert first.body() + second.body() == BODY
    assert [one.content_range for one in (first, second)] == [ContentRange(0, 4800), ContentRange(2048, 4800)]
    assert {one.etag for one in (first, second)} == {'"v1"'}
    assert (found[2].response["content-encoding"], found[2].body()[:2]) == ("gzip", b"\x1f\x8b")


def test_frames_and_answers_are_tsharks(tshark: str) -> None:
    """Request, status and last packet of each exchange; where requests are pipelined tshark takes the body of a HEAD's
    answer from the next one, so the last connection is left to the other tests."""
    fields = ["frame.number", "http.request.method", "http.request.uri", "http.response.code", "http.content_length"]
    command = [tshark, "-r", str(CAPTURE), "-Y", "http && tcp.stream < 8", "-T", "fields"]
    command += [part for field in fields for part in ("-e", field)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split("\t") for line in shown.splitlines()]
    theirs = [
        (int(one[0]), one[1], one[2], int(two[0]), int(two[3]), two[4])
        for one, two in zip(rows[::2], rows[1::2], strict=True)
    ]
    ours = [
        (
            one.frame, one.method, one.target, one.last_frame, one.status,
            "" if one.content_length is None else str(one.content_length),
        )
        for one in read_columns(CAPTURE).http
    ]  # fmt: skip
    assert theirs == ours[: len(theirs)]
    assert len(theirs) == 11


def test_a_hole_in_a_body_is_said(Talk: Any) -> None:
    """The bytes are counted, nothing is filled in, and the next answer is found behind it."""
    talk = Talk().open().asks(GET * 2).answers(b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n" + b"A" * 1000)
    talk.sent[1] += 500
    talk.answers(b"B" * 1500 + b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    first, second = answered(talk)
    assert (first.status, first.body_length, first.missing, first.complete) == (200, 2500, 500, False)
    assert (first.sha256, first.body()) == (None, b"A" * 1000)
    assert (second.status, second.complete) == (404, True)


def test_a_connection_that_breaks_off(Talk: Any) -> None:
    """A reset leaves a body that is not whole; without a length nobody knows how much was to come."""
    told = (
        Talk().open().asks(GET).answers(b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n" + bytes(700)).close(flags=4)
    )
    untold = Talk().open().asks(GET).answers(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(700)).close(flags=4)
    closed = Talk().open().asks(GET).answers(b"HTTP/1.0 200 OK\r\n\r\n" + bytes(700)).close()
    assert [(one.body_length, one.missing, one.complete) for (one,) in map(answered, (told, untold, closed))] == [
        (700, 2300, False), (700, None, False), (700, 0, True),
    ]  # fmt: skip


def test_an_answer_without_its_request(Talk: Any) -> None:
    """What the capture did not see is missing, and nothing else is put in its place."""
    talk = Talk()
    talk.sent = [400, 900]
    talk.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").asks(GET).answers(
        b"HTTP/1.1 204 No Content\r\n\r\n"
    )
    first, second = answered(talk)
    assert (first.method, first.status, first.request_frame, first.frame) == (None, 200, 0, 1)
    assert (second.method, second.status) == ("GET", 204)


def test_a_capture_that_begins_within_a_body(Talk: Any) -> None:
    """The rest of a body is no answer; what follows it is."""
    talk = Talk()
    talk.sent = [400, 900]
    talk.answers(bytes(2500)).asks(GET).answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    (one,) = answered(talk)
    assert (one.method, one.status, one.body()) == ("GET", 200, b"ok")


def test_a_request_without_answer(Talk: Any) -> None:
    """It is there, without a status."""
    (one,) = answered(Talk().open().asks(GET))
    assert (one.status, one.complete, one.host, one.last_frame) == (None, False, "repository:8080", 4)


def test_an_interim_answer_is_none(Talk: Any) -> None:
    """100 Continue precedes the answer (RFC 9110, 15.2)."""
    talk = (
        Talk().open().asks(GET).answers(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
    )
    (one,) = answered(talk)
    assert (one.status, one.body()) == (200, b"x")


def test_chunks_with_a_hole(Talk: Any) -> None:
    """A hole within a chunk is counted; one in a chunk's header ends what can be told."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    inside = Talk().open().asks(GET).answers(head + b"3e8\r\n" + bytes(300))
    inside.sent[1] += 100
    inside.answers(bytes(600) + b"\r\n0\r\n\r\n")
    (one,) = answered(inside)
    assert (one.body_length, one.missing, one.complete) == (900, 100, False)
    header = Talk().open().asks(GET).answers(head + b"3\r\nabc\r\n")
    header.sent[1] += 3
    header.answers(bytes(600))
    (one,) = answered(header)
    assert (one.body_length, one.missing, one.complete) == (3, None, False)


@pytest.mark.parametrize(
    "said", [b"Content-Length: 99999999999999999", b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n\r\n"]
)
def test_lengths_that_lie_cost_nothing(Talk: Any, said: bytes) -> None:
    """A body of exabytes is missing, in no memory."""
    (one,) = answered(Talk().open().asks(GET).answers(b"HTTP/1.1 200 OK\r\n" + said + b"\r\n\r\nabc"))
    assert one.complete is False
    assert one.missing is None or one.missing > 10**16


def test_two_lengths_that_differ_are_none(Talk: Any) -> None:
    """Then the body ends with the connection (RFC 9112, 6.3 would refuse it)."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n"
    (one,) = answered(Talk().open().asks(GET).answers(head + b"abcd").close())
    assert (one.content_length, one.body()) == (None, b"abcd")


def test_a_client_with_the_port_of_coap(Talk: Any) -> None:
    """What begins like HTTP is HTTP, whatever its port."""
    talk = Talk(client=("192.0.2.2", 5683)).open().asks(GET).answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    (one,) = answered(talk)
    assert (one.status, one.body()) == (200, b"ok")
    assert talk.columns().tcp_messages == []

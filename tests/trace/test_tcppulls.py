"""Pulls by CoAP over TCP as part of an update: whole, by BERT, broken and resumed, refused, unanswered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.wire import coap, coap_tcp

CSM = coap_tcp.encode(coap.Message("NON", "7.01", 0, options=((2, b"\x10\x00\x00"), (4, b""))))
URI = "coap+tcp://192.0.2.1:8080/fw/a.bin?v=2"
SZX, BERT = 6, 7


def block(number: int, more: bool, szx: int) -> bytes:
    """A Block2 option."""
    value = number << 4 | more << 3 | szx
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def get(number: int = 0, szx: int = SZX, *, token: bytes = b"t", path: bytes = b"a.bin") -> bytes:
    """The request for a block."""
    options = ((11, b"fw"), (11, path), (15, b"v=2"), (23, block(number, False, szx)))
    return coap_tcp.encode(coap.Message("NON", "0.01", 0, token, options))


def content(
    image: bytes, number: int = 0, size: int = 1024, szx: int = SZX, *, token: bytes = b"t", etag: bytes = b"e"
) -> bytes:
    """The answer with a block."""
    at = number * 1024
    options = ((4, etag), (23, block(number, at + size < len(image), szx)))
    return coap_tcp.encode(coap.Message("NON", "2.05", 0, token, options, image[at : at + size]))


def code(digits: str) -> bytes:
    """An answer without a body."""
    return coap_tcp.encode(coap.Message("NON", digits, 0, b"t"))


@pytest.fixture
def told(ready: Any) -> Any:
    """A device that was told where its package is."""
    ready.exchange("0.03", "/5/0/1", "2.04", payload=URI.encode(), content_format=0)
    return ready


def opened(session: Any, Talk: Any, port: int = 41000, host: str = "192.0.2.2") -> Any:
    """A connection of CoAP among the packets of a session."""
    talk = Talk(session.packets, client=(host, port), now=session.now, first=(port, 7 * port)).open()
    return talk.asks(CSM).answers(CSM)


def only(session: Any) -> lab.Update:
    """The one update."""
    capture = session.capture()
    assert len(capture.updates) == 1
    return capture.update(0)


def download(talk: Any, image: bytes, numbers: Iterable[int], **more: Any) -> None:
    """Block after block."""
    for number in numbers:
        talk.asks(get(number)).answers(content(image, number, **more))


def blocks(image: bytes) -> int:
    """Of 1024 bytes."""
    return -(-len(image) // 1024)


def test_a_pull(told: Any, Talk: Any, image: bytes) -> None:
    """The update has its image, the answer, the blocks and the frames of the download."""
    download(opened(told, Talk), image, range(blocks(image)))
    last = len(told.packets)
    told.notify("/5/0/3", 2)
    update = only(told)
    assert (update.delivery, update.image_size, update.image_accepted) == ("pull", len(image), True)
    assert update.image_sha256 == hashlib.sha256(image).hexdigest()
    assert (update.block_sizes, update.evidence.last_frame, update.evidence.final_code) == ((1024,), last, "2.05")
    assert update.evidence.info is not None
    assert update.evidence.info.version == "2.1.0"


@pytest.mark.parametrize("units", [1, 2, 3, 100])
def test_blocks_of_bert(told: Any, Talk: Any, image: bytes, units: int) -> None:
    """Exponent 7: several blocks of 1024 bytes in a message, counted in 1024 bytes."""
    talk = opened(told, Talk)
    for number in range(0, blocks(image), units):
        talk.asks(get(number, BERT)).answers(content(image, number, 1024 * units, BERT))
    update = only(told)
    assert update.image_sha256 == hashlib.sha256(image).hexdigest()
    assert update.block_sizes == (1024,)


def test_a_body_in_one_message(told: Any, Talk: Any, image: bytes) -> None:
    """TCP takes messages of any length."""
    whole = coap_tcp.encode(coap.Message("NON", "2.05", 0, b"t", (), image))
    opened(told, Talk).asks(get()).answers(whole)
    assert only(told).image_sha256 == hashlib.sha256(image).hexdigest()


def test_a_pull_that_broke_off_goes_on_in_another_connection(told: Any, Talk: Any, image: bytes) -> None:
    """While the ETag is the same; another one makes another body."""
    download(opened(told, Talk, 41000), image, range(1))
    again = opened(told, Talk, 41001)
    download(again, image, range(1, blocks(image)))
    assert only(told).image_sha256 == hashlib.sha256(image).hexdigest()


def test_another_etag_is_another_body(told: Any, Talk: Any, image: bytes) -> None:
    """Its beginning is missing."""
    download(opened(told, Talk, 41000), image, range(1))
    download(opened(told, Talk, 41001), image, range(1, blocks(image)), etag=b"f")
    update = only(told)
    assert update.image_sha256 is None
    assert update.cause == (
        f"the answers by CoAP over TCP brought {len(image)} bytes up to frame {len(told.packets)}, "
        "which are not the whole package"
    )


def test_a_block_that_is_missing(told: Any, Talk: Any, image: bytes) -> None:
    """No image is made up."""
    download(opened(told, Talk), image, [0, *range(2, blocks(image))])
    assert only(told).image_sha256 is None


def test_a_pull_that_is_refused(told: Any, Talk: Any) -> None:
    """The repository's answer is the cause."""
    opened(told, Talk).asks(get()).answers(code("4.04"))
    update = only(told)
    assert (update.outcome, update.image_accepted, update.evidence.refused_by) == ("failed", False, "repository")
    assert update.evidence.final_code == "4.04"


def test_a_pull_by_http_that_is_refused_last(ready: Any, Talk: Any) -> None:
    """The last packet of a capture may be the answer over TCP that ends the update: it has its time."""
    ready.exchange("0.03", "/5/0/1", "2.04", payload=b"http://192.0.2.1:8080/a", content_format=0)
    talk = Talk(ready.packets, now=ready.now).open()
    talk.asks(b"GET /a HTTP/1.1\r\nHost: 192.0.2.1:8080\r\n\r\n")
    talk.answers(b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n")
    update = only(ready)
    assert (update.outcome, update.image_accepted) == ("failed", False)
    assert update.duration_s == pytest.approx(0.1, abs=0.1)


def test_a_request_without_an_answer(told: Any, Talk: Any, image: bytes) -> None:
    """It is named."""
    talk = opened(told, Talk)
    download(talk, image, range(2))
    talk.asks(get(2))
    update = only(told)
    assert update.cause is not None
    assert "GET /fw/a.bin by CoAP over TCP" in update.cause


def test_what_others_fetch_is_theirs(told: Any, Talk: Any, image: bytes) -> None:
    """Another path, another host while the device's own is there."""
    other = bytes(len(image))
    download(opened(told, Talk, 41000, "192.0.2.77"), other, range(blocks(other)))
    talk = opened(told, Talk, 41001)
    talk.asks(get(path=b"b.bin")).answers(content(other, 0))
    download(talk, image, range(blocks(image)))
    assert only(told).image_sha256 == hashlib.sha256(image).hexdigest()

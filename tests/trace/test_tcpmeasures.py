"""A download over TCP counted and timed: every byte in one layer, what was sent again apart, whose each silence is."""

from __future__ import annotations

from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.wire.coap import Message
from lwm2m_lab.wire.coap_tcp import encode

GET = b"GET /a.bin HTTP/1.1\r\nHost: 192.0.2.1:8080\r\n\r\n"


def head(size: int) -> bytes:
    """What stands before a body."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size


@pytest.fixture
def told(ready: Any) -> Any:
    """A device that was told where its package is."""
    ready.exchange("0.03", "/5/0/1", "2.04", payload=b"http://192.0.2.1:8080/a.bin", content_format=0)
    return ready


def downloaded(session: Any, Talk: Any, image: bytes, *, lost: bool = False, pause: float = 0.0) -> lab.Update:
    """The one update: its package in segments of 1000 bytes; the second one sent again, or late."""
    talk = Talk(session.packets, client=(session.device[0], 41000), now=session.now).open().asks(GET)
    answer = head(len(image)) + image
    talk.answers(answer[:1000])
    talk.segment(0)
    if lost:
        talk.answers(answer[1000:2000])
        talk.now += 1.0
        talk.segment(1, answer[1000:2000], at=1000)
    talk.now += pause
    talk.answers(answer[2000 if lost else 1000 :])
    talk.segment(0)
    talk.close()
    session.now = talk.now
    session.notify("/5/0/3", 2)
    return session.capture().update(0)


def test_every_byte_of_a_download_by_http_is_in_one_layer(told: Any, Talk: Any, image: bytes) -> None:
    """The sum over the layers is that of all packets from the first Write on; bare acknowledgements stand apart."""
    update = downloaded(told, Talk, image)
    cost, first = update.cost(), update.frames[0]
    assert cost.total_bytes == sum(len(one.data) for one in told.packets[first - 1 : update.frames[1]])
    layers = cost.layers
    assert layers.loc["payload", "down"] >= len(image)
    assert layers.loc["HTTP", "up"] == len(GET)
    assert layers.loc["HTTP", "down"] == len(head(len(image)))
    # The third segment of the handshake, and two of the download; each without options.
    assert layers.loc["TCP ACK", "up"] == 3 * 20
    assert cost.again_bytes == 0
    assert "not counted" not in str(cost)


def test_what_tcp_sent_again_stands_apart(told: Any, Talk: Any, image: bytes) -> None:
    """One segment of 1000 bytes with its headers, of 24 and 20 bytes."""
    cost = downloaded(told, Talk, image, lost=True).cost()
    assert cost.again_bytes == 1000 + 24 + 20
    assert cost.layers.loc["payload", "down_again"] == 1000


def test_a_silence_of_the_repository_is_a_gap(told: Any, Talk: Any, image: bytes) -> None:
    """In mid-download, where no CoAP message is near."""
    update = downloaded(told, Talk, image, pause=200.0)
    (gap,) = update.cost(nat_timeout_s=120).gaps
    assert (gap.door, gap.by, round(gap.seconds)) == ("NAT", "server", 200)
    lost = update.measures().lost
    assert (round(lost.sender_s), lost.retransmission_s, lost.receiver_s) == (200, 0.0, 0.0)


def test_the_time_of_a_download(told: Any, Talk: Any, image: bytes) -> None:
    """Round trips of SYN and request; a retransmission after a second; goodput and efficiency from what is there."""
    found = downloaded(told, Talk, image, lost=True).measures()
    assert (found.blocks, found.payload_bytes, found.retransmissions, found.needed) == (1, len(image), 1, 1)
    assert found.rtt_min_s == pytest.approx(0.01, abs=1e-6)
    assert found.lost.retransmission_s == pytest.approx(1.0, abs=0.02)
    assert found.goodput_bytes_s == pytest.approx(len(image) / found.duration_s)
    assert found.efficiency == pytest.approx(len(image) / found.wire_bytes)
    assert found.factor > 1
    assert "by HTTP" in str(found)


def test_a_download_by_coap_over_tcp(ready: Any, Talk: Any, image: bytes) -> None:
    """Blocks of 1024 bytes; one round trip each, CoAP instead of HTTP."""
    ready.exchange("0.03", "/5/0/1", "2.04", payload=b"coap+tcp://192.0.2.1/a.bin", content_format=0)
    ends: dict[str, Any] = {"client": (ready.device[0], 41000), "server": ("192.0.2.1", 5683)}
    talk = Talk(ready.packets, **ends, now=ready.now).open()
    csm = encode(Message("NON", "7.01", 0))
    talk.asks(csm).answers(csm)
    blocks = [image[at : at + 1024] for at in range(0, len(image), 1024)]
    for number, part in enumerate(blocks):
        option = (number << 4 | (number + 1 < len(blocks)) << 3 | 6).to_bytes(1, "big")
        talk.asks(encode(Message("NON", "0.01", 0, b"t", ((11, b"a.bin"), (23, option)))))
        talk.answers(encode(Message("NON", "2.05", 0, b"t", ((23, option),), part)), size=2000)
    ready.now = talk.now
    ready.notify("/5/0/3", 2)
    update = ready.capture().update(0)
    cost, found = update.cost(), update.measures()
    assert cost.total_bytes == sum(len(one.data) for one in ready.packets[update.frames[0] - 1 : update.frames[1]])
    assert cost.layers.loc["HTTP", "total"] == 0
    assert found.payload_bytes == len(image)
    assert found.block_delay_median_s == pytest.approx(0.02)
    assert "by CoAP over TCP" in str(found)


def test_a_download_that_is_not_in_the_capture_has_no_measures(told: Any) -> None:
    """It is said, and so is what would have been measured."""
    told.notify("/5/0/3", 2)
    with pytest.raises(BadInput, match="a pull by CoAP or HTTP, is expected"):
        told.capture().update(0).measures()

"""Pulls by HTTP as part of an update, and the tables of what came over TCP."""

from __future__ import annotations

import hashlib
import pathlib
from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes

DATA = pathlib.Path(__file__).resolve().parents[1] / "wire" / "data"
URI = "http://192.0.2.1:8080/fw.bin?v=2"
GET = b"GET /fw.bin?v=2 HTTP/1.1\r\nHost: 192.0.2.1:8080\r\n"


def head(status: int, length: int, *fields: str) -> bytes:
    """The head of an answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {length}", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


@pytest.fixture
def told(ready: Any) -> Any:
    """A device that was told where its package is."""
    ready.exchange("0.03", "/5/0/1", "2.04", payload=URI.encode(), content_format=0)
    return ready


def talk(session: Any, Talk: Any, port: int = 41000, host: str = "192.0.2.2") -> Any:
    """A connection among the packets of a session."""
    return Talk(session.packets, client=(host, port), now=session.now, first=(port, 7 * port)).open()


def only(session: Any) -> lab.Update:
    """The one update."""
    capture = session.capture()
    assert len(capture.updates) == 1
    return capture.update(0)


def test_a_pull_by_http(told: Any, Talk: Any, image: bytes) -> None:
    """The update has its image, the answer and the frames of the download."""
    talk(told, Talk).asks(GET + b"\r\n").answers(head(200, len(image)) + image)
    last = len(told.packets)
    told.notify("/5/0/3", 2)
    update = only(told)
    assert (update.delivery, update.image_size, update.image_accepted) == ("pull", len(image), True)
    assert update.image_sha256 == hashlib.sha256(image).hexdigest()
    assert (update.block_sizes, update.evidence.last_frame, update.evidence.final_code) == ((), last, "200")
    assert update.evidence.info is not None
    assert update.evidence.info.version == "2.1.0"


def test_a_pull_by_http_that_is_refused(told: Any, Talk: Any) -> None:
    """The repository's answer is the cause."""
    talk(told, Talk).asks(GET + b"\r\n").answers(head(404, 9) + b"not there")
    last = len(told.packets)
    told.notify("/5/0/3", 0)
    update = only(told)
    assert (update.outcome, update.image_accepted, update.evidence.refused_by) == ("failed", False, "repository")
    assert update.cause == f"the repository answered the delivery with 404 in frame {last}"


def resumed(session: Any, Talk: Any, image: bytes, first: str, second: str) -> lab.Update:
    """A download that breaks off after 1000 bytes and goes on in another connection."""
    talk(session, Talk).asks(GET + b"\r\n").answers(head(200, len(image), f'ETag: "{first}"') + image[:1000]).close(4)
    part = image[1000:]
    said = head(206, len(part), f'ETag: "{second}"', f"Content-Range: bytes 1000-{len(image) - 1}/{len(image)}")
    talk(session, Talk, 41001).asks(GET + b"Range: bytes=1000-\r\n\r\n").answers(said + part)
    return only(session)


def test_a_pull_that_goes_on_with_a_range(told: Any, Talk: Any, image: bytes) -> None:
    """Parts with the same ETag are one image."""
    update = resumed(told, Talk, image, "a", "a")
    assert update.image_sha256 == hashlib.sha256(image).hexdigest()
    assert update.evidence.final_code == "206"


def test_parts_of_two_files_are_never_joined(told: Any, Talk: Any, image: bytes) -> None:
    """Another ETag is another file, whatever the offsets say."""
    update = resumed(told, Talk, image, "a", "b")
    assert (update.image_sha256, update.image_accepted) == (None, None)
    assert "which are not the whole package" in str(update.cause)


def test_a_download_with_a_hole(told: Any, Talk: Any, image: bytes) -> None:
    """What the capture has not seen is said."""
    one = talk(told, Talk).asks(GET + b"\r\n").answers(head(200, len(image)))
    answer = len(told.packets)
    one.answers(image[:1000])
    one.sent[1] += 1000
    one.answers(image[2000:])
    update = only(told)
    assert (update.image_size, update.outcome) == (None, "unfinished")
    assert update.cause == (
        f"of {len(image)} bytes of the HTTP answer 200 in frame {answer} the capture has {len(image) - 1000}; "
        f"the last came in frame {len(told.packets)}"
    )


def test_a_request_that_nobody_answers(told: Any, Talk: Any) -> None:
    """It is named with its frame."""
    talk(told, Talk).asks(GET + b"\r\n")
    assert only(told).cause == (
        f"frame {len(told.packets)} (GET /fw.bin?v=2 by HTTP) was sent once and never answered, and no Update Result "
        "followed"
    )  # fmt: skip


def test_a_redirection_is_followed(told: Any, Talk: Any, image: bytes) -> None:
    """The image comes from where the repository sent the device."""
    talk(told, Talk).asks(GET + b"\r\n").answers(head(302, 0, "Location: http://192.0.2.1:8080/other.bin"))
    second = talk(told, Talk, 41001).asks(b"GET /other.bin HTTP/1.1\r\nHost: 192.0.2.1:8080\r\n\r\n")
    second.answers(head(200, len(image)) + image)
    assert only(told).image_size == len(image)


def test_downloads_of_others_are_not_ours(told: Any, Talk: Any, image: bytes) -> None:
    """Another path, another port, before the Write: none is the download; that of another host only for want of one."""
    other = talk(told, Talk, 41005).asks(b"GET /fw.bin HTTP/1.1\r\nHost: 192.0.2.1:8080\r\n\r\n")
    other.answers(head(200, 3) + b"abc")
    stranger = talk(told, Talk, 41006, host="198.51.100.7").asks(GET + b"\r\n")
    stranger.answers(head(200, 3) + b"abc")
    talk(told, Talk).asks(GET + b"\r\n").answers(head(200, len(image)) + image)
    assert only(told).image_size == len(image)


def test_a_pull_by_https_says_that_it_is_encrypted(ready: Any, Talk: Any) -> None:
    """Nothing of it can be seen but that it was."""
    ready.exchange("0.03", "/5/0/1", "2.04", payload=b"https://192.0.2.1:8443/fw.bin", content_format=0)
    hello = bytes.fromhex("160301002f0100002b0303") + bytes(40)
    one = Talk(ready.packets, server=("192.0.2.1", 8443), now=ready.now).open().asks(hello)
    one.answers(bytes.fromhex("1603030030020000") + bytes(40))
    update = only(ready)
    assert update.cause == (
        "the download by HTTPS is encrypted, so that its answer and image are not to be seen; its TLS connection to "
        f"192.0.2.1:8443 begins in frame {len(ready.packets) - 1}"
    )
    assert "note: 1 TLS connections (HTTPS, or CoAP over TLS) are encrypted and were left out" in str(update.capture)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("coap+tcp://192.0.2.1/fw.bin", "no request for the Package URI by CoAP over TCP is in the capture"),
        (
            "coaps+tcp://192.0.2.1/fw.bin",
            "the download by CoAP over TLS is encrypted, so that its answer and image are not to be seen",
        ),
    ],
)  # fmt: skip
def test_pulls_over_tcp_say_what_is_not_seen(ready: Any, uri: str, said: str) -> None:
    """They are not put together, and nobody is left to wonder."""
    ready.exchange("0.03", "/5/0/1", "2.04", payload=uri.encode(), content_format=0)
    assert only(ready).cause == said


def test_the_real_pull_of_a_real_client(shared: pathlib.Path) -> None:
    """Anjay from Python's http.server: the image of the manifest, whole."""
    update = lab.read(shared / "captures" / "anjay" / "anjay-pull-http-ok.pcap").update(0)
    wanted = hashlib.sha256((shared / "captures" / "images" / "anjay-pull-http-ok.bin").read_bytes()).hexdigest()
    assert (update.image_sha256, update.image_size, update.image_accepted) == (wanted, 50000, True)
    assert (update.outcome, update.frames) == ("succeeded", (15, 55))


def test_the_table_of_http(told: Any, Talk: Any) -> None:
    """One row a request, with the name of the device and times on the capture's axis."""
    talk(told, Talk).asks(GET + b"\r\n").answers(head(404, 9) + b"not there")
    (row,) = told.capture().http.to_dict("records")
    shown = ("endpoint", "method", "target", "host", "status", "body_length", "complete", "client")
    assert [row[name] for name in shown] == [
        "dev-1", "GET", "/fw.bin?v=2", "192.0.2.1:8080", 404, 9, True, "192.0.2.2:41000",
    ]  # fmt: skip
    assert 0 < row["time"] < 10


def test_the_table_of_messages_over_tcp() -> None:
    """A real session; `messages` stays UDP, and a note says so."""
    capture = lab.read(DATA / "coap-over-tcp.pcap")
    table = capture.tcp_messages
    assert (len(table), len(capture.messages)) == (13, 0)
    assert table["code"].tolist()[:4] == ["7.01", "7.01", "0.01", "2.05"]
    assert (table["uri_path"][2], table["uri_query"][2], table["payload_length"][3]) == ("/fw.bin", "v=2", 4800)
    assert capture.notes == ("13 CoAP messages over TCP are listed in tcp_messages, not among the messages",)


def test_fragments_of_tcp_are_said(Talk: Any) -> None:
    """They are left out, and a note says how many."""
    *before, last = Talk().open().asks(GET + b"\r\n").packets
    parts = [Packet(0, last.data[:6] + flags + last.data[8:]) for flags in (b"\x20\0", b"\0\5")]
    data = pcapng_bytes([*before, *parts], interfaces=[Interface("x")])
    capture = lab.Capture.from_bytes(data, name="x")
    assert capture.notes == ("2 fragments of TCP packets were left out: their bytes are missing in streams",)
    assert len(capture.http) == 0


def test_a_body_repeated_as_another_is_noted(told: Any, Talk: Any, image: bytes) -> None:
    """A cache, or somebody, sends the same bytes otherwise: whoever trusts the hash is to know."""
    told_by = talk(told, Talk).asks(GET + b"\r\n").answers(head(200, len(image)) + image)
    frame = told_by.segment(1, bytes(700), at=1000)
    (note,) = (one for one in told.capture().notes if "repeated with other bytes" in one)
    assert f"in frame {frame}:" in note

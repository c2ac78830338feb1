"""Bodies put together: restarts, resumption, size changes, moves; and what Wireshark's own dissector gets wrong."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.wire.coap import Block, Message
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import pcapng_bytes
from tests.peers import REPOSITORY, SERVER, Session, number
from tests.wire.dtls_peer import DtlsPeer

URI = "coap://192.0.2.3/fw.bin"


def sha256(data: bytes) -> str:
    """In hex."""
    return hashlib.sha256(data).hexdigest()


def capture_of(script: str, image: bytes | None = None) -> lab.Capture:
    """What a script says."""
    session = Session()
    session.image = image or session.image
    return session.script(script).capture()


def fetch(
    session: Session,
    image: bytes,
    num: int,
    *,
    szx: int = 6,
    source: Any = None,
    etag: bytes = b"",
    asked: int | None = None,
) -> None:
    """A GET of one block of /fw.bin and its answer; the request may ask for another size."""
    device = source or session.device
    session.mid += 1
    token, size = session.mid.to_bytes(2, "big"), 16 << szx
    part = image[num * size : num * size + size]
    more = (num + 1) * size < len(image)
    want = number(num << 4 | (szx if asked is None else asked)) if num or asked is not None else None
    options = [(11, b"fw.bin"), *([(23, want)] if want is not None else [])]
    session.say(device, REPOSITORY, Message("CON", "0.01", session.mid, token, tuple(options)))
    answer = [*([(4, etag)] if etag else []), (23, number(num << 4 | more << 3 | szx))]
    session.say(REPOSITORY, device, Message("ACK", "2.05", session.mid, token, tuple(answer), part))


# ---------------------------------------------------------------- what tshark 4.0.17 gets wrong


def test_parallel_downloads_behind_one_address(image: bytes) -> None:
    """1. Two devices behind one NAT address fetch the same path at once: two bodies, each whole."""
    session = Session("ready")
    other = lab.image(version="3.0.0", size=4000).data
    for num in range(4):
        for body, port in ((image, 61001), (other, 61002)):
            if num * 1024 < len(body):
                fetch(session, body, num, source=("192.0.2.2", port))
    table = session.capture().transfers
    assert table["body_sha256"].tolist() == [sha256(image), sha256(other)]


def test_a_restart_at_block_0(image: bytes) -> None:
    """2. A push that begins again is another transfer; the first is not whole, the second is."""
    capture = capture_of("ready\nimage 8192\npush 0-4\nwait 9\npush")
    table = capture.transfers
    assert table["complete"].tolist() == [False, True]
    assert table["blocks"].tolist() == [5, 8]
    assert len(capture.updates) == 1
    assert capture.update(0).image_size == 8192


def test_a_size_change_with_the_number_rescaled(image: bytes) -> None:
    """3. From 1024 to 256 in the middle, in both directions: one body, two sizes."""
    session = Session("ready")
    session.push(image, szx=6, which=[0, 1])
    session.push(image, szx=4, which=range(8, 99))
    for num, szx in [(0, 6), (1, 6), *((num, 4) for num in range(8, -(-len(image) // 256)))]:
        fetch(session, image, num, szx=szx)
    table = session.capture().transfers
    assert table["body_sha256"].tolist() == [sha256(image)] * 2
    assert table["block_sizes"].tolist() == [[1024, 256]] * 2


def test_an_image_swapped_in_the_middle(image: bytes) -> None:
    """4. With an ETag its halves are never joined; without one the image's own hash says that it is none."""
    other = lab.image(version="2.2.0", size=len(image)).data
    parts = [(0, image, b"\1"), (1, image, b"\1"), (2, other, b"\2"), (3, other, b"\2")]
    for tagged in (True, False):
        session = Session(f"ready\nuri {URI}")
        for num, body, etag in parts:
            if num * 1024 < len(image):
                fetch(session, body, num, etag=etag if tagged else b"")
        update = session.capture().update(0)
        if tagged:
            assert update.image_sha256 is None
            assert list(session.capture().transfers["complete"]) == [False, False]
        else:
            assert update.evidence.info is not None
            assert update.evidence.info.hash_valid is False
            assert "hash does not match" in str(session.capture().explain())


def test_a_wrong_size_and_a_missing_last_block(image: bytes) -> None:
    """5. Neither passes in silence: the body is not whole, and its holes are counted."""
    wrong = capture_of(
        "ready\npush 0-0\nserver > device CON PUT /5/0/0 1:1/1/1024 cf=42 512B\ndevice > server ACK 2.31 1:1/1/1024\n"
        "push 2-9"
    )
    assert wrong.transfers[["complete", "missing"]].to_numpy().tolist() == [[False, 1]]
    assert "W6" in {one.rule for one in wrong.explain().problems}
    cut = capture_of("ready\npush 0-1")
    assert cut.transfers[["complete", "missing"]].to_numpy().tolist() == [[False, 0]]
    assert str(cut.update(0).cause).startswith("the delivery that began in frame")


def test_every_duplicate_acknowledgement_is_counted() -> None:
    """6. Six repetitions of answers, six duplicates."""
    answers = "device > server ACK 2.31 1:0/1/1024\n" + "+1 device > server again\n" * 6
    capture = capture_of("ready\nserver > device CON PUT /5/0/0 1:0/1/1024 cf=42 1024B\n" + answers)
    assert int(capture.exchanges["duplicates"].sum()) == 6


def test_object_5_is_understood(image: bytes) -> None:
    """7. States, versions, verdict and hash of a healthy push."""
    update = capture_of("ready\npush\ninstalled").update(0)
    assert (update.states, update.results, update.firmware_versions) == ((0, 2, 3, 0), (0, 1), ("1.0.0", "2.1.0"))
    assert (update.outcome, update.verdict, update.image_size) == ("succeeded", "PASS", len(image))


@pytest.mark.parametrize(
    ("form", "said"), [(0, b"2"), (110, b'[{"bn":"/5/0/3","v":2}]'), (112, bytes.fromhex("81a221662f352f302f330202"))]
)  # fmt: skip
def test_an_answer_of_any_format_has_a_meaning(form: int, said: bytes) -> None:
    """8. Text and SenML are values with a name, not bytes."""
    session = Session("register")
    session.exchange("0.01", "/5/0/3", "2.05", answer=said, answer_format=form)
    (row,) = session.capture().timeline.to_dict("records")
    assert (row["path"], row["name"], row["value"], row["label"]) == ("/5/0/3", "State", 2, "2 Downloaded")


def test_several_devices_with_several_keys() -> None:
    """9. Each session is opened with the key of its identity."""
    packets: list[Any] = []
    keys = {f"urn:dev:{one}": bytes([one]) * 16 for one in (1, 2, 3)}
    for at, (identity, key) in enumerate(keys.items()):
        peer = DtlsPeer(
            identity=identity,
            key=key,
            seed=at,
            addresses={"client": ("192.0.2.2", 40000 + at), "server": ("192.0.2.1", 5684)},
        )
        peer.connect().say("client", bytes.fromhex("4001000d") + bytes([0xB1, 0x33]))
        packets += peer.packets
    capture = lab.Capture.from_bytes(pcapng_bytes(packets, interfaces=[Interface("x")]), name="x", psk=keys)
    assert capture.messages["uri_path"].tolist() == ["/3"] * 3


# ---------------------------------------------------------------- and more


def test_a_download_goes_on_from_another_port(image: bytes) -> None:
    """The same ETag: one image, though the device came back elsewhere; another ETag: none."""
    for second, whole in ((b"\1", True), (b"\2", False)):
        session = Session(f"ready\nuri {URI}")
        for num in (0, 1):
            fetch(session, image, num, source=("192.0.2.2", 61001), etag=b"\1")
        session.wait(60)
        for num in range(2, -(-len(image) // 1024)):
            fetch(session, image, num, source=("192.0.2.2", 61002), etag=second)
        update = session.capture().update(0)
        assert update.image_sha256 == (sha256(image) if whole else None)


def test_a_download_begins_again_from_another_port(image: bytes) -> None:
    """A restart elsewhere belongs to the same update."""
    session = Session(f"ready\nuri {URI}")
    fetch(session, image, 0, source=("192.0.2.2", 61001))
    session.wait(100)
    for num in range(-(-len(image) // 1024)):
        fetch(session, image, num, source=("192.0.2.2", 61002))
    update = session.capture().update(0)
    assert (update.image_sha256, update.image_accepted) == (sha256(image), True)


def test_a_push_follows_the_device(image: bytes) -> None:
    """A device that registers from a new port in the middle is the same receiver."""
    session = Session("ready")
    session.push(image, szx=5, which=range(3))
    session.register()
    session.push(image, szx=5, which=range(3, 99))
    capture = session.capture()
    assert capture.transfers["body_sha256"].tolist() == [sha256(image)]
    assert len(capture.updates) == 1


def test_late_negotiation_of_the_size(image: bytes) -> None:
    """The client asks for less than the first answer had; the number is rescaled."""
    session = Session("register")
    fetch(session, image, 0, szx=6)
    for num in range(4, -(-len(image) // 256)):
        fetch(session, image, num, szx=4, asked=4)
    assert session.capture().transfers["body_sha256"].tolist() == [sha256(image)]


def test_retransmission_reordering_and_retries_change_nothing(image: bytes) -> None:
    """Copies, retries under a new message id and blocks that come out of order: the same body."""
    session = Session("register")
    order = [*range(-(-len(image) // 64)), 3, 7, 3]
    random.Random(5).shuffle(order)
    order = [0, *(one for one in order if one)]
    for num in order:
        fetch(session, image, num, szx=2)
        if num % 5 == 0:
            session.packets += session.packets[-2:]
    assert session.capture().transfers["body_sha256"].tolist() == [sha256(image)]


def test_request_tags_keep_bodies_apart(image: bytes) -> None:
    """Two pushes of two bodies to one resource at once (RFC 9175): told apart by Request-Tag alone."""
    session = Session("register")
    bodies = {b"\1": image[:512], b"\2": image[512:1024]}
    for num in range(4):
        for tag, body in bodies.items():
            session.mid += 1
            block = Block(num, num < 3, 3)
            options = (
                *((11, part) for part in (b"9", b"0", b"2")),
                (12, b"\x2a"),
                (27, number(num << 4 | block.more << 3 | 3)),
                (292, tag),
            )
            part = body[num * 128 : num * 128 + 128]
            session.say(SERVER, session.device, Message("CON", "0.03", session.mid, bytes([num]) + tag, options, part))
            code = "2.31" if block.more else "2.04"
            session.say(session.device, SERVER, Message("ACK", code, session.mid, bytes([num]) + tag))
    assert session.capture().transfers["body_sha256"].tolist() == [sha256(body) for body in bodies.values()]


def test_blocks_of_composites_and_notifications() -> None:
    """Block1 in iPATCH, Block2 in answers to FETCH and behind a notification are bodies too."""
    capture = capture_of(
        "register\n"
        "server > device CON iPATCH 1:0/1/16 cf=112 16B\ndevice > server ACK 2.31 1:0/1/16\n"
        "server > device CON iPATCH 1:1/0/16 cf=112 5B\ndevice > server ACK 2.04 1:1/0/16\n"
        "server > device CON FETCH cf=112 hex=80\ndevice > server ACK 2.05 2:0/1/16 cf=112 16B\n"
        "server > device CON FETCH cf=112 2:1/0/16 hex=80\ndevice > server ACK 2.05 2:1/0/16 cf=112 3B\n"
        "server > device CON GET /7/0 observe=0\ndevice > server ACK 2.05 observe=1 cf=110 text=[]\n"
        "device > server CON 2.05 for=/7/0 observe=2 2:0/1/16 cf=110 16B\nserver > device ACK\n"
        "server > device CON GET /7/0 2:1/0/16\ndevice > server ACK 2.05 2:1/0/16 cf=110 4B\n"
    )
    table = capture.transfers.fillna({"uri_path": "/"})
    assert table[["kind", "uri_path", "size", "complete"]].to_numpy().tolist() == [
        ["block1", "/", 21, True], ["block2", "/", 19, True], ["block2", "/7/0", 20, True],
    ]  # fmt: skip


def test_a_block_number_that_lies_costs_nothing() -> None:
    """Block 1048575 of 1024 bytes: a hole of a gigabyte, in no memory."""
    capture = capture_of(
        "ready\npush 0-0\nserver > device CON PUT /5/0/0 1:1048575/0/1024 cf=42 9B\ndevice > server ACK 4.08"
    )
    (row,) = capture.transfers.to_dict("records")
    assert (row["complete"], row["missing"], row["size"]) == (False, 1, 1033)

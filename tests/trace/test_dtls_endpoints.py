"""Whose a message is, where DTLS says so: by the session, wherever the device went, and by the PSK identity."""

from __future__ import annotations

import hashlib
from typing import Any

import lwm2m_lab as lab
from lwm2m_lab.wire.coap import Message, encode
from lwm2m_lab.wire.pcapng import Packet
from tests.wire.dtls_peer import CLIENT, IDENTITY, KEY, SERVER, DtlsPeer, capture_of

PSK = {IDENTITY: KEY}


def register(name: str, mid: int) -> tuple[bytes, bytes]:
    """A Register and its answer."""
    options = ((11, b"rd"), (12, b"\x28"), (15, b"lwm2m=1.1"), (15, f"ep={name}".encode()), (15, b"lt=300"))
    asked = Message("CON", "0.02", mid, b"r", options, b"</3/0>,</5>;ver=1.1,</5/0>")
    return encode(asked), encode(Message("ACK", "2.01", mid, b"r", ((8, b"rd"), (8, b"1"))))


def read_state(peer: DtlsPeer, mid: int, *, moves_to: int | None = None) -> None:
    """A read of State; the device may move before it answers."""
    path = ((11, b"5"), (11, b"0"), (11, b"3"))
    peer.say(SERVER, encode(Message("CON", "0.01", mid, b"s", path)))
    if moves_to is not None:
        peer.addresses[CLIENT] = (peer.addresses[CLIENT][0], moves_to)
    peer.say(CLIENT, encode(Message("ACK", "2.05", mid, b"s", ((12, b""),), b"0")))


def opened(*peers: Any) -> lab.Capture:
    """All that these sessions said, one after the other."""
    packets = [packet for peer in peers for packet in peer.packets]
    return lab.Capture.from_bytes(capture_of(packets), name="sessions", psk=PSK)


def test_a_device_that_moves_stays_the_endpoint() -> None:
    """With a Connection ID the answer from a new port finds its request, and what follows belongs to who registered."""
    peer = DtlsPeer(client_cid=b"", server_cid=b"srv").connect()
    for side, message in zip((CLIENT, SERVER), register("urn:dev:mover", 1), strict=True):
        peer.say(side, message)
    read_state(peer, 2)
    read_state(peer, 3, moves_to=40001)
    read_state(peer, 4, moves_to=40002)
    capture = opened(peer)
    table = capture.exchanges
    assert table["endpoint"].tolist() == ["urn:dev:mover"] * 4
    assert table["response_code"].tolist() == ["2.01", "2.05", "2.05", "2.05"]
    assert sorted(set(capture.messages["src"])) == ["192.0.2.1:5684", *(f"192.0.2.2:4000{n}" for n in range(3))]


def test_a_second_session_without_registration_is_the_same_device() -> None:
    """The identity under which an endpoint registered names it in its next session too."""
    first, second = DtlsPeer(seed=1).connect(), DtlsPeer(seed=2)
    for side, message in zip((CLIENT, SERVER), register("urn:dev:one", 1), strict=True):
        first.say(side, message)
    second.addresses[CLIENT] = ("192.0.2.2", 50000)
    read_state(second.connect(), 2)
    assert opened(first, second).exchanges["endpoint"].tolist() == ["urn:dev:one", "urn:dev:one"]


def test_an_endpoint_that_never_registered_has_the_name_of_its_identity() -> None:
    """Better than an address; a capture often begins after the registration."""
    peer = DtlsPeer().connect()
    read_state(peer, 1)
    assert opened(peer).exchanges["endpoint"].tolist() == [IDENTITY]


def test_an_identity_that_two_devices_share_names_neither() -> None:
    """Then a session without registration keeps its address."""
    peers = [DtlsPeer(seed=number) for number in range(3)]
    for number, peer in enumerate(peers):
        peer.addresses[CLIENT] = (f"192.0.2.{10 + number}", 40000)
        peer.connect()
        if number < 2:
            for side, message in zip((CLIENT, SERVER), register(f"urn:dev:{number}", 1), strict=True):
                peer.say(side, message)
        read_state(peer, 2)
    names = ["urn:dev:0", "urn:dev:0", "urn:dev:1", "urn:dev:1", "192.0.2.12:40000"]
    assert opened(*peers).exchanges["endpoint"].tolist() == names


def test_a_pull_over_coaps_belongs_to_the_device(ready: Any, image: bytes) -> None:
    """Control in the clear, download in DTLS from another port under an identity of its own: one update, one image."""
    uri = b"coaps://192.0.2.9:5701/fw.bin"
    ready.exchange("0.03", "/5/0/1", "2.04", payload=uri, content_format=0)
    peer = DtlsPeer(packets=ready.packets)
    peer.addresses = {CLIENT: (ready.device[0], 45000), SERVER: ("192.0.2.9", 5701)}
    peer.connect()
    blocks = [image[at : at + 1024] for at in range(0, len(image), 1024)]
    for number, block in enumerate(blocks):
        more = number + 1 < len(blocks)
        block2 = (number << 4 | more << 3 | 6).to_bytes(1, "big")
        token = bytes([number])
        peer.say(CLIENT, encode(Message("CON", "0.01", number, token, ((11, b"fw.bin"), (23, block2)))))
        peer.say(SERVER, encode(Message("ACK", "2.05", number, token, ((23, block2),), block)))
    ready.packets = [Packet(at * 10**7, packet.data) for at, packet in enumerate(peer.packets)]
    capture = opened(ready)
    (update,) = capture.updates.to_dict("records")
    assert (update["endpoint"], update["delivery"]) == ("dev-1", "pull")
    assert update["image_sha256"] == hashlib.sha256(image).hexdigest()


def test_the_sessions_are_a_table() -> None:
    """One row a session, alerts in words."""
    peer = DtlsPeer(client_cid=b"", server_cid=b"srv").connect()
    peer.put(CLIENT, peer.sealed(CLIENT, 21, bytes([1, 0])))
    table = opened(peer).sessions
    assert table[["identity", "suite", "client_cid", "server_cid", "records", "decrypted"]].values.tolist() == [
        [IDENTITY, "TLS_PSK_WITH_AES_128_CCM_8", "", "737276", 3, 3]
    ]
    assert table["alerts"].tolist() == ["warning close_notify from the client in frame 7"]
    assert len(lab.read().sessions) == 0

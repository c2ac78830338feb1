"""DTLS as no tool at hand speaks it: Connection IDs, devices that move, odd flights, replays, floods."""

from __future__ import annotations

import itertools
import pathlib
import random
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lwm2m_lab.wire import Columns, dtls_memory, read_columns
from lwm2m_lab.wire.coap import Message, encode
from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcapng import Packet
from tests.tshark import as_ours, our_row, tshark_rows
from tests.wire.dtls_peer import (
    CBC,
    CCM,
    CCM_8,
    CLIENT,
    GCM,
    IDENTITY,
    KEY,
    SERVER,
    DtlsPeer,
    capture_of,
    p_sha256,
)  # fmt: skip

PSK = {IDENTITY: KEY}
SUITES = [(CCM_8, False, True), (CCM, False, False), (GCM, False, True)]
SUITES += list(itertools.product([CBC], [False, True], [False, True]))
CIDS = [(None, None), (b"", b"srv"), (b"cl", b""), (b"client", b"server01"), (b"", b""), (b"x" * 255, b"y")]


def get(number: int) -> bytes:
    """A read of State."""
    return encode(Message("CON", "0.01", number, bytes([number & 255]), ((11, b"5"), (11, b"0"), (11, b"3"))))


def content(number: int) -> bytes:
    """Its answer."""
    return encode(Message("ACK", "2.05", number, bytes([number & 255]), ((12, b""),), b"0"))


def mids(columns: Columns) -> list[int]:
    """The message ids in order."""
    return [int(one) for one in columns["mid"]]


# ---------------------------------------------------------------- suites and Connection IDs


@pytest.mark.parametrize("cids", CIDS, ids=["no", "server", "client", "both", "empty", "long"])
@pytest.mark.parametrize(
    ("suite", "etm", "ems"),
    [
        (CCM_8, False, True),
        (CCM, False, False),
        (GCM, False, True),
        *itertools.product([CBC], [False, True], [False, True]),
    ],
)
def test_every_suite_with_every_connection_id(
    suite: int, etm: bool, ems: bool, cids: tuple[bytes | None, bytes | None], tshark: str, tmp_path: pathlib.Path
) -> None:
    """Either way may have one, an empty one, or none; tshark opens the same with the same key."""
    peer = DtlsPeer(suite=suite, etm=etm, ems=ems, client_cid=cids[0], server_cid=cids[1]).connect()
    peer.say(SERVER, get(1))
    peer.say(CLIENT, content(1))
    path = tmp_path / "one.pcapng"
    path.write_bytes(peer.capture())
    columns = read_columns(path, psk=PSK)
    assert (mids(columns), columns.encrypted_records, columns.notes) == ([1, 1], 0, ())
    (session,) = columns.sessions
    assert [session.client_cid, session.server_cid] == [None if cid is None else cid.hex() for cid in cids]
    assert (session.encrypt_then_mac, session.extended_master_secret) == (etm, ems)
    theirs = [as_ours(row) for row in tshark_rows(tshark, path, psk=KEY.hex())]
    assert [our_row(columns, row, list(theirs[0])) for row in range(2)] == theirs


@pytest.mark.parametrize("suite", [CCM_8, GCM])
def test_connection_ids_of_the_drafts(suite: int, tshark: str, tmp_path: pathlib.Path) -> None:
    """Extension 53, which older stacks speak, authenticates other bytes; tshark knows it too."""
    peer = DtlsPeer(suite=suite, client_cid=b"cl", server_cid=b"srv", cid_extension=53).connect()
    peer.say(SERVER, get(1))
    peer.say(CLIENT, content(1))
    path = tmp_path / "one.pcapng"
    path.write_bytes(peer.capture())
    columns = read_columns(path, psk=PSK)
    assert (mids(columns), columns.encrypted_records) == ([1, 1], 0)
    assert len([*tshark_rows(tshark, path, psk=KEY.hex())]) == 2


def test_padding_behind_the_inner_type_is_no_content() -> None:
    """Zeros that hide the length are stripped (RFC 9146, 4)."""
    peer = DtlsPeer(client_cid=b"", server_cid=b"srv").connect()
    peer.put(CLIENT, peer.sealed(CLIENT, 23, get(1), padding=40))
    columns = read_columns(peer.capture(), psk=PSK)
    assert columns.datagram(0) == get(1)


def test_a_session_is_followed_by_its_connection_id() -> None:
    """New ports and addresses of the device, with epoch and sequence numbers going on, are the same session."""
    peer = DtlsPeer(client_cid=b"", server_cid=b"srv").connect()
    for number, address in enumerate([("192.0.2.2", 40001), ("198.51.100.7", 5000), ("192.0.2.2", 40000)], 1):
        peer.addresses[CLIENT] = address
        peer.say(CLIENT, get(number))
        peer.say(SERVER, content(number))
    columns = read_columns(peer.capture(), psk=PSK)
    assert mids(columns) == [1, 1, 2, 2, 3, 3]
    assert [columns.text("src", row) for row in (0, 2, 4)] == [
        "192.0.2.2:40001",
        "198.51.100.7:5000",
        "192.0.2.2:40000",
    ]
    (session,) = columns.sessions
    assert (session.records, session.decrypted, session.client) == (8, 8, "192.0.2.2:40000")
    assert columns.session.tolist() == [0] * 6


def test_devices_with_the_same_connection_id_are_told_apart() -> None:
    """Which session a record is of, its authentication tells."""
    peers = []
    for number in range(3):
        peer = DtlsPeer(client_cid=b"", server_cid=b"same", seed=number)
        peer.addresses[CLIENT] = (f"192.0.2.{10 + number}", 40000)
        peers.append(peer.connect())
    for number, peer in enumerate(peers):
        peer.addresses[CLIENT] = ("203.0.113.1", 1000 + number)
        peer.say(CLIENT, get(number))
        peer.say(SERVER, content(number))
    packets = [packet for peer in peers for packet in peer.packets]
    columns = read_columns(capture_of(packets), psk=PSK)
    assert (sorted(mids(columns)), columns.encrypted_records) == ([0, 0, 1, 1, 2, 2], 0)
    assert [one.decrypted for one in columns.sessions] == [4, 4, 4]


def test_several_devices_with_several_keys() -> None:
    """Each identity has its own key; who has none is named, and the others are open."""
    keys = {f"urn:dev:{number}": bytes([number]) * 16 for number in range(1, 4)}
    packets: list[Packet] = []
    for number, (identity, key) in enumerate(keys.items()):
        peer = DtlsPeer(identity=identity, key=key, seed=number)
        peer.addresses[CLIENT] = (f"192.0.2.{10 + number}", 40000)
        peer.connect().say(CLIENT, get(number))
        packets += peer.packets
    known = {identity: key for identity, key in keys.items() if identity != "urn:dev:2"}
    columns = read_columns(capture_of(packets), psk=known)
    assert mids(columns) == [0, 2]
    assert [one.identity for one in columns.sessions if not one.opened] == ["urn:dev:2"]
    (note,) = columns.notes
    assert note.startswith("a DTLS session of identity 'urn:dev:2'")


# ---------------------------------------------------------------- flights


@pytest.mark.parametrize("cookie", [True, False])
@pytest.mark.parametrize("ems", [True, False])
@pytest.mark.parametrize("size", [1, 7, 40])
def test_a_handshake_in_fragments(cookie: bool, ems: bool, size: int) -> None:
    """Each fragment in a datagram of its own; with and without HelloVerifyRequest."""
    peer = DtlsPeer(ems=ems, hint=b"who are you?")
    for side, datagram in peer.handshake(cookie=cookie, fragment=size, apart=True):
        peer.put(side, datagram)
    peer.say(CLIENT, get(1))
    columns = read_columns(peer.capture(), psk=PSK)
    assert (mids(columns), columns.encrypted_records) == ([1], 0)
    assert columns.sessions[0].hint == "who are you?"


@pytest.mark.parametrize("seed", range(20))
def test_flights_repeated_and_out_of_order(seed: int) -> None:
    """Within a flight in any order, every datagram up to three times: the network's ways change nothing."""
    chance = random.Random(seed)
    peer = DtlsPeer(client_cid=b"", server_cid=b"srv")
    flights = peer.handshake(fragment=30, apart=True)
    said = [(CLIENT, peer.sealed(CLIENT, 23, get(1))), (SERVER, peer.sealed(SERVER, 23, content(1)))]
    for _, group in itertools.groupby(flights, key=lambda one: one[0]):
        several = [one for one in group for _ in range(chance.randint(1, 3))]
        chance.shuffle(several)
        for side, datagram in several:
            peer.put(side, datagram)
    for side, datagram in said:
        peer.put(side, datagram)
    columns = read_columns(peer.capture(), psk=PSK)
    assert mids(columns) == [1, 1]
    (session,) = columns.sessions
    assert (session.opened, columns.encrypted_records) == (True, 0)


def test_application_data_that_overtakes_the_handshake() -> None:
    """What came before its keys could be made is opened when they can, in the row of its own frame."""
    peer = DtlsPeer()
    flights = peer.handshake()
    early = peer.sealed(SERVER, 23, get(1))
    for side, datagram in [*flights[:4], (SERVER, early), flights[5], flights[4]]:
        peer.put(side, datagram)
    columns = read_columns(peer.capture(), psk=PSK)
    assert (mids(columns), columns["frame"].tolist(), columns.encrypted_records) == ([1], [5], 0)


def test_several_records_in_a_datagram() -> None:
    """Each is a message of the same frame, with a Connection ID too."""
    for cids in CIDS[:4]:
        peer = DtlsPeer(client_cid=cids[0], server_cid=cids[1]).connect()
        frame = peer.put(CLIENT, b"".join(peer.sealed(CLIENT, 23, get(number)) for number in range(4)))
        columns = read_columns(peer.capture(), psk=PSK)
        assert (mids(columns), columns["frame"].tolist()) == ([0, 1, 2, 3], [frame] * 4)


def test_a_new_handshake_on_the_same_addresses() -> None:
    """A device that booted again from the same port has a second session; late records of the first stay its own."""
    first, second = DtlsPeer(seed=1).connect(), DtlsPeer(seed=2)
    first.say(CLIENT, get(1))
    late = first.sealed(CLIENT, 23, get(2))
    second.packets = first.packets
    second.connect()
    second.say(CLIENT, get(3))
    second.put(CLIENT, late)
    columns = read_columns(second.capture(), psk=PSK)
    assert (mids(columns), columns.encrypted_records) == ([1, 3, 2], 0)
    assert columns.session.tolist() == [0, 1, 0]


# ---------------------------------------------------------------- replays


def test_a_replayed_record_is_no_second_message() -> None:
    """The same record again is counted and dropped; the same message in a new record was sent again."""
    peer = DtlsPeer().connect()
    record = peer.sealed(CLIENT, 23, get(1))
    for datagram in (record, record, peer.sealed(CLIENT, 23, get(1)), record):
        peer.put(CLIENT, datagram)
    columns = read_columns(peer.capture(), psk=PSK)
    assert mids(columns) == [1, 1]
    (session,) = columns.sessions
    assert (session.replayed, session.records, columns.encrypted_records) == (2, 7 - 1, 0)


def test_records_out_of_order_are_no_replays() -> None:
    """Within the window every sequence number is new once."""
    peer = DtlsPeer().connect()
    records = [peer.sealed(CLIENT, 23, get(number)) for number in range(100)]
    order = list(range(100))
    random.Random(1).shuffle(order)
    for number in [*order, *order[:10]]:
        peer.put(CLIENT, records[number])
    columns = read_columns(peer.capture(), psk=PSK)
    assert (mids(columns), columns.sessions[0].replayed) == (order, 10)


# ---------------------------------------------------------------- what stays closed


def reasons(columns: Columns) -> list[str]:
    """Why each session stayed closed."""
    return [one.reason for one in columns.sessions]


def test_no_handshake_in_the_capture() -> None:
    """Records alone are counted, and what is missing is said; who is the server, the port tells."""
    peer = DtlsPeer()
    peer.handshake()
    peer.say(SERVER, get(1))
    peer.say(CLIENT, content(1))
    columns = read_columns(peer.capture(), psk=PSK)
    assert (columns.rows, columns.encrypted_records) == (0, 2)
    assert reasons(columns) == ["no handshake in the capture: keys cannot be made without it"]
    assert (columns.sessions[0].client, columns.sessions[0].server) == ("192.0.2.2:40000", "192.0.2.1:5684")


@pytest.mark.parametrize("missing", range(6))
@pytest.mark.parametrize("ems", [True, False])
def test_a_handshake_with_a_gap(missing: int, ems: bool) -> None:
    """What can be opened is; otherwise the reason says what is missing, and nothing is made up."""
    peer = DtlsPeer(ems=ems)
    flights = peer.handshake()
    for number, (side, datagram) in enumerate(flights):
        if number != missing:
            peer.put(side, datagram)
    peer.say(CLIENT, get(1))
    columns = read_columns(peer.capture(), psk=PSK)
    (session,) = columns.sessions
    # First ClientHello, HelloVerifyRequest and the server's Finished are not needed to make keys; without extended
    # master secret the randoms are enough, which both ClientHellos have.
    assert session.opened == (missing in (0, 1, 5) or (missing == 2 and not ems)), session.reason
    assert mids(columns) == ([1] if session.opened else [])
    if not session.opened:
        assert session.reason.startswith(("no ", "the handshake is not whole", "a handshake message is missing"))


def test_a_finished_that_does_not_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its record is authentic, so the key is right; that the handshake shown is not the one that was said, is told."""
    peer = DtlsPeer()
    whole = peer._finished
    monkeypatch.setattr(peer, "_finished", lambda side, number: whole(side, number)[:-1] + b"\0")
    peer.connect().say(CLIENT, get(1))
    columns = read_columns(peer.capture(), psk=PSK)
    assert mids(columns) == [1]
    assert reasons(columns) == [
        "opened by the key of its identity; a Finished does not verify although its record does: "
        "the handshake is not whole"
    ]


def test_a_server_that_refuses_the_identity() -> None:
    """The alert is named, with its level, its sender and its frame."""
    peer = DtlsPeer()
    for side, datagram in peer.handshake()[:5]:
        peer.put(side, datagram)
    frame = peer.put(SERVER, peer.plain(SERVER, 21, bytes([2, 115])))
    (session,) = read_columns(peer.capture()).sessions
    assert session.alerts == (f"fatal unknown_psk_identity from the server in frame {frame}",)


def test_an_unknown_suite_is_said_by_its_number() -> None:
    """No guess is made."""
    columns = read_columns(DtlsPeer(suite=0xC099).connect().capture(), psk=PSK)
    assert reasons(columns) == ["the suite 0xC099 is not supported"]


def test_data_that_is_no_coap_is_no_row() -> None:
    """On another port than that of coaps a session that carries something else gives no rows."""
    peer = DtlsPeer()
    peer.addresses[SERVER] = ("192.0.2.1", 7000)
    peer.connect()
    for text in (b"hello\n", b"{}", b"", get(1)):
        peer.say(CLIENT, text)
    columns = read_columns(peer.capture(), psk=PSK)
    assert (columns.rows, columns.encrypted_records) == (0, 0)


def test_coap_is_recognised_on_any_port() -> None:
    """By its content, as it is in the clear; a session in which all of it is CoAP needs no answer."""
    peer = DtlsPeer()
    peer.addresses[SERVER] = ("192.0.2.1", 7000)
    peer.connect().say(CLIENT, get(1))
    assert mids(read_columns(peer.capture(), psk=PSK)) == [1]


def test_a_damaged_record_is_counted() -> None:
    """One flipped bit: no message, one encrypted record, and a note."""
    peer = DtlsPeer().connect()
    record = bytearray(peer.sealed(CLIENT, 23, get(1)))
    record[-1] ^= 1
    peer.put(CLIENT, bytes(record))
    peer.say(CLIENT, get(2))
    columns = read_columns(peer.capture(), psk=PSK)
    assert (mids(columns), columns.encrypted_records) == ([2], 1)
    assert reasons(columns) == ["opened by the key of its identity; 1 record did not authenticate"]


def test_records_cut_by_the_snap_length() -> None:
    """What is not whole cannot be opened: it is counted, and not called damaged."""
    peer = DtlsPeer().connect()
    peer.put(CLIENT, peer.sealed(CLIENT, 23, get(1))[:-4])
    peer.say(CLIENT, get(2))
    columns = read_columns(peer.capture(), psk=PSK)
    assert (mids(columns), columns.encrypted_records) == ([2], 1)
    assert reasons(columns) == ["opened by the key of its identity; 1 record cut in the capture"]


def test_a_handshake_in_ip_fragments() -> None:
    """A flight larger than the link's packets comes in fragments of IP."""
    peer = DtlsPeer(hint=b"h" * 600)
    packets = []
    for side, datagram in peer.handshake():
        peer.put(side, datagram)
        whole = peer.packets.pop().data
        parts = range(0, len(whole) - 20, 400)
        for at in parts:
            more = 0x2000 if at + 400 < len(whole) - 20 else 0
            piece = whole[20 + at : 420 + at]
            head = whole[:2] + struct.pack("!HHH", 20 + len(piece), 77, more | at // 8)
            packets.append(Packet(len(packets), head + whole[8:20] + piece))
    peer.packets = packets
    peer.say(CLIENT, get(1))
    columns = read_columns(peer.capture(), psk=PSK)
    assert len(packets) > 6
    assert (mids(columns), columns.encrypted_records) == ([1], 0)


def test_a_key_is_in_no_text() -> None:
    """Neither in a repr nor in a note nor in a row of the sessions."""
    columns = read_columns(DtlsPeer().connect().capture(), psk={IDENTITY: KEY, "other": b"\xff" * 16})
    shown = repr(columns) + str(columns.sessions) + str(columns.notes) + repr(vars(columns)["sessions"])
    assert KEY.hex() not in shown.lower()
    assert repr(KEY)[2:-1] not in shown


# ---------------------------------------------------------------- hostile files


def whole_session() -> list[bytes]:
    """The datagrams of a session, as packets."""
    peer = DtlsPeer(client_cid=b"c", server_cid=b"srv", hint=b"h").connect()
    for number in range(3):
        peer.say(CLIENT, get(number))
        peer.say(SERVER, content(number))
    return [packet.data for packet in peer.packets]


SESSION = whole_session()


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_sessions_are_never_an_exception(data: st.DataObject) -> None:
    """Bytes changed, cut, repeated, out of order: fewer messages perhaps, never one that was not said."""
    packets = []
    for packet in data.draw(st.permutations(SESSION)) if data.draw(st.booleans()) else SESSION:
        body = bytearray(packet[28:])
        for at, value in data.draw(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=2)):
            if at < len(body):
                body[at] = value
        body = body[: data.draw(st.sampled_from([len(body), len(body), len(body), 40, 14, 13, 12, 3]))]
        packets.append(udp_packet(*_ends(packet), bytes(body)))
    columns = read_columns(capture_of([Packet(at, packet) for at, packet in enumerate(packets)]), psk=PSK)
    said = {message(number) for number in range(3) for message in (get, content)}
    assert {columns.datagram(row) for row in range(columns.rows)} <= said
    assert sum(one.records - one.decrypted for one in columns.sessions) == columns.encrypted_records


def _ends(packet: bytes) -> tuple[tuple[str, int], tuple[str, int]]:
    source, destination = struct.unpack("!HH", packet[20:24])
    return (".".join(map(str, packet[12:16])), source), (".".join(map(str, packet[16:20])), destination)


@given(
    st.lists(st.tuples(st.sampled_from([20, 21, 22, 23, 25]), st.integers(0, 2), st.binary(max_size=80)), max_size=12)
)
def test_any_records_are_never_an_exception(records: list[tuple[int, int, bytes]]) -> None:
    """Of every type and epoch, with any content; their number is counted."""
    ends = ("192.0.2.2", 40000), ("192.0.2.1", 5684)
    packets = []
    for number, (kind, epoch, body) in enumerate(records):
        head = struct.pack("!BHHHIH", kind, 0xFEFD, epoch, 0, number, len(body))
        packets.append(Packet(number, udp_packet(*(ends if number % 2 else ends[::-1]), head + body)))
    columns = read_columns(capture_of(packets), psk={"": KEY})
    assert columns.rows == 0
    assert columns.encrypted_records >= sum(epoch > 0 for kind, epoch, _ in records)


@given(st.binary(max_size=120))
def test_any_handshake_message_is_never_an_exception(body: bytes) -> None:
    """Hellos of odd shapes, lengths that lie."""
    peer = DtlsPeer()
    flights = peer.handshake()
    for kind in (1, 2, 4, 12, 16, 20):
        message = bytes([kind]) + len(body).to_bytes(3, "big") + bytes([0, kind]) + bytes(3)
        flights.append((SERVER, peer.plain(SERVER, 22, message + len(body).to_bytes(3, "big") + body)))
        flights.append((CLIENT, peer.plain(CLIENT, 22, message + b"\xff\xff\xff" + body)))
    for side, datagram in flights[::-1] + flights:
        peer.put(side, datagram)
    assert read_columns(peer.capture(), psk=PSK).rows == 0


def test_a_flood_of_handshakes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no key proved is forgotten beyond a number, which is said; what was opened goes on."""
    monkeypatch.setattr(dtls_memory, "MOST_UNPROVED", 50)
    peer = DtlsPeer(client_cid=b"", server_cid=b"srv").connect()
    peer.say(CLIENT, get(1))
    for number in range(400):
        other = DtlsPeer(seed=1000 + number)
        source = (f"198.51.100.{number % 250}", 1024 + number)
        peer.put(CLIENT, other.plain(CLIENT, 22, other.message(1, 0, other.hello(CLIENT))), source=source)
        other.master = p_sha256(b"", "", b"", 48)
        peer.put(CLIENT, other.sealed(CLIENT, 23, get(9)), source=(source[0], 9000 + number))
    peer.say(CLIENT, get(2))
    columns = read_columns(peer.capture(), psk=PSK)
    assert (mids(columns), columns.encrypted_records) == ([1, 2], 400)
    assert len(columns.sessions) <= 51
    assert any("were not followed" in note for note in columns.notes)

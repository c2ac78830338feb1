"""DTLS beneath aiocoap, on loopback: one session for both directions, and everything that can go wrong with one."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiocoap.numbers.codes import Code
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live import tinydtls
from lwm2m_lab.live.credentials import Credentials
from lwm2m_lab.live.endpoint import OuterTransport
from lwm2m_lab.live.link import Link
from lwm2m_lab.live.network import LoopbackNetwork, SimulatedNetwork
from lwm2m_lab.live.repository import Repository
from lwm2m_lab.live.requests import NoAnswer, Requester, Timers, end_loop
from lwm2m_lab.live.run import capture_of
from lwm2m_lab.live.secure import MOST_STRANGERS, Sessions

KEYS = Credentials({"urn:dev:1": bytes(16), "urn:dev:2": bytes([2] * 16)})
ONE = Credentials({"urn:dev:1": bytes(16)})
WITHIN = 20.0


@dataclass
class Side:
    """A socket with its sessions, and what they said."""

    sessions: Sessions
    said: list[str] = field(default_factory=list)
    context: Any = None
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, sentence: str) -> None:
        self.said.append(sentence)
        self.news.set()

    async def heard(self, words: str) -> str:
        """Wait until something with these words was said."""
        async with asyncio.timeout(WITHIN):
            while not any(words in one for one in self.said):
                self.news.clear()
                await self.news.wait()
        return next(one for one in self.said if words in one)

    async def get(self, port: int, path: str = "/f") -> bytes:
        """The payload of an answer."""
        requester = Requester(self.context, Timers(ack_timeout=0.3))
        response = await requester.ask(Code.GET, to=f"coap://127.0.0.1:{port}{path}")
        return bytes(response.payload)

    @property
    def port(self) -> int:
        """Own port."""
        return int(self.sessions.address[1])


class Town:
    """Sides on one network."""

    def __init__(self) -> None:
        self.network = LoopbackNetwork()

    @contextlib.asynccontextmanager
    async def side(self, keys: Credentials, *, opens: bool, port: int = 0, **more: Any) -> AsyncIterator[Side]:
        """A side that answers ``/f``."""
        sessions = Sessions(keys, opens=opens, told=lambda one: side.hear(one), **more)
        side = Side(sessions)
        files = {"/f": b"device" if opens else b"server"}
        side.context = await self.network.context(
            Repository(files), side="device" if opens else "server", bind=("127.0.0.1", port), sessions=sessions
        )
        try:
            yield side
        finally:
            await side.context.shutdown()


def on_loopback(town: Town, scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Play a scene on a loop of the town's network."""
    loop = town.network.new_loop()
    try:
        loop.run_until_complete(scene())
    finally:
        end_loop(loop)


@pytest.fixture
def town(dtls: None) -> Town:
    """Needs DTLSSocket."""
    return Town()


def test_one_session_serves_both_directions(town: Town) -> None:
    """The device opens it, the server asks on it; the tap keeps ciphertext, which the key opens."""

    async def scene() -> None:
        async with town.side(KEYS, opens=False) as server, town.side(ONE, opens=True) as device:
            assert await device.get(server.port) == b"server"
            assert await server.get(device.port) == b"device"
            assert server.sessions.identity_of(("127.0.0.1", device.port)) == "urn:dev:1"
            assert (len(server.sessions), len(device.sessions)) == (1, 1)

    on_loopback(town, scene)
    assert not any(b"server" in one.payload or b"device" in one.payload for one in town.network.sightings)
    closed = capture_of(town.network.sightings, name="closed")
    assert (len(closed.messages), [one.opened for one in closed.columns.sessions]) == (0, [False])
    opened = capture_of(town.network.sightings, name="opened", psk=KEYS.for_reading())
    assert [*opened.messages["uri_path"].dropna()] == ["/f", "/f"]
    assert [one.identity for one in opened.columns.sessions] == ["urn:dev:1"]


def test_an_unknown_identity_is_refused_by_name(town: Town) -> None:
    """Fatal unknown_psk_identity (RFC 4279, 2); the request goes unanswered, and nobody keeps anything."""

    async def scene() -> None:
        stranger = Credentials({"nobody": bytes(16)})
        async with town.side(KEYS, opens=False) as server, town.side(stranger, opens=True) as device:
            with pytest.raises(NoAnswer):
                await Requester(device.context, Timers(ack_timeout=0.1, max_retransmit=1)).ask(
                    Code.GET, to=f"coap://127.0.0.1:{server.port}/f"
                )
            await device.heard("the handshake was refused: alert unknown_psk_identity")
            await server.heard("the handshake was refused: unknown identity 'nobody'")
            assert (len(server.sessions), len(device.sessions)) == (0, 0)

    on_loopback(town, scene)


WRONG = Credentials({"urn:dev:1": bytes([9] * 16)})


def test_a_wrong_key_ends_the_handshake(town: Town) -> None:
    """The server says so at the first Finished that does not authenticate; who asked has a sentence without a key."""

    async def scene() -> None:
        async with town.side(KEYS, opens=False) as server, town.side(WRONG, opens=True) as device:
            requester = Requester(device.context, Timers(), "coap", device.sessions)
            with pytest.raises(NoAnswer, match="the peer has another key for the identity 'urn:dev:1'"):
                async with asyncio.timeout(WITHIN):
                    await requester.ask(Code.GET, to=f"coap://127.0.0.1:{server.port}/f")
            assert "alert bad_record_mac" in await device.heard("the handshake was refused")
            assert "the Finished of 'urn:dev:1' does not authenticate" in await server.heard(
                "the handshake was refused"
            )
            assert (len(server.sessions), len(device.sessions)) == (0, 0)
            assert (len(server.said), len(device.said)) == (1, 1), "the request is not sent again"
            for keys in (KEYS, WRONG):
                _, key = Credentials({"urn:dev:1": keys.key_of(b"urn:dev:1") or b""}).own()
                assert not any(key.hex() in one or repr(key) in one for one in (*server.said, *device.said))

    on_loopback(town, scene)


def test_a_peer_that_drops_another_key_in_silence(town: Town) -> None:
    """As many do (RFC 6347, 4.1.2.7): a Finished that nobody answers has a time of its own."""

    async def scene() -> None:
        async with (
            town.side(KEYS, opens=False) as server,
            town.side(WRONG, opens=True, answered_within=0.5) as device,
        ):
            server.sessions._transport = Loses(server.sessions._transport, 3, 4, 5, 6)
            device.sessions.send(b"x", ("127.0.0.1", server.port))
            await device.heard(
                "no answer to the Finished of 'urn:dev:1' within 1 s: the peer has another key, or is gone"
            )
            assert len(device.sessions) == 0

    on_loopback(town, scene)


@pytest.mark.parametrize(
    ("lost", "said"), [((0, 1, 2, 3), "nobody answered"), ((1, 2, 3, 4), "no end of the handshake")]
)
def test_a_handshake_without_end_ends_by_time(town: Town, lost: tuple[int, ...], said: str) -> None:
    """Nobody there is told from somebody who falls silent."""

    async def scene() -> None:
        async with (
            town.side(KEYS, opens=False) as server,
            town.side(ONE, opens=True, handshake_within=0.5) as device,
        ):
            server.sessions._transport = Loses(server.sessions._transport, *lost)
            device.sessions.send(b"x", ("127.0.0.1", server.port))
            await device.heard(f"{said} within 0.5 s")

    on_loopback(town, scene)


def test_a_session_ends_with_an_alert(town: Town) -> None:
    """close_notify; a server has nobody to send to then, and does not open a session itself."""

    async def scene() -> None:
        async with town.side(KEYS, opens=False) as server:
            async with town.side(ONE, opens=True) as device:
                await device.get(server.port)
                port = device.port
            await server.heard("ended, alert close_notify")
            assert len(server.sessions) == 0
            before = len(town.network.sightings)
            server.sessions.send(b"x", ("127.0.0.1", port))
            assert len(town.network.sightings) == before

    on_loopback(town, scene)


class Loses(OuterTransport):
    """Loses the datagrams of these numbers."""

    def __init__(self, real: Any, *lost: int) -> None:
        super().__init__(real)
        self.lost, self.count = lost, 0

    def sendto(self, data: Any, addr: Any = None) -> None:
        if self.count not in self.lost:
            self.real.sendto(data, addr)
        self.count += 1


@pytest.mark.parametrize("lost", [(0,), (1,), (1, 2), (2,), (3, 4), (4,), (1, 3, 4)])
def test_what_a_server_says_is_lost(town: Town, lost: tuple[int, ...]) -> None:
    """HelloVerifyRequest, ServerHello, ServerHelloDone, ChangeCipherSpec, Finished: whoever waits asks again."""

    async def scene() -> None:
        async with town.side(KEYS, opens=False) as server, town.side(ONE, opens=True) as device:
            server.sessions._transport = Loses(server.sessions._transport, *lost)
            assert await device.get(server.port) == b"server"
            assert (len(server.said), len(device.said)) == (1, 1)

    on_loopback(town, scene)


@pytest.mark.parametrize("lost", [(0,), (1,), (2,), (3,), (4,), (2, 3, 4)])
def test_what_a_client_says_is_lost(town: Town, lost: tuple[int, ...]) -> None:
    """Both ClientHellos, ClientKeyExchange, ChangeCipherSpec, Finished: it says them again after two seconds."""

    async def scene() -> None:
        async with town.side(KEYS, opens=False) as server, town.side(ONE, opens=True) as device:
            device.sessions._transport = Loses(device.sessions._transport, *lost)
            assert await device.get(server.port) == b"server"
            assert (len(server.said), len(device.said)) == (1, 1)

    on_loopback(town, scene)


def test_a_simulated_network_has_no_dtls(dtls: None) -> None:
    """tinydtls keeps real time."""
    network = SimulatedNetwork(link=Link(), seed=1)
    work = network.context(None, side="device", bind=("192.0.2.1", 1), sessions=Sessions(ONE, opens=True))
    with pytest.raises(BadInput, match="coaps is expected on real sockets only"):
        asyncio.run(work)


def test_without_tinydtls_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    monkeypatch.setattr(tinydtls, "has_dtls", lambda: False)
    with pytest.raises(BadInput, match=r"pip install 'lwm2m-lab\[dtls\]' is expected, with a C compiler"):
        Sessions(ONE, opens=True)


# ---------------------------------------------------------------- without a network: each datagram in the test's hand


class Post:
    """Carries datagrams between sides by hand, and loses those that it is told to."""

    def __init__(self) -> None:
        self.sides: dict[tuple[str, int], Sessions] = {}
        self.sent: list[tuple[tuple[str, int], tuple[str, int], bytes]] = []
        self.got: list[tuple[tuple[str, int], bytes]] = []
        self.said: list[str] = []

    def side(self, port: int, keys: Credentials, *, opens: bool, **more: Any) -> Sessions:
        """A side at 127.0.0.1."""
        place = ("127.0.0.1", port)
        sessions = Sessions(keys, opens=opens, told=self.said.append, **more).around(Inbox(self, place))
        sessions.connection_made(Slot(self, place))
        self.sides[place] = sessions
        return sessions

    def run(self, *lost: int) -> list[bytes]:
        """Carry everything until nobody has anything to say; those of these numbers are lost."""
        carried: list[bytes] = []
        while self.sent:
            source, to, datagram = self.sent.pop(0)
            if len(carried) not in lost and to in self.sides:
                self.sides[to].datagram_received(datagram, source)
            carried.append(datagram)
            assert len(carried) < 1000
        return carried


class Slot(asyncio.DatagramTransport):
    """Where a side puts its datagrams."""

    def __init__(self, post: Post, place: tuple[str, int]) -> None:
        super().__init__({"sockname": place})
        self.post, self.place = post, place

    def sendto(self, data: Any, addr: Any = None) -> None:
        self.post.sent.append((self.place, addr, bytes(data)))


class Inbox(asyncio.DatagramProtocol):
    """Where a side gets what was in them."""

    def __init__(self, post: Post, place: tuple[str, int]) -> None:
        self.post, self.place = post, place

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Nothing to do."""

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.post.got.append((self.place, data))


SERVER, DEVICE = ("127.0.0.1", 5684), ("127.0.0.1", 40000)


@pytest.fixture
def post(dtls: None) -> Iterator[Post]:
    """A post, in a loop whose timers never come."""

    loop = asyncio.new_event_loop()
    asyncio._set_running_loop(loop)
    try:
        one = Post()
        yield one
        for side in one.sides.values():
            side.close()
    finally:
        asyncio._set_running_loop(None)
        loop.close()


def opened(post: Post) -> tuple[Sessions, Sessions]:
    """A server, and a device with a session."""
    server, device = post.side(5684, KEYS, opens=False), post.side(40000, ONE, opens=True)
    device.send(b"hello", SERVER)
    post.run()
    assert post.got.pop() == (SERVER, b"hello")
    return server, device


ALERT_IN_CLEAR = bytes.fromhex("15fefd 0000 000000000009 0002 0228")


@pytest.mark.parametrize(
    "forged",
    [
        b"",
        b"\x16",
        b"\x40\x01\x00\x01",
        bytes(2000),
        bytes.fromhex("16fefd 0000 000000000000 ffff 01"),
        ALERT_IN_CLEAR,
        bytes.fromhex("15fefd 0001 000000000009 0012") + bytes(18),
        bytes.fromhex("17fefd 0001 000000000009 0400") + bytes(1024),
        bytes.fromhex("16fefd 0000 000000000009 0019 0200000d0000000000000d") + bytes(14),
        bytes.fromhex("19fefd 0001 000000000009 0012") + bytes(18),
    ],
    ids=["empty", "a byte", "CoAP", "zeros", "lying length", "alert in clear", "alert", "data", "ServerHello", "CID"],
)
def test_what_is_forged_changes_nothing(post: Post, forged: bytes) -> None:
    """Neither an alert in the clear nor a record that does not authenticate ends a session; none is answered."""
    server, device = opened(post)
    for side, other in ((server, DEVICE), (device, SERVER), (server, ("127.0.0.1", 50000))):
        side.datagram_received(forged, other)
    assert post.sent == []
    server.send(b"and back", DEVICE)
    post.run()
    assert post.got == [(DEVICE, b"and back")]
    assert len(server) == 1


def test_a_replayed_record_is_dropped(post: Post) -> None:
    """A copy of a datagram says nothing twice."""
    _, device = opened(post)
    device.send(b"once", SERVER)
    post.sent *= 2
    post.run()
    assert post.got == [(SERVER, b"once")]


def test_the_first_words_wait_for_the_handshake(post: Post) -> None:
    """Each once, however often aiocoap sends it again."""
    post.side(5684, KEYS, opens=False)
    device = post.side(40000, ONE, opens=True)
    for data in (b"a", b"b", b"a", b"a"):
        device.send(data, SERVER)
    post.run()
    assert post.got == [(SERVER, b"a"), (SERVER, b"b")]


def test_a_restart_at_the_same_address_replaces_the_session(post: Post) -> None:
    """As soon as the cookie shows that the client is there (RFC 6347, 4.2.8), and not by its first ClientHello."""
    server, device = opened(post)
    device.close(alert=False)
    again = post.side(40000, Credentials({"urn:dev:2": bytes([2] * 16)}), opens=True)
    again.send(b"again", SERVER)
    server.datagram_received(post.sent[0][2], DEVICE)
    assert server.identity_of(DEVICE) == "urn:dev:1", "anybody can say ClientHello from there"
    post.run()
    assert post.got == [(SERVER, b"again")]
    assert (server.identity_of(DEVICE), len(server)) == ("urn:dev:2", 1)


def test_sessions_have_a_limit(post: Post) -> None:
    """The one that was silent the longest makes room, and is told so."""
    server = post.side(5684, KEYS, opens=False, most=3)
    for port in (40001, 40002, 40003, 40001, 40004):
        side = post.sides.get(("127.0.0.1", port)) or post.side(port, ONE, opens=True)
        side.send(b"x%d" % len(post.got), SERVER)
        post.run()
    assert [server.identity_of(("127.0.0.1", port)) is not None for port in (40001, 40002, 40003, 40004)] == [
        True, False, True, True,
    ]  # fmt: skip
    assert any("40002 ended, closed to make room" in one for one in post.said)
    assert len(post.sides["127.0.0.1", 40002]) == 0


def test_a_flood_of_hellos_leaves_no_sessions(post: Post) -> None:
    """Whoever has not shown a cookie is one of the few strangers; sessions are untouched."""
    server, _ = opened(post)
    hello = bytes.fromhex("16feff 0000 000000000000 0036 0100002a 0000 000000 00002a fefd") + bytes(32)
    hello += bytes.fromhex("00 00 0002 c0a8 01 00")
    for port in range(10_000, 11_000):
        server.datagram_received(hello, ("127.0.0.1", port))
    assert [one[2][13] for one in post.sent] == [3] * 1000, "HelloVerifyRequest to each"
    assert (len(server), len(server._strangers)) == (1, MOST_STRANGERS)
    assert server.identity_of(DEVICE) == "urn:dev:1"


def test_many_sessions_open_and_close(post: Post) -> None:
    """Five hundred, each ended by the alert of its device; the contexts are used again."""
    server = post.side(5684, KEYS, opens=False)
    for number in range(500):
        place = ("127.0.0.1", 41000 + number % 40)
        post.side(place[1], ONE, opens=True).send(b"x", SERVER)
        post.run()
        if number % 3 == 0:
            post.sides[place].close()
            post.run()
    assert len(post.got) == 500
    assert len(server) <= 40
    for side in post.sides.values():
        side.close()
    post.run()
    assert len(server) == 0


def test_too_long_for_a_record(post: Post) -> None:
    """It is not sent, and said."""
    _, device = opened(post)
    device.send(bytes(1281), SERVER)
    assert post.sent == []
    assert post.said[-1] == "a message of 1281 bytes is too long for a DTLS record"
    device.send(bytes(1280), SERVER)
    post.run()
    assert post.got == [(SERVER, bytes(1280))]


#: Where, what comes there, how much goes.
CHANGES = st.none() | st.tuples(st.integers(0, 150), st.binary(max_size=3), st.integers(0, 60))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(changes=st.lists(CHANGES, max_size=20))
def test_any_change_of_a_handshake_is_survived(post: Post, changes: list[tuple[int, bytes, int] | None]) -> None:
    """Bytes changed, cut off and added on the way: nobody hangs or keeps anything, and the next handshake succeeds."""
    server, device = post.side(5684, KEYS, opens=False), post.side(40000, ONE, opens=True)
    device.send(b"hello", SERVER)
    for change in changes:
        if not post.sent:
            break
        source, to, datagram = post.sent.pop(0)
        if change is not None:
            at, middle, cut = change
            at %= len(datagram)
            datagram = datagram[:at] + middle + datagram[at + cut :]
        post.sides[to].datagram_received(datagram, source)
    post.sent.clear()
    device.close(alert=False)
    again = post.side(40000, ONE, opens=True)
    again.send(b"again", SERVER)
    post.run()
    assert (SERVER, b"again") in post.got
    server.close(alert=False)
    again.close(alert=False)


def test_a_finished_that_overtakes_the_key_exchange_is_no_other_key(post: Post) -> None:
    """ClientKeyExchange, ChangeCipherSpec and Finished in every order: the handshake ends well in the end, or waits."""
    for order in itertools.permutations(range(3)):
        for side in post.sides.values():
            side.close(alert=False)
        server, device = post.side(5684, KEYS, opens=False), post.side(40000, ONE, opens=True)
        device.send(b"hello", SERVER)
        while not (len(post.sent) == 3 and post.sent[0][0] == DEVICE):
            source, to, datagram = post.sent.pop(0)
            post.sides[to].datagram_received(datagram, source)
        post.sent = [post.sent[place] for place in order]
        post.run()
        assert not any("refused" in one for one in post.said), order
        assert len(server) == 1

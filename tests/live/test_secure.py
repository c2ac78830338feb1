"""DTLS beneath aiocoap, on loopback: one session for both directions, and everything that can go wrong with one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiocoap.numbers.codes import Code

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live import secure
from lwm2m_lab.live.credentials import Credentials
from lwm2m_lab.live.link import Link
from lwm2m_lab.live.network import LoopbackNetwork, SimulatedNetwork
from lwm2m_lab.live.repository import Repository
from lwm2m_lab.live.requests import NoAnswer, Requester, Timers, end_loop
from lwm2m_lab.live.run import capture_of
from lwm2m_lab.live.secure import Sessions

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
            await server.heard("the handshake was refused: unknown identity")
            assert (len(server.sessions), len(device.sessions)) == (0, 0)

    on_loopback(town, scene)


def test_a_wrong_key_ends_by_time(town: Town) -> None:
    """A record that does not authenticate is dropped in silence (RFC 6347, 4.1.2.7); both sides give up."""

    async def scene() -> None:
        wrong = Credentials({"urn:dev:1": bytes([9] * 16)})
        async with (
            town.side(KEYS, opens=False, handshake_within=0.5) as server,
            town.side(wrong, opens=True, handshake_within=0.5) as device,
        ):
            device.sessions.send(b"x", ("127.0.0.1", server.port))
            await device.heard("no end of the handshake within 0.5 s: nobody there, or another key")
            await server.heard("no end of the handshake within 0.5 s")
            assert (len(server.sessions), len(device.sessions)) == (0, 0)

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


def test_a_simulated_network_has_no_dtls(dtls: None) -> None:
    """tinydtls keeps real time."""
    network = SimulatedNetwork(link=Link(), seed=1)
    work = network.context(None, side="device", bind=("192.0.2.1", 1), sessions=Sessions(ONE, opens=True))
    with pytest.raises(BadInput, match="coaps is expected on real sockets only"):
        asyncio.run(work)


def test_without_tinydtls_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    monkeypatch.setattr(secure, "has_dtls", lambda: False)
    with pytest.raises(BadInput, match=r"pip install 'lwm2m-lab\[dtls\]' is expected, with a C compiler"):
        Sessions(ONE, opens=True)

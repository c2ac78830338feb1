"""Whatever devices do, the server answers by the book and keeps within its limits: a model beside it, step by step."""

from __future__ import annotations

import asyncio
from typing import Any

import aiocoap
from aiocoap.numbers.codes import Code
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lwm2m_lab.live.clock import SimulatedLoop
from lwm2m_lab.live.endpoint import Endpoint
from lwm2m_lab.live.link import Link
from lwm2m_lab.live.network import SimulatedNetwork
from lwm2m_lab.live.registry import Limits
from lwm2m_lab.live.repository import Repository
from lwm2m_lab.live.server import Registrar
from lwm2m_lab.live.serving import Site
from lwm2m_lab.live.world import run_blocking
from lwm2m_lab.wire.coap import Message, decode, encode

LIMITS = Limits(registrations=2, links=20, body=2048, open_bodies=2)
ENDPOINTS = st.sampled_from(["a", "b", "c", "e"])
REMOTES = st.sampled_from(["192.0.2.2", "192.0.2.3", "192.0.2.4"])
LIFETIMES = st.sampled_from([0, 10, 60, 86_400])


class Devices(RuleBasedStateMachine):
    """Several devices, some of them odd, before one server; `model` is who ought to be registered, and until when."""

    @initialize()
    def begin(self) -> None:
        self.loop = SimulatedLoop()
        self.server = Registrar(limits=LIMITS, allowed={"a", "b", "c"})
        self.model: dict[str, tuple[str, float]] = {}
        self.gone: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.close()

    def ask(self, path: str, *query: str, code: Code = Code.POST, payload: bytes = b"", remote: str = "192.0.2.2",
            **options: Any) -> aiocoap.Message:  # fmt: skip
        """A request and its answer; every refusal says why."""
        request = aiocoap.Message(
            code=code, uri_path=path.strip("/").split("/"), uri_query=query, payload=payload, **options
        )
        request.remote = remote

        async def answer() -> aiocoap.Message:
            return self.server.answer(request)

        response = self.loop.run_until_complete(answer())
        assert response.code.is_response()
        assert response.code.is_successful() or response.payload, f"{response.code} without a diagnostic"
        return response

    @property
    def now(self) -> float:
        return self.loop.time()

    def expire(self) -> None:
        for name, (location, end) in list(self.model.items()):
            if self.now > end:
                self.gone.add(location)
                del self.model[name]

    # ------------------------------------------------------------ what devices do by the book

    @rule(name=ENDPOINTS, lifetime=LIFETIMES, remote=REMOTES)
    def register(self, name: str, lifetime: int, remote: str) -> None:
        response = self.ask("/rd", "lwm2m=1.1", f"ep={name}", f"lt={lifetime}", payload=b"</5/0>", remote=remote)
        self.expire()
        if name == "e":
            assert response.code == Code.FORBIDDEN
        elif name not in self.model and len(self.model) == LIMITS.registrations:
            assert (response.code, response.opt.max_age) == (Code.SERVICE_UNAVAILABLE, 60)
        else:
            assert response.code == Code.CREATED
            self.gone |= {self.model[name][0]} if name in self.model else set()
            location = "/" + "/".join(response.opt.location_path)
            self.model[name] = location, self.now + lifetime if lifetime else float("inf")

    @precondition(lambda self: self.model)
    @rule(data=st.data(), lifetime=LIFETIMES, remote=REMOTES)
    def update(self, data: st.DataObject, lifetime: int, remote: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        location, end = self.model[name]
        response = self.ask(location, f"lt={lifetime}", remote=remote)
        if self.now > end:
            assert response.code == Code.NOT_FOUND
            self.expire()
        else:
            assert response.code == Code.CHANGED
            assert self.server.registry.by_endpoint[name].remote == remote
            self.model[name] = location, self.now + lifetime if lifetime else float("inf")

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def deregister(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        location, end = self.model.pop(name)
        expected = Code.NOT_FOUND if self.now > end else Code.DELETED
        assert self.ask(location, code=Code.DELETE).code == expected
        self.gone.add(location)

    @precondition(lambda self: self.gone)
    @rule(data=st.data(), code=st.sampled_from([Code.POST, Code.DELETE]))
    def come_back(self, data: st.DataObject, code: Code) -> None:
        """A location that was given back is nobody's."""
        assert self.ask(data.draw(st.sampled_from(sorted(self.gone))), code=code).code == Code.NOT_FOUND

    @rule(seconds=st.sampled_from([1.0, 30.0, 300.0]))
    def wait(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))

    # ------------------------------------------------------------ what devices do otherwise

    @rule(number=st.integers(0, 5), more=st.booleans(), szx=st.integers(0, 7), length=st.integers(0, 1100),
          remote=REMOTES, path=st.sampled_from(["/rd", "/dp", "/rd/1"]))  # fmt: skip
    def send_block(self, number: int, more: bool, szx: int, length: int, remote: str, path: str) -> None:
        """Blocks in any order, of bodies that nobody ends; what they make up is no link format."""
        length = 16 << szx if more and szx < 7 and length % 4 else length
        response = self.ask(path, "lwm2m=1.1", "ep=e", payload=b"x" * length, remote=remote, block1=(number, more, szx))
        assert response.code != Code.CREATED
        assert response.opt.block1 is None or response.opt.block1.size_exponent <= 6

    @rule(query=st.lists(st.text(max_size=20), max_size=4), payload=st.binary(max_size=60),
          code=st.sampled_from([Code.GET, Code.PUT, Code.FETCH, Code.DELETE]))  # fmt: skip
    def say_nonsense(self, query: list[str], payload: bytes, code: Code) -> None:
        assert not self.ask("/rd", *query, payload=payload, code=code).code.is_successful()

    @rule(payload=st.binary(min_size=2100, max_size=2200))
    def register_at_length(self, payload: bytes) -> None:
        response = self.ask("/rd", "lwm2m=1.1", "ep=a", payload=payload)
        assert (response.code, response.opt.size1) == (Code.REQUEST_ENTITY_TOO_LARGE, LIMITS.body)

    @rule(number=st.integers(0, 60000))
    def ask_with_unknown_option(self, number: int) -> None:
        """A critical option that nobody knows is refused, whatever else is asked."""
        critical = number * 2 + 1 if number * 2 + 1 > 300 else 9
        critical = 9 if critical % 65536 in (35, 39) else critical
        option = aiocoap.numbers.optionnumbers.OptionNumber(critical % 65536).create_option(value=b"x")
        request = aiocoap.Message(code=Code.POST, uri_path=("rd",), uri_query=("lwm2m=1.1", "ep=a"))
        request.opt.add_option(option)
        request.remote = "192.0.2.2"
        assert self.server.answer(request).code == Code.BAD_OPTION

    # ------------------------------------------------------------ what always holds

    @invariant()
    def it_keeps_what_it_should(self) -> None:
        if hasattr(self, "server"):
            registry = self.server.registry
            held = {n: one for n, one in registry.by_endpoint.items() if not one.has_ended(self.now)}
            self.expire()
            assert {n: one.location for n, one in held.items()} == {n: place for n, (place, _) in self.model.items()}
            assert {one.location for one in registry.by_endpoint.values()} == set(registry.by_location)
            assert len(registry.by_endpoint) <= LIMITS.registrations
            assert len(self.server.bodies) <= LIMITS.open_bodies


TestDevices = Devices.TestCase
TestDevices.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_thousands_of_beginnings() -> None:
    """Each sender begins a body and registers under a name of its own; what is kept stays within the limits."""
    loop, server = SimulatedLoop(), Registrar(limits=Limits(registrations=100, open_bodies=8))

    async def flood() -> set[str]:
        codes = set()
        for number in range(3000):
            first = aiocoap.Message(code=Code.POST, uri_path=("rd",), payload=bytes(16), block1=(0, True, 0))
            whole = aiocoap.Message(
                code=Code.POST, uri_path=("rd",), uri_query=("lwm2m=1.1", f"ep={number}"), payload=b"</5/0>"
            )
            for message, sender in ((first, "slow"), (whole, "quick")):
                message.remote = f"{sender} {number}"
                codes.add(str(server.answer(message).code.dotted))
        return codes

    assert loop.run_until_complete(flood()) == {"2.31", "2.01", "5.03"}
    assert (len(server.bodies), len(server.registry.by_endpoint), len(server.registry.by_location)) == (8, 100, 100)
    assert len(server._heard) == 100
    loop.close()


REGISTER = Message("CON", "0.02", 7, token=b"\7", options=(
    (11, b"rd"), (15, b"lwm2m=1.1"), (15, b"ep=a")), payload=b"</5/0>")  # fmt: skip


def replies(*datagrams: bytes) -> list[bytes]:
    """What a server on a socket says to datagrams, byte by byte."""
    network = SimulatedNetwork(link=Link(delay=0.01), seed=1)

    class Peer(asyncio.DatagramProtocol):
        heard: list[bytes] = []  # noqa: RUF012

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.heard.append(data)

    async def live() -> list[bytes]:
        site = Site(Registrar(), Repository({"/fw/a": b"x"}))
        context = await network.context(site, side="server", bind=("192.0.2.1", 5683), endpoint=Endpoint())
        peer = Peer()
        peer.heard = []
        transport = await _open(network, peer)
        for data in datagrams:
            transport.sendto(data, ("192.0.2.1", 5683))
        await asyncio.sleep(5)
        await context.shutdown()
        return peer.heard

    return run_blocking(network, 1, live)


async def _open(network: SimulatedNetwork, peer: asyncio.DatagramProtocol) -> Any:
    """A bare socket on the device's side."""
    from lwm2m_lab.live.network import _side

    token = _side.set("device")
    try:
        return network.open(peer, ("192.0.2.2", 50000))[0]
    finally:
        _side.reset(token)


@settings(max_examples=60, deadline=None)
@given(noise=st.lists(st.binary(max_size=80) | st.binary(min_size=1, max_size=30).map(
    lambda tail: encode(REGISTER)[:-6] + tail), max_size=5))  # fmt: skip
def test_any_datagrams(noise: list[bytes]) -> None:
    """Bytes of every kind, and then a Register is answered as ever."""
    heard = [decode(one) for one in replies(*noise, encode(REGISTER))]
    assert any((one.mid, one.type) == (7, "ACK") for one in heard)
    assert replies(encode(REGISTER))[0][1] == 0x41

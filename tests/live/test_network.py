"""The simulated network: what is carried, lost, repeated, queued, and what each side saw of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from lwm2m_lab.live import network as networks
from lwm2m_lab.live.link import Link
from lwm2m_lab.live.network import SimulatedNetwork

DEVICE, SERVER, REPOSITORY = ("192.0.2.2", 50000), ("192.0.2.1", 5683), ("192.0.2.3", 5683)


class Listener(asyncio.DatagramProtocol):
    """Keeps what arrives, with the time."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, bytes]] = []

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.heard.append((round(asyncio.get_running_loop().time(), 6), data))


def play(
    link: Link, script: Callable[[dict[str, Any]], Coroutine[Any, Any, None]], *, seed: int = 1
) -> SimulatedNetwork:
    """Open a port for each participant, run the script, and return the network."""
    network = SimulatedNetwork(link=link, seed=seed)
    loop = network.new_loop()

    async def run() -> None:
        cast: dict[str, Any] = {}
        for name, side, address in (
            ("device", "device", DEVICE),
            ("server", "server", SERVER),
            ("repository", "server", REPOSITORY),
        ):
            networks._side.set(side)
            transport, protocol = await loop.create_datagram_endpoint(Listener, local_addr=address)
            cast[name], cast[f"{name}_ear"] = transport, protocol
        await script(cast)

    loop.run_until_complete(run())
    loop.close()
    return network


def test_a_datagram_takes_its_delay() -> None:
    """Half a second each way."""

    async def script(cast: dict[str, Any]) -> None:
        cast["device"].sendto(b"hello", SERVER)
        await asyncio.sleep(1)
        assert cast["server_ear"].heard == [(0.5, b"hello")]

    network = play(Link(delay=0.5), script)
    assert [(s.side, s.payload, s.note) for s in network.sightings] == [
        ("device", b"hello", None),
        ("server", b"hello", None),
    ]


def test_what_stays_on_one_side_does_not_cross_the_link() -> None:
    """Server and repository talk at once and without loss."""

    async def script(cast: dict[str, Any]) -> None:
        cast["server"].sendto(b"x", REPOSITORY)
        await asyncio.sleep(0.1)
        assert cast["repository_ear"].heard == [(0.0, b"x")]

    play(Link(delay=9, loss=1.0), script)


def test_a_lost_datagram_is_seen_by_its_sender_alone() -> None:
    """The sender's side writes down that it was lost; the other side never sees it."""

    async def script(cast: dict[str, Any]) -> None:
        cast["device"].sendto(b"gone", SERVER)
        await asyncio.sleep(5)
        assert cast["server_ear"].heard == []

    network = play(Link(loss={"up": 1.0, "down": 0.0}), script)
    assert [(s.side, s.note) for s in network.sightings] == [("device", "lost on the way")]


def test_an_outage_swallows_everything_and_ends() -> None:
    """Nothing passes from second 1 to second 2."""

    async def script(cast: dict[str, Any]) -> None:
        for _ in range(3):
            cast["server"].sendto(b"?", DEVICE)
            await asyncio.sleep(0.9)
        assert [time for time, _ in cast["device_ear"].heard] == [0.05, 0.95]

    network = play(Link(delay=0.05, outages=[(1.0, 2.0)]), script)
    assert [s.note for s in network.sightings if s.side == "server"] == [None, None, "lost: the link was down"]


def test_a_repeated_datagram_arrives_twice() -> None:
    """Certain duplication delivers two copies and says so at the sender."""

    async def script(cast: dict[str, Any]) -> None:
        cast["device"].sendto(b"2x", SERVER)
        await asyncio.sleep(1)
        assert [data for _, data in cast["server_ear"].heard] == [b"2x", b"2x"]

    network = play(Link(duplication=1.0), script)
    assert network.sightings[0].note == "duplicated on the way"


def test_datagrams_queue_for_the_radio() -> None:
    """At 8 kbit/s two datagrams of 100 bytes (72 and 28 of headers) take 0.1 s each, one behind the other."""

    async def script(cast: dict[str, Any]) -> None:
        cast["device"].sendto(bytes(72), SERVER)
        cast["device"].sendto(bytes(72), SERVER)
        await asyncio.sleep(1)
        assert [time for time, _ in cast["server_ear"].heard] == [0.1, 0.2]

    play(Link(delay=0, rate=8000), script)


def test_a_closed_port_hears_nothing() -> None:
    """After a reboot the old port is nobody; what arrives there is seen and said to be for nobody."""

    async def script(cast: dict[str, Any]) -> None:
        cast["device"].close()
        cast["server"].sendto(b"anybody?", DEVICE)
        await asyncio.sleep(1)

    network = play(Link(), script)
    assert network.sightings[-1].note == "nobody listens on this port"


def test_the_same_seed_loses_the_same_datagrams() -> None:
    """The dice belong to the network, not to the process."""

    async def script(cast: dict[str, Any]) -> None:
        for _ in range(50):
            cast["device"].sendto(b"x", SERVER)
            await asyncio.sleep(1)

    notes = [[s.note for s in play(Link(loss=0.3), script, seed=seed).sightings] for seed in (4, 4, 5)]
    assert notes[0] == notes[1] != notes[2]


def test_a_port_in_use_is_refused() -> None:
    """Two sockets on one address would share the traffic."""

    async def script(_: dict[str, Any]) -> None:
        with pytest.raises(OSError, match="in use"):
            await asyncio.get_running_loop().create_datagram_endpoint(Listener, local_addr=SERVER)

    play(Link(), script)


def test_an_unknown_host_has_no_address() -> None:
    """Name resolution knows addresses and the names it was given."""

    async def script(_: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        assert (await loop.getaddrinfo("192.0.2.9", 5683))[0][4] == ("192.0.2.9", 5683)
        with pytest.raises(OSError, match="knows no host"):
            await loop.getaddrinfo("nowhere.example", 5683)

    play(Link(), script)

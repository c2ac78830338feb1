"""Two networks with one door: the simulated one in memory, and real UDP sockets. Both keep what passed.

A participant asks its network for an aiocoap context and says on which side of the device's link it stands. aiocoap
opens its socket through the event loop, and there the network stands: it carries the datagram (or hands it to the
operating system) and writes down what each side saw of it. aiocoap itself is used as published.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import ipaddress
import logging
import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

import aiocoap

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.clock import SimulatedLoop
from lwm2m_lab.live.endpoint import Endpoint, OuterTransport
from lwm2m_lab.live.link import Link, Path
from lwm2m_lab.live.secure import Sessions
from lwm2m_lab.live.tcptap import See, Segment, TcpTap

__all__ = ["LoopbackNetwork", "Network", "Side", "Sighting", "SimulatedNetwork"]

Address = tuple[str, int]
Side = Literal["server", "device"]

#: aiocoap warns through this logger that a request leaves by a server's socket, which is how LwM2M works; a notebook
#: cell must not show it, a debugging user can add a handler of their own.
LOGGER = logging.getLogger("lwm2m_lab.coap")
LOGGER.addHandler(logging.NullHandler())
LOGGER.propagate = False

#: Simulated runs begin at this moment, so that the same arguments give the same bytes: 2026-01-01T00:00:00Z.
SIMULATED_EPOCH_NS = 1_767_225_600_000_000_000

_side: contextvars.ContextVar[Side] = contextvars.ContextVar("side")
_endpoint: contextvars.ContextVar[Endpoint | None] = contextvars.ContextVar("endpoint", default=None)
_sessions: contextvars.ContextVar[Sessions | None] = contextvars.ContextVar("sessions", default=None)


@dataclass(frozen=True, slots=True)
class Sighting:
    """One datagram as one side of the link saw it.

    Attributes
    ----------
    time_ns : int
        Nanoseconds since the epoch.
    side : {"server", "device"}
        Who saw it.
    source, destination : (str, int)
        Address and port.
    payload : bytes
        What UDP carried.
    note : str or None
        What became of it on the way, where it was lost or duplicated.
    segment : Segment or None
        The header of a TCP segment; None for a datagram.
    """

    time_ns: int
    side: Side
    source: Address
    destination: Address
    payload: bytes
    note: str | None = None
    segment: Segment | None = None


class Network(Protocol):
    """What a device, a server and a repository need of a network."""

    sightings: list[Sighting]
    #: Schemes of a URI that a device can fetch from here, if it has what they need.
    schemes: tuple[str, ...]

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """An event loop whose datagram sockets belong to this network."""

    async def context(
        self,
        site: Any,
        *,
        side: Side,
        bind: Address,
        endpoint: Endpoint | None = None,
        sessions: Sessions | None = None,
    ) -> aiocoap.Context:
        """An aiocoap context on one socket for both directions, behind an endpoint of the lab's; DTLS by `sessions`."""

    def clock(self) -> float:
        """Seconds since the epoch."""

    def see_segments(self, side: Side) -> See | None:
        """Whom to tell of the segments of TCP on a side; None where there is no TCP."""


async def _context(
    site: Any, *, side: Side, bind: Address, endpoint: Endpoint | None, sessions: Sessions | None = None
) -> aiocoap.Context:
    """Let aiocoap open its one socket, with what stands before it known to the loop underneath."""
    tokens = _side.set(side), _endpoint.set(endpoint), _sessions.set(sessions)
    try:
        return await aiocoap.Context.create_server_context(
            site, bind=bind, loggername=LOGGER.name, transports=["simplesocketserver"]
        )
    finally:
        _side.reset(tokens[0])
        _endpoint.reset(tokens[1])
        _sessions.reset(tokens[2])


def _behind_endpoint(protocol: asyncio.DatagramProtocol) -> asyncio.DatagramProtocol:
    """aiocoap's protocol, behind the lab's endpoint and DTLS, where there are such."""
    endpoint, sessions = _endpoint.get(), _sessions.get()
    plain = protocol if endpoint is None else endpoint.around(protocol)
    return plain if sessions is None else sessions.around(plain)


# ---------------------------------------------------------------- simulated


class _Socket:
    """As much of a socket as aiocoap asks for."""

    def __init__(self, address: Address) -> None:
        self.family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET


class _SimulatedTransport(asyncio.DatagramTransport):
    """One open UDP port of the simulated network."""

    def __init__(self, network: SimulatedNetwork, protocol: asyncio.DatagramProtocol, address: Address, side: Side):
        super().__init__({"sockname": address, "socket": _Socket(address)})
        self.network, self.protocol, self.address, self.side = network, protocol, address, side

    def sendto(self, data: Any, addr: Any = None) -> None:
        self.network.carry(bytes(data), self, (addr[0], addr[1]))

    def abort(self) -> None:
        self.close()

    def close(self) -> None:
        if self.network.ports.pop(self.address, None) is not None:
            self.network.loop.call_soon(self.protocol.connection_lost, None)

    def is_closing(self) -> bool:
        return self.address not in self.network.ports


class _SimulatedNetworkLoop(SimulatedLoop):
    """Simulated time, and sockets that belong to a simulated network."""

    def __init__(self, network: SimulatedNetwork) -> None:
        super().__init__()
        self.network = network

    async def create_datagram_endpoint(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.DatagramProtocol], local_addr: Address | None = None, **_: Any
    ) -> tuple[_SimulatedTransport, asyncio.DatagramProtocol]:
        """Open a socket on the simulated network; `local_addr` is host and port."""
        if local_addr is None:
            raise OSError("the simulated network opens bound sockets only")
        protocol = protocol_factory()
        transport, _outer = self.network.open(_behind_endpoint(protocol), (local_addr[0], local_addr[1]))
        return transport, protocol

    async def getaddrinfo(  # type: ignore[override]
        self, host: Any, port: Any, *, family: int = 0, **_: Any
    ) -> list[tuple[int, int, int, str, tuple[Any, ...]]]:
        """The names of the simulated network, and addresses as they are."""
        address = self.network.names.get(host, host)
        try:
            version = ipaddress.ip_address(address).version
        except ValueError:
            raise socket.gaierror(socket.EAI_NONAME, f"the simulated network knows no host {host!r}") from None
        found = socket.AF_INET6 if version == 6 else socket.AF_INET
        if family not in (0, found):
            raise socket.gaierror(socket.EAI_ADDRFAMILY, f"{address} is of another address family")
        return [(found, socket.SOCK_DGRAM, socket.IPPROTO_UDP, "", (address, int(port or aiocoap.COAP_PORT)))]


class SimulatedNetwork:
    """A network in memory: hosts, a link before the device, and everything that passed it.

    Parameters
    ----------
    link : Link
        What lies between the device's side and the server's. Datagrams that stay on one side arrive at once.
    seed : int
        Of the dice of the link.
    names : sequence of (name, address)
        What name resolution knows.
    """

    schemes: tuple[str, ...] = ("coap",)

    def __init__(self, *, link: Link, seed: int, names: Sequence[tuple[str, str]] = ()) -> None:
        self.paths = {"device": link.path("up"), "server": link.path("down")}
        self.dice = random.Random(seed)
        self.names = dict(names)
        self.ports: dict[Address, _SimulatedTransport] = {}
        self.sightings: list[Sighting] = []
        self._busy_until: dict[str, float] = {"device": 0.0, "server": 0.0}

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """A loop on simulated time that opens its sockets here."""
        self.loop = _SimulatedNetworkLoop(self)
        return self.loop

    async def context(
        self,
        site: Any,
        *,
        side: Side,
        bind: Address,
        endpoint: Endpoint | None = None,
        sessions: Sessions | None = None,
    ) -> aiocoap.Context:
        """An aiocoap context bound to an address of this network."""
        if sessions is not None:
            raise BadInput("DTLS keeps real time; coaps is expected on real sockets only (network='loopback')")
        return await _context(site, side=side, bind=bind, endpoint=endpoint)

    def clock(self) -> float:
        """Simulated seconds since the epoch."""
        return SIMULATED_EPOCH_NS / 1e9 + self.loop.time()

    def see_segments(self, side: Side) -> See | None:
        """There is no TCP."""

    def open(
        self, protocol: asyncio.DatagramProtocol, address: Address
    ) -> tuple[_SimulatedTransport, asyncio.DatagramProtocol]:
        """Bind a port."""
        if address in self.ports:
            raise OSError(f"{address[0]}:{address[1]} is in use in the simulated network")
        transport = _SimulatedTransport(self, protocol, address, _side.get())
        self.ports[address] = transport
        protocol.connection_made(transport)
        return transport, protocol

    def carry(self, payload: bytes, sender: _SimulatedTransport, destination: Address) -> None:
        """Take one datagram over the link: queue it, lose it, repeat it, delay it."""
        receiver = self.ports.get(destination)
        side: Side = "server" if sender.side == "device" else "device"
        if receiver is not None and receiver.side == sender.side:
            self._deliver_later(0.0, payload, sender.address, destination, sender.side)
            return
        device = sender.address if sender.side == "device" else destination
        path, now, notes = self.path_of(device, sender.side), self.loop.time(), []
        headers = 48 if ":" in destination[0] else 28
        sent = self.leaves_at(now, 8 * (len(payload) + headers), path, device, sender.side)
        if path.is_down(sent):
            notes.append("lost: the link was down")
        elif path.loss and self.dice.random() < path.loss:
            notes.append("lost on the way")
        else:
            copies = 1
            if path.duplication and self.dice.random() < path.duplication:
                copies = 2
                notes.append("duplicated on the way")
            for _ in range(copies):
                latency = sent - now + path.latency(self.dice)
                self._deliver_later(latency, payload, sender.address, destination, side)
        self.see(sender.side, sender.address, destination, payload, "; ".join(notes) or None)

    def path_of(self, device: Address, sender: Side) -> Path:
        """What a datagram of that side passes on its way to or from a device."""
        return self.paths[sender]

    def leaves_at(self, now: float, bits: int, path: Path, device: Address, sender: Side) -> float:
        """When the last bit of a datagram has left, behind those before it."""
        sent = max(now, self._busy_until[sender]) + bits / path.rate
        self._busy_until[sender] = sent
        return sent

    def _deliver_later(self, latency: float, payload: bytes, source: Address, destination: Address, side: Side) -> None:
        self.loop.call_later(latency, self._arrive, payload, source, destination, side)

    def _arrive(self, payload: bytes, source: Address, destination: Address, side: Side) -> None:
        """Hand a datagram to whoever listens there now; a rebooted device's old port is nobody."""
        receiver = self.ports.get(destination)
        self.see(side, source, destination, payload, None if receiver else "nobody listens on this port")
        if receiver is not None:
            receiver.protocol.datagram_received(payload, source)

    def see(self, side: Side, source: Address, destination: Address, payload: bytes, note: str | None) -> None:
        time_ns = SIMULATED_EPOCH_NS + round(self.loop.time() * 1e9)
        self.sightings.append(Sighting(time_ns, side, source, destination, payload, note))


# ---------------------------------------------------------------- real sockets


class _Tap(asyncio.DatagramProtocol):
    """Stands between a real socket and aiocoap's protocol and writes down what arrives."""

    def __init__(self, inner: asyncio.DatagramProtocol, network: LoopbackNetwork, side: Side) -> None:
        self.inner, self.network, self.side = inner, network, side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.address: Address = transport.get_extra_info("sockname")[:2]
        self.inner.connection_made(_TappedTransport(cast("asyncio.DatagramTransport", transport), self))

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.network.see(self.side, addr[:2], self.address, data)
        self.inner.datagram_received(data, addr)

    def error_received(self, exc: Exception) -> None:
        self.inner.error_received(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self.inner.connection_lost(exc)


class _TappedTransport(OuterTransport):
    """Writes down what aiocoap sends, then sends it."""

    def __init__(self, real: asyncio.DatagramTransport, tap: _Tap) -> None:
        super().__init__(real)
        self.tap = tap

    def sendto(self, data: Any, addr: Any = None) -> None:
        self.tap.network.see(self.tap.side, self.tap.address, addr[:2], bytes(data))
        self.real.sendto(data, addr)


class _TappedLoop(asyncio.SelectorEventLoop):
    """An ordinary loop whose datagram sockets are tapped."""

    def __init__(self, network: LoopbackNetwork) -> None:
        super().__init__()
        self.network = network

    async def create_datagram_endpoint(  # type: ignore[override]
        self, protocol_factory: Callable[[], asyncio.DatagramProtocol], local_addr: Any = None, **options: Any
    ) -> Any:
        """Open a real UDP socket whose datagrams are also noted."""
        # Two listeners on one port would share the traffic at random: a port in use has to be an error.
        options.pop("reuse_port", None)
        side, protocol = _side.get(), protocol_factory()
        inner = _behind_endpoint(protocol)
        transport, _ = await super().create_datagram_endpoint(
            lambda: _Tap(inner, self.network, side), local_addr=local_addr, **options
        )
        return transport, protocol

    async def create_connection(self, protocol_factory: Any, *where: Any, **options: Any) -> Any:
        """Open a real TCP connection whose bytes are also noted; on this side only devices do."""
        inner = protocol_factory()
        see = self.network.see_segments("device")
        transport, _ = await super().create_connection(lambda: TcpTap(inner, see), *where, **options)
        return transport, inner


class LoopbackNetwork:
    """Real UDP sockets on this machine, tapped; needs no privilege.

    Parameters
    ----------
    most, most_bytes : int
        Sightings that are kept, the latest ones, and bytes of theirs; by default all of them.
    """

    schemes: tuple[str, ...] = ("coap", "coaps", "http", "https", "coap+tcp")

    def __init__(self, *, most: int = 2**63, most_bytes: int = 2**63) -> None:
        self.sightings: list[Sighting] = []
        self._most, self._most_bytes, self._bytes = most, most_bytes, 0

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """An ordinary loop with a tap at its datagram sockets."""
        return _TappedLoop(self)

    def clock(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    async def context(
        self,
        site: Any,
        *,
        side: Side,
        bind: Address,
        endpoint: Endpoint | None = None,
        sessions: Sessions | None = None,
    ) -> aiocoap.Context:
        """An aiocoap context on a real socket."""
        try:
            return await _context(site, side=side, bind=bind, endpoint=endpoint, sessions=sessions)
        except OSError as error:
            raise BadInput(
                f"UDP port {bind[1]} of {bind[0]} cannot be opened ({error.strerror or error}); "
                "a free port of an address of this machine is expected"
            ) from None

    def see_segments(self, side: Side) -> See:
        """Whom to tell of the segments of TCP on a side."""
        return functools.partial(self.see, side)

    def see(
        self, side: Side, source: Address, destination: Address, payload: bytes, segment: Segment | None = None
    ) -> None:
        """Write down one datagram, or segment, with the time of day."""
        self.sightings.append(Sighting(time.time_ns(), side, source, destination, payload, None, segment))
        self._bytes += len(payload)
        while len(self.sightings) > self._most or self._bytes > self._most_bytes:
            # By halves, so that the list is not shifted for each datagram.
            del self.sightings[: len(self.sightings) // 2 + 1]
            self._bytes = sum(len(one.payload) for one in self.sightings)


def free_ports(count: int) -> list[int]:
    """UDP ports of 127.0.0.1 that nobody uses now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]

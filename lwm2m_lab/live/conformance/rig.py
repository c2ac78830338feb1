"""Where a bench stands: a fresh simulated or loopback world for each case, or one socket where a device registers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from lwm2m_lab.errors import BadInput, LabError
from lwm2m_lab.live.client import LwM2MClient
from lwm2m_lab.live.conformance.images import Images
from lwm2m_lab.live.conformance.line import Files, Line
from lwm2m_lab.live.conformance.process import started
from lwm2m_lab.live.conformance.records import Case, CaseResult, Verdict
from lwm2m_lab.live.conformance.registering import BenchServer, Declared
from lwm2m_lab.live.conformance.running import run_case, unanswered
from lwm2m_lab.live.conformance.station import Station
from lwm2m_lab.live.conformance.webfiles import serving
from lwm2m_lab.live.credentials import Credentials
from lwm2m_lab.live.experiment import SIMULATED
from lwm2m_lab.live.link import Link
from lwm2m_lab.live.network import Address, LoopbackNetwork, Network, Sighting, SimulatedNetwork
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.requests import Requester, Timers, cancel
from lwm2m_lab.live.secure import Sessions
from lwm2m_lab.live.world import run_blocking, unless_dead

__all__ = ["PACES", "Bench", "Pace", "run_own_device", "run_registered"]


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long things take on a bench, seconds.

    Parameters
    ----------
    timers : Timers
        Transmission parameters of both sides; the bench assumes them of a device that is not its own, too.
    patience : float
        Without news for so long the bench reads State and Result.
    time_limit : float
        It gives up waiting for a download or an installation.

    Raises
    ------
    BadInput
        For a time out of range.
    """

    timers: Timers = field(default_factory=Timers)
    patience: float = 5.0
    time_limit: float = 180.0

    def __post_init__(self) -> None:
        for name in ("patience", "time_limit"):
            if not 0 < getattr(self, name) <= 10**7:
                raise BadInput(f"{name} is {getattr(self, name)!r}; seconds above 0 and up to 10000000 are expected")

    @property
    def silence(self) -> float:
        """After so long a silence a device has given up its retransmissions."""
        return 1.1 * self.timers.give_up_after


#: Simulated time is free. On real sockets the lab's own device and the bench are in a hurry: nobody waits 93 s for a
#: lost connection.
PACES: Mapping[str, Pace] = {
    "simulated": Pace(patience=30.0, time_limit=1_800.0),
    "loopback": Pace(timers=Timers(ack_timeout=0.2, max_retransmit=2), patience=0.5, time_limit=6.0),
}
_QUICK: Mapping[str, float] = {"install_time": 0.3, "reboot_time": 0.2, "confirm_after": 0.4, "resume_after": 0.2}
#: How the lab's own device is brought to the state that a case needs.
_PREPARED: Mapping[str, Mapping[str, Any]] = {
    "": {},
    "too large": {"storage": 2_000},
    "too much memory": {"memory": 2_000},
    "failing": {"install_fails": True},
    "resumption": {"resume_attempts": 3},
}


@dataclass
class Bench:
    """One place where devices register: a server, a repository for CoAP, and one for HTTP on real sockets.

    Parameters
    ----------
    network : Network
    server, repository : (str, int)
        Where they listen.
    images : Images
    pace : Pace
    serves_web : bool
        Whether there is a repository for HTTP, too.
    credentials : Credentials, optional
        The devices' keys: server and repository speak coaps then.
    """

    network: Network
    server: Address
    repository: Address
    images: Images
    pace: Pace
    serves_web: bool = True
    credentials: Credentials | None = None
    site: BenchServer = field(default_factory=BenchServer)
    #: Where devices register, once the sockets are open.
    uri: str = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Callable[[str], Station]]:
        """Open the sockets; what comes back makes the station of an endpoint that has registered."""
        line, files_line, files = Line(), Line(), Files()
        async with contextlib.AsyncExitStack() as stack:
            for site, bind, before in ((files, self.repository, files_line), (self.site, self.server, line)):
                sessions = None if self.credentials is None else Sessions(self.credentials, opens=False)
                context = await self.network.context(site, side="server", bind=bind, endpoint=before, sessions=sessions)
                stack.push_async_callback(context.shutdown)
            scheme = "coap" if self.credentials is None else "coaps"
            self.uri = _uri(line.address, scheme)
            uris = {"coap": _uri(files_line.address, scheme)}
            if self.serves_web:
                uris["http"] = stack.enter_context(
                    serving(files.by_path, files_line.address[0], see=self.network.see_segments("server"))
                )

            def station(endpoint: str) -> Station:
                return Station(
                    self.site, Requester(context, self.pace.timers), endpoint, line, files_line, files, uris,
                    self.images, self.pace.patience, self.pace.time_limit, self.pace.silence,
                )  # fmt: skip

            yield station

    async def registered(self, endpoint: str | None) -> str:
        """The endpoint name of the device, once it has registered; without a name, of the first that does."""
        while not (self.site.registrations if endpoint is None else endpoint in self.site.registrations):
            news = asyncio.Event()
            self.site.news = news.set
            await news.wait()
        return next(iter(self.site.registrations)) if endpoint is None else endpoint


def _uri(address: Address, scheme: str) -> str:
    """The URI of whoever listens at an address."""
    host, port = address
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _handshakes(sightings: Iterable[Sighting]) -> list[Sighting]:
    """The datagrams without which the rest of DTLS cannot be opened: handshakes, from before a case too."""
    return [one for one in sightings if one.payload[:1] in (b"\x14", b"\x16")]


# ---------------------------------------------------------------- the lab's own device


def run_own_device(case: Case, options: DeviceOptions, *, network: str, pace: Pace, seed: int) -> CaseResult:
    """Run one case against a device of the lab's, in a world that is made for it and ends with it."""
    carrier: Network
    if network == "loopback":
        carrier, addresses = LoopbackNetwork(), [("127.0.0.1", 0)] * 3
        options = replace(options, **{name: min(getattr(options, name), most) for name, most in _QUICK.items()})
    else:
        carrier = SimulatedNetwork(link=Link(), seed=seed)
        addresses = [SIMULATED.server, SIMULATED.repository, SIMULATED.device]
    options = replace(options, **_PREPARED[case.prepared])
    serves_web = network == "loopback" and "http" in case.needs
    bench = Bench(carrier, addresses[0], addresses[1], Images(), pace, serves_web)
    result = run_blocking(carrier, seed, lambda: _with_device(bench, case, options, addresses[2]))
    return replace(result, sightings=tuple(carrier.sightings))


async def _with_device(bench: Bench, case: Case, options: DeviceOptions, address: Address) -> CaseResult:
    """Let the device live for one case; an error in it ends the case and comes out here."""
    async with bench.open() as station_of:
        device = LwM2MClient(options, network=bench.network, server=bench.uri, bind=address, timers=bench.pace.timers)
        living = asyncio.ensure_future(device.run())
        try:
            await unless_dead(asyncio.wait_for(bench.registered(options.endpoint), bench.pace.time_limit), living)
            station = station_of(options.endpoint)
            station.prepared = frozenset(_PREPARED)
            return await unless_dead(run_case(case, station), living)
        finally:
            await cancel(living)


# ---------------------------------------------------------------- whatever registers


def run_registered(
    bench: Bench,
    cases: Sequence[Case],
    *,
    endpoint: str | None,
    start: Sequence[str] | None,
    wait: float,
    told: Callable[[CaseResult], None],
) -> tuple[str, Declared, list[CaseResult]]:
    """Wait for a device to register, and run every case against it, one after the other.

    Parameters
    ----------
    start : sequence of str or None
        The command of a device's process, started as soon as the bench listens.

    Raises
    ------
    LabError
        When none registers within `wait` seconds.
    """
    return run_blocking(bench.network, 0, lambda: _with_whoever(bench, cases, endpoint, start, wait, told))


async def _with_whoever(
    bench: Bench,
    cases: Sequence[Case],
    endpoint: str | None,
    start: Sequence[str] | None,
    wait: float,
    told: Callable[[CaseResult], None],
) -> tuple[str, Declared, list[CaseResult]]:
    results: list[CaseResult] = []
    async with contextlib.AsyncExitStack() as stack:
        station_of = await stack.enter_async_context(bench.open())
        if start is not None:
            stack.enter_context(started(start, bench.uri))
        try:
            name = await asyncio.wait_for(bench.registered(endpoint), wait)
        except TimeoutError:
            who = "no device registered" if endpoint is None else f"{endpoint} did not register"
            raise LabError(f"{who} at {bench.uri} within {wait:g} s") from None
        station = station_of(name)
        # Whether a device resumes shows by itself; the rest an operator gives.
        station.prepared = frozenset({"resumption", *bench.images.prepared})
        psk = None if bench.credentials is None else bench.credentials.for_reading()
        for case in cases:
            # In place: the network goes on writing to it.
            bench.network.sightings[:] = [] if psk is None else _handshakes(bench.network.sightings)
            if _is_gone(results):
                result = unanswered(case, "nobody answers any more, so it was not tried")
            else:
                result = await run_case(case, station)
            results.append(replace(result, sightings=tuple(bench.network.sightings), psk=psk))
            told(results[-1])
    return name, bench.site.declared[name], results


def _is_gone(results: Sequence[CaseResult]) -> bool:
    """Whether the device has answered nothing in two cases: each further one would wait in vain for minutes."""
    last = [one for one in results if one.verdict != Verdict.NOT_APPLICABLE][-2:]
    return len(last) == 2 and all(one.is_unanswered for one in last)

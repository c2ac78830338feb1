"""A world with one device, one server and one repository, run from beginning to end by a plain blocking call.

A notebook's kernel runs a loop already, so a run has a thread and a loop of its own. aiocoap draws message ids, tokens
and retransmission time-outs from the module `random`: a run's thread gets dice of its own there, and a lock lets one
run at a time through a process.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import random
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import aiocoap

from lwm2m_lab.live.client import Happening, LwM2MClient
from lwm2m_lab.live.credentials import Credentials
from lwm2m_lab.live.endpoint import Endpoint
from lwm2m_lab.live.image import FirmwareImage
from lwm2m_lab.live.network import Address, Network, Sighting
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.procedure import update_device
from lwm2m_lab.live.report import Report
from lwm2m_lab.live.repository import Repository
from lwm2m_lab.live.requests import Requester, Timers, begun_tasks, cancel, end_loop
from lwm2m_lab.live.secure import Sessions
from lwm2m_lab.live.server import Registrar
from lwm2m_lab.live.server_faults import build
from lwm2m_lab.live.server_options import ServerOptions

__all__ = ["Addresses", "Ended", "World", "run_blocking", "unless_dead"]

T = TypeVar("T")
#: Seconds after the server's conclusion in which the last acknowledgements still arrive.
SETTLE = 2.0
#: A world of many objects makes the cyclic collector cost two thirds of the speed; a run is short and freed whole.
GC_THRESHOLDS = (100_000, 50, 50)

#: Functions of the module `random` that aiocoap calls.
DRAWN = ("randint", "uniform")

_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everybody lives: the device, the server and the repository."""

    device: Address
    server: Address
    repository: Address


@dataclass(frozen=True, slots=True)
class Ended:
    """What is left when a world has ended."""

    sightings: tuple[Sighting, ...]
    report: Report
    truth: tuple[Happening, ...]


@dataclass(frozen=True, kw_only=True)
class World:
    """One device, one server, one repository, and what is to be done.

    `etags` says whether the repository sends any; `replaced` holds the second at which its files become others. With
    `credentials` all three speak coaps.
    """

    network: Network
    addresses: Addresses
    device: DeviceOptions
    server: ServerOptions
    timers: Timers
    image: FirmwareImage
    uri: str | None
    files: Mapping[str, bytes]
    progress: Callable[[int], None] = lambda _: None
    etags: bool = True
    replaced: tuple[float, Mapping[str, bytes]] | None = None
    credentials: Credentials | None = None

    async def _serve(self, site: Any, bind: Address) -> aiocoap.Context:
        """A socket that waits for the device."""
        sessions = None if self.credentials is None else Sessions(self.credentials, opens=False)
        endpoint = build(Endpoint, self.server.faults)()
        return await self.network.context(site, side="server", bind=bind, endpoint=endpoint, sessions=sessions)

    async def live(self) -> Ended:
        """Let the update happen; an error in the device ends the world and comes out here."""
        server = build(Registrar, self.server.faults)()
        repository = build(Repository, self.server.faults)(
            self.files, block_size=self.server.block_size, progress=self.progress, etags=self.etags
        )
        if self.replaced is not None:
            seconds, files = self.replaced
            asyncio.get_running_loop().call_later(seconds, repository.put, files)
        serving = await self._serve(server, self.addresses.server)
        contexts = [serving]
        if self.files:
            contexts.append(await self._serve(repository, self.addresses.repository))
        host, port = self.addresses.server
        device = LwM2MClient(
            self.device,
            network=self.network,
            server=f"{'coap' if self.credentials is None else 'coaps'}://{host}:{port}",
            bind=self.addresses.device,
            timers=self.timers,
            credentials=self.credentials,
        )
        living = asyncio.ensure_future(device.run())
        try:
            requester = Requester(serving, self.timers)
            update = update_device(
                server, requester, self.device.endpoint, self.image, self.server, uri=self.uri, progress=self.progress
            )
            report = await unless_dead(update, living)
            await asyncio.sleep(SETTLE)
        finally:
            await cancel(living)
            for context in contexts:
                await context.shutdown()
        return Ended(tuple(self.network.sightings), report, tuple(device.truth))


async def unless_dead(work: Coroutine[Any, Any, T], life: asyncio.Future[None]) -> T:
    """The result of `work`, or the error that ended `life` before."""
    task = asyncio.ensure_future(work)
    first: set[asyncio.Future[Any]] = {task, life}
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    if life.done():
        await cancel(task)
        life.result()
    return task.result()


def run_blocking(network: Network, seed: int, main: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine on a loop of the network, in a thread of its own, and return what it returns.

    Ctrl-C cancels it and comes out as KeyboardInterrupt once it has ended.
    """
    with _one_at_a_time, concurrent.futures.ThreadPoolExecutor(1) as pool:
        loop = network.new_loop()
        # Ctrl-C may come before `submit` has returned, the thread running already: the thread itself says where it is.
        begun, ended, gate = threading.Event(), threading.Event(), threading.Lock()
        gate.acquire()
        try:
            future = pool.submit(_told, begun, ended, gate, lambda: _drive(loop, seed, main))
            # A signal in the instant before a wait is heard only after it: so no wait is a long one.
            while not (gate.acquire(timeout=0.2) or future.done()):
                pass
            return future.result()
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            # A task may be deaf to it just then, in a library that swallows it: again, until all have ended.
            while begun.is_set() and not ended.is_set():
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(_give_up, loop)
                ended.wait(0.05)
            # Within `Thread.start` an interrupt can come out as an error of a lock that was released twice.
            if isinstance(error, RuntimeError) and isinstance(error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise


def _told(begun: threading.Event, ended: threading.Event, gate: threading.Lock, body: Callable[[], T]) -> T:
    """The body, with its beginning and its end told; the gate opens at the end."""
    begun.set()
    try:
        return body()
    finally:
        ended.set()
        gate.release()


def _give_up(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel everything; what a callback says of datagrams that nobody waits for any more is of no interest."""
    loop.set_exception_handler(lambda *_: None)
    _cancel_everything(loop)


def _drive(loop: asyncio.AbstractEventLoop, seed: int, main: Callable[[], Awaitable[T]]) -> T:
    """The body of the thread."""
    with _reproducible(seed):
        try:
            return loop.run_until_complete(main())
        finally:
            end_loop(loop)


def _cancel_everything(loop: asyncio.AbstractEventLoop) -> None:
    for task in begun_tasks(loop):
        task.cancel()


@contextlib.contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Dice from the seed for this thread, and a calm collector; both as before at the end.

    Other threads throw the dice too, a cluster's worker for one: they are neither heard nor disturbed.
    """
    dice, thread, thresholds = random.Random(seed), threading.get_ident(), gc.get_threshold()
    usual = {name: getattr(random, name) for name in DRAWN}

    def of_this_thread(name: str) -> Callable[..., Any]:
        ours, theirs = getattr(dice, name), usual[name]
        return lambda *bounds: (ours if threading.get_ident() == thread else theirs)(*bounds)

    for name in DRAWN:
        setattr(random, name, of_this_thread(name))
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        yield
    finally:
        for name, function in usual.items():
            setattr(random, name, function)
        gc.set_threshold(*thresholds)

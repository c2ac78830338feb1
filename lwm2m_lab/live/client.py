"""The LwM2M client: it registers, serves Objects 1, 3 and 5, reboots into new firmware and registers again.

One aiocoap context on one socket serves both directions, as LwM2M wants it: the server's requests come to the address
that the registration came from.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import ssl
import urllib.parse
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import aiocoap
from aiocoap.numbers.codes import Code
from aiocoap.pipe import Pipe

from lwm2m_lab.live import faults
from lwm2m_lab.live.accounts import Account, accounts_of
from lwm2m_lab.live.blockwise import BodyReceiver, Partial, in_blocks, szx_of
from lwm2m_lab.live.credentials import Credentials
from lwm2m_lab.live.endpoint import Endpoint
from lwm2m_lab.live.flash import Flash, StateFile
from lwm2m_lab.live.instances import DeviceInstance
from lwm2m_lab.live.network import Address, Network
from lwm2m_lab.live.observing import Observations
from lwm2m_lab.live.operations import Operations
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.pull import is_local
from lwm2m_lab.live.reach import Reach
from lwm2m_lab.live.registration import Registration
from lwm2m_lab.live.requests import NoAnswer, Requester, Timers, cancel, path_of, refusal_of_options
from lwm2m_lab.live.secure import Sessions
from lwm2m_lab.live.slots import Slot, slots_of
from lwm2m_lab.live.tree import Refusal
from lwm2m_lab.live.updater import Updater
from lwm2m_lab.spec.objects import State, UpdateResult

__all__ = ["Happening", "LwM2MClient"]

T = TypeVar("T")
#: Bytes of a request's body other than a package; a Write of all that is writable takes a tenth.
LARGEST_BODY = 16_384
#: Seconds for which a device in Queue Mode listens after its last message (LwM2M, Queue Mode; RFC 7252, 4.8.2).
MAX_TRANSMIT_WAIT = 93.0
#: What a device remembers of its own life; the oldest goes first.
MOST_HAPPENINGS = 100_000


@dataclass(frozen=True, slots=True)
class Happening:
    """What the device itself knows to have happened: the truth beside a capture.

    Attributes
    ----------
    time : float
        Seconds since the run began.
    what : str
        An event of the state machine, or ``"boot"``, ``"registered"``, ``"de-registered"``, ``"reboot"``.
    state : State
    result : UpdateResult
        Afterwards.
    package_version, firmware_version : str or None
        ``/5/0/7`` and the firmware that runs, whether the device shows it or not.
    slots : (Slot, Slot)
        What lies where in the flash.
    """

    time: float
    what: str
    state: State
    result: UpdateResult
    package_version: str | None
    firmware_version: str
    slots: tuple[Slot, Slot]

    def __str__(self) -> str:
        first, other = map(str, self.slots)
        return f"{self.time:6.1f} s  {self.what:<29}  {self.state.value}/{self.result.value:<2} {first:<19} | {other}"


class LwM2MClient:
    """An LwM2M client on a network, until it is cancelled.

    Parameters
    ----------
    options : DeviceOptions
        What the device is like.
    network : Network
        Simulated or real.
    server : str or sequence of str
        URI of the LwM2M server, ``coap://192.0.2.1``, or of several.
    bind : (str, int)
        Own address.
    timers : Timers
        Of the device's own requests and notifications.
    credentials : Credentials, optional
        Who the device is to DTLS; needed for a server under ``coaps://`` and for Package URIs of that kind.
    trusted : ssl.SSLContext, optional
        Who may vouch for a server of HTTPS.
    store : StateFile, optional
        Where state, result and package outlive the process.
    new_ports : bool
        Whether each reboot takes the next port, as one seems to behind a NAT; port 0 takes a free one in any case.
    told : callable, optional
        Called with each `Happening`.
    first_number : int
        The Observe number of the answer that begins an observation.
    access : mapping of int to str
        What a server may do with Objects 3 and 5, by Short Server ID, where there are several: ``{2: "R"}``.
    """

    def __init__(
        self,
        options: DeviceOptions,
        *,
        network: Network,
        server: str | Sequence[str],
        bind: Address,
        timers: Timers,
        credentials: Credentials | None = None,
        trusted: ssl.SSLContext | None = None,
        store: StateFile | None = None,
        new_ports: bool = True,
        told: Callable[[Happening], None] = lambda _: None,
        first_number: int = 0,
        access: Mapping[int, str] = MappingProxyType({}),
    ) -> None:
        # The client itself is one of the parts that a fault may change.
        self.__class__ = faults.build(type(self), options.faults)
        self.options, self.network, self.timers = options, network, timers
        self.servers = (server,) if isinstance(server, str) else tuple(server)
        self.access = access
        self.reach = Reach(network, bind[0], timers, credentials, told=self._happened, trusted=trusted)
        self.store = store
        self.flash, self._had_state = store.load(options) if store else (Flash.new(options), False)
        self.truth: collections.deque[Happening] = collections.deque(maxlen=MOST_HAPPENINGS)
        self._bind = bind
        self.boots = 0
        self._leaves = False
        self._new_ports, self._told, self._first_number = new_ports, told, first_number
        #: Set once the device has booted for the first time.
        self.booted = asyncio.Event()
        self.endpoint = Endpoint()
        self._lines: dict[str, tuple[Endpoint, Requester]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Live: boot, register, serve, and again after every reboot."""
        self._began = asyncio.get_running_loop().time()
        while True:
            async with self._powered():
                await self._power
            await asyncio.sleep(self.options.reboot_time)

    @asynccontextmanager
    async def _powered(self) -> AsyncIterator[None]:
        """From power on to power off; whatever runs beside ends with it."""
        self._power: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.updater = self.with_faults(Updater)(self.options, self.flash, self)
        self.bodies = BodyReceiver(limit=LARGEST_BODY, preferred_szx=szx_of(self.options.block_size))
        async with self._sockets():
            self.boots += 1
            self.updater.requester = self._lines[_scheme(self.servers[0])][1]
            self._open_accounts()
            self.observations = self.with_faults(Observations)(timers=self.timers, first=self._first_number)
            self.updater.load()
            self._happened("boot")
            self.updater.boot(rebooted=self.boots > 1 or self._had_state)
            self.refresh()
            if self.registers():
                for account in self.accounts:
                    if account.uri:
                        self.spawn(account.registration.keep())
            self.booted.set()
            try:
                yield
            finally:
                await cancel(*self._tasks)
                self._tasks.clear()
                self.observations.forget()

    @asynccontextmanager
    async def _sockets(self) -> AsyncIterator[None]:
        """A socket for each scheme that a server has; the first one has the device's own port."""
        self._lines.clear()
        async with contextlib.AsyncExitStack() as stack:
            for scheme in dict.fromkeys(map(_scheme, self.servers)):
                endpoint = self.with_faults(Endpoint)()
                if self.options.queue_mode:
                    endpoint.awake_for = MAX_TRANSMIT_WAIT
                port = 0 if self._lines else self.port()
                if not self._lines:
                    self.endpoint = endpoint
                sessions = self.reach.sessions() if scheme == "coaps" else None
                context = await self.network.context(
                    self, side="device", bind=(self._bind[0], port), endpoint=endpoint, sessions=sessions
                )
                stack.push_async_callback(context.shutdown)
                if sessions is not None:
                    stack.callback(self._close, sessions)
                self._lines[scheme] = endpoint, Requester(context, self.timers, scheme, sessions)
            yield

    def _close(self, sessions: Sessions) -> None:
        """A restart says nothing to anybody; an end in order is said by the socket's own end."""
        if not self._leaves:
            sessions.close(alert=False)

    def _open_accounts(self) -> None:
        """What each server is to this boot of the device."""
        flash, options = self.flash, self.options
        device = DeviceInstance(options, flash, reboot=lambda: self.spawn(self._reboot_soon()))
        self.accounts = accounts_of(
            self.servers,
            lambda number: flash.settings_of(number, options),
            (device, self.updater),
            options=options,
            access=self.access,
        )
        for one in self.accounts:
            requester = self._lines[_scheme(one.uri or self.servers[0])][1]
            one.registration = self.with_faults(Registration)(
                one.uri, requester, options, one.settings, one.operations, functools.partial(self._told_by, one)
            )

    def _told_by(self, account: Account, what: str) -> None:
        """What happened to a registration; of a further server it says which."""
        self._happened(what if account.number == 0 else f"{what}, server {account.short_id}")

    @property
    def registration(self) -> Registration:
        """The registration at the first server."""
        return self.accounts[0].registration

    @property
    def operations(self) -> Operations:
        """What the first server may ask."""
        return self.accounts[0].operations

    def with_faults(self, part: type[T]) -> type[T]:
        """A part of the device, with the faults that are its own."""
        return faults.build(part, self.options.faults)

    def port(self) -> int:
        """The port of this boot; 0 leaves it to the system."""
        return self._bind[1] + self.boots if self._bind[1] and self._new_ports else self._bind[1]

    def registers(self) -> bool:
        """Whether the device registers in this boot."""
        return True

    def account_of(self, remote: Any) -> Account:
        """The server that something comes from; of several the last stands for whoever is none."""
        if len(self.accounts) == 1:
            return self.accounts[0]
        return next((one for one in self.accounts if one.uri and one.is_at(remote)), self.accounts[-1])

    async def leave(self) -> None:
        """De-register before an orderly end; a server that does not answer is left all the same."""
        self._leaves = True
        await asyncio.gather(*(self._leave(one.registration) for one in self.accounts))

    async def _leave(self, registration: Registration) -> None:
        location = registration.location
        # A notification that nobody acknowledges takes the request that waits behind it along (NSTART, RFC 7252, 4.7).
        for _ in range(2):
            registration.location = location
            with contextlib.suppress(NoAnswer):
                await registration.deregister()
                return

    # ---------------------------------------------------------------- what the updater needs (updater.Host)

    def spawn(self, work: Coroutine[Any, Any, None]) -> Callable[[], object]:
        """Run something beside until power off; an error in it ends the device and comes out of `run`."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.append(task)

        def ended(task: asyncio.Task[None]) -> None:
            if task in self._tasks:
                self._tasks.remove(task)
            if not task.cancelled() and (error := task.exception()) and not self._power.done():
                self._power.set_exception(error)

        task.add_done_callback(ended)
        return task.cancel

    def later(self, seconds: float, work: Callable[[], None]) -> Callable[[], object]:
        """Do something after a while, unless the power is off by then; an error in it comes out of `run`.

        It is set with each block of a push: a task of `spawn` would cost as much as the rest of the device's answer.
        """
        power = self._power

        def do() -> None:
            if not power.done():
                try:
                    work()
                except Exception as error:
                    power.set_exception(error)

        return asyncio.get_running_loop().call_later(seconds, do).cancel

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def reboot(self) -> None:
        """Power off as soon as what is being sent has left."""
        self._happened("reboot")
        if not self._power.done():
            self._power.set_result(None)

    def changed(self, what: str) -> None:
        """Write down an event and notify whoever observes what it changed, by default the result before the state.

        A server that decides on State 0 alone would otherwise see an end without its reason.
        """
        self._happened(what)
        self.refresh()

    def refresh(self) -> None:
        """Keep what has changed, and notify whoever observes it."""
        if self.store is not None:
            self.store.save(self.flash)
        first = "/5/0/5" if self.updater.profile.result_before_state else "/5/0/3"
        self.observations.changed(first=first)

    def clock(self) -> float:
        """Seconds since the epoch."""
        return self.network.clock()

    def own_addresses(self) -> frozenset[str]:
        """Where this device answers."""
        addresses = [endpoint.address for endpoint, _ in self._lines.values()]
        return frozenset(name for host, port in addresses for name in (f"{host}:{port}", f"localhost:{port}"))

    def schemes(self) -> tuple[str, ...]:
        """Schemes of a Package URI that can be fetched on this network."""
        return self.reach.schemes

    def requester(self, scheme: str, own: Requester) -> AbstractAsyncContextManager[Requester]:
        """Who sends requests to URIs of a scheme of CoAP."""
        return self.reach.requester(scheme, own)

    async def fetch_by_http(self, uri: str, *, limit: int, partial: Partial) -> bytes:
        """The body of a URI of HTTP or HTTPS."""
        return await self.reach.fetch_by_http(uri, limit=limit, partial=partial)

    def server_is_local(self) -> bool:
        """Whether a server's host is this machine, or in a network that only its members reach."""
        return any(is_local(urllib.parse.urlsplit(one).hostname or "") for one in self.servers)

    def _happened(self, what: str) -> None:
        state, result = self.updater.machine.state, self.updater.machine.result
        package = self.updater.values().get(7)
        now = asyncio.get_running_loop().time() - self._began
        version = self.flash.running if self.options.installs == "firmware" else self.flash.firmware_version
        slots = slots_of(self.flash, self.options)
        happening = Happening(now, what, state, result, None if package is None else str(package), version, slots)
        self.truth.append(happening)
        self._told(happening)

    async def _reboot_soon(self) -> None:
        """Restart on request; the answer leaves before."""
        await asyncio.sleep(1.0)
        self.reboot()

    # ---------------------------------------------------------------- requests

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """Answer one request (what aiocoap asks of a site)."""
        request, account = pipe.request, self.account_of(pipe.request.remote)
        if refusal := self.refuses_options(request):
            pipe.add_response(aiocoap.Message(code=refusal), is_last=True)
        elif request.opt.observe == 0 and (paths := self._observable(request, account)):
            await self.observations.serve(
                pipe,
                paths,
                lambda: in_blocks(request, account.operations.perform(request)),
                tree=account.operations.readable,
                attributes=account.effective,
            )
        else:
            pipe.add_response(self._answer(request, account), is_last=True)

    def refuses_options(self, request: aiocoap.Message) -> Code | None:
        """The code with which a request is refused for an option that is not understood."""
        return refusal_of_options(request)

    def _observable(self, request: aiocoap.Message, account: Account) -> tuple[str, ...]:
        """The paths of an Observe or Observe-Composite; none where it is neither."""
        if request.code == Code.GET:
            return (path_of(request),)
        if request.code != Code.FETCH or path_of(request) != "/" or self.options.lwm2m == "1.0":
            return ()
        try:
            return account.operations.composite_paths(request)
        except Refusal:
            return ()

    def _answer(self, request: aiocoap.Message, account: Account) -> aiocoap.Message:
        """One request and its answer, in blocks where it comes or goes in blocks."""
        writes_package = path_of(request) == "/5/0/0" and request.code in (Code.PUT, Code.POST)
        says_what, is_put = request.opt.content_format is not None, request.code == Code.PUT
        if writes_package and (says_what or (is_put and not request.opt.uri_query)):
            if not account.operations.permits("W", "/5/0"):
                return self.updater.receiver.answer(request, Code.UNAUTHORIZED)
            return self.updater.write_package(request)
        body = self.bodies.whole(request)
        if body.code.is_response():
            return body
        response = in_blocks(request, account.operations.perform(body))
        if request.code not in (Code.GET, Code.FETCH):
            self.refresh()
        return response


def _scheme(uri: str) -> str:
    return uri.partition(":")[0]

"""The LwM2M client: it registers, serves Objects 1, 3 and 5, reboots into new firmware and registers again.

One aiocoap context on one socket serves both directions, as LwM2M wants it: the server's requests come to the address
that the registration came from.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiocoap
from aiocoap.numbers.codes import Code
from aiocoap.pipe import Pipe

from lwm2m_lab.live import tree
from lwm2m_lab.live.network import Address, Network
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.requests import NoAnswer, Requester, Timers, cancel, path_of
from lwm2m_lab.live.updater import Flash, Updater
from lwm2m_lab.spec.objects import State, UpdateResult, object_definition
from lwm2m_lab.wire import links

__all__ = ["Device", "Happening"]

#: Seconds after a registration that nobody answered until the next try.
REGISTER_AGAIN_AFTER = 30.0
#: Object 3 for each LwM2M version (1.1 stands for 1.1.1 here).
DEVICE_OBJECT = {"1.0": "1.0", "1.1": "1.1", "1.2": "1.2"}


@dataclass(frozen=True, slots=True)
class Happening:
    """What the device itself knows to have happened: the truth beside a capture.

    Attributes
    ----------
    time : float
        Seconds since the run began.
    what : str
        An event of the state machine, or ``"boot"``, ``"registered"``, ``"reboot"``.
    state : State
    result : UpdateResult
        Afterwards.
    package_version, firmware_version : str or None
        ``/5/0/7`` and the firmware that runs, whether the device shows it or not.
    """

    time: float
    what: str
    state: State
    result: UpdateResult
    package_version: str | None
    firmware_version: str


@dataclass(frozen=True, eq=False)
class _Observer:
    """Somebody who asked for notifications of a path."""

    path: str
    accept: int | None
    news: asyncio.Queue[aiocoap.Message]


class Device:
    """An LwM2M client on a network, until it is cancelled.

    Parameters
    ----------
    options : DeviceOptions
        What the device is like.
    network : Network
        Simulated or real.
    server : str
        URI of the LwM2M server, ``coap://192.0.2.1``.
    bind : (str, int)
        Own address; the port after a reboot is the next one, or another free one where the port is 0.
    timers : Timers
        Of the device's own requests and notifications.
    """

    def __init__(self, options: DeviceOptions, *, network: Network, server: str, bind: Address, timers: Timers) -> None:
        self.options, self.network, self.server, self.timers = options, network, server, timers
        self.flash = Flash(options.firmware_version)
        self.truth: list[Happening] = []
        self._bind = bind
        self._boots = 0
        self._observers: list[_Observer] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._renew_now = asyncio.Event()

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
        self.updater = Updater(self.options, self.flash, self)
        self._shown = self._values()
        port = self._bind[1] + self._boots if self._bind[1] else 0
        context = await self.network.context(self, side="device", bind=(self._bind[0], port))
        self._boots += 1
        self.updater.requester = self.requester = Requester(context, self.timers)
        self._happened("boot")
        if self.flash.state == State.UPDATING:
            self.updater.finish_installation()
        self.spawn(self._stay_registered())
        try:
            yield
        finally:
            await cancel(*self._tasks)
            self._tasks.clear()
            self._observers.clear()
            await context.shutdown()

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

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def reboot(self) -> None:
        """Power off as soon as what is being sent has left."""
        self._happened("reboot")
        if not self._power.done():
            self._power.set_result(None)

    def changed(self, what: str) -> None:
        """Write down an event and notify whoever observes what it changed, the result before the state.

        A server that decides on State 0 alone would otherwise see an end without its reason.
        """
        before, self._shown = self._shown, self._values()
        changed = {path for path in before.keys() | self._shown.keys() if before.get(path) != self._shown.get(path)}
        self._happened(what)
        for observer in sorted(self._observers, key=lambda one: one.path != "/5/0/5"):
            if any(path == observer.path or path.startswith(observer.path + "/") for path in changed):
                observer.news.put_nowait(self._read(observer.path, observer.accept))

    def _happened(self, what: str) -> None:
        state, result = self.updater.machine.state, self.updater.machine.result
        package = self.updater.values().get("/5/0/7")
        now = asyncio.get_running_loop().time() - self._began
        version = self.flash.firmware_version
        self.truth.append(Happening(now, what, state, result, None if package is None else str(package), version))

    # ---------------------------------------------------------------- registration

    async def _stay_registered(self) -> None:
        """Register, and renew the registration before its lifetime ends."""
        location: str | None = None
        while True:
            try:
                location = await (self._register() if location is None else self._renew(location))
                pause = self.options.lifetime * 0.75 if location else REGISTER_AGAIN_AFTER
            except NoAnswer:
                pause = REGISTER_AGAIN_AFTER
            # A Registration Update Trigger (Execute of /1/0/8) cuts the pause short.
            self._renew_now.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._renew_now.wait(), pause)

    async def _register(self) -> str | None:
        """Register; the location, or None where the server refused."""
        query = (
            f"lwm2m={self.options.lwm2m}",
            f"ep={self.options.endpoint}",
            f"lt={self.options.lifetime}",
            "b=U",
        )
        payload = links.format_links(self._links())
        response = await self.requester.ask(
            Code.POST, to=f"{self.server}/rd", payload=payload, content_format=tree.LINK_FORMAT, uri_query=query
        )
        if response.code != Code.CREATED:
            return None
        self._happened("registered")
        return "/" + "/".join(response.opt.location_path)

    async def _renew(self, location: str) -> str | None:
        """Update the registration; None where the server no longer knows it."""
        response = await self.requester.ask(Code.POST, to=f"{self.server}{location}")
        return location if response.code == Code.CHANGED else None

    def _links(self) -> list[links.Link]:
        """The object links of the registration; versions are named from LwM2M 1.1 on."""
        root = links.Link("/", {"rt": "oma.lwm2m", **({} if self.options.lwm2m == "1.0" else {"ct": "110 112 11542"})})
        found = [root, links.Link("/1/0", {})]
        for object_id, version in ((3, DEVICE_OBJECT[self.options.lwm2m]), (5, self.options.object_version)):
            if self.options.lwm2m != "1.0":
                found.append(links.Link(f"/{object_id}", {"ver": version}))
            found.append(links.Link(f"/{object_id}/0", {}))
        return found

    # ---------------------------------------------------------------- requests

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """Answer one request (what aiocoap asks of a site)."""
        request = pipe.request
        if request.code != Code.GET:
            pipe.add_response(self._act(request), is_last=True)
            return
        response = self._read(path_of(request), request.opt.accept)
        if request.opt.observe == 0 and response.code == Code.CONTENT:
            await self._observe(pipe, response)
        else:
            pipe.add_response(response, is_last=True)

    async def _observe(self, pipe: Pipe, first: aiocoap.Message) -> None:
        """Send the value now and at every change, until the observer loses interest or this device its power."""
        observer = _Observer(path_of(pipe.request), pipe.request.opt.accept, asyncio.Queue())
        self._observers.append(observer)
        number = 0
        try:
            response = first
            while True:
                response.opt.observe = number
                pipe.add_response(response, is_last=response.code != Code.CONTENT)
                number += 1
                response = await observer.news.get()
        finally:
            if observer in self._observers:
                self._observers.remove(observer)

    def _read(self, path: str, accept: int | None) -> aiocoap.Message:
        """A Read, a Discover (Accept 40), or why not."""
        shown = self._values()
        if accept == tree.LINK_FORMAT:
            return self._discover(path)
        try:
            content_format, payload = tree.represent(path, shown, accept=accept, lwm2m=self.options.lwm2m)
        except KeyError:
            return aiocoap.Message(code=Code.METHOD_NOT_ALLOWED if self._operations(path) else Code.NOT_FOUND)
        except tree.Unacceptable:
            return aiocoap.Message(code=Code.NOT_ACCEPTABLE)
        return aiocoap.Message(code=Code.CONTENT, payload=payload, content_format=content_format)

    def _discover(self, path: str) -> aiocoap.Message:
        """The resources at and below a path."""
        paths = [*self._values(), *self._executable(), "/5/0/0"]
        found = sorted((name for name in paths if name.startswith(path + "/") or name == path), key=_by_number)
        if not found:
            return aiocoap.Message(code=Code.NOT_FOUND)
        payload = links.format_links([links.Link(name, {}) for name in found])
        return aiocoap.Message(code=Code.CONTENT, payload=payload, content_format=tree.LINK_FORMAT)

    def _act(self, request: aiocoap.Message) -> aiocoap.Message:
        """A Write or an Execute, told apart by method and Content-Format (A11)."""
        path, code = path_of(request), request.code
        operations = self._operations(path)
        if not operations:
            return aiocoap.Message(code=Code.NOT_FOUND)
        bare = request.opt.content_format in (None, tree.TEXT)
        if code == Code.POST and bare and "E" in operations:
            return self._execute(path)
        if code in (Code.PUT, Code.POST) and "W" in operations:
            return self.updater.write(int(path.rsplit("/", 1)[1]), request)
        return aiocoap.Message(code=Code.METHOD_NOT_ALLOWED)

    def _execute(self, path: str) -> aiocoap.Message:
        if path == "/3/0/4":
            self.spawn(self._reboot_soon())
        elif path == "/1/0/8":
            self._renew_now.set()
        else:
            return self.updater.execute(int(path.rsplit("/", 1)[1]))
        return aiocoap.Message(code=Code.CHANGED)

    async def _reboot_soon(self) -> None:
        """Restart on request; half a package does not survive, a whole one does (A6)."""
        await asyncio.sleep(1.0)
        if self.flash.state == State.DOWNLOADING:
            self.flash.state, self.flash.package = State.IDLE, b""
        self.reboot()

    # ---------------------------------------------------------------- values

    def _values(self) -> dict[str, tree.Value]:
        """Every resource that can be read now."""
        shown: dict[str, tree.Value] = {
            "/1/0/0": 1,
            "/1/0/1": self.options.lifetime,
            "/1/0/6": False,
            "/1/0/7": "U",
            "/3/0/0": "lwm2m_lab",
            "/3/0/1": "simulated device",
        }
        if self.options.has_firmware_version:
            shown["/3/0/3"] = self.flash.firmware_version
        return {**shown, "/3/0/11": (0,), "/3/0/16": "U", **self.updater.values()}

    def _executable(self) -> list[str]:
        cancel_too = ["/5/0/10"] if self.options.object_version != "1.0" else []
        return ["/1/0/8", "/3/0/4", "/5/0/2", *cancel_too]

    def _operations(self, path: str) -> str:
        """Which of R, W and E the device offers on a path; "" where there is nothing."""
        if path in self._executable():
            return "E"
        if path in ("/5/0/0", "/5/0/1"):
            return object_definition(5, self.options.object_version).resources[int(path[-1])].operations
        return "R" if path in self._values() else ""


def _by_number(path: str) -> tuple[float, ...]:
    """Sort key: /5/0/2 before /5/0/10."""
    return tuple(int(part) if part.isdigit() else math.inf for part in path.strip("/").split("/"))

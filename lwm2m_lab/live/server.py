"""The LwM2M server: it takes registrations, observes, reads, writes and executes, and carries an update through.

An update is over when the device has settled: State 0 or 2 with a result, told by notifications or, where one was lost,
by reading. Success is Result 1 *and* the image's version in ``/3/0/3`` where the device has it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiocoap
import aiocoap.error
from aiocoap.numbers.codes import Code
from aiocoap.pipe import Pipe

from lwm2m_lab.live.requests import NoAnswer, Requester, cancel, path_of
from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.wire import links, values

__all__ = ["Client", "Registration", "Server"]

STATE, RESULT, PKG_VERSION, FIRMWARE_VERSION = "/5/0/3", "/5/0/5", "/5/0/7", "/3/0/3"


@dataclass(frozen=True, slots=True)
class Registration:
    """One registration of a device.

    Attributes
    ----------
    endpoint, location : str
        Endpoint name, and the path that the server gave it.
    remote : object
        Where requests to the device go: aiocoap's address.
    objects : tuple of str
        The object links.
    """

    endpoint: str
    location: str
    remote: Any
    objects: tuple[str, ...]


class Server:
    """An LwM2M server; `site` of an aiocoap context.

    Examples
    --------
    >>> server = Server()
    >>> server.registrations
    {}
    """

    def __init__(self) -> None:
        self.registrations: dict[str, Registration] = {}
        self._by_location: dict[str, Registration] = {}
        self._count = 0
        self._registered = asyncio.Event()

    async def registration_after(self, old: Registration | None, endpoint: str) -> Registration:
        """Wait until the endpoint has registered, and anew if `old` is given."""
        while True:
            current = self.registrations.get(endpoint)
            if current is not None and current is not old:
                return current
            self._registered.clear()
            await self._registered.wait()

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """Answer one request of a device (what aiocoap asks of a site)."""
        request = pipe.request
        path = path_of(request)
        if path == "/rd" and request.code == Code.POST:
            response = self._register(request)
        elif path in self._by_location and request.code == Code.POST:
            response = aiocoap.Message(code=Code.CHANGED)
        elif path in self._by_location and request.code == Code.DELETE:
            gone = self._by_location.pop(path)
            if self.registrations.get(gone.endpoint) is gone:
                del self.registrations[gone.endpoint]
            response = aiocoap.Message(code=Code.DELETED)
        elif path == "/dp" and request.code == Code.POST:
            response = aiocoap.Message(code=Code.CHANGED)
        else:
            response = aiocoap.Message(code=Code.NOT_FOUND)
        pipe.add_response(response, is_last=True)

    def _register(self, request: aiocoap.Message) -> aiocoap.Message:
        """Take a registration; a new one of the same endpoint replaces the old."""
        query = dict(item.partition("=")[::2] for item in request.opt.uri_query)
        if query.get("lwm2m") not in ("1.0", "1.1", "1.2"):
            return aiocoap.Message(code=Code.PRECONDITION_FAILED)
        if not query.get("ep"):
            return aiocoap.Message(code=Code.BAD_REQUEST)
        try:
            objects = links.parse_links(request.payload)
        except links.NoLinkFormat:
            return aiocoap.Message(code=Code.BAD_REQUEST)
        self._count += 1
        location = f"/rd/{self._count}"
        registration = Registration(query["ep"], location, request.remote, tuple(link.target for link in objects))
        old = self.registrations.get(registration.endpoint)
        if old is not None:
            self._by_location.pop(old.location, None)
        self.registrations[registration.endpoint] = self._by_location[location] = registration
        self._registered.set()
        return aiocoap.Message(code=Code.CREATED, location_path=("rd", str(self._count)))


@dataclass
class Client:
    """One registered device, as the server speaks to it.

    `seen` holds the last value of each path, read or notified; `news` is set at each of them.
    """

    requester: Requester
    registration: Registration
    seen: dict[str, str | None] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    _watchers: list[asyncio.Task[None]] = field(default_factory=list)

    async def read(self, path: str) -> str | None:
        """Read one resource as text; None where the device refuses.

        Raises
        ------
        NoAnswer
            When the device does not answer.
        """
        response = await self.requester.ask(Code.GET, to=self.registration.remote, path=path)
        return self._keep(path, response)

    async def observe(self, path: str) -> None:
        """Read one resource and ask for notifications."""
        message = self.requester.message(Code.GET, to=self.registration.remote, path=path, observe=0)
        request = self.requester.context.request(message, handle_blockwise=False)
        try:
            response = await request.response
        except aiocoap.error.NetworkError as error:
            raise NoAnswer(f"the observation of {path} got no answer") from error
        self._keep(path, response)
        if response.code.is_successful() and response.opt.observe is not None:
            self._watchers.append(asyncio.get_running_loop().create_task(self._watch(path, request.observation)))

    async def _watch(self, path: str, observation: Any) -> None:
        """Take notifications until the device or the network ends them."""
        with contextlib.suppress(aiocoap.error.Error):
            async for response in observation:
                self._keep(path, response)

    def _keep(self, path: str, response: aiocoap.Message) -> str | None:
        """Remember what a response says of a path."""
        value: str | None = None
        if response.code.is_successful():
            entries = values.decode(response.payload, content_format=response.opt.content_format, path=path)
            value = values.as_text(entries[0].value) if len(entries) == 1 else None
        self.seen[path] = value
        self.news.set()
        return value

    async def write(self, path: str, payload: bytes, *, content_format: int) -> aiocoap.Message:
        """Write one resource in one message."""
        return await self.requester.ask(
            Code.PUT, to=self.registration.remote, path=path, payload=payload, content_format=content_format
        )

    async def execute(self, path: str) -> aiocoap.Message:
        """Execute one resource."""
        return await self.requester.ask(Code.POST, to=self.registration.remote, path=path)

    @property
    def state(self) -> State | None:
        """The last State seen."""
        return State(value) if (value := _number(self.seen.get(STATE))) in set(State) else None

    @property
    def result(self) -> UpdateResult | None:
        """The last Update Result seen."""
        return UpdateResult(value) if (value := _number(self.seen.get(RESULT))) in set(UpdateResult) else None

    async def until(self, condition: Callable[[], bool], *, patience: float, deadline: float) -> bool:
        """Wait for a condition on what was seen; where no news comes, read State and Result.

        Notifications promise the last value only, and may be lost (RFC 7641, 1.3): after `patience` seconds without
        news the server reads. Gives up at `deadline` (loop time) and returns False.
        """
        now = asyncio.get_running_loop().time
        while not condition():
            left = deadline - now()
            if left <= 0:
                return False
            self.news.clear()
            try:
                await asyncio.wait_for(self.news.wait(), min(patience, left))
            except TimeoutError:
                with contextlib.suppress(NoAnswer):
                    await self.read(STATE)
                    await self.read(RESULT)
        return True

    async def close(self) -> None:
        """Stop listening."""
        await cancel(*self._watchers)
        self._watchers.clear()


def _number(text: str | None) -> int:
    """A State or an Update Result as it was read; -1, which is none, for anything else."""
    number = None if text is None else values.as_integer(text)
    return -1 if number is None else number

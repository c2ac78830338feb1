"""`Client`: a registered device in the hands of a server, with every operation of LwM2M Core, 6.3 and 6.4."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiocoap
import aiocoap.error
from aiocoap.numbers.codes import Code

from lwm2m_lab.errors import LabError
from lwm2m_lab.live import tree
from lwm2m_lab.live.answer import Answer
from lwm2m_lab.live.blockwise import Sending, send_blocks, szx_of
from lwm2m_lab.live.registry import Registration
from lwm2m_lab.live.requests import NoAnswer, OnlyAcknowledged, Requester, cancel
from lwm2m_lab.live.server import Registrar
from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.wire import encoding, values

__all__ = ["BrokenAnswer", "Client"]

STATE, RESULT, PKG_VERSION, FIRMWARE_VERSION = "/5/0/3", "/5/0/5", "/5/0/7", "/3/0/3"

#: Bytes of a body that one datagram takes; longer ones go in blocks (RFC 7252, 4.6).
LONGEST_WHOLE = 1024


class BrokenAnswer(LabError):
    """An answer in blocks that make no body, or one without end."""


@dataclass
class Client:
    """One registered device, as the server speaks to it; it goes on with each registration of the endpoint.

    `seen` holds the last value of each path, read, notified or sent; `news` is set at each of them. `is_silent` says
    whether the last look for want of news went unanswered.

    Parameters
    ----------
    server : Registrar
    requester : Requester
    endpoint : str
    block_size : int
        Bytes of a block of what is written.
    answer_within : float
        Seconds for an answer that comes apart from its acknowledgement.
    """

    server: Registrar
    requester: Requester
    endpoint: str
    block_size: int = 1024
    answer_within: float = 247.0
    seen: dict[str, str | None] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    is_silent: bool = False
    _watchers: dict[str, tuple[Any, asyncio.Task[None]]] = field(default_factory=dict)

    @property
    def registration(self) -> Registration:
        """The registration that holds now.

        Raises
        ------
        NoAnswer
            Where there is none.
        """
        found = self.server.registry.by_endpoint.get(self.endpoint)
        if found is None or found.has_ended(asyncio.get_running_loop().time()):
            raise NoAnswer(f"{self.endpoint} is not registered")
        return found

    # ---------------------------------------------------------------- one request

    async def ask(self, code: Code, path: str, payload: bytes = b"", **options: Any) -> aiocoap.Message:
        """One request and its answer as they are, once the device listens.

        Raises
        ------
        NoAnswer
            When the device does not answer, or is not registered.
        """
        await self.server.awake(self.registration)
        message = self.requester.message(code, to=self.registration.remote, path=path, payload=payload, **options)
        return await self._answered(self.requester.send(message, answer_within=self.answer_within))

    async def _answered(self, answer: Awaitable[aiocoap.Message]) -> aiocoap.Message:
        """An answer, if it comes in time; the server learns who is awake."""
        try:
            response = await answer
        except OnlyAcknowledged:
            raise
        except NoAnswer:
            self.server.fell_asleep(self.endpoint)
            raise
        self.server.heard(self.endpoint)
        return response

    async def _whole(self, code: Code, path: str, payload: bytes = b"", **options: Any) -> Answer:
        """One request, and its answer put together where it comes in blocks (Block2, RFC 7959, 2.4)."""
        response = await self.ask(code, path, payload, **options)
        block = response.opt.block2
        if block is None or not block.more or not response.code.is_successful():
            return Answer.of(response, path)
        if block.block_number:
            raise BrokenAnswer(f"{path} was answered with block {block.block_number}, where block 0 was expected")
        body, etag = bytearray(response.payload), response.opt.etag
        while block.more:
            number = len(body) >> (block.size_exponent + 4)
            options["block2"] = (number, False, block.size_exponent)
            response = await self.ask(code, path, payload, **options)
            block, before = response.opt.block2, block
            if not response.code.is_successful():
                return Answer.of(response, path)
            fits = block is not None and block.start == len(body) and block.size_exponent <= before.size_exponent
            if not fits or response.opt.etag != etag or not response.payload:
                raise BrokenAnswer(f"{path} was answered with blocks that make no body")
            body += response.payload
            if len(body) > self.server.limits.answer:
                raise BrokenAnswer(f"the answer of {path} has more than {self.server.limits.answer} bytes")
        return Answer.of(response, path, bytes(body))

    # ---------------------------------------------------------------- reading

    async def read(self, path: str, *, accept: int | None = None) -> Answer:
        """Read an object, an instance or a resource.

        Raises
        ------
        NoAnswer
            When the device does not answer.
        BrokenAnswer
            When its blocks make no body.
        """
        answer = await self._whole(Code.GET, path, accept=accept)
        self._keep(path, answer)
        return answer

    async def value(self, path: str) -> str | None:
        """Read one resource as text; None where the device refuses."""
        return (await self.read(path)).text

    async def read_composite(self, paths: Sequence[str]) -> Answer:
        """Read several paths at once (LwM2M 1.1)."""
        asked = json.dumps([{"n": path} for path in paths]).encode()
        return await self._whole(Code.FETCH, "", asked, content_format=tree.SENML_JSON, accept=tree.SENML_JSON)

    async def discover(self, path: str) -> Answer:
        """Ask for the links at and below a path, with their attributes."""
        return await self._whole(Code.GET, path, accept=tree.LINK_FORMAT)

    # ---------------------------------------------------------------- observing

    async def observe(self, path: str, *, accept: int | None = None) -> Answer:
        """Read a path and ask for notifications; what they tell is in `seen`.

        Raises
        ------
        NoAnswer
            When the device does not answer.
        """
        await self.server.awake(self.registration)
        message = self.requester.message(Code.GET, to=self.registration.remote, path=path, observe=0, accept=accept)
        request = self.requester.request(message)
        response = await self._answered(self.requester.answer(request, message, self.answer_within))
        answer = Answer.of(response, path)
        self._keep(path, answer)
        if answer.is_success and response.opt.observe is not None:
            await self.cancel(path)
            watcher = asyncio.get_running_loop().create_task(self._watch(path, request.observation))
            self._watchers[path] = (request.observation, watcher)
        return answer

    async def cancel(self, path: str) -> None:
        """End an observation: of the notifications that still come, the second is reset (RFC 7641, 3.6)."""
        observation, watcher = self._watchers.pop(path, (None, None))
        await cancel(watcher)
        if observation is not None and not observation.cancelled:
            observation.cancel()

    @property
    def observed(self) -> tuple[str, ...]:
        """The paths that are observed."""
        return tuple(self._watchers)

    async def _watch(self, path: str, observation: Any) -> None:
        """Take notifications until the device or the network ends them."""
        with contextlib.suppress(aiocoap.error.Error):
            async for response in observation:
                self.server.heard(self.endpoint)
                block = response.opt.block2
                if block is not None and block.more:
                    # A notification carries the first block alone: the rest is read (RFC 7959, 3.4).
                    with contextlib.suppress(NoAnswer, BrokenAnswer):
                        await self.read(path)
                else:
                    self._keep(path, Answer.of(response, path))

    def _keep(self, path: str, answer: Answer) -> None:
        """Remember what an answer says of a path."""
        self.seen[path] = answer.text
        self.news.set()

    # ---------------------------------------------------------------- writing, executing

    async def write(
        self, path: str, value: values.Value, *, content_format: int | None = None, method: str = "PUT"
    ) -> Answer:
        """Write one path: bytes as they are (42, or as said), anything else as text; in blocks where it is long.

        PUT replaces, POST adds to an object instance what is written.
        """
        if isinstance(value, bytes):
            body, usual = value, tree.OCTET_STREAM
        else:
            body, usual = encoding.encode_text(value), tree.TEXT
        content_format = usual if content_format is None else content_format
        code = Code.PUT if method == "PUT" else Code.POST
        if len(body) <= LONGEST_WHOLE:
            return Answer.of(await self.ask(code, path, body, content_format=content_format), path)
        ask = functools.partial(self.ask, code, path, content_format=content_format)
        return Answer.of(await send_blocks(ask, body, Sending(szx=szx_of(self.block_size))), path)

    async def write_attributes(self, path: str, **attributes: float | None) -> Answer:
        """Write notification attributes, ``pmin=10, pmax=60``; None takes one back."""
        said = tuple(name if value is None else f"{name}={value:.15g}" for name, value in attributes.items())
        return Answer.of(await self.ask(Code.PUT, path, uri_query=said), path)

    async def execute(self, path: str, arguments: str = "") -> Answer:
        """Execute one resource."""
        content_format = tree.TEXT if arguments else None
        return Answer.of(await self.ask(Code.POST, path, arguments.encode(), content_format=content_format), path)

    # ---------------------------------------------------------------- Object 5

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
                self.is_silent = True
                with contextlib.suppress(NoAnswer):
                    await self.read(STATE)
                    await self.read(RESULT)
                    self.is_silent = False
        return True

    async def close(self) -> None:
        """Stop listening, and forget what was seen; a new registration begins with nothing."""
        await cancel(*(watcher for _, watcher in self._watchers.values()))
        self._watchers.clear()
        self.seen.clear()


def _number(text: str | None) -> int:
    """A State or an Update Result as it was read; -1, which is none, for anything else."""
    number = None if text is None else values.as_integer(text)
    return -1 if number is None else number

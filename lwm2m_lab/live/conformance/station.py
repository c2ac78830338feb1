"""The bench's hands: one device that has registered, everything that is asked of it, everything that it lets see."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiocoap
import aiocoap.error
from aiocoap.numbers.codes import Code

from lwm2m_lab.live.blockwise import szx_of
from lwm2m_lab.live.conformance.images import Images
from lwm2m_lab.live.conformance.line import Files, Line
from lwm2m_lab.live.conformance.records import Came, Status
from lwm2m_lab.live.conformance.registering import BenchServer, Declared, value_text
from lwm2m_lab.live.object5 import PROTOCOLS
from lwm2m_lab.live.requests import NoAnswer, Requester, text_of
from lwm2m_lab.live.server import Registration
from lwm2m_lab.live.tree import LINK_FORMAT, OCTET_STREAM, TEXT
from lwm2m_lab.wire import links, values
from lwm2m_lab.wire.coap import CONTENT_FORMAT, OBSERVE, decode

__all__ = ["RESULT", "STATE", "Station"]

STATE, RESULT = "/5/0/3", "/5/0/5"
_PATHS = (STATE, RESULT)


@dataclass
class Station:
    """One device on the bench.

    Parameters
    ----------
    server, requester : BenchServer, Requester
    endpoint : str
        Endpoint name of the device.
    line, files_line : Line
        Endpoints of the server's socket and of the repository's.
    files : Files
        The repository.
    uris : mapping of str to str
        Where the repository is found, by scheme: ``{"coap": "coap://192.0.2.3"}``.
    images : Images
    patience : float
        Seconds without news after which the bench reads State and Result.
    time_limit : float
        Seconds after which it gives up waiting for a download or an installation.
    silence : float
        Seconds of silence after which a device has given up its retransmissions.
    block_size : int
        Bytes of a pushed block.
    """

    server: BenchServer
    requester: Requester
    endpoint: str
    line: Line
    files_line: Line
    files: Files
    uris: Mapping[str, str]
    images: Images
    patience: float
    time_limit: float
    silence: float
    block_size: int = 512
    #: State and Update Result as they were last seen.
    status: Status = (None, None)
    states: list[int] = field(default_factory=list)
    results: list[int] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    facts: set[str] = field(default_factory=set)
    #: What the device offers, by the names of `Case.needs`.
    offers: frozenset[str] = frozenset()
    #: What an operator has prepared, by the names of `images.PREPARATIONS`.
    prepared: frozenset[str] = frozenset()
    #: Whether State and Result are observed.
    watches: bool = True
    installed: str | None = None
    version_before: str | None = None
    _before: Status = (None, None)
    _watched: dict[bytes, str] = field(default_factory=dict)
    #: Number and time of the last notification under each token.
    _told: dict[bytes, tuple[int, float]] = field(default_factory=dict)
    _watching: Registration | None = None
    _observing: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._news = asyncio.Event()
        self.server.news = self._news.set
        self.line.sent, self.line.heard = self._note_request, self._note_answer

    @property
    def registration(self) -> Registration:
        """The registration that holds now."""
        return self.server.registrations[self.endpoint]

    @property
    def declared(self) -> Declared:
        """What the device said of itself."""
        return self.server.declared[self.endpoint]

    @property
    def now(self) -> float:
        """Seconds on the clock of the loop."""
        return asyncio.get_running_loop().time()

    # ---------------------------------------------------------------- a case, a step

    def clear(self, *, watches: bool) -> None:
        """Before a case: nothing is known, the repository speaks, nothing is planned."""
        self.watches, self._watching = watches, None
        self.status, self.installed, self.version_before = (None, None), None, None
        self._watched.clear()
        self._told.clear()
        self.files.forget()
        self.files_line.is_silent = False

    async def learn(self) -> None:
        """Ask what the device offers: ways of delivery, protocols, resources that it may have."""
        delivery = await self.read("/5/0/9")
        shown = await self.read_many("/5/0")
        protocols = {number for path, number in shown.items() if path == "/5/0/8" or path.startswith("/5/0/8/")}
        found = set(shown) | await self.discover("/5/0")
        # A device that says nothing sensible is tried both ways.
        found |= {way for way, without in (("push", "0"), ("pull", "1")) if delivery != without}
        if PROTOCOLS["http"] in protocols and "http" in self.uris:
            found.add("http")
        if await self.read("/3/0/3") is not None:
            found.add("/3/0/3")
        self.offers = frozenset(found)

    async def reset_by_package(self) -> aiocoap.Message:
        """Write the reset value of Package."""
        return await self.ask(Code.PUT, "/5/0/0", b"\0", content_format=OCTET_STREAM)

    async def reset_by_uri(self) -> aiocoap.Message:
        """Write the empty Package URI."""
        return await self.write("/5/0/1", "")

    def begin_step(self, *, goes_on: bool) -> None:
        """Nothing has come yet; in a step that goes on with the one before, what that one has let see."""
        self.codes.clear()
        self.facts.clear()
        if not goes_on:
            self._before = self.status
            self.states.clear()
            self.results.clear()

    def came(self, *, value: str | None, silent: str) -> Came:
        """What has come since the step began."""
        return Came(
            codes=tuple(self.codes),
            before=self._before,
            after=self.status,
            states=tuple(self.states),
            results=tuple(self.results),
            value=value,
            installed=self.installed,
            version_before=self.version_before,
            silent=silent,
            facts=frozenset(self.facts),
        )

    def delivered(self, version: str) -> None:
        """An image of this version is on its way."""
        self.installed = None if version == "unknown" else version

    def replace_file(self, path: str) -> None:
        """Another image under the same path, as somebody does who uploads a new version."""
        package = self.images.take("valid")
        self.delivered(package.version)
        self.files.by_path[path] = package.data

    def keep_status(self, state: int | None, result: int | None) -> None:
        """State and Result as they were read together."""
        self._take(STATE, state)
        self._take(RESULT, result)

    # ---------------------------------------------------------------- asking

    async def ask(self, method: Code, path: str, payload: bytes = b"", **options: Any) -> aiocoap.Message:
        """One request and its answer; a Read is asked again where the device registers anew meanwhile.

        Raises
        ------
        NoAnswer
            When there is none, or the device restarts before it comes.
        """
        while True:
            asked = self.registration
            work = self.requester.ask(method, to=asked.remote, path=path, payload=payload, **options)
            response = await self._unless_reborn(asked, work)
            if response is not None:
                self.note_code(text_of(response.code))
                return response
            if method != Code.GET:
                raise NoAnswer(f"the device registered anew instead of answering {method} {path}")

    async def _unless_reborn(self, asked: Registration, work: Awaitable[aiocoap.Message]) -> aiocoap.Message | None:
        """The answer, or None where a new registration came before it: nobody is left to answer.

        An acknowledgement ends the retransmissions, and an answer in a message of its own may never follow: so the wait
        is limited in any case.
        """
        answer = asyncio.ensure_future(work)
        reborn = asyncio.ensure_future(self.server.registration_after(asked, self.endpoint))
        both: set[asyncio.Future[Any]] = {answer, reborn}
        try:
            done, _ = await asyncio.wait(both, timeout=self.silence, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise NoAnswer(f"nothing came within {self.silence:g} s")
            return answer.result() if answer.done() else None
        finally:
            for one in both:
                one.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    def note_code(self, code: str) -> None:
        """Keep the code of an answer of this step."""
        if self.codes[-1:] != [code]:
            self.codes.append(code)

    async def read(self, path: str) -> str | None:
        """A resource as text; None where the device refuses, or says what nobody understands."""
        response = await self.ask(Code.GET, path)
        return (
            value_text(response.payload, response.opt.content_format, path) if response.code.is_successful() else None
        )

    async def read_many(self, path: str) -> dict[str, int | None]:
        """Every number at and below a path, None for what is none; empty where the device refuses."""
        response = await self.ask(Code.GET, path)
        if not response.code.is_successful():
            return {}
        with contextlib.suppress(values.Undecodable):
            entries = values.decode(response.payload, content_format=response.opt.content_format, path=path)
            return {entry.path: values.as_integer(entry.value) for entry in entries}
        return {}

    async def discover(self, path: str) -> frozenset[str]:
        """The paths that a Discover lists; empty where the device does not say."""
        response = await self.ask(Code.GET, path, accept=LINK_FORMAT)
        with contextlib.suppress(links.NoLinkFormat):
            if response.code.is_successful():
                return frozenset(link.target for link in links.parse_links(response.payload))
        return frozenset()

    async def write(self, path: str, text: str) -> aiocoap.Message:
        """A Write of text."""
        return await self.ask(Code.PUT, path, text.encode(), content_format=TEXT)

    async def execute(self, path: str) -> aiocoap.Message:
        """An Execute."""
        return await self.ask(Code.POST, path)

    async def block(self, body: bytes, number: int, *, size: int | None = None) -> aiocoap.Message:
        """One block of a Write to Package."""
        size = size or self.block_size
        at, more = number * size, (number + 1) * size < len(body)
        return await self.ask(
            Code.PUT, "/5/0/0", body[at : at + size], content_format=OCTET_STREAM,
            block1=(number, more, szx_of(size)), size1=len(body) if number == 0 else None,
        )  # fmt: skip

    # ---------------------------------------------------------------- seeing

    async def look(self) -> None:
        """Read State and Result."""
        codes = list(self.codes)
        read = [await self.read(path) for path in _PATHS]
        # What was read is newer than a notification that had to wait for its turn (NSTART) and came meanwhile.
        state, result = (None if text is None else values.as_integer(text) for text in read)
        self.status = (state, result)
        # What answers a look is no answer of the step.
        self.codes[:] = codes

    async def watch(self) -> None:
        """Observe State and Result, also after a new registration; a device that refuses is read instead."""
        self._watching = self.registration
        for path in _PATHS if self.watches else ():
            with contextlib.suppress(NoAnswer):
                await self.observe(path)

    async def observe(self, path: str) -> aiocoap.Message:
        """Observe a resource; what is notified counts as seen.

        Raises
        ------
        NoAnswer
            When the device does not answer.
        """
        message = self.requester.message(Code.GET, to=self.registration.remote, path=path, observe=0)
        request = self.requester.request(message)
        try:
            response = await asyncio.wait_for(request.response, self.silence)
        except (aiocoap.error.Error, TimeoutError) as error:
            raise NoAnswer(f"the observation of {path} got no answer") from error
        if response.opt.observe is not None:
            self._observing.append(request)
        return response

    def _note_request(self, datagram: bytes) -> None:
        """A request for State or Result leaves: what comes under its token is a value of theirs."""
        message = decode(datagram)
        if message.code == "0.01" and message.uri_path in _PATHS:
            self._watched[message.token] = str(message.uri_path)

    def _note_answer(self, datagram: bytes) -> None:
        """State or Result, read or notified, taken from the line.

        There they stand in the order in which the device sent them, and aiocoap tells the last notification alone where
        two come at once.
        """
        message = decode(datagram)
        path = self._watched.get(message.token)
        if path is None or message.code != "2.05":
            return
        number = message.values(OBSERVE)
        if number and not self._is_newer(message.token, int.from_bytes(number[0], "big")):
            return
        if not number:
            # A Read has one answer: its copy, where the request came twice, is an old one.
            del self._watched[message.token]
        form = message.values(CONTENT_FORMAT)
        value = value_text(message.payload, int.from_bytes(form[0], "big") if form else None, path)
        if path == STATE and number and not self.watches:
            self.facts.add(f"notified State {value}")
        self._take(path, None if value is None else values.as_integer(value))

    def _is_newer(self, token: bytes, number: int) -> bool:
        """Whether a notification is newer than the last one under its token (RFC 7641, 3.4); a late copy is not."""
        last, at = self._told.get(token, (None, 0.0))
        newer = last is None or self.now > at + 128 or 0 < (number - last) % 2**24 < 2**23
        if newer:
            self._told[token] = (number, self.now)
        return newer

    def _take(self, path: str, number: int | None) -> None:
        """Keep a State or a Result."""
        if number is None:
            return
        seen = self.states if path == STATE else self.results
        if seen[-1:] != [number]:
            seen.append(number)
        self.status = (number, self.status[1]) if path == STATE else (self.status[0], number)
        self._news.set()

    # ---------------------------------------------------------------- waiting

    async def until(self, condition: Callable[[], bool], *, within: float | None = None) -> bool:
        """Wait for a condition on what was seen, over reboots; where no news comes, read. False at the time limit."""
        deadline = self.now + (self.time_limit if within is None else within)
        while not condition():
            left = deadline - self.now
            if left <= 0:
                return False
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), min(self.patience, left))
            except TimeoutError:
                with contextlib.suppress(NoAnswer):
                    await self.look()
            if self._watching is not self.registration:
                await self.watch()
        return True

    def stop_observing(self) -> None:
        """End every observation: the next notification is answered by a reset."""
        for request in self._observing:
            if not request.observation.cancelled:
                request.observation.cancel()
        self._observing.clear()

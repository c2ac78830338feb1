"""Delivery and Execute, carried through silence: what the server does again, and from where.

A request that goes unanswered leaves open whether it was heard. So the server waits, looks what State the device is in,
and goes on from there: a push with the block after the last one acknowledged, or not at all where it is complete.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import aiocoap
from aiocoap.numbers.codes import Code

from lwm2m_lab.errors import LabError
from lwm2m_lab.live import tree
from lwm2m_lab.live.answer import Answer
from lwm2m_lab.live.blockwise import Sending, send_blocks, szx_of
from lwm2m_lab.live.handle import RESULT, STATE, Client
from lwm2m_lab.live.image import FirmwareImage
from lwm2m_lab.live.registry import Registration
from lwm2m_lab.live.report import Outcome, without_success
from lwm2m_lab.live.requests import NoAnswer
from lwm2m_lab.live.server_options import ServerOptions
from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.wire import encoding, values

__all__ = ["Ended", "Errand", "deliver", "execute", "has_failed", "persist"]

T = TypeVar("T")
#: Seconds at the most that a device may ask for before the server asks again (5.03 with Max-Age).
LONGEST_BUSY = 3_600


class Ended(LabError):
    """The procedure is over before its last step."""

    def __init__(self, outcome: Outcome, sentence: str) -> None:
        super().__init__(sentence)
        self.outcome: Outcome = outcome


@dataclass
class Errand:
    """What is to be brought to whom, and how far that has come.

    Attributes
    ----------
    client : Client
    image : FirmwareImage
    options : ServerOptions
    uri : str or None
        Package URI of a pull; None is a push.
    progress : callable
        Told the bytes that were acknowledged.
    registration : Registration or None
        The one under which State and Result are observed.
    attempts : int
        How often silence was answered by trying again.
    """

    client: Client
    image: FirmwareImage
    options: ServerOptions
    uri: str | None = None
    progress: Callable[[int], None] = lambda _: None
    registration: Registration | None = None
    attempts: int = 0
    sending: Sending = field(init=False)

    def __post_init__(self) -> None:
        self.sending = Sending(szx=szx_of(self.options.block_size))

    async def observe(self) -> None:
        """Observe State and Result; observations do not survive a registration."""
        self.registration = self.client.registration
        await self.client.observe(STATE)
        await self.client.observe(RESULT)

    async def look(self) -> State | None:
        """State and Result as they are now, whatever has become of the device meanwhile."""
        if self.registration is None or self.client.registration.location != self.registration.location:
            await self.client.close()
            await self.observe()
        else:
            await self.client.read(STATE)
            await self.client.read(RESULT)
        return self.client.state

    async def pause(self) -> None:
        """Wait before the next attempt; a device that is heard is asked at once."""
        self.attempts += 1
        sign = self.client.server.sign_of(self.client.endpoint)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(sign, self.options.retry_after)


async def persist(errand: Errand, work: Callable[[], Awaitable[T]]) -> T:
    """Do something that may be done twice, as often as the options allow.

    Raises
    ------
    NoAnswer
        When the device does not answer at all.
    """
    for _ in range(errand.options.retries):
        with contextlib.suppress(NoAnswer):
            return await work()
        await errand.pause()
    return await work()


async def deliver(errand: Errand) -> None:
    """Write the package or its URI.

    Raises
    ------
    Ended
        When the device refuses.
    NoAnswer
        When it does not answer.
    """
    if errand.uri is not None:
        uri = errand.uri.encode()
        write = functools.partial(errand.client.write, "/5/0/1", uri, content_format=tree.TEXT)
        answer, what = await persist(errand, write), f"the Package URI {errand.uri}"
    else:
        answer, what = await _push(errand), "the package"
    if not answer.is_success:
        await errand.client.read(STATE)
        result = await errand.client.value(RESULT)
        raise Ended("failed", f"{what} was answered {answer.code}, and the Update Result is {result}")


async def _push(errand: Errand) -> Answer:
    """Send the package block by block, and go on after silence where the last acknowledgement left off."""
    body, content_format = errand.image.data, tree.OCTET_STREAM
    if errand.options.package_format == "tlv":
        body, content_format = encoding.encode_tlv([values.Entry("/5/0/0", body)], base="/5/0/0"), tree.TLV
    method = Code.PUT if errand.options.method == "PUT" else Code.POST
    ask = functools.partial(errand.client.ask, method, "/5/0/0", content_format=content_format)
    sending, left = errand.sending, errand.options.retries
    while True:
        before = sending.offset
        try:
            response = await send_blocks(ask, body, sending, progress=errand.progress)
            if response.code != Code.SERVICE_UNAVAILABLE or not left:
                return Answer.of(response, "/5/0/0")
            await _wait_as_told(errand, response)
            left -= 1
        except NoAnswer:
            left = errand.options.retries if sending.offset > before else left
            if not left:
                raise
            left -= 1
            await errand.pause()
            state = await persist(errand, errand.look)
            if state == State.DOWNLOADED:
                return Answer("2.04", path="/5/0/0")
            if state == State.IDLE:
                result = errand.client.result
                if has_failed(errand.client) and result != UpdateResult.CONNECTION_LOST:
                    outcome = without_success(result)
                    raise Ended(outcome, f"the delivery ended in State {state} with Update Result {result}") from None
                # What was there of it is gone: a restart, or the device's own time-out (A13).
                sending.offset = 0


async def _wait_as_told(errand: Errand, response: aiocoap.Message) -> None:
    """A device that is busy says for how long (RFC 7252, 5.9.3.4)."""
    errand.attempts += 1
    await asyncio.sleep(min(response.opt.max_age or 1, LONGEST_BUSY))


async def execute(errand: Errand) -> None:
    """Start the installation; after silence only where the device has not begun it.

    Raises
    ------
    Ended
        When the device refuses.
    NoAnswer
        When it does not answer.
    """
    left = errand.options.retries
    while True:
        location = errand.client.registration.location
        try:
            answer = await errand.client.execute("/5/0/2")
        except NoAnswer:
            if not left:
                raise
            left -= 1
            await errand.pause()
            state = await persist(errand, errand.look)
            if state != State.DOWNLOADED or errand.client.registration.location != location:
                return
            continue
        if not answer.is_success:
            raise Ended("failed", f"the Execute of Update was answered {answer.code}")
        return


def has_failed(client: Client) -> bool:
    """Idle with a reason; Idle alone may be the first of two notifications."""
    return client.state == State.IDLE and client.result not in (None, UpdateResult.INITIAL)

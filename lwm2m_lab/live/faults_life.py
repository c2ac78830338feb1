"""Faults of registration, notification and reboot."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import aiocoap
from aiocoap.numbers.codes import Code
from aiocoap.pipe import Pipe

from lwm2m_lab.live.blockwise import Block1Receiver, Verdict, szx_of
from lwm2m_lab.live.client import LwM2MClient
from lwm2m_lab.live.endpoint import Address, Endpoint
from lwm2m_lab.live.faults import fault
from lwm2m_lab.live.observing import Observations, Observer
from lwm2m_lab.live.registration import Registration
from lwm2m_lab.live.updater import Updater
from lwm2m_lab.wire.coap import Message, decode, encode
from lwm2m_lab.wire.links import Link


@fault("does-not-register-again", "F18")
class DoesNotRegisterAgain(LwM2MClient):
    """After a reboot the device thinks that its registration still holds."""

    def registers(self) -> bool:
        return self.boots == 1


@fault("never-tells-result", "F1")
class NeverTellsResult(Observations):
    """An observation of Update Result is taken and never told of anything."""

    def observers(self) -> list[Observer]:
        return [one for one in super().observers() if "/5/0/5" not in one.paths]


@fault("lets-registration-lapse", "G3")
class LetsRegistrationLapse(Registration):
    """The registration is never renewed."""

    async def keep(self) -> None:
        await self._register()
        await asyncio.Event().wait()


class _Declares(Registration):
    version = "1.0"

    def links(self) -> list[Link]:
        return [self._declared(link) for link in super().links()]

    def _declared(self, link: Link) -> Link:
        attributes: Mapping[str, str] = {"ver": self.version} if link.target == "/5" else link.attributes
        return Link(link.target, attributes)


@fault("offers-more-than-declared", "F22")
class OffersMoreThanDeclared(_Declares):
    """The registration declares Object 5 version 1.0, and the device has what came later."""


@fault("declares-unknown-version", "G1")
class DeclaresUnknownVersion(_Declares):
    """The registration declares a version of Object 5 that does not exist."""

    version = "3.0"


@fault("resets-before-answering", "F19")
class ResetsBeforeAnswering(LwM2MClient):
    """The device restarts before its answer to the Execute of Update has left, and keeps its port."""

    def port(self) -> int:
        return self._bind[1]

    def with_faults(self, part: type[Any]) -> type[Any]:
        found = super().with_faults(part)
        return type(part.__name__, (_LosesExecuteAnswers, found), {}) if issubclass(Endpoint, part) else found


class _LosesExecuteAnswers(Endpoint):
    """Answers to the Execute of Update do not leave."""

    _lost: frozenset[bytes] = frozenset()

    def incoming(self, data: bytes, sender: Address) -> Any:
        message = decode(data)
        if message.code == "0.02" and message.uri_path == "/5/0/2":
            self._lost |= {message.token}
        return super().incoming(data, sender)

    def outgoing(self, data: bytes, to: Address) -> Any:
        message = decode(data)
        answers = message.token in self._lost and message.code.startswith(("2", "4"))
        return () if answers and message.code == "2.04" else super().outgoing(data, to)


@fault("writes-duplicates", "M3")
class WritesDuplicates(LwM2MClient):
    """A block that comes twice, as a retransmission does, is written twice."""

    def with_faults(self, part: type[Any]) -> type[Any]:
        found = super().with_faults(part)
        for own, base in ((_TakesCopies, Endpoint), (_WritesCopies, Updater)):
            if part is base:
                return type(part.__name__, (own, found), {})
        return found


class _TakesCopies(Endpoint):
    """Copies of blocks reach the application, under a message id of their own; their answers carry the old one."""

    def __init__(self) -> None:
        super().__init__()
        self._taken: set[int] = set()

    def incoming(self, data: bytes, sender: Address) -> Any:
        message = decode(data)
        if message.type == "CON" and message.block1 is not None:
            if message.mid in self._taken:
                data = encode(replace(message, mid=message.mid ^ 0x8000))
            self._taken.add(message.mid)
        return super().incoming(data, sender)

    def outgoing(self, data: bytes, to: Address) -> Any:
        message = decode(data)
        if message.type == "ACK" and message.mid ^ 0x8000 in self._taken:
            data = encode(replace(message, mid=message.mid ^ 0x8000))
        return super().outgoing(data, to)


class _DoublingReceiver(Block1Receiver):
    """Writes a copy behind the block that it is a copy of; found out when the body is whole."""

    _number = -1

    def take(self, request: aiocoap.Message) -> Verdict:
        block = request.opt.block1
        if self.is_open and block is not None and block.block_number == self._number:
            self._copies.append((len(self.body), request.payload))
            return "repeated"
        self._number = -1 if block is None else block.block_number
        if self._number < 1:
            self._copies: list[tuple[int, bytes]] = []
        verdict = super().take(request)
        if verdict == "whole":
            for at, payload in reversed(self._copies):
                self.body[at:at] = payload
        return verdict


class _WritesCopies(Updater):
    """The receiver that counts what it has written."""

    def new_receiver(self, limit: int, szx: int) -> Block1Receiver:
        return _DoublingReceiver(limit, szx)


class _Busy(_TakesCopies):
    """Nothing is looked at while the flash is erased for block 0; what comes meanwhile waits in the socket."""

    seconds = 2.1

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[tuple[bytes, Address]] | None = None

    def incoming(self, data: bytes, sender: Address) -> Any:
        if self._waiting is not None:
            self._waiting.append((data, sender))
            return ()
        message = decode(data)
        if message.block1 is None or message.block1.num or message.mid in self._taken:
            return super().incoming(data, sender)
        self._waiting = [(data, sender)]
        asyncio.get_running_loop().call_later(self.seconds, self._go_on)
        return ()

    def _go_on(self) -> None:
        """Take what has waited, one after the other: aiocoap would let a second request of one token end the first."""
        waited, self._waiting = self._waiting or [], None
        for number, (data, sender) in enumerate(waited):
            for one in super().incoming(data, sender):
                asyncio.get_running_loop().call_later(0.01 * number, self.inner.datagram_received, one, sender)


@fault("erases-and-writes-twice", "M3", "M5")
class ErasesAndWritesTwice(LwM2MClient):
    """The flash is erased before the first block is answered, and a copy that has come meanwhile is written, too."""

    def with_faults(self, part: type[Any]) -> type[Any]:
        found = super().with_faults(part)
        for own, base in ((_Busy, Endpoint), (_WritesCopies, Updater)):
            if part is base:
                return type(part.__name__, (own, found), {})
        return found


class _Slow(LwM2MClient):
    seconds = 0.0

    def is_slow(self, request: aiocoap.Message) -> bool:
        """Whether the answer to a request takes its time."""
        return request.opt.block1 is not None

    async def render_to_pipe(self, pipe: Pipe) -> None:
        if self.is_slow(pipe.request):
            await asyncio.sleep(self.seconds)
        await super().render_to_pipe(pipe)


@fault("erases-flash-before-answering", "M5")
class ErasesFlashBeforeAnswering(_Slow):
    """The flash is erased before the first block is answered, which takes seconds, without an acknowledgement."""

    seconds = 6.0

    def is_slow(self, request: aiocoap.Message) -> bool:
        return request.opt.block1 is not None and request.opt.block1.block_number == 0

    def with_faults(self, part: type[Any]) -> type[Any]:
        found = super().with_faults(part)
        return type(part.__name__, (_LateAnswers, found), {}) if issubclass(Endpoint, part) else found


class _LateAnswers(Endpoint):
    """An answer that aiocoap sends apart, after an empty acknowledgement, leaves as the acknowledgement."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: dict[bytes, int] = {}
        self._copies = 0

    def incoming(self, data: bytes, sender: Address) -> Any:
        message = decode(data)
        if message.block1 is not None and message.block1.num == 0:
            self._copies = self._copies + 1 if message.token in self._asked else 1
            self._asked[message.token] = message.mid
        return super().incoming(data, sender)

    def outgoing(self, data: bytes, to: Address) -> Any:
        message = decode(data)
        if message.code == "0.00" and message.mid in self._asked.values():
            return ()
        if message.type != "CON" or message.token not in self._asked:
            return super().outgoing(data, to)
        acknowledged = encode(Message("ACK", "0.00", message.mid))
        asyncio.get_running_loop().call_soon(self.inner.datagram_received, acknowledged, to)
        late = replace(message, type="ACK", mid=self._asked.pop(message.token))
        # The copies have waited in the socket meanwhile; each has its answer now.
        return (encode(late),) * self._copies


@fault("answers-blocks-separately")
class AnswersBlocksSeparately(_Slow):
    """Each block is acknowledged empty, and answered in a message of its own: legal, and more than some can bear."""

    seconds = 1.0


@fault("refuses-large-blocks")
class RefusesLargeBlocks(LwM2MClient):
    """Blocks of more than 256 bytes are refused with 4.13 and the size that is taken: legal (RFC 7959, 2.9.3)."""

    async def render_to_pipe(self, pipe: Pipe) -> None:
        block = pipe.request.opt.block1
        if block is None or block.size_exponent <= szx_of(256):
            await super().render_to_pipe(pipe)
            return
        refusal = aiocoap.Message(code=Code.REQUEST_ENTITY_TOO_LARGE, block1=(0, False, szx_of(256)))
        pipe.add_response(refusal, is_last=True)


@fault("swallows-repeated-blocks", "M15")
class SwallowsRepeatedBlocks(LwM2MClient):
    """A block that its sender sends anew, under a message id of its own, is acknowledged empty and never answered."""

    _last = -1

    async def render_to_pipe(self, pipe: Pipe) -> None:
        block = pipe.request.opt.block1
        if block is not None and block.block_number == self._last:
            await asyncio.Event().wait()
        self._last = -1 if block is None else block.block_number
        await super().render_to_pipe(pipe)


@fault("refuses-block1", "C6")
class RefusesBlock1(LwM2MClient):
    """Block1 is refused as an option that nobody knows: 4.02."""

    def refuses_options(self, request: aiocoap.Message) -> Code | None:
        return super().refuses_options(request) if request.opt.block1 is None else Code.BAD_OPTION

"""Faults of a server's blocks and messages, made in its datagram endpoint, and of a repository's blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import aiocoap

from lwm2m_lab.live.endpoint import Address, Endpoint
from lwm2m_lab.live.repository import Repository
from lwm2m_lab.live.server_faults import server_fault
from lwm2m_lab.wire.coap import BLOCK1, CONTENT_FORMAT, SIZE1, URI_QUERY, Message, decode, encode

__all__: list[str] = []


def _block1(number: int, more: bool, szx: int) -> bytes:
    """The value of a Block1 option."""
    value = number << 4 | more << 3 | szx
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _with(message: Message, number: int, value: bytes | None) -> Message:
    """A message with another value of an option, or without it."""
    options = [one for one in message.options if one[0] != number]
    if value is not None:
        options.append((number, value))
    return replace(message, options=tuple(sorted(options, key=lambda one: one[0])))


class _Blocks(Endpoint):
    """An endpoint that looks at the blocks of a push before they leave."""

    def outgoing(self, data: bytes, to: Address) -> Iterable[bytes]:
        message = decode(data)
        if message.block1 is None or not message.code.startswith("0."):
            return super().outgoing(data, to)
        return self.leaving(message, data, to)

    def leaving(self, message: Message, data: bytes, to: Address) -> Iterable[bytes]:
        """What leaves in place of a block."""
        return (encode(self.changed(message)),)

    def changed(self, message: Message) -> Message:
        """Another block in its place."""
        return message


# ---------------------------------------------------------------- what a block says


@server_fault("reserved-block-size", "B1")
class ReservedBlockSize(_Blocks):
    """Blocks have size exponent 7, which is reserved."""

    def changed(self, message: Message) -> Message:
        assert message.block1 is not None
        return _with(message, BLOCK1, _block1(message.block1.num, message.block1.more, 7))


@server_fault("content-format-once", "B3")
class ContentFormatOnce(_Blocks):
    """Content-Format stands on block 0 alone."""

    def changed(self, message: Message) -> Message:
        assert message.block1 is not None
        return _with(message, CONTENT_FORMAT, None) if message.block1.num else message


@server_fault("announces-wrong-size", "B7")
class AnnouncesWrongSize(_Blocks):
    """Size1 is larger than the body."""

    def changed(self, message: Message) -> Message:
        sizes = message.values(SIZE1)
        if not sizes:
            return message
        return _with(message, SIZE1, (int.from_bytes(sizes[0], "big") + 1000).to_bytes(3, "big"))


@server_fault("query-once", "W2")
class QueryOnce(_Blocks):
    """Block 0 has a query, and the blocks after it have none."""

    def changed(self, message: Message) -> Message:
        assert message.block1 is not None
        return message if message.block1.num else _with(message, URI_QUERY, b"x=1")


@server_fault("keeps-block-number", "W5")
class KeepsBlockNumber(_Blocks):
    """A smaller block size is used, and the number of the block is not rescaled."""

    _first: int | None = None

    def changed(self, message: Message) -> Message:
        block = message.block1
        assert block is not None
        if self._first is None or not block.num:
            self._first = block.szx
        return _with(message, BLOCK1, _block1(block.num >> (self._first - block.szx), block.more, block.szx))


@server_fault("short-blocks", "W6")
class ShortBlocks(_Blocks):
    """A block that is not the last carries less than the size that it names."""

    def changed(self, message: Message) -> Message:
        assert message.block1 is not None
        return replace(message, payload=message.payload[:-24]) if message.block1.more else message


@server_fault("ignores-smaller-size", "W3")
class IgnoresSmallerSize(Endpoint):
    """A 4.13 that asks for smaller blocks is taken for an acknowledgement, and the next block follows."""

    szx = 6

    def incoming(self, data: bytes, sender: Address) -> Iterable[bytes]:
        message = decode(data)
        if message.code != "4.13" or message.block1 is None:
            return super().incoming(data, sender)
        return (encode(_with(replace(message, code="2.31"), BLOCK1, _block1(0, True, self.szx))),)


# ---------------------------------------------------------------- how a block is sent


class _Copies(_Blocks):
    """Sends copies of its own accord, as long as a block is not acknowledged."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._known: dict[int, bytes] = {}

    def incoming(self, data: bytes, sender: Address) -> Iterable[bytes]:
        self._open.discard(decode(data).mid)
        return super().incoming(data, sender)

    def is_copy(self, message: Message, data: bytes) -> bool:
        """Whether aiocoap has sent it before; it is remembered."""
        known = self._known.get(message.mid) == data
        self._known = {message.mid: data} if not known else self._known
        self._open.add(message.mid)
        return known

    def later(self, seconds: float, mid: int, data: bytes, to: Address) -> None:
        """Send a copy after so many seconds, if there is no answer by then."""

        def send() -> None:
            if mid in self._open:
                self.send(data, to)

        asyncio.get_running_loop().call_later(seconds, send)


@server_fault("changes-retransmissions", "C2")
class ChangesRetransmissions(_Copies):
    """A copy of a block has other bytes than the block."""

    def leaving(self, message: Message, data: bytes, to: Address) -> Iterable[bytes]:
        return (data[:-1] + bytes([data[-1] ^ 1]),) if self.is_copy(message, data) else (data,)


@server_fault("never-gives-up", "C3")
class NeverGivesUp(_Copies):
    """A block that is not acknowledged is sent ten times."""

    def leaving(self, message: Message, data: bytes, to: Address) -> Iterable[bytes]:
        self.is_copy(message, data)
        self.later(1.0, message.mid, data, to)
        return (data,)


@server_fault("retransmits-needlessly", "M6")
class RetransmitsNeedlessly(_Copies):
    """Each block is sent again after a second, while its answer is on the way."""

    def leaving(self, message: Message, data: bytes, to: Address) -> Iterable[bytes]:
        if not self.is_copy(message, data):
            self.later(1.0, message.mid, data, to)
        return (data,)


@server_fault("does-not-back-off", "M7")
class DoesNotBackOff(_Copies):
    """A block that is not acknowledged is sent every two seconds."""

    def leaving(self, message: Message, data: bytes, to: Address) -> Iterable[bytes]:
        if self.is_copy(message, data):
            return ()
        for number in range(1, 5):
            self.later(2.0 * number, message.mid, data, to)
        return (data,)


@server_fault("takes-copies-for-answers", "M8")
class TakesCopiesForAnswers(_Blocks):
    """An answer that comes twice is taken for that of the next block."""

    _waiting: Message | None = None
    _answered: Message | None = None

    def leaving(self, message: Message, data: bytes, to: Address) -> Iterable[bytes]:
        self._waiting = message
        return (data,)

    def incoming(self, data: bytes, sender: Address) -> Iterable[bytes]:
        message = decode(data)
        if message.code != "2.31" or self._waiting is None:
            return super().incoming(data, sender)
        if self._answered is not None and self._answered.mid == message.mid != self._waiting.mid:
            block = self._waiting.block1
            assert block is not None
            taken = replace(message, mid=self._waiting.mid, token=self._waiting.token)
            return (encode(_with(taken, BLOCK1, self._waiting.values(BLOCK1)[0])),)
        self._answered = message
        return (data,)


@server_fault("reuses-message-ids", "M9")
class ReusesMessageIds(_Blocks):
    """All blocks have one message id."""

    _real = 0

    def changed(self, message: Message) -> Message:
        self._real = message.mid
        return replace(message, mid=4711)

    def incoming(self, data: bytes, sender: Address) -> Iterable[bytes]:
        message = decode(data)
        return (encode(replace(message, mid=self._real)),) if message.mid == 4711 else super().incoming(data, sender)


@server_fault("never-acknowledges-answers", "M10")
class NeverAcknowledgesAnswers(Endpoint):
    """An answer to a block that comes apart from its acknowledgement is taken, and neither acknowledged nor reset."""

    def __init__(self) -> None:
        self._apart: set[int] = set()

    def incoming(self, data: bytes, sender: Address) -> Iterable[bytes]:
        message = decode(data)
        if message.type == "CON" and message.block1 is not None:
            self._apart.add(message.mid)
        return super().incoming(data, sender)

    def outgoing(self, data: bytes, to: Address) -> Iterable[bytes]:
        message = decode(data)
        ignored = message.type in ("ACK", "RST") and message.code == "0.00" and message.mid in self._apart
        return () if ignored else super().outgoing(data, to)


@server_fault("stops-after-separate-answer", "W18")
class StopsAfterSeparateAnswer(Endpoint):
    """An answer to a block that comes apart is acknowledged, and no block follows."""

    def incoming(self, data: bytes, sender: Address) -> Iterable[bytes]:
        message = decode(data)
        if message.type != "CON" or message.block1 is None:
            return super().incoming(data, sender)
        self.send(encode(Message("ACK", "0.00", message.mid)), sender)
        return ()


# ---------------------------------------------------------------- the repository


@server_fault("never-last-block", "W9")
class NeverLastBlock(Repository):
    """The last block of a file says that more follow."""

    def block(self, request: aiocoap.Message, body: bytes, etag: bytes | None) -> aiocoap.Message:
        response = super().block(request, body, etag)
        if (block := response.opt.block2) is not None:
            response.opt.block2 = (block.block_number, True, block.size_exponent)
        return response


@server_fault("always-block-0", "W10")
class AlwaysBlock0(Repository):
    """Block 0 comes, whatever block is asked for."""

    def block(self, request: aiocoap.Message, body: bytes, etag: bytes | None) -> aiocoap.Message:
        asked = request.opt.block2
        first = request if asked is None else request.copy(block2=(0, False, asked.size_exponent))
        return super().block(first, body, etag)


@server_fault("has-lost-its-files", "F11")
class HasLostItsFiles(Repository):
    """The repository answers 4.04 to what was written."""

    def answer(self, request: aiocoap.Message) -> aiocoap.Message:
        return super().answer(request.copy(uri_path=("nothing",)))

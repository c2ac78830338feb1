"""Block-wise transfer (RFC 7959) on both sides: sending and receiving Block1, fetching and serving Block2.

Four rooms of one house: `push_blocks` (server) speaks to `Block1Receiver` (device), `fetch_blocks` (device) to
`serve_block` (repository). What a receiver decides is a value, so that its rules are tested without a network.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import aiocoap
from aiocoap.numbers.codes import Code

from lwm2m_lab.errors import BadInput, LabError
from lwm2m_lab.live.requests import Requester

__all__ = [
    "Block1Receiver",
    "BodyReceiver",
    "Fetched",
    "Partial",
    "Refused",
    "Sending",
    "Verdict",
    "fetch_blocks",
    "in_blocks",
    "push_blocks",
    "send_blocks",
    "serve_block",
    "szx_of",
]

#: How often a transfer may begin anew (4.08 from the receiver, an ETag that changed) before the sender gives up.
RESTARTS = 2


class Refused(LabError):
    """The peer answered with an error.

    Attributes
    ----------
    response : aiocoap.Message
        The answer.
    """

    def __init__(self, sentence: str, response: aiocoap.Message) -> None:
        super().__init__(sentence)
        self.response = response


def szx_of(block_size: int) -> int:
    """The size exponent of a block size (RFC 7959, 2.2).

    Raises
    ------
    BadInput
        For a size that no block can have.

    Examples
    --------
    >>> szx_of(512)
    5
    """
    sizes = [16 << szx for szx in range(7)]
    if block_size not in sizes:
        raise BadInput(f"block_size is {block_size!r}; one of {', '.join(map(str, sizes))} is expected")
    return sizes.index(block_size)


# ---------------------------------------------------------------- Block1, sending


@dataclass
class Sending:
    """How far a body has been acknowledged, to be gone on with after a break.

    Attributes
    ----------
    offset : int
        Bytes that the receiver has acknowledged.
    szx : int
        Size exponent of the next block.
    restarts : int
        How often it has begun anew.
    """

    offset: int = 0
    szx: int = 6
    restarts: int = 0


async def push_blocks(
    requester: Requester,
    *,
    to: Any,
    path: str,
    body: bytes,
    block_size: int,
    content_format: int,
    method: Code = Code.PUT,
    progress: Callable[[int], None] = lambda _: None,
) -> aiocoap.Message:
    """Send a body in blocks and return the final response: `send_blocks` to one address, from the beginning."""
    ask = functools.partial(requester.ask, method, to=to, path=path, content_format=content_format)
    return await send_blocks(ask, body, Sending(szx=szx_of(block_size)), progress=progress)


async def send_blocks(
    ask: Callable[..., Awaitable[aiocoap.Message]],
    body: bytes,
    sending: Sending,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> aiocoap.Message:
    """Send a body, or the rest of it, in blocks and return the final response.

    Follows a smaller SZX in the answer, with the block number rescaled (RFC 7959, 2.3), takes a 4.13 with a smaller SZX
    as the hint that it is (2.9.3), and begins anew after a 4.08, twice at most.

    Parameters
    ----------
    ask : callable
        Sends one request, given its ``payload`` and options, and returns the answer.
    body : bytes
    sending : Sending
        Where to begin, and how far it came by the time of an error.

    Raises
    ------
    NoAnswer
        When a block goes unanswered.
    """
    while True:
        offset, size = sending.offset, 16 << sending.szx
        chunk = body[offset : offset + size]
        more = offset + len(chunk) < len(body)
        response = await ask(
            payload=chunk,
            block1=(offset // size, more, sending.szx),
            size1=len(body) if offset == 0 else None,
        )
        answered = response.opt.block1
        smaller = answered is not None and answered.size_exponent < sending.szx
        if response.code == Code.REQUEST_ENTITY_INCOMPLETE and sending.restarts < RESTARTS and offset:
            sending.offset, sending.restarts = 0, sending.restarts + 1
            continue
        if response.code == Code.REQUEST_ENTITY_TOO_LARGE and smaller and offset == 0:
            sending.szx = answered.size_exponent
            continue
        if not response.code.is_successful() or not more:
            return response
        sending.offset += len(chunk)
        progress(sending.offset)
        if smaller:
            sending.szx = answered.size_exponent


# ---------------------------------------------------------------- Block1, receiving

#: What a block means: the first or a further one of a body, the last one (the body is whole), one that was there
#: already, one that does not fit, or one that makes the body larger than the receiver takes.
Verdict = Literal["first", "further", "whole", "repeated", "unmatched", "too large"]


@dataclass
class Block1Receiver:
    """Puts one body together; one at a time, as one resource of one device does.

    Parameters
    ----------
    limit : int
        Bytes that fit.
    preferred_szx : int
        The size exponent that the answers ask for, if smaller than the sender's.
    """

    limit: int
    preferred_szx: int = 6
    body: bytearray = field(default_factory=bytearray)
    _key: tuple[Any, ...] | None = None

    @property
    def is_open(self) -> bool:
        """Whether a body is under way."""
        return self._key is not None

    def forget(self) -> None:
        """Drop what is there."""
        self.body.clear()
        self._key = None

    @staticmethod
    def is_malformed(request: aiocoap.Message) -> bool:
        """Whether a block contradicts itself: SZX 7, or a payload that is not of the size it names (RFC 7959, 2.2)."""
        block, length = request.opt.block1, len(request.payload)
        if block is None:
            return False
        return bool(block.size_exponent == 7 or length > block.size or (block.more and length != block.size))

    def take(self, request: aiocoap.Message) -> Verdict:
        """Take one block that is not malformed; a request without Block1 is a body of one block.

        A block that does not fit leaves what is there as it is. Once a body is whole it waits in `body` until the next
        one begins.
        """
        block, payload = request.opt.block1, request.payload
        number, more, size = (0, False, 0) if block is None else (block.block_number, block.more, block.size)
        named = (tuple(request.opt.uri_path), tuple(request.opt.uri_query))
        key = (request.remote, request.code, request.opt.content_format, named)
        offset = number * size
        if number == 0:
            # A block 0 begins anew, also in the middle of another body (RFC 7959, 2.5).
            self.forget()
            self._key = key
        elif key != self._key or offset > len(self.body):
            return "unmatched"
        elif offset < len(self.body):
            # The sender repeats on its own account, with a new message id; the bytes are here.
            return "repeated" if bytes(self.body[offset : offset + len(payload)]) == payload else "unmatched"
        if max(offset + len(payload), request.opt.size1 or 0) > self.limit:
            self.forget()
            return "too large"
        self.body += payload
        if not more:
            self._key = None
            return "whole"
        return "first" if number == 0 else "further"

    def answer(self, request: aiocoap.Message, code: Code) -> aiocoap.Message:
        """A response with the Block1 option that belongs to it."""
        response = aiocoap.Message(code=code)
        block = request.opt.block1
        if block is not None:
            szx = min(block.size_exponent, self.preferred_szx)
            response.opt.block1 = (block.block_number, block.more and code == Code.CONTINUE, szx)
        if code == Code.REQUEST_ENTITY_TOO_LARGE:
            response.opt.size1 = self.limit
        return response


@dataclass
class BodyReceiver:
    """Bodies of requests other than the package: one at a time, and small.

    Parameters
    ----------
    limit : int
        Bytes of a body.
    preferred_szx : int
        As of `Block1Receiver`.
    """

    limit: int
    preferred_szx: int = 6

    def __post_init__(self) -> None:
        self._receiver = Block1Receiver(self.limit, self.preferred_szx)

    def whole(self, request: aiocoap.Message) -> aiocoap.Message:
        """The request with its body whole, or the answer to a block that does not complete one."""
        if request.opt.block1 is None and len(request.payload) <= self.limit:
            return request
        if self._receiver.is_malformed(request):
            return self._receiver.answer(request, Code.BAD_REQUEST)
        verdict = self._receiver.take(request)
        if verdict == "whole":
            return request.copy(payload=bytes(self._receiver.body), block1=None)
        codes = {"unmatched": Code.REQUEST_ENTITY_INCOMPLETE, "too large": Code.REQUEST_ENTITY_TOO_LARGE}
        return self._receiver.answer(request, codes.get(verdict, Code.CONTINUE))


# ---------------------------------------------------------------- Block2, fetching


@dataclass(frozen=True, slots=True)
class Fetched:
    """A body that came by Block2.

    Attributes
    ----------
    body : bytes
    etag : bytes or None
        What the repository said of the version of the body.
    """

    body: bytes
    etag: bytes | None


@dataclass
class Partial:
    """As much of a body as has come, to be gone on with after a break."""

    body: bytearray = field(default_factory=bytearray)
    etag: bytes | None = None

    def goes_on_with(self, etag: bytes | None) -> bool:
        """Whether a block with this ETag belongs to what is there (RFC 7959, 2.4)."""
        return not self.body or etag == self.etag


async def fetch_blocks(
    requester: Requester,
    uri: str,
    *,
    block_size: int,
    limit: int,
    partial: Partial | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Fetched:
    """Fetch a body in blocks, or the rest of one.

    Follows a smaller SZX in the answer, and begins anew when the ETag changes under way (RFC 7959, 2.4), twice at most.
    What has come by the time of an error is in `partial`.

    Raises
    ------
    NoAnswer, UnknownHost
        When a block goes unanswered or the host has no address.
    Refused
        When the repository answers with an error, or with blocks that make no body, or changes it again and again.
    MemoryError
        When the body is larger than `limit` bytes.
    """
    szx, restarts = szx_of(block_size), 0
    partial = partial or Partial()
    body = partial.body
    while len(body) % (16 << szx):
        szx -= 1
    while True:
        response = await requester.ask(Code.GET, to=uri, block2=(len(body) >> (szx + 4), False, szx))
        if not response.code.is_successful():
            raise Refused(f"{uri} was answered {response.code}", response)
        block = response.opt.block2
        if max(len(body) + len(response.payload), response.opt.size2 or 0) > limit:
            raise MemoryError(limit)
        if block is None:
            return Fetched(response.payload, response.opt.etag)
        if not partial.goes_on_with(response.opt.etag):
            if restarts == RESTARTS:
                raise Refused(f"{uri} changed {RESTARTS + 1} times under way", response)
            body.clear()
            restarts += 1
            continue
        if block.start != len(body) or block.size_exponent > szx:
            raise Refused(f"{uri} answered block {block.block_number} where byte {len(body)} was asked for", response)
        partial.etag, szx = response.opt.etag, block.size_exponent
        body += response.payload
        progress(len(body))
        if not block.more:
            return Fetched(bytes(body), partial.etag)


# ---------------------------------------------------------------- Block2, serving


def serve_block(
    request: aiocoap.Message, body: bytes, *, etag: bytes | None, largest_szx: int = 6, content_format: int = 42
) -> aiocoap.Message:
    """The block of a body that a GET asks for, with ETag and, on the first one, Size2.

    A block beyond the end, or of the reserved size, is answered 4.00.
    """
    asked = request.opt.block2
    if asked is not None and asked.size_exponent == 7:
        return aiocoap.Message(code=Code.BAD_REQUEST, payload=b"SZX 7 is reserved")
    szx = largest_szx if asked is None else min(asked.size_exponent, largest_szx)
    offset = 0 if asked is None else asked.start
    size = 16 << szx
    if offset >= len(body) and offset:
        return aiocoap.Message(code=Code.BAD_REQUEST, payload=b"no such block")
    response = aiocoap.Message(
        code=Code.CONTENT, payload=body[offset : offset + size], etag=etag, content_format=content_format
    )
    if asked is not None or len(body) > size:
        response.opt.block2 = (offset // size, offset + size < len(body), szx)
        if offset == 0:
            response.opt.size2 = len(body)
    return response


def in_blocks(request: aiocoap.Message, response: aiocoap.Message) -> aiocoap.Message:
    """An answer with the Block1 option that its request calls for, cut to one block where it asks for one or must be.

    Each block is cut out of what is true when it is asked for; the ETag tells when that has changed (RFC 7959, 2.4).
    """
    cut = response.code.is_successful() and (request.opt.block2 is not None or len(response.payload) > 1024)
    if cut and response.payload:
        etag = hashlib.sha256(response.payload).digest()[:4]
        body, content_format = response.payload, response.opt.content_format
        response = serve_block(request, body, etag=etag, content_format=content_format)
    block1 = request.opt.block1
    if block1 is not None:
        response.opt.block1 = (block1.block_number, False, min(block1.size_exponent, 6))
    return response

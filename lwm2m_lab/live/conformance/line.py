"""The bench's ends of the line: an endpoint that listens in, sends copies or falls silent, and the files for pull."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import aiocoap
from aiocoap.numbers.codes import Code
from aiocoap.pipe import Pipe

from lwm2m_lab.live.blockwise import serve_block, szx_of
from lwm2m_lab.live.endpoint import Address, Endpoint
from lwm2m_lab.live.requests import path_of

__all__ = ["Files", "Line"]

#: Seconds: less than a round trip, and long enough for the first copy to have been taken.
SECOND_COPY_AFTER = 0.02


class Line(Endpoint):
    """An endpoint of the bench.

    Attributes
    ----------
    doubles : bool
        Whether each datagram leaves a second time soon after: a retransmission in haste.
    is_silent : bool
        Whether nothing that arrives is taken.
    sent, heard : callable
        Told each datagram that leaves, once, and each that is taken, in the order of the wire.
    """

    doubles = False
    is_silent = False

    def __init__(self) -> None:
        self.sent: Callable[[bytes], None] = lambda _: None
        self.heard: Callable[[bytes], None] = lambda _: None

    def outgoing(self, data: bytes, to: Address) -> Iterable[bytes]:
        self.sent(data)
        if self.doubles:
            asyncio.get_running_loop().call_later(SECOND_COPY_AFTER, self.send, data, to)
        return (data,)

    def incoming(self, data: bytes, sender: Address) -> Iterable[bytes]:
        if self.is_silent:
            return ()
        self.heard(data)
        return (data,)


@dataclass
class Files:
    """The bench's repository: files under their paths, with ETag; what is asked for is noted.

    Parameters
    ----------
    block_size : int
        Largest block that it sends, bytes.
    """

    block_size: int = 512
    by_path: dict[str, bytes] = field(default_factory=dict)
    #: The byte from which each request asked, in order.
    asked: list[int] = field(default_factory=list)
    #: Called after each request with the number of those so far.
    counted: Callable[[int], None] = lambda _: None

    def forget(self) -> None:
        """Nobody has asked, and nothing is planned."""
        self.asked.clear()
        self.counted = lambda _: None

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """Answer one request (what aiocoap asks of a site)."""
        request = pipe.request
        body = self.by_path.get(path_of(request))
        if body is None:
            response = aiocoap.Message(code=Code.NOT_FOUND)
        elif request.code != Code.GET:
            response = aiocoap.Message(code=Code.METHOD_NOT_ALLOWED)
        else:
            etag = hashlib.sha256(body).digest()[:4]
            response = serve_block(request, body, etag=etag, largest_szx=szx_of(self.block_size))
            self.asked.append(request.opt.block2.start if request.opt.block2 else 0)
            self.counted(len(self.asked))
        pipe.add_response(response, is_last=True)

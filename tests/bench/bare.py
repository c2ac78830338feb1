"""What the lab is measured against where it runs: two contexts of aiocoap, used as its documentation shows, no more.

The same blocks of the same body, one request a block, to a resource that keeps them.
"""

from __future__ import annotations

import time

import aiocoap
import aiocoap.resource
from aiocoap.numbers.codes import Code

from lwm2m_lab.live.network import Address, Network
from lwm2m_lab.live.world import run_blocking

__all__ = ["push"]


class _Sink(aiocoap.resource.Resource):  # type: ignore[misc]
    """Takes blocks one by one."""

    def __init__(self) -> None:
        super().__init__()
        self.body = bytearray()

    async def needs_blockwise_assembly(self, request: aiocoap.Message) -> bool:
        return False

    async def render_put(self, request: aiocoap.Message) -> aiocoap.Message:
        block = request.opt.block1
        self.body += request.payload
        return aiocoap.Message(code=Code.CONTINUE if block.more else Code.CHANGED, block1=block)


def push(network: Network, body: bytes, block_size: int, *, server: Address, device: Address) -> tuple[float, float]:
    """Push a body by Block1; the seconds of the processor and on the wall's clock, once both sockets are open."""

    async def live() -> tuple[float, float]:
        sink, site = _Sink(), aiocoap.resource.Site()
        site.add_resource(("5", "0", "0"), sink)
        contexts = [
            await network.context(site, side="device", bind=device),
            await network.context(None, side="server", bind=server),
        ]
        began, wall = time.process_time(), time.perf_counter()
        remote, szx = None, block_size.bit_length() - 5
        for offset in range(0, len(body), block_size):
            last = offset + block_size >= len(body)
            request = aiocoap.Message(
                code=Code.PUT,
                payload=body[offset : offset + block_size],
                content_format=42,
                block1=(offset // block_size, not last, szx),
            )
            # To split a URI for each block would cost it a tenth.
            if remote is None:
                request.set_request_uri("coap://{}:{}/5/0/0".format(*device))
            else:
                request.remote, request.opt.uri_path = remote, ("5", "0", "0")
            response = await contexts[1].request(request, handle_blockwise=False).response
            remote = response.remote
        spent = time.process_time() - began, time.perf_counter() - wall
        assert response.code == Code.CHANGED
        assert sink.body == body
        for context in contexts:
            await context.shutdown()
        return spent

    return run_blocking(network, 1, live)

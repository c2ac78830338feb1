"""Whatever arrives leaves nothing behind: memory after a round of bad requests is memory after three of them."""

from __future__ import annotations

import gc
import logging
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

from aiocoap.numbers.codes import Code

from lwm2m_lab.live.requests import Requester, Timers
from lwm2m_lab.wire.encoding import encode_tlv
from lwm2m_lab.wire.values import Entry
from tests.live.bench import Bench, converse

OPAQUE, TEXT, TLV = {"content_format": 42}, {"content_format": 0}, {"content_format": 11542}
#: What a round may leave behind: caches of interpreters and libraries, no request.
SLACK = 40_000
#: Longer than anybody remembers a message (EXCHANGE_LIFETIME) or waits for a block.
FORGOTTEN = 700.0


async def grown(bench: Bench, play: Callable[[int], Awaitable[None]]) -> int:
    """Bytes by which memory grows over two rounds, the first one not counted."""
    sizes = []
    logging.disable(logging.WARNING)  # pytest keeps what is logged
    tracemalloc.start(1)
    try:
        for number in range(3):
            await play(number)
            await bench.sleep(FORGOTTEN)
            # What the lab keeps on purpose: the capture, the truth, what the server of this test received.
            for kept in (bench.device.network.sightings, bench.device.truth, bench.server.received):  # type: ignore[attr-defined]
                kept.clear()
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
        logging.disable(logging.NOTSET)
    return sizes[2] - sizes[0]


def test_a_device_keeps_nothing_of_bad_requests() -> None:
    """Blocks without a beginning or an end, TLV of something else, arguments, attributes, URIs that lead nowhere."""

    async def script(bench: Bench) -> None:
        wrong = encode_tlv([Entry("/5/0/3", 2)], base="/5/0")

        async def play(number: int) -> None:
            for nth in range(60):
                name = f"{number}-{nth}"
                assert await bench.code("PUT", "/5/0/0", bytes(64), block1=(nth + 1, True, 2), **OPAQUE) == "4.08"
                assert await bench.code("PUT", "/5/0/1", wrong, **TLV) == "4.00"
                assert await bench.code("POST", "/5/0/2", f"{name}=".encode()) == "4.00"
                assert await bench.code("PUT", "/5/0/3", uri_query=(f"{name}=1",)) == "4.00"
                assert await bench.code("GET", f"/{name}/0") == "4.04"
                assert await bench.code("PUT", "/5/0/1", b"x" * 10_000, **TEXT) == "4.00"
                assert await bench.code("PUT", "/1/0", bytes(1024), block1=(0, True, 6), **TLV) == "2.31"
                if not nth % 10:
                    assert await bench.code("PUT", "/5/0/1", f"file:///{name}".encode(), **TEXT) == "2.04"
                    await bench.sleep(3)
                    assert await bench.status() == "0/9"
            assert await bench.code("PUT", "/5/0/0", bytes(1024), block1=(0, True, 6), **OPAQUE) == "2.31"
            for block in range(1, 40):  # a body without an end
                code = await bench.code("PUT", "/5/0/0", bytes(1024), block1=(block, True, 6), **OPAQUE)
            assert code == "4.08"
            assert await bench.status() == "0/2"

        assert await grown(bench, play) < SLACK

    converse(script, storage=20_000)


def test_a_server_keeps_nothing_of_bad_requests() -> None:
    """Registrations that are none, bodies that nobody ends, values from nobody."""

    async def script(bench: Bench) -> None:
        context = await bench.device.network.context(None, side="device", bind=("192.0.2.9", 5683))
        requester = Requester(context, Timers())

        async def code(path: str, payload: bytes = b"", method: Code = Code.POST, **options: Any) -> str:
            to = f"coap://192.0.2.1{path}"
            return str((await requester.ask(method, to=to, payload=payload, **options)).code.dotted)

        many = b",".join(b"</%d/0>" % number for number in range(2001))

        async def play(number: int) -> None:
            for nth in range(60):
                good = ("lwm2m=1.1", f"ep={number}-{nth}")
                assert await code("/rd", b"no links", uri_query=good) == "4.00"
                assert await code("/rd", uri_query=(*good, f"colour{nth}=1")) == "4.00"
                assert await code("/rd", bytes(1024), uri_query=good, block1=(1, True, 6)) == "4.08"
                assert await code("/rd", bytes(1024), uri_query=good, block1=(0, True, 6)) == "2.31"
                assert await code(f"/rd/{number}-{nth}", uri_query=("lt=60",)) == "4.04"
                assert await code("/dp", b"[]", content_format=110) == "4.04"
            assert await code("/rd", many, uri_query=good) == "4.13"

        assert await grown(bench, play) < SLACK
        assert list(bench.server.registry.by_endpoint) == [bench.name]
        await context.shutdown()

    converse(script, lifetime=100_000)

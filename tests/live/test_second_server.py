"""Two servers and one device: the update that is under way goes on, and whoever comes second is told so."""

from __future__ import annotations

from typing import Any

from aiocoap.numbers.codes import Code

import lwm2m_lab as lab
from lwm2m_lab.live.procedure import update_device
from lwm2m_lab.live.report import Report
from lwm2m_lab.live.requests import Requester, Timers
from lwm2m_lab.live.server_options import ServerOptions
from tests.live.bench import Bench, converse

IMAGE, OTHER = lab.image(version="2.1.0", size=3000), lab.image(version="3.0.0", size=3000)
STRANGER = ("192.0.2.5", 5683)
OPAQUE = {"content_format": 42}
#: A server that reads after five seconds without news.
PROMPT = ServerOptions(patience=5.0, time_limit=60.0)


class Other:
    """A second server, which knows where the device answers."""

    codes = Code

    def __init__(self, bench: Bench, address: tuple[str, int] = STRANGER) -> None:
        self.bench, self.address = bench, address

    async def __aenter__(self) -> Other:
        self.context = await self.bench.device.network.context(None, side="server", bind=self.address)
        self.requester = Requester(self.context, Timers())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.context.shutdown()

    async def code(self, code: Code, path: str, payload: bytes = b"", **options: Any) -> str:
        """One request; the code of the answer."""
        host, port = self.bench.device.endpoint.address
        response = await self.requester.ask(code, to=f"coap://{host}:{port}{path}", payload=payload, **options)
        return str(response.code.dotted)

    async def block(self, number: int) -> str:
        """One block of its own image."""
        part = OTHER.data[number * 1024 : (number + 1) * 1024]
        return await self.code(Code.PUT, "/5/0/0", part, block1=(number, number < 2, 6), **OPAQUE)


async def block(bench: Bench, number: int) -> str:
    """One block of the image of the server that the device has registered with."""
    part = IMAGE.data[number * 1024 : (number + 1) * 1024]
    return await bench.code("PUT", "/5/0/0", part, block1=(number, number < 2, 6), **OPAQUE)


async def update(bench: Bench, **more: Any) -> Report:
    """An update by the server that the device has registered with."""
    return await update_device(bench.server, bench.requester, bench.name, IMAGE, PROMPT, **more)


def test_a_push_is_not_taken_over() -> None:
    """Block 0 of somebody else begins nothing anew (T27; RFC 7959, 2.5: one transfer for each endpoint)."""

    async def script(bench: Bench) -> None:
        async with Other(bench) as other:
            assert await block(bench, 0) == "2.31"
            assert [await other.block(0), await other.block(1)] == ["4.05", "4.08"]
            assert await other.code(Code.PUT, "/5/0/0", OTHER.data[:600], **OPAQUE) == "4.05"
            assert await other.code(Code.PUT, "/5/0/1", b"coap://192.0.2.3/x", content_format=0) == "4.05"
            assert await other.code(Code.POST, "/5/0/2") == "4.05"
            assert await bench.status() == "1/0"
            # Its own sender may begin anew (A14).
            assert [await block(bench, number) for number in (0, 1, 2)] == ["2.31", "2.31", "2.04"]
            assert (await bench.status(), await bench.read("/5/0/7")) == ("2/0", "2.1.0")
            assert await other.block(0) == "4.05"
            assert (await bench.status(), await bench.read("/5/0/7")) == ("2/0", "2.1.0")

    converse(script)


def test_a_pull_is_not_taken_over() -> None:
    """Nothing is a trigger beside a download but what ends it."""

    async def script(bench: Bench) -> None:
        async with Other(bench) as other:
            assert await bench.write("/5/0/1", "coap://192.0.2.3/good") == "2.04"
            assert await other.code(Code.PUT, "/5/0/1", b"coap://192.0.2.3/x", content_format=0) == "4.05"
            assert await other.block(0) == "4.05"
            await bench.sleep(10)
            assert (await bench.status(), await bench.read("/5/0/7")) == ("2/0", "2.1.0")

    converse(script, files={"/good": IMAGE.data})


def test_a_reset_by_another_server_ends_the_push() -> None:
    """Whoever may write may reset (A1); the sender is told with its next block."""

    async def script(bench: Bench) -> None:
        async with Other(bench) as other:
            assert await block(bench, 0) == "2.31"
            assert await other.code(Code.PUT, "/5/0/1", b"", content_format=0) == "2.04"
            assert (await bench.status(), await block(bench, 1)) == ("0/0", "4.08")

    converse(script)


def test_our_server_meets_a_device_that_another_updates() -> None:
    """It is refused, says by what, and leaves the other's update as it is; afterwards its own succeeds."""

    async def script(bench: Bench) -> None:
        async with Other(bench) as other:
            assert await other.block(0) == "2.31"
            for way in (None, "coap://192.0.2.3/good"):
                report = await update(bench, uri=way)
                assert (report.outcome, str(report.seen.before)[:3]) == ("failed", "1/0")
                assert "was answered 4.05" in report.sentence
            assert [await other.block(1), await other.block(2)] == ["2.31", "2.04"]
            report = await update(bench)
            assert (report.outcome, str(report.seen.before)[:9]) == ("failed", "2/0 · 3.0")
            assert await other.code(Code.POST, "/5/0/2") == "2.04"
            await bench.reborn()
            await bench.sleep(10)
            report = await update(bench)
            assert (report.outcome, report.firmware_version_before) == ("succeeded", "3.0.0")

    converse(script, files={"/good": IMAGE.data})


def test_a_result_of_before_is_no_end_of_the_next_download() -> None:
    """Update Result stays until the next update begins: two pulls in a row, the second after a success."""

    async def script(bench: Bench) -> None:
        for _ in range(2):
            report = await update(bench, uri="coap://192.0.2.3/good")
            assert report.outcome == "succeeded", report.sentence
        report = await update(bench, uri="coap://192.0.2.3/none")
        assert (report.outcome, report.seen.first.result) == ("failed", 7)
        report = await update(bench, uri="coap://192.0.2.3/none")
        assert (report.outcome, report.seen.first.result) == ("failed", 7)
        assert "Update Result 7" in report.sentence

    converse(script, files={"/good": IMAGE.data})

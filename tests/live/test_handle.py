"""The handle of a registered device: every operation, raw answers, blocks both ways, queue mode, what goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiocoap
import pytest
from aiocoap.numbers.codes import Code

from lwm2m_lab.live.client import LwM2MClient
from lwm2m_lab.live.handle import BrokenAnswer, Client
from lwm2m_lab.live.requests import NoAnswer, path_of
from lwm2m_lab.live.server import AWAKE_FOR
from lwm2m_lab.wire.values import Entry
from tests.live.bench import Bench, converse

T = TypeVar("T")


def handled(script: Callable[[Client, Bench], Awaitable[T]], **options: Any) -> T:
    """Let a device register, and hold it in hand."""

    async def held(bench: Bench) -> T:
        client = Client(bench.server, bench.requester, bench.name)
        try:
            return await script(client, bench)
        finally:
            await client.close()

    return converse(held, **options)


def test_read_and_what_is_refused() -> None:
    """Code, text, values, diagnostic; a refusal is an answer, too."""

    async def script(client: Client, bench: Bench) -> None:
        one = await client.read("/3/0/3")
        assert (one.code, one.text, one.is_success, one.diagnostic) == ("2.05", "1.0.0", True, "")
        missing = await client.read("/5/0/4")
        assert (missing.code, missing.text, missing.entries, missing.links) == ("4.04", None, (), ())
        assert (await client.read("/5/0/3", accept=110)).content_format == 110
        several = await client.read("/5/0")
        assert Entry("/5/0/3", 0) in several.entries
        assert several.text is None
        assert client.seen["/3/0/3"] == "1.0.0"
        assert (await client.read("/3/0/3", accept=60)).code == "4.06"

    handled(script)


def test_write_execute_and_their_diagnostics() -> None:
    """A lifetime, attributes that a Discover shows, an Execute out of turn."""

    async def script(client: Client, bench: Bench) -> None:
        assert (await client.write("/1/0/1", 600)).code == "2.04"
        assert await client.value("/1/0/1") == "600"
        assert (await client.write("/1/0/1", "soon")).code == "4.00"
        assert (await client.write_attributes("/1/0/1", pmin=5, pmax=50)).code == "2.04"
        found = {one.target: dict(one.attributes) for one in (await client.discover("/1/0")).links}
        assert found["/1/0/1"] == {"pmin": "5", "pmax": "50"}
        early = await client.execute("/5/0/2")
        assert (early.code, early.is_success) == ("4.05", False)
        assert "refused in 0 Idle" in early.diagnostic

    handled(script)


def test_composite() -> None:
    """Several paths in one request, from LwM2M 1.1 on."""

    async def script(client: Client, bench: Bench) -> None:
        read = await client.read_composite(["/3/0/3", "/5/0/3"])
        assert read.entries == (Entry("/3/0/3", "1.0.0"), Entry("/5/0/3", 0))

    handled(script)


def test_an_answer_in_blocks_is_whole() -> None:
    """Blocks of 64 bytes, asked for one after the other."""

    async def script(client: Client, bench: Bench) -> None:
        whole = await client.discover("/5")
        in_blocks = await client._whole(Code.GET, "/5", accept=40, block2=(0, False, 2))
        assert in_blocks == whole
        assert len(whole.payload) > 128

    handled(script)


def test_a_long_write_goes_in_blocks() -> None:
    """A package through the plain Write, and State 2."""

    async def script(client: Client, bench: Bench) -> None:
        from lwm2m_lab.live.image import image

        assert (await client.write("/5/0/0", image(size=3000).data)).code == "2.04"
        assert await client.value("/5/0/3") == "2"

    handled(script)


def test_observe_and_cancel() -> None:
    """Notifications are seen until the observation is cancelled; then they are reset, and the device stops."""

    async def script(client: Client, bench: Bench) -> None:
        await client.observe("/1/0/1")
        assert client.observed == ("/1/0/1",)
        await client.write("/1/0/1", 500)
        await asyncio.sleep(2)
        assert client.seen["/1/0/1"] == "500"
        await client.cancel("/1/0/1")
        for lifetime in (400, 300):
            await client.write("/1/0/1", lifetime)
            await asyncio.sleep(5)
        assert (client.observed, client.seen["/1/0/1"]) == ((), "500")
        assert not bench.device.observations.observers()

    handled(script)


def test_it_goes_on_with_the_next_registration() -> None:
    """After a reboot the device has another port; the handle finds it."""

    async def script(client: Client, bench: Bench) -> None:
        before = client.registration
        await client.execute("/3/0/4")
        await bench.reborn()
        assert client.registration.location != before.location
        assert client.registration.address != before.address
        assert await client.value("/3/0/3") == "1.0.0"

    handled(script)


def test_who_is_not_registered() -> None:
    """Nobody of that name, and one whose lifetime is over."""

    async def script(client: Client, bench: Bench) -> None:
        client.endpoint = "urn:dev:nobody"
        with pytest.raises(NoAnswer, match="urn:dev:nobody is not registered"):
            await client.read("/3/0/3")
        client.endpoint = bench.name
        await asyncio.sleep(400)
        with pytest.raises(NoAnswer, match="is not registered"):
            await client.read("/3/0/3")
        assert bench.server.registrations == {}

    handled(script, lifetime=300, faults=("lets-registration-lapse",))


def test_an_update_prolongs() -> None:
    """A device by the book renews in time, and stays."""

    async def script(client: Client, bench: Bench) -> None:
        await asyncio.sleep(1000)
        assert client.registration.lifetime == 300
        assert await client.value("/3/0/3") == "1.0.0"

    handled(script, lifetime=300)


def test_a_sleeping_device_is_asked_when_it_is_heard() -> None:
    """Queue mode: after 93 s of rest a request waits for the Update, and is answered then."""

    async def script(client: Client, bench: Bench) -> None:
        assert client.registration.queue_mode
        await asyncio.sleep(AWAKE_FOR + 10)
        began = bench.now
        assert await client.value("/3/0/3") == "1.0.0"
        assert 300 * 0.75 - 10 > bench.now - began > 60
        assert await client.value("/3/0/3") == "1.0.0", "now it is awake"

    handled(script, queue_mode=True, lifetime=300)


def test_what_a_device_sends() -> None:
    """Send reaches whoever listens; from a stranger it is refused."""

    async def script(client: Client, bench: Bench) -> None:
        heard: list[Any] = []
        bench.server.on_send = lambda one, entries: heard.append((one.endpoint, *entries))
        answer = await bench.device.registration.send(("/5/0/3",))
        assert answer is not None
        assert answer.code == Code.CHANGED
        assert heard == [("urn:dev:lab-1", Entry("/5/0/3", 0))]

    handled(script)


class Silent(LwM2MClient):
    """Acknowledges a Read of /3, and never answers it."""

    async def render_to_pipe(self, pipe: Any) -> None:
        if path_of(pipe.request) == "/3":
            await asyncio.Event().wait()
        await super().render_to_pipe(pipe)


def test_an_answer_that_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An acknowledgement alone is waited on for as long as the client is told, and then no longer."""

    async def script(client: Client, bench: Bench) -> None:
        began, client.answer_within = bench.now, 47.0
        with pytest.raises(NoAnswer, match="acknowledged and not answered within 140 s"):
            await client.read("/3")
        assert 135 < bench.now - began < 145
        assert await client.value("/3/0/3") == "1.0.0"

    monkeypatch.setattr("tests.live.bench.LwM2MClient", Silent)
    handled(script)


class Endless(LwM2MClient):
    """Answers a Read of /3 in blocks that never end, or that do not fit."""

    fits = True

    async def render_to_pipe(self, pipe: Any) -> None:
        block = pipe.request.opt.block2
        if path_of(pipe.request) != "/3":
            await super().render_to_pipe(pipe)
            return
        number = block.block_number if block else 0
        answer = aiocoap.Message(code=Code.CONTENT, payload=bytes(1024), content_format=42)
        answer.opt.block2 = (number if self.fits else number + (number > 0), True, 6)
        pipe.add_response(answer, is_last=True)


@pytest.mark.parametrize(("fits", "why"), [(True, "more than 1048576 bytes"), (False, "make no body")])
def test_an_answer_without_end(fits: bool, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server stops at its limit, and says so."""

    async def script(client: Client, bench: Bench) -> None:
        with pytest.raises(BrokenAnswer, match=why):
            await client.read("/3")

    monkeypatch.setattr(Endless, "fits", fits)
    monkeypatch.setattr("tests.live.bench.LwM2MClient", Endless)
    handled(script)

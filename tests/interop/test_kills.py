"""kill -9 of a device's process at every step of an update: what its state file keeps is true, the update goes on."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import pathlib
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.live.endpoint import Endpoint
from lwm2m_lab.live.network import LoopbackNetwork, free_ports
from lwm2m_lab.live.repository import Repository
from lwm2m_lab.live.requests import NoAnswer, Timers
from tests.live.bench import Bench
from tests.live.test_device import Managed, running

IMAGE = lab.image(version="2.1.0", size=150_000)
BLOCKS = -(-IMAGE.size // 1024)
#: A device that reboots just then is not asked for long.
PROMPT = Timers(ack_timeout=0.3, max_retransmit=2)
Kill = Callable[[], None]


async def block(bench: Bench, number: int) -> str:
    """A block of the push."""
    part = IMAGE.data[number * 1024 : (number + 1) * 1024]
    return await bench.code("PUT", "/5/0/0", part, block1=(number, number + 1 < BLOCKS, 6), content_format=42)


async def push(bench: Bench, upto: int = BLOCKS) -> str:
    """The first blocks, by default all of them."""
    code = ""
    for number in range(upto):
        code = await block(bench, number)
    return code


async def then_kill(request: Coroutine[Any, Any, str], kill: Kill, after: float) -> None:
    """Send something, and kill so many seconds later, answered or not."""
    asking = asyncio.ensure_future(request)
    await asyncio.sleep(after)
    kill()
    asking.cancel()
    with contextlib.suppress(NoAnswer, asyncio.CancelledError):
        await asking


async def in_the_push(bench: Bench, kill: Kill, after: float) -> None:
    await push(bench, int(after))
    kill()


async def at_the_last_block(bench: Bench, kill: Kill, after: float) -> None:
    await push(bench, BLOCKS - 1)
    await then_kill(block(bench, BLOCKS - 1), kill, after)


async def at_the_execute(bench: Bench, kill: Kill, after: float) -> None:
    assert await push(bench) == "2.04"
    await then_kill(bench.code("POST", "/5/0/2"), kill, after)


async def at_a_cancel(bench: Bench, kill: Kill, after: float) -> None:
    assert await push(bench) == "2.04"
    await then_kill(bench.code("POST", "/5/0/10"), kill, after)


async def in_the_pull(bench: Bench, kill: Kill, after: float) -> None:
    endpoint = Endpoint()
    context = await LoopbackNetwork().context(
        Repository({"/fw": IMAGE.data}), side="server", bind=("127.0.0.1", 0), endpoint=endpoint
    )
    try:
        uri = f"coap://127.0.0.1:{endpoint.address[1]}/fw"
        assert await bench.write("/5/0/1", uri) == "2.04"
        await asyncio.sleep(after)
        kill()
    finally:
        await context.shutdown()


#: Killed so many milliseconds after the datagram has left, or after so many blocks; what may be read afterwards.
BEFORE, WHOLE, DONE = "0/0 1.0.0 None", "2/0 1.0.0 2.1.0", "0/1 2.1.0 None"
BROKEN, CANCELLED, UPDATING = "0/4 1.0.0 None", "0/10 1.0.0 None", "3/0 1.0.0 2.1.0"
MOMENTS = [
    *((in_the_push, blocks, {BROKEN}) for blocks in (1, 2, BLOCKS // 2, BLOCKS - 1)),
    *((in_the_pull, ms / 1000, {BROKEN, WHOLE}) for ms in (0, 30, 100, 500)),
    *((at_the_last_block, ms / 1000, {BROKEN, WHOLE}) for ms in (0, 1, 3, 8)),
    *((at_the_execute, ms / 1000, {WHOLE, UPDATING, DONE}) for ms in (0, 2, 30)),
    # The installation takes 0.3 s, the reboot 0.3 s.
    *((at_the_execute, ms / 1000, {UPDATING, DONE}) for ms in (200, 320, 450, 640)),
    *((at_a_cancel, ms / 1000, {WHOLE, CANCELLED}) for ms in (0, 2)),
]


@pytest.mark.parametrize(("moment", "after", "expected"), MOMENTS, ids=lambda one: getattr(one, "__name__", None))
def test_what_a_kill_leaves_is_true(moment: Any, after: float, expected: set[str], tmp_path: pathlib.Path) -> None:
    """State, Update Result, /3/0/3 and the package fit together, no file is nobody's, and the update can be done."""
    server, state = Managed(free_ports(1)[0]), tmp_path / "state.json"
    arguments = ("--server", server.uri, "--state", str(state), "--install-time", "0.3", "--reboot-time", "0.3")

    async def look_and_finish(bench: Bench) -> str:
        found = await look(bench)
        assert len(list(tmp_path.glob("*.part"))) == 0
        assert len(list(tmp_path.glob("*.package"))) == (found[0] in "23")
        await finish(bench, found)
        assert await look(bench) == DONE
        return found

    with running(*arguments) as process:
        with contextlib.suppress(NoAnswer):
            server.serve(lambda bench: moment(bench, process.kill, after))
        process.wait(20)
    with running(*arguments):
        assert Managed(server.port).serve(look_and_finish) in expected
    assert [one.name for one in tmp_path.iterdir()] == ["state.json"]


async def look(bench: Bench) -> str:
    """State, Result, /3/0/3 and /5/0/7; of a reboot in between the next answers."""
    bench.requester = dataclasses.replace(bench.requester, timers=PROMPT)
    while True:
        with contextlib.suppress(NoAnswer):
            values = [await bench.read(path) for path in ("/5/0/3", "/5/0/5", "/3/0/3", "/5/0/7")]
            if values[0] == await bench.read("/5/0/3"):
                return "{}/{} {} {}".format(*values)
        await bench.reborn()


async def finish(bench: Bench, found: str) -> None:
    """From what was found to the end of the update."""
    if found == DONE:
        return
    before = bench.server.registrations[bench.name]
    if found[0] in "01":
        assert await push(bench) == "2.04"
    if found[0] != "3":
        assert await bench.code("POST", "/5/0/2") == "2.04"
    await bench.server.registration_after(before, bench.name)


@pytest.mark.parametrize("seed", range(2))
def test_killed_again_and_again(seed: int, tmp_path: pathlib.Path) -> None:
    """Killed after a random time, five times in a row, with a server that goes on with whatever it finds."""
    dice, server, state = random.Random(seed), Managed(free_ports(1)[0]), tmp_path / "state.json"
    arguments = ("--server", server.uri, "--state", str(state), "--install-time", "0.2", "--reboot-time", "0.2")
    seen: list[str] = []

    async def one_life(bench: Bench) -> None:
        seen.append(await look(bench))
        await finish(bench, seen[-1])
        await bench.sleep(10)

    for _ in range(5):
        with running(*arguments) as process:

            async def until_killed(bench: Bench, kill: Kill = process.kill) -> None:
                with contextlib.suppress(TimeoutError, NoAnswer):
                    await asyncio.wait_for(one_life(bench), dice.uniform(0.0, 1.2))
                kill()

            Managed(server.port).serve(until_killed)
            process.wait(20)

    async def last(bench: Bench) -> None:
        seen.append(await look(bench))
        await finish(bench, seen[-1])
        assert await look(bench) == DONE

    with running(*arguments):
        Managed(server.port).serve(last)
    assert set(seen) <= {BEFORE, BROKEN, WHOLE, UPDATING, DONE}, seen
    assert [one.name for one in tmp_path.iterdir()] == ["state.json"]

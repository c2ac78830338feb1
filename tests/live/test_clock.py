"""Simulated time: jumps, order, deadlock."""

from __future__ import annotations

import asyncio
import time

import pytest

from lwm2m_lab.errors import Deadlock
from lwm2m_lab.live.clock import SimulatedLoop


@pytest.fixture
def loop():
    """A loop, closed afterwards."""
    loop = SimulatedLoop()
    yield loop
    loop.close()


def test_a_day_takes_no_time(loop: SimulatedLoop) -> None:
    """Sleeping for a day moves the clock by a day and the wall clock hardly at all."""
    began = time.perf_counter()
    loop.run_until_complete(asyncio.sleep(86_400))
    assert loop.time() == 86_400
    assert time.perf_counter() - began < 1


def test_timers_fire_in_order_and_on_time(loop: SimulatedLoop) -> None:
    """Three sleepers wake in the order of their timers, each at its own moment."""
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        woken.append((name, loop.time()))

    async def all_of_them() -> None:
        await asyncio.gather(sleeper("c", 3), sleeper("a", 1), sleeper("b", 2.5))

    loop.run_until_complete(all_of_them())
    assert woken == [("a", 1.0), ("b", 2.5), ("c", 3.0)]


def test_timers_of_one_moment_fire_in_the_order_in_which_they_were_set(loop: SimulatedLoop) -> None:
    """Whatever else is in the heap, and whatever has been called off."""
    fired: list[int] = []
    for number in range(100):
        loop.call_later(1.0, fired.append, number)
        loop.call_later(0.5 + number % 7, list)
        loop.call_later(1.0, fired.append, -1).cancel()
    loop.run_until_complete(asyncio.sleep(2))
    assert fired == list(range(100))


def test_waiting_for_nothing_is_an_error_at_once(loop: SimulatedLoop) -> None:
    """A future that nobody can fulfil is a deadlock, said in one sentence."""
    with pytest.raises(Deadlock, match="nothing is scheduled and nothing is in flight"):
        loop.run_until_complete(loop.create_future())


def test_another_thread_can_wake_the_loop(loop: SimulatedLoop) -> None:
    """What a thread calls in is run although no time-out is due: Ctrl-C depends on it."""
    seen: list[str] = []

    async def busy() -> None:
        await asyncio.to_thread(loop.call_soon_threadsafe, seen.append, "called")
        for _ in range(1000):
            await asyncio.sleep(0)
            if seen:
                return

    async def spinning() -> None:
        task = asyncio.ensure_future(busy())
        while not task.done():
            await asyncio.sleep(0)

    loop.run_until_complete(spinning())
    assert seen == ["called"]

"""A life in a thread of its own: begun, ended, interrupted, and begun again."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from lwm2m_lab.errors import BadInput, LabError
from lwm2m_lab.live.background import Background, Ready
from lwm2m_lab.live.requests import end_loop


@pytest.fixture
def life() -> Background:
    """One that has not begun."""
    return Background("device x", asyncio.SelectorEventLoop)


async def broken(ready: Ready) -> None:
    """A life that ends before it has begun."""
    raise BadInput("port 1 is taken; a free one is expected")


def until_asked(life: Background) -> list[str]:
    """Start a life that says what it does, and ends when it is asked to."""
    said: list[str] = []

    async def live(ready: Ready) -> None:
        ready.set_result(None)
        await life.end.wait()
        said.append("ended")

    life.start(live)
    return said


def test_begun_used_and_ended(life: Background) -> None:
    """Work runs on its loop while it goes on, and is refused in a sentence before and after."""
    with pytest.raises(LabError, match="the device x does not run; start it first"):
        life.need()
    said = until_asked(life)
    assert life.within(lambda: asyncio.sleep(0, "done")) == "done"
    with pytest.raises(BadInput, match="the device x runs already"):
        until_asked(life)
    life.stop()
    assert (said, life.runs) == (["ended"], False)
    life.stop()


def test_an_error_before_the_beginning_comes_out_and_is_forgotten_with_the_next_start(life: Background) -> None:
    """What has failed once runs well the second time, and is not blamed for the first."""
    with pytest.raises(BadInput, match="port 1 is taken"):
        life.start(broken)
    assert not life.runs
    until_asked(life)
    life.stop()
    life.check()


def test_an_error_later_is_kept_for_whoever_asks(life: Background) -> None:
    """With the life's name in the sentence."""

    async def live(ready: Ready) -> None:
        ready.set_result(None)
        raise ValueError("out of ideas")

    life.start(live)
    life.wait()
    with pytest.raises(LabError, match="the device x ended by an error: out of ideas"):
        life.check()


def test_a_life_that_never_begins_is_an_error(life: Background) -> None:
    """Nobody waits for ever."""

    async def live(ready: Ready) -> None:
        await asyncio.sleep(0)

    with pytest.raises(LabError, match="ended before it had begun"):
        life.start(live)


def test_interrupted_while_it_starts_it_leaves_nobody_behind(life: Background, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes while the caller waits: the life is asked to end, though it has not begun."""
    waiting = threading.Event()

    async def live(ready: Ready) -> None:
        waiting.set()
        await life.end.wait()

    def interrupted(ready: Ready, timeout: float | None = None) -> None:
        assert waiting.wait(10)
        raise KeyboardInterrupt

    monkeypatch.setattr(concurrent.futures.Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        life.start(live)
    assert not life.runs


def test_what_has_just_begun_takes_its_first_step_before_it_is_cancelled() -> None:
    """Cancelled before, a task leaves what it was to await unawaited, and Python complains at its end."""
    loop, ended = asyncio.SelectorEventLoop(), []

    async def inner() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("inner")

    async def outer(work: Coroutine[Any, Any, None]) -> None:
        await work

    task = loop.create_task(outer(inner()))
    end_loop(loop)
    assert (ended, task.cancelled(), loop.is_closed()) == (["inner"], True, True)

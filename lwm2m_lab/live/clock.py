"""Simulated time: an event loop whose clock jumps to the next timer whenever nothing is ready.

aiocoap and the lab's device and server run on it unchanged. They see an ordinary asyncio loop; what differs is that a
retransmission time-out of 45 seconds costs microseconds, that the same run always takes the same steps, and that
waiting for something that can never happen is an error at once instead of a hang.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import selectors
from collections.abc import Callable, Mapping
from typing import Any

from lwm2m_lab.errors import Deadlock

__all__ = ["SimulatedLoop"]

#: A poll of the real selector is a system call. Nothing arrives there but a wake-up from another thread (Ctrl-C), which
#: may wait for this many rounds of the loop, simulated seconds passing or not.
ROUNDS_PER_POLL = 64


class _JumpingSelector(selectors.BaseSelector):
    """Pretends that waiting has passed: adds the time-out to the simulated clock instead of sleeping."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        self._real = selectors.DefaultSelector()
        self._advance = advance
        self._rounds = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready now; where nothing is, the clock moves on to the next timer."""
        self._rounds += 1
        if timeout is not None and self._rounds % ROUNDS_PER_POLL:
            if timeout > 0:
                self._advance(timeout)
            return []
        ready = self._real.select(0)
        if ready:
            return ready
        if timeout is None:
            raise Deadlock(
                "simulated time stands still: nothing is scheduled and nothing is in flight, so whatever is being "
                "waited for can never happen; wait with a time-out instead"
            )
        if timeout > 0:
            self._advance(timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class _Timer(asyncio.TimerHandle):
    """Fires after those that were set before it for the same moment."""

    __slots__ = ("number",)
    number: int
    _when: float
    _scheduled: bool

    def __lt__(self, other: _Timer) -> bool:  # type: ignore[override]
        return self._when < other._when or (self._when == other._when and self.number < other.number)


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop on simulated time, starting at 0.0 s.

    Raises
    ------
    Deadlock
        Out of ``run_until_complete`` when every task waits and no timer is set.

    Examples
    --------
    >>> loop = SimulatedLoop()
    >>> loop.run_until_complete(asyncio.sleep(86_400))
    >>> loop.time()
    86400.0
    >>> loop.close()
    """

    _scheduled: list[_Timer]
    _check_closed: Callable[[], None]

    def __init__(self) -> None:
        self._now, self._timers = 0.0, itertools.count()
        super().__init__(_JumpingSelector(self._advance))
        # A wall clock has a resolution and asyncio fires timers that fall within it early; simulated time is exact.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Simulated seconds since the loop was made."""
        return self._now

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """As asyncio does, and in order: two datagrams that are sent in one moment also arrive in that order.

        Simulated moments are equal often, and in a heap equal ones change places with whatever else is in it.
        """
        self._check_closed()
        timer = _Timer(when, callback, args, self, context)
        timer.number, timer._scheduled = next(self._timers), True
        heapq.heappush(self._scheduled, timer)
        return timer

    def _advance(self, seconds: float) -> None:
        self._now += seconds

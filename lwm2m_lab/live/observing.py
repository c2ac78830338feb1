"""Observations (RFC 7641) with LwM2M's attributes: a notification when a value is worth one, no sooner than pmin, no
later than pmax."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import aiocoap
from aiocoap.pipe import Pipe

from lwm2m_lab.live.attributes import Attributes
from lwm2m_lab.live.requests import Timers
from lwm2m_lab.live.tree import Value, spread
from lwm2m_lab.wire import values

__all__ = ["MOST", "Observations", "Observer"]

#: Observations that a device keeps; a further one is answered as a plain Read (RFC 7641, 4.1).
MOST = 64

Tree = Mapping[str, Value]
Seen = dict[str, values.Value]


@dataclass(eq=False)
class Observer:
    """Somebody who asked for notifications of some paths."""

    paths: tuple[str, ...]
    read: Callable[[], aiocoap.Message]
    values: Callable[[], Seen]
    attributes: Callable[[str], Attributes]
    news: asyncio.Queue[aiocoap.Message] = field(default_factory=asyncio.Queue)
    _timer: asyncio.TimerHandle | None = None

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.told, self.told_at = self.values(), self._loop.time()
        self._wake_after(self._left())

    def look(self) -> None:
        """Values may have changed: tell them now, or when pmin is over, or not at all; pmax tells in any case."""
        now, left = self.values(), self._left()
        wait = left if left == 0 or not self._is_worth_it(now) else self._left_of_pmin()
        if wait == 0:
            self.told, self.told_at = now, self._loop.time()
            self.news.put_nowait(self.read())
            wait = self._left()
        self._wake_after(wait)

    def stop(self) -> None:
        """No more notifications."""
        self._wake_after(None)

    def _is_worth_it(self, now: Seen) -> bool:
        return any(
            (path in now) != (path in self.told) or self._attributes_of(path).wants(self.told.get(path), now.get(path))
            for path in now.keys() | self.told.keys()
        )

    def _attributes_of(self, path: str) -> Attributes:
        """The attributes of the observed path that a value lies at or below."""
        return self.attributes(next(one for one in self.paths if path == one or path.startswith(one + "/")))

    def _left_of_pmin(self) -> float:
        least = max(self.attributes(path).pmin or 0 for path in self.paths)
        return max(self.told_at + least - self._loop.time(), 0.0)

    def _left(self) -> float | None:
        """Seconds until pmax; None where there is none."""
        most = [one.pmax for path in self.paths if (one := self.attributes(path)).pmax]
        return max(self.told_at + min(most) - self._loop.time(), 0.0) if most else None

    def _wake_after(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self._loop.call_later(seconds, self.look)


class Observations:
    """Every observation of one device.

    Parameters
    ----------
    timers : Timers
        How a notification is sent again.
    first : int
        The Observe number of a first answer.
    """

    def __init__(
        self,
        *,
        timers: Timers | None = None,
        first: int = 0,
    ) -> None:
        self._first = first
        self._tuning = (timers or Timers()).tuning
        self._observers: list[Observer] = []

    def __len__(self) -> int:
        return len(self._observers)

    async def serve(
        self,
        pipe: Pipe,
        paths: tuple[str, ...],
        read: Callable[[], aiocoap.Message],
        *,
        tree: Callable[[], Tree],
        attributes: Callable[[str], Attributes],
    ) -> None:
        """Answer now and at every change, until the observer loses interest or the device its power.

        Parameters
        ----------
        tree : callable
            The values that the observer can read now, by path.
        attributes : callable
            The attributes that hold for a path now, as the observer's server has set them.
        """
        response = read()
        if not response.code.is_successful() or len(self) >= MOST:
            pipe.add_response(response, is_last=True)
            return
        observer = Observer(paths, read, lambda: _values_of(paths, tree()), attributes)
        self._observers.append(observer)
        number = self._first
        try:
            while True:
                # An answer that is an error ends the observation, and has no number (RFC 7641, 3.2).
                good = response.code.is_successful()
                if good:
                    response.opt.observe = number
                response.transport_tuning = self._tuning
                pipe.add_response(response, is_last=not good)
                number = (number + 1) % 2**24
                response = await observer.news.get()
        finally:
            observer.stop()
            if observer in self._observers:
                self._observers.remove(observer)

    def observers(self) -> list[Observer]:
        """Those who are told of changes."""
        return self._observers

    def changed(self, *, first: str = "") -> None:
        """Tell whoever observes what has changed; those who observe `first` before the others."""
        for observer in sorted(self.observers(), key=lambda one: first not in one.paths):
            observer.look()

    def forget(self) -> None:
        """Power off."""
        for observer in self._observers:
            observer.stop()
        self._observers.clear()


def _values_of(paths: tuple[str, ...], tree: Tree) -> Seen:
    return {entry.path: entry.value for path in paths for entry in spread(path, tree)}

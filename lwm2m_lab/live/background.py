"""A loop in a thread of its own: how a device and a server on real sockets live beside a caller that blocks."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from lwm2m_lab.errors import BadInput, LabError
from lwm2m_lab.live.requests import end_loop

__all__ = ["Background", "Ready"]

T = TypeVar("T")
#: What a life resolves once it has begun.
Ready = concurrent.futures.Future[None]


class Background:
    """One life in the background, until it is asked to end.

    Parameters
    ----------
    what : str
        Whose, for the sentence of an error: ``"server"``.
    new_loop : callable
        Makes the loop.

    Attributes
    ----------
    end : asyncio.Event
        Set when the life is asked to end; it waits for that.
    news : threading.Condition
        Notified of whatever has happened, and at the end.

    Examples
    --------
    >>> async def live(ready):
    ...     ready.set_result(None)
    ...     await life.end.wait()
    >>> life = Background("server", asyncio.SelectorEventLoop)
    >>> life.start(live)
    >>> life.runs
    True
    >>> life.stop()
    """

    def __init__(self, what: str, new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._what, self._new_loop = what, new_loop
        self.end, self.news = asyncio.Event(), threading.Condition()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    @property
    def runs(self) -> bool:
        """Whether the life goes on."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, live: Callable[[Ready], Coroutine[Any, Any, None]]) -> None:
        """Begin, and return once the life says that it has.

        Raises
        ------
        BadInput
            When it has been started before and not stopped; and whatever ends the life before it has begun.
        """
        if self._thread is not None:
            raise BadInput(f"the {self._what} runs already; one that has not been started is expected")
        ready: Ready = concurrent.futures.Future()
        self.end, self._error = asyncio.Event(), None
        # Made here, so that whoever stops us in the first instant has a loop to speak to.
        self._loop = self._new_loop()
        self._thread = threading.Thread(target=self._run, args=(live, ready), name=self._what, daemon=True)
        self._thread.start()
        try:
            ready.result()
        except BaseException:  # Ctrl-C while it starts, too: no thread is left behind
            self.stop()
            raise

    def stop(self) -> None:
        """Ask the life to end, and wait until it has; does nothing after an end."""
        if self._thread is None:
            return
        with contextlib.suppress(RuntimeError):  # of a loop that is closed: the life has ended by itself
            self._loop.call_soon_threadsafe(self.end.set)
        self._thread.join()
        self._thread = None

    def wait(self) -> None:
        """Wait until the life ends by itself."""
        while self._thread is not None and self._thread.is_alive():
            # With a time-out, so that a signal is noticed in any case.
            self._thread.join(0.5)

    def check(self) -> None:
        """Raise what ended the life, if that was an error.

        Raises
        ------
        LabError
        """
        if self._error is not None:
            raise LabError(f"the {self._what} ended by an error: {self._error}") from self._error

    def need(self) -> None:
        """Raise unless the life goes on.

        Raises
        ------
        LabError
        """
        if not self.runs:
            raise LabError(f"the {self._what} does not run; start it first")

    def within(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run something on the loop; Ctrl-C ends it there, too.

        Raises
        ------
        LabError
            When the life does not go on.
        """
        self.need()
        future = asyncio.run_coroutine_threadsafe(work(), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def notify(self) -> None:
        """Wake whoever waits for news."""
        with self.news:
            self.news.notify_all()

    def _run(self, live: Callable[[Ready], Coroutine[Any, Any, None]], ready: Ready) -> None:
        """The body of the thread."""
        try:
            self._loop.run_until_complete(live(ready))
            if not ready.done():
                raise LabError(f"the {self._what} ended before it had begun")
        except BaseException as error:
            self._error = error
            if not ready.done():
                ready.set_exception(error)
        finally:
            end_loop(self._loop)
            self.notify()

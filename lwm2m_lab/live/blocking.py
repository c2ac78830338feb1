"""`Handle`: a registered device in the hands of a caller in another thread; each operation waits for its answer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from lwm2m_lab.live.answer import Answer
from lwm2m_lab.live.handle import Client
from lwm2m_lab.live.registry import Registration
from lwm2m_lab.wire import values

__all__ = ["Handle"]

T = TypeVar("T")
Within = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]


class Handle:
    """One device; made by `Server.device`.

    Every operation raises `lwm2m_lab.live.requests.NoAnswer` where the device does not answer or is not registered; a
    refusal is an `Answer` with its code and diagnostic.

    Attributes
    ----------
    endpoint : str
    """

    def __init__(self, client: Client, within: Within) -> None:
        self._client, self._within, self.endpoint = client, within, client.endpoint

    @property
    def registration(self) -> Registration:
        """The registration that holds now."""

        async def look() -> Registration:
            return self._client.registration

        return self._run(look)

    @property
    def seen(self) -> dict[str, str | None]:
        """The last value of each path that was read or notified."""
        return dict(self._client.seen)

    def _run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        result: T = self._within(work)
        return result

    def read(self, path: str, *, accept: int | None = None) -> Answer:
        """Read an object, an instance or a resource."""
        return self._run(lambda: self._client.read(path, accept=accept))

    def read_composite(self, paths: Sequence[str]) -> Answer:
        """Read several paths at once (LwM2M 1.1)."""
        return self._run(lambda: self._client.read_composite(paths))

    def discover(self, path: str) -> Answer:
        """Ask for the links at and below a path."""
        return self._run(lambda: self._client.discover(path))

    def observe(self, path: str) -> Answer:
        """Read a path and ask for notifications; what they tell is in `seen`."""
        return self._run(lambda: self._client.observe(path))

    def cancel(self, path: str) -> None:
        """End an observation."""
        self._run(lambda: self._client.cancel(path))

    def write(
        self, path: str, value: values.Value, *, content_format: int | None = None, method: str = "PUT"
    ) -> Answer:
        """Write one path."""
        return self._run(lambda: self._client.write(path, value, content_format=content_format, method=method))

    def write_attributes(self, path: str, **attributes: float | None) -> Answer:
        """Write notification attributes."""
        return self._run(lambda: self._client.write_attributes(path, **attributes))

    def execute(self, path: str, arguments: str = "") -> Answer:
        """Execute one resource."""
        return self._run(lambda: self._client.execute(path, arguments))

    def __repr__(self) -> str:
        return f"Handle({self.endpoint!r})"

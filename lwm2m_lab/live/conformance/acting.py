"""What the server asks in a step: each action a frozen record whose text says what it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from aiocoap.numbers.codes import Code

from lwm2m_lab.live.conformance.records import Came
from lwm2m_lab.live.conformance.station import RESULT, STATE, Station
from lwm2m_lab.live.object5 import PROTOCOLS
from lwm2m_lab.live.requests import NoAnswer, text_of

__all__ = [
    "Attributes",
    "Execute",
    "Look",
    "Observe",
    "Read",
    "ReadObject",
    "Reboot",
    "Reset",
    "WatchedAction",
    "Write",
]

Delivery = Literal["push", "pull"]


@dataclass(frozen=True)
class WatchedAction:
    """One action: what `do` does, watched from before to after.

    A wait goes on with the step before it: what was seen since then is seen in it.
    """

    goes_on: ClassVar[bool] = False

    async def perform(self, station: Station) -> Came:
        """Do it, and tell what came."""
        station.begin_step(goes_on=self.goes_on)
        silent, value = "", None
        try:
            value = await self.do(station)
        except NoAnswer as error:
            silent = str(error)
        return station.came(value=value, silent=silent)

    async def do(self, station: Station) -> str | None:
        """The doing; a value where one is read."""
        raise NotImplementedError


@dataclass(frozen=True)
class Read(WatchedAction):
    """Read one resource."""

    path: str

    def __str__(self) -> str:
        return f"Read {self.path}"

    async def do(self, station: Station) -> str | None:
        return await station.read(self.path)


@dataclass(frozen=True)
class ReadObject(WatchedAction):
    """Read the object instance, and note which of some resources have a value that they may have."""

    def __str__(self) -> str:
        return "Read /5/0"

    async def do(self, station: Station) -> None:
        found = await station.read_many("/5/0")
        protocols = [number for path, number in found.items() if path == "/5/0/8" or path.startswith("/5/0/8/")]
        if found.get("/5/0/9") in (0, 1, 2):
            station.facts.add("/5/0/9 is 0 to 2")
        if protocols:
            station.facts.add("/5/0/8 is there")
        # 4 and 5 came with LwM2M 1.0.2, which registers as 1.0, too.
        if all(number in PROTOCOLS.values() for number in protocols):
            station.facts.add("/5/0/8 lists known protocols")
        station.keep_status(found.get(STATE), found.get(RESULT))


@dataclass(frozen=True)
class Look(WatchedAction):
    """Read State and Update Result."""

    def __str__(self) -> str:
        return f"Read {STATE} and {RESULT}"

    async def do(self, station: Station) -> None:
        await station.look()


@dataclass(frozen=True)
class Write(WatchedAction):
    """Write one resource."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"Write {self.text} to {self.path}"

    async def do(self, station: Station) -> None:
        await station.write(self.path, self.text)
        await station.look()


@dataclass(frozen=True)
class Attributes(WatchedAction):
    """Write-Attributes."""

    path: str
    queries: tuple[str, ...]

    def __str__(self) -> str:
        return f"Write-Attributes {', '.join(self.queries)} on {self.path}"

    async def do(self, station: Station) -> None:
        await station.ask(Code.PUT, self.path, uri_query=self.queries)


@dataclass(frozen=True)
class Observe(WatchedAction):
    """Observe one resource."""

    path: str

    def __str__(self) -> str:
        return f"Observe {self.path}"

    async def do(self, station: Station) -> str | None:
        response = await station.observe(self.path)
        station.note_code(text_of(response.code))
        if response.opt.observe is not None:
            station.facts.add("observed")
        return None if station.status[0] is None else str(station.status[0])


@dataclass(frozen=True)
class Execute(WatchedAction):
    """Execute one resource."""

    path: str

    def __str__(self) -> str:
        return f"Execute {self.path}"

    async def do(self, station: Station) -> None:
        await station.execute(self.path)
        await station.look()


@dataclass(frozen=True)
class Reboot(WatchedAction):
    """Execute Reboot and wait for the next registration."""

    def __str__(self) -> str:
        return "Execute /3/0/4 and wait for the registration"

    async def do(self, station: Station) -> None:
        old = station.registration
        await station.execute("/3/0/4")
        if await station.until(lambda: station.registration is not old):
            station.facts.add("registered anew")


@dataclass(frozen=True)
class Reset(WatchedAction):
    """Write the reset value."""

    by: Delivery

    def __str__(self) -> str:
        return "Write one byte 0x00 to /5/0/0" if self.by == "push" else "Write the empty string to /5/0/1"

    async def do(self, station: Station) -> None:
        await (station.reset_by_package() if self.by == "push" else station.reset_by_uri())
        await station.look()

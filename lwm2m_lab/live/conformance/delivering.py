"""How a package is delivered in a step, by push or pull, whole or not, and the waits for what follows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

from lwm2m_lab.live.conformance.acting import WatchedAction
from lwm2m_lab.live.conformance.station import Station
from lwm2m_lab.spec.objects import State, UpdateResult

__all__ = ["Await", "Deliver", "Push", "SpeakAgain", "WriteUri"]

#: Requests for blocks after which the bench lets something happen to a download.
AFTER = 4
NOTIFIED = "notified State 2"
_IMAGES = {
    "valid": "a valid image",
    "damaged": "a damaged image",
    "no firmware": "a text",
    "too large": "an image too large for the storage",
    "too much memory": "an image too large for the memory",
    "failing": "an image that cannot be installed",
}
#: States from which nothing more comes by itself.
_RESTING = (State.IDLE, State.DOWNLOADED)


@dataclass(frozen=True, kw_only=True)
class Push(WatchedAction):
    """Write a package to `/5/0/0` in blocks; State and Result are read after the first one and at the end.

    Parameters
    ----------
    image : str
        Which one: `Images.take`.
    blocks : int or None
        After how many blocks the bench stops; None for all.
    gap : int
        Which block is left out, at which the push stops; 0 for none.
    repeats : int
        Which block is sent a second time under a message id of its own; 0 for none.
    doubles : bool
        Whether each datagram leaves twice.
    """

    image: str = "valid"
    blocks: int | None = None
    gap: int = 0
    repeats: int = 0
    doubles: bool = False

    def __str__(self) -> str:
        how = [
            f", its first {self.blocks} blocks" if self.blocks else "",
            f", block {self.gap} left out" if self.gap else "",
            f", block {self.repeats} sent twice" if self.repeats else "",
            ", each datagram twice" if self.doubles else "",
        ]
        return f"Push {_IMAGES[self.image]} to /5/0/0{''.join(how)}"

    async def do(self, station: Station) -> None:
        package = station.images.take(self.image)
        station.delivered(package.version)
        station.line.doubles = self.doubles
        try:
            await self._send(station, package.data)
        finally:
            station.line.doubles = False
        await station.look()

    async def _send(self, station: Station, body: bytes) -> None:
        for number in self._numbers(-(-len(body) // station.block_size)):
            response = await station.block(body, number)
            if not response.code.is_successful():
                return
            if number == 0:
                await station.look()

    def _numbers(self, count: int) -> list[int]:
        """The block numbers in the order in which they are sent."""
        numbers = list(range(count if self.blocks is None else min(count, self.blocks)))
        if self.gap:
            return [*numbers[: self.gap], self.gap + 1]
        at = self.repeats
        return [*numbers[: at + 1], *numbers[at:]] if at else numbers


@dataclass(frozen=True, kw_only=True)
class WriteUri(WatchedAction):
    """Write a Package URI.

    Parameters
    ----------
    uri : str
        The URI, or the scheme of one under which the repository serves the image.
    image : str
    then : {"", "silent", "changed"}
        What happens at the fourth block: nothing, the repository falls silent, the file is another one.
    """

    uri: str = "coap"
    image: str = "valid"
    then: Literal["", "silent", "changed"] = ""

    def __str__(self) -> str:
        if self.uri == "missing":
            return "Write the URI of a file that is not there to /5/0/1"
        if ":" in self.uri:
            return f"Write {self.uri} to /5/0/1"
        then = {
            "": "",
            "silent": f"; after block {AFTER - 1} nobody answers",
            "changed": f"; after block {AFTER - 1} the file is another one",
        }
        return f"Write the {self.uri} URI of {_IMAGES[self.image]} to /5/0/1{then[self.then]}"

    async def do(self, station: Station) -> None:
        station.files.forget()
        await station.write("/5/0/1", self._prepared(station))
        await station.look()

    def _prepared(self, station: Station) -> str:
        """The URI, with what it names in place."""
        if ":" in self.uri:
            return self.uri
        if self.uri == "missing":
            return f"{station.uris['coap']}/fw/missing.bin"
        package = station.images.take(self.image)
        station.delivered(package.version)
        path = f"/fw/{len(station.files.by_path)}.bin"
        station.files.by_path[path] = package.data
        if self.then:
            station.files.counted = lambda count: self._happen(station, path) if count == AFTER else None
        return f"{station.uris[self.uri]}{path}"

    def _happen(self, station: Station, path: str) -> None:
        if self.then == "silent":
            station.files_line.is_silent = True
        else:
            station.replace_file(path)


@dataclass(frozen=True, kw_only=True)
class Deliver(WatchedAction):
    """Deliver an image by push where the device takes it, else by pull, and wait for the end of it.

    Parameters
    ----------
    is_notified : bool
        Whether the bench waits for the notification of State 2, too.
    """

    image: str = "valid"
    is_notified: bool = False

    def __str__(self) -> str:
        return f"Push {_IMAGES[self.image]}, or have it pulled where the device takes no push"

    async def do(self, station: Station) -> None:
        if "push" in station.offers:
            await Push(image=self.image).do(station)
            # The package is there: nothing that takes long is left to the device.
            await station.until(lambda: _is_delivered(station), within=3 * station.patience)
        else:
            await WriteUri(image=self.image).do(station)
            await _end_of_download(station)
        if self.is_notified:
            await station.until(lambda: NOTIFIED in station.facts)


@dataclass(frozen=True, kw_only=True)
class SpeakAgain(WatchedAction):
    """Wait while the repository is silent for longer than a device waits, then let it speak again.

    Parameters
    ----------
    changed : bool
        Whether the file is another one when the repository speaks again.
    """

    changed: bool = False
    goes_on = True

    def __str__(self) -> str:
        return "Let the repository speak again once the device has given up its retransmissions" + (
            ", the file being another one" if self.changed else ""
        )

    async def do(self, station: Station) -> None:
        await station.until(lambda: station.files_line.is_silent, within=station.time_limit)
        await asyncio.sleep(station.silence)
        if self.changed:
            station.replace_file(list(station.files.by_path)[-1])
        before = len(station.files.asked)
        station.files_line.is_silent = False
        await _end_of_download(station)
        again = station.files.asked[before:]
        if again:
            station.facts.add("asked again from the beginning" if 0 in again else "asked again from the middle")


# ---------------------------------------------------------------- waiting


@dataclass(frozen=True)
class Await(WatchedAction):
    """Wait for the end of a download or of an installation."""

    what: Literal["download", "installation"]
    goes_on = True

    def __str__(self) -> str:
        return f"Wait for the end of the {self.what}"

    async def do(self, station: Station) -> None:
        if self.what == "download":
            await _end_of_download(station)
            if station.files.asked.count(0) > 1:
                station.facts.add("block 0 asked for twice")
        else:
            await station.until(lambda: _has_settled(station) or _has_forgotten(station))
            # State comes before Result with some devices, and with a few no Result comes at all.
            await station.until(lambda: _has_settled(station), within=2 * station.patience)
        await station.look()


async def _end_of_download(station: Station) -> None:
    await station.until(lambda: _is_delivered(station))


def _is_delivered(station: Station) -> bool:
    """Downloaded, or Idle with a reason; beyond Downloaded, too."""
    state, result = station.status
    return state in (State.DOWNLOADED, State.UPDATING) or (state == State.IDLE and result not in (None, 0))


def _has_settled(station: Station) -> bool:
    """At rest, with a reason that is final."""
    state, result = station.status
    return state in _RESTING and result not in (None, UpdateResult.INITIAL, UpdateResult.DEFERRED)


def _has_forgotten(station: Station) -> bool:
    """Back in Idle from Updating, without a reason."""
    return station.status == (State.IDLE, UpdateResult.INITIAL) and State.UPDATING in station.states

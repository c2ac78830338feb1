"""Faults of a server's procedure and of its registrations."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiocoap
from aiocoap.numbers.codes import Code

from lwm2m_lab.live.delivery import Ended, Errand, deliver
from lwm2m_lab.live.handle import Client
from lwm2m_lab.live.image import FirmwareImage
from lwm2m_lab.live.procedure import Procedure
from lwm2m_lab.live.registry import Registration
from lwm2m_lab.live.report import Report
from lwm2m_lab.live.server import Registrar
from lwm2m_lab.live.server_faults import server_fault
from lwm2m_lab.live.strategies import Reading
from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.wire import encoding, values

__all__: list[str] = []

#: Seconds in which somebody's patience with a transfer is at its end.
TWO_MINUTES = 120.0


# ---------------------------------------------------------------- registrations


@server_fault("refuses-to-register-again", "G4")
class RefusesToRegisterAgain(Registrar):
    """An endpoint that is registered is not let in again after its reboot."""

    def answer(self, request: aiocoap.Message) -> aiocoap.Message:
        names = {f"ep={one}" for one in self.registry.by_endpoint}
        if request.opt.uri_path == ("rd",) and names.intersection(request.opt.uri_query):
            return aiocoap.Message(code=Code.FORBIDDEN, payload=b"registered already")
        return super().answer(request)


@server_fault("asks-sleeping-devices", "F21")
class AsksSleepingDevices(Registrar):
    """A device in queue mode is asked whether it listens or not."""

    async def awake(self, registration: Registration) -> None:
        return


# ---------------------------------------------------------------- looking


@server_fault("asks-for-resource-4", "F23")
class AsksForResource4(Procedure):
    """Resource 4 of Object 5, which does not exist, is read."""

    async def look_before(self) -> Reading:
        await self.client.read("/5/0/4")
        return await super().look_before()


@server_fault("never-reads", "F1")
class NeverReads(Client):
    """It waits for notifications, and never reads State and Update Result."""

    async def until(self, condition: Callable[[], bool], *, patience: float, deadline: float) -> bool:
        now = asyncio.get_running_loop().time
        while not condition() and now() < deadline:
            self.news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.news.wait(), deadline - now())
        return condition()


@server_fault("does-not-observe-again", "F2")
class DoesNotObserveAgain(Procedure):
    """After a new registration it does not observe, and hears nothing more."""

    def __init__(self, errand: Errand, *, auto: bool = False) -> None:
        super().__init__(errand, auto=auto)
        self.options = replace(self.options, observes_again=False)


# ---------------------------------------------------------------- delivering


@server_fault("stops-after-two-minutes", "M1")
class StopsAfterTwoMinutes(Procedure):
    """A push that has not ended after two minutes is left, though each block is acknowledged."""

    async def deliver(self) -> None:
        try:
            async with asyncio.timeout(TWO_MINUTES):
                await super().deliver()
        except TimeoutError:
            await asyncio.sleep(5 * TWO_MINUTES)
            raise Ended("unfinished", f"the push was left after {TWO_MINUTES:g} s") from None


@server_fault("pushes-twice-at-once", "W14")
class PushesTwiceAtOnce(Procedure):
    """A second push begins before the first has ended, and their blocks alternate."""

    async def deliver(self) -> None:
        second = replace(self.errand)

        async def later() -> None:
            await asyncio.sleep(0.5)
            with contextlib.suppress(Ended):
                await deliver(second)

        beside = asyncio.ensure_future(later())
        try:
            await super().deliver()
        finally:
            await beside


@server_fault("mislabels-package", "F14")
class MislabelsPackage(Procedure):
    """The image is wrapped in TLV, and called opaque."""

    async def deliver(self) -> None:
        image = self.errand.image
        wrapped = encoding.encode_tlv([values.Entry("/5/0/0", image.data)], base="/5/0/0")
        self.errand.image = FirmwareImage(wrapped, image.version)
        await super().deliver()


@server_fault("pushes-to-pull-only", "T31")
class PushesToPullOnly(Procedure):
    """The package is pushed to a device that offers to pull only."""

    async def deliver(self) -> None:
        self.errand.uri = None
        await super().deliver()


@server_fault("uri-too-long", "R1")
class UriTooLong(Procedure):
    """The Package URI has 257 bytes."""

    async def deliver(self) -> None:
        self.errand.uri = (self.errand.uri or "coap://192.0.2.3/").ljust(257, "x")
        await super().deliver()


@server_fault("uri-not-offered", "R8")
class UriNotOffered(Procedure):
    """The Package URI names a protocol that is not in the device's list."""

    async def deliver(self) -> None:
        await self.client.read("/5/0/8")
        self.errand.uri = "https://192.0.2.3/fw.bin"
        await super().deliver()


# ---------------------------------------------------------------- executing


@server_fault("executes-early", "F6")
class ExecutesEarly(Procedure):
    """Update is executed while the download runs."""

    async def deliver(self) -> None:
        await super().deliver()
        await self.client.execute("/5/0/2")


@server_fault("takes-empty-uri-for-reset", "F12")
class TakesEmptyUriForReset(Procedure):
    """Package URI is read once the download is complete, and where it is empty nothing more is done."""

    async def execute(self) -> None:
        if await self.client.value("/5/0/1") == "":
            await asyncio.sleep(TWO_MINUTES)
            raise Ended("unfinished", "Package URI is empty")
        await super().execute()


@server_fault("sends-image-again", "F16")
class SendsImageAgain(Procedure):
    """An image that has just been installed is sent again."""

    async def run(self) -> Report:
        report = await super().run()
        self.errand.sending.offset = 0
        await deliver(self.errand)
        return report


@server_fault("takes-deferral-for-failure", "F24")
class TakesDeferralForFailure(Procedure):
    """A deferred installation is taken for a failed one, and the image is sent again."""

    async def execute(self) -> None:
        await super().execute()
        told = functools.partial(_is_deferred, self.client)
        await self.client.until(told, patience=self.options.patience, deadline=asyncio.get_running_loop().time() + 60)
        self.errand.sending.offset = 0
        await deliver(self.errand)


def _is_deferred(client: Any) -> bool:
    """Whether the device has said so."""
    return bool(client.result == UpdateResult.DEFERRED and client.state == State.DOWNLOADED)

"""The update procedure of the server, step by step: look, deliver, execute, wait through the reboot, look again.

An update is over when the device has settled: State 0 or 2 with a result, told by notifications or, where one was lost,
by reading. Whether it has succeeded is for the strategy to say (`lwm2m_lab.live.strategies`).
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from lwm2m_lab.live.choosing import PULL_ONLY, Offers, choose
from lwm2m_lab.live.delivery import Ended, Errand, deliver, execute, has_failed, persist
from lwm2m_lab.live.handle import FIRMWARE_VERSION, PKG_VERSION, RESULT, BrokenAnswer, Client
from lwm2m_lab.live.image import FirmwareImage
from lwm2m_lab.live.report import Outcome, Report, without_success
from lwm2m_lab.live.requests import NoAnswer, Requester
from lwm2m_lab.live.server import Registrar
from lwm2m_lab.live.server_faults import build
from lwm2m_lab.live.server_options import ServerOptions
from lwm2m_lab.live.strategies import LAB, Reading, Seen
from lwm2m_lab.spec.objects import State, UpdateResult

__all__ = ["Procedure", "Report", "ServerOptions", "update_device"]


async def update_device(
    server: Registrar,
    requester: Requester,
    endpoint: str,
    image: FirmwareImage,
    options: ServerOptions,
    *,
    uri: str | None = None,
    auto: bool = False,
    offers: Offers | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Update one device: push the image, or have it pulled from `uri`; with `auto` as the device offers it (5/0/9).

    With `offers` the server chooses, by 5/0/8 and 5/0/9.

    Returns
    -------
    Report
        Also for an update that fails or that nobody answers; an update that goes wrong is a result, not an error.
    """
    client = build(Client, options.faults)(
        server, requester, endpoint, block_size=options.block_size, answer_within=options.answer_within
    )
    procedure = build(Procedure, options.faults)(Errand(client, image, options, uri, progress), auto=auto)
    procedure.offers = offers
    try:
        async with asyncio.timeout(options.deadline):
            return await procedure.run()
    except Ended as end:
        return procedure.report(end.outcome, str(end))
    except (NoAnswer, BrokenAnswer) as error:
        return procedure.report("unfinished", f"{error}, so the server gave up")
    except TimeoutError:
        return procedure.report("unfinished", f"the deadline of {options.deadline:g} s is over")
    finally:
        await client.close()


class Procedure:
    """One update under way."""

    def __init__(self, errand: Errand, *, auto: bool = False) -> None:
        self.auto = auto
        self.offers: Offers | None = None
        self.chosen = ""
        self.errand, self.client, self.options = errand, errand.client, errand.options
        self.strategy = self.options.decides
        # The lab's own strategy decides by the last look alone; any other may need each of them.
        self.looks_often = self.strategy is not LAB
        self.seen = Seen(errand.image.version)
        self.began = _now()

    def report(self, outcome: Outcome, sentence: str) -> Report:
        """What is known now."""
        last = self.seen.settled or self.seen.first
        return Report(
            outcome,
            sentence,
            self.seen.before.firmware_version,
            last.firmware_version,
            self.seen.downloaded.package_version,
            endpoint=self.client.endpoint,
            delivery="push" if self.errand.uri is None else "pull",
            strategy=self.strategy.name,
            seen=self.seen,
            began=self.began,
            duration=_now() - self.began,
            attempts=self.errand.attempts,
            chosen=self.chosen,
        )

    async def run(self) -> Report:
        """The whole procedure, from the first registration to the report."""
        await self._meet()
        self.seen = replace(self.seen, before=await persist(self.errand, self.look_before))
        if self.client.result != UpdateResult.INITIAL:
            # That of an earlier update stays until this one begins (T1, T3), and says nothing of what comes.
            self.client.seen.pop(RESULT, None)
        await self.deliver()
        await self._await_download()
        look = functools.partial(self._look, firmware=self.looks_often)
        self.seen = replace(self.seen, downloaded=await persist(self.errand, look))
        # What was seen so far says nothing of what the Execute brings.
        self.client.seen.clear()
        await self.execute()
        await self._await_installation()
        return self._conclude()

    async def deliver(self) -> None:
        """Bring the package to the device."""
        await deliver(self.errand)

    async def execute(self) -> None:
        """Start the installation."""
        await execute(self.errand)

    # ---------------------------------------------------------------- looking

    async def look_before(self) -> Reading:
        """What is there before the delivery, and how the device takes one."""
        firmware = await self.client.value(FIRMWARE_VERSION)
        delivery = await self.client.value("/5/0/9")
        if self.offers is not None:
            await self._choose(self.offers, delivery)
        elif self.auto and delivery != PULL_ONLY:
            self.errand.uri = None
        return self._reading(await self.client.value(PKG_VERSION), firmware)

    async def _choose(self, offers: Offers, delivery: str | None) -> None:
        """Choose the delivery by what the device offers."""
        protocols = (await self.client.read("/5/0/8")).integers
        is_secure = self.client.registration.identity is not None
        choice = choose(offers, delivery=delivery, protocols=protocols, is_secure=is_secure)
        self.errand.uri, self.chosen = choice.uri, choice.why
        # Who insists on a pull gets the device's own refusal.
        if not choice.is_possible and (offers.may_push or choice.uri is None):
            raise Ended("failed", f"there is no way to deliver: {choice.why}")

    async def _look(self, *, firmware: bool = True) -> Reading:
        """Read the versions; State and Result are known from notifications."""
        version = await self.client.value(FIRMWARE_VERSION) if firmware else None
        return self._reading(await self.client.value(PKG_VERSION), version)

    def _reading(self, package: str | None, firmware: str | None) -> Reading:
        state, result = self.client.state, self.client.result
        return Reading(
            None if state is None else int(state), None if result is None else int(result), package, firmware
        )

    # ---------------------------------------------------------------- waiting

    async def _meet(self) -> None:
        """Wait for the (new) registration, and observe."""
        waiting = self.client.server.registration_after(self.errand.registration, self.client.endpoint)
        try:
            await asyncio.wait_for(waiting, self.options.time_limit)
        except TimeoutError:
            raise Ended(
                "unfinished", f"{self.client.endpoint} did not register within {self.options.time_limit:g} s"
            ) from None
        await persist(self.errand, self.errand.observe)

    async def _await_download(self) -> None:
        """Wait until the package is there, or a result says why not."""
        client = self.client
        done = await client.until(
            lambda: client.state == State.DOWNLOADED or has_failed(client),
            patience=self.options.patience,
            deadline=_now() + self.options.time_limit,
        )
        if not done:
            limit = f"after {self.options.time_limit:g} s"
            if client.is_silent:
                said = f"the device was in State {client.state} when it was last heard, and answers no more {limit}"
                raise Ended("unfinished", said)
            raise Ended("unfinished", f"the device is in State {client.state} {limit}")
        if client.state != State.DOWNLOADED:
            state, result = client.state, client.result
            firmware = await client.value(FIRMWARE_VERSION)
            self.seen = replace(self.seen, first=self._reading(None, firmware))
            raise Ended(without_success(result), f"the delivery ended in State {state} with Update Result {result}")

    async def _await_installation(self) -> None:
        """Look after each reboot until the device has settled, or until the strategy needs no more."""
        deadline, looked = _now() + self.options.time_limit, False
        while True:
            event = await self._next(deadline)
            if event == "reborn":
                await self._follow(deadline)
            settled = _has_settled(self.client)
            if settled or self.looks_often:
                look = await persist(self.errand, self._look)
                self.seen = replace(
                    self.seen,
                    first=self.seen.first if looked else look,
                    settled=look if settled or event == "late" else None,
                )
                looked = True
            if settled or (looked and self.strategy.when == "first"):
                return
            if event == "late" and not self.looks_often:
                raise self._nothing_came()
            if event == "late":
                return

    def _nothing_came(self) -> Ended:
        """The time is over: a device that deferred has said why."""
        state, result = self.client.state, self.client.result
        if result == UpdateResult.DEFERRED:
            return Ended(without_success(result), f"the device is in State {state} with Update Result {result}")
        return Ended("unfinished", f"the device is in State {state}; no result came")

    async def _next(self, deadline: float) -> Literal["settled", "reborn", "late"]:
        """What comes first: a settled result, a new registration, or the end of the time."""
        client, registration = self.client, self.errand.registration
        reborn = asyncio.ensure_future(client.server.registration_after(registration, client.endpoint))
        settled = asyncio.ensure_future(
            client.until(functools.partial(_has_settled, client), patience=self.options.patience, deadline=deadline)
        )
        try:
            await asyncio.wait({reborn, settled}, return_when=asyncio.FIRST_COMPLETED)
            if reborn.done():
                return "reborn"
            return "settled" if settled.result() else "late"
        finally:
            reborn.cancel()
            settled.cancel()
            await asyncio.gather(reborn, settled, return_exceptions=True)

    async def _follow(self, deadline: float) -> None:
        """Go on with the new registration, if that is what this server does."""
        state = self.client.state
        await self.client.close()
        if not self.options.observes_again:
            await asyncio.sleep(max(deadline - _now(), 0.0))
            raise Ended("unfinished", f"no news since State {state} in {self.options.time_limit:g} s")
        await self._meet()

    def _conclude(self) -> Report:
        """What the strategy says of what was seen."""
        updated = self.strategy.judge(self.seen)
        # Another strategy's word is yes or no: that it takes a deferral for a failure is what is to be seen of it.
        result = self.seen.settled.result if self.strategy is LAB and self.seen.settled else None
        outcome: Outcome = "undecided" if updated is None else "succeeded" if updated else without_success(result)
        return self.report(outcome, self._in_words() if self.strategy is LAB else self._by_name())

    def _by_name(self) -> str:
        """What another strategy looked at."""
        seen = self.seen
        looks = [f"before {seen.before}", f"downloaded {seen.downloaded}", f"first {seen.first}"]
        looks += [] if seen.settled in (None, seen.first) else [f"settled {seen.settled}"]
        return f"{self.strategy.name}, {self.strategy.asks}: {'; '.join(looks)}; the target is {seen.target}"

    def _in_words(self) -> str:
        """Success is Result 1 and the image's version in /3/0/3, where the device has that."""
        assert self.seen.settled is not None
        result, version = UpdateResult(self.seen.settled.result or 0), self.seen.settled.firmware_version
        if result != UpdateResult.SUCCESS:
            return f"the installation ended with Update Result {result}"
        if version is not None and version != self.seen.target:
            return f"Update Result is {result}, but /3/0/3 is {version} and the image's version {self.seen.target}"
        return f"Update Result is {result} and " + (f"/3/0/3 is {version}" if version else "the device has no /3/0/3")


def _now() -> float:
    """Seconds on the clock of the loop."""
    return asyncio.get_running_loop().time()


def _has_settled(client: Client) -> bool:
    """Back from Updating, with a reason; a deferral is none, for the installation is still to come."""
    unsettled = (None, UpdateResult.INITIAL, UpdateResult.DEFERRED)
    return client.state in (State.IDLE, State.DOWNLOADED) and client.result not in unsettled

"""One cell in one stage of a campaign: a world of its own, in which so many devices at once are updated.

A device comes to life when its turn comes, registers, is updated, and leaves a moment after the server's conclusion:
a device at rest sends nothing, so it takes neither the cell's capacity nor our memory.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lwm2m_lab.live.cell import CellNetwork, OnAir
from lwm2m_lab.live.client import Happening, LwM2MClient
from lwm2m_lab.live.endpoint import Endpoint
from lwm2m_lab.live.experiment import SIMULATED
from lwm2m_lab.live.image import FirmwareImage
from lwm2m_lab.live.mix import Member
from lwm2m_lab.live.procedure import update_device
from lwm2m_lab.live.registry import Limits
from lwm2m_lab.live.report import Report
from lwm2m_lab.live.repository import Repository
from lwm2m_lab.live.requests import Requester, Timers, cancel
from lwm2m_lab.live.run import Run
from lwm2m_lab.live.server import Registrar
from lwm2m_lab.live.server_faults import build
from lwm2m_lab.live.server_options import ServerOptions
from lwm2m_lab.live.serving import Site
from lwm2m_lab.live.world import SETTLE, Ended, run_blocking, unless_dead
from lwm2m_lab.trace.fleet_causes import Cause, cause_of
from lwm2m_lab.trace.radio import RadioModel

__all__ = ["FAILURES", "MOST", "CellRan", "CellWorld", "Course", "StopRule", "described", "opened"]

#: Outcomes that a stop rule counts as failures: what nobody has wished for.
FAILURES = frozenset({"failed", "unfinished", "undecided"})
#: The devices' network (RFC 2544: kept for benchmarks), and how many it has room for.
DEVICES = ipaddress.ip_network("198.18.0.0/15")
MOST = DEVICES.num_addresses - 2


@dataclass(frozen=True, slots=True)
class StopRule:
    """When a campaign begins no further update.

    Attributes
    ----------
    rate : float
        The share of failures, among the updates that have ended, above which it stops.
    at_least : int
        How many have to have ended before.
    ended, failed : int
        What has come of the stages before.
    """

    rate: float
    at_least: int
    ended: int = 0
    failed: int = 0

    def stops(self, ended: int, failed: int) -> bool:
        """Whether so many more that have ended, and failed, are too many."""
        ended, failed = self.ended + ended, self.failed + failed
        return ended >= self.at_least and failed > self.rate * ended


@dataclass(frozen=True)
class Course:
    """What became of one device; seconds are those of the campaign, simulated.

    Attributes
    ----------
    row : dict
        What the table of devices says of it.
    steps : tuple of (float, int, str)
        When its State or its firmware became another one: second, State, firmware version.
    ended : Ended or None
        Sightings, report and truth, where its capture is kept.
    """

    row: dict[str, Any]
    steps: tuple[tuple[float, int, str], ...]
    ended: Ended | None = None


@dataclass(frozen=True)
class CellRan:
    """What became of one cell in one stage.

    Attributes
    ----------
    courses : tuple of Course
        In the order in which the updates ended.
    stopped_at : float or None
        When the stop rule held.
    slices : list of (float, list)
        Of `CellNetwork.seconds`.
    """

    courses: tuple[Course, ...]
    stopped_at: float | None
    slices: list[tuple[float, Any]] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class CellWorld:
    """One cell in one stage, to be run.

    Attributes
    ----------
    members : sequence of Member
    image : FirmwareImage
    pulls : bool
        Whether devices are given a Package URI; a device that can only pull is given one in any case.
    server : ServerOptions
    timers : Timers
    limit : int
        Updates at the same time.
    rate : mapping of {"up", "down"} to float
        Of the cell, bits a second.
    begins, until : float
        Seconds of the campaign: when the world begins, and from when on no update does.
    stop : StopRule or None
        For a cell that decides for itself.
    seed : int
    captures : int
        Of how many devices that did not succeed the capture is kept.
    chosen : frozenset of str
        Endpoint names of those whose capture is kept in any case.
    model : RadioModel
    """

    members: Sequence[Member]
    image: FirmwareImage
    pulls: bool
    server: ServerOptions
    timers: Timers
    limit: int
    rate: Mapping[str, float]
    begins: float = 0.0
    until: float = math.inf
    stop: StopRule | None = None
    seed: int = 1
    captures: int = 0
    chosen: frozenset[str] = frozenset()
    model: RadioModel

    def run(self, *, told: Callable[[], None] = lambda: None) -> CellRan:
        """Let it live; `told` is called with each update that has ended."""
        network = CellNetwork(rate=self.rate, seed=self.seed, begins=self.begins)
        return run_blocking(network, self.seed, _Living(self, network, told).live)


class _Living:
    """A cell while it lives."""

    def __init__(self, world: CellWorld, network: CellNetwork, told: Callable[[], None]) -> None:
        self.world, self.network, self.told = world, network, told
        self.courses: list[Course] = []
        self.ended = self.failed = self.kept = 0
        self.stopped_at: float | None = None
        self.room = asyncio.Semaphore(world.limit)
        host, _ = SIMULATED.server
        self.uri = f"coap://{host}/fw/{world.image.version}.bin"

    async def live(self) -> CellRan:
        """Begin one update after the other, as far as there is room and nothing stops it."""
        world, chosen = self.world, self.world.server
        server = build(Registrar, chosen.faults)(limits=Limits(registrations=len(world.members) + 1))
        files = {f"/fw/{world.image.version}.bin": world.image.data}
        site = Site(server, build(Repository, chosen.faults)(files, block_size=chosen.block_size))
        context = await self.network.context(
            site, side="server", bind=SIMULATED.server, endpoint=build(Endpoint, chosen.faults)()
        )
        requester = Requester(context, world.timers)
        try:
            async with asyncio.TaskGroup() as group:
                for number, member in enumerate(world.members, 1):
                    await self.room.acquire()
                    if self.stopped_at is not None or self.now >= world.until:
                        break
                    group.create_task(self._update(member, str(DEVICES[number]), server, requester))
        finally:
            await context.shutdown()
        return CellRan(tuple(self.courses), self.stopped_at, self.network.seconds())

    @property
    def now(self) -> float:
        """Seconds of the campaign."""
        return self.world.begins + asyncio.get_running_loop().time()

    async def _update(self, member: Member, host: str, server: Registrar, requester: Requester) -> None:
        """One device, from the moment at which its turn comes."""
        world, began = self.world, self.now
        chosen = member.device.endpoint in world.chosen
        on_air = self.network.join(host, member.link, keep=chosen or self.kept < world.captures)
        client = LwM2MClient(
            member.device,
            network=self.network,
            server=f"coap://{SIMULATED.server[0]}",
            bind=(host, 50_000),
            timers=world.timers,
        )
        living = asyncio.ensure_future(client.run())
        try:
            update = update_device(
                server, requester, member.device.endpoint, world.image, world.server, uri=self.uri, auto=not world.pulls
            )
            report = await unless_dead(update, living)
            ended = self.now
            keeps = self._concluded(report) or chosen
            await asyncio.sleep(SETTLE)
        finally:
            await cancel(living)
        self.courses.append(self._course(member, began, ended, report, client.truth, on_air, keeps=keeps))
        self.network.leave(host)

    def _concluded(self, report: Report) -> bool:
        """Count one, make room for the next, and say whether its capture is kept."""
        self.ended += 1
        self.failed += report.outcome in FAILURES
        stop = self.world.stop
        if self.stopped_at is None and stop is not None and stop.stops(self.ended, self.failed):
            self.stopped_at = self.now
        keeps = report.outcome != "succeeded" and self.kept < self.world.captures
        self.kept += keeps
        self.told()
        self.room.release()
        return keeps

    def _course(
        self,
        member: Member,
        began: float,
        ended: float,
        report: Report,
        truth: Sequence[Happening],
        on_air: OnAir,
        *,
        keeps: bool,
    ) -> Course:
        """What is left of a device."""
        steps: list[tuple[float, int, str]] = []
        for one in truth:
            if not steps or steps[-1][1:] != (int(one.state), one.firmware_version):
                steps.append((began + one.time, int(one.state), one.firmware_version))
        kept, result = None, int(truth[-1].result)
        if keeps and on_air.sightings is not None:
            kept = Ended(tuple(on_air.sightings), report, tuple(truth))
        cause = Cause()
        if report.outcome != "succeeded":
            capture = None if kept is None else opened(kept, member, self.world)
            cause = cause_of(capture, result=result, sentence=report.sentence)
        row = {
            "outcome": report.outcome, "cause": cause.words, "cause_from": cause.source, "update_result": result,
            "firmware_before": report.firmware_version_before, "firmware_after": report.firmware_version_after,
            "firmware_runs": truth[-1].firmware_version,
            "began_s": began, "ended_s": ended, "duration_s": ended - began,
            "retransmissions": on_air.retransmissions, "datagrams": on_air.datagrams, "lost": on_air.lost,
            "bytes_on_air": on_air.bytes_on_air, "energy_j": on_air.energy_j(self.world.model),
            "captured": kept is not None, "sentence": cause.sentence or report.sentence,
        }  # fmt: skip
        return Course({**described(member), **row}, tuple(steps), kept)


def described(member: Member) -> dict[str, Any]:
    """What the table of devices says of one before anything has happened to it."""
    device = member.device
    return {
        "endpoint": device.endpoint, "stage": member.stage, "cell": member.cell, "profile": device.profile,
        "fault": ", ".join(device.faults), "link": member.link_name,
    }  # fmt: skip


def opened(ended: Ended, member: Member, world: CellWorld) -> Run:
    """The run of one device as a capture, with the truth beside it."""
    pulls = world.pulls or ended.report.delivery == "pull"
    return Run(ended, image=world.image, delivery="pull" if pulls else "push", link=member.link, seed=world.seed)

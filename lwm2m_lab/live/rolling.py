"""A campaign under way: stage after stage, cell by cell, here, on all cores or on a cluster."""

from __future__ import annotations

import dataclasses
import functools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lwm2m_lab.live.campaign_run import CampaignRun, StageRan
from lwm2m_lab.live.cell_world import FAILURES, CellRan, CellWorld, Course, StopRule, described, opened
from lwm2m_lab.live.mix import Member
from lwm2m_lab.live.run import Run
from lwm2m_lab.live.world import SETTLE
from lwm2m_lab.trace.workers import on_cluster, on_cores

__all__ = ["Crew", "Rollout"]

# ---------------------------------------------------------------- who works


@dataclass(frozen=True)
class Crew:
    """So many processes of this machine, or a cluster."""

    workers: int
    client: Any

    def run(self, worlds: Sequence[CellWorld], told: Callable[[int], None]) -> list[CellRan]:
        """What became of each world, in their order; `told` is called with how many more devices are done."""
        if self.client is None and (self.workers == 1 or len(worlds) == 1):
            return [one.run(told=lambda: told(1)) for one in worlds]
        batches = [[one] for one in enumerate(worlds)]
        if self.client is not None:
            results = on_cluster(_run_worlds, batches, client=self.client)
        else:
            results = on_cores(_run_worlds, batches, workers=self.workers)
        done: dict[int, CellRan] = {}
        for batch in results:
            for at, ran in batch:
                done[at] = ran
                told(len(ran.courses))
        return [done[at] for at in range(len(worlds))]


def _run_worlds(worlds: Sequence[tuple[int, CellWorld]]) -> list[tuple[int, CellRan]]:
    """What a worker does."""
    return [(at, one.run()) for at, one in worlds]


# ---------------------------------------------------------------- the campaign


class Rollout:
    """A campaign under way."""

    def __init__(
        self,
        fleet: Sequence[Member],
        sizes: Sequence[int],
        rule: StopRule | None,
        prototype: CellWorld,
        crew: Crew,
        *,
        cells: int,
        seed: int,
    ) -> None:
        self.fleet, self.sizes, self.rule, self.prototype, self.crew = fleet, sizes, rule, prototype, crew
        self.cells, self.seed = cells, seed
        self.courses: dict[str, Course] = {}
        self.worlds: dict[str, CellWorld] = {}
        self.slices: list[tuple[float, int, Sequence[float]]] = []
        self.stages: list[StageRan] = []
        self.stopped_s: float | None = None

    def run(self) -> CampaignRun:
        """One stage after the other."""
        from tqdm import tqdm

        begins = 0.0
        with tqdm(total=len(self.fleet), desc="campaign", unit="device", delay=2, leave=False) as bar:
            for number in range(1, len(self.sizes) + 1):
                self._stage(number, begins, functools.partial(_more, bar))
                begins = self.stages[-1].ended_s + SETTLE
                if self.stopped_s is not None:
                    break
        world = self.prototype
        return CampaignRun(
            image=world.image, delivery="pull" if world.pulls else "push", limit=world.limit, cells=self.cells,
            cell_rate=world.rate, rule=self.rule, stages=tuple(self.stages), stopped_s=self.stopped_s, seed=self.seed,
            timers=world.timers,
            rows=tuple(self._row(one) for one in self.fleet), courses=self.courses, slices=tuple(self.slices),
            open=functools.partial(_opened, self.courses, self.worlds),
        )  # fmt: skip

    def _stage(self, number: int, begins: float, told: Callable[[int], None]) -> None:
        """All cells; where there are several, the stop rule is asked of all of them together.

        Each cell is a world with a clock of its own, so the moment at which the rule holds is known only when all have
        run to the end of the stage. Those that began updates after it are then run again up to that moment: what came
        before it comes again, bit by bit.
        """
        worlds = self._worlds(number, begins)
        rans = self.crew.run(worlds, told)
        stopped = self._stopped(rans)
        if stopped is not None and len(worlds) > 1:
            late = [at for at, ran in enumerate(rans) if any(one.row["began_s"] >= stopped for one in ran.courses)]
            worlds = [dataclasses.replace(one, until=stopped) if at in late else one for at, one in enumerate(worlds)]
            again = self.crew.run([worlds[at] for at in late], lambda _: None)
            for at, ran in zip(late, again, strict=True):
                rans[at] = ran
        self.stopped_s = stopped
        for world, ran in zip(worlds, rans, strict=True):
            self._keep(world, ran)
        self.stages.append(self._told_of(number, begins))

    def _worlds(self, number: int, begins: float) -> list[CellWorld]:
        """The worlds of one stage."""
        worlds = []
        for cell in range(1, self.cells + 1):
            own = tuple(one for one in self.fleet if one.stage == number and one.cell == cell)
            if not own:
                continue
            dice = random.Random(f"{self.seed}/{number}/{cell}")
            limit = self.prototype.limit // self.cells + (cell <= self.prototype.limit % self.cells)
            world = dataclasses.replace(
                self.prototype, members=own, begins=begins, limit=limit, seed=dice.randrange(2**31)
            )
            worlds.append(world)
        if len(worlds) == 1 and self.rule is not None:
            worlds = [dataclasses.replace(worlds[0], stop=self._rule_now())]
        return worlds

    def _rule_now(self) -> StopRule:
        """The rule, with what came of the stages before."""
        assert self.rule is not None
        failed = sum(one.row["outcome"] in FAILURES for one in self.courses.values())
        return dataclasses.replace(self.rule, ended=len(self.courses), failed=failed)

    def _stopped(self, rans: Sequence[CellRan]) -> float | None:
        """When the rule held first: a cell alone knows for itself, several are asked together."""
        if self.rule is None or len(rans) == 1:
            return rans[0].stopped_at
        rule, ends = self._rule_now(), [one.row for ran in rans for one in ran.courses]
        ends.sort(key=lambda row: (row["ended_s"], row["endpoint"]))
        failed = 0
        for ended, row in enumerate(ends, 1):
            failed += row["outcome"] in FAILURES
            if rule.stops(ended, failed):
                return float(row["ended_s"])
        return None

    def _keep(self, world: CellWorld, ran: CellRan) -> None:
        cell = world.members[0].cell
        self.slices += [(time_s, cell, told) for time_s, told in ran.slices]
        for one in ran.courses:
            self.courses[one.row["endpoint"]] = one
            self.worlds[one.row["endpoint"]] = world

    def _told_of(self, number: int, begins: float) -> StageRan:
        own = [one.row for one in self.courses.values() if one.row["stage"] == number]
        return StageRan(
            number=number,
            devices=self.sizes[number - 1],
            begun=len(own),
            succeeded=sum(one["outcome"] == "succeeded" for one in own),
            failed=sum(one["outcome"] in FAILURES for one in own),
            began_s=begins,
            ended_s=max((one["ended_s"] for one in own), default=begins),
        )

    def _row(self, member: Member) -> dict[str, Any]:
        course = self.courses.get(member.device.endpoint)
        if course is not None:
            return course.row
        firmware = member.device.firmware_version
        return {**described(member), "outcome": "not begun", "cause": "", "cause_from": "", "firmware_runs": firmware,
                "captured": False, "sentence": ""}  # fmt: skip


def _more(bar: Any, devices: int) -> None:
    bar.update(devices)


def _opened(courses: Mapping[str, Course], worlds: Mapping[str, CellWorld], endpoint: str) -> Run:
    """One device's run, from what is kept or from its cell run again."""
    world = worlds[endpoint]
    member = next(one for one in world.members if one.device.endpoint == endpoint)
    ended = courses[endpoint].ended
    if ended is None:
        again = dataclasses.replace(world, captures=0, chosen=frozenset({endpoint})).run()
        ended = next(one.ended for one in again.courses if one.row["endpoint"] == endpoint)
    assert ended is not None
    return opened(ended, member, world)

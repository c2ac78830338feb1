"""Thousands of updates on simulated time in which everything goes wrong that can, and what must hold all the same.

Each update is drawn from the seed and its number alone: versions, slots, delivery, sizes, an image that is good or
damaged, a link that loses, repeats and reorders, outages, and kills of the device after which the next process finds
only the state file. What the device is judged by is not its own opinion: the relation of Object 5, the hashes of what
was offered, what its own side of the link carried, and what lies in its folder.
"""

from __future__ import annotations

import asyncio
import hashlib
import pathlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lwm2m_lab.live.client import Happening, LwM2MClient
from lwm2m_lab.live.flash import Flash, StateFile
from lwm2m_lab.live.image import FirmwareImage, image
from lwm2m_lab.live.link import Link
from lwm2m_lab.live.network import SIMULATED_EPOCH_NS, Sighting, SimulatedNetwork
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.procedure import update_device
from lwm2m_lab.live.report import Report
from lwm2m_lab.live.repository import Repository
from lwm2m_lab.live.requests import Requester, Timers, cancel
from lwm2m_lab.live.run import capture_of
from lwm2m_lab.live.server import Registrar
from lwm2m_lab.live.server_options import ServerOptions
from lwm2m_lab.live.world import run_blocking
from lwm2m_lab.spec.firmware import rules_for
from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.spec.rules import Event
from lwm2m_lab.trace.capture import Capture
from lwm2m_lab.trace.findings import Verdict

Damage = Literal["none", "hash", "cut", "alien", "too large"]
SERVER, REPOSITORY, DEVICE = ("192.0.2.1", 5683), ("192.0.2.3", 5683), ("192.0.2.2", 50_000)
EVENTS = {str(event.value): event for event in Event}
#: Simulated seconds after the server's conclusion in which the device comes to rest, whatever it was at.
REST = 900.0
#: Seconds for which notifications may wait for the acknowledgement of those before them.
WAITING = 247.0
SIZES = (16, 32, 64, 128, 256, 512, 1024)
#: Rules that fail of what the path did, and rightly: requests without an answer, needless copies on a slow path.
OF_THE_PATH = {"M0", "M6"}
#: Results of a package that was not taken.
REFUSALS = frozenset(UpdateResult) - {UpdateResult.INITIAL, UpdateResult.SUCCESS}


@dataclass(frozen=True)
class Plan:
    """One update, drawn.

    Attributes
    ----------
    seed, number : int
        What draws the same again.
    package : FirmwareImage
        What is offered.
    damage : str
        What is wrong with it.
    kills : tuple of (float, float, bool)
        Seconds of life until a kill, seconds until the next process, and whether it struck between two files.
    """

    seed: int
    number: int
    device: DeviceOptions
    server: ServerOptions
    link: Link
    delivery: Literal["push", "pull"]
    package: FirmwareImage
    damage: Damage
    kills: tuple[tuple[float, float, bool], ...]

    def __str__(self) -> str:
        kills = ", ".join(f"{life:.1f} s" for life, _, _ in self.kills) or "none"
        return (
            f"soak.draw({self.seed}, {self.number}): {self.delivery} of {self.package.size} bytes ({self.damage}), "
            f"Object 5 {self.device.object_version}, slots {self.device.slots}, {self.link}, kills {kills}"
        )


def draw(seed: int, number: int) -> Plan:
    """The plan of one update."""
    dice = random.Random(f"{seed}/{number}")
    version = dice.choice(("1.0", "1.1", "1.2"))
    damage: Damage = dice.choices(("none", "hash", "cut", "alien", "too large"), (70, 8, 7, 6, 9))[0]
    package = _package(dice, damage)
    device = DeviceOptions(
        lwm2m=version,
        object_version=version,
        slots=dice.choice(("one", "ab")),
        block_size=dice.choice(SIZES[2:]),
        storage=package.size - 1 if damage == "too large" else 16 * 2**20,
        install_time=dice.uniform(0.5, 10),
        reboot_time=dice.uniform(0.5, 20),
        install_fails=dice.random() < 0.05,
        trial_fails=dice.random() < 0.05,
        resume_attempts=dice.choice((0, 2, 5)),
        forget_after=dice.choice((60.0, 247.0)),
    )
    server = ServerOptions(
        block_size=dice.choice(SIZES[2:]),
        method=dice.choice(("PUT", "POST")),
        retries=dice.choice((0, 2, 5)),
        strategy=dice.choice(("lab", "S7")),
        time_limit=1800.0,
    )
    return Plan(
        seed,
        number,
        device,
        server,
        _link(dice),
        dice.choice(("push", "pull")),
        package,
        damage,
        tuple(
            (dice.choice((dice.uniform(0, 5), dice.uniform(0, 40))), dice.uniform(0.1, 60), dice.random() < 0.5)
            for _ in range(dice.choices((0, 1, 2, 3), (55, 25, 12, 8))[0])
        ),
    )


def _package(dice: random.Random, damage: Damage) -> FirmwareImage:
    good = image(version=f"2.{dice.randrange(40)}.{dice.randrange(40)}", size=dice.randrange(1_000, 9_000))
    if damage == "hash":
        at = dice.randrange(40, 900)
        return replace(
            good, data=good.data[:at] + bytes([good.data[at] ^ 1 << dice.randrange(8)]) + good.data[at + 1 :]
        )
    if damage == "cut":
        return replace(good, data=good.data[: dice.randrange(200, good.size)])
    if damage == "alien":
        return replace(good, data=dice.randbytes(good.size))
    return good


def _link(dice: random.Random) -> Link:
    bad = dice.random() < 0.7
    begin, outages = 0.0, []
    for _ in range(dice.choice((0, 0, 1, 2)) if bad else 0):
        begin += dice.uniform(0.2, 60)
        outages.append((begin, begin + dice.uniform(1, 150)))
        begin = outages[-1][1]
    return Link(
        delay=dice.choice((0.01, 0.1, 0.75)),
        jitter=dice.choice((0.0, 0.05, 1.0)) if bad else 0.0,
        loss=dice.uniform(0, 0.25) if bad else 0.0,
        duplication=dice.uniform(0, 0.2) if bad else 0.0,
        reordering=dice.uniform(0, 0.3) if bad else 0.0,
        outages=tuple(outages),
    )


# ---------------------------------------------------------------- letting it happen


@dataclass
class Lived:
    """What is left of one update.

    Attributes
    ----------
    report : Report
        The server's conclusion.
    truth : list of (float, int, Happening)
        Simulated second, number of the process, and what happened in it.
    flash : Flash
        As the state file has it at the end.
    files : set of str
        What lies in the device's folder.
    left : list of str
        Tasks and ports that nobody has closed.
    """

    report: Report
    flash: Flash
    files: set[str]
    left: list[str]
    sightings: list[Sighting]
    truth: list[tuple[float, int, Happening]] = field(default_factory=list)

    def capture(self, side: Literal["server", "device"] = "server") -> Capture:
        """What passed one side of the link."""
        return capture_of(self.sightings, name="soak", side=side)


class _Store(StateFile):
    """A state file whose process can be killed: from then on nothing reaches the disk."""

    dead = False

    def save(self, flash: Flash) -> None:
        if not self.dead:
            super().save(flash)


def live(plan: Plan, folder: pathlib.Path) -> Lived:
    """Let one update happen; the device keeps its state in `folder`, which is empty."""
    network = SimulatedNetwork(link=plan.link, seed=plan.number)
    path, truth = folder / "device.json", list[tuple[float, int, Happening]]()

    async def one_life(number: int, seconds: float | None) -> None:
        store = _Store(path)
        loop = asyncio.get_running_loop()
        client = LwM2MClient(
            plan.device,
            network=network,
            server=f"coap://{SERVER[0]}",
            bind=(DEVICE[0], DEVICE[1] + 100 * number),
            timers=Timers(),
            store=store,
            told=lambda happening: truth.append((loop.time(), number, happening)),
        )
        living = asyncio.ensure_future(client.run())
        try:
            await asyncio.wait({living}, timeout=seconds)
            if living.done():
                living.result()
        finally:
            store.dead = True
            await cancel(living)

    async def all_lives() -> None:
        for number, (seconds, dark, between) in enumerate(plan.kills):
            await one_life(number, seconds)
            if between:
                # The package was written, the state that names it not yet; and of the state a half.
                (folder / f"{path.name}.0123456789abcdef.package").write_bytes(plan.package.data)
                (folder / f"{path.name}.part").write_text('{"schema":')
            await asyncio.sleep(dark)
        await one_life(len(plan.kills), None)

    async def main() -> tuple[Report, list[str]]:
        server, files = Registrar(), {"/fw.bin": plan.package.data}
        contexts = [
            await network.context(server, side="server", bind=SERVER),
            await network.context(Repository(files), side="server", bind=REPOSITORY),
        ]
        living = asyncio.ensure_future(all_lives())
        try:
            uri = f"coap://{REPOSITORY[0]}/fw.bin" if plan.delivery == "pull" else None
            requester = Requester(contexts[0], Timers())
            updating = update_device(server, requester, plan.device.endpoint, plan.package, plan.server, uri=uri)
            report = await updating
            await asyncio.wait({living}, timeout=REST)
            if living.done():
                living.result()
        finally:
            await cancel(living)
            for context in contexts:
                await context.shutdown()
        await asyncio.sleep(0)
        here = asyncio.current_task()
        left = [f"task {one.get_coro()}" for one in asyncio.all_tasks() if one is not here]
        return report, left + [f"port {host}:{port}" for host, port in network.ports]

    report, left = run_blocking(network, plan.number, main)
    flash, _ = StateFile(path).load(plan.device)
    return Lived(report, flash, {one.name for one in folder.iterdir()}, left, network.sightings, truth)


# ---------------------------------------------------------------- what must hold


def violations(plan: Plan, lived: Lived) -> Iterator[str]:
    """What must never be, each in a sentence."""
    yield from lived.left
    yield from _of_the_relation(plan, lived)
    yield from _of_the_image(plan, lived)
    yield from _of_the_files(lived)
    yield from _of_what_was_said(lived)
    if lived.report.outcome == "succeeded" and lived.flash.running != plan.package.version:
        yield f"the server calls it a success, and {lived.flash.running} runs"


def _of_the_relation(plan: Plan, lived: Lived) -> Iterator[str]:
    """Every change of State and Update Result is a row of the relation, also over a kill."""
    before = (State.IDLE, UpdateResult.INITIAL)
    for _, _, happening in lived.truth:
        after = (happening.state, happening.result)
        if after != before and after not in _permitted(before, EVENTS.get(happening.what), plan.device.object_version):
            yield f"{happening.what!r} leads from {_pair(before)} to {_pair(after)}"
        before = after
    rest = (lived.flash.state, lived.flash.result)
    if rest != before:
        yield f"the state file says {_pair(rest)}, and the last that happened was {_pair(before)}"
    if rest[0] in (State.DOWNLOADING, State.UPDATING):
        yield f"it comes to no rest: {_pair(rest)}"


def _permitted(
    before: tuple[State, UpdateResult], event: Event | None, version: str
) -> set[tuple[State, UpdateResult]]:
    """Where a status may lead; what is no event of the relation is a boot, and may be an unexpected one."""
    result, chosen = before[1], Event.REBOOT if event is None else event
    rows = rules_for(before[0], chosen, version, result=result)
    return {(state, result if new is None else new) for row in rows for state, new in row.outcomes}


def _pair(status: tuple[State, UpdateResult]) -> str:
    return f"{status[0].value}/{status[1].value}"


def _of_the_image(plan: Plan, lived: Lived) -> Iterator[str]:
    """Only what was offered, and only if it is good."""
    flash, good = lived.flash, plan.damage == "none"
    waits = flash.state == State.DOWNLOADED
    if waits != bool(flash.package):
        yield f"{len(flash.package)} bytes of a package in {flash.state}"
    if flash.package and hashlib.sha256(flash.package).digest() != hashlib.sha256(plan.package.data).digest():
        yield "the package in the flash is none that was offered"
    if not good and any(happening.state in (State.DOWNLOADED, State.UPDATING) for _, _, happening in lived.truth):
        yield f"a package with damage {plan.damage!r} was taken"
    versions = {happening.firmware_version for _, _, happening in lived.truth} | {flash.running}
    if strange := versions - {plan.device.firmware_version, plan.package.version if good else ""}:
        yield f"{sorted(strange)} ran, which nobody offered or nobody should have taken"
    if flash.result == UpdateResult.SUCCESS and flash.running != plan.package.version:
        yield f"Update Result 1, and {flash.running} runs"
    if flash.state == State.IDLE and flash.result in REFUSALS and flash.running != plan.device.firmware_version:
        yield f"Update Result {flash.result.value}, and the new image runs"


def _of_the_files(lived: Lived) -> Iterator[str]:
    """One state file, and the package that it names."""
    digest = hashlib.sha256(lived.flash.package).hexdigest()[:16]
    named = {"device.json"} | ({f"device.json.{digest}.package"} if lived.flash.package else set())
    if lived.files != named:
        yield f"in the folder lie {sorted(lived.files)}, and {sorted(named)} belong there"


def _of_what_was_said(lived: Lived) -> Iterator[str]:
    """State, result and version are, whenever the device says them, what they are.

    An answer tells of its own moment, a notification of one not long ago: confirmable ones wait for one another.
    """
    if not lived.truth:
        return
    capture = lived.capture("device")
    began = (capture.columns.origin_ns - SIMULATED_EPOCH_NS) / 1e9
    for name, what in (("/5/0/3", "state"), ("/5/0/5", "result"), ("/3/0/3", "firmware_version")):
        course = [(time, getattr(one, what)) for time, _, one in lived.truth]
        said = capture.rows("timeline").where(path=name)
        for frame, time, value, how in said.each("frame", "time", "value", "how"):
            at = time + began
            since = at - WAITING if how in ("notify", "send", "observe") else at
            if value not in (true := _true_in(course, since, at)):
                yield f"frame {frame} of the device's side ({how}) says {name} is {value}, not {sorted(map(str, true))}"


def _true_in(course: list[tuple[float, Any]], since: float, until: float) -> set[Any]:
    """What was true between two moments, or became or ceased to be so in one of them."""
    within = [value for time, value in course if since - 1e-6 < time < until + 1e-6]
    before = [value for time, value in course if time <= since - 1e-6]
    return {*within, *before[-1:]}


def alarms(lived: Lived) -> list[str]:
    """False alarms: what the rules hold, on either side of the link, against a device and a server that keep them."""
    sides: tuple[Literal["server", "device"], ...] = ("server", "device")
    return [
        f"{one.rule} {one.sentence} (frames {list(one.frames)[:6]} of the {side}'s side)"
        for side in sides
        for one in lived.capture(side).explain().findings
        if one.verdict == Verdict.FAIL and one.rule not in OF_THE_PATH
    ]

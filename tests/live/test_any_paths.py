"""Any sequence of requests over any path: loss, copies, overtaking, kills, observers, a second sender, registrations.

The rules of `test_any_requests`, and beside them: what the state file keeps is what the device shows, a package that
waits is one that was offered and whole, who observes is told the end, and whoever leaves comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m_lab.live.client import Happening
from lwm2m_lab.live.flash import StateFile
from lwm2m_lab.live.handle import Client
from lwm2m_lab.live.link import Link
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.requests import NoAnswer, Requester, Timers
from lwm2m_lab.spec.firmware import Event
from lwm2m_lab.spec.objects import State
from tests.live.bench import Bench, converse
from tests.live.test_any_requests import ACTIONS, BODIES, FILES, GOOD, NEWER, OPAQUE, OPTIONS, WRITE_CODES, Driver

STRANGER = ("192.0.2.5", 5683)
WHOLE = {GOOD.data, NEWER.data}
MORE_ACTIONS = st.one_of(
    ACTIONS,
    st.tuples(st.just("kill"), st.sampled_from([0.1, 5.0, 400.0])),
    st.tuples(st.just("shuffled"), st.sampled_from(["good", "newer", "bad"]), st.permutations(range(3))),
    st.tuples(st.just("intrude"), st.sampled_from(["good", "newer"]), st.integers(0, 2), st.booleans()),
    st.tuples(st.just("observe"), st.sampled_from(["/5/0/3", "/5/0/5", "/5/0", "/3/0/3"])),
    st.tuples(st.just("forget"), st.sampled_from(["/5/0/3", "/5/0/5", "/5/0", "/3/0/3"])),
    st.tuples(st.just("renew"), st.sampled_from([60, 300, 86_400])),
    st.tuples(st.just("disable"), st.sampled_from([1, 60])),
)
#: What a path may do to datagrams; over the first two nothing is lost for good.
LINKS = st.sampled_from(
    [
        Link(delay=0.05),
        Link(delay=0.05, duplication=0.5, reordering=0.3, jitter=0.1),
        Link(delay=0.5, loss=0.1),
        Link(delay=0.2, loss=0.1, duplication=0.2, reordering=0.2),
    ]
)


class PathDriver(Driver):
    """Does more than a server that asks: kills the device, observes it, comes from elsewhere, lets it leave."""

    def __init__(self, bench: Bench, link: Link, path: pathlib.Path, stranger: Requester) -> None:
        super().__init__(bench)
        self.link, self.path, self.stranger = link, path, stranger
        self.client = Client(bench.server, bench.requester, bench.name)
        #: Paths that are observed, and the registration under which it began.
        self.observed: dict[str, Any] = {}
        self.past: list[Happening] = []

    async def drive(self, actions: Sequence[tuple[Any, ...]]) -> None:
        await super().drive(actions)
        await self.settle()

    # ---------------------------------------------------------------- actions

    async def do_kill(self, dark: float) -> None:
        self.past += self.bench.device.truth
        await self.bench.kill(dark)
        self.notice_reboot()

    async def do_shuffled(self, name: str, order: Sequence[int]) -> None:
        """The blocks of a package in any order, each one twice."""
        body = BODIES[name]
        for number in (number for number in order for _ in range(2)):
            more = (number + 1) * 256 < len(body)
            event = None if number else self.written(body, more)
            chunk = body[number * 256 : (number + 1) * 256]
            await self.ask(event, WRITE_CODES, "PUT", "/5/0/0", chunk, block1=(number, more, 4), **OPAQUE)

    async def do_intrude(self, name: str, number: int, more: bool) -> None:
        """A block of somebody else; it takes nothing of a package that is on its way."""
        body, before = BODIES[name][number * 256 : (number + 1) * 256], bytes(self.bench.device.updater.receiver.body)
        delivering = self.bench.device.updater.machine.state == State.DOWNLOADING
        own, self.bench.requester = self.bench.requester, self.stranger
        try:
            event = None if number else self.written(body, more)
            code = await self.ask(event, WRITE_CODES, "PUT", "/5/0/0", body, block1=(number, more, 4), **OPAQUE)
        finally:
            self.bench.requester = own
        if delivering and self.bench.device.updater.machine.state == State.DOWNLOADING and code in ("4.05", "4.08"):
            assert bytes(self.bench.device.updater.receiver.body).startswith(before)

    async def do_observe(self, path: str) -> None:
        if path not in self.client.observed:
            with contextlib.suppress(NoAnswer):
                answer = await self.client.observe(path)
                assert answer.code == "2.05"
                self.notice_reboot()
                self.observed[path] = self.registration.location

    async def do_forget(self, path: str) -> None:
        if path in self.client.observed:
            await self.client.cancel(path)
            self.observed.pop(path, None)

    async def do_renew(self, lifetime: int) -> None:
        """Another lifetime, and an Update that says so."""
        code = await self.ask(None, {"2.04"}, "PUT", "/1/0/1", str(lifetime).encode(), content_format=0)
        await self.bench.sleep(5)
        registered = self.bench.server.registrations.get(self.bench.name)
        if code == "2.04" and not self.link.loss and registered is not None:
            assert registered.lifetime == lifetime

    async def do_disable(self, seconds: int) -> None:
        """It leaves, and comes back; the update goes on meanwhile."""
        await self.ask(None, {"2.04"}, "PUT", "/1/0/5", str(seconds).encode(), content_format=0)
        before = self.bench.server.registrations.get(self.bench.name)
        code = await self.ask(None, {"2.04"}, "POST", "/1/0/4")
        if code is not None:
            # Where a reboot took the shorter time-out, it stays away for a day.
            await asyncio.wait_for(self.bench.server.registration_after(before, self.bench.name), 100_000)
            await self.bench.sleep(1)
            self.notice_reboot()

    # ---------------------------------------------------------------- sightings

    async def ask(self, event: Event | None, allowed: set[str], *request: Any, **options: Any) -> str | None:
        await self.present()
        return await super().ask(event, allowed, *request, **options)

    def notice_reboot(self) -> None:
        """Who has just left has not rebooted."""
        if self.bench.name in self.bench.server.registrations:
            super().notice_reboot()

    async def look(self) -> None:
        await self.present()
        await super().look()
        device = self.bench.device
        kept, there = StateFile(self.path).load(device.options)
        assert there
        assert (kept.state, kept.result) == (device.updater.machine.state, device.updater.machine.result)
        assert (kept.running, kept.firmware_version, kept.package) == (
            device.flash.running, device.flash.firmware_version, device.flash.package)  # fmt: skip
        assert {one.name for one in self.path.parent.iterdir()} <= {self.path.name, *self.package_files()}
        if kept.state in (State.DOWNLOADED, State.UPDATING) and kept.boot != "trial":
            assert kept.package in WHOLE
        else:
            assert kept.package == b""

    def package_files(self) -> set[str]:
        found = {one.name for one in self.path.parent.glob("*.package")}
        assert len(found) <= 1
        return found

    async def present(self) -> None:
        """Wait until the device is registered: it may have left, or its lifetime may be over."""
        if self.bench.name not in self.bench.server.registrations:
            await asyncio.wait_for(self.bench.server.registration_after(None, self.bench.name), 100_000)
            await self.bench.sleep(1)

    def check_version(self, version: str | None) -> None:
        flash, truth = self.bench.device.flash, [*self.past, *self.bench.device.truth]
        assert version == flash.running
        done = [at for at, one in enumerate(truth) if one.what == Event.INSTALLED]
        if done:
            packages = [one.package_version for one in truth[: done[-1]] if one.package_version is not None]
            assert truth[done[-1]].firmware_version == packages[-1]
        else:
            assert version in ("1.0.0", "2.1.0", "2.2.0")

    async def settle(self) -> None:
        """In the end it rests, or waits for somebody; whoever still observes has been told what there is."""
        await self.bench.sleep(1000)
        await self.look()
        assert self.bench.device.updater.machine.state in (State.IDLE, State.DOWNLOADED)
        if not self.link.loss:
            for path, location in self.observed.items():
                if location == self.registration.location and path.count("/") == 3:
                    assert self.client.seen[path] == await self.bench.read(path), path
        await self.client.close()


@settings(max_examples=60, deadline=None)
@given(OPTIONS, LINKS, st.lists(MORE_ACTIONS, max_size=14))
def test_any_sequence_over_any_path(options: dict[str, Any], link: Link, actions: list[tuple[Any, ...]]) -> None:
    """Of a device by the book, with a state file."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "device.json"

        async def script(bench: Bench) -> None:
            context = await bench.device.network.context(None, side="server", bind=STRANGER)
            try:
                await PathDriver(bench, link, path, Requester(context, Timers())).drive(actions)
            finally:
                await context.shutdown()

        converse(script, options=DeviceOptions(**options), files=FILES, link=link, store=StateFile(path))

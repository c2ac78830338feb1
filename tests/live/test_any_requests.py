"""Any sequence of requests is answered by the book; State and Result follow the relation, and no version lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import lwm2m_lab as lab
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.requests import NoAnswer
from lwm2m_lab.spec.firmware import Event
from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.spec.tracking import Tracker
from tests.live.bench import Bench, converse

GOOD, NEWER = lab.image(version="2.1.0", size=600), lab.image(version="2.2.0", size=600)
FILES = {"/good": GOOD.data, "/newer": NEWER.data, "/bad": GOOD.damaged().data, "/large": bytes(5000)}
BODIES = {"good": GOOD.data, "newer": NEWER.data, "bad": GOOD.damaged().data, "junk": b"#!/bin/sh\n" * 40,
          "large": bytes(5000), "zero": b"\0", "empty": b""}  # fmt: skip
OPAQUE = {"content_format": 42}
#: What may answer a Write of a package or a block of one.
WRITE_CODES = {"2.04", "2.31", "4.05", "4.08", "4.13", "5.00", "4.00"}

bodies = st.sampled_from(sorted(BODIES))
ACTIONS = st.one_of(
    st.tuples(st.just("push"), bodies, st.sampled_from([64, 256, 1024])),
    st.tuples(st.just("block"), bodies, st.integers(0, 3), st.booleans()),
    st.tuples(st.just("whole"), bodies),
    st.tuples(st.just("uri"), st.sampled_from(["good", "newer", "bad", "large", "none", "", "ftp", "self", "nowhere"])),
    st.tuples(st.just("update"), st.sampled_from([b"", b"0", b"0='x'"])),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("reboot")),
    st.tuples(st.just("set"), st.sampled_from([11, 13, 14]), st.integers(-1, 400)),
    st.tuples(st.just("sleep"), st.sampled_from([0.1, 1.0, 4.0, 12.0, 60.0, 300.0])),
)
OPTIONS = st.fixed_dictionaries(
    {
        "object_version": st.sampled_from(["1.0", "1.1", "1.2"]),
        "lwm2m": st.sampled_from(["1.0", "1.1", "1.2"]),
        "slots": st.sampled_from(["one", "ab"]),
        "trial_fails": st.booleans(),
        "install_fails": st.booleans(),
        "user_defers": st.sampled_from([0.0, 100.0]),
        "delivery": st.sampled_from([0, 1, 2]),
        "storage": st.just(2000),
        "resume_attempts": st.integers(0, 1),
    }
)


class Driver:
    """Does one action after another, and holds what comes back against the rules."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.options = bench, bench.device.options
        self.tracker = Tracker([self.options.object_version])
        self.registration = bench.server.registrations[bench.name]

    async def drive(self, actions: Sequence[tuple[Any, ...]]) -> None:
        await self.look()
        for name, *details in actions:
            await getattr(self, f"do_{name}")(*details)
            await self.look()

    # ---------------------------------------------------------------- actions

    async def ask(self, event: Event | None, allowed: set[str], *request: Any, **options: Any) -> str | None:
        """One request; None where the device was just rebooting and nobody answered."""
        try:
            code = await self.bench.code(*request, **options)
        except NoAnswer:
            code = None
        self.notice_reboot()
        assert code is None or code in allowed, f"{request} was answered {code}"
        if event is not None:
            accepted = None if code is None else code.startswith("2.")
            assert not accepted or self.tracker.explains(event), f"{event} was accepted"
            self.tracker.request(event, accepted=accepted)
        return code

    async def do_push(self, name: str, size: int) -> None:
        body, szx = BODIES[name], {64: 2, 256: 4, 1024: 6}[size]
        for number in range(max(-(-len(body) // size), 1)):
            more = (number + 1) * size < len(body)
            event = None if number else self.written(body, more)
            chunk = body[number * size : (number + 1) * size]
            code = await self.ask(event, WRITE_CODES, "PUT", "/5/0/0", chunk, block1=(number, more, szx), **OPAQUE)
            if code is None or not code.startswith("2."):
                break

    async def do_block(self, name: str, number: int, more: bool) -> None:
        event = None if number else self.written(BODIES[name][:256], more)
        await self.ask(event, WRITE_CODES, "PUT", "/5/0/0", BODIES[name][:256], block1=(number, more, 4), **OPAQUE)

    async def do_whole(self, name: str) -> None:
        await self.ask(self.written(BODIES[name], False), WRITE_CODES, "PUT", "/5/0/0", BODIES[name], **OPAQUE)

    def written(self, body: bytes, more: bool) -> Event | None:
        """What the first message of a package is."""
        if not more and (body == b"\0" or (body == b"" and self.options.object_version == "1.0")):
            return Event.RESET
        malformed = more and len(body) < 64
        return None if malformed else Event.FIRST_BLOCK if more else Event.PACKAGE

    async def do_uri(self, name: str) -> None:
        uris = {"": "", "ftp": "ftp://192.0.2.3/x", "self": "coap://192.0.2.2:50000/x", "nowhere": "coap://192.0.2.9/x"}
        uri = uris.get(name, f"coap://192.0.2.3/{name}").encode()
        event = Event.PACKAGE_URI if uri else Event.RESET
        await self.ask(event, {"2.04", "4.05"}, "PUT", "/5/0/1", uri, content_format=0)

    async def do_update(self, arguments: bytes) -> None:
        before = await self.state()
        code = await self.ask(Event.UPDATE, {"2.04", "4.05"}, "POST", "/5/0/2", arguments)
        if before not in (None, State.DOWNLOADED) and await self.state() == before:
            assert code in (None, "4.05")

    async def do_cancel(self) -> None:
        there = self.options.object_version != "1.0"
        code = await self.ask(
            Event.CANCEL if there else None, {"2.04", "4.05"} if there else {"4.04"}, "POST", "/5/0/10"
        )
        if code == "2.04":
            assert await self.bench.status() == "0/10"

    async def do_reboot(self) -> None:
        await self.ask(None, {"2.04"}, "POST", "/3/0/4")
        await self.bench.sleep(12)

    async def do_set(self, resource: int, value: int) -> None:
        there = resource in self.bench.device.updater.definition.resources
        allowed = {"2.04", "4.00"} if there else {"4.04"}
        await self.ask(None, allowed, "PUT", f"/5/0/{resource}", str(value).encode(), content_format=0)

    async def do_sleep(self, seconds: float) -> None:
        await self.bench.sleep(seconds)

    # ---------------------------------------------------------------- sightings

    def notice_reboot(self) -> None:
        now = self.bench.server.registrations[self.bench.name]
        if now is not self.registration:
            self.registration = now
            self.tracker.reboot()

    async def state(self) -> State | None:
        try:
            text = await self.bench.read("/5/0/3")
        except NoAnswer:
            return None
        return None if text is None else State(int(text))

    async def look(self) -> None:
        """Read State, Result and version; where the device reboots just then, wait for it."""
        for _ in range(4):
            try:
                state, result, version = [await self.bench.read(path) for path in ("/5/0/3", "/5/0/5", "/3/0/3")]
                break
            except NoAnswer:
                await self.bench.sleep(20)
        self.notice_reboot()
        assert self.tracker.saw_state(State(int(state or "x"))), f"State {state} of {self.bench.device.truth}"
        assert self.tracker.saw_result(UpdateResult(int(result or "x"))), (
            f"Result {result} of {self.bench.device.truth}"
        )
        self.check_version(version)
        assert len(self.bench.device.updater.receiver.body) <= self.options.storage

    def check_version(self, version: str | None) -> None:
        """/3/0/3 is what runs; and after a success that is the version of the package that was there."""
        flash = self.bench.device.flash
        assert version == flash.running
        truth = list(self.bench.device.truth)
        done = [at for at, one in enumerate(truth) if one.what == Event.INSTALLED]
        if done:
            packages = [one.package_version for one in truth[: done[-1]] if one.package_version is not None]
            assert truth[done[-1]].firmware_version == packages[-1]
        else:
            assert version in ("1.0.0", "2.1.0", "2.2.0")


#: Package URIs of any kind, most of them nearly good.
URIS = st.one_of(
    st.text(max_size=60),
    st.from_regex(r"(coaps?|coap\+tcp|https?|ftp|file|):(//)?[!-~]{0,40}", fullmatch=True),
    st.builds(
        "{}://{}{}{}{}".format,
        st.sampled_from(["coap", "COAP", "coaps", "http", "x"]),
        st.sampled_from(["", "user@", "user:word@", "@", "[", "%"]),
        st.sampled_from(
            ["192.0.2.3", "192.0.2.3]", "[::1]", "[::1", "[fe80::1%25eth0]", "xn--", "a..b", "é", "-", "%41"]
        ),
        st.sampled_from(["", ":", ":0", ":5683", ":65536", ":-1", ":x", ":٣"]),
        st.sampled_from(
            ["", "/", "/good", "/%", "/%ff", "/%00", "//", "/../x", "?", "?a&&b", "#", "/good#x", "/\n", "/é"]
        ),
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(URIS, min_size=1, max_size=4))
def test_any_package_uri(uris: list[str]) -> None:
    """Whatever is written, the device lives, and ends Idle with a result, or with the image that lies there."""

    async def script(bench: Bench) -> None:
        for uri in uris:
            raw = uri.encode(errors="replace")
            code = await bench.code("PUT", "/5/0/1", raw, content_format=0)
            assert code == ("2.04" if len(raw) <= 255 else "4.00")
            await bench.sleep(400)
            status = await bench.status()
            if status == "2/0":
                assert bench.device.flash.package == GOOD.data
            else:
                assert status in ({"0/0"} if uri == "" else {"0/4", "0/7", "0/9"})
            assert await bench.code("PUT", "/5/0/1", b"", content_format=0) == "2.04"

    converse(script, files=FILES)


@settings(max_examples=40, deadline=None)
@given(OPTIONS, st.lists(ACTIONS, max_size=12))
def test_any_sequence_of_requests(options: dict[str, Any], actions: list[tuple[Any, ...]]) -> None:
    """Whatever is asked in whatever order, of a device by the book."""
    converse(lambda bench: Driver(bench).drive(actions), options=DeviceOptions(**options), files=FILES)

"""Observations: told when a value is worth it, no sooner than pmin, no later than pmax, until cancelled."""

from __future__ import annotations

import aiocoap
import pytest
from aiocoap.numbers.codes import Code
from hypothesis import given
from hypothesis import strategies as st

from lwm2m_lab.live.attributes import Attributes
from lwm2m_lab.live.link import Link
from lwm2m_lab.live.observing import MOST
from lwm2m_lab.live.requests import Timers
from lwm2m_lab.wire.encoding import encode_senml_json
from lwm2m_lab.wire.values import Entry
from tests.live.bench import Bench, converse


@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(-9, 9))
def test_gt_is_a_line_that_is_crossed(told: int, now: int, limit: int) -> None:
    """Crossing it either way is told, moving on one side of it is not."""
    assert Attributes(gt=limit).wants(told, now) == (min(told, now) <= limit < max(told, now))
    assert Attributes(lt=limit).wants(told, now) == (min(told, now) < limit <= max(told, now))


@given(st.integers(-9, 9), st.integers(-9, 9), st.floats(0.1, 9))
def test_st_is_a_distance(told: int, now: int, step: float) -> None:
    """A value is told once it is a step away from the last one told."""
    assert Attributes(st=step).wants(told, now) == (abs(told - now) >= step)


def test_every_change_without_attributes() -> None:
    """A resource, its instance and its object are told of the same change."""

    async def unset(bench: Bench) -> None:
        assert await bench.code("GET", "/1/0/2", observe=0) == "4.04"
        assert len(bench.device.observations) == 0

    converse(unset)

    async def told(bench: Bench) -> None:
        await bench.write("/1/0/2", 0)
        one, all_of_it = await bench.observe("/1/0/2"), await bench.observe("/1/0")
        await bench.sleep(10)
        await bench.write("/1/0/2", 5)
        await bench.sleep(10)
        assert ([value for _, value in one], len(all_of_it)) == (["0", "5"], 2)

    converse(told)


def test_pmin_holds_back_and_pmax_hurries() -> None:
    """Three changes within pmin are one notification, of the last value; silence is broken at pmax."""

    async def script(bench: Bench) -> None:
        await bench.write("/1/0/5", 1)
        assert await bench.code("PUT", "/1/0/5", uri_query=("pmin=20", "pmax=100")) == "2.04"
        start = bench.now
        told = await bench.observe("/1/0/5")
        for value in (2, 3, 4):
            await bench.sleep(5)
            await bench.write("/1/0/5", value)
        await bench.sleep(200)
        assert [(round(time - start), value) for time, value in told] == [(0, "1"), (20, "4"), (120, "4")]

    converse(script)


def test_a_change_that_is_undone_within_pmin_is_none() -> None:
    """When pmin is over the value is what it was, so there is nothing to tell."""

    async def script(bench: Bench) -> None:
        await bench.write("/1/0/5", 1)
        await bench.code("PUT", "/1/0/5", uri_query=("pmin=20",))
        told = await bench.observe("/1/0/5")
        for value in (2, 1):
            await bench.write("/1/0/5", value)
        await bench.sleep(60)
        assert [value for _, value in told] == ["1"]

    converse(script)


def test_thresholds_and_steps_on_the_wire() -> None:
    """gt 10: of 1, 5, 11, 12, 10 the crossings are told; the attribute unset, every change is again."""

    async def script(bench: Bench) -> None:
        await bench.write("/1/0/5", 1)
        await bench.code("PUT", "/1/0/5", uri_query=("gt=10",))
        told = await bench.observe("/1/0/5")
        for value in (5, 11, 12, 10):
            await bench.write("/1/0/5", value)
            await bench.sleep(1)
        assert [value for _, value in told] == ["1", "11", "10"]
        assert await bench.code("PUT", "/1/0/5", uri_query=("gt",)) == "2.04"
        await bench.write("/1/0/5", 9)
        await bench.sleep(1)
        assert [value for _, value in told] == ["1", "11", "10", "9"]

    converse(script)


def test_defaults_come_from_the_servers_object() -> None:
    """Default Minimum and Maximum Period, /1/0/2 and /1/0/3, hold where nothing else is written."""

    async def script(bench: Bench) -> None:
        await bench.write("/1/0/3", 50)
        start = bench.now
        told = await bench.observe("/5/0/3")
        await bench.sleep(110)
        assert [round(time - start) for time, _ in told] == [0, 50, 100]

    converse(script)


def test_an_instance_inherits_to_its_resources_and_a_pmax_below_pmin_is_none() -> None:
    """pmax of /1/0 holds for /1/0/5; one below pmin is ignored."""

    async def script(bench: Bench) -> None:
        await bench.code("PUT", "/1/0", uri_query=("pmax=30",))
        told = await bench.observe("/1/0/5")
        await bench.sleep(70)
        assert len(told) == 3
        await bench.code("PUT", "/1/0", uri_query=("pmin=60",))
        told = await bench.observe("/1/0/1")
        await bench.sleep(200)
        assert len(told) == 1

    converse(script)


def test_cancel_by_observe_1() -> None:
    """The same token with Observe 1 is a Read, and the last notification."""

    async def script(bench: Bench) -> None:
        message = bench.requester.message(Code.GET, to=bench.remote, path="/1/0/5", observe=0)
        request = bench.requester.context.request(message, handle_blockwise=False)
        await request.response
        assert len(bench.device.observations) == 1
        again = bench.requester.message(Code.GET, to=bench.remote, path="/1/0/5", observe=1)
        again.token = message.token
        bench.requester.context.request_interfaces[0].token_interface.send_message(again, lambda: None)
        await bench.sleep(1)
        assert len(bench.device.observations) == 0

    converse(script)


def test_cancel_by_reset() -> None:
    """A server that has lost interest answers RST, and that is the end of it (RFC 7641, 3.6)."""

    async def script(bench: Bench) -> None:
        message = bench.requester.message(Code.GET, to=bench.remote, path="/1/0/5", observe=0)
        request = bench.requester.context.request(message, handle_blockwise=False)
        await request.response
        request.observation.cancel()
        for value in (77, 78):
            # aiocoap acknowledges the first notification after it has lost interest, and resets the second.
            await bench.write("/1/0/5", value)
            await bench.sleep(5)
        assert len(bench.device.observations) == 0

    converse(script)


def test_a_notification_is_given_up_by_the_devices_own_timers() -> None:
    """One copy after a second, and two seconds more: then the observer is gone, and the device is free to say more."""

    async def script(bench: Bench) -> None:
        await bench.code("PUT", "/1/0/5", uri_query=("pmax=60",))
        await bench.observe("/1/0/5")
        await bench.sleep(61)
        assert len(bench.device.observations) == 1
        await bench.sleep(4)
        assert len(bench.device.observations) == 0

    converse(script, timers=Timers(ack_timeout=1.0, max_retransmit=1), link=Link(outages=((30.0, 1000.0),)))


def test_observe_composite() -> None:
    """One notification for a change under any of the paths."""

    async def script(bench: Bench) -> None:
        asked = encode_senml_json([Entry("/1/0/5", None), Entry("/3/0/3", None)], base="")
        told = await bench.observe("", Code.FETCH, payload=asked, content_format=110)
        await bench.write("/1/0/5", 77)
        await bench.write("/1/0/1", 77)
        await bench.sleep(5)
        assert [value for _, value in told] == [["86400", "1.0.0"], ["77", "1.0.0"]]

    converse(script)


def test_the_number_of_observations_is_bounded() -> None:
    """A further one is answered as a Read, and the device serves on."""

    async def script(bench: Bench) -> list[int | None]:
        numbers = []
        for _ in range(MOST + 3):
            message = bench.requester.message(Code.GET, to=bench.remote, path="/1/0/5", observe=0)
            response: aiocoap.Message = await bench.requester.context.request(message, handle_blockwise=False).response
            numbers.append(response.opt.observe)
        assert len(bench.device.observations) == MOST
        return numbers

    assert converse(script) == [0] * MOST + [None] * 3


@pytest.mark.parametrize("seconds", [100, 1000])
def test_the_registration_is_renewed_before_its_lifetime_ends(seconds: int) -> None:
    """An Update at three quarters of the lifetime, with nothing in it; a server that forgot gets a Register."""

    async def script(bench: Bench) -> None:
        first = bench.server.registrations[bench.device.options.endpoint]
        await bench.sleep(seconds * 2.9)
        updates = [one for one in bench.server.received if one.opt.uri_path == ("rd", "1")]
        assert (len(updates), updates[0].opt.uri_query, updates[0].payload) == (3, (), b"")
        bench.server.registry.by_location.clear()
        again = await bench.server.registration_after(first, bench.device.options.endpoint)
        assert bench.now < seconds * 4
        assert again.location == "/rd/2"

    converse(script, lifetime=seconds)


@pytest.mark.parametrize(
    ("lwm2m", "queue_mode", "query"),
    [("1.0", False, ("b=U",)), ("1.0", True, ("b=UQ",)), ("1.1", True, ("b=U", "Q")), ("1.2", False, ("b=U",))],
)
def test_the_binding_of_each_version(lwm2m: str, queue_mode: bool, query: tuple[str, ...]) -> None:
    """Queue Mode is a letter in 1.0 and a flag of its own later."""

    async def script(bench: Bench) -> None:
        register = bench.server.received[0]
        assert register.opt.uri_query == (f"lwm2m={lwm2m}", "ep=urn:dev:lab-1", "lt=86400", *query)
        assert b"</0" not in register.payload

    converse(script, lwm2m=lwm2m, queue_mode=queue_mode)


def test_send() -> None:
    """Values with their full paths to /dp, unless the server mutes it, or there is none in this version."""

    async def script(bench: Bench) -> None:
        sent = await bench.device.registration.send(("/5/0/3", "/3/0/3"))
        assert sent is not None
        assert str(sent.code) == "2.04 Changed"
        (message,) = [one for one in bench.server.received if one.opt.uri_path == ("dp",)]
        assert (message.opt.content_format, message.payload.hex()) == (
            112,
            "82a200662f352f302f330200a200662f332f302f330365312e302e30",
        )
        assert await bench.write("/1/0/23", 1) == "2.04"
        assert await bench.device.registration.send(("/5/0/3",)) is None

    converse(script)

    async def early(bench: Bench) -> None:
        assert await bench.device.registration.send(("/5/0/3",)) is None
        assert await bench.code("GET", "/1/0/23") == "4.04"

    converse(early, lwm2m="1.0")

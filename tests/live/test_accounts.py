"""A device of two servers: a registration, settings, attributes, notifications for each, and Object 2 between them."""

from __future__ import annotations

import pathlib
import queue
from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.__main__ import main
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.device import Device
from lwm2m_lab.live.flash import StateFile
from lwm2m_lab.live.handle import Client
from lwm2m_lab.live.link import Link
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.procedure import update_device
from lwm2m_lab.live.run import capture_of
from lwm2m_lab.live.server_options import ServerOptions
from lwm2m_lab.wire import values
from lwm2m_lab.wire.values import Entry
from tests.live.bench import Bench, converse

IMAGE, OTHER = lab.image(version="2.1.0", size=3000), lab.image(version="3.0.0", size=3000)
OPAQUE, TLV, LINKS = 42, 11542, 40
PROMPT = ServerOptions(patience=5.0, time_limit=60.0)


async def block(bench: Bench, number: int, image: Any = IMAGE) -> str:
    """A block of a push."""
    part = image.data[number * 1024 : (number + 1) * 1024]
    return await bench.code("PUT", "/5/0/0", part, block1=(number, number < 2, 6), content_format=OPAQUE)


async def entries(bench: Bench, path: str) -> list[Entry]:
    """What a server reads, as TLV."""
    answer = await bench.ask("GET", path, accept=TLV)
    return list(values.decode(answer.payload, content_format=TLV, path=path))


@pytest.mark.parametrize("lwm2m", ["1.0", "1.1", "1.2"])
def test_each_server_has_a_registration(lwm2m: str) -> None:
    """The same objects in both; Object 1 and Object 2 with an instance for each server and what it may do."""

    async def script(bench: Bench) -> None:
        for one in (bench, bench.second):
            registration = one.server.registrations[one.name]
            shown = [name for name in registration.objects if name.count("/") == 2]
            assert shown == ["/1/0", "/1/1", "/2/0", "/2/1", "/2/2", "/2/3", "/3/0", "/5/0"]
            found = {entry.path: values.as_integer(entry.value) for entry in await entries(one, "/2")}
            told = [(found[f"/2/{at}/0"], found[f"/2/{at}/1"], found[f"/2/{at}/3"]) for at in range(4)]
            assert told == [(1, 0, 65535), (1, 1, 65535), (3, 0, 65535), (5, 0, 65535)]
            rights = {path: value for path, value in found.items() if path.split("/")[3] == "2"}
            assert rights == {"/2/0/2/1": 7, "/2/1/2/2": 7, "/2/2/2/0": 7, "/2/3/2/0": 7}
        whats = [one.what for one in bench.device.truth]
        assert {"registered", "registered, server 2"} <= set(whats)

    converse(script, access={}, lwm2m=lwm2m)


def test_settings_are_each_servers_own() -> None:
    """Its instance of Object 1 is read and written by it alone; another lifetime is told to it alone."""

    async def script(bench: Bench) -> None:
        second = bench.second
        assert (await bench.read("/1/0/0"), await second.read("/1/1/0")) == ("1", "2")
        for one, other in ((bench, "/1/1"), (second, "/1/0")):
            assert [await one.code("GET", path) for path in (other, f"{other}/1")] == ["4.01", "4.01"]
            assert await one.write(f"{other}/1", 600) == "4.01"
            assert await one.code("POST", f"{other}/8") == "4.01"
            assert await one.code("PUT", f"{other}/1", uri_query=("pmin=5",)) == "4.01"
            assert await one.code("GET", f"{other}/1", accept=LINKS) == "2.05", "Discover is always allowed"
        assert {entry.path.split("/")[2] for entry in await entries(second, "/1")} == {"1"}
        before = len(bench.server.received), len(second.server.received)
        assert await second.write("/1/1/1", 600) == "2.04"
        await bench.sleep(2)
        assert second.server.registrations[bench.name].lifetime == 600
        assert bench.server.registrations[bench.name].lifetime == 86_400
        assert (len(bench.server.received) - before[0], len(second.server.received) - before[1]) == (0, 1)

    converse(script, access={})


def test_one_server_is_disabled_and_the_other_goes_on() -> None:
    """Disable de-registers from the server that executed it, and comes back after its own time-out."""

    async def script(bench: Bench) -> None:
        second = bench.second
        assert await second.write("/1/1/5", 60) == "2.04"
        assert await second.code("POST", "/1/1/4") == "2.04"
        await bench.sleep(10)
        assert (bench.name in bench.server.registrations, bench.name in second.server.registrations) == (True, False)
        assert await bench.status() == "0/0"
        await bench.sleep(60)
        assert bench.name in second.server.registrations

    converse(script, access={})


def test_attributes_are_each_servers_own() -> None:
    """One server's pmin delays its own notifications alone, and its Discover shows it alone."""

    async def script(bench: Bench) -> None:
        second = bench.second
        assert await second.code("PUT", "/5/0/3", uri_query=("pmin=30",)) == "2.04"
        told = [await one.observe("/5/0/3") for one in (bench, second)]
        began = bench.now
        assert await block(bench, 0) == "2.31"
        await bench.sleep(60)
        assert [one[1] for one in told[0]] == [one[1] for one in told[1]] == ["0", "1"]
        assert told[0][1][0] - began < 2
        assert told[1][1][0] - began > 27
        shown = [(await one.ask("GET", "/5/0/3", accept=LINKS)).payload for one in (bench, second)]
        assert shown == [b"</5/0/3>", b"</5/0/3>;pmin=30"]

    converse(script, access={})


def test_one_updates_while_the_other_watches() -> None:
    """Both are told of each State; neither push takes the other over; both get the next registration."""

    async def script(bench: Bench) -> None:
        second = bench.second
        told = {path: await second.observe(path) for path in ("/5/0/3", "/5/0/5")}
        assert [await block(bench, 0), await block(second, 0, OTHER), await block(second, 1, OTHER)] == [
            "2.31", "4.05", "4.08"]  # fmt: skip
        assert await second.code("PUT", "/5/0/1", b"coap://192.0.2.3/x", content_format=0) == "4.05"
        assert [await block(bench, 1), await block(bench, 2)] == ["2.31", "2.04"]
        before = second.server.registrations[bench.name]
        assert await bench.code("POST", "/5/0/2") == "2.04"
        await second.server.registration_after(before, bench.name)
        await bench.sleep(1)
        assert [one[1] for one in told["/5/0/3"]] == ["0", "1", "2", "3"]
        for one in (bench, second):
            assert (await one.status(), await one.read("/3/0/3")) == ("0/1", "2.1.0")

    converse(script, access={})


def test_an_observation_ends_with_its_server_alone() -> None:
    """One server loses interest (RFC 7641, 3.6); the other is told on."""

    async def script(bench: Bench) -> None:
        told = await bench.observe("/5/0/3")
        watching = Client(bench.second.server, bench.second.requester, bench.name)
        await watching.observe("/5/0/3")
        assert len(bench.device.observations) == 2
        await watching.cancel("/5/0/3")
        for number in range(3):
            assert await block(bench, number) in ("2.31", "2.04")
            await bench.sleep(5)
        assert len(bench.device.observations) == 1
        assert [one[1] for one in told] == ["0", "1", "2"]

    converse(script, access={})


def test_a_server_that_may_only_read() -> None:
    """Everything else is 4.01, in whatever operation it comes; the update of the other is not disturbed."""

    async def script(bench: Bench) -> None:
        second = bench.second
        told = await second.observe("/5/0/3")
        assert await block(bench, 0) == "2.31"
        refused = [
            await block(second, 0, OTHER),
            await second.code("PUT", "/5/0/0", OTHER.data[:500], content_format=OPAQUE),
            await second.code("PUT", "/5/0/0", b"\0", content_format=OPAQUE),
            await second.code("PUT", "/5/0/1", b"", content_format=0),
            await second.code("POST", "/5/0/2"),
            await second.code("POST", "/5/0/10"),
            await second.code("POST", "/3/0/4"),
            await second.code("iPATCH", "/", b'[{"n":"/5/0/1","vs":""}]', content_format=110),
            await second.code("POST", "/5/0", b'[{"n":"/5/0/1","vs":""}]', content_format=110),
        ]
        assert refused == ["4.01"] * len(refused)
        assert (await second.status(), await second.read("/3/0/3")) == ("1/0", "1.0.0")
        assert [await block(bench, number) for number in (1, 2)] == ["2.31", "2.04"]
        await bench.sleep(2)
        assert [one[1] for one in told] == ["0", "1", "2"]
        report = await update_device(second.server, second.requester, bench.name, OTHER, PROMPT)
        assert report.outcome == "failed"
        assert "4.01" in report.sentence

    converse(script, access={2: "R"})


def test_a_server_that_may_nothing() -> None:
    """Reads, also of several paths, bring nothing of what it may not see, an Observe does not begin."""

    async def script(bench: Bench) -> None:
        second = bench.second
        for path in ("/5/0/3", "/5/0", "/5", "/3/0/3"):
            assert await second.code("GET", path) == "4.01"
        assert await second.code("GET", "/5/0/3", observe=0) == "4.01"
        assert len(bench.device.observations) == 0
        asked = b'[{"n":"/5/0/3"},{"n":"/1/1/0"},{"n":"/1/0/0"}]'
        answer = await second.ask("FETCH", "/", asked, content_format=110, accept=110)
        assert values.decode(answer.payload, content_format=110, path="/") == [Entry("/1/1/0", 2)]
        assert await second.code("GET", "/5", accept=LINKS) == "2.05"
        assert await bench.status() == "0/0"

    converse(script, access={2: ""})


@pytest.mark.parametrize("seed", range(6))
def test_two_servers_are_no_cause_of_alarm(seed: int) -> None:
    """Over paths that lose, copy and reorder: one update in what either side saw, and nobody but the path is blamed."""
    link = Link(
        delay=0.2, jitter=0.1 * (seed % 3), loss=0.05 * (seed % 4), duplication=0.1 * (seed % 2), reordering=0.1
    )
    patient = ServerOptions(patience=20.0, time_limit=900.0, retries=3, retry_after=10.0)

    async def script(bench: Bench) -> list[lab.Capture]:
        watching = Client(bench.second.server, bench.second.requester, bench.name)
        for path in ("/5/0/3", "/5/0/5", "/3/0/3"):
            await watching.observe(path)
        uri = None if seed % 2 else "coap://192.0.2.3/fw"
        report = await update_device(bench.server, bench.requester, bench.name, IMAGE, patient, uri=uri)
        assert report.outcome == "succeeded", report.sentence
        await bench.sleep(30)
        seen = bench.device.network.sightings
        return [
            capture_of([one for one in seen if one.side == side], name=side, side=side) for side in ("device", "server")
        ]

    for capture in converse(script, link=link, access={2: "R"}, files={"/fw": IMAGE.data}):
        (update,) = capture.updates.to_dict("records")
        assert (update["outcome"], update["verdict"]) == ("succeeded", "PASS")
        failed = capture.findings.query("verdict == 'FAIL' and party != 'network'")
        assert failed.empty, list(failed["sentence"])


def test_rights_cannot_be_written() -> None:
    """They were made in the factory (Access Control Owner 65535): no server changes or removes them."""

    async def script(bench: Bench) -> None:
        for one in (bench, bench.second):
            assert await one.write("/2/3/3", 1) == "4.01"
            assert await one.code("POST", "/2/3", b'[{"n":"/2/3/3","v":2}]', content_format=110) == "4.01"
            assert await one.code("DELETE", "/2/3") == "4.05"
            assert await one.code("GET", "/2/4") == "4.04"
        assert await bench.code("GET", "/0") == "4.01"

    converse(script, access={2: "R"})


def test_who_is_no_server_of_the_device() -> None:
    """Somebody else who knows the address has what the default of an ACL grants, and no server's settings."""
    from tests.live.test_second_server import STRANGER, Other

    async def script(bench: Bench) -> None:
        async with Other(bench, STRANGER) as other:
            assert await other.code(other.codes.GET, "/5/0/3") == "2.05"
            assert await other.code(other.codes.GET, "/1/0/1") == "4.01"
            assert await other.code(other.codes.GET, "/1") == "4.01"

    converse(script, access={})


def test_settings_outlive_the_process(tmp_path: pathlib.Path) -> None:
    """Each server finds what it wrote; a file of one server serves a device that now has two."""
    store = tmp_path / "device.json"

    async def write(bench: Bench) -> None:
        assert await bench.write("/1/0/1", 500) == "2.04"
        if hasattr(bench, "second"):
            assert await bench.second.write("/1/1/1", 700) == "2.04"

    async def read(bench: Bench) -> tuple[Any, ...]:
        return await bench.read("/1/0/1"), await bench.second.read("/1/1/1")

    converse(write, store=StateFile(store))
    assert converse(read, store=StateFile(store), access={}) == ("500", "86400")
    converse(write, store=StateFile(store), access={})
    assert converse(read, store=StateFile(store), access={}) == ("500", "700")


# ---------------------------------------------------------------- what is refused

TWO = ["coap://127.0.0.1:9", "coap://127.0.0.1:10"]


@pytest.mark.parametrize(
    ("servers", "access", "said"),
    [
        ([], {}, "one or more are expected"),
        ([TWO[0], TWO[0]], {}, "each once"),
        (["coap://127.0.0.1", "coap://127.0.0.1:5683"], {}, "each once"),
        ([TWO[0], "http://127.0.0.1"], {}, "a URI such as coaps"),
        (["coap://a..b"], {}, "a URI such as coaps"),
        (["coap://user@127.0.0.1"], {}, "a URI such as coaps"),
        (TWO, {3: "R"}, "access names server 3; 1 to 2 are there"),
        (TWO, {0: "R"}, "access names server 0"),
        (TWO, {2: "X"}, "access names the rights 'X'"),
        (TWO[:1], {1: "R"}, "several servers are expected"),
    ],
)
def test_servers_that_cannot_be(servers: list[str], access: dict[int, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Device(servers=servers, access=access)


@pytest.mark.parametrize("text", ["2", "R=2", "=R", "999999=R"])
def test_an_access_that_is_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["device", "--server", TWO[0], "--server", TWO[1], "--access", text]) == 2
    assert "as in 2=R or 2=RWE" in capsys.readouterr().err


# ---------------------------------------------------------------- real sockets

QUICK: dict[str, Any] = {"endpoint": "a", "install_time": 0.1, "reboot_time": 0.1}
LOOPBACK = ("127.0.0.1", 0)


def test_two_servers_on_real_sockets() -> None:
    """One updates, the other observes from its own socket; each sees its own side, the device both."""
    options = ServerOptions(patience=1.0, time_limit=20.0)
    with lab.Server(options, bind=LOOPBACK) as first, lab.Server(options, bind=LOOPBACK) as second:
        with Device(DeviceOptions(**QUICK), servers=[first.uri, second.uri], access={2: "R"}) as device:
            for one in (first, second):
                one.wait_for("a")
            watching = second.device("a")
            for path in ("/5/0/3", "/5/0/5"):
                watching.observe(path)
            assert watching.execute("/5/0/2").code == "4.01"
            assert second.update("a", OTHER, delivery="push").outcome == "failed"
            report = first.update("a", IMAGE, delivery="push")
            assert (report.outcome, report.firmware_version_after) == ("succeeded", "2.1.0")
            device.wait_for("registered, server 2")
            assert watching.read("/3/0/3").text == "2.1.0"
            assert device.send("/5/0/5", to=2) == "2.04"
            seen, watched = device.capture(), second.capture()
        assert (first.registrations, second.registrations) == ((), ())
    update = seen.updates.iloc[-1]
    assert (update["outcome"], update["image_sha256"]) == ("succeeded", IMAGE.sha256)
    # What one server is told may leave after what the other one is told: each waits for its own acknowledgements.
    assert (set(update["states"]), update["states"][0], update["states"][-1]) == ({0, 1, 2, 3}, 0, 0)
    assert "FAIL" not in set(seen.updates["verdict"])
    told = watched.updates.iloc[0]
    assert (told["states"], told["results"], told["image_accepted"]) == ([0, 1, 2, 3], [0, 1], False)


@pytest.mark.usefixtures("dtls")
def test_one_server_over_dtls_and_one_without() -> None:
    """A socket for each scheme; the reboot registers at both anew."""
    from lwm2m_lab.live.credentials import Credentials

    keys = Credentials({"id-a": bytes(range(16))})
    options, news = ServerOptions(patience=1.0, time_limit=20.0), queue.Queue[str]()
    with (
        lab.Server(options, bind=LOOPBACK) as plain,
        lab.Server(options, bind=LOOPBACK, credentials=keys, told=lambda what, _: news.put(what)) as secure,
        Device(DeviceOptions(**QUICK), servers=[secure.uri, plain.uri], credentials=keys) as device,
    ):
        assert (secure.wait_for("a").identity, plain.wait_for("a").identity) == ("id-a", None)
        assert plain.wait_for("a").address != secure.wait_for("a").address == device.address
        assert news.get(timeout=20) == "registered"
        assert plain.update("a", IMAGE, delivery="push").outcome == "succeeded"
        assert news.get(timeout=20) == "registered"
        assert secure.device("a").read("/3/0/3").text == "2.1.0"
        assert secure.update("a", OTHER, delivery="push").outcome == "succeeded"

"""The device on coaps, pushed to and rebooted; and its pulls over coaps and coap+tcp, resumed and refused."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import subprocess
from collections.abc import AsyncIterator, Iterable
from typing import Any

import aiocoap
import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.credentials import VARIABLE, Credentials
from lwm2m_lab.live.endpoint import Endpoint
from lwm2m_lab.live.network import free_ports
from lwm2m_lab.live.repository import Repository
from lwm2m_lab.live.requests import Requester, Timers
from lwm2m_lab.live.secure import Sessions
from lwm2m_lab.wire.coap import decode
from tests.live.bench import Bench
from tests.live.test_device import QUICK, Managed

IMAGE, OTHER = lab.image(version="2.1.0", size=20_000), lab.image(version="2.2.0", size=20_000)
KEYS = Credentials({"urn:dev:lab-1": bytes(16)})
TIMERS = Timers(ack_timeout=0.3)


class Flaky(Repository):
    """Serves one image; is silent from byte 8192 on as often as it is told to, and may serve another one then."""

    def __init__(self, breaks: int = 0, *, changes: bool = False) -> None:
        super().__init__({"/fw.bin": IMAGE.data})
        self.breaks, self.changes, self.asked = breaks, changes, list[int]()

    def is_silent(self, start: int) -> bool:
        """Whether this request is one that gets no answer."""
        if not self.breaks or start < 8192:
            return False
        self.breaks -= 1
        if self.changes:
            super().__init__({"/fw.bin": OTHER.data})
        return True

    async def render_to_pipe(self, pipe: Any) -> None:
        start = pipe.request.opt.block2.start
        if not self.over_udp and self.is_silent(start):
            await asyncio.sleep(3600)
        self.asked.append(start)
        await super().render_to_pipe(pipe)

    over_udp = False


class Deaf(Endpoint):
    """Does not hear the requests that a repository leaves unanswered; aiocoap would acknowledge them."""

    def __init__(self, site: Flaky) -> None:
        self.site, self.missed = site, set[int]()
        site.over_udp = True

    def incoming(self, data: bytes, sender: Any) -> Iterable[bytes]:
        message = decode(data)
        if message.mid not in self.missed and message.block2 is not None:
            start = message.block2.num * message.block2.size
            self.missed |= {message.mid} if self.site.is_silent(start) else set()
        return () if message.mid in self.missed else (data,)


@contextlib.asynccontextmanager
async def serving(managed: Managed, scheme: str, site: Flaky) -> AsyncIterator[str]:
    """A repository under a scheme; its URI."""
    (port,) = free_ports(1)
    if scheme == "coap+tcp":
        context = await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", port), transports=["tcpserver"])
    else:
        sessions = Sessions(KEYS, opens=False) if scheme == "coaps" else None
        context = await managed.network.context(
            site, side="server", bind=("127.0.0.1", port), endpoint=Deaf(site), sessions=sessions
        )
    try:
        yield f"{scheme}://127.0.0.1:{port}"
    finally:
        await context.shutdown()


async def downloaded(bench: Bench, uri: str) -> tuple[str, str | None]:
    """State and result, and /5/0/7, after a Package URI was written."""
    assert await bench.write("/5/0/1", uri) == "2.04"
    async with asyncio.timeout(20):
        while await bench.read("/5/0/3") == "1":
            await bench.sleep(0.05)
    return await bench.status(), await bench.read("/5/0/7")


def pull(scheme: str, site: Flaky, path: str = "/fw.bin", *, server: str = "coap", **options: Any) -> Any:
    """A pull by a scheme, of a device that is registered by another or the same one."""
    managed = Managed(free_ports(1)[0], KEYS if server == "coaps" else None)

    async def script(bench: Bench) -> Any:
        async with serving(managed, scheme, site) as root:
            return await downloaded(bench, f"{root}{path}")

    device = lab.DeviceOptions(resume_attempts=2, resume_after=0.05, **options)
    quick = Timers(ack_timeout=0.1, max_retransmit=2) if server == "coap" else TIMERS
    with lab.Device(device, server=managed.uri, credentials=KEYS, timers=quick) as running:
        result = managed.serve(script)
        running.stop(deregister=False)
    return result


@pytest.fixture(params=["coaps", "coap+tcp"])
def scheme(request: pytest.FixtureRequest) -> str:
    """A scheme; coaps where there is DTLS."""
    if request.param == "coaps":
        request.getfixturevalue("dtls")
    return str(request.param)


def test_a_pull(scheme: str) -> None:
    """The image is there, fetched in order, each block once."""
    site = Flaky()
    assert pull(scheme, site) == ("2/0", "2.1.0")
    assert site.asked == [*range(0, 20_480 - 1024 + 1, 1024)]


@pytest.mark.parametrize(("changes", "version"), [(False, "2.1.0"), (True, "2.2.0")])
def test_a_pull_that_broke_off_is_resumed(scheme: str, changes: bool, version: str) -> None:
    """From where it was while the ETag is the same; else from the beginning."""
    site = Flaky(1, changes=changes)
    assert pull(scheme, site) == ("2/0", version)
    assert site.asked.count(0) == (2 if changes else 1)


def test_a_pull_that_breaks_off_too_often(scheme: str) -> None:
    """Result 4, connection lost."""
    assert pull(scheme, Flaky(1000)) == ("0/4", None)


def test_nothing_under_the_uri(scheme: str) -> None:
    """4.04: Result 7, invalid URI."""
    assert pull(scheme, Flaky(), "/none") == ("0/7", None)


def test_a_package_that_is_too_large(scheme: str) -> None:
    """Result 2, told by Size2 of the first block."""
    site = Flaky()
    assert pull(scheme, site, storage=4096) == ("0/2", None)
    assert site.asked == [0]


def test_a_device_on_coaps_fetches_by_coap_too(dtls: None) -> None:
    """By a socket for the time; and by coaps over its own one."""
    assert pull("coap", Flaky(), server="coaps") == ("2/0", "2.1.0")
    assert pull("coaps", Flaky(), server="coaps") == ("2/0", "2.1.0")


def test_what_can_be_fetched_is_what_is_announced(dtls: None) -> None:
    """Without a key no coaps: Result 9, and /5/0/8 does not list it."""

    async def script(bench: Bench) -> tuple[str, tuple[str, str | None]]:
        announced = (await bench.ask("GET", "/5/0/8", accept=11542)).payload[3:]
        return announced.hex(" ", 3), await downloaded(bench, f"coaps://127.0.0.1:{managed.port}/x")

    plain, secure = "410000 410102 410203 410304", "410000 410101 410202 410303 410404"
    for credentials, protocols, result in ((None, plain, "0/9"), (KEYS, secure, "0/4")):
        managed = Managed(free_ports(1)[0])
        timers = Timers(ack_timeout=0.1, max_retransmit=1)
        device = lab.DeviceOptions(resume_attempts=0)
        with lab.Device(device, server=managed.uri, credentials=credentials, timers=timers) as running:
            assert managed.serve(script) == (protocols, (result, None))
            running.stop(deregister=False)


def test_an_update_over_coaps(dtls: None) -> None:
    """The server asks on the session that it accepted; after the reboot there is a new one from a new port."""
    managed = Managed(free_ports(1)[0], KEYS)

    async def update(bench: Bench) -> str:
        first = bench.remote
        await bench.push(IMAGE.data)
        await bench.code("POST", "/5/0/2")
        await bench.reborn()
        assert managed.sessions is not None
        assert managed.sessions.identity_of(bench.remote.address) == "urn:dev:lab-1"
        assert bench.remote != first
        return f"{await bench.status()} {await bench.read('/3/0/3')}"

    device = lab.Device(lab.DeviceOptions(**QUICK), server=managed.uri, credentials=KEYS, timers=TIMERS)
    with device:
        assert managed.serve(update) == "0/1 2.1.0"
        capture = device.capture()
        device.stop(deregister=False)
    assert [one.image_sha256 for one in (capture.update(0),)] == [IMAGE.sha256]
    assert [one.opened for one in capture.columns.sessions] == [True, True]
    assert repr(KEYS.own()[1]) not in repr(vars(device))


def test_a_reboot_on_the_same_port(dtls: None) -> None:
    """The ClientHello of a peer that the server still knows begins anew (RFC 6347, 4.2.8)."""
    managed = Managed(free_ports(1)[0], KEYS)
    (port,) = free_ports(1)

    async def reboot(bench: Bench) -> int:
        assert await bench.code("POST", "/3/0/4") == "2.04"
        await bench.reborn()
        assert await bench.read("/3/0/3") == "1.0.0"
        assert managed.sessions is not None
        return len(managed.sessions)

    device = lab.Device(
        lab.DeviceOptions(**QUICK), server=managed.uri, credentials=KEYS, timers=TIMERS, bind=("127.0.0.1", port)
    )
    with device:
        assert managed.serve(reboot) == 1
        device.stop(deregister=False)


def test_coaps_needs_a_key(dtls: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given, or in the environment; one alone, for it is the device's own."""
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(BadInput, match="there is no key for coaps://127.0.0.1; a file of mode 600 or LWM2M_LAB_PSK"):
        lab.Device(server="coaps://127.0.0.1")
    with pytest.raises(BadInput, match="there are 2 identities; the one that is the device's own"):
        lab.Device(server="coaps://127.0.0.1", credentials=Credentials({"a": b"1", "b": b"2"}))
    monkeypatch.setenv(VARIABLE, "a:00")
    assert lab.Device(server="coaps://127.0.0.1").server == "coaps://127.0.0.1"


def test_nothing_leaves_by_another_scheme() -> None:
    """What is meant for DTLS does not go over a plain socket."""
    requester = Requester(None, TIMERS)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="cannot be asked over this socket; a URI coap://... is expected"):
        requester.message(aiocoap.GET, to="coaps://127.0.0.1/x")
    secure = Requester(None, TIMERS, "coaps")  # type: ignore[arg-type]
    message = secure.message(aiocoap.GET, to="coaps://127.0.0.1/x")
    assert message.unresolved_remote == "127.0.0.1:5684"


def test_the_capture_has_the_pull_over_tcp(tmp_path: pathlib.Path, tshark: str) -> None:
    """The tap writes the connection down as segments: the analysis puts the image together, tshark finds the same."""
    managed = Managed(free_ports(1)[0])

    async def script(bench: Bench) -> Any:
        async with serving(managed, "coap+tcp", Flaky()) as root:
            return await downloaded(bench, f"{root}/fw.bin")

    with lab.Device(server=managed.uri, timers=TIMERS) as device:
        assert managed.serve(script) == ("2/0", "2.1.0")
        device.stop(deregister=False)
        capture = device.capture()
    update = capture.update(0)
    assert (update.image_sha256, update.block_sizes) == (IMAGE.sha256, (1024,))
    path = tmp_path / "pull.pcapng"
    capture.save(path)
    port = capture.tcp_messages["dst"].iloc[0].rpartition(":")[2]
    command = [tshark, "-r", str(path), "-d", f"tcp.port=={port},coap", "-o", "tcp.check_checksum:TRUE", "-T", "fields"]
    asked = [*command, "-Y", "coap.code == 1 && tcp", "-e", "frame.number"]
    theirs = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    ours = capture.tcp_messages
    assert [int(frame) for frame in theirs] == [*ours.loc[ours["code"] == "0.01", "frame"]]
    wrong = [*command, "-Y", "tcp.checksum.status == 0 || tcp.analysis.flags", "-e", "frame.number"]
    assert subprocess.run(wrong, capture_output=True, text=True, check=True, timeout=60).stdout == ""

"""Pull by HTTP on real sockets: whole, broken and resumed, changed, refused, too large, redirected."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

import lwm2m_lab as lab
from lwm2m_lab.live.network import free_ports
from lwm2m_lab.live.requests import Timers
from tests.live.bench import Bench
from tests.live.test_device import Managed

IMAGE, OTHER = lab.image(version="2.1.0", size=50_000), lab.image(version="2.2.0", size=50_000)


class Repository(http.server.BaseHTTPRequestHandler):
    """Serves one image; breaks off in the middle as often as it is told to."""

    breaks: ClassVar[int] = 0
    etags: ClassVar[dict[str, bytes]] = {}
    ranges: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        cls = type(self)
        cls.ranges.append(self.headers.get("Range"))
        if self.path != "/fw.bin":
            self.send_response(302 if self.path == "/moved" else 404)
            self.send_header("Location", "/fw.bin")
            self.end_headers()
            return
        (etag, body), start = next(iter(cls.etags.items())), 0
        if self.headers.get("Range") and self.headers.get("If-Range") == etag:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        rest = body[start:]
        if cls.breaks:
            cls.breaks -= 1
            self.wfile.write(rest[:20_000])
            if cls.changes:
                cls.etags = {'"b"': OTHER.data}
        else:
            self.wfile.write(rest)

    changes: ClassVar[bool] = False

    def log_message(self, *_: Any) -> None:
        """Nothing on standard error."""


@pytest.fixture
def repository() -> Iterator[str]:
    """A web server with one image; its URI."""
    Repository.breaks, Repository.changes, Repository.ranges = 0, False, []
    Repository.etags = {'"a"': IMAGE.data}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Repository) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def pulled(uri: str, **options: Any) -> tuple[str, str | None, bytes]:
    """State and result, /5/0/7 and /5/0/8 after a Package URI was written."""
    managed = Managed(free_ports(1)[0])

    async def script(bench: Bench) -> tuple[str, str | None, bytes]:
        protocols = (await bench.ask("GET", "/5/0/8", accept=11542)).payload
        assert await bench.write("/5/0/1", uri) == "2.04"
        for _ in range(100):
            if await bench.read("/5/0/3") != "1":
                break
            await bench.sleep(0.1)
        return await bench.status(), await bench.read("/5/0/7"), protocols

    device = lab.DeviceOptions(resume_attempts=2, resume_after=0.1, **options)
    with lab.Device(device, server=managed.uri, timers=Timers(ack_timeout=0.5)) as running:
        result: tuple[str, str | None, bytes] = managed.serve(script)
        running.stop(deregister=False)
    return result


def test_a_pull_by_http(repository: str) -> None:
    """State 2 with the image's version; /5/0/8 lists CoAP, HTTP, HTTPS and CoAP over TCP."""
    assert pulled(f"{repository}/fw.bin") == ("2/0", "2.1.0", bytes.fromhex("88080c 410000 410102 410203 410304"))


@pytest.mark.parametrize(("changes", "version"), [(False, "2.1.0"), (True, "2.2.0")])
def test_a_pull_that_broke_off_is_resumed(repository: str, changes: bool, version: str) -> None:
    """From where it was, while the ETag is the same; else from the beginning."""
    Repository.breaks, Repository.changes = 1, changes
    assert pulled(f"{repository}/fw.bin")[:2] == ("2/0", version)
    assert Repository.ranges == [None, "bytes=20000-"]


@pytest.mark.parametrize(
    ("uri", "options", "status"),
    [
        (lambda root: f"{root}/nope", {}, "0/7"),
        (lambda root: f"{root}/moved", {}, "0/7"),
        (lambda root: "http://127.0.0.1:9/fw.bin", {}, "0/4"),
        (lambda root: "https://" + root.removeprefix("http://") + "/fw.bin", {}, "0/4"),
        (lambda root: "http://", {}, "0/7"),
        (lambda root: f"{root}/fw.bin", {"storage": 10_000}, "0/2"),
        (lambda root: f"{root}/fw.bin", {"memory": 10_000}, "0/3"),
        (lambda root: root.replace("http", "coaps"), {}, "0/9"),
    ],
)
def test_a_pull_that_cannot_be(
    repository: str, uri: Callable[[str], str], options: dict[str, Any], status: str
) -> None:
    """Each failure has its Update Result; a redirection is not followed, since nobody wrote its host."""
    assert pulled(uri(repository), **options)[0] == status


def test_a_connection_that_keeps_breaking_is_lost(repository: str) -> None:
    """Update Result 4 once the attempts are used up."""
    Repository.breaks = 9
    Repository.etags = {'"a"': IMAGE.data * 5}
    assert pulled(f"{repository}/fw.bin")[0] == "0/4"
    assert len(Repository.ranges) == 3

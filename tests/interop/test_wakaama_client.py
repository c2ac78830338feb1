"""Our server manages a client that is not ours: Wakaama's, which answers in TLV, and has no updater behind Object 5."""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Callable, Iterator

import pytest

import lwm2m_lab as lab
from lwm2m_lab.live.network import free_ports
from lwm2m_lab.live.requests import Timers
from lwm2m_lab.live.server_options import ServerOptions
from tests.conftest import need_tool

SCRIPT = pathlib.Path(__file__).with_name("wakatiwai.js")
PROMPT = ServerOptions(patience=0.5, time_limit=3.0, block_size=512)


@pytest.fixture
def server(judge: Callable[..., int]) -> Iterator[lab.Server]:
    """A server that has little patience; in the end tshark reads its capture as we do."""
    with lab.Server(PROMPT, bind=("127.0.0.1", 0), timers=Timers(ack_timeout=0.5, max_retransmit=2)) as one:
        yield one
        assert judge(one) > 20


def test_it_is_managed(wakaama_module: str, server: lab.Server, tmp_path: pathlib.Path) -> None:
    """Registered, read, discovered; a push is taken block by block, and its updater, which is none, decides nothing."""
    node, (port,) = need_tool("node"), free_ports(1)
    command = [node, str(SCRIPT), wakaama_module, str(tmp_path / "cred.json"), str(port), server.uri]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            registered = server.wait_for("wakatiwai", within=30)
            assert (registered.lwm2m, registered.version_of(5)) == ("1.0", "1.0")
            client = server.device("wakatiwai")
            assert client.read("/5/0/3").code == "2.05"
            assert client.read("/3/0").entries
            assert client.read("/33/0").code == "4.04"
            assert {"/5/0", "/5"} & {one.target for one in client.discover("/5").links}
            report = server.update("wakatiwai", lab.image(version="2.1.0", size=3000), delivery="push")
            assert report.outcome in ("unfinished", "failed", "undecided")
            assert report.seen.before.state is not None
        finally:
            process.kill()
    capture = server.capture()
    update = capture.updates.iloc[0]
    assert (update["endpoint"], update["delivery"], update["image_size"]) == ("wakatiwai", "push", 3000)
    # It takes every package and stays Idle.
    failed = capture.findings[capture.findings["verdict"] == "FAIL"]
    assert "F25" in set(failed["rule"])

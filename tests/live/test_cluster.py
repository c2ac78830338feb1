"""Sweeps and campaigns on a cluster: `dask.distributed` with two worker processes on this machine."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live import rolling
from lwm2m_lab.live import sweep as module
from lwm2m_lab.trace import workers

distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

GRID: dict[str, Any] = {"loss": [0.0, 0.1], "size": 20_000, "seeds": range(40)}


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A cluster of two worker processes, and a client of it."""
    options: Any = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with (
        distributed.LocalCluster(host="127.0.0.1", silence_logs=50, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_a_worker_killed_in_the_middle(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was at is run by the other one; the table is the same as without a cluster."""
    monkeypatch.setattr(module, "LARGEST_BATCH", 2)
    rows = lab.sweep(**GRID, client=client, stream=True)
    came = [next(rows) for _ in range(10)]
    victim = next(iter(client.run(os.getpid).values()))
    os.kill(victim, signal.SIGKILL)
    came += rows
    there = pd.DataFrame(came).sort_values(["loss", "seed"], ignore_index=True)
    pd.testing.assert_frame_equal(there, pd.DataFrame(lab.sweep(**GRID, workers=1)))


def test_a_campaign_is_the_same_on_a_cluster(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each cell of each stage is a world of a worker's; one is killed when the first world has come back."""
    fleet: dict[str, Any] = {"devices": 24, "size": 2_000, "cells": 4, "limit": 8, "links": lab.Link(loss=0.1)}
    rule: dict[str, Any] = {"stages": (0.5, 1.0), "stop_at": 0.3, "at_least": 8, "faults": {"forgets-result": 0.4}}
    here = lab.campaign(**fleet, **rule, workers=1)
    assert here.stopped_s is not None
    victims = list(client.run(os.getpid).values())[:1]

    def with_a_victim(*given: Any, **named: Any) -> Iterator[Any]:
        for results in workers.on_cluster(*given, **named):
            while victims:
                os.kill(victims.pop(), signal.SIGKILL)
            yield results

    monkeypatch.setattr(rolling, "on_cluster", with_a_victim)
    there = lab.campaign(**fleet, **rule, client=client)
    assert victims == []
    assert str(there) == str(here)
    pd.testing.assert_frame_equal(there.devices, here.devices)
    pd.testing.assert_frame_equal(there.queue, here.queue)


def test_a_campaign_on_what_is_no_cluster() -> None:
    """One sentence."""
    with pytest.raises(BadInput, match=r"client is a str; a dask.distributed.Client is expected"):
        lab.campaign(2, size=2_000, client="tcp://127.0.0.1:8786")


def _from_another_world(needed: str) -> str:
    raise ModuleNotFoundError("No module named 'lwm2m_lab'", name="lwm2m_lab")


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (_from_another_world, "a worker of the cluster has no lwm2m_lab; an environment with lwm2m-lab is expected"),
        (lambda needed: "0.0.9", r"worker tcp://127.0.0.1:\d+ has lwm2m-lab 0.0.9; .*, as here, is expected"),
    ],
)  # fmt: skip
def test_a_worker_without_the_lab(client: Any, monkeypatch: pytest.MonkeyPatch, version: Any, words: str) -> None:
    """Or with another one: said before anything is run there."""
    monkeypatch.setattr(workers, "_version", version)
    with pytest.raises(BadInput, match=words):
        lab.sweep(**GRID, client=client)

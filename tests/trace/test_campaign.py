"""Many captures as one table, on all cores and on a cluster."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace import campaign, workers
from lwm2m_lab.trace.samples import SAMPLES, path_of
from lwm2m_lab.wire.growing import records

NAMES = [one.name for one in SAMPLES]


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """Ninety captures, and three of the files that are none."""
    for number in range(90):
        shutil.copy(path_of(NAMES[number % len(NAMES)]), tmp_path / f"{number:03}.pcap")
    (tmp_path / "010.pcap").write_bytes(b"no capture at all")
    (tmp_path / "020.pcap").write_bytes(b"")
    (tmp_path / "089.pcap").write_bytes(path_of(NAMES[0]).read_bytes()[:20])
    return tmp_path


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers begin at once, with little at a time."""
    monkeypatch.setattr(campaign, "WORTH", 0)
    monkeypatch.setattr(campaign, "LARGEST_BATCH", 5)


def test_two_processes_say_the_same(folder: pathlib.Path, small_batches: None) -> None:
    """Row for row; what is no capture is a row with its reason, in the caller's words."""
    here, there = lab.read_many(folder, workers=1), lab.read_many(folder, workers=2)
    pd.testing.assert_frame_equal(here, there)
    wrong = here[here["problem"].notna() & here["messages"].isna()].set_index("file")["problem"]
    assert list(wrong.index) == ["010.pcap", "020.pcap", "089.pcap"]
    assert wrong["010.pcap"].startswith(f"{folder / '010.pcap'} is no capture")
    assert set(here["file"]) == {f"{number:03}.pcap" for number in range(90)}


def test_a_relative_path_stays_one(folder: pathlib.Path, small_batches: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers stand where they began, the caller may have gone elsewhere since."""
    lab.read_many([folder / "000.pcap", folder / "001.pcap"], workers=2)
    monkeypatch.chdir(folder)
    table = lab.read_many(["010.pcap", "000.pcap", "nowhere.pcap"], workers=2)
    assert table["file"].tolist() == ["010.pcap", "000.pcap", "nowhere.pcap"]
    assert table["outcome"].tolist()[1] == "succeeded"
    assert table["problem"].iloc[2] == (
        "nowhere.pcap cannot be read (No such file or directory); a pcap or pcapng file is expected"
    )


def test_small_files_are_read_as_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Message by message or by columns: the same table."""
    paths = [path_of(name) for name in NAMES]
    small = lab.read_many(paths)
    monkeypatch.setattr(campaign, "SMALL", 0)
    pd.testing.assert_frame_equal(lab.read_many(paths), small)


def test_a_large_folder_in_which_three_are_no_captures(tmp_path: pathlib.Path) -> None:
    """Three of two thousand: three rows say so, and nothing else is lost."""
    whole = path_of("anjay-push-256-ok").read_bytes()
    content = whole[: next(end for _, end, is_packet in records(whole) if is_packet)]
    wrong = {77, 400, 1_999}
    for number in range(2_000):
        path = tmp_path / f"{number:05}.pcap"
        path.write_bytes(b"what is this" if number in wrong else content)
    table = lab.read_many(tmp_path)
    assert len(table) == 2_000
    assert table.index[table["messages"].isna()].tolist() == sorted(wrong)
    assert set(table["problem"].drop(sorted(wrong)).str[:18]) == {"No firmware update"}


@pytest.mark.parametrize("wrong", [0, 1.5, True])
def test_workers_are_a_number(wrong: Any) -> None:
    """Before anything is read."""
    with pytest.raises(BadInput, match="workers is .*; a whole number of 1 or more is expected"):
        lab.read_many([path_of(NAMES[0])], workers=wrong)


def test_a_pattern_that_matches_nothing(tmp_path: pathlib.Path) -> None:
    """A sentence, whoever would have worked."""
    with pytest.raises(BadInput, match=r"\*\.pcap holds no capture; files that end in .pcap or .pcapng are expected"):
        lab.read_many(f"{tmp_path}/*.pcap", workers=2)


def test_memory_is_given_back(tmp_path: pathlib.Path) -> None:
    """Sixty megabytes of captures, one after the other: hardly more than after the first twenty."""
    runs = [lab.push(size=400_000, seed=seed) for seed in range(3)]
    for number in range(120):
        runs[number % 3].save(tmp_path / f"{number:03}.pcapng")
    code = (
        "import glob, resource, sys, lwm2m_lab as lab\n"
        f"files = sorted(glob.glob({str(tmp_path)!r} + '/*'))\n"
        "lab.read_many(files[:40], workers=1)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "lab.read_many(files, workers=1)\n"
        "print(before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert after - before < 10_000, f"{before} then {after} KiB"


# ---------------------------------------------------------------- on a cluster


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A cluster of two worker processes, and a client of it."""
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    options: Any = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": ":0"}
    with (
        distributed.LocalCluster(host="127.0.0.1", silence_logs=50, **options) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_worker_killed_in_the_middle(
    client: Any, folder: pathlib.Path, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was at is read by the other one; the table is the same as without a cluster."""
    victims = list(client.run(os.getpid).values())[:1]
    came = []

    def with_a_victim(*given: Any, **named: Any) -> Iterator[Any]:
        for results in workers.on_cluster(*given, **named):
            came.append(len(results))
            if len(came) == 4:
                os.kill(victims.pop(), signal.SIGKILL)
            yield results

    monkeypatch.setattr(campaign, "on_cluster", with_a_victim)
    there = lab.read_many(folder, client=client)
    assert victims == []
    assert len(came) == 18
    pd.testing.assert_frame_equal(there, lab.read_many(folder, workers=1))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_worker_whose_python_has_no_lab() -> None:
    """A real worker process in whose Python the lab cannot be imported: one sentence, for files and for runs."""
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    code = (
        "import asyncio, sys\nfrom distributed import Worker\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'lwm2m_lab':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "async def main():\n"
        "    async with Worker(sys.argv[1], nthreads=1, dashboard_address=None) as worker:\n"
        "        await worker.finished()\n"
        "asyncio.run(main())\n"
    )
    words = "a worker of the cluster has no lwm2m_lab; an environment with lwm2m-lab is expected on each of them"
    options: Any = {"n_workers": 0, "processes": True, "dashboard_address": ":0"}
    with (
        distributed.LocalCluster(host="127.0.0.1", silence_logs=50, **options) as cluster,
        distributed.Client(cluster) as client,
        subprocess.Popen([sys.executable, "-c", code, cluster.scheduler_address], stderr=subprocess.DEVNULL) as worker,
    ):
        try:
            client.wait_for_workers(1, timeout=60)
            with pytest.raises(BadInput, match=words):
                lab.read_many([path_of(NAMES[0])], client=client)
            with pytest.raises(BadInput, match=words):
                lab.sweep(size=2_000, seeds=1, client=client)
        finally:
            worker.kill()

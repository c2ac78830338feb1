"""Sweeps: the grid, the numbers of a run, what is kept, and many workers that come to the same table."""

from __future__ import annotations

import contextlib
import pathlib
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pandas as pd
import psutil
import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.files import held
from lwm2m_lab.live import sweep as module
from lwm2m_lab.live.experiment import Experiment
from lwm2m_lab.live.grid import Grid
from lwm2m_lab.trace.sweep_table import SweepTable

SMALL: dict[str, Any] = {"size": 3_000, "loss": [0.0, 0.1], "seeds": range(3)}


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers begin with the first run, however little there is to do."""
    monkeypatch.setattr("lwm2m_lab.live.sweep.HERE_S", 0.0)
    monkeypatch.setattr("lwm2m_lab.live.sweep.WORTH_S", 0.0)


@pytest.fixture
def lived(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds of the runs that happen in this process."""
    seeds: list[int] = []
    live = Experiment.live

    def noted(self: Experiment, **options: Any) -> Any:
        seeds.append(self.seed)
        return live(self, **options)

    monkeypatch.setattr(Experiment, "live", noted)
    return seeds


# ---------------------------------------------------------------- the table


def test_one_row_a_run_in_the_order_of_the_grid() -> None:
    """Parameters as they were given, then the seed, then what was measured beside what the formula says."""
    table = lab.sweep(block_size=[256, 1024], loss=[0.0, 0.1], seeds=[7, 8], size=3_000)
    assert isinstance(table, SweepTable)
    assert table[["block_size", "loss", "seed"]].values.tolist() == [
        [size, loss, seed] for size in (256, 1024) for loss in (0.0, 0.1) for seed in (7, 8)
    ]
    assert list(table.columns) == [
        "block_size", "loss", "size", "seed", "outcome", "delivered", "duration_s", "transfer_s", "bound_s",
        "expected_s", "expected_delivered", "goodput", "retransmissions", "datagrams", "lost", "bytes_on_air",
        "energy_j", "sentence",
    ]  # fmt: skip
    assert table.parameters == ("block_size", "loss", "size")


@pytest.mark.parametrize("delivery", ["push", "pull"])
def test_without_loss_the_formula_is_right(delivery: str) -> None:
    """To a hundredth, on a slow link: an ETag, a notification on the way are all that it leaves out."""
    table = lab.sweep(delivery=delivery, block_size=[128, 1024], link="nb_iot", seeds=1, size=20_000)
    assert table["transfer_s"].tolist() == pytest.approx(table["bound_s"].tolist(), rel=0.01)
    assert table["expected_s"].tolist() == table["bound_s"].tolist()
    assert table["expected_delivered"].tolist() == [1.0, 1.0]


def test_with_loss_the_formula_is_right_on_average() -> None:
    """Within three standard errors of the mean, and of the share."""
    table = lab.sweep(loss=0.2, size=5_000, block_size=256, seeds=range(100), workers=1)
    arrived = table[table["delivered"]]
    error = arrived["transfer_s"].std() / len(arrived) ** 0.5
    assert arrived["transfer_s"].mean() == pytest.approx(table["expected_s"].iloc[0], abs=3 * error)
    share = table["expected_delivered"].iloc[0]
    assert table["delivered"].mean() == pytest.approx(share, abs=3 * (share * (1 - share) / len(table)) ** 0.5)


@pytest.mark.parametrize("delivery", ["push", "pull"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_row_says_what_the_tables_of_the_run_say(delivery: str, seed: int) -> None:
    """Loss towards the device alone, so that the server's side sees every copy: the same outcome, copies and bytes."""
    link = lab.Link(loss={"up": 0.0, "down": 0.1})
    row = lab.sweep(delivery=delivery, link=link, seeds=seed).iloc[0]
    run = (lab.push if delivery == "push" else lab.pull)(link=link, seed=seed)
    update = run.update()
    assert row["outcome"] == update.outcome == run.report.outcome
    assert row["delivered"] == update.image_accepted or delivery == "pull"
    assert row["retransmissions"] == update.retransmissions
    assert update.duration_s is not None
    assert row["duration_s"] >= update.duration_s
    first_write = run.messages.set_index("frame")["time"][update.frames[0]]
    notes = [one.note for one in run.sightings if one.note and one.time_ns / 1e9 >= first_write - 1e-6]
    assert row["lost"] == notes.count("lost on the way")
    if delivery == "push":
        assert row["transfer_s"] == pytest.approx(run.transfers["duration_s"].iloc[0], abs=1e-6)
        assert row["bytes_on_air"] == pytest.approx(update.cost().total_bytes, rel=0.03)
        heard = run.device_side().update().cost().radio
        assert row["energy_j"] == pytest.approx(heard.energy_j, rel=0.03)


def test_an_image_that_does_not_arrive_has_no_goodput() -> None:
    """A link that is down: unfinished, nothing delivered, no mean."""
    table = lab.sweep(outages=[[(40.0, 1e9)]], size=200_000, link="nb_iot", seeds=1)
    row = table.iloc[0]
    assert (row["outcome"], bool(row["delivered"])) == ("unfinished", False)
    assert pd.isna(row["goodput"])
    assert pd.isna(row["transfer_s"])
    assert row["lost"] > 0


def test_a_device_that_nobody_hears() -> None:
    """Not even a registration: a row of zeros, not an error."""
    row = lab.sweep(loss=1.0, seeds=1, time_limit=100).iloc[0]
    assert (row["outcome"], row["datagrams"], row["duration_s"]) == ("unfinished", 0, 0.0)


def test_links_and_devices_have_names() -> None:
    """A link that has a name of its own is called by it; a device by what differs; labels may be given."""
    devices = [lab.DeviceOptions(), lab.DeviceOptions(profile="anjay")]
    table = lab.sweep(link=[lab.Link.nb_iot(), "lte_m"], device=devices, seeds=1, size=2_000)
    assert list(dict.fromkeys(table["link"])) == ["nb_iot", "lte_m"]
    assert list(dict.fromkeys(table["device"])) == ["usual", "profile='anjay'"]
    named = lab.sweep(link={"home": lab.Link.lan(), "field": lab.Link.nb_iot()}, seeds=1, size=2_000)
    assert named["link"].tolist() == ["home", "field"]


def test_rows_come_one_by_one() -> None:
    """A stream gives dictionaries as they are finished, nothing before it is asked for."""
    rows = lab.sweep(**SMALL, stream=True)
    assert isinstance(rows, Iterator)
    first = next(rows)
    assert (first["loss"], first["seed"], first["outcome"]) == (0.0, 0, "succeeded")
    assert len(list(rows)) == 5


def test_the_summary_has_means_and_the_formula() -> None:
    """One row a combination, or fewer where fewer parameters are told apart."""
    table = lab.sweep(**SMALL)
    summary = table.summary()
    assert summary[["loss", "runs"]].values.tolist() == [[0.0, 3], [0.1, 3]]
    assert {"succeeded", "delivered", "expected_delivered", "transfer_s", "expected_s"} <= set(summary.columns)
    assert table.summary("size")["runs"].tolist() == [6]
    with pytest.raises(BadInput, match="'seed' is no parameter of this sweep; one of size, loss is expected"):
        table.summary("seed")


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"loss": [0.1, 2]}, "loss of the link is 2; a probability from 0 to 1 is expected"),
        ({"loss": "high"}, "loss of the link is 'high'; a probability"),
        ({"los": 0.1}, "a run has no parameter 'los'; one of delivery, "),
        ({"block_size": [500]}, "block_size is 500; one of 16, "),
        ({"block_size": []}, "block_size has no value to run with"),
        ({"block_size": [64, 64]}, "block_size has 64 twice"),
        ({"seeds": []}, "seeds is empty"),
        ({"seeds": [1, 1]}, "seeds has one of them twice"),
        ({"seeds": [0.5]}, "seeds has 0.5; whole numbers are expected"),
        ({"seeds": "many"}, "seeds has 'many'; whole numbers are expected"),
        ({"link": ["lora"]}, "link is 'lora'; lab.Link, 'lan', "),
        ({"device": "anjay"}, "device is 'anjay'; lab.DeviceOptions or several of them are expected"),
        ({"delivery": "carrier pigeon"}, "delivery is 'carrier pigeon'; 'push' or 'pull' is expected"),
        ({"workers": 0}, "workers is 0; a whole number of 1 or more is expected"),
        ({"limit": 2.5}, "limit is 2.5; a whole number of 1 or more is expected"),
        ({"model": "lora"}, "model is 'lora'"),
        ({"image": b"x", "size": 3}, "image is given beside its size or version"),
        ({"client": "scheduler:8786"}, "client is a str; a dask.distributed.Client is expected"),
        ({"ack_timeout": [range(10**9)]}, "ack_timeout is range"),
        ({"size": range(10**9)}, "size has 1000000000 values; 100000 of one parameter"),
    ],
)  # fmt: skip
def test_what_no_run_takes_is_refused(wrong: dict[str, Any], words: str) -> None:
    """One sentence, before anything is run."""
    with pytest.raises(BadInput) as refused:
        lab.sweep(**{"seeds": 1, "size": 2_000, **wrong} if "image" not in wrong else wrong)
    assert words in str(refused.value)


def test_a_grid_without_end_is_told_how_long_it_would_take() -> None:
    """A thousand million runs: the time, and what to say if that is meant."""
    with pytest.raises(BadInput, match=r"1000000000 runs, .* about \d+ (days|months|years) on 2 cores; .*limit="):
        lab.sweep(seeds=range(10**9), workers=2)
    assert Grid({"loss": [0.0, 0.1]}, seeds=range(10**12), model="").runs == 2 * 10**12


# ---------------------------------------------------------------- what is kept


def test_what_is_kept_is_not_run_again(tmp_path: pathlib.Path, lived: list[int]) -> None:
    """The same call runs nothing, and gives the same table."""
    first = lab.sweep(**SMALL, keep=tmp_path / "runs")
    assert len(lived) == 6
    again = lab.sweep(**SMALL, keep=tmp_path / "runs" / "sweep.parquet")
    assert len(lived) == 6
    pd.testing.assert_frame_equal(pd.DataFrame(first), pd.DataFrame(again))
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["sweep.parquet"]


def test_another_grid_runs_what_is_missing(tmp_path: pathlib.Path, lived: list[int]) -> None:
    """More seeds, another value: the runs that both have happen once; a default that is spelt out is no other run."""
    keep = tmp_path / "a.parquet"
    lab.sweep(**SMALL, keep=keep)
    wider = lab.sweep(loss=[0.0, 0.1, 0.2], seeds=range(4), size=3_000, block_size=1024, keep=keep)
    assert len(lived) == 12
    pd.testing.assert_frame_equal(pd.DataFrame(wider), pd.DataFrame(
        lab.sweep(loss=[0.0, 0.1, 0.2], seeds=range(4), size=3_000, block_size=1024)
    ))  # fmt: skip
    assert len(lab.sweep(**SMALL, keep=keep)) == 6


def test_a_sweep_that_broke_off_goes_on(tmp_path: pathlib.Path, lived: list[int]) -> None:
    """Two rows of a stream and no more; what was finished is in the file."""
    keep = tmp_path / "a.parquet"
    rows = lab.sweep(**SMALL, keep=keep, stream=True)
    next(rows), next(rows)
    rows.close()  # type: ignore[attr-defined]
    assert len(pd.read_parquet(keep)) == 2
    lab.sweep(**SMALL, keep=keep)
    assert len(lived) == 6


def test_two_sweeps_on_one_file(tmp_path: pathlib.Path) -> None:
    """The second one is refused; afterwards the file is free."""
    keep = tmp_path / "a.parquet"
    rows = lab.sweep(**SMALL, keep=keep, stream=True)
    next(rows)
    with pytest.raises(BadInput, match=r"a\.parquet is in use by another sweep; wait for its end, or name another"):
        lab.sweep(**SMALL, keep=keep)
    assert len(list(rows)) == 5
    with held(keep, "another sweep"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_a_file_that_is_something_else_is_left_alone(tmp_path: pathlib.Path) -> None:
    """A text file, and a Parquet file of something else."""
    other = tmp_path / "a.parquet"
    other.write_text("not a table")
    with pytest.raises(BadInput, match=r"a\.parquet is no table of a sweep .*; a new file"):
        lab.sweep(**SMALL, keep=other)
    assert other.read_text() == "not a table"
    pd.DataFrame({"x": [1]}).to_parquet(other)
    with pytest.raises(BadInput, match="is no table of a sweep"):
        lab.sweep(**SMALL, keep=other)


def test_a_disk_that_is_full_loses_nothing(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No file may grow in the middle: the sweep goes on, says so, gives the whole table, and the old file is whole."""
    keep = tmp_path / "a.parquet"
    lab.sweep(**{**SMALL, "seeds": 1}, keep=keep)
    monkeypatch.setattr("lwm2m_lab.trace.kept.EVERY_S", 0.0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        table = lab.sweep(**SMALL, keep=keep)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(table) == 6
    assert len(pd.read_parquet(keep)) == 2
    said = capsys.readouterr().err
    assert "a.parquet cannot be written (" in said
    assert "4 rows are in the table alone" in said
    assert len(lab.sweep(**SMALL, keep=keep)) == len(pd.read_parquet(keep)) == 6


# ---------------------------------------------------------------- workers


def test_the_same_table_whatever_the_number_of_workers(at_once: None) -> None:
    """One here, and two processes."""
    grid: dict[str, Any] = {"loss": [0.0, 0.1], "delivery": ["push", "pull"], "seeds": range(6), "size": 3_000}
    alone, many = lab.sweep(**grid, workers=1), lab.sweep(**grid, workers=2)
    pd.testing.assert_frame_equal(pd.DataFrame(alone), pd.DataFrame(many))


def test_a_worker_that_dies_is_replaced(at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the middle: the table is the same."""
    monkeypatch.setattr(module, "LARGEST_BATCH", 2)
    grid: dict[str, Any] = {"loss": 0.05, "seeds": range(60), "size": 20_000}
    rows = lab.sweep(**grid, workers=2, stream=True)
    came = [next(rows) for _ in range(5)]
    workers = [one for one in psutil.Process().children(recursive=True) if "loky" in " ".join(one.cmdline())]
    victim = next(one for one in workers if "resource_tracker" not in " ".join(one.cmdline()))
    victim.kill()
    came += rows
    assert sorted(row["seed"] for row in came) == list(range(60))


def test_ctrl_c_ends_a_sweep_and_the_next_one_goes_on(tmp_path: pathlib.Path) -> None:
    """In a process of its own, with workers: it ends soon, with what was finished in the file, and leaves nobody."""
    keep = tmp_path / "a.parquet"
    code = (
        "import lwm2m_lab as lab, lwm2m_lab.trace.kept as kept\n"
        "kept.EVERY_S = 0.2\n"
        f"lab.sweep(seeds=range(3000), workers=2, keep={str(keep)!r})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while not keep.exists() and time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode != 0
    assert said.rstrip().endswith("KeyboardInterrupt")
    finished = len(pd.read_parquet(keep))
    assert 0 < finished < 3000
    assert not keep.with_name("a.parquet.lock").exists()
    assert len(lab.sweep(seeds=range(finished + 5), keep=keep)) == finished + 5
    assert len(pd.read_parquet(keep)) >= finished + 5

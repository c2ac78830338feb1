"""A sweep on two cores against one, and what it adds to a run beyond the run itself.

The speed-up is on the wall's clock, the start of the second process included, and so needs a machine with nothing else
to do; the overhead is of the processor, in one process: a sweep's row (run, measure, formula, table) less the bare run.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

from tests.bench.measuring import Bench, Row, child, measured, median_ratio

#: The grid whose speed-up is measured: 20 kB in blocks of 512 and 1024, three rates of loss.
GRID: dict[str, Any] = {"block_size": [512, 1024], "loss": [0.0, 0.05, 0.1], "size": 20_000}
SEEDS = 150
#: Seeds of each combination where the overhead is measured.
FEW = 20


def sweep(bench: Bench) -> Iterator[Row]:
    """In turns: one worker, two workers, the bare runs."""
    pairs = [[child("sweep", "workers", count)["wall"] for count in (1, 2)] for _ in range(min(bench.rounds, 3))]
    one, two = ([pair[at] for pair in pairs] for at in (0, 1))
    runs = SEEDS * len(GRID["block_size"]) * len(GRID["loss"])
    found = median_ratio(one, two)
    yield Row(f"{runs} runs", measured("1 worker", one), f"{1000 * statistics.median(one) / runs:.1f} ms a run")
    yield Row(f"{runs} runs", measured("2 workers", two), f"{found:.2f} x faster", ">= 1.7 x", found >= 1.7)
    beyond = child("sweep", "overhead", min(bench.rounds, 5))
    extra = statistics.median(beyond["overhead_ms"])
    yield Row(
        f"{beyond['runs']} runs", measured("1 worker", beyond["sweep"]), f"{extra:.2f} ms a run beyond the run itself",
        "< 5 ms", extra < 5,
    )  # fmt: skip


def _workers(count: int) -> dict[str, float]:
    import lwm2m_lab as lab

    lab.sweep(seeds=1, workers=1, **GRID)  # imports and tables
    began = time.perf_counter()
    table = lab.sweep(seeds=range(SEEDS), workers=count, **GRID)
    spent = time.perf_counter() - began
    assert len(table) == SEEDS * len(GRID["block_size"]) * len(GRID["loss"])
    return {"wall": spent}


def _overhead(rounds: int) -> dict[str, Any]:
    import lwm2m_lab as lab
    from lwm2m_lab.live.grid import Grid

    found: dict[str, Any] = {"overhead_ms": [], "sweep": []}
    for number in range(rounds + 1):
        began = time.process_time()
        grid = Grid(GRID, seeds=range(FEW), model="")
        for one in grid.combinations():
            for seed in grid.seeds:
                one.with_seed(seed).live()
        bare = time.process_time() - began
        began = time.process_time()
        table = lab.sweep(seeds=range(FEW), workers=1, **GRID)
        spent = time.process_time() - began
        if number:  # the first round imports
            found["overhead_ms"].append(1000 * (spent - bare) / len(table))
            found["sweep"].append(spent)
        found["runs"] = len(table)
    return found


if __name__ == "__main__":
    print(json.dumps({"workers": _workers, "overhead": _overhead}[sys.argv[1]](int(sys.argv[2]))))

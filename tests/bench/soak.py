"""Thousands of updates in which everything goes wrong that can (`tests.soak`): what they broke, and what they left.

Two processes share the numbers. Each says how much its memory has grown since its first updates: what is kept of one is
kept for ever, so a leak grows with their number.
"""

from __future__ import annotations

import collections
import gc
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from tests.bench.measuring import Bench, Row, measured

SEED, PROCESSES = 1, 2
#: Updates after which the caches are full, and growth counts.
WARM = 200
#: Longest time for one update, seconds.
PATIENCE = 1.0


def soak(bench: Bench) -> Iterator[Row]:
    """One row: updates, kills, violations, false alarms, growth."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "tests.bench.soak", str(bench.updates)]
    parts = [subprocess.Popen([*command, str(part)], stdout=subprocess.PIPE, text=True) for part in range(PROCESSES)]
    found = [json.loads(part.communicate(timeout=60 + PATIENCE * bench.updates)[0]) for part in parts]
    program = measured(f"{PROCESSES} processes", [time.perf_counter() - began])
    program.memory = max(one["peak"] for one in found)
    total: collections.Counter[str] = collections.Counter()
    outcomes: collections.Counter[str] = collections.Counter()
    alarms: collections.Counter[str] = collections.Counter()
    for one in found:
        total.update({name: one[name] for name in ("updates", "kills", "violations")})
        outcomes.update(one["outcomes"])
        alarms.update(one["alarms"])
    growth = max(one["growth"] for one in found)
    yield Row(
        f"{total['updates']} updates",
        program,
        f"{total['violations']} violations with {total['kills']} kills; "
        + ", ".join(f"{count} {name}" for name, count in outcomes.most_common()),
        "none",
        not total["violations"],
    )
    said = ", ".join(f"{rule} {count}" for rule, count in sorted(alarms.items())) or "none"
    yield Row("", measured("explanation", []), f"false alarms: {said}")
    yield Row("", measured("memory", []), f"grows by {growth:.1f} MiB after the first {WARM} updates of a process")


def _resident() -> float:
    """MiB that this process holds now."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main(updates: int, part: int) -> None:
    from tests import soak

    counts: dict[str, Any] = {"updates": 0, "kills": 0, "violations": 0, "growth": 0.0}
    outcomes: collections.Counter[str] = collections.Counter()
    alarms: collections.Counter[str] = collections.Counter()
    warm = 0.0
    for number in range(part, updates, PROCESSES):
        plan = soak.draw(SEED, number)
        with tempfile.TemporaryDirectory() as folder:
            lived = soak.live(plan, pathlib.Path(folder))
        for one in soak.violations(plan, lived):
            print(f"{plan}: {one}", file=sys.stderr)
            counts["violations"] += 1
        for one in soak.alarms(lived):
            rule = one.split()[0]
            alarms[rule] += 1
            print(f"{plan}: {one}", file=sys.stderr)
        counts["updates"] += 1
        counts["kills"] += len(plan.kills)
        outcomes[lived.report.outcome] += 1
        if counts["updates"] == WARM:
            gc.collect()
            warm = _resident()
    gc.collect()
    counts["growth"] = _resident() - warm if warm else 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**counts, "outcomes": outcomes, "alarms": alarms, "peak": peak}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

"""What captures of 10,000 to 10,000,000 packets cost, all at once and part by part: time, memory, and how both grow.

Each in a process of its own; the time is of the processor, once a small capture has been read. A hundred devices,
whatever the size.
"""

from __future__ import annotations

import json
import pathlib
import sys
import time
from collections.abc import Iterator

from tests.bench.measuring import Bench, Row, child, keep, measured, slope


def growth(bench: Bench) -> Iterator[Row]:
    """Each size, the large ones in one round."""
    points, sizes = [], [bench.size // 100, bench.size // 10, bench.size, 10 * bench.size]
    with bench.tenfold() as tenfold:
        for packets in sizes:
            path = tenfold if packets > bench.size else bench.capture(packets)
            for name in ("columns", "stream"):
                rounds = [child("growth", name, path) for _ in range(bench.rounds if packets < bench.size else 1)]
                seconds = [one["seconds"] for one in rounds]
                program = measured(name, seconds, max(one["MiB"] for one in rounds))
                points.append({"packets": packets, "program": name, "seconds": program.median, "MiB": program.memory})
                yield Row(f"{packets:,}", program, f"{1e6 * program.median / packets:.2f} µs a packet")
    keep(bench, "growth", points)
    for name in ("columns", "stream"):
        mine = [one for one in points if one["program"] == name]
        steep = slope([(one["packets"], one["seconds"]) for one in mine])
        most = f"{mine[0]['MiB']:.0f} to {mine[-1]['MiB']:.0f} MiB"
        yield Row(
            f"{sizes[0]:,} to {sizes[-1]:,}", measured(name, []), f"slope {steep:.2f} in log and log, {most}",
            "linear: <= 1.1", steep <= 1.1,
        )  # fmt: skip


def main(what: str, path: pathlib.Path) -> dict[str, float]:
    """Read, and say how long it took."""
    import resource

    import numpy  # noqa: F401  (small captures would be read without it)

    import lwm2m_lab as lab
    from lwm2m_lab.trace.samples import path_of
    from lwm2m_lab.wire import read_columns

    def read(one: pathlib.Path) -> int:
        if what == "columns":
            return read_columns(one).rows
        return sum(part.columns.rows for part in lab.read(one, stream=True))

    read(path_of("anjay-push-256-ok"))
    began = time.process_time()
    rows = read(path)
    seconds = time.process_time() - began
    return {"seconds": seconds, "rows": rows, "MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], pathlib.Path(sys.argv[2]))))

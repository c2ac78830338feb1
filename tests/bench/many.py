"""`read_many` over some 1,000 captures of 100 kB, against one capture of the same traffic, and 2 workers against 1.

The small captures are the large one, split by device, so that both hold the same messages and updates: what is compared
is what a file of its own costs, in time of the processor. The speed-up by workers is on the wall's clock, the start of
the second process included, and so needs a machine with nothing else to do.
"""

from __future__ import annotations

import inspect
import json
import pathlib
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

from tests.bench.generate import write_capture
from tests.bench.measuring import Bench, Row, child, measured, median_ratio

#: 100 kB a file are some 220 packets; the last devices come so late that there is nothing of them.
DEVICES, PACKETS = 1_250, 220_000
#: The server's addresses in a generated capture.
SERVERS = (bytes([192, 0, 2, 1]), bytes.fromhex("20010db8000200000000000000000001"))


def many(bench: Bench) -> Iterator[Row]:
    """In turns: the small files by one worker and by two, and the large file."""
    small, large = bench.folder / "many", bench.folder / "many.pcap"
    if not large.exists():
        write_capture(large, PACKETS, devices=DEVICES)
        _split(large, small)
    files = f"{len(list(small.iterdir())):,} files"
    rounds = [
        (child("many", small, 1), child("many", small, 2), child("many", large, 1)) for _ in range(min(bench.rounds, 3))
    ]
    one, two, whole = ([found[at] for found in rounds] for at in range(3))
    cpu = [[one["cpu"] / one["messages"] for one in found] for found in (one, whole)]
    share = median_ratio(cpu[1], cpu[0])
    for name, found in (("read_many, one file", whole), ("read_many, 1 worker", one)):
        pace = statistics.median(each["messages"] / each["cpu"] for each in found)
        program = measured(name, [each["wall"] for each in found], max(each["MiB"] for each in found))
        what = f"{pace:,.0f} messages a second and core"
        if found is whole:
            yield Row(f"{PACKETS:,} packets", program, f"{what}, {found[0]['rows']} updates")
        else:
            yield Row(
                files, program,
                f"{what}, {found[0]['rows']} updates: {share:.2f} of the large file's rate", ">= 0.6", share >= 0.6,
            )  # fmt: skip
    if two[0]["workers"] < 2:
        return
    faster = median_ratio([each["wall"] for each in one], [each["wall"] for each in two])
    program = measured("read_many, 2 workers", [each["wall"] for each in two])
    yield Row(files, program, f"{faster:.2f} x faster than 1", ">= 1.7 x", faster >= 1.7)


def _split(large: pathlib.Path, folder: pathlib.Path) -> None:
    """A file for each device; what is no message of one is left out."""
    folder.mkdir(exist_ok=True)
    data, at = large.read_bytes(), 24
    packets: dict[bytes, list[bytes]] = {}
    while at < len(data):
        end = at + 16 + int.from_bytes(data[at + 8 : at + 12], "little")
        record, frame, at = data[at:end], data[at + 16 : end], end
        wide = frame[12:14] == b"\x86\xdd"
        ends = (frame[22:38], frame[38:54]) if wide else (frame[26:30], frame[30:34])
        device = [one for one in ends if one not in SERVERS]
        if len(device) == 1:
            packets.setdefault(device[0], []).append(record)
    for number, records in enumerate(packets.values()):
        (folder / f"{number:04}.pcap").write_bytes(data[:24] + b"".join(records))


def main(path: pathlib.Path, workers: int) -> dict[str, Any]:
    """Read, and say how long it took; imports and the first file are not counted."""
    import resource

    import lwm2m_lab as lab
    from lwm2m_lab.trace.samples import path_of

    has_workers = "workers" in inspect.signature(lab.read_many).parameters
    options: dict[str, Any] = {"workers": workers} if has_workers else {}
    lab.read_many(path_of("anjay-push-256-ok"), **options)
    wall, cpu = time.perf_counter(), time.process_time()
    table = lab.read_many(path, **options)
    spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    messages = int(table.drop_duplicates("file")["messages"].sum())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**spent, "messages": messages, "rows": len(table), "workers": workers if options else 1, "MiB": memory}


if __name__ == "__main__":
    print(json.dumps(main(pathlib.Path(sys.argv[1]), int(sys.argv[2]))))

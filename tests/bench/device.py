"""A push of 1 MB over real sockets of this machine, blocks of 1024 bytes, against bare aiocoap's on such sockets."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.bench.measuring import Bench, Row, child, measured, median_ratio, spread

if TYPE_CHECKING:
    from lwm2m_lab.live.image import FirmwareImage

SIZE, BLOCK_SIZE = 1_000_000, 1024


def device(bench: Bench) -> Iterator[Row]:
    """From the first block to the answer to the last one, on the wall's clock."""
    found = child("device", bench.rounds * 2)
    what = f"push of {SIZE // 1000:,} kB, real sockets"
    ours, theirs = found["ours"], found["bare"]
    yield Row(what, measured("bare aiocoap", theirs), f"{SIZE / statistics.median(theirs) / 1e6:.2f} MB a second")
    found_ratio = median_ratio(ours, theirs)
    yield Row(
        what, measured("update", ours), f"{found_ratio:.2f} x bare aiocoap ({spread(ours, theirs)})",
        "<= 1.5 x", found_ratio <= 1.5,
    )  # fmt: skip


def _ours(package: FirmwareImage) -> float:
    import lwm2m_lab as lab

    quick = lab.DeviceOptions(install_time=0.0, reboot_time=0.0)
    run = lab.push(package, network="loopback", block_size=BLOCK_SIZE, device=quick)
    assert run.report.outcome == "succeeded", run.report.sentence
    blocks = [one.time_ns for one in run.sightings if one.side == "server" and len(one.payload) > BLOCK_SIZE // 2]
    return (max(blocks) - min(blocks)) / 1e9


def _bare(package: FirmwareImage) -> float:
    from lwm2m_lab.live.network import LoopbackNetwork, free_ports
    from tests.bench import bare

    server, device = free_ports(2)
    _, seconds = bare.push(
        LoopbackNetwork(), package.data, BLOCK_SIZE, server=("127.0.0.1", server), device=("127.0.0.1", device)
    )
    return seconds


def main(rounds: int) -> None:
    from lwm2m_lab.live.image import image

    package, seconds = image(size=SIZE), {"ours": [], "bare": []}  # type: ignore[var-annotated]
    for _ in range(rounds):
        seconds["ours"].append(_ours(package))
        seconds["bare"].append(_bare(package))
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(int(sys.argv[1]))

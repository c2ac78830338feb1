"""Whole updates in simulated time against the bare push of the same blocks by aiocoap over the same in-memory link.

An update registers, is observed, read, executed, reboots and registers again; the bare push does nothing of that, and
is given the datagrams that it sends. Both run in one process, in turns; what counts is the time of the processor.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tests.bench.measuring import Bench, Row, child, measured, median_ratio, spread

if TYPE_CHECKING:
    from lwm2m_lab.live.image import FirmwareImage
    from lwm2m_lab.live.network import Sighting

SIZE, BLOCK_SIZE = 200_000, 512
#: Rounds for each of those that are asked for: one takes a fifth of a second.
TIMES = 8


def simulation(bench: Bench) -> Iterator[Row]:
    """Datagrams a second of a core."""
    found = child("simulation", bench.rounds * TIMES)
    what = f"push of {SIZE // 1000} kB, blocks of {BLOCK_SIZE}"
    ours, theirs = found["ours"], found["bare"]
    for name, one in (("bare aiocoap", theirs), ("update", ours)):
        pace = 1 / statistics.median(one)
        program = measured(name, [seconds * found["datagrams"][name] for seconds in one])
        if name == "bare aiocoap":
            yield Row(what, program, f"{pace:,.0f} datagrams a second and core")
        else:
            share = median_ratio(theirs, ours)
            yield Row(
                what,
                program,
                f"{pace:,.0f} datagrams a second and core: {share:.2f} of bare aiocoap ({spread(theirs, ours)})",
                ">= 0.9",
                share >= 0.9,
            )


def _sent(sightings: Sequence[Sighting]) -> int:
    """Datagrams, each once: as its sender saw it."""
    from lwm2m_lab.live.experiment import SIMULATED

    return sum((one.side == "device") == (one.source[0] == SIMULATED.device[0]) for one in sightings)


def _update(package: FirmwareImage) -> tuple[int, float]:
    """Datagrams and seconds of an update."""
    from lwm2m_lab.live.experiment import Experiment, server_options
    from lwm2m_lab.live.options import DeviceOptions
    from lwm2m_lab.live.requests import Timers

    experiment = Experiment(
        package, server=server_options("simulated", BLOCK_SIZE, None, None), timers=Timers(), device=DeviceOptions()
    )
    began = time.process_time()
    ended = experiment.live()
    spent = time.process_time() - began
    assert ended.report.outcome == "succeeded", ended.report.sentence
    return _sent(ended.sightings), spent


def _bare(package: FirmwareImage) -> tuple[int, float]:
    """The same of the bare push."""
    from lwm2m_lab.live.experiment import SIMULATED
    from lwm2m_lab.live.link import Link
    from lwm2m_lab.live.network import SimulatedNetwork
    from tests.bench import bare

    network = SimulatedNetwork(link=Link(), seed=1)
    spent, _ = bare.push(network, package.data, BLOCK_SIZE, server=SIMULATED.server, device=SIMULATED.device)
    return _sent(network.sightings), spent


def main(rounds: int) -> None:
    from lwm2m_lab.live.image import image

    package, seconds, datagrams = image(size=SIZE), {"ours": [], "bare": []}, {}  # type: ignore[var-annotated]
    for number in range(rounds + 1):
        for name, run in (("ours", _update), ("bare", _bare)):
            sent, spent = run(package)
            if number:  # the first round fills caches
                seconds[name].append(spent / sent)
            datagrams["update" if name == "ours" else "bare aiocoap"] = sent
    print(json.dumps({**seconds, "datagrams": datagrams}))


if __name__ == "__main__":
    main(int(sys.argv[1]))

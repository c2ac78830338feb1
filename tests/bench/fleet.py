"""Campaigns over 1 to 10,000 simulated devices in one world, each in its own process, and 1,000 against 1,000 runs.

A device takes 20 kB in blocks of 1024 bytes, 200 devices at the same time. What counts is the time of the processor:
a world has one thread.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator

from tests.bench.measuring import Bench, Row, child, keep, measured, median_ratio, slope

SIZE, AT_ONCE = 20_000, 200
FLEETS = (1, 10, 100, 1_000, 10_000)
#: Of how many devices one world is compared with as many single runs.
COMPARED = 1_000
#: Rounds of a fleet of that many devices: the small ones are over in no time.
ROUNDS = {1: 20, 10: 10, 100: 5}


def fleet(bench: Bench) -> Iterator[Row]:
    """Time, memory, and what a device costs more where there are more of them."""
    points = []
    for devices in FLEETS:
        worlds = [child("fleet", "world", devices) for _ in range(ROUNDS.get(devices, 1))]
        best = min(worlds, key=lambda one: one["seconds"])  # type: ignore[no-any-return]
        points.append({"devices": devices, **best})
        program = measured("campaign", [best["seconds"]], best["MiB"])
        yield Row(
            f"{devices:,} devices", program,
            f"{1000 * best['seconds'] / devices:.1f} ms a device, "
            f"{best['datagrams'] / best['seconds']:,.0f} datagrams a second",
        )  # fmt: skip
    keep(bench, "fleet", points)
    steep = slope([(one["devices"], one["seconds"]) for one in points if one["devices"] >= 10])
    yield Row(
        "10 to 10,000", measured("campaign", []), f"slope {steep:.2f} in log and log", "linear: <= 1.1", steep <= 1.1
    )
    kinds = {"runs": "single runs", "world": "one world", "campaign": "lab.campaign"}
    rounds = [{kind: child("fleet", kind, COMPARED) for kind in kinds} for _ in range(min(bench.rounds, 3))]
    seconds = {kind: [one[kind]["seconds"] for one in rounds] for kind in kinds}
    for kind, name in kinds.items():
        program = measured(name, seconds[kind], rounds[0][kind]["MiB"])
        if kind == "runs":
            yield Row(f"{COMPARED:,} devices", program)
            continue
        found = median_ratio(seconds[kind], seconds["runs"])
        yield Row(f"{COMPARED:,} devices", program, f"{found:.2f} x as many single runs", "<= 1.3 x", found <= 1.3)


def _world(devices: int) -> int:
    """A campaign; datagrams."""
    from lwm2m_lab.live.fleet import update_fleet
    from lwm2m_lab.live.image import image
    from lwm2m_lab.live.options import DeviceOptions

    many = [DeviceOptions(endpoint=f"urn:dev:{number}") for number in range(devices)]
    done = update_fleet(many, image(size=SIZE), at_once=AT_ONCE)
    assert done.campaign.outcomes == {"succeeded": devices}, done.campaign.outcomes
    return done.datagrams


def _campaign(devices: int) -> int:
    """The same as a notebook has it: tables of every device, the cell's queue; datagrams."""
    import lwm2m_lab as lab

    done = lab.campaign(devices, size=SIZE, limit=AT_ONCE, workers=1)
    assert done.outcomes == {"succeeded": devices}, done.outcomes
    return int(done.devices["datagrams"].sum())


def _runs(count: int) -> int:
    """As many runs of one device each."""
    from lwm2m_lab.live.experiment import Experiment, server_options
    from lwm2m_lab.live.image import image
    from lwm2m_lab.live.options import DeviceOptions
    from lwm2m_lab.live.requests import Timers

    package, options = image(size=SIZE), server_options("simulated", 1024, None, None)
    for seed in range(count):
        ended = Experiment(package, server=options, timers=Timers(), device=DeviceOptions(), seed=seed).live()
        assert ended.report.outcome == "succeeded"
    return 0


def main(what: str, count: int) -> None:
    _runs(1)  # imports and tables
    began = time.process_time()
    datagrams = {"world": _world, "campaign": _campaign, "runs": _runs}[what](count)
    seconds = time.process_time() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "datagrams": datagrams, "MiB": memory}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

"""The cases of the failure clinic that happened in the lab: seeded runs, of which nobody sees more than a tap does."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.experiment import SIMULATED
from lwm2m_lab.live.image import image
from lwm2m_lab.live.link import Link
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.server_options import ServerOptions
from lwm2m_lab.live.staged import Stage, together
from lwm2m_lab.live.world import Addresses
from lwm2m_lab.trace.capture import Capture

__all__ = ["STAGED", "staged_case"]

NIGHT = 86_400.0
#: Seconds of the outage of the last case, and when its file is replaced: in block 120, and while nobody looks.
CUT, REPLACED_AT = (12.65, 132.65), 60.0


def nightly() -> tuple[Capture, ...]:
    """An image of the version that runs already, sent three nights in a row to a device with labels of its own."""
    package = image(version="2.0.0", size=20_000)
    device = DeviceOptions(endpoint="urn:dev:meter-17", firmware_version="2.0.0", package_version="rel-77")
    nights = [(night * NIGHT, Stage(image=package, device=device, seed=41 + night).run()) for night in range(3)]
    return (together(nights, name="case 4"),)


def twice() -> tuple[Capture, ...]:
    """A round trip of 2.8 s under a first time-out of 2 to 3 s."""
    device = DeviceOptions(endpoint="urn:dev:basement-5")
    return (_alone(Stage(image=image(size=20_000), device=device, link=Link(delay=1.4), seed=5), "case 5"),)


def longer() -> tuple[Capture, ...]:
    """Block 0 comes twice while the flash is erased, and is written twice."""
    device = DeviceOptions(endpoint="urn:dev:tracker-7", faults=("erases-and-writes-twice",))
    server = ServerOptions(block_size=512)
    return (_alone(Stage(image=image(size=100_000), device=device, server=server, seed=4), "case 7"),)


def reborn() -> tuple[Capture, ...]:
    """A new registration that the server does not follow up."""
    device = DeviceOptions(endpoint="urn:dev:gate-8", reboot_time=37.0)
    server = ServerOptions(observes_again=False, time_limit=900.0)
    return (_alone(Stage(image=image(size=20_000), device=device, server=server, seed=8), "case 8"),)


def parallel() -> tuple[Capture, ...]:
    """Two devices behind one address, each with its file, at the same time."""
    runs = []
    for name, version, port, start in (("a", "2.0.0", 41_000, 0.0), ("b", "2.1.0", 42_000, 0.02)):
        stage = Stage(
            image=image(version=version, size=30_000),
            path=f"/{name}.bin",
            device=DeviceOptions(endpoint=f"urn:dev:twin-{name}"),
            server=ServerOptions(block_size=512),
            addresses=Addresses(("192.0.2.2", port), SIMULATED.server, SIMULATED.repository),
            seed=ord(name),
        )
        runs.append((start, stage.run()))
    return (together(runs, name="case 10"),)


def mixed() -> tuple[Capture, ...]:
    """A file replaced while a download rests: once with ETags, once without and of the same size."""
    old, new = image(version="2.0.0", size=198_656), image(version="2.1.0", size=198_656)
    found = []
    for run, etags in (("A", True), ("B", False)):
        stage = Stage(
            image=old,
            path="/fw/meter.bin",
            device=DeviceOptions(endpoint="urn:dev:meter-12", faults=("resumes-by-number",), resume_attempts=1),
            server=ServerOptions(block_size=512, time_limit=900.0),
            link=Link(outages=[CUT]),
            etags=etags,
            replaced=(REPLACED_AT, new.data),
            seed=12,
        )
        found.append(_alone(stage, f"case 12, run {run}"))
    return tuple(found)


def _alone(stage: Stage, name: str) -> Capture:
    return together([(0.0, stage.run())], name=name)


#: By the number of the case.
STAGED: Mapping[int, Callable[[], tuple[Capture, ...]]] = {
    4: nightly, 5: twice, 7: longer, 8: reborn, 10: parallel, 12: mixed,
}  # fmt: skip


@functools.lru_cache(maxsize=2)
def staged_case(number: int) -> tuple[Capture, ...]:
    """The captures of a case that happened in the lab.

    Raises
    ------
    BadInput
        For another case.

    Examples
    --------
    >>> staged_case(8)[0].update(0).outcome
    'unfinished'
    """
    if number not in STAGED:
        raise BadInput(f"case {number!r} did not happen in the lab; one of {', '.join(map(str, STAGED))} is expected")
    return STAGED[number]()

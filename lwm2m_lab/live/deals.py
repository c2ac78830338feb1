"""Failures that are dealt: each kind a world that is never the same twice, in names, addresses, versions and sizes.

A deal is a run with its truth. What a capture of it shows, and whether it can be told at all, is for others to say.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.image import image
from lwm2m_lab.live.link import Link
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.procedure import ServerOptions
from lwm2m_lab.live.run import Run
from lwm2m_lab.live.staged import Stage, together
from lwm2m_lab.live.world import Addresses
from lwm2m_lab.trace.capture import Capture

__all__ = ["KINDS", "Deal", "Kind", "deal"]

#: The networks kept for documentation (RFC 5737), and what devices are called.
_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")
_THINGS = ("meter", "valve", "tracker", "lamp", "gate", "pump", "sensor", "charger")
#: Seconds in which an exam's captures may begin.
_YEAR = 300 * 86_400
#: How often a kind that needs luck is tried.
_TRIES = 60


@dataclass(frozen=True)
class Kind:
    """A kind of failure.

    Attributes
    ----------
    about : str
        What happens, for the key.
    layer, who : str
        Where it comes from and who it is, in the words of the failure clinic.
    stage : callable
        Makes the world out of a plain one.
    happened : callable
        Whether a run shows it; a kind that needs luck is tried with other seeds until it does.
    """

    about: str
    layer: str
    who: str
    stage: Callable[[Stage, random.Random], Stage]
    happened: Callable[[Run], bool] = lambda run: True


@dataclass(frozen=True)
class Deal:
    """What one student gets, with the truth.

    Attributes
    ----------
    name : str
    kind : Kind
    stage : Stage
    run : Run
    capture : Capture
        What is handed out: as a tap before the servers has it, without comments.
    """

    name: str
    kind: Kind
    stage: Stage
    run: Run
    capture: Capture


def deal(name: str, seed: int | str) -> Deal:
    """One failure of a kind; same kind and seed, same bytes.

    Raises
    ------
    BadInput
        For a kind that there is not.

    Examples
    --------
    >>> dealt = deal("not found", 7)
    >>> dealt.run.report.outcome
    'failed'
    """
    if name not in KINDS:
        raise BadInput(f"no failure is named {name!r}; one of {', '.join(KINDS)} is expected")
    dice = random.Random(f"{name}/{seed}")
    wanted = KINDS[name]
    stage = wanted.stage(_plain(dice), dice)
    for _ in range(_TRIES):
        run = stage.run()
        if wanted.happened(run):
            break
        stage = replace(stage, seed=dice.randrange(2**31))
    capture = together([(float(dice.randrange(_YEAR)), run)], name="capture.pcapng")
    return Deal(name, wanted, stage, run, capture)


def _plain(dice: random.Random) -> Stage:
    """A world in which everything goes well, with names and numbers of its own."""
    network = dice.choice(_NETWORKS)
    hosts = dice.sample(range(2, 250), 3)
    device, server, repository = (f"{network}.{host}" for host in hosts)
    major, minor = dice.randint(1, 6), dice.randint(0, 8)
    block_size = dice.choice((256, 512, 1024))
    return Stage(
        image=image(version=f"{major}.{minor + 1}.{dice.randint(0, 9)}", size=dice.randrange(20_000, 60_000)),
        seed=dice.randrange(2**31),
        device=DeviceOptions(
            endpoint=f"urn:dev:{dice.choice(_THINGS)}-{dice.randrange(16**6):06x}",
            firmware_version=f"{major}.{minor}.{dice.randint(0, 9)}",
            install_time=dice.uniform(2, 6),
            reboot_time=dice.uniform(4, 12),
        ),
        link=Link(delay=dice.uniform(0.03, 0.12)),
        server=ServerOptions(block_size=block_size, time_limit=900.0),
        addresses=Addresses((device, dice.randrange(40_000, 60_000)), (server, 5683), (repository, 5683)),
    )


# ---------------------------------------------------------------- changes of a plain world


def _with_fault(*names: str, **options: Any) -> Callable[[Stage, random.Random], Stage]:
    """A device that does something wrong."""

    def changed(stage: Stage, dice: random.Random) -> Stage:
        return replace(stage, device=replace(stage.device, faults=names, **options))

    return changed


def _with_device(**options: Any) -> Callable[[Stage, random.Random], Stage]:
    """A device that is otherwise by the book."""
    return _with_fault(**options)


def _not_found(stage: Stage, dice: random.Random) -> Stage:
    version = stage.image.version
    return replace(stage, path=f"/fw/{version}.bin", asked=f"/firmware/{version}.bin")


def _damaged(stage: Stage, dice: random.Random) -> Stage:
    return replace(stage, image=stage.image.damaged(offset=dice.randrange(1000, stage.image.size - 1000)))


def _same_version(stage: Stage, dice: random.Random) -> Stage:
    return replace(stage, device=replace(stage.device, firmware_version=stage.image.version))


def _cut(stage: Stage, dice: random.Random) -> Stage:
    """The path goes down in the middle of the push, and comes back too late."""
    round_trip = 2 * float(stage.link.delay)  # type: ignore[arg-type]
    middle = (7 + stage.image.size / stage.server.block_size * dice.uniform(0.3, 0.7)) * round_trip
    link = replace(stage.link, outages=[(middle, middle + 150.0)])
    return replace(stage, link=link, server=replace(stage.server, time_limit=240.0))


def _slow(stage: Stage, dice: random.Random) -> Stage:
    return replace(stage, link=Link(delay=dice.uniform(1.3, 1.45)))


def _lossy(stage: Stage, dice: random.Random) -> Stage:
    return replace(stage, link=replace(stage.link, loss=dice.uniform(0.04, 0.08)))


def _was_repaired(run: Run) -> bool:
    return run.succeeded and run.update(0).retransmissions > 1


def _copied(stage: Stage, dice: random.Random) -> Stage:
    server = replace(stage.server, block_size=512)
    return _with_fault("erases-and-writes-twice")(replace(stage, server=server, link=Link(delay=0.05)), dice)


def _not_observed(stage: Stage, dice: random.Random) -> Stage:
    return replace(stage, server=replace(stage.server, observes_again=False))


def _no_room(stage: Stage, dice: random.Random) -> Stage:
    return replace(stage, device=replace(stage.device, storage=stage.image.size // 2))


def _mixed(stage: Stage, dice: random.Random) -> Stage:
    """The file is replaced while the download rests."""
    size = 80_000
    old, version = image(version=stage.image.version, size=size), stage.image.version
    new = image(version=f"{version.rpartition('.')[0]}.{int(version.rpartition('.')[2]) + 1}", size=size)
    device = replace(stage.device, faults=("resumes-by-number",), resume_attempts=1)
    # Some fifty of a hundred and sixty blocks, each in a round trip of a tenth of a second.
    begins = dice.uniform(5.0, 8.0)
    return replace(
        stage,
        image=old,
        path="/fw/latest.bin",
        device=device,
        server=replace(stage.server, block_size=512),
        link=Link(delay=0.05, outages=[(begins, begins + 120.0)]),
        replaced=(begins + 50.0, new.data),
    )


#: By name.
KINDS: Mapping[str, Kind] = {
    "not found": Kind(
        "The server writes a Package URI under which the repository has nothing.",
        "Object 5",
        "repository",
        _not_found,
    ),
    "damaged image": Kind(
        "The image is damaged in the repository; the transfer is good.",
        "Object 5",
        "image",
        _damaged,
    ),
    "same version": Kind(
        "The campaign sends the version that runs already.",
        "version",
        "campaign",
        _same_version,
    ),
    "version stays": Kind(
        "The device installs the image and never sets /3/0/3.",
        "version",
        "device",
        _with_fault("keeps-firmware-version"),
    ),
    "result forgotten": Kind(
        "After the reboot the device has forgotten its Update Result.",
        "Object 5",
        "device",
        _with_fault("forgets-result"),
    ),
    "installation fails": Kind(
        "The installation fails; the device says so and keeps the package.",
        "Object 5",
        "nobody",
        _with_device(install_fails=True),
    ),
    "trial reverted": Kind(
        "The new image boots on trial, fails its self-test and is taken back.",
        "Object 5",
        "image",
        _with_device(slots="ab", trial_fails=True),
    ),
    "link cut": Kind(
        "The path goes down in the middle of the push and comes back too late.",
        "message",
        "link",
        _cut,
    ),
    "slow answers": Kind(
        "The round trip is longer than the server's first time-out; nothing is lost.",
        "message",
        "timer",
        _slow,
    ),
    "lossy link": Kind(
        "The link loses datagrams; copies repair it.",
        "message",
        "link",
        _lossy,
        _was_repaired,
    ),
    "copy written": Kind(
        "The device erases its flash before it answers block 0, and writes the copy of that block, too.",
        "message",
        "device",
        _copied,
        lambda run: run.report.outcome == "failed",
    ),
    "not observed": Kind(
        "The server does not observe again after the device has registered again.",
        "registration",
        "server",
        _not_observed,
    ),
    "version on failure": Kind(
        "The installation fails, and /3/0/3 shows the version of the package all the same.",
        "version",
        "device",
        _with_fault("changes-version-on-failure", install_fails=True),
    ),
    "half of each": Kind(
        "The file is replaced during a break, and the device puts both halves together, whatever the ETag.",
        "block-wise",
        "device",
        _mixed,
    ),
    "no room": Kind(
        "The package is larger than the device's storage.",
        "block-wise",
        "campaign",
        _no_room,
    ),
    "success too early": Kind(
        "The device reports success when the download is complete, and the Execute installs nothing.",
        "Object 5",
        "device",
        _with_fault("success-before-execute"),
    ),
    "execute ignored": Kind(
        "The Execute of Update is answered 2.04, and nothing follows.",
        "Object 5",
        "device",
        _with_fault("ignores-execute"),
    ),
    "not registered again": Kind(
        "After the reboot the device does not register again; it trusts its lifetime.",
        "registration",
        "device",
        _with_fault("does-not-register-again"),
    ),
}

"""Which device of a fleet is what: shares of profiles, faults and links, dealt out by a seed."""

from __future__ import annotations

import difflib
import math
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.faults import all_faults
from lwm2m_lab.live.link import LINKS, Link, link_label
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.spec.profiles import PROFILES

__all__ = ["Faults", "Links", "Member", "Profiles", "members", "stage_sizes"]

T = TypeVar("T")
Profiles = str | Sequence[str] | Mapping[str, float]
Faults = Mapping[str, float]
Links = str | Link | Sequence[str | Link] | Mapping[str, float]
#: How far from 1 a sum of shares may be.
_SLACK = 1e-6


@dataclass(frozen=True, slots=True)
class Member:
    """One device of a fleet.

    Attributes
    ----------
    device : DeviceOptions
    link : Link
    link_name : str
    stage : int
        From 1.
    cell : int
        From 1.
    """

    device: DeviceOptions
    link: Link
    link_name: str
    stage: int
    cell: int


def members(
    devices: int | Sequence[DeviceOptions],
    *,
    profiles: Profiles | None,
    faults: Faults | None,
    links: Links | None,
    sizes: Sequence[int],
    cells: int,
    seed: int,
) -> list[Member]:
    """The fleet, device by device, in the order in which they are updated.

    Shares are kept as exactly as whole devices allow; the seed says whose they are, so that each stage is a sample of
    the whole fleet. One device has one fault at the most. Devices are dealt to the cells in turn.

    Parameters
    ----------
    sizes : sequence of int
        Devices of each stage.

    Raises
    ------
    BadInput
        For a name that nothing has, or shares that do not add up.

    Examples
    --------
    >>> shares = {"strict": 0.8, "anjay": 0.2}
    >>> fleet = members(10, profiles=shares, faults=None, links=None, sizes=[10], cells=2, seed=1)
    >>> [one.device.profile for one in fleet].count("anjay"), [one.cell for one in fleet][:3]
    (2, [1, 2, 1])
    """
    number = devices if isinstance(devices, int) else len(devices)
    if isinstance(devices, int):
        dealt = (
            _dealt(
                _shares("profiles", "strict" if profiles is None else profiles, PROFILES), number, f"{seed}/profiles"
            ),
            _dealt(_fault_shares({} if faults is None else faults), number, f"{seed}/faults"),
        )
        width = len(str(number))
        options = [
            DeviceOptions(endpoint=f"urn:dev:{at:0{width}}", profile=profile, faults=(fault,) if fault else ())
            for at, (profile, fault) in enumerate(zip(*dealt, strict=True), 1)
        ]
    else:
        options = _given(devices, profiles, faults)
    paths = _dealt(_link_shares(links), number, f"{seed}/links")
    stages = [stage for stage, size in enumerate(sizes, 1) for _ in range(size)]
    return [
        Member(device, link, name, stage, at % cells + 1)
        for at, (device, (name, link), stage) in enumerate(zip(options, paths, stages, strict=True))
    ]


def stage_sizes(number: int, stages: Sequence[float]) -> list[int]:
    """How many devices each stage adds.

    Parameters
    ----------
    stages : sequence of float
        Shares of the fleet that are updated by the end of each.

    Raises
    ------
    BadInput
        Where they do not rise to 1.

    Examples
    --------
    >>> stage_sizes(150, [0.01, 0.1, 1.0])
    [2, 13, 135]
    """
    given = list(stages) if isinstance(stages, Iterable) and not isinstance(stages, str) else [stages]
    good = all(_is_share(one) and one > 0 for one in given) and given == sorted(set(given)) and given[-1:] == [1]
    if not good:
        raise BadInput(
            f"stages are {stages!r}; shares of the fleet that rise to 1, such as (0.01, 0.1, 1.0), are expected"
        )
    reached = [math.ceil(one * number - _SLACK) for one in given]
    return [after - before for before, after in zip([0, *reached], reached, strict=False)]


def _given(devices: Sequence[DeviceOptions], profiles: Any, faults: Any) -> list[DeviceOptions]:
    """A fleet that the caller has put together."""
    if profiles is not None or faults is not None:
        what = "profiles" if profiles is not None else "faults"
        raise BadInput(
            f"{what} are given beside a list of devices, which have their own; the one or the other is expected"
        )
    wrong = [one for one in devices if not isinstance(one, DeviceOptions)]
    if wrong:
        raise BadInput(f"devices holds {wrong[0]!r}; a number of devices, or lab.DeviceOptions of each, are expected")
    names = [one.endpoint for one in devices]
    if len(set(names)) != len(names):
        again = next(name for at, name in enumerate(names) if name in names[:at])
        raise BadInput(f"two devices have the endpoint name {again!r}; each its own is expected")
    return list(devices)


# ---------------------------------------------------------------- shares


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _shares(what: str, given: Any, known: Collection[str]) -> list[tuple[str, float]]:
    """(name, share): one name, several in equal parts, or a mapping that adds up to 1."""
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, Mapping):
        names = list(given)
        given = {name: 1 / len(names) for name in names}
    for name, share in given.items():
        _need_known(what, name, known)
        if not _is_share(share):
            raise BadInput(f"the share of {name!r} in {what} is {share!r}; a number from 0 to 1 is expected")
    total = math.fsum(given.values())
    if abs(total - 1) > _SLACK:
        raise BadInput(f"the shares in {what} add up to {total:g}; 1 is expected")
    return list(given.items())


def _need_known(what: str, name: Any, known: Collection[str]) -> None:
    if name in known:
        return
    near = difflib.get_close_matches(str(name), known, 1, cutoff=0.0)[0]
    others = f"; {', '.join(known)} are there" if len(known) < 10 else f" of {len(known)}"
    raise BadInput(f"{what} names {name!r}, which is not there; {near!r} is the nearest{others}")


def _fault_shares(faults: Faults) -> list[tuple[str, float]]:
    """(fault, rate); the rest of the devices has none."""
    if not isinstance(faults, Mapping):
        raise BadInput(f"faults are {faults!r}; rates by name, such as {{'forgets-result': 0.02}}, are expected")
    for name, rate in faults.items():
        _need_known("faults", name, all_faults())
        if not _is_share(rate):
            raise BadInput(f"the rate of {name!r} in faults is {rate!r}; a number from 0 to 1 is expected")
    total = math.fsum(faults.values())
    if total > 1 + _SLACK:
        raise BadInput(f"the rates in faults add up to {total:g}; 1 at the most is expected, one fault a device")
    return [*faults.items(), ("", max(1 - total, 0.0))]


def _link_shares(links: Links | None) -> list[tuple[tuple[str, Link], float]]:
    """((name, link), share)."""
    if links is None or isinstance(links, Link):
        usual = links or Link()
        return [((link_label(usual), usual), 1.0)]
    if isinstance(links, str | Mapping):
        return [((name, LINKS[name]()), share) for name, share in _shares("links", links, LINKS)]
    several = list(links)
    for one in several:
        if not isinstance(one, Link):
            _need_known("links", one, LINKS)
    paths = [one if isinstance(one, Link) else LINKS[one]() for one in several]
    if not paths:
        raise BadInput("links holds none; a lab.Link, its name, or several of them are expected")
    return [((link_label(one), one), 1 / len(paths)) for one in paths]


def _dealt(shares: Sequence[tuple[T, float]], number: int, seed: str) -> list[T]:
    """Each value as often as its share says, in an order of the seed's; fractions go to the largest remainders."""
    exact = [share * number for _, share in shares]
    counts = [math.floor(one + _SLACK) for one in exact]
    order = sorted(range(len(shares)), key=lambda at: counts[at] - exact[at])
    for at in order[: number - sum(counts)]:
        counts[at] += 1
    dealt = [value for (value, _), count in zip(shares, counts, strict=True) for _ in range(count)]
    random.Random(seed).shuffle(dealt)
    return dealt

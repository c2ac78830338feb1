"""`campaign()`: one image for thousands of simulated devices, stage by stage, in cells whose capacity they share."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.campaign_run import CampaignRun
from lwm2m_lab.live.cell_world import MOST, CellWorld, StopRule
from lwm2m_lab.live.experiment import as_image, server_options
from lwm2m_lab.live.image import ImageSource
from lwm2m_lab.live.mix import Faults, Links, Profiles, members, stage_sizes
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.requests import Timers
from lwm2m_lab.live.rolling import Crew, Rollout
from lwm2m_lab.live.server_options import ServerOptions
from lwm2m_lab.trace.radio import RadioModel, radio_model
from lwm2m_lab.trace.workers import cores

__all__ = ["campaign"]

#: Devices that a campaign has at the most, if nobody says otherwise.
LARGEST = 20_000
#: Devices on which the time of a larger campaign is measured.
_TRIED = 5
#: Seconds for which the server waits for a download, and for an installation, if nobody says otherwise.
TIME_LIMIT = 300.0


def campaign(
    devices: int | Sequence[DeviceOptions],
    image: ImageSource | None = None,
    *,
    version: str = "2.0.0",
    size: int = 20_000,
    limit: int = 100,
    stages: Sequence[float] = (1.0,),
    stop_at: float | None = None,
    at_least: int = 10,
    profiles: Profiles | None = None,
    faults: Faults | None = None,
    links: Links | None = None,
    cells: int = 1,
    cell_rate: float | Mapping[str, float] = math.inf,
    delivery: Literal["push", "pull"] = "push",
    server: ServerOptions | None = None,
    ack_timeout: float = 2.0,
    max_retransmit: int = 4,
    seed: int = 1,
    captures: int | Sequence[str] = 20,
    model: str | RadioModel = "nb-iot",
    workers: int | None = None,
    client: Any = None,
    most: int = LARGEST,
) -> CampaignRun:
    """Update a fleet on simulated time: so many devices at once, stage by stage, until all are done or too many failed.

    The devices of one cell share its capacity (`lwm2m_lab.live.cell` states the model), and one cell is one simulated
    world; several cells are spread over the cores, or over a cluster. Same arguments, same result, whatever the number
    of workers. A stage begins when every update of the one before it has ended. A device at rest sends nothing: it
    comes to life when its turn comes, registers, and leaves when the server has concluded.

    Parameters
    ----------
    devices : int or sequence of DeviceOptions
        How many, named ``urn:dev:1`` on; or each as you like it.
    image, version, size
        As of `push`.
    limit : int
        Updates that run at the same time, in all cells together.
    stages : sequence of float
        Shares of the fleet that are updated by the end of each stage: ``(0.01, 0.1, 1.0)``.
    stop_at : float, optional
        The share of failures, among all updates that have ended, above which no further update begins; those under
        way go on. Failures are the outcomes ``failed``, ``unfinished`` and ``undecided``.
    at_least : int
        Updates that have to have ended before `stop_at` is asked.
    profiles : str, sequence or mapping
        ``"anjay"``, several in equal parts, or shares that add up to 1: ``{"strict": 0.8, "anjay": 0.2}``.
    faults : mapping of str to float
        Rates of what devices do wrong (`lwm2m_lab.live.faults`): ``{"forgets-result": 0.02}``.
    links : Link, str, sequence or mapping
        What lies between a device and its cell: one, several in equal parts, or shares by name:
        ``{"nb_iot": 0.9, "nb_iot_poor": 0.1}``.
    cells : int
        Devices are dealt to them in turn, the limit is divided among them.
    cell_rate : float or mapping of {"up", "down"} to float
        Bits a second that all devices of one cell have together.
    delivery : {"push", "pull"}
    server : ServerOptions, optional
        How the updates are carried through; by default one waits 300 s for a download, and for an installation.
    ack_timeout, max_retransmit
        Transmission parameters of all (RFC 7252, 4.8).
    seed : int
        Says which device is what, and throws all dice.
    captures : int or sequence of str
        Of so many devices that did not succeed, the first of each cell and stage, the capture is kept, so that the
        analyser says why; or of these devices. Any other can be had afterwards: `CampaignRun.run`.
    model : {"nb-iot", "lte-m"} or RadioModel
        Of the devices' radio, for `energy_j`.
    workers : int, optional
        Processes; as many as there are cores by default, and never more than `cells`.
    client : dask.distributed.Client, optional
        A cluster to run on instead. Needs ``pip install 'lwm2m-lab[dask]'``.
    most : int
        More devices than that are refused, with the time that they would take.

    Returns
    -------
    CampaignRun

    Raises
    ------
    BadInput
        For an argument out of range, shares that do not add up, a rule that can never stop anything.

    Examples
    --------
    >>> done = campaign(20, size=3000, limit=5, faults={"keeps-firmware-version": 0.1})
    >>> done.sentence
    '18 of 20 devices updated in 50 s, 2 failed'
    >>> done.causes[["cause", "devices"]].values.tolist()
    [['V1 after success /3/0/3 is the version of the installed image', 2]]
    """
    number = _number_of(devices)
    _need_whole("limit", limit, 1)
    _need_whole("cells", cells, 1)
    _need_whole("most", most, 1)
    _need_whole("seed", seed, None)
    package, chosen, timers = (
        as_image(image, version, size),
        _server(server),
        Timers(ack_timeout=ack_timeout, max_retransmit=max_retransmit),
    )
    if delivery not in ("push", "pull"):
        raise BadInput(f"delivery is {delivery!r}; 'push' or 'pull' is expected")
    kept, named = _captures(captures)
    crew = _crew(workers, client, cells)
    prototype = CellWorld(
        members=(), image=package, pulls=delivery == "pull", server=chosen, timers=timers, limit=limit,
        rate=_rates(cell_rate), captures=kept, chosen=named, model=radio_model(model),
    )  # fmt: skip
    if number > most:
        _refuse(number, most, prototype, crew, cells)
    if not cells <= limit:
        raise BadInput(
            f"limit is {limit} and there are {cells} cells; one update at once in each cell at least is expected"
        )
    if -(-number // cells) > MOST:
        raise BadInput(
            f"one cell would have {-(-number // cells)} devices; {MOST} at the most, or more cells, are expected"
        )
    sizes = stage_sizes(number, stages)
    rule = _rule(stop_at, at_least, number, limit, sizes)
    fleet = members(devices, profiles=profiles, faults=faults, links=links, sizes=sizes, cells=cells, seed=seed)
    unknown = named - {one.device.endpoint for one in fleet}
    if unknown:
        raise BadInput(
            f"captures names {min(unknown)!r}; endpoint names such as {fleet[0].device.endpoint!r} are expected"
        )
    return Rollout(fleet, sizes, rule, prototype, crew, cells=cells, seed=seed).run()


# ---------------------------------------------------------------- what was asked for


def _number_of(devices: int | Sequence[DeviceOptions]) -> int:
    if isinstance(devices, Sequence) and not isinstance(devices, str | bytes) and len(devices):
        return len(devices)
    if isinstance(devices, bool) or not isinstance(devices, int) or devices < 1:
        raise BadInput(
            f"devices is {devices!r}; a whole number of 1 or more, or lab.DeviceOptions of each, are expected"
        )
    return devices


def _need_whole(name: str, value: object, least: int | None) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
        raise BadInput(
            f"{name} is {value!r}; a whole number{'' if least is None else f' of {least} or more'} is expected"
        )


def _server(server: ServerOptions | None) -> ServerOptions:
    if server is None:
        return server_options("simulated", 1024, None, TIME_LIMIT)
    if not isinstance(server, ServerOptions):
        raise BadInput(f"server is {server!r}; ServerOptions of lwm2m_lab.live.server_options are expected")
    return server


def _rates(given: float | Mapping[str, float]) -> dict[str, float]:
    both = dict(given) if isinstance(given, Mapping) else {"up": given, "down": given}
    good = all(isinstance(one, int | float) and not isinstance(one, bool) and one >= 1 for one in both.values())
    if set(both) != {"up", "down"} or not good:
        raise BadInput(
            f"cell_rate is {given!r}; bits a second, 1 or more, once or for both 'up' and 'down', are expected"
        )
    return both


def _captures(given: int | Sequence[str]) -> tuple[int, frozenset[str]]:
    if isinstance(given, Sequence) and not isinstance(given, str):
        return 0, frozenset(map(str, given))
    _need_whole("captures", given, 0)
    assert isinstance(given, int)
    return given, frozenset()


def _rule(stop_at: float | None, at_least: int, number: int, limit: int, sizes: Sequence[int]) -> StopRule | None:
    """The stop rule, if it can stop anything at all."""
    if stop_at is None:
        return None
    if isinstance(stop_at, bool) or not isinstance(stop_at, int | float) or not 0 <= stop_at < 1:
        raise BadInput(
            f"stop_at is {stop_at!r}; a share of failures from 0 to below 1 is expected, for no more than all can fail"
        )
    _need_whole("at_least", at_least, 1)
    reached = 0
    for size in sizes:
        # When the last of `at_least` ends, so many have begun: all of the stage's, or what the limit lets be under way.
        begun = reached + min(size, max(at_least - reached, 1) - 1 + limit)
        reached += size
        if at_least <= reached and begun < number:
            return StopRule(float(stop_at), at_least)
    raise BadInput(
        f"the stop rule can never stop anything: {at_least} updates have to have ended (at_least), and by then all "
        f"{number} have begun; a smaller at_least or limit, or a first stage, is expected"
    )


def _refuse(number: int, most: int, prototype: CellWorld, crew: Crew, cells: int) -> None:
    """Say how long so many would take, from a few of them."""
    tried = members(_TRIED, profiles=None, faults=None, links=None, sizes=[_TRIED], cells=1, seed=1)
    began = time.perf_counter()
    dataclasses.replace(prototype, members=tried, chosen=frozenset(), rate=_rates(math.inf)).run()
    seconds = (time.perf_counter() - began) / _TRIED * number / min(crew.workers, cells)
    raise BadInput(
        f"{number} devices would take about {span(seconds)} on {min(crew.workers, cells)} of this machine's cores; "
        f"{most} devices at the most, or most={number} if that is meant, are expected"
    )


def span(seconds: float) -> str:
    """A time in words.

    Examples
    --------
    >>> span(3), span(86_400 * 40)
    ('3 seconds', '40 days')
    """
    for unit, length in (("years", 31_557_600), ("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 1):.0f} seconds"


def _crew(workers: int | None, client: Any, cells: int) -> Crew:
    if workers is not None:
        _need_whole("workers", workers, 1)
    return Crew(min(cores() if workers is None else workers, cells), client)

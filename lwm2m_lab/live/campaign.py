"""A campaign: one image for many devices, so many at once, each with its report."""

from __future__ import annotations

import asyncio
import collections
import html
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.choosing import Offers
from lwm2m_lab.live.image import FirmwareImage
from lwm2m_lab.live.procedure import update_device
from lwm2m_lab.live.report import Report
from lwm2m_lab.live.requests import Requester
from lwm2m_lab.live.server import Registrar
from lwm2m_lab.live.server_options import ServerOptions

__all__ = ["Campaign", "Progress", "run_campaign"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of a campaign.

    Attributes
    ----------
    endpoint : str
    report : Report or None
        None where its update begins.
    done, total : int
        Devices.
    """

    endpoint: str
    report: Report | None
    done: int
    total: int


@dataclass(frozen=True)
class Campaign:
    """What became of each device; prints as a table.

    Attributes
    ----------
    reports : tuple of Report
        In the order of the endpoints that were named.
    """

    reports: tuple[Report, ...]

    @property
    def outcomes(self) -> Mapping[str, int]:
        """How many devices ended how.

        Examples
        --------
        >>> Campaign((Report("succeeded", "so"), Report("failed", "so"), Report("succeeded", "so"))).outcomes
        {'failed': 1, 'succeeded': 2}
        """
        return dict(sorted(collections.Counter(one.outcome for one in self.reports).items()))

    @property
    def succeeded(self) -> bool:
        """Whether every device succeeded."""
        return all(one.outcome == "succeeded" for one in self.reports)

    def __str__(self) -> str:
        lines = [f"{len(self.reports)} devices: " + ", ".join(f"{n} {name}" for name, n in self.outcomes.items())]
        return "\n".join(
            [*lines, *(f"{one.endpoint}  {one.outcome}: {one.sentence}{_chosen(one)}" for one in self.reports)]
        )

    def _repr_html_(self) -> str:
        cells = ((one.endpoint, one.outcome, f"{one.duration:.1f}", one.sentence) for one in self.reports)
        rows = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in line)}</tr>" for line in cells)
        head = "".join(f"<th>{name}</th>" for name in ("endpoint", "outcome", "seconds", "why"))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _chosen(report: Report) -> str:
    return f" ({report.chosen})" if report.chosen else ""


async def run_campaign(
    server: Registrar,
    requester: Requester,
    endpoints: Collection[str],
    image: FirmwareImage,
    options: ServerOptions,
    *,
    at_once: int = 10,
    uri: str | None = None,
    auto: bool = False,
    offers: Offers | None = None,
    told: Callable[[Progress], None] = lambda _: None,
) -> Campaign:
    """Update many devices.

    Parameters
    ----------
    endpoints : collection of str
        Who is updated; one that is not registered is waited for, as long as the options' time limit.
    at_once : int
        How many updates run at the same time.
    uri, auto, offers
        As of `update_device`.
    told : callable
        Told when an update begins and when it has ended.

    Raises
    ------
    BadInput
        For `at_once` below 1, or an endpoint that is named twice.
    """
    if at_once < 1:
        raise BadInput(f"at_once is {at_once!r}; 1 or more is expected")
    names = list(endpoints)
    if len(set(names)) != len(names):
        raise BadInput("an endpoint is named twice; each once is expected")
    room, done = asyncio.Semaphore(at_once), 0

    async def update(endpoint: str) -> Report:
        nonlocal done
        async with room:
            told(Progress(endpoint, None, done, len(names)))
            report = await update_device(server, requester, endpoint, image, options, uri=uri, auto=auto, offers=offers)
            done += 1
            told(Progress(endpoint, report, done, len(names)))
            return report

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(update(one)) for one in names]
    return Campaign(tuple(task.result() for task in tasks))

"""`CampaignRun`: one finished campaign of many devices, as tables, on one screen, as a dashboard, device by device."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.cell_world import FAILURES, Course, StopRule
from lwm2m_lab.live.image import FirmwareImage
from lwm2m_lab.live.requests import Timers
from lwm2m_lab.live.run import Run
from lwm2m_lab.spec.objects import State
from lwm2m_lab.trace.fleet_tables import STATE_NAMES, causes_table, counts_over_time, devices_table, queue_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["CampaignRun", "StageRan"]

#: Causes that the screen has room for.
_SHOWN = 6


@dataclass(frozen=True, slots=True)
class StageRan:
    """One stage.

    Attributes
    ----------
    number, devices, begun, succeeded, failed : int
        Which, how many belong to it, and what came of them.
    began_s, ended_s : float
        Seconds of the campaign.
    """

    number: int
    devices: int
    begun: int
    succeeded: int
    failed: int
    began_s: float
    ended_s: float


@dataclass(frozen=True, kw_only=True)
class CampaignRun:
    """One finished campaign.

    Attributes
    ----------
    image : FirmwareImage
    delivery : {"push", "pull"}
    limit, cells : int
    cell_rate : mapping of {"up", "down"} to float
        Bits a second.
    rule : StopRule or None
    stages : tuple of StageRan
        Those that were begun, and the one in which it stopped.
    stopped_s : float or None
        Second at which the stop rule held.
    seed : int
    timers : Timers
        Of all senders.
    """

    image: FirmwareImage
    delivery: str
    limit: int
    cells: int
    cell_rate: Mapping[str, float]
    rule: StopRule | None
    stages: tuple[StageRan, ...]
    stopped_s: float | None
    seed: int
    timers: Timers
    rows: tuple[dict[str, Any], ...] = field(repr=False)
    courses: Mapping[str, Course] = field(repr=False)
    slices: tuple[tuple[float, int, Sequence[float]], ...] = field(repr=False)
    open: Callable[[str], Run] = field(repr=False)

    # ---------------------------------------------------------------- tables

    @functools.cached_property
    def devices(self) -> pd.DataFrame:
        """One row a device, in the order of the campaign.

        ``endpoint``, ``stage``, ``cell``, ``profile``, ``fault``, ``link``; ``outcome`` as the server knows it, or
        ``"not begun"``; ``cause`` and ``cause_from`` (``"analyser"`` where the device's capture is kept, else
        ``"Update Result"`` or, where there is none, ``"server"``); ``update_result`` in the end; ``firmware_before``
        and ``firmware_after`` as the server read them, and ``firmware_runs``, which is the truth; ``began_s``,
        ``ended_s`` and ``duration_s`` in simulated seconds; ``retransmissions``, ``datagrams``, ``lost``,
        ``bytes_on_air`` of IP packets, ``energy_j`` by the radio model; ``captured``; ``sentence``.
        """
        return devices_table(self.rows)

    @functools.cached_property
    def states(self) -> pd.DataFrame:
        """How many devices are where from one change to the next: ``time_s``, and the names of `STATE_NAMES`.

        A device waits until its turn comes, then is in one of the four States of Object 5 as it knows itself, until
        the server has concluded.
        """
        changes = []
        for row in self.rows:
            course = self.courses.get(row["endpoint"])
            if course is None:
                continue
            was = "waiting"
            for time_s, state, _ in course.steps:
                if time_s >= row["ended_s"]:
                    break
                changes.append((time_s, was, was := str(State(state))))
            changes.append((row["ended_s"], was, "succeeded" if row["outcome"] == "succeeded" else "not succeeded"))
        return counts_over_time(STATE_NAMES, {"waiting": len(self.rows)}, changes)

    @functools.cached_property
    def versions(self) -> pd.DataFrame:
        """How many devices run which firmware from one change to the next: ``time_s``, and a column a version.

        What really runs, whether or not a device shows it in ``/3/0/3``.
        """
        changes, start = [], dict[str, int]()
        for row in self.rows:
            course = self.courses.get(row["endpoint"])
            was = row["firmware_runs"] if course is None else course.steps[0][2]
            start[was] = start.get(was, 0) + 1
            for time_s, _, version in () if course is None else course.steps:
                if version != was:
                    changes.append((time_s, was, was := version))
        names = dict.fromkeys([*start, *(became for _, _, became in changes)])
        return counts_over_time(list(names), start, changes)

    @functools.cached_property
    def causes(self) -> pd.DataFrame:
        """What went wrong, the most frequent first: ``cause``, ``cause_from``, ``devices``, ``first`` of them."""
        return causes_table(self.devices)

    @functools.cached_property
    def queue(self) -> pd.DataFrame:
        """The cells' queues second by second: ``wait_up_s``, ``wait_down_s``, ``bits_up``, ``bits_down``."""
        return queue_table(self.slices)

    # ---------------------------------------------------------------- answers

    @property
    def outcomes(self) -> dict[str, int]:
        """How many devices ended how."""
        counts = self.devices["outcome"].value_counts()
        return {str(name): int(count) for name, count in sorted(counts.items())}

    @property
    def seconds(self) -> float:
        """Simulated, until the last conclusion."""
        return max((one.ended_s for one in self.stages), default=0.0)

    @property
    def sentence(self) -> str:
        """How it went, in one sentence."""
        begun = [one for one in self.rows if one["outcome"] != "not begun"]
        failed = sum(one["outcome"] in FAILURES for one in begun)
        good = sum(one["outcome"] == "succeeded" for one in begun)
        if self.stopped_s is not None and self.rule is not None:
            return (
                f"stopped in stage {self.stages[-1].number} after {self.stopped_s:.0f} s, more than "
                f"{self.rule.rate:.0%} had failed: {good} of {len(self.rows)} devices updated, {failed} failed, "
                f"{len(self.rows) - len(begun)} not begun"
            )
        others = len(begun) - good - failed
        more = f", {others} neither" if others else ""
        return f"{good} of {len(self.rows)} devices updated in {self.seconds:.0f} s, {failed} failed{more}"

    def run(self, endpoint: str) -> Run:
        """One device's update as a `Run`: its capture to be opened and explained, and the truth beside it.

        It is there at once where ``captured`` says so; else its cell is run again, which gives the same bytes.

        Raises
        ------
        BadInput
            For a name that no device has, or one whose update was not begun.

        Examples
        --------
        >>> import lwm2m_lab as lab
        >>> print(lab.campaign(3, size=2000).run("urn:dev:2").explain().sentence)
        urn:dev:2: the push of 2000 bytes (frames 13 to 34) succeeded: /3/0/3 went from 1.0.0 to 2.0.0, the version ...
        """
        found = next((row for row in self.rows if row["endpoint"] == endpoint), None)
        if found is None:
            known = ", ".join(row["endpoint"] for row in self.rows[:3])
            raise BadInput(f"no device of the campaign is named {endpoint!r}; one of {known}, ... is expected")
        if found["outcome"] == "not begun":
            raise BadInput(f"the update of {endpoint} was not begun; a device that has an outcome is expected")
        return self.open(endpoint)

    def plot(self) -> Figure:
        """Draw the dashboard: states and versions over time, the queue, failures by cause."""
        from lwm2m_lab.show.campaign_board import campaign_board

        figure: Figure = campaign_board(self)
        return figure

    # ---------------------------------------------------------------- the screen

    def _head(self) -> str:
        cells = "1 cell" if self.cells == 1 else f"{self.cells} cells"
        rates = {way: rate for way, rate in self.cell_rate.items() if rate < float("inf")}
        shared = f" of {'/'.join(f'{rate / 1000:g}' for rate in dict.fromkeys(rates.values()))} kbit/s" if rates else ""
        return (
            f"{self.delivery} of {self.image.version}, {self.image.size} bytes, to {len(self.rows)} devices in "
            f"{cells}{shared}, {self.limit} at once"
        )

    def _stage_lines(self) -> Iterator[tuple[str, ...]]:
        yield "stage", "devices", "begun", "succeeded", "failed", "from s", "to s"
        for one in self.stages:
            counts = one.number, one.devices, one.begun, one.succeeded, one.failed
            yield (*map(str, counts), f"{one.began_s:.0f}", f"{one.ended_s:.0f}")

    def _notes(self) -> Iterator[str]:
        begun = self.devices[self.devices["outcome"] != "not begun"]
        if len(begun):
            yield (
                f"a device took {begun['duration_s'].median():.0f} s, {begun['bytes_on_air'].median():.0f} bytes on "
                f"the air and {begun['energy_j'].median():.1f} J (medians); {int(begun['retransmissions'].sum())} "
                "requests were sent again"
            )
        if len(self.queue) and min(self.cell_rate.values()) < float("inf"):
            wait = max(self.queue["wait_up_s"].max(), self.queue["wait_down_s"].max())
            yield f"the longest wait in a cell's queue was {wait:.1f} s"
        last = self.versions.iloc[-1].drop("time_s")
        yield "running in the end: " + ", ".join(f"{name} on {int(count)}" for name, count in last.items() if count)

    def _cause_lines(self) -> Iterator[tuple[str, str, str]]:
        table = self.causes
        for one in table.head(_SHOWN).itertuples():
            yield str(one.devices), f"{one.cause} ({one.cause_from})", f"first {one.first}"
        if len(table) > _SHOWN:
            yield str(int(table["devices"].iloc[_SHOWN:].sum())), f"{len(table) - _SHOWN} more causes", ""

    def __str__(self) -> str:
        lines = [f"{self._head()}: {self.sentence}"]
        lines += ["  " + "".join(f"{cell:>10}" for cell in line) for line in self._stage_lines()]
        lines += [f"  {note}" for note in self._notes()]
        causes = list(self._cause_lines())
        lines += ["  what went wrong:"] * bool(causes)
        lines += [f"  {count:>6}  {cause}{f', {first}' if first else ''}" for count, cause, first in causes]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        head, *rest = self._stage_lines()
        parts = [
            f"<p><b>{html.escape(self.sentence)}</b><br>{html.escape(self._head())}</p>",
            _table(head, rest),
            f"<p>{'<br>'.join(map(html.escape, self._notes()))}</p>",
        ]
        causes = list(self._cause_lines())
        if causes:
            parts.append(_table(("devices", "what went wrong", ""), causes))
        return "".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines of text as a table of HTML."""
    top = "".join(f"<th>{html.escape(one)}</th>" for one in head)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(one)}</td>' for one in line)}</tr>" for line in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"

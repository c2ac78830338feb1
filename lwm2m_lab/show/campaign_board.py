"""The dashboard of a campaign: states and versions over time, the cells' queues, what went wrong."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lwm2m_lab.show.style import COLOURS, STATE_COLOURS, new_figure

if TYPE_CHECKING:
    from lwm2m_lab.live.campaign_run import CampaignRun

__all__ = ["campaign_board"]

#: Versions other than the campaign's, the one that most devices began with first.
_OLD = (COLOURS["faint"], COLOURS["package"], COLOURS["again"], COLOURS["progress"])
#: Causes that have a bar of their own, and letters of their names.
_BARS, _LETTERS = 6, 110
#: A legend beside the picture, where it covers nothing.
_OUTSIDE: dict[str, Any] = {"fontsize": 8, "frameon": False, "loc": "upper left", "bbox_to_anchor": (1.0, 1.02)}
_SOURCES = {"analyser": COLOURS["result"], "Update Result": COLOURS["again"], "server": COLOURS["faint"]}


def campaign_board(run: CampaignRun) -> Figure:
    """Draw a campaign.

    On one time axis, in simulated seconds: where the devices are, stacked; which firmware they run; and, where the
    cells have a rate, the longest wait in a queue of theirs, against ACK_TIMEOUT. Dashed lines are the beginnings of
    stages, a red one is where the stop rule held. Below: what went wrong, on how many devices, and who says so.

    Parameters
    ----------
    run : CampaignRun
        Of `lwm2m_lab.campaign`.
    """
    queued = math.isfinite(min(run.cell_rate.values()))
    causes = run.causes
    bars = min(len(causes), _BARS)
    rows = [2.6, 1.3, *([1.1] if queued else []), 0.3 + 0.5 * bars if bars else 0.1]
    figure, axes = new_figure(height=1.4 + 0.98 * sum(rows), rows=rows, share=False)
    over_time, last = axes[:-1], axes[-1]
    # Room behind the last change, so that what it led to can be seen.
    end = 1.02 * max(run.seconds, 1.0)
    _stacked(over_time[0], run.states, end, STATE_COLOURS)
    over_time[0].set_title(_states_title(run), loc="left", fontsize=9)
    _stacked(over_time[1], run.versions, end, _version_colours(run))
    over_time[1].set_title(_versions_title(run), loc="left", fontsize=9)
    if queued:
        _queue(over_time[2], run)
    for ax in over_time:
        ax.set_xlim(0, end)
        _marks(ax, run)
        ax.tick_params(labelbottom=ax is over_time[-1])
    _label_marks(over_time[0], run, end)
    over_time[-1].set_xlabel("simulated seconds")
    _causes(last, run, bars)
    figure.align_ylabels(over_time)
    words = textwrap.fill(f"Campaign: {run.sentence}", 115)
    figure.suptitle(words, fontsize=10, x=0.01, ha="left")
    return figure


def _stacked(ax: Axes, counts: pd.DataFrame, end: float, colours: dict[str, str]) -> None:
    """Devices on top of one another, as steps; those that are done lie at the bottom."""
    names = [name for name in reversed([*colours]) if name in counts and counts[name].any()]
    times = [*counts["time_s"], end]
    levels = [[*counts[name], counts[name].iloc[-1]] for name in names]
    ax.stackplot(times, *levels, colors=[colours[name] for name in names], labels=names, step="post", linewidth=0)
    ax.set_ylim(0, max(1, int(counts[names].iloc[0].sum())))
    ax.set_ylabel("devices")
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], labels[::-1], handlelength=1.0, **_OUTSIDE)


def _version_colours(run: CampaignRun) -> dict[str, str]:
    """Green is the campaign's version, grey what most of the others run."""
    old = [str(name) for name in run.versions.columns if name not in ("time_s", run.image.version)]
    return {name: _OLD[at % len(_OLD)] for at, name in enumerate(old)} | {run.image.version: COLOURS["firmware"]}


def _states_title(run: CampaignRun) -> str:
    states = run.states
    under_way = int(states.iloc[:, 2:6].sum(axis=1).max())
    return f"Where the devices are: {under_way} under way at the most, the limit is {run.limit}"


def _versions_title(run: CampaignRun) -> str:
    last = run.versions.iloc[-1]
    new = int(last.get(run.image.version, 0))
    good = run.outcomes.get("succeeded", 0)
    apart = "" if new == good else f"; the server knows of {good}"
    return f"Which firmware runs: {run.image.version} on {new} of {len(run.rows)} in the end{apart}"


def _queue(ax: Axes, run: CampaignRun) -> None:
    """The longest wait in each second, in the worst of the cells; a queue that gets nothing more empties."""
    worst = run.queue.groupby("time_s")[["wait_down_s", "wait_up_s"]].max()
    longest, timeout = float(worst.to_numpy().max()), run.timers.ack_timeout
    for name, colour, label in (("wait_down_s", "state", "to devices"), ("wait_up_s", "again", "from devices")):
        times, waits = _emptying(worst[name])
        style: dict[str, Any] = {"color": COLOURS[colour], "alpha": 0.75, "linewidth": 0}
        ax.fill_between(times, waits, step="post", label=label, **style)
    ax.axhline(timeout, color=COLOURS["result"], linewidth=1.2, label="ACK_TIMEOUT")
    ax.set_ylim(0, max(1.15 * longest, 1.3 * timeout))
    ax.set_ylabel("wait, s")
    again = int(run.devices["retransmissions"].sum())
    sent = "nothing is" if not again else "1 request is" if again == 1 else f"{again} requests are"
    ax.set_title(f"The cell's queue: {longest:.1f} s at the longest, {sent} sent again", loc="left", fontsize=9)
    ax.legend(handlelength=1.0, **_OUTSIDE)


def _emptying(waits: pd.Series) -> tuple[list[float], list[float]]:
    """The waits, with those of the seconds between in which nothing came."""
    times, heights = list[float](), list[float]()
    for time_s, wait in zip(waits.index, waits, strict=True):
        while times and times[-1] + 1 < time_s - 0.5:
            times.append(times[-1] + 1 if heights[-1] else time_s - 1)
            heights.append(max(heights[-1] - 1, 0.0))
        times.append(time_s)
        heights.append(max(wait, heights[-1] - 1) if heights else wait)
    return [*times, times[-1] + 1], [*heights, 0.0]


def _marks(ax: Axes, run: CampaignRun) -> None:
    for stage in run.stages[1:]:
        ax.axvline(stage.began_s, color=COLOURS["event"], linewidth=0.9, linestyle=(0, (4, 3)))
    if run.stopped_s is not None:
        ax.axvline(run.stopped_s, color=COLOURS["result"], linewidth=1.6)


def _label_marks(ax: Axes, run: CampaignRun, end: float) -> None:
    """Names of the lines, at their right inside the top; that of a stage only where it covers no other."""
    marks = [(stage.began_s, f"stage {stage.number}", "event") for stage in run.stages[1:]]
    if run.stopped_s is not None:
        marks.append((run.stopped_s, "stopped", "result"))
    free = end
    for time_s, words, colour in reversed(marks):
        width = 0.015 * len(words) * end
        fits = time_s + width <= free
        if not fits and words != "stopped":
            continue
        ax.annotate(
            words, (time_s, 0.97), xycoords=("data", "axes fraction"), xytext=(3 if fits else -3, 0), va="top",
            textcoords="offset points", ha="left" if fits else "right", fontsize=8, color=COLOURS[colour],
            fontweight="bold",
        )  # fmt: skip
        free = time_s if fits else time_s - width


def _causes(ax: Axes, run: CampaignRun, bars: int) -> None:
    """A bar a cause; its colour is who says so."""
    causes = run.causes.head(bars)
    if not len(causes):
        ax.axis("off")
        ax.set_title("What went wrong: nothing", loc="left", fontsize=9)
        return
    places, most = range(len(causes)), int(causes["devices"].iloc[0])
    drawn = ax.barh(places, causes["devices"], color=[_SOURCES[one] for one in causes["cause_from"]], height=0.4)
    ax.bar_label(drawn, fontsize=8, padding=3)
    for place, words in zip(places, causes["cause"], strict=True):
        ax.text(
            0.004 * most, place - 0.27, textwrap.shorten(words, _LETTERS, placeholder=" …"), fontsize=8, va="bottom"
        )
    ax.set_yticks([])
    ax.set_ylim(len(causes) - 0.7, -0.85)
    ax.set_xlabel("devices")
    ax.set_xlim(0, 1.12 * causes["devices"].max())
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for name in dict.fromkeys(causes["cause_from"]):
        ax.barh([0], [0], color=_SOURCES[name], label=f"says the {name}")
    ax.legend(handlelength=1.0, **_OUTSIDE)
    total = int(run.causes["devices"].sum())
    more = f" (the {bars} most frequent of {len(run.causes)} causes)" if len(run.causes) > bars else ""
    ax.set_title(f"What went wrong: {most} of {total} have the same first cause{more}", loc="left", fontsize=9)

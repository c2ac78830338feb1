"""The version chart: State, Update Result, PkgVersion and Firmware Version over one time axis, progress under them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.scene import copies_of
from lwm2m_lab.show.style import CARD, COLOURS, STATE_COLOURS, new_figure
from lwm2m_lab.spec.objects import State, UpdateResult

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture
    from lwm2m_lab.trace.updates import Update

__all__ = ["version_chart"]

#: Height of a picture for each unit of its bands: 5.6 inches for the four of every capture.
_INCHES = 5.6 / 6.8
#: A sighting stands for itself; between two sightings the value is only assumed.
_SIGHTING: dict[str, Any] = {"marker": "o", "markersize": 4, "linestyle": "none"}
#: Words by which a line of a log complains.
_COMPLAINT = re.compile(r"\b(?:err(?:or)?|warn(?:ing)?|wrn|fail(?:ed|ure)?|fatal|panic|timeout|E|W)\b", re.IGNORECASE)
_VERSIONS = (
    ("/5/0/7", "PkgVersion /5/0/7", "package"),
    ("/3/0/3", "Firmware Version /3/0/3", "firmware"),
)


def version_chart(capture: Capture, *, endpoint: str | None = None, progress: bool = True) -> Figure:
    """Draw how an endpoint's versions changed.

    Four bands share one time axis (seconds since the first message): State as steps, Update Result, the two versions
    told apart by colour and label, and the bytes of the image delivered, with what was sent again marked. Dots are
    sightings; the line between them is assumed. Registrations and Executes are vertical lines. Logs that were laid
    beside the capture have a band of their own.

    Parameters
    ----------
    capture : Capture
    endpoint : str, optional
        Which one; the first that is updated, or seen, by default.
    progress : bool
        Whether the image's bytes have their band.

    Raises
    ------
    BadInput
        Where the capture shows no value of that endpoint.
    """
    capture.require_messages()
    name = _endpoint(capture, endpoint)
    timeline = capture.timeline
    own = timeline[timeline["endpoint"] == name]
    shown = (2.2, 1.5, 1.5, *([1.6] if progress else []), *([0.3 + 0.3 * len(capture.logs)] if capture.logs else []))
    figure, axes = new_figure(height=_INCHES * sum(shown), rows=shown)
    last = _end(capture, name, own)
    # Room behind the last sighting, so that the values that hold at the end can be seen and read.
    end = last * 1.12
    _states(axes[0], own[own["path"] == "/5/0/3"], end)
    _results(axes[1], own[own["path"] == "/5/0/5"], end)
    _versions(axes[2], capture, name, own, end)
    if progress:
        _progress(axes[3], capture, name)
    marks = _mark_times(capture, name)
    for ax in axes:
        _marks(ax, marks)
    _label_marks(axes[0], marks)
    if capture.logs:
        _logs(axes[-1], capture, end)
    axes[-1].set_xlabel("seconds since the first message")
    axes[-1].set_xlim(-0.02 * end, end)
    figure.align_ylabels(axes)
    figure.suptitle(_title(capture, name), fontsize=10, x=0.01, ha="left")
    return figure


def _title(capture: Capture, name: str) -> str:
    found = [one for one in capture._updates if one.endpoint == name]
    if not found:
        return f"{name}: no update seen"
    update = found[-1]
    return f"{name}: {update.delivery} {update.outcome}, {_went(update)}, verdict on the device {update.verdict}"


def _went(update: Update) -> str:
    """What became of the version of the firmware."""
    before, after = update.firmware_version_before, update.firmware_version_after
    if after is None:
        return "/3/0/3 never seen" if before is None else f"/3/0/3 was {before}, not seen afterwards"
    if before is None:
        return f"/3/0/3 is {after}"
    if before != after:
        return f"/3/0/3 from {before} to {after}"
    seen = list(update.firmware_versions)
    between = seen[seen.index(before) + 1 : -1] if before in seen else []
    return f"/3/0/3 from {before} to {between[-1]} and back" if between else f"/3/0/3 stays {after}"


def _endpoint(capture: Capture, endpoint: str | None) -> str:
    seen = list(dict.fromkeys(capture.timeline["endpoint"]))
    if endpoint is None:
        updated = [one.endpoint for one in capture._updates]
        if not (updated or seen):
            raise BadInput(f"{capture.name} shows no value of Objects 3 and 5; a capture with readings is expected")
        return str((updated or seen)[0])
    if endpoint not in seen:
        raise BadInput(f"{capture.name} shows no value of {endpoint!r}; one of {', '.join(seen) or 'none'} is expected")
    return endpoint


def _end(capture: Capture, name: str, own: pd.DataFrame) -> float:
    """The last moment at which anybody spoke to or for the endpoint: silence belongs into the picture."""
    table = capture.exchanges
    mine = table[table["endpoint"] == name]
    return float(np.nanmax([own["time"].max(), mine["time"].max(), mine["response_time"].max(), 0.1]))


def _states(ax: Axes, seen: pd.DataFrame, end: float) -> None:
    """State, each of its four values in the colour that it has in every picture."""
    labels = [str(one) for one in State]
    _steps(ax, seen, end, "state", labels, "State\n/5/0/3", colours=[STATE_COLOURS[label] for label in labels])


def _steps(
    ax: Axes,
    seen: pd.DataFrame,
    end: float,
    colour: str,
    labels: Sequence[str],
    title: str,
    *,
    colours: Sequence[str] = (),
) -> None:
    """Numbers as steps between sightings, each held until the next."""
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(-0.4, len(labels) - 0.6)
    ax.set_ylabel(title, color=COLOURS[colour])
    ax.grid(axis="y", color=COLOURS["grid"], linewidth=0.6)
    known = seen[seen["value"].isin(range(len(labels)))]
    times, values = known["time"].tolist(), known["value"].tolist()
    if not times:
        _say(ax, "never seen")
        return
    each = colours or [COLOURS[colour]] * len(labels)
    inks = [each[value] for value in values]
    held: dict[str, Any] = {"linewidth": 1.8, "capstyle": "projecting", "zorder": 2}
    ax.hlines(values, times, [*times[1:], end], colors=inks, **held)
    ax.vlines(times[1:], values[:-1], values[1:], colors=COLOURS["faint"] if colours else inks[1:], linewidth=1.2)
    ax.scatter(times, values, s=16, c=inks, zorder=3)
    for tick, ink in zip(ax.get_yticklabels(), colours or (), strict=False):
        tick.set_color(ink)


def _results(ax: Axes, seen: pd.DataFrame, end: float) -> None:
    """Update Result: only the values that occur, so that 0 and 10 are not ten empty lines apart."""
    values = sorted({0, *(int(value) for value in seen["value"].dropna())})
    known = set(UpdateResult)
    labels = [str(UpdateResult(value)) if value in known else str(value) for value in values]
    compact = seen.assign(value=seen["value"].map({value: at for at, value in enumerate(values)}))
    _steps(ax, compact, end, "result", labels, "Update Result\n/5/0/5")


def _refusals(capture: Capture, name: str, path: str) -> list[tuple[float, str]]:
    """Readings that were answered with an error: 4.04, the resource is not there; 5.03, nothing is served now."""
    table = capture.exchanges
    asked = table[(table["endpoint"] == name) & (table["uri_path"] == path) & (table["code"] == "0.01")]
    answers = zip(asked["response_time"], asked["response_code"], strict=True)
    return [(time, code) for time, code in answers if isinstance(code, str) and code.startswith(("4.", "5."))]


def _versions(ax: Axes, capture: Capture, name: str, own: pd.DataFrame, end: float) -> None:
    """Two lanes, one for each label on the box: a coloured bar for each value, its text inside, 4.04 as a ring.

    Sightings stand on the lower edge of the bar, where they do not cover what is written in it.
    """
    ax.set_ylim(-0.6, 1.6)
    ax.set_yticks([1, 0], [label for _, label, _ in _VERSIONS])
    for tick, (_, _, colour) in zip(ax.get_yticklabels(), _VERSIONS, strict=True):
        tick.set_color(COLOURS[colour])
    ax.tick_params(axis="y", length=0)
    for lane, (path, _, colour) in zip((1, 0), _VERSIONS, strict=True):
        rows = own[own["path"] == path]
        seen = [(time, value) for time, value in zip(rows["time"], rows["value"], strict=True) if not pd.isna(value)]
        absent = _refusals(capture, name, path)
        both = sorted([*seen, *((time, None) for time, _ in absent)], key=lambda one: one[0])
        for start, stop, value in _spans(both, end):
            if value is None:
                continue
            ax.barh(lane, max(stop - start, 0.004 * end), left=start, height=0.62, color=COLOURS[colour], alpha=0.22)
            ax.axvline(start, ymin=0.08 + 0.45 * lane, ymax=0.47 + 0.45 * lane, color=CARD, linewidth=2)
            ax.annotate(
                str(value), (start, lane), xytext=(6, 1), textcoords="offset points", va="center",
                color=COLOURS[colour], fontweight="bold",
            )  # fmt: skip
        low = lane - 0.31
        ax.plot([time for time, _ in seen], [low] * len(seen), color=COLOURS[colour], **_SIGHTING)
        rings = {**_SIGHTING, "markerfacecolor": CARD}
        ax.plot([time for time, _ in absent], [low] * len(absent), color=COLOURS[colour], **rings)
        for code, time in {code: time for time, code in reversed(absent)}.items():
            style: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": 7}
            ax.annotate(code, (time, low), xytext=(0, 5), color=COLOURS["event"], **style)
        if not seen and not absent:
            ax.annotate("never seen", (0, lane), va="center", color=COLOURS["faint"], fontstyle="italic")


def _spans(seen: Sequence[tuple[float, Any]], end: float) -> list[tuple[float, float, Any]]:
    """Runs of one value: from its first sighting to the first of the next."""
    spans: list[tuple[float, float, Any]] = []
    for time, value in seen:
        if not spans or spans[-1][2] != value:
            if spans:
                spans[-1] = (spans[-1][0], time, spans[-1][2])
            spans.append((time, end, value))
    return spans


def _progress(ax: Axes, capture: Capture, name: str) -> None:
    """Bytes of the image by time, and what was sent again."""
    ax.set_ylabel("image, kB", color=COLOURS["event"])
    wanted = {at for one in capture._updates if one.endpoint == name for at in one.evidence.exchanges}
    blocks = pd.DataFrame(capture._blocks)
    blocks = blocks[blocks["_exchange"].isin(wanted)].sort_values("time")
    if not len(blocks):
        _say(ax, "no block of an image seen")
        ax.set_yticks([])
        return
    done = (blocks["offset"] + blocks["length"]) / 1000
    ax.fill_between(blocks["time"], done, step="post", color=COLOURS["progress"], alpha=0.35, linewidth=0)
    ax.plot(blocks["time"], done, color=COLOURS["progress"], drawstyle="steps-post", linewidth=1.2)
    ends = blocks.assign(offset=blocks["offset"] + blocks["length"])
    again = [(time, end / 1000) for time, end in copies_of(capture, ends)]
    if again:
        times, heights = zip(*again, strict=True)
        label = f"sent again, {len(again)} {'copy' if len(again) == 1 else 'copies'}"
        style: dict[str, Any] = {"linestyle": "none", "marker": "x", "markersize": 6, "markeredgewidth": 1.6}
        ax.plot(times, heights, color=COLOURS["again"], **style)
        ax.text(0.99, 0.08, f"× {label}", transform=ax.transAxes, color=COLOURS["again"], ha="right", fontsize=8)
    ax.set_ylim(0, float(done.max()) * 1.15)
    ax.yaxis.set_major_locator(MaxNLocator(3))


def _logs(ax: Axes, capture: Capture, end: float) -> None:
    """A tick for each line of each log, one lane a log; complaints stand out."""
    names = [log.name for log in capture.logs]
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_yticks(range(len(names)), [name if len(name) <= 18 else name[:17] + "…" for name in names])
    ax.tick_params(axis="y", length=0)
    for tick in ax.get_yticklabels():
        tick.set_parse_math(False)
    for lane, log in enumerate(capture.logs):
        table = log.table[log.table["time"].between(-0.02 * end, end)]
        bad = table["text"].str.contains(_COMPLAINT)
        for part, colour in ((table[~bad], "faint"), (table[bad], "result")):
            ax.vlines(part["time"], lane - 0.32, lane + 0.32, color=COLOURS[colour], linewidth=0.9)


def _say(ax: Axes, words: str) -> None:
    style: dict[str, Any] = {"fontstyle": "italic", "ha": "center", "va": "center"}
    ax.text(0.5, 0.5, words, transform=ax.transAxes, color=COLOURS["faint"], **style)


def _mark_times(capture: Capture, name: str) -> list[tuple[float, str]]:
    """Registrations and Executes of Update, with what is written at them."""
    registrations, executes = capture.registrations, capture.executes
    own = registrations[(registrations["endpoint"] == name) & (registrations["operation"] == "register")]
    executed = executes[(executes["endpoint"] == name) & (executes["path"] == "/5/0/2")]
    first_update = min((one.frames[0] for one in capture._updates if one.endpoint == name), default=np.inf)
    marks = [
        (float(time), "registers again (reboot)" if frame > first_update else "registers")
        for frame, time in own[["frame", "time"]].itertuples(index=False)
    ]
    return sorted([*marks, *((float(time), "Execute Update") for time in executed["time"])])


def _marks(ax: Axes, marks: Sequence[tuple[float, str]]) -> None:
    style: dict[str, Any] = {"linewidth": 0.9, "linestyle": (0, (4, 3)), "zorder": 0.5}
    ax.vlines([time for time, _ in marks], 0, 1, transform=ax.get_xaxis_transform(), color=COLOURS["event"], **style)


def _label_marks(ax: Axes, marks: Sequence[tuple[float, str]]) -> None:
    """What the vertical lines are, above the chart; neighbours take turns in height."""
    for number, (time, words) in enumerate(marks):
        ax.annotate(
            words, (time, 1.0), xycoords=("data", "axes fraction"), xytext=(2, 3 + 10 * (number % 2)),
            textcoords="offset points", fontsize=7.5, color=COLOURS["event"],
        )  # fmt: skip

"""The ladder: messages as arrows between lifelines, losses and repetitions told apart, runs of blocks as one line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes

from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.scene import WEB_SERVER, Rung, rungs
from lwm2m_lab.show.style import COLOURS, hide_axes, new_figure
from lwm2m_lab.wire.coap import code_name

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["Rung", "ladder", "rungs"]

#: An answer that refuses, as the label of a line begins with it.
_REFUSAL = re.compile(r"^(?:ACK|CON|NON) ([45]\.\d\d)\b")
#: Characters of a log line that are shown.
LOG_WIDTH = 96


def ladder(
    capture: Capture,
    *,
    endpoint: str | None = None,
    first: int | None = None,
    last: int | None = None,
    frames: Iterable[int] | None = None,
    collapse: bool = True,
    logs: bool = True,
    max_rows: int = 40,
) -> Axes:
    """Draw a part of a capture as a sequence diagram.

    Parameters
    ----------
    max_rows : int
        Lines at the most; what does not fit is counted at the end.
    capture, endpoint, first, last, frames, collapse, logs
        As for `rungs`.

    Raises
    ------
    BadInput
        Where no message is left.
    """
    capture.require_messages()
    found = rungs(capture, endpoint=endpoint, first=first, last=last, frames=frames, collapse=collapse, logs=logs)
    if not found:
        raise BadInput(f"{capture.name} has no message in that part; its table of messages lists the frames")
    shown, rest = found[:max_rows], len(found) - max_rows
    order = sorted({end for one in found if one.kind != "log" for end in (one.source, one.destination)}, key=rank)
    figure, axes = new_figure(height=1.0 + 0.24 * (len(shown) + (rest > 0)))
    ax: Axes = axes[0]
    place = {name: float(at) for at, name in enumerate(order)}
    bottom = len(shown) + 0.6
    for name, x in place.items():
        ax.plot([x, x], [-0.4, bottom], color=COLOURS["faint"], linewidth=1, zorder=0)
        ax.text(x, -0.75, name, ha="center", va="bottom", fontweight="bold")
    for y, rung in enumerate(shown):
        _draw(ax, rung, y, place)
    if rest > 0:
        ax.text(0, bottom, f"… and {rest} lines more", va="center", color=COLOURS["faint"], fontstyle="italic")
    ax.set_ylim(bottom + 0.6, -1.6)
    ax.set_xlim(-0.42, max(place.values(), default=0) + 0.25)
    hide_axes(ax)
    figure.suptitle(f"{capture.name}: {_finding(found)}", fontsize=10, x=0.01, ha="left")
    return ax


def _finding(found: list[Rung]) -> str:
    """How many messages, from when to when, and what became of them."""
    messages = [one for one in found if one.kind != "log"]
    if not messages:
        return "log lines alone"
    lost, again = sum(one.kind == "lost" for one in messages), sum(one.copy for one in messages)
    span = messages[-1].time - messages[0].time
    seconds = f"{span:.1f} s" if round(span, 3) >= 0.1 else f"{1000 * span:.0f} ms"
    told = [f"frames {messages[0].frame} to {messages[-1].frame} in {seconds}"]
    told += [f"{lost} lost"] if lost else []
    told += [f"{again} sent again" if again else "nothing sent again"]
    refused = dict.fromkeys(code for one in messages for code in _REFUSAL.findall(one.label))
    told += [f"refused with {' and '.join(map(code_name, refused))}"] if refused else []
    return ", ".join(told)


def rank(name: str) -> tuple[int, str]:
    """Server, devices, repository from left to right."""
    return ({"server": 0, "repository": 2, WEB_SERVER: 2}.get(name, 1), name)


_COLOUR = {"message": "event", "again": "again", "lost": "result", "run": "faint", "log": "package"}


def _draw(ax: Axes, rung: Rung, y: float, place: dict[str, float]) -> None:
    """One arrow with its label above the line, time and frame at the left; a line of a log across all lifelines."""
    colour = COLOURS[_COLOUR[rung.kind]]
    if rung.kind == "log":
        _draw_log(ax, rung, y)
        return
    ax.text(-0.4, y, f"{rung.time:9.3f} s  #{rung.frame}", va="center", fontsize=8, color=COLOURS["faint"])
    start, stop = place[rung.source], place[rung.destination]
    middle = (start + stop) / 2
    if rung.kind == "run":
        ax.text(middle, y, rung.label, ha="center", va="center", color=colour, fontstyle="italic", fontsize=8.5)
        return
    if rung.kind == "lost":
        # The arrow ends where the datagram did: somewhere on the way.
        stop = start + 0.86 * (stop - start)
        ax.plot([stop], [y + 0.18], marker="x", markersize=7, markeredgewidth=2, color=colour)
    style: dict[str, Any] = {"arrowstyle": "-|>" if rung.kind != "lost" else "-", "color": colour, "linewidth": 1.0}
    if rung.kind == "again":
        style["linestyle"] = "--"
    arrow = ax.annotate("", (stop, y + 0.18), xytext=(start, y + 0.18), arrowprops=style)
    arrow.set_in_layout(False)  # it ends at two lifelines, which are
    words = f"{rung.label}  {rung.note}".rstrip()
    ax.text(middle, y + 0.1, words, ha="center", va="bottom", fontsize=8.5, color=colour)


def _draw_log(ax: Axes, rung: Rung, y: float) -> None:
    """A line of a log: its time, whose it is, what it says; dollar signs are no formula."""
    style: dict[str, Any] = {"va": "center", "fontsize": 7.5, "parse_math": False}
    text = rung.label if len(rung.label) <= LOG_WIDTH else rung.label[: LOG_WIDTH - 1] + "…"
    ax.text(-0.4, y, f"{rung.time:9.3f} s", color=COLOURS["faint"], **style)
    ax.text(-0.02, y, f"{rung.source}: {text}", color=COLOURS["package"], family="DejaVu Sans Mono", **style)

"""Transfers over time: where each block stands in its body, what was sent again, where a transfer began anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.notes import Note, place_notes
from lwm2m_lab.show.scene import copies_of
from lwm2m_lab.show.style import COLOURS, new_figure

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["transfer_chart"]

#: Bodies drawn, the first ones; a picture of more is not read.
MOST = 8
#: A pause this many times the usual one, and this many seconds long, is named.
_PAUSE, _PAUSE_S = 8, 1.0
#: Attempts at one body take turns in colour.
_ATTEMPTS = ("state", "firmware", "package", "result")
_KINDS = {"block1": "pushed to", "block2": "fetched from"}


def transfer_chart(capture: Capture, *, transfers: Sequence[int] | None = None) -> Figure:
    """Draw the offset of each block over time.

    A panel for each body (endpoint, direction, path); its attempts take turns in colour, so that a restart falls back
    to the bottom in another one. Crosses are further copies of a request. A pause is named with its length.

    Parameters
    ----------
    capture : Capture
    transfers : sequence of int, optional
        Their numbers in ``capture.transfers``; all by default.

    Raises
    ------
    BadInput
        Where there is none.
    """
    table = pd.DataFrame(capture.transfers)
    if transfers is not None:
        table = table[table["transfer"].isin(transfers)]
    if not len(table):
        raise BadInput(f"{capture.name} has no transfer there; a capture with a body in blocks is expected")
    bodies = [body for _, body in table.groupby(["endpoint", "kind", "uri_path"], sort=False, dropna=False)]
    shown = bodies[:MOST]
    figure, axes = new_figure(height=1.0 + 2.3 * len(shown), rows=[1] * len(shown))
    notes = [_draw_body(ax, capture, body) for ax, body in zip(axes, shown, strict=True)]
    axes[-1].set_xlabel("seconds since the first message")
    figure.suptitle(_title(table, len(bodies)), fontsize=10, x=0.01, ha="left")
    place_notes(figure, list(zip(axes, notes, strict=True)))
    return figure


def _title(table: pd.DataFrame, bodies: int) -> str:
    """What the picture shows, in a line."""
    again, broken = int(table["retransmissions"].sum()), int((~table["complete"].astype(bool)).sum())
    number = len(table)
    words = [f"{number} transfer{'s' * (number != 1)}", "all whole" if not broken else f"{broken} not whole"]
    words.append(f"{again} request{'s' * (again != 1)} sent again" if again else "nothing sent again")
    if bodies > MOST:
        words.append(f"the first {MOST} of {bodies} bodies are drawn")
    return ", ".join(words)


def _draw_body(ax: Axes, capture: Capture, body: pd.DataFrame) -> list[Note]:
    """The attempts at one body; what is to be written at their points."""
    first, notes = body.iloc[0], list[Note]()
    every = pd.DataFrame(capture._blocks)
    for number, transfer in enumerate(body["transfer"].tolist()):
        blocks = every[every["transfer"] == transfer].sort_values("frame", kind="stable")
        colour = COLOURS[_ATTEMPTS[number % len(_ATTEMPTS)]]
        style: dict[str, Any] = {"marker": ".", "markersize": 4, "linewidth": 0.8, "color": colour}
        ax.plot(blocks["time"], blocks["offset"] / 1000, **style)
        again = copies_of(capture, blocks)
        if again:
            times, offsets = zip(*((time, offset / 1000) for time, offset in again), strict=True)
            crosses: dict[str, Any] = {"marker": "x", "markersize": 6, "markeredgewidth": 1.6, "linestyle": "none"}
            ax.plot(times, offsets, color=COLOURS["again"], **crosses)
        if number:
            notes.append(_note(blocks.iloc[0], "begins anew"))
        notes += _pauses(blocks)
    size = max(int(body["size"].max()), int(body["expected_size"].fillna(0).max()), 1) / 1000
    ax.set_ylim(-0.06 * size, 1.18 * size)
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.set_ylabel("offset, kB")
    ax.grid(axis="y", color=COLOURS["grid"], linewidth=0.6)
    path = f" {first['uri_path']}" if isinstance(first["uri_path"], str) else ""
    ax.set_title(f"{first['endpoint']}, {_KINDS[first['kind']]}{path}: {_finding(body)}", loc="left", fontsize=9)
    return notes


def _finding(body: pd.DataFrame) -> str:
    """How it went: the last attempt, its goodput, and how many there were."""
    last = body.iloc[-1]
    words = [f"{last['size'] / 1000:.1f} kB in {last['duration_s']:.2f} s"]
    if pd.notna(last["goodput"]):
        words.append(f"goodput {last['goodput'] / 1000:.2f} kB/s")
    again = int(body["retransmissions"].sum())
    words += [f"{again} sent again (×)"] if again else []
    words += [] if last["complete"] else ["not whole"]
    words += [f"attempt {len(body)}"] if len(body) > 1 else []
    return ", ".join(words)


def _pauses(blocks: pd.DataFrame) -> list[Note]:
    """The longest gaps between blocks, where they stand out."""
    gaps = blocks["time"].diff()
    usual = gaps.median()
    long = gaps[(gaps > _PAUSE_S) & (gaps > _PAUSE * usual)].nlargest(3)
    return [_note(blocks.loc[at], f"goes on after {gap:.1f} s") for at, gap in long.items()]


def _note(block: pd.Series, words: str) -> Note:
    return Note(float(block["time"]), float(block["offset"]) / 1000, words)

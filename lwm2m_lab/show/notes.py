"""Words at points of a picture, each where it covers neither a point, nor a line, nor other words."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from lwm2m_lab.show.style import COLOURS

__all__ = ["Note", "place_notes"]

#: Points to the side of and above its own where words may stand; the first that is free is taken.
_SIDES = (8, -8, 22, -22, 48, -48)
_RISES = (8, -8, 20, -20, 34, -34, 50, -50)
#: From this distance on, in points, a thin line leads from words to their point.
_LED = 26.0
#: Pixels between two looks along a line, and around words.
_STEP, _ROOM = 3.0, 3.0
#: What other words, or the edge of the axes, count against one pixel of a line.
_HEAVY = 1000.0


@dataclass(frozen=True, slots=True)
class Note:
    """Words at a point, in the coordinates of its axes."""

    x: float
    y: float
    words: str


def place_notes(figure: Figure, groups: Sequence[tuple[Axes, Sequence[Note]]]) -> None:
    """Write the notes of each axes; the figure's layout is made for it, so everything else has to be drawn before.

    Parameters
    ----------
    figure : Figure
    groups : sequence of (Axes, sequence of Note)
    """
    if not any(notes for _, notes in groups):
        return
    canvas: Any = FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    renderer = canvas.get_renderer()
    for ax, notes in groups:
        taken: list[Bbox] = []
        lines = _pixels_of_lines(ax)
        for note in notes:
            taken.append(_write(ax, note, lines, taken, renderer, figure.dpi / 72))


def _write(ax: Axes, note: Note, lines: NDArray[np.float64], taken: list[Bbox], renderer: Any, pixel: float) -> Bbox:
    """Write one note in the best of its places; that place."""
    style: dict[str, Any] = {"textcoords": "offset points", "fontsize": 7.5, "color": COLOURS["event"], "zorder": 6}
    text: Any = ax.annotate(note.words, (note.x, note.y), xytext=(0, 0), **style)
    text.set_in_layout(False)
    box = text.get_window_extent(renderer)
    at: NDArray[np.float64] = np.asarray(ax.transData.transform((note.x, note.y)))
    best, where = np.inf, (0.0, 0.0)
    for far, (rise, side) in enumerate(itertools.product(_RISES, _SIDES)):
        left = at[0] + side * pixel - (box.width if side < 0 else 0.0)
        bottom = at[1] + rise * pixel - (box.height if rise < 0 else 0.0)
        place = Bbox.from_bounds(left, bottom, box.width, box.height)
        cost = _cost(place, lines, taken, ax.bbox) + 0.01 * far
        if cost < best:
            best, where, found = cost, (left - box.x0, bottom - box.y0), place
    text.set_position((where[0] / pixel, where[1] / pixel))
    near: NDArray[np.float64] = np.clip(at, found.min, found.max)
    if np.hypot(*(near - at)) / pixel > _LED:
        ends = ax.transData.inverted().transform([at, near])
        ax.plot(*ends.T, color=COLOURS["faint"], linewidth=0.6, zorder=5, scalex=False, scaley=False)
    return found


def _cost(place: Bbox, lines: NDArray[np.float64], taken: list[Bbox], axes: Bbox) -> float:
    """What stands in the way: looks along the lines that fall into it, other words, the edge."""
    around = place.padded(_ROOM)
    inside = (lines > around.min) & (lines < around.max)
    beyond = (axes.x0 - place.x0, axes.y0 - place.y0, place.x1 - axes.x1, place.y1 - axes.y1)
    outside = sum(max(one, 0.0) for one in beyond)
    return float(inside.all(axis=1).sum() + _HEAVY * sum(around.overlaps(one) for one in taken) + _HEAVY * outside)


def _pixels_of_lines(ax: Axes) -> NDArray[np.float64]:
    """Places along all lines of the axes, close enough together that no word fits between two. Shape (looks, 2)."""
    every = [np.empty((0, 2))]
    for line in ax.lines:
        points = ax.transData.transform(np.asarray(line.get_xydata(), float))
        points = points[np.isfinite(points).all(axis=1)]
        every.append(points)
        if line.get_linestyle() == "None":
            continue
        for start, stop in itertools.pairwise(points):
            looks = int(np.hypot(*(stop - start)) // _STEP)
            every.append(start + (stop - start) * np.linspace(0, 1, looks, endpoint=False)[:, None])
    return np.concatenate(every)

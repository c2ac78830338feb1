"""The picture of the link lab: blocks over time beside the closed formula. Its parts are moved, not made anew: that is
what a slider needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lwm2m_lab.live.measured import Asked
from lwm2m_lab.show.style import COLOURS, new_figure, png_bytes

__all__ = ["LinkPicture"]

#: Inches; a picture that is redrawn while a slider moves has to be small.
WIDTH, HEIGHT = 7.0, 2.9


class LinkPicture:
    """A figure that is filled again and again.

    Attributes
    ----------
    figure : Figure
    """

    def __init__(self) -> None:
        self.figure, (self.axes,) = new_figure(height=HEIGHT, width=WIDTH)
        # Placed by hand: to measure every text anew would take longer than the run.
        self.figure.set_layout_engine("none")
        self.axes.set_position((0.085, 0.165, 0.9, 0.665))
        ax, self.title = self.axes, self.figure.text(0.01, 0.985, "", va="top", fontsize=10)
        faint: dict[str, Any] = {"color": COLOURS["faint"], "linewidth": 1.2}
        (self.bound,) = ax.plot([], [], "--", label="formula, nothing lost", **faint)
        (self.expected,) = ax.plot([], [], "-", label="formula with this loss", **faint)
        dots: dict[str, Any] = {"marker": ".", "markersize": 4, "linewidth": 0.8, "color": COLOURS["state"]}
        (self.blocks,) = ax.plot([], [], label="blocks", **dots)
        crosses: dict[str, Any] = {"marker": "x", "markersize": 6, "markeredgewidth": 1.6, "linestyle": "none"}
        (self.again,) = ax.plot([], [], label="sent again", color=COLOURS["again"], **crosses)
        ax.set_xlabel("simulated seconds since the first block")
        ax.set_ylabel("offset, kB")
        ax.grid(axis="y", color=COLOURS["grid"], linewidth=0.6)
        legend: dict[str, Any] = {"ncols": 4, "fontsize": 8, "frameon": False, "loc": "lower left"}
        ax.legend(bbox_to_anchor=(-0.01, 0.99), borderaxespad=0.1, handlelength=1.6, columnspacing=1.4, **legend)

    def draw(
        self, asked: Sequence[Asked], *, size: int, row: Mapping[str, Any], formula: Mapping[str, float], title: str
    ) -> bytes:
        """Fill it, and give it as PNG.

        Parameters
        ----------
        asked : sequence of Asked
        size : int
            Bytes of the image.
        row, formula : mapping
            As the table of a sweep has them.
        title : str
        """
        first, again = ([one for one in asked if one.is_copy == copy] for copy in (False, True))
        for line, some in ((self.blocks, first), (self.again, again)):
            line.set_data([one.time_s for one in some], [one.offset / 1000 for one in some])
        for line, name in ((self.bound, "bound_s"), (self.expected, "expected_s")):
            seconds = formula[name]
            line.set_data(*([[0, seconds], [0, size / 1000]] if math.isfinite(seconds) else [[], []]))
        ends = [formula["bound_s"], row["transfer_s"], asked[-1].time_s if asked else 0.0]
        self.axes.set_xlim(0, 1.03 * max([end for end in ends if math.isfinite(end)] + [0.1]))
        self.axes.set_ylim(-0.04 * size / 1000, 1.06 * size / 1000)
        self.title.set_text(title)
        return png_bytes(self.figure)

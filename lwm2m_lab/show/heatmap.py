"""Maps of a sweep: means over the seeds for each pair of two parameters, beside the closed formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.style import new_figure
from lwm2m_lab.trace.sweep_table import FORMULA, SweepTable

__all__ = ["heatmap"]

#: What each value is called, with its unit.
NAMES = {
    "delivered": "share of images that arrive", "succeeded": "share of updates that succeed",
    "transfer_s": "mean seconds of the transfer", "duration_s": "mean seconds of the update",
    "goodput": "mean goodput, bytes a second", "retransmissions": "mean retransmissions",
    "bytes_on_air": "mean bytes on the air", "energy_j": "mean energy, joules",
    "datagrams": "mean datagrams", "lost": "mean datagrams lost",
}  # fmt: skip
_SHARES = ("delivered", "succeeded")
_UNITS = {
    "block_size": "bytes", "size": "bytes", "delay": "seconds", "jitter": "seconds", "rate": "bit/s",
    "loss": "probability", "ack_timeout": "seconds", "patience": "seconds", "time_limit": "seconds",
}  # fmt: skip
#: Cells with numbers in them, at the most.
_LEGIBLE = 200


def heatmap(table: SweepTable, x: str, y: str = "", *, value: str = "delivered") -> Figure:
    """Draw a map of a sweep; the parameters are those of `SweepTable.heatmap`, with `y` empty for one row alone."""
    if value not in NAMES:
        raise BadInput(f"value is {value!r}; one of {', '.join(NAMES)} is expected")
    frame = pd.DataFrame(table).assign(succeeded=table["outcome"] == "succeeded")
    frame["_row"] = frame[y] if y else ""
    shown = {"measured": _grid(frame, x, value)}
    if value in FORMULA:
        shown["closed formula"] = _grid(frame, x, FORMULA[value])
    rows, columns = shown["measured"].shape
    figure, (first,) = new_figure(height=min(1.7 + 0.42 * rows, 9.0))
    first.remove()
    axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    scale = _scale(value, shown)
    colours = colormaps["cividis"]
    for ax, (title, grid) in zip(axes, shown.items(), strict=True):
        picture = ax.imshow(np.ma.masked_invalid(grid.to_numpy(float)), aspect="auto", cmap=colours, norm=scale)
        ax.set_title(title, loc="left", fontsize=9)
        ax.set_xticks(range(columns), [_label(one) for one in grid.columns], rotation=_turn(grid.columns), fontsize=8)
        ax.set_xlabel(_named(x), fontsize=9)
        if rows * columns * len(shown) <= _LEGIBLE:
            _write_numbers(ax, grid, value, colours, scale)
    axes[0].set_yticks(range(rows), [_label(one) for one in shown["measured"].index], fontsize=8)
    axes[0].set_ylabel(_named(y), fontsize=9)
    bar = figure.colorbar(picture, ax=list(axes), fraction=0.04)
    bar.set_label(NAMES[value], fontsize=9)
    bar.ax.tick_params(labelsize=8)
    if isinstance(scale, LogNorm):
        bar.set_ticks(LogLocator(subs=(1, 2, 5)))
        bar.minorticks_off()
    bar.formatter = FuncFormatter(lambda number, _: _number(number, value))
    figure.suptitle(_title(table, value, shown), fontsize=10, x=0.01, ha="left")
    return figure


def _grid(frame: pd.DataFrame, x: str, value: str) -> pd.DataFrame:
    """Means with a column for each x and a row for each y, in the order in which they were given."""
    means = frame.groupby(["_row", x], sort=False, dropna=False)[value].mean().unstack()
    return means.reindex(index=frame["_row"].unique(), columns=frame[x].unique())


def _scale(value: str, shown: dict[str, pd.DataFrame]) -> Normalize:
    """Shares from 0 to 1; other numbers from the least to the most, by decades where they span more than one."""
    if value in _SHARES:
        return Normalize(0, 1)
    every = np.concatenate([grid.to_numpy(float).ravel() for grid in shown.values()])
    every = every[np.isfinite(every)]
    least, most = (float(every.min()), float(every.max())) if len(every) else (0.0, 1.0)
    return LogNorm(least, most) if least > 0 and most > 10 * least else Normalize(least, max(most, least + 1e-9))


def _write_numbers(ax: Axes, grid: pd.DataFrame, value: str, colours: Colormap, scale: Normalize) -> None:
    """The number in each cell, dark on light and light on dark."""
    for row, line in enumerate(grid.to_numpy(float)):
        for column, number in enumerate(line):
            known = np.isfinite(number)
            red, green, blue, _ = colours(scale(number)) if known else (1.0, 1.0, 1.0, 1.0)
            dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
            words = _number(number, value) if known else "none arrived"
            style: dict[str, Any] = {"color": "white" if dark else "black", "fontsize": 9 if known else 7}
            ax.text(column, row, words, ha="center", va="center", **style)


def _number(number: float, value: str) -> str:
    if value in _SHARES:
        if number in (0, 1) or 0.005 <= number < 0.995:
            return f"{number:.0%}"
        return "<0.1%" if number < 0.0005 else ">99.9%" if number >= 0.9995 else f"{number:.1%}"
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def _label(value: Any) -> str:
    # A block of 1024 bytes is written as everybody writes it; an image of a million has its zeros counted.
    large = isinstance(value, int | np.integer) and value >= 10_000
    words = f"{value:g}" if isinstance(value, float) else f"{value:,}" if large else str(value)
    return words if len(words) <= 24 else words[:23] + "…"


def _named(parameter: str) -> str:
    return f"{parameter}, {_UNITS[parameter]}" if parameter in _UNITS else parameter


def _turn(values: Any) -> float:
    return 30.0 if max(len(_label(one)) for one in values) > 6 and len(values) > 5 else 0.0


def _title(table: SweepTable, value: str, shown: dict[str, pd.DataFrame]) -> str:
    """The finding: how far apart measurement and formula are, or from where to where it goes."""
    measured = shown["measured"].to_numpy(float)
    runs = f"{len(table):,} runs"
    if len(shown) == 1:
        return (
            f"{NAMES[value]}: {_number(np.nanmin(measured), value)} to {_number(np.nanmax(measured), value)} in {runs}"
        )
    formula = shown["closed formula"].to_numpy(float)
    if value in _SHARES:
        apart = f"{np.nanmax(abs(measured - formula)) * 100:.0f} points"
    else:
        apart = f"{np.nanmax(abs(measured / formula - 1)):.0%}"
    return f"{NAMES[value]}: {runs} against the closed formula, {apart} apart at the most"

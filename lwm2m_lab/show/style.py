"""One place for colours, sizes and files: legible in light and dark, on screen and on paper."""

from __future__ import annotations

import io
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lwm2m_lab.errors import BadInput
from lwm2m_lab.files import write_beside

__all__ = ["COLOURS", "DPI", "WIDTH", "LabFigure", "new_figure", "picture_kind", "png_bytes", "save_figure"]

WIDTH, DPI = 9.0, 100
#: Okabe and Ito's colours, told apart by every kind of colour vision.
COLOURS = {
    "state": "#0072B2",
    "result": "#D55E00",
    "package": "#CC79A7",
    "firmware": "#009E73",
    "progress": "#56B4E9",
    "again": "#E69F00",
    "event": "#444444",
    "faint": "#999999",
    "grid": "#DDDDDD",
}
_SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "svg.hashsalt": "lwm2m_lab",
}

#: What would differ from one run to the next is left out of a file.
_METADATA: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}


class LabFigure(Figure):
    """A figure that a notebook shows by itself, without pyplot and its state."""

    def _repr_png_(self) -> bytes:
        return png_bytes(self)


def new_figure(*, height: float, rows: Sequence[float] = (1,), width: float = WIDTH) -> tuple[LabFigure, list[Any]]:
    """A figure of its own (no pyplot, no global state) with axes one below the other, sharing their x axis.

    Parameters
    ----------
    height, width : float
        Inches.
    rows : sequence of float
        Relative heights.
    """
    with rc_context(_SETTINGS):
        figure = LabFigure(figsize=(width, height), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=list(rows))[:, 0]
    return figure, list(axes)


def png_bytes(figure: Figure) -> bytes:
    """The figure as PNG, the same bytes each time."""
    out = io.BytesIO()
    with rc_context(_SETTINGS):
        figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def picture_kind(path: str | os.PathLike[str]) -> str:
    """The kind of picture that a file name stands for: png, svg or pdf.

    Raises
    ------
    BadInput
        For another ending.

    Examples
    --------
    >>> picture_kind("update.SVG")
    'svg'
    """
    kind = pathlib.Path(path).suffix.lstrip(".").lower()
    if kind not in _METADATA:
        raise BadInput(f"{path} names no kind of picture; an ending .png, .svg or .pdf is expected")
    return kind


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a picture beside its place, then move it there; the ending of the name says which kind.

    Raises
    ------
    BadInput
        For an ending that is no picture, or a place that cannot be written.
    """
    kind, out = picture_kind(path), io.BytesIO()
    with rc_context(_SETTINGS):
        figure.savefig(out, format=kind, metadata=_METADATA[kind])
    write_beside(path, out.getvalue())

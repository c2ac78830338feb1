"""One place for colours, sizes and files: legible in light and dark, on screen and on paper."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.patches import FancyBboxPatch
from matplotlib.text import Text
from numpy.typing import NDArray

from lwm2m_lab.errors import BadInput
from lwm2m_lab.files import write_beside
from lwm2m_lab.wire.text import printable

__all__ = [
    "CARD",
    "COLOURS",
    "DPI",
    "INKS",
    "STATE_COLOURS",
    "WIDTH",
    "Backdrop",
    "LabFigure",
    "hide_axes",
    "ink_of",
    "marked_png",
    "new_figure",
    "picture_kind",
    "pixels",
    "png_bytes",
    "save_figure",
    "stand_still",
    "svg_text",
]

WIDTH, DPI = 9.0, 100
#: What a picture stands on, in a light theme as in a dark one. No one colour of letters has a contrast of 4.5 on white
#: paper and on JupyterLab's dark one, so a picture without ground of its own could not be read in both.
CARD, _EDGE = "#F6F7F9", "#B9BFC7"
#: Inches from the edge of a picture to that of its card, the radius of its corners, and from its edge to what is drawn.
_MARGIN, _CORNER, _PAD = 0.01, 0.09, 0.09
#: Okabe and Ito's colours, told apart by every kind of colour vision; three of them darker than theirs, so that a line
#: has a contrast of 3 on the card, on white and on a dark page.
COLOURS = {
    "state": "#0072B2",
    "result": "#D55E00",
    "package": "#BF5F95",
    "firmware": "#009E73",
    "progress": "#2F93CF",
    "again": "#B57D00",
    "event": "#444444",
    "faint": "#6E6E6E",
    "grid": "#D3D7DC",
}
#: The same for letters, which need a contrast of 4.5: `_ready` puts them in the place of the others.
INKS = {
    "state": "#006AA6",
    "result": "#B34F00",
    "package": "#A3447B",
    "firmware": "#007A59",
    "progress": "#1F70A1",
    "again": "#8A5F00",
    "event": "#444444",
    "faint": "#666666",
}
#: Where a device may be: in one of the States of Object 5, each of one colour in every picture; in a fleet also
#: waiting, or done.
STATE_COLOURS = {
    "waiting": "#C3C8CF",
    "0 Idle": COLOURS["faint"],
    "1 Downloading": COLOURS["progress"],
    "2 Downloaded": COLOURS["package"],
    "3 Updating": COLOURS["again"],
    "succeeded": COLOURS["firmware"],
    "not succeeded": COLOURS["result"],
}
_CURSOR = np.array([181, 125, 0, 255], np.uint8)
_SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.facecolor": "none",
    "svg.hashsalt": "lwm2m_lab",
}

#: What would differ from one run to the next is left out of a file.
_METADATA: dict[str, Any] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}

#: The colours of a picture by the names that a page may give another value, in the dark for one.
_VARIABLES = {colour.lower(): f"--{name}" for names in (COLOURS, INKS) for name, colour in names.items()} | {
    "#000000": "--ink",
    "#ffffff": "--paper",
    CARD.lower(): "--paper",
}
_INK_OF = {colour.lower(): INKS[name] for name, colour in COLOURS.items() if name in INKS}


class LabFigure(Figure):
    """A figure that a notebook shows by itself, without pyplot and its state."""

    def _repr_png_(self) -> bytes:
        return png_bytes(self)


def new_figure(
    *, height: float, rows: Sequence[float] = (1,), columns: int = 1, width: float = WIDTH, share: bool = True
) -> tuple[LabFigure, list[Any]]:
    """A figure of its own (no pyplot, no global state) with its axes, line by line.

    Parameters
    ----------
    height, width : float
        Inches.
    rows : sequence of float
        Relative heights.
    columns : int
        Axes side by side in each row.
    share : bool
        Whether they have one x axis.
    """
    with rc_context(_SETTINGS):
        figure = LabFigure(figsize=(width, height), dpi=DPI, layout="constrained")
        engine: Any = figure.get_layout_engine()
        engine.set(w_pad=_PAD, h_pad=_PAD)
        FigureCanvasAgg(figure)
        ground: Any = _card(width, height)
        ground.set_transform(figure.dpi_scale_trans)
        figure.patch = ground
        axes = figure.subplots(len(rows), columns, sharex=share, squeeze=False, height_ratios=list(rows))
    return figure, list(axes.flat)


def stand_still(figure: Figure, *, left: float, right: float, top: float, bottom: float) -> None:
    """Give the bands of a figure their places, in place of a layout of its own, and take the ticks from the upper ones.

    For pictures of one kind that follow each other: what they have in common stays where it is. A layout and its ticks
    take half of a drawing's time.

    Parameters
    ----------
    left, right, top, bottom : float
        Inches between the edge of the picture and the axes.
    """
    width, height = figure.get_size_inches()
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=left / width, right=1 - right / width, top=1 - top / height, bottom=bottom / height)
    for ax in figure.axes[:-1]:
        ax.xaxis.set_visible(False)


def hide_axes(ax: Axes) -> None:
    """A place to draw on, without lines and numbers; those that are only switched off are laid out all the same."""
    ax.axis("off")
    ax.set_xticks([])
    ax.set_yticks([])


def ink_of(colour: str) -> str:
    """The colour for letters, or for a ground under white ones, that belongs to one of `COLOURS`."""
    return _INK_OF.get(colour.lower(), colour)


def _card(width: float, height: float) -> FancyBboxPatch:
    """The ground of a picture: soft, with round corners; what lies outside them is the page's."""
    round_corners = f"round,pad=0,rounding_size={_CORNER}"
    inside = width - 2 * _MARGIN, height - 2 * _MARGIN
    return FancyBboxPatch(
        (_MARGIN, _MARGIN), *inside, boxstyle=round_corners, facecolor=CARD, edgecolor=_EDGE, linewidth=0.8
    )


def _file_of(figure: Figure, kind: str, **settings: Any) -> bytes:
    """The figure as the content of a file."""
    out = io.BytesIO()
    with _ready(figure, **settings):
        figure.savefig(out, format=kind, metadata=_METADATA[kind])
    return out.getvalue()


@contextlib.contextmanager
def _ready(figure: Figure, **settings: Any) -> Iterator[None]:
    """For drawing: what came over the wire is text in the picture, never mathematics or a command; letters in ink."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_text("\n".join(printable(line) for line in text.get_text().split("\n")))
        text.set_color(_INK_OF.get(to_hex(text.get_color()), text.get_color()))
    every: Any = {**_SETTINGS, **settings}
    with rc_context(every), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; a warning of it would reach a cell.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def pixels(figure: Figure) -> tuple[NDArray[np.uint8], Callable[[float], float], tuple[int, int]]:
    """The figure drawn once, to be painted into: its pixels, and where its axes lie.

    Returns
    -------
    array of uint8
        Shape (height, width, 4).
    callable
        From an x of the axes to a column of pixels.
    (int, int)
        First and last row of pixels of the axes.
    """
    canvas = _agg(figure)
    with _ready(figure):
        canvas.draw()
    picture = np.asarray(canvas.buffer_rgba()).copy()
    first, last = figure.axes[0], figure.axes[-1]
    height = picture.shape[0]
    span = height - round(first.bbox.y1), height - round(last.bbox.y0)
    return picture, lambda x: float(last.transData.transform((x, 0.0))[0]), span


def marked_png(
    picture: NDArray[np.uint8], place: Callable[[float], float], span: tuple[int, int], *, x: float
) -> bytes:
    """What `pixels` gave, as PNG with an upright line at `x`: a cursor is painted, the figure is not drawn again."""
    at, (top, bottom) = round(place(x)), span
    marked = picture.copy()
    marked[top:bottom, max(at - 1, 0) : max(at + 1, 0)] = _CURSOR
    out = io.BytesIO()
    # Fast rather than small: the picture travels no further than to the browser beside the kernel.
    imsave(out, marked, format="png", metadata={"Software": None}, pil_kwargs={"compress_level": 1})  # type: ignore[dict-item]
    return out.getvalue()


def png_bytes(figure: Figure, *, fast: bool = False) -> bytes:
    """The figure as PNG, the same bytes each time.

    What `savefig` would give: it draws a figure with a layout twice, the first time for the layout alone.

    Parameters
    ----------
    fast : bool
        Fast rather than small, for a picture that travels no further than to the browser beside the kernel.
    """
    with _ready(figure):
        canvas = _agg(figure)
        canvas.draw()
        return _png(canvas, **({"compress_level": 1} if fast else {}))


def _agg(figure: Figure) -> Any:
    """The canvas of pixels of a figure."""
    return figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)


def _png(canvas: Any, **how: Any) -> bytes:
    """What is on a canvas, as a file."""
    out, dpi = io.BytesIO(), canvas.figure.dpi
    imsave(out, np.asarray(canvas.buffer_rgba()), format="png", metadata=_METADATA["png"], dpi=dpi, pil_kwargs=how)
    return out.getvalue()


class Backdrop:
    """A figure drawn once, to be painted over again and again: most of a drawing's time goes into layout and letters.

    Parameters
    ----------
    figure : Figure
    without : Artist
        What is part of its layout and is not drawn: a title that changes.
    """

    def __init__(self, figure: Figure, *, without: Artist) -> None:
        self._canvas = _agg(figure)
        with _ready(figure):
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
            without.set_visible(False)
            self._canvas.draw()
        without.set_visible(True)
        self._pixels = self._canvas.copy_from_bbox(figure.bbox)

    def painted(self, artists: Iterable[Artist]) -> bytes:
        """The figure with artists painted over it, in their order, as PNG."""
        self._canvas.restore_region(self._pixels)
        with _ready(self._canvas.figure):
            for artist in sorted(artists, key=lambda one: one.get_zorder()):
                artist.draw(self._canvas.get_renderer())
        return _png(self._canvas)


def svg_text(figure: Figure, *, name: str) -> str:
    """The figure as an SVG element for a page: its letters are text, its colours are variables of the page.

    Parameters
    ----------
    name : str
        Stands before every id in it, so that two pictures of a page do not share one.
    """
    figure.patch.set_visible(False)
    for axes in figure.axes:
        axes.patch.set_visible(False)
    text = _file_of(figure, "svg", **{"svg.fonttype": "none"}).decode()
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r' (width|height)="[^"]*pt"', "", text, count=2)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'url\(#|href="#', lambda found: f"{found.group()}{name}-", text)
    return re.sub(r"(fill|stroke): (#[0-9a-f]{6})", lambda found: f"{found[1]}: {_variable(found[2])}", text)


def _variable(colour: str) -> str:
    """The variable of a page that stands for a colour, which it falls back to."""
    return f"var({_VARIABLES[colour]}, {colour})" if colour in _VARIABLES else colour


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
    write_beside(path, _file_of(figure, picture_kind(path)))

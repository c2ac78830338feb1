"""Two updates side by side: one clock over two ladders, who asks whom, and what was known by then."""

from __future__ import annotations

import bisect
import collections
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.controls import nudged
from lwm2m_lab.show.moments import Moments
from lwm2m_lab.show.page import escaped
from lwm2m_lab.show.scene import Rung, rungs
from lwm2m_lab.show.sequence import rank
from lwm2m_lab.show.style import COLOURS

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["SideBySide", "side_by_side"]

#: Messages of an update that are lines of their own.
MOST = 2_000
#: Messages of an update that are looked at, the first ones: a slider over more is not moved with purpose.
MOST_LOOKED_AT = 50_000
#: Lines of a ladder that are shown at a time, and milliseconds between two of them while it plays.
LINES, PACE = 14, 400
#: Who asks, by colour: the server, the device, anybody else.
_SERVER, _DEVICE, _OTHERS = COLOURS["state"], COLOURS["firmware"], COLOURS["faint"]


@dataclass(frozen=True)
class Side:
    """One of the two updates.

    Attributes
    ----------
    name : str
    lines : list of Rung
        Its ladder; in a long one runs of blocks are summed up.
    asked : list of Rung
        The requests, each when it was first sent.
    requests : set of int
        Their frames, with those of the copies.
    lifelines : list of str
    device : str
    moments : Moments
    """

    name: str
    lines: list[Rung]
    asked: list[Rung]
    requests: set[int]
    lifelines: list[str]
    device: str
    moments: Moments

    @classmethod
    def of(cls, capture: Capture) -> Side:
        """The first update of a capture.

        Raises
        ------
        BadInput
            Where there is none.
        """
        if not capture.updates.shape[0]:
            raise BadInput(f"{capture.name} shows no firmware update; a run or a capture of one is expected")
        device = str(capture.update(0).endpoint)
        moments = Moments(capture, device)
        last = int(moments.frames[:MOST_LOOKED_AT][-1])
        every = rungs(capture, endpoint=device, last=last, collapse=False, logs=False)
        ends = {end for one in every for end in (one.source, one.destination)}
        requests = _requests(capture)
        asked = [one for one in every if one.kind != "again" and one.frame in requests]
        lines = every if len(every) <= MOST else rungs(capture, endpoint=device, last=last, logs=False)
        return cls(capture.name, lines, asked, requests, sorted(ends, key=rank), device, moments)

    def by(self, time: float) -> tuple[list[Rung], collections.Counter[str], str]:
        """The last lines up to a time, how often each has asked, and the State seen last."""
        shown = self.lines[: bisect.bisect_right(self.lines, time, key=lambda one: one.time)]
        count = bisect.bisect_right(self.asked, time, key=lambda one: one.time)
        at = bisect.bisect_right(range(len(self.moments.rows)), time, key=self.moments.time) - 1
        state = self.moments.told(at)["State"] if at >= 0 else "not seen yet"
        return shown[-LINES:], collections.Counter(one.source for one in self.asked[:count]), state


def _requests(capture: Capture) -> set[int]:
    """The frames that carry a request, by CoAP or by HTTP."""
    columns = capture.columns
    code = columns["code"]
    asks: set[int] = set(columns["frame"][(code >= 1) & (code < 32)].tolist())
    return asks | set(capture.http["request_frame"].dropna().astype(int).tolist())


class SideBySide:
    """Two updates under one clock.

    Parameters
    ----------
    left, right : Capture
        Runs, or captures from the field; the first update of each.
    at : float
        Seconds to begin with; all of both by default.

    Attributes
    ----------
    cursor : ipywidgets.IntSlider
        Over the lines of both ladders, in the order of their times; arrow keys move it.
    play : ipywidgets.Play
    status : ipywidgets.HTML
    panes : tuple of ipywidgets.HTML
        The two ladders.

    Raises
    ------
    BadInput
        Where one of them shows no update.

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> pair = SideBySide(lab.push(size=2000), lab.pull(size=2000), at=1.0)
    >>> print(f"{pair.time:.1f} s")
    1.0 s
    """

    def __init__(self, left: Capture, right: Capture, *, at: float | None = None) -> None:
        self.sides = (Side.of(left), Side.of(right))
        self._times = sorted({one.time for side in self.sides for one in side.lines})
        last = len(self._times) - 1
        begin = last if at is None else max(0, bisect.bisect_right(self._times, at) - 1)
        self.cursor = widgets.IntSlider(
            value=begin, min=0, max=last, description="time", readout=False, layout=widgets.Layout(width="70%"),
            style={"description_width": "4em"},
        )  # fmt: skip
        self.play = widgets.Play(value=begin, min=0, max=last, interval=PACE, show_repeat=False)
        widgets.link((self.play, "value"), (self.cursor, "value"))
        self.status = widgets.HTML()
        self.panes = (widgets.HTML(), widgets.HTML())
        sides = [widgets.VBox([pane], layout=widgets.Layout(width="49%", min_width="22em")) for pane in self.panes]
        self.panel = widgets.VBox(
            [
                widgets.HBox([self.play, nudged(self.cursor)]),
                self.status,
                widgets.HBox(sides, layout=widgets.Layout(flex_flow="row wrap")),
            ]
        )
        self.cursor.observe(lambda _: self._show(), "value")
        self._show()

    @property
    def time(self) -> float:
        """Seconds of the clock."""
        return float(self._times[self.cursor.value])

    def _show(self) -> None:
        """Redraw both sides."""
        self.status.value = (
            f'<b>{self.time:.2f} s</b> &middot; <span style="{_underlined(_SERVER)}">the server asks</span> &middot; '
            f'<span style="{_underlined(_DEVICE)}">the device asks</span>'
        )
        for pane, side in zip(self.panes, self.sides, strict=True):
            pane.value = side_html(side, self.time)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.panel._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        return f"SideBySide({self.sides[0].name!r}, {self.sides[1].name!r}, {self.time:.2f} s)"


def side_by_side(left: Capture, right: Capture, *, at: float | None = None) -> SideBySide:
    """Two updates under one clock: what was said by then, who asked whom, and how often.

    Parameters
    ----------
    left, right : Capture
        Runs, or captures from the field; the first update of each.
    at : float
        Seconds to begin with; all of both by default.

    Raises
    ------
    BadInput
        Where one of them shows no update.
    """
    return SideBySide(left, right, at=at)


def side_html(side: Side, time: float) -> str:
    """One ladder up to a time: a column for each gap between two lifelines, an arrow in the gap that is crossed."""
    shown, asked, state = side.by(time)
    counts = " &middot; ".join(f"{escaped(who)} asked <b>{asked[who]}</b>" for who in side.lifelines if asked[who])
    place = {name: at for at, name in enumerate(side.lifelines)}
    heads = "".join(f'<th scope="col" {_EDGE}>{escaped(name)}</th>' for name in side.lifelines)
    lines = "".join(_line(one, place, side) for one in shown)
    return (
        f"<div><b>{escaped(side.name)}</b><br>State <b>{escaped(state)}</b><br>{counts or 'nobody has asked yet'}</div>"
        f'<table style="border-collapse:collapse;font-size:11px;line-height:1.35;width:100%">'
        f"<tr><th></th>{heads}</tr>{lines}</table>"
    )


def _line(rung: Rung, place: dict[str, int], side: Side) -> str:
    """A line of the ladder: cells from one lifeline to the other are one, with the arrow's head at its end."""
    one, other = sorted((place[rung.source], place[rung.destination]))
    forth = place[rung.source] < place[rung.destination]
    words = escaped(f"{rung.label} {rung.note}".rstrip())
    text = f"{words} →" if forth else f"← {words}"
    span = f'<span style="{_style(rung, side)}">{text}</span>'
    body = f'<td colspan="{other - one + 1}" style="text-align:center;padding:0 4px">{span}</td>'
    before, behind = f"<td {_EDGE}></td>" * one, f"<td {_EDGE}></td>" * (len(place) - 1 - other)
    return f"<tr><td {_TIME}>{rung.time:.2f} s</td>{before}{body}{behind}</tr>"


def _style(rung: Rung, side: Side) -> str:
    """A request is underlined in the colour of whoever asks, since letters in it would be hard to read on black."""
    if rung.frame not in side.requests:
        return ""
    who = _SERVER if rung.source == "server" else _DEVICE if rung.source == side.device else _OTHERS
    return _underlined(who) + (";text-decoration:line-through" if rung.kind == "lost" else "")


def _underlined(colour: str) -> str:
    return f"border-bottom:2px solid {colour}"


_TIME = 'style="text-align:right;padding-right:6px;white-space:nowrap"'
_EDGE = 'style="text-align:center;padding:0 4px"'

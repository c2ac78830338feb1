"""The link lab: sliders for a link and the timers, which run the update anew and draw it beside the closed formula."""

from __future__ import annotations

import html
import math
import threading
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.grid import Combination, Grid
from lwm2m_lab.live.measured import blocks_asked, measure
from lwm2m_lab.live.world import Ended
from lwm2m_lab.show.controls import nudged
from lwm2m_lab.show.linkpicture import LinkPicture
from lwm2m_lab.trace.radio import radio_model

__all__ = ["LinkLab", "link_lab"]

#: Seconds that a datagram takes in simulation, about; and how long a slider's move may take before it is done beside.
DATAGRAM_S, AT_ONCE_S = 0.00025, 0.6
SIZES = {"5 kB": 5_000, "20 kB": 20_000, "100 kB": 100_000, "1 MB": 1_000_000}
RATES = {"5 kbit/s": 5e3, "20 kbit/s": 20e3, "60 kbit/s": 60e3, "300 kbit/s": 300e3, "no limit": math.inf}
BLOCK_SIZES = (16, 32, 64, 128, 256, 512, 1024)


class Stopped(Exception):
    """The user, or another move of a slider, has ended a run."""


#: Names of controls, row by row.
_ROWS = (
    ("delay", "loss"), ("rate", "size"), ("block_size", "ack_timeout"), ("max_retransmit", "delivery"), ("seed",),
)  # fmt: skip


class LinkLab:
    """A link with sliders.

    Parameters
    ----------
    **start
        Where the controls stand at first, by the names of `controls`.

    Attributes
    ----------
    controls : dict of str to ipywidgets.Widget
        ``delay``, ``loss``, ``rate``, ``size``, ``block_size``, ``delivery``, ``ack_timeout``, ``max_retransmit``,
        ``seed``: the arguments of `push`.
    picture : ipywidgets.Image
    message : ipywidgets.HTML
        What came of the last run.
    row : dict
        Its numbers, as the table of a sweep has them.
    stop : ipywidgets.Button
        Ends a run that takes long; `progress` shows how far it is.

    Raises
    ------
    BadInput
        For a control that is not there, or a value beyond its range.

    Examples
    --------
    >>> panel = LinkLab(loss=0.0, delay=0.1)
    >>> round(panel.row["transfer_s"], 2), round(panel.row["expected_s"], 2)
    (8.0, 8.0)
    >>> panel.controls["block_size"].value = 1024
    >>> round(panel.row["transfer_s"], 2)
    4.0
    """

    def __init__(self, **start: Any) -> None:
        self.controls = _controls()
        for name, value in start.items():
            _place(self.controls, name, value)
        self.row: dict[str, Any] = {}
        self.message = widgets.HTML()
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%", align_self="flex-start"))
        self.progress = widgets.IntProgress(min=0, max=1, description="running", layout=widgets.Layout(display="none"))
        self.stop = widgets.Button(description="stop", icon="stop", layout=widgets.Layout(display="none"))
        self.again = widgets.Button(
            description="roll the dice again", icon="refresh", layout=widgets.Layout(width="auto")
        )
        self.stop.on_click(lambda _: self._end("Stopped."))
        self.again.on_click(lambda _: self._roll())
        self._drawing, self._under_way, self._thread = LinkPicture(), threading.Event(), threading.Thread()
        row = widgets.Layout(flex_flow="row wrap")
        self.panel = widgets.VBox(
            [
                *(widgets.HBox([_shown(self.controls[name]) for name in names], layout=row) for names in _ROWS),
                widgets.HBox([self.again, self.progress, self.stop], layout=row),
                self.message,
                self.picture,
            ]
        )
        for control in self.controls.values():
            control.observe(lambda _: self._run(), "value")
        self._run()

    @property
    def settings(self) -> dict[str, Any]:
        """What the controls say, as arguments of `push` and of `sweep`."""
        return {name: control.value for name, control in self.controls.items()}

    @property
    def figure(self) -> Figure:
        """The picture, to be saved: ``lab.show.save_figure(panel.figure, "panel.svg")``."""
        return self._drawing.figure

    def wait(self) -> None:
        """Until a long run has ended."""
        if self._thread.ident is not None:
            self._thread.join()

    # ---------------------------------------------------------------- running

    def _run(self) -> None:
        """What each move does: run at once, or beside if it would take long."""
        self._end()
        settings = self.settings
        seed = settings.pop("seed")
        (one,) = Grid(settings, seeds=seed, model="").combinations()
        if _seconds(one) <= AT_ONCE_S:
            self._finish(one, one.experiment.live())
            return
        self.progress.max, self.progress.value = one.experiment.package.size, 0
        self._show_long(True)
        self._say("Running; a move of a slider begins anew.")
        self._under_way = threading.Event()
        self._thread = threading.Thread(target=self._long, args=(one, self._under_way), daemon=True)
        self._thread.start()

    def _long(self, one: Combination, ended: threading.Event) -> None:
        """The body of the thread of a long run."""

        def told(done: int) -> None:
            if ended.is_set():
                raise Stopped
            self.progress.value = done

        try:
            result = one.experiment.live(progress=_seldom(told, one.experiment.package.size))
        except Stopped:
            return
        if not ended.is_set():
            ended.set()
            self._show_long(False)
            self._finish(one, result)

    def _end(self, words: str = "") -> None:
        """End a long run."""
        if not self._under_way.is_set() and self._thread.is_alive():
            self._under_way.set()
            self._thread.join()
            self._show_long(False)
            if words:
                self._say(words)

    def _roll(self) -> None:
        self.controls["seed"].value += 1

    # ---------------------------------------------------------------- showing

    def _finish(self, one: Combination, ended: Ended) -> None:
        experiment, formula = one.experiment, one.formula
        self.row = {**measure(experiment, ended, radio_model("nb-iot")), **formula}
        self._say(_words(self.row))
        self.picture.value = self._drawing.draw(
            blocks_asked(experiment, ended),
            size=experiment.package.size, row=self.row, formula=formula, title=_title(one, self.row),
        )  # fmt: skip

    def _say(self, words: str) -> None:
        self.message.value = f"<div style='padding:4px 0'>{words}</div>"

    def _show_long(self, shown: bool) -> None:
        for widget in (self.progress, self.stop):
            widget.layout.display = "" if shown else "none"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.panel._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        return f"LinkLab({', '.join(f'{name}={value!r}' for name, value in self.settings.items())})"


def _shown(control: widgets.Widget) -> widgets.Widget:
    """A control as it stands in the panel; a field that is typed into needs no buttons."""
    return control if isinstance(control, widgets.BoundedIntText) else nudged(control)


def _controls() -> dict[str, widgets.Widget]:
    style, layout = {"description_width": "10em"}, widgets.Layout(width="25em")
    shared: dict[str, Any] = {"style": style, "layout": layout}
    return {
        "delay": widgets.FloatSlider(0.1, min=0, max=5, step=0.05, description="delay one way, s", **shared),
        "loss": widgets.FloatSlider(0.05, min=0, max=0.5, step=0.01, description="loss", **shared),
        "rate": widgets.SelectionSlider(options=list(RATES.items()), value=math.inf, description="rate", **shared),
        "size": widgets.SelectionSlider(options=list(SIZES.items()), value=20_000, description="image", **shared),
        "block_size": widgets.SelectionSlider(options=BLOCK_SIZES, value=512, description="block, bytes", **shared),
        "delivery": widgets.Dropdown(options=["push", "pull"], description="delivery", **shared),
        "ack_timeout": widgets.FloatSlider(2, min=0.5, max=20, step=0.5, description="ACK_TIMEOUT, s", **shared),
        "max_retransmit": widgets.IntSlider(4, min=0, max=8, description="MAX_RETRANSMIT", **shared),
        "seed": widgets.BoundedIntText(1, min=0, max=10**9, description="seed of the dice", **shared),
    }


def _place(controls: dict[str, widgets.Widget], name: str, value: Any) -> None:
    """Put a control where it is to begin."""
    if name not in controls:
        raise BadInput(f"the link lab has no control {name!r}; one of {', '.join(controls)} is expected")
    control = controls[name]
    if hasattr(control, "min"):
        whole = isinstance(control, widgets.IntSlider | widgets.BoundedIntText)
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not fits or not control.min <= value <= control.max:
            raise BadInput(f"{name} is {value!r}; a number from {control.min:g} to {control.max:g} is expected")
    else:
        values = [option[1] if isinstance(option, tuple) else option for option in control.options]
        if value not in values:
            raise BadInput(f"{name} is {value!r}; one of {', '.join(map(str, values))} is expected")
    control.value = value


def _seconds(one: Combination) -> float:
    """How long the run will take here, about."""
    experiment = one.experiment
    blocks = -(-experiment.package.size // experiment.server.block_size)
    return 2 * blocks * DATAGRAM_S


def _seldom(told: Callable[[int], None], size: int) -> Callable[[int], None]:
    """Progress a hundred times in all, since each telling is a message to the browser."""
    last = 0

    def sometimes(done: int) -> None:
        nonlocal last
        if done >= last + size // 100 or done < last:
            last = done
            told(done)

    return sometimes


def _title(one: Combination, row: dict[str, Any]) -> str:
    """The finding."""
    size, block = one.experiment.package.size, one.experiment.server.block_size
    blocks = -(-size // block)
    what = f"{size / 1000:g} kB in {blocks} {'block' if blocks == 1 else 'blocks'} of {block}"
    if not row["delivered"]:
        return f"{what}: did not arrive; the formula gives it {row['expected_delivered']:.0%}"
    if not row["bound_s"]:
        return f"{what}: {row['transfer_s']:.1f} s over a link without delay and without a limit of rate"
    slower = row["transfer_s"] / row["bound_s"]
    return f"{what}: {row['transfer_s']:.1f} s, {slower:.1f} times what it takes without loss"


def _words(row: dict[str, Any]) -> str:
    arrived = f"arrived in <b>{row['transfer_s']:.1f} s</b>" if row["delivered"] else "<b>did not arrive</b>"
    mean = f"{row['expected_s']:.1f} s" if math.isfinite(row["expected_s"]) else "nothing arrives"
    return (
        f"The image {arrived}. Closed formula: {row['bound_s']:.1f} s without loss, {mean} with it on average, and "
        f"{row['expected_delivered']:.1%} of such images arrive.<br>{row['retransmissions']} requests sent again, "
        f"{row['lost']} of {row['datagrams']} datagrams lost, {row['bytes_on_air']:,} bytes on the air.<br>"
        f"Update: {html.escape(row['outcome'])}, {html.escape(row['sentence'])}."
    )


def link_lab(**start: Any) -> LinkLab:
    """Change a link and the timers with sliders, and see the update run again beside the closed formula.

    Parameters
    ----------
    **start
        Where the controls stand at first: `delay`, `loss`, `rate`, `size`, `block_size`, `delivery`, `ack_timeout`,
        `max_retransmit`, `seed`.

    Raises
    ------
    BadInput
        For a control that is not there, or a value beyond its range.
    """
    return LinkLab(**start)

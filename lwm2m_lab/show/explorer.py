"""The trace explorer: a slider over an endpoint's messages, what was known then, and the message byte by byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.chart import version_chart
from lwm2m_lab.show.moments import Moments, bytes_html, ladder_html
from lwm2m_lab.show.page import escaped
from lwm2m_lab.show.style import marked_png, pixels

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["Explorer"]


class Explorer:
    """A capture under a cursor.

    Parameters
    ----------
    capture : Capture
    endpoint : str, optional
        Which one first; the first that is updated, or seen, by default.
    frame : int, optional
        Where the cursor begins; with the first message by default.

    Attributes
    ----------
    cursor : ipywidgets.IntSlider
        Over the messages of the endpoint; arrow keys move it.
    status, ladder, anatomy : ipywidgets.HTML
        What was known then, the messages around, the bytes.
    chart : ipywidgets.Image
        Blocks, state and versions over time, with the cursor in it.

    Raises
    ------
    BadInput
        Where the capture has no message of an endpoint, or not that one, or none in that frame.

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> explorer = lab.read("anjay-push-badcrc").explore(frame=15)
    >>> explorer.press("next block")
    >>> explorer.frame
    17
    """

    def __init__(self, capture: Capture, *, endpoint: str | None = None, frame: int | None = None) -> None:
        capture.require_messages()
        self.capture = capture
        names = _endpoints(capture)
        if endpoint is not None and endpoint not in names:
            raise BadInput(f"{capture.name} has no message of {endpoint!r}; one of {', '.join(names)} is expected")
        style = {"description_width": "6em"}
        names_shown = [(escaped(name), name) for name in names]
        first = endpoint or names[0]
        self.endpoint = widgets.Dropdown(options=names_shown, value=first, description="endpoint", style=style)
        wide = widgets.Layout(width="98%")
        self.cursor = widgets.IntSlider(min=0, max=0, description="message", readout=False, layout=wide, style=style)
        self.status, self.ladder, self.anatomy = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.chart = widgets.Image(format="png", layout=widgets.Layout(max_width="100%", align_self="flex-start"))
        self.buttons = {name: self._button(name, icon) for name, icon in _BUTTONS.items()}
        row = widgets.Layout(flex_flow="row wrap")
        self.panel = widgets.VBox(
            [
                widgets.HBox([self.endpoint, *self.buttons.values()], layout=row),
                self.cursor, self.status, self.chart, self.ladder, self.anatomy,
            ]
        )  # fmt: skip
        self._load()
        if frame is not None:
            self.cursor.value = self.moments.position(frame)
        self.endpoint.observe(lambda _: self._load(), "value")
        self.cursor.observe(lambda _: self._show(), "value")
        self._show()

    @property
    def frame(self) -> int:
        """The frame under the cursor."""
        return int(self.moments.frames[self.cursor.value])

    @property
    def figure(self) -> Figure:
        """The chart, to be saved: ``lab.show.save_figure(panel.figure, "panel.svg")``."""
        return version_chart(self.capture, endpoint=self.endpoint.value)

    def press(self, name: str) -> None:
        """What a button does: ``"previous"``, ``"next"``, ``"previous block"``, ``"next block"``."""
        at, step = self.cursor.value, 1 if name.startswith("next") else -1
        to = self.moments.block_after(at, step) if name.endswith("block") else at + step
        self.cursor.value = min(max(to, 0), self.cursor.max)

    def _button(self, name: str, icon: str) -> widgets.Button:
        button = widgets.Button(description=name, icon=icon, tooltip=_TIPS[name], layout=widgets.Layout(width="auto"))
        button.on_click(lambda _: self.press(name))
        return button

    def _load(self) -> None:
        """The messages and the chart of the chosen endpoint; the chart is drawn once, the cursor painted into it."""
        self.moments = Moments(self.capture, self.endpoint.value)
        try:
            self._picture = pixels(version_chart(self.capture, endpoint=self.endpoint.value))
            self.chart.layout.display = ""
        except BadInput:
            # An endpoint of which no value was seen has messages all the same.
            self.chart.layout.display = "none"
        before = self.cursor.value
        self.cursor.max = len(self.moments.rows) - 1
        self.cursor.value = 0
        if before == 0:
            self._show()

    def _show(self) -> None:
        """Redraw everything that follows from the cursor."""
        at = self.cursor.value
        self.status.value = self._words(at)
        self.ladder.value = ladder_html(self.moments.rungs(at), self.frame)
        self.anatomy.value = bytes_html(*self.moments.parts(at))
        if self.chart.layout.display != "none":
            self.chart.value = marked_png(*self._picture, x=self.moments.time(at))

    def _words(self, at: int) -> str:
        told = " &middot; ".join(f"{name} <b>{escaped(value)}</b>" for name, value in self.moments.told(at).items())
        number = f"message {at + 1} of {len(self.moments.rows)}"
        return f"<b>{self.moments.time(at):.3f} s</b>, frame <b>{self.frame}</b>, {number}<br>{told}"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.panel._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        return f"Explorer({self.capture.name}, {self.endpoint.value}, frame {self.frame})"


_BUTTONS = {
    "previous block": "step-backward", "previous": "chevron-left", "next": "chevron-right",
    "next block": "step-forward",
}  # fmt: skip
_TIPS = {
    "previous block": "to the block before this message",
    "previous": "to the message before",
    "next": "to the next message",
    "next block": "to the next block after this message",
}


def _endpoints(capture: Capture) -> list[str]:
    """Those that were updated first, then the others that said anything."""
    updated = [one.endpoint for one in capture._found_updates]
    others = sorted({str(one) for one in capture._owners[0] if one is not None})
    return list(dict.fromkeys([*updated, *others]))

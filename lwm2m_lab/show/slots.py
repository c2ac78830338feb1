"""The slots of a device over one update: a slider over what happened to it, and what lies where in its flash."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.controls import nudged
from lwm2m_lab.show.page import escaped
from lwm2m_lab.show.style import COLOURS, hide_axes, new_figure, png_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lwm2m_lab.live.client import Happening
    from lwm2m_lab.live.run import Run
    from lwm2m_lab.live.slots import Slot

__all__ = ["SlotAnimation", "slot_animation", "slot_picture"]

#: Milliseconds between two happenings while it plays.
PACE = 1200
_PLACES = (0.26, 0.74)
_WIDTH, _HEIGHT = 0.36, 0.62


def slot_picture(truth: Sequence[Happening], at: int) -> Figure:
    """Draw the slots after one happening, on a line of all of them.

    Parameters
    ----------
    truth : sequence of Happening
        ``run.truth``.
    at : int
        Which one.

    Raises
    ------
    BadInput
        For another number.
    """
    if not 0 <= at < len(truth):
        raise BadInput(f"there is no happening {at!r}; 0 to {len(truth) - 1} are expected")
    now = truth[at]
    figure, (line, flash) = new_figure(height=3.3, rows=[1, 5], share=False)
    line.plot([one.time for one in truth], [0] * len(truth), "o", color=COLOURS["faint"], markersize=4)
    line.plot([now.time], [0], "o", color=COLOURS["again"], markersize=9)
    line.set_yticks([])
    line.spines["left"].set_visible(False)
    line.set_xlabel("seconds since the run began", fontsize=8)
    flash.set_xlim(0, 1)
    flash.set_ylim(0, 1)
    hide_axes(flash)
    for slot, x in zip(now.slots, _PLACES, strict=True):
        _draw_slot(flash, slot, x)
    if now.what == "reboot" and truth[at + 1 : at + 2] and truth[at + 1].slots[0] != now.slots[0]:
        _draw_swap(flash, both=now.slots[1].name == "secondary")
    figure.suptitle(f"{now.time:.1f} s, {now.what}: {now.slots[0]}, {now.slots[1]}", fontsize=10, x=0.01, ha="left")
    return figure


def _draw_slot(ax: Axes, slot: Slot, x: float) -> None:
    """A box: green what runs, the package's colour what waits, dashed what is empty or incomplete."""
    runs = slot.name == "primary"
    colour = COLOURS["firmware"] if runs else COLOURS["package"] if slot.version else COLOURS["faint"]
    style: dict[str, Any] = {"linestyle": "-" if slot.version else "--", "linewidth": 2.0}
    corner = (x - _WIDTH / 2, 0.5 - _HEIGHT / 2)
    ax.add_patch(
        FancyBboxPatch(
            corner, _WIDTH, _HEIGHT, boxstyle="round,pad=0.01,rounding_size=0.03", edgecolor=colour,
            facecolor=colour + ("22" if slot.version else "00"), **style,
        )
    )  # fmt: skip
    name = f"{slot.name} slot" if slot.name != "download" else "download area"
    ax.text(x, 0.9, name, ha="center", va="center", color=COLOURS["event"])
    ax.text(x, 0.55, slot.version or "–", ha="center", va="center", fontsize=17, fontweight="bold", color=colour)
    ax.text(x, 0.33, slot.what, ha="center", va="center", fontsize=9.5)


def _draw_swap(ax: Axes, *, both: bool) -> None:
    """Arrows for what the boot loader does before the next boot: it exchanges the images, or copies one."""
    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 18, "color": COLOURS["again"], "linewidth": 2.4}
    left, right = _PLACES[0] + _WIDTH / 2 + 0.02, _PLACES[1] - _WIDTH / 2 - 0.02
    ax.add_patch(FancyArrowPatch((right, 0.58), (left, 0.58), **style))
    if both:
        ax.add_patch(FancyArrowPatch((left, 0.42), (right, 0.42), **style))


class SlotAnimation:
    """What happened to a device, one happening after the other.

    Parameters
    ----------
    run : Run
        Of `push` or `pull`.
    at : int
        The happening to begin with.

    Attributes
    ----------
    cursor : ipywidgets.IntSlider
        Over the happenings; arrow keys move it.
    play : ipywidgets.Play
    status : ipywidgets.HTML
    picture : ipywidgets.Image

    Raises
    ------
    BadInput
        For what is no run, or another happening.

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> slots = SlotAnimation(lab.push(version="2.1.0", size=2000, device=lab.DeviceOptions(slots="ab")), at=7)
    >>> print(*slots.now.slots, sep=" | ")
    2.1.0 runs on trial | 1.0.0 to go back to
    """

    def __init__(self, run: Run, *, at: int = 0) -> None:
        self.truth = getattr(run, "truth", ())
        if not self.truth:
            raise BadInput("a capture does not say what lies in the flash; a run of lab.push or lab.pull is expected")
        last = len(self.truth) - 1
        if not 0 <= at <= last:
            raise BadInput(f"there is no happening {at!r}; 0 to {last} are expected")
        wide = widgets.Layout(width="70%")
        self.cursor = widgets.IntSlider(
            value=at, min=0, max=last, description="happening", readout=False, layout=wide,
            style={"description_width": "6em"},
        )  # fmt: skip
        self.play = widgets.Play(value=at, min=0, max=last, interval=PACE, show_repeat=False)
        widgets.link((self.play, "value"), (self.cursor, "value"))
        self.status = widgets.HTML()
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%", align_self="flex-start"))
        self._drawn: dict[int, bytes] = {}
        self.panel = widgets.VBox([widgets.HBox([self.play, nudged(self.cursor)]), self.status, self.picture])
        self.cursor.observe(lambda _: self._show(), "value")
        self._show()

    @property
    def now(self) -> Happening:
        """The happening under the cursor."""
        one: Happening = self.truth[self.cursor.value]
        return one

    @property
    def figure(self) -> Figure:
        """The picture, to be saved: ``lab.show.save_figure(panel.figure, "panel.svg")``."""
        return slot_picture(self.truth, self.cursor.value)

    def _show(self) -> None:
        now = self.now
        package = f"/5/0/7 <b>{escaped(now.package_version)}</b>" if now.package_version else "no /5/0/7"
        self.status.value = (
            f"<b>{escaped(now.what)}</b>, {self.cursor.value + 1} of {len(self.truth)}"
            f" &middot; State <b>{now.state}</b> &middot; Update Result <b>{escaped(now.result)}</b> &middot; {package}"
        )
        at = self.cursor.value
        if at not in self._drawn:
            self._drawn[at] = png_bytes(slot_picture(self.truth, at))
        self.picture.value = self._drawn[at]

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.panel._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        return f"SlotAnimation({self.now})"


def slot_animation(run: Run, *, at: int = 0) -> SlotAnimation:
    """See what lies where in the flash of a device while it is updated: a slider over what happened to it.

    Parameters
    ----------
    run : Run
    at : int
        The happening to begin with.

    Raises
    ------
    BadInput
        For what is no run, or another happening.
    """
    return SlotAnimation(run, at=at)

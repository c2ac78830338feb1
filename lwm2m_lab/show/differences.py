"""Two versions of Object 5 side by side: what came, went and changed, as a table and in the state diagrams."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import ipywidgets as widgets
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lwm2m_lab.show.diagram import LABEL_PLACES, STATE_PLACES, arrows, draw_arrow, draw_state
from lwm2m_lab.show.page import escaped
from lwm2m_lab.show.style import COLOURS, hide_axes, new_figure, png_bytes
from lwm2m_lab.spec.changes import Change, Kind, changes
from lwm2m_lab.spec.objects import State
from lwm2m_lab.spec.rules import VERSIONS

__all__ = ["RuleDiff", "diff_picture", "rule_diff"]

#: Sign and colour of each kind of change: told apart without colours too.
MARKS: dict[Kind, tuple[str, str]] = {
    "came": ("+", COLOURS["firmware"]),
    "went": ("−", COLOURS["result"]),
    "changed": ("~", COLOURS["state"]),
}
#: Names of rules in one line of a label.
_IN_LINE = 3
#: Beside its own arrow, where short labels leave room.
_PLACES = {**LABEL_PLACES, (State.DOWNLOADED, State.IDLE): (3.2, 2.2, "right", "center")}


def diff_picture(old: str, new: str) -> Figure:
    """Draw the state diagrams of two versions side by side, arrows labelled by their rules, what differs in colour.

    Parameters
    ----------
    old, new : {"1.0", "1.1", "1.2"}

    Raises
    ------
    BadInput
        For another version.

    Examples
    --------
    >>> figure = diff_picture("1.0", "1.1")
    >>> [text.get_text() for ax in figure.axes for text in ax.texts if text.get_text()[0] in "+−"]
    ['−T22', '+T14', '+T19', '+T16', '+T17', '+T30']
    """
    found = changes(old, new)
    figure, (left, right) = new_figure(height=3.6, rows=[1], columns=2, share=False)
    for ax, version, other in ((left, old, new), (right, new, old)):
        _draw_side(ax, version, other, sign="−" if version == old else "+")
    rules = [one for one in found if one.what == "rule"]
    figure.suptitle(f"Object 5 version {old} to {new}: {_counted(rules)}", fontsize=10, x=0.01, ha="left")
    return figure


def _draw_side(ax: Axes, version: str, other: str, *, sign: str) -> None:
    """One version; rules whose outcome the other does not have stand first, with a sign."""
    theirs = {(arrow.source, arrow.target): arrow.labels for arrow in arrows(other)}
    colour = MARKS["went" if sign == "−" else "came"][1]
    for arrow in arrows(version):
        pair = (arrow.source, arrow.target)
        own = _names(label for label in arrow.labels if label not in theirs.get(pair, ()))
        same = _names(label for label in arrow.labels if label in theirs.get(pair, ()))
        draw_arrow(ax, arrow, colour=colour if own else COLOURS["faint"], width=2.2 if own else 1.1)
        lines = [(sign + f" {sign}".join(own), colour)] if own else []
        lines += [(" ".join(same[at : at + _IN_LINE]), COLOURS["event"]) for at in range(0, len(same), _IN_LINE)]
        _draw_label(ax, _PLACES[pair], lines)
    for state, (x, y) in STATE_PLACES.items():
        draw_state(ax, state, x, y, size=6.5)
    ax.set_xlim(-2.2, 8.9)
    ax.set_ylim(-0.8, 4.0)
    hide_axes(ax)
    ax.set_title(version, fontsize=11, fontweight="bold")


def _names(labels: Iterable[str]) -> list[str]:
    """The rules of labels, without repeats."""
    return list(dict.fromkeys(label.split()[0] for label in labels))


def _draw_label(ax: Axes, place: tuple[float, float, str, str], lines: list[tuple[str, str]]) -> None:
    """The lines of an arrow's label, each in its colour."""
    x, y, horizontal, vertical = place
    step = 0.28
    rise = {"bottom": step * (len(lines) - 1), "center": step * (len(lines) - 1) / 2, "top": 0.0}[vertical]
    for at, (text, ink) in enumerate(lines):
        weight = "normal" if ink == COLOURS["event"] else "bold"
        style: dict[str, Any] = {"ha": horizontal, "va": vertical, "fontsize": 8, "color": ink, "fontweight": weight}
        ax.text(x, y + rise - step * at, text, zorder=5, **style)


def _counted(found: list[Change]) -> str:
    """How many rules of each kind, in words."""
    numbers = {kind: sum(one.kind == kind for one in found) for kind in MARKS}
    words = [f"{number} {kind}" for kind, number in numbers.items() if number]
    return "rules: " + ", ".join(words) if words else "the same rules"


class RuleDiff:
    """Two versions of Object 5 side by side.

    Parameters
    ----------
    old, new : {"1.0", "1.1", "1.2"}

    Attributes
    ----------
    old, new : ipywidgets.ToggleButtons
    table : pandas.DataFrame
        One row a change: ``change``, ``id``, ``what``, ``before``, ``after``, ``clause``.
    picture : ipywidgets.Image
    rows : ipywidgets.HTML

    Raises
    ------
    BadInput
        For another version.

    Examples
    --------
    >>> RuleDiff("1.1", "1.2").table["id"].tolist()
    ['T20', '/5/0/14']
    """

    def __init__(self, old: str, new: str) -> None:
        changes(old, new)
        style = {"description_width": "4em", "button_width": "4em"}
        self.old = widgets.ToggleButtons(options=list(VERSIONS), value=old, description="from", style=style)
        self.new = widgets.ToggleButtons(options=list(VERSIONS), value=new, description="to", style=style)
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%", align_self="flex-start"))
        self.rows = widgets.HTML()
        versions = widgets.HBox([self.old, self.new], layout=widgets.Layout(flex_flow="row wrap"))
        self.panel = widgets.VBox([versions, self.picture, self.rows])
        for control in (self.old, self.new):
            control.observe(lambda _: self._show(), "value")
        self._show()

    @property
    def table(self) -> pd.DataFrame:
        """What differs, a row each."""
        rows = [(one.kind, one.id, one.name, one.before, one.after, one.clause) for one in self._changes()]
        return pd.DataFrame(rows, columns=["change", "id", "what", "before", "after", "clause"])

    @property
    def figure(self) -> Figure:
        """The picture, to be saved: ``lab.show.save_figure(panel.figure, "panel.svg")``."""
        return diff_picture(self.old.value, self.new.value)

    def _changes(self) -> tuple[Change, ...]:
        return changes(self.old.value, self.new.value)

    def _show(self) -> None:
        """Redraw both sides."""
        self.picture.value = _png(self.old.value, self.new.value)
        self.rows.value = changes_html(self._changes(), self.old.value, self.new.value)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.panel._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        return f"RuleDiff({self.old.value!r}, {self.new.value!r})"


@functools.lru_cache(maxsize=9)
def _png(old: str, new: str) -> bytes:
    """Each pair is drawn once: there are nine."""
    return png_bytes(diff_picture(old, new))


def rule_diff(old: str, new: str) -> RuleDiff:
    """Compare two versions of Object 5: rules, resources and results that came, went and changed.

    Parameters
    ----------
    old, new : {"1.0", "1.1", "1.2"}

    Raises
    ------
    BadInput
        For another version.
    """
    return RuleDiff(old, new)


def changes_html(found: tuple[Change, ...], old: str, new: str) -> str:
    """A line for each change, with its sign."""
    if not found:
        return f"<p>Between {escaped(old)} and {escaped(new)} nothing differs.</p>"
    lines = []
    for one in found:
        sign, colour = MARKS[one.kind]
        cells = (one.id, one.name, one.before or "–", one.after or "–", one.clause)
        lines.append(
            f'<tr><td style="border-left:5px solid {colour};padding:1px 8px;white-space:nowrap">'
            f"<b>{sign}</b> {one.kind}</td>"
            + "".join(f'<td style="text-align:left;padding:1px 8px">{escaped(cell)}</td>' for cell in cells)
            + "</tr>"
        )
    heads = ("change", "rule", "what", old, new, "clause")
    head = "".join(f'<th scope="col" style="text-align:left;padding:1px 8px">{escaped(name)}</th>' for name in heads)
    style = "border-collapse:collapse;font-size:12px;line-height:1.4"
    caption = f'<caption style="text-align:left">From {escaped(old)} to {escaped(new)}</caption>'
    return f'<table style="{style}">{caption}<tr>{head}</tr>{"".join(lines)}</table>'

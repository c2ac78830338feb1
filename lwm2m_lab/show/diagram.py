"""The state diagram, drawn from the rules: four states, an arrow for each pair of states that a rule connects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.style import COLOURS, STATE_COLOURS, Backdrop, hide_axes, ink_of, new_figure
from lwm2m_lab.spec.firmware import Machine
from lwm2m_lab.spec.objects import State
from lwm2m_lab.spec.rules import RULES, VERSIONS

__all__ = [
    "LABEL_PLACES", "STATE_PLACES", "Arrow", "DiagramPicture", "arrows", "draw_arrow", "draw_state", "state_diagram",
]  # fmt: skip

STATE_PLACES = {
    State.IDLE: (0.0, 0.0),
    State.DOWNLOADING: (0.0, 3.0),
    State.DOWNLOADED: (6.4, 3.0),
    State.UPDATING: (6.4, 0.0),
}
_HALF = (1.0, 0.36)


@dataclass(frozen=True, slots=True)
class Arrow:
    """All transitions from one state to another.

    Attributes
    ----------
    source, target : State
    labels : tuple of str
        One for each event and result: ``"T5 package complete and accepted"``.
    rules : tuple of str
    """

    source: State
    target: State
    labels: tuple[str, ...]
    rules: tuple[str, ...]


def arrows(version: str, *, unusual: bool = False) -> list[Arrow]:
    """The arrows of one object version, from the rules.

    Parameters
    ----------
    version : str
        Of Object 5.
    unusual : bool
        Also what is not specified or only seen in the field: unexpected reboots, a sender that has gone.

    Examples
    --------
    >>> [arrow.labels for arrow in arrows("1.0") if arrow.source == State.DOWNLOADED]
    [('T18 Write the reset value → 0',), ('T15 Execute Update → 0',)]
    """
    if version not in VERSIONS:
        raise BadInput(f"version of Object 5 is {version!r}; one of {', '.join(VERSIONS)} is expected")
    found: dict[tuple[State, State], dict[str, str]] = {}
    for rule in RULES:
        if version not in rule.versions or (rule.id in ("T29", "T32") and not unusual):
            continue
        for state, result in rule.outcomes:
            if state == rule.source and (result is None or state == State.IDLE or rule.id == "T27"):
                continue
            label = f"{rule.id} {rule.event.value}" + ("" if result is None else f" → {result.value}")
            found.setdefault((rule.source, state), {})[label] = rule.id
    order = sorted(found, key=lambda pair: (pair[0], pair[1]))
    return [Arrow(*pair, tuple(found[pair]), tuple(dict.fromkeys(found[pair].values()))) for pair in order]


def state_diagram(of: Machine | str = "1.1", *, path: Iterable[tuple[State, State]] | None = None) -> Axes:
    """Draw the states and what leads from one to another, with the path taken.

    Parameters
    ----------
    of : Machine or str
        A machine, whose history is the path and whose state is filled, or a version of Object 5.
    path : iterable of (State, State), optional
        Steps to number instead.

    Examples
    --------
    >>> ax = state_diagram("1.0")
    >>> sorted(text.get_text() for text in ax.texts if text.get_text()[0] in "0123" and "\\n" not in text.get_text())
    ['0 Idle', '1 Downloading', '2 Downloaded', '3 Updating']
    """
    machine = of if isinstance(of, Machine) else None
    version = machine.version if machine is not None else str(of)
    taken = list(path) if path is not None else _steps(machine)
    figure, axes = new_figure(height=4.9)
    ax: Axes = axes[0]
    for arrow in arrows(version):
        _draw_arrow(ax, arrow, _numbers(taken, arrow))
    for state, (x, y) in STATE_PLACES.items():
        draw_state(ax, state, x, y, current=machine is not None and machine.state == state)
    ax.set_xlim(-3.6, 10.2)
    ax.set_ylim(-0.95, 3.75)
    hide_axes(ax)
    figure.suptitle(_title(version, machine), fontsize=10, x=0.01, ha="left")
    return ax


class DiagramPicture:
    """The diagram of one version of Object 5 for one machine after the other: what does not change is drawn once.

    Examples
    --------
    >>> DiagramPicture("1.1").draw(Machine("1.1"))[:4]
    b'\\x89PNG'
    """

    def __init__(self, version: str) -> None:
        self.version, self.axes = version, state_diagram(version)
        figure: Any = self.axes.figure
        self._words = figure.texts[0]
        self._backdrop = Backdrop(figure, without=self._words)

    def draw(self, machine: Machine) -> bytes:
        """The same as `state_diagram` of a machine of this version, as PNG."""
        ax, taken = self.axes, _steps(machine)
        before = set(ax.get_children())
        for arrow in arrows(self.version):
            if numbers := _numbers(taken, arrow):
                _draw_path(ax, arrow, numbers)
        draw_state(ax, machine.state, *STATE_PLACES[machine.state], current=True)
        self._words.set_text(_title(self.version, machine))
        painted = [artist for artist in ax.get_children() if artist not in before]
        try:
            return self._backdrop.painted([*painted, self._words])
        finally:
            for artist in painted:
                artist.remove()


def _numbers(taken: Sequence[tuple[State, State]], arrow: Arrow) -> list[int]:
    """Which steps went along an arrow, from 1."""
    return [number for number, step in enumerate(taken, 1) if step == (arrow.source, arrow.target)]


def _title(version: str, machine: Machine | None) -> str:
    title = f"Object 5 version {version}"
    if machine is None:
        rules = {rule for one in arrows(version) for rule in one.rules}
        title += f": four States, {len(rules)} rules that lead from one to another"
    if machine is not None:
        title += f", profile {machine.profile or 'none'}: State {machine.state}, Update Result {machine.result}"
    return title


def _steps(machine: Machine | None) -> list[tuple[State, State]]:
    return [] if machine is None else [(step.before[0], step.after[0]) for step in machine.history]


def draw_state(ax: Axes, state: State, x: float, y: float, *, current: bool = False, size: float = 9) -> None:
    """A box with the state's name in letters of a size, filled where it is the current one."""
    width, height = _HALF
    colour = STATE_COLOURS[str(state)]
    ax.add_patch(
        FancyBboxPatch(
            (x - width, y - height), 2 * width, 2 * height, boxstyle="round,pad=0.05,rounding_size=0.2",
            facecolor=ink_of(colour) if current else "white", edgecolor=colour, linewidth=1.8, zorder=3,
        )
    )  # fmt: skip
    ink = "white" if current else colour
    ax.text(x, y, str(state), ha="center", va="center", fontweight="bold", fontsize=size, color=ink, zorder=4)


#: Where the labels of each arrow stand, and how they are aligned.
LABEL_PLACES: dict[tuple[State, State], tuple[float, float, str, str]] = {
    (State.IDLE, State.DOWNLOADING): (0.45, 2.2, "left", "center"),
    (State.DOWNLOADING, State.IDLE): (-0.45, 1.5, "right", "center"),
    (State.DOWNLOADING, State.DOWNLOADED): (3.2, 3.12, "center", "bottom"),
    (State.DOWNLOADED, State.IDLE): (5.95, 1.62, "right", "top"),
    (State.DOWNLOADED, State.UPDATING): (5.95, 1.0, "right", "center"),
    (State.UPDATING, State.DOWNLOADED): (6.85, 1.5, "left", "center"),
    (State.UPDATING, State.IDLE): (3.2, -0.14, "center", "top"),
    (State.DOWNLOADED, State.DOWNLOADED): (7.7, 3.3, "left", "center"),
}


def _ends(arrow: Arrow) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where an arrow leaves and arrives; two arrows between the same states run side by side."""
    (x0, y0), (x1, y1) = STATE_PLACES[arrow.source], STATE_PLACES[arrow.target]
    width, height = _HALF[0] + 0.07, _HALF[1] + 0.07
    if x0 == x1:
        up = 1 if y1 > y0 else -1
        side = 0.3 if up > 0 else -0.3
        return (x0 + side, y0 + up * height), (x1 + side, y1 - up * height)
    if y0 == y1:
        right = 1 if x1 > x0 else -1
        return (x0 + right * width, y0), (x1 - right * width, y1)
    return (x0 - width, y0 - 0.2), (x1 + width * 0.75, y1 + height)


def draw_arrow(ax: Axes, arrow: Arrow, *, colour: str, width: float) -> None:
    """An arrow without its labels."""
    style: dict[str, Any] = {
        "arrowstyle": "-|>",
        "mutation_scale": 13,
        "color": colour,
        "linewidth": width,
        "zorder": 2,
    }
    if arrow.source == arrow.target:
        x, y = STATE_PLACES[arrow.source]
        ends = ((x + 1.07, y + 0.1), (x + 0.6, y + 0.46))
        ax.add_patch(FancyArrowPatch(*ends, connectionstyle="arc3,rad=0.9", **style))
    else:
        ax.add_patch(FancyArrowPatch(*_ends(arrow), **style))


def _draw_arrow(ax: Axes, arrow: Arrow, numbers: Sequence[int]) -> None:
    """One arrow with all its labels; a path taken is thick and numbered."""
    _draw_path(ax, arrow, numbers)
    x, y, horizontal, vertical = LABEL_PLACES[arrow.source, arrow.target]
    label = "\n".join(arrow.labels)
    ax.text(x, y, label, ha=horizontal, va=vertical, fontsize=8, color=COLOURS["event"], linespacing=1.2, zorder=5)


def _draw_path(ax: Axes, arrow: Arrow, numbers: Sequence[int]) -> None:
    """The arrow itself, and which steps went along it."""
    colour = COLOURS["result"] if numbers else COLOURS["faint"]
    draw_arrow(ax, arrow, colour=colour, width=2.4 if numbers else 1.1)
    if numbers:
        (x0, y0), (x1, y1) = _ends(arrow)
        words = ",".join(map(str, numbers))
        ax.text(
            x0 + 0.22 * (x1 - x0), y0 + 0.22 * (y1 - y0), words, ha="center", va="center", fontsize=8, color="white",
            bbox={"boxstyle": "circle,pad=0.25", "facecolor": colour, "edgecolor": "none"}, zorder=6,
        )  # fmt: skip

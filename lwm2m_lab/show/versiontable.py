"""Which version is it: devices x strategies as a table in colours and words, and the run behind each cell."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.run import Run
from lwm2m_lab.live.truth_table import Case, TruthTable, truth_table
from lwm2m_lab.show.chart import version_chart
from lwm2m_lab.show.controls import nudged
from lwm2m_lab.show.page import escaped
from lwm2m_lab.show.style import COLOURS, png_bytes, stand_still

__all__ = ["VersionTable", "table_html", "truth_table_panel"]

#: Words and colour of a score.
_SCORES = {
    "ok": ("ok", "firmware"),
    "FS": ("false success", "result"),
    "FF": ("false failure", "again"),
    "?": ("undecided", "faint"),
}


def table_html(table: TruthTable, device: str, strategy: str) -> str:
    """The table with one cell chosen."""
    head = "".join(f'<th scope="col" style="padding:2px 6px">{escaped(case.name)}</th>' for case in table.cases)
    rows = []
    for one in table.strategies:
        cells = "".join(
            _cell(score, chosen=(name, one.name) == (device, strategy)) for name, score in table[one.name].items()
        )
        title = f"<b>{escaped(one.name)}</b> {escaped(one.asks)}"
        rows.append(f'<tr><th scope="row" style="text-align:left;font-weight:normal">{title}</th>{cells}</tr>')
    return (
        '<div style="overflow-x:auto"><table style="border-collapse:separate;border-spacing:2px;line-height:1.2;'
        'font-size:12px">'
        f'<thead><tr><th scope="col" style="text-align:left">server asks</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(score: str, *, chosen: bool) -> str:
    words, name = _SCORES[score]
    colour = COLOURS[name]
    ring = f"outline:3px solid {COLOURS['state']};" if chosen else ""
    style = f"background:{colour}33;border-left:4px solid {colour};padding:2px 5px;{ring}"
    return f'<td style="{style}"{" aria-selected=true" if chosen else ""}>{words}</td>'


class VersionTable:
    """The table, two pickers, and the version chart of the run behind the chosen cell.

    Attributes
    ----------
    device, strategy : ipywidgets.Dropdown
    table, status : ipywidgets.HTML
    picture : ipywidgets.Image
    """

    def __init__(self, truth: TruthTable, *, device: str, strategy: str) -> None:
        devices, strategies = [one.name for one in truth.cases], [one.name for one in truth.strategies]
        for what, given, known in (("device", device, devices), ("strategy", strategy, strategies)):
            if given not in known:
                raise BadInput(f"no {what} is named {given!r}; one of {', '.join(known)} is expected")
        self.truth = truth
        self._drawn: dict[str, bytes] = {}
        self.device = widgets.Dropdown(
            options=[(f"{one.name} {one.about}", one.name) for one in truth.cases],
            value=device,
            description="device",
            layout=widgets.Layout(width="34em"),
        )
        self.strategy = widgets.Dropdown(
            options=[(f"{one.name} {one.asks}", one.name) for one in truth.strategies], value=strategy,
            description="strategy", layout=widgets.Layout(width="34em"),
        )  # fmt: skip
        self.table, self.status = widgets.HTML(), widgets.HTML()
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%", align_self="flex-start"))
        pickers = widgets.HBox(
            [nudged(self.device), nudged(self.strategy)], layout=widgets.Layout(flex_flow="row wrap")
        )
        self.panel = widgets.VBox([pickers, self.table, self.status, self.picture])
        for picker in (self.device, self.strategy):
            picker.observe(lambda _: self._show(), "value")
        self._show()

    @property
    def _case(self) -> Case:
        return next(one for one in self.truth.cases if one.name == self.device.value)

    @property
    def score(self) -> str:
        """Of the chosen cell."""
        return self.truth[self.strategy.value][self.device.value]

    @property
    def figure(self) -> Figure:
        """The picture, to be saved: ``lab.show.save_figure(panel.figure, "panel.svg")``."""
        return _chart(self._case.run)

    def _show(self) -> None:
        case = self._case
        self.table.value = table_html(self.truth, self.device.value, self.strategy.value)
        truth = "runs the new image" if case.runs_new else "does not run the new image"
        self.status.value = (
            f"<b>{escaped(self.strategy.value)}</b> of <b>{escaped(case.name)}</b>: {_SCORES[self.score][0]}; the"
            f" device {truth}. First look {escaped(str(case.seen.first))}, settled {escaped(str(case.seen.settled))}"
        )
        if case.name not in self._drawn:
            self._drawn[case.name] = png_bytes(_chart(case.run), fast=True)
        self.picture.value = self._drawn[case.name]

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.panel._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        return f"VersionTable({self.device.value}, {self.strategy.value}: {_SCORES[self.score][0]})"


def _chart(run: Run) -> Figure:
    """The run of a cell. The axes stand still from one device to the next, so that what moves is the device's."""
    figure = version_chart(run, progress=False)
    stand_still(figure, left=2.2, right=0.6, top=0.72, bottom=0.52)
    return figure


def truth_table_panel(*, device: str = "D5", strategy: str = "S3") -> VersionTable:
    """See who is fooled about the version, and open the run behind each cell.

    Parameters
    ----------
    device, strategy : str
        The cell to begin with.

    Raises
    ------
    BadInput
        For a name that none has.

    Examples
    --------
    >>> panel = truth_table_panel(device="D2", strategy="S3")
    >>> panel.score
    'FF'
    """
    return VersionTable(truth_table(), device=device, strategy=strategy)

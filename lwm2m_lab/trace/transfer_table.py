"""The table of transfers as a DataFrame that can draw itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from pandas.plotting import PlotAccessor

from lwm2m_lab.errors import BadInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lwm2m_lab.trace.capture import Capture

__all__ = ["TransferTable"]


class TransferPlot(PlotAccessor):  # type: ignore[misc]
    """``transfers.plot()`` draws the transfers; with arguments, and as ``.plot.bar()``, it is pandas' own."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return super().__call__(*args, **options) if args or options else self.plot()

    def plot(self) -> Figure:
        """Draw the offset of each block over time, with what was sent again, restarts, resumes, and the goodput."""
        from lwm2m_lab.show.transfers import transfer_chart

        table = self._parent
        if table._capture is None:
            raise BadInput("this table has lost its capture; rows of capture.transfers are expected")
        figure: Figure = transfer_chart(table._capture, transfers=table["transfer"].tolist())
        return figure


class TransferTable(pd.DataFrame):  # type: ignore[misc]
    """One row a transfer, with `plot`.

    A DataFrame in every respect; rows of it, picked or sorted, are one too. Where the column `transfer` is gone
    nothing is left to draw, and pandas' own DataFrame comes out.

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> transfers = lab.read("anjay-push-256-ok").transfers
    >>> type(transfers[transfers["complete"]]).__name__, type(transfers[["blocks", "size"]]).__name__
    ('TransferTable', 'DataFrame')
    """

    #: pandas carries these over to the rows that are picked.
    _metadata = ("_capture",)
    _capture: Capture | None = None

    @property
    def _constructor(self) -> Any:
        return _table_or_frame

    @property
    def plot(self) -> TransferPlot:
        """Draw the transfers; with arguments, what pandas draws."""
        return TransferPlot(self)


def _table_or_frame(*args: Any, **options: Any) -> pd.DataFrame:
    """What pandas makes of a table: one that can be drawn as long as it says which transfers its rows are."""
    frame = pd.DataFrame(*args, **options)
    return TransferTable(frame) if "transfer" in frame.columns else frame

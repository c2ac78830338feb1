"""The table of a sweep as a DataFrame that sums itself up and can draw itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from lwm2m_lab.errors import BadInput

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FORMULA", "SweepTable", "table_of"]

#: What the closed formula says, beside what was measured.
FORMULA = {"delivered": "expected_delivered", "transfer_s": "expected_s"}
#: Means of the summary; of a share the mean, of seconds the mean among the runs that arrived.
_MEANS = (
    "succeeded", "delivered", "expected_delivered", "transfer_s", "expected_s", "bound_s", "duration_s", "goodput",
    "retransmissions", "bytes_on_air", "energy_j",
)  # fmt: skip


class SweepTable(pd.DataFrame):  # type: ignore[misc]
    """One row a run, with `summary` and `heatmap`; a DataFrame in every other respect."""

    #: pandas carries this over to the rows that are picked.
    _metadata = ("_parameters",)
    _parameters: tuple[str, ...] = ()

    @property
    def _constructor(self) -> Any:
        return SweepTable

    @property
    def parameters(self) -> tuple[str, ...]:
        """The columns that were given, seeds apart."""
        return self._parameters

    def summary(self, *by: str) -> pd.DataFrame:
        """One row a combination of parameters, with means over its seeds, and the closed formula beside them.

        Parameters
        ----------
        by : str
            Parameters to tell apart; all that were given by default.

        Returns
        -------
        DataFrame
            ``runs``; ``succeeded`` and ``delivered`` as shares; ``expected_delivered`` and ``expected_s`` by the
            formula; means of the other columns, those of ``transfer_s`` and ``goodput`` among the runs whose image
            arrived.

        Raises
        ------
        BadInput
            For a name that is no parameter of this sweep.

        Examples
        --------
        >>> import lwm2m_lab as lab
        >>> table = lab.sweep(loss=[0.0, 0.05], seeds=range(3), size=5_000)
        >>> table.summary()[["loss", "runs", "succeeded"]].values.tolist()
        [[0.0, 3.0, 1.0], [0.05, 3.0, 1.0]]
        """
        names = [self._checked(name) for name in by] or list(self._parameters)
        frame = pd.DataFrame(self).assign(succeeded=self["outcome"] == "succeeded")
        if not names:
            return frame[list(_MEANS)].astype(float).mean().to_frame().T.assign(runs=len(frame))
        groups = frame.groupby(names, sort=False, dropna=False)
        means = groups[list(_MEANS)].mean()
        means.insert(0, "runs", groups.size())
        return means.reset_index()

    def _checked(self, name: str) -> str:
        if name not in self._parameters:
            raise BadInput(
                f"{name!r} is no parameter of this sweep; one of {', '.join(self._parameters) or 'none'} is expected"
            )
        return name

    def heatmap(self, x: str | None = None, y: str | None = None, *, value: str = "delivered") -> Figure:
        """Draw means over the seeds as a map of two parameters, beside what the closed formula says.

        Parameters
        ----------
        x, y : str, optional
            Parameters; by default the first two that have several values.
        value : str
            ``"delivered"`` or ``"transfer_s"``, which have a formula; or any other column of numbers, and
            ``"succeeded"``.

        Raises
        ------
        BadInput
            For a name that is no parameter or no number of this sweep.
        """
        from lwm2m_lab.show.heatmap import heatmap

        several = [name for name in self._parameters if self[name].nunique(dropna=False) > 1]
        axes = [name for name in several if name not in (x, y)] + [*self._parameters, ""]
        x = x or axes.pop(0)
        y = y or next((name for name in axes if name != x), "")
        figure: Figure = heatmap(self, self._checked(x), y and self._checked(y), value=value)
        return figure


def table_of(rows: Iterable[dict[str, Any]], parameters: Sequence[str]) -> SweepTable:
    """The table of these rows."""
    table = SweepTable(list(rows))
    table._parameters = tuple(parameters)
    return table

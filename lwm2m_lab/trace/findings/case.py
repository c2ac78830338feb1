"""One update before the rules: its messages, exchanges, blocks and values, cut out of the capture once."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lwm2m_lab.trace.updates import Update

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["Case"]


@dataclass(frozen=True)
class Case:
    """One update before the rules.

    The tables begin with the first Write of the update and end before the next update of the endpoint.

    Attributes
    ----------
    update : Update
    """

    update: Update

    @property
    def capture(self) -> Capture:
        """The whole capture."""
        return self.update.capture

    def _window(self, table: pd.DataFrame) -> pd.DataFrame:
        frames = table["frame"].to_numpy()
        return table[(frames >= self.update.frames[0]) & (frames < self.update.until)]

    @functools.cached_property
    def history(self) -> pd.DataFrame:
        """Values of the endpoint from the beginning of the capture on."""
        return self.capture.of("timeline", self.update.endpoint)

    @functools.cached_property
    def timeline(self) -> pd.DataFrame:
        """Values of the endpoint from the first Write on."""
        return self._window(self.history)

    @functools.cached_property
    def exchanges(self) -> pd.DataFrame:
        """Exchanges of the endpoint from the first Write on, its download among them."""
        own = self._window(self.capture.of("_wired", self.update.endpoint))
        positions = np.union1d(own.index.to_numpy(), np.array(self.update.evidence.exchanges, np.int64))
        return self.capture.named(self.capture._wired.take(positions))

    @functools.cached_property
    def delivery(self) -> pd.DataFrame:
        """The exchanges of the delivery itself: the Writes of the package, or of its URI and the GETs."""
        return self.exchanges.loc[np.unique(self.update.evidence.exchanges)]

    @functools.cached_property
    def blocks(self) -> pd.DataFrame:
        """The blocks of the delivery, in the order of the file."""
        return self.capture.blocks_of(self.update.evidence.exchanges)

    @functools.cached_property
    def messages(self) -> pd.DataFrame:
        """Every message to and from the endpoint from the first Write on, copies and acknowledgements too.

        Integer columns as in `lwm2m_lab.wire.read_columns`, `time` in seconds since the first message, `row` for the
        columns of the capture; `sender` is True where the device sent it.
        """
        return self._window(self.capture.messages_of(self.update.endpoint))

    @functools.cached_property
    def registrations(self) -> pd.DataFrame:
        """Registrations of the endpoint from the first Write on."""
        return self._window(self.capture.of("registrations", self.update.endpoint))

    @functools.cached_property
    def executes(self) -> pd.DataFrame:
        """Executes on the endpoint from the first Write on."""
        return self._window(self.capture.of("executes", self.update.endpoint))

    @functools.cached_property
    def installs(self) -> pd.DataFrame:
        """Executes of Update that were accepted."""
        table = self.executes
        good = table["response_code"].str.startswith("2.").fillna(False) if len(table) else []
        return table[(table["path"] == "/5/0/2") & good] if len(table) else table

    @functools.cached_property
    def object_versions(self) -> tuple[tuple[str, ...], bool]:
        """Versions of Object 5 that the endpoint may have, and whether it declared its own."""
        own = self.capture.of("registrations", self.update.endpoint)
        own = own[own["operation"] == "register"]
        said = own[own["declared"].astype(bool)] if len(own) else own
        if len(said) and said["object5_version"].iloc[-1] in ("1.0", "1.1", "1.2"):
            return (str(said["object5_version"].iloc[-1]),), True
        return ("1.0", "1.1", "1.2"), False

    def values(self, path: str) -> pd.DataFrame:
        """Sightings of one resource from the first Write on."""
        return self._by_path.get(path, self._no_values)

    @functools.cached_property
    def _by_path(self) -> dict[Any, pd.DataFrame]:
        return dict(list(self.timeline.groupby("path", sort=False)))

    @functools.cached_property
    def _no_values(self) -> pd.DataFrame:
        return self.timeline.iloc[:0]

    def before(self, path: str) -> Any:
        """The last value of a resource before the first Write; None where none was seen."""
        earlier = self.history[(self.history["frame"] < self.update.frames[0]) & (self.history["path"] == path)]
        return earlier["value"].iloc[-1] if len(earlier) else None

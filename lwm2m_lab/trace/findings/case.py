"""One update before the rules: its messages, exchanges, blocks and values, cut out of the capture once."""

from __future__ import annotations

import bisect
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.trace.ordered import distinct
from lwm2m_lab.trace.outcomes import accepted_installs
from lwm2m_lab.trace.rows import Rows
from lwm2m_lab.trace.updates import Update

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["Case"]


@dataclass(frozen=True)
class Case:
    """One update before the rules.

    Its tables are `Rows`: they begin with the first Write of the update and end before the next update of the endpoint.
    A number that is missing is -1 in them, a text None.

    Attributes
    ----------
    update : Update
    """

    update: Update

    @property
    def capture(self) -> Capture:
        """The whole capture."""
        return self.update.capture

    def _window(self, rows: Rows) -> Rows:
        return rows.between(self.update.frames[0], self.update.until)

    @functools.cached_property
    def history(self) -> Rows:
        """Values of the endpoint from the beginning of the capture on, without those that a newer one had overtaken."""
        return self._up_to_date(self.capture.of("timeline", self.update.endpoint))

    def _up_to_date(self, values: Rows) -> Rows:
        stale = self.capture.stale_frames
        return values[~np.isin(values.frame, stale)] if len(stale) else values

    @functools.cached_property
    def timeline(self) -> Rows:
        """Values of the endpoint from the first Write on."""
        return self._window(self.history)

    @functools.cached_property
    def exchanges(self) -> Rows:
        """Exchanges of the endpoint from the first Write on, its download among them.

        Each column of the message table is there too, for the request and for the response: ``request_size1``,
        ``response_block1_num``.
        """
        own = self._window(self.capture.of("exchanges", self.update.endpoint))
        return self._exchanges(distinct(own.index, np.array(self.update.evidence.exchanges, np.int64)))

    @functools.cached_property
    def requests(self) -> Rows:
        """Those of the exchanges in which the device was asked: reads, Writes, Executes."""
        own = self.exchanges
        to_device: NDArray[np.bool_] = own["_dst"] == own["_device"]
        return own[to_device]

    @functools.cached_property
    def delivery(self) -> Rows:
        """The exchanges of the delivery itself: the Writes of the package, or of its URI and the GETs."""
        return self._exchanges(distinct(np.array(self.update.evidence.exchanges, np.int64)))

    def _exchanges(self, positions: NDArray[np.int64]) -> Rows:
        return self.capture.rows("exchanges", positions)

    @functools.cached_property
    def blocks(self) -> Rows:
        """The blocks of the delivery that carry payload."""
        return self.capture.block_rows(self.update.evidence.exchanges)

    @functools.cached_property
    def messages(self) -> Rows:
        """Every message to and from the endpoint from the first Write on, copies and acknowledgements too.

        `time` is in seconds since the first message, `row` the row for `Columns.payload`, `sender` True where the
        device sent it.
        """
        return self._window(self.capture.of("messages", self.update.endpoint))

    @functools.cached_property
    def registrations(self) -> Rows:
        """Registrations of the endpoint from the first Write on."""
        return self._window(self.capture.of("registrations", self.update.endpoint))

    @functools.cached_property
    def registers(self) -> Rows:
        """Registers among them."""
        return self._window(self.all_registers)

    @functools.cached_property
    def all_registers(self) -> Rows:
        """Registers of the endpoint in the whole capture."""
        return self.capture.of("registrations", self.update.endpoint).where(operation="register")

    @functools.cached_property
    def again(self) -> Rows:
        """Registers after the first accepted Execute of Update: the device came back."""
        return self.registers.after(self.installs.first("frame", np.inf))

    @functools.cached_property
    def executes(self) -> Rows:
        """Executes on the endpoint from the first Write on."""
        return self._window(self.capture.of("executes", self.update.endpoint))

    @functools.cached_property
    def update_executes(self) -> Rows:
        """Executes of Update among them."""
        return self.executes.where(path="/5/0/2")

    @functools.cached_property
    def installs(self) -> Rows:
        """Executes of Update that were accepted."""
        return accepted_installs(self.executes, self.update.frames[0], self.update.until)

    @functools.cached_property
    def resets(self) -> Rows:
        """Writes since `since` of a reset value, or of what may be one: some bytes of Package, an empty Package URI."""
        own = self.capture.of("exchanges", self.update.endpoint)
        own = own.between(self.since, self.update.until)
        package, uri = (own["_path"] == self.capture.path_codes.get(path, -2) for path in ("/5/0/0", "/5/0/1"))
        first: NDArray[np.bool_] = (package | uri) & (own.block1_num <= 0)
        own = own[first]
        length, code = own.request_payload_length, own["_code"]
        writes = ((code == 3) | (code == 2)) & (own.request_block1_more < 1)
        is_uri = own["_path"] == self.capture.path_codes.get("/5/0/1", -2)
        chosen: NDArray[np.bool_] = writes & (length <= np.where(is_uri, 0, 4))
        return own[chosen]

    @functools.cached_property
    def earlier(self) -> list[Update]:
        """Earlier updates of the same endpoint, oldest first, the last hundred of them; their verdicts are not said."""
        own = self.capture.updates_of(self.update.endpoint)
        at = bisect.bisect_left(own, self.update.frames[0], key=lambda one: one.frames[0])
        return own[max(0, at - 100) : at]

    @property
    def since(self) -> int:
        """The first Write; for the first update of an endpoint the beginning of the capture."""
        return self.update.frames[0] if self.earlier else 0

    @functools.cached_property
    def object_versions(self) -> tuple[tuple[str, ...], bool]:
        """Versions of Object 5 that the endpoint may have, and whether it declared its own."""
        registers = self.all_registers.where(declared=True)
        said = registers.last("object5_version")
        return ((said,), True) if said in ("1.0", "1.1", "1.2") else (("1.0", "1.1", "1.2"), False)

    def history_of(self, path: str) -> Rows:
        """Sightings of one resource from the beginning of the capture on, as in `history`."""
        return self._up_to_date(self.capture.values_of(self.update.endpoint, path))

    def values(self, path: str) -> Rows:
        """Sightings of one resource from the first Write on."""
        if path not in self._values:
            self._values[path] = self._window(self.history_of(path))
        return self._values[path]

    def own_values(self, path: str) -> Rows:
        """Sightings of one resource since `since`: those that no earlier update has to answer for."""
        return self.history_of(path).between(self.since, self.update.until)

    def instances(self, path: str) -> dict[int, Any]:
        """The last values of the instances of a resource with several, before the update's Execute."""
        end = self.installs.first("frame", self.update.until)
        own = self.history.before(end)
        found = [(int(name.rpartition("/")[2]), value) for name, value in own.each("path", "value")
                 if name.startswith(f"{path}/") and name.rpartition("/")[2].isdecimal()]  # fmt: skip
        return dict(found)

    def last_time(self) -> float:
        """When the last message of the endpoint in this update was seen."""
        time: float = self.messages.last("time", 0.0)
        return time

    def time_of(self, frame: int) -> float:
        """When a frame was seen; that of the next one where it holds no message of the endpoint."""
        own = self.messages
        at = min(int(np.searchsorted(own.frame, frame)), len(own) - 1)
        return float(own.time[at]) if len(own) else 0.0

    @functools.cached_property
    def memo(self) -> dict[Any, Any]:
        """What several rules work out together."""
        return {}

    @functools.cached_property
    def _values(self) -> dict[str, Rows]:
        return {}

    def before(self, path: str) -> Any:
        """The last value of a resource before the first Write; None where none was seen."""
        return self.history_of(path).before(self.update.frames[0]).last("value")

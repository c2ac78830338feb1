"""The tables that follow from the columns of a capture: each is built when it is first asked for."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace import endpoints, exchanges, overtcp, timeline, timing, transfers
from lwm2m_lab.trace.endpoints import REGISTRATION_COLUMNS, Registration
from lwm2m_lab.trace.exchanges import Table
from lwm2m_lab.trace.ordered import distinct
from lwm2m_lab.trace.rows import Rows, Source, exchange_source, grouped, message_source
from lwm2m_lab.wire import Columns, coap

if TYPE_CHECKING:
    import pandas as pd

    from lwm2m_lab.trace.transfer_table import TransferTable

__all__ = ["Tables"]


class Tables:
    """CoAP messages, and the tables of exchanges, transfers and values that follow from them.

    Parameters
    ----------
    columns : Columns
        As `lwm2m_lab.wire.read_columns` gives them.
    name : str
        What to call it in messages.
    """

    def __init__(self, columns: Columns, *, name: str) -> None:
        self.columns, self.name = columns, name
        #: Registrations before a selected part: who the addresses of the part belong to.
        self._earlier: list[Registration] = []

    # ---------------------------------------------------------------- tables

    @functools.cached_property
    def messages(self) -> pd.DataFrame:
        """The message table: one row a CoAP message."""
        from lwm2m_lab.trace import frames

        return frames.messages(self.columns)

    @functools.cached_property
    def exchanges(self) -> pd.DataFrame:
        """One row a request, retransmissions merged, with its response."""
        from lwm2m_lab.trace import frames

        return frames.exchanges(self._wired)

    @functools.cached_property
    def blocks(self) -> pd.DataFrame:
        """One row a block that carries payload."""
        from lwm2m_lab.trace import frames

        return frames.blocks(self._blocks)

    @functools.cached_property
    def transfers(self) -> TransferTable:
        """One row a block-wise body; ``transfers.plot()`` draws them."""
        from lwm2m_lab.trace import frames

        return frames.transfers(transfers.build_transfers(self.columns, self.rows("blocks")), self)

    @functools.cached_property
    def timeline(self) -> pd.DataFrame:
        """Every value seen, in the order of the file."""
        from lwm2m_lab.trace import frames

        return frames.timeline(self._seen_values)

    @functools.cached_property
    def registrations(self) -> pd.DataFrame:
        """One row a Register, Update or De-register."""
        from lwm2m_lab.trace import frames

        return frames.registrations(self._registered)

    @functools.cached_property
    def executes(self) -> pd.DataFrame:
        """One row an Execute."""
        from lwm2m_lab.trace import frames

        return frames.executes(self._executed)

    @functools.cached_property
    def sessions(self) -> pd.DataFrame:
        """One row a DTLS session: who asked, under which identity and suite, what opened it or why it stayed closed."""
        from lwm2m_lab.trace import frames

        return frames.sessions(self.columns.sessions)

    @functools.cached_property
    def http(self) -> pd.DataFrame:
        """One row an HTTP request in the clear, with its response."""
        from lwm2m_lab.trace import frames

        return frames.http(overtcp.build_http(self.columns, self._registered))

    @functools.cached_property
    def tcp_messages(self) -> pd.DataFrame:
        """One row a CoAP message over TCP (RFC 8323); `messages` has those over UDP."""
        from lwm2m_lab.trace import frames

        return frames.tcp_messages(overtcp.build_tcp_messages(self.columns))

    # ---------------------------------------------------------------- the columns behind them

    @functools.cached_property
    def _wire(self) -> tuple[Source, Table, list[Registration]]:
        """Exchanges, notifications and registrations, with the integer codes that the other tables work on."""
        table, notifications = exchanges.build_exchanges(self.columns)
        table["response_code"] = np.array([*self.columns.categories["code"], None], object)[table["_response_code"]]
        table["_device"] = endpoints.device_of(self.columns, table)
        registered = [*self._earlier, *endpoints.build_registrations(self.columns, table)]
        table["endpoint"] = endpoints.name_endpoints(self.columns, table, registered)
        return exchange_source(self.columns, table), notifications, registered

    @property
    def _wired(self) -> Source:
        return self._wire[0]

    @property
    def _registered(self) -> list[Registration]:
        return self._wire[2]

    @functools.cached_property
    def _blocks(self) -> Source:
        return Source.of(transfers.build_blocks(self.columns, *self._wire[:2]))

    @functools.cached_property
    def _seen_values(self) -> list[tuple[Any, ...]]:
        return timeline.build_timeline(self.columns, *self._wire[:2], self.rows("blocks"))

    @functools.cached_property
    def _executed(self) -> Source:
        return Source.of(timeline.build_executes(self.columns, self._wired))

    @functools.cached_property
    def _timing(self) -> Source:
        return Source.of(timing.build_timing(self.columns, self._wired))

    def device_address(self, exchange: int) -> str:
        """Address of the device in one exchange."""
        return self.columns.categories["src"][int(self._wired["_device"][exchange])]

    # ---------------------------------------------------------------- one endpoint

    @functools.cached_property
    def _sources(self) -> dict[str, Source]:
        return {}

    def _source(self, table: str) -> Source:
        if table not in self._sources:
            self._sources[table] = self._new_source(table)
        return self._sources[table]

    def _new_source(self, table: str) -> Source:
        sources = {
            "messages": lambda: message_source(self.columns, lambda: self._owners),
            "exchanges": lambda: self._wired,
            "blocks": lambda: self._blocks,
            "timeline": lambda: Source.of_records(timeline.TIMELINE_COLUMNS, self._seen_values),
            "registrations": lambda: Source.of_records(REGISTRATION_COLUMNS, _tuples(self._registered)),
            "executes": lambda: self._executed,
        }
        return sources[table]()

    def rows(self, table: str, positions: NDArray[np.int64] | None = None) -> Rows:
        """A table as `Rows`, whole or cut: one of messages, exchanges, blocks, timeline, registrations, executes."""
        return Rows(self._source(table), positions)

    @functools.cached_property
    def _parts(self) -> dict[str, dict[str, Rows]]:
        return {}

    @functools.cached_property
    def stale_frames(self) -> Any:
        """Frames of notifications that came after a newer one of the same observation (RFC 7641, 3.4), ascending."""
        return exchanges.stale_notifications(self.columns)

    @functools.cached_property
    def path_codes(self) -> dict[str, int]:
        """The integer code of each path, as in the columns ``_path``."""
        return {path: code for code, path in enumerate(self.columns.categories["uri_path"])}

    def of(self, table: str, endpoint: str) -> Rows:
        """The rows of one endpoint in one of the tables that `rows` knows, in the order of the file."""
        if table not in self._parts:
            source = self._source(table)
            names, order, bounds = grouped(source["_endpoint"] if table == "messages" else source["endpoint"])
            self._parts[table] = {
                str(name): Rows(source, order[begin:end])
                for name, begin, end in zip(names, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
            }
        parts = self._parts[table]
        return parts[endpoint] if endpoint in parts else Rows(self._source(table), np.zeros(0, np.int64))

    @functools.cached_property
    def _sightings(self) -> dict[str, dict[str, Rows]]:
        return {}

    def values_of(self, endpoint: str, path: str) -> Rows:
        """Every value of one resource of an endpoint that was seen, in the order of the file."""
        if endpoint not in self._sightings:
            own = self.of("timeline", endpoint)
            places: dict[str, list[int]] = {}
            for place, name in enumerate(own.path.tolist()):
                places.setdefault(name, []).append(place)
            self._sightings[endpoint] = {name: own[found] for name, found in places.items()}
        own_paths = self._sightings[endpoint]
        return own_paths[path] if path in own_paths else self.of("timeline", endpoint)[:0]

    @functools.cached_property
    def _owners(self) -> tuple[Any, Any]:
        return endpoints.owners(self.columns, self._wired)

    @functools.cached_property
    def _block_of(self) -> Any:
        found = np.full(self._wired.rows, -1, np.int64)
        exchange = self._blocks["_exchange"]
        found[exchange[exchange >= 0]] = np.nonzero(exchange >= 0)[0]
        return found

    def block_rows(self, positions: Sequence[int]) -> Rows:
        """The blocks of the exchanges at these positions, in the order of the file."""
        source = self._source("blocks")
        rows = self._block_of[distinct(np.array(positions, np.int64))]
        rows = rows[rows >= 0]
        return Rows(source, rows[np.argsort(source["frame"][rows], kind="stable")])

    # ---------------------------------------------------------------- single messages

    def _row(self, frame: int) -> int:
        rows = np.nonzero(self.columns["frame"] == frame)[0]
        if not rows.size:
            raise BadInput(f"{self.name} has no CoAP message in frame {frame}; its table of messages says which it has")
        return int(rows[0])

    def anatomy(self, frame: int, *, bits: bool = False) -> pd.DataFrame:
        """The message of one frame byte by byte: where each field begins, its bytes, its name, and what it says.

        Parameters
        ----------
        frame : int
        bits : bool
            Only the fields that share bytes, a row each: version, type, code, the heads of the options, NUM, M and SZX.

        Raises
        ------
        BadInput
            Where no message is in that frame.

        Examples
        --------
        >>> import lwm2m_lab as lab
        >>> lab.read("anjay-push-badcrc").anatomy(54, bits=True).tail(3)[["bits", "field"]].values.tolist()
        [['0000 0001 0011', 'Block1: NUM'], ['0', 'Block1: M'], ['110', 'Block1: SZX']]
        >>> lab.read("anjay-push-badcrc").anatomy(54)["says"].tolist()
        ['1, ACK, 2 bytes', '2.04 Changed', '51097', 'd48e', 'option 27 (+27), 2 bytes', 'number/more/size 19/0/1024']
        """
        import pandas as pd

        from lwm2m_lab.wire import anatomy

        datagram = self.columns.datagram(self._row(frame))
        parts = anatomy.anatomy(datagram)
        if bits:
            shared = [(one.start, bit.text, f"{one.name}: {bit.name}", bit.says or str(bit.value))
                      for one in parts for bit in one.bits]  # fmt: skip
            return pd.DataFrame(shared, columns=["byte", "bits", "field", "says"])
        rows = [(one.start, datagram[one.start : one.stop].hex(" "), one.name, one.says) for one in parts]
        return pd.DataFrame(rows, columns=["byte", "hex", "field", "says"])

    def message(self, frame: int) -> coap.Message:
        """The message of one frame, option by option."""
        return coap.decode(self.columns.datagram(self._row(frame)))

    def payload(self, frame: int) -> bytes:
        """The CoAP payload of one frame."""
        return self.columns.payload(self._row(frame))

    def body(self, transfer: int) -> bytes | None:
        """The body of a transfer; None where a byte of it is missing."""
        blocks = self.rows("blocks").where(transfer=transfer)
        if not len(blocks):
            raise BadInput(f"{self.name} has no transfer {transfer}; 0 to {len(self.transfers) - 1} are expected")
        return transfers.body_of(self.columns, blocks)

    # ---------------------------------------------------------------- the file

    @functools.cached_property
    def notes(self) -> tuple[str, ...]:
        """What was damaged or left out, in words."""
        return (*self.columns.notes, *overtcp.tcp_notes(self.columns))

    @property
    def comments(self) -> dict[int, str]:
        """Packet comments by frame."""
        return self.columns.comments

    @property
    def encrypted_records(self) -> int:
        """DTLS records that were not decrypted."""
        return self.columns.encrypted_records

    def require_messages(self) -> None:
        """Refuse to draw or measure where there is nothing.

        Raises
        ------
        BadInput
            Where the capture holds no CoAP message in the clear.
        """
        if not self.columns.rows:
            hidden = f" (encrypted: {self.encrypted_records} records)" if self.encrypted_records else ""
            raise BadInput(f"{self.name} has no CoAP message in the clear{hidden}; a capture with some is expected")


def _tuples(registrations: Sequence[Registration]) -> list[tuple[Any, ...]]:
    return [tuple(one[name] for name in REGISTRATION_COLUMNS) for one in registrations]

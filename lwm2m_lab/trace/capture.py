"""`Capture`: what was seen on the wire, and the tables that follow from it."""

from __future__ import annotations

import functools
import html
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace import endpoints, exchanges, samples, timeline, transfers
from lwm2m_lab.trace.updates import UPDATE_FIELDS, Update, build_updates
from lwm2m_lab.wire import COLUMN_NAMES, Columns, coap, read_columns

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lwm2m_lab.trace.explain import Explanation
    from lwm2m_lab.trace.findings.registry import Finding, Rule

__all__ = ["Capture", "read"]

_TEXT_COLUMNS = ("src", "dst", "type", "code", "token", "uri_path", "uri_query", "etag", "error")


class Capture:
    """CoAP messages as they were seen on the wire, and the tables that follow from them.

    Parameters
    ----------
    columns : Columns
        As `lwm2m_lab.wire.read_columns` gives them.
    name : str
        What to call it.
    data : bytes or path
        The file itself, for `save`.

    Examples
    --------
    >>> capture = read("anjay-push-256-ok")
    >>> capture.updates[["endpoint", "outcome", "firmware_version_after"]].values.tolist()
    [['urn:dev:anjay-1', 'succeeded', '3.14.0']]
    """

    def __init__(self, columns: Columns, *, name: str, data: bytes | str | os.PathLike[str]) -> None:
        self.columns, self.name, self._data = columns, name, data
        self._judged: tuple[tuple[Rule, ...], list[tuple[Update, list[Finding]]]] | None = None

    @classmethod
    def from_bytes(
        cls, data: bytes, *, name: str, interface: str | int | None = None, ports: Sequence[int] = (5683,)
    ) -> Capture:
        """A capture from the content of a file."""
        return cls(read_columns(data, ports=ports, interface=interface), name=name, data=data)

    # ---------------------------------------------------------------- tables

    @functools.cached_property
    def messages(self) -> pd.DataFrame:
        """The message table: one row a CoAP message."""
        table = {}
        for name in COLUMN_NAMES:
            array = self.columns[name]
            if name == "time":
                table[name] = pd.Series(array / 1e9)
            elif name in _TEXT_COLUMNS:
                table[name] = pd.Series(self.columns.texts(name), dtype="string")
            else:
                table[name] = pd.Series(array.astype(np.int64), dtype="Int64").mask(pd.Series(array < 0))
        return pd.DataFrame(table)

    @functools.cached_property
    def _wire(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Exchanges and notifications with the integer codes that the other tables work on."""
        table, notifications = exchanges.build_exchanges(self.columns)
        table["response_code"] = np.array([*self.columns.categories["code"], None], object)[table["_response_code"]]
        table["_device"] = endpoints.device_of(self.columns, table)
        table["endpoint"] = endpoints.name_endpoints(
            self.columns, table, endpoints.build_registrations(self.columns, table)
        )
        return table, notifications

    @functools.cached_property
    def registrations(self) -> pd.DataFrame:
        """One row a Register, Update or De-register."""
        table: pd.DataFrame = self._wire[0]
        return endpoints.build_registrations(self.columns, table)

    @property
    def _wired(self) -> pd.DataFrame:
        return self._wire[0]

    @functools.cached_property
    def exchanges(self) -> pd.DataFrame:
        """One row a request, retransmissions merged, with its response."""
        return self.named(self._wired)[list(exchanges.EXCHANGE_COLUMNS)]

    def named(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows of the coded exchanges with their texts beside the codes."""
        table = table.copy()
        for name in ("src", "dst", "code", "type", "token", "uri_path", "uri_query"):
            categories = np.array([*self.columns.categories[name], None], object)
            code = {"uri_path": "_path", "uri_query": "_query"}.get(name, f"_{name}")
            table[name] = categories[table[code]]
        return _with_missing(table, "observe", "block1_num", "block2_num", "response_frame")

    @functools.cached_property
    def _blocks(self) -> pd.DataFrame:
        return transfers.build_blocks(self.columns, self._wire[0])

    @functools.cached_property
    def blocks(self) -> pd.DataFrame:
        """One row a block that carries payload."""
        return _with_missing(self._blocks.reindex(columns=list(transfers.BLOCK_COLUMNS)), "response_frame")

    @functools.cached_property
    def transfers(self) -> pd.DataFrame:
        """One row a block-wise body."""
        return transfers.build_transfers(self.columns, self._blocks)

    @functools.cached_property
    def timeline(self) -> pd.DataFrame:
        """Every value seen, in the order of the file."""
        return timeline.build_timeline(self.columns, *self._wire)

    @functools.cached_property
    def executes(self) -> pd.DataFrame:
        """One row an Execute."""
        return _with_missing(timeline.build_executes(self.columns, self._wire[0]), "response_frame")

    # ---------------------------------------------------------------- one endpoint

    @functools.cached_property
    def _parts(self) -> dict[tuple[str, str], Any]:
        return {}

    def of(self, table: str, endpoint: str) -> pd.DataFrame:
        """The rows of one endpoint in one of the tables."""
        if (table, "") not in self._parts:
            self._parts[table, ""] = getattr(self, table).groupby("endpoint", sort=False).indices
        if (table, endpoint) not in self._parts:
            nothing = np.zeros(0, np.int64)
            self._parts[table, endpoint] = getattr(self, table).take(self._parts[table, ""].get(endpoint, nothing))
        return self._parts[table, endpoint]

    @functools.cached_property
    def _message_rows(self) -> dict[str, Any]:
        return endpoints.rows_by_endpoint(self.columns, self._wired)

    def messages_of(self, endpoint: str) -> pd.DataFrame:
        """Every message to and from one endpoint, copies and acknowledgements too, as integers."""
        if ("messages", endpoint) not in self._parts:
            rows, sender = self._message_rows.get(endpoint, (np.zeros(0, np.int64), np.zeros(0, bool)))
            table: dict[str, Any] = {name: self.columns[name][rows] for name in COLUMN_NAMES}
            table["time"] = exchanges.seconds(self.columns)[rows]
            self._parts["messages", endpoint] = pd.DataFrame({**table, "row": rows, "sender": sender})
        part: pd.DataFrame = self._parts["messages", endpoint]
        return part

    @functools.cached_property
    def _block_of(self) -> Any:
        found = np.full(len(self._wired), -1, np.int64)
        found[self._blocks["_exchange"].to_numpy().astype(np.int64)] = np.arange(len(self._blocks))
        return found

    def blocks_of(self, positions: Sequence[int]) -> pd.DataFrame:
        """The blocks of these exchanges, in the order of the file."""
        rows = self._block_of[np.unique(np.array(positions, np.int64))]
        return self._blocks.take(rows[rows >= 0]).sort_values("frame", kind="stable")

    @functools.cached_property
    def _found_updates(self) -> list[Update]:
        return build_updates(self)

    def judged(self) -> list[tuple[Update, list[Finding]]]:
        """Each update with its verdict and the findings behind it; rules registered since then are heard too."""
        from lwm2m_lab.trace.findings import RULES, judge

        rules = tuple(RULES.values())
        if self._judged is None or self._judged[0] != rules:
            self._judged = rules, judge(self._found_updates)
        return self._judged[1]

    @property
    def _updates(self) -> list[Update]:
        return [update for update, _ in self.judged()]

    @property
    def updates(self) -> pd.DataFrame:
        """One row an update, in the words of the contract."""
        return pd.DataFrame([one.to_dict() for one in self._updates], columns=list(UPDATE_FIELDS))

    def update(self, which: int | str = 0) -> Update:
        """One update: by its position, or the last one of an endpoint by its name.

        Raises
        ------
        BadInput
            Where there is none such.
        """
        everything = self._updates
        found = [one for one in everything if one.endpoint == which] if isinstance(which, str) else everything
        position = -1 if isinstance(which, str) else which
        if not -len(found) <= position < len(found):
            there = ", ".join(dict.fromkeys(one.endpoint for one in everything)) or "no endpoint"
            raise BadInput(f"{self.name} has no update {which!r}; it has {len(everything)}, of {there}")
        return found[position]

    # ---------------------------------------------------------------- single messages

    def _row(self, frame: int) -> int:
        rows = np.nonzero(self.columns["frame"] == frame)[0]
        if not rows.size:
            raise BadInput(f"{self.name} has no CoAP message in frame {frame}; its table of messages says which it has")
        return int(rows[0])

    def message(self, frame: int) -> coap.Message:
        """The message of one frame, option by option."""
        return coap.decode(self.columns.datagram(self._row(frame)))

    def payload(self, frame: int) -> bytes:
        """The CoAP payload of one frame."""
        return self.columns.payload(self._row(frame))

    def body(self, transfer: int) -> bytes | None:
        """The body of a transfer; None where a byte of it is missing."""
        blocks = self._blocks[self._blocks["transfer"] == transfer]
        if not len(blocks):
            raise BadInput(f"{self.name} has no transfer {transfer}; 0 to {len(self.transfers) - 1} are expected")
        return transfers.body_of(self.columns, blocks)

    # ---------------------------------------------------------------- words and pictures

    @property
    def notes(self) -> tuple[str, ...]:
        """What was damaged or left out, in words."""
        return self.columns.notes

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

    def explain(self) -> Explanation:
        """What happened, why, and which clause."""
        from lwm2m_lab.trace.explain import explain

        return explain(self)

    def plot(self, endpoint: str | None = None) -> Figure:
        """Draw the version chart."""
        from lwm2m_lab.show import version_chart

        figure: Figure = version_chart(self, endpoint=endpoint)
        return figure

    def ladder(self, **part: Any) -> Figure:
        """Draw the messages as a sequence diagram; `part` as for `lwm2m_lab.show.ladder`."""
        from lwm2m_lab.show import ladder

        figure: Figure = ladder(self, **part).figure  # type: ignore[assignment]
        return figure

    def _summary(self) -> list[str]:
        """What a person wants to know first."""
        columns = self.columns
        lines = [f"{self.name}: {columns.rows} CoAP messages in {columns.packets} packets"]
        if columns.rows:
            time = columns["time"]
            lines[0] += f", {(int(time.max()) - int(time.min())) / 1e9:.3f} s"
        if columns.encrypted_records:
            lines.append(f"encrypted: {columns.encrypted_records} records")
        lines += [f"note: {note}" for note in columns.notes]
        return lines

    def __str__(self) -> str:
        return "\n".join([*self._summary(), *(f"  {one.headline()}" for one in self._updates)])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        lines = "<br>".join(html.escape(line) for line in self._summary())
        shown = ["endpoint", "delivery", "image_size", "states", "results", "firmware_versions", "outcome", "verdict"]
        table = self.updates[shown].to_html(index=False, escape=True, border=0) if self._updates else ""
        return f"<p>{lines}</p>{table}"

    # ---------------------------------------------------------------- out

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the capture file: beside the target, then moved into place."""
        data = self._data if isinstance(self._data, bytes) else pathlib.Path(self._data).read_bytes()
        write_beside(path, data)


def _with_missing(table: pd.DataFrame, *names: str) -> pd.DataFrame:
    """The table with pd.NA in these columns where they hold -1."""
    for name in names:
        numbers = table[name].astype("Int64")
        table[name] = numbers.mask(numbers < 0)
    return table


def write_beside(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file beside its place and move it there, so that nobody finds half of it.

    Raises
    ------
    BadInput
        Where it cannot be written.
    """
    target = pathlib.Path(path)
    beside = target.with_name(target.name + ".part")
    try:
        beside.write_bytes(data)
        beside.replace(target)
    except OSError as error:
        raise BadInput(
            f"{target} cannot be written ({error.strerror}); a path in an existing folder is expected"
        ) from None
    finally:
        beside.unlink(missing_ok=True)


def read(
    path: str | os.PathLike[str] | None = None, *, interface: str | int | None = None, ports: Sequence[int] = (5683,)
) -> Capture:
    """Open a capture file, or a sample by its name.

    Parameters
    ----------
    path : path or str, optional
        A pcap or pcapng file, plain or gzip, or the name of a sample; without it the first sample.
    interface : str or int, optional
        Which interface of a file with several.
    ports : sequence of int
        UDP ports that carry CoAP in any case; elsewhere it is recognised by content.

    Raises
    ------
    BadInput
        For what is no capture.

    Examples
    --------
    >>> print(read())
    anjay-push-256-ok.pcap: 194 CoAP messages in 194 packets, ...
    """
    if path is None:
        path = samples.path_of(samples.SAMPLES[0].name)
    elif isinstance(path, str) and not pathlib.Path(path).exists() and samples.known(path):
        path = samples.path_of(path)
    columns = read_columns(path, ports=ports, interface=interface)
    return Capture(columns, name=pathlib.Path(path).name, data=path)

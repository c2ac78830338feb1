"""The tables of a capture as DataFrames, in the words of the contract.

Everything else works on numpy columns: a capture is explained without pandas, which takes longer to import than a
small capture to read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lwm2m_lab.trace.endpoints import REGISTRATION_COLUMNS, Registration
from lwm2m_lab.trace.exchanges import EXCHANGE_COLUMNS, Table
from lwm2m_lab.trace.overtcp import HTTP_COLUMNS, TCP_MESSAGE_COLUMNS, TCP_NUMBERS, TCP_TEXTS
from lwm2m_lab.trace.rows import Source
from lwm2m_lab.trace.timeline import EXECUTE_COLUMNS, TIMELINE_COLUMNS
from lwm2m_lab.trace.transfer_table import TransferTable
from lwm2m_lab.trace.transfers import BLOCK_COLUMNS, TRANSFER_COLUMNS
from lwm2m_lab.wire import COLUMN_NAMES, Columns
from lwm2m_lab.wire.dtls_sessions import DtlsSession

if TYPE_CHECKING:
    from lwm2m_lab.trace.tables import Tables

__all__ = [
    "blocks", "exchanges", "executes", "http", "messages", "registrations", "sessions", "tcp_messages", "timeline",
    "transfers",
]  # fmt: skip

_TEXTS = ("src", "dst", "type", "code", "token", "uri_path", "uri_query", "etag", "error")
_SESSION_COLUMNS = tuple(field.name for field in dataclasses.fields(DtlsSession))
Records = Sequence[dict[str, Any]] | Sequence[tuple[Any, ...]]


def messages(columns: Columns) -> pd.DataFrame:
    """The message table."""
    table = {}
    for name in COLUMN_NAMES:
        array = columns[name]
        if name == "time":
            table[name] = pd.Series(array / 1e9)
        elif name in _TEXTS:
            table[name] = pd.Series(columns.texts(name), dtype="string")
        else:
            table[name] = pd.Series(array.astype(np.int64), dtype="Int64").mask(pd.Series(array < 0))
    return pd.DataFrame(table)


def exchanges(source: Source) -> pd.DataFrame:
    """One row a request."""
    return _with_missing(_chosen(source, EXCHANGE_COLUMNS), "observe", "block1_num", "block2_num", "response_frame")


def blocks(table: Table) -> pd.DataFrame:
    """One row a block."""
    return _with_missing(_chosen(table, BLOCK_COLUMNS), "response_frame")


def executes(table: Table) -> pd.DataFrame:
    """One row an Execute."""
    return _with_missing(_chosen(table, EXECUTE_COLUMNS), "response_frame")


def transfers(records: Records, capture: Tables) -> TransferTable:
    """One row a transfer; the table can draw itself."""
    table = TransferTable(_of_records(records, TRANSFER_COLUMNS, numbers=("content_format", "expected_size")))
    table._capture = capture  # type: ignore[assignment]
    return table


def timeline(records: Records) -> pd.DataFrame:
    """One row a value."""
    return _of_records(records, TIMELINE_COLUMNS)


def registrations(records: Sequence[Registration]) -> pd.DataFrame:
    """One row a Register, Update or De-register."""
    return _of_records(records, REGISTRATION_COLUMNS)


def sessions(found: Sequence[DtlsSession]) -> pd.DataFrame:
    """One row a DTLS session."""
    table = _of_records([dataclasses.asdict(one) for one in found], _SESSION_COLUMNS)
    table["alerts"] = ["; ".join(one.alerts) for one in found]
    return table


def http(records: Records) -> pd.DataFrame:
    """One row an HTTP request."""
    numbers = ("status", "content_length", "missing", "request_frame", "response_frame")
    return _of_records(records, HTTP_COLUMNS, numbers=numbers)


def tcp_messages(records: Records) -> pd.DataFrame:
    """One row a CoAP message over TCP."""
    return _of_records(records, TCP_MESSAGE_COLUMNS, numbers=TCP_NUMBERS, texts=TCP_TEXTS)


def _chosen(table: Table, names: Iterable[str]) -> pd.DataFrame:
    return pd.DataFrame({name: table[name] for name in names})


def _of_records(
    records: Records, names: tuple[str, ...], *, numbers: Iterable[str] = (), texts: Iterable[str] = ()
) -> pd.DataFrame:
    """A DataFrame of records; of these names those are integers and texts that may be missing."""
    table = pd.DataFrame(records, columns=list(names))
    return table.astype({**dict.fromkeys(numbers, "Int64"), **dict.fromkeys(texts, "string")})


def _with_missing(table: pd.DataFrame, *names: str) -> pd.DataFrame:
    """The table with pd.NA in these columns where they hold -1."""
    for name in names:
        numbers = table[name].astype("Int64")
        table[name] = numbers.mask(numbers < 0)
    return table

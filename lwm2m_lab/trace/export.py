"""The tables of a capture as files: CSV, JSON, Parquet."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import pandas as pd

from lwm2m_lab.errors import BadInput
from lwm2m_lab.files import moved_into_place, text_beside
from lwm2m_lab.wire.table import write_csv
from lwm2m_lab.wire.text import safe_cell

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["EXPORTED", "FORMATS", "export", "write_table"]

#: The tables that are exported, in the order in which one needs the other.
EXPORTED = (
    "messages", "exchanges", "transfers", "blocks", "timeline", "registrations", "executes", "updates", "findings",
    "sessions", "http", "tcp_messages",
)  # fmt: skip
FORMATS = ("csv", "json", "parquet")
#: Rows made into text at a time.
_ROWS_AT_A_TIME = 20_000


def export(
    capture: Capture, path: str | os.PathLike[str], *, table: str | None, format: str | None
) -> list[pathlib.Path]:
    """Write one table to a file, or all of them into a folder; returns what was written."""
    target = pathlib.Path(path)
    ending = target.suffix.lstrip(".").lower()
    chosen = _checked("format", format or (ending if ending in FORMATS else "csv"), FORMATS)
    if chosen == "parquet":
        _need_pyarrow()
    if table is not None:
        _checked("table", table, EXPORTED)
        return [_write(capture, table, target / f"{table}.{chosen}" if target.is_dir() else target, chosen)]
    if target.is_file() or ending in FORMATS:
        raise BadInput(f"{target} is one file for many tables; a folder, or one table by name, is expected")
    try:
        target.mkdir(exist_ok=True)
    except OSError as error:
        raise BadInput(f"{target} cannot be made ({error.strerror}); a folder in an existing one is expected") from None
    return [_write(capture, name, target / f"{name}.{chosen}", chosen) for name in EXPORTED]


def _checked(what: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise BadInput(f"{what} is {value!r}; one of {', '.join(known)} is expected")
    return value


def _need_pyarrow() -> None:
    if importlib.util.find_spec("pyarrow") is None:
        raise BadInput("Parquet needs pyarrow, which is not installed; pip install 'lwm2m-lab[parquet]' is expected")


def _write(capture: Capture, name: str, path: pathlib.Path, format: str) -> pathlib.Path:
    if format == "parquet":
        table = _uniform(getattr(capture, name))
        with moved_into_place(path) as beside:
            table.to_parquet(beside, engine="pyarrow", index=False)
        return path
    with text_beside(path) as out:
        write_table(capture, name, out, format=format)
    return path


def write_table(capture: Capture, name: str, out: TextIO, *, format: str = "csv") -> None:
    """Write one table as CSV or JSON to a stream.

    In the CSV a missing value is an empty field, a list is JSON, and no text can be taken for a formula. The JSON is an
    array of objects, null where a value is missing.

    Raises
    ------
    BadInput
        For a table or format that is not there.
    """
    _checked("table", name, EXPORTED)
    _checked("format", format, FORMATS[:2])
    if format == "csv" and name == "messages":
        write_csv(capture.columns, out)
        return
    table = getattr(capture, name)
    if format == "csv":
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows([_cell(value) for value in row] for row in _rows(table))
        return
    out.write("[")
    for number, row in enumerate(_rows(table)):
        out.write(("," if number else "") + "\n")
        out.write(json.dumps(dict(zip(table.columns, row, strict=True)), ensure_ascii=False, allow_nan=False))
    out.write("\n]\n")


def _rows(table: pd.DataFrame) -> Iterator[list[Any]]:
    """The rows as Python's values, None where one is missing."""
    for start in range(0, len(table), _ROWS_AT_A_TIME):
        part = table.iloc[start : start + _ROWS_AT_A_TIME]
        columns = [[_plain(value) for value in part[name].tolist()] for name in part.columns]
        yield from (list(row) for row in zip(*columns, strict=True))


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or (isinstance(value, float) and not np.isfinite(value)):
        return None
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, (bool, int, float)) else str(value)


def _cell(value: Any) -> Any:
    """One field of the CSV."""
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else safe_cell(value) if isinstance(value, str) else value


def _uniform(table: pd.DataFrame) -> pd.DataFrame:
    """The table with one type a column, as Parquet wants it: where numbers and texts are mixed, texts."""
    uniform = table.copy()
    for name in table.columns:
        if table[name].dtype == object:
            values = [_plain(value) for value in table[name]]
            kinds = {type(value) for value in values} - {type(None)}
            mixed = len(kinds) > 1 and not kinds <= {int, float}
            uniform[name] = pd.Series(
                [None if value is None else str(value) if mixed else value for value in values],
                index=table.index, dtype=object,
            )  # fmt: skip
    return uniform

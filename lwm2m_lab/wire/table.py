"""The message table as CSV, without pandas."""

from __future__ import annotations

import csv
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.wire.columns import COLUMN_NAMES, Columns
from lwm2m_lab.wire.text import safe_cell

__all__ = ["write_csv"]

#: Rows turned into text at a time: the table of a large capture need not stand in memory as text.
ROWS_AT_A_TIME = 50_000


def write_csv(columns: Columns, out: TextIO) -> None:
    """Write the message table: a header line, nine decimals of time, an empty field where a value is missing.

    A text that begins with ``=``, ``+``, ``-`` or ``@`` is written as it is: the fields are hex, addresses, numbers and
    paths, and a path begins with ``/``. Queries may begin with anything, so one that a spreadsheet would take for a
    formula is preceded by an apostrophe.
    """
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMN_NAMES)
    for start in range(0, columns.rows, ROWS_AT_A_TIME):
        part = slice(start, start + ROWS_AT_A_TIME)
        writer.writerows(zip(*(_texts(columns, name, part) for name in COLUMN_NAMES), strict=True))


def _texts(columns: Columns, name: str, part: slice) -> list[str]:
    """One column of some rows as text."""
    array = columns[name][part]
    if name == "time":
        return [f"{time // 10**9}.{time % 10**9:09d}" for time in array.tolist()]
    if name in columns.categories:
        table: NDArray[np.object_] = np.array([*map(safe_cell, columns.categories[name]), ""], object)
        texts: list[str] = table[array].tolist()
        return texts
    return ["" if value < 0 else str(value) for value in array.tolist()]

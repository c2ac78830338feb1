"""The message table as CSV, without pandas, and without numpy where the columns came without it."""

from __future__ import annotations

import csv
from typing import TextIO

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
    numbers = columns.numbers(name)[part].tolist()
    if name == "time":
        return [f"{time // 10**9}.{time % 10**9:09d}" for time in numbers]
    if name in columns.categories:
        # The last one is that of -1, a text that is missing.
        texts = [*map(safe_cell, columns.categories[name]), ""]
        return [texts[number] for number in numbers]
    return ["" if number < 0 else str(number) for number in numbers]

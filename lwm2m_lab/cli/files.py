"""Commands that turn a capture file into another file."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from lwm2m_lab.cli.shared import add_file_command, keys, ports, read_capture, selects, source, warn
from lwm2m_lab.files import check_folder, text_beside

__all__ = ["add"]


def add(commands: Any) -> None:
    """The commands of this module."""
    add_file_command(commands, "messages", "the message table as CSV", _messages).add_argument(
        "-o", "--out", metavar="CSV", help="write here instead of to standard output"
    )


def _messages(options: argparse.Namespace) -> int:
    """`messages`: the message table as CSV."""
    from lwm2m_lab.wire import read_columns
    from lwm2m_lab.wire.table import write_csv

    if selects(options):
        columns = read_capture(options).columns
    else:
        columns = read_columns(source(options.file), ports=ports(options), **keys(options))
        warn(columns.notes)
    if options.out is None:
        write_csv(columns, sys.stdout)
        return 0
    check_folder(options.out)
    with text_beside(options.out) as out:
        write_csv(columns, out)
    return 0

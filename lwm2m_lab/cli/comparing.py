"""`compare`."""

from __future__ import annotations

import argparse
from typing import Any

from lwm2m_lab.cli.shared import add_file_command, read_capture

__all__ = ["add"]


def add(commands: Any) -> None:
    """The commands of this module."""
    command = add_file_command(
        commands, "compare", "what differs between two captures, and since which frame", _compare
    )
    command.add_argument("other", metavar="OTHER", help="the capture to compare it with")
    command.add_argument("--json", action="store_true", help="as JSON, for scripts")


def _compare(options: argparse.Namespace) -> int:
    """`compare`: 0 where nothing but times differs, 1 where something does."""
    from lwm2m_lab.trace.compare import compare

    one = read_capture(options)
    other = read_capture(argparse.Namespace(**{**vars(options), "file": options.other}))
    found = compare(one, other)
    print(found.to_json() if options.json else found)
    return 0 if found.same else 1

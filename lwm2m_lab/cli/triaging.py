"""`triage`."""

from __future__ import annotations

import argparse
from typing import Any

from lwm2m_lab.cli.shared import add_file_command, read_capture

__all__ = ["add"]


def add(commands: Any) -> None:
    """The commands of this module."""
    triage = add_file_command(commands, "triage", "whether a capture can be explained, and what to ask for", _triage)
    triage.add_argument("--json", action="store_true", help="as JSON, for scripts")


def _triage(options: argparse.Namespace) -> int:
    """`triage`: one screen, or JSON."""
    found = read_capture(options).triage()
    print(found.to_json() if options.json else found)
    return 0

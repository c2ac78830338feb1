"""Commands that say what a capture shows."""

from __future__ import annotations

import argparse
from typing import Any

import lwm2m_lab
from lwm2m_lab.cli.shared import add_file_command, read_capture

__all__ = ["add"]


def add(commands: Any) -> None:
    """The commands of this module."""
    explain = add_file_command(commands, "explain", "what happened, why, and which clause", _explain)
    explain.add_argument("--json", action="store_true", help="as JSON, for scripts")
    explain.add_argument("--all", action="store_true", help="with --json: the findings that pass, too")
    explain.add_argument("--endpoint", metavar="NAME", help="this endpoint alone")


def _explain(options: argparse.Namespace) -> int:
    """`explain`: in words, or as JSON."""
    explanation = lwm2m_lab.explain(read_capture(options))
    if options.endpoint is not None:
        explanation = explanation.of_endpoint(options.endpoint)
    print(explanation.to_json(all_findings=options.all) if options.json else explanation)
    return 0

"""Commands that hand on what was found: annotated captures, tables, a verdict for a build server."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from lwm2m_lab.cli.shared import add_file_command, add_log_option, read_capture
from lwm2m_lab.errors import BadInput
from lwm2m_lab.files import check_folder, text_beside

__all__ = ["add"]


def add(commands: Any) -> None:
    """The commands of this module."""
    report = add_file_command(commands, "report", "one HTML page: what happened and why, with the evidence", _report)
    report.add_argument("-o", "--out", metavar="HTML", required=True, help="the page to write; it needs no network")
    add_log_option(report)
    annotate = add_file_command(commands, "annotate", "the capture with the findings as packet comments", _annotate)
    annotate.add_argument("out", metavar="OUT", help="the pcapng to write; Wireshark shows its comments")
    export = add_file_command(commands, "export", "the tables as CSV, JSON or Parquet", _export)
    export.add_argument("--table", metavar="NAME", help="one table, as in updates; all of them by default")
    export.add_argument("--format", metavar="KIND", help="csv, json or parquet; by the ending of OUT, else csv")
    export.add_argument("-o", "--out", metavar="OUT", help="a file for one table, a folder for all of them")
    check = add_file_command(commands, "check", "exit 0: every update succeeded and nothing fails a rule", _check)
    add_to_check = check.add_argument
    several = "; several with commas, or given again"
    add_to_check("--expect", action="append", metavar="OUTCOME", help=f"succeeded by default{several}")
    add_to_check("--rule", action="append", metavar="ID", help=f"only this rule counts{several}")
    add_to_check("--ignore", action="append", metavar="ID", help=f"this rule does not count{several}")
    add_to_check("--strict", action="store_true", help="INCONCLUSIVE stops, too")
    add_to_check("--junit", metavar="XML", help="write JUnit XML: a test suite an update, a test case a rule")


def _report(options: argparse.Namespace) -> int:
    """`report`: one self-contained page."""
    check_folder(options.out)
    read_capture(options).report(options.out)
    return 0


def _annotate(options: argparse.Namespace) -> int:
    """`annotate`: pcapng with packet comments."""
    check_folder(options.out)
    unplaced = read_capture(options).annotated(options.out)
    if unplaced:
        frames = ", ".join(map(str, unplaced[:8]))
        print(f"lwm2m-lab: note: frames {frames} are Simple Packet Blocks and carry no comment", file=sys.stderr)
    return 0


def _export(options: argparse.Namespace) -> int:
    """`export`: one table to a file or to standard output, or all into a folder."""
    if options.out is None and (options.table is None or options.format == "parquet"):
        raise BadInput("nothing says where to write; -o FOLDER, or --table with --format csv or json, is expected")
    if options.out is not None:
        check_folder(options.out)
        read_capture(options).export(options.out, table=options.table, format=options.format)
        return 0
    from lwm2m_lab.trace.export import write_table

    write_table(read_capture(options), options.table, sys.stdout, format=options.format or "csv")
    return 0


def _check(options: argparse.Namespace) -> int:
    """`check`: 0 if every update went as expected and nothing fails a rule, 1 if not."""
    if options.junit is not None:
        check_folder(options.junit)
    result = read_capture(options).check(
        expect=_several(options.expect) or "succeeded",
        rules=_several(options.rule),
        ignore=_several(options.ignore),
        strict=options.strict,
    )
    if options.junit is not None:
        with text_beside(options.junit) as out:
            out.write(result.junit())
    print(result)
    return 0 if result.passes else 1


def _several(given: list[str] | None) -> list[str]:
    """What was given with commas, or given again."""
    return [one.strip() for part in given or () for one in part.split(",") if one.strip()]

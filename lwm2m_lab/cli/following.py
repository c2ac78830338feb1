"""`follow`."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

import lwm2m_lab
from lwm2m_lab.cli.shared import add_file_command, keys, ports, warn

if TYPE_CHECKING:
    from lwm2m_lab.trace.news import News

__all__ = ["add"]


def add(commands: Any) -> None:
    """The commands of this module."""
    what = "what a capture that is still being written shows, as it shows it; ends by Ctrl-C"
    add = add_file_command(commands, "follow", what, _follow, parts=False).add_argument
    add("--idle", type=float, metavar="S", help="end after so many seconds without growth")
    add("--packets", type=int, default=100_000, metavar="N", help="keep no more than so many (%(default)s)")
    add("--json", action="store_true", help="a JSON object a line, for scripts")


def _follow(options: argparse.Namespace) -> int:
    """`follow`: 0 if every update succeeded and nothing fails a rule, 1 if not; Ctrl-C is how it ends."""
    follower = lwm2m_lab.follow(
        sys.stdin.buffer if options.file == "-" else options.file,
        idle=options.idle,
        packets=options.packets,
        ports=ports(options),
        **keys(options),
    )
    while True:
        try:
            for news in follower:
                print(_as_line(news) if options.json else news, flush=True)
            break
        except KeyboardInterrupt:
            # It came between two lines; one that comes while we wait ends the following by itself.
            follower.close()
    said = ", ".join(f"{count} {outcome}" for outcome, count in follower.outcomes.items()) or "no update"
    warn([f"{follower.packets} packets, {said}; ended by {follower.ended}"])
    return 0 if follower.passes else 1


def _as_line(news: News) -> str:
    """One JSON object without a line break; numpy's numbers as Python's."""
    return json.dumps(news.to_dict(), default=lambda number: number.item())

"""`capture`."""

from __future__ import annotations

import argparse
from typing import Any

from lwm2m_lab.cli.shared import add_command, warn

__all__ = ["add"]


def add(commands: Any) -> None:
    """The commands of this module."""
    add = add_command(commands, "capture", "capture CoAP on an interface with dumpcap", _capture).add_argument
    add("-i", dest="interface", metavar="NAME", required=True, help="the interface, as lo; any for all")
    add("-w", dest="file", metavar="FILE", required=True, help="the pcapng file to write")
    add("--port", type=int, action="append", metavar="N", help="a port, several times for more (5683 and 5684)")
    add("--seconds", type=int, default=600, metavar="S", help="end after this time (600)")
    add("--packets", type=int, default=1_000_000, metavar="N", help="end after so many packets (1000000)")
    add("--megabytes", type=int, default=100, metavar="M", help="end at this size (100)")


def _capture(options: argparse.Namespace) -> int:
    """`capture`: 0 at a limit and at Ctrl-C."""
    from lwm2m_lab.live.sniffing import sniff

    limits = {name: getattr(options, name) for name in ("seconds", "packets", "megabytes")}
    warn([f"capturing on {options.interface}, {options.seconds} s at most; Ctrl-C ends it"])
    size = sniff(options.interface, options.file, ports=options.port or (5683, 5684), **limits)
    warn([f"{options.file}: {size:,} bytes"])
    return 0

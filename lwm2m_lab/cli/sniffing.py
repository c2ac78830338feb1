"""`capture`."""

from __future__ import annotations

import argparse
from typing import Any

from lwm2m_lab.cli.shared import add_command, warn

__all__ = ["add"]


def add(commands: Any) -> None:
    """The commands of this module."""
    what = "capture CoAP on an interface with dumpcap, or else tcpdump"
    add = add_command(commands, "capture", what, _capture).add_argument
    add("-i", dest="interface", metavar="NAME", required=True, help="the interface, as lo; any for all")
    add("-w", dest="file", metavar="FILE", required=True, help="the file to write: pcapng by dumpcap, pcap by tcpdump")
    add("--port", type=int, action="append", metavar="N", help="a port, several times for more (5683 and 5684)")
    add("--seconds", type=int, default=600, metavar="S", help="end after this time (600)")
    add("--packets", type=int, default=1_000_000, metavar="N", help="end after so many packets (1000000)")
    add("--megabytes", type=int, default=100, metavar="M", help="end at this size (100)")


def _capture(options: argparse.Namespace) -> int:
    """`capture`: 0 at a limit and at Ctrl-C, which is how a capture ends."""
    from tqdm import tqdm

    from lwm2m_lab.live.sniffing import sniff

    limits = {name: getattr(options, name) for name in ("seconds", "packets", "megabytes")}
    warn([f"capturing on {options.interface}, {options.seconds} s at most; Ctrl-C ends it"])
    # On a terminal alone, for a log needs no running count; and not before the tool listens, which counts 0.
    with tqdm(desc="captured", unit=" packets", disable=None, leave=False, delay=1e-9) as bar:

        def count(packets: int) -> None:
            bar.update(packets - bar.n)
            if not packets:
                bar.refresh()

        done = sniff(
            options.interface,
            options.file,
            ports=options.port or (5683, 5684),
            told=count,
            **limits,
        )
    warn([f"{one}, so {done.tool} was used" for one in done.passed_over])
    warn([f"{done.dropped} packets passed too fast for {done.tool}"] if done.dropped else [])
    warn([f"{options.file}: {done.packets} packets, {done.size:,} bytes by {done.tool}, ended by {done.ended}"])
    return 0

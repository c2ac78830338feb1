"""`anonymize`."""

from __future__ import annotations

import argparse
from typing import Any

from lwm2m_lab.cli.shared import add_command, add_part_options, add_wire_options, ports, read_whole, selects, source
from lwm2m_lab.files import check_folder, write_beside

__all__ = ["add"]


def add(commands: Any) -> None:
    """The commands of this module."""
    command = add_command(commands, "anonymize", "a capture without anybody's names, to be shared", _anonymize)
    command.add_argument("file", metavar="IN", help="a pcap or pcapng file; - reads standard input")
    command.add_argument("out", metavar="OUT", help="where to: pcap where IN is one, else pcapng")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same file (%(default)s)")
    command.add_argument("--payload", default="keep", choices=("keep", "zero"), help="image bytes (%(default)s)")
    add_wire_options(command)
    add_part_options(command)


def _anonymize(options: argparse.Namespace) -> int:
    """`anonymize`: the file, and a line that says what was replaced."""
    check_folder(options.out)
    if selects(options):
        part = {"endpoint": options.endpoint, "since": options.since, "until": options.until}
        capture = read_whole(options)
        print(capture.anonymized(options.out, seed=options.seed, payload=options.payload, **part))
        return 0
    from lwm2m_lab.wire.anonymize import anonymize

    found = anonymize(source(options.file), seed=options.seed, payload=options.payload, ports=ports(options))
    write_beside(options.out, found.data)
    print(found)
    return 0

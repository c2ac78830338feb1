"""`anonymize`."""

from __future__ import annotations

import argparse
from typing import Any

from lwm2m_lab.cli.shared import add_command, ports, source
from lwm2m_lab.files import check_folder, write_beside

__all__ = ["add"]


def add(commands: Any) -> None:
    """The commands of this module."""
    command = add_command(commands, "anonymize", "a capture without anybody's names, to be shared", _anonymize)
    command.add_argument("file", metavar="IN", help="a pcap or pcapng file; - reads standard input")
    command.add_argument("out", metavar="OUT", help="where to: pcap where IN is one, else pcapng")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="same seed, same file (%(default)s)")
    command.add_argument("--payload", default="keep", choices=("keep", "zero"), help="image bytes (%(default)s)")
    command.add_argument("--port", type=int, action="append", metavar="N", help="a further UDP port that carries CoAP")


def _anonymize(options: argparse.Namespace) -> int:
    """`anonymize`: the file, and a line that says what was replaced."""
    from lwm2m_lab.wire.anonymize import anonymize

    check_folder(options.out)
    found = anonymize(source(options.file), seed=options.seed, payload=options.payload, ports=ports(options))
    write_beside(options.out, found.data)
    print(found)
    return 0

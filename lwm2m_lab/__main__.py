"""The command line; the commands themselves are in `lwm2m_lab.cli`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import lwm2m_lab
from lwm2m_lab.cli import modules
from lwm2m_lab.cli.shared import BAD_INPUT, Parser
from lwm2m_lab.errors import LabError

__all__ = ["main"]

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status.

    Examples
    --------
    >>> main(["explain", "nowhere.pcap"])
    2
    """
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser(given).parse_args(given)
    try:
        status = options.run(options)
        sys.stdout.flush()
    except LabError as error:
        print(f"lwm2m-lab: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("lwm2m-lab: stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has gone (head, less): not our failure, but Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return int(status)


def _parser(arguments: Sequence[str]) -> Parser:
    parser = Parser(prog="lwm2m-lab", description="A workbench for the LwM2M firmware update.")
    parser.add_argument("--version", action="version", version=f"lwm2m-lab {lwm2m_lab.__version__}")
    # Named here, argparse need not ask the terminal for its width to find the name.
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", prog=parser.prog)
    for module in modules(arguments):
        module.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())

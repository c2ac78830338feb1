"""What several commands share: the parser, the file that they read, notes on standard error."""

from __future__ import annotations

import argparse
import functools
import gc
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lwm2m_lab.live.credentials import Credentials
    from lwm2m_lab.trace.capture import Capture

__all__ = [
    "BAD_INPUT", "Parser", "add_command", "add_credentials", "add_file_command", "add_log_option", "add_part_options",
    "add_wire_options", "credentials", "keys", "ports", "read_capture", "read_whole", "selects", "source", "warn",
]  # fmt: skip

BAD_INPUT = 2
#: New objects after which the collector looks for garbage.
_OBJECTS = 100_000


class Parser(argparse.ArgumentParser):
    """Says what was wrong in one sentence, without the usage of everything."""

    def error(self, message: str) -> Any:
        self.exit(BAD_INPUT, f"lwm2m-lab: {message}; '{self.prog} --help' lists what is accepted\n")


def add_command(commands: Any, name: str, what: str, run: Callable[..., int]) -> argparse.ArgumentParser:
    """A command, described by what it does."""
    command: argparse.ArgumentParser = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    command.set_defaults(run=run)
    return command


def add_file_command(
    commands: Any, name: str, what: str, run: Callable[..., int], *, parts: bool = True
) -> argparse.ArgumentParser:
    """A command that reads one capture file, or with `parts` a part of it."""
    command = add_command(commands, name, what, functools.partial(_at_ease, run))
    command.add_argument("file", metavar="FILE", help="a pcap or pcapng file; - reads standard input")
    add_wire_options(command)
    if parts:
        add_part_options(command)
    return command


def add_part_options(command: argparse.ArgumentParser) -> None:
    """Which part of a capture."""
    add = command.add_argument
    add("--endpoint", metavar="NAME", help="this endpoint alone")
    moment = "seconds since the first message, frame:N, or a time as in 2024-05-01T12:00:00Z"
    add("--from", dest="since", metavar="WHEN", help=f"from then on: {moment}")
    add("--to", dest="until", metavar="WHEN", help="until then, likewise")


def add_wire_options(command: argparse.ArgumentParser) -> None:
    """Where CoAP is, and what opens DTLS."""
    add = command.add_argument
    add("--port", type=int, action="append", metavar="N", help="a further UDP port that carries CoAP")
    add("--psk", action="append", default=[], metavar="ID:HEX", help="a DTLS identity and its key; no ID: for any")
    add("--psk-file", metavar="FILE", help="lines ID:HEX")
    add("--keylog", metavar="FILE", help="a key log of DTLS (CLIENT_RANDOM lines)")


def add_credentials(command: argparse.ArgumentParser) -> None:
    """Where a live command finds its keys; no option takes a key itself, for everybody would see it."""
    command.add_argument(
        "--psk-file", metavar="FILE", help="lines ID:HEX for coaps, mode 600; without it the variable LWM2M_LAB_PSK"
    )


def _at_ease(run: Callable[..., int], options: argparse.Namespace) -> int:
    """Run a command that reads a file without what costs time and serves nobody here.

    That is numpy's linear algebra, which would wait for work on every core, and the search for garbage after every few
    hundred objects: what a capture is made of stays until the end.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    thresholds = gc.get_threshold()
    gc.set_threshold(_OBJECTS)
    try:
        return run(options)
    finally:
        gc.set_threshold(*thresholds)


def add_log_option(command: argparse.ArgumentParser) -> None:
    """Logs that are laid beside the capture."""
    what = "a device's or server's log, laid beside the messages; may be given again"
    command.add_argument("--log", action="append", default=[], metavar="FILE", help=what)


def credentials(options: argparse.Namespace) -> Credentials | None:
    """The keys of a live command: those of its file, else those of the environment, else None."""
    from lwm2m_lab.live.credentials import Credentials

    return Credentials.from_environment() if options.psk_file is None else Credentials.from_file(options.psk_file)


def selects(options: argparse.Namespace) -> bool:
    """Whether a part of the capture was asked for."""
    return any(one is not None for one in (options.endpoint, options.since, options.until))


def source(file: str) -> str | bytes:
    """What the library reads: the path, or all of standard input for ``-``."""
    return sys.stdin.buffer.read() if file == "-" else file


def ports(options: argparse.Namespace) -> tuple[int, ...]:
    """The UDP ports that carry CoAP in any case."""
    return (5683, *(options.port or ()))


def keys(options: argparse.Namespace) -> dict[str, Any]:
    """What opens DTLS, as `read` and `read_columns` take it."""
    from lwm2m_lab.wire.keyring import parse_psk, read_psk_file

    psk = parse_psk(options.psk)
    for identity, more in read_psk_file(options.psk_file).items() if options.psk_file is not None else ():
        psk.setdefault(identity, []).extend(more)
    return {"psk": psk, "keylog": None if options.keylog is None else pathlib.Path(options.keylog)}


def read_capture(options: argparse.Namespace) -> Capture:
    """The capture that a command was given, or the part of it; its notes go to standard error."""
    return read_whole(options).select(endpoint=options.endpoint, since=options.since, until=options.until)


def read_whole(options: argparse.Namespace) -> Capture:
    """The same, no part of it chosen."""
    from lwm2m_lab.trace.capture import Capture, read

    if options.file == "-":
        capture = Capture.from_bytes(sys.stdin.buffer.read(), name="-", ports=ports(options), **keys(options))
    else:
        capture = read(options.file, ports=ports(options), **keys(options))
    warn(capture.notes)
    for log in getattr(options, "log", ()):
        capture = capture.with_log(log)
    return capture


def warn(notes: Sequence[str]) -> None:
    """Notes to standard error, a line each."""
    for note in notes:
        print(f"lwm2m-lab: note: {note}", file=sys.stderr)

"""The command line: each command is one call of the library."""

from __future__ import annotations

import argparse
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import lwm2m_lab
from lwm2m_lab.errors import BadInput, LabError

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["main"]

BAD_INPUT, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status.

    Examples
    --------
    >>> main(["explain", "nowhere.pcap"])
    2
    """
    options = _parser().parse_args(arguments)
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


# ---------------------------------------------------------------- commands


def _update(options: argparse.Namespace) -> int:
    """`push` and `pull`: an update, its table, its picture; 0 if it succeeded, 1 if not."""
    for name in ("pcap", "plot"):
        _check_folder(getattr(options, name))
    if options.plot:
        from lwm2m_lab.show.style import picture_kind

        picture_kind(options.plot)
    device = lwm2m_lab.DeviceOptions(
        endpoint=options.endpoint,
        lwm2m=options.lwm2m,
        object_version=options.object_version,
        firmware_version=options.firmware_version,
        install_fails=options.install_fails,
    )
    shared: dict[str, Any] = {
        "version": options.image_version,
        "size": options.size,
        "block_size": options.block_size,
        "seed": options.seed,
        "device": device,
        "network": options.network,
        "ack_timeout": options.ack_timeout,
        "max_retransmit": options.max_retransmit,
        "time_limit": options.time_limit,
    }
    if options.network == "simulated" or (options.loss, options.delay) != (0.0, 0.05):
        shared["link"] = lwm2m_lab.Link(delay=options.delay, loss=options.loss)
    if options.command == "push":
        run = lwm2m_lab.push(options.image, method=options.method, package_format=options.package_format, **shared)
    else:
        run = lwm2m_lab.pull(options.image, uri=options.uri, **shared)
    print(run)
    if len(run.updates):
        print(run.update(0))
    if options.pcap:
        run.save(options.pcap, side=options.side)
    if options.plot:
        _save_picture(run, options.plot)
    return 0 if run.succeeded else 1


def _check_folder(path: str | None) -> None:
    """Say before the run that its result could not be written."""
    if path is not None and not pathlib.Path(path).absolute().parent.is_dir():
        raise BadInput(f"{path} cannot be written: its folder does not exist; a path in an existing folder is expected")


def _save_picture(capture: Capture, path: str) -> None:
    from lwm2m_lab.show import save_figure, version_chart

    save_figure(version_chart(capture), path)


def _messages(options: argparse.Namespace) -> int:
    """`messages`: the message table as CSV."""
    from lwm2m_lab.wire import read_columns
    from lwm2m_lab.wire.table import write_csv

    columns = read_columns(_source(options.file), ports=_ports(options))
    _warn(columns.notes)
    if options.out is None:
        write_csv(columns, sys.stdout)
        return 0
    _check_folder(options.out)
    target = pathlib.Path(options.out)
    beside = target.with_name(target.name + ".part")
    try:
        with beside.open("w", encoding="utf-8", newline="") as out:
            write_csv(columns, out)
        beside.replace(target)
    except OSError as error:
        raise BadInput(f"{target} cannot be written ({error.strerror}); another path is expected") from None
    finally:
        beside.unlink(missing_ok=True)
    return 0


def _explain(options: argparse.Namespace) -> int:
    """`explain`: in words, or as JSON."""
    capture = _read(options)
    explanation = lwm2m_lab.explain(capture)
    if options.endpoint is not None:
        explanation = explanation.of_endpoint(options.endpoint)
    _warn(capture.notes)
    print(explanation.to_json(all_findings=options.all) if options.json else explanation)
    return 0


def _notebooks(options: argparse.Namespace) -> int:
    """`notebooks`: JupyterLab on the lessons."""
    from lwm2m_lab.show.lessons import open_lessons

    return open_lessons(folder=options.folder, browser=not options.no_browser)


def _source(file: str) -> str | bytes:
    return sys.stdin.buffer.read() if file == "-" else file


def _ports(options: argparse.Namespace) -> tuple[int, ...]:
    return (5683, *(options.port or ()))


def _read(options: argparse.Namespace) -> Capture:
    from lwm2m_lab.trace.capture import Capture, read

    if options.file == "-":
        return Capture.from_bytes(sys.stdin.buffer.read(), name="-", ports=_ports(options))
    return read(options.file, ports=_ports(options))


def _warn(notes: Sequence[str]) -> None:
    for note in notes:
        print(f"lwm2m-lab: note: {note}", file=sys.stderr)


# ---------------------------------------------------------------- options


class _Parser(argparse.ArgumentParser):
    """Says what was wrong in one sentence, without the usage of everything."""

    def error(self, message: str) -> Any:
        self.exit(BAD_INPUT, f"lwm2m-lab: {message}; '{self.prog} --help' lists what is accepted\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="lwm2m-lab", description="A workbench for the LwM2M firmware update.")
    parser.add_argument("--version", action="version", version=f"lwm2m-lab {lwm2m_lab.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, what in (("push", "update a device by push"), ("pull", "update a device by pull")):
        _add_update_options(commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}."), name)
    _add_file_command(commands, "messages", "the message table as CSV", _messages).add_argument(
        "-o", "--out", metavar="CSV", help="write here instead of to standard output"
    )
    explain = _add_file_command(commands, "explain", "what happened, why, and which clause", _explain)
    explain.add_argument("--json", action="store_true", help="as JSON, for scripts")
    explain.add_argument("--all", action="store_true", help="with --json: the findings that pass, too")
    explain.add_argument("--endpoint", metavar="NAME", help="this endpoint alone")
    lessons = commands.add_parser("notebooks", help="open JupyterLab on the lessons")
    lessons.add_argument("--folder", metavar="DIR", help="where the lessons are, or are copied to")
    lessons.add_argument("--no-browser", action="store_true", help="print the address only")
    lessons.set_defaults(run=_notebooks)
    return parser


def _add_file_command(commands: Any, name: str, what: str, run: Callable[..., int]) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
    command.add_argument("file", metavar="FILE", help="a pcap or pcapng file; - reads standard input")
    command.add_argument("--port", type=int, action="append", metavar="N", help="a further UDP port that carries CoAP")
    command.set_defaults(run=run)
    return command


def _add_update_options(command: argparse.ArgumentParser, name: str) -> None:
    add = command.add_argument
    add("image", nargs="?", help="a firmware image; without one an MCUboot image is made")
    add("--image-version", default="2.0.0", metavar="V", help="version of the image that is made (%(default)s)")
    add("--size", type=int, default=20_000, metavar="BYTES", help="size of the image that is made (%(default)s)")
    add("--block-size", type=int, default=1024, metavar="BYTES", help="16 to 1024 (%(default)s)")
    add("--loss", type=float, default=0.0, metavar="P", help="probability that a datagram is lost (%(default)s)")
    add("--delay", type=float, default=0.05, metavar="S", help="seconds one way (%(default)s)")
    add("--seed", type=int, default=1, metavar="N", help="same seed, same bytes (%(default)s)")
    add("--ack-timeout", type=float, default=2.0, metavar="S", help="ACK_TIMEOUT in seconds (%(default)s)")
    add("--max-retransmit", type=int, default=4, metavar="N", help="MAX_RETRANSMIT (%(default)s)")
    add("--network", default="simulated", choices=("simulated", "loopback"), help="simulated time, or real sockets")
    add("--time-limit", type=float, metavar="S", help="seconds until the server gives up")
    add("--endpoint", default="urn:dev:lab-1", metavar="NAME", help="endpoint name of the device (%(default)s)")
    add("--lwm2m", default="1.1", metavar="V", help="LwM2M version of the device (%(default)s)")
    add("--object-version", default="1.1", metavar="V", help="version of Object 5 (%(default)s)")
    add("--firmware-version", default="1.0.0", metavar="V", help="/3/0/3 before the update (%(default)s)")
    add("--install-fails", action="store_true", help="let the installation fail")
    if name == "push":
        add("--method", default="PUT", choices=("PUT", "POST"), help="how the package is written")
        add("--package-format", default="opaque", choices=("opaque", "tlv"), help="Content-Format of the package")
    else:
        add("--uri", metavar="URI", help="Package URI, if not the one of the repository")
    add("--pcap", metavar="OUT", help="write the capture (pcapng)")
    add("--side", default="server", choices=("server", "device", "both"), help="whose side of the link (%(default)s)")
    add("--plot", metavar="OUT", help="write the version chart (png, svg, pdf)")
    command.set_defaults(run=_update)


if __name__ == "__main__":
    sys.exit(main())

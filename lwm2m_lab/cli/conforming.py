"""`conformance`: OMA's test cases against a device of the lab's, or one that registers."""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lwm2m_lab.cli.shared import add_command, credentials
from lwm2m_lab.errors import BadInput
from lwm2m_lab.files import check_folder, write_beside

if TYPE_CHECKING:
    from lwm2m_lab.live.conformance import CaseResult, Conformance, Pace
    from lwm2m_lab.live.experiment import NetworkKind
    from lwm2m_lab.live.options import DeviceOptions

__all__ = ["add"]

_PREPARED = {"too_large": "too large", "too_much_memory": "too much memory", "failing": "failing"}
VERSIONS = ("1.0", "1.1", "1.2")


def add(commands: Any) -> None:
    """The command of this module."""
    what = "run OMA's test cases for the firmware update against a device"
    command = add_command(commands, "conformance", what, _run)
    add = command.add_argument
    add("--case", action="append", metavar="NAME", help="a case, or several as in 'int-77*'; all by default")
    add("--list", action="store_true", help="list the cases")
    add("--html", metavar="OUT", help="write a page with every step")
    add("--junit", metavar="OUT", help="write JUnit XML")
    add("--json", metavar="OUT", help="write JSON; - writes it to standard output")
    add("--captures", metavar="FOLDER", help="write the capture of each case (pcapng)")
    own = command.add_argument_group("a device of the lab's, in simulated time")
    own.add_argument("--profile", metavar="NAME", help="strict, anjay, zephyr or wakaama")
    own.add_argument("--fault", action="append", default=[], metavar="NAME", help="what it does wrong")
    own.add_argument("--like", metavar="D4", help="one of the devices D1 to D11 of the version's truth table")
    own.add_argument("--object-version", action="append", metavar="V", help="of Object 5: 1.0, 1.1, 1.2 or all (1.1)")
    own.add_argument("--real", action="store_true", help="on real sockets of this machine, every time scaled down")
    other = command.add_argument_group("a device that registers")
    other.add_argument("--bind", metavar="HOST", help="wait at this address of this machine")
    other.add_argument("--start", metavar="COMMAND", help="start the device's process; {server} in it is the URI")
    other.add_argument("--port", type=int, metavar="N", help="UDP port of the server (5683)")
    other.add_argument("--repository-port", type=int, default=0, metavar="N", help="of the repository (a free one)")
    other.add_argument("--psk-file", metavar="FILE", help="lines ID:HEX, mode 600: devices register over coaps then")
    other.add_argument("--endpoint", metavar="NAME", help="endpoint name; the first that registers by default")
    other.add_argument("--wait", type=float, default=600.0, metavar="S", help="until it has registered (%(default)g)")
    other.add_argument("--image", metavar="FILE", help="a good image; MCUboot images of the lab's by default")
    other.add_argument("--image-version", metavar="V", help="what /3/0/3 says once it is installed")
    other.add_argument("--too-large", metavar="FILE", help="an image larger than the storage of the device")
    other.add_argument("--too-much-memory", metavar="FILE", help="one that does not fit its memory")
    other.add_argument("--failing", metavar="FILE", help="one that it takes and cannot install")
    other.add_argument("--time-limit", type=float, default=180.0, metavar="S", help="for an installation (%(default)g)")
    other.add_argument("--ack-timeout", type=float, default=2.0, metavar="S", help="ACK_TIMEOUT (%(default)g)")
    other.add_argument("--max-retransmit", type=int, default=4, metavar="N", help="MAX_RETRANSMIT (%(default)s)")


def _run(options: argparse.Namespace) -> int:
    """Run the cases, write what was asked for; 0 if the device conforms."""
    if options.list:
        return _list()
    for path in (options.html, options.junit, options.captures, options.json if options.json != "-" else None):
        if path is not None:
            check_folder(path)
    registers = any(one is not None for one in (options.bind, options.port, options.start))
    results = [_registered(options)] if registers else list(_own(options))
    _write(options, results)
    if options.json != "-":
        print("\n\n".join(map(str, results)))
    return 0 if all(one.conforms for one in results) else 1


def _list() -> int:
    from lwm2m_lab.live.conformance import CASES

    for case in CASES:
        print(f"{case.id:<20} {case.title} [{case.clause}]")
    return 0


def _own(options: argparse.Namespace) -> Any:
    """One result for each version of Object 5."""
    from lwm2m_lab.live.conformance import conformance

    device = _device(options)
    network: NetworkKind = "loopback" if options.real else "simulated"
    versions: Sequence[str | None] = options.object_version or [None]
    for version in VERSIONS if "all" in versions else versions:
        yield conformance(device, cases=options.case, network=network, object_version=version, told=_tell)


def _device(options: argparse.Namespace) -> DeviceOptions:
    from dataclasses import replace

    from lwm2m_lab.live.options import DeviceOptions

    base = DeviceOptions.named(options.like) if options.like else DeviceOptions()
    return replace(base, profile=options.profile or base.profile, faults=(*base.faults, *options.fault))


def _registered(options: argparse.Namespace) -> Conformance:
    from lwm2m_lab.live.conformance import conformance

    if options.profile or options.fault or options.like or options.object_version or options.real:
        raise BadInput("a device is waited for, and another option describes one of the lab's; one of them is expected")
    usual = 5683 if options.start is None else 0
    host, port = options.bind or "127.0.0.1", usual if options.port is None else options.port
    if options.start is None:
        print(f"lwm2m-lab: waiting at {host}, port {port}, for a registration", file=sys.stderr, flush=True)
    return conformance(
        cases=options.case,
        bind=(host, port),
        start=options.start,
        endpoint=options.endpoint,
        image=options.image,
        image_version=options.image_version,
        prepared={kind: getattr(options, name) for name, kind in _PREPARED.items() if getattr(options, name)},
        repository_port=options.repository_port,
        credentials=None if options.psk_file is None else credentials(options),
        wait=options.wait,
        pace=_pace(options),
        told=_tell,
    )


def _pace(options: argparse.Namespace) -> Pace:
    from lwm2m_lab.live.conformance import Pace
    from lwm2m_lab.live.requests import Timers

    timers = Timers(ack_timeout=options.ack_timeout, max_retransmit=options.max_retransmit)
    return Pace(timers=timers, time_limit=options.time_limit)


def _tell(result: CaseResult) -> None:
    """One line on standard error for each case."""
    print(f"lwm2m-lab: {result.case.id:<20} {result.verdict}", file=sys.stderr, flush=True)


def _write(options: argparse.Namespace, results: list[Conformance]) -> None:
    """The files that were asked for."""
    if options.html:
        from lwm2m_lab.show.board import conformance_page

        write_beside(options.html, conformance_page(results).encode())
    if options.junit:
        from lwm2m_lab.live.conformance.junit import conformance_junit

        write_beside(options.junit, conformance_junit(results).encode())
    if options.json:
        text = json.dumps({"schema": 1, "devices": [one.to_dict() for one in results]}, indent=1, ensure_ascii=False)
        if options.json == "-":
            print(text)
        else:
            write_beside(options.json, text.encode())
    if options.captures:
        folder = pathlib.Path(options.captures)
        for one in results:
            one.save_captures(folder if len(results) == 1 else folder / f"object-5-{one.object_version}")

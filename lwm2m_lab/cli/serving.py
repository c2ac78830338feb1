"""`server`: an LwM2M server on real sockets, until Ctrl-C or until all devices are updated."""

from __future__ import annotations

import argparse
import json
import pathlib
from typing import TYPE_CHECKING, Any

from lwm2m_lab.cli.device import address
from lwm2m_lab.cli.shared import add_command, add_credentials, credentials, warn
from lwm2m_lab.cli.tapping import add_session_keys, check_outputs, write_outputs
from lwm2m_lab.errors import BadInput

if TYPE_CHECKING:
    from lwm2m_lab.live.campaign import Progress
    from lwm2m_lab.live.registry import Registration
    from lwm2m_lab.live.server_options import ServerOptions
    from lwm2m_lab.live.serving import Server

__all__ = ["add"]


def add(commands: Any) -> None:
    """The command of this module."""
    command = add_command(commands, "server", "run a server on real sockets, until Ctrl-C", _run)
    option = command.add_argument
    option("--bind", metavar="HOST[:PORT]", help="own address, 127.0.0.1:5683 unless told")
    option(
        "--listen",
        action="append",
        metavar="URI",
        help="coap://HOST[:PORT] or coaps://..., in place of --bind, again for more",
    )
    option("--images", metavar="FOLDER", help="serve the files of a folder as /fw/NAME")
    option("--http", metavar="HOST[:PORT]", help="serve them over HTTP, too, at this address")
    option("--https", metavar="HOST[:PORT]", help="serve them over HTTPS, too, at this address")
    option("--certificate", metavar="FILE", help="of HTTPS, with its private key: PEM, mode 600")
    option("--allow", action="append", metavar="NAME", help="an endpoint that may register; without it all may")
    option(
        "--parameter", action="append", default=[], metavar="NAME", help="of a Register, let pass beside LwM2M's own"
    )
    add_credentials(command)
    option("--identities", metavar="FILE", help='whose endpoint is whose: {"identity": "endpoint"}, as JSON')
    option("--update-all", metavar="IMAGE", help="update all devices with this image, then end; 0 if all succeeded")
    option("--devices", type=int, default=1, metavar="N", help="wait for so many first (%(default)s)")
    option("--within", type=float, default=60.0, metavar="S", help="as long as this (%(default)s)")
    option("--at-once", type=int, default=10, metavar="N", help="updates at the same time (%(default)s)")
    option("--delivery", default="auto", choices=("auto", "push", "pull"), help="how (%(default)s)")
    option("--strategy", metavar="NAME", help="how success is found out: S1 to S7, or lab")
    option("--block-size", type=int, metavar="BYTES", help="16 to 1024 (1024)")
    option("--retries", type=int, metavar="N", help="attempts after silence (5)")
    option("--retry-after", type=float, metavar="S", help="seconds until each (10)")
    option("--time-limit", type=float, metavar="S", help="of a download, and of an installation (600)")
    option("--deadline", type=float, metavar="S", help="of a whole update")
    option("--fault", action="append", default=[], metavar="NAME", help="what it does wrong; 'list' lists the faults")
    option("--pcap", metavar="OUT", help="write what passed its sockets at the end (pcapng)")
    add_session_keys(command)


#: Options of the command that are options of the server where they are given.
_PASSED = ("strategy", "block_size", "retries", "retry_after", "time_limit", "deadline")


def _run(options: argparse.Namespace) -> int:
    """Serve; with an image, update whoever has registered."""
    from lwm2m_lab.live.server_faults import SERVER_FAULTS
    from lwm2m_lab.live.serving import Server

    if "list" in options.fault:
        print("\n".join(SERVER_FAULTS.lines()))
        return 0
    check_outputs(options)
    server = Server(
        _server_options(options),
        images=options.images,
        bind=None if options.bind is None else address(options.bind, port=5683),
        listen=options.listen,
        http=None if options.http is None else address(options.http, port=8080, name="--http"),
        https=None if options.https is None else address(options.https, port=8443, name="--https"),
        certificate=options.certificate,
        endpoints=None if options.allow is None else frozenset(options.allow),
        credentials=credentials(options),
        identities=_identities(options.identities),
        told=_tell,
        said=lambda sentence: print(sentence, flush=True),
        parameters=options.parameter,
        session_keys=bool(options.session_keys),
    )
    with server:
        try:
            print(f"server at {' and '.join((*server.uris, *server.web_uris))}", flush=True)
            if options.update_all is None:
                server.run_until_end()
                return 0
            return _update_all(server, options)
        finally:
            write_outputs(options, server.capture)


def _update_all(server: Server, options: argparse.Namespace) -> int:
    """A campaign over the devices that have registered."""
    names = server.wait_for_devices(options.devices, within=options.within)
    campaign = server.campaign(
        options.update_all, endpoints=names, at_once=options.at_once, delivery=options.delivery, told=_progress
    )
    print(campaign, flush=True)
    return 0 if campaign.succeeded else 1


def _identities(file: str | None) -> dict[str, str] | None:
    """Endpoint names by identity, from a file."""
    if file is None:
        return None
    try:
        said = json.loads(pathlib.Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no JSON"
        raise BadInput(f'{file} cannot be read ({why}); {{"identity": "endpoint"}} is expected') from None
    if not isinstance(said, dict) or not all(isinstance(one, str) and one for one in said.values()):
        raise BadInput(f'{file} has no endpoint names by identity; {{"identity": "endpoint"}} is expected')
    return said


def _server_options(options: argparse.Namespace) -> ServerOptions:
    from dataclasses import replace

    from lwm2m_lab.live.serving import PATIENT

    given = {name: getattr(options, name) for name in _PASSED if getattr(options, name) is not None}
    return replace(PATIENT, **given, faults=tuple(options.fault))


def _tell(what: str, one: Registration) -> None:
    """One line for each event."""
    print(f"{what:<14} {one.endpoint} at {one.address}, LwM2M {one.lwm2m}, lifetime {one.lifetime} s", flush=True)


def _progress(one: Progress) -> None:
    """Progress goes to standard error."""
    warn([f"{one.done} of {one.total}: {one.endpoint} {'begins' if one.report is None else one.report.outcome}"])

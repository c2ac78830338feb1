"""`push` and `pull`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import lwm2m_lab
from lwm2m_lab.cli.shared import add_command, add_credentials, credentials
from lwm2m_lab.files import check_folder

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["add"]


def add(commands: Any) -> None:
    """The commands of this module."""
    for name, what in (("push", "update a device by push"), ("pull", "update a device by pull")):
        _add_update_options(add_command(commands, name, what, _update), name)


def _update(options: argparse.Namespace) -> int:
    """`push` and `pull`: an update, its table, its picture; 0 if it succeeded, 1 if not."""
    for name in ("pcap", "plot"):
        if getattr(options, name) is not None:
            check_folder(getattr(options, name))
    if options.plot:
        from lwm2m_lab.show.style import picture_kind

        picture_kind(options.plot)
    like = lwm2m_lab.DeviceOptions.named(options.like) if options.like else lwm2m_lab.DeviceOptions()
    device = replace(
        like,
        endpoint=options.endpoint,
        lwm2m=options.lwm2m,
        object_version=options.object_version,
        firmware_version=options.firmware_version,
        install_fails=options.install_fails or like.install_fails,
        profile=options.profile,
        faults=(*like.faults, *options.fault),
    )
    shared: dict[str, Any] = {
        "version": options.image_version,
        "size": options.size,
        "block_size": options.block_size,
        "seed": options.seed,
        "device": device,
        "network": options.network,
        "secure": options.secure and (credentials(options) or True),
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
        run.save(options.pcap, side=options.side, session_keys=options.session_keys)
    if options.plot:
        _save_picture(run, options.plot)
    return 0 if run.succeeded else 1


def _save_picture(capture: Capture, path: str) -> None:
    from lwm2m_lab.show import save_figure, version_chart

    save_figure(version_chart(capture), path)


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
    add("--secure", action="store_true", help="over coaps; loopback only, with a key of the run's own if there is none")
    add_credentials(command)
    add("--time-limit", type=float, metavar="S", help="seconds until the server gives up")
    add("--endpoint", default="urn:dev:lab-1", metavar="NAME", help="endpoint name of the device (%(default)s)")
    add("--lwm2m", default="1.1", metavar="V", help="LwM2M version of the device (%(default)s)")
    add("--object-version", default="1.1", metavar="V", help="version of Object 5 (%(default)s)")
    add("--firmware-version", default="1.0.0", metavar="V", help="/3/0/3 before the update (%(default)s)")
    add("--install-fails", action="store_true", help="let the installation fail")
    add("--profile", default="strict", metavar="NAME", help="strict, anjay, zephyr or wakaama (%(default)s)")
    add(
        "--fault",
        action="append",
        default=[],
        metavar="NAME",
        help="what the device does wrong ('device --fault list')",
    )
    add("--like", metavar="D4", help="one of the devices D1 to D11 of the version's truth table")
    if name == "push":
        add("--method", default="PUT", choices=("PUT", "POST"), help="how the package is written")
        add("--package-format", default="opaque", choices=("opaque", "tlv"), help="Content-Format of the package")
    else:
        add("--uri", metavar="URI", help="Package URI, if not the one of the repository")
    add("--pcap", metavar="OUT", help="write the capture (pcapng)")
    add("--session-keys", action="store_true", help="put the keys of the run's DTLS sessions into the capture")
    add("--side", default="server", choices=("server", "device", "both"), help="whose side of the link (%(default)s)")
    add("--plot", metavar="OUT", help="write the version chart (png, svg, pdf)")

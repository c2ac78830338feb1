"""`campaign`: a fleet of simulated devices, updated stage by stage."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import lwm2m_lab
from lwm2m_lab.cli.shared import add_command
from lwm2m_lab.errors import BadInput
from lwm2m_lab.files import check_folder, write_beside

if TYPE_CHECKING:
    from lwm2m_lab.live.campaign_run import CampaignRun

__all__ = ["add"]


def add(commands: Any) -> None:
    """The command of this module."""
    _add_options(add_command(commands, "campaign", "update a fleet of simulated devices, stage by stage", _campaign))


def _campaign(options: argparse.Namespace) -> int:
    """A campaign, its screen, its files; 0 if every device was updated, 1 if not."""
    for name in ("csv", "plot", "pcap"):
        if getattr(options, name) is not None:
            check_folder(getattr(options, name))
    if options.plot:
        from lwm2m_lab.show.style import picture_kind

        picture_kind(options.plot)
    if (options.pcap is None) != (options.device is None):
        raise BadInput("a capture is of one device; --pcap OUT and --device NAME are expected together")
    from lwm2m_lab.live.server_options import ServerOptions

    done = lwm2m_lab.campaign(
        options.devices,
        options.image,
        version=options.image_version,
        size=options.size,
        limit=options.limit,
        stages=_numbers("--stages", options.stages),
        stop_at=options.stop_at,
        at_least=options.at_least,
        profiles=_shares("--profile", options.profile) or None,
        faults=_shares("--fault", options.fault) or None,
        links=_shares("--link", options.link) or None,
        cells=options.cells,
        cell_rate=options.cell_rate,
        delivery=options.delivery,
        server=ServerOptions(block_size=options.block_size, time_limit=options.time_limit),
        ack_timeout=options.ack_timeout,
        max_retransmit=options.max_retransmit,
        seed=options.seed,
        workers=options.workers,
        most=options.most,
    )
    print(done)
    _write(done, options)
    return 0 if done.outcomes == {"succeeded": options.devices} else 1


def _write(done: CampaignRun, options: argparse.Namespace) -> None:
    """The files that were asked for."""
    if options.csv:
        write_beside(options.csv, done.devices.to_csv(index=False).encode())
    if options.plot:
        from lwm2m_lab.show import save_figure

        save_figure(done.plot(), options.plot)
    if options.pcap:
        done.run(options.device).save(options.pcap)


def _shares(option: str, given: Sequence[str]) -> dict[str, float]:
    """NAME=SHARE of each; a name alone is all of them."""
    shares = {}
    for one in given:
        name, is_given, share = one.partition("=")
        try:
            shares[name] = float(share) if is_given else 1.0
        except ValueError:
            raise BadInput(f"{option} is {one!r}; NAME=SHARE is expected, as in {name}=0.2") from None
    return shares


def _numbers(option: str, given: str) -> list[float]:
    try:
        return [float(one) for one in given.split(",")]
    except ValueError:
        raise BadInput(
            f"{option} is {given!r}; shares with commas between them are expected, as in 0.01,0.1,1"
        ) from None


def _add_options(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("image", nargs="?", help="a firmware image; without one an MCUboot image is made")
    add("--image-version", default="2.0.0", metavar="V", help="version of the image that is made (%(default)s)")
    add("--size", type=int, default=20_000, metavar="BYTES", help="size of the image that is made (%(default)s)")
    add("--devices", type=int, default=100, metavar="N", help="how many (%(default)s)")
    add("--limit", type=int, default=100, metavar="N", help="updates at the same time (%(default)s)")
    add("--stages", default="1", metavar="P,P,...", help="shares of the fleet that rise to 1, as in 0.01,0.1,1")
    add("--stop-at", type=float, metavar="P", help="begin no further update when a larger share has failed")
    add("--at-least", type=int, default=10, metavar="N", help="updates that have to have ended before (%(default)s)")
    share: dict[str, Any] = {"action": "append", "default": [], "metavar": "NAME=P"}
    add("--profile", help="a share of strict, anjay, zephyr or wakaama; may be given again", **share)
    add("--fault", help="a rate of what devices do wrong ('device --fault list'); may be given again", **share)
    add("--link", help="a share of lan, nb_iot, nb_iot_poor, lte_m or ieee802154; may be given again", **share)
    add("--cells", type=int, default=1, metavar="N", help="cells to which the devices are dealt (%(default)s)")
    add("--cell-rate", type=float, default=math.inf, metavar="BPS", help="bits a second of all devices of a cell")
    add("--delivery", default="push", choices=("push", "pull"), help="how the image comes to a device (%(default)s)")
    add("--block-size", type=int, default=1024, metavar="BYTES", help="16 to 1024 (%(default)s)")
    add("--time-limit", type=float, default=300.0, metavar="S", help="seconds until the server gives up (%(default)s)")
    add("--ack-timeout", type=float, default=2.0, metavar="S", help="ACK_TIMEOUT in seconds (%(default)s)")
    add("--max-retransmit", type=int, default=4, metavar="N", help="MAX_RETRANSMIT (%(default)s)")
    add("--seed", type=int, default=1, metavar="N", help="same seed, same campaign (%(default)s)")
    add("--workers", type=int, metavar="N", help="processes, for several cells (as many as there are cores)")
    add("--most", type=int, default=20_000, metavar="N", help="more devices are refused (%(default)s)")
    add("--csv", metavar="OUT", help="write the table of devices")
    add("--plot", metavar="OUT", help="write the dashboard (png, svg, pdf)")
    add("--device", metavar="NAME", help="of which --pcap writes the capture")
    add("--pcap", metavar="OUT", help="write the capture of one device (pcapng)")

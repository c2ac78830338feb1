"""Many simulated devices before one server, in one process on simulated time: a campaign without waiting for it."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.campaign import Campaign, Progress, run_campaign
from lwm2m_lab.live.client import Happening, LwM2MClient
from lwm2m_lab.live.endpoint import Endpoint
from lwm2m_lab.live.image import ImageSource, image_from
from lwm2m_lab.live.link import Link
from lwm2m_lab.live.network import SimulatedNetwork
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.registry import Limits
from lwm2m_lab.live.repository import Repository
from lwm2m_lab.live.requests import Requester, Timers, cancel
from lwm2m_lab.live.server import Registrar
from lwm2m_lab.live.server_faults import build
from lwm2m_lab.live.server_options import ServerOptions
from lwm2m_lab.live.serving import Site
from lwm2m_lab.live.world import run_blocking

__all__ = ["Fleet", "update_fleet"]

#: The server, and the network of the devices (RFC 2544: kept for benchmarks).
SERVER, DEVICES = ("192.0.2.1", 5683), ipaddress.ip_network("198.18.0.0/15")


@dataclass(frozen=True)
class Fleet:
    """What became of many devices.

    Attributes
    ----------
    campaign : Campaign
        What the server concluded.
    truth : mapping of str to tuple of Happening
        What each device itself knows.
    seconds : float
        Simulated.
    datagrams : int
        That were sent.
    """

    campaign: Campaign
    truth: dict[str, tuple[Happening, ...]]
    seconds: float
    datagrams: int


def update_fleet(
    devices: Sequence[DeviceOptions],
    image: ImageSource,
    *,
    at_once: int = 100,
    options: ServerOptions | None = None,
    link: Link | None = None,
    seed: int = 1,
    told: Callable[[Progress], None] = lambda _: None,
) -> Fleet:
    """Let many devices register at one server, and update them all.

    Parameters
    ----------
    devices : sequence of DeviceOptions
        Each with an endpoint name of its own; a delivery that is pull only is pulled from the server.
    image : FirmwareImage, bytes or path
    at_once : int
        How many updates run at the same time.
    options : ServerOptions, optional
    link : Link, optional
        What lies between all of them and the server; they share its rate.
    seed : int
    told : callable
        Of `run_campaign`.

    Raises
    ------
    BadInput
        For two devices of one endpoint name.

    Examples
    --------
    >>> from lwm2m_lab.live.image import image
    >>> fleet = update_fleet([DeviceOptions(endpoint=name) for name in "abc"], image(size=2000), at_once=2)
    >>> fleet.campaign.outcomes
    {'succeeded': 3}
    """
    names = [one.endpoint for one in devices]
    if len(set(names)) != len(names):
        raise BadInput("two devices have one endpoint name; each its own is expected")
    package, chosen, network = (
        image_from(image),
        options or ServerOptions(),
        SimulatedNetwork(link=link or Link(), seed=seed),
    )

    async def live() -> Fleet:
        server = build(Registrar, chosen.faults)(limits=Limits(registrations=max(10_000, len(devices))))
        site = Site(server, build(Repository, chosen.faults)({"/fw/a.bin": package.data}))
        context = await network.context(site, side="server", bind=SERVER, endpoint=build(Endpoint, chosen.faults)())
        clients = [
            LwM2MClient(
                one,
                network=network,
                server=f"coap://{SERVER[0]}",
                bind=(str(DEVICES[number + 1]), 50_000),
                timers=Timers(),
                new_ports=False,
            )
            for number, one in enumerate(devices)
        ]
        living = [asyncio.ensure_future(one.run()) for one in clients]
        try:
            campaign = await run_campaign(
                server,
                Requester(context, Timers()),
                names,
                package,
                chosen,
                at_once=at_once,
                uri=f"coap://{SERVER[0]}/fw/a.bin",
                auto=True,
                told=told,
            )
            seconds = asyncio.get_running_loop().time()
        finally:
            await cancel(*living)
            await context.shutdown()
        sent = sum(one.side == ("server" if one.source == SERVER else "device") for one in network.sightings)
        return Fleet(campaign, {one.options.endpoint: tuple(one.truth) for one in clients}, seconds, sent)

    return run_blocking(network, seed, live)

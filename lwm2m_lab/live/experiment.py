"""`push()` and `pull()`: one call, one whole firmware update, one `Run`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.image import FirmwareImage, ImageSource, image_from
from lwm2m_lab.live.image import image as make_image
from lwm2m_lab.live.link import Link
from lwm2m_lab.live.network import LoopbackNetwork, Network, SimulatedNetwork, free_ports
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.procedure import ServerOptions
from lwm2m_lab.live.requests import Timers
from lwm2m_lab.live.run import Run
from lwm2m_lab.live.world import Addresses, World, run_blocking

__all__ = ["pull", "push"]

#: The simulated hosts, in the range kept for documentation (RFC 5737).
SIMULATED = Addresses(("192.0.2.2", 50000), ("192.0.2.1", 5683), ("192.0.2.3", 5683))
#: Seconds that a server waits for a download or an installation: simulated ones are free, real ones are not.
TIME_LIMIT = {"simulated": 7_200.0, "loopback": 120.0}
PATIENCE = {"simulated": 60.0, "loopback": 5.0}

NetworkKind = Literal["simulated", "loopback"]


def push(
    image: ImageSource | None = None,
    *,
    version: str = "2.0.0",
    size: int = 20_000,
    link: Link | None = None,
    block_size: int = 1024,
    seed: int = 1,
    device: DeviceOptions | None = None,
    network: NetworkKind = "simulated",
    method: Literal["PUT", "POST"] = "PUT",
    package_format: Literal["opaque", "tlv"] = "opaque",
    ack_timeout: float = 2.0,
    max_retransmit: int = 4,
    patience: float | None = None,
    time_limit: float | None = None,
) -> Run:
    """Update a device by push: the server writes the package to ``/5/0/0``, block by block (Block1).

    Parameters
    ----------
    image : FirmwareImage, bytes or path, optional
        The package; without one an image of `version` and `size` is made.
    version : str
        Version in the image's header.
    size : int
        Bytes of the whole image.
    link : Link, optional
        The network path of the device; 50 ms each way by default. Simulated network only.
    block_size : int
        Bytes: 16, 32, 64, 128, 256, 512 or 1024.
    seed : int
        Same arguments and seed, same bytes in the capture, in every process. Simulated network only.
    device : DeviceOptions, optional
        What the device is like.
    network : {"simulated", "loopback"}
        Simulated time and an in-memory network, or real UDP sockets of this machine.
    method, package_format
        How the package is written: PUT or POST, opaque or TLV.
    ack_timeout, max_retransmit
        Transmission parameters of both sides (RFC 7252, 4.8), seconds and copies.
    patience, time_limit : float, optional
        Seconds without news until the server reads for itself, and until it gives up.

    Returns
    -------
    Run
        Also where the update fails: a run says what happened.

    Raises
    ------
    BadInput
        For an argument out of range.

    Examples
    --------
    >>> run = push(version="2.1.0", size=40_000, seed=7)
    >>> run.report.outcome, run.report.firmware_version_after
    ('succeeded', '2.1.0')
    """
    return _update(
        _as_image(image, version, size),
        uri=None,
        files={},
        link=link,
        seed=seed,
        device=device,
        network=network,
        timers=Timers(ack_timeout=ack_timeout, max_retransmit=max_retransmit),
        server=_server_options(network, block_size, patience, time_limit, method=method, package_format=package_format),
    )


def pull(
    image: ImageSource | None = None,
    *,
    uri: str | None = None,
    version: str = "2.0.0",
    size: int = 20_000,
    link: Link | None = None,
    block_size: int = 1024,
    seed: int = 1,
    device: DeviceOptions | None = None,
    network: NetworkKind = "simulated",
    ack_timeout: float = 2.0,
    max_retransmit: int = 4,
    patience: float | None = None,
    time_limit: float | None = None,
) -> Run:
    """Update a device by pull: the server writes a Package URI to ``/5/0/1``, the device fetches it (Block2).

    Parameters
    ----------
    uri : str, optional
        What the server writes; by default where the repository keeps the image, ``coap://192.0.2.3/fw/2.0.0.bin``. The
        repository serves that one path, so another one shows what a wrong URI does.
    image, version, size, link, block_size, seed, device, network, ack_timeout, max_retransmit, patience, time_limit
        As for `push`; `block_size` is the largest that the repository sends.

    Returns
    -------
    Run
        Also where the update fails: a run says what happened.

    Raises
    ------
    BadInput
        For an argument out of range.

    Examples
    --------
    >>> pull(uri="coap://192.0.2.3/nope.bin").report.sentence
    'the delivery ended in State 0 Idle with Update Result 7 Invalid URI'
    """
    package = _as_image(image, version, size)
    path = f"/fw/{package.version}.bin"
    addresses = _addresses(network)
    host, port = addresses.repository
    if uri is not None and (not uri or len(uri.encode()) > 255):
        raise BadInput(f"uri has {len(uri.encode())} bytes; 1 to 255 are expected, as Object 5 allows")
    return _update(
        package,
        uri=uri or f"coap://{host}{'' if port == 5683 else f':{port}'}{path}",
        files={path: package.data},
        link=link,
        seed=seed,
        device=device,
        network=network,
        timers=Timers(ack_timeout=ack_timeout, max_retransmit=max_retransmit),
        server=_server_options(network, block_size, patience, time_limit),
        addresses=addresses,
    )


def _update(
    package: FirmwareImage,
    *,
    uri: str | None,
    link: Link | None,
    seed: int,
    device: DeviceOptions | None,
    network: NetworkKind,
    addresses: Addresses | None = None,
    **parts: Any,
) -> Run:
    """Build the world, let it live, keep what is left."""
    if not isinstance(seed, int):
        raise BadInput(f"seed is {seed!r}; a whole number is expected")
    if network == "loopback" and link is not None:
        raise BadInput(
            "link is given for network='loopback'; real sockets take the network as it is, only 'simulated' has one"
        )
    path = link or Link()
    carrier: Network = LoopbackNetwork() if network == "loopback" else SimulatedNetwork(link=path, seed=seed)
    with _progress_bar(package.size, "pull" if uri else "push") as progress:
        world = World(
            network=carrier,
            addresses=addresses or _addresses(network),
            device=device or DeviceOptions(),
            image=package,
            uri=uri,
            progress=progress,
            **parts,
        )
        ended = run_blocking(carrier, seed, world.live)
    return Run(ended, image=package, delivery="pull" if uri else "push", link=path, seed=seed)


def _server_options(
    network: NetworkKind, block_size: int, patience: float | None, time_limit: float | None, **more: Any
) -> ServerOptions:
    if network not in TIME_LIMIT:
        raise BadInput(f"network is {network!r}; 'simulated' or 'loopback' is expected")
    return ServerOptions(
        block_size=block_size,
        patience=PATIENCE[network] if patience is None else patience,
        time_limit=TIME_LIMIT[network] if time_limit is None else time_limit,
        **more,
    )


def _addresses(network: NetworkKind) -> Addresses:
    """Where everybody lives; on loopback each port is a free one."""
    if network != "loopback":
        return SIMULATED
    server, repository = free_ports(2)
    return Addresses(("127.0.0.1", 0), ("127.0.0.1", server), ("127.0.0.1", repository))


def _as_image(source: ImageSource | None, version: str, size: int) -> FirmwareImage:
    """An image made, or one that is there."""
    return make_image(version=version, size=size) if source is None else image_from(source)


@contextmanager
def _progress_bar(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """Progress on standard error, once a run takes longer than two seconds."""
    from tqdm import tqdm

    with tqdm(total=total, desc=what, unit="B", unit_scale=True, delay=2, leave=False) as bar:

        def told(done: int) -> None:
            bar.update(done - bar.n)

        yield told

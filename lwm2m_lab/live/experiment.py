"""`push()` and `pull()`: one call, one whole firmware update, one `Run`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.credentials import Credentials
from lwm2m_lab.live.image import FirmwareImage, ImageSource, image_from
from lwm2m_lab.live.image import image as make_image
from lwm2m_lab.live.link import LINK_FIELDS, Link
from lwm2m_lab.live.network import LoopbackNetwork, Network, SimulatedNetwork, free_ports
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.requests import Timers
from lwm2m_lab.live.run import Run
from lwm2m_lab.live.server_options import ServerOptions
from lwm2m_lab.live.strategies import Judge
from lwm2m_lab.live.world import Addresses, Ended, World, run_blocking

__all__ = [
    "SIMULATED",
    "Experiment",
    "ImageSource",
    "as_image",
    "pull",
    "push",
    "server_options",
    "source_in_repository",
]

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
    secure: bool | Credentials = False,
    method: Literal["PUT", "POST"] = "PUT",
    package_format: Literal["opaque", "tlv"] = "opaque",
    ack_timeout: float = 2.0,
    max_retransmit: int = 4,
    patience: float | None = None,
    time_limit: float | None = None,
    strategy: str | Judge = "lab",
    **path: Any,
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
    secure : bool or Credentials
        Everything over coaps (DTLS 1.2 with a pre-shared key): with a key made for this run, or with one identity of
        your own. The run knows the key; a file has the datagrams as they passed. Loopback and the extra ``dtls`` only.
    method, package_format
        How the package is written: PUT or POST, opaque or TLV.
    ack_timeout, max_retransmit
        Transmission parameters of both sides (RFC 7252, 4.8), seconds and copies.
    patience, time_limit : float, optional
        Seconds without news until the server reads for itself, and until it gives up.
    strategy : str or callable
        How the server finds out whether it has succeeded: ``"S1"`` to ``"S7"``, or a function of one's own
        (`lwm2m_lab.live.strategies`).
    **path
        Fields of the link that replace those of `link`: ``push(loss=0.05)``.

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
    return Experiment(
        as_image(image, version, size),
        link=_link_of(link, path),
        seed=seed,
        device=device or DeviceOptions(),
        network=network,
        secure=_credentials(secure),
        addresses=_addresses(network),
        timers=Timers(ack_timeout=ack_timeout, max_retransmit=max_retransmit),
        server=server_options(
            network, block_size, patience, time_limit, method=method, package_format=package_format, strategy=strategy
        ),
    ).run()


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
    secure: bool | Credentials = False,
    ack_timeout: float = 2.0,
    max_retransmit: int = 4,
    patience: float | None = None,
    time_limit: float | None = None,
    strategy: str | Judge = "lab",
    **path: Any,
) -> Run:
    """Update a device by pull: the server writes a Package URI to ``/5/0/1``, the device fetches it (Block2).

    Parameters
    ----------
    uri : str, optional
        What the server writes; by default where the repository keeps the image, ``coap://192.0.2.3/fw/2.0.0.bin``. The
        repository serves that one path, so another one shows what a wrong URI does.
    image, version, size, link, block_size, seed, device, network, secure, ack_timeout
    max_retransmit, patience, time_limit
    strategy, **path
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
    package = as_image(image, version, size)
    addresses = _addresses(network)
    if uri is not None and (not uri or len(uri.encode()) > 255):
        raise BadInput(f"uri has {len(uri.encode())} bytes; 1 to 255 are expected, as Object 5 allows")
    credentials = _credentials(secure)
    kept_at, files = source_in_repository(package, addresses, scheme="coaps" if credentials else "coap")
    return Experiment(
        package,
        uri=uri or kept_at,
        files=files,
        link=_link_of(link, path),
        seed=seed,
        device=device or DeviceOptions(),
        network=network,
        secure=credentials,
        addresses=addresses,
        timers=Timers(ack_timeout=ack_timeout, max_retransmit=max_retransmit),
        server=server_options(network, block_size, patience, time_limit, strategy=strategy),
    ).run()


@dataclass(frozen=True)
class Experiment:
    """One update that is to be run: a push, or with a `uri` a pull.

    Raises
    ------
    BadInput
        For a seed that is none, or a link where the network is a real one.
    """

    package: FirmwareImage
    server: ServerOptions
    timers: Timers
    device: DeviceOptions
    uri: str | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    link: Link | None = None
    seed: int = 1
    network: NetworkKind = "simulated"
    secure: Credentials | None = None
    addresses: Addresses = SIMULATED

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise BadInput(f"seed is {self.seed!r}; a whole number is expected")
        if not isinstance(self.link, Link | None):
            raise BadInput(f"link is {self.link!r}; a lab.Link is expected, as in lab.Link(loss=0.05)")
        if not isinstance(self.device, DeviceOptions):
            raise BadInput(f"device is {self.device!r}; lab.DeviceOptions(...) is expected")
        if self.secure is not None and self.network != "loopback":
            raise BadInput("secure is given for simulated time; DTLS keeps real time, network='loopback' is expected")
        if self.network == "loopback" and self.link is not None:
            raise BadInput(
                "link is given for network='loopback'; real sockets take the network as it is, only 'simulated' has one"
            )

    @property
    def delivery(self) -> Literal["push", "pull"]:
        """How the image comes to the device."""
        return "pull" if self.uri else "push"

    def live(self, *, progress: Callable[[int], None] = lambda _: None) -> Ended:
        """Build the world, let it live, and give what is left."""
        carrier: Network = (
            LoopbackNetwork()
            if self.network == "loopback"
            else SimulatedNetwork(link=self.link or Link(), seed=self.seed)
        )
        world = World(
            network=carrier,
            addresses=self.addresses,
            device=self.device,
            server=self.server,
            timers=self.timers,
            image=self.package,
            uri=self.uri,
            files=self.files,
            progress=progress,
            credentials=self.secure,
        )
        return run_blocking(carrier, self.seed, world.live)

    def run(self) -> Run:
        """Let it happen, with a progress bar, and keep it as a capture."""
        with _progress_bar(self.package.size, self.delivery) as progress:
            ended = self.live(progress=progress)
        return Run(
            ended,
            image=self.package,
            delivery=self.delivery,
            link=self.link or Link(),
            seed=self.seed,
            psk=self.secure.for_reading() if self.secure else None,
        )


def source_in_repository(
    package: FirmwareImage, addresses: Addresses, *, scheme: str = "coap"
) -> tuple[str, dict[str, bytes]]:
    """The URI of an image in the repository, and the files that this one serves."""
    path = f"/fw/{package.version}.bin"
    host, port = addresses.repository
    return f"{scheme}://{host}{'' if port == 5683 else f':{port}'}{path}", {path: package.data}


def server_options(
    network: NetworkKind, block_size: int, patience: float | None, time_limit: float | None, **more: Any
) -> ServerOptions:
    """The server's options, with the patience that suits the network."""
    if network not in TIME_LIMIT:
        raise BadInput(f"network is {network!r}; 'simulated' or 'loopback' is expected")
    return ServerOptions(
        block_size=block_size,
        patience=PATIENCE[network] if patience is None else patience,
        time_limit=TIME_LIMIT[network] if time_limit is None else time_limit,
        **more,
    )


def _credentials(secure: bool | Credentials) -> Credentials | None:
    """The key of both sides, one of the run's own where none is given."""
    if isinstance(secure, Credentials):
        secure.own()
        return secure
    return Credentials.random("lab") if secure else None


def _addresses(network: NetworkKind) -> Addresses:
    """Where everybody lives; on loopback each port is a free one."""
    if network != "loopback":
        return SIMULATED
    server, repository = free_ports(2)
    return Addresses(("127.0.0.1", 0), ("127.0.0.1", server), ("127.0.0.1", repository))


def _link_of(link: Link | None, path: dict[str, Any]) -> Link | None:
    """The link, with what was said of it beside it."""
    unknown = [name for name in path if name not in LINK_FIELDS]
    if unknown:
        raise BadInput(
            f"an update has no argument {unknown[0]!r}; those of lab.push and the fields of a link "
            f"({', '.join(LINK_FIELDS)}) are expected"
        )
    return replace(link or Link(), **path) if path and isinstance(link, Link | None) else link


def as_image(source: ImageSource | None, version: str, size: int) -> FirmwareImage:
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

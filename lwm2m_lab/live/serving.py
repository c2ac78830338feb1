"""`Server`: an LwM2M server on real sockets, in a thread of its own, for whatever devices register."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Literal, TypeVar

import aiocoap
from aiocoap.pipe import Pipe

from lwm2m_lab.errors import BadInput, LabError
from lwm2m_lab.live.background import Background, Ready
from lwm2m_lab.live.blocking import Handle
from lwm2m_lab.live.campaign import Campaign, Progress, run_campaign
from lwm2m_lab.live.certificate import serving_context
from lwm2m_lab.live.choosing import Offers
from lwm2m_lab.live.credentials import Credentials
from lwm2m_lab.live.endpoint import Endpoint
from lwm2m_lab.live.folder import ImageFolder
from lwm2m_lab.live.handle import Client
from lwm2m_lab.live.image import FirmwareImage, ImageSource, image_from
from lwm2m_lab.live.listening import Listening, lines_of
from lwm2m_lab.live.network import Address, LoopbackNetwork
from lwm2m_lab.live.registry import Limits, Registration
from lwm2m_lab.live.report import Report
from lwm2m_lab.live.repository import Repository
from lwm2m_lab.live.requests import Timers, cancel, path_of
from lwm2m_lab.live.run import capture_of
from lwm2m_lab.live.secure import need_dtls
from lwm2m_lab.live.server import Registrar
from lwm2m_lab.live.server_faults import build
from lwm2m_lab.live.server_options import ServerOptions
from lwm2m_lab.live.tlskeys import TlsKeys
from lwm2m_lab.live.web_repository import WebRepository
from lwm2m_lab.trace.capture import Capture

__all__ = ["Server", "Site"]

T = TypeVar("T")
Delivery = Literal["auto", "push", "pull"]
#: Datagrams that a server remembers of its traffic, and their bytes; the oldest go first.
MOST_SIGHTINGS, MOST_BYTES = 500_000, 2**29
#: Seconds between two looks for registrations whose lifetime is over.
LOOK_EVERY = 5.0
#: Bytes of a Package URI (Object 5, resource 1).
LONGEST_URI = 255
#: What real networks and real devices ask of a server that was told nothing else.
PATIENT = ServerOptions(patience=5.0, time_limit=600.0, retries=5, retry_after=10.0)


class Site:
    """Registrations and firmware on one socket; `site` of an aiocoap context."""

    def __init__(self, registrar: Registrar, repository: Repository | None) -> None:
        self.registrar, self.repository = registrar, repository

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """Answer one request (what aiocoap asks of a site)."""
        pipe.add_response(self.answer(pipe.request), is_last=True)

    def answer(self, request: aiocoap.Message) -> aiocoap.Message:
        """The answer to one request."""
        if self.repository is not None and path_of(request).startswith("/fw/"):
            return self.repository.answer(request)
        return self.registrar.answer(request)


class Server:
    """A server on real sockets, until it is stopped.

    Parameters
    ----------
    options : ServerOptions, optional
        How it updates.
    images : path or mapping of path to bytes, optional
        What its repository serves: a folder, each file under ``/fw/NAME``, or ``{"/fw/a.bin": b"..."}``.
    bind : (str, int), optional
        Own address and port, ``("127.0.0.1", 5683)`` unless told; port 0 takes a free one.
    listen : sequence of str, optional
        In place of `bind`: several sockets at once, ``["coap://127.0.0.1", "coaps://127.0.0.1"]``, with one registry.
    http : (str, int), optional
        Where the repository is served over HTTP, too.
    https : (str, int), optional
        Where it is served over HTTPS; with `certificate`.
    certificate : path, optional
        The certificate of HTTPS and its private key, in one file in PEM of mode 600.
    endpoints : collection of str, optional
        Who may register; others are answered 4.03. Without it everybody may.
    credentials : Credentials, optional
        The devices' keys: the socket of `bind` speaks ``coaps`` then, and nothing else.
    identities : mapping of str to str, optional
        Endpoint names by PSK identity; whoever asks for one by another identity is answered 4.03. Without it a name
        stays with the identity that registered it, as long as it is registered.
    timers : Timers, optional
        Transmission parameters of its requests.
    limits : Limits, optional
    told : callable, optional
        Called with what happened to a registration, and which, in the server's thread.
    said : callable, optional
        Called with a sentence when a DTLS session has opened, is refused or has ended.
    parameters : collection of str
        Query parameters of a Register that pass beside the standard's, ``("mac",)``; any other is answered 4.00.
    session_keys : bool
        Whether the keys of its HTTPS connections are kept, too, for ``capture().save(..., session_keys=True)``; those
        of DTLS follow from the devices' keys.

    Raises
    ------
    BadInput
        For a folder that is none, or credentials without DTLSSocket.

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> with Server(bind=("127.0.0.1", 0)) as server:
    ...     with lab.Device(server=server.uri):
    ...         print(server.wait_for("urn:dev:lab-1").lifetime)
    ...         print(server.device("urn:dev:lab-1").read("/3/0/3").text)
    86400
    1.0.0
    """

    def __init__(
        self,
        options: ServerOptions | None = None,
        *,
        images: str | os.PathLike[str] | Mapping[str, bytes] | None = None,
        bind: Address | None = None,
        listen: Sequence[str] | None = None,
        http: Address | None = None,
        https: Address | None = None,
        certificate: str | os.PathLike[str] | None = None,
        endpoints: Collection[str] | None = None,
        credentials: Credentials | None = None,
        identities: Mapping[str, str] | None = None,
        timers: Timers | None = None,
        limits: Limits | None = None,
        told: Callable[[str, Registration], None] = lambda *_: None,
        said: Callable[[str], None] = lambda _: None,
        parameters: Collection[str] = (),
        session_keys: bool = False,
    ) -> None:
        if credentials is not None:
            need_dtls()
        self.options, self._timers, self._told, self._said = options or PATIENT, timers or Timers(), told, said
        self.files = ImageFolder(images) if isinstance(images, str | os.PathLike) else images or {}
        self._http, self._https, self._credentials = http, https, credentials
        if https is not None and certificate is None:
            raise BadInput("https needs a certificate; a file in PEM, of mode 600, with its private key is expected")
        self._certificate = None if certificate is None else serving_context(certificate)
        self._tls_keys = TlsKeys() if session_keys else None
        if self._tls_keys is not None and self._certificate is not None:
            self._tls_keys.of(self._certificate)
        if bind is not None and listen is not None:
            raise BadInput("both bind and listen are given; one of them is expected")
        if listen is None:
            host, port = bind or ("127.0.0.1", 5683)
            scheme = "coap" if credentials is None else "coaps"
            listen = [f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"]
        new_endpoint = build(Endpoint, self.options.faults)
        self._lines = lines_of(listen, credentials=credentials, new_endpoint=new_endpoint)
        self._registrar = build(Registrar, self.options.faults)(
            allowed=endpoints, limits=limits, identities=identities, told=self._heard, parameters=parameters
        )
        self._repository = build(Repository, self.options.faults)(self.files, block_size=self.options.block_size)
        self._network = LoopbackNetwork(most=MOST_SIGHTINGS, most_bytes=MOST_BYTES)
        self._life = Background("server", self._network.new_loop)
        self._webs: list[WebRepository] = []

    # ---------------------------------------------------------------- its life

    def start(self) -> Server:
        """Open the sockets, and return once they are open.

        Raises
        ------
        BadInput
            When an address cannot be bound, or the server runs already.
        """
        self._life.start(self._live)
        try:
            see = self._network.see_segments("server")
            if self._http is not None:
                self._webs.append(WebRepository(self.files, bind=self._http, see=see))
            if self._https is not None:
                self._webs.append(WebRepository(self.files, bind=self._https, certificate=self._certificate, see=see))
        except BaseException:  # no thread is left behind
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End; does nothing after an end."""
        while self._webs:
            self._webs.pop().close()
        self._life.stop()

    def run_until_end(self) -> None:
        """Wait until the server ends by an error, or Ctrl-C.

        Raises
        ------
        LabError
            What ended it.
        """
        self._life.wait()
        self._life.check()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()

    async def _live(self, ready: Ready) -> None:
        site = Site(self._registrar, self._repository)
        async with Listening.opened(
            self._lines,
            site,
            network=self._network,
            timers=self._timers,
            credentials=self._credentials,
            said=self._said,
        ) as self._requester:
            self._registrar.identity_of = self._requester.identity_of
            looking = asyncio.ensure_future(self._look_for_ends())
            ready.set_result(None)
            try:
                await self._life.end.wait()
            finally:
                await cancel(looking)

    async def _look_for_ends(self) -> None:
        """Say of registrations that their lifetime is over, though nobody asks."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self._registrar.registry.expire(asyncio.get_running_loop().time())

    # ---------------------------------------------------------------- where it is, and who is there

    @property
    def address(self) -> str:
        """Where it answers, ``127.0.0.1:5683``; the first of several places."""
        return self._lines[0].address

    @property
    def uri(self) -> str:
        """What a device is given, ``coap://127.0.0.1:5683``."""
        return self.uris[0]

    @property
    def uris(self) -> tuple[str, ...]:
        """One for each socket."""
        return tuple(one.uri for one in self._lines)

    @property
    def web_uri(self) -> str | None:
        """Where the repository is over HTTP; None where it is not."""
        return next((one.uri for one in self._webs if one.uri.startswith("http:")), None)

    @property
    def web_uris(self) -> tuple[str, ...]:
        """Where the repository is over HTTP and HTTPS."""
        return tuple(one.uri for one in self._webs)

    @property
    def registrations(self) -> tuple[Registration, ...]:
        """Who is registered."""

        async def look() -> tuple[Registration, ...]:
            return tuple(self._registrar.registrations.values())

        return self._life.within(look)

    def wait_for(self, endpoint: str, *, within: float = 30.0) -> Registration:
        """Wait until a device is registered.

        Raises
        ------
        LabError
            When it does not register within so many seconds.
        """

        async def wait() -> Registration:
            return await asyncio.wait_for(self._registrar.registration_after(None, endpoint), within)

        try:
            return self._life.within(wait)
        except TimeoutError:
            raise LabError(f"{endpoint} did not register within {within:g} s") from None

    def wait_for_devices(self, count: int, *, within: float = 30.0) -> tuple[str, ...]:
        """Wait until so many devices are registered; their endpoint names.

        Raises
        ------
        LabError
            When they are fewer after so many seconds.
        """
        with self._life.news:
            self._life.news.wait_for(lambda: len(self._registrar.registry.by_endpoint) >= count, within)
        names = tuple(one.endpoint for one in self.registrations)
        if len(names) < count:
            raise LabError(f"{len(names)} of {count} devices registered within {within:g} s")
        return names

    def device(self, endpoint: str) -> Handle:
        """A device to be read, written, observed and executed.

        Raises
        ------
        LabError
            When the server does not run.
        """
        self._life.need()
        client = Client(self._registrar, self._requester, endpoint, block_size=self.options.block_size)
        return Handle(client, self._life.within)

    # ---------------------------------------------------------------- updates

    def update(
        self, endpoint: str, image: ImageSource, *, delivery: Delivery = "auto", uri: str | None = None
    ) -> Report:
        """Update one device.

        Parameters
        ----------
        image : FirmwareImage, bytes or path
        delivery : {"auto", "push", "pull"}
            ``"auto"`` has it pulled by a scheme that the device lists in ``/5/0/8`` and the repository serves, and
            pushes where there is none, or the device takes pushes alone (``/5/0/9``); the report says why.
        uri : str, optional
            Package URI of a pull, if not the one of this server's repository.

        Raises
        ------
        BadInput
            For a pull of an image that the repository does not have, or a URI of more than 255 bytes.
        """
        return self.campaign(image, endpoints=[endpoint], delivery=delivery, uri=uri).reports[0]

    def campaign(
        self,
        image: ImageSource,
        *,
        endpoints: Collection[str] | None = None,
        at_once: int = 10,
        delivery: Delivery = "auto",
        uri: str | None = None,
        told: Callable[[Progress], None] = lambda _: None,
    ) -> Campaign:
        """Update many devices, so many at once.

        Parameters
        ----------
        endpoints : collection of str, optional
            Who; without it all that are registered now.
        at_once : int
        image, delivery, uri
            As of `update`.
        told : callable
            Told when an update begins and when it has ended, in the server's thread.

        Returns
        -------
        Campaign
            A report for each device, also where its update failed.

        Raises
        ------
        BadInput
            As `update`, and for `at_once` below 1.
        """
        if delivery not in ("auto", "push", "pull"):
            raise BadInput(f"delivery is {delivery!r}; 'auto', 'push' or 'pull' is expected")
        package = image_from(image)
        names = [one.endpoint for one in self.registrations] if endpoints is None else list(endpoints)
        offered = () if delivery == "push" else (uri,) if uri else self._uris_of(package)
        if delivery == "pull" and not offered:
            raise BadInput("the repository does not have this image; one of its files, or a uri, is expected")
        longest = max((len(one.encode()) for one in offered), default=0)
        if longest > LONGEST_URI:
            raise BadInput(f"the Package URI has {longest} bytes; 1 to {LONGEST_URI} are expected")
        # A URI that the caller insists on is written, whatever the device lists.
        insists = delivery == "push" or (delivery == "pull" and uri is not None)
        return self._life.within(
            lambda: run_campaign(
                self._registrar,
                self._requester,
                names,
                package,
                self.options,
                at_once=at_once,
                uri=uri if insists else None,
                offers=None if insists else Offers(offered, may_push=delivery == "auto"),
                told=told,
            )
        )

    def _uris_of(self, package: FirmwareImage) -> tuple[str, ...]:
        """Where the repository has an image, over everything that serves it."""
        path = next((path for path, body in self.files.items() if body == package.data), None)
        roots = [*self.uris, *(one.uri for one in self._webs)]
        return () if path is None else tuple(f"{root}{path}" for root in roots)

    def capture(self) -> Capture:
        """What has passed the server's socket so far, DTLS opened with its keys; the tap needs no privilege."""
        psk = None if self._credentials is None else self._credentials.for_reading()
        lines = () if self._tls_keys is None else self._tls_keys.lines()
        return capture_of(list(self._network.sightings), name="server", side="server", psk=psk, tls_keys=lines)

    def _heard(self, what: str, registration: Registration) -> None:
        self._told(what, registration)
        self._life.notify()

    def __repr__(self) -> str:
        return f"Server({self.uri!r}, {len(self._registrar.registry.by_endpoint)} devices)"

"""`Device`: an LwM2M client on real sockets, in a thread of its own, for whatever server there is."""

from __future__ import annotations

import asyncio
import os
import pathlib
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from lwm2m_lab.errors import BadInput, LabError
from lwm2m_lab.live.accounts import check_access
from lwm2m_lab.live.background import Background, Ready
from lwm2m_lab.live.certificate import trusting_context
from lwm2m_lab.live.client import Happening, LwM2MClient
from lwm2m_lab.live.credentials import VARIABLE, Credentials
from lwm2m_lab.live.flash import StateFile
from lwm2m_lab.live.network import Address, LoopbackNetwork
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.requests import Timers, cancel
from lwm2m_lab.live.run import capture_of
from lwm2m_lab.live.secure import need_dtls
from lwm2m_lab.live.tlskeys import TlsKeys
from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.trace.capture import Capture

__all__ = ["Device"]

#: Datagrams that a device remembers of its traffic, and their bytes; the oldest go first.
MOST_SIGHTINGS, MOST_BYTES = 200_000, 2**28
#: Seconds that an orderly stop waits for the server's answer to the De-register.
LEAVE_WITHIN = 5.0


class Device:
    """A device on real UDP sockets, until it is stopped.

    Parameters
    ----------
    options : DeviceOptions, optional
        What it is like.
    server : str
        The LwM2M server, ``coap://127.0.0.1:5683`` or ``coaps://127.0.0.1``.
    servers : sequence of str, optional
        In place of `server`: several at the same time, each with a registration, an instance of Object 1 and
        notifications of its own; Object 2 says what each may do.
    access : mapping of int to str, optional
        Rights on Objects 3 and 5 by Short Server ID, counted from 1: ``{2: "R"}``; without it all have R, W and E.
    bind : (str, int)
        Own address and port, kept over reboots. Loopback unless told; port 0 takes a free one at each boot.
    credentials : Credentials, optional
        Who the device is to DTLS, for ``coaps``; without it what the environment says (``LWM2M_LAB_PSK``).
    ca : path, optional
        Certificates in PEM: who vouches for a server of HTTPS, and nobody else; without it whoever the system trusts.
    state : path, optional
        A file in which state, result and package outlive the process.
    timers : Timers, optional
        Transmission parameters of the device's own requests.
    session_keys : bool
        Whether the keys of its HTTPS connections are kept, too, for ``capture().save(..., session_keys=True)``; those
        of DTLS follow from its own key.
    told : callable, optional
        Called with each `Happening`, in the device's thread.

    Raises
    ------
    BadInput
        For a server that is no such URI or comes twice, rights of a server that there is not,
        coaps without credentials or without DTLSSocket, a state file that is none.

    Examples
    --------
    >>> with Device(DeviceOptions(endpoint="urn:dev:a"), server="coap://127.0.0.1:9") as device:
    ...     device.address.rpartition(":")[0], device.state
    ('127.0.0.1', <State.IDLE: 0>)
    """

    def __init__(
        self,
        options: DeviceOptions | None = None,
        *,
        server: str = "coap://127.0.0.1:5683",
        servers: Sequence[str] | None = None,
        access: Mapping[int, str] | None = None,
        bind: Address = ("127.0.0.1", 0),
        credentials: Credentials | None = None,
        ca: str | os.PathLike[str] | None = None,
        state: str | os.PathLike[str] | None = None,
        timers: Timers | None = None,
        session_keys: bool = False,
        told: Callable[[Happening], None] = lambda _: None,
    ) -> None:
        self.options = options or DeviceOptions()
        self.servers = tuple(_checked(one) for one in ([server] if servers is None else servers))
        check_access(access or {}, self.servers)
        self._credentials = credentials or Credentials.from_environment()
        for one in self.servers:
            _check_credentials(one, self._credentials)
        self._network = LoopbackNetwork(most=MOST_SIGHTINGS, most_bytes=MOST_BYTES)
        trusted = trusting_context(ca) if session_keys or ca is not None else None
        self._tls_keys = TlsKeys() if session_keys else None
        if self._tls_keys is not None and trusted is not None:
            self._tls_keys.of(trusted)
        store = None if state is None else StateFile(pathlib.Path(state))
        self._client = LwM2MClient(
            self.options,
            network=self._network,
            server=self.servers,
            access=access or {},
            bind=bind,
            timers=timers or Timers(),
            credentials=self._credentials,
            trusted=trusted,
            store=store,
            # Whoever is told a port, a firewall or a capture filter, must find the device there after a reboot, too.
            new_ports=False,
            told=self._heard,
            # node-coap keeps nothing of an answer with number 0, which RFC 7641 permits.
            first_number=1,
        )
        self._told = told
        self._life = Background(f"device {self.endpoint}", self._network.new_loop)
        self._deregisters = True

    # ---------------------------------------------------------------- its life

    def start(self) -> Device:
        """Boot, and return once the socket is open.

        Raises
        ------
        BadInput
            When the address cannot be bound.
        """
        self._life.start(self._live)
        return self

    def stop(self, *, deregister: bool = True) -> None:
        """De-register and end; a server that does not answer is waited for five seconds. Does nothing after an end.

        Raises
        ------
        LabError
            What ended the device before.
        """
        self._deregisters = deregister
        self._life.stop()
        self._life.check()

    def run_until_end(self) -> None:
        """Wait until the device ends by an error, or Ctrl-C.

        Raises
        ------
        LabError
            What ended it.
        """
        self._life.wait()
        self.stop()

    def __enter__(self) -> Device:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()

    async def _live(self, ready: Ready) -> None:
        life = asyncio.ensure_future(self._client.run())
        booted = asyncio.ensure_future(self._client.booted.wait())
        ending = asyncio.ensure_future(self._life.end.wait())
        await asyncio.wait({life, booted, ending}, return_when=asyncio.FIRST_COMPLETED)
        if booted.done():
            ready.set_result(None)
            await asyncio.wait({life, ending}, return_when=asyncio.FIRST_COMPLETED)
            if ending.done() and self._deregisters:
                leaving = asyncio.ensure_future(self._client.leave())
                await asyncio.wait({leaving}, timeout=LEAVE_WITHIN)
                await cancel(leaving)
        await cancel(booted, ending, life)

    # ---------------------------------------------------------------- what it is and what it knows

    @property
    def endpoint(self) -> str:
        """Endpoint name."""
        return self.options.endpoint

    @property
    def server(self) -> str:
        """The first server."""
        return self.servers[0]

    @property
    def address(self) -> str:
        """Where it answers now, ``127.0.0.1:40123``; after a reboot it may be elsewhere."""
        host, port = self._client.endpoint.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def state(self) -> State:
        """State, ``/5/0/3``, as the device itself has it."""
        return self._client.flash.state

    @property
    def result(self) -> UpdateResult:
        """Update Result, ``/5/0/5``, as the device itself has it."""
        return self._client.flash.result

    @property
    def firmware_version(self) -> str:
        """Version of the firmware that runs, whatever ``/3/0/3`` says."""
        return self._client.flash.running

    @property
    def truth(self) -> tuple[Happening, ...]:
        """What has happened, oldest first."""
        return tuple(self._client.truth)

    def wait_for(self, what: str, *, within: float = 30.0) -> Happening:
        """Wait until something has happened, ``"registered"`` or an event of the state machine, since the start.

        At a second server that is ``"registered, server 2"``.

        Raises
        ------
        LabError
            When it does not within so many seconds, or the device ends before.
        """

        def found() -> Happening | None:
            return next((one for one in self.truth if one.what == what), None)

        with self._life.news:
            self._life.news.wait_for(lambda: found() or not self._life.runs, within)
        happened = found()
        if happened is None:
            ended = [one.what for one in self.truth if one.what.startswith("DTLS session") and " ended, " in one.what]
            why = f"; {ended[-1]}" if ended else ""
            raise LabError(f"{what!r} did not happen to {self.endpoint} within {within:g} s{why}")
        return happened

    def send(self, *paths: str, to: int = 1) -> str | None:
        """Send values to a server unasked (LwM2M 1.1); the code of the answer, None where Send is not to be had.

        Parameters
        ----------
        *paths : str
        to : int
            Short Server ID; 1 is the first server.

        Raises
        ------
        BadInput
            For a server that there is not.
        NoAnswer
            When the server does not answer.
        """
        if not 1 <= to <= len(self.servers):
            raise BadInput(f"server {to} is none of this device; 1 to {len(self.servers)} is expected")
        response = self._life.within(lambda: self._client.accounts[to - 1].registration.send(paths))
        return None if response is None else str(response.code.dotted)

    def capture(self) -> Capture:
        """What has passed the device's socket so far, DTLS opened with its key; the tap needs no privilege.

        The file that `Capture.save` writes keeps the encrypted datagrams, and no key unless it is asked for.
        """
        psk = None if self._credentials is None else self._credentials.for_reading()
        lines = () if self._tls_keys is None else self._tls_keys.lines()
        return capture_of(list(self._network.sightings), name=self.endpoint, psk=psk, tls_keys=lines)

    def _heard(self, happening: Happening) -> None:
        self._told(happening)
        self._life.notify()

    def __repr__(self) -> str:
        return f"Device({self.endpoint!r}, server={', '.join(self.servers)!r}, {self.state}, {self.result})"


def _checked(server: str) -> str:
    """The URI of a server."""
    try:
        parts = urllib.parse.urlsplit(server)
        # A host whose labels are empty or too long could not be looked up.
        place = bool((parts.hostname or "").encode("idna")) and parts.path in ("", "/") and parts.port != 0
        good = place and parts.scheme in ("coap", "coaps") and "@" not in parts.netloc
    except ValueError:
        good = False
    if not good:
        raise BadInput(f"server is {server!r}; a URI such as coaps://127.0.0.1 or coap://127.0.0.1:5683 is expected")
    return parts._replace(path="").geturl()


def _check_credentials(server: str, credentials: Credentials | None) -> None:
    """Whether the server can be spoken to with them."""
    if credentials is not None:
        credentials.own()
    if server.startswith("coaps:"):
        need_dtls()
        if credentials is None:
            raise BadInput(f"there is no key for {server}; a file of mode 600 or {VARIABLE} with ID:HEX is expected")

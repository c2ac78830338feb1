"""Pull: a package that the device fetches from the Package URI in `/5/0/1`, and goes on fetching after a break."""

from __future__ import annotations

import ipaddress
import re
import urllib.parse
from collections.abc import Callable

import aiocoap
from aiocoap.numbers.codes import Code

from lwm2m_lab.live import blockwise
from lwm2m_lab.live.push import Push
from lwm2m_lab.live.requests import COAPS_PORT, NoAnswer, UnknownHost
from lwm2m_lab.live.tree import Refusal
from lwm2m_lab.live.web import NotServed
from lwm2m_lab.spec.firmware import Event
from lwm2m_lab.spec.objects import State

#: Ports of the schemes where a URI names none.
PORTS = {"coap": 5683, "coaps": COAPS_PORT, "coap+tcp": 5683, "http": 80, "https": 443}

_CHARACTERS = re.compile("[!-~]+")

__all__ = ["Pull", "is_local"]


class Pull(Push):
    """The fetching side of a pull."""

    _stop_download: Callable[[], object] = staticmethod(lambda: None)

    def write_uri(self, uri: str) -> None:
        """A Write to Package URI: the empty one resets, any other begins a download, whatever comes of it (E.6.1)."""
        if not uri:
            self.reset()
            return
        if self._problem(uri) == Event.UNSUPPORTED_SCHEME and self._refuses_schemes():
            self.step(Event.UNSUPPORTED_SCHEME)
            raise Refusal(Code.BAD_REQUEST, "the scheme is not supported")
        # One that shows no State 1 shows it once a request will leave (captured: Anjay's pulls).
        if self.machine.state != State.DOWNLOADING:
            self.hidden = not self.profile.shows_downloading and not self._is_sure(uri)
        began = self.step(Event.PACKAGE_URI)
        self.flash.package_uri = uri
        if began:
            self._stop_download = self.host.spawn(self._download(self.uri_to_fetch(uri)))

    def _is_sure(self, uri: str) -> bool:
        """Whether a request will leave for it, no name to be resolved before."""
        if self._problem(uri) is not None:
            return False
        try:
            ipaddress.ip_address(urllib.parse.urlsplit(uri).hostname or "")
        except ValueError:
            return False
        return True

    def _refuses_schemes(self) -> bool:
        return self.machine.state == State.IDLE and (State.IDLE, Event.UNSUPPORTED_SCHEME) in self.profile.refuses

    def uri_to_fetch(self, uri: str) -> str:
        """The URI that the device makes of the one that was written."""
        return uri

    def drop_package(self) -> None:
        self._stop_download()
        super().drop_package()

    async def _download(self, uri: str) -> None:
        """Fetch the package and say what came of it."""
        event = self._problem(uri)
        package = None
        if event is None:
            try:
                package = await self._fetch(uri)
            except UnknownHost:
                event = Event.INVALID_URI
            except NoAnswer:
                event = Event.CONNECTION_LOST
            except blockwise.Refused as refused:
                # 4.xx: the repository has nothing under this URI; 5.xx: it is in no state to serve.
                event = Event.INVALID_URI if refused.response.code.class_ == 4 else Event.CONNECTION_LOST
            except NotServed:
                event = Event.INVALID_URI
            except MemoryError:
                event = self.limit_hit()
        if event is None:
            self.judge(package)
        else:
            self.download_failed(event)

    def download_failed(self, event: Event) -> None:
        """The end of a download without a package."""
        self.step(event)

    async def _fetch(self, uri: str) -> bytes:
        """The body, resumed with offset and ETag where the connection breaks, as often as the device tries."""
        partial, left = self.new_partial(), self.options.resume_attempts
        while True:
            try:
                return await self._fetch_once(uri, partial)
            except UnknownHost:
                raise
            except NoAnswer:
                if not left:
                    raise
                left -= 1
                self.before_resuming(partial)
                await self.host.sleep(self.options.resume_after)

    async def _fetch_once(self, uri: str, partial: blockwise.Partial) -> bytes:
        """The body, or the rest of it, by the protocol of the URI."""
        assert self.requester is not None
        scheme = uri.partition(":")[0].lower()
        if scheme in ("http", "https"):
            return await self.host.fetch_by_http(uri, limit=self.receiver.limit, partial=partial)
        async with self.host.requester(scheme, self.requester) as requester:
            fetched = await blockwise.fetch_blocks(
                requester,
                uri,
                block_size=self.options.block_size,
                limit=self.receiver.limit,
                partial=partial,
                progress=self._fetched,
            )
        return fetched.body

    def new_partial(self) -> blockwise.Partial:
        """What a download puts together."""
        return blockwise.Partial()

    def before_resuming(self, partial: blockwise.Partial) -> None:
        """Without an ETag nobody can tell whether the rest belongs to what is there: begin anew (RFC 7959, 2.4)."""
        if partial.etag is None:
            partial.body.clear()

    def _fetched(self, _: int) -> None:
        if self.hidden:
            self.hidden = False
            self.keep("first block fetched")

    def _problem(self, uri: str) -> Event | None:
        """Why a URI cannot be fetched from, before anything is sent."""
        # `urlsplit` lets pass what no URI has (RFC 3986, 2), or takes it away in silence.
        if not _CHARACTERS.fullmatch(uri):
            return Event.INVALID_URI
        try:
            parts = urllib.parse.urlsplit(uri)
            host, port = parts.hostname, PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
            # A label that is empty or too long would end the look-up with another error than a name that nobody has.
            (host or "").encode("idna")
        except ValueError:
            return Event.INVALID_URI
        if parts.scheme and parts.scheme not in self.host.schemes():
            return Event.UNSUPPORTED_SCHEME
        # Nobody logs in with a Package URI: aiocoap knows no user names.
        bad = not host or not port > 0 or parts.fragment or "@" in parts.netloc or not self._may_ask(host, port)
        return Event.INVALID_URI if bad or not _is_known(uri) else None

    def _may_ask(self, host: str, port: int) -> bool:
        """Not oneself; and from a server out in the world nobody is sent to ask in the device's own network."""
        if f"{host}:{port}" in self.host.own_addresses():
            return False
        return not is_local(host) or self.host.server_is_local()


def _is_known(uri: str) -> bool:
    """Whether a URI of CoAP is one that aiocoap can put into options."""
    if not uri.lower().startswith("coap"):
        return True
    try:
        aiocoap.Message(code=Code.GET).set_request_uri("coap" + uri[uri.index(":") :])
    except (aiocoap.error.Error, ValueError):
        return False
    return True


def is_local(host: str) -> bool:
    """Whether a host names this machine, or a network that only its members reach."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return not address.is_global

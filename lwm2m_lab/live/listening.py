"""The sockets of a server: each speaks one scheme, all have one registry and one repository."""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiocoap

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.credentials import VARIABLE, Credentials
from lwm2m_lab.live.endpoint import Address, Endpoint
from lwm2m_lab.live.network import Network
from lwm2m_lab.live.requests import COAPS_PORT, Requester, Timers
from lwm2m_lab.live.secure import Sessions

__all__ = ["Line", "Listening", "lines_of"]

_PORTS = {"coap": 5683, "coaps": COAPS_PORT}


@dataclass(eq=False)
class Line:
    """One socket of a server.

    Attributes
    ----------
    scheme : {"coap", "coaps"}
    bind : (str, int)
        Own address and port; port 0 takes a free one.
    endpoint : Endpoint
        The lab's, before aiocoap.
    sessions : Sessions or None
        Of DTLS, once a line of coaps is open.
    context : aiocoap.Context
        Once it is open.
    """

    scheme: str
    bind: Address
    endpoint: Endpoint
    sessions: Sessions | None = None
    context: aiocoap.Context | None = None

    @property
    def address(self) -> str:
        """Where it answers, ``127.0.0.1:5683``."""
        host, port = self.endpoint.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def uri(self) -> str:
        """``coap://127.0.0.1:5683``."""
        return f"{self.scheme}://{self.address}"

    def owns(self, remote: Any) -> bool:
        """Whether what came from there came by this socket."""
        return getattr(remote, "serversocket", None) is getattr(self.endpoint, "inner", self)


def lines_of(
    listen: Sequence[str], *, credentials: Credentials | None, new_endpoint: Callable[[], Endpoint]
) -> tuple[Line, ...]:
    """The lines that URIs name.

    Raises
    ------
    BadInput
        For a URI of another form, one that comes twice, or coaps without credentials.

    Examples
    --------
    >>> [one.bind for one in lines_of(["coap://127.0.0.1", "coap://[::1]:0"], credentials=None, new_endpoint=Endpoint)]
    [('127.0.0.1', 5683), ('::1', 0)]
    """
    found = [Line(*_parsed(uri), new_endpoint()) for uri in listen]
    binds = [one.bind for one in found if one.bind[1]]
    if not found or len(set(binds)) < len(binds):
        raise BadInput(f"the server listens on {list(listen)}; one or more URIs, each once, are expected")
    if credentials is None and any(one.scheme == "coaps" for one in found):
        raise BadInput(f"there are no keys for coaps; a file of mode 600 or {VARIABLE} with lines ID:HEX is expected")
    return tuple(found)


def _parsed(uri: str) -> tuple[str, Address]:
    try:
        parts = urllib.parse.urlsplit(uri)
        port = _PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
        good = parts.scheme in _PORTS and parts.path in ("", "/") and not parts.query and "@" not in parts.netloc
        host = parts.hostname if good else None
    except ValueError:
        host = None
    if host in (None, "0.0.0.0", "::"):
        raise BadInput(
            f"{uri!r} is nowhere to listen; one address of this machine is expected, as in coap://127.0.0.1:5683 or "
            "coaps://[::1]"
        )
    return parts.scheme, (str(host), port)


@dataclass(frozen=True)
class Listening(Requester):
    """Sends each request by the line that its device is known by.

    Attributes
    ----------
    lines : tuple of Line
    """

    lines: tuple[Line, ...] = ()

    def request(self, message: aiocoap.Message) -> Any:
        line = next((one for one in self.lines if one.owns(message.remote)), self.lines[0])
        assert line.context is not None
        return line.context.request(message, handle_blockwise=False)

    def identity_of(self, remote: Any) -> str | None:
        """Who holds the session by which something came; None where that is no DTLS."""
        line = next((one for one in self.lines if one.owns(remote)), None)
        return None if line is None or line.sessions is None else line.sessions.identity_of(remote.address)

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(
        cls,
        lines: Sequence[Line],
        site: Any,
        *,
        network: Network,
        timers: Timers,
        credentials: Credentials | None,
        said: Callable[[str], None],
    ) -> AsyncIterator[Listening]:
        """All lines open, until the end of the block.

        Raises
        ------
        BadInput
            When one cannot be opened; none is then.
        """
        async with contextlib.AsyncExitStack() as stack:
            for one in lines:
                one.sessions = None
                if one.scheme == "coaps":
                    assert credentials is not None
                    one.sessions = Sessions(credentials, opens=False, told=said)
                one.context = await network.context(
                    site, side="server", bind=one.bind, endpoint=one.endpoint, sessions=one.sessions
                )
                stack.push_async_callback(one.context.shutdown)
            first = lines[0]
            assert first.context is not None
            yield cls(first.context, timers, first.scheme, lines=tuple(lines))

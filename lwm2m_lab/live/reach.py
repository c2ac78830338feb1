"""How a device reaches whom a URI names: over its own socket, or over one that is opened for the time."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiocoap

from lwm2m_lab.live.blockwise import Partial
from lwm2m_lab.live.credentials import Credentials
from lwm2m_lab.live.network import LOGGER, Network
from lwm2m_lab.live.requests import Requester, Timers
from lwm2m_lab.live.secure import HANDSHAKE_WITHIN, Sessions, has_dtls
from lwm2m_lab.live.web import fetch_by_http

__all__ = ["Reach"]

#: Seconds that every handshake has: time for tinydtls to send again, which it does after two.
SHORTEST_HANDSHAKE = 5.0


@dataclass(frozen=True)
class Reach:
    """The ways out of a device.

    Parameters
    ----------
    network : Network
    host : str
        Own address.
    timers : Timers
    credentials : Credentials, optional
        Who the device is to DTLS.
    told : callable
        What sessions say of themselves.
    trusted : ssl.SSLContext, optional
        Who may vouch for a server of HTTPS.
    """

    network: Network
    host: str
    timers: Timers
    credentials: Credentials | None = None
    told: Callable[[str], None] = lambda _: None
    trusted: ssl.SSLContext | None = None

    async def fetch_by_http(self, uri: str, *, limit: int, partial: Partial) -> bytes:
        """The body of a URI of HTTP or HTTPS, the connection tapped: `lwm2m_lab.live.web.fetch_by_http`."""
        return await fetch_by_http(
            uri, limit=limit, partial=partial, trusted=self.trusted, see=self.network.see_segments("device")
        )

    @property
    def schemes(self) -> tuple[str, ...]:
        """Schemes of a URI that can be fetched from here."""
        secure = self.credentials is not None and has_dtls()
        return tuple(one for one in self.network.schemes if secure or one != "coaps")

    def sessions(self) -> Sessions:
        """DTLS sessions of the device, which opens them; a handshake has as long as a request, or a little longer."""
        assert self.credentials is not None
        within = min(HANDSHAKE_WITHIN, max(SHORTEST_HANDSHAKE, self.timers.give_up_after))
        return Sessions(self.credentials, opens=True, told=self.told, handshake_within=within)

    @asynccontextmanager
    async def requester(self, scheme: str, own: Requester) -> AsyncIterator[Requester]:
        """Who sends requests to URIs of a scheme: the device's own socket if it speaks it, else one for the time."""
        if scheme == own.scheme:
            yield own
            return
        sessions = self.sessions() if scheme == "coaps" else None
        context = await self._context(scheme, sessions)
        try:
            yield Requester(context, self.timers, scheme, sessions)
        finally:
            await context.shutdown()

    async def _context(self, scheme: str, sessions: Sessions | None) -> aiocoap.Context:
        if scheme == "coap+tcp":
            return await aiocoap.Context.create_client_context(loggername=LOGGER.name, transports=["tcpclient"])
        return await self.network.context(None, side="device", bind=(self.host, 0), sessions=sessions)

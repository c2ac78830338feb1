"""The LwM2M server as devices see it: it registers them, takes what they send, and knows who is awake."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import aiocoap
from aiocoap.numbers.codes import Code
from aiocoap.pipe import Pipe

from lwm2m_lab.live.bodies import OpenBodies
from lwm2m_lab.live.registry import Limits, Registration, Registry, check_identity
from lwm2m_lab.live.requests import path_of, refusal_of_options, said_of_options
from lwm2m_lab.live.tree import Refusal
from lwm2m_lab.wire import values

__all__ = ["Registrar", "Registration"]

#: Seconds for which a device in queue mode listens after its last message (MAX_TRANSMIT_WAIT, RFC 7252, 4.8.2).
AWAKE_FOR = 93.0
#: Seconds after which a device may ask again where there was no room for it.
COME_BACK_AFTER = 60


class Registrar:
    """An LwM2M server; `site` of an aiocoap context.

    Parameters
    ----------
    allowed : collection of str, optional
        The endpoint names that may register; without it every name may.
    limits : Limits, optional
    identities : mapping of str to str, optional
        Endpoint names by PSK identity, as of `Registry`.
    told : callable, optional
        Called with what has happened to a registration, and which.
    parameters : collection of str
        What a Register may say beside the standard's own parameters (`Registry`).

    Examples
    --------
    >>> server = Registrar()
    >>> server.registrations
    {}
    """

    def __init__(
        self,
        *,
        allowed: Collection[str] | None = None,
        limits: Limits | None = None,
        identities: Mapping[str, str] | None = None,
        told: Callable[[str, Registration], None] = lambda *_: None,
        parameters: Collection[str] = (),
    ) -> None:
        self.limits, self._told = limits or Limits(), told
        self.registry = Registry(allowed, self.limits, self._happened, parameters, identities)
        #: The identity of the session by which something came from an address of aiocoap's; None without DTLS.
        self.identity_of: Callable[[Any], str | None] = lambda _: None
        self.bodies = OpenBodies(limit=self.limits.body, most=self.limits.open_bodies)
        #: Called with a registration and the values that a device sent unasked.
        self.on_send: Callable[[Registration, list[values.Entry]], None] = lambda *_: None
        self._arrivals: dict[str, asyncio.Event] = {}
        self._awake: dict[str, asyncio.Event] = {}
        self._heard: dict[str, float] = {}

    @property
    def registrations(self) -> Mapping[str, Registration]:
        """Who is registered, by endpoint name."""
        with contextlib.suppress(RuntimeError):  # outside of a loop no time passes
            self.registry.expire(_now())
        return self.registry.by_endpoint

    async def registration_after(self, old: Registration | None, endpoint: str) -> Registration:
        """Wait until the endpoint has registered, and anew if `old` is given; an Update is no new registration."""
        while True:
            current = self.registry.by_endpoint.get(endpoint)
            is_new = current is not None and (old is None or current.location != old.location)
            if current is not None and is_new and not current.has_ended(_now()):
                return current
            await self._arrivals.setdefault(endpoint, asyncio.Event()).wait()

    # ---------------------------------------------------------------- queue mode

    def heard(self, endpoint: str) -> None:
        """A message of a device came: from now on it listens for a while."""
        self._heard[endpoint] = _now()
        _set(self._awake, endpoint)

    async def sign_of(self, endpoint: str) -> None:
        """Wait for the next message of a device."""
        await self._awake.setdefault(endpoint, asyncio.Event()).wait()

    def fell_asleep(self, endpoint: str) -> None:
        """A device did not answer: nothing is sent to it before it is heard again."""
        self._heard.pop(endpoint, None)

    async def awake(self, registration: Registration) -> None:
        """Wait until a device listens; one that is not in queue mode always does."""
        endpoint = registration.endpoint
        while registration.queue_mode and _now() - self._heard.get(endpoint, -AWAKE_FOR - 1) > AWAKE_FOR:
            await self.sign_of(endpoint)

    # ---------------------------------------------------------------- requests

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """Answer one request of a device (what aiocoap asks of a site)."""
        pipe.add_response(self.answer(pipe.request), is_last=True)

    def answer(self, request: aiocoap.Message) -> aiocoap.Message:
        """The answer to one request."""
        try:
            if refused := refusal_of_options(request):
                raise Refusal(refused, said_of_options(refused))
            perform = self._operation(request)
            body = self.bodies.whole(request, now=_now())
            if body.code.is_response():
                return body
            response = perform(body)
        except Refusal as refusal:
            response = aiocoap.Message(code=refusal.code, payload=str(refusal).encode())
            if refusal.code == Code.SERVICE_UNAVAILABLE:
                response.opt.max_age = COME_BACK_AFTER
        block = request.opt.block1
        if block is not None:
            response.opt.block1 = (block.block_number, False, min(block.size_exponent, 6))
        return response

    def _operation(self, request: aiocoap.Message) -> Callable[[aiocoap.Message], aiocoap.Message]:
        """What a request asks for; said before its body has come, so that nobody's body is kept for nothing."""
        path, code, identity = path_of(request), request.code, self.identity_of(request.remote)
        if path == "/rd" and code == Code.POST:
            return lambda body: self.registry.register(body, now=_now(), identity=identity)
        if path == "/dp" and code == Code.POST:
            return self._take_sent
        if path in self.registry.by_location and code == Code.POST:
            return lambda body: self.registry.update(body, now=_now(), identity=identity)
        if path in self.registry.by_location and code == Code.DELETE:
            return lambda body: self.registry.deregister(body, now=_now(), identity=identity)
        if path in ("/rd", "/dp") or path in self.registry.by_location:
            raise Refusal(Code.METHOD_NOT_ALLOWED, "POST is expected; DELETE ends a registration")
        raise Refusal(Code.NOT_FOUND, "/rd, a registration beneath it and /dp are here")

    def _take_sent(self, request: aiocoap.Message) -> aiocoap.Message:
        """Values that a device sends unasked (Send, LwM2M 1.1)."""
        sender = next((one for one in self.registrations.values() if one.remote == request.remote), None)
        if sender is None:
            raise Refusal(Code.NOT_FOUND, "nobody is registered from this address")
        check_identity(sender, self.identity_of(request.remote))
        try:
            entries = values.decode(request.payload, content_format=request.opt.content_format, path="/")
        except values.Undecodable as error:
            raise Refusal(Code.BAD_REQUEST, str(error)) from None
        self.heard(sender.endpoint)
        self.on_send(sender, entries)
        return aiocoap.Message(code=Code.CHANGED)

    def _happened(self, what: str, registration: Registration) -> None:
        """Something befell a registration."""
        if what in ("registered", "updated"):
            self.heard(registration.endpoint)
        else:
            self.fell_asleep(registration.endpoint)
        if what == "registered":
            _set(self._arrivals, registration.endpoint)
        self._told(what, registration)


def _now() -> float:
    """Seconds on the clock of the loop, simulated or not."""
    return asyncio.get_running_loop().time()


def _set(events: dict[str, Any], name: str) -> None:
    """Wake whoever waits for a name."""
    event = events.pop(name, None)
    if event is not None:
        event.set()

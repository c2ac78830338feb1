"""The registrations of a server: Register, Update and De-register by the book, within limits (LwM2M Core, 6.2).

Requests in, answers out: neither socket nor clock, so that every refusal can be tried without a network.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import aiocoap
from aiocoap.numbers.codes import Code

from lwm2m_lab.live.tree import LINK_FORMAT, Refusal
from lwm2m_lab.spec.objects import OBJECT_VERSION_OF_LWM2M
from lwm2m_lab.wire import links

__all__ = ["Limits", "Registration", "Registry", "check_identity"]

#: Seconds of a registration that says nothing of its lifetime.
LIFETIME = 86_400
#: What a Register and an Update may say; anything else is "unknown parameter": 4.00.
_PARAMETERS = frozenset({"lwm2m", "ep", "lt", "b", "Q", "sms", "pid"})
_CHANGES = frozenset({"lt", "b", "Q", "sms"})
_BINDINGS = frozenset("UTSNQ")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a server lets others make it keep.

    Parameters
    ----------
    registrations : int
        Devices that are registered at once; a further one is answered 5.03.
    links : int
        Object links of a registration; more are answered 4.13.
    body : int
        Bytes of a request's body; more are answered 4.13.
    open_bodies : int
        Bodies that come in blocks at once; the one that rested the longest makes room.
    answer : int
        Bytes of an answer that a device sends in blocks.
    """

    registrations: int = 10_000
    links: int = 2_000
    body: int = 32_768
    open_bodies: int = 64
    answer: int = 1_048_576


@dataclass(frozen=True, slots=True)
class Registration:
    """One registration of a device.

    Attributes
    ----------
    endpoint, location : str
        Endpoint name, and the path that the server gave it.
    remote : object
        Where requests to the device go: aiocoap's address.
    objects : tuple of str
        The targets of the object links.
    links : tuple of Link
    lwm2m : str
    lifetime : int
        Seconds; 0 has no end.
    binding : str
    queue_mode : bool
        Whether the device sleeps between its messages.
    heard_at : float
        Second of the Register, or of the last Update.
    identity : str or None
        The PSK identity of the session that registered it; None without DTLS.
    """

    endpoint: str
    location: str
    remote: Any
    objects: tuple[str, ...]
    links: tuple[links.Link, ...] = ()
    lwm2m: str = "1.1"
    lifetime: int = LIFETIME
    binding: str = "U"
    queue_mode: bool = False
    heard_at: float = 0.0
    identity: str | None = None

    @property
    def address(self) -> str:
        """Where the device answers, ``192.0.2.2:50000``."""
        return str(self.remote.hostinfo)

    def version_of(self, number: int) -> str:
        """The version of an object: the declared one, else the one that belongs to the LwM2M version."""
        declared = (link.attributes.get("ver") for link in self.links if link.target == f"/{number}")
        return next(filter(None, declared), OBJECT_VERSION_OF_LWM2M[self.lwm2m].get(number, "1.0"))

    def has_ended(self, now: float) -> bool:
        """Whether its lifetime is over."""
        return bool(self.lifetime) and now - self.heard_at > self.lifetime


@dataclass
class Registry:
    """Who is registered.

    Parameters
    ----------
    allowed : collection of str, optional
        The endpoint names that may register; others are answered 4.03. Without it every name may.
    limits : Limits
    identities : mapping of str to str, optional
        Whose endpoint name is whose, by PSK identity: whatever comes for it by another session, or by none, is answered
        4.03, and so is an identity that is not named here. Without it a name is that of the identity which registered
        it, until it is de-registered or its lifetime is over; a name that came without DTLS is anybody's.
    told : callable
        Called with what has happened, ``"registered"``, ``"updated"``, ``"de-registered"``, ``"expired"``, and to whom.
    parameters : collection of str
        What a Register and an Update may say beside the standard's own parameters, ``("mac",)``; it is left unread.

    Examples
    --------
    >>> Registry().by_endpoint
    {}
    """

    allowed: Collection[str] | None = None
    limits: Limits = field(default_factory=Limits)
    told: Callable[[str, Registration], None] = lambda *_: None
    parameters: Collection[str] = ()
    identities: Mapping[str, str] | None = None
    by_endpoint: dict[str, Registration] = field(default_factory=dict)
    by_location: dict[str, Registration] = field(default_factory=dict)
    _count: int = 0

    def register(self, request: aiocoap.Message, *, now: float, identity: str | None = None) -> aiocoap.Message:
        """Take a registration; a new one of the same endpoint replaces the old.

        Parameters
        ----------
        identity : str or None
            Of the session by which it came.

        Raises
        ------
        Refusal
            4.00, 4.03, 4.12, 4.13, 4.15 or 5.03, and why.
        """
        said = _queries(request, _PARAMETERS.union(self.parameters))
        if "lwm2m" not in said or not said.get("ep"):
            raise Refusal(Code.BAD_REQUEST, "lwm2m= and ep= are expected")
        if said["lwm2m"] not in OBJECT_VERSION_OF_LWM2M:
            raise Refusal(Code.PRECONDITION_FAILED, f"LwM2M {', '.join(OBJECT_VERSION_OF_LWM2M)} are spoken here")
        endpoint = said["ep"]
        if self.allowed is not None and endpoint not in self.allowed:
            raise Refusal(Code.FORBIDDEN, "this endpoint name may not register here")
        self.expire(now)
        self._check_name(endpoint, identity)
        found = self._links(request)
        if endpoint not in self.by_endpoint and len(self.by_endpoint) >= self.limits.registrations:
            raise Refusal(Code.SERVICE_UNAVAILABLE, "no room for a further registration")
        self._count += 1
        registration = Registration(
            endpoint, f"/rd/{self._count}", request.remote, (), lwm2m=said["lwm2m"], heard_at=now, identity=identity
        )
        self._keep(_changed(registration, said, found), "registered")
        return aiocoap.Message(code=Code.CREATED, location_path=("rd", str(self._count)))

    def update(self, request: aiocoap.Message, *, now: float, identity: str | None = None) -> aiocoap.Message:
        """Take an Update: a new lifetime, binding, links, or the address that it comes from.

        Raises
        ------
        Refusal
            4.00, 4.03, 4.04, 4.13 or 4.15, and why.
        """
        old = self._at(request, now)
        check_identity(old, identity)
        said = _queries(request, _CHANGES.union(self.parameters))
        found = self._links(request) if request.payload else None
        self._keep(_changed(replace(old, remote=request.remote, heard_at=now), said, found), "updated")
        return aiocoap.Message(code=Code.CHANGED)

    def deregister(self, request: aiocoap.Message, *, now: float, identity: str | None = None) -> aiocoap.Message:
        """Take leave of a device.

        Raises
        ------
        Refusal
            4.03 for somebody else's registration; 4.04, where it was not registered.
        """
        old = self._at(request, now)
        check_identity(old, identity)
        self._forget(old, "de-registered")
        return aiocoap.Message(code=Code.DELETED)

    def expire(self, now: float) -> None:
        """Forget the registrations whose lifetime is over."""
        for one in [one for one in self.by_endpoint.values() if one.has_ended(now)]:
            self._forget(one, "expired")

    def _check_name(self, endpoint: str, identity: str | None) -> None:
        """Whether an endpoint name belongs to whoever asks for it."""
        if self.identities is None:
            held = self.by_endpoint.get(endpoint)
            # A name that came over DTLS stays with its identity while it is registered; one that came without any
            # belongs to nobody.
            if held is not None and held.identity not in (None, identity):
                raise Refusal(Code.FORBIDDEN, "this endpoint name is registered by another identity")
            return
        if identity is not None and self.identities.get(identity) != endpoint:
            raise Refusal(Code.FORBIDDEN, "this endpoint name is not that of the identity of the session")
        if identity is None and endpoint in self.identities.values():
            raise Refusal(Code.FORBIDDEN, "this endpoint name has an identity, which registers it over DTLS")

    def _at(self, request: aiocoap.Message, now: float) -> Registration:
        """The registration that a path names."""
        registration = self.by_location.get("/" + "/".join(request.opt.uri_path))
        if registration is not None and registration.has_ended(now):
            self._forget(registration, "expired")
            registration = None
        if registration is None:
            raise Refusal(Code.NOT_FOUND, "there is no such registration; register again")
        return registration

    def _keep(self, registration: Registration, what: str) -> None:
        old = self.by_endpoint.get(registration.endpoint)
        if old is not None:
            self.by_location.pop(old.location, None)
        self.by_endpoint[registration.endpoint] = self.by_location[registration.location] = registration
        self.told(what, registration)

    def _forget(self, registration: Registration, what: str) -> None:
        self.by_location.pop(registration.location, None)
        self.by_endpoint.pop(registration.endpoint, None)
        self.told(what, registration)

    def _links(self, request: aiocoap.Message) -> tuple[links.Link, ...]:
        """The object links of a request."""
        if request.opt.content_format not in (None, LINK_FORMAT):
            raise Refusal(Code.UNSUPPORTED_CONTENT_FORMAT, f"link format ({LINK_FORMAT}) is expected")
        if request.payload.count(b"<") > self.limits.links:
            raise Refusal(Code.REQUEST_ENTITY_TOO_LARGE, f"a registration has at most {self.limits.links} links")
        try:
            return tuple(links.parse_links(request.payload))
        except links.NoLinkFormat as error:
            raise Refusal(Code.BAD_REQUEST, str(error)) from None


def check_identity(registration: Registration, identity: str | None) -> None:
    """Whether what came for a registration came from who made it.

    Raises
    ------
    Refusal
        4.03 where the session has another identity, or none.
    """
    if registration.identity != identity:
        raise Refusal(Code.FORBIDDEN, "the session has another identity than the one that registered this endpoint")


def _changed(old: Registration, said: Mapping[str, str], found: tuple[links.Link, ...] | None) -> Registration:
    """A registration with what a request says of it."""
    lifetime, binding = said.get("lt", str(old.lifetime)), said.get("b", old.binding)
    if not lifetime.isdecimal() or not lifetime.isascii() or int(lifetime) >= 2**32:
        raise Refusal(Code.BAD_REQUEST, "lt= is a number of seconds from 0 to 4294967295")
    if not binding or not _BINDINGS.issuperset(binding):
        raise Refusal(Code.BAD_REQUEST, "b= is made of the letters U, T, S, N and Q")
    # Q is a letter of the binding in 1.0 and a flag of its own later; an Update says it only where it changes.
    queue = "Q" in said or ("Q" in binding if "b" in said else old.queue_mode)
    changed = replace(old, lifetime=int(lifetime), binding=binding, queue_mode=queue)
    return changed if found is None else replace(changed, links=found, objects=tuple(link.target for link in found))


def _queries(request: aiocoap.Message, known: frozenset[str]) -> dict[str, str]:
    """The parameters of a request by name.

    Raises
    ------
    Refusal
        4.00 for one that is unknown, or that comes twice.
    """
    said: dict[str, str] = {}
    for item in request.opt.uri_query:
        name, _, value = item.partition("=")
        if name not in known or name in said:
            raise Refusal(
                Code.BAD_REQUEST, f"{name[:40]!r} comes twice" if name in said else f"{name[:40]!r} is unknown"
            )
        said[name] = value
    return said

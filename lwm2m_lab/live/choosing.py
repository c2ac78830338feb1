"""How a package is delivered, where the server may choose: by what the device offers in `/5/0/8` and `/5/0/9`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lwm2m_lab.live.object5 import PROTOCOLS

__all__ = ["Choice", "Offers", "choose"]

#: Delivery Method, ``/5/0/9``, of a device that takes one kind alone; 2, and a device that does not say, is both.
PULL_ONLY, PUSH_ONLY = "0", "1"
_SECURE = frozenset({"coaps", "https"})
#: Of several URIs the first of these; a device on DTLS is not sent where anybody on the way can read.
_ORDER = ("coap", "coaps", "https", "http")
_ORDER_SECURE = ("coaps", "https")


@dataclass(frozen=True)
class Offers:
    """What the server has for a device.

    Attributes
    ----------
    uris : tuple of str
        Package URIs of the image, one for each scheme by which the repository serves it.
    may_push : bool
        Whether a push will do, too.
    """

    uris: tuple[str, ...]
    may_push: bool


@dataclass(frozen=True)
class Choice:
    """A delivery and its reason.

    Attributes
    ----------
    uri : str or None
        Package URI of a pull; None is a push.
    why : str
    is_possible : bool
        Whether the device takes it, as far as it says.
    """

    uri: str | None
    why: str
    is_possible: bool = True


def choose(offers: Offers, *, delivery: str | None, protocols: Sequence[int] | None, is_secure: bool = False) -> Choice:
    """Pull by a scheme that the device lists and the repository serves, else push.

    Parameters
    ----------
    offers : Offers
    delivery : str or None
        ``/5/0/9`` as it was read.
    protocols : sequence of int or None
        ``/5/0/8``; a device without it has CoAP.
    is_secure : bool
        Whether the device is registered over DTLS: it is sent to an unsecured URI only where nothing else is left.

    Examples
    --------
    >>> offers = Offers(("coap://192.0.2.3/fw/a", "http://192.0.2.3/fw/a"), may_push=True)
    >>> choose(offers, delivery="2", protocols=[2]).uri
    'http://192.0.2.3/fw/a'
    >>> choose(offers, delivery="2", protocols=[1, 3]).why
    'push: /5/0/8 lists coaps, https, and the repository serves coap, http'
    >>> choose(offers, delivery="1", protocols=[0]).why
    'push: the device takes nothing else (/5/0/9 is 1)'
    """
    served: dict[str, str] = {}
    for uri in offers.uris:
        served.setdefault(uri.partition(":")[0].lower(), uri)
    names = {number: scheme for scheme, number in PROTOCOLS.items()}
    listed = [names.get(one, str(one)) for one in ((0,) if protocols is None else protocols)]
    says = (
        "there is no /5/0/8, which means coap" if protocols is None else f"/5/0/8 lists {', '.join(listed) or 'none'}"
    )
    common = [scheme for scheme in _ordered(served, is_secure) if scheme in listed]
    must_pull, may_push = delivery == PULL_ONLY, offers.may_push and delivery != PULL_ONLY
    if delivery == PUSH_ONLY and offers.may_push:
        return Choice(None, "push: the device takes nothing else (/5/0/9 is 1)")
    safe = [scheme for scheme in common if not is_secure or scheme in _SECURE]
    if safe or (common and not may_push):
        scheme = (safe or common)[0]
        return Choice(served[scheme], f"pull by {scheme}: {says}, and the repository serves {', '.join(served)}")
    has = f"the repository serves {', '.join(served)}" if served else "the repository does not have the image"
    if common:
        has += ", but the device is registered over DTLS"
    if may_push:
        return Choice(None, f"push: {says}, and {has}")
    only = "the device takes a pull alone (/5/0/9 is 0), " if must_pull else ""
    return Choice(next(iter(served.values()), None), f"{only}{says}, and {has}", is_possible=False)


def _ordered(schemes: Sequence[str] | dict[str, str], is_secure: bool) -> list[str]:
    first = _ORDER_SECURE if is_secure else ()
    known = [*first, *(one for one in _ORDER if one not in first)]
    return sorted(schemes, key=lambda one: known.index(one) if one in known else len(known))

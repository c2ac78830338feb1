"""`Link`: what a network path does to the datagrams of one device, each direction for itself."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal, TypeVar

from lwm2m_lab.errors import BadInput

__all__ = ["LINKS", "LINK_FIELDS", "Direction", "Link", "Path", "link_label"]

Direction = Literal["up", "down"]
Outages = Sequence[tuple[float, float]]
T = TypeVar("T")

#: How long a reordered datagram is held back beyond its delay, in delays; with the least in seconds. One and a half
#: delays let the next datagram of the same sender overtake.
HOLD_DELAYS, HOLD_LEAST = 1.5, 0.02


@dataclass(frozen=True, kw_only=True)
class Path:
    """One direction of a link; the fields are those of `Link`."""

    delay: float
    jitter: float
    rate: float
    loss: float
    duplication: float
    reordering: float
    outages: tuple[tuple[float, float], ...]

    def is_down(self, now: float) -> bool:
        """Whether an outage covers this moment (seconds since the run began)."""
        return any(start <= now < end for start, end in self.outages)

    def latency(self, dice: random.Random) -> float:
        """Seconds that the next datagram travels, queueing apart."""
        latency = self.delay
        if self.jitter:
            latency += dice.uniform(0.0, self.jitter)
        if self.reordering and dice.random() < self.reordering:
            latency += max(HOLD_DELAYS * self.delay, HOLD_LEAST)
        return latency


@dataclass(frozen=True, kw_only=True)
class Link:
    """The network path between the device and everybody else.

    Every field takes one value for both directions, or a mapping with ``"up"`` (device to server) and ``"down"``.

    Parameters
    ----------
    delay : float
        Seconds one way.
    jitter : float
        Seconds at the most that are added to the delay, drawn evenly for each datagram.
    rate : float
        Bits per second of the radio; datagrams queue behind one another, 28 (IPv4) or 48 (IPv6) bytes of headers
        included. Infinite by default.
    loss, duplication, reordering : float
        Probabilities from 0 to 1, for each datagram.
    outages : sequence of (start, end)
        Seconds since the run began in which nothing passes; `end` may be ``math.inf``.

    Raises
    ------
    BadInput
        For a value out of range.

    Examples
    --------
    >>> Link(loss=0.05)
    Link(loss=0.05)
    >>> Link.nb_iot().path("down").rate
    20000.0
    >>> Link(loss={"up": 0.1, "down": 0.0}).path("up").loss
    0.1
    >>> Link(loss=1.5)
    Traceback (most recent call last):
    lwm2m_lab.errors.BadInput: loss of the link is 1.5; a probability from 0 to 1 is expected
    """

    delay: float | Mapping[str, float] = 0.05
    jitter: float | Mapping[str, float] = 0.0
    rate: float | Mapping[str, float] = math.inf
    loss: float | Mapping[str, float] = 0.0
    duplication: float | Mapping[str, float] = 0.0
    reordering: float | Mapping[str, float] = 0.0
    outages: Outages | Mapping[str, Outages] = ()

    def __post_init__(self) -> None:
        for direction in ("up", "down"):
            for name in ("delay", "jitter"):
                _need(name, _pick(name, getattr(self, name), direction), 0.0, math.inf, "seconds, 0 or more, are")
            for name in ("loss", "duplication", "reordering"):
                _need(name, _pick(name, getattr(self, name), direction), 0.0, 1.0, "a probability from 0 to 1 is")
            rate = _pick("rate", self.rate, direction)
            _need("rate", rate, 1.0, math.inf, "bits per second, 1 or more, are", or_infinite=True)
            _check_outages(_pick("outages", self.outages, direction))

    def path(self, direction: Direction) -> Path:
        """The link in one direction: ``"up"`` is from the device, ``"down"`` to it."""
        values = {field.name: _pick(field.name, getattr(self, field.name), direction) for field in fields(self)}
        values["outages"] = tuple((float(start), float(end)) for start, end in values["outages"])
        return Path(**values)

    @classmethod
    def lan(cls) -> Link:
        """A local network: 20 ms round trip, 10 Mbit/s."""
        return cls(delay=0.01, rate=10e6)

    @classmethod
    def nb_iot(cls, *, coverage: Literal["good", "poor"] = "good") -> Link:
        """NB-IoT: 1.5 s round trip at 20/30 kbit/s, or 4 s at 5/5 kbit/s in poor coverage (engineering assumptions)."""
        if coverage not in ("good", "poor"):
            raise BadInput(f"coverage of an NB-IoT link is {coverage!r}; 'good' or 'poor' is expected")
        if coverage == "poor":
            return cls(delay=2.0, rate=5e3)
        return cls(delay=0.75, rate={"up": 30e3, "down": 20e3})

    @classmethod
    def lte_m(cls) -> Link:
        """LTE-M, half duplex: 150 ms round trip, 375 kbit/s up, 300 kbit/s down (engineering assumptions)."""
        return cls(delay=0.075, rate={"up": 375e3, "down": 300e3})

    @classmethod
    def ieee802154(cls) -> Link:
        """One hop of IEEE 802.15.4: 50 ms round trip, 100 kbit/s (engineering assumptions)."""
        return cls(delay=0.025, rate=100e3)

    def __repr__(self) -> str:
        changed = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name) != f.default]
        return f"Link({', '.join(changed)})"


#: What a link has.
LINK_FIELDS = tuple(field.name for field in fields(Link))
#: Links that have a name of their own.
LINKS: Mapping[str, Callable[[], Link]] = {
    "lan": Link.lan, "nb_iot": Link.nb_iot, "nb_iot_poor": functools.partial(Link.nb_iot, coverage="poor"),
    "lte_m": Link.lte_m, "ieee802154": Link.ieee802154,
}  # fmt: skip


def link_label(link: Link) -> str:
    """The name of a link that has one, else what it is.

    Examples
    --------
    >>> link_label(Link.nb_iot()), link_label(Link(loss=0.1))
    ('nb_iot', 'Link(loss=0.1)')
    """
    return next((name for name, make in LINKS.items() if make() == link), repr(link))


def _pick(name: str, value: T | Mapping[str, T], direction: str) -> T:
    """The value of one direction."""
    if not isinstance(value, Mapping):
        return value
    if set(value) != {"up", "down"}:
        raise BadInput(f"{name} of the link names {sorted(value)}; one value, or both 'up' and 'down', are expected")
    return value[direction]


def _need(name: str, value: object, least: float, most: float, what: str, *, or_infinite: bool = False) -> None:
    """Refuse a number that is none, is not finite or lies outside its range."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
    if not good or (value == math.inf and not or_infinite):
        raise BadInput(f"{name} of the link is {value!r}; {what} expected")


def _check_outages(outages: Outages) -> None:
    """Refuse outages that are no pairs of seconds in order."""
    try:
        good = all(0 <= start < end for start, end in outages)
    except (TypeError, ValueError):
        good = False
    if not good:
        raise BadInput(
            f"outages of the link are {outages!r}; pairs (start, end) in seconds, start before end, are expected"
        )

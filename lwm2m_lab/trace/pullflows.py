"""The flows of GETs that may be downloads, found by what a delivery knows: as many as there are devices, many times.

Each question is answered from the flows of one kind alone, and of those the ones that are given away are let go. So ten
thousand devices take ten times as long as a thousand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.trace.delivery import Delivery
from lwm2m_lab.trace.overtcp import host_of

__all__ = ["Flow", "Flows"]

Ints = NDArray[np.int64]
#: Port, path, query (None: whichever), and address or host it comes from (None: whichever).
_Kind: TypeAlias = tuple[str, str, str | None, str | None]


@dataclass(frozen=True, eq=False)
class Flow:
    """The GETs of one path and query from one address to another: their frames, and positions in the exchanges.

    `owner` is the endpoint that registered from that address; None where nobody did.
    """

    source: str
    destination: str
    path: str
    query: str
    frames: NDArray[Any]
    positions: NDArray[Any]
    owner: str | None = None

    def within(self, delivery: Delivery) -> list[int]:
        """The positions in the time of a delivery."""
        positions: list[int] = self.positions[_during(self.frames, delivery)].tolist()
        return positions


class Flows:
    """The flows of a capture, some of them given to deliveries.

    Parameters
    ----------
    flows : iterable of Flow
        In the order of their first GETs.

    Attributes
    ----------
    taken : set of Flow
        Those given away; whoever gives one away adds it.
    """

    def __init__(self, flows: Iterable[Flow]) -> None:
        self.taken: set[Flow] = set()
        self._kinds: dict[_Kind, _Pool] = {}
        self._alike: dict[tuple[str, str, str, str], list[Flow]] = {}
        self._lengths: set[int] = set()
        for flow in flows:
            self._lengths.add(len(flow.path))
            self._alike.setdefault(_likeness(flow, flow.source), []).append(flow)
            port = flow.destination.rsplit(":", 1)[1]
            # What a registered device fetches is no other device's download, though both are behind one address.
            free = (host_of(flow.source), None) if flow.owner is None else (_by_name(flow.owner),)
            for query in (flow.query, None):
                for origin in (flow.source, *free):
                    pool = self._kinds.setdefault((port, flow.path, query, origin), _Pool(self.taken))
                    pool.flows.append(flow)

    def __len__(self) -> int:
        return len(self._alike)

    def best(self, delivery: Delivery, own: str, *, path: str, query: str, port: int) -> Flow | None:
        """The flow of one download: from the device's own address and port, else from another address where it
        registered, else from its host, else from anywhere.

        Rather one with the very path, be it with another query; a path that was cut off on the way (F10) is the
        beginning of the one written.
        """
        cut = [path[:length] for length in sorted(self._lengths) if 2 <= length < len(path)]
        for paths in ([path], cut):
            for asked in (query, None):
                for origin in (own, _by_name(delivery.endpoint), host_of(own), None):
                    kinds = [(str(port), one, asked, origin) for one in paths]
                    pools = [self._kinds[kind] for kind in kinds if kind in self._kinds]
                    found = [flow for pool in pools if (flow := pool.earliest(delivery)) is not None]
                    if found:
                        return min(found, key=lambda flow: flow.within(delivery)[0])
        return None

    def like(self, chosen: Flow, delivery: Delivery, own: str) -> Iterator[Flow]:
        """Further flows of the same kind from the device's host, that are there in the time of its delivery."""
        key = _likeness(chosen, own)
        self._alike[key] = [flow for flow in self._alike.get(key, ()) if flow not in self.taken or flow is chosen]
        for flow in self._alike[key]:
            if flow is not chosen and flow.owner in (None, delivery.endpoint) and flow.within(delivery):
                yield flow


class _Pool:
    """Flows of one kind, asked again and again for the earliest one that is not taken."""

    def __init__(self, taken: set[Flow]) -> None:
        self.flows: list[Flow] = []
        self._taken = taken
        #: The frames of all GETs in their order, whose each is, whose may still be had, and how many may not.
        self._frames = self._owner = np.zeros(0, np.int64)
        self._free = np.zeros(0, bool)
        self._gone = 0

    def earliest(self, delivery: Delivery) -> Flow | None:
        """The flow whose GET is the first in the time of a delivery."""
        if not len(self._free):
            self._build()
        if 2 * self._gone > len(self._owner):
            keep = self._free[self._owner]
            self._frames, self._owner, self._gone = self._frames[keep], self._owner[keep], 0
        owners, step = self._owner[_during(self._frames, delivery)], 16
        while len(owners):
            near = owners[:step]
            for number in near[self._free[near]].tolist():
                flow: Flow = self.flows[number]
                if flow not in self._taken:
                    return flow
                self._gone += len(flow.frames) if self._free[number] else 0
                self._free[number] = False
            owners, step = owners[step:], 2 * step
        return None

    def _build(self) -> None:
        frames = np.concatenate([flow.frames for flow in self.flows]).astype(np.int64)
        order = np.argsort(frames, kind="stable")
        self._frames = frames[order]
        self._owner = np.repeat(np.arange(len(self.flows)), [len(flow.frames) for flow in self.flows])[order]
        self._free = np.ones(len(self.flows), bool)


def _during(frames: NDArray[Any], delivery: Delivery) -> slice:
    """Which of these frames are in the time of a delivery."""
    end = len(frames) if math.isinf(delivery.until) else int(np.searchsorted(frames, math.ceil(delivery.until)))
    return slice(int(np.searchsorted(frames, delivery.first_frame + 1)), end)


def _by_name(endpoint: str) -> str:
    """An endpoint's name as the origin of flows: no address begins like that."""
    return f" {endpoint}"


def _likeness(flow: Flow, source: str) -> tuple[str, str, str, str]:
    return host_of(source), flow.path, flow.query, flow.destination

"""A cell: devices, each behind a link of its own, which share the cell's capacity.

The model. Each direction of a cell is one queue, first in, first out, and without an end: a datagram begins to be sent
when the cell has sent those before it, and takes the cell as long as its bits take at the cell's rate. The device's own
link, which may be slower, is busy from the same moment on at its own rate; a datagram has left when both have sent it.
So a device alone has its link to itself, and all of them together never get more than the cell has.
"""

from __future__ import annotations

import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lwm2m_lab.live.link import Link, Path
from lwm2m_lab.live.network import SIMULATED_EPOCH_NS, Address, Side, Sighting, SimulatedNetwork
from lwm2m_lab.trace.radio import RadioModel, radio_use
from lwm2m_lab.trace.timing import HEADERS

__all__ = ["CellNetwork", "OnAir"]

#: Seconds of a run over which the longest wait in the queue, and the bits, are summed up.
SLICE_S = 1.0


@dataclass
class OnAir:
    """What one device sent and received, as far as it is counted; sightings only where they are wanted.

    Attributes
    ----------
    datagrams, lost, retransmissions, bytes_on_air : int
        Of both sides, as sent; bytes are those of IP packets.
    sightings : list of Sighting or None
    """

    paths: dict[Side, Path]
    sightings: list[Sighting] | None
    busy_until: dict[Side, float] = field(default_factory=lambda: {"device": 0.0, "server": 0.0})
    datagrams: int = 0
    lost: int = 0
    retransmissions: int = 0
    bytes_on_air: int = 0
    _requests: set[bytes] = field(default_factory=set)
    _times: array.array[float] = field(default_factory=lambda: array.array("d"))
    _sizes: array.array[int] = field(default_factory=lambda: array.array("i"))

    def sent(self, by: Side, payload: bytes, headers: int, note: str | None) -> None:
        """One side has sent a datagram."""
        self.datagrams += 1
        self.bytes_on_air += len(payload) + headers
        self.lost += note is not None and note.startswith("lost")
        if len(payload) >= 4 and not payload[0] & 0x30 and 0 < payload[1] < 32:
            # With the token: the server's message ids go round where it speaks to thousands.
            request = by[:1].encode() + payload[2 : 4 + (payload[0] & 15)]
            self.retransmissions += request in self._requests
            self._requests.add(request)

    def at_device(self, time_s: float, size: int, up: bool) -> None:
        """A datagram left or reached the device."""
        self._times.append(time_s)
        self._sizes.append(size if up else -size)

    def forget(self) -> None:
        """Let go of all but the numbers."""
        self.sightings = None
        self._requests.clear()
        del self._times[:], self._sizes[:]

    def energy_j(self, model: RadioModel) -> float:
        """What the device's radio took for it."""
        sizes = np.array(self._sizes)
        return radio_use(np.array(self._times), np.abs(sizes).astype(float), sizes > 0, model).energy_j


class CellNetwork(SimulatedNetwork):
    """A network in memory whose devices share a cell.

    Parameters
    ----------
    rate : mapping of {"up", "down"} to float
        Bits a second of the cell.
    seed : int
        Of the dice of the links.
    begins : float
        Seconds of the campaign at which this world begins.

    Attributes
    ----------
    slices : dict of int to list
        By second of this world: longest wait in the queue, up and down, in seconds; bits that left, up and down.
    """

    def __init__(self, *, rate: Mapping[str, float], seed: int, begins: float = 0.0) -> None:
        super().__init__(link=Link(), seed=seed)
        self._rates: dict[Side, float] = {"device": rate["up"], "server": rate["down"]}
        self._begins = begins
        self._devices: dict[str, OnAir] = {}
        self.slices: dict[int, list[float]] = {}

    def join(self, host: str, link: Link, *, keep: bool) -> OnAir:
        """A device comes into the cell; with `keep` all that it sends and receives is written down."""
        paths: dict[Side, Path] = {"device": link.path("up"), "server": link.path("down")}
        on_air = self._devices[host] = OnAir(paths, [] if keep else None)
        return on_air

    def leave(self, host: str) -> None:
        """A device has gone and has been counted; what is on its way to it still is."""
        self._devices[host].forget()

    def path_of(self, device: Address, sender: Side) -> Path:
        """The device's own link."""
        return self._devices[device[0]].paths[sender]

    def leaves_at(self, now: float, bits: int, path: Path, device: Address, sender: Side) -> float:
        """Behind what the cell has to send, and behind what the device's own link has."""
        own, at = self._devices[device[0]].busy_until, int(sender == "server")
        begins = max(now, self._busy_until[sender])
        self._busy_until[sender] = begins + bits / self._rates[sender]
        own[sender] = max(begins, own[sender]) + bits / path.rate
        told = self.slices.setdefault(int(now / SLICE_S), [0.0, 0.0, 0.0, 0.0])
        told[at] = max(told[at], begins - now)
        told[2 + at] += bits
        return max(self._busy_until[sender], own[sender])

    def see(self, side: Side, source: Address, destination: Address, payload: bytes, note: str | None) -> None:
        """Count a datagram, and write it down if its device is one whose capture is kept."""
        from_device = source[0] in self._devices
        on_air = self._devices[source[0] if from_device else destination[0]]
        sender: Side = "device" if from_device else "server"
        headers, now = HEADERS[6 if ":" in source[0] else 4], self._begins + self.loop.time()
        if side == sender:
            on_air.sent(sender, payload, headers, note)
        if side == "device":
            on_air.at_device(now, len(payload) + headers, from_device)
        if on_air.sightings is not None:
            time_ns = SIMULATED_EPOCH_NS + round(now * 1e9)
            on_air.sightings.append(Sighting(time_ns, side, source, destination, payload, note))

    def clock(self) -> float:
        """Simulated seconds since the epoch."""
        return self._begins + super().clock()

    def seconds(self) -> list[tuple[float, Any]]:
        """The slices in order of time, each with the second of the campaign at which it begins."""
        return [(self._begins + at * SLICE_S, told) for at, told in sorted(self.slices.items())]

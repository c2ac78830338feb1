"""A cell: who waits for whom, and what is remembered of a device that has gone."""

from __future__ import annotations

import math

import pytest

import lwm2m_lab as lab
from lwm2m_lab.live.cell import CellNetwork
from lwm2m_lab.trace.radio import radio_model

ONE, OTHER = ("198.18.0.1", 50_000), ("198.18.0.2", 50_000)


def cell(down: float, *links: lab.Link) -> CellNetwork:
    """A cell with a device for each link."""
    network = CellNetwork(rate={"up": math.inf, "down": down}, seed=1)
    for number, link in enumerate(links, 1):
        network.join(f"198.18.0.{number}", link, keep=True)
    return network


def leaves(network: CellNetwork, device: tuple[str, int], *, bits: int = 1000, now: float = 0.0) -> float:
    """When a datagram to a device has left."""
    return network.leaves_at(now, bits, network.path_of(device, "server"), device, "server")


def test_a_device_alone_has_its_own_link() -> None:
    """As long as the cell is no slower than it; else it has the cell."""
    assert leaves(cell(10_000, lab.Link(rate=1000)), ONE) == 1.0
    assert leaves(cell(500, lab.Link(rate=1000)), ONE) == 2.0
    assert leaves(cell(math.inf, lab.Link()), ONE) == 0.0


def test_one_queue_for_all() -> None:
    """First in, first out; the wait is noted in the second in which it begins."""
    network = cell(1000, lab.Link(), lab.Link())
    assert [leaves(network, device) for device in (ONE, OTHER, ONE)] == [1.0, 2.0, 3.0]
    assert leaves(network, OTHER, now=10.0) == 11.0
    assert network.seconds() == [(0.0, [0.0, 2.0, 0.0, 3000]), (10.0, [0.0, 0.0, 0.0, 1000])]


def test_a_slow_device_holds_up_nobody() -> None:
    """Its own link is busy for ten seconds, the cell for one."""
    network = cell(1000, lab.Link(rate=100), lab.Link())
    assert leaves(network, ONE) == 10.0
    assert leaves(network, OTHER) == 2.0
    assert leaves(network, ONE) == 20.0


def test_both_directions_are_queues_of_their_own() -> None:
    """What devices send does not wait for what is sent to them."""
    network = cell(1000, lab.Link())
    leaves(network, ONE)
    assert network.leaves_at(0.0, 1000, network.path_of(ONE, "device"), ONE, "device") == 0.0


def test_what_is_remembered_of_a_device_that_has_gone() -> None:
    """Its numbers; the memory of a campaign is that of the devices under way."""
    network = cell(1000, lab.Link())
    network.new_loop()
    on_air = network._devices[ONE[0]]
    for _ in range(2):
        network.see("server", ("192.0.2.1", 5683), ONE, b"\x40\x03\x00\x01", None)
        network.see("device", ("192.0.2.1", 5683), ONE, b"\x40\x03\x00\x01", None)
    assert on_air.sightings is not None
    assert len(on_air.sightings) == 4
    assert on_air.energy_j(radio_model("nb-iot")) > 0
    network.leave(ONE[0])
    network.see("server", ("192.0.2.1", 5683), ONE, b"\x40\x03\x00\x02", "lost on the way")
    assert on_air.sightings is None
    assert (on_air.datagrams, on_air.retransmissions, on_air.lost, on_air.bytes_on_air) == (3, 1, 1, 96)
    network.loop.close()


def test_a_world_that_begins_later() -> None:
    """Its seconds are those of the campaign."""
    network = CellNetwork(rate={"up": 1.0, "down": 1.0}, seed=1, begins=100.0)
    network.join(ONE[0], lab.Link(), keep=True)
    leaves(network, ONE, bits=8)
    assert network.seconds() == [(100.0, [0.0, 0.0, 0.0, 8])]
    assert leaves(network, ONE, bits=8, now=1.0) == pytest.approx(16.0)

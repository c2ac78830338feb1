"""Many devices before one server on simulated time: each as it is, so many at once, over a link that loses."""

from __future__ import annotations

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.campaign import Progress
from lwm2m_lab.live.catalogue import CATALOGUE
from lwm2m_lab.live.fleet import update_fleet
from lwm2m_lab.live.server_options import ServerOptions

IMAGE = lab.image(version="2.0.0", size=3000)


def named(count: int, **options: object) -> list[lab.DeviceOptions]:
    """Devices of one kind."""
    return [lab.DeviceOptions(endpoint=f"urn:dev:{number}", **options) for number in range(count)]  # type: ignore[arg-type]


def test_each_device_as_it_is() -> None:
    """The eleven at once: who deceives the server is known from what the devices themselves know."""
    devices = [lab.DeviceOptions.named(name, endpoint=name) for name in CATALOGUE]
    fleet = update_fleet(devices, IMAGE, options=ServerOptions(strategy="S7", time_limit=600.0))
    found = {one.endpoint: one.outcome for one in fleet.campaign.reports}
    assert [name for name, outcome in found.items() if outcome == "succeeded"] == ["D1", "D8", "D10", "D11"]
    assert [name for name, outcome in found.items() if outcome == "undecided"] == ["D2", "D4", "D7", "D9"]
    assert fleet.truth["D11"][-1].firmware_version == "1.0.0"
    assert not fleet.campaign.succeeded


def test_no_more_than_so_many_at_once() -> None:
    """Progress tells beginnings and ends; their difference never passes the limit."""
    told: list[Progress] = []
    fleet = update_fleet(named(12), IMAGE, at_once=4, told=told.append)
    running, most = 0, 0
    for one in told:
        running += 1 if one.report is None else -1
        most = max(most, running)
    assert (most, running, told[-1].done, told[-1].total) == (4, 0, 12, 12)
    assert [one.endpoint for one in fleet.campaign.reports] == [f"urn:dev:{number}" for number in range(12)]


def test_over_a_link_that_loses_and_rests() -> None:
    """A tenth of all datagrams, and two minutes of all of them: every device is updated in the end, and knows it."""
    link = lab.Link(loss=0.1, duplication=0.1, jitter=0.1, outages=[(5.0, 125.0)])
    devices = [*named(10), *(lab.DeviceOptions(endpoint=f"pull:{n}", delivery=0, resume_attempts=9) for n in range(5))]
    options = ServerOptions(retries=20, retry_after=20.0, block_size=512)
    fleet = update_fleet(devices, IMAGE, options=options, link=link, seed=3)
    assert fleet.campaign.outcomes == {"succeeded": 15}
    assert {one[-1].firmware_version for one in fleet.truth.values()} == {"2.0.0"}
    assert {one.delivery for one in fleet.campaign.reports if one.endpoint.startswith("pull")} == {"pull"}


def test_same_seed_same_campaign() -> None:
    """Reports and datagrams are those of the seed."""
    link = lab.Link(loss=0.1)
    first, second = (update_fleet(named(5), IMAGE, link=link, seed=4) for _ in range(2))
    assert first == second


def test_two_of_one_name() -> None:
    """Refused before anything runs."""
    with pytest.raises(BadInput, match="two devices have one endpoint name"):
        update_fleet([lab.DeviceOptions(), lab.DeviceOptions()], IMAGE)

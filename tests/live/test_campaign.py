"""Campaigns in simulated time: cells that are shared, stages, stop rules, causes, and one device opened again."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.cell_world import StopRule

SMALL: dict[str, Any] = {"size": 2000, "version": "2.0.0"}
BAD = {"keeps-firmware-version": 0.1}


def same(one: Any, other: Any) -> None:
    """Whether two campaigns came to the same, in every table."""
    for name in ("devices", "states", "versions", "causes", "queue"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
    assert one.stages == other.stages
    assert one.stopped_s == other.stopped_s


# ---------------------------------------------------------------- one device, many devices


def test_a_device_alone_is_updated_as_by_push() -> None:
    """In a cell that is wide enough it has its link to itself: same bytes on the air, same time."""
    link = lab.Link.nb_iot()
    (alone,) = lab.campaign(1, **SMALL, links=link, cell_rate=1e6).devices.itertuples()
    pushed = lab.push(**SMALL, link=link)
    sent = [one for one in pushed.sightings if (one.source == ("192.0.2.1", 5683)) == (one.side == "server")]
    assert alone.ended_s == pytest.approx(pushed.report.duration, abs=0.01)
    assert alone.datagrams == len(sent)
    assert alone.bytes_on_air == pytest.approx(sum(len(one.payload) + 28 for one in sent), abs=100)
    assert (alone.outcome, alone.firmware_before, alone.firmware_after) == ("succeeded", "1.0.0", "2.0.0")


def test_nobody_gets_more_than_the_cell_has() -> None:
    """What leaves in any second, and the second after, is no more than the rate lets through."""
    done = lab.campaign(30, **SMALL, limit=30, cell_rate={"up": 20e3, "down": 40e3})
    bits = done.queue.set_index("time_s")
    assert done.outcomes == {"succeeded": 30}
    assert bits["wait_down_s"].max() > 1.0
    total, last = bits["bits_down"].sum(), bits.index.max() + 1 + bits["wait_down_s"].iloc[-1]
    assert total <= 40e3 * last
    sent = 8 * done.devices["bytes_on_air"].sum()
    assert sent == pytest.approx(bits[["bits_up", "bits_down"]].to_numpy().sum())


def test_all_at_once_is_slower_than_some_at_once() -> None:
    """A queue longer than ACK_TIMEOUT is filled with copies, until senders give up."""
    fleet: dict[str, Any] = {"devices": 60, "size": 10_000, "cell_rate": 40e3}
    some, everyone = (lab.campaign(**fleet, limit=limit) for limit in (6, 60))
    assert some.outcomes == {"succeeded": 60}
    assert int(some.devices["retransmissions"].sum()) == 0
    assert everyone.outcomes["succeeded"] < 60
    assert everyone.devices["bytes_on_air"].sum() > some.devices["bytes_on_air"].sum()
    assert set(everyone.devices["outcome"]) <= {"succeeded", "unfinished"}


def test_no_more_than_the_limit_at_once() -> None:
    """In all cells together; and the next begins as soon as there is room."""
    done = lab.campaign(20, **SMALL, limit=5, cells=2)
    under_way = done.states[["0 Idle", "1 Downloading", "2 Downloaded", "3 Updating"]].sum(axis=1)
    assert under_way.max() == 5
    assert done.states.iloc[-1]["succeeded"] == 20
    assert (done.states.drop(columns="time_s").sum(axis=1) == 20).all()


def test_pull_and_devices_that_only_pull() -> None:
    """A Package URI for all, or for those to which nothing can be pushed."""
    assert {one.run("urn:dev:1").delivery for one in [lab.campaign(2, **SMALL, delivery="pull")]} == {"pull"}
    own = [lab.DeviceOptions(endpoint="pulls", delivery=0), lab.DeviceOptions(endpoint="pushed", delivery=1)]
    done = lab.campaign(own, **SMALL)
    assert [done.run(name).delivery for name in ("pulls", "pushed")] == ["pull", "push"]
    assert done.outcomes == {"succeeded": 2}


# ---------------------------------------------------------------- seeds, cells, workers


def test_same_seed_same_campaign_whatever_the_number_of_workers() -> None:
    """Here, and in two processes; with a stop in the middle of a stage of three cells."""
    fleet: dict[str, Any] = {"devices": 40, **SMALL, "limit": 9, "cells": 3, "links": lab.Link(loss=0.1)}
    rules: dict[str, Any] = {"stages": (0.2, 1.0), "stop_at": 0.2, "at_least": 5, "faults": {"forgets-result": 0.4}}
    one, two = (lab.campaign(**fleet, **rules, seed=3, workers=workers) for workers in (1, 2))
    assert one.stopped_s is not None
    same(one, two)
    same(lab.campaign(**fleet, seed=4, workers=1), lab.campaign(**fleet, seed=4, workers=2))


def test_other_seeds_other_campaigns() -> None:
    """Other devices have the fault."""
    one, other = (lab.campaign(10, **SMALL, faults={"forgets-result": 0.2}, seed=seed) for seed in (1, 2))
    assert one.outcomes == other.outcomes
    assert list(one.devices["fault"]) != list(other.devices["fault"])


# ---------------------------------------------------------------- stages and stop rules


def test_stages_follow_one_another() -> None:
    """No update of a stage begins before the last one of the stage before has ended."""
    done = lab.campaign(30, **SMALL, stages=(0.1, 0.4, 1.0), limit=4)
    assert [one.devices for one in done.stages] == [3, 9, 18]
    spans = done.devices.groupby("stage")[["began_s", "ended_s"]].agg(["min", "max"])
    assert (spans[("began_s", "min")].iloc[1:].to_numpy() > spans[("ended_s", "max")].iloc[:-1].to_numpy()).all()


@pytest.mark.parametrize("cells", [1, 2])
def test_a_bad_image_stops_in_the_first_stage(cells: int) -> None:
    """The rest of the fleet keeps what it has, and the table says so."""
    bad = lab.image(version="2.0.0", size=2000).damaged(offset=1500)
    done = lab.campaign(100, bad, limit=10, stages=(0.1, 1.0), stop_at=0.05, cells=cells, workers=1)
    assert done.outcomes == {"failed": 10, "not begun": 90}
    assert done.stopped_s == done.devices["ended_s"].max()
    assert done.versions.iloc[-1].drop("time_s").to_dict() == {"1.0.0": 100}
    assert "stopped in stage 1" in done.sentence
    assert "90 not begun" in str(done)
    assert done.causes["cause"].tolist() == ["Update Result 5 Integrity check failed"]
    assert done.causes["cause_from"].tolist() == ["analyser"]


@pytest.mark.parametrize("cells", [1, 3])
def test_what_is_under_way_goes_on(cells: int) -> None:
    """No update begins at the moment at which the rule holds or later; those that have begun end."""
    link = lab.Link(jitter=0.3)
    fleet: dict[str, Any] = {
        "devices": 60,
        **SMALL,
        "limit": 6,
        "links": link,
        "faults": {"keeps-firmware-version": 0.5},
    }
    done = lab.campaign(**fleet, stop_at=0.2, at_least=8, cells=cells, workers=1)
    begun = done.devices[done.devices["outcome"] != "not begun"]
    assert done.stopped_s is not None
    assert len(begun) < 60
    assert (begun["began_s"] <= done.stopped_s).all()
    assert (begun["ended_s"] > done.stopped_s).any()
    ended = begun[begun["ended_s"] <= done.stopped_s]
    assert len(ended) >= 8
    assert (ended["outcome"] == "failed").mean() > 0.2


def test_a_stop_changes_nothing_before_it() -> None:
    """Cells that are run again up to the stop come to the same as those that knew nothing of it."""
    fleet: dict[str, Any] = {"devices": 40, **SMALL, "cells": 2, "limit": 4, "faults": BAD, "workers": 1}
    free, stopped = lab.campaign(**fleet), lab.campaign(**fleet, stop_at=0.0, at_least=1)
    begun = stopped.devices["outcome"] != "not begun"
    assert 0 < begun.sum() < 40
    times = ["endpoint", "began_s", "ended_s", "bytes_on_air", "outcome"]
    pd.testing.assert_frame_equal(stopped.devices.loc[begun, times], free.devices.loc[begun, times])


def test_a_rule_asks_after_so_many() -> None:
    """One failure among the first is no reason yet; more than the rate is, the rate itself is not."""
    rule = StopRule(0.1, 10, ended=5, failed=1)
    assert not rule.stops(4, 3)
    assert rule.stops(5, 1)
    assert not rule.stops(5, 0)


# ---------------------------------------------------------------- why


def test_who_says_why() -> None:
    """The analyser where the capture is kept; else the Update Result; else the server."""
    own = [lab.DeviceOptions(endpoint=name, install_fails=True) for name in ("a", "b")]
    own += [lab.DeviceOptions(endpoint=name, faults=("keeps-firmware-version",)) for name in ("c", "d")]
    done = lab.campaign(own, **SMALL, captures=["a", "c"])
    told = done.devices.set_index("endpoint")
    assert told["cause_from"].tolist() == ["analyser", "Update Result", "analyser", "server"]
    assert told["cause"]["b"] == "Update Result 8 Update failed"
    assert told["cause"]["c"] == "V1 after success /3/0/3 is the version of the installed image"
    assert told["cause"]["d"].startswith("Update Result is 1 Updated successfully, but /3/0/3 is 1.0.0")
    assert told["captured"].tolist() == [True, False, True, False]
    assert told.loc["c", ["firmware_after", "firmware_runs"]].tolist() == ["1.0.0", "2.0.0"]


@pytest.mark.parametrize("captures", [0, 20])
def test_one_device_opened_again(captures: int) -> None:
    """Kept or run anew: the same bytes, and they say the same."""
    fleet: dict[str, Any] = {"devices": 12, **SMALL, "limit": 5, "faults": BAD, "cell_rate": 50e3, "seed": 2}
    done = lab.campaign(**fleet, captures=captures)
    (name,) = done.devices.loc[done.devices["outcome"] == "failed", "endpoint"]
    run = done.run(name)
    assert run.pcapng() == lab.campaign(**fleet, captures=[name]).run(name).pcapng()
    assert (
        run.explain().updates[0].cause
        == "Update Result is 1, but /3/0/3 is 1.0.0 and the installed image's version is 2.0.0"
    )
    assert [one.endpoint for one in run.explain().updates] == [name]
    assert run.update(0).cost().total_bytes <= done.devices.set_index("endpoint")["bytes_on_air"][name]


def test_devices_that_cannot_be_opened() -> None:
    """Nobody of that name, or nothing has happened to it."""
    done = lab.campaign(30, **SMALL, limit=2, stop_at=0.0, at_least=1, faults={"refuses-block1": 1.0})
    with pytest.raises(BadInput, match="no device of the campaign is named 'x'; one of urn:dev:01, "):
        done.run("x")
    with pytest.raises(BadInput, match="the update of urn:dev:30 was not begun; a device that has an outcome is"):
        done.run("urn:dev:30")


def test_what_stands_on_the_screen() -> None:
    """One screen: what was done, how it went, stage by stage, what a device cost, what went wrong."""
    done = lab.campaign(
        20, **SMALL, limit=10, stages=(0.2, 1.0), faults={"keeps-firmware-version": 0.1}, cell_rate=60e3
    )
    text = str(done)
    assert text.splitlines()[0].endswith("in 1 cell of 60 kbit/s, 10 at once: " + done.sentence)
    assert "running in the end: 2.0.0 on 20" in text
    assert "2  V1 after success /3/0/3 is the version of the installed image (analyser), first urn:dev:" in text
    assert len(text.splitlines()) < 25
    html = done._repr_html_()
    assert "<td>succeeded</td>" not in html
    assert "<b>18 of 20 devices updated in" in html


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"limit": 0}, "limit is 0; a whole number of 1 or more is expected"),
        ({"devices": 0}, "devices is 0; a whole number of 1 or more, or lab.DeviceOptions of each, are expected"),
        ({"devices": 2.5}, "devices is 2.5; a whole number"),
        ({"cells": 0}, "cells is 0; a whole number of 1 or more is expected"),
        ({"seed": "x"}, "seed is 'x'; a whole number is expected"),
        ({"cells": 8, "limit": 4}, "limit is 4 and there are 8 cells; one update at once in each cell at least is"),
        ({"cell_rate": 0}, "cell_rate is 0; bits a second, 1 or more, once or for both 'up' and 'down', are expected"),
        ({"cell_rate": {"up": 1e6}}, "cell_rate is {'up': 1000000.0}; bits a second"),
        ({"delivery": "drop"}, "delivery is 'drop'; 'push' or 'pull' is expected"),
        ({"server": "S1"}, "server is 'S1'; ServerOptions of"),
        ({"captures": -1}, "captures is -1; a whole number of 0 or more is expected"),
        ({"captures": ["x"]}, "captures names 'x'; endpoint names such as 'urn:dev:01' are expected"),
        ({"stop_at": 1.0}, "stop_at is 1.0; a share of failures from 0 to below 1 is expected, for no more than all"),
        ({"stop_at": 0.1, "at_least": 0}, "at_least is 0; a whole number of 1 or more is expected"),
        ({"stop_at": 0.1, "at_least": 51}, "the stop rule can never stop anything: 51 updates have to have ended"),
        ({"stop_at": 0.1, "limit": 50}, "the stop rule can never stop anything: 10 updates have to have ended"),
        ({"stop_at": 0.1, "at_least": 42}, "and by then all 50 have begun; a smaller at_least or limit, or a first"),
        ({"model": "lora"}, "model is 'lora'; 'nb-iot', 'lte-m' or a RadioModel is expected"),
        ({"workers": 0}, "workers is 0; a whole number of 1 or more is expected"),
        ({"devices": 131_072, "most": 10**6, "limit": 1}, "one cell would have 131072 devices; 131070 at the most, or"),
    ],
)  # fmt: skip
def test_bad_input(given: dict[str, Any], words: str) -> None:
    """One sentence, before anything runs."""
    with pytest.raises(BadInput) as refused:
        lab.campaign(**{"devices": 50, "limit": 9, **SMALL, **given})
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "given",
    [{"at_least": 41}, {"at_least": 50, "stages": (0.5, 1.0), "devices": 100}, {"limit": 50, "stages": (0.2, 1.0)}],
)
def test_rules_that_just_can(given: dict[str, Any]) -> None:
    """The last moment at which there is something left to stop."""
    done = lab.campaign(**{"devices": 50, "limit": 9, **SMALL, "stop_at": 0.5, **given}, faults={"caps-bodies": 0.0})
    assert done.rule is not None
    everything = lab.campaign(
        **{"devices": 50, "limit": 9, **SMALL, "stop_at": 0.5, **given}, faults={"refuses-block1": 1.0}
    )
    assert everything.stopped_s is not None
    assert everything.outcomes.get("not begun", 0) > 0


def test_a_milliard_devices() -> None:
    """How long they would take, and what would be accepted."""
    with pytest.raises(
        BadInput, match=r"1000000000 devices would take about \d+ \w+ on 1 of .* cores; 20000 devices at"
    ):
        lab.campaign(10**9, **SMALL)

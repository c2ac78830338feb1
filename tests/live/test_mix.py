"""Who is what in a fleet: shares kept to the device, dealt by the seed, and what cannot be dealt."""

from __future__ import annotations

import collections
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.mix import Member, members, stage_sizes


def fleet(number: Any, **given: Any) -> list[Member]:
    """A fleet in one cell and one stage."""
    wanted = {"profiles": None, "faults": None, "links": None, "cells": 1, "seed": 1, **given}
    return members(number, sizes=[number if isinstance(number, int) else len(number)], **wanted)


def test_shares_are_kept_to_the_device() -> None:
    """Of 200 devices 80 % are 160, whatever the seed; which ones, the seed says."""
    shares: dict[str, Any] = {"profiles": {"strict": 0.8, "anjay": 0.2}, "faults": {"forgets-result": 0.02}}
    one, other = (fleet(200, **shares, seed=seed) for seed in (1, 2))
    for those in (one, other):
        assert collections.Counter(member.device.profile for member in those) == {"strict": 160, "anjay": 40}
        assert collections.Counter(member.device.faults for member in those) == {(): 196, ("forgets-result",): 4}
    assert [member.device for member in one] != [member.device for member in other]


@given(st.integers(1, 200), st.lists(st.integers(0, 100), min_size=1, max_size=4).filter(any))
def test_every_device_is_something(number: int, parts: list[int]) -> None:
    """Shares of any kind come to all devices, each within one of its exact share."""
    names = ["strict", "anjay", "zephyr", "wakaama"][: len(parts)]
    shares = {name: part / sum(parts) for name, part in zip(names, parts, strict=True)}
    counts = collections.Counter(one.device.profile for one in fleet(number, profiles=shares))
    assert sum(counts.values()) == number
    assert all(abs(counts[name] - share * number) < 1 for name, share in shares.items())


def test_links_by_name_in_parts_or_one() -> None:
    """Names, links and mappings; a list is in equal parts."""
    assert {one.link_name for one in fleet(4)} == {"Link()"}
    both = collections.Counter(one.link_name for one in fleet(10, links=["nb_iot", lab.Link(loss=0.1)]))
    assert both == {"nb_iot": 5, "Link(loss=0.1)": 5}
    assert collections.Counter(one.link_name for one in fleet(10, links={"lan": 0.7, "lte_m": 0.3}))["lan"] == 7
    assert fleet(1, links=lab.Link.nb_iot())[0].link_name == "nb_iot"


def test_stages_rise_to_the_whole_fleet() -> None:
    """A share of no whole device is rounded up, so that the first stage is never empty."""
    assert stage_sizes(1000, (0.01, 0.1, 1.0)) == [10, 90, 900]
    assert stage_sizes(7, (0.01, 0.1, 1.0)) == [1, 0, 6]


@pytest.mark.parametrize("stages", [(), (0.1, 0.5), (0.5, 0.1, 1.0), (0.0, 1.0), (0.5, 2), ("all",), 5])
def test_stages_that_do_not(stages: Any) -> None:
    """One sentence."""
    with pytest.raises(BadInput, match=r"stages are .*; shares of the fleet that rise to 1, such as .* are expected"):
        stage_sizes(10, stages)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"profiles": {"strict": 0.8, "anjay": 0.1}}, "the shares in profiles add up to 0.9; 1 is expected"),
        ({"profiles": {"strict": 2}}, "the share of 'strict' in profiles is 2; a number from 0 to 1 is expected"),
        ({"profiles": "anjey"}, "profiles names 'anjey', which is not there; 'anjay' is the nearest; strict, anjay, "),
        ({"profiles": []}, "the shares in profiles add up to 0; 1 is expected"),
        ({"faults": {"keeps-old-version": 0.02}}, "which is not there; 'keeps-firmware-version' is the nearest of "),
        ({"faults": {"forgets-result": 0.7, "caps-bodies": 0.7}}, "the rates in faults add up to 1.4; 1 at the most"),
        ({"faults": {"forgets-result": -1}}, "the rate of 'forgets-result' in faults is -1; a number from 0 to 1"),
        ({"faults": "forgets-result"}, "faults are 'forgets-result'; rates by name, such as "),
        ({"links": "nbiot"}, "links names 'nbiot', which is not there; 'nb_iot' is the nearest"),
        ({"links": ["lan", "wan"]}, "links names 'wan', which is not there; 'lan' is the nearest"),
        ({"links": []}, "links holds none; a lab.Link, its name, or several of them are expected"),
    ],
)  # fmt: skip
def test_what_cannot_be_dealt(given: dict[str, Any], words: str) -> None:
    """One sentence that names what would do."""
    with pytest.raises(BadInput) as refused:
        fleet(10, **given)
    assert words in str(refused.value)


def test_a_fleet_put_together_by_hand() -> None:
    """It has its own profiles and faults, and a name for each device."""
    assert [one.device.endpoint for one in fleet([lab.DeviceOptions(endpoint=name) for name in "ab"])] == ["a", "b"]
    with pytest.raises(BadInput, match="two devices have the endpoint name 'urn:dev:lab-1'; each its own is expected"):
        fleet([lab.DeviceOptions(), lab.DeviceOptions()])
    with pytest.raises(BadInput, match="faults are given beside a list of devices, which have their own"):
        fleet([lab.DeviceOptions()], faults={})
    with pytest.raises(BadInput, match=r"devices holds 'a'; a number of devices, or lab.DeviceOptions of each, are"):
        fleet(["a"])

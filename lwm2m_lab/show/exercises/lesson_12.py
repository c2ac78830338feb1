"""Exercises of lesson 12, a fleet."""

from __future__ import annotations

import functools
import math
from typing import Any

from lwm2m_lab.live.campaign_run import CampaignRun
from lwm2m_lab.live.rollout import campaign
from lwm2m_lab.show.answers import whole
from lwm2m_lab.show.exercises.judging import Exercise, whole_number
from lwm2m_lab.spec.profiles import PROFILES

__all__ = ["EXERCISES"]

#: A cell, its datagrams and its senders: bits a second, bytes, seconds.
_RATE, _DATAGRAM, _ACK_TIMEOUT = 80_000, 560, 2.0
_FAULT, _SURE = 0.02, 0.95


def _limit(answer: Any) -> str:
    exact = _RATE * _ACK_TIMEOUT / (8 * _DATAGRAM)
    slips = {
        math.ceil(exact): "So many datagrams take longer than two seconds, if only a little.",
        math.floor(exact / _ACK_TIMEOUT): "So many leave in one second; the senders are patient for two.",
        math.floor(exact * 8): "The rate is in bits a second, the datagram in bytes.",
        math.floor(exact / 8): "That divides by eight twice.",
    }
    return whole_number(answer, math.floor(exact), slips, "With {} at once the last of them does not just fit.")


def _pilot(answer: Any) -> str:
    right = math.ceil(math.log(1 - _SURE) / math.log(1 - _FAULT))
    answer = whole(answer)
    if answer is None:
        return "A whole number of devices is asked for."
    if not 1 <= answer <= 10**6:
        return f"{answer} is out of the question here."
    if answer == right:
        return ""
    seen = 1 - (1 - _FAULT) ** answer
    if answer < right:
        expected = " On average one has it, which is not enough." if answer == round(1 / _FAULT) else ""
        return f"Among {answer} devices at least one has it with {seen:.1%}.{expected}"
    return f"{answer} are enough, with {seen:.1%}, but fewer are as well."


@functools.lru_cache(maxsize=1)
def _fleet() -> CampaignRun:
    """The campaign of the third exercise."""
    shares = {"strict": 0.6, "anjay": 0.2, "zephyr": 0.1, "wakaama": 0.1}
    return campaign(60, size=5_000, profiles=shares, links=["lan", "lte_m"])


def _in_common(answer: Any) -> str:
    try:
        given = {answer} if isinstance(answer, str) else set(answer)
    except TypeError:
        given = set()
    if not given or not given <= set(PROFILES):
        return f"A set of profiles is asked for, such as {{'strict'}}; those there are: {', '.join(PROFILES)}."
    devices = _fleet().devices
    counts = devices.assign(good=devices["outcome"] == "succeeded").groupby("profile")["good"].agg(["sum", "size"])
    right = set(counts.index[counts["sum"] == 0])
    extra, lacking = sorted(given - right), sorted(right - given)
    if extra:
        good, size = counts.loc[extra[0], ["sum", "size"]]
        return f"Of the {size} devices with {extra[0]} {good} were updated."
    return f"{len(lacking)} more profile fails wherever it is." if lacking else ""


EXERCISES: dict[str, Exercise] = {
    "12-limit": Exercise(
        _limit,
        (
            "while the cell sends the blocks of all the others, the first one waits.",
            "560 bytes are 4480 bits; how many of them fit into what the cell sends in ACK_TIMEOUT?",
        ),
        "35 datagrams take 1.96 s: with the round trip on top you would stay a few below it.",
    ),
    "12-pilot": Exercise(
        _pilot,
        (
            "with which probability has none of n devices the fault?",
            "0.98 to the power of n has to be 0.05 at the most.",
        ),
        "149, three times the fifty in which one is *expected*: three divided by the rate is the rule of thumb.",
    ),
    "12-in-common": Exercise(
        _in_common,
        (
            "done.devices is a DataFrame: group it by a column and by outcome.",
            'try done.devices.groupby(["profile", "outcome"]).size(), and the same with "link".',
        ),
        "neither the link nor the stage, the profile it is: two implementations, two causes, one column.",
    ),
}

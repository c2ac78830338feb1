"""Every kind of failure that is dealt can be told from its capture, and is another one with another seed."""

from __future__ import annotations

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.deals import KINDS, deal

#: Outcome and verdict by the capture; for the rest of the kinds the rule that speaks.
SHOWN = {
    "not found": ("failed", "PASS", "F11"),
    "damaged image": ("failed", "PASS", None),
    "same version": ("succeeded", "PASS", None),
    "version stays": ("succeeded", "FAIL", "V1"),
    "result forgotten": ("unfinished", "INCONCLUSIVE", "F3"),
    "installation fails": ("failed", "PASS", None),
    "trial reverted": ("failed", "PASS", None),
    "link cut": ("unfinished", "PASS", "M0"),
    "slow answers": ("succeeded", "PASS", "M6"),
    "lossy link": ("succeeded", "PASS", None),
    "copy written": ("failed", "INCONCLUSIVE", "M3"),
    "not observed": ("unfinished", "INCONCLUSIVE", "F2"),
    "version on failure": ("failed", "FAIL", "V4"),
    "half of each": ("failed", "FAIL", "W12"),
    "no room": ("failed", "PASS", None),
    "success too early": ("succeeded", "FAIL", "F4"),
    "execute ignored": ("unfinished", "INCONCLUSIVE", "F5"),
    "not registered again": ("unfinished", "INCONCLUSIVE", "F18"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_deal_shows_what_it_is(name: str) -> None:
    """Outcome, verdict and rule, whatever the names and numbers; the device's side of the story is the truth."""
    for seed in ("a", "b"):
        dealt = deal(name, seed)
        explained = lab.explain(dealt.capture)
        (update,) = explained.updates
        outcome, verdict, rule = SHOWN[name]
        assert (update.outcome, update.verdict) == (outcome, verdict)
        assert rule is None or rule in {one.rule for one in explained.problems}
        assert update.endpoint == dealt.stage.device.endpoint
        assert (dealt.run.truth[-1].firmware_version == dealt.stage.image.version) == (
            name
            in (
                "same version",
                "version stays",
                "result forgotten",
                "slow answers",
                "lossy link",
                "not observed",
                "not registered again",
            )
        )


def test_no_two_deals_are_alike() -> None:
    """Names, addresses, message ids and times differ; the same seed gives the same messages."""
    first, second, again = deal("no room", 1), deal("no room", 2), deal("no room", 1)
    assert first.capture.messages.equals(again.capture.messages)
    for column in ("time", "src", "mid"):
        assert set(first.capture.messages[column]).isdisjoint(second.capture.messages[column])
    assert first.stage.device.endpoint != second.stage.device.endpoint
    assert first.stage.image.sha256 != second.stage.image.sha256


def test_another_kind_is_refused() -> None:
    """With those there are."""
    with pytest.raises(BadInput, match="no failure is named 'bad luck'; one of not found, damaged image, "):
        deal("bad luck", 1)

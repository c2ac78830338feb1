"""What a link may be."""

from __future__ import annotations

import math
import random

import pytest

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.link import Link


def test_one_value_holds_for_both_directions() -> None:
    """A plain number is up and down."""
    link = Link(delay=0.2)
    assert link.path("up").delay == link.path("down").delay == 0.2


def test_directions_apart() -> None:
    """A mapping names up and down."""
    link = Link(rate={"up": 1000.0, "down": math.inf}, outages={"up": [(1, 2)], "down": []})
    assert (link.path("up").rate, link.path("down").rate) == (1000.0, math.inf)
    assert link.path("up").is_down(1.5)
    assert not link.path("up").is_down(2)
    assert not link.path("down").is_down(1.5)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"loss": 1.5}, "loss of the link is 1.5; a probability from 0 to 1"),
        ({"loss": float("nan")}, "loss of the link is nan"),
        ({"delay": -1}, "delay of the link is -1; seconds, 0 or more"),
        ({"delay": math.inf}, "delay of the link is inf"),
        ({"rate": 0}, "rate of the link is 0; bits per second"),
        ({"duplication": "often"}, "duplication of the link is 'often'"),
        ({"loss": {"up": 0.1}}, "both 'up' and 'down'"),
        ({"outages": [(5, 2)]}, "start before end"),
        ({"outages": 3}, "outages of the link are 3"),
    ],
)
def test_what_no_link_can_be(fields: dict[str, object], sentence: str) -> None:
    """A value out of range is refused in one sentence that names it."""
    with pytest.raises(BadInput, match=sentence):
        Link(**fields)  # type: ignore[arg-type]


def test_a_reordered_datagram_is_held_back() -> None:
    """With certainty of reordering the delay is two and a half times as long, so that the next one overtakes."""
    assert Link(delay=0.1, reordering=1.0).path("up").latency(random.Random(1)) == pytest.approx(0.25)


def test_jitter_stays_in_its_range() -> None:
    """Jitter adds up to its value and nothing below."""
    path, dice = Link(delay=1.0, jitter=0.5).path("down"), random.Random(3)
    drawn = [path.latency(dice) for _ in range(200)]
    assert 1.0 <= min(drawn) < 1.05
    assert 1.45 < max(drawn) <= 1.5


def test_presets_are_links() -> None:
    """Every preset prints as what it changes."""
    assert repr(Link.lan()) == "Link(delay=0.01, rate=10000000.0)"
    assert Link.nb_iot(coverage="poor").path("up").rate == 5e3
    assert Link.lte_m().path("up").rate > Link.lte_m().path("down").rate
    with pytest.raises(BadInput, match="'good' or 'poor'"):
        Link.nb_iot(coverage="none")  # type: ignore[arg-type]

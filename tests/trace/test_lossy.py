"""The closed formula for a lossy link."""

from __future__ import annotations

import math

import pytest

from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.lossy import Lossy


@pytest.mark.parametrize(
    ("loss", "fails"), [(0.0, 0.0), (0.01, 1.2e-6), (0.05, 3.4e-3), (0.10, 0.092), (0.20, 0.91)]
)  # fmt: skip
def test_how_many_transfers_fail(loss: float, fails: float) -> None:
    """391 blocks, default timers: the figures of the books."""
    assert 1 - Lossy(up=loss, down=loss).delivered(391) == pytest.approx(fails, rel=0.03)


def test_what_a_lost_block_waits() -> None:
    """One retransmission alone: the mean first time-out, for the share of blocks that needed it."""
    link = Lossy(up=0.0, down=0.1, max_retransmit=1, ack_timeout=4.0)
    assert link.first_timeout_s == 5.0
    assert link.extra_s == pytest.approx(5.0 * 0.1 / 1.1)
    assert link.copies == pytest.approx(0.1 / 1.1)


def test_a_link_without_loss_costs_nothing_and_a_dead_one_has_no_mean() -> None:
    """The two ends."""
    assert (Lossy(up=0.0, down=0.0).extra_s, Lossy(up=0.0, down=0.0).delivered(10**6)) == (0.0, 1.0)
    dead = Lossy(up=1.0, down=0.0)
    assert math.isnan(dead.extra_s)
    assert dead.delivered(1) == 0.0


def test_a_probability_is_one() -> None:
    """Two is none."""
    with pytest.raises(BadInput, match="loss up is 2; a probability from 0 to 1 is expected"):
        Lossy(up=2, down=0.0)

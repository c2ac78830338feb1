"""A strategy of one's own is scored as row S8, and not to know costs less than to be wrong."""

from __future__ import annotations

import pytest

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.strategies import STRATEGIES
from lwm2m_lab.live.strategy_score import COSTS, score_strategy, shuffled_devices
from lwm2m_lab.live.truth_table import truth_table


def test_a_known_strategy_scores_as_in_the_table() -> None:
    """S6 as S8."""
    assert score_strategy(STRATEGIES["S6"].judge, unseen=2).row == truth_table(["S6"])["S6"]


def test_not_to_know_is_cheaper() -> None:
    """Than any wrong answer."""
    assert COSTS["ok"] < COSTS["?"] < min(COSTS["FF"], COSTS["FS"])


def test_the_seed_deals_the_devices() -> None:
    """The same again, others with another."""
    assert shuffled_devices(5, seed=1) == shuffled_devices(5, seed=1) != shuffled_devices(5, seed=2)


@pytest.mark.parametrize("answer", [lambda seen: ..., lambda seen: seen.nothing, 3])
def test_what_is_no_answer_is_said(answer: object) -> None:
    """An ellipsis, a function that fails, no function."""
    with pytest.raises(BadInput, match="expected"):
        score_strategy(answer, unseen=1)  # type: ignore[arg-type]

"""The map of a sweep."""

from __future__ import annotations

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.show import png_bytes
from lwm2m_lab.trace.sweep_table import SweepTable


@pytest.fixture(scope="module")
def table() -> SweepTable:
    """Two block sizes, three losses; with the last nothing arrives."""
    return lab.sweep(block_size=[256, 1024], loss=[0.0, 0.1, 0.9], seeds=range(2), size=4_000)


def test_measured_beside_the_formula(table: SweepTable) -> None:
    """Two maps, a row and a column for each value, a number in each cell; the title says how far they are apart."""
    figure = table.heatmap()
    measured, formula, _ = figure.axes
    assert (measured.get_title("left"), formula.get_title("left")) == ("measured", "closed formula")
    assert [tick.get_text() for tick in measured.get_xticklabels()] == ["256", "1024"]
    assert [tick.get_text() for tick in measured.get_yticklabels()] == ["0", "0.1", "0.9"]
    assert [words.get_text() for words in measured.texts] == ["100%", "100%", "100%", "100%", "0%", "0%"]
    assert (measured.get_xlabel(), measured.get_ylabel()) == ("block_size, bytes", "loss, probability")
    assert "12 runs against the closed formula" in figure.get_suptitle()


def test_what_never_arrived_has_no_mean(table: SweepTable) -> None:
    """And is said so in its cell."""
    figure = table.heatmap("loss", "block_size", value="transfer_s")
    assert [words.get_text() for words in figure.axes[0].texts].count("none arrived") == 2
    assert png_bytes(figure) == png_bytes(table.heatmap("loss", "block_size", value="transfer_s"))


def test_a_value_without_a_formula_stands_alone(table: SweepTable) -> None:
    """One map; and where one parameter alone was varied, one row."""
    assert len(table.heatmap(value="energy_j").axes) == 2
    one = table[table["block_size"] == 256].heatmap("loss", value="bytes_on_air")
    assert len(one.axes[0].get_yticklabels()) == 1


def test_what_is_no_parameter_and_no_number(table: SweepTable) -> None:
    """One sentence each."""
    with pytest.raises(
        BadInput, match="'seed' is no parameter of this sweep; one of block_size, loss, size is expected"
    ):
        table.heatmap("seed")
    with pytest.raises(BadInput, match="value is 'outcome'; one of delivered, "):
        table.heatmap(value="outcome")

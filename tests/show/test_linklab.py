"""The link lab: a control moves, the update runs anew, numbers and picture follow."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.linklab import LinkLab

#: How a PNG begins.
PNG = b"\x89PNG"


def until(true: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("delay", 0.5), ("delay", 0.0), ("loss", 0.2), ("rate", 20e3), ("size", 5_000), ("block_size", 128),
        ("delivery", "pull"), ("ack_timeout", 8.0), ("seed", 5),
    ],
)  # fmt: skip
def test_every_control_changes_the_picture(name: str, value: float | str) -> None:
    """And the numbers are those of a run with these settings."""
    panel = LinkLab(loss=0.1)
    before = panel.picture.value
    panel.controls[name].value = value
    assert panel.picture.value[:4] == before[:4] == PNG
    assert panel.picture.value != before
    table = lab.sweep(
        **{key: one for key, one in panel.settings.items() if key != "seed"}, seeds=panel.settings["seed"]
    )
    assert table["transfer_s"].iloc[0] == panel.row["transfer_s"]
    assert table["expected_s"].iloc[0] == panel.row["expected_s"]


def test_it_says_what_came_of_it() -> None:
    """Arrived or not, beside the formula."""
    panel = LinkLab(loss=0.0, delay=0.1, block_size=1024)
    assert "arrived in <b>4.0 s</b>" in panel.message.value
    assert "Closed formula: 4.0 s without loss" in panel.message.value
    panel.controls["loss"].value = 0.5
    panel.controls["max_retransmit"].value = 0
    assert "<b>did not arrive</b>" in panel.message.value


def test_same_settings_same_picture() -> None:
    """Byte for byte; and other dice, another picture."""
    panel, other = LinkLab(loss=0.1), LinkLab(loss=0.1)
    assert panel.picture.value == other.picture.value
    other.again.click()
    assert other.settings["seed"] == 2
    assert panel.picture.value != other.picture.value


def test_a_long_run_shows_how_far_it_is_and_can_be_stopped() -> None:
    """A megabyte in blocks of 16: the callback returns, the bar moves, the button ends it."""
    panel = LinkLab(loss=0.0)
    drawn = panel.picture.value
    panel.controls["size"].value = 1_000_000
    panel.controls["block_size"].value = 16
    assert panel.stop.layout.display == ""
    until(lambda: panel.progress.value > 0)
    panel.stop.click()
    assert "Stopped." in panel.message.value
    assert panel.stop.layout.display == "none"
    stopped_at = panel.progress.value
    assert 0 < stopped_at < 1_000_000
    assert panel.picture.value == drawn


def test_a_move_during_a_long_run_begins_anew() -> None:
    """What is shown in the end is the last move."""
    panel = LinkLab(loss=0.0)
    panel.controls["size"].value = 1_000_000
    panel.controls["block_size"].value = 16
    panel.controls["size"].value = 5_000
    panel.wait()
    assert panel.row["goodput"] == pytest.approx(5_000 / panel.row["transfer_s"])
    assert panel.progress.layout.display == "none"


def test_a_long_run_ends_with_its_picture() -> None:
    """Without being stopped."""
    panel = LinkLab(loss=0.0, block_size=128)
    drawn = panel.picture.value
    panel.controls["size"].value = 100_000
    panel.controls["block_size"].value = 64
    panel.wait()
    assert "arrived in" in panel.message.value
    assert panel.picture.value != drawn


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ({"loss": 2}, "loss is 2; a number from 0 to 0.5 is expected"),
        ({"loss": "much"}, "loss is 'much'; a number from 0 to 0.5 is expected"),
        ({"block_size": 500}, "block_size is 500; one of 16, 32, 64, 128, 256, 512, 1024 is expected"),
        ({"rate": 1}, "rate is 1; one of 5000.0, "),
        ({"seed": 0.5}, "seed is 0.5; a number from 0 to "),
        ({"jitter": 1}, "the link lab has no control 'jitter'; one of delay, "),
    ],
)  # fmt: skip
def test_where_no_control_can_stand(start: dict[str, float | str], words: str) -> None:
    """One sentence."""
    with pytest.raises(BadInput) as refused:
        lab.show.link_lab(**start)
    assert words in str(refused.value)

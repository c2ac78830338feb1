"""The dashboard of a campaign: what is drawn is what the tables say, and the titles say what was found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

import lwm2m_lab as lab
from lwm2m_lab.live.campaign_run import CampaignRun
from lwm2m_lab.show.campaign_board import _emptying
from lwm2m_lab.show.style import STATE_COLOURS, png_bytes

FAULTS = {"keeps-firmware-version": 0.1, "refuses-block1": 0.05}


def campaign(**given: Any) -> CampaignRun:
    """Forty devices, some of them bad."""
    return lab.campaign(40, **{"size": 2000, "limit": 8, "faults": FAULTS, "stages": (0.25, 1.0), **given})


def tops(ax: Axes) -> dict[str, float]:
    """How high each layer of a stacked picture is at its right end."""
    heights = {}
    for area in ax.collections:
        points = area.get_paths()[0].vertices
        right = points[np.isclose(points[:, 0], points[:, 0].max())]
        heights[str(area.get_label())] = float(np.ptp(right[:, 1]))
    return heights


def test_the_layers_are_the_tables() -> None:
    """At the right end: what has become of them, and what they run."""
    done = campaign()
    states, versions, causes = done.plot().axes
    last = done.states.iloc[-1]
    drawn = tops(states)
    assert {name: drawn.get(name, 0) for name in STATE_COLOURS} == last.drop("time_s").to_dict()
    assert tops(versions) == {"1.0.0": 2.0, "2.0.0": 38.0}
    assert sorted(round(bar.get_width()) for bar in causes.patches if bar.get_width()) == [2, 4]


def test_titles_say_what_was_found() -> None:
    """How it went, how many at once, who runs what, how long the queue was, what went wrong."""
    figure = campaign(cell_rate=30e3).plot()
    assert figure.get_suptitle().startswith("Campaign: 34 of 40 devices updated in ")
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles[0] == "Where the devices are: 8 under way at the most, the limit is 8"
    assert titles[1] == "Which firmware runs: 2.0.0 on 38 of 40 in the end; the server knows of 34"
    assert titles[2].startswith("The cell's queue: ")
    assert titles[3] == "What went wrong: 4 of 6 have the same first cause"


def test_stages_and_the_stop_are_marked() -> None:
    """Dashed where a stage begins, red where the rule held."""
    done = campaign(stop_at=0.1, at_least=12)
    figure = done.plot()
    assert done.stopped_s is not None
    lines = {line.get_xdata()[0] for line in figure.axes[0].lines}
    assert lines == {done.stages[1].began_s, done.stopped_s}
    words = [text.get_text() for text in figure.axes[0].texts]
    assert "stopped" in words
    assert figure.get_suptitle().startswith("Campaign: stopped in stage 2 after ")


def test_nothing_went_wrong() -> None:
    """Said in words, where bars would be."""
    figure = campaign(faults={}).plot()
    assert figure.axes[-1].get_title(loc="left") == "What went wrong: nothing"


@pytest.mark.parametrize("captures", [0, 20])
def test_same_campaign_same_picture(captures: int) -> None:
    """Byte for byte; who says why is a colour."""
    one, other = (png_bytes(campaign(captures=captures).plot()) for _ in range(2))
    assert one == other


def test_a_queue_empties_while_nothing_comes() -> None:
    """A wait of three seconds is one of two a second later, and none before the next datagram."""
    waits = pd.Series([3.0, 0.5], index=[10.0, 15.0])
    assert _emptying(waits) == ([10, 11, 12, 13, 14, 15, 16], [3, 2, 1, 0, 0, 0.5, 0])
    far = pd.Series([0.0, 1.0], index=[0.0, 10_000.0])
    assert len(_emptying(far)[0]) < 6

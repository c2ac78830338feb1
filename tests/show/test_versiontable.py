"""The table of who is fooled, in colours and words; each cell opens its run."""

from __future__ import annotations

import pytest

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.staged import Stage
from lwm2m_lab.show.style import png_bytes
from lwm2m_lab.show.versiontable import truth_table_panel


def test_a_cell_opens_its_run() -> None:
    """Another device, another chart and sentence."""
    panel = truth_table_panel(device="D5", strategy="S3")
    before = panel.picture.value
    assert "false success" in panel.status.value
    panel.device.value = "D2"
    assert "false failure" in panel.status.value
    assert panel.picture.value != before
    assert panel.table.value.count("aria-selected") == 1


def test_scores_are_words() -> None:
    """Not colours alone."""
    shown = truth_table_panel().table.value
    assert all(word in shown for word in ("ok", "false success", "false failure", "undecided"))


def test_another_device_is_refused() -> None:
    """In a sentence."""
    with pytest.raises(BadInput, match="no device is named 'D12'"):
        truth_table_panel(device="D12")


def test_charts_of_all_devices_stand_still_and_whole() -> None:
    """The axes keep their place from one device to the next, and no word is cut off at an edge."""
    panel = truth_table_panel()
    places = set()
    for case in panel.truth.cases:
        panel.device.value = case.name
        figure = panel.figure
        png_bytes(figure)
        places.add(tuple(ax.get_position().bounds for ax in figure.axes))
        (width, height), box = figure.get_size_inches(), figure.get_tightbbox()
        assert box.x0 >= 0, case.name
        assert box.y0 >= 0, case.name
        assert box.x1 <= width, case.name
        assert box.y1 <= height, case.name
    assert len(places) == 1


def test_another_cell_runs_no_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs are those of the table: a move takes the time of a drawing, and the second look at it next to none."""
    panel = truth_table_panel(device="D1")
    first = panel.picture.value

    def refuses(self: Stage) -> None:
        raise AssertionError("an update was run")

    monkeypatch.setattr(Stage, "run", refuses)
    panel.device.value = "D3"
    monkeypatch.setattr("lwm2m_lab.show.versiontable.version_chart", refuses)
    panel.device.value = "D1"
    assert panel.picture.value == first

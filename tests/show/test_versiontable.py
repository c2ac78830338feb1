"""The table of who is fooled, in colours and words; each cell opens its run."""

from __future__ import annotations

import pytest

from lwm2m_lab.errors import BadInput
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

"""For the eye: charts, ladders, diagrams, the stepper and the exercises. Heavy imports wait for the first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lwm2m_lab.show.app import Workbench, workbench
    from lwm2m_lab.show.beside import SideBySide, side_by_side
    from lwm2m_lab.show.blocks import BlockExplorer, block_explorer
    from lwm2m_lab.show.board import conformance_board, conformance_matrix
    from lwm2m_lab.show.campaigning import CampaignDashboard, campaign_dashboard
    from lwm2m_lab.show.case_explorer import conformance_explorer
    from lwm2m_lab.show.chart import version_chart
    from lwm2m_lab.show.clinic.card import CaseCard, case_card
    from lwm2m_lab.show.clinic.cases import Case, case
    from lwm2m_lab.show.diagram import state_diagram
    from lwm2m_lab.show.differences import RuleDiff, rule_diff
    from lwm2m_lab.show.exercises import check
    from lwm2m_lab.show.images import ImageExplorer, image_explorer
    from lwm2m_lab.show.linklab import LinkLab, link_lab
    from lwm2m_lab.show.scene import rungs
    from lwm2m_lab.show.sequence import ladder
    from lwm2m_lab.show.slots import SlotAnimation, slot_animation
    from lwm2m_lab.show.stepping import Stepper, stepper
    from lwm2m_lab.show.style import png_bytes, save_figure
    from lwm2m_lab.show.triaging import triage_card
    from lwm2m_lab.show.versiontable import VersionTable, truth_table_panel

_HOMES = {
    "BlockExplorer": "blocks",
    "CampaignDashboard": "campaigning",
    "Case": "clinic.cases",
    "CaseCard": "clinic.card",
    "ImageExplorer": "images",
    "RuleDiff": "differences",
    "SideBySide": "beside",
    "LinkLab": "linklab",
    "SlotAnimation": "slots",
    "Stepper": "stepping",
    "block_explorer": "blocks",
    "campaign_dashboard": "campaigning",
    "case": "clinic.cases",
    "case_card": "clinic.card",
    "Workbench": "app",
    "check": "exercises",
    "image_explorer": "images",
    "conformance_board": "board",
    "conformance_explorer": "case_explorer",
    "conformance_matrix": "board",
    "ladder": "sequence",
    "link_lab": "linklab",
    "png_bytes": "style",
    "rule_diff": "differences",
    "rungs": "scene",
    "save_figure": "style",
    "side_by_side": "beside",
    "slot_animation": "slots",
    "state_diagram": "diagram",
    "stepper": "stepping",
    "VersionTable": "versiontable",
    "triage_card": "triaging",
    "truth_table_panel": "versiontable",
    "version_chart": "chart",
    "workbench": "app",
}

__all__ = [
    "BlockExplorer",
    "CampaignDashboard",
    "Case",
    "CaseCard",
    "ImageExplorer",
    "LinkLab",
    "RuleDiff",
    "SideBySide",
    "SlotAnimation",
    "Stepper",
    "VersionTable",
    "Workbench",
    "block_explorer",
    "campaign_dashboard",
    "case",
    "case_card",
    "check",
    "conformance_board",
    "conformance_explorer",
    "conformance_matrix",
    "image_explorer",
    "ladder",
    "link_lab",
    "png_bytes",
    "rule_diff",
    "rungs",
    "save_figure",
    "side_by_side",
    "slot_animation",
    "state_diagram",
    "stepper",
    "triage_card",
    "truth_table_panel",
    "version_chart",
    "workbench",
]


def __getattr__(name: str) -> Any:
    """Import a drawing at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"lwm2m_lab.show has no name {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

"""The conformance bench: OMA's test cases for the firmware update, and the lab's own, against any device."""

from __future__ import annotations

from lwm2m_lab.live.conformance.bench import conformance
from lwm2m_lab.live.conformance.cases import CASES
from lwm2m_lab.live.conformance.records import Case, CaseResult, StepResult
from lwm2m_lab.live.conformance.result import Conformance
from lwm2m_lab.live.conformance.rig import Pace

__all__ = ["CASES", "Case", "CaseResult", "Conformance", "Pace", "StepResult", "conformance"]

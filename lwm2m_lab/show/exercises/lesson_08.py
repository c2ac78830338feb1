"""Exercises of lesson 08, the failure clinic: the twelve cases."""

from __future__ import annotations

from lwm2m_lab.show.clinic.cases import CASES
from lwm2m_lab.show.exercises.judging import Exercise

__all__ = ["EXERCISES"]

EXERCISES: dict[str, Exercise] = {
    f"08-{number:02d}": Exercise(one.lacks, one.hints, one.reasoning) for number, one in CASES.items()
}

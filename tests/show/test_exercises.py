"""Exercises tell what is missing, and the lessons' own solutions satisfy them."""

from __future__ import annotations

import pathlib
import re

import nbformat
import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.exercises import EXERCISES

NOTEBOOKS = pathlib.Path(__file__).resolve().parents[2] / "notebooks"


def asked(path: pathlib.Path) -> set[str]:
    """The exercises that a notebook checks."""
    cells = nbformat.read(path, as_version=4).cells
    return {name for cell in cells if cell.cell_type == "code" for name in re.findall(r'check\("([^"]+)"', cell.source)}


@pytest.mark.parametrize("name", list(EXERCISES))
def test_no_answer_and_nonsense_are_answered_with_a_hint(name: str) -> None:
    """Never just "wrong", never an error, and another hint the next time."""
    for answer in (None, "nonsense", -1, [], {}, object()):
        feedback = lab.check(name, answer)
        assert not feedback.right
        assert len(feedback.words) > 15


def test_each_exercise_is_asked_in_a_lesson() -> None:
    """And each lesson has two or three; the clinic has one for each case, the index none."""
    lessons = {path: asked(path) for path in sorted(NOTEBOOKS.glob("*.ipynb"))}
    assert set().union(*lessons.values()) == set(EXERCISES)
    for path, names in lessons.items():
        assert len(names) in {"00": (0,), "03": (5,), "08": (12,)}.get(path.name[:2], (2, 3)), path.name


def test_solutions_are_right() -> None:
    """Every check that a solution stores is a right one."""
    for path in sorted((NOTEBOOKS / "solutions").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code" and "lab.check(" in cell.source:
                shown = "".join(one["data"]["text/plain"] for one in cell.outputs if "data" in one)
                assert shown.startswith("✓"), f"{path.name}: {cell.source}"


def test_an_unknown_exercise_is_named() -> None:
    """With those there are."""
    with pytest.raises(BadInput, match="01-blocks"):
        lab.check("99-nothing", 1)

"""Exercises tell what is missing, and the lessons' own solutions satisfy them."""

from __future__ import annotations

import pathlib
import re
from typing import Any

import nbformat
import numpy as np
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
    for answer in (
        None,
        "nonsense",
        -1,
        [],
        {},
        object(),
        float("nan"),
        float("inf"),
        2.5,
        True,
        np.bool_(True),
        b"x",
        {1: 2},
    ):
        feedback = lab.check(name, answer)
        assert not feedback.right
        assert len(feedback.words) > 15


def fails_idle(seen: Any) -> bool:
    """Forgets that a result may be missing."""
    return bool(seen.settled.result < 2)


ROWS = {"S2": "ok ok FS ok FS FS ok FF FS ok FS", "S3": "ok ok FS ok FS ok FF ok ok ok FS", "S6": "ok " * 11}
LABELS = {"/5/0/7": "- - 2.0.0 2.0.0 -", "/3/0/3": "1.0.0 1.0.0 1.0.0 2.0.0 2.0.0", "/3/0/19": "5.0.0 " * 5}
#: An answer that is nearly right, and words that say what it lacks.
NEARLY: list[tuple[str, object, str]] = [
    ("01-blocks", 78, "too few"),
    ("01-what-runs", "/5/0/7", "PkgVersion"),
    ("02-only-later", {lab.Event.CANCEL, lab.Event.UPDATE}, "does not belong there"),
    ("02-failed", lab.Machine("1.1"), "has not moved"),
    ("03-labels", LABELS, "/5/0/7 is not 2.0.0 on trial: does a whole package lie there at that moment?"),
    ("03-labels", {**LABELS, "/5/0/7": "- - 2.0.0"}, "/5/0/7 has 3 values; five are asked for"),
    ("03-rows", ROWS, "S3 has 1 cell that the runs do not bear out, D2 the first: it never sets /3/0/3"),
    ("03-server", fails_idle, "an answer is expected"),
    ("03-server", lambda seen: seen.first.result == 1, "takes for not updated D4, which forgets the result"),
    ("03-device", lab.DeviceOptions(install_fails=True), "That is D6"),
    ("03-device", lab.DeviceOptions(slots="ab"), "It fools S1, S6; exactly one"),
    ("03-device", lab.DeviceOptions(faults=("ignores-execute",)), "does not conform"),
    ("03-files", {"anjay-push-same-version": ("succeeded", "PASS")}, "each a pair"),
    ("03-evidence", {"d"}, "1 of 2 found"),
    ("03-evidence", {"d", "e", "f"}, "one string more"),
    ("04-szx", 256, "the exponent"),
    ("04-offset", 390, "how many bytes lie before"),
    ("05-go-wrong", 400, "twice"),
    ("05-time-out", 4, "sent again, though nothing is lost"),
    ("05-copies", 7, "arrive"),
    ("06-asks", "server", "sends no GET"),
    ("06-resumed", 3, "before the cut"),
    ("06-option", "Size2", "as long as the old one"),
    ("07-frame", 16, "ACK 2.04 Changed"),
    ("07-outcome-verdict", ("failed", "FAIL"), "The outcome is right"),
    ("07-copies", 4, "too few"),
    ("09-check", "hash", "as good as before"),
    ("09-boots", 2, "Count the very first"),
    ("10-version", "1.2", "That is the version of LwM2M itself."),
    ("10-cancel", {lab.State.IDLE}, "is refused"),
    ("10-results", {10}, "1 of 2 found"),
    ("11-remedy", "the psk", "forward secrecy"),
    ("11-verdict", "FAIL", "would blame or excuse"),
]


@pytest.mark.parametrize(
    ("name", "answer", "lacks"), NEARLY, ids=[f"{name}-{at}" for at, (name, _, _) in enumerate(NEARLY)]
)
def test_what_is_nearly_right_is_told_what_it_lacks(name: str, answer: object, lacks: str) -> None:
    """In words of its own, before the hint."""
    said = lab.check(name, answer)
    assert not said.right
    assert lacks in said.words.partition(" Hint: ")[0]


#: Right, as people hand it in: numpy's numbers, a division, blanks, another case, a list for a string.
ALIKE: list[tuple[str, object]] = [
    ("01-blocks", np.int64(79)),
    ("01-what-runs", " /3/0/3 "),
    ("02-only-later", lab.Event.CANCEL),
    ("03-labels", {"/5/0/7": [None, None, "2.0.0", None, None], "/3/0/3": ["1.0.0"] * 3 + ["2.0.0"] * 2,
                   "/3/0/19": ["5.0.0"] * 5}),
    ("03-rows", {"S2": "OK ok fs ok FS FS ok FF FS ok FS",
                 "S3": ["ok", "FF", "FS", "ok", "FS", "ok", "FF", "ok", "ok", "ok", "FS"],
                 "S6": "ok ok ok ok ok ok ok ok FS ok FS"}),
    ("03-files", {"anjay-push-same-version": ["Succeeded", "undecided"],
                  "anjay-push-delayed-failure": ["failed", "fail"]}),
    ("04-rescale", 1536 / 64),
    ("05-time-out", 5.0),
    ("05-copies", np.int32(8)),
    ("06-asks", "Device"),
    ("07-frame", np.uint32(23)),
    ("07-outcome-verdict", ["Failed", "pass"]),
    ("08-01", ("object 5", np.int64(23), "Repository", "failed", "pass")),
    ("12-pilot", 149.0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "answer"), ALIKE, ids=[name for name, _ in ALIKE])
def test_what_is_right_is_right_in_every_type(name: str, answer: object) -> None:
    """How a number was come by, and how a word is spelled, is no part of the exercise."""
    assert lab.check(name, answer).right, lab.check(name, answer).words


def test_each_exercise_is_asked_in_a_lesson() -> None:
    """And each lesson has two or three; the clinic has one for each case, the index none."""
    lessons = {path: asked(path) for path in sorted(NOTEBOOKS.glob("*.ipynb"))}
    assert set().union(*lessons.values()) == set(EXERCISES)
    for path, names in lessons.items():
        assert len(names) in {"00": (0,), "03": (6,), "08": (12,)}.get(path.name[:2], (2, 3)), path.name


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
        lab.check("01-block", 1)

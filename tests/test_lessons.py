"""Every lesson keeps the form that its reader relies on, can be shown as slides, and stands in the trainer's table."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
from typing import Any

import nbformat
import pytest
from nbconvert import SlidesExporter

ROOT = pathlib.Path(__file__).resolve().parents[1]
LESSONS = [path for path in sorted((ROOT / "notebooks").glob("*.ipynb")) if not path.name.startswith("00-")]
TEACHING = (ROOT / "docs" / "teaching.md").read_text(encoding="utf-8")

lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def cells(path: pathlib.Path, kind: str | None = None) -> list[Any]:
    """The cells of a notebook, of one kind alone if asked."""
    return [cell for cell in nbformat.read(path, as_version=4).cells if kind in (None, cell.cell_type)]


def prose(path: pathlib.Path) -> str:
    """Everything that is said."""
    return "\n".join(cell.source for cell in cells(path, "markdown"))


def shows_widget(cell: Any) -> bool:
    """Whether a panel is the output of a cell."""
    return any("Box(children=" in str(one.get("data", {}).get("text/plain", "")) for one in cell.outputs)


@lesson
def test_the_top_says_what_how_long_and_after_what(path: pathlib.Path) -> None:
    """A heading with the lesson's number, its question in bold, minutes, prerequisites."""
    top = cells(path)[0].source
    assert re.match(rf"# {path.name[:2]} · \w", top)
    assert re.search(r"\*\*[^*]+\?\*\*", top)
    assert re.search(r"\*\d+ minutes", top)
    assert re.search(r"after lessons? \d\d|no prerequisites", top)


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_picture_within_three_cells(path: pathlib.Path) -> None:
    """A chart, a card or a panel: the question first, and then something to look at."""
    shown = [one.get("data", {}) for cell in cells(path)[:3] for one in cell.get("outputs", [])]
    assert any("image/png" in one or "<div" in str(one.get("text/html", "")) for one in shown)


@lesson
def test_half_of_the_cells_are_prose(path: pathlib.Path) -> None:
    """A sentence before each cell that runs, and one behind it."""
    assert len(cells(path, "markdown")) >= len(cells(path, "code"))


@lesson
def test_code_is_short(path: pathlib.Path) -> None:
    """Two or three lines in the middle, none over twelve, the import apart."""
    lengths = sorted(
        len([line for line in cell.source.splitlines() if line and not line.startswith("import ")])
        for cell in cells(path, "code")
    )
    assert lengths[len(lengths) // 2] <= 3
    assert lengths[-1] <= 12


@lesson
def test_a_surprise_is_predicted_first(path: pathlib.Path) -> None:
    """The learner commits to an answer; a prediction stands before the cell that tells."""
    found = [at for at, cell in enumerate(cells(path)) if "**Predict:**" in cell.source]
    assert found
    assert all(any(one.cell_type == "code" for one in cells(path)[at + 1 : at + 3]) for at in found)


@lesson
def test_a_prediction_stands_before_every_surprise(path: pathlib.Path) -> None:
    """One alone is no habit; the clinic's cases ask for a whole conclusion instead."""
    found = prose(path).count("**Predict")
    assert found >= (1 if path.name.startswith("08-") else 2)


@lesson
def test_each_exercise_has_an_empty_answer_and_a_solution(path: pathlib.Path) -> None:
    """`answer = ...` in the lesson, whose stored output is the first hint; a right one in its source."""
    asked = [cell for cell in cells(path, "code") if "lab.check(" in cell.source]
    assert asked
    for cell in asked:
        assert "answer = ..." in cell.source
        assert "Replace the dots by your answer. Hint:" in cell.outputs[-1]["data"]["text/plain"]


@lesson
def test_fixed_numbers_stand_before_a_panel(path: pathlib.Path) -> None:
    """A plain cell with an output comes before the first panel, and a sentence between them."""
    every = cells(path)
    panels = [at for at, cell in enumerate(every) if cell.cell_type == "code" and shows_widget(cell)]
    for at in panels[:1]:
        assert every[at - 1].cell_type == "markdown"
        assert any(cell.cell_type == "code" and cell.outputs for cell in every[:at])


@lesson
def test_one_cell_raises_on_purpose(path: pathlib.Path) -> None:
    """One sentence, no traceback; and the lesson goes on."""
    raising = [cell for cell in cells(path, "code") if "raises-exception" in cell.metadata.get("tags", [])]
    assert raising
    for cell in raising:
        (error,) = [one for one in cell.outputs if one.output_type == "error"]
        assert len(error.traceback) == 1


@lesson
def test_it_ends_with_five_lines_and_where_to_read_on(path: pathlib.Path) -> None:
    """Exercises, a summary of five, clauses."""
    last = cells(path)[-1].source
    assert "## In five lines" in last
    assert re.findall(r"^(\d)\. ", last, re.MULTILINE) == list("12345")
    assert re.search(r"\*Read on:\*.*(RFC \d|LwM2M E\.6|Object 5|E\.6)", last, re.DOTALL)
    assert any("lab.check(" in cell.source for cell in cells(path, "code"))


def test_tags_of_the_slide_view() -> None:
    """A lesson that has them has them in every cell: a heading is a slide, code a slide below it."""
    tagged = {
        path: [cell.metadata.get("slideshow", {}).get("slide_type") for cell in cells(path)]
        for path in [*LESSONS, *(ROOT / "notebooks" / "solutions" / one.name for one in LESSONS)]
    }
    assert sum(None not in types for types in tagged.values()) > len(LESSONS)
    for path, types in tagged.items():
        assert None not in types or set(types) == {None}, path
        if None not in types:
            assert types[0] == "slide"
            assert [one == "subslide" for one in types] == [cell.cell_type == "code" for cell in cells(path)]


@lesson
def test_a_lesson_is_slides(path: pathlib.Path) -> None:
    """nbconvert makes a page with its pictures and without its notes."""
    page, _ = SlidesExporter(reveal_scroll=True).from_notebook_node(nbformat.read(path, as_version=4))
    assert page.count("<section") >= 2
    assert "data:image/png;base64," in page
    assert "In five lines" in page


def test_the_command_that_the_page_names(tmp_path: pathlib.Path) -> None:
    """`jupyter nbconvert --to slides` as in docs/teaching.md."""
    assert "jupyter nbconvert --to slides notebooks/01-one-update.ipynb --SlidesExporter.reveal_scroll=True" in TEACHING
    command = [sys.executable, "-m", "nbconvert", "--to", "slides", "--SlidesExporter.reveal_scroll=True"]
    book = ROOT / "notebooks" / "01-one-update.ipynb"
    subprocess.run([*command, "--output-dir", str(tmp_path), str(book)], check=True, capture_output=True)
    assert (tmp_path / "01-one-update.slides.html").stat().st_size > 100_000


def test_nbstripout_leaves_the_tags(tmp_path: pathlib.Path) -> None:
    """With the options that the project uses, and with none."""
    source = ROOT / "notebooks" / "08-failure-clinic.ipynb"
    wanted = [cell.metadata["slideshow"] for cell in cells(source)]
    for options in ([], ["--keep-output", "--keep-count"]):
        copy = tmp_path / "copy.ipynb"
        copy.write_bytes(source.read_bytes())
        subprocess.run([sys.executable, "-m", "nbstripout", *options, str(copy)], check=True)
        assert [cell.metadata.get("slideshow") for cell in cells(copy)] == wanted


def test_rows_of_the_trainers_table_are_lessons() -> None:
    """Each measured row is a lesson that is there, with the minutes of its top, in the time that a lesson may take."""
    row = r"^\| (\d\d-\S+) \| (\d+) \| \d+ \| (\d+) s \| (\d+) s \| (\d+) MB \|$"
    rows = re.findall(row, TEACHING, re.MULTILINE)
    assert len(rows) >= 10
    for name, minutes, seconds, _, megabytes in rows:
        top = cells(ROOT / "notebooks" / f"{name}.ipynb")[0].source
        assert re.search(r"(\d+) minutes", top)[1] == minutes  # type: ignore[index]
        assert int(seconds) < 30
        assert int(megabytes) < 512


@lesson
def test_its_main_picture_stands_in_the_readme(path: pathlib.Path) -> None:
    """Light and dark, linked to the lesson, with words for those who do not see it; small enough to be fetched."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    cell = re.search(rf'<a href="notebooks/{path.name}">(.*)</a>', readme)
    assert cell is not None
    assert re.search(r'alt="[^"]{30,}"', cell[1])
    for theme in ("light", "dark"):
        name = f"docs/screenshots/{path.stem}-{theme}.png"
        assert name in cell[1]
        assert 5_000 < (ROOT / name).stat().st_size < 120_000

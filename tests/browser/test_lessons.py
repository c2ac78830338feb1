"""Every lesson opened and run in JupyterLab, its instruments touched, an exercise answered wrong and right."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import LESSONS
from tests.browser.driving import Lesson

if TYPE_CHECKING:
    from playwright.sync_api import Page


def errors(cells: list[dict[str, Any]]) -> list[str]:
    """What was raised where nobody meant it to be."""
    meant = "raises-exception"
    return [
        "".join(output.get("traceback", ()))
        for cell in cells
        for output in cell["outputs"]
        if output["output_type"] == "error" and meant not in cell["metadata"].get("tags", ())
    ]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_runs_through_in_jupyterlab(page: Page, opened: Callable[..., Lesson], lesson: pathlib.Path) -> None:
    """No cell fails that was not meant to, none is left out, and nothing is said on standard error."""
    cells = opened(lesson.stem).saved()
    assert errors(cells) == []
    assert [cell["id"] for cell in cells if cell["execution_count"] is None] == []
    assert [output for cell in cells for output in cell["outputs"] if output.get("name") == "stderr"] == []


def test_the_steppers_buttons_step(page: Page, opened: Callable[..., Lesson]) -> None:
    """A press moves the state that stands on the page, and the diagram with it."""
    lesson = opened("02-step-the-state-machine")
    panel = lesson.holding("steps.panel").locator(".jp-OutputArea")
    panel.get_by_role("button", name="start again").click()
    panel.get_by_text("State 0 Idle").first.wait_for(timeout=60_000)
    before = panel.locator("img").first.get_attribute("src")
    panel.get_by_role("button", name="Write Package, first block").click()
    panel.get_by_text("State 1 Downloading").first.wait_for(timeout=60_000)
    page.wait_for_function(
        "([image, before]) => image.src !== before",
        arg=[panel.locator("img").first.element_handle(), before],
        timeout=60_000,
    )
    panel.get_by_role("button", name="Execute Update").click()
    panel.get_by_text("Nothing changed.").wait_for(timeout=60_000)


@pytest.mark.parametrize("view", ["doc/tree", "notebooks"], ids=["JupyterLab", "Notebook 7"])
def test_the_trace_explorer_follows_its_slider(page: Page, opened: Callable[..., Lesson], view: str) -> None:
    """Dragged, and moved by the arrow keys: the frame, the chart and the bytes change."""
    lesson = opened("07-why-did-it-fail", view=view)
    panel = lesson.holding(".explore(").locator(".jp-OutputArea")
    handle = panel.locator(".noUi-handle").first
    handle.scroll_into_view_if_needed()
    status, picture = panel.locator(".widget-html").first, panel.locator("img").first
    before, drawn = status.inner_text(), picture.get_attribute("src")
    box = handle.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 300, box["y"] + box["height"] / 2, steps=8)
    page.mouse.up()
    _changed(page, status, before)
    page.wait_for_function(
        "([image, drawn]) => image.src !== drawn", arg=[picture.element_handle(), drawn], timeout=60_000
    )
    dragged = status.inner_text()
    panel.get_by_role("button", name="previous", exact=False).last.click()
    _changed(page, status, dragged)
    if view == "doc/tree":
        # Notebook 7 keeps the arrow keys for its cells, whatever has the focus; the buttons are there for it.
        stepped = status.inner_text()
        handle.focus()
        page.keyboard.press("ArrowLeft")
        _changed(page, status, stepped)


def test_an_exercise_is_answered_wrong_then_right(page: Page, opened: Callable[..., Lesson]) -> None:
    """Wrong says what is missing, right says why; the wrong type is told what is asked for."""
    lesson = opened("01-one-update")
    said = [
        lesson.answer("01-blocks", f'answer = {answer}\nlab.check("01-blocks", answer)')
        for answer in ("...", "'many'", "78", "79")
    ]
    assert said[0].startswith("…")
    assert "number" in said[1]
    assert said[2] != said[3]
    assert said[3].startswith("✓")


def test_the_same_widget_twice_and_cells_out_of_order(page: Page, opened: Callable[..., Lesson]) -> None:
    """A kernel that starts anew says which name is missing; the stepper shown in two cells is stepped in both."""
    lesson = opened("02-step-the-state-machine")
    cell = lesson.cells.last
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text("twice = lab.show.stepper()\ndisplay(twice)\ndisplay(twice)")
    page.keyboard.press("Control+Enter")
    shown = cell.get_by_role("button", name="Write Package URI")
    shown.nth(1).wait_for(timeout=60_000)
    shown.first.click()
    cell.get_by_text("State 1 Downloading").nth(1).wait_for(timeout=60_000)
    assert cell.get_by_text("State 1 Downloading").count() >= 2


def test_a_kernel_that_was_restarted_in_the_middle(page: Page, opened: Callable[..., Lesson]) -> None:
    """A cell says which name is missing; what the index advises, to run all cells above, mends it."""
    lesson = opened("01-one-update")
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    source = "run.ladder(last=24)"
    assert "NameError: name 'run' is not defined" in lesson.answer(source, source)
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-above').catch(() => {}) }")
    cell = lesson.holding(source)
    lesson.cells.first.locator("img").first.wait_for(timeout=60_000)
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    cell.locator(".jp-OutputArea-output img").first.wait_for(timeout=60_000)


def _changed(page: Page, status: Any, before: str) -> None:
    """Wait until the words differ."""
    page.wait_for_function(
        "([one, before]) => one.innerText !== before", arg=[status.element_handle(), before], timeout=60_000
    )

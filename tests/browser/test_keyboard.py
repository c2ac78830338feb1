"""Without a mouse: Tab reaches the buttons, Space and Enter press them, in JupyterLab and in Notebook 7."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.browser.driving import Lesson

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

LONG = 60_000
both_views = pytest.mark.parametrize("view", ["doc/tree", "notebooks"], ids=["JupyterLab", "Notebook 7"])


def tab_to(page: Page, start: Locator, title: str) -> None:
    """Press Tab from a place on until the control with a title has the focus."""
    start.focus()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.title") == title:
            return
    raise AssertionError(f"Tab does not reach {title!r}")


@both_views
def test_the_clock_of_two_ladders(page: Page, opened: Callable[..., Lesson], view: str) -> None:
    """By the buttons beside its slider."""
    panel = opened("06-push-or-pull", view=view).holding("side_by_side(").locator(".jp-OutputArea")
    words = panel.locator(".widget-html-content").first
    words.wait_for(timeout=LONG)
    handle = panel.locator(".noUi-handle").first
    for key, title in (("Space", "time: one step on"), ("Enter", "time: one step back")):
        before = words.inner_text()
        tab_to(page, handle, title)
        page.keyboard.press(key)
        page.wait_for_function(
            "([one, before]) => one.innerText !== before", arg=[words.element_handle(), before], timeout=LONG
        )
        assert page.evaluate("() => document.activeElement.title") == title


@both_views
def test_a_cell_of_the_truth_table(page: Page, opened: Callable[..., Lesson], view: str) -> None:
    """The buttons beside the lists: another device, another strategy."""
    panel = opened("03-which-version-is-it", view=view).holding("truth_table_panel(").locator(".jp-OutputArea")
    panel.get_by_text("S3 of D5").wait_for(timeout=LONG)
    tab_to(page, panel.locator("select").first, "device: one step on")
    page.keyboard.press("Space")
    panel.get_by_text("S3 of D6").wait_for(timeout=LONG)
    tab_to(page, panel.locator("select").first, "strategy: one step back")
    page.keyboard.press("Space")
    panel.get_by_text("S2 of D6").wait_for(timeout=LONG)

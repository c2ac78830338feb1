"""The page without code, served by Voilà."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from lwm2m_lab.trace import samples
from tests.browser.driving import free_port, serving

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(scope="module")
def app_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `lwm2m-lab app` listens."""
    port = free_port()
    command = [sys.executable, "-m", "lwm2m_lab", "app", "--port", str(port), "--no-browser"]
    with serving(command, f"http://127.0.0.1:{port}/", folder=tmp_path_factory.mktemp("app")) as url:
        yield url


def test_the_page_steps(page: Page, app_url: str) -> None:
    """No code is to be seen, and the stepper steps."""
    page.goto(app_url)
    page.get_by_role("button", name="Write Package URI").first.click(timeout=90_000)
    page.get_by_text("State 1 Downloading").first.wait_for(timeout=60_000)
    assert page.locator(".jp-InputArea-editor:visible").count() == 0


def test_the_page_explains_an_uploaded_capture(page: Page, app_url: str, tmp_path: pathlib.Path) -> None:
    """A capture is explained and explored; another file gets a sentence."""
    page.goto(app_url)
    page.get_by_role("tab", name="Explain").click(timeout=90_000)
    _upload(page, samples.path_of("anjay-push-link-cut-midway"))
    page.get_by_text("unfinished", exact=False).first.wait_for(timeout=60_000)
    page.get_by_role("button", name="next block").click()
    page.get_by_text("Byte by byte").wait_for(timeout=60_000)
    notes = tmp_path / "notes.txt"
    notes.write_text("no capture at all", encoding="utf-8")
    _upload(page, notes)
    page.get_by_text("Not read.").wait_for(timeout=60_000)


def test_the_page_has_the_link_lab(page: Page, app_url: str) -> None:
    """A slider moved by the keyboard runs the update anew."""
    page.goto(app_url)
    page.get_by_role("tab", name="Link").click(timeout=90_000)
    panel = page.locator(".lm-TabPanel-tabContents:visible, .widget-tab-contents:visible").first
    picture = panel.locator("img:visible").first
    before = picture.get_attribute("src")
    panel.locator(".noUi-handle:visible").nth(1).focus()
    page.keyboard.press("End")
    page.wait_for_function(
        "([one, before]) => one.src !== before", arg=[picture.element_handle(), before], timeout=60_000
    )


def test_the_page_is_used_without_a_mouse(page: Page, app_url: str) -> None:
    """Tab goes from a slider to its buttons; Space presses them, and the update is run anew."""
    page.goto(app_url)
    page.get_by_role("tab", name="Link").click(timeout=90_000)
    panel = page.locator(".lm-TabPanel-tabContents:visible, .widget-tab-contents:visible").first
    picture = panel.locator("img:visible").first
    before = picture.get_attribute("src")
    panel.locator(".noUi-handle:visible").first.focus()
    for _ in range(6):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.title") == "delay one way, s: one step on":
            break
    page.keyboard.press("Space")
    page.wait_for_function(
        "([one, before]) => one.src !== before", arg=[picture.element_handle(), before], timeout=60_000
    )


def test_the_pages_trace_explorer_is_dragged(page: Page, app_url: str) -> None:
    """The sample that stands there at first: the words follow the slider."""
    page.goto(app_url)
    page.get_by_role("tab", name="Explain").click(timeout=90_000)
    panel = page.locator(".lm-TabPanel-tabContents:visible, .widget-tab-contents:visible").first
    words = panel.get_by_text("message 1 of").first
    words.wait_for(timeout=60_000)
    box = panel.locator(".noUi-handle:visible").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 240, box["y"] + box["height"] / 2, steps=8)
    page.mouse.up()
    words.wait_for(state="detached", timeout=60_000)


def test_the_page_has_a_case_that_is_concluded_wrong_then_right(page: Page, app_url: str) -> None:
    """What is missing in words; then the reasoning."""
    page.goto(app_url)
    page.get_by_role("tab", name="Case").click(timeout=90_000)
    panel = page.locator(".lm-TabPanel-tabContents:visible, .widget-tab-contents:visible").first
    check = panel.get_by_role("button", name="check")
    check.click()
    panel.get_by_text("Still open: which layer, who, outcome, verdict.").wait_for(timeout=60_000)
    for at, word in enumerate(("Object 5", "repository", "failed", "PASS"), start=1):
        panel.locator("select:visible").nth(at).select_option(label=word)
    frames = panel.locator("input[type=text]:visible")
    for number, told in (("16", "Among the frames is missing"), ("23", "clears the parser and the firewall at once")):
        frames.fill(number)
        frames.press("Enter")
        check.click()
        panel.get_by_text(told).wait_for(timeout=60_000)


def _upload(page: Page, path: pathlib.Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="your own capture").click()
    chooser.value.set_files(path)

"""The instruments of the lessons, touched as a learner touches them: what stands on the page follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.browser.driving import Lesson

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

LONG = 60_000


def panel_of(opened: Callable[..., Lesson], name: str, source: str) -> Locator:
    """The output of the cell with this source, once the lesson has run."""
    return opened(name).holding(source).locator(".jp-OutputArea")


def redrawn(page: Page, picture: Locator, before: str | None) -> None:
    """Wait until a picture is another one."""
    page.wait_for_function(
        "([one, before]) => one.src !== before", arg=[picture.element_handle(), before], timeout=LONG
    )


def test_the_block_explorer_goes_from_block_to_block(page: Page, opened: Callable[..., Lesson]) -> None:
    """By its button and by the arrow keys: number, bits and chart."""
    panel = panel_of(opened, "04-block-wise", "block_explorer(")
    panel.get_by_text("1:1/1/1024").first.wait_for(timeout=LONG)
    before = panel.locator("img").first.get_attribute("src")
    panel.get_by_role("button", name="next").click()
    panel.get_by_text("1:2/1/1024").first.wait_for(timeout=LONG)
    redrawn(page, panel.locator("img").first, before)
    panel.locator(".noUi-handle").first.focus()
    page.keyboard.press("End")
    panel.get_by_text("1:19/0/1024").first.wait_for(timeout=LONG)
    panel.get_by_text("2.04 Changed").first.wait_for(timeout=LONG)


def test_the_clock_moves_both_ladders(page: Page, opened: Callable[..., Lesson]) -> None:
    """Back to the start, and on by a key."""
    panel = panel_of(opened, "06-push-or-pull", "side_by_side(")
    panel.locator(".noUi-handle").first.focus()
    page.keyboard.press("Home")
    panel.get_by_text("State not seen yet").nth(1).wait_for(timeout=LONG)
    page.keyboard.press("End")
    panel.get_by_text("State 0 Idle").nth(1).wait_for(timeout=LONG)


def test_a_byte_is_flipped_and_the_boot_loader_refuses(page: Page, opened: Callable[..., Lesson]) -> None:
    """Then a new hash leaves the signature alone to fail, and whole it is started."""
    panel = panel_of(opened, "09-images-and-slots", "image_explorer(")
    panel.get_by_text("A boot loader starts it.").wait_for(timeout=LONG)
    panel.locator("select").select_option(label="32: firmware")
    panel.get_by_role("button", name="flip").click()
    panel.get_by_text("A boot loader refuses it: hash, signature.").wait_for(timeout=LONG)
    panel.get_by_role("button", name="new hash").click()
    panel.get_by_text("A boot loader refuses it: signature.").wait_for(timeout=LONG)
    panel.get_by_role("button", name="make whole").click()
    panel.get_by_text("A boot loader starts it.").wait_for(timeout=LONG)


def test_the_slots_follow_the_slider(page: Page, opened: Callable[..., Lesson]) -> None:
    """From the reboot to the boot after it."""
    panel = panel_of(opened, "09-images-and-slots", "slot_animation(")
    panel.get_by_text("reboot, 6 of 12").wait_for(timeout=LONG)
    before = panel.locator("img").first.get_attribute("src")
    panel.locator(".noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    panel.get_by_text("boot, 7 of 12").wait_for(timeout=LONG)
    redrawn(page, panel.locator("img").first, before)


def test_other_versions_are_compared(page: Page, opened: Callable[..., Lesson]) -> None:
    """A press on another version changes the table and both diagrams."""
    panel = panel_of(opened, "10-from-1.0-to-1.2", "versions.panel")
    before = panel.locator("img").first.get_attribute("src")
    panel.get_by_role("button", name="1.2").nth(1).click()
    panel.get_by_text("automatic upgrade in 2 Downloaded").wait_for(timeout=LONG)
    redrawn(page, panel.locator("img").first, before)


def test_a_case_is_concluded_wrong_and_then_right(page: Page, opened: Callable[..., Lesson]) -> None:
    """What is missing in words, a hint, and the reasoning once it is right."""
    panel = panel_of(opened, "08-failure-clinic", "case_card(")
    check = panel.get_by_role("button", name="check")
    check.click()
    panel.get_by_text("Still open: which layer, who, outcome, verdict.").wait_for(timeout=LONG)
    for at, word in enumerate(("Object 5", "repository", "failed", "PASS"), start=1):
        panel.locator("select").nth(at).select_option(label=word)
    frames = panel.locator("input[type=text]")
    frames.fill("16")
    frames.press("Enter")
    check.click()
    panel.get_by_text("Among the frames is missing: the message in which somebody refuses.").wait_for(timeout=LONG)
    panel.get_by_role("button", name="hint").click()
    panel.get_by_text("Hint 1 of 3: Which port does the device speak to").wait_for(timeout=LONG)
    frames.fill("23")
    frames.press("Enter")
    check.click()
    panel.get_by_text("clears the parser and the firewall at once").wait_for(timeout=LONG)


def test_the_sliders_of_the_link_run_the_update_anew(page: Page, opened: Callable[..., Lesson]) -> None:
    """A pull in place of the push, then no loss, by the keyboard: words and picture follow."""
    panel = panel_of(opened, "05-lossy-links", "link_lab(")
    picture, words = panel.locator("img").first, panel.locator(".widget-html-content").first
    before = picture.get_attribute("src")
    panel.locator("select").select_option(label="pull")
    redrawn(page, picture, before)
    before, said = picture.get_attribute("src"), words.inner_text()
    panel.locator(".noUi-handle").nth(1).focus()
    page.keyboard.press("Home")
    redrawn(page, picture, before)
    assert words.inner_text() != said


def test_the_limit_of_a_campaign_is_moved(page: Page, opened: Callable[..., Lesson]) -> None:
    """One at a time, by the keyboard, then in stages: words and picture follow."""
    panel = panel_of(opened, "12-a-fleet", "campaign_dashboard(")
    picture = panel.locator("img").first
    before = picture.get_attribute("src")
    panel.locator(".noUi-handle").first.focus()
    page.keyboard.press("Home")
    redrawn(page, picture, before)
    before = picture.get_attribute("src")
    panel.locator("select").first.select_option(label="10 %, then all")
    redrawn(page, picture, before)
    panel.locator("select").nth(1).select_option(label="more than 10 % failed")
    panel.get_by_text("of 40 devices updated").first.wait_for(timeout=LONG)

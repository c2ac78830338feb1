"""Lesson 03 in the browser: each cell of the table opens its run, exercises are answered wrong and right."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.browser.driving import Lesson

if TYPE_CHECKING:
    from playwright.sync_api import Page

LONG = 60_000
NAME = "03-which-version-is-it"
#: A strategy that takes nothing on trust that has not settled.
UPDATED = """def updated(seen):
    told = seen.settled and (seen.settled.state, seen.settled.result, seen.downloaded.result)
    return told and told in {(0, 0, 0), (0, 1, 0)}

answer = updated
lab.check("03-server", answer)"""


def test_each_cell_opens_its_run(page: Page, opened: Callable[..., Lesson]) -> None:
    """Another device and another strategy, from the lists and by the buttons: words, mark and chart follow."""
    panel = opened(NAME).holding("truth_table_panel(").locator(".jp-OutputArea")
    panel.get_by_text("S3 of D5").wait_for(timeout=LONG)
    picture = panel.locator("img").first
    before = picture.get_attribute("src")
    panel.locator("select").nth(0).select_option(label="D2 never sets /3/0/3")
    panel.get_by_text("S3 of D2: false failure; the device runs the new image").wait_for(timeout=LONG)
    page.wait_for_function(
        "([one, before]) => one.src !== before", arg=[picture.element_handle(), before], timeout=LONG
    )
    panel.locator("select").nth(1).select_option(label="S6 State 0 again")
    panel.get_by_text("S6 of D2: ok").wait_for(timeout=LONG)
    assert panel.locator("td[aria-selected=true]").inner_text() == "ok"
    panel.get_by_title("device: one step on").click()
    panel.get_by_text("S6 of D3: ok; the device does not run the new image").wait_for(timeout=LONG)


def test_be_the_server_be_the_device(opened: Callable[..., Lesson]) -> None:
    """Nearly right is told what it lacks, in words; right is told what follows."""
    lesson = opened(NAME)
    said = [
        lesson.answer("03-server", 'answer = lambda seen: seen.first.result == 1\nlab.check("03-server", answer)'),
        lesson.answer("03-server", UPDATED),
        lesson.answer("03-device", 'answer = lab.DeviceOptions(install_fails=True)\nlab.check("03-device", answer)'),
        lesson.answer(
            "03-device",
            'answer = lab.DeviceOptions(profile="zephyr", install_fails=True)\nlab.check("03-device", answer)',
        ),
        lesson.answer("03-evidence", 'answer = {"d", "f"}\nlab.check("03-evidence", answer)'),
    ]
    assert "takes for not updated D4, which forgets the result" in said[0]
    assert said[1].startswith("✓")
    assert "That is D6, which fails and keeps the package" in said[2]
    assert said[3].startswith("✓")
    assert "one string more that it stores" in said[4]


def test_part_a_is_predicted_wrong_then_right(opened: Callable[..., Lesson]) -> None:
    """The label that is off is named, with the moment and a question."""
    lesson = opened(NAME)
    right = {"/5/0/7": "- - 2.0.0 - -", "/3/0/3": "1.0.0 1.0.0 1.0.0 2.0.0 2.0.0", "/3/0/19": "5.0.0 " * 5}
    wrong = {**right, "/3/0/3": "1.0.0 1.0.0 2.0.0 2.0.0 2.0.0"}
    begin = "import lwm2m_lab as lab\n\nanswer = "
    said = [lesson.answer("03-labels", f'{begin}{one}\nlab.check("03-labels", answer)') for one in (wrong, right)]
    assert "/3/0/3 is not 2.0.0 Downloaded: which image has booted by then?" in said[0]
    assert said[1].startswith("✓")

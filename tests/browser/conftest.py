"""One browser, one JupyterLab for all tests of this folder."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.driving import ROOT, Lesson, blank_copy, jupyter
from tests.conftest import need_tool

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium, driven."""
    if not os.environ.get("CI"):
        pytest.importorskip("playwright", reason="needs playwright: pip install '.[browser]'")
    from playwright.sync_api import sync_playwright

    chromium = need_tool("chromium")
    with sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"],
        )
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window of a laptop's size."""
    opened = browser.new_page(viewport={"width": 1280, "height": 1000})
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def lessons_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Where the copies of the lessons lie."""
    return tmp_path_factory.mktemp("lessons")


@pytest.fixture(scope="session")
def lab_url(lessons_folder: pathlib.Path) -> Iterator[str]:
    """Where JupyterLab listens."""
    with jupyter(lessons_folder) as url:
        yield url


@pytest.fixture
def opened(page: Page, lab_url: str, lessons_folder: pathlib.Path) -> Iterator[Callable[..., Lesson]]:
    """Opens a lesson by its name, a fresh copy with a kernel of its own, and runs it through."""
    lessons: list[Lesson] = []

    def ran(name: str, **how: str) -> Lesson:
        path = blank_copy(ROOT / "notebooks" / f"{name}.ipynb", lessons_folder)
        lessons.append(Lesson(page, lab_url, path, **how))
        return lessons[-1].run()

    yield ran
    for lesson in lessons:
        lesson.close()

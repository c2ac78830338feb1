"""Pictures of the instruments for the README, as a browser shows them: `python .ci/make_screenshots.py`.

Each lesson is run from its seeds in JupyterLab, in the light and in the dark theme; `make screenshots` calls it.
"""

from __future__ import annotations

import pathlib
import sys
import tempfile

from playwright.sync_api import Browser, sync_playwright

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.driving import Lesson, blank_copy, jupyter  # noqa: E402

#: Lesson, what stands in the cell whose output is taken, name of the picture.
SHOTS = (
    ("02-step-the-state-machine", "steps.panel", "stepper"),
    ("04-block-wise", "block_explorer(", "block-explorer"),
    ("05-lossy-links", "link_lab(", "link-lab"),
    ("03-which-version-is-it", "truth_table_panel(", "truth-table"),
    ("07-why-did-it-fail", ".explore(", "trace-explorer"),
)


def take(browser: Browser, folder: pathlib.Path, *, dark: bool) -> None:
    """All pictures in one theme."""
    with jupyter(folder, dark=dark) as url:
        for lesson, source, name in SHOTS:
            page = browser.new_page(viewport={"width": 1180, "height": 2200})
            opened = Lesson(page, url, blank_copy(ROOT / "notebooks" / f"{lesson}.ipynb", folder)).run()
            output = opened.holding(source).locator(".jp-OutputArea")
            output.locator("img").first.wait_for(timeout=60_000)
            # A picture that has its place is not yet one that is drawn.
            page.wait_for_function(
                "one => one.complete && one.naturalWidth > 0", arg=output.locator("img").first.element_handle()
            )
            output.screenshot(path=ROOT / "docs" / "screenshots" / f"{name}-{'dark' if dark else 'light'}.png")
            opened.close()
            page.close()


def main() -> int:
    """Take them all."""
    (ROOT / "docs" / "screenshots").mkdir(exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        for dark in (False, True):
            with tempfile.TemporaryDirectory() as made:
                take(browser, pathlib.Path(made), dark=dark)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

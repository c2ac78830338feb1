"""The main picture of each lesson for the README, as a browser shows it: `python .ci/make_screenshots.py [NAME ...]`.

Each lesson is run from its seeds in JupyterLab; the output is taken in the light theme and in the dark one, cut to one
size, with colours enough. `make screenshots` takes them all; `--pages FOLDER` keeps each lesson whole, too, to be read.
"""

from __future__ import annotations

import argparse
import io
import pathlib
import sys
import tempfile

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.driving import Lesson, blank_copy, jupyter  # noqa: E402

#: Lesson and what stands in the cell whose output is its main picture.
SHOTS = {
    "01-one-update": "run.plot()",
    "02-step-the-state-machine": "steps.panel",
    "03-which-version-is-it": "truth_table_panel(",
    "04-block-wise": "block_explorer(",
    "05-lossy-links": "link_lab(",
    "06-push-or-pull": "side_by_side(",
    "07-why-did-it-fail": ".explore(",
    "08-failure-clinic": "case_card(",
    "09-images-and-slots": "slot_animation(",
    "10-from-1.0-to-1.2": "versions.panel",
    "11-your-device-on-the-bench": "conformance_explorer(",
    "12-a-fleet": "campaign_dashboard(",
}
WIDTH, HEIGHT = 980, 600
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
#: Of the page behind an output, by theme.
PAPER = {"light": "#ffffff", "dark": "#111111"}


def settled(page: Page, output: Locator) -> None:
    """Wait until what was drawn is there: a picture that has its place is not yet one that can be seen."""
    output.wait_for(timeout=60_000)
    pictures = output.locator("img")
    for at in range(pictures.count()):
        page.wait_for_function("one => one.complete && one.naturalWidth > 0", arg=pictures.nth(at).element_handle())


def in_theme(page: Page, theme: str) -> None:
    """Change the theme, and wait for it."""
    page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", THEMES[theme])
    # While a theme is loaded, a moon goes round over the page.
    page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=60_000)
    page.wait_for_function(
        "light => document.body.dataset.jpThemeLight === light", arg="true" if theme == "light" else "false"
    )


def kept(shot: bytes, place: pathlib.Path, theme: str) -> None:
    """The upper part, on the paper of its theme, with a palette of its own: a third of the bytes."""
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    sheet = Image.new("RGB", (WIDTH, HEIGHT), PAPER[theme])
    sheet.paste(picture.crop((0, 0, min(WIDTH, picture.width), min(HEIGHT, picture.height))))
    sheet.quantize(256, dither=Image.Dither.NONE).save(place, optimize=True)


def take(browser: Browser, url: str, folder: pathlib.Path, lesson: str, pages: pathlib.Path | None) -> None:
    """One lesson in both themes."""
    page = browser.new_page(viewport={"width": WIDTH + 190, "height": 1600})
    opened = Lesson(page, url, blank_copy(ROOT / "notebooks" / f"{lesson}.ipynb", folder)).run()
    output = opened.holding(SHOTS[lesson]).locator(".jp-OutputArea-output").first
    for theme in THEMES:
        in_theme(page, theme)
        settled(page, output)
        kept(output.screenshot(), ROOT / "docs" / "screenshots" / f"{lesson}-{theme}.png", theme)
    if pages is not None:
        in_theme(page, "light")
        height = page.evaluate("() => document.querySelector('.jp-WindowedPanel-inner').scrollHeight")
        page.set_viewport_size({"width": WIDTH + 190, "height": int(height) + 200})
        # After the last cell has run the notebook stands at its end, whatever the height of the window.
        page.evaluate("() => { document.querySelector('.jp-WindowedPanel-outer').scrollTop = 0 }")
        settled(page, output)
        page.locator(".jp-Notebook").screenshot(path=pages / f"{lesson}.png")
        in_theme(page, "dark")
        page.locator(".jp-Notebook").screenshot(path=pages / f"{lesson}-dark.png")
    opened.close()
    page.close()


def main() -> int:
    """Take those named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="lessons, as in 01-one-update; all by default")
    parser.add_argument("--pages", type=pathlib.Path, help="a folder for pictures of whole lessons")
    arguments = parser.parse_args()
    (ROOT / "docs" / "screenshots").mkdir(exist_ok=True)
    if arguments.pages is not None:
        arguments.pages.mkdir(exist_ok=True)
    with sync_playwright() as driver, tempfile.TemporaryDirectory() as made:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        with jupyter(pathlib.Path(made)) as url:
            for lesson in SHOTS:
                if not arguments.names or lesson in arguments.names:
                    print(lesson, flush=True)
                    take(browser, url, pathlib.Path(made), lesson, arguments.pages)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

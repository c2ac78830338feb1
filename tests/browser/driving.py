"""A JupyterLab of our own on loopback, and a browser in front of it, as a learner has them."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

ROOT = pathlib.Path(__file__).resolve().parents[2]
#: Seconds that a server may take to start, and a lesson to run through on a busy machine.
START, LESSON = 90, 240


def free_port() -> int:
    """A TCP port of loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def serving(command: list[str], url: str, *, folder: pathlib.Path, **environment: str) -> Iterator[str]:
    """Run a server until the block ends; its address once it listens."""
    log = folder / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, stdout=out, stderr=out)
    try:
        _await_listening(url, server, log)
        yield url
    finally:
        server.terminate()
        server.wait(30)


def _await_listening(url: str, server: subprocess.Popen[bytes], log: pathlib.Path) -> None:
    """Ask until the server listens; the time between two questions is the wait for its process to end."""
    host, _, port = urllib.parse.urlsplit(url).netloc.partition(":")
    for _ in range(START * 4):
        with contextlib.suppress(OSError):
            socket.create_connection((host, int(port)), timeout=5).close()
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(0.25)
            break
    raise AssertionError(f"nobody listens at {url}:\n{log.read_text(encoding='utf-8')[-3000:]}")


@contextlib.contextmanager
def jupyter(folder: pathlib.Path, *, dark: bool = False) -> Iterator[str]:
    """JupyterLab, and Notebook 7 beside it, on the notebooks of a folder."""
    port = free_port()
    settings = folder / ".settings"
    # A notebook of many cells is drawn as one scrolls; a test reads all of it.
    _setting(settings, "notebook-extension/tracker", {"windowingMode": "none"})
    _setting(settings, "apputils-extension/notification", {"fetchNews": "false", "checkForUpdates": False})
    _setting(settings, "apputils-extension/themes", {"theme": "JupyterLab Dark" if dark else "JupyterLab Light"})
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
        f"--ServerApp.root_dir={folder}", "--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True",
        "--JupyterNotebookApp.expose_app_in_browser=True",
        *(["--allow-root"] if os.geteuid() == 0 else []),
    ]  # fmt: skip
    # How slow the machine is must not show as a progress bar, here as in the strict comparison of the outputs.
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    with serving(
        command, f"http://127.0.0.1:{port}", folder=folder,
        JUPYTERLAB_SETTINGS_DIR=str(settings), JUPYTERLAB_WORKSPACES_DIR=str(folder / ".workspaces"), PATH=path,
        TQDM_DISABLE="1",
    ):  # fmt: skip
        yield f"http://127.0.0.1:{port}"


def _setting(folder: pathlib.Path, name: str, values: dict[str, Any]) -> None:
    place = folder / "@jupyterlab" / f"{name}.jupyterlab-settings"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(values), encoding="utf-8")


def blank_copy(lesson: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """A copy of a lesson without outputs and under a name of its own: what stands there afterwards is of this run."""
    book = json.loads(lesson.read_text(encoding="utf-8"))
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    place = folder / f"{len(list(folder.glob('*.ipynb')))}-{lesson.name}"
    place.write_text(json.dumps(book), encoding="utf-8")
    return place


class Lesson:
    """A lesson that stands open in a browser."""

    def __init__(self, page: Page, url: str, path: pathlib.Path, *, view: str = "doc/tree") -> None:
        self.page, self.path = page, path
        page.goto(f"{url}/{view}/{path.name}", wait_until="domcontentloaded")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=START * 1000)

    @property
    def cells(self) -> Locator:
        """Its code cells."""
        return self.page.locator(".jp-Notebook .jp-CodeCell")

    def run(self) -> Lesson:
        """Run all cells, by the command behind the menu, and wait until each has its number."""
        # The command comes to nothing while the kernel is still starting.
        self.page.wait_for_function(
            "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'",
            timeout=START * 1000,
        )
        self._command("notebook:run-all-cells")
        self.page.wait_for_function(
            """count => {
                const marks = [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputArea-prompt')];
                return marks.filter(one => /\\[\\d+\\]/.test(one.textContent)).length >= count;
            }""",
            arg=self.cells.count(),
            timeout=LESSON * 1000,
        )
        return self

    def close(self) -> None:
        """End its kernel."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")

    def _command(self, name: str) -> None:
        """Start a command of JupyterLab; it is not waited for, since a failing cell would fail it too."""
        self.page.evaluate("name => { window.jupyterapp.commands.execute(name).catch(() => {}) }", name)

    def saved(self) -> list[dict[str, Any]]:
        """Save it, and read its code cells from the file."""
        before = self.path.stat().st_mtime_ns
        self._command("docmanager:save")
        for _ in range(200):
            if self.path.stat().st_mtime_ns != before:
                break
            self.page.wait_for_timeout(100)
        cells = json.loads(self.path.read_text(encoding="utf-8"))["cells"]
        return [cell for cell in cells if cell["cell_type"] == "code"]

    def holding(self, text: str) -> Locator:
        """The one code cell whose source has this text."""
        return self.cells.filter(has=self.page.locator(".jp-InputArea-editor", has_text=text)).first

    def answer(self, exercise: str, source: str) -> str:
        """Type an answer into the cell of an exercise, run it, and read what comes back."""
        cell = self.holding(exercise)
        before = cell.locator(".jp-InputArea-prompt").inner_text()
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        # Typed, an editor would close brackets and indent of its own accord; pasted text is taken as it is.
        self.page.keyboard.insert_text(source)
        self.page.keyboard.press("Control+Enter")
        self.page.wait_for_function(
            "([cell, before]) => /\\[\\d+\\]/.test(cell.textContent) && cell.textContent !== before",
            arg=[cell.locator(".jp-InputArea-prompt").element_handle(), before],
            timeout=60_000,
        )
        return re.sub(r"\s+", " ", cell.locator(".jp-OutputArea-output").last.inner_text())

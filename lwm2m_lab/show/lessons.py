"""JupyterLab on the lessons: where they are, a copy of them, and the command that opens it."""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import subprocess
import sys

from lwm2m_lab.errors import BadInput

__all__ = ["lesson_source", "open_lessons", "place_lessons", "run_with_us"]

INDEX = "00-index.ipynb"


def lesson_source() -> pathlib.Path:
    """Where the lessons came with the lab: in the checkout, or inside the installed package."""
    package = pathlib.Path(__file__).resolve().parents[1]
    for place in (package.parent / "notebooks", package / "_lessons"):
        if (place / INDEX).exists():
            return place
    raise BadInput("the lessons are not where they should be (lwm2m_lab/_lessons); install the lab again")


def place_lessons(folder: str | os.PathLike[str] | None) -> pathlib.Path:
    """The folder to work in: the checkout's own lessons, or a copy in the user's folder.

    A lesson that is there already is left as it is: it may hold the learner's answers.

    Raises
    ------
    BadInput
        Where the folder cannot be made.
    """
    source = lesson_source()
    target = pathlib.Path(folder if folder is not None else "lwm2m-lessons")
    if folder is None and source.name == "notebooks":
        return source
    try:
        if target.exists() and target.samefile(source):
            return target
        for file in sorted(source.rglob("*.ipynb")):
            place = target / file.relative_to(source)
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, place)
    except OSError as error:
        raise BadInput(f"{target} cannot take the lessons ({error.strerror}); a folder of yours is expected") from None
    return target


def command_for(folder: pathlib.Path, *, browser: bool) -> list[str]:
    """The command that opens JupyterLab on the lessons.

    Root is allowed, since in a container there is nobody else; without a display only the address is printed.
    """
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--notebook-dir={folder}",
        f"--LabApp.default_url=/lab/tree/{INDEX}",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    shown = sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if not browser or not shown:
        command.append("--no-browser")
    return command


def open_lessons(*, folder: str | os.PathLike[str] | None = None, browser: bool = True) -> int:
    """Open JupyterLab on the lessons; returns its exit status."""
    place = place_lessons(folder).resolve()
    print(f"Lessons in {place}; JupyterLab prints its address below, Ctrl-C ends it.", flush=True)
    return run_with_us(command_for(place, browser=browser))


def run_with_us(command: list[str]) -> int:
    """Run a server until it ends, and end it with us: whoever terminates the command means the server, too.

    Returns
    -------
    int
        Its exit status.
    """
    with subprocess.Popen(command) as server:
        before = signal.signal(signal.SIGTERM, lambda *_: server.terminate())
        try:
            return server.wait()
        finally:
            signal.signal(signal.SIGTERM, before)
            server.terminate()

"""The workbench as a page of its own: a notebook of one cell, served by Voilà."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import sys
import tempfile

from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.lessons import run_with_us

__all__ = ["serve_workbench", "workbench_notebook"]

CELL = "import lwm2m_lab as lab\n\nlab.show.workbench()"
#: Bytes of a capture that a browser may hand over; beyond it the connection is closed without a word.
LARGEST_UPLOAD = 200 * 2**20


def workbench_notebook() -> str:
    """The notebook behind the page, as text: one cell.

    Examples
    --------
    >>> "workbench()" in workbench_notebook()
    True
    """
    cell: dict[str, object] = {
        "cell_type": "code",
        "id": "workbench",
        "metadata": {},
        "source": CELL,
        "outputs": [],
        "execution_count": None,
    }
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {"title": "lwm2m_lab"}, "cells": [cell]})


def voila_command(folder: pathlib.Path, *, port: int, browser: bool) -> list[str]:
    """The command that serves the notebook in `folder`, on loopback alone."""
    command = [
        sys.executable, "-m", "voila", str(folder / "workbench.ipynb"),
        f"--port={port}", "--Voila.ip=127.0.0.1", f"--Voila.root_dir={folder}",
        f"--Voila.tornado_settings={{'websocket_max_message_size': {LARGEST_UPLOAD}}}",
    ]  # fmt: skip
    shown = sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return command if browser and shown else [*command, "--no-browser"]


def serve_workbench(*, port: int = 8866, browser: bool = True) -> int:
    """Serve the page until it is stopped; returns Voilà's exit status.

    Parameters
    ----------
    port : int
        TCP port on loopback, 1 to 65535.
    browser : bool
        Whether to open one, where there is a display.

    Raises
    ------
    BadInput
        Without Voilà, or for a port that is none.

    Examples
    --------
    >>> serve_workbench(port=0)
    Traceback (most recent call last):
    lwm2m_lab.errors.BadInput: port is 0; 1 to 65535 is expected
    """
    if not 1 <= port <= 65_535:
        raise BadInput(f"port is {port}; 1 to 65535 is expected")
    if importlib.util.find_spec("voila") is None:
        raise BadInput("voila, which serves the page, is not installed; pip install 'lwm2m-lab[app]' brings it")
    with tempfile.TemporaryDirectory(prefix="lwm2m-lab-") as made:
        folder = pathlib.Path(made)
        (folder / "workbench.ipynb").write_text(workbench_notebook(), encoding="utf-8")
        print(f"The workbench is at http://127.0.0.1:{port}/ in a moment; Ctrl-C ends it.", flush=True)
        return run_with_us(voila_command(folder, port=port, browser=browser))

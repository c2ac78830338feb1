"""`notebooks` and `app`: what opens in a browser."""

from __future__ import annotations

import argparse
from typing import Any

from lwm2m_lab.cli.shared import add_command

__all__ = ["add"]


def add(commands: Any) -> None:
    """The commands of this module."""
    lessons = add_command(commands, "notebooks", "open JupyterLab on the lessons", _notebooks)
    lessons.add_argument("--folder", metavar="DIR", help="where the lessons are, or are copied to")
    lessons.add_argument("--no-browser", action="store_true", help="print the address only")
    app = add_command(
        commands, "app", "serve the stepper, the trace explorer and the link lab as a page without code", _app
    )
    app.add_argument("--port", type=int, default=8866, metavar="N", help="TCP port on loopback (8866)")
    app.add_argument("--no-browser", action="store_true", help="print the address only")


def _notebooks(options: argparse.Namespace) -> int:
    """`notebooks`: JupyterLab on the lessons."""
    from lwm2m_lab.show.lessons import open_lessons

    return open_lessons(folder=options.folder, browser=not options.no_browser)


def _app(options: argparse.Namespace) -> int:
    """`app`: the workbench in a browser."""
    from lwm2m_lab.show.serving import serve_workbench

    return serve_workbench(port=options.port, browser=not options.no_browser)

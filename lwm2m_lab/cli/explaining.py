"""Commands that say what a capture shows."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import lwm2m_lab
from lwm2m_lab.cli.shared import add_file_command, add_log_option, read_capture, warn
from lwm2m_lab.errors import BadInput

if TYPE_CHECKING:
    from lwm2m_lab.trace.updates import Update

__all__ = ["add"]


def add(commands: Any) -> None:
    """The commands of this module."""
    explain = add_file_command(commands, "explain", "what happened, why, and which clause", _explain)
    explain.add_argument("--json", action="store_true", help="as JSON, for scripts")
    explain.add_argument("--all", action="store_true", help="with --json: the findings that pass, too")
    explain.add_argument("--image", metavar="FILE", help="compare the image of each update with this file")
    add_log_option(explain)
    explain.add_argument("--save-images", metavar="DIR", help="write the image of each update into this folder")


def _explain(options: argparse.Namespace) -> int:
    """`explain`: in words, or as JSON."""
    from lwm2m_lab.trace.explain import as_json
    from lwm2m_lab.wire.text import printable

    explanation = lwm2m_lab.explain(read_capture(options))
    compared = [] if options.image is None else [one.compare_image(options.image) for one in explanation.updates]
    saved = [] if options.save_images is None else _save(explanation.updates, options.save_images)
    if options.json:
        shown = explanation.to_dict(all_findings=options.all)
        for update, comparison in zip(shown["updates"], compared, strict=False):
            update["image_comparison"] = comparison.to_dict()
        print(as_json(shown))
    else:
        print(explanation)
        for update, comparison in zip(explanation.updates, compared, strict=False):
            print(f"{printable(update.endpoint)}: {printable(str(comparison))}")
    warn(saved)
    return 0


def _save(updates: Sequence[Update], folder: str) -> list[str]:
    """Write the images into a folder, made where it is missing; says what was written and what could not be."""
    from lwm2m_lab.trace.images import file_name_of
    from lwm2m_lab.wire.text import printable

    target = pathlib.Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder} cannot be made ({error.strerror}); a path for a folder is expected") from None
    said = []
    for number, update in enumerate(updates):
        if update.image_sha256 is None:
            said.append(f"the image of {printable(update.endpoint)} is not whole in the capture and was not saved")
        else:
            update.save_image(target / file_name_of(update, number))
            said.append(f"{target / file_name_of(update, number)} is the image of {printable(update.endpoint)}")
    return said

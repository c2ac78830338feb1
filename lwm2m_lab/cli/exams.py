"""`exam`."""

from __future__ import annotations

import argparse
from typing import Any

from lwm2m_lab.cli.shared import add_command

__all__ = ["add"]


def add(commands: Any) -> None:
    """The commands of this module."""
    command = add_command(commands, "exam", "deal each student a different capture, with a key for the trainer", _exam)
    add = command.add_argument
    add("--students", nargs="+", required=True, metavar="K", help="how many, or their names")
    add("--seed", type=int, metavar="N", help="same seed, same exam; without it one is drawn, and stands in the key")
    add("-o", "--out", default="exam", metavar="FOLDER", help="a new folder (%(default)s)")


def _exam(options: argparse.Namespace) -> int:
    """`exam`: the folder, and a line that says where the key is."""
    from tqdm import tqdm

    from lwm2m_lab.show.exam import deal_exam, students_of

    named: list[str] = options.students
    is_count = len(named) == 1 and named[0].isascii() and named[0].isdecimal()
    students = int(named[0][:9]) if is_count else named
    count = len(students_of(students))
    with tqdm(total=count, desc="exam", unit="capture", delay=2, leave=False) as bar:
        print(deal_exam(students, options.out, seed=options.seed, progress=lambda done: bar.update(done - bar.n)))
    return 0

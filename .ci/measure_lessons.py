"""Measure every lesson and put the table into docs/teaching.md: `python .ci/measure_lessons.py [--check] [NAME ...]`.

Each lesson runs in a kernel of its own, as a student's does: seconds on the clock and of the processor, and the memory
that the kernel holds at most. With names only these are measured, and the other rows stay. `--check` runs nothing; it
says which lessons have no row, or one with other minutes.
"""

from __future__ import annotations

import argparse
import pathlib
import platform
import re
import sys
import time
from dataclasses import dataclass

import nbformat
import psutil
from nbclient import NotebookClient

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "teaching.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
HEADS = ("lesson", "minutes in class", "cells of code", "runs in", "processor", "memory of the kernel")


@dataclass(frozen=True)
class Measured:
    """What a lesson takes."""

    name: str
    minutes: str
    cells: int
    seconds: float
    processor: float
    megabytes: float

    def row(self) -> str:
        """A line of the table."""
        return (
            f"| {self.name} | {self.minutes} | {self.cells} | {self.seconds:.0f} s | {self.processor:.0f} s | "
            f"{self.megabytes:.0f} MB |"
        )


def lessons() -> list[pathlib.Path]:
    """The lessons as a student has them."""
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def minutes_of(path: pathlib.Path) -> str:
    """Minutes in class, as the first cell says: the first number of them."""
    found = re.search(r"(\d+) minutes", nbformat.read(path, as_version=4).cells[0].source)
    return found[1] if found else "?"


def measure(path: pathlib.Path) -> Measured:
    """Run one lesson from beginning to end."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}})
    most, began, code = 0, time.perf_counter(), 0
    with client.setup_kernel():
        kernel = psutil.Process(client.km.provisioner.pid)
        for number, cell in enumerate(notebook.cells):
            if cell.cell_type == "code":
                client.execute_cell(cell, number)
                code, most = code + 1, max(most, kernel.memory_info().rss)
        times = kernel.cpu_times()
    spent = times.user + times.system + times.children_user + times.children_system
    return Measured(path.stem, minutes_of(path), code, time.perf_counter() - began, spent, most / 1e6)


def table(rows: list[str]) -> str:
    """The table with the machine it is of."""
    cores = psutil.cpu_count()
    where = f"Python {platform.python_version()}, {cores} cores."
    head = [f"| {' | '.join(HEADS)} |", f"|{'---|' * len(HEADS)}"]
    return "\n".join([*head, *rows, "", f"Measured with {where}"])


def rows_there() -> dict[str, str]:
    """The rows of the page by their lessons."""
    text = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    return {found[2]: found[1] for found in re.finditer(r"^(\| (\d\d-[^| ]*) \| .*)$", text, flags=re.MULTILINE)}


def stale() -> list[str]:
    """Lessons whose row is missing or has other minutes, and rows of lessons that there are not."""
    text = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    rows = dict(re.findall(r"^\| (\d\d-[^|]*?) \| (\d+) \|", text, flags=re.MULTILINE))
    wanted = {path.stem: minutes_of(path) for path in lessons()}
    return sorted(name for name in rows.keys() | wanted.keys() if rows.get(name) != wanted.get(name))


def main() -> int:
    """Measure, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare lessons and minutes only")
    parser.add_argument("names", nargs="*", help="lessons, as in 01-one-update; all by default")
    arguments = parser.parse_args()
    if arguments.check:
        names = stale()
        if names:
            print(f"stale, run 'python .ci/measure_lessons.py': {', '.join(names)}", file=sys.stderr)
        return 1 if names else 0
    rows = rows_there() if arguments.names else {}
    for path in lessons():
        if not arguments.names or path.stem in arguments.names:
            rows[path.stem] = measure(path).row()
            print(rows[path.stem], flush=True)
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    shown = table([rows[path.stem] for path in lessons() if path.stem in rows])
    PAGE.write_text(f"{before}{BEGIN}\n{shown}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Make the lessons from their solutions: `python .ci/make_lessons.py [--check] [--tags] [NAME ...]`.

`notebooks/solutions/NAME.ipynb` is the source. A line that ends in ``# solution`` becomes ``answer = ...`` in the
lesson, or goes where it assigns nothing. Both are run, and stored with their outputs, without execution times, widget
state or the kernel's version, and with the tags of a slide view. `--check` only compares the sources, for the test;
`--tags` runs nothing and gives the tags to notebooks that have none.
"""

from __future__ import annotations

import argparse
import copy
import os
import pathlib
import re
import sys

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = pathlib.Path(__file__).resolve().parent.parent / "notebooks"
SOLUTION = re.compile(r"^(\s*\w+) = .*# solution$", re.MULTILINE)
FURTHER = re.compile(r"^.*# solution\n", re.MULTILINE)


def lesson_of(solution: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The lesson: the solution with its answers taken out."""
    lesson = copy.deepcopy(solution)
    for cell in lesson.cells:
        if cell.cell_type == "code":
            cell.source = FURTHER.sub("", SOLUTION.sub(r"\1 = ...", cell.source))
        cell.source = cell.source.replace("(solution)", "").rstrip()
    return lesson


def slide_type(cell: nbformat.NotebookNode) -> str:
    """Where a cell stands in the slide view (RISE, nbconvert).

    A heading begins a slide, code with its picture a slide below it; what is said of it appears under it.
    """
    if cell.cell_type == "code":
        return "subslide"
    return "slide" if re.search(r"^##? ", cell.source, re.MULTILINE) else "fragment"


def tagged(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with the tags of the slide view, where it is a lesson; the index is none."""
    if re.match(r"# \d\d ", notebook.cells[0].source):
        for cell in notebook.cells:
            cell.metadata["slideshow"] = nbformat.from_dict({"slide_type": slide_type(cell)})
    return notebook


def joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The outputs with what was printed in one piece: a busy machine delivers it in several."""
    found: list[nbformat.NotebookNode] = []
    for output in outputs:
        if found and output.output_type == "stream" and found[-1].get("name") == output.name:
            found[-1].text += output.text
        else:
            found.append(output)
    return found


def cleaned(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook without anything that differs from run to run or from machine to machine."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        if "outputs" in cell:
            cell.outputs = joined(cell.outputs)
        for output in cell.get("outputs", []):
            if "metadata" in output:
                output.metadata = nbformat.from_dict({})
            # Without a running kernel a widget's id points nowhere; the text beside it stays.
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    return tagged(notebook)


def run(notebook: nbformat.NotebookNode, folder: pathlib.Path) -> nbformat.NotebookNode:
    """Run all cells, in the folder where a reader would."""
    # A progress bar, which a slow machine would show, is no part of a lesson.
    os.environ["TQDM_DISABLE"] = "1"
    client = NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(folder)}}, store_widget_state=False
    )
    client.execute()
    return cleaned(notebook)


def sources(notebook: nbformat.NotebookNode) -> list[tuple[str, str]]:
    """What the check compares."""
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def main() -> int:
    """Make or check the lessons named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 where a lesson is stale")
    parser.add_argument("--tags", action="store_true", help="give the tags of the slide view, and run nothing")
    parser.add_argument("names", nargs="*", help="lessons, as in 01-one-update; all by default")
    arguments = parser.parse_args()
    stale = []
    for path in sorted((NOTEBOOKS / "solutions").glob("*.ipynb")):
        if arguments.names and path.stem not in arguments.names:
            continue
        solution = nbformat.read(path, as_version=4)
        lesson, target = lesson_of(solution), NOTEBOOKS / path.name
        if arguments.check:
            if not target.exists() or sources(nbformat.read(target, as_version=4)) != sources(lesson):
                stale.append(path.stem)
            continue
        if arguments.tags:
            for place in (path, target):
                nbformat.write(tagged(nbformat.read(place, as_version=4)), place)
            continue
        print(path.stem, flush=True)
        nbformat.write(run(solution, path.parent), path)
        nbformat.write(run(lesson, NOTEBOOKS), target)
    if stale:
        print(f"stale, run 'make exercises': {', '.join(stale)}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())

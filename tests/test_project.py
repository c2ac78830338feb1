"""What a newcomer relies on: the README, the pins, the package that is installed, the notebooks as they are stored."""

from __future__ import annotations

import doctest
import importlib.metadata
import pathlib
import re
import subprocess
import sys
import tomllib
import zipfile
from typing import Any

import nbformat
import pytest

from lwm2m_lab.trace import findings
from tests.conftest import need_tool

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NOTEBOOKS = sorted([*(ROOT / "notebooks").glob("*.ipynb"), *(ROOT / "notebooks" / "solutions").glob("*.ipynb")])


def names(requirements: list[str]) -> set[str]:
    """Package names of requirements."""
    return {re.split(r"[<>=!~;\[ ]", one, maxsplit=1)[0].lower().replace("_", "-") for one in requirements}


def pins() -> dict[str, str]:
    """Pinned versions by name."""
    lines = (ROOT / ".ci" / "pins.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def test_the_readme_does_what_it_shows() -> None:
    """Its five lines run, and its rule is heard."""
    before = dict(findings.RULES)
    result = doctest.testfile(str(ROOT / "README.md"), module_relative=False, optionflags=doctest.ELLIPSIS)
    for name in set(findings.RULES) - set(before):
        del findings.RULES[name]
    assert (result.attempted >= 4, result.failed) == (True, 0)


def test_the_readme_points_at_files_that_are_there() -> None:
    """Links, lessons, the picture; every lesson has its row."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("http")]
    assert [link for link in links if not (ROOT / link).exists()] == []
    lessons = {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert lessons <= set(links)
    for index in (ROOT / "notebooks" / "00-index.ipynb",):
        stored = index.read_text(encoding="utf-8")
        assert all(pathlib.Path(lesson).name in stored for lesson in lessons if "00-" not in lesson)


def test_pins_project_and_conda_agree() -> None:
    """Every dependency is pinned, and environment.yml asks for the same packages in the same versions."""
    wanted = names(PROJECT["project"]["dependencies"])
    tests = names(PROJECT["project"]["optional-dependencies"]["test"])
    assert wanted | tests <= set(pins())
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\s*- ([a-z0-9-]+)={1,2}([0-9.]+)$", text, flags=re.MULTILINE))
    python = listed.pop("python")
    assert python in PROJECT["project"]["requires-python"] or python in ("3.11", "3.12", "3.13")
    assert listed == {name: pins()[name] for name in wanted}
    assert "- -e ." in text


def test_what_is_installed_here_is_what_is_pinned() -> None:
    """The tests speak of the pinned versions."""
    for name, version in pins().items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        assert installed == version, name


def test_pins_are_pinned() -> None:
    """Exact versions only."""
    assert len(pins()) > 50


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The wheel, built from this checkout, unpacked in an empty folder."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(wheel: pathlib.Path, code: str, cwd: pathlib.Path) -> str:
    """Run code with the unpacked wheel in front of everything, away from the checkout."""
    program = f"import sys; sys.path.insert(0, {str(wheel)!r})\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=cwd)
    return done.stdout


def test_the_wheel_has_everything(wheel: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Samples by name, the lessons, the commands; and it is the wheel's code that ran."""
    shown = run(
        wheel,
        "import lwm2m_lab as lab\n"
        "from lwm2m_lab.show.lessons import place_lessons\n"
        "print(lab.__file__)\n"
        "print(all(lab.read(name).columns.packets > 0 for name in lab.samples()['name']))\n"
        "print(len(list(place_lessons(None).rglob('*.ipynb'))))\n",
        tmp_path,
    ).splitlines()
    assert shown[0].startswith(str(wheel))
    assert shown[1:] == ["True", str(len(NOTEBOOKS))]
    assert (tmp_path / "lwm2m-lessons" / "00-index.ipynb").exists()
    entry = next(wheel.glob("*.dist-info")) / "entry_points.txt"
    assert "lwm2m-lab = lwm2m_lab.__main__:main" in entry.read_text(encoding="utf-8")


def test_lessons_are_made_from_their_solutions() -> None:
    """No exercise has drifted from its solution."""
    done = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "make_lessons.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def code_cells(path: pathlib.Path) -> list[Any]:
    """The code cells of a notebook."""
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT / "notebooks")))
def test_a_notebook_reads_well(path: pathlib.Path) -> None:
    """Question and minutes first, a picture within three code cells, short cells, sentences between them."""
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith("# ")
    assert "?" in cells[0].source
    assert "minutes" in cells[0].source
    pictures = [
        at
        for at, cell in enumerate(code_cells(path))
        if any("image/png" in one.get("data", {}) or "widget" in str(one) for one in cell.outputs)
    ]
    assert pictures
    assert pictures[0] < 3
    for cell in code_cells(path):
        lines = cell.source.splitlines()
        assert len(lines) <= 12, cell.source
        assert not any(line.startswith(("def ", "class ")) for line in lines), "a lesson needs no helper of its own"
        assert all(len(line) <= 110 for line in lines)
    prose = sum(len(cell.source) for cell in cells if cell.cell_type == "markdown")
    assert prose > sum(len(cell.source) for cell in code_cells(path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT / "notebooks")))
def test_a_notebook_is_stored_clean(path: pathlib.Path) -> None:
    """Outputs are stored, in order, without times, paths of a machine, warnings or unexpected errors."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata
    for number, cell in enumerate(code_cells(path), 1):
        assert cell.execution_count == number
        assert "execution" not in cell.metadata
        said = set(cell.metadata) - {"tags"}
        assert said <= {"jupyter", "editable", "slideshow"}
        for output in cell.outputs:
            assert output.output_type != "stream" or output.name == "stdout", output
            if output.output_type == "error":
                assert "raises-exception" in cell.metadata.get("tags", [])
                assert not any("/site-packages/" in line or "Traceback" in line for line in output.traceback)
        shown = str(cell.outputs)
        assert not re.search(r"/home/|/root/|/tmp/|0x[0-9a-f]{9,}", shown)


def test_tools_of_the_makefile_are_there() -> None:
    """`make help` names every target that the README and CI use."""
    need_tool("make")
    shown = subprocess.run(["make", "help"], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    for target in ("lab", "test", "lint", "exercises", "set-up"):
        assert f"make {target}" in shown

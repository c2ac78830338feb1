"""The rooms of the library and the doors between them."""

from __future__ import annotations

import ast
import pathlib
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[1] / "lwm2m_lab"
MAY_USE = {
    "errors": set(),
    "files": {"errors"},
    "spec": {"errors"},
    "wire": {"errors"},
    "trace": {"errors", "files", "spec", "wire"},
    "live": {"errors", "files", "spec", "wire", "trace"},
    "show": {"errors", "files", "spec", "wire", "trace", "live"},
}
ONLY_IN = {"aiocoap": {"live"}, "pandas": {"trace", "show"}, "matplotlib": {"show"}, "ipywidgets": {"show"}}
HEAVY = ("pandas", "pyarrow", "matplotlib", "aiocoap", "asyncio", "cryptography", "ipywidgets")
DOORS = {"plot", "ladder", "report", "explore", "heatmap", "_repr_html_"}


def imports(path: pathlib.Path) -> list[str]:
    """What a module imports, but for the bodies of the doors to `show` and for types."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    excused: set[int] = set()
    for node in ast.walk(tree):
        door = isinstance(node, ast.FunctionDef) and node.name in DOORS
        types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if door or types:
            excused |= {id(inner) for inner in ast.walk(node)}
    found = []
    for node in ast.walk(tree):
        if id(node) not in excused and isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif id(node) not in excused and isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found.append(node.module or "")
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: pathlib.Path) -> None:
    """spec, wire <- trace <- live <- show, and each heavy library in its own room."""
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module in imports(path):
        first, _, rest = module.partition(".")
        if room in MAY_USE:
            assert room in ONLY_IN.get(first, {room}), f"{module} is imported in {room}"
        if first == "lwm2m_lab" and room in MAY_USE and rest:
            assert rest.split(".")[0] in MAY_USE[room] | {room}, f"an arrow upwards: {room} -> {module}"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_few_modules_pass_400_lines(path: pathlib.Path) -> None:
    """A module that does is two ideas; the table of rules, which is one, may."""
    most = 500 if path.name == "rules.py" else 430
    assert path.read_text(encoding="utf-8").count("\n") <= most


def test_tab_shows_at_most_thirty_names() -> None:
    """What stands behind `lab.` is few, and each name can be had."""
    import lwm2m_lab

    assert len(dir(lwm2m_lab)) <= 30
    for name in dir(lwm2m_lab):
        assert getattr(lwm2m_lab, name) is not None


def test_importing_the_lab_is_cheap() -> None:
    """No large library comes with the first import, nor with the reader of captures, which may do without numpy."""
    code = (
        "import sys, lwm2m_lab, lwm2m_lab.wire, lwm2m_lab.__main__\n"
        "print(sorted({'numpy', 'pandas', 'matplotlib', 'aiocoap', 'ipywidgets'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("command", "more"),
    [("explain", ("numpy.ma",)), ("check", ("numpy.ma",)), ("triage", ("numpy.ma",)), ("messages", ("numpy.ma",))],
)
def test_a_command_imports_what_it_needs(command: str, more: tuple[str, ...]) -> None:
    """A small capture is explained before pandas would be imported; keys are for DTLS, loops for runs."""
    code = (
        "import contextlib, io, sys, lwm2m_lab.__main__\n"
        "from lwm2m_lab.trace.samples import path_of\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        f"    lwm2m_lab.__main__.main([{command!r}, str(path_of('anjay-push-256-ok'))])\n"
        f"print([name for name in {HEAVY + more} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_reading_a_capture_imports_no_masked_arrays() -> None:
    """`np.unique` and its kin import `numpy.ma` when first called, which takes longer than reading a small capture."""
    code = (
        "import sys, numpy\nfrom lwm2m_lab.trace import samples\nfrom lwm2m_lab.wire import read_columns\n"
        "from lwm2m_lab.wire.intern import Interner\n"
        "some = Interner(1)\nsome.codes([numpy.arange(50_000, dtype=numpy.uint64)])\n"
        "read_columns(samples.path_of('anjay-push-256-ok'))\nprint('numpy.ma' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

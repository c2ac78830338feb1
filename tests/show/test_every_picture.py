"""Every picture of the library: what it says, in which units, whether it can be read in light and dark, and kept."""

from __future__ import annotations

import ast
import io
import pathlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

import lwm2m_lab as lab
import lwm2m_lab.show as show_room
from lwm2m_lab.show.campaign_board import campaign_board
from lwm2m_lab.show.campaigning import campaign_dashboard
from lwm2m_lab.show.differences import diff_picture
from lwm2m_lab.show.heatmap import heatmap
from lwm2m_lab.show.slots import slot_picture
from lwm2m_lab.show.style import CARD, COLOURS, INKS, LabFigure, png_bytes, save_figure
from lwm2m_lab.show.transfers import transfer_chart

#: A page in a light theme and the two darks of JupyterLab's: what lines of a panel stand on.
PAGES = ("#ffffff", "#212121", "#111111")


@lru_cache(maxsize=1)
def lossy() -> lab.Run:
    """A push with losses."""
    return lab.push(version="2.1.0", size=20_000, loss=0.05, seed=4)


@lru_cache(maxsize=1)
def fleet() -> Any:
    """A small campaign on a slow cell, in which something goes wrong."""
    return campaign_dashboard(devices=12, start={"cell_rate": 20_000})


@lru_cache(maxsize=1)
def table() -> Any:
    """A small sweep."""
    return lab.sweep(block_size=[256, 1024], loss=[0.0, 0.1], size=5_000, seeds=2)


def stepped() -> lab.Machine:
    """A machine with a path."""
    machine = lab.Machine("1.1")
    machine.send(lab.Event.FIRST_BLOCK)
    return machine


#: By the function that draws it; a panel gives its own as `figure`.
PICTURES: dict[str, Callable[[], Any]] = {
    "version_chart": lambda: lossy().plot(),
    "version_chart of a log": lambda: lab.read("anjay-push-badcrc").plot(),
    "transfer_chart": lambda: transfer_chart(lossy()),
    "ladder": lambda: lossy().ladder(),
    "state_diagram": lambda: lab.show.state_diagram("1.2").figure,
    "state_diagram of a machine": lambda: stepped().plot().figure,
    "diff_picture": lambda: diff_picture("1.0", "1.1"),
    "slot_picture": lambda: slot_picture(lossy().truth, 4),
    "heatmap": lambda: heatmap(table(), "block_size", "loss"),
    "heatmap of seconds": lambda: heatmap(table(), "block_size", "loss", value="transfer_s"),
    "campaign_board": lambda: campaign_board(fleet().run),
}
PANELS: dict[str, Callable[[], Any]] = {
    "Stepper": lambda: lab.show.stepper(),
    "Explorer": lambda: lab.read("anjay-push-badcrc").explore(),
    "BlockExplorer": lambda: lab.show.block_explorer(lossy()),
    "LinkLab": lambda: lab.show.link_lab(),
    "RuleDiff": lambda: lab.show.rule_diff("1.0", "1.2"),
    "SlotAnimation": lambda: lab.show.slot_animation(lossy(), at=3),
    "VersionTable": lambda: lab.show.truth_table_panel(device="D2"),
    "CampaignDashboard": fleet,
}
#: Panels of words and tables, or of what stands above already: `CaseExplorer` shows ladders, `Workbench` other panels.
WORDS = {"CaseCard", "CaseExplorer", "ImageExplorer", "SideBySide", "Workbench"}
every_picture = pytest.mark.parametrize("name", PICTURES)


@lru_cache(maxsize=32)
def drawn(name: str) -> tuple[Figure, bytes]:
    """One of them, and its PNG."""
    made = PICTURES[name]()
    return made, png_bytes(made)


def figure_of(name: str) -> Figure:
    """One of them, drawn."""
    return drawn(name)[0]


def returning(*kinds: str) -> Iterator[str]:
    """Public functions of the room whose value is annotated so."""
    for path in sorted(pathlib.Path(show_room.__file__).parent.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            told = isinstance(node, ast.FunctionDef) and node.returns is not None and ast.unparse(node.returns)
            if isinstance(node, ast.FunctionDef) and told in kinds and not node.name.startswith("_"):
                yield node.name


def panels() -> Iterator[str]:
    """Classes of the room that a cell shows."""
    for path in sorted(pathlib.Path(show_room.__file__).parent.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and any(
                isinstance(one, ast.FunctionDef) and one.name == "_repr_mimebundle_" for one in node.body
            ):
                yield node.name


def luminance(colour: Any) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Any, other: Any) -> float:
    """Contrast of two colours, as WCAG 2 defines it."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_no_picture_and_no_panel_is_left_out() -> None:
    """Whoever adds one adds it here."""
    assert set(returning("Figure", "Axes")) == {name.split()[0] for name in PICTURES}
    assert set(panels()) == {*PANELS, *WORDS}


@every_picture
def test_it_states_its_finding(name: str) -> None:
    """A line at the top that is more than a name: a number, a version, or what became of it."""
    figure = figure_of(name)
    titles = [figure.get_suptitle(), *(text.get_text() for text in figure.texts)]
    title = next(words for words in titles if words)
    assert len(title.split()) >= 4
    assert any(letter.isdigit() for letter in title) or "verdict" in title


@every_picture
def test_its_axes_have_names_and_units(name: str) -> None:
    """Where there are ticks there is a label, with a unit or the name of what is counted."""
    for ax in figure_of(name).axes:
        if not ax.axison:
            continue
        below = [one for one in figure_of(name).axes if one.get_shared_x_axes().joined(one, ax)]
        labels = {one.get_xlabel() for one in (*below, ax)} | {ax.get_xlabel()}
        if len(ax.get_xticks()) and any(label.get_text() for label in ax.get_xticklabels()):
            assert any(labels), ax.get_title(loc="left")
        written = [label.get_text() for label in ax.get_yticklabels() if label.get_text()]
        if len(ax.get_yticks()) and written and not any(letter.isalpha() for letter in "".join(written)):
            alone = [one for one in figure_of(name).axes if one.get_shared_y_axes().joined(one, ax)]
            assert any(one.get_ylabel() for one in (ax, *alone)), ax.get_title(loc="left")


@every_picture
def test_its_letters_can_be_read(name: str) -> None:
    """4.5 against the card, or against the mark that they stand on."""
    figure = figure_of(name)
    for text in figure.findobj(Text):
        if not text.get_text().strip() or not text.get_visible():
            continue
        ground = text.get_bbox_patch().get_facecolor() if text.get_bbox_patch() is not None else CARD
        on_colour = to_hex(text.get_color()) in ("#ffffff", "#000000")
        if on_colour and text.get_bbox_patch() is None:
            continue  # on a filled box or a cell of the map, which has a test of its own
        least = 3.0 if text.get_bbox_patch() is not None else 4.5
        assert contrast(text.get_color(), ground) >= least, text.get_text()


@every_picture
def test_its_lines_can_be_seen(name: str) -> None:
    """3 against the card, for every line and marker; those of the grid are no content."""
    for ax in figure_of(name).axes:
        for line in ax.lines:
            if to_hex(line.get_color()) not in (to_hex(CARD), to_hex(COLOURS["grid"])):
                assert contrast(line.get_color(), CARD) >= 3


def test_colours_of_panels_can_be_seen_on_every_page() -> None:
    """The same colours are borders of tables, in light and dark; letters have inks of their own, on the card alone."""
    for name in ("state", "result", "package", "firmware", "progress", "again", "faint"):
        assert all(contrast(COLOURS[name], page) >= 3 for page in (*PAGES, CARD)), name
    assert all(contrast(ink, CARD) >= 4.5 for ink in INKS.values())


@pytest.mark.parametrize("name", ["heatmap", "heatmap of seconds"])
def test_numbers_on_a_map_can_be_read(name: str) -> None:
    """Each on the colour of its cell."""
    figure = figure_of(name)
    for ax in figure.axes:
        for image in ax.images:
            colours = image.cmap(image.norm(image.get_array()))
            for text in ax.texts:
                column, row = (round(one) for one in text.get_position())
                assert contrast(text.get_color(), colours[row][column][:3]) >= 4.5, text.get_text()


@every_picture
def test_it_stands_on_a_card_with_round_corners(name: str) -> None:
    """The corner is the page's, the middle of the upper edge is the card's: no white box in the dark."""
    made, png = drawn(name)
    assert isinstance(made, LabFigure)
    picture = imread(io.BytesIO(png))
    assert picture.shape[2] == 4
    assert picture[0, 0, 3] == 0
    assert to_hex(picture[4, picture.shape[1] // 2, :3]) == to_hex(CARD)


@every_picture
def test_it_can_be_kept(name: str, tmp_path: pathlib.Path) -> None:
    """As PNG and as SVG."""
    figure, png = drawn(name)
    save_figure(figure, tmp_path / "one.svg")
    assert (tmp_path / "one.svg").read_bytes().startswith(b"<?xml")
    assert png.startswith(b"\x89PNG")


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_gives_its_picture_to_be_kept(name: str, tmp_path: pathlib.Path) -> None:
    """One of the pictures above, as a file."""
    figure = PANELS[name]().figure
    assert isinstance(figure, LabFigure)
    save_figure(figure, tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")

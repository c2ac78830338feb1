"""Charts, ladders and diagrams: what is on them, not how many pixels."""

from __future__ import annotations

import io
import pathlib
from typing import Any

import pytest
from matplotlib.image import imread

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.diagram import DiagramPicture, arrows, state_diagram
from lwm2m_lab.show.sequence import rungs
from lwm2m_lab.show.style import LabFigure, png_bytes, save_figure
from lwm2m_lab.spec.firmware import RULES
from lwm2m_lab.spec.objects import State


def words(figure: Any) -> str:
    """Every text on a figure, tick labels too."""
    figure.canvas.draw()
    found = [text.get_text() for text in figure.findobj(match=lambda item: hasattr(item, "get_text"))]
    return "\n".join(found)


@pytest.fixture(scope="module")
def lossy() -> lab.Run:
    """A push with losses."""
    return lab.push(version="2.1.0", size=20_000, link=lab.Link(loss=0.05), seed=4)


def test_the_chart_names_what_it_shows(lossy: lab.Run) -> None:
    """Four resources with their paths, both versions, the reboot, the copies and the verdict."""
    text = words(lossy.plot())
    for expected in (
        "/5/0/3", "/5/0/5", "PkgVersion /5/0/7", "Firmware Version /3/0/3", "3 Updating", "1 Updated successfully",
        "1.0.0", "2.1.0", "registers again (reboot)", "Execute Update", "sent again, 2 copies",
        "verdict on the device PASS", "seconds since the first message",
    ):  # fmt: skip
        assert expected in text


def test_encrypted_traffic_has_no_chart_and_says_why() -> None:
    """There is nothing to draw, and the sentence counts the records."""
    with pytest.raises(BadInput, match="encrypted"):
        lab.read("anjay-dtls-psk").plot()
    with pytest.raises(BadInput, match="encrypted"):
        lab.read("anjay-dtls-psk").ladder()


@pytest.mark.parametrize("sample", [name for name in lab.samples()["name"] if "dtls" not in name])
def test_every_sample_has_a_chart_and_a_ladder(sample: str) -> None:
    """Of its first update, or of all messages."""
    capture = lab.read(sample)
    for figure in (capture.plot(), capture.ladder()):
        assert isinstance(figure, LabFigure)
        assert figure._repr_png_()[:4] == b"\x89PNG"
        assert words(figure).strip()


def test_texts_stay_on_the_page(lossy: lab.Run) -> None:
    """No label of the chart is cut off at an edge."""
    for figure in (lossy.plot(), lab.read("anjay-push-link-cut-midway").plot(), lab.read("anjay-pull-coap-404").plot()):
        figure.canvas.draw()
        page = figure.bbox
        for ax in figure.axes:
            for text in (*ax.texts, ax.title, ax.xaxis.label, ax.yaxis.label, *ax.get_yticklabels()):
                box = text.get_window_extent()
                assert box.x0 >= page.x0 - 1, text.get_text()
                assert box.x1 <= page.x1 + 1, text.get_text()


def test_the_same_picture_each_time(lossy: lab.Run, tmp_path: pathlib.Path) -> None:
    """PNG and SVG files are the same bytes again."""
    assert png_bytes(lossy.plot()) == png_bytes(lossy.plot())
    for name in ("a.svg", "b.svg"):
        save_figure(lossy.plot(), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_picture_is_written_whole_or_not_at_all(lossy: lab.Run, tmp_path: pathlib.Path) -> None:
    """Another ending and a missing folder are refused."""
    for name, said in (("x.gif", ".png, .svg or .pdf"), ("no/x.png", "a path in an existing folder is expected")):
        with pytest.raises(BadInput, match=said):
            save_figure(lossy.plot(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_endpoint_is_named(lossy: lab.Run) -> None:
    """Those there are."""
    with pytest.raises(BadInput, match="urn:dev:lab-1"):
        lossy.plot(endpoint="nobody")


def test_rungs_say_who_what_and_whether_it_arrived(lossy: lab.Run) -> None:
    """Blocks in the middle are summed up; a lost datagram and a copy are marked."""
    lines = rungs(lossy)
    labels = [one.label for one in lines]
    assert any("/rd" in label for label in labels)
    assert "… 27 more messages of this transfer, frames 19 to 45 …" in labels
    assert "lost" in {one.kind for one in lines}
    assert "again" in {one.kind for one in lines}
    assert [one.frame for one in lines] == sorted(one.frame for one in lines)


def test_a_part_of_a_ladder(lossy: lab.Run) -> None:
    """From one frame to another, and no other."""
    assert {one.frame for one in rungs(lossy, first=3, last=6)} == {3, 4, 5, 6}


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_the_diagram_is_drawn_from_the_rules(version: str) -> None:
    """Every arrow stands for rules of the version, and every usual transition has its arrow."""
    drawn = {(one.source, one.target) for one in arrows(version, unusual=True)}
    expected = {
        (rule.source, target)
        for rule in RULES
        if version in rule.versions
        for target, _ in rule.outcomes
        if target != rule.source
    }
    assert {pair for pair in drawn if pair[0] != pair[1]} == expected
    text = words(lab.show.state_diagram(version).figure)
    for state in State:
        assert state.name.capitalize() in text


def test_the_path_taken_is_numbered() -> None:
    """A machine's steps are on its diagram."""
    machine = lab.Machine("1.1")
    for event in (lab.Event.FIRST_BLOCK, lab.Event.PACKAGE_COMPLETE, lab.Event.UPDATE, lab.Event.INSTALLED):
        machine.send(event)
    text = words(machine.plot().figure)
    assert {"1", "2", "3", "4"} <= set(text.replace(",", "\n").split())


def test_a_diagram_painted_over_is_the_diagram_drawn_anew() -> None:
    """But for the rims of the arrows beneath; and nothing of the machine before is left."""
    stepped, fresh = lab.Machine("1.2"), lab.Machine("1.2")
    for event in (lab.Event.FIRST_BLOCK, lab.Event.PACKAGE_COMPLETE, lab.Event.UPDATE):
        stepped.send(event)
    picture = DiagramPicture("1.2")
    painted = picture.draw(stepped)
    anew, other = (
        imread(io.BytesIO(one))
        for one in (png_bytes(state_diagram(stepped).figure), painted)  # type: ignore[arg-type]
    )
    assert (abs(anew - other) > 0.05).any(axis=-1).mean() < 0.005
    assert picture.draw(fresh) == DiagramPicture("1.2").draw(fresh) != painted

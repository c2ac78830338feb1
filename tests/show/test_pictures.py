"""Charts, ladders and diagrams: what is on them, not how many pixels."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.image import imread
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.text import Text
from matplotlib.transforms import Bbox

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.diagram import STATE_PLACES, DiagramPicture, arrows, state_diagram
from lwm2m_lab.show.sequence import rungs
from lwm2m_lab.show.style import STATE_COLOURS, LabFigure, ink_of, png_bytes, save_figure
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


def test_a_version_chart_says_what_became_of_the_firmware(lossy: lab.Run) -> None:
    """From which version to which; there and back; that it stayed; that nobody saw it afterwards."""
    titles = {name: lab.read(name).plot().get_suptitle() for name in ("anjay-cancel", "anjay-push-link-cut-midway")}
    assert "push succeeded, /3/0/3 from 1.0.0 to 2.1.0, verdict" in lossy.plot().get_suptitle()
    trial = lab.DeviceOptions(slots="ab", trial_fails=True)
    back = lab.push(version="2.1.0", device=trial, strategy="S7", seed=1).plot().get_suptitle()
    assert "push failed, /3/0/3 from 1.0.0 to 2.1.0 and back, verdict" in back
    assert "push cancelled, /3/0/3 stays 3.13.1, verdict" in titles["anjay-cancel"]
    assert "push unfinished, /3/0/3 was 3.13.1, not seen afterwards" in titles["anjay-push-link-cut-midway"]


def test_a_version_stands_clear_of_its_sightings() -> None:
    """The second look comes right after the first; its dot is not on the letters."""
    ax = lab.push(version="2.1.0", strategy="S7", seed=1).plot().axes[2]
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts if text.get_fontweight() == "bold"]
    sightings = [point for line in ax.lines if line.get_marker() == "o" for point in line.get_xydata()]
    dots = ax.transData.transform(sightings)
    assert len(boxes) >= 3
    assert not [1 for box in boxes for x, y in dots if box.x0 <= x <= box.x1 and box.y0 <= y <= box.y1]


def test_a_state_has_one_colour_in_every_picture(lossy: lab.Run) -> None:
    """In the chart over time and in the diagrams as in the dashboard of a fleet."""
    chart, diagram = lossy.plot(), lab.show.state_diagram("1.1")
    png_bytes(chart)
    for state in lab.State:
        colour = STATE_COLOURS[str(state)]
        boxes = [one for one in diagram.patches if isinstance(one, FancyBboxPatch)]
        assert to_hex(boxes[list(STATE_PLACES).index(state)].get_edgecolor()) == colour.lower()
        (tick,) = [one for one in chart.axes[0].get_yticklabels() if one.get_text() == str(state)]
        assert to_hex(tick.get_color()) == ink_of(colour).lower()
    lines = next(one for one in chart.axes[0].collections if isinstance(one, LineCollection))
    seen = [lab.State(int(at)) for at in lossy.timeline[lossy.timeline["path"] == "/5/0/3"]["value"]]
    assert [to_hex(one) for one in lines.get_colors()] == [STATE_COLOURS[str(state)].lower() for state in seen]


def test_rules_of_the_diagram_do_not_cover_each_other() -> None:
    """Nor does the slanting arrow run through one of them."""
    for version in ("1.0", "1.1", "1.2"):
        ax = lab.show.state_diagram(version)
        ax.figure.canvas.draw()
        boxes = [text.get_window_extent() for text in ax.texts]
        assert not [1 for at, one in enumerate(boxes) for other in boxes[at + 1 :] if one.overlaps(other)]
        slanting = max((one for one in ax.patches if isinstance(one, FancyArrowPatch)), key=slant)
        points = slanting.get_path().transformed(ax.transData).interpolated(40).vertices
        for box in (line for text in ax.texts for line in lines_of(text)):
            assert not [1 for x, y in points if box.x0 < x < box.x1 and box.y0 < y < box.y1], version


def lines_of(text: Text) -> Iterator[Bbox]:
    """Where each line of a text stands, about: a line is as wide as it has letters."""
    lines, box = text.get_text().split("\n"), text.get_window_extent()
    widest, high = max(map(len, lines)), box.height / len(lines)
    for at, line in enumerate(lines):
        spare = box.width * (1 - len(line) / widest)
        left = box.x0 + {"left": 0.0, "center": spare / 2, "right": spare}[text.get_horizontalalignment()]
        yield Bbox.from_bounds(left, box.y1 - high * (at + 1), box.width - spare, high)


def slant(arrow: FancyArrowPatch) -> float:
    """How much of both ways an arrow goes."""
    (x0, y0), (x1, y1) = arrow._posA_posB
    return float(min(abs(x1 - x0), abs(y1 - y0)))


def test_a_ladder_says_what_was_lost_sent_again_and_refused() -> None:
    """A copy that was lost is both; where nothing was sent again, that is the finding."""
    cut = lab.Link(outages=[(0.75, 9)])
    broken = lab.push(size=8_000, link=cut, device=lab.DeviceOptions(forget_after=5), seed=1)
    title = broken.ladder(first=19, last=29).figure.get_suptitle()
    assert "in 14.2 s, 3 lost, 3 sent again, refused with 4.08 Request Entity Incomplete" in title
    assert "(sent again, lost)" in words(broken.ladder(first=19, last=29).figure)
    real = lab.read("anjay-pull-coap-404").ladder(first=15, last=25).figure.get_suptitle()
    assert "frames 15 to 25 in 2 ms, nothing sent again, refused with 4.04 Not Found" in real

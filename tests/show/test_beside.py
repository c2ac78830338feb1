"""Two updates under one clock."""

from __future__ import annotations

import html

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.beside import SideBySide
from tests.peers import Session


@pytest.fixture(scope="module")
def pair() -> SideBySide:
    """The same image, pushed and pulled."""
    return lab.show.side_by_side(lab.push(size=5000, seed=1), lab.pull(size=5000, seed=1))


def test_who_asks_is_counted(pair: SideBySide) -> None:
    """The server in a push, the device in a pull; at the end as often as the table of exchanges says."""
    pair.cursor.value = pair.cursor.max
    assert "server asked <b>16</b> &middot; urn:dev:lab-1 asked <b>2</b>" in pair.panes[0].value
    assert "server asked <b>12</b> &middot; urn:dev:lab-1 asked <b>7</b>" in pair.panes[1].value


def test_the_clock_moves_both_sides(pair: SideBySide) -> None:
    """What comes later is not there yet, State is that of the moment, and nothing has been asked before the start."""
    pair.cursor.value = 0
    assert all("State <b>not seen yet</b>" in pane.value for pane in pair.panes)
    assert "PUT" not in pair.panes[0].value
    while "CON PUT /5/0/0 1:0/1/1024 →" not in pair.panes[0].value:
        pair.cursor.value += 1
    assert "CON PUT /5/0/1 “coap://192.0.2.3/fw/2.0.0.bin” →" in pair.panes[1].value
    assert "2.31" not in pair.panes[0].value
    pair.play.value = pair.cursor.max
    assert pair.cursor.value == pair.cursor.max
    assert all("State <b>0 Idle</b>" in pane.value for pane in pair.panes)


def test_an_arrow_crosses_the_gap_of_its_ends(pair: SideBySide) -> None:
    """Three lifelines: what goes to the repository leaves the server's cell empty."""
    pair.cursor.value = pair.cursor.max // 2
    lines = pair.panes[1].value.split("<tr>")
    fetch = next(line for line in lines if "GET /fw/2.0.0.bin" in line)
    assert fetch.count("<td") == 3
    assert 'colspan="2"' in fetch


def test_http_is_a_request_too() -> None:
    """A web server has a lifeline of its own, in the ladder too."""
    web = lab.read("anjay-pull-http")
    pair = lab.show.side_by_side(lab.pull(size=2000, seed=1), web)
    assert "web server" in pair.panes[1].value
    while "HTTP GET /fw.bin →" not in pair.panes[1].value:
        pair.cursor.value -= 1
    assert "urn:dev:anjay-1 asked <b>2</b>" in pair.panes[1].value
    words = [text.get_text() for text in web.ladder(first=15, last=36).axes[0].texts]
    assert "HTTP 200, 50000 bytes" in words


def test_a_moment_to_begin_with() -> None:
    """The last line up to it; before the first one the first."""
    left, right = lab.push(size=2000, seed=1), lab.pull(size=2000, seed=1)
    assert lab.show.side_by_side(left, right, at=0.55).time == pytest.approx(0.5)
    assert lab.show.side_by_side(left, right, at=-1).time == 0.0


def test_nothing_of_a_capture_is_obeyed() -> None:
    """Markup in a name is text."""
    session = Session()
    session.exchange("0.02", "/rd", "2.01", from_device=True, queries=("ep=<script>x</script>", "lwm2m=1.1", "b=U"))
    session.script("push 0-2")
    pair = lab.show.side_by_side(session.capture(), lab.push(size=2000, seed=1))
    assert "<script" not in pair.panes[0].value
    assert "<script>x</script>" in html.unescape(pair.panes[0].value)


def test_what_shows_no_update_is_refused() -> None:
    """In a sentence."""
    with pytest.raises(BadInput, match="shows no firmware update"):
        lab.show.side_by_side(lab.push(size=2000), Session("register").capture())

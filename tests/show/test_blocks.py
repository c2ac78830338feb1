"""The block explorer, moved as a reader moves it."""

from __future__ import annotations

import re

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.blocks import hex_html
from lwm2m_lab.wire.coap import Message
from tests.peers import SERVER, Session


def bits_of(pane: str, name: str) -> list[str]:
    """The bits of the numbers of this name in a pane."""
    return re.findall(rf"<code[^>]*>([01 ]+)</code><br><small>{name}</small>", pane)


def test_each_block_shows_its_bits_and_its_bytes() -> None:
    """NUM, M and SZX of the request are those of the block, and the bytes below are those of the image."""
    run = lab.push(size=5000, block_size=256, seed=1)
    explorer = lab.show.block_explorer(run)
    shown = b""
    for at in range(explorer.cursor.max + 1):
        explorer.cursor.value = at
        more = at < explorer.cursor.max
        numbers = [int(bits_of(explorer.request.value, name)[0].replace(" ", ""), 2) for name in ("NUM", "M", "SZX")]
        assert numbers == [at, more, 4]
        assert f"answered <b>{'2.31' if more else '2.04'}</b>" in explorer.status.value
        assert ("Continue" if more else "Changed") in explorer.answer.value
        lines = re.findall(r"^ +\d+  ([0-9a-f ]{2,47})  ", explorer.payload.value.split(">")[3], flags=re.MULTILINE)
        shown += b"".join(bytes.fromhex(line) for line in lines)
    assert shown == run.image.data


def test_a_fetched_block_comes_in_the_answer() -> None:
    """Block2: the request asks, the answer carries."""
    explorer = lab.show.block_explorer(lab.pull(size=3000, block_size=512, seed=1), block=1)
    assert explorer.notation == "2:1/1/512"
    assert "GET" in explorer.request.value
    assert "512 bytes of a body in blocks" in explorer.answer.value
    assert "<b>512</b> to <b>1023</b> of 3000" in explorer.status.value


def test_a_restart_is_a_body_of_its_own() -> None:
    """The dropdown lists both, copies are counted, and another body begins at its first block."""
    link, device = lab.Link(outages=[(0.75, 9)]), lab.DeviceOptions(forget_after=5)
    explorer = lab.show.block_explorer(lab.push(size=8000, link=link, device=device, seed=1), block=2)
    assert "answered <b>4.08</b>, sent <b>4 times</b>" in explorer.status.value
    picture = bytes(explorer.chart.value)
    explorer.transfer.value = 1
    assert (explorer.cursor.value, explorer.cursor.max, explorer.notation) == (0, 7, "1:0/1/1024")
    assert bytes(explorer.chart.value) != picture


def test_buttons_stay_within_the_body() -> None:
    """And say what they do."""
    explorer = lab.show.block_explorer(lab.read("anjay-push-badcrc"))
    explorer.buttons["previous"].click()
    assert explorer.notation == "1:0/1/1024"
    for _ in range(25):
        explorer.buttons["next"].click()
    assert explorer.notation == "1:19/0/1024"
    assert all(button.description and button.tooltip for button in explorer.buttons.values())


def test_a_block_without_an_answer() -> None:
    """Says so, instead of a table."""
    session = Session("register\nserver > device CON PUT /5/0/0 1:0/1/1024 cf=42")
    explorer = lab.show.block_explorer(session.capture())
    assert explorer.answer.value == "<p>No answer was seen.</p>"
    assert "not answered" in explorer.status.value


def test_a_block_of_the_reserved_size_is_shown_as_one() -> None:
    """SZX 7 has no size; what is wrong with the option stands beside its bits."""
    session = Session("register")
    options = ((11, b"5"), (11, b"0"), (11, b"0"), (12, b"\x2a"), (27, b"\x0f"))
    session.say(SERVER, session.device, Message("CON", "0.03", 7, b"t", options, bytes(16)))
    explorer = lab.show.block_explorer(session.capture())
    assert explorer.notation == "1:0/1/reserved"
    assert bits_of(explorer.request.value, "SZX") == ["111"]
    assert "block size exponent 7 is reserved" in explorer.request.value


def test_many_bodies_are_not_all_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones, and the one that is asked for."""
    monkeypatch.setattr("lwm2m_lab.show.blocks.MOST_BODIES", 1)
    link, device = lab.Link(outages=[(0.75, 9)]), lab.DeviceOptions(forget_after=5)
    run = lab.push(size=8000, link=link, device=device, seed=1)
    assert [number for _, number in lab.show.block_explorer(run).transfer.options] == [0]
    asked = lab.show.block_explorer(run, transfer=1)
    assert ([number for _, number in asked.transfer.options], asked.cursor.max) == ([0, 1], 7)


def test_nothing_of_a_body_is_obeyed() -> None:
    """Markup in the bytes is text; a long payload is counted."""
    shown = hex_html(b"<script>" * 200, offset=64)
    assert "&lt;script&gt;" in shown
    assert "<script" not in shown
    assert "… 576 more" in shown


def test_what_is_not_there_is_refused() -> None:
    """No body, another body, another block."""
    capture = lab.read("anjay-push-badcrc")
    with pytest.raises(BadInput, match="no body in blocks"):
        lab.show.block_explorer(Session("register").capture())
    with pytest.raises(BadInput, match="no transfer 7; 0 to 0 are expected"):
        lab.show.block_explorer(capture, transfer=7)
    for block in (20, -1):
        with pytest.raises(BadInput, match=f"no block {block}; 0 to 19 are expected"):
            lab.show.block_explorer(capture, block=block)

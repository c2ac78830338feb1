"""The trace explorer, moved as a reader moves it."""

from __future__ import annotations

import html
import pathlib
import re

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.moments import Moments
from tests.peers import Session


def shown_bytes(text: str) -> str:
    """The hex of the table of bytes, in order."""
    return "".join(re.findall(r"monospace[^>]*>([0-9a-f ]*)", text)).replace(" ", "")


def test_a_move_changes_words_chart_ladder_and_bytes() -> None:
    """The value of the slider is the cursor: everything follows it."""
    capture = lab.read("anjay-push-badcrc")
    explorer = capture.explore()
    seen = set()
    for at in (0, 20, explorer.cursor.max):
        explorer.cursor.value = at
        panes = explorer.status.value, bytes(explorer.chart.value), explorer.ladder.value, explorer.anatomy.value
        assert f"frame <b>{explorer.frame}</b>" in panes[0]
        assert 'aria-current="true"' in panes[2]
        assert panes[1].startswith(b"\x89PNG")
        seen |= set(panes)
    assert len(seen) == 12


def test_what_was_known_then_is_told() -> None:
    """State, result and versions as last seen: nothing of what comes later."""
    moments = Moments(lab.read("anjay-push-badcrc"), "urn:dev:anjay-1")
    assert set(moments.told(0).values()) == {"not seen yet"}
    assert moments.told(moments.position(54))["Update Result"] == "0 Initial value"
    last = moments.told(len(moments.rows) - 1)
    assert (last["Update Result"], last["Firmware Version"]) == ("5 Integrity check failed", "3.13.1")


def test_every_message_is_shown_byte_by_byte() -> None:
    """Short ones whole; the hex on the panel is the datagram."""
    capture = lab.read("anjay-pull-coap-404")
    explorer = capture.explore()
    for at in range(explorer.cursor.max + 1):
        explorer.cursor.value = at
        datagram = capture.columns.datagram(int(explorer.moments.rows[at]))
        if len(datagram) < 48:
            assert shown_bytes(explorer.anatomy.value) == datagram.hex()
        assert f"Byte by byte: {len(datagram)} bytes" in explorer.anatomy.value


def test_buttons_go_to_messages_and_to_blocks() -> None:
    """To the neighbour, to the block before and after; at the ends they stay."""
    explorer = lab.read("anjay-push-badcrc").explore(frame=15)
    for name, frame in (("next", 16), ("next block", 17), ("next block", 19), ("previous", 18), ("previous block", 17)):
        explorer.buttons[name].click()
        assert explorer.frame == frame
    explorer.cursor.value = 0
    explorer.press("previous")
    explorer.press("previous block")
    assert explorer.cursor.value == 0
    explorer.cursor.value = explorer.cursor.max
    explorer.press("next")
    explorer.press("next block")
    assert explorer.cursor.value == explorer.cursor.max


def test_controls_are_labelled() -> None:
    """Each says what it is, to eyes and to a screen reader."""
    explorer = lab.read("anjay-push-256-ok").explore()
    assert all(button.description and button.tooltip for button in explorer.buttons.values())
    assert (explorer.cursor.description, explorer.endpoint.description) == ("message", "endpoint")


def test_another_endpoint_begins_at_its_first_message(shared: pathlib.Path) -> None:
    """Its own messages, chart and bytes."""
    explorer = lab.read(shared / "captures/anjay/anjay-multi-4-devices.pcap").explore(endpoint="urn:dev:anjay-m2")
    explorer.cursor.value = 30
    explorer.endpoint.value = "urn:dev:anjay-m3"
    assert explorer.cursor.value == 0
    assert explorer.cursor.max == len(explorer.moments.rows) - 1
    assert "urn:dev:anjay-m3" in explorer.ladder.value
    assert "urn:dev:anjay-m2" not in explorer.ladder.value


def test_nothing_of_a_capture_is_obeyed() -> None:
    """Markup in a name and in a path, and a device of which no value was seen."""
    session = Session()
    session.exchange("0.02", "/rd", "2.01", from_device=True, queries=("ep=<script>x</script>", "lwm2m=1.1", "b=U"))
    session.exchange("0.01", "/<img src=x>", "2.05", answer=b"<b>bold</b>", answer_format=0)
    explorer = session.capture().explore()
    for at in range(explorer.cursor.max + 1):
        explorer.cursor.value = at
        panes = explorer.status.value + explorer.ladder.value + explorer.anatomy.value
        assert "<script" not in panes
        assert "<img" not in panes
        assert "<b>bold" not in panes
    assert "<script>x</script>" in html.unescape(explorer.ladder.value)
    assert explorer.chart.layout.display == "none"


def test_what_is_not_there_is_refused(session: Session) -> None:
    """Another endpoint, another frame, an empty capture."""
    capture = lab.read("anjay-push-256-ok")
    with pytest.raises(BadInput, match=r"no message of 'nobody'; one of urn:dev:anjay-1"):
        capture.explore(endpoint="nobody")
    with pytest.raises(BadInput, match="no message in frame 5000"):
        capture.explore(frame=5000)
    with pytest.raises(BadInput, match="no CoAP message"):
        session.capture().explore()

"""What `explain` says, in words, in HTML and in JSON; and the documents that describe tables and JSON."""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
TABLES = ("messages", "exchanges", "transfers", "blocks", "timeline", "registrations", "executes")
FINDING = ["rule", "title", "verdict", "certainty", "party", "sentence", "clause", "endpoint", "frames"]


def fields(markdown: str) -> list[str]:
    """The names in the first column of a table."""
    rows = [line.split("|")[1] for line in markdown.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row)]


def test_tables_are_as_documented() -> None:
    """docs/tables.md names every column of every table, in order."""
    text = (DOCS / "tables.md").read_text(encoding="utf-8")
    capture = lab.read("anjay-push-256-ok")
    for name in TABLES:
        section = text.split(f"## `{name}`")[1].split("\n## ")[0]
        assert fields(section) == list(getattr(capture, name).columns), name


def test_json_is_as_documented() -> None:
    """docs/json.md names every field, in order; the JSON parses and the lists are lists."""
    text = (DOCS / "json.md").read_text(encoding="utf-8")
    said = json.loads(lab.explain("anjay-push-delayed-failure").to_json(all_findings=True))
    head, update, finding = text.split("## An update")[0], text.split("## An update")[1], text.split("## A finding")[1]
    assert fields(head) == list(said)
    assert fields(update.split("**Outcome**")[0]) == list(said["updates"][0])
    assert fields(update.split("**Outcome**")[0]) == list(lab.read().updates.columns)
    assert fields(finding) == list(said["findings"][0]) == FINDING
    assert said["updates"][0]["states"] == [0, 2, 3, 0]


@pytest.mark.parametrize("name", ["anjay-dtls-psk", "anjay-push-256-ok", "anjay-push-delayed-failure"])
def test_tables_keep_their_columns_when_they_are_empty(name: str) -> None:
    """A capture without CoAP has every table, with the same columns and types."""
    capture, full = lab.read(name), lab.read("anjay-push-256-ok")
    for table in (*TABLES, "updates"):
        assert list(getattr(capture, table).columns) == list(getattr(full, table).columns)
    assert dict(capture.messages.dtypes) == dict(full.messages.dtypes)


def test_findings_are_the_open_ones_unless_all_are_asked_for() -> None:
    """FAIL and INCONCLUSIVE by default."""
    explanation = lab.explain("anjay-push-delayed-failure")
    some, everything = explanation.to_dict()["findings"], explanation.to_dict(all_findings=True)["findings"]
    assert {one["verdict"] for one in some} <= {"FAIL", "INCONCLUSIVE"}
    assert len(everything) > len(some) > 0
    assert {one["verdict"] for one in everything} >= {"PASS", "FAIL", "NOT APPLICABLE"}


def test_words_name_cause_rule_clause_and_frames() -> None:
    """The text that a person reads."""
    text = str(lab.explain("anjay-push-delayed-failure"))
    assert "V4 FAIL, proved, device" in text
    assert "ETS int-779" in text
    assert "frames" in text


def test_one_endpoint_alone(ready: Any, image: bytes) -> None:
    """An unknown one lists those there are."""
    ready.push(image)
    explanation = lab.explain(ready.capture())
    assert explanation.of_endpoint("dev-1").updates == explanation.updates
    with pytest.raises(BadInput, match="those there are of dev-1"):
        explanation.of_endpoint("dev-2")


def test_html_is_escaped(session: Any, image: bytes) -> None:
    """An endpoint name of markup stays text, and escapes do not reach a terminal."""
    session.exchange(
        "0.02", "/rd", "2.01", from_device=True, queries=("ep=<script>x\x1b[2J", "lwm2m=1.1"), payload=b"</5/0>"
    )
    session.push(image)
    capture = session.capture()
    explanation = lab.explain(capture)
    for shown in (explanation._repr_html_(), capture._repr_html_(), capture.update(0)._repr_html_()):
        assert "<script>" not in shown
    assert "\x1b" not in str(explanation)


def test_a_damaged_file_tells_what_came_before(tmp_path: pathlib.Path) -> None:
    """A cut capture: every message before the cut, and a note."""
    whole = lab.read("anjay-push-256-ok")
    path = tmp_path / "cut.pcap"
    path.write_bytes(pathlib.Path(str(whole._data)).read_bytes()[:-1000])
    cut = lab.read(path)
    assert 0 < cut.columns.rows < whole.columns.rows
    assert list(cut.messages["mid"]) == list(whole.messages["mid"])[: cut.columns.rows]
    assert "the file is cut after frame" in str(lab.explain(cut))


def test_without_an_update(ready: Any) -> None:
    """CoAP that has nothing to do with firmware says so."""
    text = str(lab.explain(ready.capture()))
    assert "No firmware update in 8 CoAP messages: no Write to /5/0/0 or /5/0/1." in text
    assert lab.explain(ready.capture()).to_dict()["updates"] == []


def test_single_messages(ready: Any, image: bytes) -> None:
    """A frame, its payload, and a body; what is not there is named."""
    first = ready.push(image)
    capture = ready.capture()
    assert str(capture.message(first)).startswith("CON PUT")
    assert capture.payload(first) == image[:1024]
    assert capture.body(0) == image
    for ask in (lambda: capture.message(999), lambda: capture.body(7), lambda: capture.update("nobody")):
        with pytest.raises(BadInput, match="session has no"):
            ask()

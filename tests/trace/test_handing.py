"""What is handed on: parts, annotated captures, tables as files, and the verdict for a build server."""

from __future__ import annotations

import csv
import datetime
import json
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ET

import junitparser
import pandas as pd
import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.export import EXPORTED
from lwm2m_lab.trace.findings import RULES
from lwm2m_lab.wire.coap import Message
from tests.peers import DEVICE, SERVER, Session

NASTY = "</testcase><script>\x1b[2J\u202e\x00\ufffe"

# ---------------------------------------------------------------- a part


def test_a_part_keeps_frames_seconds_and_names() -> None:
    """Numbers are those of the whole, and a registration before the part still says who it is."""
    whole = lab.read("anjay-push-256-ok")
    part = whole.select(since="frame:100", until="frame:150")
    assert part.messages["frame"].tolist() == list(range(100, 151))
    assert set(part.exchanges["endpoint"]) == {"urn:dev:anjay-1"}
    both = whole.exchanges.merge(part.exchanges, on="frame", suffixes=("", "_part"))
    assert len(both) == len(part.exchanges)
    assert (both["time"] == both["time_part"]).all()


def test_moments_may_be_seconds_frames_and_times() -> None:
    """The same part in five ways; the ends belong to it."""
    whole = lab.read("anjay-push-256-ok")
    at = whole.messages["time"].iloc[40]
    seconds = (int(whole.columns["time"][40]) - int(whole.columns["time"][0])) / 1e9
    moment = datetime.datetime.fromtimestamp(at - 0.0000005, datetime.UTC)
    frame = whole.messages["frame"].iloc[40]
    for since in (f"frame:{frame}", seconds, str(seconds), moment, moment.isoformat()):
        assert whole.select(since=since).messages["frame"].iloc[0] == frame
    assert whole.select(until=f"frame:{frame}").messages["frame"].iloc[-1] == frame


@pytest.mark.parametrize("moment", ["soon", "frame:x", "frame:", "nan", "2024-13-01", float("inf"), "9" * 400])
def test_what_is_no_moment_is_refused(moment: str) -> None:
    """In one sentence."""
    with pytest.raises(BadInput, match="expected"):
        lab.read("anjay-push-256-ok").select(since=moment)


def test_an_endpoint_that_is_not_there_is_refused() -> None:
    """With those that are; a part that ends before it begins, too."""
    with pytest.raises(BadInput, match=r"'nobody'; those there are of .*urn:dev:anjay-1"):
        lab.read("anjay-push-256-ok").select(endpoint="nobody")
    with pytest.raises(BadInput, match="ends before it begins"):
        lab.read("anjay-push-256-ok").select(since=2, until=1)
    assert lab.read("anjay-push-256-ok").select(since="frame:5000").columns.rows == 0


def test_one_endpoint_of_several_is_judged_as_in_the_whole(shared: pathlib.Path) -> None:
    """Its update and its findings are the same, whether the others are there or not."""
    whole = lab.read(shared / "captures/anjay/anjay-multi-4-devices.pcap")
    said = whole.explain().to_dict(all_findings=True)
    assert len(said["updates"]) == 4
    for update in said["updates"]:
        part = whole.select(endpoint=update["endpoint"]).explain().to_dict(all_findings=True)
        assert part["updates"] == [update]
        assert part["findings"] == [one for one in said["findings"] if one["endpoint"] == update["endpoint"]]
    assert sum(whole.select(endpoint=name).columns.rows for name in whole.updates["endpoint"]) == whole.columns.rows


def test_the_download_belongs_to_the_endpoint(shared: pathlib.Path) -> None:
    """A pull goes to another address, and yet to this device."""
    whole = lab.read(shared / "captures/anjay/anjay-pull-coap-ok.pcap")
    part = whole.select(endpoint=whole.updates["endpoint"][0])
    assert part.explain().to_json() == whole.explain().to_json()


def test_a_part_has_no_file_of_its_own(tmp_path: pathlib.Path) -> None:
    """Saving it would write the whole."""
    with pytest.raises(BadInput, match="has no file of its own"):
        lab.read("anjay-push-256-ok").select(until=1).save(tmp_path / "x.pcap")


# ---------------------------------------------------------------- comments


def test_wireshark_shows_the_finding_at_its_frame(tmp_path: pathlib.Path, tshark: str) -> None:
    """The sentence at the first Write, the finding at its first frame, a pointer at the others."""
    capture = lab.read("anjay-push-delayed-failure")
    assert capture.annotated(tmp_path / "x.pcapng") == ()
    command = [tshark, "-r", str(tmp_path / "x.pcapng"), "-Y", "frame.comment", "-T", "fields"]
    command += ["-e", "frame.number", "-e", "frame.comment"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    by_frame = dict(line.split("\t", 1) for line in said)
    update, (failure,) = capture.update(0), [one for one in capture.explain().findings if one.verdict == "FAIL"]
    assert capture.explain().of_update(update).sentence in by_frame[str(update.frames[0])]
    assert failure.sentence in by_frame[str(failure.frames[0])]
    assert f"see frame {failure.frames[0]}" in by_frame[str(failure.frames[1])]


# ---------------------------------------------------------------- tables as files


@pytest.mark.parametrize("format", ["csv", "json", "parquet"])
def test_every_table_can_be_read_back(format: str, tmp_path: pathlib.Path) -> None:
    """As many rows, the same columns, nothing half."""
    capture = lab.read("anjay-pull-coap-404")
    capture.export(tmp_path / "out", format=format)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(f"{name}.{format}" for name in EXPORTED)
    reader = {"csv": pd.read_csv, "json": pd.read_json, "parquet": pd.read_parquet}[format]
    for name in EXPORTED:
        table, back = getattr(capture, name), reader(tmp_path / "out" / f"{name}.{format}")
        assert len(back) == len(table)
        if len(table) or format != "json":
            assert list(back.columns) == list(table.columns)
    values = reader(tmp_path / "out" / f"timeline.{format}")["value"]
    assert [str(value) for value in values] == [str(value) for value in capture.timeline["value"]]


def test_one_table_to_one_file(tmp_path: pathlib.Path) -> None:
    """The ending says the format; a folder that is there takes the table's name."""
    capture = lab.read("anjay-push-256-ok")
    assert capture.export(tmp_path / "u.json", table="updates") == [tmp_path / "u.json"]
    (row,) = json.loads((tmp_path / "u.json").read_text(encoding="utf-8"))
    assert row == json.loads(json.dumps(capture.update(0).to_dict()))
    assert capture.export(tmp_path, table="updates") == [tmp_path / "updates.csv"]


def test_formulas_and_escapes_are_defused(session: Session, tmp_path: pathlib.Path) -> None:
    """A name that a spreadsheet would run, a version that a terminal would obey."""
    session.exchange("0.02", "/rd", "2.01", from_device=True, queries=("ep==cmd()|x", "lwm2m=1.1", "b=\tU"))
    session.read("/3/0/3", "@SUM(A1)\x1b[2J")
    session.capture().export(tmp_path)
    for name in EXPORTED:
        with (tmp_path / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [cell for cell in cells if cell[:1] in tuple("=+@\t\r")]
        assert all(cell.isprintable() for cell in cells)
    assert "'@SUM(A1)\\x1b[2J" in (tmp_path / "timeline.csv").read_text(encoding="utf-8")


def test_what_cannot_be_exported_is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence each, and nothing is left behind."""
    capture = lab.read("anjay-push-256-ok")
    for arguments, said in (
        ({"table": "packets"}, "one of messages, "), ({"format": "xlsx"}, "one of csv, json, parquet is expected"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=said):
            capture.export(tmp_path / "x", **arguments)
    with pytest.raises(BadInput, match="one table by name, is expected"):
        capture.export(tmp_path / "all.csv")
    with pytest.raises(BadInput, match="in an existing"):
        capture.export(tmp_path / "no/such/folder", format="csv")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BadInput, match=r"Parquet needs pyarrow.*lwm2m-lab\[parquet\]"):
        capture.export(tmp_path / "x.parquet", table="updates")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- the gate


def test_a_good_update_passes_and_a_failed_one_does_not() -> None:
    """And says why; what is expected to fail passes where nothing else is wrong."""
    assert lab.read("anjay-push-256-ok").check().passes
    refused = lab.read("anjay-push-badcrc").check()
    assert not refused
    assert "failed where succeeded is expected" in refused.reasons[0]
    assert lab.read("anjay-push-badcrc").check(expect=["failed", "cancelled"]).passes


def test_rules_can_be_picked_and_ignored() -> None:
    """A rule that fails stops; not where it is ignored, nor where others alone count."""
    capture = lab.read("anjay-push-delayed-failure")
    assert not capture.check(expect="failed")
    assert capture.check(expect="failed", ignore=["V4"])
    assert capture.check(expect="failed", rules=["W6", "W7"])
    assert not capture.check(expect="failed", rules=["V4"])
    assert not lab.read("anjay-push-256-ok").check(strict=True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"rules": ["v4"]}, "no rule 'v4'; V4, the nearest, is expected"),
        ({"ignore": ["V44"]}, "no rule 'V44'; V4, the nearest, is expected"),
        ({"expect": "success"}, "one of succeeded, failed, "),
        ({"expect": ()}, "no outcome is expected"),
    ],
)
def test_unknown_rules_and_outcomes_are_refused(arguments: dict[str, object], said: str) -> None:
    """The nearest is named: a gate with a typing error in it would stand open."""
    with pytest.raises(BadInput, match=said):
        lab.read("anjay-push-256-ok").check(**arguments)  # type: ignore[arg-type]


def test_a_capture_without_an_update_does_not_pass(session: Session) -> None:
    """A test that tested nothing is no success; JUnit says so, too."""
    session.register()
    result = session.capture().check()
    assert not result
    assert "no firmware update was seen" in result.reasons[0]
    (suite,) = junitparser.JUnitXml.fromstring(result.junit().encode())
    assert (suite.tests, suite.failures) == (1, 1)


def test_junit_has_a_suite_an_update_and_a_case_a_rule(shared: pathlib.Path) -> None:
    """As junitparser reads it, which is how build servers do."""
    capture = lab.read(shared / "captures/anjay/anjay-multi-4-devices.pcap")
    result = capture.check()
    xml = junitparser.JUnitXml.fromstring(result.junit().encode())
    suites = list(xml)
    assert len(suites) == 4
    for suite, update in zip(suites, capture.updates.to_dict("records"), strict=True):
        cases = list(suite)
        assert len(cases) == 1 + len(RULES) == suite.tests
        assert suite.failures == sum(case.is_failure for case in cases)
        assert suite.skipped == sum(case.is_skipped for case in cases)
        assert (suite.failures > 0) == (update["outcome"] != "succeeded")
    assert xml.tests == sum(suite.tests for suite in suites)
    assert bool(result) == (xml.failures == 0)


def test_inconclusive_is_skipped_or_fails_where_strict() -> None:
    """With its sentence in either case."""
    for strict, tag in ((False, "skipped"), (True, "failure")):
        root = ET.fromstring(lab.read("anjay-push-256-ok").check(strict=strict).junit())
        (case,) = [one for one in root.iter("testcase") if one.get("name", "").startswith("V1 ")]
        (inside,) = case
        assert inside.tag == tag
        assert "does not say its version" in inside.get("message", "")


def test_junit_is_valid_whatever_the_capture_carries(session: Session) -> None:
    """Control characters, marks that turn the line round, and markup in a name and in a version."""
    session.exchange("0.02", "/rd", "2.01", from_device=True, queries=(f"ep={NASTY}", "lwm2m=1.1", "b=U"))
    session.read("/3/0/3", f"1{NASTY}")
    session.push(b"x" * 100)
    session.say(DEVICE, SERVER, Message("NON", "0.02", 1, b"", ((11, NASTY.encode()),)))
    capture = session.capture()
    assert capture.updates["endpoint"].tolist() == [NASTY]
    text = capture.check().junit()
    assert len(list(junitparser.JUnitXml.fromstring(text.encode()))) == 1
    assert "<script>" not in text
    assert all(char.isprintable() or char == "\n" for char in text)

"""JUnit XML, as build servers read it: a test suite for each update, a test case for each rule."""

from __future__ import annotations

import datetime
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from lwm2m_lab.trace.findings import Finding, Verdict
from lwm2m_lab.trace.gate import Check, CheckedUpdate
from lwm2m_lab.wire.text import printable

__all__ = ["add_case", "add_failure", "add_skipped", "document", "junit_xml"]

_WORST_FIRST = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.NOT_APPLICABLE)
_COUNTS = ("tests", "failures", "errors", "skipped")


def junit_xml(check: Check) -> str:
    """The check as JUnit XML.

    FAIL is a failure; INCONCLUSIVE is skipped, with its sentence, or a failure where the check is strict; NOT
    APPLICABLE and what was ignored are skipped. The outcome is a test case of its own. Whatever a capture carries, the
    text is valid XML: what does not print stands there escaped.
    """
    root = ET.Element("testsuites", name=printable(f"lwm2m-lab check {check.name}"))
    for number, one in enumerate(check.updates):
        _suite(root, number, one)
    if not any(one.update is not None for one in check.updates):
        suite = ET.SubElement(root, "testsuite", name="firmware updates", time="0")
        add_failure(add_case(suite, "the capture", "a firmware update is seen"), check.reasons[:1])
    return document(root)


def document(root: ET.Element) -> str:
    """The whole document, with everything counted."""
    totals = zip(*[_count(suite) for suite in root], strict=True)
    for name, counts in zip(_COUNTS, totals, strict=True):
        root.set(name, str(sum(counts)))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(root: ET.Element, number: int, one: CheckedUpdate) -> None:
    update = one.update
    suite = ET.SubElement(root, "testsuite", name=printable(one.name), id=str(number))
    suite.set("time", f"{(update.duration_s if update is not None else None) or 0:.3f}")
    if update is not None:
        suite.set("timestamp", _started(one))
        case = add_case(suite, update.endpoint, f"outcome is {' or '.join(one.expected)}")
        if not one.outcome_passes:
            add_failure(case, [f"{update.outcome}: {update.cause}" if update.cause else update.outcome])
    endpoint = "the capture" if update is None else update.endpoint
    by_rule: dict[str, list[Finding]] = {}
    for finding in (*one.findings, *one.ignored):
        by_rule.setdefault(finding.rule, []).append(finding)
    for findings in by_rule.values():
        findings.sort(key=lambda finding: _WORST_FIRST.index(finding.verdict))
        _ruleadd_case(suite, endpoint, findings, one)


def _started(one: CheckedUpdate) -> str:
    """When the update began, in UTC; the schema of JUnit knows no zones."""
    assert one.update is not None
    columns = one.update.capture.columns
    at = int(columns["frame"].searchsorted(one.update.frames[0]))
    began = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=int(columns["time"][at]) // 1000)
    return began.isoformat(timespec="seconds")


def _ruleadd_case(suite: ET.Element, endpoint: str, findings: Sequence[Finding], one: CheckedUpdate) -> None:
    """The test case of one rule: what is worst of its findings decides."""
    worst = findings[0]
    case = add_case(suite, endpoint, f"{worst.rule} {worst.title}")
    said = [str(finding) for finding in findings if finding.verdict == worst.verdict]
    if worst in one.ignored:
        add_skipped(case, f"ignored: {said[0]}")
    elif one.stops(worst):
        add_failure(case, said)
    elif worst.verdict == Verdict.INCONCLUSIVE:
        add_skipped(case, said[0])
    elif worst.verdict == Verdict.NOT_APPLICABLE:
        add_skipped(case, f"not applicable: {worst.sentence}")


def add_case(suite: ET.Element, endpoint: str, name: str) -> ET.Element:
    """A test case of a suite; its text is made printable."""
    return ET.SubElement(suite, "testcase", classname=printable(endpoint), name=printable(name), time="0")


def add_failure(case: ET.Element, said: Sequence[str]) -> None:
    """A test case has failed; the first line is its message."""
    lines = [printable(line) for line in said]
    ET.SubElement(case, "failure", message=lines[0], type="rule").text = "\n".join(lines)


def add_skipped(case: ET.Element, why: str) -> None:
    """A test case was left out or is open."""
    ET.SubElement(case, "skipped", message=printable(why))


def _count(suite: ET.Element) -> tuple[int, int, int, int]:
    """Tests, failures, errors, skipped: counted, and written to the suite."""
    counts = (len(suite), len(suite.findall("testcase/failure")), 0, len(suite.findall("testcase/skipped")))
    for name, count in zip(_COUNTS, counts, strict=True):
        suite.set(name, str(count))
    return counts

"""The bench's results as JUnit XML: a suite for each device, a test case for each case as meant and as printed."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from lwm2m_lab.live.conformance.records import CaseResult, Verdict
from lwm2m_lab.live.conformance.result import Conformance
from lwm2m_lab.trace.junit import add_case, add_failure, add_skipped, document
from lwm2m_lab.wire.text import printable

__all__ = ["conformance_junit"]


def conformance_junit(results: Sequence[Conformance]) -> str:
    """Results as JUnit XML.

    FAIL as meant is a failure, INCONCLUSIVE and NOT APPLICABLE are skipped with their reason. What fails by the letter
    of the draft alone stands in the output of its test case: the erratum is the draft's.

    Examples
    --------
    >>> from lwm2m_lab.live.conformance import conformance
    >>> print(conformance_junit([conformance(cases=["int-772"])]))
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="lwm2m-lab conformance" tests="1" failures="0" errors="0" skipped="0">
      <testsuite name="a device by the book, Object 5 version 1.1" time="1.400" ...>
        <testcase classname="urn:dev:lab-1" name="int-772 Update without a package" time="1.400">
          <system-out>as meant PASS, as printed PASS: every step came as expected...
    """
    root = ET.Element("testsuites", name="lwm2m-lab conformance")
    for one in results:
        name = printable(f"{one.device}, Object 5 version {one.object_version}")
        seconds = sum(case.duration_s for case in one.results)
        suite = ET.SubElement(root, "testsuite", name=name, time=f"{seconds:.3f}")
        for result in one.results:
            _add(suite, one.endpoint, result)
    return document(root)


def _add(suite: ET.Element, endpoint: str, result: CaseResult) -> None:
    case = add_case(suite, endpoint, f"{result.case.id} {result.case.title}")
    case.set("time", f"{result.duration_s:.3f}")
    if result.verdict == Verdict.FAIL:
        add_failure(case, [result.sentence])
    elif result.verdict != Verdict.PASS:
        add_skipped(case, f"{str(result.verdict).lower()}: {result.sentence}")
    lines = [f"as meant {result.verdict}, as printed {result.as_printed or 'nothing'}: {result.sentence}"]
    lines += [f"{one.number}. {one.did}: expected {one.expected}; came {one.came}" for one in result.steps]
    lines += [f"erratum {one}" for one in result.case.errata]
    ET.SubElement(case, "system-out").text = "\n".join(printable(line) for line in lines)

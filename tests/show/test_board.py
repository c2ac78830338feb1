"""The conformance board, the matrix and the page, whatever a device calls itself."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.conformance import Conformance
from lwm2m_lab.live.conformance.junit import conformance_junit
from lwm2m_lab.show.board import conformance_board, conformance_matrix, conformance_page
from lwm2m_lab.show.case_explorer import conformance_explorer
from lwm2m_lab.show.triaging import triage_card

CASES = ["int-652", "int-77[024]*", "cancel-success"]
HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e"


@pytest.fixture(scope="module")
def strict() -> Conformance:
    return lab.conformance(cases=CASES)


@pytest.fixture(scope="module")
def faulty() -> Conformance:
    return lab.conformance(lab.DeviceOptions(faults=("executes-anywhere", "forgets-result")), cases=CASES)


def test_a_board_has_a_tile_for_each_case_and_says_why(faulty: Conformance) -> None:
    """With a sign besides the colour, and the reason of what does not pass in words."""
    html = conformance_board(faulty).html
    assert all(f" {one.case.id}" in html for one in faulty.results)
    assert "✗ int-772" in html
    assert "? cancel-success" in html
    assert "✓ int-774-pull*" in html
    assert "step 2, Execute /5/0/2: expected answer 4.05" in html
    assert faulty._repr_html_() == html


def test_a_matrix_lays_devices_beside_each_other(strict: Conformance, faulty: Conformance) -> None:
    """As meant the two differ, by the letter both miss what nobody can pass."""
    both = {"by the book": strict, "faulty": faulty}
    rows = re.findall(r"<th scope='row'[^>]*>([^<]*)</th>(.*?)</tr>", conformance_matrix(both).html)
    signs = {name: re.findall(r">([✓✗?–])<", cells) for name, cells in rows}
    assert signs["int-772"] == ["✓", "✗"]
    assert signs["cancel-success"] == ["✓", "?"]
    by_letter = conformance_matrix(both, as_printed=True).html
    assert "cancel-success" not in by_letter
    assert re.findall(r">([✓✗?–])<", by_letter.split("int-774-pull")[1])[:2] == ["✗", "✗"]


def test_a_matrix_of_nothing_is_refused() -> None:
    with pytest.raises(BadInput, match="one or more as"):
        conformance_matrix({})


def test_the_page_holds_every_step_and_no_script(strict: Conformance, faulty: Conformance) -> None:
    """Whatever a device calls itself; what fails stands unfolded."""
    named = dataclasses.replace(faulty, device=HOSTILE, endpoint=HOSTILE)
    page = conformance_page([strict, named])
    assert "<script" not in page
    assert "\x1b" not in page
    steps = sum(len(one.steps) for result in (strict, named) for one in result.results)
    assert len(re.findall(r'<tr><th scope="row" class="number">', page)) == steps
    assert page.count("<details ") == len(strict.results) + len(faulty.results)
    assert page.count(" open><summary>") == sum(one.verdict in ("FAIL", "INCONCLUSIVE") for one in faulty.results)
    assert "as printed: " in page
    assert "Erratum E4" in page


def test_the_page_is_the_same_each_time(strict: Conformance) -> None:
    assert conformance_page([strict]) == conformance_page([lab.conformance(cases=CASES)])


def test_the_explorer_shows_the_case_that_is_chosen(faulty: Conformance) -> None:
    """The first that fails to begin with; a case that did not apply has no messages to show."""
    explorer = conformance_explorer(faulty)
    assert explorer.case.value == "int-770"
    assert bytes(explorer.messages.value)[1:4] == b"PNG"
    explorer.case.value = "int-772"
    assert "expected answer 4.05" in explorer.words.value
    named = dataclasses.replace(faulty.case("int-772"), sentence=HOSTILE, sightings=())
    explorer.result = dataclasses.replace(faulty, results=(named,))
    explorer._show()
    assert "<script" not in explorer.words.value
    assert (bytes(explorer.messages.value), explorer.messages.layout.display) == (b"", "none")


def test_a_case_that_was_not_run_cannot_be_explored(faulty: Conformance) -> None:
    with pytest.raises(BadInput, match="no case 'int-755' was run; one of int-652"):
        conformance_explorer(faulty, case="int-755")


def test_a_triage_card_says_what_to_do() -> None:
    """A sign for each answer, and a remedy for each lack."""
    closed, open_ = (triage_card(lab.read(name)).html for name in ("anjay-dtls-psk", "anjay-push-256-ok"))
    assert "✗ Can it be explained? no" in closed
    assert closed.count("<b>Do:</b>") == len(lab.read("anjay-dtls-psk").triage().lacks)
    assert "✓ Can it be explained? yes" in open_
    assert "It lacks nothing." in open_


def test_junit_counts_failures_and_what_was_left_open(faulty: Conformance) -> None:
    """A build server sees the verdict as meant; the letter stands in the output."""
    root = ET.fromstring(conformance_junit([dataclasses.replace(faulty, device=HOSTILE)]))
    assert root.get("tests") == str(len(faulty.results))
    assert root.get("failures") == str(len(faulty.failing()))
    assert root.get("skipped") == "1"
    failed = [
        case.get("name", "").partition(" ")[0] for case in root.iter("testcase") if case.find("failure") is not None
    ]
    assert tuple(failed) == faulty.failing()
    output = root.find(".//testcase[@name='int-774-pull Out of memory, pull']/system-out")
    assert output is not None
    assert "as printed FAIL" in str(output.text)

"""The clinic: what each case file claims is what its capture shows, and an answer is told what it lacks."""

from __future__ import annotations

import hashlib
import pathlib
from typing import Any

import nbformat
import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.clinic.card import CaseCard
from lwm2m_lab.show.clinic.cases import CASES, Case
from lwm2m_lab.show.clinic.judging import LAYERS, OUTCOMES, PARTIES, VERDICTS
from lwm2m_lab.trace.findings import Verdict

#: The analyser's word for what a case file calls undecided.
WORDS = {"undecided": "INCONCLUSIVE"}
#: The analyser's four parties as the clinic names them.
PEERS = {
    "device": {"device"}, "server": {"server", "campaign", "timer"}, "repository": {"repository"},
    "network": {"link", "nobody"},
}  # fmt: skip


def right(one: Case) -> tuple[Any, ...]:
    """The right conclusion, a frame for each thing that is needed."""
    return one.layer[0], [min(group.frames) for group in one.needed()], one.who[0], one.outcome, one.verdict


def test_there_are_twelve_graded_cases() -> None:
    """Harder each time; four are for the half-day course, and in four the verdict is undecided."""
    assert list(CASES) == list(range(1, 13))
    stars = [one.stars for one in CASES.values()]
    assert stars == sorted(stars)
    assert set(stars) == {1, 2, 3, 4}
    assert [one.number for one in CASES.values() if one.half_day] == [4, 5, 8, 11]
    assert [one.number for one in CASES.values() if one.verdict == "undecided"] == [3, 7, 8, 12]


@pytest.mark.parametrize("one", CASES.values(), ids=lambda one: str(one.number))
def test_the_analyser_agrees_with_the_case_file(one: Case) -> None:
    """Outcome and verdict of the update, and the rules that the file names speak; others may, too."""
    assert one.update.outcome == one.outcome
    assert one.update.verdict == WORDS.get(one.verdict, one.verdict)
    spoken = {found.rule: found for found in lab.explain(one.judged).of_update(one.update).problems}
    assert set(one.rules) <= set(spoken)
    if one.rules and one.verdict != "undecided":
        assert PEERS[spoken[one.rules[0]].party] & set(one.who)
    if one.verdict == "undecided":
        assert any(found.verdict == Verdict.INCONCLUSIVE for found in spoken.values())


@pytest.mark.parametrize("one", CASES.values(), ids=lambda one: str(one.number))
def test_the_right_conclusion_is_right_and_reasoned(one: Case) -> None:
    """In every spelling that the file accepts; the reasoning names clause, frames and the analyser's sentence."""
    layer, frames, who, outcome, verdict = right(one)
    assert len(frames) <= 3
    for each_layer in one.layer:
        for each_who in one.who:
            assert one.lacks((each_layer.upper(), frames, each_who, outcome, verdict)) == ""
    assert one.lacks({"layer": layer, "frames": frames, "who": who, "outcome": outcome, "verdict": verdict}) == ""
    told = " ".join(one.reasoning().split())
    assert " ".join(one.clause.split()) in told
    assert str(frames[0]) in told
    assert one.update.endpoint in told


@pytest.mark.parametrize("one", CASES.values(), ids=lambda one: str(one.number))
def test_each_of_the_five_is_asked_for_itself(one: Case) -> None:
    """One wrong word gives one sentence that names it and gives nothing away."""
    good = right(one)
    for at, choices, accepted in (
        (0, LAYERS, one.layer), (2, PARTIES, one.who), (3, OUTCOMES, (one.outcome,)), (4, VERDICTS, (one.verdict,)),
    ):  # fmt: skip
        for wrong in set(choices) - set(accepted):
            said = one.lacks((*good[:at], wrong, *good[at + 1 :]))
            assert repr(wrong) in said
            assert choices[wrong] in said
            assert said.count(".") <= 3
    said = one.lacks((good[0], [1_000_000], *good[2:]))
    assert "Frame 1000000 (no message of this capture) does not decide. Among the frames is missing: " in said
    assert not any(f" {frame} " in said for group in one.needed() for frame in group.frames if frame > 9)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Object 5", "Five things are asked for"),
        (("weather", [1], "device", "failed", "PASS"), "The layer is one of message, block-wise, Object 5"),
        (("message", [1], "me", "failed", "PASS"), "The party is one of device, server, repository"),
        (("message", [1], "link", "fine", "PASS"), "The outcome is one of succeeded, failed, unfinished"),
        (("message", [1], "link", "failed", True), "The verdict is one of PASS, FAIL, undecided"),
        (("message", [], "link", "failed", "PASS"), "Name the frames that decide"),
        (("message", "23", "link", "failed", "PASS"), "Name the frames that decide"),
        (("message", [True], "link", "failed", "PASS"), "Name the frames that decide"),
        (("message", range(40), "link", "failed", "PASS"), "Name the frames that decide"),
        (("message", list(range(40)), "link", "failed", "PASS"), "40 frames are too many to be read: name at most 3"),
        ({"layer": "message"}, "The party is one of"),
    ],
)
def test_nonsense_is_answered_in_words(answer: Any, said: str) -> None:
    """What was asked for, not that it is wrong."""
    assert said in lab.show.case(1).lacks(answer)


def test_hints_come_one_by_one() -> None:
    """Each check shows the next, and the last one stays."""
    lab.check("08-01", right(CASES[1]))
    shown = [lab.check("08-01", ("message", [16], "link", "failed", "PASS")).words for _ in range(4)]
    for words, hint in zip(shown, (*CASES[1].hints, CASES[1].hints[-1]), strict=True):
        assert words.endswith(hint)
    with pytest.raises(BadInput, match="case 1 has no hint 4; 1 to 3 are expected"):
        lab.show.case(1).hint(4)


def test_the_lesson_tells_every_story() -> None:
    """Word by word, with its stars, and those of the half-day course marked."""
    lesson = pathlib.Path(__file__).resolve().parents[2] / "notebooks" / "08-failure-clinic.ipynb"
    told = "\n".join(cell.source for cell in nbformat.read(lesson, as_version=4).cells if cell.cell_type == "markdown")
    for one in CASES.values():
        assert one.story in told
        assert f"## Case {one.number} · {one.title} {'★' * one.stars}" in told
        marked = f"{one.title} {'★' * one.stars} · half-day course" in told
        assert marked == one.half_day


def test_recorded_cases_are_what_the_file_says(shared: pathlib.Path) -> None:
    """The hash that the story tells is the one of the file in the repository, and the body has it, too."""
    image = (shared / "captures/images/anjay-push-badcrc.bin").read_bytes()
    digest = hashlib.sha256(image).hexdigest()
    assert digest in CASES[2].story
    assert CASES[2].update.image_sha256 == digest


def test_half_of_each_is_half_of_each() -> None:
    """The body of run B is the one file up to the cut and the other behind it; in run A the ETag tells."""
    first, second = CASES[12].captures
    old, new = (lab.image(version=version, size=198_656).data for version in ("2.0.0", "2.1.0"))
    cut = 120 * 512
    body = second.body(int(second.transfers["transfer"].iloc[0]))
    assert body[:cut] == old[:cut]
    assert body[cut:] == new[cut:]
    assert old[cut:] != new[cut:]
    assert first.messages["etag"].nunique() == 2
    assert second.messages["etag"].nunique() == 0


def test_one_time_out_in_five_is_below_the_erase() -> None:
    """Case 7 says one in five: of the time-outs between 2 and 3 s a fifth is below 2.2 s."""
    rtt = CASES[7].capture.exchanges.query("block1_num == 0")["rtt_s"].iloc[0]
    assert (rtt - 2.0) / 1.0 == pytest.approx(0.2, abs=0.02)


def test_a_case_shows_itself_and_another_is_refused() -> None:
    """Story and question as text and as a page; a second capture where there is one."""
    one = lab.show.case(12)
    assert str(one).startswith("Case 12 **** Half of each")
    assert "★★★★" in one._repr_html_()
    assert "<code>lab.show.case(12).second</code>" in one._repr_html_()
    for wrong in (0, 13, "1", True, None):
        with pytest.raises(BadInput, match="a number from 1 to 12 is expected"):
            lab.show.case(wrong)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="case 1 has one capture; cases 6, 9 and 12 have a second one"):
        _ = lab.show.case(1).second


# ---------------------------------------------------------------- the card


def test_a_card_says_nothing_before_one_commits() -> None:
    """Open fields are named; the analyser speaks after a first conclusion."""
    card = lab.show.case_card(1)
    assert card.buttons["analyser"].disabled
    card.press("check")
    assert "Still open: which layer, who, outcome, verdict." in card.said.value
    assert card.buttons["analyser"].disabled
    card.answer("message", "16", "link", "failed", "PASS")
    card.buttons["check"].click()
    assert "Among the frames is missing: the message in which somebody refuses." in card.said.value
    assert not card.buttons["analyser"].disabled
    card.buttons["analyser"].click()
    assert "4.04 in frame 23" in card.said.value


@pytest.mark.parametrize("one", CASES.values(), ids=lambda one: str(one.number))
def test_a_card_tells_the_reasoning_of_a_right_answer(one: Case) -> None:
    """With the frames as they are typed."""
    card = CaseCard(one.number)
    layer, frames, who, outcome, verdict = right(one)
    card.answer(layer, " and ".join(map(str, frames)), who, outcome, verdict)
    card.press("check")
    assert "<b>Right. </b>" in card.said.value
    assert "Clause: " in card.said.value


def test_hints_and_rash_conclusions_are_shown_on_request() -> None:
    """One hint more with each press, no more than there are."""
    card = lab.show.case_card(8)
    for count in (1, 2, 3, 3):
        card.press("hint")
        assert card.said.value.count("Hint ") == count
    card.press("people say")
    assert "it never sends State 0" in card.said.value


def test_another_case_begins_anew() -> None:
    """No answer is left, no hint is open, the analyser is silent."""
    card = lab.show.case_card(1)
    card.answer("message", "16", "link", "failed", "PASS")
    card.press("check")
    card.press("hint")
    card.chooser.value = 11
    assert "Failed, and yet it moved" in card.story.value
    assert {field.value for field in card.fields.values()} == {"choose …"}
    assert card.frames.value == ""
    assert card.buttons["analyser"].disabled
    card.press("hint")
    assert "Hint 1 of 3" in card.said.value


def test_controls_of_a_card_are_labelled() -> None:
    """To eyes and to a screen reader, and what is typed is never obeyed."""
    card = lab.show.case_card(9)
    assert all(field.description for field in (*card.fields.values(), card.frames, card.chooser))
    assert all(button.description and button.tooltip for button in card.buttons.values())
    assert "role='status'" in card.said.value
    card.answer("path", "<script>", "nobody", "unfinished", "PASS")
    card.press("check")
    assert "<script" not in card.said.value

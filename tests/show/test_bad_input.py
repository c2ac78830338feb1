"""What a learner types who is not sure yet: one sentence each, which says what would have been accepted."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell

import lwm2m_lab as lab
from lwm2m_lab.errors import LabError

NOTEBOOKS = pathlib.Path(__file__).resolve().parents[2] / "notebooks"
#: What is typed, and words of the sentence that comes back.
TYPED: dict[str, tuple[Callable[[], Any], str]] = {
    "push(loss=2)": (lambda: lab.push(loss=2), "loss of the link is 2; a probability from 0 to 1 is expected"),
    "push(loss='much')": (lambda: lab.push(loss="much"), "a probability from 0 to 1 is expected"),
    "push(size=-1)": (lambda: lab.push(size=-1), "expected"),
    "push(block_size=500)": (lambda: lab.push(block_size=500), "16, 32, 64, 128, 256, 512"),
    "push(speed=9)": (lambda: lab.push(speed=9), "speed"),
    "pull(uri='')": (lambda: lab.pull(uri=""), "1 to 255 are expected"),
    "a file that is not there": (lambda: lab.read("report.pdf"), "a pcap or pcapng file is expected"),
    "a folder": (lambda: lab.read(str(NOTEBOOKS)), "expected"),
    "a notebook as a capture": (lambda: lab.read(str(NOTEBOOKS / "00-index.ipynb")), "expected"),
    "a number as a capture": (lambda: lab.read(7), "expected"),
    "Machine('1.3')": (lambda: lab.Machine("1.3"), "is expected"),
    "Machine(1.1)": (lambda: lab.Machine(1.1), "is expected"),  # type: ignore[arg-type]
    "stepper('1.3')": (lambda: lab.show.stepper("1.3"), "is expected"),
    "state_diagram('1.3')": (lambda: lab.show.state_diagram("1.3"), "is expected"),
    "rule_diff('1.0', '1.3')": (lambda: lab.show.rule_diff("1.0", "1.3"), "is expected"),
    "DeviceOptions(lwm2m='1.3')": (lambda: lab.DeviceOptions(lwm2m="1.3"), "one of '1.0', '1.1', '1.2' is expected"),
    "an event that is refused": (lambda: lab.Machine("1.1").send(lab.Event.UPDATE), "accepted here"),
    "check of no exercise": (lambda: lab.check("1", 79), "a name such as 01-blocks"),
    "check of one misspelt": (lambda: lab.check("03-row", {}), "one like 03-rows"),
    "case(13)": (lambda: lab.show.case(13), "expected"),
    "explore(frame=9999)": (lambda: lab.read().explore(frame=9999), "expected"),
    "explore(endpoint='nobody')": (lambda: lab.read().explore(endpoint="nobody"), "is expected"),
    "blocks of a capture that has none": (lambda: lab.show.block_explorer(lab.read("anjay-pull-coap-404")), "expected"),
    "link_lab(speed=3)": (lambda: lab.show.link_lab(speed=3), "one of delay, loss"),
    "link_lab(loss=2)": (lambda: lab.show.link_lab(loss=2), "a number from 0 to 0.5 is expected"),
    "link_lab(loss='2')": (lambda: lab.show.link_lab(loss="2"), "a number from 0 to 0.5 is expected"),
    "a device that is not there": (lambda: lab.show.truth_table_panel(device="D99"), "D1, D2"),
    "slots of a capture": (lambda: lab.show.slot_animation(lab.read()), "a run of lab.push or lab.pull"),  # type: ignore[arg-type]
    "an image that is not there": (lambda: lab.show.image_explorer("none.bin"), "expected"),
    "a picture of no kind": (lambda: lab.show.save_figure(lab.push(size=2000).plot(), "x.doc"), ".png, .svg or .pdf"),
}


@pytest.mark.parametrize("typed", TYPED)
def test_nonsense_is_answered_by_one_sentence(typed: str) -> None:
    """It says what would have been accepted, in a line or two, and is an error of the lab's own."""
    made, words = TYPED[typed]
    with pytest.raises(LabError) as raised:
        made()
    said = str(raised.value)
    assert words in said
    assert "\n" not in said
    assert len(said) < 500


@pytest.mark.parametrize("answer", [..., None, "", "nonsense", -1, [], {}, object, float("nan")], ids=str)
def test_an_empty_answer_and_one_of_the_wrong_type(answer: object) -> None:
    """Each exercise says what is asked for; never an error, never "wrong"."""
    from lwm2m_lab.show.exercises import EXERCISES

    for name in EXERCISES:
        said = repr(lab.check(name, answer))
        assert said.startswith("… ")
        assert "wrong" not in said.lower()
        assert "Hint:" in said


def test_the_same_panel_twice_is_one_model() -> None:
    """Shown in two cells, it moves in both."""
    slots = lab.show.slot_animation(lab.push(size=2000, device=lab.DeviceOptions(slots="ab")))
    one, two = (slots._repr_mimebundle_()["application/vnd.jupyter.widget-view+json"] for _ in range(2))
    assert one == two


def test_a_cell_that_stands_on_one_that_was_not_run() -> None:
    """Python names what is missing, and the index says what to do about it, by that very sentence."""
    shell = InteractiveShell()
    result = shell.run_cell("run.plot()", silent=True)
    assert isinstance(result.error_in_exec, NameError)
    told = "\n".join(cell.source for cell in nbformat.read(NOTEBOOKS / "00-index.ipynb", as_version=4).cells)
    assert f"NameError: {result.error_in_exec}" in told
    assert "Run All Above Selected Cell" in told

"""The conformance bench: who passes what, and which fault shows in which case."""

from __future__ import annotations

import pathlib
import time
from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.conformance import CASES, Conformance
from lwm2m_lab.live.conformance.cases import chosen
from lwm2m_lab.live.conformance.expecting import answer, both, one_of, passes_only, status, unchanged
from lwm2m_lab.live.conformance.records import Came, worst
from lwm2m_lab.spec.rules import AMBIGUITIES, VERSIONS

#: Cases that are not for a device of an object version: Cancel and deferral came with 1.1, automatic upgrade with 1.2.
LATER = {
    "cancel-idle", "cancel-downloading", "cancel-downloaded", "cancel-updating", "cancel-success", "severity",
    "defer-period", "no-deferral",
}  # fmt: skip
NOT_FOR = {"1.0": LATER | {"automatic-upgrade"}, "1.1": {"automatic-upgrade"}, "1.2": set()}
#: What a device that does right fails by the letter of the draft, and why.
BY_LETTER = {
    "int-773-push": "4.13 where the draft prints 2.04 (E3, A15)",
    "int-774-push": "5.00 where the draft prints 2.04 (E3, A15), and Result 3 where it prints 2 (E4)",
    "int-774-pull": "Result 3 where the draft prints 2 (E4)",
    "int-777-push": "State 0 at the end where the draft prints 1 (E5)",
    "int-777-pull": "State 0 at the end where the draft prints 1 (E5)",
}
#: What Anjay fails by the letter besides, and which capture or fact says so: nothing but that a push shows no State 1.
ANJAY_BESIDES = {
    "int-776-push": "anjay-push-badcrc: 2.04, then State 0 with Result 5, and no State 1 before it (A4)",
}
#: What Anjay's captures show, case by case: how the delivery is answered, the states and results that follow. A case
#: that has no capture is predicted from the fact sheet (2.4, "What implementations do") and named beneath.
ANJAY_CAPTURED = {
    "int-755": ("anjay-push-256-ok", "2.04", [0, 2, 3, 0], [0, 1]),
    "int-756": ("anjay-pull-coap-ok", "2.04", [0, 1, 2, 3, 0], [0, 1]),
    "int-770": ("anjay-push-1024-ok", "2.04", [0, 2, 3, 0], [0, 1]),
    "int-771": ("anjay-pull-http-ok", "2.04", [0, 1, 2, 3, 0], [0, 1]),
    "int-776-push": ("anjay-push-badcrc", "2.04", [0], [0, 5]),
    "int-778": ("anjay-pull-coap-404", "2.04", [0, 1, 0], [0, 7]),
    "int-780": ("anjay-pull-unsupported-protocol", "4.00", [0], [0, 9]),
    "cancel-downloaded": ("anjay-cancel-exec-5-0-10", "2.04", [0, 2, 0], [0, 10]),
}
#: From the fact sheet alone: 5.00 for a push beyond storage or memory (2.4), and the errata of the draft itself.
ANJAY_FROM_FACTS = {"int-773-push", "int-774-push", "int-774-pull", "int-777-push", "int-777-pull"}


def verdicts(result: Conformance, verdict: str) -> set[str]:
    return {one.case.id for one in result.results if one.verdict == verdict}


# ---------------------------------------------------------------- by the book


def test_a_device_by_the_book_passes_every_case_in_every_version_within_20_s() -> None:
    """In simulated time, and in seconds of the processor; only the pull by HTTP is out of reach there."""
    began = time.process_time()
    for version in VERSIONS:
        result = lab.conformance(object_version=version)
        assert verdicts(result, "FAIL") | verdicts(result, "INCONCLUSIVE") == set()
        assert verdicts(result, "NOT APPLICABLE") == NOT_FOR[version] | {"int-771"}
        assert set(result.failing(as_printed=True)) == set(BY_LETTER)
        assert result.conforms
    assert time.process_time() - began < 20


def test_the_same_seed_gives_the_same_captures() -> None:
    """So that a report can be compared with another one."""
    first, second = (lab.conformance(cases=["int-770"], seed=5).case("int-770") for _ in range(2))
    assert first == second
    assert [one.outcome for one in lab.explain(first.capture).updates] == ["succeeded"]


# ---------------------------------------------------------------- the profiles


@pytest.mark.parametrize("version", VERSIONS)
def test_anjay_fails_what_its_captures_predict_and_nothing_else(version: str) -> None:
    """As meant nothing; by the letter what it does not show."""
    result = lab.conformance(lab.DeviceOptions(profile="anjay"), object_version=version)
    assert result.failing() == ()
    assert verdicts(result, "INCONCLUSIVE") == set()
    assert set(result.failing(as_printed=True)) == {*BY_LETTER, *ANJAY_BESIDES}


@pytest.mark.parametrize("case", ANJAY_CAPTURED)
def test_the_profile_does_what_anjay_was_captured_doing(case: str, shared: pathlib.Path) -> None:
    """The capture says it; the profile's own run of the case shows the same answer, states and results."""
    name, code, states, results = ANJAY_CAPTURED[case]
    (real,) = real_capture(shared, name).updates.to_dict("records")
    assert (real["states"], real["results"]) == (states, results)
    network = "loopback" if case == "int-771" else "simulated"
    result = lab.conformance(lab.DeviceOptions(profile="anjay"), cases=[case], network=network).case(case)
    assert result.capture is not None
    ours = result.capture.updates.to_dict("records")[-1]
    assert final_answer(result.capture, ours) == code == final_answer(real_capture(shared, name), real)
    assert set(ours["states"]) <= set(states)
    assert (1 in ours["states"]) == (1 in states)
    assert ours["results"][-1] in results


def test_what_anjay_fails_is_what_was_captured_or_is_a_fact() -> None:
    """No case is expected to fail without a source."""
    assert {*BY_LETTER, *ANJAY_BESIDES} == ANJAY_FROM_FACTS | {"int-776-push"}
    assert set(ANJAY_BESIDES) <= set(ANJAY_CAPTURED)
    assert all(1 not in ANJAY_CAPTURED[case][2] for case in ANJAY_BESIDES)


def real_capture(shared: pathlib.Path, name: str) -> lab.Capture:
    return lab.read(shared / "captures" / "anjay" / f"{name}.pcap")


def final_answer(capture: lab.Capture, update: dict[str, Any]) -> str:
    """The last answer to a Write of Package or Package URI within an update."""
    first, last = update["frames"]
    table = capture.exchanges
    path = "/5/0/0" if update["delivery"] == "push" else "/5/0/1"
    written = table[(table["frame"] >= first) & (table["frame"] <= last) & (table["uri_path"] == path)]
    return str(written["response_code"].dropna().iloc[-1])


@pytest.mark.parametrize("name", ["zephyr", "wakaama"])
def test_profiles_known_from_reading_code_are_reported(name: str) -> None:
    """Every case has a verdict and a reason; what they fail is no condition of this test."""
    result = lab.conformance(lab.DeviceOptions(profile=name))
    assert len(result.results) == len(CASES)
    assert all(one.sentence for one in result.results)
    assert not result.conforms


# ---------------------------------------------------------------- faults

_SUCCESSES = ("int-770", "success-pull")
FAULTS = {
    "accepts-gaps": ("push-gap",),
    "borrows-results": ("int-779",),
    "cancels-success": ("cancel-success",),
    "cancels-too-late": ("cancel-updating",),
    "changes-version-on-failure": ("int-779",),
    "defers-without-leave": (*_SUCCESSES, "no-deferral"),
    "executes-anywhere": ("int-772", "reset-downloaded", "update-downloading"),
    "forgets-result": _SUCCESSES,
    "gives-up-silently": ("int-775",),
    "invents-delivery-method": ("int-751",),
    "keeps-firmware-version": _SUCCESSES,
    "notifies-with-wrong-token": ("int-760",),
    "observes-silently": ("int-760",),
    "resumes-by-number": ("resume-changed", "changed-under-way"),
    "takes-any-severity": ("severity",),
    "takes-package-over-package": ("replace-package",),
    "updates-software-version": _SUCCESSES,
    "writes-duplicates": ("push-repeated", "push-duplicated"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_shows_in_exactly_the_cases_that_it_breaks(fault: str) -> None:
    """And in no other one."""
    assert lab.conformance(lab.DeviceOptions(faults=(fault,))).failing() == FAULTS[fault]


@pytest.mark.parametrize(
    ("name", "fails"), [("D1", ()), ("D2", _SUCCESSES), ("D4", _SUCCESSES), ("D8", ()), ("D10", ())]
)
def test_the_devices_of_the_truth_table(name: str, fails: tuple[str, ...]) -> None:
    """Another naming scheme is no fault, and a version that is never set is one."""
    assert lab.conformance(lab.DeviceOptions.named(name)).failing() == fails


def test_without_firmware_version_the_version_rule_does_not_apply() -> None:
    """D7: the step is left out, and the case passes."""
    result = lab.conformance(lab.DeviceOptions.named("D7"), cases=["int-652", "int-770"])
    assert [one.verdict for one in result.results] == ["NOT APPLICABLE", "PASS"]
    assert result.case("int-652").sentence == "the device has no /3/0/3"
    assert [step.did for step in result.case("int-770").steps][-1] == "Wait for the end of the installation"


def test_a_device_that_goes_one_way_is_not_asked_to_go_the_other() -> None:
    """Pull alone: every push is not applicable, and the other way round."""
    for delivery, lacking in ((0, "push"), (1, "pull")):
        result = lab.conformance(lab.DeviceOptions(delivery=delivery))
        assert result.failing() == ()
        assert {one.case.id for one in result.results if lacking in one.case.needs} <= verdicts(
            result, "NOT APPLICABLE"
        )
        assert result.case("int-779").verdict == "PASS"


def test_a_device_whose_answers_go_astray_is_neither_blamed_nor_passed() -> None:
    """Nothing fails, yet it is not shown to conform; and no wait is without an end."""
    result = lab.conformance(lab.DeviceOptions(faults=("answers-with-wrong-token",)), cases=["int-652", "int-755"])
    assert [one.verdict for one in result.results] == ["PASS", "INCONCLUSIVE"]
    assert not result.conforms
    assert "is not shown to conform" in result.sentence
    assert "no answer to" in result.case("int-755").sentence


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"cases": ["int-999"]}, "no case is named 'int-999'"),
        ({"network": "moon"}, "'simulated' or 'loopback'"),
        ({"bind": ("0.0.0.0", 5683)}, "the one address of this machine"),
        ({"bind": ("127.0.0.1", 70_000)}, "0 to 65535"),
        ({"bind": ("127.0.0.1", 0), "object_version": "1.0"}, "one of them is expected"),
        ({"bind": ("127.0.0.1", 0), "prepared": {"purple": "x"}}, "no case needs an image 'purple'"),
        ({"bind": ("127.0.0.1", 0), "image": "nowhere.bin"}, "nowhere.bin cannot be read"),
        ({"object_version": "1.3"}, "one of '1.0', '1.1', '1.2'"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_sentence(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        lab.conformance(**arguments)  # type: ignore[arg-type]


# ---------------------------------------------------------------- the cases as data


def test_every_case_has_what_a_reader_needs() -> None:
    """A name of its own, a clause, steps that say what they do and expect; errata only where something is printed."""
    assert len({case.id for case in CASES}) == len(CASES)
    for case in CASES:
        assert case.title
        assert case.clause
        assert set(case.versions) <= set(VERSIONS)
        assert all(str(step.do) and step.expect for step in case.steps)
        assert all(step.printed is None for step in case.steps) or case.is_printed
        assert all(
            name in AMBIGUITIES
            for name in case.clause.replace(",", " ").split()
            if name[0] == "A" and name[1:].isdigit()
        )


def test_cases_are_chosen_by_pattern() -> None:
    assert [case.id for case in chosen(["int-75*"])] == ["int-751", "int-755", "int-756"]
    assert chosen(None) == CASES


# ---------------------------------------------------------------- the judge


def test_an_expectation_is_not_failed_by_silence() -> None:
    """What did not come because nobody answered proves nothing."""
    silent = Came(silent="PUT /5/0/0")
    assert [one.judge(silent) for one in (answer("2.04"), status("2/0"), unchanged())] == ["INCONCLUSIVE"] * 3


def test_states_seen_before_a_step_are_no_states_of_the_step() -> None:
    came = Came(before=(2, 0), after=(0, 1), states=(2, 3, 0), results=(0, 1))
    assert passes_only(0, 3).judge(came) == "PASS"
    assert passes_only(0).judge(came) == "FAIL"


def test_readings_are_alternatives() -> None:
    """One of several suffices, both need each, and what cannot be told stays open."""
    came = Came(codes=("4.05",), after=(1, 0))
    assert one_of("either", answer("2.04"), status("1/0")).judge(came) == "PASS"
    assert both(answer("2.04"), status("1/0")).judge(came) == "FAIL"
    assert both(status("1/0"), unchanged()).judge(came) == "INCONCLUSIVE"
    assert worst([]) == "NOT APPLICABLE"

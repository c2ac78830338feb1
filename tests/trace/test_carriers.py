"""The trigger of each rule carried in other ways: links, files, tokens, options, a twin behind the same address."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

import lwm2m_lab as lab
from lwm2m_lab.wire.coap import Message
from tests import carriers
from tests.carriers import CARRIERS
from tests.peers import DEVICE, Address, Session
from tests.trace.triggers import TRIGGERS

#: Triggers of faults in the carriage itself, which another one changes or leaves no room for, by carrier.
APART = {"ipv6_in_two_vlans": {"M14"}}
CASES = [(rule, CARRIERS[at % len(CARRIERS)].__name__) for at, rule in enumerate(TRIGGERS)]
#: The downloads once more: with a twin they have to be told apart.
CASES += [(rule, "with_a_twin") for rule, one in TRIGGERS.items() if "pull /" in one.script]


def said(data: bytes) -> Counter[tuple[str, ...]]:
    """What is concluded, and how each update went; without frame numbers."""
    explanation = lab.explain(lab.Capture.from_bytes(data, name="carried"))
    problems = [(one.rule, str(one.verdict), one.party, one.certainty) for one in explanation.problems]
    updates = [
        (one.outcome, str(one.verdict), str(one.image_sha256), str(one.states), str(one.results), str(one.block_sizes))
        for one in explanation.updates
    ]
    return Counter([*problems, *updates])


@pytest.mark.parametrize(
    ("rule", "carrier"), sorted({(rule, carrier) for rule, carrier in CASES if rule not in APART.get(carrier, ())})
)
def test_a_conclusion_does_not_hang_on_the_carriage(rule: str, carrier: str) -> None:
    """The same findings and updates; twice of each where there is a twin."""
    packets = Session(TRIGGERS[rule].script).packets
    expected = said(carriers.as_it_is(packets))
    if carrier == "with_a_twin":
        expected += expected
    assert said(getattr(carriers, carrier)(packets)) == expected


@pytest.mark.parametrize("snap_length", [60, 82, 300])
@pytest.mark.parametrize("rule", TRIGGERS)
def test_what_the_snap_length_cut_accuses_nobody(rule: str, snap_length: int) -> None:
    """tcpdump -s: of a cut file less is known, and no failure is found that the whole one does not show."""
    packets = Session(TRIGGERS[rule].script).packets
    cut = [dataclasses.replace(one, data=one.data[:snap_length], original=len(one.data)) for one in packets]
    assert failed(cut) <= failed(packets)


@pytest.mark.parametrize("rule", TRIGGERS)
def test_both_sides_of_a_nat_are_one(rule: str) -> None:
    """What stands there twice under two addresses is looked at once."""
    packets = Session(TRIGGERS[rule].script).packets
    assert failed(carriers.both_sides_of_a_nat(packets)) <= failed(packets)


def test_the_version_of_an_image_that_was_cut_is_in_its_file() -> None:
    """No word of a form that the lab does not read: the bytes are not there."""
    packets = Session("ready\npush\ninstalled").packets
    cut = [dataclasses.replace(one, data=one.data[:96], original=len(one.data)) for one in packets]
    found = lab.explain(lab.Capture.from_bytes(carriers.as_it_is(cut), name="cut")).findings
    (version,) = [one for one in found if one.rule == "V1"]
    assert version.sentence.endswith("the image is not whole in this capture; the image file (--image) would decide")


def test_triage_names_both_sides_of_a_nat() -> None:
    """A note; the update is what it is, and the table of messages has every row."""
    session = Session("ready\npush\ninstalled")
    capture = lab.Capture.from_bytes(carriers.both_sides_of_a_nat(session.packets), name="router")
    (note,) = [one for one in capture.triage().lacks if one.what == "both sides of a NAT"]
    assert note.weight == "note"
    assert note.found.startswith("what 192.0.2.2 says and hears stands there again under 198.51.100.9")
    assert len(capture.messages) == 2 * len(session.packets)
    assert [str(one) for one in capture.updates["verdict"]] == ["PASS"]
    assert len(capture.exchanges) == len(session.capture().exchanges)


def test_a_fleet_in_step_is_no_nat() -> None:
    """Another device on another host that says the same in the same moment, under a name of its own."""

    def renamed(one: Message) -> Message:
        options = tuple((number, b"ep=twin" if value == b"ep=dev-1" else value) for number, value in one.options)
        return dataclasses.replace(one, options=options)

    def address(one: Address) -> Address:
        return ("192.0.2.77", one[1]) if one[0] == DEVICE[0] else one

    packets = Session("ready\npush\ninstalled").packets
    both = [*packets, *carriers.rewritten(packets, address=address, message=renamed, later_ns=20_000)]
    data = carriers.as_it_is(sorted(both, key=lambda one: one.time_ns))
    assert [one.endpoint for one in lab.explain(lab.Capture.from_bytes(data, name="fleet")).updates] == [
        "dev-1",
        "twin",
    ]


def failed(packets: carriers.Packets | bytes) -> set[str]:
    """The rules that fail."""
    data = packets if isinstance(packets, bytes) else carriers.as_it_is(packets)
    capture = lab.Capture.from_bytes(data, name="carried")
    return {one.rule for one in lab.explain(capture).findings if str(one.verdict) == "FAIL"}


def test_a_download_that_broke_off_is_not_mixed_with_its_neighbours() -> None:
    """Two devices behind one address fetch the same file, neither whole: one is not held to what the other says."""
    script = "ready\nuri coap://192.0.2.3/fw.bin\npull /fw.bin 0-1\nnotify /5/0/3 1\nnotify /5/0/3 1"
    data = carriers.with_a_twin(Session(script).packets)
    explanation = lab.explain(lab.Capture.from_bytes(data, name="neighbours"))
    one, other = explanation.updates
    assert not {*one.evidence.exchanges} & {*other.evidence.exchanges}
    assert [str(finding) for finding in explanation.findings if str(finding.verdict) == "FAIL"] == []

"""Every fault of a server or repository makes the rule speak that it breaks; without the fault the rule is silent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.__main__ import main
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.image import image
from lwm2m_lab.live.requests import Timers
from lwm2m_lab.live.server_faults import all_server_faults
from lwm2m_lab.live.server_options import ServerOptions
from lwm2m_lab.live.staged import Stage
from lwm2m_lab.trace.findings import RULES

IMAGE = image(version="2.1.0", size=4000)
SMALL = ServerOptions(block_size=256, time_limit=900.0, patience=60.0)
PUSH = Stage(image=IMAGE, server=SMALL)
PULL = replace(PUSH, path="/fw/a.bin")


def device(**options: Any) -> lab.DeviceOptions:
    """A device."""
    return lab.DeviceOptions(**options)


SEPARATE = replace(PUSH, device=device(faults=("answers-blocks-separately",)))
DEAD = replace(PUSH, link=lab.Link(outages=[(2.0, 400.0)]))
CUT = replace(PUSH, link=lab.Link(outages=[(2.0, 9.0)]))

#: What gives a fault its occasion.
STAGES: dict[str, Stage] = {
    "always-block-0": PULL,
    "announces-wrong-size": PUSH,
    "asks-for-resource-4": PUSH,
    "asks-sleeping-devices": replace(
        PUSH, server=replace(SMALL, patience=200.0), device=device(queue_mode=True, install_time=400.0)
    ),
    "changes-retransmissions": CUT,
    "content-format-once": PUSH,
    "does-not-back-off": CUT,
    "does-not-observe-again": PUSH,
    "executes-early": PULL,
    "has-lost-its-files": PULL,
    "ignores-smaller-size": replace(
        PUSH, server=replace(SMALL, block_size=1024), device=device(faults=("refuses-large-blocks",))
    ),
    "keeps-block-number": replace(PUSH, server=replace(SMALL, block_size=1024), device=device(block_size=256)),
    "mislabels-package": PUSH,
    "never-acknowledges-answers": replace(
        PUSH,
        image=image(version="2.1.0", size=900),
        server=replace(SMALL, block_size=1024, patience=5.0),
        device=device(faults=("answers-blocks-separately",), install_time=100.0),
    ),
    "never-gives-up": DEAD,
    "never-last-block": PULL,
    "never-reads": replace(PUSH, image=IMAGE.damaged(), device=device(faults=("never-tells-result",))),
    "pushes-to-pull-only": replace(PULL, device=device(delivery=0)),
    "pushes-twice-at-once": PUSH,
    "query-once": PUSH,
    "refuses-to-register-again": PUSH,
    "reserved-block-size": PUSH,
    "retransmits-needlessly": replace(PUSH, link=lab.Link(delay=1.2), timers=Timers(ack_timeout=10.0)),
    "reuses-message-ids": PUSH,
    "sends-image-again": PUSH,
    "short-blocks": PUSH,
    "stops-after-separate-answer": SEPARATE,
    "stops-after-two-minutes": replace(PUSH, link=lab.Link(delay=4.5), timers=Timers(ack_timeout=20.0)),
    "takes-copies-for-answers": replace(PUSH, link=lab.Link(delay=0.3, duplication=0.9, jitter=0.2)),
    "takes-deferral-for-failure": replace(
        PUSH, device=device(object_version="1.2", user_defers=300.0, max_defer_period=600)
    ),
    "takes-empty-uri-for-reset": replace(PULL, device=device(faults=("empties-uri-after-download",))),
    "uri-not-offered": PULL,
    "uri-too-long": PULL,
}


def speaking(stage: Stage) -> set[str]:
    """The rules that fail or leave something open."""
    return {one.rule for one in lab.explain(stage.run()).findings if one.verdict in ("FAIL", "INCONCLUSIVE")}


def test_every_fault_has_its_occasion() -> None:
    """No fault without a test, and each names rules that there are."""
    assert set(STAGES) == set(all_server_faults())
    known = {one.id for one in RULES.values()} if isinstance(RULES, dict) else {one.id for one in RULES}
    assert all(one.rules and known.issuperset(one.rules) for one in all_server_faults().values())
    assert all(one.about.endswith(".") for one in all_server_faults().values())


@pytest.mark.parametrize("name", STAGES)
def test_a_fault_makes_its_rule_speak(name: str) -> None:
    """With the fault, and not without it."""
    stage, rules = STAGES[name], set(all_server_faults()[name].rules)
    assert rules <= speaking(replace(stage, server=replace(stage.server, faults=(name,))))
    assert not rules & speaking(stage), "the rule speaks without the fault, too"


def test_faults_that_there_are_not() -> None:
    """An unknown name is refused when the options are made, and by the command."""
    with pytest.raises(BadInput, match="no fault of a server is named 'is-late'"):
        ServerOptions(faults=("is-late",))
    assert main(["server", "--fault", "is-late"]) == 2


def test_the_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    """A line each: name, rules, what it does."""
    assert main(["server", "--fault", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(all_server_faults())
    assert lines[0].startswith("always-block-0")

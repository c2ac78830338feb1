"""Checks that no test case of OMA's makes: cancel and replace in every state, breaks, changed files, repeated blocks.

Each follows from a row of the state machine (T1 to T32) or from RFC 7959; where the standard leaves a choice, every one
of the readings passes.
"""

from __future__ import annotations

from typing import Any

from lwm2m_lab.live.conformance.acting import Execute, Read, Reset, Write
from lwm2m_lab.live.conformance.delivering import Await, Deliver, Push, SpeakAgain, WriteUri
from lwm2m_lab.live.conformance.expecting import (
    answer,
    any_answer,
    blocks_continue,
    both,
    no_result,
    noticed,
    one_of,
    passes,
    passes_only,
    refused,
    results_only,
    status,
    unchanged,
    value,
    version_installed,
)
from lwm2m_lab.live.conformance.records import Case, Step
from lwm2m_lab.spec.objects import State

__all__ = ["LAB_CASES"]

_LATER = ("1.1", "1.2")
_CANCEL = "/5/0/10"


def _check(id: str, title: str, clause: str, *steps: Step, **more: Any) -> Case:
    """A check of the lab's own."""
    return Case(id=id, title=title, clause=clause, steps=steps, is_printed=False, **more)


def _cancel_case(id: str, title: str, clause: str, *steps: Step, **more: Any) -> Case:
    return _check(id, title, clause, *steps, versions=_LATER, **{"needs": (_CANCEL,), **more})


_DOWNLOADED = Step(do=Deliver(), expect=(status("2/0"),), prepares=True)
_INSTALLED = Step(do=Await("installation"), expect=(status("0/1"),), prepares=True)
_HALF_A_PUSH = Step(do=Push(blocks=3), expect=(answer("2.31", "2.04"),), prepares=True)
_FAILED_PUSH = Step(do=Push(image="damaged"), expect=(status("0/5"),), prepares=True)
#: A device may leave a download at its first break: Result 4 is what the specification has for it.
_GIVEN_UP = status("0/4")

LAB_CASES: tuple[Case, ...] = (
    _check(
        "success-pull", "Successful update by pull over CoAP", "T3, T5, T15, T21; E.6 for /3/0/3",
        Step(do=WriteUri(), expect=(answer("2.04"),)),
        Step(do=Await("download"), expect=(passes_only(0, 1, 2), results_only(0), status("2/0"))),
        Step(do=Execute("/5/0/2"), expect=(answer("2.04"),)),
        Step(do=Await("installation"), expect=(results_only(0, 1), passes_only(0, 3), status("0/1"))),
        Step(do=Read("/3/0/3"), expect=(version_installed(),), needs="/3/0/3"),
        needs=("pull",),
    ),
    # ------------------------------------------------------------ cancel in every state
    _cancel_case(
        "cancel-idle", "Cancel in Idle changes nothing", "T28b, A7",
        Step(do=Execute(_CANCEL), expect=(any_answer(), unchanged())),
    ),
    _cancel_case(
        "cancel-downloading", "Cancel while Downloading", "T14",
        _HALF_A_PUSH,
        Step(do=Execute(_CANCEL), expect=(answer("2.04"), status("0/10"))),
        needs=(_CANCEL, "push"),
    ),
    _cancel_case(
        "cancel-downloaded", "Cancel in Downloaded", "T19",
        _DOWNLOADED,
        Step(do=Execute(_CANCEL), expect=(answer("2.04"), status("0/10"))),
    ),
    _cancel_case(
        "cancel-updating", "Cancel while Updating is refused", "T25; Object 5, resource 10",
        _DOWNLOADED,
        Step(do=Execute("/5/0/2"), expect=(status("3/0"),), prepares=True),
        Step(do=Execute(_CANCEL), expect=(answer("4.05"), no_result(10))),
        Step(do=Await("installation"), expect=(no_result(10),)),
    ),
    _cancel_case(
        "cancel-success", "Cancel after a success is refused", "T28a; Object 5, resource 10",
        _DOWNLOADED,
        Step(do=Execute("/5/0/2"), expect=(answer("2.04"),), prepares=True),
        _INSTALLED,
        Step(do=Execute(_CANCEL), expect=(answer("4.05"), unchanged())),
    ),
    # ------------------------------------------------------------ requests that are no triggers
    _check(
        "replace-package", "A package over a package is refused", "T27; E.6.1",
        Step(do=Push(), expect=(status("2/0"),), prepares=True),
        Step(do=Push(), expect=(refused(), unchanged())),
        needs=("push",),
    ),
    _check(
        "replace-uri", "A URI over a package is refused", "T27; E.6.1",
        _DOWNLOADED,
        Step(do=WriteUri(), expect=(refused(), unchanged())),
        needs=("pull",),
    ),
    _check(
        "reset-idle", "Reset in Idle takes a result away", "T4; Object 5, resource 3",
        _FAILED_PUSH,
        Step(do=Reset("push"), expect=(answer("2.04"), status("0/0"))),
        needs=("push",),
    ),
    _check(
        "reset-downloaded", "Reset in Downloaded drops the package", "T18; Object 5, resource 3",
        Step(do=Push(), expect=(status("2/0"),), prepares=True),
        Step(do=Reset("push"), expect=(answer("2.04"), status("0/0"))),
        Step(do=Execute("/5/0/2"), expect=(answer("4.05"), unchanged())),
        needs=("push",),
    ),
    _check(
        "reset-by-uri", "The empty URI in Downloaded drops the package", "T18; Object 5, resource 3",
        _DOWNLOADED,
        Step(do=Reset("pull"), expect=(answer("2.04"), status("0/0"))),
        needs=("pull",),
    ),
    _check(
        "update-downloading", "Update while Downloading is refused", "T26; ETS int-772",
        _HALF_A_PUSH,
        Step(do=Execute("/5/0/2"), expect=(answer("4.05"), unchanged())),
        needs=("push",),
    ),
    # ------------------------------------------------------------ downloads that break off
    _check(
        "resume-same", "A broken download is resumed", "T9; RFC 7959, 2.4",
        Step(do=WriteUri(then="silent"), expect=(answer("2.04"),), prepares=True),
        Step(do=SpeakAgain(), expect=(passes_only(0, 1, 2), status("2/0")), unless=_GIVEN_UP),
        needs=("pull",), prepared="resumption",
    ),
    _check(
        "resume-changed", "A broken download begins anew where the file has changed", "T9; RFC 7959, 2.4: ETag",
        Step(do=WriteUri(then="silent"), expect=(answer("2.04"),), prepares=True),
        Step(
            do=SpeakAgain(changed=True),
            expect=(noticed("asked again from the beginning", "block 0 is asked for again"), status("2/0")),
            unless=_GIVEN_UP,
        ),
        needs=("pull",), prepared="resumption",
    ),
    _check(
        "changed-under-way", "A file that changes under way is not mixed", "RFC 7959, 2.4: ETag",
        Step(do=WriteUri(then="changed"), expect=(answer("2.04"),), prepares=True),
        Step(
            do=Await("download"),
            expect=(
                one_of(
                    "a download from the beginning, or Result 4",
                    both(status("2/0"), noticed("block 0 asked for twice", "")), _GIVEN_UP,
                ),
            ),
        ),
        needs=("pull",),
    ),
    # ------------------------------------------------------------ block by block
    _check(
        "push-again", "A push that broke off begins anew", "T27, A14; RFC 7959, 2.5",
        _HALF_A_PUSH,
        Step(
            do=Push(),
            expect=(
                one_of(
                    "2.04 and State 2, or a refusal that changes nothing (A14)",
                    both(answer("2.04"), status("2/0")), both(refused(), unchanged()),
                ),
            ),
        ),
        needs=("push",),
    ),
    _check(
        "push-repeated", "A block sent anew is taken once", "RFC 7959, 2.5",
        Step(do=Push(repeats=2), expect=(blocks_continue(), status("2/0"))),
        needs=("push",),
    ),
    _check(
        "push-duplicated", "A datagram that comes twice is taken once", "RFC 7252, 4.5",
        Step(do=Push(doubles=True), expect=(blocks_continue(), status("2/0"))),
        needs=("push",),
    ),
    _check(
        "push-gap", "A block behind a gap is refused", "RFC 7959, 2.5 and 2.9.2: 4.08",
        Step(do=Push(gap=2), expect=(answer("4.08"), passes_only(0, 1))),
        needs=("push",),
    ),
    # ------------------------------------------------------------ settings
    _check(
        "severity", "Severity is 0 to 2", "Object 5, resource 11",
        Step(do=Write("/5/0/11", "2"), expect=(answer("2.04"),)),
        Step(do=Write("/5/0/11", "3"), expect=(answer("4.00"), unchanged())),
        Step(do=Read("/5/0/11"), expect=(value("2, as before", "2"),)),
        Step(do=Write("/5/0/11", "1"), expect=(answer("2.04"),)),
        versions=_LATER, needs=("/5/0/11",),
    ),
    _check(
        "defer-period", "Maximum Defer Period is not negative", "Object 5, resource 13",
        Step(do=Write("/5/0/13", "3600"), expect=(answer("2.04"),)),
        Step(do=Write("/5/0/13", "-1"), expect=(answer("4.00"), unchanged())),
        Step(do=Read("/5/0/13"), expect=(value("3600, as before", "3600"),)),
        Step(do=Write("/5/0/13", "0"), expect=(answer("2.04"),)),
        versions=_LATER, needs=("/5/0/13",),
    ),
    _check(
        "no-deferral", "Maximum Defer Period 0 allows no deferral", "Object 5, resource 13; T15",
        Step(do=Write("/5/0/13", "0"), expect=(answer("2.04"),), prepares=True),
        _DOWNLOADED,
        Step(do=Execute("/5/0/2"), expect=(answer("2.04"), no_result(11))),
        Step(do=Await("installation"), expect=(no_result(11),)),
        versions=_LATER, needs=("/5/0/13",),
    ),
    _check(
        "automatic-upgrade", "Automatic Upgrade at Download", "T20; Object 5, resource 14",
        Step(do=Write("/5/0/14", "1"), expect=(answer("2.04"),), prepares=True),
        Step(do=Deliver(), expect=(results_only(0, 1),)),
        Step(do=Await("installation"), expect=(passes(State.UPDATING),)),
        Step(do=Write("/5/0/14", "0"), expect=(answer("2.04"),)),
        versions=("1.2",), needs=("/5/0/14",),
    ),
)  # fmt: skip

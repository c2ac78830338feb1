"""OMA's test cases for the firmware update as data (OMA-ETS-LightweightM2M-V1_0_1, draft of 2017-08-30).

`expect` is what the specification asks for, `printed` what the draft prints where that differs: a device that does
right can fail by the letter of the draft, and the two are told apart.
"""

from __future__ import annotations

from typing import Literal

from lwm2m_lab.live.conformance.acting import Attributes, Execute, Look, Observe, Read, ReadObject, Reboot, Reset
from lwm2m_lab.live.conformance.delivering import Await, Deliver, Push, WriteUri
from lwm2m_lab.live.conformance.expecting import (
    answer,
    any_answer,
    blocks_continue,
    not_in,
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
    version_kept,
)
from lwm2m_lab.live.conformance.records import Case, Step
from lwm2m_lab.spec.objects import State

__all__ = ["OMA_CASES"]

Delivery = Literal["push", "pull"]
_ETS = "ETS 1.0.1, 6.1.6.6"

#: Errata of the draft, by a name of ours.
ERRATA = {
    "E1": "the steps name Package and a valid image where they mean Package URI and a URI",
    "E2": "the preconditions of the two success cases have push and pull swapped",
    "E3": "2.04 and a visible State 1 are required of a push, too: neither is asked for by the specification (A4, A15)",
    "E4": "Update Result 2 is printed where Object 5 has 3",
    "E5": "the last line says State 1 where a failed download ends in State 0",
    "E6": "the draft has the title alone",
    "E7": "/3/0/3 is called Firmware Update",
}


def _errata(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}: {ERRATA[name]}" for name in names)


def _reset(by: Delivery) -> Step:
    """The opening step of several cases."""
    return Step(do=Reset(by), expect=(answer("2.04"), status("0/0")))


def _refused_download(
    number: int, title: str, result: int, image: str, *, prepared: str = "", printed: str = ""
) -> list[Case]:
    """Cases 773, 774, 776 and 777: an image that no device may keep, delivered either way."""
    end = (passes_only(0, 1), status(f"0/{result}"))
    errata = {"0/2": ("E4",), "1/6": ("E5",)}.get(printed, ())
    by_letter = (passes(State.DOWNLOADING), passes_only(0, 1), status(printed or f"0/{result}"))
    push = Case(
        id=f"int-{number}-push", title=f"{title}, push", clause=f"{_ETS}, int-{number}; Object 5, resource 5",
        needs=("push",), prepared=prepared, errata=_errata("E3", *errata),
        steps=(
            _reset("push"),
            Step(
                do=Push(image=image),
                expect=(any_answer(), *end),
                printed=(answer("2.04"), *by_letter),
            ),
        ),
    )  # fmt: skip
    pull = Case(
        id=f"int-{number}-pull", title=f"{title}, pull", clause=f"{_ETS}, int-{number}; Object 5, resource 5",
        needs=("pull",), prepared=prepared, errata=_errata("E3", *errata),
        steps=(
            _reset("pull"),
            Step(do=WriteUri(image=image), expect=(answer("2.04"),)),
            Step(do=Await("download"), expect=end, printed=by_letter),
        ),
    )  # fmt: skip
    return [push, pull]


_STARTED = one_of("State 3 or 0 with Result 0 or 1", status("3/0", "3/1", "0/0", "0/1"))


def _installation() -> tuple[Step, ...]:
    """From Downloaded to the new version: the second half of a success."""
    return (
        Step(do=Execute("/5/0/2"), expect=(answer("2.04"), _STARTED)),
        Step(do=Await("installation"), expect=(results_only(0, 1), passes_only(0, 3), status("0/1"))),
        Step(do=Read("/3/0/3"), expect=(version_installed(),), needs="/3/0/3"),
    )


OMA_CASES: tuple[Case, ...] = (
    Case(
        id="int-652", title="Firmware version query", clause="ETS 1.0.1, int-652; Object 3, resource 3",
        needs=("/3/0/3",),
        steps=(Step(do=Read("/3/0/3"), expect=(answer("2.05"), value("a version"))),),
    ),
    Case(
        id="int-655", title="Reboot", clause="ETS 1.0.1, int-655; Object 3, resource 4", is_printed=False,
        errata=_errata("E6"),
        steps=(
            Step(do=Reboot(), expect=(answer("2.04"), noticed("registered anew", "the device registers anew"))),
        ),
    ),
    Case(
        id="int-751", title="Readable resources", clause=f"{_ETS}, int-751; Object 5, resources 3, 5, 8, 9",
        steps=(
            Step(
                do=ReadObject(),
                expect=(
                    answer("2.05"), status("0/0"), noticed("/5/0/9 is 0 to 2", "5/0/9 is 0, 1 or 2"),
                    noticed("/5/0/8 lists known protocols", "5/0/8, where it is there, lists protocols that exist"),
                ),
                printed=(
                    answer("2.05"), status("0/0"), noticed("/5/0/9 is 0 to 2", "5/0/9 is 0, 1 or 2"),
                    noticed("/5/0/8 is there", "5/0/8 is there"),
                    noticed("/5/0/8 lists known protocols", "and lists protocols that exist"),
                ),
            ),
        ),
    ),
    Case(
        id="int-755", title="Write Package", clause=f"{_ETS}, int-755; Object 5, resource 0", needs=("push",),
        steps=(
            _reset("push"),
            Step(do=Push(), expect=(blocks_continue(), status("2/0"))),
        ),
    ),
    Case(
        id="int-756", title="Write Package URI", clause=f"{_ETS}, int-756; Object 5, resource 1", needs=("pull",),
        errata=_errata("E1"),
        steps=(
            _reset("pull"),
            Step(do=WriteUri(), expect=(answer("2.04"),)),
            Step(do=Await("download"), expect=(status("2/0"),)),
        ),
    ),
    Case(
        id="int-760", title="Observation and notification of the parameter values",
        clause=f"{_ETS}, int-760; RFC 7641", watches=False,
        steps=(
            Step(do=Attributes("/5/0", ("pmin=2", "pmax=10")), expect=(answer("2.04"),)),
            Step(
                do=Observe("/5/0/3"),
                expect=(answer("2.05"), noticed("observed", "the observation is taken"), value("State 0", "0")),
            ),
            Step(do=Deliver(is_notified=True), expect=(noticed("notified State 2", "a notification of State 2"),)),
            Step(do=Attributes("/5/0", ("pmin", "pmax")), expect=(answer("2.04"),), prepares=True),
        ),
    ),
    Case(
        id="int-770", title="Successful update by push", clause=f"{_ETS}, int-770; E.6 for /3/0/3", needs=("push",),
        errata=_errata("E2", "E7"),
        steps=(
            _reset("push"),
            Step(do=Push(), expect=(blocks_continue(), passes_only(0, 1, 2), results_only(0), status("2/0"))),
            *_installation(),
        ),
    ),
    Case(
        id="int-771", title="Successful update by another mechanism than CoAP",
        clause=f"{_ETS}, int-771; E.6 for /3/0/3", needs=("pull", "http"), errata=_errata("E2", "E7"),
        steps=(
            _reset("pull"),
            Step(do=WriteUri(uri="http"), expect=(answer("2.04"),)),
            Step(do=Await("download"), expect=(passes_only(0, 1, 2), results_only(0), status("2/0"))),
            *_installation(),
        ),
    ),
    Case(
        id="int-772", title="Update without a package", clause=f"{_ETS}, int-772; Object 5, resource 2",
        steps=(
            Step(do=Look(), expect=(not_in(State.DOWNLOADED),), prepares=True),
            Step(do=Execute("/5/0/2"), expect=(answer("4.05"), unchanged())),
        ),
    ),
    *_refused_download(773, "Not enough storage", 2, "too large", prepared="too large"),
    *_refused_download(774, "Out of memory", 3, "too much memory", prepared="too much memory", printed="0/2"),
    Case(
        id="int-775", title="Connection lost during a download", clause=f"{_ETS}, int-775; Object 5, resource 5",
        needs=("pull",),
        steps=(
            _reset("pull"),
            Step(do=WriteUri(then="silent"), expect=(answer("2.04"),)),
            Step(do=Await("download"), expect=(passes_only(0, 1), status("0/4")),
                 printed=(passes(State.DOWNLOADING), passes_only(0, 1), status("0/4"))),
        ),
    ),
    *_refused_download(776, "Integrity check failed", 5, "damaged"),
    *_refused_download(777, "Unsupported package type", 6, "no firmware", printed="1/6"),
    Case(
        id="int-778", title="Invalid URI", clause=f"{_ETS}, int-778; Object 5, resource 5", needs=("pull",),
        errata=_errata("E3"),
        steps=(
            _reset("pull"),
            Step(do=WriteUri(uri="missing"), expect=(answer("2.04"),)),
            Step(do=Await("download"), expect=(passes_only(0, 1), status("0/7")),
                 printed=(passes(State.DOWNLOADING), passes_only(0, 1), status("0/7"))),
        ),
    ),
    Case(
        id="int-779", title="Installation fails", clause=f"{_ETS}, int-779; Object 5, resources 3 and 5",
        prepared="failing",
        steps=(
            Step(do=Deliver(image="failing"), expect=(status("2/0"),), prepares=True),
            Step(do=Execute("/5/0/2"), expect=(answer("2.04"),)),
            Step(do=Await("installation"), expect=(passes_only(0, 2, 3), status("2/8", "0/8")),
                 printed=(passes_only(2, 3), status("2/8"))),
            Step(do=Read("/3/0/3"), expect=(version_kept(),), needs="/3/0/3"),
        ),
    ),
    Case(
        id="int-780", title="Unsupported protocol", clause=f"{_ETS}, int-780; Object 5, resource 5", needs=("pull",),
        is_printed=False, errata=_errata("E6"),
        steps=(
            Step(
                do=WriteUri(uri="ftp://192.0.2.3/fw.bin"),
                expect=(one_of("2.04, or a refusal", answer("2.04"), refused()),),
            ),
            Step(do=Await("download"), expect=(passes_only(0, 1), status("0/9"))),
        ),
    ),
)  # fmt: skip

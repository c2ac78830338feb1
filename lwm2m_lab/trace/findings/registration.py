"""Who the device says it is, and whether it comes back: registrations, declared versions, reboots."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.spec.objects import OBJECT_VERSION_OF_LWM2M
from lwm2m_lab.spec.rules import VERSIONS
from lwm2m_lab.trace.exchanges import EXCHANGE_LIFETIME
from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.firmware import MAX_TRANSMIT_WAIT
from lwm2m_lab.trace.findings.following import RESULT
from lwm2m_lab.trace.findings.registry import Conclusion, Verdict, rule
from lwm2m_lab.trace.findings.retransmission import ACK_TIMEOUT

__all__: list[str] = []

#: Resources of Object 5 that came after 1.0, with the version that brought each.
_LATER = {"/5/0/10": "1.1", "/5/0/11": "1.1", "/5/0/12": "1.1", "/5/0/13": "1.1", "/5/0/14": "1.2"}
#: Seconds, where a Register names none.
_LIFETIME = 86400


@rule(
    "F17",
    "/3/0/3 is the version that the update changes",
    clause="Object 3, resources 3 and 19",
    certainty="suspected",
)
def software_version_moves(case: Case) -> Iterator[Conclusion]:
    """Where a device tells firmware and software apart, a package of software moves /3/0/19 alone."""
    if case.update.outcome != "succeeded":
        return
    software = case.history_of("/3/0/19")
    before, after = software.before(case.update.frames[0]), case.values("/3/0/19")
    if not len(before) or not len(after) or before.last("value") == after.last("value"):
        return
    moved = f"/3/0/19 went from {before.last('value')} to {after.last('value')}"
    frames = [before.last("frame"), after.last("frame")]
    if case.update.firmware_version_after == case.update.firmware_version_before:
        yield (
            Verdict.INCONCLUSIVE,
            f"{moved}, and /3/0/3 is {case.update.firmware_version_after} as before: the package was software, or the "
            "device shows its version in the wrong place",
            frames,
        )
    else:
        yield Verdict.PASS, f"{moved}, and /3/0/3 with it", frames


@rule(
    "F18",
    "the device registers again after the reboot",
    clause="LwM2M registration; RFC 7252, 4.2",
    certainty="suspected",
    after=("F21",),
)
def never_came_back(case: Case) -> Iterator[Conclusion]:
    """The server keeps the old registration and asks into the void: the device trusts its lifetime, or is gone."""
    executed = case.installs.first("frame")
    if executed is None or not len(case.messages):
        return
    if len(case.registrations.after(executed)):
        yield Verdict.PASS, "the device spoke to /rd after the Execute", case.registrations.after(executed).frame[:1]
        return
    ended = case.values("/5/0/3").after(executed).where(value=(0, 2), how="notify")
    if len(ended):
        yield Verdict.PASS, "the device told that the installation had ended, without a reboot", ended.frame[:1]
        return
    spoke = case.messages[case.messages.sender].last("frame", 0)
    lost = case.requests[case.requests.response_frame < 0]
    lost = lost.after(max(executed, spoke) - 1)
    if not len(lost):
        return
    frame = lost.first("frame")
    span = case.last_time() - case.time_of(frame)
    sent_again = int(lost.retransmissions.max())
    # Nobody has waited yet where the capture ends right behind the request.
    if span < ACK_TIMEOUT and not sent_again:
        return
    gave_up = sent_again >= 4 or span > MAX_TRANSMIT_WAIT
    yield (
        Verdict.FAIL if gave_up else Verdict.INCONCLUSIVE,
        f"after the Execute in frame {executed} the device does not register, and {lost.first('uri_path')} in frame "
        f"{frame} is not answered: it trusts its old registration, or did not come up again",
        [executed, frame],
    )


@rule(
    "F19",
    "an Execute is answered before the reboot",
    clause="RFC 7252, 4.5: a duplicate is processed once",
    certainty="suspected",
)
def executed_twice(case: Case) -> Iterator[Conclusion]:
    """The answer was lost in the reset, the copy of the Execute finds a device that has forgotten the first one."""
    registers = case.registers.frame
    posts: NDArray[np.bool_] = (case.messages["_code"] == 2) & ~case.messages.sender
    asked = case.messages[posts].where(uri_path=("/5/0/2", "/3/0/4"))
    firsts: dict[tuple[int, str, str], tuple[int, float]] = {}
    speaks_from = dict(zip(case.messages.frame.tolist(), case.messages["_src"].tolist(), strict=True))
    for frame, time, to, *copy in asked.each("frame", "time", "_dst", "mid", "token", "uri_path"):
        mid, token, path = copy
        first, began = firsts.setdefault((mid, token, path), (frame, time))
        if time - began > EXCHANGE_LIFETIME:
            firsts[mid, token, path] = (frame, time)
            continue
        between = registers[(registers > first) & (registers < frame)]
        if not len(between):
            continue
        # A copy to the address of before the reboot finds nobody.
        heard = speaks_from.get(int(between[-1]), to) == to
        again = registers[registers > frame] if heard else registers[:0]
        rebooted = f", and it registers again in frame {again[0]}: a second reboot" if len(again) else ""
        yield (
            Verdict.FAIL if len(again) else Verdict.INCONCLUSIVE,
            f"the Execute of {path} in frame {first} comes again in frame {frame} under the same message id, after the "
            f"device registered in frame {between[0]}{rebooted}",
            [first, int(between[0]), frame, *again[:1].tolist()],
        )
        return
    if len(asked) and len(registers):
        yield Verdict.PASS, "no Execute was repeated after the reboot", asked.frame[:1]


@rule(
    "F22",
    "results and resources belong to the declared object version",
    clause="Object 5, resources 5 and 10 to 14; LwM2M Core 7.2.3",
    judges_update=False,
)
def of_another_version(case: Case) -> Iterator[Conclusion]:
    """A device that shows what came later offers more than it declares. The update is not judged."""
    versions, declared = case.object_versions
    shown = _later_than(case, "1.0" if not declared else versions[0])
    registers = case.all_registers
    assumed = registers.last("object5_version")
    for frame, what, since in shown:
        if declared:
            yield (
                Verdict.FAIL,
                f"Object 5 is declared as {versions[0]}, which has no {what} (frame {frame})",
                [frame],
            )
            return
        if assumed in VERSIONS and assumed < since:
            yield (
                Verdict.INCONCLUSIVE,
                f"{what} (frame {frame}) exists since Object 5 version {since}, and lwm2m= stands for {assumed}; a "
                "registration that declares ver= would decide",
                [registers.first("frame"), frame],
            )
            return
    if declared and not shown:
        yield Verdict.PASS, f"nothing was seen that Object 5 version {versions[0]} has not", ()


def _later_than(case: Case, version: str) -> list[tuple[int, str, str]]:
    """What came after an object version: frame, what, since when."""
    found = []
    if version == "1.0":
        results = case.values(RESULT).where(value=(10, 11))
        found = [(frame, f"Update Result {value}", "1.1") for frame, value in results.each("frame", "value")]
    cancels = case.executes.where(path="/5/0/10")
    seen = [(frame, path) for frame, path, code in cancels.each("frame", "path", "response_code") if code == "2.04"]
    for path, since in _LATER.items():
        seen += [(frame, path) for frame in case.own_values(path).frame.tolist()[:1] if since > version]
    found += [(frame, f"resource {path}", _LATER[path]) for frame, path in seen if _LATER[path] > version]
    return sorted(found)


@rule(
    "G1",
    "the declared version of Object 5 exists",
    clause="LwM2M Core 7.2.3; OMA registry of objects",
    judges_update=False,
)
def declared_version(case: Case) -> Iterator[Conclusion]:
    """1.0, 1.1 and 1.2 are registered; without a declaration lwm2m= says which is meant."""
    registers = case.capture.of("registrations", case.update.endpoint).before(case.update.until)
    said = registers.where(operation="register", declared=True)
    if not len(said):
        return
    version, frame = said.last("object5_version"), said.last("frame")
    if version in VERSIONS:
        yield Verdict.PASS, f"Object 5 is declared as {version}", [frame]
    else:
        yield (
            Verdict.INCONCLUSIVE,
            f"Object 5 is declared as {version} in frame {frame}; 1.0, 1.1 and 1.2 are registered",
            [frame],
        )


@rule("G2", "a Register names a version of LwM2M", clause="LwM2M registration: lwm2m=", judges_update=False)
def enabler_version(case: Case) -> Iterator[Conclusion]:
    """What the objects' versions are assumed from where they are not declared."""
    own = case.all_registers.before(case.update.until)
    if not len(own):
        return
    said, frame = own.last("lwm2m"), own.last("frame")
    if said in OBJECT_VERSION_OF_LWM2M:
        yield Verdict.PASS, f"lwm2m={said}", [frame]
    else:
        named = f"lwm2m={said}, which the lab does not know" if said else "no lwm2m="
        yield (
            Verdict.INCONCLUSIVE,
            f"the Register in frame {frame} has {named}: the object versions cannot be assumed from it",
            [frame],
        )


@rule("G3", "the registration is kept alive", clause="LwM2M registration: lt=", certainty="suspected",
      judges_update=False)  # fmt: skip
def lifetime_over(case: Case) -> Iterator[Conclusion]:
    """A device updates its registration within the lifetime; later the server may have forgotten it."""
    own = case.capture.of("registrations", case.update.endpoint)
    own = own[(own.operation != "deregister").astype(bool)]
    if not len(own):
        return
    lifetime = own.where(operation="register").last("lifetime") or _LIFETIME
    lifetime = lifetime if lifetime > 0 else _LIFETIME
    spoke = case.messages[case.messages.sender]
    at = np.searchsorted(own.frame, spoke.frame, side="right") - 1
    rest = spoke.time - own.time[np.maximum(at, 0)]
    late = spoke[(at >= 0) & (rest > lifetime)]
    if not len(late):
        yield Verdict.PASS, f"the device spoke within its lifetime of {lifetime} s", ()
        return
    frame = late.first("frame")
    yield (
        Verdict.INCONCLUSIVE,
        f"the device speaks in frame {frame}, more than its lifetime of {lifetime} s after its last Register or "
        "Update: the server may have forgotten it",
        [frame],
    )


@rule("G4", "the device is let in again", clause="LwM2M registration", party="server", certainty="suspected")
def registration_refused(case: Case) -> Iterator[Conclusion]:
    """A Register after the installation that is refused leaves the end of the update unseen."""
    refused = case.again.where(accepted=False)
    taken = case.again.where(accepted=True)
    if len(refused) and not len(taken):
        frame = refused.first("frame")
        code = case.exchanges.where(frame=frame).last("response_code")
        yield (
            Verdict.FAIL,
            f"the device comes back in frame {frame}, and its Register is refused with {code}: how the update ended "
            "stays unseen",
            [frame],
        )
    elif len(taken):
        yield Verdict.PASS, "the device was let in again", taken.frame[:1]

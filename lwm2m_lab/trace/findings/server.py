"""What servers, and repositories, get wrong in an update: waiting, asking out of turn, doing it all over again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.spec.objects import State
from lwm2m_lab.trace.findings.cachekey import differing
from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.firmware import MAX_TRANSMIT_WAIT, scheme_number
from lwm2m_lab.trace.findings.following import RESULT, STATE
from lwm2m_lab.trace.findings.registry import Conclusion, Said, Verdict, rule

__all__: list[str] = []

_CONTENT = 69


@rule(
    "F1",
    "a server that waits for notifications reads in the end",
    clause="RFC 7641, 1.3",
    party="server",
    certainty="suspected",
    after=("F2",),
)
def stale_notification(case: Case) -> Iterator[Conclusion]:
    """Observe promises the last value in the end, not each one: a Read may show what no notification told."""
    for path in () if len(case.registrations) else (STATE, RESULT):
        own = case.values(path)
        told = own.where(how=("notify", "observe"))
        for frame, value in own.where(how="read").each("frame", "value"):
            earlier = told.before(frame)
            if len(earlier) and earlier.last("value") != value:
                yield (
                    Verdict.PASS,
                    f"{path} was last told as {earlier.last('value')} and is read as {value}: the reading found it",
                    [earlier.last("frame"), frame],
                )
                return
    yield from _waits(case)


def _waits(case: Case) -> Iterator[Conclusion]:
    """State is told as 0 again, no result comes, and nobody reads it."""
    states = case.values(STATE)
    busy = states.where(value=(1, 2, 3)).last("frame")
    if busy is None or case.update.outcome != "unfinished":
        return
    idle = states.after(busy).where(value=0, how="notify")
    if len(idle) and not len(case.values(RESULT).after(busy)):
        frame = idle.first("frame")
        waited = case.last_time() - idle.first("time")
        yield (
            Verdict.FAIL if waited > MAX_TRANSMIT_WAIT else Verdict.INCONCLUSIVE,
            f"State 0 is told in frame {frame}, no Update Result comes with it, and nobody reads /5/0/5 in the "
            f"{waited:.0f} s that follow: that reading would tell how the update ended",
            [frame],
        )


@rule(
    "F2",
    "the server observes again after a new registration",
    clause="RFC 7641, 3.1",
    party="server",
    certainty="suspected",
)
def observe_again(case: Case) -> Iterator[Conclusion]:
    """Observations belong to the registration before the reboot; without new ones nobody learns the end."""
    back = case.again[(case.again.accepted != False).astype(bool)]  # noqa: E712
    if not len(back):
        return
    frame = back.first("frame")
    results = case.values(RESULT).between(case.installs.first("frame"), frame)
    ended = results[(results.value != 0).astype(bool)]
    if len(ended):
        yield Verdict.PASS, "how the update ended was told before the device registered anew", ended.frame[:1]
        return
    asked = case.timeline.after(frame).where(path=(STATE, RESULT))
    if len(asked):
        yield Verdict.PASS, "after the new registration State or Update Result was asked for", asked.frame[:1]
        return
    tried = case.requests.after(frame).where(uri_path=("/5/0/3", "/5/0/5", "/5/0", "/5"))
    if len(tried):
        return
    # A registration that the server may never have heard of obliges it to nothing.
    heard = case.exchanges.where(frame=tuple(back.where(accepted=True).frame.tolist()))
    waited = case.last_time() - float(heard.last("response_time", np.inf))
    goes_on = len(case.requests.after(frame)) > 0 or waited > MAX_TRANSMIT_WAIT
    ends = "" if goes_on else "; the capture ends there"
    yield (
        Verdict.FAIL if goes_on else Verdict.INCONCLUSIVE,
        f"the registration in frame {frame} ends the observations of before, and nobody observed or read /5/0/3 and "
        f"/5/0/5 afterwards{ends}",
        [frame],
    )


@rule(
    "F6",
    "Update is executed once State 2 is known",
    clause="Object 5, resource 2; ETS int-772",
    party="server",
    after=("F5", "F20"),
)
def execute_too_early(case: Case) -> Iterator[Conclusion]:
    """The device refuses an Execute outside Downloaded, and is right; the server did not look."""
    for frame, answered, code in case.update_executes.each("frame", "response_frame", "response_code"):
        if code is None or code[0] != "4":
            continue
        seen = case.values(STATE).before(frame)
        state = seen.last("value", case.before(STATE))
        since = seen.last("frame", 0)
        changed = (case.executes.frame < frame) & (case.executes.frame > since)
        reset = (case.resets.frame > since) & (case.resets.frame < frame)
        if state == 2 and not changed.any() and not reset.any():
            yield Said(
                Verdict.INCONCLUSIVE,
                f"the Execute of Update in frame {frame} was refused with {code} although State 2 was seen in frame "
                f"{since}",
                [since, frame, answered],
                party="device",
            )
        elif state in (0, 1, 3):
            yield (
                Verdict.FAIL,
                f"the Execute of Update in frame {frame} came when the last State seen was {State(state)}, and was "
                f"refused with {code}, as it must be",
                [frame, answered],
            )


@rule(
    "F11",
    "the repository serves what was written",
    clause="RFC 7252, 5.9.2.5",
    party="repository",
    after=("F10", "W9", "W10"),
)
def repository_refuses(case: Case) -> Iterator[Conclusion]:
    """The device asked for what it was told, and the repository has nothing there."""
    evidence = case.update.evidence
    if evidence.kind != "pull" or evidence.final_code is None or evidence.refused_by == "device":
        return
    served = case.delivery[(case.delivery["_code"] == 1) & (case.delivery["_response_code"] == _CONTENT)]
    if evidence.accepted:
        yield Verdict.PASS, "the repository served the package", [evidence.last_frame]
    elif len(served):
        asked = case.delivery.where(_code=1)
        if differing(case, asked, int(np.searchsorted(asked.frame, served.first("frame"))), len(asked) - 1):
            # It was asked for something else (W2).
            return
        yield Said(
            Verdict.FAIL,
            f"the repository served {len(served)} blocks of {evidence.uri} and answered {evidence.final_code} to the "
            f"next one in frame {evidence.last_frame}: the file was taken away, or has no such block",
            [served.last("response_frame"), evidence.last_frame],
            certainty="suspected",
        )
    else:
        yield (
            Verdict.FAIL,
            f"the repository answered {evidence.final_code} to the URI that the server wrote, {evidence.uri}: it can "
            "be reached, and has nothing under that path",
            [evidence.first_frame, evidence.last_frame],
        )


@rule(
    "F12",
    "an empty Package URI after the download is no reset",
    clause="Object 5, resource 1; ambiguity A10",
    party="server",
    certainty="suspected",
)
def uri_read_back_empty(case: Case) -> Iterator[Conclusion]:
    """Whether /5/0/1 keeps its value is not said; State tells whether the package is there."""
    read = case.values("/5/0/1").where(how=("read", "observe", "notify"), value="")
    for frame in read.frame.tolist() if case.update.delivery == "pull" else ():
        ready = case.values(STATE).before(frame)
        if ready.last("value") != 2 or ((case.resets.frame < frame) & (case.resets.frame > ready.last("frame"))).any():
            continue
        sentence = f"Package URI is read as empty in frame {frame} with State 2, which A10 permits"
        if len(case.update_executes.after(frame)):
            yield Verdict.PASS, f"{sentence}; the server went on", [frame]
        else:
            yield (
                Verdict.INCONCLUSIVE,
                f"{sentence}, and no Execute follows: the server may take it for a reset",
                [ready.last("frame"), frame],
            )
        return


@rule(
    "F16",
    "an image that was installed is not sent again",
    clause="LwM2M E.6, note on PkgName and PkgVersion",
    party="server",
    certainty="suspected",
)
def update_loop(case: Case) -> Iterator[Conclusion]:
    """The server compares what the standard declares unrelated, /5/0/7 with /3/0/3, and is never content."""
    image = case.update.image_sha256
    done = [one for one in case.earlier if one.outcome == "succeeded" and one.image_sha256 is not None]
    if image is None or not done:
        return
    last = done[-1]
    if last.image_sha256 != image:
        yield Verdict.PASS, "another image than the one installed before", [case.update.frames[0]]
        return
    runs = case.before("/3/0/3")
    package = last.pkg_versions[-1] if last.pkg_versions else None
    compared = f"; /3/0/3 is {runs}" if runs is not None else ""
    if package is not None and package != runs:
        compared += f" and /5/0/7 was {package or 'empty'}, two values that need not be equal"
    yield (
        Verdict.FAIL,
        f"the image of the update of frames {last.frames[0]} to {last.frames[1]}, which succeeded, is sent again from "
        f"frame {case.update.frames[0]} on{compared}",
        [*last.frames, case.update.frames[0]],
    )


@rule(
    "F21",
    "a sleeping device is asked when it is awake",
    clause="LwM2M Core, queue mode",
    party="server",
    certainty="suspected",
)
def asked_while_asleep(case: Case) -> Iterator[Conclusion]:
    """In queue mode a device listens for MAX_TRANSMIT_WAIT after its last message, then sleeps."""
    if not _queue_mode(case):
        return
    lost = case.requests[case.requests.response_frame < 0]
    spoke = case.messages[case.messages.sender].time
    for frame, time, path in lost.each("frame", "time", "uri_path"):
        at = int(np.searchsorted(spoke, time))
        rest = time - float(spoke[at - 1]) if at else 0.0
        if rest > MAX_TRANSMIT_WAIT:
            yield (
                Verdict.FAIL,
                f"{path or 'a request'} in frame {frame} comes {rest:.0f} s after the last message of a device in "
                "queue mode, and is not answered: the server should keep it until the device speaks again",
                [frame],
            )
            return
    yield Verdict.PASS, "a device in queue mode, and no request went unanswered while it slept", ()


def _queue_mode(case: Case) -> bool:
    """Binding with the letter Q (1.0), or the flag Q (1.1 and later) of the last Register or Update that has them."""
    own = case.capture.of("exchanges", case.update.endpoint).before(case.update.until)
    registers: NDArray[np.bool_] = own["_path"] == case.capture.path_codes.get("/rd", -2)
    for query in reversed(own[registers].uri_query.tolist()):
        items = dict(item.partition("=")[::2] for item in (query or "").split("&"))
        return "Q" in items or "Q" in items.get("b", "")
    return False


@rule(
    "F23",
    "nobody asks for resource 4",
    clause="Object 5: the number 4 is not used",
    party="server",
    judges_update=False,
)
def resource_four(case: Case) -> Iterator[Conclusion]:
    """Update Supported Objects left the object before 1.0; the number stayed empty."""
    own = case.capture.of("exchanges", case.update.endpoint)
    own = own.between(case.since, case.update.until)
    number = case.capture.path_codes.get("/5/0/4", -2)
    asked: NDArray[np.bool_] = (own["_path"] == number) & (own["_code"] == 1)
    for frame, code in own[asked].each("frame", "response_code"):
        answer = f"answered {code}" if code else "not answered"
        yield (
            Verdict.FAIL,
            f"/5/0/4 is asked for in frame {frame} and {answer}; it left Object 5 before 1.0",
            [frame],
        )
        return


@rule(
    "F24",
    "a device that is busy or defers has not failed",
    clause="Object 5, resource 5, value 11; RFC 7252, 5.9.3.4",
    party="server",
    certainty="suspected",
)
def not_now_is_no_failure(case: Case) -> Iterator[Conclusion]:
    """Result 11 and 5.03 say: later. A server that starts over throws away what the device holds."""
    deferred = case.values(RESULT).where(value=11)
    evidence = case.update.evidence
    if len(deferred) and case.before(RESULT) != 11:
        frame = deferred.first("frame")
        if np.isfinite(case.update.until) and not len(case.update_executes.after(frame)):
            yield (
                Verdict.FAIL,
                f"the device deferred the update in frame {frame}, and the server writes a package again in frame "
                f"{int(case.update.until)} instead of waiting",
                [frame, int(case.update.until)],
            )
        else:
            yield Verdict.PASS, f"the device deferred the update in frame {frame}, which is no failure", [frame]
    elif evidence.refused_by == "device" and evidence.final_code in ("5.03", "4.29"):
        frame, code = evidence.last_frame, evidence.final_code
        tried = np.isfinite(case.update.until)
        yield (
            Verdict.PASS if tried else Verdict.INCONCLUSIVE,
            f"the device answered {code} in frame {frame}: not now; the server "
            + ("tries again later, as it should" if tried else "does not try again in this capture"),
            [frame],
        )


@rule("R1", "Package URI has at most 255 bytes", clause="Object 5, resource 1: 0 to 255 bytes", party="server")
def uri_length(case: Case) -> Iterator[Conclusion]:
    """A longer one has to be refused, and is cut by many."""
    evidence = case.update.evidence
    if evidence.kind != "pull" or not evidence.uri:
        return
    length = len(evidence.uri.encode(errors="replace"))
    if length <= 255:
        yield Verdict.PASS, f"Package URI has {length} bytes", [evidence.first_frame]
        return
    refused = evidence.refused_by == "device"
    yield (
        Verdict.FAIL,
        f"Package URI in frame {evidence.first_frame} has {length} bytes; the object allows 255, and the device "
        + ("refused it" if refused else "took it"),
        [evidence.first_frame],
    )


@rule("R8", "Package URI names a protocol that is offered", clause="Object 5, resource 8", party="server")
def protocol_offered(case: Case) -> Iterator[Conclusion]:
    """The server must not write a URI whose protocol is not in /5/0/8; instance ids there are no values."""
    if case.update.delivery != "pull":
        return
    number, listed = scheme_number(case.update.evidence.uri), case.instances("/5/0/8")
    frame = case.update.frames[0]
    if not listed:
        return
    if number in listed.values():
        yield Verdict.PASS, f"protocol {number} is in /5/0/8", [frame]
        return
    values = ", ".join(str(one) for one in listed.values())
    mixed = f"; {number} is the id of an instance there, whose value is {listed[number]}" if number in listed else ""
    which = f"protocol {number}" if number is not None else "a protocol without a number"
    yield (
        Verdict.FAIL,
        f"{case.update.evidence.uri}, {which}, is written in frame {frame}, and /5/0/8 lists {values}{mixed}",
        [frame],
    )


@rule("T31", "a delivery method that is offered is used", clause="Object 5, resource 9", party="server")
def method_offered(case: Case) -> Iterator[Conclusion]:
    """Push to a device that only pulls, or the other way round."""
    method = case.history_of("/5/0/9").before(case.update.frames[0])
    offered = method.last("value")
    if offered not in (0, 1, 2):
        return
    frame, kind = case.update.frames[0], case.update.delivery
    if offered == 2 or (offered == 1) == (kind == "push"):
        yield Verdict.PASS, f"a {kind}, and /5/0/9 is {offered}", [method.last("frame")]
        return
    only = "push only" if offered == 1 else "pull only"
    yield (
        Verdict.FAIL,
        f"a {kind} begins in frame {frame}, and /5/0/9 was {offered}, {only}, in frame {method.last('frame')}",
        [method.last("frame"), frame],
    )
    code = case.update.evidence.final_code if kind == "push" else case.delivery.first("response_code")
    if code is not None and code.startswith("2."):
        yield Said(
            Verdict.INCONCLUSIVE,
            f"the device accepted the {kind} in frame {frame} with {code}, which it does not offer in /5/0/9",
            [method.last("frame"), frame],
            party="device",
        )

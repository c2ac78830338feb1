"""Rules of observation (RFC 7641): the order of notifications, their tokens, and how an observation begins and ends."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import Conclusion, Said, Verdict, rule
from lwm2m_lab.trace.findings.traffic import CON, NON, RST, Traffic, listed, period, traffic
from lwm2m_lab.trace.rows import Rows

__all__: list[str] = []

_CONTENT = 69
#: Numbers are compared within this time (RFC 7641, 3.4), seconds, and halfway round of their 24 bits.
_FRESH, _HALF = 128.0, 1 << 23
#: The network reorders within this time, seconds; later a smaller number is the sender's own.
_REORDERED = 10.0
#: Notifications after a reset that show it ignored, where messages get lost.
_RESETS_IN_VAIN = 3
#: Notifications that wait for one another come closer together than this, seconds.
_QUEUED = 5.0
Ints = NDArray[np.int64]


def _notifications(case: Case) -> Ints:
    """Positions of the notifications of the device, copies left out."""
    if "notifications" not in case.memo:
        seen = traffic(case)
        told = (seen.type <= NON) & (seen.code == _CONTENT) & (seen.rank == 0) & (seen.rows.observe >= 0)
        case.memo["notifications"] = np.nonzero(told & seen.rows.sender)[0]
    found: Ints = case.memo["notifications"]
    return found


def _registrations(case: Case) -> Rows:
    """The GETs with Observe 0, from the beginning of the capture on."""
    if "observes" not in case.memo:
        own = case.capture.of("exchanges", case.update.endpoint)
        case.memo["observes"] = own[(own.observe == 0) & (own["_code"] == 1) & (own.frame < case.update.until)]
    found: Rows = case.memo["observes"]
    return found


def _anew(case: Case, seen: Traffic, token: int, earlier: int, later: int) -> bool:
    """Whether an observation with this token was begun between two messages."""
    asked = _registrations(case)
    frames = asked.frame[asked["_token"] == token]
    return bool(((frames > seen.frame[earlier]) & (frames < seen.frame[later])).any())


@rule("N1", "the numbers of notifications grow", clause="RFC 7641, 3.4 and 4.4", certainty="suspected")
def out_of_order(case: Case) -> Iterator[Conclusion]:
    """A notification whose number is not larger is taken for an old one, and the value in it is lost."""
    seen, told = traffic(case), _notifications(case)
    if told.size < 2:
        return
    order = told[np.argsort(seen.token[told], kind="stable")]
    one, other = order[:-1], order[1:]
    same = (seen.token[one] == seen.token[other]) & (seen.time[other] - seen.time[one] < _FRESH)
    one, other = one[same], other[same]
    step = (seen.rows.observe[other].astype(np.int64) - seen.rows.observe[one]) % (1 << 24)
    old = np.nonzero((step == 0) | (step > _HALF))[0]
    for at in old.tolist():
        earlier, later = int(one[at]), int(other[at])
        gap = float(seen.time[later] - seen.time[earlier])
        if (step[at] and gap < _REORDERED) or _anew(case, seen, int(seen.token[later]), earlier, later):
            continue
        numbers = [int(seen.rows.observe[position]) for position in (earlier, later)]
        yield Said(
            Verdict.FAIL,
            f"the notification in frame {seen.frame[later]} has the number {numbers[1]}, {period(gap)} after the one "
            f"in frame {seen.frame[earlier]} with {numbers[0]}: whoever observes takes it for old",
            [int(seen.frame[earlier]), int(seen.frame[later])],
            certainty="proved" if not step[at] else None,
        )
        return
    yield Verdict.PASS, f"{len(told)} notifications are numbered in their order", ()


@rule("N2", "a reset ends the observation", clause="RFC 7641, 3.6 and 4.5", certainty="suspected")
def reset_ignored(case: Case) -> Iterator[Conclusion]:
    """After RST to a notification no further one comes with that token."""
    seen, told = traffic(case), _notifications(case)
    resets = np.nonzero((seen.type == RST) & (seen.answered >= 0))[0]
    resets = resets[np.isin(seen.first[seen.answered[resets]], told)] if resets.size else resets
    if not resets.size:
        if told.size:
            yield Verdict.PASS, f"none of {len(told)} notifications was reset", ()
        return
    for reset in resets.tolist()[:16]:
        refused = seen.answered[reset]
        # Whoever sends the same notification again has not heard of its reset.
        if (np.nonzero(seen.first == seen.first[refused])[0] > reset).any():
            continue
        token = int(seen.token[refused])
        later = told[(told > reset) & (seen.token[told] == token)]
        # What was under way already crosses the reset.
        later = later[seen.time[later] > seen.time[reset] + 2]
        if later.size and not _anew(case, seen, token, reset, int(later[0])):
            # Nobody repeats a reset: where messages get lost, one may be, and all that follows it is in order.
            lossy = seen.repeats.size > 0 and len(later) < _RESETS_IN_VAIN
            waited = len(later) == 1 and _has_waited(seen, told, reset, int(later[0]))
            perhaps = ""
            if waited:
                perhaps = "; it may have waited behind those that came between, since before the reset"
            elif lossy:
                perhaps = "; messages get lost on this path, and the reset may be one"
            yield (
                Verdict.INCONCLUSIVE if perhaps else Verdict.FAIL,
                f"the notification in frame {seen.frame[refused]} was reset in frame {seen.frame[reset]}, and "
                f"{len(later)} more follow under the same token, the first in frame {seen.frame[later[0]]}{perhaps}",
                [int(seen.frame[reset]), *seen.frame[later].tolist()],
            )
            return
    yield Verdict.PASS, f"after {len(resets)} resets the observations ended", seen.frame[resets]


def _has_waited(seen: Traffic, told: Ints, reset: int, later: int) -> bool:
    """Whether other confirmable notifications came all the time between: one leaves when that before is answered."""
    between = told[(told > reset) & (told <= later) & (seen.type[told] == CON)]
    times = np.append(seen.time[reset], seen.time[between])
    return len(between) > 1 and bool((np.diff(times) < _QUEUED).all())


@rule("N3", "a notification carries the token of an observation", clause="RFC 7641, 3.2", certainty="suspected")
def unknown_token(case: Case) -> Iterator[Conclusion]:
    """A token that nobody asked with since the device registered, and that the server refuses."""
    seen, told = traffic(case), _notifications(case)
    if not told.size:
        return
    asked = _registrations(case)
    registers = case.all_registers
    registered: int = registers.first("frame", 1 << 62)
    strange = told[~np.isin(seen.token[told], asked["_token"]) & (seen.frame[told] > registered)]
    answer = seen.answer[strange]
    refused = strange[(answer >= 0) & (seen.type[answer] == RST)] if strange.size else strange
    if refused.size:
        at = int(refused[0])
        token = case.capture.columns.categories["token"][int(seen.token[at])] if seen.token[at] >= 0 else "of no bytes"
        yield (
            Verdict.FAIL,
            f"the notification in frame {seen.frame[at]} carries the token {token or 'of no bytes'}, with which nobody "
            f"observes since the device registered in frame {registered}; it was reset in frame "
            f"{seen.frame[seen.answer[at]]}",
            [registered, *seen.frame[refused].tolist(), int(seen.frame[seen.answer[at]])],
        )
    elif not strange.size:
        yield Verdict.PASS, f"{len(told)} notifications carry tokens of observations", ()


@rule("N4", "an observation that is accepted is told so", clause="RFC 7641, 3.1 and 4.1", judges_update=False)
def observe_declined(case: Case) -> Iterator[Conclusion]:
    """2.05 without Observe is a plain reading: no notification will follow, and none may."""
    asked = _registrations(case)
    answered = asked[asked["_response_code"] == _CONTENT]
    if not len(answered):
        return
    declined = answered[answered.response_observe < 0]
    if not len(declined):
        yield Verdict.PASS, f"{len(answered)} observations were accepted", answered.frame
        return
    paths = listed(dict.fromkeys(map(str, declined.uri_path.tolist())))
    seen, told = traffic(case), _notifications(case)
    accepted = answered[answered.response_observe >= 0]["_token"]
    yet = told[np.isin(seen.token[told], declined["_token"]) & ~np.isin(seen.token[told], accepted)]
    frames = [*declined.response_frame.tolist(), *seen.frame[yet].tolist()]
    if yet.size:
        yield (
            Verdict.FAIL,
            f"the answer in frame {declined.first('response_frame')} has no Observe option, and a notification follows "
            f"in frame {seen.frame[yet[0]]} all the same",
            frames,
        )
    else:
        yield (
            Verdict.INCONCLUSIVE,
            f"{paths} was to be observed, and the answer in frame {declined.first('response_frame')} has no Observe "
            "option: no notification will come, so it has to be read",
            frames,
        )

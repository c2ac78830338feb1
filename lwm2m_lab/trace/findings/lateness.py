"""Rules of answers that come late (RFC 7252, 4.8): a device that is busy, and copies that were not needed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import Conclusion, Said, Verdict, rule
from lwm2m_lab.trace.findings.tap import beside
from lwm2m_lab.trace.findings.traffic import CON, Traffic, period, traffic, writes
from lwm2m_lab.trace.ordered import distinct, median
from lwm2m_lab.trace.rows import Rows

__all__: list[str] = []

#: Default of RFC 7252, 4.8, seconds.
ACK_TIMEOUT = 2.0
#: Round trips of which the shortest says something.
_ENOUGH = 8
#: An answer so long after the last copy, and that many times the longest other round trip, is none to that copy.
_LATE, _TIMES = 1.0, 4
#: Messages sent again without need, and their share of all, that are no chance.
_WASTED, _SHARE = 3, 0.3
Ints = NDArray[np.int64]


@rule(
    "M5",
    "the first block is acknowledged in time",
    clause="RFC 7252, 4.8.2 (PROCESSING_DELAY) and 5.2.2",
    certainty="suspected",
    judges_update=False,
)
def slow_first_block(case: Case) -> Iterator[Conclusion]:
    """Flash that is erased before the acknowledgement: the first block is slow, all others fast."""
    blocks = writes(case)
    answered = blocks[blocks.response_frame >= 0]
    if len(answered) < 3 or answered.first("block1_num") != 0:
        return
    rtt, usual = float(answered.rtt_s[0]), median(answered.rtt_s[1:])
    first = answered[:1]
    frames = [first.first("frame"), first.first("response_frame")]
    copies = int(first.retransmissions[0])
    received = _empty_acknowledgement(case, first)
    if received is not None:
        yield (
            Verdict.PASS,
            f"block 0 was acknowledged after {period(received[0])}, and answered in a message of its own after "
            f"{period(rtt)}",
            [frames[0], received[1], frames[1]],
        )
    elif rtt > ACK_TIMEOUT and rtt > 4 * usual and _waited_for_the_device(case, answered):
        spurious = (
            f", and {copies} needless {'copies were' if copies > 1 else 'copy was'} sent meanwhile" if copies else ""
        )
        yield (
            Verdict.FAIL,
            f"block 0 was answered after {period(rtt)}, the others after {period(usual)} (median){spurious}: the "
            "device seems to erase its flash first; an empty ACK at once, or erasing in steps, spares the copies",
            frames,
        )
    else:
        yield (
            Verdict.PASS,
            f"block 0 was answered after {period(rtt)}, the others after {period(usual)} (median)",
            frames,
        )


def _empty_acknowledgement(case: Case, block: Rows) -> tuple[float, int] | None:
    """After how long a block got an empty acknowledgement that made copies needless, and in which frame."""
    seen = traffic(case)
    at = int(np.searchsorted(seen.frame, block.first("frame")))
    answer = int(seen.answer[seen.first[at]]) if at < len(seen.frame) else -1
    if answer < 0 or seen.code[answer] != 0 or seen.frame[answer] == block.first("response_frame"):
        return None
    waited = float(seen.time[answer] - seen.time[at])
    return (waited, int(seen.frame[answer])) if waited <= ACK_TIMEOUT else None


def _waited_for_the_device(case: Case, answered: Rows) -> bool:
    """Whether nothing of block 0 was lost, so that its answer was waited for and not a copy of it.

    Without a copy nothing was. With every copy answered none was lost, unless the network makes copies of its own, or
    loses messages and the answer comes one round trip after the last copy; one that comes sooner, or later than any
    round trip, is none to that copy. How short a trip can be is not known of a path on which they differ much.
    """
    copies, replies = int(answered.retransmissions[0]), 1 + int(answered.duplicates[0])
    if not copies:
        return True
    seen, blocks = traffic(case), answered[1:]
    own = (seen.mid == answered.mid[0]) & (seen.src == answered["_src"][0]) & (seen.type == CON)
    sent = np.nonzero(own & (seen.frame >= answered.frame[0]) & (seen.frame < answered.response_frame[0]))[0]
    since = float(answered.response_time[0] - seen.time[sent[-1]]) if sent.size else 0.0
    trips = blocks.rtt_s[blocks.retransmissions == 0]
    doubled = bool((case.exchanges.duplicates > case.exchanges.retransmissions).any())
    others = case.exchanges[case.exchanges.frame != answered.frame[0]]
    lossy, one_trip = bool((others.retransmissions > 0).any()), len(trips) > 0 and since <= 1.25 * trips.max()
    if len(trips) >= _ENOUGH:
        shortest, longest = float(trips.min()), float(trips.max())
        if since < min((0.25 if lossy else 0.5) * shortest, 2 * shortest - median(trips)):
            return True
        if since > max(_LATE, _TIMES * longest):
            return True
    return replies > copies and not doubled and not (lossy and one_trip)


@rule(
    "M6",
    "retransmissions are needed",
    clause="RFC 7252, 4.8.1",
    party="server",
    certainty="suspected",
    judges_update=False,
)
def spurious_retransmissions(case: Case) -> Iterator[Conclusion]:
    """A copy was needless if every copy was answered, or if the answer comes sooner after it than any round trip."""
    seen = traffic(case)
    asked = np.nonzero((seen.type == CON) & (seen.rank == 0) & (seen.answer >= 0))[0]
    again = distinct(seen.first[seen.repeats[seen.type[seen.repeats] == CON]])
    again = again[seen.answer[again] >= 0]
    if not again.size:
        return
    trip = seen.time[seen.answer[again]] - seen.time[again]
    sooner = _came_sooner_than_a_trip(seen, asked, again)
    needless = (sooner | (seen.answers_of_their_own[again] >= seen.copies[again])) & (trip > ACK_TIMEOUT)
    if beside(case) == "device":
        waited = _waited_beyond_the_tap(seen, asked, again)
        trip, needless = np.maximum(trip, waited), needless | (waited > ACK_TIMEOUT)
    wasted = again[needless]
    share = len(wasted) / len(asked)
    if len(wasted) >= _WASTED and share > _SHARE:
        yield Said(
            Verdict.FAIL,
            f"{len(wasted)} of {len(asked)} confirmable messages were sent again although their answers were on the "
            f"way (round trip {period(median(trip[needless]))} in the median): raise ACK_TIMEOUT above "
            f"{period(float(trip[needless].max()))}",
            seen.frame[wasted],
            party="device" if seen.sender_of(wasted).mean() > 0.5 else None,
        )
    else:
        yield (
            Verdict.PASS,
            f"{len(again)} of {len(asked)} confirmable messages were sent again, {len(again) - len(wasted)} as losses "
            "explain",
            seen.frame[again],
        )


def _came_sooner_than_a_trip(seen: Traffic, asked: Ints, again: Ints) -> NDArray[np.bool_]:
    """Whether each message was answered sooner after its last copy than any message that was sent once."""
    once = asked[seen.copies[asked] == 1]
    # The shortest of a few is often longer than the next one.
    shortest = float((seen.time[seen.answer[once]] - seen.time[once]).min()) if once.size >= _ENOUGH else 0.0
    found: NDArray[np.bool_] = seen.time[seen.answer[again]] - seen.time[seen.last_copy_before_answer(again)] < shortest
    return found


def _waited_beyond_the_tap(seen: Traffic, asked: Ints, again: Ints) -> NDArray[np.float64]:
    """How long the server waited for an answer that the device gave at once, where its copy was not needed; else 0.

    It goes on as soon as it has the answer. What comes after the copy in less than the shortest round trip of the
    device's own messages was not brought about by the answer to the copy.
    """
    found = np.zeros(len(again))
    own = asked[seen.sender_of(asked) & (seen.copies[asked] == 1)]
    if len(own) < _WASTED:
        return found
    shortest = float((seen.time[seen.answer[own]] - seen.time[own]).min())
    new = np.nonzero(~seen.rows.sender & (seen.type == CON) & (seen.rank == 0))[0]
    for place, at in enumerate(again.tolist()):
        copies = np.nonzero(seen.first == at)[0]
        late = copies[copies > seen.answer[at]]
        following = int(np.searchsorted(new, copies[-1]))
        if bool(seen.rows.sender[at]) or not late.size or following >= len(new):
            continue
        if seen.time[new[following]] - seen.time[copies[-1]] < shortest:
            found[place] = shortest
    return found

"""Rules of retransmission (RFC 7252, 4.2, 4.5 and 4.8): what is sent again, how often and how soon."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import Conclusion, Said, Verdict, rule
from lwm2m_lab.trace.findings.tap import chance
from lwm2m_lab.trace.findings.traffic import (
    CON,
    NO_CHANCE,
    Traffic,
    gets,
    listed,
    period,
    remaining,
    requester,
    traffic,
    writes,
)
from lwm2m_lab.trace.ordered import distinct

__all__: list[str] = []

#: Defaults of RFC 7252, 4.8.
ACK_TIMEOUT, MAX_RETRANSMIT = 2.0, 4
#: Groups of copies that are compared byte by byte in one update.
_MOST_COMPARED = 500
#: Two gaps that differ by less are one, and messages that show it with two gaps each.
_EQUAL, _SEVERAL = 1.1, 3
#: Whoever answers so soon answers what it heard last, seconds.
_AT_ONCE = 0.5
Ints = NDArray[np.int64]


@rule(
    "M0",
    "every confirmable message is answered",
    clause="RFC 7252, 4.2",
    party="network",
    certainty="suspected",
    after=("F18", "F21", "W16", "M4", "M12", "M14"),
)
def unanswered(case: Case) -> Iterator[Conclusion]:
    """All copies of a request without an answer: the path was gone, or nobody was there.

    A device that installs and comes back owes no answer meanwhile.
    """
    confirmable = case.exchanges[case.exchanges["_type"] == CON]
    lost = confirmable[(confirmable.response_frame < 0) & (confirmable.retransmissions >= MAX_RETRANSMIT)]
    installed, back = case.installs.first("frame", np.inf), case.again.first("frame", 0)
    lost = lost[(lost.frame < installed) | (lost.frame > back)]
    last = traffic(case)
    for frame, copies, path, mid, time in lost.each("frame", "retransmissions", "uri_path", "mid", "time"):
        same = np.nonzero((last.mid == mid) & (last.time >= time) & (last.time <= time + 247) & (last.type == CON))[0]
        span = f" over {period(float(last.time[same[-1]] - time))}" if len(same) > 1 else ""
        yield (
            Verdict.FAIL,
            f"{path or 'a request'} was sent {copies + 1} times{span} from frame {frame} on and never answered",
            [frame, *last.frame[same].tolist()[:8]],
        )
    if not len(lost) and len(confirmable):
        yield Verdict.PASS, "no request ran out of retransmissions", ()


@rule(
    "M2",
    "a duplicate is acknowledged again",
    clause="RFC 7252, 4.2 and 4.5",
    certainty="suspected",
)
def duplicate_ignored(case: Case) -> Iterator[Conclusion]:
    """A copy after the acknowledgement says that the acknowledgement was lost, and asks for another one.

    One copy that stays without answer may have been lost itself; that none is ever answered is no chance.
    """
    seen = traffic(case)
    late = _late_copies(seen)
    if not late.size:
        if seen.repeats.size:
            yield Verdict.PASS, f"{seen.repeats.size} copies were sent, none after an acknowledgement", ()
        return
    answered_last = seen.last_answered[seen.first[late]]
    for from_device in (False, True):
        from_here = seen.sender_of(late) == from_device
        mine, ignored = late[from_here], late[from_here & (answered_last < late)]
        if not mine.size:
            continue
        messages = distinct(seen.first[ignored])
        if len(ignored) == len(mine) >= 3 and chance(case, messages, len(ignored)) < NO_CHANCE:
            first = int(messages[0])
            there = _was_there(case, seen, ignored)
            why = (
                ": the receiver ignores duplicates instead of repeating its answer"
                if there
                else "; the receiver was not heard again before it registered anew, and may have been gone"
            )
            yield Said(
                Verdict.FAIL if there else Verdict.INCONCLUSIVE,
                f"{len(messages)} confirmable messages were sent again after their acknowledgement, {len(ignored)} "
                f"copies in all, and no copy was acknowledged again (message id {seen.mid[first]} first, sent "
                f"{seen.copies[first]} times){why}",
                [*seen.frame[messages].tolist(), *seen.frame[seen.answer[messages]].tolist(), *seen.frame[ignored]],
                party="server" if from_device else "device",
            )
        else:
            yield (
                Verdict.PASS,
                f"{len(mine)} copies came after an acknowledgement, {len(mine) - len(ignored)} were answered again",
                seen.frame[mine],
            )


def _late_copies(seen: Traffic) -> Ints:
    """Copies of confirmable messages after their first acknowledgement."""
    again = seen.repeats[seen.type[seen.repeats] == CON]
    answer = seen.answer[seen.first[again]]
    late: Ints = again[(answer >= 0) & (answer < again)]
    return late


def _was_there(case: Case, seen: Traffic, ignored: Ints) -> bool:
    """Whether enough of the ignored copies came while their receiver lived: it speaks next, and not to register."""
    spoke = seen.spoke_next(ignored)
    lived = (spoke >= 0) & ~np.isin(seen.frame[spoke], case.all_registers.frame)
    return int(lived.sum()) >= 3


@rule("M7", "retransmissions back off exponentially", clause="RFC 7252, 4.2 and 4.8", party="server")
def constant_gaps(case: Case) -> Iterator[Conclusion]:
    """Each gap is twice the one before; copies lost before the tap make gaps longer and never equal."""
    seen = traffic(case)
    again = seen.repeats[seen.type[seen.repeats] == CON]
    often = [one for one in distinct(seen.first[again]).tolist() if seen.copies[one] >= 4]
    constant = []
    for one in often[:_MOST_COMPARED]:
        gaps = seen.gap[again[seen.first[again] == one]]
        if len(gaps) >= 3 and gaps.max() < 1.25 * gaps.min():
            constant.append((one, gaps))
    constant = constant or _twice_after_the_same_time(seen, again)
    if constant and _are_copies_of_the_path(seen, again, constant):
        one, gaps = constant[0]
        yield Said(
            Verdict.INCONCLUSIVE,
            f"message id {seen.mid[one]} came {len(gaps) + 1} times at gaps of "
            f"{listed([period(gap) for gap in gaps.tolist()])}, and no other message at such ones: the path may have "
            "doubled and delayed it; a capture at the sender would tell",
            seen.frame[seen.first == one].tolist(),
            party="device" if bool(seen.sender_of(np.array([one]))[0]) else None,
        )
        return
    if constant:
        one, gaps = constant[0]
        yield Said(
            Verdict.FAIL,
            f"message id {seen.mid[one]} was sent {len(gaps) + 1} times at gaps of "
            f"{listed([period(gap) for gap in gaps.tolist()])}; each gap should be twice the one before",
            [frame for first, _ in constant for frame in seen.frame[seen.first == first].tolist()],
            party="device" if bool(seen.sender_of(np.array([one]))[0]) else None,
        )
        return
    yield from _gives_up_early(case)
    if often:
        yield (
            Verdict.PASS,
            f"the gaps of {len(often)} messages sent four times or more grow",
            seen.frame[np.array(often)],
        )


def _twice_after_the_same_time(seen: Traffic, again: Ints) -> list[tuple[int, Any]]:
    """Messages that were sent three times each, all of one sender's with two gaps that are one: it stops there."""
    for from_device in (False, True):
        mine = again[seen.sender_of(again) == from_device]
        messages, copies = np.unique(seen.first[mine], return_counts=True)
        messages = messages[copies == 2]
        gaps = [seen.gap[mine[seen.first[mine] == one]] for one in messages[:_MOST_COMPARED].tolist()]
        if len(gaps) >= _SEVERAL and (copies <= 2).all() and all(one.max() < _EQUAL * one.min() for one in gaps):
            return list(zip(messages.tolist(), gaps, strict=False))
    return []


def _are_copies_of_the_path(seen: Traffic, again: NDArray[np.int64], constant: list[tuple[int, Any]]) -> bool:
    """Whether one message alone has such gaps: a timer that does not double shows in all that its sender repeats."""
    one, gaps = constant[0]
    if len(constant) > 1:
        return False
    if seen.path_doubles and gaps.max() < ACK_TIMEOUT:
        return True
    same = again[(seen.sender_of(again) == seen.sender_of(np.array([one]))[0]) & (seen.first[again] != one)]
    return len(same) >= 3 and float(np.sort(seen.gap[same])[len(same) // 2]) > 1.6 * float(gaps.max())


def _gives_up_early(case: Case) -> Iterator[Conclusion]:
    """A block that is never sent again although others were, and although it was never answered."""
    party = requester(case)[0]
    blocks = gets(case) if case.update.evidence.kind == "pull" else writes(case)
    if len(blocks) < 2 or blocks.last("response_frame") >= 0 or blocks.last("retransmissions") > 0:
        return
    earlier = int((blocks.retransmissions[:-1] > 0).sum())
    time, frame = float(blocks.time[-1]), blocks.last("frame")
    if blocks.last("type") == "CON" and earlier and remaining(case, time) > 10:
        yield Said(
            Verdict.INCONCLUSIVE,
            f"{earlier} blocks were sent again when their answers did not come, the last one (frame {frame}) was not, "
            f"in {period(remaining(case, time))}; a capture at the sender would tell whether its timer was lost",
            [frame],
            party=party,
        )


@rule("M8", "a duplicate acknowledgement is no new answer", clause="RFC 7252, 4.2 and 4.5; 4.7", party="server")
def two_for_one(case: Case) -> Iterator[Conclusion]:
    """Two requests for the next blocks, the second before the first is answered, right behind a repeated answer."""
    pull = case.update.evidence.kind == "pull"
    blocks = gets(case) if pull else writes(case)
    if len(blocks) < 3:
        return
    num = blocks.request_block2_num if pull else blocks.request_block1_num
    answered = np.where(blocks.response_frame >= 0, blocks.response_frame, np.iinfo(np.int64).max)
    # By time as well: two frames may stand in the file in another order than they came.
    later = np.nan_to_num(blocks.response_time, nan=np.inf)[:-1] > blocks.time[1:]
    unanswered_yet = (blocks.frame[1:] < answered[:-1]) & later
    early = np.nonzero(unanswered_yet & ((num[1:] == num[:-1] + 1) | (num[1:] == num[:-1])))[0]
    for at in early.tolist():
        if not at or not int(blocks.duplicates[at - 1]):
            continue
        # The same block once more may be a new try as well: it has to come with the repeated answer.
        if num[at + 1] == num[at] and not _comes_with_a_copy_of(case, int(answered[at - 1]), int(blocks.frame[at + 1])):
            continue
        once_more = "again " if num[at + 1] == num[at] else ""
        does = "was asked for" if pull else "was sent"
        yield Said(
            Verdict.FAIL,
            f"block {num[at]} {does} in frame {blocks.frame[at]} and block {num[at + 1]} {once_more}in frame "
            f"{blocks.frame[at + 1]}, before an answer to the former: the repeated answer to block {num[at - 1]} "
            "was taken for a new one",
            [*blocks.frame[at - 1 : at + 2].tolist(), int(answered[at - 1])],
            party=requester(case)[0],
        )
        return
    repeated = blocks[blocks.duplicates > 0]
    if len(repeated):
        yield (
            Verdict.PASS,
            f"{len(repeated)} answers came more than once and led to one next block each",
            repeated.frame,
        )


def _comes_with_a_copy_of(case: Case, answer: int, request: int) -> bool:
    """Whether a copy of an answer is what its receiver last heard before a request, a moment ago."""
    seen = traffic(case)
    at = int(np.searchsorted(seen.frame, request))
    if at >= len(seen.frame) or seen.frame[at] != request:
        return False
    to_it = np.nonzero((seen.dst[:at] == seen.src[at]) & (seen.src[:at] == seen.dst[at]))[0]
    if not to_it.size or seen.time[at] - seen.time[to_it[-1]] > _AT_ONCE:
        return False
    return bool(seen.rank[to_it[-1]] > 0 and seen.frame[seen.first[to_it[-1]]] == answer)


@rule("C2", "a retransmission is the message itself", clause="RFC 7252, 4.2", party="server")
def another_message(case: Case) -> Iterator[Conclusion]:
    """Copies are equal byte by byte; the same message id and token with other content is another message."""
    seen = traffic(case)
    again = seen.repeats[:_MOST_COMPARED]
    columns = case.capture.columns
    wrong: list[tuple[int, int]] = []
    for copy in again.tolist():
        first = int(seen.first[copy])
        one, other = (columns.datagram(int(seen.rows.row[at])) for at in (first, copy))
        if one != other and not (columns["error"][seen.rows.row[[first, copy]]] >= 0).any():
            wrong.append((first, copy))
    if wrong:
        first, copy = wrong[0]
        yield Said(
            Verdict.FAIL,
            f"message id {seen.mid[first]} and its token are used in frame {seen.frame[first]} and again in frame "
            f"{seen.frame[copy]} for a message with other content",
            [int(seen.frame[at]) for pair in wrong for at in pair],
            party="device" if bool(seen.sender_of(np.array([first]))[0]) else None,
        )
    elif again.size:
        yield Verdict.PASS, f"{again.size} copies are equal to what they repeat", seen.frame[again]


@rule(
    "C3",
    "a message is sent five times at most",
    clause="RFC 7252, 4.2 and 4.8 (MAX_RETRANSMIT)",
    party="server",
    certainty="suspected",
)
def too_many_copies(case: Case) -> Iterator[Conclusion]:
    """MAX_RETRANSMIT is 4 by default; copies that the network made are left out."""
    seen = traffic(case)
    again = seen.repeats[seen.type[seen.repeats] == CON]
    if not again.size:
        return
    messages, copies = np.unique(seen.first[again], return_counts=True)
    over = messages[copies > MAX_RETRANSMIT]
    if over.size:
        most = int(over[np.argmax(seen.copies[over])])
        most_copies = 1 + int(copies.max())
        yield Said(
            Verdict.FAIL if most_copies > 2 * MAX_RETRANSMIT else Verdict.INCONCLUSIVE,
            f"{len(over)} messages were sent more than {MAX_RETRANSMIT + 1} times, message id {seen.mid[most]} "
            f"{1 + int(copies[messages == most][0])} times: "
            + ("nobody counts" if most_copies > 2 * MAX_RETRANSMIT else "MAX_RETRANSMIT was raised, or nobody counts"),
            seen.frame[over],
            party="device" if bool(seen.sender_of(over[:1])[0]) else None,
        )
    else:
        yield Verdict.PASS, f"no message was sent more than {int(copies.max()) + 1} times", ()

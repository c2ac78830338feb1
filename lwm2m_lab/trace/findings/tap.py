"""Where the tap is, and what it has missed: beside which side, messages that ids tell of, and how much gets lost."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.traffic import CON, NON, Traffic, gets, traffic, writes
from lwm2m_lab.trace.ordered import median

__all__ = ["beside", "chance", "everything", "missed"]

#: Waits that differ by less say nothing of the tap's place.
_NEARER = 0.5
#: Steps of a sender's message ids that show how it counts, and how many of them have to be steps of one.
_STEPS, _ONE_BY_ONE = 4, 0.75
#: A next block that comes later than a copy of it is due, and that many times later than usual, is a copy of one.
_COPY_DUE, _TIMES = 2.0, 3
#: More messages than that nobody misses: the ids begin anew.
_MOST_MISSED = 64


def everything(case: Case) -> Traffic:
    """The messages of the endpoint in the whole capture, before the update and after it too."""
    if "everything" not in case.memo:
        rows = case.capture.of("messages", case.update.endpoint)
        case.memo["everything"] = Traffic(rows[rows.mid >= 0] if len(rows) else rows)
    found: Traffic = case.memo["everything"]
    return found


def beside(case: Case) -> Literal["device", "server"] | None:
    """Whose answers are seen sooner after what they answer: that one is near; None where neither is.

    From the messages of the update, and where one side never answers in them, from all of the endpoint.
    """
    for of in (traffic, everything):
        seen = of(case)
        asked = np.nonzero((seen.type == CON) & (seen.rank == 0) & (seen.answer >= 0))[0]
        waited = seen.time[seen.answer[asked]] - seen.time[seen.last_copy_before_answer(asked)]
        own = seen.sender_of(asked)
        if not own.any() or own.all():
            continue
        device, server = median(waited[~own]), median(waited[own])
        if device < _NEARER * server:
            return "device"
        return "server" if server < _NEARER * device else None
    return None


def missed(case: Case, frame: int) -> tuple[int, int]:
    """How many new messages a sender sent between one of its own and the next that is seen, and the frame of that.

    Told by the message ids of a sender that counts them one by one; (0, -1) where it does not, or says nothing more.
    Acknowledgements have the ids of what they answer.
    """
    seen = everything(case)
    at = int(np.searchsorted(seen.frame, frame))
    if at >= len(seen.frame) or seen.frame[at] != frame:
        return 0, -1
    begun = (seen.type <= NON) & (seen.rank == 0) & (seen.src == seen.src[at]) & (seen.dst == seen.dst[at])
    own = np.nonzero(begun)[0]
    steps = np.diff(seen.mid[own]) % 65536
    place = int(np.searchsorted(own, at))
    if len(steps) < _STEPS or (steps == 1).mean() < _ONE_BY_ONE or place + 1 >= len(own) or own[place] != at:
        return 0, -1
    between = int(steps[place]) - 1
    return (between if 0 <= between <= _MOST_MISSED else 0), int(seen.frame[own[place + 1]])


def chance(case: Case, besides: NDArray[np.int64], count: int) -> float:
    """How likely so many datagrams or their answers were lost one after the other.

    From how many of the other confirmable messages of the update were not answered at once, with one more for what was
    not seen, and from the blocks that came late: whose first copy the path lost before the tap.
    """
    seen = traffic(case)
    begun = (seen.type == CON) & (seen.rank == 0)
    begun[besides] = False
    at_once = begun & (seen.answer >= 0) & (seen.copies == 1)
    others = int(begun.sum())
    troubled = others - int(at_once.sum()) + _late_blocks(case) + 1
    return float(min(1.0, troubled / (others + 2)) ** count)


def _late_blocks(case: Case) -> int:
    """How many blocks came so long after the answer to the one before that they are copies, though nothing shows it."""
    blocks = gets(case) if case.update.evidence.kind == "pull" else writes(case)
    if len(blocks) < 2:
        return 0
    waited = blocks.time[1:] - blocks.response_time[:-1]
    alone = (blocks.retransmissions[1:] == 0) & ~np.isnan(waited)
    if not alone.any():
        return 0
    return int((alone & (waited > max(_COPY_DUE, _TIMES * median(waited[alone])))).sum())

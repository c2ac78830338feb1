"""The rule of the server that stops in the middle of a push: after how long, how often alike, and what proves it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import Conclusion, Said, Verdict, rule
from lwm2m_lab.trace.findings.tap import beside, missed
from lwm2m_lab.trace.findings.traffic import CON, listed, period, remaining, traffic, writes
from lwm2m_lab.trace.ordered import median
from lwm2m_lab.trace.rows import Rows

__all__: list[str] = []

_CONTINUE = 0x5F
#: A copy of a block that was not acknowledged leaves by then (ACK_TIMEOUT times ACK_RANDOM_FACTOR), and the last one.
_FIRST_COPY, _LAST_COPY = 3.0, 45.0
#: A server that says nothing for so long after an acknowledged block has stopped, seconds.
_SILENCE = 30.0
#: Time-outs that people write down, seconds.
_ROUND = (5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 300, 600, 900, 1200, 1800, 3600)
#: Two tries may last as long by chance; a third one does not.
_NO_CHANCE = 2
#: Of a try whose blocks come so slowly, seen against its length, it is not known when it ended.
_VAGUE = 0.15


class Stop(NamedTuple):
    """A try that ends behind an acknowledged block.

    Attributes
    ----------
    at : int
        Position of that block among the Writes of its update.
    began, sent, lasted, step : float
        When block 0 was sent, seconds until that block and until its acknowledgement, and seconds from block to block.
    frames : tuple of (int, int)
        The block and its acknowledgement.
    """

    at: int
    began: float
    sent: float
    lasted: float
    step: float
    frames: tuple[int, int]

    def strikes_at(self, seconds: float) -> bool:
        """Whether a time-out of so many seconds ends it: after this block was sent, before the next one was due."""
        return self.sent - 0.1 <= seconds <= self.lasted + self.step + 0.1 + 0.005 * seconds

    def is_like(self, other: Stop) -> bool:
        """Whether both lasted equally long, at different times: one outage ends all that runs at once."""
        within = max(self.step, other.step) + 0.1 + 0.01 * self.lasted
        vague = within > _VAGUE * self.lasted
        return not vague and abs(self.lasted - other.lasted) <= within and abs(self.began - other.began) > 3 * within


@rule(
    "M1",
    "the server goes on while its blocks are acknowledged",
    clause="RFC 7252, 4.8.2 (each exchange has its own time)",
    party="server",
    certainty="suspected",
)
def whole_time_out(case: Case) -> Iterator[Conclusion]:
    """A time-out that covers the whole body instead of one block ends it after a round time, or always the same one."""
    blocks = writes(case)
    if len(blocks) < 2:
        return
    last = len(blocks) - 1
    if blocks["_response_code"][last] != _CONTINUE or blocks.request_block1_more[last] != 1:
        yield Verdict.PASS, "the delivery does not end behind an acknowledged block", ()
        return
    given_up = [*case.update.evidence.resets, *case.executes.where(path="/5/0/10").frame.tolist()]
    if given_up:
        yield Verdict.PASS, f"the server gave the update up, and said so in frame {given_up[0]}", given_up[:1]
        return
    stops = _stops(case, blocks)
    if not stops or stops[-1].at != last or len(case.installs):
        return
    stop = stops[-1]
    alike = [one for one in [*stops[:-1], *_elsewhere(case)] if stop.is_like(one)]
    named = next((one for one in _ROUND if stop.strikes_at(one)), None)
    behind = (
        f"block {blocks.request_block1_num[last]}, which was acknowledged after {period(float(blocks.rtt_s[last]))} "
        f"(frame {stop.frames[1]}), {period(stop.lasted)} after block 0"
    )
    lost, next_frame = missed(case, stop.frames[0])
    if lost:
        yield Said(
            Verdict.INCONCLUSIVE,
            f"nothing is seen of the server behind {behind}, and yet it went on: by its message id in frame "
            f"{next_frame} it sent {lost} more between the two, which the path lost, or the capture",
            [*stop.frames, next_frame],
            party="network",
        )
        return
    said = f"the server stops after {behind}"
    if alike:
        said += f", as {'it did in another try' if len(alike) == 1 else f'in {len(alike)} other tries'} after "
        said += listed([period(one.lasted) for one in alike], 3)
    frames = [*stop.frames, *(frame for one in alike for frame in one.frames)]
    heard = _was_there(case, blocks, stop)
    if ((heard or _stops_beside_the_tap(case, blocks, stop)) and (named or alike)) or len(alike) >= _NO_CHANCE:
        time_out = f"{named} s" if named else f"about {period(stop.lasted)}"
        there = "; the server itself is heard later on" if heard else ""
        yield Verdict.FAIL, f"{said}: a time-out of {time_out} for the whole body and not for each block{there}", frames
        return
    silence = period(remaining(case, stop.began + stop.lasted))
    perhaps = f", perhaps a time-out of {named} s for the whole body and not for each block" if named else ""
    would_tell = f"a capture at the server would tell whether it stopped or the path was gone for {silence}"
    if beside(case) == "server":
        would_tell = f"why, in the {silence} that follow, its own log would tell"
    yield Verdict.INCONCLUSIVE, f"{said}{perhaps}; {would_tell}", frames


def _stops(case: Case, blocks: Rows) -> list[Stop]:
    """The tries of an update that end behind an acknowledged block, with silence after it or block 0 anew."""
    num, code, more = blocks.request_block1_num, blocks["_response_code"], blocks.request_block1_more
    begins = [0, *(np.nonzero((num[1:] == 0) & (num[:-1] >= 0))[0] + 1).tolist()]
    found = []
    for first, behind in zip(begins, [*begins[1:], len(blocks)], strict=True):
        last = behind - 1
        if code[last] != _CONTINUE or more[last] != 1:
            continue
        time = float(blocks.response_time[last])
        silence = remaining(case, time) if behind == len(blocks) else float(blocks.time[behind]) - time
        if silence < _SILENCE:
            continue
        steps = np.diff(blocks.time[first:behind])
        step, began = 1.5 * median(steps) if steps.size else 0.0, float(blocks.time[first])
        frames = int(blocks.frame[last]), int(blocks.response_frame[last])
        found.append(Stop(last, began, float(blocks.time[last]) - began, time - began, step, frames))
    return found


def _elsewhere(case: Case) -> list[Stop]:
    """How the other pushes of the capture stopped, all of them worked out once."""
    memo = case.capture.memo
    if "stops" not in memo:
        pushes = [one for one in case.capture.updates_of() if one.delivery == "push" and not one.image_accepted]
        cases = [case if one.frames == case.update.frames else Case(one) for one in pushes]
        memo["stops"] = [(one.update.frames, _stops(one, writes(one))) for one in cases if len(writes(one)) > 1]
    return [stop for frames, stops in memo["stops"] if frames != case.update.frames for stop in stops]


def _was_there(case: Case, blocks: Rows, stop: Stop) -> bool:
    """Whether the server is heard later on, and cannot have waited for the answer that is seen here.

    Whoever sends the block again has not heard its answer. Beside the device a server whose copies are lost is as
    silent as one that has stopped, until it is heard while a copy is due; a device that registers anew may have been
    off meanwhile.
    """
    seen, (frame, answer) = traffic(case), stop.frames
    copied = (seen.first == np.searchsorted(seen.frame, frame)) & (seen.frame > answer)
    if copied.any():
        return False
    time, server = stop.began + stop.lasted, int(blocks["_src"][stop.at])
    if beside(case) == "device":
        registers = case.registers.time
        again = float(registers[registers > time].min(initial=np.inf))
        return seen.heard(server, time + _FIRST_COPY, min(time + _LAST_COPY, again))
    return seen.heard(server, time)


def _stops_beside_the_tap(case: Case, blocks: Rows, stop: Stop) -> bool:
    """Whether the tap is beside the server, so that no path hides what it says, and nothing asks it in vain."""
    if beside(case) != "server":
        return False
    seen, (_, answer) = traffic(case), stop.frames
    to_it = (seen.dst == int(blocks["_src"][stop.at])) & (seen.frame > answer) & (seen.type == CON) & (seen.rank == 0)
    return not (to_it & (seen.answer < 0)).any()

"""Rules of transfers that end before their bodies do: who stopped, at which byte, and what for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.message import MAX_TRANSMIT_WAIT
from lwm2m_lab.trace.findings.registry import Conclusion, Party, Said, Verdict, rule
from lwm2m_lab.trace.findings.traffic import body_ends, gets, period, remaining, requester, writes

__all__: list[str] = []

_CONTINUE = 0x5F
#: Bodies end here where a buffer or a counter does, bytes and blocks.
_LIMITS = (1024, 2048, 4096, 8192, 16384, 32768, 65535, 65536, 131072, 262144, 524288, 1048576)
_BLOCK_LIMITS = (32767, 32768, 65535, 65536)


@rule(
    "W13",
    "no buffer or counter ends the body",
    clause="RFC 7959, 2.2 (up to 1,048,576 blocks)",
    certainty="suspected",
    judges_update=False,
    after=("M0", "M1", "M4", "M12", "M13", "M14", "W9", "W14", "W18"),
)
def ends_at_limit(case: Case) -> Iterator[Conclusion]:
    """The transfer ends at a power of two without a block that is the last."""
    pull = case.update.evidence.kind == "pull"
    blocks = gets(case) if pull else writes(case)
    if len(blocks) < 2:
        return
    num, more, size, length = body_ends(blocks, pull=pull)
    code = blocks["_response_code"]
    taken = np.nonzero((num >= 0) & ((code == _CONTINUE) if not pull else (code < 96)))[0]
    if not taken.size:
        return
    last = int(taken[-1])
    end, count = int(num[last] * size[last] + length[last]), int(num[last]) + 1
    if more[last] == 0 or case.update.evidence.accepted:
        yield Verdict.PASS, f"the body ends with its last block, at {end} bytes", ()
        return
    limit = f"{end} bytes" if end in _LIMITS else f"{count} blocks" if count in _BLOCK_LIMITS else None
    refused = int(code[last + 1]) if last + 1 < len(blocks) else -1
    announced = blocks.response_size2 if pull else blocks.request_size1
    if limit is None or end < 2048 or (announced == end).any():
        return
    frames = [int(blocks.response_frame[last])]
    party: Party = requester(case)[1]
    if refused >= 128:
        frames.append(int(blocks.response_frame[last + 1]))
        yield Said(
            Verdict.FAIL,
            f"the transfer ends at {limit} exactly, where the next block was answered {blocks.response_code[last + 1]} "
            f"(frame {frames[1]}): a buffer or a counter is full",
            frames,
            party=party,
        )
    else:
        yield Said(
            Verdict.INCONCLUSIVE,
            f"the transfer ends at {limit} exactly: a buffer or a counter may be full; a second try, or an image of "
            "another size, would tell",
            frames,
            party=party,
        )


@rule(
    "W15",
    "a download that stops is tried again or given up",
    clause="RFC 7252, 4.8.2 (MAX_TRANSMIT_WAIT)",
    certainty="suspected",
    after=("M0", "M13", "M14", "W9", "W10"),
)
def pull_hangs(case: Case) -> Iterator[Conclusion]:
    """No answer, no new try, no result: the device waits for ever."""
    asked = gets(case)
    if not len(asked) or case.update.evidence.accepted:
        return
    last = len(asked) - 1
    answered = int(asked.response_frame[last])
    num, more, _, _ = body_ends(asked, pull=True)
    if answered >= 0 and (more[last] == 0 or num[last] < 0):
        return
    silence = remaining(case, float(asked.time[last]))
    frames = [int(asked.frame[last])]
    states, results = (case.values(path).after(frames[0]) for path in ("/5/0/3", "/5/0/5"))
    if (results.value != 0).any() or (states.value != 1).any():
        yield Verdict.PASS, f"the download stopped in frame {frames[0]}, and the device said so", frames
        return
    if silence < MAX_TRANSMIT_WAIT:
        return
    copies = int(asked.retransmissions[last]) + 1
    what = (
        f"answered in frame {answered}"
        if answered >= 0
        else f"sent {'once' if copies == 1 else f'{copies} times'} and never answered"
    )
    said = f"the GET of block {max(int(asked.request_block2_num[last]), 0)} in frame {frames[0]} was {what}; in "
    said += f"{period(silence)} the device asked for nothing more"
    later = states[states.time > asked.time[last] + MAX_TRANSMIT_WAIT] if len(states) else states
    if len(later):
        frames.append(later.last("frame"))
        yield Verdict.FAIL, f"{said}, and it still shows State 1 in frame {frames[1]}", frames
    else:
        yield Verdict.INCONCLUSIVE, f"{said}; a reading of /5/0/3 and /5/0/5 would tell whether it has given up", frames


@rule(
    "W18",
    "a separate 2.31 is followed by the next block",
    clause="RFC 7252, 5.2.2; RFC 7959, 2.3",
    party="server",
    certainty="suspected",
)
def separate_continue(case: Case) -> Iterator[Conclusion]:
    """An empty acknowledgement is no response: the block is taken when 2.31 comes in a message of its own."""
    blocks = writes(case)
    own_message = (blocks.response_type == "CON") | (blocks.response_type == "NON")
    # What answers a NON comes in a message of its own anyway, with no acknowledgement to be taken for the end.
    acknowledged = (blocks.type == "CON") & own_message
    separate = np.nonzero((blocks["_response_code"] == _CONTINUE) & acknowledged)[0]
    if not separate.size:
        return
    last = int(separate[-1])
    frames = [int(blocks.frame[last]), int(blocks.response_frame[last])]
    if last + 1 < len(blocks) or blocks.request_block1_more[last] != 1:
        yield (
            Verdict.PASS,
            f"{len(separate)} blocks were answered by a separate 2.31, and the next block followed",
            frames,
        )
        return
    silence = remaining(case, float(blocks.response_time[last]))
    if silence >= 10:
        yield (
            Verdict.FAIL,
            f"block {blocks.request_block1_num[last]} in frame {frames[0]} was answered 2.31 in a message of its own "
            f"(frame {frames[1]}), and in {period(silence)} no next block came: the server takes the empty "
            "acknowledgement for the end",
            frames,
        )

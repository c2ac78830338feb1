"""Rules of transfers that end before their bodies do: who stopped, at which byte, and what for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.firmware import MAX_TRANSMIT_WAIT
from lwm2m_lab.trace.findings.registry import Conclusion, Party, Said, Verdict, rule
from lwm2m_lab.trace.findings.traffic import ACK, body_ends, gets, period, remaining, requester, traffic, writes

__all__: list[str] = []

_CONTINUE, _INCOMPLETE = 0x5F, 0x88
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
    asked = num if not pull else np.maximum(blocks.request_block2_num, 0).astype(np.int64)
    goes_on = last + 1 < len(blocks) and int(asked[last + 1]) == count
    refused = int(code[last + 1]) if goes_on else -1
    announced = blocks.response_size2 if pull else blocks.request_size1
    if limit is None or end < 2048 or (announced == end).any() or refused == _INCOMPLETE:
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
    after=("M0", "M13", "M14", "M15", "W9", "W10"),
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
    received = _empty_acknowledgement(case, frames[0])
    what = f"sent {'once' if copies == 1 else f'{copies} times'} and never answered"
    if answered >= 0:
        what = f"answered in frame {answered}"
    elif received is not None:
        what = f"acknowledged by an empty message in frame {received}, and never answered"
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
    seen = traffic(case)
    at = int(np.searchsorted(seen.frame, frames[1]))
    answer = int(seen.answer[seen.first[at]]) if at < len(seen.frame) and seen.frame[at] == frames[1] else -1
    reset = answer >= 0 and seen.type[answer] != ACK
    if blocks.response_type[last] == "CON" and answer < 0:
        # Whoever does not acknowledge it may never have got it (M10).
        yield (
            Verdict.INCONCLUSIVE,
            f"block {blocks.request_block1_num[last]} in frame {frames[0]} was answered 2.31 in a message of its own "
            f"(frame {frames[1]}), which the server never acknowledged: the path may have lost it",
            frames,
        )
    elif reset:
        frames.append(int(seen.frame[answer]))
        yield (
            Verdict.FAIL,
            f"block {blocks.request_block1_num[last]} in frame {frames[0]} was answered 2.31 in a message of its own "
            f"(frame {frames[1]}), and the server reset it in frame {frames[2]}: the empty acknowledgement was the end "
            "to it",
            frames,
        )
    elif silence >= 10:
        yield (
            Verdict.FAIL,
            f"block {blocks.request_block1_num[last]} in frame {frames[0]} was answered 2.31 in a message of its own "
            f"(frame {frames[1]}), and in {period(silence)} no next block came: the server takes the empty "
            "acknowledgement for the end",
            frames,
        )


@rule(
    "M15",
    "a block that is sent anew is answered",
    clause="RFC 7252, 5.2.2; RFC 7959, 2.5",
    certainty="suspected",
    after=("W17", "M4"),
)
def retry_taken_for_duplicate(case: Case) -> Iterator[Conclusion]:
    """The same block under a new message id gets an empty acknowledgement, and then nothing."""
    pull = case.update.evidence.kind == "pull"
    blocks = gets(case) if pull else writes(case)
    if not len(blocks):
        return
    party = requester(case)[1]
    num = np.maximum(blocks.request_block2_num if pull else blocks.request_block1_num, 0)
    length, token = blocks.request_payload_length, blocks["_token"]
    same = (num[1:] == num[:-1]) & (length[1:] == length[:-1]) & (blocks.mid[1:] != blocks.mid[:-1])
    retried = np.append(False, same)
    # The last one first: it is what the silence follows.
    for at in np.nonzero(blocks.response_frame < 0)[0][::-1].tolist():
        received = _empty_acknowledgement(case, int(blocks.frame[at]))
        anew = bool(retried[at]) and token[at] == token[at - 1]
        if received is None or not (anew or at == len(blocks) - 1):
            continue
        silence = remaining(case, float(blocks.time[at]))
        frames = [int(blocks.frame[at]), received]
        got = f"it got an empty acknowledgement in frame {received} and no response in {period(silence)}"
        if anew:
            yield Said(
                Verdict.FAIL if silence >= MAX_TRANSMIT_WAIT else Verdict.INCONCLUSIVE,
                f"block {num[at]} was {'asked for' if pull else 'sent'} again in frame {blocks.frame[at]} under a new "
                f"message id; {got}: the receiver takes it for the one that it has in hand",
                [int(blocks.frame[at - 1]), *frames],
                party=party,
            )
            return
        if silence >= MAX_TRANSMIT_WAIT:
            yield Said(
                Verdict.INCONCLUSIVE,
                f"block {num[at]} was {'asked for' if pull else 'sent'} in frame {blocks.frame[at]}; {got}: the "
                "receiver has it in hand still, or its response was lost",
                frames,
                party=party,
            )
            return
    if retried.any():
        yield Said(
            Verdict.PASS,
            f"{int(retried.sum())} blocks came anew under new message ids",
            blocks.frame[retried],
            party=party,
        )


def _empty_acknowledgement(case: Case, frame: int) -> int | None:
    """The frame of the empty acknowledgement of a request."""
    seen = traffic(case)
    at = int(np.searchsorted(seen.frame, frame))
    answer = int(seen.answer[seen.first[at]]) if at < len(seen.frame) and seen.frame[at] == frame else -1
    there = answer >= 0 and seen.code[answer] == 0 and seen.type[answer] == ACK
    return int(seen.frame[answer]) if there else None

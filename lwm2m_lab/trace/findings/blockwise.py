"""Rules of single blocks (RFC 7959): their sizes, their numbers, the M bit, and the codes that answer them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lwm2m_lab.trace.findings.cachekey import differing
from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import Conclusion, Party, Said, Verdict, rule
from lwm2m_lab.trace.findings.traffic import body_ends, gets, listed, traffic, writes
from lwm2m_lab.trace.rows import Rows
from lwm2m_lab.wire import coap

__all__: list[str] = []

_CONTENT, _CONTINUE, _BAD_REQUEST = 0x45, 0x5F, 0x80
#: Blocks whose payloads are compared before a body is believed to repeat one block.
_COMPARED = 8


@rule("W6", "a block with M has the size that it names", clause="RFC 7959, 2.2", party="server")
def payload_size(case: Case) -> Iterator[Conclusion]:
    """Only the last block may be shorter, and none may be longer."""
    blocks = case.blocks
    if not len(blocks):
        return
    whole = case.capture.columns["error"][blocks["_carrier"]] < 0
    wrong = blocks[whole & ((blocks.more & (blocks.length != blocks["size"])) | (blocks.length > blocks["size"]))]
    for frame, num, length, size, kind in list(wrong.each("frame", "num", "length", "size", "kind"))[:1]:
        party: Party = "server" if kind == "block1" else "repository"
        yield Said(
            Verdict.FAIL,
            f"block {num} in frame {frame} carries {length} bytes and names {size}"
            + (f"; {len(wrong) - 1} more blocks do the like" if len(wrong) > 1 else "")
            + (
                ": cut on its way into the datagram, or never filled"
                if length < size
                else ": more than such a block holds"
            ),
            wrong.frame,
            party=party,
        )
    if not len(wrong):
        yield Verdict.PASS, f"{len(blocks)} blocks have the sizes they name", ()


@rule(
    "W8", "2.31 answers the blocks before the last, the final code answers the last", clause="RFC 7959, 2.3 and 2.9.1"
)
def wrong_code(case: Case) -> Iterator[Conclusion]:
    """2.04 with M=0 to a block in the middle is legal: block by block, without assembling."""
    blocks = writes(case)
    if not len(blocks):
        return
    more, code, final = blocks.request_block1_more == 1, blocks["_response_code"], blocks.response_block1_more == 0
    success = (code >= 64) & (code < 96)
    early = blocks[more & success & (code != _CONTINUE) & ~final]
    late = blocks[~more & (code == _CONTINUE)]
    for wrong, what in ((early, "a block before the last"), (late, "the last block")):
        if len(wrong):
            num, frame, said = (
                wrong.first("request_block1_num"),
                wrong.first("response_frame"),
                wrong.first("response_code"),
            )
            yield (
                Verdict.FAIL,
                f"block {num} is {what} and was answered {said} in frame {frame}"
                + ("" if what == "the last block" else " without Block1 M=0")
                + (f"; {len(wrong) - 1} more likewise" if len(wrong) > 1 else ""),
                [*wrong.frame.tolist(), *wrong.response_frame.tolist()],
            )
    if not len(early) and not len(late) and success.any():
        yield Verdict.PASS, f"{int(success.sum())} blocks were answered with the codes of their places", ()


@rule("W9", "the last block has M=0", clause="RFC 7959, 2.2", party="repository")
def never_last(case: Case) -> Iterator[Conclusion]:
    """All bytes that were announced are there, and M still promises more; or who asks for more gets an error."""
    pull = case.update.evidence.kind == "pull"
    blocks = gets(case) if pull else writes(case)
    if not len(blocks):
        return
    num, more, size, length = body_ends(blocks, pull=pull)
    there = np.nonzero(num >= 0)[0]
    if not there.size:
        return
    last = int(there[-1])
    end = int(num[last] * size[last] + length[last])
    said = blocks.response_size2 if pull else blocks.request_size1
    announced = int(said[said > 0][0]) if (said > 0).any() else -1
    frame = int((blocks.response_frame if pull else blocks.frame)[last])
    if more[last] == 0:
        yield Verdict.PASS, f"the last block, in frame {frame}, has M=0", [frame]
        return
    refused = pull and last + 1 < len(blocks) and int(blocks["_response_code"][last + 1]) in (0x80, 0x82, 0x84)
    party: Party = "repository" if pull else "server"
    if end == announced:
        asked = f", and block {num[last] + 1} was asked for in vain" if refused else ""
        yield Said(
            Verdict.FAIL,
            f"block {num[last]} in frame {frame} ends the {announced} bytes that were announced, and has M=1{asked}",
            [frame],
            party=party,
        )
    elif refused and not differing(case, blocks, last, last + 1):
        frames = [frame, int(blocks.frame[last + 1]), int(blocks.response_frame[last + 1])]
        yield Said(
            Verdict.FAIL,
            f"block {num[last]} in frame {frame} has M=1, and the request for the next one was answered "
            f"{blocks.response_code[last + 1]} in frame {frames[2]}",
            frames,
            party=party,
            certainty="suspected",
        )


@rule("W10", "the block that was asked for is the one that comes", clause="RFC 7959, 2.3 and 2.4", party="repository")
def another_block(case: Case) -> Iterator[Conclusion]:
    """The answer begins where the request wanted, in its size or a smaller one."""
    asked = gets(case)
    if not len(asked):
        return
    without = (asked.request_block2_num > 0) & (asked.response_block2_num < 0)
    ignored = asked[without & (asked["_response_code"] == _CONTENT)]
    if len(ignored):
        yield (
            Verdict.FAIL,
            f"block {ignored.first('request_block2_num')} was asked for in frame {ignored.first('frame')}, and the "
            f"2.05 in frame {ignored.first('response_frame')} has no Block2, as if it were the whole body"
            + (f"; so in {len(ignored) - 1} more exchanges" if len(ignored) > 1 else ""),
            [*ignored.frame.tolist(), *ignored.response_frame.tolist()],
        )
        return
    asked = asked[(asked.response_block2_num >= 0) & (asked["_response_code"] < 96)]
    if not len(asked):
        return
    at = np.maximum(asked.request_block2_num, 0) * np.maximum(asked.request_block2_size, 0)
    got = asked.response_block2_num * asked.response_block2_size.astype(np.int64)
    wrong = asked[at != got]
    if len(wrong):
        yield (
            Verdict.FAIL,
            f"block {wrong.first('request_block2_num')} was asked for in frame {wrong.first('frame')}, and block "
            f"{wrong.first('response_block2_num')} came"
            + (f"; so in {len(wrong) - 1} more exchanges" if len(wrong) > 1 else ""),
            [*wrong.frame.tolist(), *wrong.response_frame.tolist()],
        )
    elif _repeats(case, asked):
        yield Said(
            Verdict.FAIL,
            f"blocks {listed(asked.response_block2_num[:_COMPARED].tolist(), 3)} have one and the same payload: the "
            "repository seems to send the same bytes under each number",
            asked.response_frame[:_COMPARED],
            certainty="suspected",
        )
    else:
        yield Verdict.PASS, f"{len(asked)} blocks are those that were asked for", ()


def _repeats(case: Case, asked: Rows) -> bool:
    """Whether the first blocks are equal, and not merely padding."""
    numbers, first = np.unique(asked.response_block2_num, return_index=True)
    if len(numbers) < 3:
        return False
    rows = asked["_response"][first[:_COMPARED]].tolist()
    payload = case.capture.columns.payload(rows[0])
    return len(set(payload)) > 1 and all(case.capture.columns.payload(row) == payload for row in rows[1:])


@rule("B1", "block size exponent 7 is reserved", clause="RFC 7959, 2.2", party="server")
def reserved_size(case: Case) -> Iterator[Conclusion]:
    """Nobody sends it, and who receives it answers 4.00."""
    seen = traffic(case)
    wrong = np.nonzero(seen.rows["_error"] == coap.RESERVED_SZX)[0]
    if not wrong.size:
        if len(case.blocks):
            yield Verdict.PASS, "no message has block size exponent 7", ()
        return
    at = int(wrong[0])
    yield Said(
        Verdict.FAIL,
        f"the Block option in frame {seen.frame[at]} has size exponent 7, which is reserved over UDP"
        + (f"; {len(wrong) - 1} more messages have it" if len(wrong) > 1 else ""),
        seen.frame[wrong],
        party="device" if seen.rows.sender[at] else "server",
    )
    answered = case.exchanges[np.isin(case.exchanges.frame, seen.frame[wrong]) & (case.exchanges.response_frame >= 0)]
    taken = answered[(answered["_response_code"] != _BAD_REQUEST) & (answered["_dst"] == answered["_device"])]
    for frame, code, answer in list(taken.each("frame", "response_code", "response_frame"))[:1]:
        yield Said(
            Verdict.FAIL,
            f"size exponent 7 in frame {frame} was answered {code} in frame {answer} instead of 4.00",
            [frame, answer],
            party="device",
        )


@rule(
    "B2",
    "Block2 in a request has M=0",
    clause="RFC 7959, 2.3",
    party="device",
    certainty="suspected",
    judges_update=False,
)
def more_in_request(case: Case) -> Iterator[Conclusion]:
    """There it names the block that is wanted; M says nothing and has to be 0."""
    asked = case.exchanges
    there = asked.request_block2_num >= 0
    wrong = asked[there & (asked.request_block2_more == 1)]
    if len(wrong):
        from_device = wrong["_src"][0] == wrong["_device"][0]
        yield Said(
            Verdict.FAIL,
            f"{len(wrong)} requests ask for a block with M=1, the first in frame {wrong.first('frame')}; it is ignored",
            wrong.frame,
            certainty="proved",
            party="device" if from_device else "server",
        )
    elif there.any():
        yield Verdict.PASS, f"{int(there.sum())} requests for a block have M=0", ()


@rule("B5", "the M bit of an answer says whether it is final", clause="RFC 7959, 2.3 and 2.9.1")
def more_in_answer(case: Case) -> Iterator[Conclusion]:
    """2.31 has M=1, Block1 and no payload; the final answer has M=0."""
    blocks = writes(case)
    if not len(blocks):
        return
    code, more, last = blocks["_response_code"], blocks.response_block1_more, blocks.request_block1_more == 0
    kinds = (
        ((code == _CONTINUE) & (more < 0), "2.31 without Block1"),
        ((code == _CONTINUE) & (more == 0), "2.31 with M=0"),
        ((code == _CONTINUE) & (blocks.response_payload_length > 0), "2.31 with a payload"),
        (last & (code >= 64) & (code < 96) & (code != _CONTINUE) & (more == 1), "the final answer with M=1"),
    )
    told = False
    for wrong, what in kinds:
        if wrong.any():
            told = True
            frames = blocks.response_frame[wrong]
            yield (
                Verdict.FAIL,
                f"frame {frames[0]} is {what}" + (f"; {len(frames) - 1} more are" if len(frames) > 1 else ""),
                frames,
            )
    if not told and (code >= 64).any():
        yield Verdict.PASS, f"{int((code >= 64).sum())} answers to blocks say by M whether they are final", ()


@rule("B9", "an answer names the block that it answers", clause="RFC 7959, 2.3")
def answered_number(case: Case) -> Iterator[Conclusion]:
    """NUM in the Block1 of an answer is that of the request."""
    blocks = writes(case)
    there = (blocks.response_block1_num >= 0) & (blocks["_response_code"] < 128)
    if not there.any():
        return
    wrong = blocks[there & (blocks.response_block1_num != blocks.request_block1_num)]
    if len(wrong):
        yield (
            Verdict.FAIL,
            f"block {wrong.first('request_block1_num')} in frame {wrong.first('frame')} was answered as block "
            f"{wrong.first('response_block1_num')}" + (f"; so were {len(wrong) - 1} more" if len(wrong) > 1 else ""),
            [*wrong.frame.tolist(), *wrong.response_frame.tolist()],
        )
    else:
        yield Verdict.PASS, f"{int(there.sum())} answers name the blocks that they answer", ()

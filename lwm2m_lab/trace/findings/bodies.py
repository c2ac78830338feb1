"""Rules of whole bodies (RFC 7959, 2.3 to 2.5 and 4): which blocks belong together, and whether they are all there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lwm2m_lab.trace.findings.cachekey import differing, is_from_elsewhere
from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import Conclusion, Party, Said, Verdict, rule
from lwm2m_lab.trace.findings.traffic import body_ends, body_starts, gets, period, traffic, writes
from lwm2m_lab.trace.ordered import distinct
from lwm2m_lab.trace.rows import Rows
from lwm2m_lab.wire import coap

__all__: list[str] = []

_CONTINUE, _INCOMPLETE = 0x5F, 0x88
#: A receiver may forget a partial body after a while; sooner than this is no while, seconds.
_SOON = 30.0


@rule(
    "W1",
    "a block that follows is not refused as incomplete",
    clause="RFC 7959, 2.3 and 2.5",
    after=("W2", "W3", "W5", "W6", "B3", "M4", "M9", "W14"),
)
def refused_in_order(case: Case) -> Iterator[Conclusion]:
    """4.08 although every block before was acknowledged: the receiver does not put the blocks together."""
    blocks = writes(case)
    refused = np.nonzero((blocks["_response_code"] == _INCOMPLETE) & (blocks.request_block1_num > 0))[0]
    if not refused.size:
        if len(blocks) > 1:
            yield Verdict.PASS, f"none of {len(blocks)} blocks was answered 4.08", ()
        return
    at = int(refused[0])
    num, _, size, length = body_ends(blocks, pull=False)
    start = int(body_starts(num)[at])
    frames = [int(blocks.frame[max(start, 0)]), int(blocks.frame[at]), int(blocks.response_frame[at])]
    before = slice(max(start, 0), at)
    offset = num * size
    whole = start >= 0 and bool(
        (blocks["_response_code"][before] == _CONTINUE).all()
        and (offset[start + 1 : at + 1] == (offset + length)[before]).all()
    )
    if not whole:
        yield Verdict.PASS, f"4.08 in frame {frames[2]} is right: not every block before it was taken", frames
        return
    if (blocks.response_time[before] > blocks.time[at]).any():
        yield (
            Verdict.PASS,
            f"4.08 in frame {frames[2]} is no wonder: block {num[at]} was sent before the others were answered, and "
            "may have overtaken them",
            frames,
        )
        return
    gone = _given_up(case, *(int(frame) for frame in (frames[0], blocks.response_frame[at - 1], frames[2])))
    if gone is not None:
        yield Verdict.PASS, f"4.08 in frame {frames[2]} is right: {gone[1]} in frame {gone[0]}", [gone[0], *frames]
        return
    # Up to the copy of the next block that reached it: those before that one may be lost.
    since = float(blocks.response_time[at] - blocks.response_time[at - 1])
    told = f"block {num[at]} was answered 4.08 in frame {frames[2]}"
    differs = differing(case, blocks, start, at)
    elsewhere = is_from_elsewhere(case, blocks, start, at)
    if differs:
        yield Said(
            Verdict.FAIL,
            f"{told}; its {' and '.join(differs)} is not that of block 0 (frame {frames[0]}), so it belongs to no "
            "body at hand",
            frames,
            party="server",
        )
    elif elsewhere:
        yield Said(
            Verdict.FAIL,
            f"{told}; {elsewhere} (frame {frames[0]}): to the device another sender, whose body has no beginning",
            frames,
            party="server",
            certainty="suspected",
        )
    elif blocks["_token"][at] != blocks["_token"][start] and since < _SOON:
        yield (
            Verdict.FAIL,
            f"{told}, {period(since)} after all before it had been acknowledged; it differs from block 0 in nothing "
            "but its token, which each block may choose anew",
            frames,
        )
    else:
        yield Said(
            Verdict.FAIL,
            f"{told}, {period(since)} after all before it had been acknowledged: the device forgot them",
            frames,
            certainty="suspected",
        )


def _given_up(case: Case, start: int, taken: int, refused: int) -> tuple[int, str] | None:
    """The frame between two answers in which the device said that it had let go of a body, and what it said there.

    State fell back to Idle, or a new process registered; None where neither is seen.
    """
    seen = case.values("/5/0/3")
    begun = seen.after(start).before(taken + 1).where(value=(1, 2, 3))
    fallen = seen.after(taken).before(refused).where(value=0)
    if len(begun) and len(fallen):
        return int(fallen.first("frame")), "the device had given the body up, and said State 0"
    anew = case.registers.after(taken).before(refused)
    return (int(anew.first("frame")), "the device had started anew, and registered") if len(anew) else None


@rule("W2", "each block repeats path and query", clause="RFC 7959, 2.3; RFC 7252, 5.10.1", party="server")
def query_dropped(case: Case) -> Iterator[Conclusion]:
    """Without its path or its query a block is a request for another resource."""
    pushed = writes(case)
    lost = pushed[np.array([path is None for path in pushed.request_uri_path], bool)]
    if len(lost):
        code = next((said for said in lost.response_code if said and said[0] in "45"), None)
        yield Said(
            Verdict.FAIL,
            f"block 0 in frame {pushed.first('frame')} is for {pushed.first('uri_path')}, block "
            f"{lost.first('request_block1_num')} in frame {lost.first('frame')} has no Uri-Path"
            + (f", and {code} is the answer" if code else ""),
            [pushed.first("frame"), *lost.frame.tolist()],
            certainty="proved" if code else "suspected",
        )
        return
    for blocks, party in ((writes(case), "server"), (_asked_for(case), "device")):
        if len(blocks) < 2:
            continue
        wrong = _refused_for_its_uri(case, blocks, "server" if party == "server" else "device")
        if wrong is not None:
            yield wrong
            continue
        num = blocks.request_block1_num if party == "server" else np.maximum(blocks.request_block2_num, 0)
        starts = body_starts(num.astype(np.int64))
        query = blocks["_query"]
        other = blocks[(starts >= 0) & (query != query[starts])]
        if len(other):
            at = int(np.nonzero(query != query[starts])[0][0])
            one, that = (_query(case, int(query[position])) for position in (starts[at], at))
            code = next((said for said in other.response_code if said and said[0] in "45"), None)
            yield Said(
                Verdict.FAIL,
                f"block 0 in frame {blocks.frame[starts[at]]} has {one}, block {num[at]} in frame {blocks.frame[at]} "
                f"has {that}" + (f", and {code} is the answer" if code else ""),
                [int(blocks.frame[starts[at]]), *other.frame.tolist()],
                certainty="proved" if code else "suspected",
                party="server" if party == "server" else "device",
            )
        elif (query >= 0).any():
            yield Verdict.PASS, f"{len(blocks)} blocks have the query of their block 0", ()


def _refused_for_its_uri(case: Case, blocks: Rows, party: Party) -> Said | None:
    """The first block that is refused, where its URI is not that of block 0."""
    refused = np.nonzero(blocks["_response_code"] >= 0x80)[0][:1]
    num = np.maximum(blocks.request_block1_num, blocks.request_block2_num).astype(np.int64)
    for at in refused.tolist():
        start = int(body_starts(np.maximum(num, 0))[at])
        names = differing(case, blocks, start, at) if 0 <= start < at and num[at] > 0 else []
        names = [name for name in names if name.startswith("Uri-")]
        if names == ["Uri-Query"] or not names:
            return None
        frames = [int(blocks.frame[start]), int(blocks.frame[at]), int(blocks.response_frame[at])]
        return Said(
            Verdict.FAIL,
            f"block {num[at]} in frame {frames[1]} has not the {' and '.join(names)} of block 0 in frame {frames[0]}, "
            f"and {blocks.response_code[at]} is the answer",
            frames,
            party=party,
        )
    return None


def _asked_for(case: Case) -> Rows:
    """The GETs of a pull, and those of the same path with another query or of none, which belong to no download."""
    own = gets(case)
    if not len(own):
        return own
    asked = case.exchanges
    same = (asked["_path"] == own["_path"][0]) | ((asked["_path"] < 0) & (asked.request_block2_num > 0))
    same &= (asked["_code"] == 1) & (asked["_dst"] == own["_dst"][0])
    return case.capture.rows("exchanges", distinct(own.index, asked[same].after(own.first("frame")).index))


def _query(case: Case, code: int) -> str:
    return "no query" if code < 0 else f"the query {case.capture.columns.categories['uri_query'][code]!r}"


@rule("B3", "each block repeats the Content-Format", clause="RFC 7959, 2.3", party="server")
def format_dropped(case: Case) -> Iterator[Conclusion]:
    """It is that of the whole body; blocks of different formats are not put together."""
    for blocks, side, party in ((writes(case), "request", "server"), (gets(case), "response", "repository")):
        num, _, _, _ = body_ends(blocks, pull=side == "response")
        there = num >= 0
        if there.sum() < 2:
            continue
        own, form = blocks[there], blocks[f"{side}_content_format"][there]
        starts = body_starts(num[there])
        wrong = np.nonzero((starts >= 0) & (form != form[starts]))[0]
        if wrong.size:
            at, frame = int(wrong[0]), own.frame if side == "request" else own.response_frame
            names = [f"Content-Format {one}" if one >= 0 else "none" for one in (form[starts[at]], form[at])]
            # A response that leaves it out may still be of the same body; one that says another is not.
            left_out = side == "response" and form[at] < 0
            yield Said(
                Verdict.INCONCLUSIVE if left_out else Verdict.FAIL,
                f"block 0 has {names[0]} and block {num[there][at]} in frame {frame[at]} has {names[1]}",
                frame[np.append(starts[wrong[:1]], wrong)],
                party="server" if party == "server" else "repository",
                certainty="proved" if side == "request" else "suspected",
            )
        elif (form >= 0).any():
            yield Verdict.PASS, f"{len(own)} blocks have Content-Format {form[0]}", ()


@rule("W7", "a body with a gap is not accepted", clause="RFC 7959, 2.5", after=("W5", "W6", "M8"))
def gap_accepted(case: Case) -> Iterator[Conclusion]:
    """The final block of an incomplete body must be answered 4.08, and of a download with a gap nothing is downloaded.

    Blocks that were captured are what counts; a sender that counts its message ids one by one proves that it sent
    nothing between two of them.
    """
    blocks, evidence = case.blocks, case.update.evidence
    pull = evidence.kind == "pull"
    if not len(blocks) or (not evidence.accepted and not pull):
        return
    order = np.lexsort((blocks.frame, blocks.offset))
    # A block that is shorter than it says is no gap (W6), and the rest of one that the snap length cut was on the wire.
    length = np.where(blocks.more, blocks["size"], blocks.length)
    ends = np.append(0, np.maximum.accumulate((blocks.offset + length)[order])[:-1])
    holes = blocks.offset[order] > ends
    gaps = blocks[order[holes]]
    taken = case.values("/5/0/3").after(int(blocks.frame.max())).where(value=2) if pull else None
    if not len(gaps) or (taken is not None and not len(taken)):
        if not len(gaps):
            yield Verdict.PASS, "the body has no gap", ()
        return
    num, blocked = gaps.first("num"), gaps.first("frame")
    frame = _request_of(case, blocked) if pull else blocked
    final = taken.first("frame") if taken is not None else evidence.last_frame
    how = f"State 2 in frame {final}" if pull else "the final answer, and it is a success"
    before = _sent_just_before(case, frame)
    if before is not None and before[1] <= int(ends[holes][0]):
        earlier, _, ids = before
        yield (
            Verdict.FAIL,
            f"{len(gaps)} gaps stand before {how}: block {num} in frame {frame} has message id {ids[1]}, the message "
            f"before it (frame {earlier}) {ids[0]}, so nothing was sent between them"
            + ("" if pull else "; 4.08 is expected"),
            [earlier, frame, final],
        )
    else:
        yield (
            Verdict.INCONCLUSIVE,
            f"{len(gaps)} gaps stand before {how if pull else 'the final 2.04'}, the first before block {num} in frame "
            f"{frame}; a capture at the other end would tell whether the blocks were never sent",
            [frame, final],
        )


def _request_of(case: Case, response: int) -> int:
    """The frame of the request that a response answers."""
    asked = gets(case)
    return int(asked.frame[np.nonzero(asked.response_frame == response)[0]][0])


def _sent_just_before(case: Case, frame: int) -> tuple[int, int, tuple[int, int]] | None:
    """The block with the message id before that of another, where it ends, and both ids; None for something else."""
    seen = traffic(case)
    at = int(np.searchsorted(seen.frame, frame))
    # A message that cannot be told to be this device's has no neighbours.
    if at >= len(seen.frame) or int(seen.frame[at]) != frame:
        return None
    earlier = np.nonzero((seen.src[:at] == seen.src[at]) & (seen.type[:at] == seen.type[at]) & (seen.rank[:at] == 0))[0]
    if not earlier.size or int(seen.mid[at]) != (int(seen.mid[earlier[-1]]) + 1) % 65536:
        return None
    last = int(earlier[-1])
    kind = "block1" if seen.rows.block1_num[last] >= 0 else "block2"
    num, size = (int(seen.rows[f"{kind}_{name}"][last]) for name in ("num", "size"))
    return (int(seen.frame[last]), (num + 1) * size, (int(seen.mid[last]), int(seen.mid[at]))) if num >= 0 else None


@rule(
    "B7",
    "the size announced is the size of the body",
    clause="RFC 7959, 4",
    party="server",
    certainty="suspected",
    judges_update=False,
)
def announced_size(case: Case) -> Iterator[Conclusion]:
    """Size1 and Size2 are estimates, and the M bit ends the body; a receiver that trusts them cuts or waits."""
    pull = case.update.evidence.kind == "pull"
    blocks = gets(case) if pull else writes(case)
    num, more, size, length = body_ends(blocks, pull=pull)
    last = np.nonzero((num >= 0) & (more == 0))[0]
    said = blocks.response_size2 if pull else blocks.request_size1
    if not last.size or not (said > 0).any():
        return
    at, name = int(last[-1]), "Size2" if pull else "Size1"
    if blocks["response_error" if pull else "request_error"][at] == coap.ERRORS[coap.SNAPPED]:
        return
    end, announced = int(num[at] * size[at] + length[at]), int(said[said > 0][0])
    frames = blocks.response_frame if pull else blocks.frame
    party: Party = "repository" if pull else "server"
    evidence = [int(frames[said > 0][0]), int(frames[at])]
    if end != announced:
        yield Said(Verdict.FAIL, f"{name} announces {announced} bytes, and the body has {end}", evidence, party=party)
    else:
        yield Said(Verdict.PASS, f"{name} announces the {end} bytes that the body has", evidence, party=party)

"""Rules of whole bodies (RFC 7959, 2.3 to 2.5 and 4): which blocks belong together, and whether they are all there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

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
    gone = _given_up(case, *(int(frame) for frame in (frames[0], blocks.response_frame[at - 1], frames[2])))
    if gone is not None:
        told = f"4.08 in frame {frames[2]} is right: the device had given the body up, and said State 0 in frame {gone}"
        yield Verdict.PASS, told, [gone, *frames]
        return
    # Up to the copy of the next block that reached it: those before that one may be lost.
    since = float(blocks.response_time[at] - blocks.response_time[at - 1])
    differs = [
        name
        for name, column in (
            ("Uri-Path", "request_uri_path"),
            ("Content-Format", "content_format"),
            ("Uri-Query", "_query"),
        )
        if blocks[column][at] != blocks[column][start]
    ]
    if differs:
        yield Said(
            Verdict.FAIL,
            f"block {num[at]} was answered 4.08 in frame {frames[2]}; its {differs[0]} is not that of block 0 (frame "
            f"{frames[0]}), so it belongs to no body at hand",
            frames,
            party="server",
        )
    elif blocks["_token"][at] != blocks["_token"][start] and since < _SOON:
        yield (
            Verdict.FAIL,
            f"block {num[at]} was answered 4.08 in frame {frames[2]}, {period(since)} after all before it had been "
            "acknowledged; it differs from block 0 in nothing but its token, which each block may choose anew",
            frames,
        )
    else:
        yield Said(
            Verdict.FAIL,
            f"block {num[at]} was answered 4.08 in frame {frames[2]}, {period(since)} after all before it had been "
            "acknowledged: the device forgot them",
            frames,
            certainty="suspected",
        )


def _given_up(case: Case, start: int, taken: int, refused: int) -> int | None:
    """The frame in which State fell back to Idle between two answers; None where it did not, or never left Idle."""
    seen = case.values("/5/0/3")
    begun = seen.after(start).before(taken + 1).where(value=(1, 2, 3))
    fallen = seen.after(taken).before(refused).where(value=0)
    return int(fallen.first("frame")) if len(begun) and len(fallen) else None


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


def _asked_for(case: Case) -> Rows:
    """The GETs of a pull, and those of the same path with another query, which belong to no download."""
    own = gets(case)
    if not len(own):
        return own
    asked = case.exchanges
    same = (asked["_path"] == own["_path"][0]) & (asked["_code"] == 1) & (asked["_dst"] == own["_dst"][0])
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
    """The final block of an incomplete body must be answered 4.08; blocks that were captured are what counts.

    A sender that counts its message ids one by one proves that it sent nothing between two of them.
    """
    blocks, evidence = case.blocks, case.update.evidence
    if not len(blocks) or evidence.kind != "push" or not evidence.accepted:
        return
    order = np.lexsort((blocks.frame, blocks.offset))
    # The rest of a block that the snap length cut was on the wire.
    cut = case.capture.columns["error"][blocks["_carrier"]] == coap.SNAPPED
    length = np.where(cut & blocks.more, blocks["size"], blocks.length)
    ends = np.append(0, np.maximum.accumulate((blocks.offset + length)[order])[:-1])
    gaps = blocks[order[blocks.offset[order] > ends]]
    if not len(gaps):
        yield Verdict.PASS, "the body has no gap", ()
        return
    frame, num = gaps.first("frame"), gaps.first("num")
    seen = traffic(case)
    at = int(np.searchsorted(seen.frame, frame))
    # A message that cannot be told to be this device's has no neighbours.
    known = at < len(seen.frame) and int(seen.frame[at]) == frame
    same = (seen.src[:at] == seen.src[at]) & (seen.type[:at] == seen.type[at]) if known else np.zeros(at, bool)
    earlier = np.nonzero(same & (seen.rank[:at] == 0))[0]
    before = blocks[blocks.frame == seen.frame[earlier[-1]]] if earlier.size else blocks[:0]
    next_id = len(before) > 0 and int(seen.mid[at]) == (int(seen.mid[earlier[-1]]) + 1) % 65536 and before.num[0] < num
    if next_id:
        last = int(earlier[-1])
        yield (
            Verdict.FAIL,
            f"{len(gaps)} gaps stand before the final answer, and it is a success: block {num} in frame {frame} has "
            f"message id {seen.mid[at]}, the message before it (frame {seen.frame[last]}) {seen.mid[last]}, so nothing "
            "was sent between them; 4.08 is expected",
            [int(seen.frame[last]), frame, evidence.last_frame],
        )
    else:
        yield (
            Verdict.INCONCLUSIVE,
            f"{len(gaps)} gaps stand before the final 2.04, the first before block {num} in frame {frame}; a capture "
            "at the other end would tell whether the blocks were never sent",
            [frame, evidence.last_frame],
        )


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

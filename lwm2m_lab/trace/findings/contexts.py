"""Rules of what is remembered between blocks (RFC 7959, 2.4 and 2.5): old bodies, copies, and two bodies at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lwm2m_lab.trace.findings.caches import mixed_up
from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.firmware import MAX_TRANSMIT_WAIT
from lwm2m_lab.trace.findings.registry import Conclusion, Said, Verdict, rule
from lwm2m_lab.trace.findings.traffic import Traffic, answers_others, gets, period, remaining, traffic, writes
from lwm2m_lab.trace.rows import Rows
from lwm2m_lab.trace.updates import Update
from lwm2m_lab.wire import coap

__all__: list[str] = []

_CONTINUE, _INCOMPLETE = 0x5F, 0x88
REQUEST_TAG = 292
#: Copies that the path may have lost; copies before which a device has to be heard; and how soon after them, seconds.
_FEW, _HEARD_AGAIN, _SHORTLY = 3, 2, 6.0


@rule(
    "W14",
    "one block-wise transfer at a time for each resource",
    clause="RFC 7959, 2.4 and 2.5; RFC 9175, 3",
    party="server",
    certainty="suspected",
)
def interleaved(case: Case) -> Iterator[Conclusion]:
    """Two bodies to one resource, or through one receiver, at once: its one context is overwritten."""
    mixed = mixed_up(case)
    if mixed is not None:
        yield mixed
        return
    blocks = writes(case)
    if len(blocks) < 2:
        return
    alternating = _two_servers(case, blocks)
    if alternating is not None:
        yield alternating
        return
    num = blocks.request_block1_num.astype(np.int64)
    restart = np.nonzero((num[1:-1] == 0) & (num[:-2] >= 0) & (num[2:] > 1) & (num[2:] == num[:-2] + 1))[0] + 1
    # Without a block 0 before, the old body's own block 0 has only come late.
    restart = restart[restart > np.argmax(num == 0)]
    tagged = [_tag(case, blocks, at) for at in (restart[0] - 1, restart[0])] if restart.size else []
    if restart.size and len(set(tagged)) < 2:
        at = int(restart[0])
        yield Said(
            Verdict.FAIL,
            f"a new body for /5/0/0 begins in frame {blocks.frame[at]}, and block {num[at + 1]} of the old one follows "
            f"in frame {blocks.frame[at + 1]}: two transfers to one resource at once, without Request-Tags",
            blocks.frame[at - 1 : at + 2],
            certainty="proved",
        )
        return
    first, last = blocks.first("frame"), blocks.last("frame")
    asked = case.exchanges
    others = asked[
        (asked.request_block1_num >= 0) & (asked["_path"] != blocks["_path"][0]) & (asked["_dst"] == blocks["_dst"][0])
    ]
    # A body that has not ended keeps its context for as long as the device likes.
    others = others.after(first).before(last if case.update.evidence.accepted else case.update.until)
    if not len(others):
        yield Verdict.PASS, "no other block-wise transfer to the device ran at the same time", ()
        return
    path, frame = others.first("uri_path"), others.first("frame")
    poisoned = [one for one in (blocks, others) if (one["_response_code"] == _INCOMPLETE).any()]
    if poisoned:
        hit = poisoned[0][poisoned[0]["_response_code"] == _INCOMPLETE]
        yield Said(
            Verdict.FAIL,
            f"blocks for {path} (frame {frame}) came between those of the package, and 4.08 in frame "
            f"{hit.first('response_frame')} follows: the device keeps one body at a time",
            [frame, *hit.response_frame.tolist()],
            party="device",
        )
    else:
        yield Verdict.PASS, f"blocks for {path} came between those of the package, and both were taken", others.frame


def _two_servers(case: Case, blocks: Rows) -> Said | None:
    """Two addresses that push to one resource in turn; one that is followed by another has only moved."""
    turns = np.nonzero(np.diff(blocks["_src"]) != 0)[0] + 1
    if len(turns) < 2 or len(np.unique(blocks["_src"])) < 2:
        return None
    frames = blocks.frame[[turns[0] - 1, *turns[:2].tolist()]].tolist()
    one, other = (blocks.src[at] for at in (turns[0] - 1, turns[0]))
    hit = blocks[(blocks["_response_code"] == _INCOMPLETE) & (blocks.frame > frames[0])]
    said = f"{one} and {other} push to {blocks.first('uri_path')} at once, from frame {frames[1]} on"
    if not len(hit):
        return Said(Verdict.PASS, f"{said}, and no block was refused as incomplete", frames)
    frames.append(hit.first("response_frame"))
    return Said(
        Verdict.FAIL,
        f"{said}, and 4.08 in frame {frames[-1]} follows: the device keeps one body at a time",
        frames,
        certainty="suspected",
    )


def _tag(case: Case, blocks: Rows, at: int) -> bytes | None:
    found = coap.decode(case.capture.columns.datagram(int(blocks["_row"][at]))).values(REQUEST_TAG)
    return found[0] if found else None


@rule("M3", "a block that comes twice is written once", clause="RFC 7252, 4.5", certainty="suspected")
def written_twice(case: Case) -> Iterator[Conclusion]:
    """The image was delivered whole and right, a block of it twice, and the device finds it damaged or too long."""
    results = case.values("/5/0/5")
    damaged = results.where(value=(2, 5))
    push = case.update.evidence.kind == "push"
    blocks = writes(case) if push else gets(case)
    num = blocks.request_block1_num if push else blocks.request_block2_num
    anew = np.append(False, (num[1:] == num[:-1]) & (blocks.mid[1:] != blocks.mid[:-1])) if len(blocks) else num > 0
    twice = blocks[(blocks.retransmissions > 0) | (anew & push & (blocks.response_frame >= 0))]
    if not len(blocks) or not len(twice) or case.update.image_size is None:
        return
    kind = "block1" if push else "block2"
    named = f"block {max(twice.first(f'request_{kind}_num'), 0)} (frame {twice.first('frame')})"
    if not len(damaged):
        yield Verdict.PASS, f"{len(twice)} blocks were sent more than once, and the image was not found damaged", ()
        return
    value, frame = damaged.first("value"), damaged.first("frame")
    copies = int(twice.retransmissions[0])
    how = f"{copies + 1} times" if copies else "again under a new message id"
    told = f"{named} was {'sent' if push else 'asked for'} {how}, and the device reports Update Result {value}"
    taken = next((one for one in _of_same_image(case) if 2 in one.states or 1 in one.results), None)
    if taken is not None:
        yield (
            Verdict.FAIL,
            f"{told}; the same {case.update.image_size} bytes were taken in the update of frames {taken.frames[0]} to "
            f"{taken.frames[1]}: the device may have written the copy behind the block",
            [*twice.frame.tolist(), frame],
        )
    else:
        yield (
            Verdict.INCONCLUSIVE,
            f"{told}; a second try without copies would tell whether the device writes them twice, or the image is bad",
            [*twice.frame.tolist(), frame],
        )


def _of_same_image(case: Case) -> list[Update]:
    """Other updates of the endpoint with the same image."""
    own = case.capture.updates_of(case.update.endpoint)[:100]
    same = [one for one in own if one.frames != case.update.frames]
    return [one for one in same if one.image_sha256 == case.update.image_sha256]


@rule("M4", "a new block 0 begins a new body", clause="RFC 7959, 2.5")
def old_context(case: Case) -> Iterator[Conclusion]:
    """Whatever was there before is dropped; a block 0 under a new message id is no copy."""
    blocks = writes(case)
    num = blocks.request_block1_num
    first = (num == 0) & (blocks.request_block1_more == 1)
    # What came before the first one of this update may be an earlier package, or what the capture does not show.
    again = np.nonzero(
        first & ((np.arange(len(num)) > 0) | bool(case.earlier) | (blocks["_response_code"] == _INCOMPLETE))
    )[0]
    for at in again.tolist():
        said = _of_the_old_body(case, blocks, at)
        if said is not None:
            yield said
            return
    if again.size:
        yield Verdict.PASS, f"{len(again)} times block 0 began the body anew, and it was taken so", blocks.frame[again]


def _of_the_old_body(case: Case, blocks: Rows, at: int) -> Conclusion | None:
    """What shows that a device did not drop an old body for the new one that begins with this block 0."""
    num, code = blocks.request_block1_num, blocks["_response_code"]
    frame, answer = int(blocks.frame[at]), int(blocks.response_frame[at])
    begins = f"block 0 begins the body anew in frame {frame}"
    following = int(code[at + 1]) if at + 1 < len(blocks) and num[at + 1] == 1 else -1
    if code[at] == _INCOMPLETE:
        was = f"{begins} and was answered 4.08 in frame {answer}: the old context is still there"
        return Said(Verdict.FAIL, was, [frame, answer])
    if at and 64 <= code[at] < 96 and code[at] != _CONTINUE and blocks.response_block1_more[at] != 0:
        was = f"{begins} and was answered {blocks.response_code[at]} in frame {answer}, as if from memory"
        return Said(Verdict.FAIL, was, [frame, answer])
    if at and code[at] == _CONTINUE and following == _INCOMPLETE and blocks["_token"][at] == blocks["_token"][at + 1]:
        late = int(blocks.response_frame[at + 1])
        was = f"{begins} and was acknowledged, and block 1 was answered 4.08 in frame {late}"
        return Said(Verdict.FAIL, was, [frame, late], certainty="suspected")
    return _ignored(case, blocks, at, begins) if answer < 0 else None


def _ignored(case: Case, blocks: Rows, at: int, begins: str) -> Said | None:
    """A block 0 that gets no answer from a device that is there: taken for a copy of the old one, or not at all."""
    seen, frame = traffic(case), int(blocks.frame[at])
    place = int(np.searchsorted(seen.frame, frame))
    if place >= len(seen.frame) or seen.frame[place] != frame:
        return None
    received = int(seen.answer[seen.first[place]])
    if received >= 0:
        silence = remaining(case, float(blocks.time[at]))
        if silence < MAX_TRANSMIT_WAIT or at + 1 < len(blocks):
            return None
        was = f"{begins}, got an empty message in frame {seen.frame[received]}, and no answer in {period(silence)}"
        return Said(Verdict.FAIL, was, [frame, int(seen.frame[received])], certainty="suspected")
    copies = int(blocks.retransmissions[at]) + 1
    if copies <= _FEW:
        return None
    heard = _copies_before_a_word(case, seen, int(seen.first[place]))
    if not heard and not answers_others(case, frame):
        return None
    there = answers_others(case, frame) or heard >= _HEARD_AGAIN
    was = f"{begins}, was sent {copies} times and never answered, while the device "
    was += "answers other requests" if answers_others(case, frame) else "is heard"
    return Said(
        Verdict.FAIL if there else Verdict.INCONCLUSIVE,
        was if there else f"{was} right behind one of them; the path may have lost the others",
        [frame],
        certainty="suspected",
    )


def _copies_before_a_word(case: Case, seen: Traffic, group: int) -> int:
    """How many copies were sent shortly before the device was heard, and not with a new registration."""
    copies = np.nonzero(seen.first == group)[0]
    boots = np.isin(seen.frame, case.registers.frame)
    heard = np.nonzero((seen.src == seen.dst[group]) & ~boots & (seen.time > seen.time[copies[0]]))[0]
    since = seen.time[heard][None, :] - seen.time[copies][:, None]
    return int(((since >= 0) & (since < _SHORTLY)).any(axis=1).sum())

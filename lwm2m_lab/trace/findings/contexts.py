"""Rules of what is remembered between blocks (RFC 7959, 2.4 and 2.5): versions, resumption, and two bodies at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import Conclusion, Said, Verdict, rule
from lwm2m_lab.trace.findings.traffic import answers_others, body_ends, body_starts, gets, period, writes
from lwm2m_lab.trace.rows import Rows
from lwm2m_lab.trace.updates import Update
from lwm2m_lab.wire import coap

__all__: list[str] = []

_CONTINUE, _INCOMPLETE = 0x5F, 0x88
REQUEST_TAG = 292
#: A pause in a download that long is a break, seconds.
_BREAK = 30.0


@rule("W11", "all blocks are of one version of the body", clause="RFC 7959, 2.4")
def etag_changes(case: Case) -> Iterator[Conclusion]:
    """Blocks with different ETags must not be put together; who sees the change begins again."""
    blocks = gets(case)
    blocks = blocks[(blocks.response_block2_num >= 0) & (blocks["_response_code"] < 96)] if len(blocks) else blocks
    if not len(blocks):
        return
    columns = case.capture.columns
    etag = columns["etag"][blocks["_response"]]
    size = blocks.response_size2
    kinds = ((etag, "ETag", "etag"), (size, "Size2", ""))
    starts = body_starts(blocks.response_block2_num.astype(np.int64))
    told = False
    for values, name, texts in kinds:
        differs = (starts >= 0) & (values >= 0) & (values[starts] >= 0) & (values != values[starts])
        if not differs.any():
            continue
        told = True
        first = int(np.nonzero(differs)[0][0])
        show = columns.categories[texts] if texts else None
        one, other = (show[int(values[at])] if show else int(values[at]) for at in (starts[first], first))
        said = f"{name} is {one} in block 0 and {other} in block {blocks.response_block2_num[first]} (frame "
        said += f"{blocks.response_frame[first]}): the file was replaced while it was read"
        frames = [int(blocks.response_frame[starts[first]]), *blocks.response_frame[differs].tolist()]
        again = starts[-1] > first
        if again:
            yield Verdict.PASS, f"{said}, and the device began again", frames
        elif (case.values("/5/0/3").value == 2).any() and len(set(blocks["_src"].tolist())) == 1:
            yield Verdict.FAIL, f"{said}, and the device put both together, for it reports State 2", frames
        else:
            yield Said(
                Verdict.INCONCLUSIVE,
                f"{said}; whether the device put the parts together is not shown",
                frames,
                party="repository",
            )
    if not told:
        known = int((etag >= 0).sum())
        yield (
            Verdict.PASS,
            f"{known} of {len(blocks)} blocks have an ETag, and it is one"
            if known
            else (f"{len(blocks)} blocks without ETag: only the image's own hash tells whether they belong together"),
            (),
        )


@rule("W12", "a download is resumed where it broke, in the same version", clause="RFC 7959, 2.4")
def resumed_elsewhere(case: Case) -> Iterator[Conclusion]:
    """After a break the ETag tells whether the file is still the one whose first bytes are there."""
    asked = gets(case)
    if len(asked) < 2:
        return
    num, _, size, length = body_ends(asked, pull=True)
    end = np.maximum.accumulate(np.where(num >= 0, num * size + length, 0))
    # The last answered GET before each one: a break is what lies between its answer and the next try.
    before = np.maximum.accumulate(np.where(num >= 0, np.arange(len(num)), -1))[:-1]
    pause = asked.time[1:] - asked.response_time[before] > _BREAK
    moved = asked["_src"][1:] != asked["_src"][before]
    boots = case.registers.frame
    booted = np.searchsorted(boots, asked.frame[1:]) > np.searchsorted(boots, asked.frame[before])
    wanted = np.maximum(asked.request_block2_num, 0)
    for at in (np.nonzero((pause | moved | booted) & (wanted[1:] > 0) & (before >= 0))[0] + 1).tolist():
        last = int(before[at - 1])
        offset = int(wanted[at]) * int(max(asked.request_block2_size[at], 0))
        frames = [int(asked.response_frame[last]), int(asked.frame[at])]
        broke = (
            f"after a break of {period(float(asked.time[at] - asked.response_time[last]))} the device goes on at byte "
        )
        broke += f"{offset} in frame {frames[1]}"
        one, other = (_etag(case, asked, position) for position in (last, at))
        restarted = (wanted[at:] == 0).any()
        # Behind one address other devices may fetch the same file: from another port it is this one by its URI alone.
        same = asked["_src"][at] == asked["_src"][last]
        if offset > int(end[last]):
            yield Said(
                Verdict.FAIL if same else Verdict.INCONCLUSIVE,
                f"{broke}, and only {end[last]} bytes are there",
                frames,
                certainty="suspected",
            )
        elif one is None or other is None:
            yield (
                Verdict.INCONCLUSIVE,
                f"{broke}, and no ETag says that the file is still the same; an ETag from the repository would decide",
                frames,
            )
        elif one != other and not restarted:
            yield (
                Verdict.FAIL if same else Verdict.INCONCLUSIVE,
                f"{broke}, though the ETag went from {one} to {other}",
                [*frames, int(asked.response_frame[at])],
            )
        else:
            yield (
                Verdict.PASS,
                f"{broke}; the ETag {other} is compared" if one != other else f"{broke}; the ETag is {one} as before",
                frames,
            )
        return


def _etag(case: Case, asked: Rows, at: int) -> str | None:
    row = int(asked["_response"][at])
    return None if row < 0 else case.capture.columns.text("etag", row)


@rule(
    "W14",
    "one block-wise transfer at a time for each resource",
    clause="RFC 7959, 2.4 and 2.5; RFC 9175, 3",
    party="server",
    certainty="suspected",
)
def interleaved(case: Case) -> Iterator[Conclusion]:
    """Two bodies to one resource, or through one receiver, at once: its one context is overwritten."""
    blocks = writes(case)
    if len(blocks) < 2:
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


def _tag(case: Case, blocks: Rows, at: int) -> bytes | None:
    found = coap.decode(case.capture.columns.datagram(int(blocks["_row"][at]))).values(REQUEST_TAG)
    return found[0] if found else None


@rule("M3", "a block that comes twice is written once", clause="RFC 7252, 4.5", certainty="suspected")
def written_twice(case: Case) -> Iterator[Conclusion]:
    """The image was delivered whole and right, a block of it twice, and the device finds it damaged or too long."""
    results = case.values("/5/0/5")
    damaged = results.where(value=(2, 5))
    blocks = writes(case) if case.update.evidence.kind == "push" else gets(case)
    twice = blocks[blocks.retransmissions > 0]
    if not len(blocks) or not len(twice) or case.update.image_size is None:
        return
    kind = "block1" if case.update.evidence.kind == "push" else "block2"
    named = f"block {max(twice.first(f'request_{kind}_num'), 0)} (frame {twice.first('frame')})"
    if not len(damaged):
        yield Verdict.PASS, f"{len(twice)} blocks were sent more than once, and the image was not found damaged", ()
        return
    value, frame = damaged.first("value"), damaged.first("frame")
    told = f"{named} was sent {int(twice.retransmissions[0]) + 1} times, and the device reports Update Result {value}"
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
    again = np.nonzero((num == 0) & (np.arange(len(num)) > 0) & (blocks.request_block1_more == 1))[0]
    if not again.size:
        return
    code = blocks["_response_code"]
    for at in again.tolist():
        frame, answer = int(blocks.frame[at]), int(blocks.response_frame[at])
        begins = f"block 0 begins the body anew in frame {frame}"
        following = int(code[at + 1]) if at + 1 < len(blocks) and num[at + 1] == 1 else -1
        if code[at] == _INCOMPLETE:
            yield (
                Verdict.FAIL,
                f"{begins} and was answered 4.08 in frame {answer}: the old context is still there",
                [frame, answer],
            )
            return
        if 64 <= code[at] < 96 and code[at] != _CONTINUE and blocks.response_block1_more[at] != 0:
            said = blocks.response_code[at]
            yield (
                Verdict.FAIL,
                f"{begins} and was answered {said} in frame {answer}, as if from memory",
                [frame, answer],
            )
            return
        if code[at] == _CONTINUE and following == _INCOMPLETE and blocks["_token"][at] == blocks["_token"][at + 1]:
            late = [frame, int(blocks.response_frame[at + 1])]
            yield Said(
                Verdict.FAIL,
                f"{begins} and was acknowledged, and block 1 was answered 4.08 in frame {late[1]}",
                late,
                certainty="suspected",
            )
            return
        if answer < 0 and blocks.retransmissions[at] >= 3 and answers_others(case, frame):
            yield Said(
                Verdict.FAIL,
                f"{begins}, was sent {blocks.retransmissions[at] + 1} times and never answered, while the device "
                "answers other requests",
                [frame],
                certainty="suspected",
            )
            return
    yield Verdict.PASS, f"{len(again)} times block 0 began the body anew, and it was taken so", blocks.frame[again]

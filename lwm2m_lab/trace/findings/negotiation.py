"""Rules of the block size (RFC 7959, 2.3 and 2.9.3): who proposes, who follows, and what does not pass the link."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import Conclusion, Party, Said, Verdict, rule
from lwm2m_lab.trace.findings.traffic import answers_others, body_ends, gets, period, remaining, requester, writes
from lwm2m_lab.trace.rows import Rows

__all__: list[str] = []

_TOO_LARGE = 0x8D
#: Copies that their sender makes at most (MAX_RETRANSMIT).
_MOST_COPIES = 4


@rule("W3", "a smaller block size that is asked for is used, from block 0 on", clause="RFC 7959, 2.9.3", party="server")
def hint_ignored(case: Case) -> Iterator[Conclusion]:
    """4.13 with a smaller size refuses the block and says which size to begin again with."""
    blocks = writes(case)
    if not len(blocks):
        return
    hinted = (blocks["_response_code"] == _TOO_LARGE) & (blocks.response_block1_size > 0)
    hinted &= blocks.response_block1_size < blocks.request_block1_size
    for at in np.nonzero(hinted)[0].tolist():
        hint, frames = int(blocks.response_block1_size[at]), [int(blocks.frame[at]), int(blocks.response_frame[at])]
        if at + 1 == len(blocks):
            silence = remaining(case, float(blocks.response_time[at]))
            yield (
                Verdict.INCONCLUSIVE,
                f"the device refused block {blocks.request_block1_num[at]} with 4.13 and asked for blocks of {hint} "
                f"bytes in frame {frames[1]}; in {period(silence)} the server did not try again",
                frames,
            )
            return
        num, size = int(blocks.request_block1_num[at + 1]), int(blocks.request_block1_size[at + 1])
        frames.append(int(blocks.frame[at + 1]))
        if num or size > hint:
            instead = f"goes on with block {num} as if block 0 had been taken" if num else f"sends {size} bytes again"
            yield (
                Verdict.FAIL,
                f"the device refused block {blocks.request_block1_num[at]} with 4.13 and asked for blocks of {hint} "
                f"bytes in frame {frames[1]}; the server {instead} (frame {frames[2]}): it has to begin at block 0 "
                f"with {hint} bytes or fewer",
                frames,
            )
            return
        yield Verdict.PASS, f"the server begins again with blocks of {size} bytes, as it was asked to", frames


@rule("W4", "an answer does not ask for larger blocks", clause="RFC 7959, 2.3")
def larger_size(case: Case) -> Iterator[Conclusion]:
    """The size of a request may be kept or made smaller."""
    kinds: tuple[tuple[Party, Rows, str], ...] = (
        ("device", writes(case), "block1"),
        ("repository", gets(case), "block2"),
    )
    for party, blocks, name in kinds:
        asked, answered = blocks[f"request_{name}_size"], blocks[f"response_{name}_size"]
        there = (asked > 0) & (answered > 0)
        wrong = blocks[there & (answered > asked)]
        if len(wrong):
            yield Said(
                Verdict.FAIL,
                f"a block of {wrong.first(f'request_{name}_size')} bytes in frame {wrong.first('frame')} was answered "
                f"with size {wrong.first(f'response_{name}_size')}"
                + (f"; {len(wrong) - 1} more likewise" if len(wrong) > 1 else ""),
                [*wrong.frame.tolist(), *wrong.response_frame.tolist()],
                party=party,
            )
        elif there.any():
            yield Said(
                Verdict.PASS,
                f"{int(there.sum())} answers keep the size of their requests or a smaller one",
                party=party,
            )


@rule("W5", "the block number is rescaled when the size changes", clause="RFC 7959, 2.3, figure 9", party="server")
def not_rescaled(case: Case) -> Iterator[Conclusion]:
    """The next byte is at NUM times the new size; with NUM counted on in the old way bytes are skipped or repeated."""
    pull = case.update.evidence.kind == "pull"
    blocks = gets(case) if pull else writes(case)
    if len(blocks) < 2:
        return
    num, _, got, length = body_ends(blocks, pull=pull)
    end = num * got + length
    asked = (blocks.request_block2_num if pull else blocks.request_block1_num).astype(np.int64)
    size = (blocks.request_block2_size if pull else blocks.request_block1_size).astype(np.int64)
    before = got if pull else size
    changed = (size[1:] != before[:-1]) & (size[1:] > 0) & (before[:-1] > 0) & (asked[1:] > 0)
    wrong = np.nonzero(changed & (asked[1:] == asked[:-1] + 1) & (asked[1:] * size[1:] != end[:-1]) & (num[:-1] >= 0))[
        0
    ]
    if wrong.size:
        at = int(wrong[0])
        offset = int(asked[at + 1] * size[at + 1])
        what = "skips" if offset > end[at] else "repeats"
        yield Said(
            Verdict.FAIL,
            f"after block {asked[at]} of {before[at]} bytes comes block {asked[at + 1]} of {size[at + 1]} bytes in "
            f"frame {blocks.frame[at + 1]}: byte {offset} where byte {end[at]} is next, which {what} "
            f"{abs(offset - int(end[at]))} bytes; block {int(end[at]) // int(size[at + 1])} is expected",
            blocks.frame[at : at + 2],
            party=requester(case)[0],
        )
    elif changed.any():
        frames = blocks.frame[1:][changed]
        yield Verdict.PASS, f"the block size changes {int(changed.sum())} times, and NUM with it", frames


@rule("W16", "blocks pass whatever their size", clause="RFC 7252, 4.6", party="network", certainty="suspected")
def too_large_for_link(case: Case) -> Iterator[Conclusion]:
    """Large datagrams are lost, each and every copy, while small ones pass."""
    pull = case.update.evidence.kind == "pull"
    blocks = gets(case) if pull else writes(case)
    if not len(blocks):
        return
    size = blocks.request_block2_size if pull else blocks.request_payload_length
    answered, lost = blocks.response_frame >= 0, (blocks.response_frame < 0) & (blocks.retransmissions >= 2)
    if pull:
        # Beside the repository each answer is seen, and none of them reaches the device.
        in_vain = answered & (blocks.retransmissions >= _MOST_COPIES) & ~_goes_on(blocks)
        answered, lost = answered & ~in_vain, lost | in_vain
    if not lost.any():
        if answered.any():
            yield Verdict.PASS, f"blocks of up to {int(size[answered].max())} bytes were answered", ()
        return
    least, copies = int(size[lost].min()), int(blocks.retransmissions[lost].sum() + lost.sum())
    passing = int(size[answered].max()) if answered.any() else 0
    first = blocks[lost].first("frame")
    frames = blocks.frame[lost].tolist()
    if passing >= least:
        yield Verdict.PASS, f"blocks of {passing} bytes were answered: size does not explain what was lost", frames
        return
    meanwhile = not pull and any(answers_others(case, frame) for frame in frames[:8])
    later = answered & (blocks.frame > first)
    lost_all = f"all {copies} messages with blocks of {least} bytes were lost"
    if later.any() and (meanwhile or lost.sum() > 1):
        yield (
            Verdict.FAIL,
            f"{lost_all}, blocks of {passing} bytes pass: the link or a modem does not carry datagrams that large; use "
            f"blocks of {passing} bytes",
            [*frames, *blocks.frame[later].tolist()],
        )
    elif later.any() or meanwhile:
        passes = (
            f"blocks of {passing} bytes passed later on" if later.any() else "shorter messages were answered meanwhile"
        )
        yield (
            Verdict.INCONCLUSIVE,
            f"{lost_all}, {passes}: a second try with blocks of {least} bytes, and one of {max(16, least // 2)}, would "
            "tell whether their size is the reason",
            [*frames, *blocks.frame[later].tolist()],
        )


def _goes_on(blocks: Rows) -> NDArray[np.bool_]:
    """Whether the next block that was asked for begins where each one ended."""
    num, more, size, length = body_ends(blocks, pull=True)
    asked = np.maximum(blocks.request_block2_num, 0) * np.maximum(blocks.request_block2_size, 0).astype(np.int64)
    behind = np.append(asked[1:], -1)
    found: NDArray[np.bool_] = (behind == num * size + length) | (more == 0)
    return found


@rule(
    "B8",
    "4.13 says what would have been accepted",
    clause="RFC 7959, 2.9.3",
    certainty="suspected",
    judges_update=False,
)
def limit_untold(case: Case) -> Iterator[Conclusion]:
    """Size1 with the limit, or a smaller block size."""
    blocks = case.delivery[case.delivery["_response_code"] == _TOO_LARGE]
    if not len(blocks):
        return
    smaller = (blocks.response_block1_size > 0) & (blocks.response_block1_size < blocks.request_block1_size)
    limit = blocks.response_size1
    silent = blocks[~smaller & (limit < 0)]
    if len(silent):
        yield (
            Verdict.INCONCLUSIVE,
            f"the 4.13 in frame {silent.first('response_frame')} says neither a limit (Size1) nor a smaller block "
            "size: whether the image or the block is too large is anybody's guess",
            silent.response_frame,
        )
    else:
        said = (
            f"Size1 {int(limit.max())}"
            if (limit >= 0).any()
            else f"blocks of {int(blocks.response_block1_size[0])} bytes"
        )
        yield Verdict.PASS, f"4.13 says {said}", blocks.response_frame

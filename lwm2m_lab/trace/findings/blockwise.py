"""Rules of block-wise transfer (RFC 7959)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import Conclusion, Verdict, rule

__all__: list[str] = []


@rule("W6", "a block with M has the size that it names", clause="RFC 7959, 2.2", party="server")
def payload_size(case: Case) -> Iterator[Conclusion]:
    """Only the last block may be shorter."""
    blocks = case.blocks
    if not len(blocks):
        return
    wrong = blocks[blocks.more & (blocks.length != blocks["size"])]
    for frame, length, size in wrong.each("frame", "length", "size"):
        yield Verdict.FAIL, f"the block in frame {frame} carries {length} bytes and names {size}", [frame]
    if not len(wrong):
        yield Verdict.PASS, f"{len(blocks)} blocks have the sizes they name", ()


@rule("W7", "a body with a gap is not accepted", clause="RFC 7959, 2.5")
def gap_accepted(case: Case) -> Iterator[Conclusion]:
    """The final block of an incomplete body must be answered 4.08; blocks that were captured are what counts."""
    blocks = case.blocks
    evidence = case.update.evidence
    if not len(blocks) or evidence.kind != "push" or not evidence.accepted:
        return
    order = np.lexsort((blocks.frame, blocks.offset))
    ends = np.append(0, np.maximum.accumulate((blocks.offset + blocks.length)[order])[:-1])
    gaps = blocks[order[blocks.offset[order] > ends]]
    if not len(gaps):
        yield Verdict.PASS, "the body has no gap", ()
    else:
        frame = gaps.first("frame")
        yield (
            Verdict.INCONCLUSIVE,
            f"{len(gaps)} gaps stand before the final 2.04, the first before frame {frame}; a capture at the other end "
            "would tell whether the blocks were never sent",
            [frame, evidence.last_frame],
        )


@rule("W11", "all blocks are of one version of the body", clause="RFC 7959, 2.4")
def etag_changes(case: Case) -> Iterator[Conclusion]:
    """Blocks with different ETags must not be put together."""
    blocks = case.blocks
    pulled = blocks[(blocks.kind == "block2") & (blocks["_etag"] >= 0)]
    if not len(pulled):
        return
    changed = pulled[1:][np.diff(pulled["_etag"]) != 0]
    mixed = changed[changed.num > 0]
    if len(mixed) and (case.values("/5/0/3").value == 2).any():
        yield Verdict.FAIL, "blocks of different ETags were put together", mixed.frame
    elif len(mixed):
        yield (
            Verdict.INCONCLUSIVE,
            "the ETag changes in the middle of the body; whether the device put the parts together is not shown",
            mixed.frame,
        )
    else:
        yield Verdict.PASS, f"{len(pulled)} blocks have one ETag", ()

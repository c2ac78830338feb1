"""Rules of the versions of a body (RFC 7959, 2.4): a file that is replaced while it is read, and what is resumed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import Conclusion, Said, Verdict, rule
from lwm2m_lab.trace.findings.traffic import body_ends, body_starts, gets, period
from lwm2m_lab.trace.rows import Rows

__all__: list[str] = []

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

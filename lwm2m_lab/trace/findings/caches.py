"""Bodies that a repository, or a proxy before it, mixes up: blocks of one file in another one (RFC 9175, 3)."""

from __future__ import annotations

from lwm2m_lab.spec.objects import UpdateResult
from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import Said, Verdict
from lwm2m_lab.trace.findings.traffic import gets, listed
from lwm2m_lab.trace.rows import Rows
from lwm2m_lab.trace.updates import Update

__all__ = ["mixed_up"]

#: Other downloads, and blocks of each, that are compared.
_MOST, _MOST_BLOCKS = 16, 256
#: Equal blocks that are no chance where all are equal.
_ENOUGH = 2


def mixed_up(case: Case) -> Said | None:
    """What of a damaged download is, byte for byte, what another file of the same repository has in its place.

    Two versions of one firmware have much in common: of a download that is whole and right nothing is said.
    """
    asked, evidence = gets(case), case.update.evidence
    if not len(asked) or not _is_damaged(case):
        return None
    mine = case.blocks
    for other in _others(case):
        theirs = case.capture.block_rows(other.evidence.exchanges)
        equal, differ = _compared(case, mine, theirs)
        if not equal or (not differ and len(equal) < _ENOUGH):
            continue
        at_once = other.frames[0] <= case.update.evidence.last_frame and other.evidence.last_frame >= int(mine.frame[0])
        if not at_once and other.frames[0] > case.update.frames[0]:
            continue
        which = "all blocks"
        if differ:
            which = f"{'block' if len(equal) == 1 else 'blocks'} {listed([num for num, _, _ in equal], 3)}"
        said = (
            f"{which} of {evidence.uri} {'are' if which.startswith(('all', 'blocks')) else 'is'} byte for byte what "
            f"{other.evidence.uri} has there, which {other.endpoint} was sent (frame {equal[0][2]})"
        )
        frames = [one for _, *both in equal for one in both]
        if differ and at_once:
            return Said(
                Verdict.FAIL,
                f"{said}, the others are not: the repository, or a cache before it, puts two bodies together",
                frames,
                certainty="suspected",
                party="repository",
            )
        return Said(
            Verdict.INCONCLUSIVE,
            f"{said}: a cache may have kept the one for the other, or both files are alike; the files would tell",
            frames,
            party="repository",
        )
    return None


def _is_damaged(case: Case) -> bool:
    """Whether the image's own hash, or the device, says that it is not whole and right."""
    info = case.update.evidence.info
    refused = case.values("/5/0/5").where(value=int(UpdateResult.INTEGRITY_FAILED))
    return (info is not None and info.hash_valid is False) or len(refused) > 0


def _others(case: Case) -> list[Update]:
    """Downloads of other files from the same address, those nearest in the file first."""
    memo = case.capture.memo
    if "downloads" not in memo:
        pulls = [one for one in case.capture.updates_of() if one.delivery == "pull" and one.evidence.block_sizes]
        memo["downloads"] = [(_from(one), one) for one in pulls if not one.evidence.http]
    own = _from(case.update)
    found = [one for at, one in memo["downloads"] if at == own and one.evidence.uri != case.update.evidence.uri]
    return sorted(found, key=lambda one: abs(one.frames[0] - case.update.frames[0]))[:_MOST]


def _from(update: Update) -> int:
    """The address that a download came from; -1 where nothing came."""
    own = gets(Case(update))
    return int(own["_dst"][0]) if len(own) else -1


def _compared(case: Case, mine: Rows, theirs: Rows) -> tuple[list[tuple[int, int, int]], bool]:
    """Number and both frames of the blocks that are equal, and whether others of the same places differ.

    What is one byte over and over is padding, and alike in all files.
    """
    columns = case.capture.columns
    places = {
        (offset, size): (row, frame) for offset, size, row, frame in theirs.each("offset", "size", "_carrier", "frame")
    }
    equal, differ = [], False
    for offset, size, row, frame, num in list(mine.each("offset", "size", "_carrier", "frame", "num"))[:_MOST_BLOCKS]:
        other = places.get((offset, size))
        if other is None:
            continue
        one = columns.payload(row)
        if one != columns.payload(other[0]):
            differ = True
        elif len(set(one)) > 1:
            equal.append((num, frame, other[1]))
    return equal, differ

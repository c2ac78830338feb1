"""Faults of the block-wise layer: how blocks are taken, answered and fetched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aiocoap
from aiocoap.numbers.codes import Code

from lwm2m_lab.live.blockwise import Block1Receiver, Partial, Verdict
from lwm2m_lab.live.faults import fault
from lwm2m_lab.live.updater import Updater

# ---------------------------------------------------------------- taking


class _GapReceiver(Block1Receiver):
    """Takes a block behind a gap as if it went on."""

    def take(self, request: aiocoap.Message) -> Verdict:
        verdict, block = super().take(request), request.opt.block1
        if verdict != "unmatched" or block is None or not self.is_open or block.start < len(self.body):
            return verdict
        self.body += request.payload
        if block.more:
            return "further"
        self._key = None
        return "whole"


@fault("accepts-gaps", "W7")
class AcceptsGaps(Updater):
    """A block that leaves a gap is taken as if it followed."""

    def new_receiver(self, limit: int, szx: int) -> Block1Receiver:
        return _GapReceiver(limit, szx)


class _TokenReceiver(Block1Receiver):
    _token = b""

    def take(self, request: aiocoap.Message) -> Verdict:
        if request.opt.block1 is None or request.opt.block1.block_number == 0:
            self._token = request.token
        return super().take(request) if request.token == self._token else "unmatched"


@fault("keys-blocks-on-token", "W1")
class KeysBlocksOnToken(Updater):
    """A block with another token than block 0 is answered 4.08, although each request chooses its own."""

    def new_receiver(self, limit: int, szx: int) -> Block1Receiver:
        return _TokenReceiver(limit, szx)


class _StubbornReceiver(Block1Receiver):
    def take(self, request: aiocoap.Message) -> Verdict:
        block = request.opt.block1
        is_new = self.is_open and block is not None and block.block_number == 0
        return "unmatched" if is_new else super().take(request)


@fault("ignores-new-block-0", "M4")
class IgnoresNewBlock0(Updater):
    """A new block 0 in the middle of a push is answered 4.08, as if the old one still ran."""

    def new_receiver(self, limit: int, szx: int) -> Block1Receiver:
        return _StubbornReceiver(limit, szx)


@fault("caps-bodies", "W13")
class CapsBodies(Updater):
    """A package ends at 8192 bytes, whatever room there is."""

    def new_receiver(self, limit: int, szx: int) -> Block1Receiver:
        return Block1Receiver(min(limit, 8192), szx)


# ---------------------------------------------------------------- answering


@fault("gives-no-limit", "B8")
class GivesNoLimit(Updater):
    """4.13 does not say what would have been accepted."""

    def take_block(self, request: aiocoap.Message) -> aiocoap.Message:
        answer = super().take_block(request)
        answer.opt.size1 = None
        if answer.code == Code.REQUEST_ENTITY_TOO_LARGE:
            answer.opt.block1 = None
        return answer


@fault("answers-as-block-0", "B9")
class AnswersAsBlock0(Updater):
    """Every block is answered as block 0."""

    def answer_block(self, request: aiocoap.Message, verdict: Verdict) -> aiocoap.Message:
        answer, block = super().answer_block(request, verdict), request.opt.block1
        if block is not None:
            answer.opt.block1 = (0, block.more, block.size_exponent)
        return answer


@fault("clears-m-too-early", "B5")
class ClearsMTooEarly(Updater):
    """2.31 comes without M, as if it were final."""

    def answer_block(self, request: aiocoap.Message, verdict: Verdict) -> aiocoap.Message:
        answer, block = super().answer_block(request, verdict), request.opt.block1
        if block is not None:
            answer.opt.block1 = (block.block_number, False, block.size_exponent)
        return answer


@fault("answers-blocks-2.04", "W8")
class AnswersBlocksChanged(Updater):
    """A block that is not the last is answered 2.04 with M set, where 2.31 belongs."""

    def answer_block(self, request: aiocoap.Message, verdict: Verdict) -> aiocoap.Message:
        answer = super().answer_block(request, verdict)
        answer.code = Code.CHANGED
        return answer


@fault("never-clears-m", "W8", "W9")
class NeverClearsM(Updater):
    """The answer to the last block is 2.31 and says that more is to come."""

    def take_block(self, request: aiocoap.Message) -> aiocoap.Message:
        answer, block = super().take_block(request), request.opt.block1
        if block is not None and answer.code == Code.CHANGED:
            answer.code = Code.CONTINUE
            answer.opt.block1 = (block.block_number, True, block.size_exponent)
        return answer


@fault("asks-for-larger-blocks", "W4")
class AsksForLargerBlocks(Updater):
    """Every block is answered with 1024 bytes, whatever its own size."""

    def answer_block(self, request: aiocoap.Message, verdict: Verdict) -> aiocoap.Message:
        answer, block = super().answer_block(request, verdict), request.opt.block1
        if block is not None:
            answer.opt.block1 = (block.block_number, block.more, 6)
        return answer


# ---------------------------------------------------------------- fetching


@dataclass
class _AnyPartial(Partial):
    def goes_on_with(self, etag: bytes | None) -> bool:
        return True


@fault("ignores-etag", "W11", "W12")
class IgnoresEtag(Updater):
    """Blocks of a download are put together whatever their ETags, after a break too."""

    def new_partial(self) -> Partial:
        return _AnyPartial()

    def before_resuming(self, partial: Partial) -> None:
        """Go on where it broke off."""

    def judge(self, package: Any) -> None:
        """The hash is not looked at either, or nobody would notice."""
        self.flash.package = package
        self.complete()


@fault("resumes-by-number", "W11", "W12")
class ResumesByNumber(IgnoresEtag):
    """A download that broke off is gone on with at the next block, whatever its ETag; the hash is looked at."""

    def judge(self, package: Any) -> None:
        Updater.judge(self, package)

"""Bodies of requests that come in blocks, from many senders at once, within limits."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field
from typing import Any

import aiocoap
from aiocoap.numbers.codes import Code

from lwm2m_lab.live.blockwise import BodyReceiver

__all__ = ["OpenBodies"]


@dataclass
class _Open:
    """One body under way, and when its last block came."""

    receiver: BodyReceiver
    at: float


@dataclass
class OpenBodies:
    """What several senders have begun to send.

    Parameters
    ----------
    limit : int
        Bytes of a body.
    most : int
        Bodies under way at once; beyond, the one that rested the longest is dropped, and its next block answered 4.08.
    forget_after : float
        Seconds without a block after which a body is dropped (EXCHANGE_LIFETIME).
    """

    limit: int
    most: int
    forget_after: float = 247.0
    _open: collections.OrderedDict[tuple[Any, ...], _Open] = field(default_factory=collections.OrderedDict)

    def __len__(self) -> int:
        return len(self._open)

    def whole(self, request: aiocoap.Message, *, now: float) -> aiocoap.Message:
        """The request with its body whole, or the answer to a block that does not complete one."""
        self._forget_old(now)
        key = (request.remote, request.code, request.opt.uri_path)
        one = self._open.pop(key, None) or _Open(BodyReceiver(self.limit), now)
        found = one.receiver.whole(request)
        if found.code == Code.CONTINUE:
            one.at = now
            self._open[key] = one
            while len(self._open) > self.most:
                self._open.popitem(last=False)
        elif not found.payload and not found.code.is_request():
            found.payload = self._why(found.code)
        return found

    def _forget_old(self, now: float) -> None:
        while self._open and now - next(iter(self._open.values())).at > self.forget_after:
            self._open.popitem(last=False)

    def _why(self, code: Code) -> bytes:
        """The diagnostic of a refusal."""
        return {
            Code.REQUEST_ENTITY_INCOMPLETE: b"the blocks before this one are not here; begin with block 0",
            Code.REQUEST_ENTITY_TOO_LARGE: f"a body has at most {self.limit} bytes".encode(),
        }.get(code, b"the block contradicts itself")

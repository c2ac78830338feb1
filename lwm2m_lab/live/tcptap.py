"""A tap at TCP connections of aiocoap's: what it writes and gets is kept as segments, for the capture of a device.

What the system sends, acknowledgements and retransmissions, is not seen here; a connection is written down as it would
pass a network that loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Segment", "TcpTap"]

FIN, SYN, PUSH, ACK = 1, 2, 8, 16
#: Bytes of a segment, as on an Ethernet.
MOST = 1460

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Segment:
    """What a TCP header says.

    Attributes
    ----------
    sequence, acknowledged : int
        Numbers of this segment's first byte, and of the next one that is expected.
    flags : int
    """

    sequence: int
    acknowledged: int
    flags: int


class TcpTap(asyncio.Protocol):
    """Stands before the protocol of one connection, ours being the client."""

    def __init__(self, inner: Any, see: Callable[[Address, Address, bytes, Segment], None]) -> None:
        self.inner, self._see = inner, see
        #: Bytes said by us and by the peer, the SYN included.
        self._said = {True: 0, False: 0}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._ours: Address = transport.get_extra_info("sockname")[:2]
        self._theirs: Address = transport.get_extra_info("peername")[:2]
        self._note(True, b"", SYN)
        self._note(False, b"", SYN | ACK)
        self._note(True, b"", ACK)
        self.inner.connection_made(_Written(transport, self))

    def data_received(self, data: bytes) -> None:
        self.note(False, data)
        self.inner.data_received(data)

    def eof_received(self) -> bool | None:
        self._note(False, b"", FIN | ACK)
        return bool(self.inner.eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        self._note(True, b"", FIN | ACK)
        self.inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        self.inner.resume_writing()

    def note(self, is_ours: bool, data: bytes) -> None:
        """Write down what one side said, in segments."""
        for at in range(0, len(data), MOST):
            self._note(is_ours, data[at : at + MOST], PUSH | ACK)

    def _note(self, is_ours: bool, data: bytes, flags: int) -> None:
        ends = (self._ours, self._theirs) if is_ours else (self._theirs, self._ours)
        acknowledged = self._said[not is_ours] if flags & ACK else 0
        self._see(*ends, data, Segment(self._said[is_ours], acknowledged, flags))
        self._said[is_ours] += len(data) + bool(flags & (SYN | FIN))


class _Written:
    """The transport that the protocol sees; what it writes is noted."""

    def __init__(self, real: Any, tap: TcpTap) -> None:
        self._real, self._tap = real, tap

    def write(self, data: bytes) -> None:
        self._tap.note(True, bytes(data))
        self._real.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

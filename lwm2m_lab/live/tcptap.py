"""A tap at TCP connections of aiocoap's: what it writes and gets is kept as segments, for the capture of a device.

What the system sends, acknowledgements and retransmissions, is not seen here; a connection is written down as it would
pass a network that loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Conversation", "See", "Segment", "TcpTap"]

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


#: Told source, destination, bytes and header of a segment.
See = Callable[[Address, Address, bytes, Segment], None]


class Conversation:
    """One connection, written down as segments.

    Parameters
    ----------
    ours, theirs : (str, int)
        Addresses of the side that writes it down, and of the other one.
    see : callable
        Told source, destination, bytes and header of each segment.
    """

    def __init__(self, ours: Address, theirs: Address, see: See) -> None:
        self._ours, self._theirs, self._see = ours, theirs, see
        #: Bytes said by us and by the peer, the SYN included.
        self._said = {True: 0, False: 0}

    def opened(self, *, by_us: bool) -> None:
        """SYN, SYN and ACK, ACK."""
        self._note(by_us, b"", SYN)
        self._note(not by_us, b"", SYN | ACK)
        self._note(by_us, b"", ACK)

    def note(self, is_ours: bool, data: bytes) -> None:
        """What one side said, in segments."""
        for at in range(0, len(data), MOST):
            self._note(is_ours, data[at : at + MOST], PUSH | ACK)

    def ended(self, is_ours: bool) -> None:
        """One side says no more."""
        self._note(is_ours, b"", FIN | ACK)

    def _note(self, is_ours: bool, data: bytes, flags: int) -> None:
        ends = (self._ours, self._theirs) if is_ours else (self._theirs, self._ours)
        acknowledged = self._said[not is_ours] if flags & ACK else 0
        self._see(*ends, data, Segment(self._said[is_ours], acknowledged, flags))
        self._said[is_ours] += len(data) + bool(flags & (SYN | FIN))


class TcpTap(asyncio.Protocol):
    """Stands before the protocol of one connection, ours being the client."""

    def __init__(self, inner: Any, see: See) -> None:
        self.inner, self._see = inner, see

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        ours, theirs = (transport.get_extra_info(name)[:2] for name in ("sockname", "peername"))
        self.talk = Conversation(ours, theirs, self._see)
        self.talk.opened(by_us=True)
        self.inner.connection_made(_Written(transport, self.talk))

    def data_received(self, data: bytes) -> None:
        self.talk.note(False, data)
        self.inner.data_received(data)

    def eof_received(self) -> bool | None:
        self.talk.ended(False)
        return bool(self.inner.eof_received())

    def connection_lost(self, exc: Exception | None) -> None:
        self.talk.ended(True)
        self.inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        self.inner.resume_writing()


class _Written:
    """The transport that the protocol sees; what it writes is noted."""

    def __init__(self, real: Any, talk: Conversation) -> None:
        self._real, self._talk = real, talk

    def write(self, data: bytes) -> None:
        self._talk.note(True, bytes(data))
        self._real.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

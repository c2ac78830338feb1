"""The lab's datagram endpoint: what stands between a device's socket and aiocoap, which is used as published.

It knows its address, may sleep, and is where faults of the message layer are made: it may drop, repeat, rewrite and
delay what passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

from lwm2m_lab.wire.coap import RESERVED_SZX, Message, decode, encode, fault_of

__all__ = ["Endpoint", "OuterTransport"]

Address = tuple[str, int]


class Endpoint(asyncio.DatagramProtocol):
    """Passes everything on as it is; a fault overrides `outgoing` or `incoming`.

    Attributes
    ----------
    address : (str, int)
        Where it is bound, once it is.
    awake_for : float or None
        Seconds after its last message for which a device in Queue Mode listens; None for one that never sleeps.
    """

    address: Address = ("", 0)
    awake_for: float | None = None
    _active_at = 0.0

    def around(self, inner: asyncio.DatagramProtocol) -> Endpoint:
        """Stand before a protocol; what a loop's endpoint factory returns."""
        self.inner = inner
        return self

    def outgoing(self, data: bytes, to: Address) -> Iterable[bytes]:
        """What leaves in place of a datagram of aiocoap's."""
        return (data,)

    def incoming(self, data: bytes, sender: Address) -> Iterable[bytes]:
        """What aiocoap gets in place of a datagram."""
        return (data,)

    def _is_awake(self) -> bool:
        return self.awake_for is None or asyncio.get_running_loop().time() - self._active_at <= self.awake_for

    def send(self, data: bytes, to: Any) -> None:
        """Send past aiocoap."""
        self._transport.sendto(data, to)

    # ---------------------------------------------------------------- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.address = transport.get_extra_info("sockname")[:2]
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.inner.connection_made(_Outlet(self._transport, self))

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self._is_awake() and _is_message(data):
            if self.awake_for is not None:
                self._active_at = asyncio.get_running_loop().time()
            for one in self.incoming(data, addr[:2]):
                try:
                    self.inner.datagram_received(one, addr)
                except UnicodeDecodeError:
                    # aiocoap reads the options before it looks at anything, and has no answer to this.
                    self._refuse(decode(one), addr)

    def _refuse(self, message: Message, to: Any) -> None:
        """A critical option that is no text is one that is not understood (RFC 7252, 5.4.1 and 5.4.3)."""
        if message.type == "CON" and message.code.startswith("0."):
            why = b"an option of the request is no text in UTF-8"
            self.send(encode(Message("ACK", "4.02", message.mid, message.token, (), why)), to)

    def error_received(self, exc: Exception) -> None:
        self.inner.error_received(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self.inner.connection_lost(exc)


def _is_message(data: bytes) -> bool:
    """Whether a datagram is a CoAP message; what is none is ignored (RFC 7252, 4.2), a reserved block size answered."""
    return fault_of(data) in (None, RESERVED_SZX)


class OuterTransport(asyncio.DatagramTransport):
    """A transport around another one, whose `sendto` is its own."""

    def __init__(self, real: asyncio.DatagramTransport) -> None:
        self.real = real

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.real.get_extra_info(name, default)

    def abort(self) -> None:
        self.real.abort()

    def close(self) -> None:
        self.real.close()

    def is_closing(self) -> bool:
        return self.real.is_closing()


class _Outlet(OuterTransport):
    """The transport that aiocoap sees."""

    def __init__(self, real: asyncio.DatagramTransport, endpoint: Endpoint) -> None:
        super().__init__(real)
        self.endpoint = endpoint

    def sendto(self, data: Any, addr: Any = None) -> None:
        if self.endpoint.awake_for is not None:
            self.endpoint._active_at = asyncio.get_running_loop().time()
        for one in self.endpoint.outgoing(bytes(data), addr[:2]):
            self.real.sendto(one, addr)

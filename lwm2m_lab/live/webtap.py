"""A tap at blocking TCP sockets: what HTTP writes and gets is kept as segments; of HTTPS its records, as they pass."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from lwm2m_lab.live.tcptap import Conversation, See

__all__ = ["SecureConnection", "TappedConnection", "TappedSocket", "under_tls"]

PIECE = 16_384


class TappedSocket(socket.socket):
    """A connected socket whose bytes are also noted; it takes the place of the one that it is made of."""

    _talk: Conversation
    _has_heard_end = _has_ended = False

    @classmethod
    def over(cls, plain: socket.socket, see: See, *, is_client: bool) -> TappedSocket:
        """Take over a socket; from now on `plain` is closed to its owner."""
        timeout, family, kind, protocol = plain.gettimeout(), plain.family, plain.type, plain.proto
        own = cls(family, kind, protocol, plain.detach())
        own.settimeout(timeout)
        own._talk = Conversation(own.getsockname()[:2], own.getpeername()[:2], see)
        own._talk.opened(by_us=is_client)
        return own

    def sendall(self, data: Any, flags: int = 0) -> None:
        self._talk.note(True, bytes(data))
        super().sendall(data, flags)

    def recv(self, size: int, flags: int = 0) -> bytes:
        data = super().recv(size, flags)
        self._hear(data)
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        count = super().recv_into(buffer, nbytes, flags)
        self._hear(bytes(memoryview(buffer)[:count]))
        return count

    def close(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._talk.ended(True)
        super().close()

    def _hear(self, data: bytes) -> None:
        if data:
            self._talk.note(False, data)
        elif not self._has_heard_end:
            self._has_heard_end = True
            self._talk.ended(False)


class TappedConnection(http.client.HTTPConnection):
    """A connection of HTTP that is tapped where somebody wants to see it."""

    def __init__(self, host: str, *, see: See | None, **options: Any) -> None:
        super().__init__(host, **options)
        self._see = see

    def connect(self) -> None:
        super().connect()
        if self._see is not None:
            self.sock = TappedSocket.over(self.sock, self._see, is_client=True)


class SecureConnection(http.client.HTTPSConnection):
    """A connection of HTTPS, its records tapped."""

    def __init__(self, host: str, *, see: See | None, trusted: ssl.SSLContext, **options: Any) -> None:
        super().__init__(host, context=trusted, **options)
        self._see, self._trusted = see, trusted

    def connect(self) -> None:
        if self._see is None:
            super().connect()
            return
        http.client.HTTPConnection.connect(self)
        outer = TappedSocket.over(self.sock, self._see, is_client=True)
        self.sock = under_tls(outer, lambda near: self._trusted.wrap_socket(near, server_hostname=self.host))


def under_tls(outer: TappedSocket, wrap: Callable[[socket.socket], ssl.SSLSocket]) -> ssl.SSLSocket:
    """TLS over a tapped socket: it reads past any tap at its own socket, so it gets a pipe, and two threads carry.

    Parameters
    ----------
    outer : TappedSocket
        Belongs to the threads from now on.
    wrap : callable
        Makes TLS of the near end of the pipe.
    """
    near, far = socket.socketpair()
    near.settimeout(outer.gettimeout())
    threading.Thread(target=_carry, args=(far, outer), name="records of https", daemon=True).start()
    try:
        return wrap(near)
    except BaseException:
        near.close()
        raise


def _carry(far: socket.socket, outer: socket.socket) -> None:
    """Carry bytes both ways, until both have ended."""
    back = threading.Thread(target=_pump, args=(outer, far), daemon=True)
    back.start()
    _pump(far, outer)
    # Who asked has gone: nobody waits for the rest.
    with contextlib.suppress(OSError):
        outer.shutdown(socket.SHUT_RDWR)
    back.join()
    far.close()
    outer.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(PIECE):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)

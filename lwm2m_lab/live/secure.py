"""DTLS beneath aiocoap: what stands between a tapped socket and the lab's datagram endpoint.

aiocoap cannot send a request on a DTLS session that it accepted, which is LwM2M's normal case: the device opens the
session, the server asks on it. Here one session serves both directions, and aiocoap sees a plain socket. The handshake
and the records are tinydtls's (package DTLSSocket, extra ``dtls``); this module keeps time, limits and order.

tinydtls is not reentrant, and an exception must not pass through it: its callbacks write down what it wants, and what
they wrote is done once it has returned.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import importlib.util
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.credentials import Credentials
from lwm2m_lab.live.endpoint import OuterTransport
from lwm2m_lab.wire.dtls_sessions import ALERTS

__all__ = ["Sessions", "has_dtls", "need_dtls"]

#: Seconds between two looks at the retransmission timers while a handshake is under way.
TICK = 0.25
#: Seconds after which a handshake that does not end is given up; RFC 6347, 4.2.4.1: timers double up to 60 s.
HANDSHAKE_WITHIN = 60.0
#: Sessions of one socket; beyond, the one that was silent the longest is closed.
MOST_SESSIONS = 4096
#: Datagrams that wait for the end of a handshake.
MOST_WAITING = 16

_HEADER = 13
_ALERT, _HANDSHAKE, _APPLICATION_DATA = 21, 22, 23
_SERVER_HELLO = 2
_FATAL, _CLOSE_NOTIFY, _UNKNOWN_PSK_IDENTITY = 2, 0, 115
#: tinydtls says by this "alert" that a handshake has ended well.
_CONNECTED = 0x01DE

Key = tuple[str, int]


def has_dtls() -> bool:
    """Whether the extra ``dtls`` is installed."""
    return importlib.util.find_spec("DTLSSocket") is not None


def need_dtls() -> None:
    """Say what is missing where coaps is asked for and cannot be had.

    Raises
    ------
    BadInput
        Where DTLSSocket is not installed.
    """
    if not has_dtls():
        raise BadInput(
            "coaps needs the package DTLSSocket, which is not installed; pip install 'lwm2m-lab[dtls]' is expected, "
            "with a C compiler, autoconf and libtool"
        )


@dataclass(eq=False)
class _Peer:
    """One address with which there is a session, or a handshake."""

    address: Any
    began: float
    is_open: bool = False
    identity: str | None = None
    #: tinydtls forgets the session when this object goes, whosever it is by then: it lives as long as the peer.
    connection: Any = None
    waiting: collections.deque[bytes] = field(default_factory=lambda: collections.deque(maxlen=MOST_WAITING))
    #: The server's last flight, sent again where the client repeats its own: tinydtls would not (RFC 6347, 4.2.4).
    last_flight: list[bytes] = field(default_factory=list)


class _Keys:
    """The keys as tinydtls looks them up; remembers whose was asked for during a call, and whether it was there."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self.forget()

    def forget(self) -> None:
        self.asked: bytes | None = None
        self.unknown = False

    def keys(self) -> _Keys:
        return self

    def __contains__(self, identity: object) -> bool:
        self.asked = cast("bytes", identity)
        self.unknown = self._credentials.key_of(self.asked) is None
        return not self.unknown

    def __getitem__(self, identity: bytes) -> bytes | None:
        return self._credentials.key_of(identity)


class Sessions(asyncio.DatagramProtocol):
    """The DTLS sessions of one socket.

    Give it to `LoopbackNetwork.context(..., sessions=)`; URIs of its peers are ``coap://`` there, as aiocoap sees them.

    Parameters
    ----------
    credentials : Credentials
    opens : bool
        Whether it opens a session to whom it sends something, as a device does; a server answers on those that it
        accepted, and what it has for anybody else is dropped.
    told : callable, optional
        Called with a sentence when a session has opened, is refused or has ended.
    handshake_within : float
        Seconds.
    most : int
        Sessions at a time.

    Attributes
    ----------
    address : (str, int)
        Where it is bound, once it is.

    Raises
    ------
    BadInput
        Where DTLSSocket is missing, or there is no identity of its own to open sessions with.
    """

    address: tuple[str, int] = ("", 0)

    def __init__(
        self,
        credentials: Credentials,
        *,
        opens: bool,
        told: Callable[[str], None] = lambda _: None,
        handshake_within: float = HANDSHAKE_WITHIN,
        most: int = MOST_SESSIONS,
    ) -> None:
        need_dtls()
        self._keys, self._opens, self._told = _Keys(credentials), opens, told
        self._within, self._most = handshake_within, most
        # tinydtls keeps a pointer to it: it must not go.
        self._identity = credentials.own()[0].encode() if opens else b""
        self._peers: collections.OrderedDict[Key, _Peer] = collections.OrderedDict()
        self._out: list[tuple[Key, bytes]] = []
        self._in: list[tuple[Key, bytes]] = []
        self._events: list[tuple[int, int]] = []
        self._ticking: asyncio.TimerHandle | None = None
        self._tinydtls: Any = None

    def around(self, inner: asyncio.DatagramProtocol) -> Sessions:
        """Stand before a protocol; what a loop's endpoint factory returns."""
        self.inner = inner
        return self

    def identity_of(self, address: Any) -> str | None:
        """Who proved to hold the key of an identity, from this address; None where there is no session."""
        peer = self._peers.get(_key(address))
        return peer.identity if peer is not None and peer.is_open else None

    def __len__(self) -> int:
        return len(self._peers)

    # ---------------------------------------------------------------- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        from DTLSSocket import dtls

        dtls.setLogLevel(dtls.DTLS_LOG_EMERG)
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.address = transport.get_extra_info("sockname")[:2]
        self._loop = asyncio.get_running_loop()
        self._library = dtls
        self._tinydtls = dtls.DTLS(
            read=self._on_read, write=self._on_write, event=self._on_event, pskId=self._identity, pskStore=self._keys
        )
        self.inner.connection_made(_SecureTransport(self._transport, self))

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Take what arrived; what is no DTLS record is ignored (RFC 6347, 4.1.2.7)."""
        if self._tinydtls is None or len(data) < _HEADER or not 20 <= data[0] <= _APPLICATION_DATA:
            return
        key = _key(addr)
        # tinydtls decrypts in place: the copy is its own, what the tap has kept stays as it was.
        copy = bytes(bytearray(data))
        self._keys.forget()
        error = self._tinydtls.handleMessageAddr(*key, copy)
        self._settle(key, addr)
        if error < 0 and key in self._peers:
            self._end(key, "the handshake was refused" + (": unknown identity" if self._keys.unknown else ""))

    def error_received(self, exc: Exception) -> None:
        self.inner.error_received(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self.close(alert=False)
        self.inner.connection_lost(exc)

    # ---------------------------------------------------------------- aiocoap's side

    def send(self, data: bytes, address: Any) -> None:
        """Send on the session with an address; without one it waits for the handshake that it begins."""
        if self._tinydtls is None:
            return
        key = _key(address)
        peer = self._peers.get(key)
        if peer is not None and peer.is_open:
            self._peers.move_to_end(key)
            if self._tinydtls.write(self._library.Session(*key), data) < 0:
                self._told(f"a message of {len(data)} bytes is too long for a DTLS record")
            self._settle(key, address)
        elif peer is not None or self._opens:
            peer = peer or self._open(key, address)
            if data not in peer.waiting:
                peer.waiting.append(data)

    def close(self, *, alert: bool = True) -> None:
        """End all sessions: with an alert to each peer, or as a power cut does."""
        if self._ticking is not None:
            self._ticking.cancel()
        for key in [*self._peers] if self._tinydtls is not None else ():
            self._forget(key, alert=alert)
        self._tinydtls = None

    def _open(self, key: Key, address: Any) -> _Peer:
        """Begin a handshake as client."""
        peer = self._add(key, address)
        peer.connection = self._tinydtls.connect(*key)
        self._settle(key, address)
        return peer

    def _add(self, key: Key, address: Any) -> _Peer:
        """A peer whose handshake begins."""
        while len(self._peers) >= self._most:
            shaking = (one for one, peer in self._peers.items() if not peer.is_open)
            self._end(next(shaking, None) or next(iter(self._peers)), "closed to make room")
        peer = self._peers[key] = _Peer(address, self._loop.time())
        if self._ticking is None:
            self._ticking = self._loop.call_later(TICK, self._tick)
        return peer

    def _tick(self) -> None:
        """Look at the timers of the handshakes under way."""
        self._tinydtls.checkRetransmit()
        self._settle(None, None)
        now = self._loop.time()
        for key in [key for key, peer in self._peers.items() if not peer.is_open and now - peer.began > self._within]:
            self._end(key, f"no end of the handshake within {self._within:g} s: nobody there, or another key")
        shaking = any(not peer.is_open for peer in self._peers.values())
        self._ticking = self._loop.call_later(TICK, self._tick) if shaking else None

    # ---------------------------------------------------------------- tinydtls's side: written down, done afterwards

    def _on_write(self, to: Key, data: bytes) -> int:
        self._out.append((to, data))
        return len(data)

    def _on_read(self, sender: Key, data: bytes) -> int:
        self._in.append((sender, data))
        return len(data)

    def _on_event(self, level: int, code: int) -> None:
        self._events.append((level, code))

    def _settle(self, key: Key | None, address: Any) -> None:
        """Do what tinydtls wants after a call that concerned an address, or none."""
        out, self._out = self._out, []
        came, self._in = self._in, []
        events, self._events = self._events, []
        for to, datagram in out:
            self._emit(to, datagram, address)
        if key is not None and key in self._peers:
            if self._keys.asked is not None:
                self._peers[key].identity = self._keys.asked.decode(errors="replace")
            sent = [datagram for to, datagram in out if to == key]
            for level, code in events:
                self._happened(key, level, code, sent)
        for sender, data in came:
            peer = self._peers.get(sender)
            if peer is not None:
                peer.last_flight.clear()
                self._peers.move_to_end(sender)
                self.inner.datagram_received(data, peer.address)

    def _emit(self, to: Key, datagram: bytes, address: Any) -> None:
        """Send a datagram of tinydtls's; a ServerHello tells that it has a peer now."""
        in_clear = datagram[3:5] == b"\0\0"
        if in_clear and datagram[0] == _HANDSHAKE and datagram[_HEADER] == _SERVER_HELLO:
            self._accepted(to, address)
        elif in_clear and datagram[0] == _ALERT and datagram[_HEADER] == _FATAL and self._keys.unknown:
            # tinydtls says "internal error" (RFC 4279, 2: unknown_psk_identity).
            datagram = datagram[:-1] + bytes([_UNKNOWN_PSK_IDENTITY])
        peer = self._peers.get(to)
        self._transport.sendto(datagram, address if peer is None else peer.address)

    def _accepted(self, key: Key, address: Any) -> None:
        """A handshake with a client that has shown its address to be its own; an older session is replaced by it."""
        peer = self._peers.get(key)
        if peer is None:
            self._add(key, address)
        elif peer.is_open:
            peer.is_open, peer.identity, peer.began = False, None, self._loop.time()
            peer.waiting.clear()
            if self._ticking is None:
                self._ticking = self._loop.call_later(TICK, self._tick)

    def _happened(self, key: Key, level: int, code: int, sent: list[bytes]) -> None:
        """An event of tinydtls's: the end of a handshake, or an alert."""
        peer = self._peers.get(key)
        if peer is None:
            return
        if code == _CONNECTED and peer.is_open:
            for datagram in peer.last_flight:
                self._transport.sendto(datagram, peer.address)
        elif code == _CONNECTED:
            peer.is_open, peer.last_flight = True, sent
            self._told(f"DTLS session with {_text(peer.address)}")
            while peer.waiting:
                self.send(peer.waiting.popleft(), peer.address)
        elif level == _FATAL or (level and code == _CLOSE_NOTIFY):
            name = ALERTS.get(code, str(code))
            self._end(key, f"alert {name}" if peer.is_open else f"the handshake was refused: alert {name}")

    def _end(self, key: Key, why: str) -> None:
        """Forget a peer and say why."""
        address = self._peers[key].address
        self._forget(key, alert=True)
        self._told(f"DTLS session with {_text(address)} ended, {why}")

    def _forget(self, key: Key, *, alert: bool) -> None:
        """End the session with a peer, where tinydtls has one."""
        peer = self._peers.pop(key)
        self._tinydtls.resetPeer(self._library.Session(*key))
        out, self._out = self._out, []
        for _, datagram in out if alert else ():
            self._transport.sendto(datagram, peer.address)


class _SecureTransport(OuterTransport):
    """The transport that the lab's endpoint sees."""

    def __init__(self, real: asyncio.DatagramTransport, sessions: Sessions) -> None:
        super().__init__(real)
        self._sessions = sessions

    def sendto(self, data: Any, addr: Any = None) -> None:
        self._sessions.send(bytes(data), addr)

    def abort(self) -> None:
        self._sessions.close()
        self.real.abort()

    def close(self) -> None:
        self._sessions.close()
        self.real.close()


def _key(address: Any) -> Key:
    """An address as tinydtls knows it."""
    return _as_six(address[0]), address[1]


@functools.lru_cache(maxsize=MOST_SESSIONS)
def _as_six(host: str) -> str:
    """A host's address as tinydtls says it, which speaks IPv6 alone."""
    bare = host.partition("%")[0]
    mapped = bare if ":" in bare else f"::ffff:{bare}"
    return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, mapped))


def _text(address: Any) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"

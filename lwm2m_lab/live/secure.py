"""DTLS beneath aiocoap: what stands between a tapped socket and the lab's datagram endpoint.

aiocoap cannot send a request on a DTLS session that it accepted, which is LwM2M's normal case: the device opens the
session, the server asks on it. Here one session serves both directions, and aiocoap sees a plain socket. The handshake
and the records are tinydtls's; this module keeps time, limits and order.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from lwm2m_lab.live.credentials import Credentials
from lwm2m_lab.live.endpoint import OuterTransport
from lwm2m_lab.live.shaking import ANSWERED_WITHIN, Handshake, refusal
from lwm2m_lab.live.tinydtls import CONNECTED, Association, has_dtls, need_dtls
from lwm2m_lab.wire.dtls_sessions import ALERTS, LONGEST_SHOWN

__all__ = ["HANDSHAKE_WITHIN", "Sessions", "has_dtls", "need_dtls"]

#: Seconds between two looks at the retransmission timers while a handshake is under way.
TICK = 0.25
#: Seconds after which a handshake that does not end is given up; RFC 6347, 4.2.4.1: timers double up to 60 s.
HANDSHAKE_WITHIN = 60.0
#: Sessions of one socket; beyond, the one that was silent the longest is closed.
MOST_SESSIONS = 4096
#: Addresses that have said no more than ClientHello: anybody's, as long as they have not shown a cookie.
MOST_STRANGERS = 256
#: Datagrams that wait for the end of a handshake.
MOST_WAITING = 16

_HEADER = 13
_ALERT, _HANDSHAKE, _APPLICATION_DATA = 21, 22, 23
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_FATAL, _CLOSE_NOTIFY, _UNKNOWN_PSK_IDENTITY = 2, 0, 115

Key = tuple[str, int]


@dataclass(eq=False)
class _Peer:
    """One address with which there is a session, or a handshake."""

    address: Any
    association: Association
    shake: Handshake
    is_open: bool = False
    waiting: collections.deque[bytes] = field(default_factory=lambda: collections.deque(maxlen=MOST_WAITING))
    heard: bytes = b""
    #: The ClientHello that began the handshake, and the server's last flight: where the client repeats what it said, it
    #: is sent again (RFC 6347, 4.2.4); tinydtls would begin anew, or say nothing.
    hello: bytes = b""
    flight: list[bytes] = field(default_factory=list)


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
    answered_within : float
        Seconds that the Finished of a client waits for the server's, at least: one with another key says nothing.
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

    address: Key = ("", 0)

    def __init__(
        self,
        credentials: Credentials,
        *,
        opens: bool,
        told: Callable[[str], None] = lambda _: None,
        handshake_within: float = HANDSHAKE_WITHIN,
        answered_within: float = ANSWERED_WITHIN,
        most: int = MOST_SESSIONS,
    ) -> None:
        need_dtls()
        self._credentials, self._opens, self._told = credentials, opens, told
        self._within, self._answered_within, self._most = handshake_within, answered_within, most
        self._watchers: list[Callable[[Key, str], None]] = []
        # What waited in vain; aiocoap sends it again for a while, which is no reason for another handshake.
        self._given_up: collections.deque[tuple[Key, bytes]] = collections.deque(maxlen=MOST_WAITING)
        self._identity = credentials.own()[0].encode() if opens else b""
        self._peers: collections.OrderedDict[Key, _Peer] = collections.OrderedDict()
        self._strangers: collections.OrderedDict[Key, _Peer] = collections.OrderedDict()
        self._ticking: asyncio.TimerHandle | None = None
        self._is_closed = False

    def around(self, inner: asyncio.DatagramProtocol) -> Sessions:
        """Stand before a protocol; what a loop's endpoint factory returns."""
        self.inner = inner
        return self

    def identity_of(self, address: Any) -> str | None:
        """Who proved to hold the key of an identity, from this address; None where there is no session."""
        peer = self._peers.get(address[:2])
        return (peer.association.asked or b"").decode(errors="replace") if peer is not None and peer.is_open else None

    @contextlib.contextmanager
    def watched(self, ended: Callable[[Key, str], None]) -> Iterator[None]:
        """Within the block it is told of each handshake that fails: with whom, and why."""
        self._watchers.append(ended)
        try:
            yield
        finally:
            self._watchers.remove(ended)

    def __len__(self) -> int:
        return len(self._peers)

    # ---------------------------------------------------------------- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.address = transport.get_extra_info("sockname")[:2]
        self._loop = asyncio.get_running_loop()
        self.inner.connection_made(_SecureTransport(self._transport, self))

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Take what arrived; what is no record of somebody known and no ClientHello is ignored (RFC 6347, 4.1.2.7)."""
        if self._is_closed or len(data) <= _HEADER or not 20 <= data[0] <= _APPLICATION_DATA:
            return
        key = addr[:2]
        peer = self._peers.get(key) or self._stranger(key, addr, data)
        if peer is None:
            return
        if not peer.is_open and data[_HEADER:] == peer.hello:
            self._send_again(peer)
            return
        peer.heard = data
        goes_on = peer.association.receive(data)
        asked = peer.association.asked
        finished = not peer.is_open and peer.shake.hears_finished(data, has_key=peer.association.has_key)
        self._settle(key, peer)
        if self._peers.get(key) is not peer:
            return
        if finished and peer.hello and not peer.is_open:
            # Dropping it (RFC 6347, 4.1.2.7) would leave both in silence. An alert in the clear anybody can forge who
            # can forge this Finished.
            self._transport.sendto(peer.shake.alert(), peer.address)
            self._end(
                key,
                f"the handshake was refused: the Finished of {_name(asked)} does not authenticate, its key is "
                "another than the one here",
                alert=False,
            )
        elif not goes_on:
            unknown = f": unknown identity {_name(asked)}" if peer.association.is_unknown else ""
            self._end(key, f"the handshake was refused{unknown}")

    def error_received(self, exc: Exception) -> None:
        self.inner.error_received(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self.close(alert=False)
        self.inner.connection_lost(exc)

    # ---------------------------------------------------------------- aiocoap's side

    def send(self, data: bytes, address: Any) -> None:
        """Send on the session with an address; without one it waits for the handshake that it begins."""
        key = address[:2]
        peer = self._peers.get(key)
        if self._is_closed or (peer is None and (not self._opens or (key, data) in self._given_up)):
            return
        if peer is None:
            peer = self._add(key, self._new_peer(address))
            peer.association.connect()
        elif peer.is_open:
            self._peers.move_to_end(key)
            if not peer.association.write(data):
                self._told(f"a message of {len(data)} bytes is too long for a DTLS record")
        if not peer.is_open and data not in peer.waiting:
            peer.waiting.append(data)
        self._settle(key, peer)

    def close(self, *, alert: bool = True) -> None:
        """End all sessions: with an alert to each peer, or as a power cut does."""
        self._is_closed = True
        if self._ticking is not None:
            self._ticking.cancel()
        for key in [*self._peers]:
            self._forget(self._peers.pop(key), alert=alert)
        for key in [*self._strangers]:
            self._forget(self._strangers.pop(key), alert=False)

    # ---------------------------------------------------------------- peers

    def _new_peer(self, address: Any) -> _Peer:
        return _Peer(address, Association(address, self._credentials, self._identity), Handshake(self._loop.time()))

    def _stranger(self, key: Key, address: Any, data: bytes) -> _Peer | None:
        """Whoever says ClientHello from an address without a session; the one that did so first makes room."""
        if data[0] != _HANDSHAKE or data[3:5] != b"\0\0" or data[_HEADER] != _CLIENT_HELLO:
            return None
        if key not in self._strangers:
            while len(self._strangers) >= MOST_STRANGERS:
                self._forget(self._strangers.popitem(last=False)[1], alert=False)
            self._strangers[key] = self._new_peer(address)
        return self._strangers[key]

    def _add(self, key: Key, peer: _Peer) -> _Peer:
        """Take up a peer whose handshake begins."""
        while len(self._peers) >= self._most:
            shaking = (one for one, other in self._peers.items() if not other.is_open)
            self._end(next(shaking, None) or next(iter(self._peers)), "closed to make room")
        self._peers[key] = peer
        self._begin(peer)
        return peer

    def _begin(self, peer: _Peer) -> None:
        """Give a handshake its time."""
        peer.is_open, peer.shake, peer.association.asked = False, Handshake(self._loop.time()), None
        if self._ticking is None:
            self._ticking = self._loop.call_later(TICK, self._tick)

    def _tick(self) -> None:
        """Look at the timers of the handshakes under way."""
        self._ticking, now = None, self._loop.time()
        for key, peer in [(key, peer) for key, peer in self._peers.items() if not peer.is_open]:
            peer.association.look_at_timers()
            self._settle(key, peer)
            why = self._why_late(peer, now) if self._peers.get(key) is peer else None
            if why is not None:
                self._end(key, why)
        if self._ticking is None and any(not peer.is_open for peer in self._peers.values()):
            self._ticking = self._loop.call_later(TICK, self._tick)

    def _why_late(self, peer: _Peer, now: float) -> str | None:
        """Why a handshake has had its time; None where it goes on."""
        shake = peer.shake
        if not peer.hello and shake.is_unanswered(now, self._answered_within):
            waited = f"within {now - (shake.said_finished or now):.0f} s"
            return (
                f"no answer to the Finished of {_name(self._identity)} {waited}: the peer has another key, or is gone"
            )
        if now - shake.began <= self._within:
            return None
        if not peer.heard:
            return f"nobody answered within {self._within:g} s"
        who = _name(peer.association.asked) + " " if peer.association.asked else ""
        return f"no end of the handshake {who and 'of ' + who}within {self._within:g} s"

    def _end(self, key: Key, why: str, *, alert: bool = True) -> None:
        """Forget a peer and say why."""
        peer = self._peers.pop(key)
        self._forget(peer, alert=alert)
        sentence = f"DTLS session with {_text(peer.address)} ended, {why}"
        self._told(sentence)
        if not peer.is_open:
            self._given_up.extend((key, data) for data in peer.waiting)
            for ended in [*self._watchers]:
                ended(key, sentence)

    def _forget(self, peer: _Peer, *, alert: bool) -> None:
        """End the session with a peer, where there is one."""
        peer.association.end()
        for datagram in peer.association.out if alert else ():
            self._transport.sendto(datagram, peer.address)

    # ---------------------------------------------------------------- what tinydtls wants

    def _settle(self, key: Key, peer: _Peer) -> None:
        """Do what tinydtls wants after a call; it is not reentrant, so nothing is done within one."""
        association = peer.association
        out, association.out = association.out, []
        came, association.came = association.came, []
        events, association.events = association.events, []
        for datagram in out:
            self._emit(key, peer, datagram)
        if peer.hello and not peer.is_open and out:
            peer.flight = out
        for level, code in events:
            if self._peers.get(key) is peer:
                self._happened(key, peer, level, code)
        for data in came:
            if self._peers.get(key) is peer:
                peer.flight.clear()
                self._peers.move_to_end(key)
                self.inner.datagram_received(data, peer.address)

    def _emit(self, key: Key, peer: _Peer, datagram: bytes) -> None:
        """Send a datagram; a ServerHello tells that a ClientHello had the right cookie: its sender is where it says."""
        in_clear = datagram[3:5] == b"\0\0"
        if in_clear and datagram[0] == _HANDSHAKE and datagram[_HEADER] == _SERVER_HELLO:
            self._accepted(key, peer)
        elif in_clear and datagram[0] == _ALERT and datagram[_HEADER] == _FATAL and peer.association.is_unknown:
            # tinydtls says "internal error" (RFC 4279, 2: unknown_psk_identity).
            datagram = datagram[:-1] + bytes([_UNKNOWN_PSK_IDENTITY])
        peer.shake.sends(datagram, self._loop.time())
        self._transport.sendto(datagram, peer.address)

    def _accepted(self, key: Key, peer: _Peer) -> None:
        """A handshake with a client has begun; an older session from there is replaced by it (RFC 6347, 4.2.8)."""
        if self._strangers.pop(key, None) is peer:
            self._add(key, peer)
        elif peer.is_open:
            peer.waiting.clear()
            self._begin(peer)
        peer.hello = peer.heard[_HEADER:]

    def _send_again(self, peer: _Peer) -> None:
        for datagram in peer.flight:
            self._transport.sendto(datagram, peer.address)

    def _happened(self, key: Key, peer: _Peer, level: int, code: int) -> None:
        """The end of a handshake, or an alert."""
        if code == CONNECTED and peer.is_open:
            self._send_again(peer)
        elif code == CONNECTED:
            peer.is_open = True
            self._told(f"DTLS session with {_text(peer.address)}")
            while peer.waiting:
                self.send(peer.waiting.popleft(), peer.address)
        elif level == _FATAL or (level and code == _CLOSE_NOTIFY):
            ours = None if peer.hello else self._identity.decode()
            self._end(key, f"alert {ALERTS.get(code, code)}" if peer.is_open else refusal(code, ours))


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


def _name(identity: bytes | None) -> str:
    """An identity as it is shown."""
    return repr((identity or b"").decode(errors="replace")[:LONGEST_SHOWN])


def _text(address: Any) -> str:
    return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"

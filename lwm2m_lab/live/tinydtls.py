"""tinydtls (package DTLSSocket, extra ``dtls``) for one peer, and what has to be known to use it safely.

- A context that several peers share corrupts its table when an alert ends a session (it takes the peer out twice), and
  soon asks for all memory there is: here each peer has a context of its own.
- A new context sets the clock of all others back, and with it their retransmissions: contexts are made in bulk and used
  again.
- It decrypts in place, in Python's immutable bytes; it copies keys without looking at their length; it keeps a pointer
  to the identity; it writes data that are too long beyond its buffer; and an exception must not pass through it. Its
  callbacks write down what it wants, no more.
"""

from __future__ import annotations

import functools
import importlib.util
import socket
from typing import Any

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.credentials import Credentials

__all__ = ["CONNECTED", "Association", "has_dtls", "need_dtls"]

#: tinydtls says by this "alert" that a handshake has ended well.
CONNECTED = 0x01DE
#: Bytes of data in a record: tinydtls writes beyond its buffer of 1400 where there are more.
LONGEST_DATA = 1280
_BULK = 16
_free: list[Any] = []


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


class Association:
    """What tinydtls knows of one peer.

    Attributes
    ----------
    out, came : list of bytes
        Datagrams that it wants to send, and what was in those that it was given; to be taken after each call.
    events : list of (int, int)
        Level and description of alerts, and (0, CONNECTED).
    asked : bytes or None
        The identity whose key was looked up last.
    """

    def __init__(self, address: Any, credentials: Credentials, identity: bytes) -> None:
        self.out: list[bytes] = []
        self.came: list[bytes] = []
        self.events: list[tuple[int, int]] = []
        self.asked: bytes | None = None
        self._credentials, self._identity = credentials, identity
        self._place = _as_six(address[0]), address[1]
        self._connection: Any = None
        self._context = _context()
        self._context.pycb = {
            "read": lambda _, data: _noted(self.came, data),
            "write": lambda _, data: _noted(self.out, data),
            "event": lambda level, code: self.events.append((level, code)),
        }
        self._context.pskId, self._context.pskStore = identity, self

    def connect(self) -> None:
        """Begin a handshake as client."""
        self._connection = self._context.connect(*self._place)

    def receive(self, datagram: bytes) -> bool:
        """Take a datagram; False where it ends the handshake or the session."""
        return bool(self._context.handleMessageAddr(*self._place, bytes(bytearray(datagram))) >= 0)

    def write(self, data: bytes) -> bool:
        """Send data on the session; False where it is too long for a record."""
        from DTLSSocket import dtls

        if len(data) > LONGEST_DATA:
            return False
        return bool(self._context.write(dtls.Session(*self._place), data) >= 0)

    def look_at_timers(self) -> None:
        """Send again what has waited too long for its answer."""
        self._context.checkRetransmit()

    def end(self) -> None:
        """Forget the session, with a close_notify where there is one."""
        from DTLSSocket import dtls

        context, self._context, self._connection = self._context, None, None
        context.resetPeer(dtls.Session(*self._place))
        context.pycb, context.pskId, context.pskStore = dict.fromkeys(("read", "write", "event"), _nothing), b"", {}
        _free.append(context)

    def __del__(self) -> None:
        # A context that goes with a session in it would call back into what is gone already.
        if self._context is not None:
            self.end()

    # ---------------------------------------------------------------- the store of keys that tinydtls asks

    def keys(self) -> Association:
        return self

    def __contains__(self, identity: bytes) -> bool:
        self.asked = identity
        return self._credentials.key_of(identity) is not None

    def __getitem__(self, identity: bytes) -> bytes | None:
        return self._credentials.key_of(identity)

    @property
    def has_key(self) -> bool:
        """Whether the identity that was asked for has a key."""
        return self.asked is not None and not self.is_unknown

    @property
    def is_unknown(self) -> bool:
        """Whether the identity that was asked for has no key."""
        return self.asked is not None and self._credentials.key_of(self.asked) is None


def _context() -> Any:
    """A context without a peer."""
    from DTLSSocket import dtls

    # Devices run in threads of their own: to look first and then to take would be too late.
    try:
        return _free.pop()
    except IndexError:
        dtls.setLogLevel(dtls.DTLS_LOG_EMERG)
        made = [dtls.DTLS(read=_nothing, write=_nothing, event=_nothing) for _ in range(_BULK)]
        _free.extend(made[1:])
        return made[0]


def _noted(where: list[bytes], data: bytes) -> int:
    where.append(data)
    return len(data)


def _nothing(*_: Any) -> int:
    return 0


@functools.lru_cache(maxsize=4096)
def _as_six(host: str) -> str:
    """A host's address as tinydtls wants it, which speaks IPv6 alone."""
    bare = host.partition("%")[0]
    mapped = bare if ":" in bare else f"::ffff:{bare}"
    return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, mapped))

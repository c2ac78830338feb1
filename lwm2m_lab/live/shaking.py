"""What passes in a handshake of DTLS, record by record, and what is said of one that comes to no good end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lwm2m_lab.wire.dtls_sessions import ALERTS

__all__ = ["BAD_RECORD_MAC", "Handshake", "fatal_alert", "refusal"]

BAD_RECORD_MAC, DECRYPT_ERROR, UNKNOWN_PSK_IDENTITY = 20, 51, 115
#: Seconds that a Finished waits for the peer's at least: tinydtls sends it again after 2, 4 and 8.
ANSWERED_WITHIN = 15.0
_HEADER = 13
_CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE = 20, 21, 22
#: What it means where a client hears it (RFC 4279, 2; Mbed TLS and this lab say bad_record_mac for another key).
_HINTS = {
    UNKNOWN_PSK_IDENTITY: "the peer does not know the identity {}",
    BAD_RECORD_MAC: "the peer has another key for the identity {}",
    DECRYPT_ERROR: "the peer has another key for the identity {}",
}


@dataclass
class Handshake:
    """One handshake under way, as seen from outside of tinydtls.

    Attributes
    ----------
    began : float
        Second on the clock of the loop.
    said_finished : float or None
        When our Finished left first.
    """

    began: float
    said_finished: float | None = None
    _last: int = 0
    _has_changed: bool = False

    def sends(self, datagram: bytes, now: float) -> None:
        """A datagram of ours leaves."""
        for kind, epoch, sequence in _records(datagram):
            if epoch == 0:
                self._last = max(self._last, sequence)
            elif kind == _HANDSHAKE and self.said_finished is None:
                self.said_finished = now

    def hears_finished(self, datagram: bytes, *, has_key: bool) -> bool:
        """Whether a datagram, already given to tinydtls, has a Finished that had to authenticate.

        One that overtook the key exchange or the change of the cipher could not, whatever its key.
        """
        found = False
        for kind, epoch, _ in _records(datagram):
            self._has_changed |= kind == _CHANGE_CIPHER_SPEC and has_key
            found |= kind == _HANDSHAKE and epoch == 1 and self._has_changed
        return found

    def alert(self) -> bytes:
        """The alert in the clear that ends it where the peer's key is another one."""
        return fatal_alert(BAD_RECORD_MAC, self._last + 1)

    def is_unanswered(self, now: float, within: float) -> bool:
        """Whether our Finished has waited long enough, by the pace of the messages before it."""
        if self.said_finished is None:
            return False
        return now - self.said_finished > max(within, 4 * (self.said_finished - self.began))


def fatal_alert(description: int, sequence: int) -> bytes:
    """A fatal alert of epoch 0.

    Examples
    --------
    >>> fatal_alert(BAD_RECORD_MAC, 4).hex()
    '15fefd000000000000000400020214'
    """
    return bytes.fromhex("15fefd0000") + sequence.to_bytes(6, "big") + bytes([0, 2, 2, description])


def refusal(code: int, identity: str | None) -> str:
    """The words for an alert that ended a handshake of ours.

    Examples
    --------
    >>> refusal(115, "urn:dev:1")
    "the handshake was refused: alert unknown_psk_identity, the peer does not know the identity 'urn:dev:1'"
    """
    hint = _HINTS.get(code)
    meant = "" if hint is None or identity is None else ", " + hint.format(repr(identity))
    return f"the handshake was refused: alert {ALERTS.get(code, str(code))}{meant}"


def _records(datagram: bytes) -> Iterator[tuple[int, int, int]]:
    """Type, epoch and sequence number of each record."""
    at = 0
    while at + _HEADER <= len(datagram):
        epoch, sequence = (int.from_bytes(datagram[at + first : at + end], "big") for first, end in ((3, 5), (5, 11)))
        yield datagram[at], epoch, sequence
        at += _HEADER + int.from_bytes(datagram[at + 11 : at + 13], "big")

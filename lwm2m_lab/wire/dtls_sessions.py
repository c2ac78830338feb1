"""One DTLS session: who speaks, under which suite and identity, what opened its records, and why it stayed closed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from lwm2m_lab.wire import dtls_keys as keys
from lwm2m_lab.wire.dtls_handshake import (
    CLIENT,
    DRAFT_CONNECTION_ID,
    ENCRYPT_THEN_MAC,
    EXTENDED_MASTER_SECRET,
    SUPPORTED_VERSIONS,
    Handshake,
)  # fmt: skip
from lwm2m_lab.wire.dtls_keys import Opener, Record
from lwm2m_lab.wire.ends import address_text
from lwm2m_lab.wire.keyring import Keyring

__all__ = ["ALERTS", "DtlsSession", "Seen", "Session"]

DTLS12 = 0xFEFD
#: Sequence numbers kept behind the highest one, to know a record that comes again.
REPLAY_WINDOW = 4096
#: Records kept until the messages that their keys hang on have come.
MOST_PENDING = 32
MOSTALERTS = 16
#: An identity has up to 128 bytes (LwM2M 1.1, E.1.1.1); of a longer one the beginning is shown.
LONGEST_SHOWN = 256
#: Names of alert descriptions (IANA, TLS Alerts).
ALERTS = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed", 22: "record_overflow",
    30: "decompression_failure", 40: "handshake_failure", 41: "no_certificate", 42: "bad_certificate",
    43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
    47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error", 51: "decrypt_error",
    60: "export_restriction", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
    86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation", 109: "missing_extension",
    110: "unsupported_extension", 111: "certificate_unobtainable", 112: "unrecognized_name",
    113: "bad_certificate_status_response", 114: "bad_certificate_hash_value", 115: "unknown_psk_identity",
    116: "certificate_required", 120: "no_application_protocol",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class DtlsSession:
    """One DTLS session as a capture shows it.

    Attributes
    ----------
    client, server : str
        Addresses at its beginning.
    identity, hint : str or None
        The PSK identity that the client named, and the server's hint.
    suite : str or None
        IANA name of the cipher suite; None where no ServerHello was seen.
    client_cid, server_cid : str or None
        Connection IDs, in hex, that client and server want to receive (empty: none for that way); None where they did
        not agree on the extension.
    extended_master_secret, encrypt_then_mac, resumed : bool
    epoch : int
        1 after the first handshake, more after a renegotiation.
    records, decrypted, replayed : int
        Records of this epoch; those that were opened; those of them that came again and count once.
    first_frame, last_frame : int
    alerts : tuple of str
        ``"fatal handshake_failure from the server in frame 9"``.
    opened : bool
    reason : str
        What opened it, or why it stayed closed.
    """

    client: str
    server: str
    identity: str | None
    hint: str | None
    suite: str | None
    client_cid: str | None
    server_cid: str | None
    extended_master_secret: bool
    encrypt_then_mac: bool
    resumed: bool
    epoch: int
    records: int
    decrypted: int
    replayed: int
    first_frame: int
    last_frame: int
    alerts: tuple[str, ...]
    opened: bool
    reason: str


class Seen(NamedTuple):
    """Where and when a datagram was seen."""

    frame: int
    time_ns: int
    source: bytes
    destination: bytes


@dataclass(eq=False)
class Session:
    """What is known of a session while the capture is read."""

    client: bytes
    server: bytes
    epoch: int
    first_frame: int
    handshake: Handshake | None = None
    client_random: bytes = b""
    origin: Session | None = None
    master: bytes | None = None
    openers: tuple[Opener, Opener] | None = None
    opened_by: str = ""
    identity: bytes | None = None
    hint: bytes | None = None
    suite: keys.Suite | None = None
    version: int = DTLS12
    cids: tuple[bytes, bytes] | None = None
    extended: bool = False
    encrypt_then_mac: bool = False
    resumed: bool = False
    records: int = 0
    decrypted: int = 0
    replayed: int = 0
    cut: int = 0
    last_frame: int = 0
    alerts: list[str] = field(default_factory=list)
    pending: list[tuple[Seen, int, Record]] = field(default_factory=list)
    finished: set[int] = field(default_factory=set)
    _candidates: list[tuple[str, bytes, tuple[Opener, Opener]]] = field(default_factory=list)
    _tried: bool = False
    _seen: list[tuple[int, int]] = field(default_factory=lambda: [(-1, 0), (-1, 0)])
    _why: str = ""

    @property
    def opened(self) -> bool:
        """Whether a record was opened: the key is proved."""
        return self.openers is not None

    @property
    def has_candidates(self) -> bool:
        """Whether there are keys to try."""
        return bool(self._candidates) or self.opened

    def cid(self, side: int) -> bytes:
        """The Connection ID in the records that a side sends."""
        return b"" if self.cids is None else self.cids[1 - side]

    # ------------------------------------------------------------ learning

    def learn(self, keyring: Keyring) -> None:
        """Take what the handshake says by now, and make the keys that it allows."""
        shake = self.handshake
        if shake is None or self.opened:
            return
        hello = shake.server_hello
        named = shake.identity if shake.is_full or self.origin is None else self.origin.identity
        self.identity = self.identity if named is None else named[:LONGEST_SHOWN]
        self.hint = self.hint if shake.hint is None else shake.hint[:LONGEST_SHOWN]
        if hello is None:
            return
        self.suite, self.version = shake.suite, hello.version
        if SUPPORTED_VERSIONS in hello.extensions:
            self.version = int.from_bytes(hello.extensions[SUPPORTED_VERSIONS][:2], "big")
        self.extended = shake.agreed(EXTENDED_MASTER_SECRET)
        self.encrypt_then_mac = (
            shake.agreed(ENCRYPT_THEN_MAC) and shake.suite is not None and shake.suite.cipher == "CBC"
        )
        agreed = shake.cids
        self.cids = None if agreed is None else agreed[1:]
        self.resumed = not shake.is_full and (
            self.origin is not None or (hello.session_id != b"" and hello.session_id == shake.hello.session_id)
        )
        self._candidates = []
        if self.suite is not None and self.suite.cipher and self.version == DTLS12:
            self._candidates = [
                (how, master, self._openers(shake, master)) for how, master in self._masters(shake, keyring)
            ]

    def _openers(self, shake: Handshake, master: bytes) -> tuple[Opener, Opener]:
        assert self.suite is not None
        assert shake.server_hello is not None
        return keys.record_keys(
            self.suite,
            master,
            shake.hello.random,
            shake.server_hello.random,
            encrypt_then_mac=self.encrypt_then_mac,
            draft_cid=shake.cids is not None and shake.cids[0] == DRAFT_CONNECTION_ID,
        )

    def _masters(self, shake: Handshake, keyring: Keyring) -> Iterator[tuple[str, bytes]]:
        """Master secrets that may be the session's, and where each is from."""
        hello = shake.server_hello
        assert self.suite is not None
        assert hello is not None
        logged = keyring.master_secret(shake.hello.random)
        if logged is not None:
            yield "the key log", logged
        if not shake.is_full:
            if self.origin is not None and self.origin.master is not None:
                yield "the master secret of the session that it resumes", self.origin.master
            return
        if self.suite.exchange != "PSK" or shake.identity is None:
            return
        session_hash = shake.session_hash() if self.extended else b""
        if session_hash is None:
            return
        for given_for, psk in keyring.of_identity(shake.identity):
            premaster = keys.premaster_secret(psk)
            if self.extended:
                yield given_for, keys.extended_master_secret(self.suite, premaster, session_hash)
            else:
                randoms = shake.hello.random, hello.random
                yield given_for, keys.master_secret(self.suite, premaster, *randoms)

    # ------------------------------------------------------------ records

    def open(self, record: Record, side: int) -> bytes | None:
        """The content of a record, if its keys are there and it is authentic."""
        if self.openers is not None:
            return self.openers[side](record)
        for how, master, openers in self._candidates:
            self._tried = True
            content = openers[side](record)
            if content is not None:
                self.openers, self.master, self.opened_by = openers, master, how
                self._candidates = []
                return content
        return None

    def is_replay(self, record: Record, side: int) -> bool:
        """Whether a record of this sequence number was opened before, or it is too old to tell."""
        number = int.from_bytes(record.sequence[2:], "big")
        top, seen = self._seen[side]
        if number > top:
            seen = (seen << min(number - top, REPLAY_WINDOW) | 1) & ((1 << REPLAY_WINDOW) - 1)
            self._seen[side] = number, seen
            return False
        mark = 1 << (top - number) if top - number < REPLAY_WINDOW else 0
        self._seen[side] = top, seen | mark
        return mark == 0 or bool(seen & mark)

    def is_newest(self, record: Record, side: int) -> bool:
        """Whether no later record of this side was opened."""
        return int.from_bytes(record.sequence[2:], "big") == self._seen[side][0]

    def finish(self, side: int, verify_data: bytes) -> None:
        """Take a Finished; with both of them the messages of the handshake are done with."""
        shake = self.handshake
        if shake is None or self.master is None or self.suite is None:
            return
        covered = shake.finished_hash(side)
        if covered is not None:
            told = keys.finished(self.suite, self.master, from_client=side == CLIENT, transcript_hash=covered)
            if told != verify_data:
                self._why = "a Finished does not verify although its record does: the handshake is not whole"
        self.finished.add(side)

    def alert(self, level: int, description: int, side: int, frame: int) -> None:
        """Keep an alert in words."""
        if len(self.alerts) < MOSTALERTS:
            grade = {1: "warning", 2: "fatal"}.get(level, f"level {level}")
            who = "client" if side == CLIENT else "server"
            self.alerts.append(f"{grade} {ALERTS.get(description, description)} from the {who} in frame {frame}")

    # ------------------------------------------------------------ words

    def reason(self) -> str:
        """What opened it, or why it stayed closed."""
        if self.openers is not None:
            failed = self.records - self.decrypted - self.cut
            told = f"opened by {self.opened_by}"
            if self.cut:
                told += f"; {self.cut} {_plural(self.cut, 'record')} cut in the capture"
            if failed:
                told += f"; {failed} {_plural(failed, 'record')} did not authenticate"
            return f"{told}; {self._why}" if self._why else told
        return self._closed()

    def _closed(self) -> str:
        suite = self.suite
        if not self.client_random and self.epoch > 1:
            return "a renegotiation within a session that was not opened, or one that is not in the capture"
        if not self.client_random:
            return "no handshake in the capture: keys cannot be made without it"
        if suite is None:
            return "no ServerHello in the capture: the handshake was not answered or not seen"
        if self.version != DTLS12:
            return f"DTLS version {_version(self.version)} is not supported; DTLS 1.2 is"
        if not suite.cipher:
            return f"the suite {suite.name} is not supported"
        if self._tried:
            return (
                "the key is wrong: neither Finished nor any other record verifies"
                if not self.resumed
                else ("the master secret of the session that it resumes is not its own: no record verifies")
            )
        if not self.records and not self._candidates:
            return "the handshake was not finished" + (f": {self.alerts[-1]}" if self.alerts else "")
        if self.resumed:
            return self._not_resumable()
        if suite.exchange != "PSK":
            kind = "forward-secret" if suite.is_forward_secret else "certificate"
            return f"no pre-shared key opens a {kind} suite; a key log (CLIENT_RANDOM) would"
        return self._without_key()

    def _not_resumable(self) -> str:
        if self.origin is None:
            return "it resumes a session whose handshake is not in the capture"
        return f"it resumes a session that was not opened: {self.origin.reason()}"

    def _without_key(self) -> str:
        if self.identity is None:
            return "the handshake is not whole in the capture: no ClientKeyExchange names an identity"
        if self._candidates:
            return "no encrypted record was seen whole"
        if self.handshake is not None and self.extended and self.handshake.session_hash() is None:
            return "a handshake message is missing from the capture, and the keys hang on all (extended master secret)"
        return "no key was given for this identity"

    @property
    def key_log(self) -> str | None:
        """The line of a key log that opens the session again, where it was opened; in no other text."""
        if self.master is None or not self.opened or not self.client_random:
            return None
        return f"CLIENT_RANDOM {self.client_random.hex()} {self.master.hex()}"

    def public(self) -> DtlsSession:
        """The session as a row."""
        cids = (None, None) if self.cids is None else (self.cids[0].hex(), self.cids[1].hex())
        return DtlsSession(
            client=address_text(self.client),
            server=address_text(self.server),
            identity=_shown(self.identity),
            hint=_shown(self.hint),
            suite=None if self.suite is None else self.suite.name,
            client_cid=cids[0],
            server_cid=cids[1],
            extended_master_secret=self.extended,
            encrypt_then_mac=self.encrypt_then_mac,
            resumed=self.resumed,
            epoch=self.epoch,
            records=self.records,
            decrypted=self.decrypted,
            replayed=self.replayed,
            first_frame=self.first_frame,
            last_frame=max(self.first_frame, self.last_frame),
            alerts=tuple(self.alerts),
            opened=self.opened,
            reason=self.reason(),
        )


def _shown(text: bytes | None) -> str | None:
    return None if text is None else text.decode(errors="replace")


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _version(number: int) -> str:
    return {0xFEFF: "1.0", 0xFEFC: "1.3"}.get(number, f"0x{number:04X}")

"""DTLS 1.2 from a secret to the plaintext of a record: cipher suites, key schedule (RFC 5246, 8.1), record protection.

`cryptography` is imported when the first keys are made: most captures need none.
"""

from __future__ import annotations

import functools
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

__all__ = [
    "CID_RECORD",
    "Opener",
    "Record",
    "Suite",
    "cipher_suite",
    "extended_master_secret",
    "finished",
    "master_secret",
    "premaster_secret",
    "record_keys",
]  # fmt: skip

CID_RECORD = 25
_SUITES = {
    0x002C: "TLS_PSK_WITH_NULL_SHA", 0x008C: "TLS_PSK_WITH_AES_128_CBC_SHA", 0x008D: "TLS_PSK_WITH_AES_256_CBC_SHA",
    0x0090: "TLS_DHE_PSK_WITH_AES_128_CBC_SHA", 0x0091: "TLS_DHE_PSK_WITH_AES_256_CBC_SHA",
    0x00A8: "TLS_PSK_WITH_AES_128_GCM_SHA256", 0x00A9: "TLS_PSK_WITH_AES_256_GCM_SHA384",
    0x00AA: "TLS_DHE_PSK_WITH_AES_128_GCM_SHA256", 0x00AB: "TLS_DHE_PSK_WITH_AES_256_GCM_SHA384",
    0x00AC: "TLS_RSA_PSK_WITH_AES_128_GCM_SHA256", 0x00AD: "TLS_RSA_PSK_WITH_AES_256_GCM_SHA384",
    0x00AE: "TLS_PSK_WITH_AES_128_CBC_SHA256", 0x00AF: "TLS_PSK_WITH_AES_256_CBC_SHA384",
    0x00B0: "TLS_PSK_WITH_NULL_SHA256", 0x00B1: "TLS_PSK_WITH_NULL_SHA384",
    0x00B2: "TLS_DHE_PSK_WITH_AES_128_CBC_SHA256", 0x00B3: "TLS_DHE_PSK_WITH_AES_256_CBC_SHA384",
    0x00B6: "TLS_RSA_PSK_WITH_AES_128_CBC_SHA256", 0x00B7: "TLS_RSA_PSK_WITH_AES_256_CBC_SHA384",
    0xC035: "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA", 0xC036: "TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA",
    0xC037: "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256", 0xC038: "TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA384",
    0xC0A4: "TLS_PSK_WITH_AES_128_CCM", 0xC0A5: "TLS_PSK_WITH_AES_256_CCM",
    0xC0A6: "TLS_DHE_PSK_WITH_AES_128_CCM", 0xC0A7: "TLS_DHE_PSK_WITH_AES_256_CCM",
    0xC0A8: "TLS_PSK_WITH_AES_128_CCM_8", 0xC0A9: "TLS_PSK_WITH_AES_256_CCM_8",
    0xC0AA: "TLS_PSK_DHE_WITH_AES_128_CCM_8", 0xC0AB: "TLS_PSK_DHE_WITH_AES_256_CCM_8",
    0xCCAB: "TLS_PSK_WITH_CHACHA20_POLY1305_SHA256", 0xCCAC: "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256",
    0xCCAD: "TLS_DHE_PSK_WITH_CHACHA20_POLY1305_SHA256", 0xCCAE: "TLS_RSA_PSK_WITH_CHACHA20_POLY1305_SHA256",
    0xD001: "TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256", 0xD002: "TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384",
    0xD003: "TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256", 0xD005: "TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256",
    0x002F: "TLS_RSA_WITH_AES_128_CBC_SHA", 0x0035: "TLS_RSA_WITH_AES_256_CBC_SHA",
    0x003C: "TLS_RSA_WITH_AES_128_CBC_SHA256", 0x003D: "TLS_RSA_WITH_AES_256_CBC_SHA256",
    0x009C: "TLS_RSA_WITH_AES_128_GCM_SHA256", 0x009D: "TLS_RSA_WITH_AES_256_GCM_SHA384",
    0x009E: "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", 0x009F: "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
    0xC009: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", 0xC00A: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    0xC013: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", 0xC014: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    0xC023: "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", 0xC024: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384",
    0xC027: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", 0xC028: "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
    0xC02B: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 0xC02C: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    0xC02F: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xC030: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    0xC09C: "TLS_RSA_WITH_AES_128_CCM", 0xC09D: "TLS_RSA_WITH_AES_256_CCM",
    0xC0A0: "TLS_RSA_WITH_AES_128_CCM_8", 0xC0A1: "TLS_RSA_WITH_AES_256_CCM_8",
    0xC0AC: "TLS_ECDHE_ECDSA_WITH_AES_128_CCM", 0xC0AD: "TLS_ECDHE_ECDSA_WITH_AES_256_CCM",
    0xC0AE: "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8", 0xC0AF: "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8",
    0xCCA8: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0xCCA9: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    0xCCAA: "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
}  # fmt: skip
_MAC_BYTES = {"sha1": 20, "sha256": 32, "sha384": 48}


class Record(NamedTuple):
    """One record as it stands on the wire; `sequence` is epoch and sequence number, 8 bytes."""

    kind: int
    version: bytes
    sequence: bytes
    cid: bytes
    fragment: bytes

    @property
    def epoch(self) -> int:
        """0 in the clear, 1 and later under keys."""
        return self.sequence[0] << 8 | self.sequence[1]


#: The content of a record; None where the key is not its own, or it is damaged.
Opener: TypeAlias = Callable[[Record], bytes | None]


@dataclass(frozen=True, slots=True)
class Suite:
    """A cipher suite by its IANA name, which says everything.

    Examples
    --------
    >>> suite = cipher_suite(0xC0A8)
    >>> suite.name, suite.cipher, suite.key_bytes, suite.tag_bytes, suite.hash
    ('TLS_PSK_WITH_AES_128_CCM_8', 'CCM', 16, 8, 'sha256')
    """

    name: str

    @property
    def exchange(self) -> str:
        """``PSK``, ``ECDHE_PSK``, ``ECDHE_ECDSA``."""
        return self.name.removeprefix("TLS_").partition("_WITH_")[0]

    @property
    def names_identity(self) -> bool:
        """Whether the client names a PSK identity."""
        return "PSK" in self.exchange.split("_")

    @property
    def is_forward_secret(self) -> bool:
        """Whether no long-term key opens it."""
        return "DHE" in self.exchange

    @property
    def cipher(self) -> str:
        """``CCM``, ``GCM``, ``CBC``, ``CHACHA20``; empty where the lab has none for it."""
        words = self.name.partition("_WITH_")[2].split("_")
        return next((word for word in words if word in ("CCM", "GCM", "CBC", "CHACHA20")), "")

    @property
    def key_bytes(self) -> int:
        """Of each write key."""
        return 16 if "AES_128" in self.name else 32

    @property
    def tag_bytes(self) -> int:
        """Of the AEAD's tag, or of the MAC."""
        if self.cipher == "CBC":
            return _MAC_BYTES[self.mac]
        return 8 if "CCM_8" in self.name else 16

    @property
    def iv_bytes(self) -> int:
        """Of the IV from the key block."""
        return {"CBC": 0, "CHACHA20": 12}.get(self.cipher, 4)

    @property
    def mac(self) -> str:
        """Hash of a CBC suite's MAC."""
        return {"SHA": "sha1", "SHA384": "sha384"}.get(self.name.rpartition("_")[2], "sha256")

    @property
    def hash(self) -> str:
        """Hash of the PRF and of the transcript."""
        return "sha384" if self.name.endswith("SHA384") else "sha256"


@functools.cache
def cipher_suite(number: int) -> Suite:
    """The suite of a number; one that the lab does not know has its number for a name."""
    return Suite(_SUITES.get(number, f"0x{number:04X}"))


# ---------------------------------------------------------------- key schedule


def _prf(hash_name: str, secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    """RFC 5246, 5."""
    seed = label + seed
    out, a = b"", seed
    while len(out) < length:
        a = hmac.digest(secret, a, hash_name)
        out += hmac.digest(secret, a + seed, hash_name)
    return out[:length]


def premaster_secret(psk: bytes) -> bytes:
    """Of the plain PSK key exchange (RFC 4279, 2)."""
    size = len(psk).to_bytes(2, "big")
    return size + bytes(len(psk)) + size + psk


def master_secret(suite: Suite, premaster: bytes, client_random: bytes, server_random: bytes) -> bytes:
    """RFC 5246, 8.1."""
    return _prf(suite.hash, premaster, b"master secret", client_random + server_random, 48)


def extended_master_secret(suite: Suite, premaster: bytes, session_hash: bytes) -> bytes:
    """RFC 7627, 4."""
    return _prf(suite.hash, premaster, b"extended master secret", session_hash, 48)


def finished(suite: Suite, master: bytes, *, from_client: bool, transcript_hash: bytes) -> bytes:
    """The verify_data of a Finished (RFC 5246, 7.4.9)."""
    return _prf(suite.hash, master, b"client finished" if from_client else b"server finished", transcript_hash, 12)


def record_keys(
    suite: Suite,
    master: bytes,
    client_random: bytes,
    server_random: bytes,
    *,
    encrypt_then_mac: bool,
    draft_cid: bool = False,
) -> tuple[Opener, Opener]:
    """What opens the client's and the server's records (RFC 5246, 6.3)."""
    sizes = [suite.tag_bytes if suite.cipher == "CBC" else 0, suite.key_bytes, suite.iv_bytes]
    block = _prf(suite.hash, master, b"key expansion", server_random + client_random, 2 * sum(sizes))
    parts, at = [], 0
    for size in sizes:
        parts.append((block[at : at + size], block[at + size : at + 2 * size]))
        at += 2 * size
    covered = _draft_authenticated if draft_cid else _authenticated
    openers = []
    for side in (0, 1):
        mac_key, key, iv = (part[side] for part in parts)
        if suite.cipher == "CBC":
            openers.append(_cbc(suite, key, mac_key, encrypt_then_mac, covered))
        else:
            openers.append(_aead(suite, key, iv, covered))
    return openers[0], openers[1]


# ---------------------------------------------------------------- record protection


def _authenticated(record: Record, length: int) -> bytes:
    """What is authenticated beside the content (RFC 5246, 6.2.3; with a Connection ID RFC 9146, 5)."""
    size = length.to_bytes(2, "big")
    if record.kind != CID_RECORD:
        return record.sequence + bytes([record.kind]) + record.version + size
    mark = bytes([CID_RECORD, len(record.cid), CID_RECORD])
    return b"\xff" * 8 + mark + record.version + record.sequence + record.cid + size


def _draft_authenticated(record: Record, length: int) -> bytes:
    """The same in the drafts of RFC 9146 up to the eighth."""
    if record.kind != CID_RECORD:
        return _authenticated(record, length)
    head = record.sequence + bytes([CID_RECORD]) + record.version
    return head + record.cid + bytes([len(record.cid)]) + length.to_bytes(2, "big")


_Covered = Callable[[Record, int], bytes]


def _aead(suite: Suite, key: bytes, iv: bytes, covered: _Covered) -> Opener:
    """CCM (RFC 6655), GCM (RFC 5288), ChaCha20-Poly1305 (RFC 7905)."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import aead

    cipher: aead.AESCCM | aead.AESGCM | aead.ChaCha20Poly1305
    if suite.cipher == "CCM":
        cipher = aead.AESCCM(key, tag_length=suite.tag_bytes)
    else:
        cipher = aead.AESGCM(key) if suite.cipher == "GCM" else aead.ChaCha20Poly1305(key)
    # ChaCha20's nonce is made of the sequence number; the others carry half of it in front of the content.
    explicit = 0 if suite.cipher == "CHACHA20" else 8
    least = explicit + suite.tag_bytes

    def open_record(record: Record) -> bytes | None:
        fragment = record.fragment
        if len(fragment) < least:
            return None
        if explicit:
            nonce = iv + fragment[:8]
        else:
            nonce = bytes(a ^ b for a, b in zip(iv, bytes(4) + record.sequence, strict=True))
        try:
            return cipher.decrypt(nonce, fragment[explicit:], covered(record, len(fragment) - least))
        except (InvalidTag, ValueError):
            return None

    return open_record


def _cbc(suite: Suite, key: bytes, mac_key: bytes, encrypt_then_mac: bool, covered: _Covered) -> Opener:
    """CBC with a MAC within (RFC 5246, 6.2.3.2) or behind the ciphertext (RFC 7366)."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    size, hash_name, algorithm = suite.tag_bytes, suite.mac, algorithms.AES(key)

    def is_right(record: Record, content: bytes, mac: bytes) -> bool:
        told = covered(record, len(content)) + content
        return hmac.compare_digest(hmac.digest(mac_key, told, hash_name), mac)

    def open_record(record: Record) -> bytes | None:
        body = record.fragment
        if encrypt_then_mac:
            body, mac = body[:-size], body[-size:]
            if not is_right(record, body, mac):
                return None
        if len(body) < 32 or len(body) % 16:
            return None
        decryptor = Cipher(algorithm, modes.CBC(body[:16])).decryptor()
        plain = decryptor.update(body[16:]) + decryptor.finalize()
        padding = plain[-1] + 1
        if plain[-padding:] != bytes([plain[-1]]) * padding:
            return None
        plain = plain[:-padding]
        if encrypt_then_mac:
            return plain
        content, mac = plain[:-size], plain[-size:]
        return content if is_right(record, content, mac) else None

    return open_record

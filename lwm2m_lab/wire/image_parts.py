"""An MCUboot image taken apart: every byte by the field that it belongs to, and what a boot loader looks at, apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from lwm2m_lab.wire.anatomy import Part
from lwm2m_lab.wire.image_layout import (
    FIELDS,
    HEADER_SIZE,
    MAGIC,
    PAIR,
    PROTECTED_TRAILER,
    SIGNATURES,
    Layout,
    hash_matches,
    image_layout,
)  # fmt: skip

__all__ = ["ImageCheck", "check_image", "image_parts"]

#: TLVs of MCUboot by their type.
_TLVS = {
    0x01: "key hash", 0x02: "public key", 0x10: "SHA-256", 0x11: "SHA-384", 0x12: "SHA-512",
    0x20: "RSA-2048 signature", 0x22: "ECDSA signature", 0x23: "RSA-3072 signature", 0x24: "Ed25519 signature",
    0x25: "pure signature", 0x30: "key, RSA-2048", 0x31: "key, AES-KW", 0x32: "key, EC256", 0x33: "key, X25519",
    0x40: "dependency", 0x50: "security counter", 0x60: "boot record",
}  # fmt: skip
_FLAGS = {
    0x1: "position independent", 0x4: "encrypted, AES-128", 0x8: "encrypted, AES-256", 0x10: "not bootable",
    0x20: "run from RAM", 0x100: "fixed address",
}  # fmt: skip
_KEY_HASH, _ED25519 = 0x01, 0x24


@dataclass(frozen=True, slots=True)
class ImageCheck:
    """One thing that a boot loader looks at.

    Attributes
    ----------
    name : {"magic", "lengths", "hash", "key", "signature"}
    passed : bool or None
        None where there is nothing to look at, or nothing to look with.
    says : str
    """

    name: str
    passed: bool | None
    says: str

    def __str__(self) -> str:
        mark = {True: "ok", False: "FAILS", None: "-"}[self.passed]
        return f"{self.name:<10} {mark:<6} {self.says}"


def image_parts(data: bytes) -> tuple[Part, ...]:
    """The parts of an image, in its order; together they cover each byte once, of a damaged one too.

    Examples
    --------
    >>> header = bytes.fromhex("3db8f396 00000000 2000 0000 04000000 00000000 02 01 0000 00000000 00000000")
    >>> for part in image_parts(header + b"code")[6:9]:
    ...     print(part)
      20  version, major: 2
      21  version, minor: 1
      22  version, revision: 0
    """
    return tuple(part for part in _parts(data) if part.stop > part.start)


def _parts(data: bytes) -> Iterator[Part]:
    if len(data) < HEADER_SIZE:
        yield Part(0, len(data), "damage", "no image", f"a header has {HEADER_SIZE} bytes")
        return
    at = 0
    for width, name in FIELDS:
        number = int.from_bytes(data[at : at + width], "little")
        yield Part(at, at + width, "header", name, _field(name, number))
        at += width
    found = image_layout(data)
    yield Part(at, found.firmware, "header", "header, rest", "filled up to the size of the header")
    yield Part(found.firmware, found.protected, "payload", "firmware", _bytes(found.protected - found.firmware))
    at = found.protected
    for kind, value_at, value in found.tlvs:
        while value_at - 4 > at:
            yield Part(at, at + 4, "option", "TLV area", _area(data, at))
            at += 4
        yield Part(at, value_at, "option", f"{_name(kind)}, head", f"TLV 0x{kind:02x}, {_bytes(len(value))}")
        at = value_at + len(value)
        yield Part(value_at, at, "option", _name(kind), _value(kind, value))
    if found.wrong:
        yield Part(at, len(data), "damage", "not an image's", found.wrong)
    else:
        yield Part(at, found.end, "option", "TLV area", "empty")
        yield Part(max(at, found.end), len(data), "payload", "behind the image", "not the image's own")


def check_image(data: bytes, *, key: bytes | None = None) -> tuple[ImageCheck, ...]:
    """What a boot loader looks at, in its order; what cannot be looked at any more is left undecided.

    Parameters
    ----------
    data : bytes
    key : bytes, optional
        A public key in PEM. Only Ed25519 signatures are checked here; `FirmwareImage.verify` knows the others too.

    Examples
    --------
    >>> print(*check_image(b"no image"))
    magic      FAILS  the first four bytes are not those of MCUboot
    """
    if len(data) < HEADER_SIZE or int.from_bytes(data[:4], "little") != MAGIC:
        return (ImageCheck("magic", False, "the first four bytes are not those of MCUboot"),)
    checks = [ImageCheck("magic", True, "an MCUboot image")]
    found = image_layout(data)
    if found.wrong:
        return (*checks, ImageCheck("lengths", False, found.wrong))
    checks.append(ImageCheck("lengths", True, "header, firmware and TLVs lie where the header says"))
    checks.append(_hash_check(data, found))
    return (*checks, *_signature_checks(data[: found.trailer], found, key))


def _hash_check(data: bytes, found: Layout) -> ImageCheck:
    right = hash_matches(data, found)
    if right is None:
        return ImageCheck("hash", None, "none is stored")
    says = f"of the first {found.trailer} bytes, {'as stored' if right else 'and another one is stored'}"
    return ImageCheck("hash", right, says)


def _signature_checks(hashed: bytes, found: Layout, key: bytes | None) -> Iterator[ImageCheck]:
    """The key by its hash, then the signature over the hash."""
    stored = {kind: value for kind, _, value in found.tlvs}
    signed = [kind for kind in SIGNATURES if kind in stored]
    if not signed:
        yield ImageCheck("signature", None if key is None else False, "there is none")
        return
    if key is None:
        yield ImageCheck("signature", None, f"{_name(signed[0])}; a public key would decide")
        return
    public = _loaded(key)
    if public is None or _ED25519 not in stored:
        yield ImageCheck("signature", None, f"{_name(signed[0])} of a kind that is not checked here")
        return
    if _KEY_HASH in stored:
        own = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        same = hashlib.sha256(own).digest() == stored[_KEY_HASH]
        yield ImageCheck("key", same, "the image names this key" if same else "the image names another key")
    try:
        public.verify(stored[_ED25519], hashlib.sha256(hashed).digest())
    except InvalidSignature:
        yield ImageCheck("signature", False, "not made over this hash with the private half of this key")
    else:
        yield ImageCheck("signature", True, "made over this hash with the private half of this key")


def _loaded(key: bytes) -> Ed25519PublicKey | None:
    """The key, where it is one of Ed25519."""
    try:
        public = load_pem_public_key(key)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return public if isinstance(public, Ed25519PublicKey) else None


def _field(name: str, value: int) -> str:
    """What a field of the header says."""
    if name == "magic":
        return "MCUboot's" if value == MAGIC else f"0x{value:08x}, not MCUboot's 0x{MAGIC:08x}"
    if name == "flags":
        named = [words for bit, words in _FLAGS.items() if value & bit]
        return ", ".join(named) if named else f"0x{value:x}"
    return f"0x{value:08x}" if name in ("load address", "padding") else str(value)


def _area(data: bytes, at: int) -> str:
    magic, total = PAIR.unpack_from(data, at)
    return f"{'protected, ' if magic == PROTECTED_TRAILER else ''}{_bytes(total)}"


def _value(kind: int, value: bytes) -> str:
    if kind == 0x50 and len(value) == 4:
        return str(int.from_bytes(value, "little"))
    return _bytes(len(value))


def _name(kind: int) -> str:
    return _TLVS.get(kind, f"TLV 0x{kind:02x}")


def _bytes(number: int) -> str:
    return "1 byte" if number == 1 else f"{number} bytes"

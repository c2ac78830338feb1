"""Where header, firmware and trailers of an MCUboot image lie."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

__all__ = [
    "FIELDS", "HASHES", "HEADER_SIZE", "MAGIC", "PAIR", "PROTECTED_TRAILER", "SIGNATURES", "TRAILER", "Layout",
    "hash_matches", "image_layout",
]  # fmt: skip

MAGIC = 0x96F3B83D
TRAILER, PROTECTED_TRAILER = 0x6907, 0x6908
#: The header, field by field: width in bytes and name.
FIELDS = (
    (4, "magic"), (4, "load address"), (2, "header size"), (2, "protected TLV size"), (4, "image size"), (4, "flags"),
    (1, "version, major"), (1, "version, minor"), (2, "version, revision"), (4, "version, build"), (4, "padding"),
)  # fmt: skip
HEADER_SIZE = sum(width for width, _ in FIELDS)
#: TLVs that hold a hash, and those that hold a signature: RSA, ECDSA, Ed25519, and the pure one.
HASHES = {0x10: "sha256", 0x11: "sha384", 0x12: "sha512"}
SIGNATURES = (0x20, 0x21, 0x22, 0x23, 0x24, 0x25)
#: Magic and length of a TLV area, or type and length of a TLV.
PAIR = struct.Struct("<HH")
_SIZES = struct.Struct("<HHI")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything lies, as the header says it.

    Attributes
    ----------
    firmware, protected, trailer : int
        Where the firmware begins, where it ends and a protected TLV area would begin, and where the TLV area begins:
        hash and signature are over everything before it.
    tlvs : tuple of (int, int, bytes)
        Type, where the value begins, and the value, as far as they could be read.
    end : int
        Where the image ends; more may stand behind it.
    wrong : str
        The first thing that does not fit, empty where everything does.
    """

    firmware: int
    protected: int
    trailer: int
    tlvs: tuple[tuple[int, int, bytes], ...] = ()
    end: int = 0
    wrong: str = ""


def image_layout(data: bytes) -> Layout:
    """Find the parts of an image of at least `HEADER_SIZE` bytes, whatever its magic."""
    header, protected, size = _SIZES.unpack_from(data, 8)
    firmware, end = header, header + size
    if header < HEADER_SIZE:
        return Layout(HEADER_SIZE, HEADER_SIZE, HEADER_SIZE, wrong="the header size is too small")
    if end > len(data):
        wrong = "the header announces more bytes than there are"
        return Layout(min(firmware, len(data)), len(data), len(data), wrong=wrong)
    tlvs: list[tuple[int, int, bytes]] = []
    at, wrong = end, ""
    if protected:
        at, wrong = _area(data, at, PROTECTED_TRAILER, tlvs)
        if not wrong and at != end + protected:
            wrong = "the protected TLV area has not the length that the header says"
    if not wrong:
        at, wrong = _area(data, at, TRAILER, tlvs)
    return Layout(firmware, end, end + protected, tuple(tlvs), at, wrong)


def hash_matches(data: bytes, layout: Layout) -> bool | None:
    """Whether the stored hash is that of the bytes before the TLV area; None where none is stored."""
    stored = [(HASHES[kind], value) for kind, _, value in layout.tlvs if kind in HASHES]
    hashed = data[: layout.trailer]
    return all(hashlib.new(name, hashed).digest() == value for name, value in stored) if stored else None


def _area(data: bytes, at: int, magic: int, tlvs: list[tuple[int, int, bytes]]) -> tuple[int, str]:
    """Read the TLVs of one area; returns how far it could be read, and what is wrong with it."""
    if at + PAIR.size > len(data):
        return at, "the TLV area is cut off"
    found, total = PAIR.unpack_from(data, at)
    end = at + total
    if found != magic:
        return at, f"the TLV area does not begin with 0x{magic:04x}"
    if end > len(data):
        return at, "the TLV area reaches beyond the file"
    at += PAIR.size
    while at < end:
        kind, length = PAIR.unpack_from(data, at) if at + PAIR.size <= end else (0, len(data))
        value_at = at + PAIR.size
        at = value_at + length
        if at > end:
            return tlvs[-1][1] + len(tlvs[-1][2]) if tlvs else value_at - PAIR.size, "a TLV reaches beyond its area"
        tlvs.append((kind & 0xFF, value_at, data[value_at:at]))
    return at, ""

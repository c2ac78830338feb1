"""MCUboot images read: version, sizes, and whether the hash in the trailer matches (tested against imgtool)."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

__all__ = ["ImageInfo", "read_image"]

MAGIC = 0x96F3B83D
_HEADER = struct.Struct("<IIHHIIBBHI")
_TLV_INFO, _TLV = struct.Struct("<HH"), struct.Struct("<HH")
TRAILER, PROTECTED_TRAILER = 0x6907, 0x6908
_HASHES = {0x10: "sha256", 0x11: "sha384", 0x12: "sha512"}
#: RSA, ECDSA and Ed25519 signatures, and the pure one.
_SIGNATURES = frozenset({0x20, 0x21, 0x22, 0x23, 0x24, 0x25})


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What an image says of itself.

    Attributes
    ----------
    version : str
        ``"2.1.0"``, with ``"+7"`` where the build number is not 0.
    header_size, image_size, total_size : int
        Bytes: of the header, of the firmware behind it, of the data given.
    hash_valid : bool or None
        Whether the hash in the trailer matches; False also where the trailer is cut off, None where none is stored.
    sha256 : str
        Of all the data, in hex.
    signed : bool
        Whether the trailer holds a signature. It is not checked here: that needs the key.
    """

    version: str
    header_size: int
    image_size: int
    total_size: int
    hash_valid: bool | None
    sha256: str
    signed: bool


def read_image(data: bytes) -> ImageInfo | None:
    """Read an MCUboot image; None where the data does not begin with its header.

    Examples
    --------
    >>> read_image(b"#!/bin/sh") is None
    True
    """
    if len(data) < _HEADER.size:
        return None
    magic, _, header_size, protected_size, image_size, _, major, minor, revision, build = _HEADER.unpack_from(data)
    if magic != MAGIC:
        return None
    version = f"{major}.{minor}.{revision}" + (f"+{build}" if build else "")
    hashed = header_size + image_size + protected_size
    entries = _trailer(data, hashed)
    valid: bool | None = False
    if entries is not None:
        stored = [(_HASHES[kind], value) for kind, value in entries if kind in _HASHES]
        valid = all(hashlib.new(name, data[:hashed]).digest() == value for name, value in stored) if stored else None
    signed = any(kind in _SIGNATURES for kind, _ in entries or [])
    return ImageInfo(version, header_size, image_size, len(data), valid, hashlib.sha256(data).hexdigest(), signed)


def _trailer(data: bytes, at: int) -> list[tuple[int, bytes]] | None:
    """The entries of the unprotected trailer; None where it is not whole."""
    if at + _TLV_INFO.size > len(data):
        return None
    magic, total = _TLV_INFO.unpack_from(data, at)
    end, at = at + total, at + _TLV_INFO.size
    if magic != TRAILER or end > len(data):
        return None
    entries = []
    while at < end:
        if at + _TLV.size > end:
            return None
        kind, length = _TLV.unpack_from(data, at)
        at += _TLV.size
        if at + length > end:
            return None
        entries.append((kind & 0xFF, data[at : at + length]))
        at += length
    return entries

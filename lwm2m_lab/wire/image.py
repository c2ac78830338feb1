"""MCUboot images read: version, sizes, and whether the hash in the trailer matches (tested against imgtool)."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from lwm2m_lab.wire.image_layout import MAGIC, SIGNATURES, hash_matches, image_layout

__all__ = ["ImageInfo", "read_image"]

_HEADER = struct.Struct("<IIHHIIBBHI")


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
    magic, _, header_size, _, image_size, _, major, minor, revision, build = _HEADER.unpack_from(data)
    if magic != MAGIC:
        return None
    version = f"{major}.{minor}.{revision}" + (f"+{build}" if build else "")
    found = image_layout(data)
    valid = False if found.wrong else hash_matches(data, found)
    signed = any(kind in SIGNATURES for kind, _, _ in found.tlvs)
    return ImageInfo(version, header_size, image_size, len(data), valid, hashlib.sha256(data).hexdigest(), signed)

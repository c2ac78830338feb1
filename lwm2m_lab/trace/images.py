"""The image of an update compared with a file: equal, or where the first difference is and which frame carried it."""

from __future__ import annotations

import base64
import binascii
import os
import pathlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lwm2m_lab.errors import BadInput
from lwm2m_lab.files import write_beside
from lwm2m_lab.trace.transfers import useful
from lwm2m_lab.wire import tlv

if TYPE_CHECKING:
    from lwm2m_lab.trace.updates import Update

__all__ = ["ImageComparison", "compare_image", "file_name_of", "save_image"]

#: Bytes shown on either side of a difference.
SHOWN = 8


@dataclass(frozen=True)
class ImageComparison:
    """How the image of an update compares with a file.

    Attributes
    ----------
    equal : bool or None
        None where no byte differs but bytes are missing.
    sentence : str
        The same in words.
    offset, block, frame : int or None
        Of the first difference: offset in the image, number of the block in it (None by HTTP), packet that carried it.
    found, expected : bytes
        Some bytes from there on, in the image and in the file.
    image_size, file_size : int or None, int
        Bytes; None where the image is not whole.
    """

    equal: bool | None
    sentence: str
    offset: int | None
    block: int | None
    frame: int | None
    found: bytes
    expected: bytes
    image_size: int | None
    file_size: int

    def __str__(self) -> str:
        return self.sentence

    def to_dict(self) -> dict[str, Any]:
        """For JSON: bytes in hex."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return fields | {"found": self.found.hex(), "expected": self.expected.hex()}


@dataclass(frozen=True)
class _Part:
    """Some bytes of the image as they came: offset, number of the block, packet."""

    offset: int
    data: bytes
    block: int | None
    frame: int


def save_image(update: Update, path: str | os.PathLike[str]) -> None:
    """Write the image of an update to a file; see `Update.save_image`."""
    image = update.evidence.image
    if image is None:
        raise BadInput(f"the image of {update.endpoint} is not whole in the capture; one that is, is expected")
    write_beside(path, image)


def compare_image(update: Update, expected: bytes | str | os.PathLike[str]) -> ImageComparison:
    """Compare the image of an update with a file or with bytes; see `Update.compare_image`."""
    name, file = _content(expected)
    image = update.evidence.image
    size = None if image is None else len(image)
    if image == file:
        return ImageComparison(True, f"the image is {name}, byte for byte", None, None, None, b"", b"", size, len(file))
    parts = list(_parts(update))
    part, at = _first_difference(parts, file) if image is None else _first_in(image, parts, file)
    if at is None or at == size:
        return _without_difference(update, name, size, file)
    found = (image[at:] if image is not None else part.data[at - part.offset :] if part else b"")[:SHOWN]
    wanted = file[at : at + SHOWN]
    where = "" if part is None else f", in frame {part.frame}"
    where = f", in block {part.block}, frame {part.frame}" if part is not None and part.block is not None else where
    sentence = f"the image differs from {name} from byte {at} on{where}: {_hex(found)} instead of {_hex(wanted)}"
    if at >= len(file):
        sentence = f"the image goes on where {name} ends, at byte {at}{where}"
        sentence += "" if size is None else f": it has {size - len(file)} bytes more"
    wrapped = None if image is None else _wrapping(image, file, name)
    block, frame = (part.block, part.frame) if part is not None else (None, None)
    return ImageComparison(False, wrapped or sentence, at, block, frame, found, wanted, size, len(file))


def _content(expected: bytes | str | os.PathLike[str]) -> tuple[str, bytes]:
    if isinstance(expected, bytes):
        return "what was expected", expected
    try:
        return pathlib.Path(expected).name, pathlib.Path(expected).read_bytes()
    except OSError as error:
        raise BadInput(f"{expected} cannot be read ({error.strerror}); an image file is expected") from None


def _parts(update: Update) -> Iterator[_Part]:
    """The pieces that the image came in, in the order of their offsets; offsets are those in the unwrapped image."""
    evidence = update.evidence
    for one in evidence.http:
        if one.status in (200, 206) and one.method != "HEAD":
            said = one.content_range if one.status == 206 else None
            start = said.first if said else 0
            for offset, data, frame in one.pieces():
                yield _Part(start + offset, data, None, frame)
    # The transfer that the image was taken from is the last one; what it repeats of earlier ones counts last.
    blocks = useful(update.capture.block_rows(evidence.exchanges))
    if not len(blocks):
        return
    payload = update.capture.columns.payload
    shift = _header_size(payload(blocks.first("_carrier")), blocks.first("_form"))
    for offset, num, frame, row in blocks.each("offset", "num", "frame", "_carrier"):
        begin = offset - shift
        yield _Part(max(begin, 0), payload(row)[max(-begin, 0) :], num, frame)


def _header_size(first: bytes, form: int) -> int:
    """Bytes of the TLV header in front of the image."""
    if form not in (11542, 1542) or not first:
        return 0
    return 2 + (first[0] >> 5 & 1) + (first[0] >> 3 & 3)


def _first_in(image: bytes, parts: list[_Part], file: bytes) -> tuple[_Part | None, int]:
    """The first byte of a whole image that differs, and the piece that carried it as it is."""
    at = _common(image, file)
    carrying = (one for one in parts if one.offset <= at < one.offset + len(one.data))
    return next((one for one in carrying if image.startswith(one.data, one.offset)), None), at


def _first_difference(parts: list[_Part], file: bytes) -> tuple[_Part | None, int | None]:
    """The piece with the first byte that differs, and its offset in the image."""
    found = [
        (one.offset + _common(one.data, wanted), number)
        for number, one in enumerate(parts)
        if one.data != (wanted := file[one.offset : one.offset + len(one.data)])
    ]
    return (parts[min(found)[1]], min(found)[0]) if found else (None, None)


def _common(one: bytes, other: bytes) -> int:
    """Number of bytes that two strings have in common at their beginnings."""
    size = min(len(one), len(other))
    differs = np.nonzero(np.frombuffer(one, np.uint8, size) != np.frombuffer(other, np.uint8, size))[0]
    return int(differs[0]) if differs.size else size


def _without_difference(update: Update, name: str, size: int | None, file: bytes) -> ImageComparison:
    """No byte that was seen differs: the image ends too early, or was not seen whole."""
    if size is None:
        sentence = f"the image is not whole in the capture; what there is of it agrees with {name}"
        return ImageComparison(None, sentence, None, None, None, b"", b"", None, len(file))
    sentence = f"the image ends at byte {size}, where {name} has {len(file) - size} bytes more"
    last = update.evidence.last_frame
    return ImageComparison(False, sentence, size, None, last, b"", file[size : size + SHOWN], size, len(file))


def _wrapping(image: bytes, file: bytes, name: str) -> str | None:
    """Whether one is the other in a wrapping that somebody forgot to take off or to declare."""
    for outer, inner, said in (
        (
            image,
            file,
            f"the image is {name} wrapped in TLV: {{}} bytes of header stand in front",
        ),
        (file, image, f"the image is what {name} holds wrapped in TLV, behind {{}} bytes of header"),
    ):
        if len(outer) - len(inner) in range(2, 7) and outer.endswith(inner) and _is_tlv(outer):
            return said.format(len(outer) - len(inner))
    try:
        if base64.b64decode(image, validate=True) == file:
            return f"the image is {name} in base64"
    except binascii.Error:
        pass
    return None


def _is_tlv(data: bytes) -> bool:
    try:
        return sum(1 for _ in tlv.records(data)) == 1
    except tlv.TlvError:
        return False


def _hex(data: bytes) -> str:
    return data.hex(" ") or "nothing"


def file_name_of(update: Update, number: int) -> str:
    """A name for the image's file that any system takes: endpoint and number.

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> file_name_of(lab.read("anjay-push-256-ok").update(0), 0)
    'urn-dev-anjay-1-0.bin'
    """
    return f"{re.sub('[^A-Za-z0-9._]+', '-', update.endpoint).strip('.-')[:80] or 'image'}-{number}.bin"

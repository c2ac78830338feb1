"""The images of the bench: good ones, a damaged one, one that is no firmware, and those that an operator gives."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.image import FirmwareImage, image
from lwm2m_lab.wire.image import read_image

__all__ = ["PREPARATIONS", "Images"]

#: What an operator would have to prepare for a case that needs more than a good image.
PREPARATIONS: Mapping[str, str] = {
    "too large": "an image larger than the storage of the device (--too-large FILE)",
    "too much memory": "an image that fits the storage of the device and not its memory (--too-much-memory FILE)",
    "failing": "an image that the device takes and cannot install (--failing FILE)",
}
#: What no device takes for firmware, larger than one block.
NO_FIRMWARE = b"This is a text, and no firmware image of any kind.\n" * 40


@dataclass
class Images:
    """Where each image of a case comes from.

    Parameters
    ----------
    given : FirmwareImage, optional
        A good image for the device; without one MCUboot images are made, each of a version of its own.
    prepared : mapping of str to bytes
        Images made for a case, by the names of `PREPARATIONS`.
    size : int
        Bytes of an image that is made.
    made : int
        How many have been made: the last number of the version.

    Examples
    --------
    >>> images = Images()
    >>> images.take("valid").version, images.take("valid").version, images.take("damaged").verify()
    ('2.0.1', '2.0.2', 'INVALID_HASH')
    """

    given: FirmwareImage | None = None
    prepared: Mapping[str, bytes] = field(default_factory=dict)
    size: int = 4_000
    made: int = 0

    def take(self, kind: str) -> FirmwareImage:
        """An image: ``"valid"``, ``"damaged"``, ``"no firmware"``, or one that was prepared."""
        if kind in self.prepared:
            data = self.prepared[kind]
            return FirmwareImage(data, _version(data))
        if kind == "no firmware":
            return FirmwareImage(NO_FIRMWARE, "unknown")
        return self._good().damaged() if kind == "damaged" else self._good()

    def _good(self) -> FirmwareImage:
        if self.given is not None:
            return self.given
        self.made += 1
        return image(version=f"2.0.{self.made}", size=self.size)

    @classmethod
    def from_files(
        cls, given: str | os.PathLike[str] | None, version: str | None, prepared: Mapping[str, str | os.PathLike[str]]
    ) -> Images:
        """The images that an operator gives.

        Parameters
        ----------
        given : path or None
        version : str or None
            What `/3/0/3` says once the image is installed; None takes it from an MCUboot header.
        prepared : mapping of str to path

        Raises
        ------
        BadInput
            For a file that cannot be read or is empty, or an image that no case needs.
        """
        for kind in prepared:
            if kind not in PREPARATIONS:
                raise BadInput(f"no case needs an image {kind!r}; one of {', '.join(PREPARATIONS)} is expected")
        data = None if given is None else _read(given)
        good = None if data is None else FirmwareImage(data, version or _version(data))
        return cls(good, {kind: _read(path) for kind, path in prepared.items()})


def _version(data: bytes) -> str:
    """Version in an MCUboot header."""
    info = read_image(data)
    return info.version if info else "unknown"


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        data = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); a firmware image is expected") from None
    if not data:
        raise BadInput(f"{path} is empty; a firmware image is expected")
    return data

"""`Package`: a firmware image put together from a capture."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from lwm2m_lab.wire.image import ImageInfo, read_image

__all__ = ["Package"]


@dataclass(frozen=True)
class Package:
    """A package put together: what it is is kept, its bytes are read from the capture again when somebody asks.

    Attributes
    ----------
    size : int
        Bytes.
    sha256 : str
    info : ImageInfo or None
        What it says of itself; None where it is of no format that the lab knows.
    read : callable
        Gives the bytes.
    """

    size: int
    sha256: str
    info: ImageInfo | None
    read: Callable[[], bytes]

    @classmethod
    def of(cls, read: Callable[[], bytes | None]) -> Package | None:
        """The package that `read` gives; None where it gives none."""
        data = read()
        if data is None:
            return None
        return cls(len(data), hashlib.sha256(data).hexdigest(), read_image(data), lambda: read() or b"")

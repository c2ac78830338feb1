"""`Delivery`: one delivery of a package, and what a push and a pull have in common."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from lwm2m_lab.trace import transfers
from lwm2m_lab.trace.packages import Package
from lwm2m_lab.trace.rows import Rows
from lwm2m_lab.wire import values
from lwm2m_lab.wire.image import ImageInfo

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture
    from lwm2m_lab.wire.http import HttpExchange

__all__ = ["Delivery", "extend", "is_success", "note_unanswered", "package_of"]


@dataclass
class Delivery:
    """One delivery of a package.

    Attributes
    ----------
    endpoint, kind : str
    first_frame, last_frame : int
        The first Write, and the last frame of the delivery itself.
    accepted : bool or None
        Whether its final answer was 2.xx; None where none was seen.
    final_code, refused_by : str or None
        That answer, and who gave it where it is an error: ``"device"`` or ``"repository"``.
    package : Package or None
        The package, unwrapped; None where a byte is missing.
    uri : str or None
        The Package URI of a pull.
    resets : list of int
        Frames of later Writes of the reset value that were answered 2.04.
    unanswered : (int, int) or None
        Frame and copies of the last request where it was never answered.
    exchanges : list of int
        Positions in the exchanges of the capture.
    request_frames : list of int
    block_sizes : tuple of int
    http : tuple of HttpExchange
        The requests of a download by HTTP.
    connections : tuple of (str, str)
        Client and server of the TCP connections that a download used.
    unfinished : str
        Why the capture does not show its end, where something is known of that.
    until : float
        Frame of the endpoint's next delivery; of one that another server tried in vain meanwhile, its own end.
    """

    endpoint: str
    kind: Literal["push", "pull"]
    first_frame: int
    last_frame: int
    accepted: bool | None = None
    final_code: str | None = None
    refused_by: str | None = None
    package: Package | None = None
    uri: str | None = None
    resets: list[int] = field(default_factory=list)
    unanswered: tuple[int, int] | None = None
    unanswered_what: str = ""
    exchanges: list[int] = field(default_factory=list)
    request_frames: list[int] = field(default_factory=list)
    block_sizes: tuple[int, ...] = ()
    is_open: bool = True
    first_refusal: tuple[str, int] | None = None
    http: tuple[HttpExchange, ...] = ()
    connections: tuple[tuple[str, str], ...] = ()
    unfinished: str = ""
    until: float = np.inf

    @property
    def image(self) -> bytes | None:
        """The bytes of the package."""
        return None if self.package is None else self.package.read()

    @property
    def info(self) -> ImageInfo | None:
        """What the package says of itself."""
        return None if self.package is None else self.package.info


def is_success(code: object) -> bool | None:
    """Whether a response code is 2.xx; None where there is none."""
    return code.startswith("2.") if isinstance(code, str) else None


def package_of(capture: Capture, parts: Sequence[Rows]) -> Package | None:
    """The package in the last transfer, or in those together that went on where the one before had broken off."""
    kept = [parts[-1]]
    package = Package.of(lambda: _unwrapped(capture, kept[0]))
    for earlier in reversed(parts[:-1]):
        if package is not None or not _goes_on(earlier, kept[0]):
            break
        kept.insert(0, earlier)
        package = Package.of(lambda: _unwrapped(capture, functools.reduce(operator.add, kept)))
    return package


def _goes_on(earlier: Rows, later: Rows) -> bool:
    """Whether a transfer resumes another one: not at its beginning, and with nothing that says it is another body."""
    if later.first("offset") == 0:
        return False
    for name in ("_etag", "expected", "_form"):
        one, other = (set(part[name][part[name] >= 0].tolist()) for part in (earlier, later))
        if one and other and one != other:
            return False
    return True


def _unwrapped(capture: Capture, blocks: Rows) -> bytes | None:
    """The body that the blocks make, out of its wrapping."""
    body, form = transfers.body_of(capture.columns, blocks), blocks.first("_form")
    return None if body is None else values.unwrap_package(body, None if form < 0 else form)


def extend(exchanges: Rows, delivery: Delivery, positions: list[int]) -> None:
    """Add exchanges, which are all of a capture, to a delivery."""
    delivery.exchanges += positions
    part = exchanges[positions]
    delivery.request_frames += part.frame.tolist()
    last = max(part["_last_frame"].max(initial=0), part.response_frame.max(initial=0))
    delivery.last_frame = max(delivery.last_frame, int(last))


def note_unanswered(exchanges: Rows, delivery: Delivery, at: int, what: str) -> None:
    """Note whether the last request of a delivery was answered."""
    last = exchanges[[at]]
    delivery.unanswered = None if last.first("_response") >= 0 else (last.first("frame"), last.first("_copies"))
    delivery.unanswered_what = what

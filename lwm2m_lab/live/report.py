"""`Report`: what a server concluded about one update."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lwm2m_lab.live.strategies import Seen
from lwm2m_lab.spec.objects import UpdateResult

__all__ = ["Outcome", "Report", "without_success"]

Outcome = Literal["succeeded", "failed", "cancelled", "deferred", "undecided", "unfinished"]


def without_success(result: int | None) -> Outcome:
    """The word for an update that brought this Update Result and no new firmware.

    Examples
    --------
    >>> [without_success(result) for result in (8, 10, 11, None)]
    ['failed', 'cancelled', 'deferred', 'failed']
    """
    named: dict[int | None, Outcome] = {UpdateResult.CANCELLED: "cancelled", UpdateResult.DEFERRED: "deferred"}
    return named.get(result, "failed")


@dataclass(frozen=True)
class Report:
    """What the server concluded.

    Attributes
    ----------
    outcome : {"succeeded", "failed", "cancelled", "deferred", "undecided", "unfinished"}
        How the update went, as far as the server knows; undecided: what its strategy looks at does not tell.
    sentence : str
        Why it thinks so.
    firmware_version_before, firmware_version_after, pkg_version : str or None
        What it read.
    endpoint : str
    delivery : {"push", "pull"}
    strategy : str
        By which it decided.
    seen : Seen
        All that it read, moment by moment.
    began, duration : float
        Seconds: on the clock of the loop, and from there to the report.
    attempts : int
        How often it had to try again after silence.
    chosen : str
        Why it was delivered so, where the server chose by what the device offers.
    """

    outcome: Outcome
    sentence: str
    firmware_version_before: str | None = None
    firmware_version_after: str | None = None
    pkg_version: str | None = None
    endpoint: str = field(default="", repr=False)
    delivery: Literal["push", "pull"] = field(default="push", repr=False)
    strategy: str = field(default="lab", repr=False)
    seen: Seen = field(default=Seen(""), repr=False)
    began: float = field(default=0.0, repr=False)
    duration: float = field(default=0.0, repr=False)
    attempts: int = field(default=0, repr=False)
    chosen: str = field(default="", repr=False)

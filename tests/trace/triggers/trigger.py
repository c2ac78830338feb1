"""What a trigger is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Trigger"]


@dataclass(frozen=True)
class Trigger:
    """Scripts (see `tests.peers`) around one rule.

    Attributes
    ----------
    shows : str
        What the capture shows, in a few words.
    script : str
    verdict, party, certainty : str
        What the rule concludes.
    quiet : tuple of str
        Near misses: scripts in which the rule finds nothing wrong.
    """

    shows: str
    script: str
    verdict: str = "FAIL"
    party: str = "device"
    certainty: str = "proved"
    quiet: tuple[str, ...] = ()

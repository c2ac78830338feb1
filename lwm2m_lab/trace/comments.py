"""What an explanation says, frame by frame: the packet comments of an annotated capture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lwm2m_lab.wire.text import printable

if TYPE_CHECKING:
    from lwm2m_lab.trace.explain import Explanation

__all__ = ["comments_of"]

#: A frame that a hundred rules point at is not read.
_MOST = 20


def comments_of(explanation: Explanation) -> dict[int, list[str]]:
    """The comments of each frame.

    The first Write of an update carries the sentence of the update; the first frame of a finding that fails or leaves
    something open carries the finding, its other frames a word that leads there.

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> comments_of(lab.explain("anjay-push-256-ok"))[15][0]
    'lwm2m-lab: urn:dev:anjay-1: the push of 20000 bytes (frames 15 to 194) succeeded: /3/0/3 went from 3.13.1 to ...'
    """
    said: dict[int, list[str]] = {}
    for update in explanation.updates:
        said.setdefault(update.frames[0], []).append(explanation.of_update(update).sentence)
    for finding in explanation.problems:
        first_write = [one.frames[0] for one in explanation.updates if one.endpoint == finding.endpoint]
        frames = finding.frames or tuple(first_write[:1])
        head = f"{finding.rule} {finding.verdict}"
        for frame in frames[:1]:
            said.setdefault(frame, []).append(
                f"{head}, {finding.certainty}, {finding.party}: {finding.title}: {finding.sentence} [{finding.clause}]"
            )
        for frame in frames[1:]:
            said.setdefault(frame, []).append(f"{head}: {finding.title}, see frame {frames[0]}")
    return {frame: [printable(f"lwm2m-lab: {one}") for one in _bounded(lines)] for frame, lines in said.items()}


def _bounded(lines: list[str]) -> list[str]:
    return lines if len(lines) <= _MOST else [*lines[:_MOST], f"and {len(lines) - _MOST} findings more"]

"""Why one device of a campaign was not updated: by the analyser where its capture is kept, else by what is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lwm2m_lab.spec.objects import UpdateResult

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["Cause", "Source", "cause_of"]

Source = Literal["analyser", "Update Result", "server", ""]
#: Results that give no reason.
_NO_REASON = (UpdateResult.INITIAL, UpdateResult.SUCCESS)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an update did not succeed.

    Attributes
    ----------
    words : str
        Short, and the same for all devices that it befell: a rule of the analyser, an Update Result, or the server's
        sentence.
    source : {"analyser", "Update Result", "server", ""}
        Who says so.
    sentence : str
        With the frames, where the analyser says so.
    """

    words: str = ""
    source: Source = ""
    sentence: str = ""


def cause_of(capture: Capture | None, *, result: int, sentence: str) -> Cause:
    """What the analyser finds first in a device's capture; without one its Update Result, or the server's word.

    Parameters
    ----------
    capture : Capture or None
    result : int
        The device's Update Result in the end.
    sentence : str
        What the server concluded.

    Examples
    --------
    >>> cause_of(None, result=5, sentence="the delivery ended in State 0").words
    'Update Result 5 Integrity check failed'
    >>> cause_of(None, result=0, sentence="PUT /5/0/0 got no answer within 4 retransmissions").source
    'server'
    """
    if capture is not None:
        explanation = capture.explain()
        if explanation.updates:
            last = explanation.updates[-1]
            first = next((finding for _, finding in explanation.chain(last)), None)
            words = _by_result(result) or sentence if first is None else f"{first.rule} {first.title}"
            return Cause(words, "analyser", last.cause or sentence)
    if words := _by_result(result):
        return Cause(words, "Update Result", sentence)
    return Cause(sentence, "server", sentence)


def _by_result(result: int) -> str:
    try:
        known = UpdateResult(result)
    except ValueError:
        return f"Update Result {result}"
    return "" if known in _NO_REASON else f"Update Result {known}"

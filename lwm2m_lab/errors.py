"""The errors of the lab: one small tree, one sentence each.

A message says what was wrong, where, and what would have been accepted. In a notebook only that sentence is shown: a
traceback through the library teaches nothing, and its paths would differ on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["BadInput", "ChoiceNeeded", "Deadlock", "IllegalEvent", "LabError"]


class LabError(Exception):
    """Anything the lab refuses; the text is one sentence.

    Examples
    --------
    >>> raise LabError("loss is 1.5; a probability from 0 to 1 is expected")
    Traceback (most recent call last):
    lwm2m_lab.errors.LabError: loss is 1.5; a probability from 0 to 1 is expected
    """

    def _render_traceback_(self) -> list[str]:
        """Show IPython the sentence alone, so that a stored output holds no path of one machine."""
        return [f"{type(self).__name__}: {self}"]


class BadInput(LabError, ValueError):
    """An argument or a file that cannot be used; the command line ends with status 2."""


class Deadlock(LabError):
    """Simulated time stands still: nothing is scheduled and nothing is in flight."""


class ChoiceNeeded(LabError):
    """The standard permits several outcomes and neither the caller nor the profile chose one.

    Attributes
    ----------
    outcomes : tuple
        The permitted (state, result) pairs, in the order of the rules.
    """

    def __init__(self, sentence: str, *, outcomes: Sequence[object] = ()) -> None:
        super().__init__(sentence)
        self.outcomes = tuple(outcomes)


class IllegalEvent(LabError):
    """An event that is no trigger in the present state; state and result are as they were.

    Attributes
    ----------
    event, state : object
        What was sent, and the state that it met.
    accepted : tuple
        The events that would have been accepted.
    clause : str
        Where the standard says so.
    response : str or None
        The CoAP code that a device answers with, such as ``"4.05"``; None for an event that is no request.
    """

    def __init__(
        self,
        sentence: str,
        *,
        event: object = None,
        state: object = None,
        accepted: Sequence[object] = (),
        clause: str = "",
        response: str | None = None,
    ) -> None:
        super().__init__(sentence)
        self.event, self.state = event, state
        self.accepted, self.clause, self.response = tuple(accepted), clause, response

"""Exercises that check themselves: what is missing in words, hints one after the other, never just "wrong".

The exercises of a lesson have a module of their own; the right answers are computed when they are asked for, none is
written down.
"""

from __future__ import annotations

import difflib
from typing import Any

from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.exercises import (
    lesson_01,
    lesson_02,
    lesson_03,
    lesson_04,
    lesson_05,
    lesson_06,
    lesson_07,
    lesson_08,
    lesson_09,
    lesson_10,
    lesson_11,
    lesson_12,
)
from lwm2m_lab.show.exercises.judging import Exercise, Feedback

__all__ = ["EXERCISES", "Exercise", "Feedback", "check"]

EXERCISES: dict[str, Exercise] = {
    **lesson_01.EXERCISES,
    **lesson_02.EXERCISES,
    **lesson_03.EXERCISES,
    **lesson_04.EXERCISES,
    **lesson_05.EXERCISES,
    **lesson_06.EXERCISES,
    **lesson_07.EXERCISES,
    **lesson_08.EXERCISES,
    **lesson_09.EXERCISES,
    **lesson_10.EXERCISES,
    **lesson_11.EXERCISES,
    **lesson_12.EXERCISES,
}

#: How often each exercise was tried: each try shows the next hint.
_tries: dict[str, int] = {}


def check(name: str, answer: Any) -> Feedback:
    """Check an answer.

    Parameters
    ----------
    name : str
        Of the exercise, ``"01-blocks"``.
    answer : object
        ``...`` asks for the first hint.

    Raises
    ------
    BadInput
        For an exercise that does not exist.

    Examples
    --------
    >>> check("01-blocks", 79)
    ✓ 78 full blocks and one that is shorter: the last block ends the transfer by its M bit, not by its size.
    """
    if name not in EXERCISES:
        near = difflib.get_close_matches(str(name), EXERCISES, n=4, cutoff=0.4)
        like = f"one like {', '.join(near)}" if near else "a name such as 01-blocks, as its cell in the lesson has it,"
        raise BadInput(f"there is no exercise {name!r}; {like} is expected")
    exercise = EXERCISES[name]
    if answer is ...:
        return Feedback(False, f"Replace the dots by your answer. Hint: {exercise.hints[0]}")
    missing = exercise.judge(answer)
    if not missing:
        _tries.pop(name, None)
        return Feedback(True, exercise.praise if isinstance(exercise.praise, str) else exercise.praise())
    tried = _tries[name] = _tries.get(name, -1) + 1
    return Feedback(False, f"{missing} Hint: {exercise.hints[min(tried, len(exercise.hints) - 1)]}")

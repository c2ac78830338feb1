"""What a learner hands in, whatever its type: a count of numpy's and 24.0 from a division are whole numbers, too."""

from __future__ import annotations

import operator
from typing import Any

__all__ = ["verdict", "whole", "words"]


def whole(answer: Any) -> int | None:
    """The whole number that an answer is; None where it is none.

    Examples
    --------
    >>> whole(24), whole(1536 / 64), whole(24.5), whole(True), whole("24")
    (24, 24, None, None, None)
    """
    if isinstance(answer, float) and answer.is_integer():
        return int(answer)
    if isinstance(answer, bool) or type(answer).__name__ == "bool":
        return None
    try:
        return operator.index(answer)
    except TypeError:
        return None


def verdict(word: Any) -> str:
    """A verdict as the lab spells it; what people call undecided is INCONCLUSIVE.

    Examples
    --------
    >>> verdict(" pass"), verdict("undecided")
    ('PASS', 'INCONCLUSIVE')
    """
    plain = str(word).strip().upper()
    return "INCONCLUSIVE" if plain == "UNDECIDED" else plain


def words(answer: Any) -> list[str]:
    """The words of a row, given as one string or one by one; what is not there may be None or a dash.

    Examples
    --------
    >>> words("- – 2.0.0"), words([None, "-", "2.0.0"])
    (['-', '-', '2.0.0'], ['-', '-', '2.0.0'])
    """
    parts = answer if isinstance(answer, list | tuple) else str(answer).split()
    return ["-" if one is None else str(one).strip().replace("–", "-") for one in parts]

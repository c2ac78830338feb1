"""Every case of the bench, and how a few are chosen."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.conformance.lab_cases import LAB_CASES
from lwm2m_lab.live.conformance.oma_cases import OMA_CASES
from lwm2m_lab.live.conformance.records import Case

__all__ = ["CASES", "chosen"]

#: Those of OMA in the order of their numbers, then the lab's own.
CASES: tuple[Case, ...] = (*OMA_CASES, *LAB_CASES)


def chosen(patterns: Iterable[str] | None) -> tuple[Case, ...]:
    """The cases whose names match one of some patterns; all without any.

    Raises
    ------
    BadInput
        For a pattern that fits none.

    Examples
    --------
    >>> [case.id for case in chosen(["int-77[02]", "cancel-i*"])]
    ['int-770', 'int-772', 'cancel-idle']
    """
    patterns = tuple(patterns or ())
    for pattern in patterns:
        if not fnmatch.filter((case.id for case in CASES), pattern):
            raise BadInput(f"no case is named {pattern!r}; names such as int-770, int-77*, cancel-idle are expected")
    return tuple(case for case in CASES if not patterns or any(fnmatch.fnmatch(case.id, one) for one in patterns))

"""Write-Attributes: which notifications a server wants, and when."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace

from aiocoap.numbers.codes import Code

from lwm2m_lab.live.tree import Refusal

__all__ = ["AttributeStore", "Attributes"]

#: Numbers as an attribute may say them; Python's own would take `1_0`, and numbers too large for any clock.
_WHOLE = re.compile("[0-9]{1,10}")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,30}([.][0-9]{1,30})?([eE][+-]?[0-9]{1,2})?")
#: Attributes that a resource alone can have, if its value is a number.
OF_NUMBERS = ("gt", "lt", "st")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """The notification attributes of one path; None where one is not set.

    Attributes
    ----------
    pmin, pmax : int or None
        Seconds between two notifications, at least and at most.
    gt, lt : float or None
        Thresholds: a value that crosses one is told.
    st : float or None
        Step: a value is told once it differs by so much from the last one told.
    """

    pmin: int | None = None
    pmax: int | None = None
    gt: float | None = None
    lt: float | None = None
    st: float | None = None

    def over(self, below: Attributes) -> Attributes:
        """These, and those of a level above where one is not set."""
        return replace(below, **dict(self.items()))  # type: ignore[arg-type]

    def items(self) -> list[tuple[str, float]]:
        """The attributes that are set, by name."""
        found = [(one.name, getattr(self, one.name)) for one in fields(self)]
        return [(name, value) for name, value in found if value is not None]

    def texts(self) -> dict[str, str]:
        """As a Discover shows them."""
        return {name: f"{value:.15g}" for name, value in self.items()}

    def wants(self, told: object, now: object) -> bool:
        """Whether a value is worth a notification, given the last one told.

        Examples
        --------
        >>> Attributes(gt=10.0).wants(9, 11), Attributes(gt=10.0).wants(11, 12), Attributes().wants(1, 2)
        (True, False, True)
        """
        conditions = [name for name in OF_NUMBERS if getattr(self, name) is not None]
        if not conditions or not _is_number(told) or not _is_number(now):
            return told != now
        assert isinstance(told, int | float)
        assert isinstance(now, int | float)
        if self.st is not None and abs(now - told) >= self.st:
            return True
        return any(
            (told > limit) != (now > limit) if name == "gt" else (told < limit) != (now < limit)
            for name, limit in (("gt", self.gt), ("lt", self.lt))
            if limit is not None
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass
class AttributeStore:
    """The attributes of every path of one device."""

    _by_path: dict[str, Attributes] = field(default_factory=dict)

    def of(self, path: str) -> Attributes:
        """What was written to this very path."""
        return self._by_path.get(path, Attributes())

    def effective(self, path: str, *, defaults: Attributes) -> Attributes:
        """What holds for a path: its own, those of its instance, of its object, and the server's defaults."""
        found = defaults
        parts = path.strip("/").split("/")
        for depth in range(1, len(parts) + 1):
            found = self.of("/" + "/".join(parts[:depth])).over(found)
        if found.pmin is not None and found.pmax is not None and found.pmax < found.pmin:
            # A maximum below the minimum counts as none (LwM2M, 5.1.2).
            return replace(found, pmax=None)
        return found

    def write(self, path: str, queries: Iterable[str], *, is_number: bool) -> None:
        """Take a Write-Attributes; an attribute without a value is unset.

        Raises
        ------
        Refusal
            4.00 for an attribute that does not exist, does not belong here, or contradicts another; nothing is changed.
        """
        changes: dict[str, float | None] = {}
        for query in queries:
            name, _, text = query.partition("=")
            if name not in {one.name for one in fields(Attributes)} or name in changes:
                raise Refusal(Code.BAD_REQUEST, f"{query[:40]} is no attribute; pmin, pmax, gt, lt or st is expected")
            if name in OF_NUMBERS and not is_number:
                raise Refusal(Code.BAD_REQUEST, f"{name} belongs to a resource that is a number")
            changes[name] = _number(name, text) if text else None
        found = replace(self.of(path), **changes)  # type: ignore[arg-type]
        low, high, step = found.lt, found.gt, found.st or 0
        if low is not None and high is not None and low + 2 * step >= high:
            raise Refusal(Code.BAD_REQUEST, "lt + 2 st is less than gt (LwM2M, 5.1.2)")
        self._by_path[path] = found


def _number(name: str, text: str) -> float:
    """The value of an attribute: whole seconds, or a number; a step is positive."""
    whole = name in ("pmin", "pmax")
    value: float = math.nan
    if (_WHOLE if whole else _DECIMAL).fullmatch(text):
        value = int(text) if whole else float(text)
    if not math.isfinite(value) or (whole and value >= 2**32) or (name == "st" and value <= 0):
        raise Refusal(Code.BAD_REQUEST, f"{name}={text[:20]} is no value of this attribute")
    return value

"""How a server finds out whether an update has succeeded: seven strategies by name, small functions over what it saw.

Each answers True, False, or None where what was seen does not decide. A strategy of one's own is a function of the same
kind: ``def updated(seen): return seen.first.result == 1``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from lwm2m_lab.errors import BadInput
from lwm2m_lab.spec.objects import State, UpdateResult

__all__ = ["LAB", "STRATEGIES", "Judge", "Reading", "Seen", "Strategy", "strategy_named"]

Judge = Callable[["Seen"], "bool | None"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a server has read at one moment; None where the device refused, or was not asked.

    Attributes
    ----------
    state, result : int or None
        ``/5/0/3`` and ``/5/0/5``.
    package_version, firmware_version : str or None
        ``/5/0/7`` and ``/3/0/3``.
    """

    state: int | None = None
    result: int | None = None
    package_version: str | None = None
    firmware_version: str | None = None

    def __str__(self) -> str:
        status = "/".join("–" if one is None else str(one) for one in (self.state, self.result))
        return f"{status} · {self.package_version or '–'} · {self.firmware_version or '–'}"


@dataclass(frozen=True, slots=True)
class Seen:
    """All that a server has seen of one update.

    Attributes
    ----------
    target : str
        Version of the image.
    before, downloaded, first : Reading
        Before the delivery, before the Execute, and at the first look after the reboot (or after the end without one).
    settled : Reading or None
        At the end of the installation; None where it has not come within the time.

    Examples
    --------
    >>> before, after = Reading(0, 0, None, "1.0.0"), Reading(0, 1, None, "2.0.0")
    >>> seen = Seen("2.0.0", before, Reading(2, 0, "2.0.0", "1.0.0"), after, after)
    >>> STRATEGIES["S4"].judge(seen)
    True
    """

    target: str
    before: Reading = Reading()
    downloaded: Reading = Reading()
    first: Reading = Reading()
    settled: Reading | None = None

    @property
    def package_version(self) -> str | None:
        """The last ``/5/0/7`` that the device has shown."""
        shown = (self.settled or self.first, self.first, self.downloaded, self.before)
        return next((one.package_version for one in shown if one.package_version is not None), None)


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to decide.

    Attributes
    ----------
    name : str
    asks : str
        What the server asks.
    judge : callable
        The function.
    when : {"first", "settled"}
        At which look it decides.
    """

    name: str
    asks: str
    judge: Judge
    when: Literal["first", "settled"] = "settled"


def result_is_success(seen: Seen) -> bool | None:
    """The device says so."""
    return seen.first.result == UpdateResult.SUCCESS


def package_is_target(seen: Seen) -> bool | None:
    """The package has the target's version, wherever it may be."""
    return seen.package_version == seen.target


def firmware_is_target(seen: Seen) -> bool | None:
    """The firmware calls itself by the target's version."""
    return seen.first.firmware_version == seen.target


def firmware_has_changed(seen: Seen) -> bool | None:
    """The firmware calls itself otherwise than before."""
    return seen.first.firmware_version != seen.before.firmware_version


def firmware_is_package(seen: Seen) -> bool | None:
    """The firmware calls itself as the package was called."""
    return seen.first.firmware_version is not None and seen.first.firmware_version == seen.package_version


def idle_again(seen: Seen) -> bool | None:
    """The state machine is back where it began."""
    return seen.first.state == State.IDLE


def settled_result_and_version(seen: Seen) -> bool | None:
    """Both must agree once nothing moves any more; where they do not, nobody knows."""
    if seen.settled is None or seen.settled.result in (None, UpdateResult.INITIAL, UpdateResult.DEFERRED):
        return None
    if seen.settled.result != UpdateResult.SUCCESS:
        return False
    return True if seen.settled.firmware_version == seen.target else None


def settled_as_the_lab_has_it(seen: Seen) -> bool | None:
    """As S7, with a decision where S7 has none: no /3/0/3 is no objection, another version there is one."""
    decided = settled_result_and_version(seen)
    if decided is None and seen.settled is not None and seen.settled.result == UpdateResult.SUCCESS:
        return seen.settled.firmware_version is None
    return decided


#: The strategies by name.
STRATEGIES: Mapping[str, Strategy] = MappingProxyType({
    one.name: one for one in (
        Strategy("S1", "Result = 1", result_is_success, "first"),
        Strategy("S2", "5/0/7 = target", package_is_target),
        Strategy("S3", "3/0/3 = target", firmware_is_target, "first"),
        Strategy("S4", "3/0/3 changed", firmware_has_changed, "first"),
        Strategy("S5", "3/0/3 = last 5/0/7", firmware_is_package, "first"),
        Strategy("S6", "State 0 again", idle_again, "first"),
        Strategy("S7", "settled, 1 and 3/0/3 = the image's version", settled_result_and_version),
    )
})  # fmt: skip

#: What a server does that was told nothing.
LAB = Strategy("lab", "settled, 1 and 3/0/3 as far as there is one", settled_as_the_lab_has_it)


def strategy_named(name: str | Judge) -> Strategy:
    """A strategy by its name, or a function of one's own as one.

    Raises
    ------
    BadInput
        For a name that none has.

    Examples
    --------
    >>> strategy_named("S6").asks
    'State 0 again'
    >>> strategy_named("S9")
    Traceback (most recent call last):
    lwm2m_lab.errors.BadInput: no strategy is named 'S9'; one of lab, S1, ... or a function is expected
    """
    if callable(name):
        return Strategy(getattr(name, "__name__", "own"), " ".join((name.__doc__ or "its own").split()), name)
    known = {"lab": LAB, **STRATEGIES}
    if name not in known:
        raise BadInput(f"no strategy is named {name!r}; one of {', '.join(known)} or a function is expected")
    return known[name]

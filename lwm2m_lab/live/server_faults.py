"""Faults of a server and of its repository by name, each a small class that overrides one method of a part of it.

`lwm2m_lab.live.faults` holds those of a device. What each does stands in its docstring; `server_faults_blocks` and
`server_faults_life` hold them.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.faults import Fault

__all__ = ["all_server_faults", "build", "server_fault", "server_fault_named"]

T = TypeVar("T")
_ROOMS = ("server_faults_blocks", "server_faults_life")
_FAULTS: dict[str, Fault] = {}


def server_fault(name: str, *rules: str) -> Callable[[type[T]], type[T]]:
    """Register a class as a fault; its docstring says what it does."""

    def register(part: type[T]) -> type[T]:
        _FAULTS[name] = Fault(name, " ".join((part.__doc__ or "").split()), rules, part)
        return part

    return register


@functools.cache
def all_server_faults() -> Mapping[str, Fault]:
    """Every fault by its name.

    Examples
    --------
    >>> all_server_faults()["executes-early"].rules
    ('F6',)
    """
    for room in _ROOMS:
        importlib.import_module(f"lwm2m_lab.live.{room}")
    return dict(sorted(_FAULTS.items()))


def server_fault_named(name: str) -> Fault:
    """One fault.

    Raises
    ------
    BadInput
        For a name that none has.

    Examples
    --------
    >>> server_fault_named("is-late")
    Traceback (most recent call last):
    lwm2m_lab.errors.BadInput: no fault of a server is named 'is-late'; one of always-block-0, ... is expected
    """
    if name not in all_server_faults():
        raise BadInput(f"no fault of a server is named {name!r}; one of {', '.join(all_server_faults())} is expected")
    return all_server_faults()[name]


def build(part: type[T], names: Sequence[str]) -> type[T]:
    """A part of a server with those faults in front that belong to it; the part itself where there are none."""
    found: list[Any] = [one.part for one in map(server_fault_named, names) if issubclass(one.part, part)]
    return type(part.__name__, (*found, part), {}) if found else part

"""Faults by name: what a device can do wrong, each a small class that overrides one method of a part of it.

A part is built with the faults that belong to it in front, so that several can be had at once. What each does stands in
its docstring; `lwm2m_lab.live.faults_object5`, `faults_blocks`, `faults_life` and `faults_message` hold them.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from lwm2m_lab.errors import BadInput

__all__ = ["Fault", "all_faults", "build", "fault", "fault_named"]

T = TypeVar("T")
_ROOMS = ("faults_object5", "faults_blocks", "faults_life", "faults_message")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that a device does wrong.

    Attributes
    ----------
    name : str
    about : str
        In a sentence.
    rules : tuple of str
        Rules of the analyser that may speak of it; none where nobody can see it.
    part : type
        What it changes.
    """

    name: str
    about: str
    rules: tuple[str, ...]
    part: type


_FAULTS: dict[str, Fault] = {}


def fault(name: str, *rules: str) -> Callable[[type[T]], type[T]]:
    """Register a class as a fault; its docstring says what it does."""

    def register(part: type[T]) -> type[T]:
        _FAULTS[name] = Fault(name, " ".join((part.__doc__ or "").split()), rules, part)
        return part

    return register


@functools.cache
def all_faults() -> Mapping[str, Fault]:
    """Every fault by its name.

    Examples
    --------
    >>> all_faults()["forgets-result"].rules
    ('F3', 'V2')
    """
    for room in _ROOMS:
        importlib.import_module(f"lwm2m_lab.live.{room}")
    return dict(sorted(_FAULTS.items()))


def fault_named(name: str) -> Fault:
    """One fault.

    Raises
    ------
    BadInput
        For a name that none has.

    Examples
    --------
    >>> fault_named("is-late")
    Traceback (most recent call last):
    lwm2m_lab.errors.BadInput: no fault is named 'is-late'; one of accepts-gaps, ... is expected
    """
    if name not in all_faults():
        raise BadInput(f"no fault is named {name!r}; one of {', '.join(all_faults())} is expected")
    return all_faults()[name]


def build(part: type[T], names: Sequence[str]) -> type[T]:
    """A part of a device with those faults in front that belong to it; the part itself where there are none."""
    found: list[Any] = [one.part for one in map(fault_named, names) if issubclass(one.part, part)]
    return type(part.__name__, (*found, part), {}) if found else part

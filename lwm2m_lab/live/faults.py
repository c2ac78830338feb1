"""Faults by name: what a device can do wrong, each a small class that overrides one method of a part of it.

A part is built with the faults that belong to it in front, so that several can be had at once. What each does stands in
its docstring; `lwm2m_lab.live.faults_object5`, `faults_blocks`, `faults_life` and `faults_message` hold them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from lwm2m_lab.errors import BadInput

__all__ = ["DEVICE_FAULTS", "Fault", "FaultBook", "all_faults", "build", "fault", "fault_named"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that somebody does wrong.

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


class FaultBook:
    """The faults of one kind of party, by their names.

    Parameters
    ----------
    rooms : sequence of str
        The modules that hold them; read when somebody first asks.
    whose : str
        For the sentence of an error: ``"of a server"``.
    """

    def __init__(self, *rooms: str, whose: str = "") -> None:
        self._rooms, self._whose = rooms, f" {whose}" if whose else ""
        self._found: dict[str, Fault] = {}

    def fault(self, name: str, *rules: str) -> Callable[[type[T]], type[T]]:
        """Register a class as a fault; its docstring says what it does."""

        def register(part: type[T]) -> type[T]:
            self._found[name] = Fault(name, " ".join((part.__doc__ or "").split()), rules, part)
            return part

        return register

    def all(self) -> Mapping[str, Fault]:
        """Every fault by its name, in alphabetical order."""
        for room in self._rooms:
            importlib.import_module(f"lwm2m_lab.live.{room}")
        return dict(sorted(self._found.items()))

    def named(self, name: str) -> Fault:
        """One fault.

        Raises
        ------
        BadInput
            For a name that none has.
        """
        found = self.all()
        if name not in found:
            raise BadInput(f"no fault{self._whose} is named {name!r}; one of {', '.join(found)} is expected")
        return found[name]

    def build(self, part: type[T], names: Sequence[str]) -> type[T]:
        """A part of the party with those faults in front that belong to it; the part itself where there are none."""
        found: list[Any] = [one.part for one in map(self.named, names) if issubclass(one.part, part)]
        return type(part.__name__, (*found, part), {}) if found else part

    def lines(self) -> list[str]:
        """A line for each: name, rules that speak of it, what it does."""
        return [f"{one.name:<30} {', '.join(one.rules) or '-':<8} {one.about}" for one in self.all().values()]


#: What a device can do wrong.
DEVICE_FAULTS = FaultBook("faults_object5", "faults_blocks", "faults_life", "faults_message")
fault, build = DEVICE_FAULTS.fault, DEVICE_FAULTS.build


def all_faults() -> Mapping[str, Fault]:
    """Every fault of a device by its name.

    Examples
    --------
    >>> all_faults()["forgets-result"].rules
    ('F3', 'V2')
    """
    return DEVICE_FAULTS.all()


def fault_named(name: str) -> Fault:
    """One fault of a device.

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
    return DEVICE_FAULTS.named(name)

"""The commands, a module for each kind; each has `add(commands)`, and each command is one call of the library."""

from __future__ import annotations

from lwm2m_lab.cli import (
    comparing,
    conforming,
    device,
    exams,
    explaining,
    files,
    handing,
    lessons,
    sharing,
    triaging,
    updating,
)

__all__ = ["MODULES"]

#: In the order in which `lwm2m-lab --help` lists their commands.
MODULES = (updating, device, files, explaining, triaging, comparing, handing, sharing, exams, lessons)
MODULES = (updating, device, conforming, files, explaining, triaging, comparing, handing, sharing, lessons)

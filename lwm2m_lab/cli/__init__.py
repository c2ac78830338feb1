"""The commands, a module for each kind; each has `add(commands)`, and each command is one call of the library."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType

__all__ = ["HOMES", "modules"]

#: The module of each command, in the order in which `lwm2m-lab --help` lists them.
HOMES = {
    "push": "updating",
    "pull": "updating",
    "campaign": "campaigning",
    "device": "device",
    "server": "serving",
    "conformance": "conforming",
    "sweep": "sweeping",
    "read-many": "sweeping",
    "capture": "sniffing",
    "messages": "files",
    "explain": "explaining",
    "follow": "following",
    "triage": "triaging",
    "compare": "comparing",
    "report": "handing",
    "annotate": "handing",
    "export": "handing",
    "check": "handing",
    "anonymize": "sharing",
    "exam": "exams",
    "notebooks": "lessons",
    "app": "lessons",
}


def modules(arguments: Sequence[str]) -> list[ModuleType]:
    """The module of the command that is called; all of them where none is, as with ``--help``."""
    called = [HOMES[name] for name in arguments[:1] if name in HOMES]
    return [importlib.import_module(f"lwm2m_lab.cli.{name}") for name in called or dict.fromkeys(HOMES.values())]

"""A workbench for the LwM2M firmware update: step it, run it, capture it, explain it, chart it.

Heavy libraries are imported with the first name that needs them, so that ``import lwm2m_lab`` stays quick.

Examples
--------
>>> import lwm2m_lab as lab
>>> run = lab.push(version="2.1.0", size=20_000)
>>> run.report.sentence
'Update Result is 1 Updated successfully and /3/0/3 is 2.1.0'
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lwm2m_lab import show as show
    from lwm2m_lab.errors import LabError
    from lwm2m_lab.live.conformance import conformance
    from lwm2m_lab.live.device import Device
    from lwm2m_lab.live.experiment import pull, push
    from lwm2m_lab.live.image import image
    from lwm2m_lab.live.link import Link
    from lwm2m_lab.live.options import DeviceOptions
    from lwm2m_lab.live.rollout import campaign
    from lwm2m_lab.live.run import Run
    from lwm2m_lab.live.serving import Server
    from lwm2m_lab.live.sweep import sweep
    from lwm2m_lab.show import check
    from lwm2m_lab.spec.firmware import Event, Machine
    from lwm2m_lab.spec.objects import State, UpdateResult
    from lwm2m_lab.trace.campaign import read_many
    from lwm2m_lab.trace.capture import Capture, read
    from lwm2m_lab.trace.compare import compare
    from lwm2m_lab.trace.explain import explain
    from lwm2m_lab.trace.findings import Finding, Verdict, rule
    from lwm2m_lab.trace.follow import follow
    from lwm2m_lab.trace.objects import load_objects
    from lwm2m_lab.trace.updates import Update

__version__ = "0.1.0"

#: Where each public name comes from.
_HOMES = {
    "Capture": "lwm2m_lab.trace.capture",
    "Device": "lwm2m_lab.live.device",
    "DeviceOptions": "lwm2m_lab.live.options",
    "Event": "lwm2m_lab.spec.firmware",
    "Finding": "lwm2m_lab.trace.findings",
    "LabError": "lwm2m_lab.errors",
    "Link": "lwm2m_lab.live.link",
    "Machine": "lwm2m_lab.spec.firmware",
    "Run": "lwm2m_lab.live.run",
    "Server": "lwm2m_lab.live.serving",
    "State": "lwm2m_lab.spec.objects",
    "Update": "lwm2m_lab.trace.updates",
    "UpdateResult": "lwm2m_lab.spec.objects",
    "Verdict": "lwm2m_lab.trace.findings",
    "check": "lwm2m_lab.show",
    "compare": "lwm2m_lab.trace.compare",
    "conformance": "lwm2m_lab.live.conformance",
    "explain": "lwm2m_lab.trace.explain",
    "follow": "lwm2m_lab.trace.follow",
    "campaign": "lwm2m_lab.live.rollout",
    "image": "lwm2m_lab.live.image",
    "load_objects": "lwm2m_lab.trace.objects",
    "pull": "lwm2m_lab.live.experiment",
    "push": "lwm2m_lab.live.experiment",
    "read": "lwm2m_lab.trace.capture",
    "read_many": "lwm2m_lab.trace.campaign",
    "rule": "lwm2m_lab.trace.findings",
    "samples": "lwm2m_lab.trace.samples",
    "sweep": "lwm2m_lab.live.sweep",
}

__all__ = [
    "Capture",
    "Device",
    "DeviceOptions",
    "Event",
    "Finding",
    "LabError",
    "Link",
    "Machine",
    "Run",
    "Server",
    "State",
    "Update",
    "UpdateResult",
    "Verdict",
    "campaign",
    "check",
    "compare",
    "conformance",
    "explain",
    "follow",
    "image",
    "load_objects",
    "pull",
    "push",
    "read",
    "read_many",
    "rule",
    "samples",
    "show",
    "sweep",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home at first use; the pictures and panels have a room of their own, `show`."""
    if name == "show":
        return importlib.import_module("lwm2m_lab.show")
    if name not in _HOMES:
        raise AttributeError(f"lwm2m_lab has no name {name!r}; dir(lwm2m_lab) lists those it has")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

"""Objects 1 and 2 as OMA registered them: how a device treats each server that manages it, and what each one may."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lwm2m_lab.spec.objects import ObjectDefinition, Resource

__all__ = ["ACCESS_CONTROL", "SERVER"]


def _row(id: int, name: str, operations: str, mandatory: bool, type: str = "", range: str = "", units: str = "",
         since: str = "1.0", multiple: bool = False) -> Resource:  # fmt: skip
    return Resource(id, name, operations, mandatory, multiple, type, range, units, since)


_ROWS = (
    _row(0, "Short Server ID", "R", True, "Integer", "1..65534"),
    _row(1, "Lifetime", "RW", True, "Integer", "", "s"),
    _row(2, "Default Minimum Period", "RW", False, "Integer", "", "s"),
    _row(3, "Default Maximum Period", "RW", False, "Integer", "", "s"),
    _row(4, "Disable", "E", False),
    _row(5, "Disable Timeout", "RW", False, "Integer", "", "s"),
    _row(6, "Notification Storing When Disabled or Offline", "RW", True, "Boolean"),
    _row(7, "Binding", "RW", True, "String"),
    _row(8, "Registration Update Trigger", "E", True),
    _row(23, "Mute Send", "RW", False, "Boolean", since="1.1"),
)


def _server(version: str) -> ObjectDefinition:
    rows = {row.id: row for row in _ROWS if row.since <= version}
    return ObjectDefinition(1, "LwM2M Server", version, MappingProxyType(rows), True, True)


#: Object 1 by version: the resources that the lab's device has, of those that OMA registered.
SERVER: Mapping[str, ObjectDefinition] = MappingProxyType(
    {version: _server(version) for version in ("1.0", "1.1", "1.2")}
)

_ACCESS = (
    _row(0, "Object ID", "R", True, "Integer", "1..65534"),
    _row(1, "Object Instance ID", "R", True, "Integer", "0..65535"),
    _row(2, "ACL", "RW", False, "Integer", "0..31", multiple=True),
    _row(3, "Access Control Owner", "RW", True, "Integer", "0..65535"),
)
#: Object 2 by LwM2M version; 1.1 of the object came with LwM2M 1.2, and narrowed the range of the ACL alone.
ACCESS_CONTROL: Mapping[str, ObjectDefinition] = MappingProxyType(
    {
        lwm2m: ObjectDefinition(
            2, "LwM2M Access Control", version, MappingProxyType({row.id: row for row in _ACCESS}), True, False
        )
        for lwm2m, version in (("1.0", "1.0"), ("1.1", "1.0"), ("1.2", "1.1"))
    }
)

"""Objects 3 and 5 as OMA registered them, version by version, and how any other object's file is read.

The rows follow the object files of the OMA registry; where a range reads ``0-7`` in the oldest file and ``0..7`` later,
the later spelling stands for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from lwm2m_lab.errors import BadInput

__all__ = [
    "DEVICE",
    "FIRMWARE_UPDATE",
    "OBJECT_VERSION_OF_LWM2M",
    "ObjectDefinition",
    "Resource",
    "State",
    "UpdateResult",
    "object_definition",
    "resource_name",
]


class State(IntEnum):
    """State, ``/5/0/3`` (Object 5, resource 3; the same in every version).

    Examples
    --------
    >>> print(State(2))
    2 Downloaded
    """

    IDLE = 0
    DOWNLOADING = 1
    DOWNLOADED = 2
    UPDATING = 3

    def __str__(self) -> str:
        return f"{self.value} {self.name.capitalize()}"


class UpdateResult(IntEnum):
    """Update Result, ``/5/0/5`` (Object 5, resource 5).

    12 and 13 are no results of Object 5: they belong to object 33629.

    Examples
    --------
    >>> print(UpdateResult(5))
    5 Integrity check failed
    >>> UpdateResult.CANCELLED.valid("1.0")
    False
    """

    INITIAL = 0
    SUCCESS = 1
    NO_STORAGE = 2
    OUT_OF_MEMORY = 3
    CONNECTION_LOST = 4
    INTEGRITY_FAILED = 5
    UNSUPPORTED_TYPE = 6
    INVALID_URI = 7
    UPDATE_FAILED = 8
    UNSUPPORTED_PROTOCOL = 9
    CANCELLED = 10
    DEFERRED = 11

    def __str__(self) -> str:
        return f"{self.value} {_RESULT_TEXT[self.value]}"

    def valid(self, version: str) -> bool:
        """Whether this result exists in an Object 5 of this version: 0 to 9 in 1.0, 0 to 11 later."""
        return self.value <= (9 if version == "1.0" else 11)


_RESULT_TEXT = (
    "Initial value",
    "Updated successfully",
    "Not enough storage",
    "Out of memory",
    "Connection lost",
    "Integrity check failed",
    "Unsupported package type",
    "Invalid URI",
    "Update failed",
    "Unsupported protocol",
    "Cancelled",
    "Deferred",
)


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of an object.

    Attributes
    ----------
    id : int
    name : str
    operations : str
        ``"R"``, ``"W"``, ``"RW"``, ``"E"``, or ``""`` where only a bootstrap server may touch it.
    mandatory, multiple : bool
    type : str
        ``String``, ``Integer``, ``Unsigned Integer``, ``Float``, ``Boolean``, ``Opaque``, ``Time``, ``Objlnk``,
        ``Corelnk``, or ``""`` for an executable resource.
    range, units : str
        As registered, or ``""``.
    since : str
        Object version that brought it.
    note : str
        What it is for, in a line.
    """

    id: int
    name: str
    operations: str
    mandatory: bool
    multiple: bool
    type: str
    range: str = ""
    units: str = ""
    since: str = "1.0"
    note: str = ""


@dataclass(frozen=True, slots=True)
class ObjectDefinition:
    """One version of one object.

    Attributes
    ----------
    id : int
    name, version : str
    multiple, mandatory : bool
        Of the object: several instances; every device has it.
    resources : mapping of int to Resource

    Examples
    --------
    >>> FIRMWARE_UPDATE["1.1"].resources[10].name
    'Cancel'
    """

    id: int
    name: str
    version: str
    resources: Mapping[int, Resource]
    multiple: bool = False
    mandatory: bool = False

    def __str__(self) -> str:
        lines = [f"Object {self.id} {self.name}, version {self.version}"]
        for resource in self.resources.values():
            need = "mandatory" if resource.mandatory else "optional"
            kind = " ".join(filter(None, (resource.type, resource.range, resource.units)))
            lines.append(f"  {resource.id:>3} {resource.name:<34} {resource.operations:<3} {need:<10} {kind}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        import html

        rows = "".join(
            f"<tr><td>{r.id}</td><td style='text-align:left'>{html.escape(r.name)}</td><td>{r.operations}</td>"
            f"<td>{'mandatory' if r.mandatory else 'optional'}</td><td>{'multiple' if r.multiple else 'single'}</td>"
            f"<td>{html.escape(r.type)}</td><td>{html.escape(r.range)}</td><td>{html.escape(r.units)}</td>"
            f"<td>{r.since}</td></tr>"
            for r in self.resources.values()
        )
        head = "".join(
            f"<th>{name}</th>"
            for name in ("id", "name", "operations", "need", "instances", "type", "range", "units", "since")
        )
        return (
            f"<p><b>Object {self.id} {html.escape(self.name)}</b>, version {html.escape(self.version)}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )


def _r(
    id: int,
    name: str,
    operations: str,
    need: str,
    type: str = "",
    range: str = "",
    units: str = "",
    *,
    since: str = "1.0",
    note: str = "",
) -> Resource:
    """A row: `need` is M or O, with a + for several instances."""
    return Resource(id, name, operations, need[0] == "M", need.endswith("+"), type, range, units, since, note)


_FIRMWARE_1_0 = (
    _r(0, "Package", "W", "M", "Opaque", note="the image itself, pushed by the server"),
    _r(1, "Package URI", "RW", "M", "String", "0..255", note="where the device fetches the image from"),
    _r(2, "Update", "E", "M", note="install the package; only in Downloaded"),
    _r(3, "State", "R", "M", "Integer", "0..3", note="where the update stands"),
    _r(5, "Update Result", "R", "M", "Integer", "0..9", note="how the last download or update went"),
    _r(6, "PkgName", "R", "O", "String", "0..255", note="name of the package, for the update's own purpose"),
    _r(7, "PkgVersion", "R", "O", "String", "0..255", note="version of the package, for the update's own purpose"),
    _r(8, "Firmware Update Protocol Support", "R", "O+", "Integer", "0..5", note="schemes of a Package URI"),
    _r(9, "Firmware Update Delivery Method", "R", "M", "Integer", "0..2", note="0 pull, 1 push, 2 both"),
)
_FIRMWARE_1_1 = (
    _r(10, "Cancel", "E", "O", since="1.1", note="end the update before it is installed"),
    _r(11, "Severity", "RW", "O", "Integer", "0..2", since="1.1", note="0 critical, 1 mandatory, 2 optional"),
    _r(12, "Last State Change Time", "R", "O", "Time", since="1.1", note="when State changed last"),
    _r(13, "Maximum Defer Period", "RW", "O", "Unsigned Integer", "", "s", since="1.1", note="0: no deferral"),
)
_FIRMWARE_1_2 = (
    _r(14, "Automatic Upgrade at Download", "RW", "O", "Boolean", since="1.2", note="install without an Execute"),
)

_DEVICE_1_1 = (
    _r(0, "Manufacturer", "R", "O", "String"),
    _r(1, "Model Number", "R", "O", "String"),
    _r(2, "Serial Number", "R", "O", "String"),
    _r(3, "Firmware Version", "R", "O", "String", note="the firmware that runs now"),
    _r(4, "Reboot", "E", "M"),
    _r(5, "Factory Reset", "E", "O"),
    _r(6, "Available Power Sources", "R", "O+", "Integer", "0..7"),
    _r(7, "Power Source Voltage", "R", "O+", "Integer"),
    _r(8, "Power Source Current", "R", "O+", "Integer"),
    _r(9, "Battery Level", "R", "O", "Integer", "0..100", "%"),
    _r(10, "Memory Free", "R", "O", "Integer"),
    _r(11, "Error Code", "R", "M+", "Integer", "0..8"),
    _r(12, "Reset Error Code", "E", "O"),
    _r(13, "Current Time", "RW", "O", "Time"),
    _r(14, "UTC Offset", "RW", "O", "String"),
    _r(15, "Timezone", "RW", "O", "String"),
    _r(16, "Supported Binding and Modes", "R", "M", "String"),
    _r(17, "Device Type", "R", "O", "String"),
    _r(18, "Hardware Version", "R", "O", "String"),
    _r(19, "Software Version", "R", "O", "String", note="software on top of the firmware, where the two are apart"),
    _r(20, "Battery Status", "R", "O", "Integer", "0..6"),
    _r(21, "Memory Total", "R", "O", "Integer"),
    _r(22, "ExtDevInfo", "R", "O+", "Objlnk"),
)


def _object(
    id: int, name: str, version: str, *rows: Iterable[Resource], changes: Iterable[Resource] = (), mandatory: bool
) -> ObjectDefinition:
    """An object of rows, some of them changed."""
    resources = {row.id: row for group in (*rows, changes) for row in group}
    return ObjectDefinition(id, name, version, MappingProxyType(resources), False, mandatory)


def _firmware(version: str, *rows: Iterable[Resource], changes: Iterable[Resource] = ()) -> ObjectDefinition:
    return _object(5, "Firmware Update", version, *rows, changes=changes, mandatory=False)


def _device(version: str, changes: Iterable[Resource] = ()) -> ObjectDefinition:
    return _object(3, "Device", version, _DEVICE_1_1, changes=changes, mandatory=True)


_RESULT_UP_TO_11 = (_r(5, "Update Result", "R", "M", "Integer", "0..11", note="how the last download or update went"),)

#: Object 5 by version.
FIRMWARE_UPDATE: Mapping[str, ObjectDefinition] = MappingProxyType(
    {
        "1.0": _firmware("1.0", _FIRMWARE_1_0),
        "1.1": _firmware("1.1", _FIRMWARE_1_0, _FIRMWARE_1_1, changes=_RESULT_UP_TO_11),
        "1.2": _firmware("1.2", _FIRMWARE_1_0, _FIRMWARE_1_1, _FIRMWARE_1_2, changes=_RESULT_UP_TO_11),
    }
)

#: Object 3 by version; 1.0 named units that 1.1 dropped, 1.2 widened the error codes.
DEVICE: Mapping[str, ObjectDefinition] = MappingProxyType(
    {
        "1.0": _device(
            "1.0",
            (
                _r(7, "Power Source Voltage", "R", "O+", "Integer", "", "mV"),
                _r(8, "Power Source Current", "R", "O+", "Integer", "", "mA"),
                _r(10, "Memory Free", "R", "O", "Integer", "", "KB"),
            ),
        ),
        "1.1": _device("1.1"),
        "1.2": _device(
            "1.2",
            (
                _r(9, "Battery Level", "R", "O", "Integer", "0..100", "/100"),
                _r(11, "Error Code", "R", "M+", "Integer", "0..32"),
            ),
        ),
    }
)

#: The version of Objects 3 and 5 that ``lwm2m=`` stands for where the registration names none (Core, 7.2.3).
OBJECT_VERSION_OF_LWM2M: Mapping[str, Mapping[int, str]] = MappingProxyType(
    {
        "1.0": MappingProxyType({3: "1.0", 5: "1.0"}),
        "1.1": MappingProxyType({3: "1.0", 5: "1.0"}),
        "1.2": MappingProxyType({3: "1.2", 5: "1.1"}),
    }
)

_KNOWN = {3: DEVICE, 5: FIRMWARE_UPDATE}


def object_definition(id: int, version: str) -> ObjectDefinition:
    """The definition of Object 3 or 5 in one version.

    Raises
    ------
    BadInput
        For another object or version; other objects come from `lwm2m_lab.spec.registry.parse_objects`.

    Examples
    --------
    >>> object_definition(5, "1.0").resources[5].range
    '0..9'
    """
    if id not in _KNOWN:
        raise BadInput(f"object {id} is not built in; 3 and 5 are, others are read from an OMA object file")
    if version not in _KNOWN[id]:
        raise BadInput(f"object {id} has no version {version!r}; one of {', '.join(_KNOWN[id])} is expected")
    return _KNOWN[id][version]


def resource_name(path: str) -> str | None:
    """The name of a resource of Object 3 or 5 by its path, in any version; None for what is not known.

    Examples
    --------
    >>> resource_name("/5/0/3")
    'State'
    >>> resource_name("/5/0/4") is None
    True
    """
    parts = path.strip("/").split("/")
    if len(parts) < 3 or not all(part.isdigit() for part in parts) or int(parts[0]) not in _KNOWN:
        return None
    resource = _KNOWN[int(parts[0])]["1.2"].resources.get(int(parts[2]))
    return resource.name if resource else None

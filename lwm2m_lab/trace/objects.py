"""OMA object files from disk."""

from __future__ import annotations

import os
import pathlib

from lwm2m_lab.errors import BadInput
from lwm2m_lab.spec.objects import DEVICE, FIRMWARE_UPDATE, ObjectDefinition, Resource

__all__ = ["load_objects", "name_of", "type_of"]

#: Versions 1.2 hold all resources of the earlier ones.
_BUILT_IN = {3: DEVICE["1.2"], 5: FIRMWARE_UPDATE["1.2"]}
#: Objects from files, by number; of one that was loaded in several versions the one loaded last.
_LOADED: dict[int, ObjectDefinition] = {}


def load_objects(path: str | os.PathLike[str]) -> list[ObjectDefinition]:
    """Read the objects of an OMA object file (XML); tables built from here on name their resources.

    Raises
    ------
    BadInput
        Where the file cannot be read or holds no LwM2M object.

    Examples
    --------
    >>> load_objects("nowhere.xml")
    Traceback (most recent call last):
    lwm2m_lab.errors.BadInput: nowhere.xml cannot be read (No such file or directory); an OMA object file is expected
    """
    from lwm2m_lab.spec.registry import parse_objects

    try:
        data = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); an OMA object file is expected") from None
    found = parse_objects(data, name=pathlib.Path(path).name)
    _LOADED.update({one.id: one for one in found})
    return found


def _resource(path: str) -> Resource | None:
    """The resource of a path, by the lab's own tables of Objects 3 and 5, else by what was loaded."""
    parts = path.strip("/").split("/")
    if len(parts) < 3 or not all(part.isdecimal() and len(part) <= 5 for part in parts):
        return None
    number, resource = int(parts[0]), int(parts[2])
    for known in (_BUILT_IN.get(number), _LOADED.get(number)):
        if known is not None and resource in known.resources:
            return known.resources[resource]
    return None


def name_of(path: str) -> str | None:
    """The name of a resource by its path; None for what is not known.

    Examples
    --------
    >>> name_of("/5/0/3"), name_of("/32769/0/1")
    ('State', None)
    """
    resource = _resource(path)
    return resource.name if resource else None


def type_of(path: str) -> str:
    """The type of a resource by its path, as object files write it: ``"Integer"``; empty for what is not known."""
    resource = _resource(path)
    return resource.type if resource else ""

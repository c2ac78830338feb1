"""OMA object files from disk."""

from __future__ import annotations

import os
import pathlib

from lwm2m_lab.errors import BadInput
from lwm2m_lab.spec.objects import ObjectDefinition
from lwm2m_lab.spec.registry import parse_objects

__all__ = ["load_objects"]


def load_objects(path: str | os.PathLike[str]) -> list[ObjectDefinition]:
    """Read the objects of an OMA object file (XML).

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
    try:
        data = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); an OMA object file is expected") from None
    return parse_objects(data, name=pathlib.Path(path).name)

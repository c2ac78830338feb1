"""What a device holds, as values by path: how they are written into a response, and taken out of a Write.

A resource that the device does not have at the moment is simply not among the values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from aiocoap.numbers.codes import Code

from lwm2m_lab.spec.objects import Resource
from lwm2m_lab.wire import encoding, values

__all__ = [
    "LINK_FORMAT",
    "LWM2M_CBOR",
    "OCTET_STREAM",
    "SENML_CBOR",
    "SENML_JSON",
    "TEXT",
    "TLV",
    "Refusal",
    "Unacceptable",
    "Value",
    "by_number",
    "formats",
    "pack",
    "represent",
    "spread",
    "typed",
]

#: Several instances of a resource are a tuple, numbered from 0, or a mapping by their numbers.
Value = str | int | float | bool | bytes | tuple[int, ...] | Mapping[int, int]
TEXT, LINK_FORMAT, OCTET_STREAM, SENML_JSON, SENML_CBOR, TLV, LWM2M_CBOR = 0, 40, 42, 110, 112, 11542, 11544


class Unacceptable(Exception):
    """The Accept option asks for a format that does not fit what is asked for: 4.06."""


class Refusal(Exception):
    """A request that is answered with an error.

    Attributes
    ----------
    code : aiocoap.numbers.codes.Code
    """

    def __init__(self, code: Code, why: str = "") -> None:
        super().__init__(why)
        self.code = code


def formats(lwm2m: str) -> tuple[int, ...]:
    """The data formats that belong to a version of LwM2M.

    Examples
    --------
    >>> formats("1.0")
    (0, 42, 11542)
    """
    later = () if lwm2m == "1.0" else (SENML_JSON, SENML_CBOR)
    return (TEXT, OCTET_STREAM, TLV, *later, *((LWM2M_CBOR,) if lwm2m == "1.2" else ()))


# ---------------------------------------------------------------- out


def represent(path: str, tree: Mapping[str, Value], *, accept: int | None, lwm2m: str) -> tuple[int, bytes]:
    """Content-Format and payload of a Read.

    Parameters
    ----------
    path : str
        Of an object, an instance, a resource or a resource instance.
    tree : mapping of path to value
        Every resource there is.
    accept : int or None
        The Accept option. Without one a single value is text, and several are TLV in LwM2M 1.0 and SenML JSON later.

    Raises
    ------
    KeyError
        When nothing lies at or below the path.
    Unacceptable
        For a format that cannot carry it.
    """
    entries = spread(path, tree)
    if not entries:
        raise KeyError(path)
    single = len(entries) == 1 and entries[0].path == path
    value = entries[0].value
    if accept is None:
        accept = TEXT if single else (TLV if lwm2m == "1.0" else SENML_JSON)
    if accept == OCTET_STREAM and single and isinstance(value, bytes):
        return accept, value
    if accept == TEXT and single:
        return accept, encoding.encode_text(value)
    if accept == TLV:
        return accept, encoding.encode_tlv(entries, base=path)
    return accept, pack(entries, accept, lwm2m, base=path)


def pack(entries: Iterable[values.Entry], accept: int, lwm2m: str, *, base: str = "") -> bytes:
    """Values with their full paths in a format that names paths; without a base, as a composite answer.

    Raises
    ------
    Unacceptable
        For a format that does not, or that this version of LwM2M does not have.
    """
    if accept not in formats(lwm2m) or accept in (TEXT, OCTET_STREAM, TLV):
        raise Unacceptable(str(accept))
    if accept == SENML_JSON:
        return encoding.encode_senml_json(entries, base=base)
    return (
        encoding.encode_senml_cbor(entries, base=base) if accept == SENML_CBOR else encoding.encode_lwm2m_cbor(entries)
    )


def spread(path: str, tree: Mapping[str, Value]) -> list[values.Entry]:
    """The values at and below a path, a resource of several instances as one each."""
    found = []
    for name, value in tree.items():
        if isinstance(value, tuple | Mapping):
            numbered = value.items() if isinstance(value, Mapping) else enumerate(value)
            found += [values.Entry(f"{name}/{instance}", item) for instance, item in numbered]
        else:
            found.append(values.Entry(name, value))
    return [entry for entry in found if entry.path == path or entry.path.startswith(path.rstrip("/") + "/")]


def by_number(path: str) -> tuple[float, ...]:
    """Sort key: /5/0/2 before /5/0/10."""
    return tuple(int(part) if part.isdigit() else math.inf for part in path.strip("/").split("/"))


# ---------------------------------------------------------------- in


def typed(value: values.Value, resource: Resource) -> Value:
    """A written value as the type of its resource, within its range.

    Raises
    ------
    Refusal
        4.00 for a value that is none of the resource.
    """
    found: Value | None
    if resource.type == "Boolean":
        # TLV has a byte 0 or 1, text a digit (LwM2M, data types).
        found = {b"\0": False, b"\1": True, "0": False, "1": True, 0: False, 1: True}.get(value)
    elif resource.type == "String":
        found = values.as_text(value)
    elif resource.type == "Opaque":
        found = value if isinstance(value, bytes) else None
    else:
        found = values.as_integer(value)
    if found is None or not _within(found, resource):
        kind = " ".join(filter(None, (resource.type, resource.range)))
        raise Refusal(Code.BAD_REQUEST, f"{resource.name} is {kind}")
    return found


def _within(value: Value, resource: Resource) -> bool:
    """Whether a value keeps to the registered range; of a String that is its length in bytes."""
    number = len(value.encode()) if isinstance(value, str) else value
    if not isinstance(number, int):
        return True
    least, _, most = resource.range.partition("..")
    if not most:
        return isinstance(value, str) or resource.type == "Time" or number >= 0
    return int(least) <= number <= int(most)

"""The readable side of a device: Objects 1, 3 and 5 as values, and how they are written into a response.

What a resource is called, and whether it can be read, comes from the object tables; what is in it is asked of the
device. A resource that the device does not have at the moment is simply not among the values.
"""

from __future__ import annotations

from collections.abc import Mapping

from lwm2m_lab.wire import encoding, values

__all__ = [
    "LINK_FORMAT",
    "OCTET_STREAM",
    "SENML_CBOR",
    "SENML_JSON",
    "TEXT",
    "TLV",
    "Unacceptable",
    "Value",
    "represent",
]

Value = str | int | bool | bytes | tuple[int, ...]
TEXT, LINK_FORMAT, OCTET_STREAM, SENML_JSON, SENML_CBOR, TLV = 0, 40, 42, 110, 112, 11542


class Unacceptable(Exception):
    """The Accept option asks for a format that does not fit what is asked for: 4.06."""


def represent(path: str, tree: Mapping[str, Value], *, accept: int | None, lwm2m: str) -> tuple[int, bytes]:
    """Content-Format and payload of a Read.

    Parameters
    ----------
    path : str
        Of an object, an instance or a resource.
    tree : mapping of path to value
        Every resource there is.
    accept : int or None
        The Accept option. Without one a single resource is text, and several are TLV in LwM2M 1.0 and SenML JSON later.

    Raises
    ------
    KeyError
        When nothing lies at or below the path.
    Unacceptable
        For a format that cannot carry it.
    """
    depth = path.count("/")
    chosen = {name: value for name, value in tree.items() if name == path or name.startswith(path + "/")}
    if not chosen:
        raise KeyError(path)
    single = depth == 3 and not isinstance(tree[path], tuple)
    if accept is None:
        accept = TEXT if single else (TLV if lwm2m == "1.0" else SENML_JSON)
    value = tree.get(path)
    if accept == TEXT and single and not isinstance(value, tuple):
        return TEXT, encoding.encode_text(value)
    entries = [values.Entry(name, value) for full, many in chosen.items() for name, value in _spread(full, many)]
    if accept == TLV:
        return TLV, encoding.encode_tlv(entries, base=path)
    if accept in (SENML_JSON, SENML_CBOR) and lwm2m != "1.0":
        encode = encoding.encode_senml_json if accept == SENML_JSON else encoding.encode_senml_cbor
        return accept, encode(entries, base=path)
    raise Unacceptable(str(accept))


def _spread(path: str, value: Value) -> list[tuple[str, str | int | bool | bytes]]:
    """A resource of several instances as one value each."""
    if isinstance(value, tuple):
        return [(f"{path}/{instance}", item) for instance, item in enumerate(value)]
    return [(path, value)]

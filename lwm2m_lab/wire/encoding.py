"""Values by path into the payload formats of LwM2M: the other direction of `lwm2m_lab.wire.values`."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable
from typing import Any

from lwm2m_lab.wire import tlv
from lwm2m_lab.wire.values import LABELS, Entry, Value

__all__ = ["encode_lwm2m_cbor", "encode_senml_cbor", "encode_senml_json", "encode_text", "encode_tlv"]


def encode_text(value: Value) -> bytes:
    """One value as text/plain; opaque in base64, booleans as 0 and 1 (LwM2M, text format)."""
    if isinstance(value, bytes):
        return base64.b64encode(value)
    if isinstance(value, bool):
        return b"1" if value else b"0"
    return str(value).encode()


# ---------------------------------------------------------------- TLV


def encode_tlv(entries: Iterable[Entry], *, base: str) -> bytes:
    """Entries as TLV, as an answer to (or a Write of) `base`, at any level of the tree.

    Examples
    --------
    >>> encode_tlv([Entry("/5/0/3", 1), Entry("/5/0/5", 0)], base="/5/0").hex()
    'c10301c10500'
    >>> encode_tlv([Entry("/5/0/8/0", 0), Entry("/5/0/8/1", 1)], base="/5/0/8").hex()
    '8608410000410101'
    >>> encode_tlv([Entry("/5/0/8/1", 1)], base="/5/0/8/1").hex()
    '410101'
    """
    tree: dict[int, dict[int, Any]] = {}
    for entry in entries:
        parts = [int(part) for part in entry.path.split("/") if part]
        resources = tree.setdefault(parts[1], {})
        if len(parts) == 4:
            resources.setdefault(parts[2], {})[parts[3]] = _raw(entry.value)
        else:
            resources[parts[2]] = _raw(entry.value)
    if base.count("/") == 4:
        return b"".join(_resource_instances(many) for inside in tree.values() for many in inside.values())
    instances = {number: b"".join(map(_encode_resource, inside.items())) for number, inside in tree.items()}
    if base.count("/") >= 2:
        return b"".join(instances.values())
    return b"".join(tlv.encode_record(tlv.INSTANCE, number, inside) for number, inside in instances.items())


def _encode_resource(resource: tuple[int, Any]) -> bytes:
    number, value = resource
    if isinstance(value, dict):
        return tlv.encode_record(tlv.MULTIPLE, number, _resource_instances(value))
    return tlv.encode_record(tlv.RESOURCE, number, value)


def _resource_instances(values: dict[int, bytes]) -> bytes:
    return b"".join(tlv.encode_record(tlv.RESOURCE_INSTANCE, one, raw) for one, raw in values.items())


def _raw(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return bytes([value])
    if isinstance(value, int):
        return tlv.encode_integer(value)
    return struct.pack(">d", value) if isinstance(value, float) else str(value).encode()


# ---------------------------------------------------------------- SenML


def _records(entries: Iterable[Entry], base: str) -> list[dict[str, Any]]:
    """SenML records, the base name on the first; without a base each has its full path as its name."""
    prefix = base if base.count("/") >= 3 or not base else base.rstrip("/") + "/"
    records: list[dict[str, Any]] = []
    for entry in entries:
        record: dict[str, Any] = {"bn": prefix} if prefix and not records else {}
        name = entry.path.removeprefix(prefix)
        if name:
            record["n"] = name
        value = entry.value
        if value is not None:
            key = "vb" if isinstance(value, bool) else "vd" if isinstance(value, bytes) else None
            record[key or ("vs" if isinstance(value, str) else "v")] = value
        records.append(record)
    return records


def encode_senml_json(entries: Iterable[Entry], *, base: str) -> bytes:
    """Entries as SenML JSON; an entry without a value, as a Read-Composite asks with, is its name alone.

    Parameters
    ----------
    base : str
        What was read; "" gives full paths without a base name.

    Examples
    --------
    >>> encode_senml_json([Entry("/5/0/3", 1)], base="/5/0/3")
    b'[{"bn":"/5/0/3","v":1}]'
    >>> encode_senml_json([Entry("/5/0/3", None), Entry("/3/0/3", "1.0")], base="")
    b'[{"n":"/5/0/3"},{"n":"/3/0/3","vs":"1.0"}]'
    """
    records = _records(entries, base)
    for record in records:
        if "vd" in record:
            record["vd"] = base64.urlsafe_b64encode(record["vd"]).rstrip(b"=").decode()
    return json.dumps(records, separators=(",", ":")).encode()


def encode_senml_cbor(entries: Iterable[Entry], *, base: str) -> bytes:
    """Entries as SenML CBOR.

    Examples
    --------
    >>> encode_senml_cbor([Entry("/5/0/3", 1), Entry("/5/0/5", 0)], base="/5/0").hex()
    '82a321652f352f302f0061330201a20061350200'
    """
    import cbor2

    numbers = {name: label for label, name in LABELS.items()}
    return cbor2.dumps([{numbers[key]: value for key, value in one.items()} for one in _records(entries, base)])


# ---------------------------------------------------------------- LwM2M CBOR


def encode_lwm2m_cbor(entries: Iterable[Entry]) -> bytes:
    """Entries as LwM2M CBOR (1.2): maps by object, instance, resource and resource instance.

    Examples
    --------
    >>> encode_lwm2m_cbor([Entry("/5/0/3", 1), Entry("/5/0/5", 0)]).hex()
    'a105a100a203010500'
    """
    import cbor2

    tree: dict[int, Any] = {}
    for entry in entries:
        *above, last = (int(part) for part in entry.path.split("/") if part)
        level = tree
        for part in above:
            level = level.setdefault(part, {})
        level[last] = entry.value
    return cbor2.dumps(tree)

"""Values by path into the payload formats that a device or server of the lab speaks."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable
from typing import Any

from lwm2m_lab.wire import tlv
from lwm2m_lab.wire.values import LABELS, Entry, Value

__all__ = ["encode_senml_cbor", "encode_senml_json", "encode_text", "encode_tlv"]


def encode_text(value: Value) -> bytes:
    """One value as text/plain; opaque in base64, booleans as 0 and 1 (LwM2M, text format)."""
    if isinstance(value, bytes):
        return base64.b64encode(value)
    if isinstance(value, bool):
        return b"1" if value else b"0"
    return str(value).encode()


def encode_tlv(entries: Iterable[Entry], *, base: str) -> bytes:
    """Entries as TLV, as an answer to (or a Write of) `base`.

    Examples
    --------
    >>> encode_tlv([Entry("/5/0/3", 1), Entry("/5/0/5", 0)], base="/5/0").hex()
    'c10301c10500'
    >>> encode_tlv([Entry("/5/0/8/0", 0), Entry("/5/0/8/1", 1)], base="/5/0/8").hex()
    '8608410000410101'
    """
    tree: dict[int, dict[int, Any]] = {}
    for entry in entries:
        parts = [int(part) for part in entry.path.split("/") if part]
        resources = tree.setdefault(parts[1], {})
        if len(parts) == 4:
            resources.setdefault(parts[2], {})[parts[3]] = _raw(entry.value)
        else:
            resources[parts[2]] = _raw(entry.value)
    instances = {number: b"".join(map(_encode_resource, inside.items())) for number, inside in tree.items()}
    if base.count("/") >= 2:
        return b"".join(instances.values())
    return b"".join(tlv.encode_record(tlv.INSTANCE, number, inside) for number, inside in instances.items())


def _encode_resource(resource: tuple[int, Any]) -> bytes:
    number, value = resource
    if isinstance(value, dict):
        inside = b"".join(tlv.encode_record(tlv.RESOURCE_INSTANCE, one, raw) for one, raw in value.items())
        return tlv.encode_record(tlv.MULTIPLE, number, inside)
    return tlv.encode_record(tlv.RESOURCE, number, value)


def _raw(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return bytes([value])
    if isinstance(value, int):
        return tlv.encode_integer(value)
    return struct.pack(">d", value) if isinstance(value, float) else str(value).encode()


def _records(entries: Iterable[Entry], base: str) -> list[dict[str, Any]]:
    """SenML records, the base name on the first."""
    prefix = base if base.count("/") >= 3 else base.rstrip("/") + "/"
    records: list[dict[str, Any]] = []
    for entry in entries:
        record: dict[str, Any] = {"bn": prefix} if not records else {}
        name = entry.path.removeprefix(prefix)
        if name:
            record["n"] = name
        value = entry.value
        key = "vb" if isinstance(value, bool) else "vd" if isinstance(value, bytes) else None
        record[key or ("vs" if isinstance(value, str) else "v")] = value
        records.append(record)
    return records


def encode_senml_json(entries: Iterable[Entry], *, base: str) -> bytes:
    """Entries as SenML JSON.

    Examples
    --------
    >>> encode_senml_json([Entry("/5/0/3", 1)], base="/5/0/3")
    b'[{"bn":"/5/0/3","v":1}]'
    """
    records = _records(entries, base)
    for record in records:
        if "vd" in record:
            record["vd"] = base64.urlsafe_b64encode(record["vd"]).rstrip(b"=").decode()
    return json.dumps(records, separators=(",", ":")).encode()


def encode_senml_cbor(entries: Iterable[Entry], *, base: str) -> bytes:
    """Entries as SenML CBOR."""
    import cbor2

    numbers = {name: label for label, name in LABELS.items()}
    return cbor2.dumps([{numbers[key]: value for key, value in one.items()} for one in _records(entries, base)])

"""Values by path, out of every payload format that LwM2M has, and into the common ones.

Nothing here knows what a resource means: TLV and opaque values stay bytes, text stays text; `as_integer` and `as_text`
read them once the type is known.
"""

from __future__ import annotations

import base64
import binascii
import collections
import datetime
import io
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lwm2m_lab.errors import LabError
from lwm2m_lab.wire import tlv

__all__ = [
    "Entry",
    "Undecodable",
    "Value",
    "as_integer",
    "as_text",
    "decode",
    "unwrap_package",
]

Value = bytes | str | int | float | bool | None

TEXT, LINK_FORMAT, OPAQUE, CBOR, SENML_JSON, SENML_CBOR = 0, 40, 42, 60, 110, 112
SENML_ETCH_JSON, SENML_ETCH_CBOR = 320, 322
TLV, JSON, LWM2M_CBOR = 11542, 11543, 11544
#: Numbers of before the registration, still sent by old devices.
OLD_TLV, OLD_JSON = 1542, 1543

#: Entries of one payload; more is no reading of a device but an attack on the reader.
MOST_ENTRIES = 100_000
DEEPEST = 8


class Undecodable(LabError):
    """A payload that is not what its Content-Format says."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One value.

    Attributes
    ----------
    path : str
        Full path, with the resource instance where there is one: ``/5/0/8/1``.
    value : bytes, str, int, float, bool or None
        None in a request that only names the path.
    """

    path: str
    value: Value


# ---------------------------------------------------------------- decoding


def decode(payload: bytes, *, content_format: int | None, path: str) -> list[Entry]:
    """The values of a payload.

    Parameters
    ----------
    payload : bytes
    content_format : int or None
        Of the message; None is read as text where it is text.
    path : str
        What was read, written or observed.

    Raises
    ------
    Undecodable
        Where the bytes are not of that format, or nobody knows the format.

    Examples
    --------
    >>> decode(bytes.fromhex("c10301c10500"), content_format=11542, path="/5/0")
    [Entry(path='/5/0/3', value=b'\\x01'), Entry(path='/5/0/5', value=b'\\x00')]
    >>> decode(b'[{"bn":"/5/0/","n":"3","v":1},{"n":"5","v":0}]', content_format=110, path="/5/0")
    [Entry(path='/5/0/3', value=1), Entry(path='/5/0/5', value=0)]
    """
    form = _true_format(payload, content_format, path)
    try:
        return _decode(payload, form, path)
    except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError, struct.error) as error:
        raise Undecodable(
            f"{len(payload)} bytes for {path} are no payload of Content-Format {content_format} ({error})"
        ) from None


def _true_format(payload: bytes, content_format: int | None, path: str) -> int | None:
    """What a payload is by its bytes, where its Content-Format is missing or says text or opaque and cannot be right.

    One server in the field labels SenML JSON as text/plain; some devices leave the option out.
    """
    if content_format not in (None, TEXT, OPAQUE):
        return content_format
    if _looks_like_senml(payload):
        return SENML_JSON
    if payload[:1] == b"{" and payload[-1:] == b"}" and b'"e"' in payload:
        return JSON
    several = path.count("/") < 3 or path == "/"
    if not several:
        return content_format
    # An object or an instance has several values: neither text nor bytes of one.
    if payload[:1] == b"<":
        return LINK_FORMAT
    if payload[:1] and 0x80 <= payload[0] <= 0x9F and payload[1:2] and payload[1] >> 5 == 5:
        return SENML_CBOR
    return TLV if path != "/" and payload else content_format


def _decode(payload: bytes, content_format: int | None, path: str) -> list[Entry]:
    if content_format == LINK_FORMAT:
        # What a Discover answers: which resources there are and their attributes, no values.
        return []
    if content_format in (None, TEXT):
        return [Entry(path, payload.decode() if content_format == TEXT else _text_or_bytes(payload))]
    if content_format == OPAQUE:
        return [Entry(path, payload)]
    if content_format in (TLV, OLD_TLV):
        return [Entry(name, value) for name, value in tlv.decode(payload, path, most=MOST_ENTRIES)]
    if content_format in (SENML_JSON, SENML_ETCH_JSON):
        return _senml(_json(payload), path)
    if content_format in (SENML_CBOR, SENML_ETCH_CBOR):
        return _senml(_labelled(_cbor(payload)), path)
    if content_format in (JSON, OLD_JSON):
        return _old_json(_json(payload), path)
    if content_format == LWM2M_CBOR:
        return _nested(_cbor(payload), [part for part in path.split("/") if part])
    if content_format == CBOR:
        return [Entry(path, _scalar(_cbor(payload)))]
    raise ValueError("a format that the lab does not know")


def _text_or_bytes(payload: bytes) -> str | bytes:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return payload


def _looks_like_senml(payload: bytes) -> bool:
    """An array of objects, or of nothing but names."""
    return payload[:2] == b"[{" and payload[-2:] == b"}]" and b'"' in payload[:8]


def _json(payload: bytes) -> Any:
    import json

    return json.loads(payload)


def _cbor(payload: bytes) -> Any:
    """One CBOR item that fills the payload."""
    import cbor2

    stream = io.BytesIO(payload)
    try:
        item = cbor2.load(stream)
    except (cbor2.CBORDecodeError, MemoryError, EOFError) as error:
        raise ValueError(str(error)) from None
    if stream.tell() != len(payload):
        raise ValueError(f"{len(payload) - stream.tell()} bytes follow the CBOR item")
    return item


#: SenML's CBOR labels (RFC 8428, 6).
LABELS = {-2: "bn", -3: "bt", -4: "bu", -5: "bv", -1: "bver", 0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 8: "vd"}


def _labelled(pack: Any) -> Any:
    if not isinstance(pack, list) or not all(isinstance(one, dict) for one in pack):
        raise ValueError("a SenML pack is an array of records")
    return [{LABELS.get(key, key): value for key, value in record.items()} for record in pack]


def _senml(pack: Any, asked: str = "/") -> list[Entry]:
    """Records with their base name resolved; `asked` is what was read or written."""
    if not isinstance(pack, list) or len(pack) > MOST_ENTRIES or not all(isinstance(one, dict) for one in pack):
        raise ValueError("a SenML pack is an array of records")
    entries, base_name, base_value = [], "", None
    for record in pack:
        base_name = str(record.get("bn", base_name))
        base_value = record.get("bv", base_value)
        path = _joined(base_name, str(record.get("n", "")), asked)
        entries.append(Entry(path, _senml_value(record, base_value)))
    return entries


def _joined(base: str, name: str, asked: str) -> str:
    """Base name and name as a path.

    The two stand together as they are (RFC 8428, 4.5.1). Some devices leave out the slash between them, or the base
    name altogether; what results is then no path under the one that was asked for, and the slash is put in.
    """
    path = "/" + (base + name).strip("/")
    if asked == "/" or _is_under(path, asked):
        return path
    other = f"{base.rstrip('/')}/{name}".rstrip("/") if base.startswith("/") else f"{asked}{path}"
    return other if _is_under(other, asked) else path


def _is_under(path: str, asked: str) -> bool:
    return path == asked or path.startswith(asked.rstrip("/") + "/")


def _senml_value(record: Mapping[str, Any], base_value: Any) -> Value:
    for key in ("v", "vs", "vb", "vlo"):
        if key in record:
            value = _scalar(record[key])
            if key == "v" and base_value and isinstance(value, int | float):
                return value + base_value  # type: ignore[no-any-return]
            return value
    if "vd" in record:
        data = record["vd"]
        return data if isinstance(data, bytes) else _base64url(str(data))
    # A base value without a value of its own counts as the sum with 0 (RFC 8428, 4.6).
    return _scalar(base_value)


def _scalar(value: Any) -> Value:
    if value is None or isinstance(value, bytes | str | int | float):
        return value
    import decimal
    import fractions

    if isinstance(value, decimal.Decimal | fractions.Fraction):
        # A decimal fraction of CBOR; one with an exponent of millions is a number of no sensor.
        real = float(value)
        if math.isfinite(real):
            return real
    if isinstance(value, datetime.datetime):
        return int(value.timestamp())
    raise ValueError(f"{type(value).__name__} is no value of a resource")


def _base64url(text: str) -> bytes:
    """Base64 with either alphabet, padded or not."""
    clean = text.strip().translate(str.maketrans("-_", "+/")).rstrip("=")
    return base64.b64decode(clean + "=" * (-len(clean) % 4), validate=True)


def _old_json(document: Any, path: str) -> list[Entry]:
    """The JSON of LwM2M 1.0: base name and an array of elements."""
    if not isinstance(document, dict) or not isinstance(document.get("e"), list) or len(document["e"]) > MOST_ENTRIES:
        raise ValueError("an object with an array 'e' of elements is expected")
    base = str(document.get("bn", path))
    entries = []
    for element in document["e"]:
        if not isinstance(element, dict):
            raise ValueError("an element of 'e' is an object")
        name = _joined(base, str(element.get("n", "")), path)
        value = next((element[key] for key in ("v", "sv", "bv", "ov") if key in element), None)
        entries.append(Entry(name, _scalar(value)))
    return entries


def _nested(item: Any, prefix: Sequence[str]) -> list[Entry]:
    """LwM2M CBOR: maps by id, arrays as keys shorten a path; the root may leave out what the request named."""
    entries: list[Entry] = []
    pending: collections.deque[tuple[list[str], Any]] = collections.deque([([], item)])
    while pending:
        path, value = pending.popleft()
        if isinstance(value, dict):
            if len(path) >= DEEPEST:
                raise ValueError("maps nested too deeply")
            for key, inner in value.items():
                parts = [str(int(one)) for one in (key if isinstance(key, tuple | list) else (key,))]
                pending.append(([*path, *parts], inner))
        else:
            full = path if path[: len(prefix)] == list(prefix) or len(path) >= 3 else [*prefix, *path]
            entries.append(Entry("/" + "/".join(full), _scalar(value)))
        if len(entries) + len(pending) > MOST_ENTRIES:
            raise ValueError("too many values")
    return entries


# ---------------------------------------------------------------- reading one value


def as_integer(value: Value) -> int | None:
    """A value as an integer: text in decimal, bytes in two's complement of 1, 2, 4 or 8; None where it is none.

    Examples
    --------
    >>> as_integer("3"), as_integer(b"\\xff"), as_integer(2.0), as_integer("three")
    (3, -1, 2, None)
    """
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, bytes):
        return int.from_bytes(value, "big", signed=True) if len(value) in (1, 2, 4, 8) else None
    if isinstance(value, str):
        text = value.strip()
        digits = text[1:] if text[:1] in ("-", "+") else text
        return int(text) if digits.isdecimal() and digits.isascii() and len(digits) < 20 else None
    return None


def as_text(value: Value) -> str | None:
    """A value as text; None for bytes that are none, or nothing.

    Examples
    --------
    >>> as_text(b"1.0"), as_text(5), as_text(b"\\xff")
    ('1.0', '5', None)
    """
    if value is None:
        return None
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


# ---------------------------------------------------------------- the package


def unwrap_package(body: bytes, content_format: int | None) -> bytes | None:
    """The image out of the body of a Write to Package.

    An opaque body is the image itself, whatever its first bytes look like: a firmware may begin with anything. TLV,
    SenML and the old JSON carry it as the value of resource 0; text/plain carries it in base64, or is SenML in truth.

    Returns
    -------
    bytes or None
        None where the body is not of its format.

    Examples
    --------
    >>> unwrap_package(bytes.fromhex("c300616263"), 11542)
    b'abc'
    """
    if content_format in (None, OPAQUE):
        return body
    if content_format == TEXT and not _looks_like_senml(body):
        try:
            return _base64url(body.decode("ascii"))
        except (UnicodeDecodeError, binascii.Error):
            return None
    try:
        entries = decode(body, content_format=content_format, path="/5/0/0")
    except Undecodable:
        return None
    found = [entry.value for entry in entries if entry.path == "/5/0/0"]
    if len(found) != 1:
        return None
    if isinstance(found[0], str) and content_format in (JSON, OLD_JSON):
        try:
            return _base64url(found[0])
        except binascii.Error:
            return None
    return found[0] if isinstance(found[0], bytes) else None

"""Values in the types of their resources, and as people say them."""

from __future__ import annotations

import base64
import binascii
import datetime
import math
import struct

from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.trace import objects
from lwm2m_lab.wire import values

__all__ = ["typed"]

_TRUE, _FALSE = ("1", "true"), ("0", "false")
#: Bytes of an opaque value that a label shows.
SHOWN = 16


def typed(entry: values.Entry, *, bare: bool) -> tuple[object, str]:
    """A value in the type of its resource, and how people say it.

    Parameters
    ----------
    entry : Entry
    bare : bool
        Whether the value came alone, so that bytes may be the text of a number.

    Examples
    --------
    >>> typed(values.Entry("/5/0/3", b"\\x02"), bare=False)
    (2, '2 Downloaded')
    >>> typed(values.Entry("/3/0/13", 1709251200), bare=False)
    (1709251200, '2024-03-01 00:00:00Z')
    """
    kind, value = objects.type_of(entry.path), entry.value
    if bare and isinstance(value, bytes) and kind != "Opaque":
        value = _text_of(value)
    if kind in ("Integer", "Unsigned Integer", "Time"):
        number = _integer(value, signed=kind != "Unsigned Integer")
        return number, _moment(number) if kind == "Time" else _number_label(entry.path, number)
    if kind == "Float":
        real = _float(value)
        return real, str(real)
    if kind == "Boolean":
        truth = _boolean(value)
        return truth, "unknown" if truth is None else str(truth).lower()
    if kind == "Objlnk":
        link = _link(value)
        return link, str(link)
    if kind == "Opaque":
        opaque = _opaque(value)
        return opaque, str(opaque) if isinstance(opaque, str) else _hex(opaque)
    text = values.as_text(value)
    return text if text is not None else value, _hex(value) if isinstance(value, bytes) and text is None else str(text)


def _text_of(value: bytes) -> values.Value:
    """Bytes that are the text of a number, as text."""
    text = values.as_text(value)
    return text if text is not None and text.isprintable() and text else value


def _integer(value: values.Value, *, signed: bool) -> int | None:
    if not signed and isinstance(value, bytes) and len(value) in (1, 2, 4, 8):
        return int.from_bytes(value, "big")
    return values.as_integer(value)


def _float(value: values.Value) -> float | None:
    if isinstance(value, bytes):
        return struct.unpack(">f" if len(value) == 4 else ">d", value)[0] if len(value) in (4, 8) else None
    try:
        return None if value is None else float(value)
    except ValueError:
        return None


def _boolean(value: values.Value) -> bool | None:
    if isinstance(value, bytes):
        return bool(value[0]) if len(value) == 1 and value[0] < 2 else None
    text = str(value).strip().lower()
    return True if text in _TRUE else False if text in _FALSE else None


def _link(value: values.Value) -> str | None:
    """An object link: object and instance."""
    if isinstance(value, bytes):
        return ":".join(map(str, struct.unpack(">HH", value))) if len(value) == 4 else None
    return None if value is None else str(value)


def _opaque(value: values.Value) -> values.Value:
    """Bytes; text carries them in base64."""
    if isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return value
    return value


def _hex(value: values.Value) -> str:
    if not isinstance(value, bytes):
        return str(value)
    return (
        f"{len(value)} bytes" + (f": {value[:SHOWN].hex(' ')}" if value else "") + (" …" if len(value) > SHOWN else "")
    )


def _moment(number: int | None) -> str:
    """Seconds since the epoch as UTC."""
    if number is None or not math.isfinite(number) or not 0 <= number < 1 << 37:
        return str(number)
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=number)
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"


def _number_label(path: str, number: int | None) -> str:
    if path == "/5/0/3" and number in list(State):
        return str(State(number))
    if path == "/5/0/5" and number in list(UpdateResult):
        return str(UpdateResult(number))
    return str(number)

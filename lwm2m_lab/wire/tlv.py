"""OMA TLV (Content-Format 11542): nested records to paths and back. Values stay bytes: the data names no types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["TlvError", "decode", "encode_integer", "encode_record", "records"]

#: Bits 7 and 6 of a record's first byte.
INSTANCE, RESOURCE_INSTANCE, MULTIPLE, RESOURCE = range(4)


class TlvError(ValueError):
    """Bytes that are no TLV."""


def records(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The records of one level: kind, identifier, value.

    Raises
    ------
    TlvError
        Where a length reaches beyond the data.

    Examples
    --------
    >>> list(records(bytes.fromhex("c10301c10500")))
    [(3, 3, b'\\x01'), (3, 5, b'\\x00')]
    """
    at = 0
    while at < len(data):
        head = data[at]
        wide, length_bytes = (head >> 5) & 1, (head >> 3) & 3
        fields = at + 1 + 1 + wide + length_bytes
        if fields > len(data):
            raise TlvError(f"a TLV record at byte {at} is cut in its header")
        identifier = int.from_bytes(data[at + 1 : at + 2 + wide], "big")
        length = int.from_bytes(data[at + 2 + wide : fields], "big") if length_bytes else head & 7
        if fields + length > len(data):
            raise TlvError(f"a TLV record at byte {at} is {length} bytes long, {len(data) - fields} are there")
        yield head >> 6, identifier, data[fields : fields + length]
        at = fields + length


def decode(data: bytes, path: str, *, most: int = 100_000) -> list[tuple[str, bytes]]:
    """Full paths and raw values of a TLV payload that answers (or writes) `path`.

    Raises
    ------
    TlvError
        For bytes that are no TLV, records nested where none may be, or more than `most` values.
    """
    base = [part for part in path.split("/") if part]
    found: list[tuple[str, bytes]] = []
    for kind, identifier, value in records(data):
        if kind == INSTANCE:
            instance = [*base[:1], str(identifier)]
            for inner, resource, content in records(value):
                found += _resource(inner, [*instance, str(resource)], content)
        elif kind == RESOURCE_INSTANCE:
            found.append((_join([*base[:3], str(identifier)]), value))
        else:
            # An object with one instance may be answered without the instance around its resources.
            instance = [*base, "0"][:2]
            found += _resource(kind, [*instance, str(identifier)], value)
        if len(found) > most:
            raise TlvError(f"more than {most} values")
    return found


def _resource(kind: int, path: list[str], value: bytes) -> list[tuple[str, bytes]]:
    if kind == RESOURCE:
        return [(_join(path), value)]
    if kind != MULTIPLE:
        raise TlvError(f"a TLV record of kind {kind} stands inside {_join(path[:-1])}, where resources are expected")
    inside = list(records(value))
    if any(inner != RESOURCE_INSTANCE for inner, _, _ in inside):
        raise TlvError(f"{_join(path)} holds something else than resource instances")
    return [(_join([*path, str(number)]), content) for _, number, content in inside]


def _join(parts: Sequence[str]) -> str:
    return "/" + "/".join(parts)


def encode_record(kind: int, identifier: int, value: bytes) -> bytes:
    """One record with the shortest header that holds it.

    Examples
    --------
    >>> encode_record(RESOURCE, 3, b"1.0.7-rc1").hex()
    'c80309312e302e372d726331'
    """
    wide = identifier > 0xFF
    size = len(value)
    length_bytes = 0 if size < 8 else 1 if size < 1 << 8 else 2 if size < 1 << 16 else 3
    if identifier > 0xFFFF or size >= 1 << 24:
        raise TlvError(f"a TLV record with identifier {identifier} and {size} bytes does not exist")
    head = kind << 6 | wide << 5 | length_bytes << 3 | (size if length_bytes == 0 else 0)
    return bytes([head]) + identifier.to_bytes(1 + wide, "big") + _length(size, length_bytes) + value


def _length(size: int, length_bytes: int) -> bytes:
    return size.to_bytes(length_bytes, "big") if length_bytes else b""


def encode_integer(value: int) -> bytes:
    """Two's complement in 1, 2, 4 or 8 bytes, the shortest that holds it."""
    for size in (1, 2, 4, 8):
        if -(1 << (8 * size - 1)) <= value < 1 << (8 * size - 1):
            return value.to_bytes(size, "big", signed=True)
    raise TlvError(f"{value} does not fit the 8 bytes of a TLV integer")

"""What the message table says of one message: the same as its columns, without numpy."""

from __future__ import annotations

import functools
from typing import TypeAlias

from lwm2m_lab.wire import coap

__all__ = ["FIELDS", "Field", "fields"]

Field: TypeAlias = int | str | None

#: The columns that a message fills by itself, in the order of `fields`.
FIELDS = (
    "type", "code", "mid", "token", "uri_path", "uri_query", "observe", "content_format", "accept", "block1_num",
    "block1_more", "block1_size", "block2_num", "block2_more", "block2_size", "size1", "size2", "etag",
    "payload_length", "error", "_payload",
)  # fmt: skip
_NOTHING: tuple[Field, ...] = (None, None, *[-1] * 11, None, 0)
#: By SZX, bytes of a block; 7 is reserved.
_SIZES = (16, 32, 64, 128, 256, 512, 1024, -1)


def fields(datagram: bytes) -> tuple[Field, ...]:
    """The fields of a message that is not empty: numbers (-1: missing), texts (None: missing).

    Type, code and error are positions in `coap.TYPES`, of the code's byte, and in `coap.ERRORS`; what stands before a
    fault is there.

    Examples
    --------
    >>> message = bytes.fromhex("44031000deadbeef b135 0130 ff 61".replace(" ", ""))
    >>> {name: value for name, value in zip(FIELDS, fields(message)) if value not in (None, -1)}
    {'type': 0, 'code': 3, 'mid': 4096, 'token': 'deadbeef', 'uri_path': '/5/0', 'payload_length': 1, '_payload': 13}
    """
    first, size = datagram[0], len(datagram)
    type_, code = first >> 4 & 3, datagram[1] if size > 1 else 0
    mid = datagram[2] << 8 | datagram[3] if size > 3 else -1
    early = coap.early_error(datagram)
    if early is not None:
        return type_, code, mid, "", *_NOTHING, early, -1
    begin, end = coap.token_span(datagram)
    token = datagram[begin:end].hex()
    if code == 0:
        return type_, code, mid, token, *_NOTHING, coap.NOT_EMPTY if size > 4 else -1, -1
    options, payload, fault = coap.decode_options(datagram, end)
    return (
        type_,
        code,
        mid,
        token,
        *_of_options(tuple(options)),
        len(payload),
        -1 if fault is None else fault,
        size - len(payload) if payload else -1,
    )


@functools.lru_cache(512)
def _of_options(options: coap.Options) -> tuple[Field, ...]:
    """The fields from path to ETag; many messages have the options of one before."""
    # Of several of a kind the first counts; a number of too many bytes is as good as none (RFC 7252, 5.4.3).
    first_of = dict(reversed(options))
    number = {
        kind: int.from_bytes(value, "big")
        for kind, value in first_of.items()
        if len(value) <= coap.LONGEST_NUMBER.get(kind, -1)
    }.get
    path = [value.decode(errors="replace") for kind, value in options if kind == coap.URI_PATH]
    queries = [value.decode(errors="replace") for kind, value in options if kind == coap.URI_QUERY]
    etag = first_of.get(coap.ETAG)
    return (
        "/" + "/".join(path) if path else None,
        "&".join(queries) if queries else None,
        number(coap.OBSERVE, -1),
        number(coap.CONTENT_FORMAT, -1),
        number(coap.ACCEPT, -1),
        *_block(number(coap.BLOCK1)),
        *_block(number(coap.BLOCK2)),
        number(coap.SIZE1, -1),
        number(coap.SIZE2, -1),
        None if etag is None else etag.hex(),
    )


def _block(number: int | None) -> tuple[int, int, int]:
    return (-1, -1, -1) if number is None else (number >> 4, number >> 3 & 1, _SIZES[number & 7])

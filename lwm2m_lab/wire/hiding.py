"""What one datagram or segment tells and hides: the private fields of CoAP, DTLS and HTTP, found and replaced in place.

Everything keeps its length, so that no option, record, segment or block moves.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from lwm2m_lab.wire import coap
from lwm2m_lab.wire.private import Private
from lwm2m_lab.wire.pseudonyms import Pseudonyms

__all__ = [
    "find_in_coap",
    "find_in_dtls",
    "find_in_http",
    "hide_coap",
    "hide_dtls",
    "hide_http",
    "is_http",
    "looks_like_dtls",
]

_RECORD, _MESSAGE = 13, 12
_HANDSHAKE = 22
_CLIENT_HELLO, _CERTIFICATE, _SERVER_KEY_EXCHANGE, _CERTIFICATE_REQUEST, _CLIENT_KEY_EXCHANGE = 1, 11, 12, 13, 16
#: An identity or a hint has up to 128 bytes (LwM2M, E.1); a longer field is another kind of key exchange.
_LONGEST_IDENTITY = 128
_SERVER_NAME = 0
_URI_HOST, _URI_QUERY, _PROXY_URI = 3, 15, 35
_START = re.compile(rb"(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|CONNECT|PATCH) [^\r\n]* HTTP/1\.|HTTP/1\.[01] \d{3}")
_HOST = re.compile(rb"(?im)^Host:[ \t]*(\[[^\]\r\n]*\]|[^:\s\r\n]+)")
_LOCATION = re.compile(rb"(?im)^(?:Content-)?Location:[ \t]*([^\r\n]+)")
_TARGET = re.compile(rb"^[A-Z]+ ([a-z]+://[^ \r\n]+) HTTP/")
_SECRET = re.compile(
    rb"(?im)^((?:Proxy-)?Authorization|Cookie|Set-Cookie|X-[A-Za-z-]*(?:Key|Token))(:[ \t]*)([^\r\n]*)"
)


# ---------------------------------------------------------------- CoAP


def _options(datagram: bytes) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each option as far as they go; at last (-1, start, end) of the payload."""
    if len(datagram) < 4:
        return
    at, number = 4 + (datagram[0] & 15), 0
    while at < len(datagram):
        if datagram[at] == 0xFF:
            yield -1, at + 1, len(datagram)
            return
        nibbles = [datagram[at] >> 4, datagram[at] & 15]
        at += 1
        for which, nibble in enumerate(nibbles):
            if nibble >= 13:
                extra = nibble - 12
                if nibble == 15 or at + extra > len(datagram):
                    return
                nibbles[which] = (13, 269)[extra - 1] + int.from_bytes(datagram[at : at + extra], "big")
                at += extra
        number += nibbles[0]
        if at + nibbles[1] > len(datagram):
            return
        yield number, at, at + nibbles[1]
        at += nibbles[1]


def find_in_coap(datagram: bytes, private: Private) -> None:
    """Add the hosts that the options of a message name."""
    for number, start, end in _options(datagram):
        if number == _URI_HOST:
            private.add_host(datagram[start:end])
        elif number == _PROXY_URI:
            private.add_uri(datagram[start:end])


def hide_coap(datagram: bytes, pseudonyms: Pseudonyms, *, emptied: Collection[bytes] = ()) -> bytes:
    """A message with its private fields replaced, and its payload zeroed if its header and token are in `emptied`."""
    hidden = bytearray(pseudonyms.within(datagram))
    for number, start, end in _options(datagram):
        value = datagram[start:end]
        if number == _URI_HOST:
            hidden[start:end] = pseudonyms.string(value)
        elif number == _URI_QUERY and value.startswith(b"ep="):
            hidden[start + 3 : end] = pseudonyms.string(value[3:])
        elif number < 0 and datagram[: coap.token_span(datagram)[1]] in emptied:
            hidden[start:end] = bytes(end - start)
    return bytes(hidden)


# ---------------------------------------------------------------- DTLS


def looks_like_dtls(datagram: bytes) -> bool:
    """Whether a datagram begins with a DTLS record."""
    return len(datagram) >= _RECORD and 20 <= datagram[0] <= 26 and datagram[1] == 0xFE


def _messages(datagram: bytes) -> Iterator[tuple[int, int, int, bool]]:
    """Handshake messages in the clear: type, start and end of the body, whether it begins here."""
    at = 0
    while at + _RECORD <= len(datagram) and datagram[at + 1] == 0xFE:
        end = min(at + _RECORD + int.from_bytes(datagram[at + 11 : at + 13], "big"), len(datagram))
        if datagram[at] == _HANDSHAKE and datagram[at + 3 : at + 5] == b"\0\0":
            inner = at + _RECORD
            while inner + _MESSAGE <= end:
                body = inner + _MESSAGE
                stop = min(body + int.from_bytes(datagram[inner + 9 : inner + 12], "big"), end)
                yield datagram[inner], body, stop, not any(datagram[inner + 6 : inner + 9])
                inner = stop
        at = end


def _identities(datagram: bytes) -> Iterator[tuple[int, int]]:
    """Where PSK identities and hints stand."""
    for kind, start, end, begins in _messages(datagram):
        if begins and kind in (_CLIENT_KEY_EXCHANGE, _SERVER_KEY_EXCHANGE) and end - start >= 2:
            length = int.from_bytes(datagram[start : start + 2], "big")
            if 0 < length <= min(_LONGEST_IDENTITY, end - start - 2):
                yield start + 2, start + 2 + length


def _server_names(datagram: bytes) -> Iterator[bytes]:
    """Host names in the server_name extension of a ClientHello (RFC 6066, 3)."""
    for kind, start, end, begins in _messages(datagram):
        if kind != _CLIENT_HELLO or not begins:
            continue
        at = start + 34
        # Session id, cookie, cipher suites, compression methods.
        for width in (1, 1, 2, 1):
            at += width + int.from_bytes(datagram[at : at + width], "big")
        at += 2
        while at + 4 <= end:
            length = int.from_bytes(datagram[at + 2 : at + 4], "big")
            if int.from_bytes(datagram[at : at + 2], "big") == _SERVER_NAME and length > 5:
                yield datagram[at + 9 : min(at + 4 + length, end)]
            at += 4 + length


def find_in_dtls(datagram: bytes, private: Private) -> None:
    """Add identities, hints and server names of a handshake."""
    private.identities |= {datagram[start:end] for start, end in _identities(datagram)}
    for name in _server_names(datagram):
        private.add_host(name)


def hide_dtls(datagram: bytes, pseudonyms: Pseudonyms) -> bytes:
    """A DTLS datagram with identities, hints and names replaced, and certificates zeroed."""
    hidden = bytearray(datagram)
    for kind, start, end, _ in _messages(datagram):
        if kind in (_CERTIFICATE, _CERTIFICATE_REQUEST):
            hidden[start:end] = bytes(end - start)
        else:
            hidden[start:end] = pseudonyms.within(datagram[start:end])
    for start, end in _identities(datagram):
        hidden[start:end] = pseudonyms.string(datagram[start:end])
    return bytes(hidden)


# ---------------------------------------------------------------- HTTP


def is_http(segment: bytes) -> bool:
    """Whether a segment begins a request or a response of HTTP/1."""
    return _START.match(segment) is not None


def find_in_http(segment: bytes, private: Private) -> None:
    """Add the hosts that the headers of a message name."""
    if not is_http(segment):
        return
    head = segment.partition(b"\r\n\r\n")[0]
    for found in _HOST.finditer(head):
        private.add_host(found[1])
    for pattern in (_LOCATION, _TARGET):
        for found in pattern.finditer(head):
            private.add_uri(found[1])


def hide_http(segment: bytes, pseudonyms: Pseudonyms, *, empty: bool, framing: Iterable[int] = ()) -> bytes:
    """A segment with private strings replaced and credentials blanked; with `empty` the body zeroed, too.

    `framing` are the places of bytes that belong to no chunk but tell their sizes: they stay.
    """
    hidden = pseudonyms.within(segment)
    head, gap, body = hidden.partition(b"\r\n\r\n") if is_http(segment) else (b"", b"", hidden)
    head = _SECRET.sub(lambda found: found[1] + found[2] + b"x" * len(found[3]), head)
    out = bytearray(head + gap + (bytes(len(body)) if empty else body))
    for at in framing:
        out[at] = hidden[at]
    return bytes(out)

"""Which datagrams are CoAP, which are DTLS: by port, and by content."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["COAPS_PORT", "address_text", "is_dtls", "on_ports", "recognised"]

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
COAPS_PORT = 5684
_RECORD_HEADER = 13
_TLS12_CID = 25


def address_text(row: bytes) -> str:
    """``192.0.2.1:5683`` or ``[2001:db8::1]:5683`` of 16 bytes of address (IPv4 mapped) and two of port."""
    address, port = ipaddress.IPv6Address(row[:16]), int.from_bytes(row[16:18], "big")
    return f"{address.ipv4_mapped}:{port}" if address.ipv4_mapped else f"[{address}]:{port}"


def on_ports(endpoints: Bytes, ports: Sequence[int]) -> Mask:
    """Whether the port of each endpoint, shape (n, 18), is one of these."""
    port = endpoints[:, 16].astype(np.int64) << 8 | endpoints[:, 17]
    known: Mask = np.isin(port, np.array(ports, np.int64))
    return known


def is_dtls(data: Bytes, start: Ints, end: Ints) -> Mask:
    """Whether a datagram begins with a DTLS record: a known type and version fe ff or fe fd.

    No CoAP message does: its first byte is 0x40 to 0x7f.
    """
    kind = data[start]
    version = (data[start + 1] == 0xFE) & np.isin(data[start + 2], (0xFF, 0xFD))
    plausible: Mask = (end - start >= _RECORD_HEADER) & (kind >= 20) & (kind <= _TLS12_CID) & version
    return plausible


def recognised(columns: Mapping[str, NDArray[Any]], tokens: Sequence[str]) -> Mask:
    """Which messages are CoAP: those on a known port, and those of a flow that is CoAP by its content.

    A flow is the traffic between two endpoints (address and port). It is CoAP when all its datagrams decode and at
    least one request has its response: the same token the other way, and the same message id where the token is empty.
    """
    keep: Mask = columns["known"].copy()
    rows = np.nonzero(~keep)[0]
    if not rows.size:
        return keep
    src, dst = columns["src"][rows].astype(np.int64), columns["dst"][rows].astype(np.int64)
    flow = np.minimum(src, dst) << 32 | np.maximum(src, dst)
    _, number = np.unique(flow, return_inverse=True)
    damaged = np.zeros(int(number.max()) + 1, bool)
    damaged[number[columns["error"][rows] >= 0]] = True
    answered = np.zeros_like(damaged)
    code, token, mid = columns["code"][rows], columns["token"][rows].astype(np.int64), columns["mid"][rows]
    empty = tokens.index("") if "" in tokens else -1
    # With an empty token the message id has to tell; otherwise a separate response may have one of its own.
    key = np.where(token == empty, mid.astype(np.int64) + (1 << 40), token)
    request, response = (code > 0) & (code < 32), (code >= 64) & (code < 192)
    upward = src < dst
    asked = {*zip(number[request].tolist(), key[request].tolist(), upward[request].tolist(), strict=True)}
    for one, what, way in zip(
        number[response].tolist(), key[response].tolist(), upward[response].tolist(), strict=True
    ):
        if (one, what, not way) in asked:
            answered[one] = True
    keep[rows] = (answered & ~damaged)[number]
    return keep

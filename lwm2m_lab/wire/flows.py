"""Which datagrams are CoAP, which are DTLS: by port, and by content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.wire.ends import MAPPED, address_text
from lwm2m_lab.wire.gather import column
from lwm2m_lab.wire.intern import Interner

__all__ = ["COAPS_PORT", "Flows", "is_dtls", "recognised"]

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
COAPS_PORT = 5684
_RECORD_HEADER = 13
_TLS12_CID = 25


class Flows:
    """The flows of a capture, each from one endpoint (address and port) to another, as integer codes.

    Attributes
    ----------
    endpoints : list of str
        ``192.0.2.1:5683`` or ``[2001:db8::1]:5683``.
    source, destination : arrays of int64
        By flow, which endpoint it comes from and goes to.
    foreign : array of bool
        By flow, whether it was seen to carry something else than CoAP.
    known, secured : arrays of bool
        By flow, whether one of its ports is among `ports`, and whether one is that of CoAP over DTLS.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self.endpoints: list[str] = []
        self.source = self.destination = np.zeros(0, np.int64)
        self.known = self.secured = self.foreign = np.zeros(0, bool)
        self._ports = frozenset(ports)
        self._code_of: dict[str, int] = {}
        self._ends: list[bytes] = []
        self._interners = {4: Interner(2), 16: Interner(5)}
        self._flow_of = {4: np.zeros(0, np.int64), 16: np.zeros(0, np.int64)}

    def codes(self, addresses: Bytes, ports: Bytes) -> Ints:
        """The flows of datagrams: source and destination address in 8 or 32 bytes, ports in 4; shape (n, width)."""
        width = addresses.shape[1] // 2
        interner, known = self._interners[width], self._flow_of[width]
        words = [column(addresses, at, "<u8").astype(np.uint64) for at in range(0, 2 * width, 8)]
        local = interner.codes([*words, column(ports, 0, "<u4").astype(np.uint64)])
        if interner.count > len(known):
            first = len(self._ends)
            new = [self._add(interner.key(code), width) for code in range(len(known), interner.count)]
            source, destination, known_port, secured = zip(*new, strict=True)
            self.source = np.concatenate([self.source, np.array(source, np.int64)])
            self.destination = np.concatenate([self.destination, np.array(destination, np.int64)])
            self.known = np.concatenate([self.known, np.array(known_port, bool)])
            self.secured = np.concatenate([self.secured, np.array(secured, bool)])
            self.foreign = np.concatenate([self.foreign, np.zeros(len(new), bool)])
            known = self._flow_of[width] = np.concatenate([known, np.arange(first, len(self._ends))])
        return known.take(local)

    def ends(self, flows: Ints) -> tuple[Bytes, Bytes]:
        """Source and destination of some flows, shape (n, 18): 16 bytes of address (IPv4 mapped) and two of port."""
        table = np.frombuffer(b"".join(self._ends), np.uint8).reshape(-1, 36)[flows]
        return table[:, :18], table[:, 18:]

    def between(self, source: Bytes, destination: Bytes) -> Ints:
        """The flows between such ends as `ends` gives them."""
        flow = np.zeros(len(source), np.int64)
        mapped = (source[:, :12] == np.frombuffer(MAPPED, np.uint8)).all(axis=1)
        for first, chosen in ((12, mapped), (0, ~mapped)):
            there, back = source[chosen], destination[chosen]
            if len(there):
                addresses = np.concatenate([there[:, first:16], back[:, first:16]], axis=1)
                flow[chosen] = self.codes(addresses, np.concatenate([there[:, 16:], back[:, 16:]], axis=1))
        return flow

    def _add(self, key: Sequence[int], width: int) -> tuple[int, int, bool, bool]:
        """A new flow: the codes of its ends, and what its ports are."""
        raw = b"".join(word.to_bytes(8, "little") for word in key)
        mapped = MAPPED if width == 4 else b""
        ports = raw[2 * width : 2 * width + 4]
        ends = [mapped + raw[:width] + ports[:2], mapped + raw[width : 2 * width] + ports[2:]]
        self._ends.append(b"".join(ends))
        source, destination = (self._code(address_text(end)) for end in ends)
        numbers = {int.from_bytes(ports[:2], "big"), int.from_bytes(ports[2:], "big")}
        return source, destination, not self._ports.isdisjoint(numbers), COAPS_PORT in numbers

    def _code(self, text: str) -> int:
        if text not in self._code_of:
            self._code_of[text] = len(self.endpoints)
            self.endpoints.append(text)
        return self._code_of[text]


def is_dtls(data: Bytes, start: Ints, end: Ints) -> Mask:
    """Whether a datagram begins with a DTLS record: a known type and version fe ff or fe fd.

    No CoAP message does: its first byte is 0x40 to 0x7f.
    """
    kind = data.take(start)
    if not ((kind >= 20) & (kind <= _TLS12_CID)).any():
        return np.zeros(len(start), bool)
    version = (data[start + 1] == 0xFE) & np.isin(data[start + 2], (0xFF, 0xFD))
    plausible: Mask = (end - start >= _RECORD_HEADER) & (kind >= 20) & (kind <= _TLS12_CID) & version
    return plausible


def recognised(columns: Mapping[str, NDArray[Any]], known: Mask, tokens: Sequence[str]) -> Mask:
    """Which messages that are not known to be CoAP are so by their content.

    A flow is here the traffic between two endpoints (address and port). It is CoAP when all its datagrams decode and at
    least one request has its response: the same token the other way, and the same message id where the token is empty.
    """
    keep: Mask = np.zeros(len(known), bool)
    rows = np.flatnonzero(~known)
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

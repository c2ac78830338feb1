"""TCP segments of a capture, a window at a time: collected as numbers, the bytes stay in the file.

Most TCP in a capture is none of our business. Segments are kept small (some 60 bytes each), and whenever many have come
together those of connections that show neither HTTP nor CoAP are let go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.wire.ends import address_text
from lwm2m_lab.wire.packets import OtherPackets, behind_extensions
from lwm2m_lab.wire.records import Records

__all__ = ["ACK", "COAP", "COAP_PORT", "FIN", "HTTP", "RST", "SYN", "Segments", "located"]

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

FIN, SYN, RST, ACK = 1, 2, 4, 16
COAP_PORT = 5683
_TCP, _FRAGMENT = 6, 44
#: Segments that may gather before the uninteresting ones go.
GATHERED = 1 << 18
_COLUMNS = ("frame", "time", "key", "back", "seq", "flags", "at", "length", "cut", "hint")
#: The first four bytes of what HTTP/1.1 says.
_HTTP = np.array(
    [
        int.from_bytes(word, "big")
        for word in (b"GET ", b"HEAD", b"HTTP", b"PUT ", b"POST", b"DELE", b"OPTI", b"PATC", b"TRAC", b"CONN")
    ]
)
#: What the first bytes of a segment look like.
NOTHING, HTTP, COAP, TLS = range(4)


class Segments:
    """Collects the TCP segments of a capture.

    Attributes
    ----------
    total : int
        TCP packets seen, of every kind.
    fragments : int
        IP fragments of TCP packets, which are left out: TCP hardly ever has any (it sets "don't fragment").
    """

    def __init__(self) -> None:
        self.total = self.fragments = 0
        self._parts: list[dict[str, NDArray[Any]]] = []
        self._gathered, self._limit = 0, GATHERED

    def add(self, records: Records, others: OtherPackets) -> None:
        """Take the TCP of one window."""
        if not len(others.row):
            return
        count, fragments, part = _segments(records, others)
        self.total += count
        self.fragments += fragments
        if part is None:
            return
        self._parts.append(part)
        self._gathered += len(part["frame"])
        if self._gathered > self._limit:
            self._let_go()

    def _let_go(self) -> None:
        """Drop the segments of connections that show nothing of ours."""
        everything = self.columns()
        keep = speaking(everything, HTTP, COAP) | (everything["hint"] == TLS)
        self._parts = [{name: array[keep] for name, array in everything.items()}]
        self._gathered = int(keep.sum())
        self._limit = 2 * self._gathered + GATHERED

    def columns(self) -> dict[str, NDArray[Any]]:
        """All segments that were kept, in the order of the file.

        ``key`` and ``back`` name the direction and the one back, 36 bytes each: address and port of source and of
        destination.
        ``at`` and ``length`` are the payload in the file, ``cut`` the bytes that the snap length left out behind it.
        """
        if not self._parts:
            return {name: np.array([], _DTYPES[name]) for name in _COLUMNS}
        whole = {name: np.concatenate([part[name] for part in self._parts]) for name in _COLUMNS}
        self._parts = [whole]
        return whole

    def of(self, look: int) -> dict[str, NDArray[Any]]:
        """The segments of the connections that speak so: `HTTP` or `COAP`."""
        everything = self.columns()
        keep = speaking(everything, look)
        return {name: array[keep] for name, array in everything.items()}

    def tls(self) -> list[tuple[int, str, str]]:
        """First packet, client and server of each connection that begins with a TLS handshake."""
        everything = self.columns()
        hello = everything["hint"] == TLS
        keys, first = np.unique(everything["key"][hello], return_index=True)
        frames = everything["frame"][hello][first].tolist()
        ends = [(key[:18], key[18:]) for key in map(bytes, keys)]
        return [
            (frame, address_text(one), address_text(other)) for frame, (one, other) in zip(frames, ends, strict=True)
        ]


_KEY = np.dtype((np.void, 36))
_DTYPES: dict[str, Any] = {
    "frame": "i4", "time": "i8", "key": _KEY, "back": _KEY, "seq": "u4", "flags": "u1", "at": "i8", "length": "i4",
    "cut": "i4", "hint": "u1",
}  # fmt: skip


def speaking(columns: Mapping[str, NDArray[Any]], *looks: int) -> Mask:
    """Segments of the connections in which some payload begins so, either way."""
    if not len(columns["frame"]):
        return np.zeros(0, bool)
    _, code = np.unique(np.concatenate([columns["key"], columns["back"]]), return_inverse=True)
    there, back = np.split(code, 2)
    speaks = np.zeros(int(code.max()) + 1, bool)
    told = np.isin(columns["hint"], looks)
    speaks[there[told]] = speaks[back[told]] = True
    keep: Mask = speaks[there]
    return keep


def _segments(records: Records, others: OtherPackets) -> tuple[int, int, dict[str, NDArray[Any]] | None]:
    """How many packets of a window are segments, how many fragments of some, and those that a stream needs."""
    data, rows, ip, end, version = records.data, others.row, others.ip, others.end, others.version
    tcp, total = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    for number, headers in ((4, _behind4), (6, _behind6)):
        here = np.flatnonzero(version == number)
        if here.size:
            tcp[here], total[here] = headers(data, ip[here], end[here])
    good = (tcp > 0) & (tcp + 20 <= end)
    count, fragments = int(good.sum()), int((tcp < 0).sum())
    tcp = np.where(good, tcp, 0)
    # An offloaded segment claims length 0: what was there on the wire is what the record says.
    total = np.where(total > 0, ip + total, records.start[rows] + records.original[rows])
    payload = tcp + (data[tcp + 12] >> 4).astype(np.int64) * 4
    length = np.maximum(np.minimum(end, total) - payload, 0)
    cut = np.maximum(total - payload - length, 0)
    flags = data[tcp + 13]
    # An acknowledgement without payload says nothing that a stream needs.
    keep = np.flatnonzero(good & ((length > 0) | (cut > 0) | (flags & (SYN | FIN | RST) > 0)))
    if not keep.size:
        return count, fragments, None
    rows, ip, tcp, version, payload, length = (
        rows[keep], ip[keep], tcp[keep], version[keep], payload[keep], length[keep]
    )  # fmt: skip
    source, destination = _ends(data, ip, tcp, version)
    return (
        count,
        fragments,
        {
            "frame": records.frame[rows].astype(np.int32),
            "time": records.time_ns[rows],
            "key": _keys(source, destination),
            "back": _keys(destination, source),
            "seq": _be32(data, tcp + 4).astype(np.uint32),
            "flags": flags[keep],
            "at": payload + records.base,
            "length": length.astype(np.int32),
            "cut": cut[keep].astype(np.int32),
            "hint": _hints(data, payload, length, source, destination),
        },
    )


def located(records: Records, others: OtherPackets) -> dict[str, NDArray[Any]]:
    """Every TCP packet of a window, bare acknowledgements too: whose it is, its header's fields, and bytes by layer."""
    data, rows, ip, end, version = records.data, others.row, others.ip, others.end, others.version
    tcp, total = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    for number, headers in ((4, _behind4), (6, _behind6)):
        here = np.flatnonzero(version == number)
        if here.size:
            tcp[here], total[here] = headers(data, ip[here], end[here])
    good = np.flatnonzero((tcp > 0) & (tcp + 20 <= end))
    rows, ip, tcp, total, version = rows[good], ip[good], tcp[good], total[good], version[good]
    total = np.where(total > 0, total, records.start[rows] + records.original[rows] - ip)
    header = (data[tcp + 12] >> 4).astype(np.int64) * 4
    source, destination = _ends(data, ip, tcp, version)
    return {
        "frame": records.frame[rows], "time_ns": records.time_ns[rows], "key": _keys(source, destination),
        "ip": tcp - ip, "tcp": header, "payload": np.maximum(total - (tcp - ip) - header, 0),
        "seq": _be32(data, tcp + 4), "ack": _be32(data, tcp + 8), "flags": data[tcp + 13],
    }  # fmt: skip


def _behind4(data: Bytes, ip: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Where TCP begins behind each IPv4 header (0: it does not, -1: in fragments), and the total length."""
    header = (data[ip] & 15).astype(np.int64) * 4
    fragment = (data[ip + 6].astype(np.int64) << 8 | data[ip + 7]) & 0x3FFF
    tcp = (data[ip + 9] == _TCP) & (header >= 20)
    return np.where(tcp, np.where(fragment == 0, ip + header, -1), 0), data[ip + 2].astype(np.int64) << 8 | data[ip + 3]


def _behind6(data: Bytes, ip: Ints, end: Ints) -> tuple[Ints, Ints]:
    """The same for IPv6."""
    following, at = behind_extensions(data, ip, end)
    length = data[ip + 4].astype(np.int64) << 8 | data[ip + 5]
    fragment = (following == _FRAGMENT) & (data[np.minimum(at, len(data) - 1)] == _TCP)
    return np.where(following == _TCP, at, np.where(fragment, -1, 0)), np.where(length > 0, length + 40, 0)


def _ends(data: Bytes, ip: Ints, tcp: Ints, version: Bytes) -> tuple[Bytes, Bytes]:
    """Source and destination, shape (n, 18): address in 16 bytes, port in two, as for UDP."""
    sides = []
    for at4, at6, port_at in ((12, 8, 0), (16, 24, 2)):
        key = np.zeros((len(ip), 18), np.uint8)
        four, six = np.nonzero(version == 4)[0], np.nonzero(version == 6)[0]
        key[four, 10:12] = 0xFF
        key[four, 12:16] = data[(ip[four] + at4)[:, None] + np.arange(4)]
        key[six, :16] = data[(ip[six] + at6)[:, None] + np.arange(16)]
        key[:, 16:] = data[(tcp + port_at)[:, None] + np.arange(2)]
        sides.append(key)
    return sides[0], sides[1]


def _keys(source: Bytes, destination: Bytes) -> NDArray[Any]:
    return np.ascontiguousarray(np.concatenate([source, destination], axis=1)).view(_KEY).ravel()


def _be32(data: Bytes, at: Ints) -> Ints:
    four = data[at[:, None] + np.arange(4)].astype(np.int64)
    word: Ints = four @ np.array([1 << 24, 1 << 16, 1 << 8, 1])
    return word


def _hints(data: Bytes, payload: Ints, length: Ints, source: Bytes, destination: Bytes) -> Bytes:
    """What each payload looks like at its beginning."""
    port = np.array([COAP_PORT >> 8, COAP_PORT & 255], np.uint8)
    on_port = (source[:, 16:] == port).all(axis=1) | (destination[:, 16:] == port).all(axis=1)
    at = np.where(length >= 4, payload, 0)
    word = _be32(data, at)
    first = word >> 24
    # A CSM: the length's nibble, no token, and code 7.01, behind the one byte of a longer length where there is one.
    signal = np.where(first >> 4 == 13, word >> 8 & 255, np.where(first >> 4 < 13, word >> 16 & 255, 0))
    hint = np.full(len(payload), NOTHING, np.uint8)
    there = length >= 4
    # A ClientHello: a handshake record of version 3.x whose first message is of type 1.
    hello = data[np.minimum(payload + 5, len(data) - 1)] == 1
    hint[there & (first == 22) & (word >> 16 & 255 == 3) & hello] = TLS
    hint[there & (first & 15 == 0) & (signal == 0xE1)] = COAP
    # A CSM alone may be of two bytes.
    hint[(length >= 2) & (data[payload] == 0) & (data[np.minimum(payload + 1, len(data) - 1)] == 0xE1)] = COAP
    hint[on_port] = COAP
    # A client may have the port of CoAP by chance: what begins like HTTP is HTTP.
    hint[there & np.isin(word, _HTTP)] = HTTP
    return hint

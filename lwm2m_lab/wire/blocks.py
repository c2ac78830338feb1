"""The blocks of a pcapng file: sections, interfaces, packets of three kinds, secrets."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.wire.chain import Chain, follow
from lwm2m_lab.wire.formats import NG_MAGIC, ORDERS, Interface, read_interface, read_options
from lwm2m_lab.wire.gather import column, rows
from lwm2m_lab.wire.records import Part, Records
from lwm2m_lab.wire.window import Window

__all__ = ["BlockReader"]

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE, _PACKET, _SECRETS = 0x0A0D0D0A, 1, 2, 3, 6, 10
_TLS_KEY_LOG = 0x544C534B
_COMMENT = 1


class BlockReader:
    """Reads windows of blocks; interfaces and key logs are collected on the way.

    Attributes
    ----------
    interfaces : list of Interface
        Of all sections so far.
    key_logs : list of str
        Those that nobody took yet.
    """

    def __init__(self) -> None:
        self.interfaces: list[Interface] = []
        self.key_logs: list[str] = []
        self._order = "<"
        self._first_interface = 0
        self._last_time = 0

    def read(self, window: Window, packets: int) -> Part:
        """The packets of a window, up to a section of the other byte order; so many came before."""
        if window.buffer[:4] == NG_MAGIC and window.end >= 12:
            order = ORDERS.get(bytes(window.buffer[8:12]))
            if order is None:
                return Part(None, 0, "a section without its byte-order magic")
            self._order = order
        mark = struct.pack(self._order + "I", _PACKET)
        chain = Chain(self._order, length_at=4, header=12, uncounted=0, step=4, mark=mark, mark_at=0)
        offsets, used, lies = follow(window, chain)
        head = rows(window.data, offsets, 32)
        kind = column(head, 0, self._order + "u4")
        block = column(head, 4, self._order + "u4")
        turn = self._turn(window, offsets, kind, used)
        if turn is not None:
            here = offsets < turn
            used, lies, offsets, head, kind, block = turn, None, offsets[here], head[here], kind[here], block[here]
        added = self._others(window, offsets, kind)
        damage = None if lies is None else f"a block of {lies} bytes"
        packet = (kind == _PACKET) & (block >= 32) | (kind == _SIMPLE) | (kind == _OLD_PACKET)
        if not packet.all():
            offsets, head, added = offsets[packet], head[packet], added[packet]
        found = self._packets(window, packets, offsets, head, added) if offsets.size else None
        return Part(found, used, damage, turn is not None)

    def _turn(self, window: Window, offsets: Ints, kind: NDArray[np.uint32], used: int) -> int | None:
        """Where the first section of another byte order begins, or of none: lengths there are not what they seem."""
        places = offsets[kind == _SECTION].tolist()
        if window.buffer[used : used + 4] == NG_MAGIC and used + 12 <= window.end:
            places.append(used)
        for place in places:
            if place and ORDERS.get(bytes(window.buffer[place + 8 : place + 12])) != self._order:
                return int(place)
        return None

    def _others(self, window: Window, offsets: Ints, kind: NDArray[np.uint32]) -> Ints:
        """Read the blocks that are no packets; what is to be added to the interface number of each block.

        Interfaces are numbered anew in each section.
        """
        first = np.zeros(len(offsets), np.int64)
        first[:1] = self._first_interface
        for row in np.flatnonzero((kind == _SECTION) | (kind == _INTERFACE) | (kind == _SECRETS)).tolist():
            at = int(offsets[row])
            if kind[row] == _SECTION:
                first[row] = self._first_interface = len(self.interfaces)
                continue
            (length,) = struct.unpack_from(self._order + "I", window.buffer, at + 4)
            body = bytes(window.buffer[at + 8 : at + length - 4])
            if kind[row] == _INTERFACE:
                self.interfaces.append(read_interface(body, self._order))
            else:
                self._add_secrets(body)
        return np.maximum.accumulate(first)

    def _add_secrets(self, body: bytes) -> None:
        if len(body) < 8:
            return
        kind, length = struct.unpack_from(self._order + "II", body)
        if kind == _TLS_KEY_LOG:
            self.key_logs.append(body[8 : 8 + length].decode(errors="replace"))

    def _packets(self, window: Window, packets: int, offsets: Ints, head: Bytes, added: Ints) -> Records:
        """Columns of the packet blocks of one window."""
        kind, block, number, high, low, captured, original = (
            column(head, at, self._order + "u4").astype(np.int64) for at in range(0, 28, 4)
        )
        start, room = offsets + 28, block - 32
        simple = kind == _SIMPLE
        if not (kind == _PACKET).all():
            # The obsolete packet block has its interface in 16 bits; the simple one nothing but a length.
            number = np.where(kind == _OLD_PACKET, column(head, 8, self._order + "u2"), number)
            original = np.where(simple, number, original)
            captured = np.where(simple, np.minimum(number, block - 16), captured)
            number = np.where(simple, 0, number)
            start, room = np.where(simple, offsets + 12, start), np.where(simple, block - 16, room)
        captured = np.clip(captured, 0, np.maximum(room, 0))
        number = number + added
        time_ns = self._times(high << 32 | low, number, simple)
        frame = np.arange(packets + 1, packets + 1 + len(offsets), dtype=np.int64)
        comments = self._comments(window.data, start + (captured + 3 & ~3), offsets + block - 4, frame, simple)
        return Records(window.data, window.base, frame, time_ns, start, captured, original, number, comments)

    def _comments(self, data: Bytes, at: Ints, end: Ints, frame: Ints, simple: Mask) -> dict[int, str]:
        """The comments among the options that stand behind the packets."""
        comments: dict[int, str] = {}
        for row in np.flatnonzero(~simple & _has_comment(data, at, end, self._order)).tolist():
            raw = data[int(at[row]) : int(end[row])].tobytes()
            texts = [
                value.decode(errors="replace") for code, value in read_options(raw, self._order) if code == _COMMENT
            ]
            if texts:
                comments[int(frame[row])] = "; ".join(texts)
        return comments

    def _times(self, ticks: Ints, interface: Ints, simple: Mask) -> Ints:
        """Nanoseconds since the epoch; a simple packet block has no time and takes that of the packet before."""
        clocks = {(one.ticks_per_second, one.offset_s) for one in self.interfaces} or {(10**6, 0)}
        if len(clocks) == 1 and int(interface.max()) < len(self.interfaces):
            time_ns = _nanoseconds(ticks, *clocks.pop())
        else:
            time_ns = np.zeros(len(ticks), np.int64)
            for number in np.unique(interface).tolist():
                known = self.interfaces[number] if number < len(self.interfaces) else Interface()
                here = interface == number
                time_ns[here] = _nanoseconds(ticks[here], known.ticks_per_second, known.offset_s)
        if simple.any():
            last = np.maximum.accumulate(np.where(simple, -1, np.arange(len(ticks))))
            time_ns = np.where(last < 0, self._last_time, time_ns[np.maximum(last, 0)])
        self._last_time = int(time_ns[-1])
        return time_ns


def _nanoseconds(ticks: Ints, per_second: int, offset_s: int) -> Ints:
    """Ticks of a clock since the epoch; what no clock would show wraps around."""
    with np.errstate(over="ignore"):
        if 10**9 % per_second == 0:
            return ticks * (10**9 // per_second) + _wrapped(offset_s * 10**9)
        seconds, rest = np.divmod(ticks, per_second)
        # A product of the rest and 10**9 stays within 63 bits up to a resolution of 2**-33.
        fraction = rest * 10**9 // per_second if per_second <= 1 << 33 else (rest / per_second * 1e9).astype(np.int64)
        return (seconds + _wrapped(offset_s)) * 10**9 + fraction


def _wrapped(number: int) -> np.int64:
    """A number in 64 bits."""
    return np.int64((number + 2**63) % 2**64 - 2**63)


def _has_comment(data: Bytes, at: Ints, end: Ints, order: str) -> Mask:
    """Which packets may have a comment among their options: capture tools write flags behind every one."""
    found = np.zeros(len(at), bool)
    live = np.flatnonzero(at + 4 < end)
    at = at[live]
    for _ in range(6):
        if not live.size:
            return found
        head = rows(data, at, 4)
        code, length = column(head, 0, order + "u2"), column(head, 2, order + "u2").astype(np.int64)
        found[live[code == _COMMENT]] = True
        at = at + 4 + (length + 3 & ~3)
        more = (code > _COMMENT) & (at + 4 < end[live])
        live, at = live[more], at[more]
    found[live] = True
    return found

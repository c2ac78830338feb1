"""A capture that is still being written: its whole records, however its bytes come in pieces."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator

from lwm2m_lab.errors import BadInput
from lwm2m_lab.wire.formats import LONGEST_RECORD, NG_MAGIC, ORDERS, PCAP_MAGIC

__all__ = ["GrowingCapture", "records"]

#: Blocks of pcapng that are packets: obsolete, simple and enhanced.
_PACKETS = frozenset({2, 3, 6})
_PCAP_HEADER, _PCAP_RECORD, _BLOCK = 24, 16, 12


class GrowingCapture:
    """Cuts a stream into whole records of pcap or pcapng, so that a file of them ends with a record at any moment.

    Attributes
    ----------
    packets : int
        In what was handed out so far.
    is_full : bool
        Whether a record did not fit; nothing is handed out any more.
    waiting : int
        Bytes of a record that is not whole yet.

    Examples
    --------
    >>> from lwm2m_lab.wire.pcap import Interface
    >>> from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
    >>> data = pcapng_bytes([Packet(0, b"E")], interfaces=[Interface("lo")])
    >>> growing = GrowingCapture()
    >>> len(growing.feed(data[:-1])), growing.packets
    (68, 0)
    >>> len(growing.feed(data[-1:])), growing.packets
    (36, 1)
    """

    def __init__(self) -> None:
        self.packets, self.is_full = 0, False
        self._waiting = bytearray()
        self._began = self._is_ng = False
        self._order = "<"

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def feed(self, data: bytes, *, room: int = sys.maxsize) -> bytes:
        """Take what has come; returns the records that are whole by now and take no more than `room` bytes.

        Raises
        ------
        BadInput
            Where it is no capture; what is whole before that place is handed out first, and the next call raises.
        """
        self._waiting += data
        at = 0
        while not self.is_full:
            try:
                length, is_packet = self._next(at)
            except BadInput:
                if not at:
                    raise
                break
            if not length or at + length > len(self._waiting):
                break
            self.is_full = at + length > room
            if not self.is_full:
                at += length
                self.packets += is_packet
        whole = bytes(self._waiting[:at])
        del self._waiting[:at]
        return whole

    def _next(self, at: int) -> tuple[int, bool]:
        """Bytes of the record that begins there, and whether it is a packet; 0 where that cannot be told yet."""
        if not self._began:
            length = self._first()
            self._began = 0 < length <= len(self._waiting)
            return length, False
        head = self._waiting[at : at + _PCAP_RECORD]
        if self._is_ng:
            if head[:4] == NG_MAGIC:
                return self._section(head), False
            if len(head) < 8:
                return 0, False
            kind, length = struct.unpack_from(self._order + "II", head)
            return self._believable(length, "block", _BLOCK, 4), kind in _PACKETS
        if len(head) < _PCAP_RECORD:
            return 0, False
        (captured,) = struct.unpack_from(self._order + "I", head, 8)
        return _PCAP_RECORD + self._believable(captured, "packet", 0, 1), True

    def _section(self, head: bytes | bytearray) -> int:
        """Bytes of the block that begins a section, from which on numbers stand in its order."""
        if len(head) < 12:
            return 0
        order = ORDERS.get(bytes(head[8:12]))
        if order is None:
            raise BadInput(
                f"a section of the capture has no byte-order magic behind frame {self.packets}; one is expected"
            )
        self._order = order
        return self._believable(struct.unpack_from(order + "I", head, 4)[0], "block", _BLOCK, 4)

    def _believable(self, length: int, what: str, least: int, step: int) -> int:
        if not least <= length <= LONGEST_RECORD or length % step:
            raise BadInput(
                f"a {what} of the capture has {length} bytes behind frame {self.packets}; {least} to {LONGEST_RECORD} "
                "are expected"
            )
        return length

    def _first(self) -> int:
        """Bytes of the header of the file."""
        head = self._waiting[:12]
        magic = bytes(head[:4])
        if len(magic) == 4 and magic != NG_MAGIC and magic not in PCAP_MAGIC:
            raise BadInput(f"the capture begins with {magic.hex()}; the header of pcap or pcapng is expected")
        if len(head) < 12:
            return 0
        self._is_ng = magic == NG_MAGIC
        if self._is_ng:
            return self._section(head)
        self._order = PCAP_MAGIC[magic][0]
        return _PCAP_HEADER


def records(data: bytes) -> Iterator[tuple[int, int, bool]]:
    """Where each whole record of a capture begins and ends, the header of the file first, and whether it is a packet.

    Examples
    --------
    >>> from lwm2m_lab.wire.pcap import Interface
    >>> from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
    >>> [*records(pcapng_bytes([Packet(0, b"E")], interfaces=[Interface("lo")]))]
    [(0, 28, False), (28, 68, False), (68, 104, True)]
    """
    walker, at = GrowingCapture(), 0
    walker._waiting = bytearray(data)
    while True:
        length, is_packet = walker._next(at)
        if not length or at + length > len(data):
            return
        yield at, at + length, is_packet
        at += length

"""A capture that is still being written: its whole records, however its bytes come in pieces."""

from __future__ import annotations

import struct
import sys

from lwm2m_lab.errors import BadInput
from lwm2m_lab.wire.formats import NG_MAGIC, PCAP_MAGIC

__all__ = ["GrowingCapture"]

#: Blocks of pcapng that are packets: obsolete, simple and enhanced.
_PACKETS = frozenset({2, 3, 6})
#: A tool on this machine writes numbers as the machine has them.
_ORDER = "<" if sys.byteorder == "little" else ">"
_PCAP_HEADER, _PCAP_RECORD, _BLOCK = 24, 16, 12


class GrowingCapture:
    """Cuts a stream into whole records of pcap or pcapng, so that a file of them ends with a record at any moment.

    Attributes
    ----------
    packets : int
        In what was handed out so far.
    is_full : bool
        Whether a record did not fit; nothing is handed out any more.

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

    def feed(self, data: bytes, *, room: int = sys.maxsize) -> bytes:
        """Take what has come; returns the records that are whole by now and take no more than `room` bytes.

        Raises
        ------
        BadInput
            Where it is no capture.
        """
        self._waiting += data
        at = 0
        while not self.is_full:
            length, is_packet = self._next(at)
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
            if len(head) < 8:
                return 0, False
            kind, length = struct.unpack_from(_ORDER + "II", head)
            if length < _BLOCK:
                raise BadInput(f"a block of the capture has {length} bytes; {_BLOCK} or more are expected")
            return length, kind in _PACKETS
        if len(head) < _PCAP_RECORD:
            return 0, False
        return _PCAP_RECORD + struct.unpack_from(_ORDER + "I", head, 8)[0], True

    def _first(self) -> int:
        """Bytes of the header of the file."""
        if len(self._waiting) < 8:
            return 0
        magic = bytes(self._waiting[:4])
        if magic != NG_MAGIC and magic not in PCAP_MAGIC:
            raise BadInput(f"the capture begins with {magic.hex()}; the header of pcap or pcapng is expected")
        self._is_ng = magic == NG_MAGIC
        return int(struct.unpack_from(_ORDER + "I", self._waiting, 4)[0]) if self._is_ng else _PCAP_HEADER

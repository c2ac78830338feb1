"""Capture files: pcap and pcapng, told apart by their magic, plain or compressed with gzip.

`RecordReader` walks a file window by window and gives numpy arrays of packets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO, Protocol

import numpy as np

from lwm2m_lab.errors import BadInput
from lwm2m_lab.wire.blocks import BlockReader
from lwm2m_lab.wire.chain import Chain, follow
from lwm2m_lab.wire.formats import LONGEST_RECORD, NG_MAGIC, PCAP_MAGIC, Interface, open_capture, size_of
from lwm2m_lab.wire.gather import column, rows
from lwm2m_lab.wire.records import Part, Records
from lwm2m_lab.wire.window import Window

__all__ = ["LONGEST_RECORD", "PCAP_MAGIC", "Interface", "RecordReader", "Records", "open_capture"]

#: Larger windows leave the processor's cache, smaller ones cost more calls.
WINDOW = 5 * 2**20


class _Format(Protocol):
    """What reads the records of a window, in one of the two formats."""

    interfaces: list[Interface]
    key_logs: list[str]

    def read(self, window: Window, packets: int) -> Part:
        """The records of a window; so many packets came before it."""
        ...


class RecordReader:
    """Iterate over a capture, window by window; what a window gave is good until the next one is asked for.

    Attributes
    ----------
    interfaces : list of Interface
        Known so far.
    key_logs : list of str
        Key logs in the file that nobody took yet (pcapng's decryption secrets, of TLS).
    notes : list of str
        What was damaged or left out, in words.
    packets : int
        Packets counted so far, of every kind.

    Raises
    ------
    BadInput
        At once, where the stream is no capture.
    """

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self.notes: list[str] = []
        self.packets = 0
        self._given, self._size = 1, size_of(stream)
        head = stream.read(24)
        if not head:
            raise BadInput(f"{name} is empty; a pcap or pcapng file is expected")
        self._format: _Format
        if head[:4] == NG_MAGIC:
            self._window, self._format = Window(stream, head), BlockReader()
        elif head[:4] in PCAP_MAGIC:
            if len(head) < 24:
                raise BadInput(f"{name} is cut after {len(head)} bytes, within its header; a whole capture is expected")
            self._window, self._format = Window(stream), _PcapReader(head)
            self._window.base = len(head)
        else:
            raise BadInput(f"{name} is no capture (it begins with {_shown(head)}); a pcap or pcapng file is expected")

    @property
    def interfaces(self) -> list[Interface]:
        return self._format.interfaces

    @property
    def share(self) -> float:
        """The part of the file that has been given away so far, more than 0; 1 where its size is not known."""
        return self._given / self._size if self._size else 1.0

    @property
    def key_logs(self) -> list[str]:
        return self._format.key_logs

    def __iter__(self) -> Iterator[Records]:
        window, want, more = self._window, WINDOW, True
        while more:
            more = window.fill(want)
            again = moved = True
            while again:
                part = self._format.read(window, self.packets)
                moved, again = part.used > 0, part.again
                if part.records is not None:
                    self._given = window.base + part.used
                    self.packets += len(part.records.start)
                    yield part.records
                window.drop(part.used)
                if part.damage is not None:
                    self.notes.append(
                        f"the file is damaged after frame {self.packets}: {part.damage} stands at byte {window.base}"
                    )
                    return
            # A record longer than the window needs a larger one.
            want = WINDOW if moved else min(2 * want, LONGEST_RECORD)
        if window.end:
            self.notes.append(
                f"the file is cut after frame {self.packets}: {window.end} bytes at its end, from byte {window.base} "
                "on, are no whole packet"
            )


class _PcapReader:
    """Records of a classic pcap."""

    def __init__(self, head: bytes) -> None:
        self._order, self._tick_ns = PCAP_MAGIC[head[:4]]
        (linktype,) = struct.unpack_from(self._order + "I", head, 20)
        # The upper bits carry the length of a frame check sequence.
        self.interfaces = [Interface(linktype=linktype & 0xFFFF, ticks_per_second=10**9 // self._tick_ns)]
        self.key_logs: list[str] = []

    def read(self, window: Window, packets: int) -> Part:
        """The records that lie whole in the window."""
        # The upper half of the seconds stands still for 18 hours.
        mark_at = 2 if self._order == "<" else 0
        mark = bytes(window.buffer[mark_at : mark_at + 2])
        chain = Chain(self._order, length_at=8, header=16, uncounted=16, step=1, mark=mark, mark_at=mark_at)
        offsets, used, lies = follow(window, chain)
        damage = None if lies is None else f"a packet of {lies} bytes"
        if not offsets.size:
            return Part(None, used, damage)
        head = rows(window.data, offsets, 16)
        seconds, ticks, captured, original = (
            column(head, at, self._order + "u4").astype(np.int64) for at in (0, 4, 8, 12)
        )
        frame = np.arange(packets + 1, packets + 1 + len(offsets), dtype=np.int64)
        time_ns = seconds * 10**9 + ticks * self._tick_ns
        interface = np.zeros(len(offsets), np.int64)
        records = Records(window.data, window.base, frame, time_ns, offsets + 16, captured, original, interface)
        return Part(records, used, damage)


def _shown(head: bytes) -> str:
    """The first bytes of a file as a person would name them."""
    text = head[:8].decode("ascii", "replace")
    return repr(text) if text.isprintable() else head[:8].hex(" ")

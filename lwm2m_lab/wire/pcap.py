"""Capture files: pcap and pcapng, told apart by their magic, plain or compressed with gzip.

`RecordReader` walks a file window by window and gives numpy arrays of packets. Record headers form a chain, so finding
them is the one loop of Python in the reader.
"""

from __future__ import annotations

import gzip
import io
import os
import pathlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.errors import BadInput

__all__ = ["Interface", "RecordReader", "Records", "open_capture"]

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

#: Temporaries of a window of this size stay in the processor's cache.
WINDOW = 4 * 2**20
#: A record longer than this is no packet but a length that lies (the largest snaplen of any tool).
LONGEST_RECORD = 2**24
_NG_SECTION, _NG_INTERFACE, _NG_SIMPLE, _NG_PACKET, _NG_OLD_PACKET = 0x0A0D0D0A, 1, 3, 6, 2
_NG_SECRETS, _TLS_KEY_LOG = 10, 0x544C534B
_GZIP = b"\x1f\x8b"
RAW_IP = 101

#: pcap magics as they stand in the file: byte order and nanoseconds per tick.
_PCAP_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface of a capture.

    Attributes
    ----------
    name : str
    linktype : int
        101 is raw IP, 1 Ethernet.
    ticks_per_second : int
        Resolution of its time stamps.
    offset_s : int
        Seconds to add to its time stamps.
    """

    name: str = ""
    linktype: int = RAW_IP
    ticks_per_second: int = 1_000_000
    offset_s: int = 0


@dataclass(frozen=True, slots=True)
class Records:
    """The packets of one window of a file, as columns.

    Attributes
    ----------
    data : array of uint8
        The window, with 64 bytes of zeros behind it so that words can be read at its end.
    base : int
        Where the window begins in the (uncompressed) file.
    frame, time_ns, start, captured, interface : arrays of int64
        Number of the packet in the file from 1, nanoseconds since the epoch, offset in `data`, bytes there, and number
        of the interface.
    original : array of int64
        Bytes of the packet before it was cut by the snap length.
    comments : dict of int to str
        By frame.
    """

    data: Bytes
    base: int
    frame: Ints
    time_ns: Ints
    start: Ints
    captured: Ints
    original: Ints
    interface: Ints
    comments: dict[int, str] = field(default_factory=dict)


# ---------------------------------------------------------------- opening


def open_capture(source: str | os.PathLike[str] | bytes) -> tuple[BinaryIO, str]:
    """A readable, seekable stream of the (uncompressed) capture, and a name for messages.

    Raises
    ------
    BadInput
        Where there is no such file, or it cannot be read.
    """
    if isinstance(source, bytes):
        name, stream = "the capture", io.BytesIO(source)
    else:
        path = pathlib.Path(source)
        name = str(source)
        try:
            stream = path.open("rb")  # type: ignore[assignment]
        except OSError as error:
            raise BadInput(f"{name} cannot be read ({error.strerror}); a pcap or pcapng file is expected") from None
    if stream.read(2) == _GZIP:
        stream.seek(0)
        return _unzipped(stream, name), name
    stream.seek(0)
    return stream, name


def _unzipped(stream: BinaryIO, name: str) -> BinaryIO:
    """The content of a gzip file, as far as it goes: a cut file still has a beginning."""
    content = io.BytesIO()
    with gzip.GzipFile(fileobj=stream) as unzip:
        try:
            while chunk := unzip.read(1 << 20):
                content.write(chunk)
        except EOFError:
            pass  # What was read before the cut stands; the capture's own chain will say where it ends.
        except (OSError, ValueError) as error:
            raise BadInput(f"{name} is damaged gzip ({error}); a pcap or pcapng file is expected") from None
    stream.close()
    content.seek(0)
    return content


# ---------------------------------------------------------------- reading


class RecordReader:
    """Iterate over a capture, window by window.

    Attributes
    ----------
    interfaces : list of Interface
        Known so far.
    notes : list of str
        What was damaged or left out, in words.
    packets : int
        Packets counted so far, of every kind.
    key_logs : list of str
        Key logs in the file that nobody took yet (pcapng's decryption secrets, of TLS).

    Raises
    ------
    BadInput
        At once, where the stream is no capture.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.stream, self.name = stream, name
        self.interfaces: list[Interface] = []
        self.notes: list[str] = []
        self.packets = 0
        self.key_logs: list[str] = []
        self._order = "<"
        self._first_interface = 0
        self._section_ahead = False
        self._last_time = 0
        head = stream.read(24)
        if not head:
            raise BadInput(f"{name} is empty; a pcap or pcapng file is expected")
        self._is_ng = head[:4] == b"\x0a\x0d\x0d\x0a"
        if not self._is_ng and head[:4] not in _PCAP_MAGIC:
            raise BadInput(f"{name} is no capture (it begins with {_shown(head)}); a pcap or pcapng file is expected")
        if self._is_ng:
            stream.seek(0)
            self._start = 0
        else:
            self._read_pcap_head(head)
            self._start = 24

    def _read_pcap_head(self, head: bytes) -> None:
        self._order, self._tick_ns = _PCAP_MAGIC[head[:4]]
        if len(head) < 24:
            raise BadInput(
                f"{self.name} is cut after {len(head)} bytes, within its header; a whole capture is expected"
            )
        (linktype,) = struct.unpack_from(self._order + "I", head, 20)
        # The upper bits carry the length of a frame check sequence.
        self.interfaces.append(Interface(linktype=linktype & 0xFFFF, ticks_per_second=10**9 // self._tick_ns))

    def __iter__(self) -> Iterator[Records]:
        window, base, ended = bytearray(), self._start, False
        want = WINDOW
        while not ended:
            chunk = self.stream.read(want)
            ended = len(chunk) < want
            window += chunk
            stop, again, moved = False, True, False
            while again and not stop:
                before = base
                records, used, stop = self._walk(window, base)
                window, base, again = window[used:], base + used, self._section_ahead
                moved = moved or base > before
                if records is not None:
                    yield records
            if stop:
                return
            want = WINDOW if moved else min(2 * want, LONGEST_RECORD)
            if ended and window:
                self.notes.append(
                    f"the file is cut after frame {self.packets}: {len(window)} bytes at its end, from byte {base} on, "
                    "are no whole packet"
                )

    def _walk(self, window: bytearray, base: int) -> tuple[Records | None, int, bool]:
        return self._walk_ng(window, base) if self._is_ng else self._walk_pcap(window, base)

    def _walk_pcap(self, window: bytearray, base: int) -> tuple[Records | None, int, bool]:
        """Follow the chain of record headers of a classic pcap."""
        unpack, size, at, stop = struct.Struct(self._order + "I").unpack_from, len(window), 0, False
        offsets: list[int] = []
        append = offsets.append
        while at + 16 <= size:
            length = unpack(window, at + 8)[0]
            if length > LONGEST_RECORD:
                self._broken(base + at, f"a packet of {length} bytes")
                stop = True
                break
            following = at + 16 + length
            if following > size:
                break
            append(at)
            at = following
        if not offsets:
            return None, at, stop
        data = _words(window)
        o = np.array(offsets, np.int64)
        seconds, ticks, captured, original = (_u32(data, o + k, self._order) for k in (0, 4, 8, 12))
        return (
            self._records(
                data,
                base,
                o + 16,
                captured,
                original,
                seconds * 10**9 + ticks * self._tick_ns,
                np.zeros(len(o), np.int64),
            ),
            at,
            stop,
        )

    def _walk_ng(self, window: bytearray, base: int) -> tuple[Records | None, int, bool]:
        """Follow the chain of blocks of a pcapng; packets are collected, everything else is read on the way.

        Ends early where a section of the other byte order begins, so that a window has one order.
        """
        # Interfaces are numbered anew in each section: from which packet of the window on, what is added.
        sections = [(0, self._first_interface)]
        self._section_ahead = False
        size, at, stop = len(window), 0, False
        offsets: list[int] = []
        simple: list[int] = []
        order = self._order
        unpack = struct.Struct(order + "II").unpack_from
        while at + 12 <= size:
            kind, length = unpack(window, at)
            if kind == _NG_SECTION:
                magic = bytes(window[at + 8 : at + 12])
                new = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(magic)
                if new is None:
                    self._broken(base + at, "a section without its byte-order magic")
                    stop = True
                    break
                if new != order and offsets:
                    self._section_ahead = True
                    break
                self._order = order = new
                unpack = struct.Struct(order + "II").unpack_from
                length = unpack(window, at)[1]
            if length < 12 or length % 4 or length > LONGEST_RECORD:
                self._broken(base + at, f"a block of {length} bytes")
                stop = True
                break
            if at + length > size:
                break
            if kind == _NG_PACKET and length >= 32:
                offsets.append(at)
            elif kind in (_NG_SIMPLE, _NG_OLD_PACKET):
                simple.append(at)
                offsets.append(at)
            elif kind == _NG_SECTION:
                self._first_interface = len(self.interfaces)
                sections.append((len(offsets), self._first_interface))
            elif kind == _NG_INTERFACE:
                self._add_interface(window, at, length)
            elif kind == _NG_SECRETS and length >= 20:
                self._add_secrets(bytes(window[at + 8 : at + length - 4]))
            at += length
        if not offsets:
            return None, at, stop
        ends = [begin for begin, _ in sections[1:]] + [len(offsets)]
        counts = [end - begin for (begin, _), end in zip(sections, ends, strict=True)]
        added = np.repeat(np.array([first for _, first in sections], np.int64), counts)
        return self._ng_records(_words(window), base, np.array(offsets, np.int64), simple, added), at, stop

    def _add_interface(self, window: bytearray, at: int, length: int) -> None:
        (linktype,) = struct.unpack_from(self._order + "H", window, at + 8)
        name, ticks, offset = "", 1_000_000, 0
        for code, value in _read_options(bytes(window[at + 16 : at + length - 4]), self._order):
            if code == 2:
                name = value.decode(errors="replace")
            elif code == 9 and value:
                exponent = value[0] & 0x7F
                ticks = 1 << min(exponent, 62) if value[0] & 0x80 else 10 ** min(exponent, 18)
            elif code == 14 and len(value) == 8:
                (offset,) = struct.unpack(self._order + "q", value)
        self.interfaces.append(Interface(name, linktype, ticks, offset))

    def _add_secrets(self, body: bytes) -> None:
        kind, length = struct.unpack_from(self._order + "II", body)
        if kind == _TLS_KEY_LOG:
            self.key_logs.append(body[8 : 8 + length].decode(errors="replace"))

    def _ng_records(self, data: Bytes, base: int, o: Ints, simple: list[int], added: Ints) -> Records:
        """Columns of the packet blocks of one window."""
        order = self._order
        kind = _u32(data, o, order)
        block = _u32(data, o + 4, order)
        is_simple = kind == _NG_SIMPLE
        interface = np.where(is_simple, 0, _u32(data, o + 8, order))
        if simple:
            # The obsolete packet block keeps its interface in 16 bits.
            old = kind == _NG_OLD_PACKET
            word = _u32(data, o + 8, order)
            interface = np.where(old, word & 0xFFFF if order == "<" else word >> 16, interface)
        interface = interface + added
        ticks = _u32(data, o + 12, order) << 32 | _u32(data, o + 16, order)
        captured = np.where(is_simple, np.minimum(_u32(data, o + 8, order), block - 16), _u32(data, o + 20, order))
        original = np.where(is_simple, _u32(data, o + 8, order), _u32(data, o + 24, order))
        start = o + np.where(is_simple, 12, 28)
        room = block - np.where(is_simple, 16, 32)
        captured = np.clip(captured, 0, np.maximum(room, 0))
        time_ns = self._times(ticks, interface, is_simple)
        records = self._records(data, base, start, captured, original, time_ns, interface)
        options_at = start + (captured + 3 & ~3)
        has_options = np.nonzero(~is_simple & (options_at + 4 < o + block))[0]
        for row in has_options.tolist():
            raw = data[int(options_at[row]) : int(o[row] + block[row] - 4)].tobytes()
            texts = [value.decode(errors="replace") for code, value in _read_options(raw, order) if code == 1]
            if texts:
                records.comments[int(records.frame[row])] = "; ".join(texts)
        return records

    def _times(self, ticks: Ints, interface: Ints, is_simple: NDArray[np.bool_]) -> Ints:
        """Nanoseconds since the epoch; a simple packet block has no time and takes that of the packet before."""
        time_ns = np.zeros(len(ticks), np.int64)
        for number in np.unique(interface).tolist():
            here = interface == number
            known = self.interfaces[number] if number < len(self.interfaces) else Interface()
            per_second = known.ticks_per_second
            seconds, rest = np.divmod(ticks[here], per_second)
            # A product of the rest and 10**9 stays within 63 bits up to a resolution of 2**-33.
            fraction = (
                rest * 10**9 // per_second if per_second <= 1 << 33 else (rest / per_second * 1e9).astype(np.int64)
            )
            with np.errstate(over="ignore"):
                time_ns[here] = (seconds + known.offset_s) * 10**9 + fraction
        if is_simple.any():
            rows = np.where(is_simple, -1, np.arange(len(ticks)))
            last = np.maximum.accumulate(rows)
            time_ns = np.where(last < 0, self._last_time, time_ns[np.maximum(last, 0)])
        self._last_time = int(time_ns[-1])
        return time_ns

    def _records(
        self, data: Bytes, base: int, start: Ints, captured: Ints, original: Ints, time_ns: Ints, interface: Ints
    ) -> Records:
        frame = np.arange(self.packets + 1, self.packets + 1 + len(start), dtype=np.int64)
        self.packets += len(start)
        return Records(data, base, frame, time_ns, start, captured, original, interface)

    def _broken(self, at: int, what: str) -> None:
        self.notes.append(f"the file is damaged after frame {self.packets}: {what} stands at byte {at}")


def _read_options(raw: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Options of a pcapng block, as far as their lengths hold."""
    at = 0
    while at + 4 <= len(raw):
        code, length = struct.unpack_from(order + "HH", raw, at)
        if code == 0 or at + 4 + length > len(raw):
            return
        yield code, raw[at + 4 : at + 4 + length]
        at += 4 + length + (-length % 4)


def _words(window: bytearray) -> Bytes:
    """The window as an array, with room behind it to read words at its end."""
    return np.frombuffer(bytes(window) + bytes(64), np.uint8)


def _u32(data: Bytes, at: Ints, order: str) -> Ints:
    """32-bit words at any byte position."""
    words: NDArray[np.uint32] = np.ndarray((data.size - 3,), order + "u4", data.data, 0, (1,))
    return words[at].astype(np.int64)


def _shown(head: bytes) -> str:
    """The first bytes of a file as a person would name them."""
    text = head[:8].decode("ascii", "replace")
    return repr(text) if text.isprintable() else head[:8].hex(" ")

"""A capture file again, with packet comments: every packet as it stands, byte for byte, in a pcapng."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

from lwm2m_lab.errors import BadInput
from lwm2m_lab.wire.pcap import LONGEST_RECORD, PCAP_MAGIC, open_capture

__all__ = ["annotated_chunks"]

_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE, _PACKET = 0x0A0D0D0A, 1, 2, 3, 6
_BYTE_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
#: What fits into an option; its length has 16 bits.
_LONGEST_COMMENT = 60_000


def annotated_chunks(
    source: str | os.PathLike[str] | bytes, comments: Mapping[int, Sequence[str]], *, unplaced: list[int] | None = None
) -> Iterator[bytes]:
    """The capture as pcapng with these comments, piece by piece.

    A pcapng keeps every block as it is: interfaces with their time resolution, name resolution, decryption secrets,
    statistics, and the comments that were there. Only the length of a section becomes "unspecified", as it grows. A
    classic pcap becomes one section with one interface of its link type and its resolution. A comment that a packet
    has already is not given twice. What comes behind damage is left out, as every reader does.

    Parameters
    ----------
    source : path or bytes
        A pcap or pcapng file, plain or gzip, or its content.
    comments : mapping of int to sequence of str
        By frame, the number of the packet in the file from 1.
    unplaced : list of int, optional
        Is given the frames that can carry no comment: those in a Simple Packet Block, which has no options.

    Raises
    ------
    BadInput
        For what is no capture.

    Examples
    --------
    >>> from lwm2m_lab.wire.pcap import Interface, RecordReader
    >>> from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
    >>> data = pcapng_bytes([Packet(0, b"E", comment="was there")], interfaces=[Interface()])
    >>> stream, name = open_capture(b"".join(annotated_chunks(data, {1: ["look here"]})))
    >>> next(iter(RecordReader(stream, name))).comments
    {1: 'look here; was there'}
    """
    stream, name = open_capture(source)
    with stream:
        head = stream.read(24)
        if head[:4] in PCAP_MAGIC and len(head) == 24:
            yield from _from_pcap(stream, head, comments)
        elif struct.unpack("<I", head[:4].ljust(4, b"\0"))[0] == _SECTION and head[8:12] in _BYTE_ORDERS:
            stream.seek(0)
            yield from _from_pcapng(stream, comments, [] if unplaced is None else unplaced)
        else:
            raise BadInput(f"{name} is no capture; a pcap or pcapng file is expected")


def _from_pcap(stream: IO[bytes], head: bytes, comments: Mapping[int, Sequence[str]]) -> Iterator[bytes]:
    """One section in the byte order of the file, one interface, and a packet block for each record."""
    order, tick_ns = PCAP_MAGIC[head[:4]]
    snaplen, network = struct.unpack_from(order + "II", head, 16)
    yield _block(order, _SECTION, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    options = _option(order, 9, b"\x06" if tick_ns == 1000 else b"\x09")
    if network >> 26 & 1:
        # The file says how long its frame check sequences are, in 16-bit words.
        options += _option(order, 13, bytes([(network >> 28) * 2]))
    yield _block(order, _INTERFACE, struct.pack(order + "HHI", network & 0xFFFF, 0, snaplen) + options + bytes(4))
    per_second, frame = 10**9 // tick_ns, 0
    while len(record := stream.read(16)) == 16:
        seconds, ticks, captured, original = struct.unpack(order + "IIII", record)
        data = stream.read(captured) if captured <= LONGEST_RECORD else b""
        if len(data) < captured:
            return
        frame += 1
        time = seconds * per_second + ticks
        fields = struct.pack(order + "IIIII", 0, time >> 32, time & 0xFFFFFFFF, captured, original)
        said = _said(order, comments.get(frame, ()), b"")
        yield _block(order, _PACKET, fields + _padded(data) + said + (bytes(4) if said else b""))


def _from_pcapng(stream: IO[bytes], comments: Mapping[int, Sequence[str]], unplaced: list[int]) -> Iterator[bytes]:
    """Every block as it stands, but for the options of the packets that are commented on."""
    order, frame = "<", 0
    while len(head := stream.read(12)) == 12:
        order = _BYTE_ORDERS.get(head[8:12], "") if head[:4] == b"\n\r\r\n" else order
        kind, length = struct.unpack(order + "II", head[:8]) if order else (0, 0)
        if length < 12 or length % 4 or length > LONGEST_RECORD:
            return
        block = head + stream.read(length - 12)
        if len(block) < length:
            return
        if kind == _SECTION and length >= 28:
            block = block[:16] + struct.pack(order + "q", -1) + block[24:]
        if (kind == _PACKET and length >= 32) or kind in (_OLD_PACKET, _SIMPLE):
            frame += 1
            wanted = comments.get(frame, ())
            if wanted and kind != _SIMPLE and length >= 32:
                block = _commented(order, block, wanted)
            elif wanted:
                unplaced.append(frame)
        yield block


def _commented(order: str, block: bytes, wanted: Sequence[str]) -> bytes:
    """A packet block with comments before its own options, which are left as they are, damaged ones too."""
    kind, length = struct.unpack_from(order + "II", block)
    (captured,) = struct.unpack_from(order + "I", block, 20)
    at = min(28 + (captured + 3 & ~3), length - 4)
    options = block[at : length - 4]
    said = _said(order, wanted, options)
    return _block(order, kind, block[8:at] + said + (options or bytes(4 * bool(said))))


def _said(order: str, wanted: Sequence[str], there: bytes) -> bytes:
    """The comments as options, without those that are there already."""
    options = [_option(order, 1, _cut(text.encode(errors="replace"))) for text in wanted]
    return b"".join(option for option in options if option not in there)


def _cut(raw: bytes) -> bytes:
    """As much of a comment as an option holds, without half a character at its end."""
    return raw if len(raw) <= _LONGEST_COMMENT else raw[:_LONGEST_COMMENT].decode(errors="ignore").encode()


def _option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _block(order: str, kind: int, body: bytes) -> bytes:
    length = 12 + len(body)
    return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length)

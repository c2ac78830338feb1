"""What capture files are made of, and how one is opened: what the readers with and without numpy share."""

from __future__ import annotations

import gzip
import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from lwm2m_lab.errors import BadInput

__all__ = [
    "LINK_TYPES",
    "LONGEST_RECORD",
    "NG_MAGIC",
    "ORDERS",
    "PCAP_MAGIC",
    "RAW_IP",
    "Interface",
    "open_capture",
    "read_interface",
    "read_options",
    "size_of",
]

RAW_IP = 101
#: pcap magics as they stand in the file: byte order and nanoseconds per tick.
PCAP_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
NG_MAGIC = b"\x0a\x0d\x0d\x0a"
#: Byte orders of a pcapng section by its magic.
ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
#: A record longer than this is no packet but a length that lies (the largest snaplen of any tool).
LONGEST_RECORD = 2**24
#: Link types that can be read: name, bytes before the IP header, and where the EtherType stands (-1: the IP version
#: nibble tells).
LINK_TYPES = {
    0: ("NULL", 4, -1),
    1: ("Ethernet", 14, 12),
    12: ("RAW", 0, -1),
    14: ("RAW", 0, -1),
    101: ("RAW", 0, -1),
    108: ("LOOP", 4, -1),
    113: ("Linux cooked v1", 16, 14),
    228: ("IPv4", 0, -1),
    229: ("IPv6", 0, -1),
    276: ("Linux cooked v2", 20, 0),
}
_GZIP = b"\x1f\x8b"


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


def open_capture(source: str | os.PathLike[str] | bytes) -> tuple[IO[bytes], str]:
    """A readable stream of the (uncompressed) capture, and a name for messages.

    Raises
    ------
    BadInput
        Where there is no such file, or it cannot be read.
    """
    stream: IO[bytes]
    if isinstance(source, bytes):
        name, stream = "the capture", io.BytesIO(source)
    elif not isinstance(source, str | os.PathLike):
        raise BadInput(f"{source!r} is no path; that of a pcap or pcapng file is expected")
    else:
        name = str(source)
        try:
            stream = io.BufferedReader(io.FileIO(os.fspath(source), "rb"))
        except OSError as error:
            raise BadInput(f"{name} cannot be read ({error.strerror}); a pcap or pcapng file is expected") from None
    packed = stream.read(2) == _GZIP
    stream.seek(0)
    return (io.BufferedReader(_Unzipped(stream, name)) if packed else stream), name


def size_of(stream: IO[bytes]) -> int:
    """Bytes of an open file; 0 where only reading it will tell."""
    try:
        return os.fstat(stream.fileno()).st_size
    except (OSError, ValueError):
        return 0


class _Unzipped(io.RawIOBase):
    """The content of a gzip file, as far as it goes: a cut file still has a beginning."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream, self._name = stream, name
        self._content = gzip.GzipFile(fileobj=stream)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Decompress into a buffer; a cut file ends where it is cut."""
        try:
            # Not more than one step of the decompressor: what came before the cut would be lost with the error.
            part = self._content.read1(len(buffer))
        except EOFError:
            return 0
        except (OSError, ValueError) as error:
            raise BadInput(f"{self._name} is damaged gzip ({error}); a pcap or pcapng file is expected") from None
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self._content.close()
        self._stream.close()
        super().close()


def read_options(raw: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Options of a pcapng block, as far as their lengths hold."""
    at = 0
    while at + 4 <= len(raw):
        code, length = struct.unpack_from(order + "HH", raw, at)
        if code == 0 or at + 4 + length > len(raw):
            return
        yield code, raw[at + 4 : at + 4 + length]
        at += 4 + length + (-length % 4)


def read_interface(body: bytes, order: str) -> Interface:
    """What an interface description block says behind its head."""
    (linktype,) = struct.unpack_from(order + "H", body + bytes(2))
    name, ticks, offset = "", 1_000_000, 0
    for code, value in read_options(body[8:], order):
        if code == 2:
            name = value.decode(errors="replace")
        elif code == 9 and value:
            exponent = value[0] & 0x7F
            ticks = 1 << min(exponent, 62) if value[0] & 0x80 else 10 ** min(exponent, 18)
        elif code == 14 and len(value) == 8:
            (offset,) = struct.unpack(order + "q", value)
    return Interface(name, linktype, ticks, offset)

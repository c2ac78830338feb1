"""The columns of the message table, without pandas; and without numpy, until an array is asked for.

Columns come as numpy arrays or, of a small capture, as arrays of the standard library. These become numpy arrays, of
the same memory, one by one as somebody asks for them: so numpy is imported where it is used, not above.
"""

from __future__ import annotations

import copy
import functools
import mmap
import os
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from lwm2m_lab.wire.formats import open_capture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lwm2m_lab.wire.coap_tcp import TcpMessage
    from lwm2m_lab.wire.dtls_sessions import DtlsSession
    from lwm2m_lab.wire.http import HttpExchange
    from lwm2m_lab.wire.icmp import IcmpError
    from lwm2m_lab.wire.segments import Segments

__all__ = ["CODE_NAMES", "COLUMN_NAMES", "DTYPES", "Array", "Columns", "Source"]

Array: TypeAlias = "NDArray[Any]"
Source: TypeAlias = str | os.PathLike[str] | bytes

COLUMN_NAMES = (
    "frame", "time", "src", "dst", "type", "code", "mid", "token", "uri_path", "uri_query", "observe",
    "content_format", "accept", "block1_num", "block1_more", "block1_size", "block2_num", "block2_more",
    "block2_size", "size1", "size2", "etag", "payload_length", "error",
)  # fmt: skip
DTYPES = {
    "frame": "i4", "time": "i8", "src": "i4", "dst": "i4", "type": "i1", "code": "i2", "mid": "i4", "token": "i4",
    "uri_path": "i4", "uri_query": "i4", "observe": "i4", "content_format": "i4", "accept": "i4", "block1_num": "i4",
    "block1_more": "i1", "block1_size": "i2", "block2_num": "i4", "block2_more": "i1", "block2_size": "i2",
    "size1": "i8", "size2": "i8", "etag": "i4", "payload_length": "i4", "error": "i1", "_at": "i8", "_length": "i4",
    "_payload": "i4",
}  # fmt: skip
#: The texts of the codes, by the code's byte.
CODE_NAMES = [f"{code >> 5}.{code & 31:02d}" for code in range(256)]


class Columns(Mapping[str, "Array"]):
    """The message table as numpy arrays.

    Integer columns hold -1 where a value is missing. Text columns (`src`, `dst`, `type`, `code`, `token`, `uri_path`,
    `uri_query`, `etag`, `error`) hold integer codes into ``categories[name]``. `time` is int64 nanoseconds since the
    epoch.

    Attributes
    ----------
    categories : dict of str to list of str
    packets : int
        Packets in the file, of every kind.
    encrypted_records : int
        DTLS records of epoch 1 and later that were not decrypted.
    sessions : tuple of DtlsSession
        The DTLS sessions, in the order of their first frames.
    key_log : tuple of str
        Lines that open these sessions and no others, for `pcapng.with_key_log`; in no text of a capture.
    notes : tuple of str
        What was damaged or left out, in words.
    comments : dict of int to str
        Packet comments by frame.
    interfaces : tuple of str
        Names of the interfaces in the file.
    interface : str or None
        The one that was read, where only one was.
    """

    def __init__(
        self,
        arrays: Mapping[str, Array | array[int]],
        categories: dict[str, list[str]],
        *,
        source: Source,
        others: Callable[[], tuple[Segments, Sequence[IcmpError]]],
        side_data: Sequence[bytes] = (),
        packets: int = 0,
        encrypted_records: int = 0,
        notes: Sequence[str] = (),
        comments: Mapping[int, str] | None = None,
        interfaces: Sequence[str] = (),
        interface: str | None = None,
        sessions: Sequence[DtlsSession] = (),
        session: Array | None = None,
        key_log: Sequence[str] = (),
        origin_ns: int | None = None,
    ) -> None:
        self._arrays, self.categories, self._source, self._side_data = dict(arrays), categories, source, side_data
        self.packets, self.encrypted_records, self.notes = packets, encrypted_records, tuple(notes)
        self.comments: dict[int, str] = dict(comments or {})
        self.interfaces, self.interface = tuple(interfaces), interface
        self.sessions, self._session, self.key_log = tuple(sessions), session, tuple(key_log)
        self._find_others = others
        self._content: bytes | mmap.mmap | None = None
        self._origin_ns = origin_ns

    def __getitem__(self, name: str) -> Array:
        if name not in COLUMN_NAMES:
            raise KeyError(name)
        return self._array(name)

    def _array(self, name: str) -> Array:
        """A column as a numpy array."""
        found = self._arrays[name]
        if isinstance(found, array):
            import numpy as np

            found = self._arrays[name] = np.frombuffer(found, DTYPES[name])
        return found

    def numbers(self, name: str) -> memoryview:
        """The numbers of a column where they stand, without numpy.

        Examples
        --------
        >>> from lwm2m_lab.wire import read_columns
        >>> from lwm2m_lab.wire.packets import udp_packet
        >>> from lwm2m_lab.wire.pcapng import Interface, Packet, pcapng_bytes
        >>> packet = udp_packet(("192.0.2.1", 5683), ("192.0.2.2", 5683), bytes.fromhex("4001000db133"))
        >>> read_columns(pcapng_bytes([Packet(0, packet)] * 2, interfaces=[Interface()])).numbers("mid").tolist()
        [13, 13]
        """
        found: Any = self._arrays[name]
        return memoryview(found)

    def __iter__(self) -> Iterator[str]:
        return iter(COLUMN_NAMES)

    def __len__(self) -> int:
        return len(COLUMN_NAMES)

    @property
    def rows(self) -> int:
        """Number of messages."""
        return len(self._arrays["frame"])

    @property
    def session(self) -> Array:
        """The DTLS session of each message, as a position in `sessions`; -1 for one in the clear."""
        import numpy as np

        return np.full(self.rows, -1, np.int32) if self._session is None else self._session

    @functools.cached_property
    def _others(self) -> tuple[Segments, Sequence[IcmpError]]:
        """What the file has besides UDP; looked for at first use where the reader passed it over."""
        return self._find_others()

    @property
    def segments(self) -> Segments:
        """The TCP of the file, not yet put together; `lwm2m_lab.wire.streams` does that."""
        return self._others[0]

    @property
    def icmp_errors(self) -> tuple[IcmpError, ...]:
        """Who says that which datagram did not arrive."""
        return tuple(self._others[1])

    @property
    def lengths(self) -> Array:
        """Bytes of each datagram, as far as it was captured."""
        return self._array("_length")

    @property
    def origin_ns(self) -> int:
        """Time of the first message of the file, from which seconds are counted; also where only a part is selected."""
        if self._origin_ns is not None:
            return self._origin_ns
        return int(self._arrays["time"][0]) if self.rows else 0

    def take(self, rows: NDArray[np.bool_]) -> Columns:
        """The rows where the mask is true, as columns of their own: frames, seconds and categories stay what they are.

        Parameters
        ----------
        rows : array of bool
            Shape (`rows`,).
        """
        part = copy.copy(self)
        part._origin_ns = self.origin_ns
        part._arrays = {name: self._array(name)[rows] for name in self._arrays}
        part._session = None if self._session is None else self._session[rows]
        return part

    def text(self, name: str, row: int) -> str | None:
        """The text of a text column in one row; None where it is missing."""
        code = int(self._arrays[name][row])
        return None if code < 0 else self.categories[name][code]

    def texts(self, name: str) -> NDArray[np.object_]:
        """A text column as objects, None where missing."""
        import numpy as np

        table = np.array([*self.categories[name], None], object)
        return table[self._array(name)]

    def datagram(self, row: int) -> bytes:
        """What UDP carried in one row."""
        return self.bytes_at(int(self._arrays["_at"][row]), int(self._arrays["_length"][row]))

    def payload(self, row: int) -> bytes:
        """The CoAP payload of one row."""
        offset = int(self._arrays["_payload"][row])
        return b"" if offset < 0 else self.datagram(row)[offset:]

    def joined(self, rows: NDArray[np.int64]) -> bytes:
        """The CoAP payloads of these rows, one after another."""
        at, length, offset = (self._array(name)[rows].astype("i8") for name in ("_at", "_length", "_payload"))
        if (at < 0).any() or (offset < 0).any():
            return b"".join(map(self.payload, rows.tolist()))
        content = self._mapped()
        starts, ends = (at + offset).tolist(), (at + length).tolist()
        return b"".join([content[start:end] for start, end in zip(starts, ends, strict=True)])

    def bytes_at(self, at: int, length: int) -> bytes:
        """Bytes of the (uncompressed) file."""
        if at < 0:
            return self._side_data[-at - 1]
        return bytes(self._mapped()[at : at + length])

    def _mapped(self) -> bytes | mmap.mmap:
        if self._content is None:
            self._content = _content(self._source)
        return self._content

    @functools.cached_property
    def http(self) -> list[HttpExchange]:
        """HTTP requests in the clear with their responses; their connections are put together at first use."""
        from lwm2m_lab.wire import http, segments, streams

        return http.exchanges(streams.connections(self.segments, segments.HTTP, self.bytes_at))

    @functools.cached_property
    def tcp_messages(self) -> list[TcpMessage]:
        """CoAP messages over TCP."""
        from lwm2m_lab.wire import coap_tcp, segments, streams

        return coap_tcp.messages(streams.connections(self.segments, segments.COAP, self.bytes_at))

    def __repr__(self) -> str:
        return f"Columns({self.rows} messages of {self.packets} packets)"


def _content(source: Source) -> bytes | mmap.mmap:
    """The whole (uncompressed) file, mapped where it can be."""
    stream, _ = open_capture(source)
    with stream:
        try:
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):
            return stream.read()

"""A capture file to the columns of the message table, without pandas."""

from __future__ import annotations

import functools
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.errors import BadInput
from lwm2m_lab.wire import coap, flows
from lwm2m_lab.wire.icmp import IcmpError, IcmpErrors
from lwm2m_lab.wire.keyring import Keyring, PreSharedKeys
from lwm2m_lab.wire.options import MessageDecoder
from lwm2m_lab.wire.packets import LINK_TYPES, Datagrams, Reassembler, other_packets, udp_datagrams
from lwm2m_lab.wire.pcap import RecordReader, Records, open_capture
from lwm2m_lab.wire.segments import Segments
from lwm2m_lab.wire.store import Store

if TYPE_CHECKING:
    from lwm2m_lab.wire.coap_tcp import TcpMessage
    from lwm2m_lab.wire.dtls import Decryption
    from lwm2m_lab.wire.dtls_sessions import DtlsSession
    from lwm2m_lab.wire.http import HttpExchange

__all__ = ["COLUMN_NAMES", "Columns", "read_columns"]

Array = NDArray[Any]
Source = str | os.PathLike[str] | bytes

COLUMN_NAMES = (
    "frame", "time", "src", "dst", "type", "code", "mid", "token", "uri_path", "uri_query", "observe",
    "content_format", "accept", "block1_num", "block1_more", "block1_size", "block2_num", "block2_more",
    "block2_size", "size1", "size2", "etag", "payload_length", "error",
)  # fmt: skip
_DTYPES = {
    "frame": "i4", "time": "i8", "src": "i4", "dst": "i4", "type": "i1", "code": "i2", "mid": "i4", "token": "i4",
    "uri_path": "i4", "uri_query": "i4", "observe": "i4", "content_format": "i4", "accept": "i4", "block1_num": "i4",
    "block1_more": "i1", "block1_size": "i2", "block2_num": "i4", "block2_more": "i1", "block2_size": "i2",
    "size1": "i8", "size2": "i8", "etag": "i4", "payload_length": "i4", "error": "i1", "_at": "i8", "_length": "i4",
    "_payload": "i4", "_carried": "i4",
}  # fmt: skip
_CODE_NAMES = [f"{code >> 5}.{code & 31:02d}" for code in range(256)]


class Columns(Mapping[str, Array]):
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
    session : array of int32
        The DTLS session of each message, as a position in `sessions`; -1 for one in the clear.
    notes : tuple of str
        What was damaged or left out, in words.
    comments : dict of int to str
        Packet comments by frame.
    interfaces : tuple of str
        Names of the interfaces in the file.
    interface : str or None
        The one that was read, where only one was.
    segments : Segments
        The TCP of the file, not yet put together; `lwm2m_lab.wire.streams` does that.
    icmp_errors : tuple of IcmpError
        Who says that which datagram did not arrive.
    """

    def __init__(
        self,
        arrays: dict[str, Array],
        categories: dict[str, list[str]],
        *,
        source: Source,
        side_data: Sequence[bytes] = (),
        packets: int = 0,
        encrypted_records: int = 0,
        notes: Sequence[str] = (),
        comments: Mapping[int, str] | None = None,
        interfaces: Sequence[str] = (),
        interface: str | None = None,
        decryption: Decryption | None = None,
        segments: Segments | None = None,
        icmp_errors: Sequence[IcmpError] = (),
    ) -> None:
        self._arrays, self.categories, self._source, self._side_data = arrays, categories, source, side_data
        self.packets, self.encrypted_records, self.notes = packets, encrypted_records, tuple(notes)
        self.comments: dict[int, str] = dict(comments or {})
        self.interfaces, self.interface = tuple(interfaces), interface
        self.segments, self.icmp_errors = segments or Segments(), tuple(icmp_errors)
        self._content: bytes | mmap.mmap | None = None
        self.sessions: tuple[DtlsSession, ...] = () if decryption is None else decryption.sessions()
        self.session = np.full(self.rows, -1, np.int32)
        if decryption is not None and len(decryption.carried):
            carried = arrays["_carried"]
            self.session = np.where(carried >= 0, decryption.numbers()[carried], -1)

    def __getitem__(self, name: str) -> Array:
        if name not in COLUMN_NAMES:
            raise KeyError(name)
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COLUMN_NAMES)

    def __len__(self) -> int:
        return len(COLUMN_NAMES)

    @property
    def rows(self) -> int:
        """Number of messages."""
        return len(self._arrays["frame"])

    @property
    def lengths(self) -> Array:
        """Bytes of each datagram, as far as it was captured."""
        return self._arrays["_length"]

    def text(self, name: str, row: int) -> str | None:
        """The text of a text column in one row; None where it is missing."""
        code = int(self._arrays[name][row])
        return None if code < 0 else self.categories[name][code]

    def texts(self, name: str) -> NDArray[np.object_]:
        """A text column as objects, None where missing."""
        table = np.array([*self.categories[name], None], object)
        return table[self._arrays[name]]

    def datagram(self, row: int) -> bytes:
        """What UDP carried in one row."""
        return self.bytes_at(int(self._arrays["_at"][row]), int(self._arrays["_length"][row]))

    def payload(self, row: int) -> bytes:
        """The CoAP payload of one row."""
        offset = int(self._arrays["_payload"][row])
        return b"" if offset < 0 else self.datagram(row)[offset:]

    def joined(self, rows: NDArray[np.int64]) -> bytes:
        """The CoAP payloads of these rows, one after another."""
        at, length, offset = (self._arrays[name][rows].astype(np.int64) for name in ("_at", "_length", "_payload"))
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


def read_columns(
    source: Source,
    *,
    ports: Sequence[int] = (5683,),
    interface: str | int | None = None,
    psk: PreSharedKeys | None = None,
    keylog: str | os.PathLike[str] | None = None,
) -> Columns:
    """Read a capture file into the columns of the message table.

    Parameters
    ----------
    source : path or bytes
        A pcap or pcapng file, plain or gzip, or its content.
    ports : sequence of int
        UDP ports that carry CoAP in any case; on others it is recognised by content.
    interface : str or int, optional
        Name or number of the interface to read. Without it all are, but of a file that shows the server's and the
        device's side apart the server's, and a note says that the other is there.
    psk : mapping of str to bytes or hexadecimal text, optional
        Pre-shared keys of DTLS by identity; the one of ``""`` is tried for any identity.
    keylog : path or str, optional
        A key log file, or its text (``CLIENT_RANDOM`` lines).

    Raises
    ------
    BadInput
        For what is no capture, or an interface that is not in it.

    Examples
    --------
    >>> from lwm2m_lab.wire.pcap import Interface
    >>> from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
    >>> from lwm2m_lab.wire.packets import udp_packet
    >>> packet = udp_packet(("192.0.2.1", 5683), ("192.0.2.2", 5683), bytes.fromhex("4001000db133"))
    >>> columns = read_columns(pcapng_bytes([Packet(0, packet)], interfaces=[Interface()]))
    >>> columns.text("uri_path", 0), int(columns["mid"][0])
    ('/3', 13)
    """
    for port in ports:
        if not isinstance(port, int) or not 0 < port < 65536:
            raise BadInput(f"port is {port!r}; a number from 1 to 65535 is expected")
    stream, name = open_capture(source)
    with stream:
        reader = RecordReader(stream, name)
        table = _Table(reader, tuple(ports), interface, Keyring(psk, keylog))
        for records in reader:
            table.add(records)
    return table.finish(source, name)


class _Table:
    """Collects the columns of all windows."""

    def __init__(
        self, reader: RecordReader, ports: tuple[int, ...], interface: str | int | None, keyring: Keyring
    ) -> None:
        self.reader, self.ports, self.interface = reader, ports, interface
        self.decoder, self.reassembler, self.segments = MessageDecoder(), Reassembler(), Segments()
        self.icmp = IcmpErrors()
        self.flows = flows.Flows(ports)
        #: Messages on known ports; and all others, of which only the end of the file tells whether they are CoAP.
        self.sure, self.others = Store(_DTYPES), Store({**_DTYPES, "known": "?"})
        self.side_data: list[bytes] = []
        self.comments: dict[int, str] = {}
        self.left_out: dict[int, int] = {}
        self.keyring = keyring
        self.decryption: Decryption | None = None

    def add(self, records: Records) -> None:
        """Decode one window."""
        self.comments.update(records.comments)
        while self.reader.key_logs:
            self.keyring.add_keylog(self.reader.key_logs.pop())
        chosen = self._chosen()
        if chosen is not None:
            keep = records.interface == chosen
            names = ("frame", "time_ns", "start", "captured", "original", "interface")
            records = Records(records.data, records.base, *(getattr(records, name)[keep] for name in names))
        linktypes = self._linktypes(records)
        plain, reassembled = udp_datagrams(records, linktypes, self.reassembler, self.flows)
        if len(plain.row) < len(records.frame):
            others = other_packets(records, linktypes, plain.row)
            self.segments.add(records, others)
            self.icmp.add(records, others)
        self._messages(records, plain, None)
        for one in reassembled:
            at = int(one.start[0])
            self.side_data.append(one.data[at : int(one.end[0])].tobytes())
            self._messages(records, one, len(self.side_data))

    def _linktypes(self, records: Records) -> Array | int:
        """The link type of all records, or of each where they differ; those that nobody here can read are counted."""
        table = np.array([one.linktype for one in self.reader.interfaces] or [-1], np.int64)
        linktypes: Array | int = int(table[0])
        counts = {int(table[0]): len(records.frame)}
        if (table != table[0]).any():
            linktypes = table[np.minimum(records.interface, len(table) - 1)]
            counts = dict(zip(*(part.tolist() for part in np.unique(linktypes, return_counts=True)), strict=True))
        for linktype, count in counts.items():
            if linktype not in LINK_TYPES and count:
                self.left_out[linktype] = self.left_out.get(linktype, 0) + count
        return linktypes

    def _chosen(self) -> int | None:
        """Number of the interface to read; None for all."""
        names = [one.name for one in self.reader.interfaces]
        if self.interface is None:
            return names.index("server") if sorted(names) == ["device", "server"] else None
        if isinstance(self.interface, int):
            return self.interface
        return names.index(self.interface) if self.interface in names else -1

    def _messages(self, records: Records, found: Datagrams, side: int | None) -> None:
        """Tell DTLS from what may be CoAP, and decode the one and the other."""
        dtls = flows.is_dtls(found.data, found.start, found.end)
        if dtls.any():
            self._decrypt(records, found, np.nonzero(dtls)[0])
        keep = ~dtls & (found.end > found.start) & ~self.flows.foreign.take(found.flow)
        self._decode(records, found, keep, side, None)

    def _decrypt(self, records: Records, found: Datagrams, rows: Array) -> None:
        """What DTLS records carry is decoded like what came in the clear, from where it came."""
        if self.decryption is None:
            from lwm2m_lab.wire.dtls import Decryption

            self.decryption = Decryption(self.keyring)
        carried = len(self.decryption.carried)
        opened_records, opened = self.decryption.window(records, found, rows, self.flows)
        side = len(self.side_data) + 1
        content = opened.data.tobytes()
        self.side_data += [content[a:b] for a, b in zip(opened.start.tolist(), opened.end.tolist(), strict=True)]
        self._decode(opened_records, opened, opened.end > opened.start, side, carried)

    def _decode(self, records: Records, found: Datagrams, keep: Array, side: int | None, carried: int | None) -> None:
        """Decode these datagrams and keep their columns; those of `side` lie outside the file from there on."""
        chosen = np.flatnonzero(keep)
        if len(chosen) < len(keep):
            found = found.take(chosen)
        columns = self.decoder.window(found.data, found.start, found.end, found.cut, found.flow)
        columns["frame"], columns["time"] = records.frame.take(found.row), records.time_ns.take(found.row)
        columns["src"], columns["dst"] = self.flows.source.take(found.flow), self.flows.destination.take(found.flow)
        columns["_at"] = found.start + records.base if side is None else -side - chosen
        columns["_length"] = found.end - found.start
        columns["_carried"] = np.full(len(chosen), -1) if carried is None else carried + chosen
        columns["known"] = self.flows.known.take(found.flow)
        if carried is not None:
            columns["known"] |= self.flows.secured.take(found.flow)
        if carried is None:
            self._keep(columns, columns["known"], found.flow)
        else:
            self.others.append(columns, share=self.reader.share)

    def _keep(self, columns: dict[str, Array], sure: Array, flow: Array) -> None:
        """Put messages with their like."""
        share = self.reader.share
        if sure.all():
            self.sure.append(columns, share=share)
            return
        # A flow on unknown ports is CoAP as a whole or not at all: what follows its first fault need not be looked at.
        self.flows.foreign[flow[~sure & (columns["error"] >= 0)]] = True
        for store, chosen in ((self.sure, sure), (self.others, ~sure)):
            rows = np.flatnonzero(chosen)
            store.append({name: array.take(rows) for name, array in columns.items()}, share=share)

    def finish(self, source: Source, name: str) -> Columns:
        """One array for each column, in the order of the file, without what is no CoAP."""
        categories = self.decoder.categories()
        arrays = self._arrays(categories["token"])
        categories |= {
            "src": self.flows.endpoints,
            "dst": self.flows.endpoints,
            "type": list(coap.TYPES),
            "code": _CODE_NAMES,
            "error": list(coap.ERRORS),
        }
        names = [one.name for one in self.reader.interfaces]
        chosen = self._chosen()
        self._check_interface(chosen, names, name)
        return Columns(
            arrays,
            categories,
            source=source,
            side_data=self.side_data,
            packets=self.reader.packets,
            encrypted_records=0 if self.decryption is None else self.decryption.encrypted,
            notes=[*self.reader.notes, *self._notes(chosen, names)],
            decryption=self.decryption,
            comments=self.comments,
            interfaces=names,
            interface=None if chosen is None else names[chosen],
            segments=self.segments,
            icmp_errors=self.icmp.found,
        )

    def _arrays(self, tokens: Sequence[str]) -> dict[str, Array]:
        """The columns of all messages that are CoAP."""
        arrays, others = self.sure.arrays(), self.others.arrays()
        known = others.pop("known")
        if self.decryption is not None:
            known |= self.decryption.are_coap(others)
        found = np.flatnonzero(known | flows.recognised(others, known, tokens))
        if not found.size and not self.side_data:
            return arrays
        order = np.argsort(np.concatenate([arrays["frame"], others["frame"][found]]), kind="stable")
        return {name: np.concatenate([arrays.pop(name), others.pop(name)[found]])[order] for name in _DTYPES}

    def _check_interface(self, chosen: int | None, names: list[str], name: str) -> None:
        if chosen is not None and not 0 <= chosen < len(names):
            there = ", ".join(one or f"number {number}" for number, one in enumerate(names)) or "none"
            raise BadInput(f"{name} has no interface {self.interface!r}; one of {there} is expected")

    def _notes(self, chosen: int | None, names: list[str]) -> Iterator[str]:
        if self.interface is None and chosen is not None:
            yield "this is the server's side; the device's is there too: interface='device'"
        for linktype, count in self.left_out.items():
            yield f"{count} packets of link type {linktype} were left out: the lab cannot read it"
        if self.reassembler.parts:
            yield f"{len(self.reassembler.parts)} fragmented packets never became whole"
        if self.decryption is not None:
            yield from self.decryption.notes()

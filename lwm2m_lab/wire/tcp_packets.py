"""Every packet of some TCP connections: headers, payload, acknowledgements, and what was sent again.

`Segments` keeps what streams are made of. What a connection costs is in its bare acknowledgements and headers too, and
is asked for rarely: so the file is read once more.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.wire.columns import Source
from lwm2m_lab.wire.ends import address_text
from lwm2m_lab.wire.packets import other_packets
from lwm2m_lab.wire.pcap import RecordReader, Records, open_capture
from lwm2m_lab.wire.segments import ACK, FIN, RST, SYN, located

__all__ = ["TcpPackets", "tcp_packets"]

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
_COLUMNS = ("frame", "time_ns", "connection", "up", "ip", "tcp", "payload", "seq", "ack", "flags")


@dataclass(frozen=True, eq=False)
class TcpPackets:
    """Packets of some connections in the order of the file, one array a field, all of shape (n,).

    Attributes
    ----------
    frame, time_ns : array of int64
    connection : array of int64
        Position in the connections that were asked for.
    up : array of bool
        Whether the client sent it.
    ip, tcp, payload : array of int64
        Bytes of the IP header with its extensions, of the TCP header with its options, and behind it, as on the wire.
    seq, ack, flags : array of int64
    again : array of bool
        Whether all that it carries had been sent before: a retransmission, or a keep-alive.
    bare : array of bool
        Whether it carries an acknowledgement and nothing else.
    """

    frame: Ints
    time_ns: Ints
    connection: Ints
    up: Mask
    ip: Ints
    tcp: Ints
    payload: Ints
    seq: Ints
    ack: Ints
    flags: Ints
    again: Mask
    bare: Mask

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def size(self) -> Ints:
        """Bytes of each IP packet."""
        return self.ip + self.tcp + self.payload

    @property
    def reach(self) -> Ints:
        """The sequence number behind each packet, a SYN and a FIN counted as one."""
        return (self.seq + self.payload + _counted(self.flags)) % (1 << 32)

    def take(self, chosen: Mask) -> TcpPackets:
        """Some of them."""
        return TcpPackets(**{name: getattr(self, name)[chosen] for name in (*_COLUMNS, "again", "bare")})


def tcp_packets(source: Source, connections: Collection[tuple[str, str]]) -> TcpPackets:
    """The packets of these connections.

    Parameters
    ----------
    source : path or bytes
        The capture file.
    connections : collection of (str, str)
        Client and server of each, as ``192.0.2.1:5683``.
    """
    ways = {(client, server): (at, True) for at, (client, server) in enumerate(connections)}
    ways |= {(server, client): (at, False) for at, (client, server) in enumerate(connections)}
    parts: dict[str, list[Ints]] = {name: [] for name in _COLUMNS}
    stream, name = open_capture(source)
    with stream:
        reader = RecordReader(stream, name)
        for records in reader:
            known = np.array([one.linktype for one in reader.interfaces] or [-1], np.int64)
            _add(parts, records, known[np.minimum(records.interface, len(known) - 1)], ways)
    found = {name: np.concatenate([np.zeros(0, np.int64), *part]) for name, part in parts.items()}
    fields = {**found, "up": found["up"].astype(bool)}
    bare = (found["payload"] == 0) & (found["flags"] & (SYN | FIN | RST) == 0) & (found["flags"] & ACK > 0)
    return TcpPackets(**fields, again=_again(found), bare=bare)


def _add(
    parts: dict[str, list[Ints]], records: Records, linktypes: Ints, ways: dict[tuple[str, str], tuple[int, bool]]
) -> None:
    """Collect the packets of one window."""
    others = other_packets(records, linktypes, np.zeros(0, np.int64))
    if not len(others.row):
        return
    at = located(records, others)
    if not len(at["frame"]):
        return
    keys, inverse = np.unique(at["key"], return_inverse=True)
    texts = [(address_text(key[:18]), address_text(key[18:])) for key in map(bytes, keys)]
    number = np.array([ways.get(text, (-1, False))[0] for text in texts], np.int64)[inverse]
    up = np.array([ways.get(text, (-1, False))[1] for text in texts], bool)[inverse]
    chosen = number >= 0
    for name, column in {**at, "connection": number, "up": up}.items():
        if name in parts:
            parts[name].append(column[chosen].astype(np.int64))


def _counted(flags: Ints) -> Ints:
    return ((flags & SYN > 0).astype(np.int64)) + (flags & FIN > 0)


def _again(found: dict[str, Ints]) -> Mask:
    """What had been sent before: within one connection and direction nothing behind what was reached."""
    again = np.zeros(len(found["frame"]), bool)
    length = found["payload"] + _counted(found["flags"])
    for number in range(int(found["connection"].max(initial=-1)) + 1):
        mine = np.flatnonzero(found["connection"] == number)
        for way in (1, 0):
            rows = mine[found["up"][mine] == way]
            # Another SYN begins another connection between the same ends; its copy does not.
            opens = np.flatnonzero(found["flags"][rows] & SYN > 0)
            new = opens[np.append(True, np.diff(found["seq"][rows[opens]]) != 0)] if opens.size else opens
            begins = np.zeros(len(rows), np.int64)
            begins[new] = 1
            for part in (rows[np.cumsum(begins) == one] for one in range(len(new) + 1)):
                if not part.size:
                    continue
                begin = (found["seq"][part] - found["seq"][part[0]] + (1 << 31)) % (1 << 32) - (1 << 31)
                end = begin + length[part]
                reached = np.append(np.iinfo(np.int64).min, np.maximum.accumulate(end)[:-1])
                again[part] = (length[part] > 0) & (end <= reached)
    return again

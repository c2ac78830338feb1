"""DTLS records as they stand on the wire, opened or not: what an observer without a key can see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from lwm2m_lab.wire.columns import Source
from lwm2m_lab.wire.dtls_handshake import CLIENT_HELLO, FINISHED, SERVER_HELLO
from lwm2m_lab.wire.dtls_keys import CID_RECORD
from lwm2m_lab.wire.flows import Flows, is_dtls
from lwm2m_lab.wire.packets import Reassembler, udp_datagrams
from lwm2m_lab.wire.pcap import RecordReader, open_capture

__all__ = ["DtlsRecord", "dtls_records"]

_HEADER = 13
_KINDS = {20: "ChangeCipherSpec", 21: "Alert", 22: "Handshake", 23: "ApplicationData", CID_RECORD: "with CID"}
_MESSAGES = {
    CLIENT_HELLO: "ClientHello", SERVER_HELLO: "ServerHello", 3: "HelloVerifyRequest", 4: "NewSessionTicket",
    11: "Certificate", 12: "ServerKeyExchange", 14: "ServerHelloDone", 16: "ClientKeyExchange", FINISHED: "Finished",
}  # fmt: skip


class DtlsRecord(NamedTuple):
    """One record.

    Attributes
    ----------
    frame, time_ns : int
        Of its packet.
    src, dst : str
    kind : str
        ``"ClientHello"``, ``"ApplicationData"``; what a record under keys carries is not seen.
    epoch, sequence : int
    cid : str
        Connection ID in hex, empty where there is none.
    length : int
        Bytes behind the header.
    """

    frame: int
    time_ns: int
    src: str
    dst: str
    kind: str
    epoch: int
    sequence: int
    cid: str
    length: int


def dtls_records(source: Source, *, cids: Sequence[bytes] = ()) -> Iterator[DtlsRecord]:
    """The records of a capture file, in its order.

    Parameters
    ----------
    source : path or bytes
    cids : sequence of bytes
        Connection IDs that were agreed on: a record does not say how long its own is. One that begins with none of
        them is taken to have none, and its length is then that of the rest of the datagram.

    Raises
    ------
    BadInput
        For what is no capture.
    """
    stream, name = open_capture(source)
    flows, reassembler = Flows(()), Reassembler()
    with stream:
        reader = RecordReader(stream, name)
        for window in reader:
            if not len(window.frame):
                continue
            known = np.array([one.linktype for one in reader.interfaces] or [-1], np.int64)
            linktypes = known[np.minimum(window.interface, len(known) - 1)]
            plain, reassembled = udp_datagrams(window, linktypes, reassembler, flows)
            for part in (plain, *reassembled):
                for at in np.nonzero(is_dtls(part.data, part.start, part.end))[0].tolist():
                    row, flow = int(part.row[at]), int(part.flow[at])
                    ends = flows.endpoints[flows.source[flow]], flows.endpoints[flows.destination[flow]]
                    frame, time_ns = int(window.frame[row]), int(window.time_ns[row])
                    data = part.data[part.start[at] : part.end[at]].tobytes()
                    for kind, epoch, sequence, cid, length in _records(data, cids):
                        yield DtlsRecord(frame, time_ns, *ends, kind, epoch, sequence, cid, length)


def _records(data: bytes, cids: Sequence[bytes]) -> Iterator[tuple[str, int, int, str, int]]:
    """Kind, epoch, sequence number, Connection ID and length of each record of a datagram."""
    at = 0
    while at + _HEADER <= len(data) and data[at] in _KINDS:
        kind, behind = data[at], at + 11
        epoch, sequence = int.from_bytes(data[at + 3 : at + 5], "big"), int.from_bytes(data[at + 5 : behind], "big")
        cid = next((one for one in cids if one and data.startswith(one, behind)), b"") if kind == CID_RECORD else b""
        begins = behind + len(cid) + 2
        length = int.from_bytes(data[begins - 2 : begins], "big")
        if (kind == CID_RECORD and not cid) or begins + length > len(data):
            length = max(len(data) - begins, 0)
        shown = _KINDS[kind]
        if kind == 22 and epoch == 0 and length:
            shown = _MESSAGES.get(data[begins], shown)
        yield shown, epoch, sequence, cid.hex(), length
        at = begins + length

"""A capture file read into columns, at once or part by part."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lwm2m_lab.errors import BadInput
from lwm2m_lab.wire.columns import Columns, Source
from lwm2m_lab.wire.plain import read_plain

if TYPE_CHECKING:
    from lwm2m_lab.wire.keyring import PreSharedKeys

__all__ = ["read_columns", "stream_columns"]


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
    _check(ports)
    if "numpy" not in sys.modules and interface is None and not psk and keylog is None:
        columns = read_plain(source, ports)
        if columns is not None:
            return columns
    from lwm2m_lab.wire import collecting

    return collecting.collect(source, ports=ports, interface=interface, psk=psk, keylog=keylog)


def stream_columns(
    source: Source,
    *,
    rows: int,
    ports: Sequence[int] = (5683,),
    interface: str | int | None = None,
    psk: PreSharedKeys | None = None,
    keylog: str | os.PathLike[str] | None = None,
) -> Iterator[Columns]:
    """Read a capture file part by part, in memory that does not grow with it.

    A part has about `rows` messages: it ends with the window in which they have come together. Its `packets` and
    `encrypted_records` count from the beginning of the file; TCP is not collected. A flow on unknown ports is taken for
    CoAP by what one part shows of it.

    Parameters
    ----------
    source, ports, interface, psk, keylog
        As for `read_columns`.
    rows : int

    Yields
    ------
    Columns

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
    >>> data = pcapng_bytes([Packet(0, packet)] * 3, interfaces=[Interface()])
    >>> [part.rows for part in stream_columns(data, rows=1000)]
    [3]
    """
    _check(ports)
    from lwm2m_lab.wire import collecting

    return collecting.collect_parts(source, rows, ports=ports, interface=interface, psk=psk, keylog=keylog)


def _check(ports: Sequence[int]) -> None:
    for port in ports:
        if not isinstance(port, int) or not 0 < port < 65536:
            raise BadInput(f"port is {port!r}; a number from 1 to 65535 is expected")

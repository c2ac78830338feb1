"""CoAP over TCP (RFC 8323): messages out of a stream. No type, no message id; the length stands in front.

A connection is CoAP where both sides begin with a CSM (5.3: it is the first message each way), or where it runs on port
5683 and its first bytes are a message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from lwm2m_lab.wire import coap
from lwm2m_lab.wire.segments import COAP_PORT
from lwm2m_lab.wire.streams import Connection, Stream

__all__ = ["SIGNALS", "TcpMessage", "encode", "messages"]

#: Signalling messages (RFC 8323, 5) and their options.
SIGNALS = {"7.01": "CSM", "7.02": "Ping", "7.03": "Pong", "7.04": "Release", "7.05": "Abort"}
_SIGNAL_OPTIONS = {
    ("7.01", 2): "Max-Message-Size", ("7.01", 4): "Block-Wise-Transfer", ("7.02", 2): "Custody", ("7.03", 2): "Custody",
    ("7.04", 2): "Alternative-Address", ("7.04", 4): "Hold-Off", ("7.05", 2): "Bad-CSM-Option",
}  # fmt: skip
#: What the nibble of a length stands for: bytes that follow it, and the number that they are added to.
_LENGTHS = {13: (1, 13), 14: (2, 269), 15: (4, 65805)}
#: Options of one message that are read; a path of more is nobody's.
MOST_OPTIONS = 1 << 14
BEYOND = "the message ends beyond what was captured"


@dataclass(frozen=True, slots=True)
class TcpMessage:
    """One CoAP message from a TCP stream.

    Attributes
    ----------
    frame, last_frame : int
        Packets that carry its first byte and its last one.
    time_ns : int
    src, dst : str
    message : Message
        Its ``type`` and ``mid`` mean nothing; the payload is not kept: `body` reads it again.
    payload_length : int
        Bytes, as far as the capture has them.
    error : str or None
    body : callable
        Gives the payload.
    """

    frame: int
    time_ns: int
    src: str
    dst: str
    message: coap.Message
    payload_length: int
    error: str | None
    last_frame: int = 0
    body: Callable[[], bytes] = field(default=bytes, repr=False, compare=False)

    @property
    def signal(self) -> str | None:
        """``"CSM"``, with what its options say; None for a request or a response.

        Examples
        --------
        >>> TcpMessage(1, 0, "", "", coap.Message("NON", "7.01", 0, options=((2, b"\\x04\\x80"),)), 0, None).signal
        'CSM, Max-Message-Size 1152'
        """
        code = self.message.code
        if code not in SIGNALS:
            return None
        return ", ".join([SIGNALS[code], *(_signal_option(code, *option) for option in self.message.options)])


def _signal_option(code: str, number: int, value: bytes) -> str:
    name = _SIGNAL_OPTIONS.get((code, number), f"option {number}")
    if name == "Alternative-Address":
        return f"{name} {value.decode(errors='replace')}"
    return f"{name} {int.from_bytes(value, 'big')}" if value else name


def messages(connections: list[Connection]) -> list[TcpMessage]:
    """The CoAP messages of some connections, in the order of their packets."""
    found: list[TcpMessage] = []
    for connection in connections:
        if _is_coap(connection):
            for stream in (connection.client, connection.server):
                found += _messages(stream)
    return sorted(found, key=lambda one: one.frame)


def _is_coap(connection: Connection) -> bool:
    """By a CSM as the first message each way, else by port and a first message that makes sense."""
    sides = [stream for stream in (connection.client, connection.server) if len(stream.offset)]
    firsts = [next(_messages(stream), None) for stream in sides]
    codes = [one.message.code for one in firsts if one is not None and one.error is None]
    if len(codes) < len(sides):
        return False
    if all(code == "7.01" for code in codes):
        return True
    ends = (connection.client.source, connection.server.source)
    return any(end.endswith(f":{COAP_PORT}") for end in ends) and all(code in coap.CODES for code in codes)


def _messages(stream: Stream) -> Iterator[TcpMessage]:
    """The messages of one side up to the first hole: behind one nobody knows where a message begins."""
    at = int(stream.offset[0]) if len(stream.offset) else 0
    while at < stream.stop and (head := stream.read(at, at + 8)):
        extra, base = _LENGTHS.get(head[0] >> 4, (0, head[0] >> 4))
        reserved = head[0] & 15 in coap.NO_LENGTHS
        if reserved or len(head) < 2 + extra:
            yield _damaged(stream, at, coap.ERRORS[coap.BAD_TOKEN_LENGTH] if reserved else BEYOND)
            return
        code = f"{head[1 + extra] >> 5}.{head[1 + extra] & 31:02d}"
        begin, end = (at + one for one in coap.token_span(head, 2 + extra))
        stop = end + base + int.from_bytes(head[1 : 1 + extra], "big")
        yield _message(stream, at, code, begin, end, stop)
        at = stop


def _damaged(stream: Stream, at: int, error: str) -> TcpMessage:
    nothing = coap.Message("NON", "0.00", 0)
    return TcpMessage(stream.frame_at(at), stream.time_at(at), stream.source, stream.destination, nothing, 0, error)


def _message(stream: Stream, at: int, code: str, token_at: int, options_at: int, stop: int) -> TcpMessage:
    """One message: its options decoded, its payload measured."""
    text = stream.read(options_at, min(stop, options_at + MOST_OPTIONS))
    options, payload, fault = coap.decode_options(text)
    # Exponent 7 is BERT here, blocks in units of 1024 bytes (RFC 8323, 6).
    error = None if fault in (None, coap.RESERVED_SZX) else coap.ERRORS[fault]
    missing = stream.missing(options_at, stop)
    if missing:
        error = BEYOND
    size = stop - options_at - len(text) + len(payload) - missing if payload else 0
    message = coap.Message("NON", code, 0, stream.read(token_at, options_at), tuple(options))
    size = max(size, 0)
    ends = stream.source, stream.destination
    last = stream.latest_frame(at, stop)
    begins = stream.frame_at(at), stream.time_at(at)
    return TcpMessage(*begins, *ends, message, size, error, last, lambda: stream.read(stop - size, stop))


def encode(message: coap.Message) -> bytes:
    """Write one message for a stream; its type and message id are left out.

    Examples
    --------
    >>> encode(coap.Message("NON", "7.01", 0, options=((2, b"\\x04\\x80"),))).hex()
    '30e1220480'
    """
    datagram = coap.encode(message)
    end = coap.token_span(datagram)[1]
    body = datagram[end:]
    nibble = next((one for one, (_, base) in reversed(_LENGTHS.items()) if len(body) >= base), len(body))
    count, base = _LENGTHS.get(nibble, (0, nibble))
    extended = (len(body) - base).to_bytes(count, "big")
    return bytes([nibble << 4 | datagram[0] & 15]) + extended + datagram[1:2] + datagram[4:end] + body

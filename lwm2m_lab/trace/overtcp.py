"""What a capture shows over TCP: downloads by HTTP, and CoAP over TCP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lwm2m_lab.trace.endpoints import Registration
from lwm2m_lab.wire import Columns, coap

if TYPE_CHECKING:
    from lwm2m_lab.trace.updates import Update
    from lwm2m_lab.wire.coap_tcp import TcpMessage
    from lwm2m_lab.wire.tcp_packets import TcpPackets

__all__ = [
    "HTTP_COLUMNS", "TCP_MESSAGE_COLUMNS", "TCP_NUMBERS", "TCP_TEXTS", "build_http", "build_tcp_messages", "host_of",
    "tcp_body_bytes", "tcp_notes", "tcp_of",
]  # fmt: skip

HTTP_COLUMNS = (
    "frame", "time", "endpoint", "client", "server", "method", "target", "host", "status", "etag", "range",
    "content_range", "content_encoding", "content_length", "body_length", "missing", "complete", "sha256",
    "request_frame", "response_frame", "last_frame",
)  # fmt: skip
TCP_MESSAGE_COLUMNS = (
    "frame", "time", "src", "dst", "code", "signal", "token", "uri_path", "uri_query", "observe", "content_format",
    "accept", "block1_num", "block1_more", "block1_size", "block2_num", "block2_more", "block2_size", "bert", "size1",
    "size2", "etag", "payload_length", "error",
)  # fmt: skip
_BERT = 7
_NUMBERS = {
    "observe": coap.OBSERVE, "content_format": coap.CONTENT_FORMAT, "accept": coap.ACCEPT, "size1": coap.SIZE1,
    "size2": coap.SIZE2,
}  # fmt: skip
#: Columns of the messages over TCP in which integers or texts may be missing.
TCP_NUMBERS = tuple(name for name in TCP_MESSAGE_COLUMNS if name.startswith("block") or name in _NUMBERS)
TCP_TEXTS = ("src", "dst", "code", "signal", "token", "uri_path", "uri_query", "etag", "error")


def host_of(address: str) -> str:
    """The address without its port."""
    return address.rsplit(":", 1)[0]


def _start(columns: Columns) -> int:
    """When the time axis of the tables begins, nanoseconds: with the first CoAP message, else with the first TCP."""
    if columns.rows:
        return columns.origin_ns
    time = columns.segments.columns()["time"]
    return int(time[0]) if len(time) else 0


def build_http(columns: Columns, registrations: list[Registration]) -> list[tuple[Any, ...]]:
    """One row an HTTP request with its response; the endpoint is who registered from the client's address alone."""
    start = _start(columns)
    names: dict[str, set[str]] = {}
    for registration in registrations:
        names.setdefault(host_of(registration["address"]), set()).add(registration["endpoint"])
    rows = []
    for one in columns.http:
        known = names.get(host_of(one.client), set())
        rows.append(
            (
                one.frame, (one.time_ns - start) / 1e9, next(iter(known)) if len(known) == 1 else one.client,
                one.client, one.server, one.method, one.target, one.host, one.status, one.etag,
                one.request.get("range"), one.response.get("content-range"), one.response.get("content-encoding"),
                one.content_length, one.body_length, one.missing, one.complete, one.sha256, one.request_frame or None,
                one.response_frame or None, one.last_frame,
            )
        )  # fmt: skip
    return rows


def build_tcp_messages(columns: Columns) -> list[dict[str, Any]]:
    """One row a CoAP message over TCP."""
    start = _start(columns)
    return [_row(one, start) for one in columns.tcp_messages]


def _row(one: TcpMessage, start: int) -> dict[str, Any]:
    message = one.message
    queries = message.values(coap.URI_QUERY)
    etag = message.values(coap.ETAG)
    row: dict[str, Any] = {
        "frame": one.frame, "time": (one.time_ns - start) / 1e9, "src": one.src, "dst": one.dst, "code": message.code,
        "signal": one.signal, "token": message.token.hex(), "uri_path": message.uri_path,
        "uri_query": "&".join(part.decode(errors="replace") for part in queries) if queries else None,
        "etag": etag[0].hex() if etag else None, "payload_length": one.payload_length, "error": one.error,
    }  # fmt: skip
    if one.signal is not None:
        # The options of a signal have numbers of their own (RFC 8323, 5.1).
        return {**row, "uri_path": None, "uri_query": None, "etag": None, "bert": False}
    for name, number in _NUMBERS.items():
        found = message.values(number)
        if found and len(found[0]) <= coap.LONGEST_NUMBER[number]:
            row[name] = int.from_bytes(found[0], "big")
    blocks = {"block1": message.block1, "block2": message.block2}
    for name, block in blocks.items():
        if block is not None:
            size = 1024 if block.szx == _BERT else block.size
            row |= {f"{name}_num": block.num, f"{name}_more": int(block.more), f"{name}_size": size}
    row["bert"] = any(block is not None and block.szx == _BERT for block in blocks.values())
    return row


def tcp_of(update: Update) -> TcpPackets | None:
    """The packets of the connections by which a package came, from the first Write on; None where it came otherwise."""
    from lwm2m_lab.wire.tcp_packets import tcp_packets

    evidence, capture = update.evidence, update.capture
    if not evidence.connections:
        return None
    found = tcp_packets(capture._data, evidence.connections)
    # The last bytes are acknowledged, and the connection closed, behind the update's last frame.
    return found.take((found.frame >= evidence.first_frame) & (found.frame < update.until))


def tcp_body_bytes(update: Update) -> int:
    """Bytes of package that the answers over TCP brought, each counted once, as far as they are in the capture."""
    evidence = update.evidence
    if evidence.http:
        return sum(one.body_length for one in evidence.http)
    servers = {(server, client) for client, server in evidence.connections}
    return sum(
        one.payload_length
        for one in update.capture.columns.tcp_messages
        if (one.src, one.dst) in servers
        and evidence.first_frame <= one.frame < update.until
        and one.message.code == "2.05"
    )


def tcp_notes(columns: Columns) -> Iterator[str]:
    """What TCP carries that the table of messages does not show, in words."""
    if columns.segments.fragments:
        yield f"{columns.segments.fragments} fragments of TCP packets were left out: their bytes are missing in streams"
    if not columns.segments.total:
        return
    for one in columns.http:
        if one.disputed:
            times = f"{len(one.disputed)} times, first in frame" if len(one.disputed) > 1 else "in frame"
            yield (
                f"the HTTP response in frame {one.response_frame} is repeated with other bytes "
                f"{times} {one.disputed[0]}: what its receiver took is not certain"
            )
    over_tcp, encrypted = len(columns.tcp_messages), len(columns.segments.tls())
    if over_tcp:
        yield f"{over_tcp} CoAP messages over TCP are listed in tcp_messages, not among the messages"
    if encrypted:
        yield f"{encrypted} TLS connections (HTTPS, or CoAP over TLS) are encrypted and were left out"

"""Pulls by CoAP over TCP: the GETs that fetch the Package URI of a delivery, and the image that they bring (RFC 8323).

There are no retransmissions and no message ids: an answer is known by its connection and token. Blocks may be BERT,
several of 1024 bytes in one message (RFC 8323, 6). A download that broke off goes on in another connection, with the
same ETag. Over TLS nothing can be seen.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lwm2m_lab.trace.overtcp import host_of
from lwm2m_lab.trace.packages import Package
from lwm2m_lab.trace.transfers import runs
from lwm2m_lab.wire import coap

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture
    from lwm2m_lab.trace.delivery import Delivery
    from lwm2m_lab.wire.coap_tcp import TcpMessage

__all__ = ["add_tcp_pulls"]

_PORT = 5683
_BERT = 7
#: What a block number of BERT counts, bytes.
_UNIT = 1024


@dataclass(frozen=True)
class _Exchange:
    """A GET over TCP, and its answer where one was seen."""

    request: TcpMessage
    response: TcpMessage | None

    @property
    def last_frame(self) -> int:
        return (self.response or self.request).last_frame


def add_tcp_pulls(capture: Capture, deliveries: Sequence[Delivery]) -> None:
    """Give each accepted Package URI of CoAP over TCP its image, answer and frames."""
    taken: set[str] = set()
    for delivery in deliveries:
        scheme = (delivery.uri or "").partition(":")[0].lower()
        if scheme == "coaps+tcp":
            delivery.unfinished = (
                "the download by CoAP over TLS is encrypted, so that its answer and image are not to be seen"
            )
        elif scheme == "coap+tcp" and delivery.kind == "pull" and delivery.accepted is not False:
            own = _chosen(capture, deliveries, delivery, taken)
            if own:
                taken |= {one.request.src for one in own}
                _add(delivery, own)
            else:
                delivery.unfinished = "no request for the Package URI by CoAP over TCP is in the capture"


def _chosen(capture: Capture, deliveries: Sequence[Delivery], delivery: Delivery, taken: set[str]) -> list[_Exchange]:
    """The GETs of a delivery: those from the device's address where there are any, whose connections nobody has."""
    path, query, port = _target(delivery.uri or "")
    asked = [
        one
        for one in _exchanges(capture.columns.tcp_messages)
        if delivery.first_frame < one.request.frame < delivery.until
        and one.request.src not in taken
        and one.request.dst.endswith(f":{port}")
        and (one.request.message.uri_path or "/", _query(one.request)) == (path, query)
    ]
    own = host_of(capture.device_address(delivery.exchanges[0]))
    near = [one for one in asked if host_of(one.request.src) == own] or asked
    if near and sum(one.uri == delivery.uri for one in deliveries) > 1:
        # Several devices behind one address: each has the next connection, in the order of the Writes.
        near = [one for one in near if one.request.src == near[0].request.src]
    return near


def _target(uri: str) -> tuple[str, str, int]:
    """Path, query and port; an unreadable URI has none that is asked for."""
    try:
        parts = urllib.parse.urlsplit(uri)
        return urllib.parse.unquote(parts.path) or "/", urllib.parse.unquote(parts.query), parts.port or _PORT
    except ValueError:
        return "", "", 0


def _query(one: TcpMessage) -> str:
    return "&".join(part.decode(errors="replace") for part in one.message.values(coap.URI_QUERY))


def _exchanges(messages: Iterable[TcpMessage]) -> Iterator[_Exchange]:
    """GETs with their answers, in the order of the requests."""
    open_requests: dict[tuple[str, str, bytes], TcpMessage] = {}
    found: list[_Exchange] = []
    for one in messages:
        token = one.message.token
        if one.message.code == "0.01":
            earlier = open_requests.pop((one.src, one.dst, token), None)
            found += [_Exchange(earlier, None)] if earlier is not None else []
            open_requests[one.src, one.dst, token] = one
        elif one.message.code[0] in "245" and (asked := open_requests.pop((one.dst, one.src, token), None)):
            found.append(_Exchange(asked, one))
    found += [_Exchange(one, None) for one in open_requests.values()]
    return iter(sorted(found, key=lambda one: one.request.frame))


def _add(delivery: Delivery, own: list[_Exchange]) -> None:
    """What the exchanges of one download say of it."""
    last = own[-1]
    answers = [one.response for one in own if one.response is not None]
    delivery.connections = tuple(dict.fromkeys((one.request.src, one.request.dst) for one in own))
    delivery.package = Package.of(lambda: _image(answers))
    delivery.block_sizes = tuple(runs(np.array([block[1] for one in answers if (block := _block(one))], np.int64)))
    delivery.last_frame = max(delivery.last_frame, *(one.last_frame for one in own))
    code = None if last.response is None else last.response.message.code
    refused = code is not None and code[0] in "45"
    if delivery.package is not None or refused:
        delivery.final_code, delivery.accepted = code, not refused
        delivery.refused_by = "repository" if refused else None
    delivery.unanswered = None
    if last.response is None:
        delivery.unanswered = last.request.frame, 1
        delivery.unanswered_what = f"GET {last.request.message.uri_path} by CoAP over TCP"
    elif delivery.final_code is None:
        came = sum(one.payload_length for one in answers)
        delivery.unfinished = (
            f"the answers by CoAP over TCP brought {came} bytes up to frame {last.last_frame}, "
            "which are not the whole package"
        )


def _block(one: TcpMessage) -> tuple[int, int, bool] | None:
    """Offset, size and more of the block of an answer; None where it is a whole body, or no body."""
    block = one.message.block2
    if one.message.code != "2.05" or block is None:
        return None
    unit = _UNIT if block.szx == _BERT else block.size
    return block.num * unit, unit, bool(block.more)


def _image(answers: Iterable[TcpMessage]) -> bytes | None:
    """The body that the answers bring; another ETag, or block 0 again, begins anew. None where a byte is missing."""
    image, named, whole = bytearray(), None, False
    for one in answers:
        if one.message.code != "2.05" or one.error is not None:
            continue
        offset, _, more = _block(one) or (0, 0, False)
        names = one.message.values(coap.ETAG)
        if offset == 0 or names != named:
            image, named, whole = bytearray(), names, False
        if offset != len(image):
            continue
        image += one.body()
        whole = not more
    return bytes(image) if whole else None

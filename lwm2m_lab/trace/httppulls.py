"""Pulls by HTTP: the GETs that fetch the Package URI of a delivery, and the image that they bring.

A download that broke off goes on with a Range; its parts are one image only where ETag, Last-Modified and the size of
the whole agree. Redirections are followed. Over HTTPS only the beginning can be seen.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lwm2m_lab.trace.overtcp import host_of
from lwm2m_lab.trace.packages import Package

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture
    from lwm2m_lab.trace.delivery import Delivery
    from lwm2m_lab.wire.http import HttpExchange

__all__ = ["add_http_pulls", "image_of"]

_PORTS = {"http": 80, "https": 443}
MOST_REDIRECTIONS = 10


@dataclass(frozen=True)
class _Target:
    """What a Package URI of HTTP names; a Package URI may leave out port and path."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, uri: str) -> _Target | None:
        """The parts of a URI; None where it is none of HTTP."""
        try:
            parts = urllib.parse.urlsplit(uri)
            port = parts.port
        except ValueError:
            return None
        scheme = parts.scheme.lower()
        if scheme not in _PORTS or not parts.hostname:
            return None
        path = _unquoted(parts.path or "/") + ("?" + parts.query if parts.query else "")
        return cls(scheme, parts.hostname, port or _PORTS[scheme], path)

    def is_asked_by(self, one: HttpExchange) -> bool:
        """Whether a request asks for this: the same path and query, at this port of this host."""
        target = one.target or ""
        if target.startswith("http://"):
            asked = _Target.of(target)
            return asked == self
        path, mark, query = target.partition("?")
        if _unquoted(path) + mark + query != self.path:
            return False
        server, _, port = one.server.rpartition(":")
        said = (one.host or "").lower()
        named = said in (self.host, f"{self.host}:{self.port}", f"[{self.host}]:{self.port}", f"[{self.host}]")
        # Behind a port forwarding the Host field still names what the URI named.
        return named or (server.strip("[]") == self.host and int(port) == self.port)


def _unquoted(path: str) -> str:
    return urllib.parse.unquote(path, errors="replace")


def add_http_pulls(capture: Capture, deliveries: Sequence[Delivery]) -> None:
    """Give each accepted Package URI of HTTP its requests, and its image, answer and frames."""
    wanted = [
        (delivery, target)
        for delivery in deliveries
        if delivery.kind == "pull" and delivery.accepted is not False and (target := _Target.of(delivery.uri or ""))
    ]
    taken: set[str] = set()
    found: dict[int, list[HttpExchange]] = {}
    for number, (delivery, target) in enumerate(wanted):
        if target.scheme == "https":
            _note_encrypted(capture, delivery, target)
            continue
        chains = _chains(capture, delivery, target, taken)
        rivals = [one for one, _ in wanted if one.uri == delivery.uri]
        # Several devices behind one address: each has the next download, in the order of the Writes.
        mine = chains if len(rivals) == 1 else chains[:1]
        found[number] = [one for chain in mine for one in chain]
        taken |= {one.client for one in found[number]}
    for number, own in found.items():
        if own:
            _add(wanted[number][0], sorted(own, key=lambda one: one.frame))


def _chains(capture: Capture, delivery: Delivery, target: _Target, taken: set[str]) -> list[list[HttpExchange]]:
    """The downloads of a target in the time of a delivery, from the device's address where it has any."""
    window = [
        one
        for one in capture.columns.http
        if delivery.first_frame < one.frame < delivery.until
        and one.method in ("GET", "HEAD")
        and one.client not in taken
    ]
    asked = [one for one in window if target.is_asked_by(one)]
    if not asked:
        # A path that was cut off on its way to the device is the beginning of the one written.
        asked = [one for one in window if one.target and one.target != "/" and _cut(target, one)]
    own = host_of(capture.device_address(delivery.exchanges[0]))
    near = [one for one in asked if host_of(one.client) == own]
    chains: list[list[HttpExchange]] = []
    for one in near or asked:
        going_on = "range" in one.request or (chains and one.client == chains[-1][-1].client)
        holder = (
            next((chain for chain in chains if _continues(chain, one)), chains[-1]) if going_on and chains else None
        )
        if holder is None:
            chains.append([one])
        else:
            holder.append(one)
        for further in _redirected(window, one):
            (holder or chains[-1]).append(further)
    return chains


def _cut(target: _Target, one: HttpExchange) -> bool:
    start = _unquoted(one.target or "")
    return target.path.startswith(start) and _Target(target.scheme, target.host, target.port, start).is_asked_by(one)


def _continues(chain: list[HttpExchange], one: HttpExchange) -> bool:
    """Whether a request asks for what follows what a download has."""
    reach = sum(part.body_length for part in chain if part.status in (200, 206))
    return one.request.get("range", "").replace(" ", "").startswith(f"bytes={reach}-")


def _redirected(window: list[HttpExchange], one: HttpExchange) -> Iterator[HttpExchange]:
    """The requests that follow a redirection."""
    for _ in range(MOST_REDIRECTIONS):
        if one.status not in (301, 302, 303, 307, 308) or "location" not in one.response:
            return
        base = f"http://{one.host or one.server}{one.target}"
        try:
            target = _Target.of(urllib.parse.urljoin(base, one.response["location"]))
        except ValueError:
            return
        later = [
            other
            for other in window
            if target and other.frame > one.frame and host_of(other.client) == host_of(one.client)
        ]
        following = next((other for other in later if target and target.is_asked_by(other)), None)
        if following is None:
            return
        yield following
        one = following


def _add(delivery: Delivery, own: list[HttpExchange]) -> None:
    """What the requests of one download say of it."""
    last = own[-1]
    delivery.http = tuple(own)
    delivery.connections = tuple(dict.fromkeys((one.client, one.server) for one in own))
    delivery.package = Package.of(lambda: image_of(own))
    delivery.last_frame = max(delivery.last_frame, *(one.last_frame for one in own))
    refused = last.status is not None and last.status >= 400
    if delivery.package is not None or refused:
        delivery.final_code = str(last.status)
        delivery.accepted = not refused
        delivery.refused_by = "repository" if refused else None
    delivery.unanswered = None
    if last.status is None:
        delivery.unanswered, delivery.unanswered_what = (last.frame, 1), f"{last.method} {last.target} by HTTP"
    elif delivery.final_code is None:
        delivery.unfinished = _unfinished(last)


def _unfinished(last: HttpExchange) -> str:
    answer = f"the HTTP answer {last.status} in frame {last.response_frame}"
    if last.status is not None and 300 <= last.status < 400:
        where = last.response.get("location", "elsewhere")
        return f"{answer} sends the device to {where}, and no request for that was seen"
    if last.missing:
        whole = last.body_length + last.missing
        return (
            f"of {whole} bytes of {answer} the capture has {last.body_length}; the last came in frame {last.last_frame}"
        )
    return f"{answer} brought {last.body_length} bytes, which are not the whole package"


def image_of(exchanges: Iterable[HttpExchange]) -> bytes | None:
    """The representation that some answers bring together; None where a byte is missing.

    Parts are joined by their offsets while ETag, Last-Modified and size of the whole stay; an answer that differs in
    one of them begins anew, and so does every 200.
    """
    parts: list[tuple[int, HttpExchange]] = []
    named: tuple[str | None, str | None] = (None, None)
    total: int | None = None
    for one in exchanges:
        if one.method == "HEAD" or one.status not in (200, 206):
            continue
        said = one.content_range if one.status == 206 else None
        if one.status == 206 and said is None:
            continue
        names = (one.etag, one.response.get("last-modified"))
        whole = said.total if said else one.content_length if one.missing != 0 else one.body_length
        if said is None or names != named or (None not in (whole, total) and whole != total):
            parts, named, total = [], names, None
        parts.append((said.first if said else 0, one))
        total = whole if total is None else total
    return _joined(parts, total)


def _joined(parts: list[tuple[int, HttpExchange]], total: int | None) -> bytes | None:
    """The whole, once every byte of it is there."""
    if not parts or total is None or sum(one.body_length for _, one in parts) < total:
        return None
    image = bytearray()
    for first, one in sorted(parts, key=lambda part: part[0]):
        if first > len(image):
            return None
        body = one.body()
        image[first : first + len(body)] = body
    return bytes(image) if len(image) == total else None


def _note_encrypted(capture: Capture, delivery: Delivery, target: _Target) -> None:
    """Say that a download by HTTPS was seen but not what it carried."""
    own = host_of(capture.device_address(delivery.exchanges[0]))
    seen = [
        (frame, server)
        for frame, client, server in capture.columns.segments.tls()
        if delivery.first_frame < frame < delivery.until
        and server.endswith(f":{target.port}")
        and host_of(client) == own
    ]
    where = f"; its TLS connection to {seen[0][1]} begins in frame {seen[0][0]}" if seen else ""
    delivery.unfinished = f"the download by HTTPS is encrypted, so that its answer and image are not to be seen{where}"
    if seen:
        delivery.last_frame = max(delivery.last_frame, seen[0][0])

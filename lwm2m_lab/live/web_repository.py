"""The firmware repository over HTTP: ETag, If-Match, If-None-Match, Range and If-Range (RFC 9110, 13 and 14)."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.endpoint import Address
from lwm2m_lab.live.tcptap import See
from lwm2m_lab.live.webtap import TappedSocket, under_tls

__all__ = ["WebRepository", "part_of"]

#: Connections at once; a further one is closed.
MOST_CONNECTIONS = 64
#: Seconds without a byte after which a connection is closed.
SILENCE = 20.0
PIECE = 65_536
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


def part_of(asked: str, size: int) -> tuple[int, int] | None:
    """First byte and end of the part that a Range header asks for; the whole where it is none that is understood.

    Returns
    -------
    (int, int) or None
        None where the part is not there: 416.

    Examples
    --------
    >>> part_of("bytes=10-19", 100), part_of("bytes=-5", 100), part_of("bytes=100-", 100), part_of("lines=1-2", 100)
    ((10, 20), (95, 100), None, (0, 100))
    """
    found = _RANGE.fullmatch(asked.strip())
    if found is None or not (found[1] or found[2]):
        return 0, size
    if not found[1]:
        length = min(int(found[2]), size)
        return (size - length, size) if length else None
    first, end = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
    if found[2] and int(found[2]) < first:
        return 0, size
    return (first, end) if first < size else None


class WebRepository:
    """Files over HTTP, in threads of their own, until it is closed.

    Parameters
    ----------
    files : mapping of path to bytes
        Looked at for each request.
    bind : (str, int)
        Own address; port 0 takes a free one.
    certificate : ssl.SSLContext, optional
        What it shows: it speaks HTTPS then.
    see : callable, optional
        Told of the segments of its connections; of HTTPS they carry the records as they are on the wire.

    Raises
    ------
    BadInput
        When the address cannot be bound.

    Examples
    --------
    >>> import urllib.request
    >>> with WebRepository({"/fw/a.bin": b"firmware"}) as web:
    ...     urllib.request.urlopen(f"{web.uri}/fw/a.bin").read()
    b'firmware'
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        *,
        bind: Address = ("127.0.0.1", 0),
        certificate: ssl.SSLContext | None = None,
        see: See | None = None,
    ) -> None:
        handler = type("Handler", (_Handler,), {"files": files, "room": threading.BoundedSemaphore(MOST_CONNECTIONS)})
        try:
            self._server = _WebServer(bind, handler, certificate, see)
        except OSError as error:
            raise BadInput(
                f"TCP port {bind[1]} of {bind[0]} cannot be opened ({error.strerror or error}); a free port is expected"
            ) from None
        host, port = self._server.server_address[:2]
        scheme = "http" if certificate is None else "https"
        self.uri = f"{scheme}://[{host!s}]:{port}" if ":" in str(host) else f"{scheme}://{host!s}:{port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name=self.uri, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> WebRepository:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _WebServer(ThreadingHTTPServer):
    daemon_threads = True
    # A connection that is still open at the end ends with its thread.
    block_on_close = False

    def __init__(
        self,
        bind: Address,
        handler: type[BaseHTTPRequestHandler],
        certificate: ssl.SSLContext | None,
        see: See | None,
    ) -> None:
        self._certificate, self._see = certificate, see
        self.address_family = socket.AF_INET6 if ":" in bind[0] else socket.AF_INET
        super().__init__(bind, handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, in its thread: a handshake that does not end keeps nobody waiting."""
        if self._see is not None:
            request = TappedSocket.over(request, self._see, is_client=False)
        if self._certificate is not None:
            wrap = functools.partial(self._certificate.wrap_socket, server_side=True, do_handshake_on_connect=False)
            request = wrap(request) if self._see is None else under_tls(request, wrap)
        with request:
            super().finish_request(request, client_address)
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_WR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks off is nothing to write on a terminal."""


class _Handler(BaseHTTPRequestHandler):
    files: Mapping[str, bytes]
    room: threading.BoundedSemaphore
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "lwm2m_lab", ""
    timeout = SILENCE

    def handle(self) -> None:
        """A connection, if there is room for it."""
        if self.room.acquire(blocking=False):
            try:
                super().handle()
            finally:
                self.room.release()

    def do_GET(self) -> None:
        """A file, or a part of it."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """What a GET would say of it."""
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        try:
            body = self.files[urllib.parse.unquote(self.path.partition("?")[0])]
        except KeyError:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        status, part = self._decide(etag, len(body))
        self.send_response(status)
        self.send_header("ETag", etag)
        self.send_header("Accept-Ranges", "bytes")
        first, end = part or (0, 0)
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            self.send_header("Content-Range", f"bytes */{len(body)}")
        elif status == HTTPStatus.PARTIAL_CONTENT:
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{len(body)}")
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(end - first))
        self.end_headers()
        for at in range(first, end, PIECE) if with_body else ():
            self.wfile.write(body[at : min(at + PIECE, end)])

    def _decide(self, etag: str, size: int) -> tuple[HTTPStatus, tuple[int, int] | None]:
        """Status and part, by the preconditions in their order (RFC 9110, 13.2.2)."""
        wanted, known = self.headers.get("If-Match"), self.headers.get("If-None-Match")
        if wanted is not None and not _names(wanted, etag):
            return HTTPStatus.PRECONDITION_FAILED, None
        if known is not None and _names(known, etag):
            return HTTPStatus.NOT_MODIFIED, None
        asked = self.headers.get("Range")
        if asked is None or self.headers.get("If-Range", etag) != etag:
            return HTTPStatus.OK, (0, size)
        part = part_of(asked, size)
        if part is None:
            return HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, None
        return (HTTPStatus.OK if part == (0, size) else HTTPStatus.PARTIAL_CONTENT), part

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is written on a terminal."""


def _names(header: str, etag: str) -> bool:
    """Whether a list of entity tags names this one."""
    return header.strip() == "*" or etag in (one.strip().removeprefix("W/") for one in header.split(","))

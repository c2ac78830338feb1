"""Files over HTTP on a real socket, with ETag, Range and If-Range: what a device that pulls by HTTP asks for."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lwm2m_lab.live.tcptap import See
from lwm2m_lab.live.webtap import TappedSocket

__all__ = ["serving"]

_RANGE = re.compile(r"bytes=(\d{1,12})-")


@contextlib.contextmanager
def serving(files: Mapping[str, bytes], host: str, *, see: See | None = None) -> Iterator[str]:
    """Serve files by their paths until the end of the block; what comes back is the beginning of a URI.

    Parameters
    ----------
    files : mapping of path to bytes
        Looked at for each request: what is put in later is served, too.
    host : str
        An address of this machine.
    see : callable, optional
        Told of the segments of its connections.

    Examples
    --------
    >>> import urllib.request
    >>> with serving({"/fw.bin": b"firmware"}, "127.0.0.1") as uri:
    ...     print(urllib.request.urlopen(f"{uri}/fw.bin").read())
    b'firmware'
    """

    class Handler(_Handler):
        by_path = files

    class Server(ThreadingHTTPServer):
        def finish_request(self, request: Any, client_address: Any) -> None:
            if see is not None:
                request = TappedSocket.over(request, see, is_client=False)
            with request:
                super().finish_request(request, client_address)

    with Server((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://{host}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    by_path: Mapping[str, bytes]
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        """A file, or the rest of it where it is still the same."""
        body = self.by_path.get(self.path)
        if body is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        start = int(asked[1]) if asked and self.headers.get("If-Range", etag) == etag else 0
        if start > len(body):
            self.send_error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return
        self.send_response(HTTPStatus.PARTIAL_CONTENT if start else HTTPStatus.OK)
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        self.wfile.write(body[start:])

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is written on a terminal."""

"""Pull by HTTP and HTTPS, on real sockets: one GET in a thread, resumed by Range and If-Range where it breaks off."""

from __future__ import annotations

import asyncio
import functools
import http.client
import socket
import ssl
import threading
import urllib.error
import urllib.request
from typing import Any

from lwm2m_lab.live.blockwise import Partial
from lwm2m_lab.live.requests import NoAnswer, UnknownHost
from lwm2m_lab.live.tcptap import See
from lwm2m_lab.live.webtap import SecureConnection, TappedConnection

__all__ = ["NotServed", "fetch_by_http"]

#: Seconds without a byte after which the connection counts as lost.
SILENCE = 20.0
CHUNK = 16_384


class NotServed(Exception):
    """The server has nothing under this URI, or sends elsewhere; a device does not follow."""


class _Plain(urllib.request.HTTPHandler):
    """HTTP, over connections that are tapped."""

    def __init__(self, see: See | None) -> None:
        super().__init__()
        self._connection = functools.partial(TappedConnection, see=see)

    def http_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(self._connection, req)


class _Secure(urllib.request.HTTPSHandler):
    """HTTPS likewise, from servers that somebody trusted vouches for."""

    def __init__(self, see: See | None, trusted: ssl.SSLContext) -> None:
        super().__init__()
        self._connection = functools.partial(SecureConnection, see=see, trusted=trusted)

    def https_open(self, req: urllib.request.Request) -> Any:
        return self.do_open(self._connection, req)


def _opener(see: See | None, trusted: ssl.SSLContext) -> urllib.request.OpenerDirector:
    """HTTP and HTTPS alone: no files, no proxy of the environment, no redirection to a host that was not written."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        _Plain(see),
        _Secure(see, trusted),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    return opener


async def fetch_by_http(
    uri: str, *, limit: int, partial: Partial, trusted: ssl.SSLContext | None = None, see: See | None = None
) -> bytes:
    """The body of a URI, or the rest of it; what has come by the time of an error is in `partial`.

    Parameters
    ----------
    uri : str
    limit : int
        Bytes of the largest body.
    partial : Partial
    trusted : ssl.SSLContext, optional
        Who may vouch for a server of HTTPS; without it whoever this system trusts.
    see : callable, optional
        Told of the segments of the connection.

    Raises
    ------
    UnknownHost, NoAnswer
        When the host has no address, or the connection is refused, falls silent or breaks.
    NotServed
        For a status of 3xx or 4xx.
    MemoryError
        When the body is larger than `limit` bytes.
    """
    given_up = threading.Event()
    try:
        opener = _opener(see, trusted or ssl.create_default_context())
        await asyncio.get_running_loop().run_in_executor(None, _get, opener, uri, limit, partial, given_up)
    finally:
        # The thread looks at it between two pieces: nobody waits for the rest any more.
        given_up.set()
    return bytes(partial.body)


def _get(
    opener: urllib.request.OpenerDirector, uri: str, limit: int, partial: Partial, given_up: threading.Event
) -> None:
    """The GET, in its thread."""
    request = urllib.request.Request(uri)
    if partial.body and partial.etag is not None:
        request.add_header("Range", f"bytes={len(partial.body)}-")
        request.add_header("If-Range", partial.etag.decode("latin-1"))
    try:
        with opener.open(request, timeout=SILENCE) as response:
            if response.status != http.HTTPStatus.PARTIAL_CONTENT:
                partial.body.clear()
            etag = response.headers.get("ETag")
            partial.etag = None if etag is None else etag.encode("latin-1", "replace")
            length = response.headers.get("Content-Length", "")
            if length.isdecimal() and len(partial.body) + int(length) > limit:
                raise MemoryError(limit)
            while not given_up.is_set() and (chunk := response.read(CHUNK)):
                partial.body += chunk
                if len(partial.body) > limit:
                    raise MemoryError(limit)
            if length.isdecimal() and response.length:
                raise NoAnswer(f"{uri} broke off {response.length} bytes before its end")
    except urllib.error.HTTPError as error:
        if error.code < 500:
            raise NotServed(f"{uri} was answered {error.code}") from None
        raise NoAnswer(f"{uri} was answered {error.code}") from None
    except urllib.error.URLError as error:
        kind = UnknownHost if isinstance(error.reason, socket.gaierror) else NoAnswer
        raise kind(f"{uri} cannot be reached ({error.reason})") from None
    except (http.client.InvalidURL, UnicodeError) as error:
        raise NotServed(f"{uri} is nothing to be asked for ({error})") from None
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"{uri} broke off ({error})") from None

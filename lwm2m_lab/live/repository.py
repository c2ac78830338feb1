"""A firmware repository: files under ``/fw``, served over CoAP block by block."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import aiocoap
from aiocoap.numbers.codes import Code
from aiocoap.pipe import Pipe

from lwm2m_lab.live.blockwise import serve_block, szx_of
from lwm2m_lab.live.requests import path_of, refusal_of_options, said_of_options
from lwm2m_lab.live.tree import OCTET_STREAM

__all__ = ["Repository"]


class Repository:
    """Serves files by their path, with ETag and Size2; `site` of an aiocoap context.

    Parameters
    ----------
    files : mapping of path to bytes
        ``{"/fw/2.0.0.bin": b"..."}``.
    block_size : int
        Largest block that it sends, bytes.
    progress : callable
        Told how far, in bytes, a file has been asked for.
    etags : bool
        Whether an answer says which version of the file it is cut from.
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        *,
        block_size: int = 1024,
        progress: Callable[[int], None] = lambda _: None,
        etags: bool = True,
    ) -> None:
        self._szx, self._progress, self._tells_etags = szx_of(block_size), progress, etags
        self.put(files)

    def put(self, files: Mapping[str, bytes]) -> None:
        """Serve these files from now on."""
        self.files = files
        self._etags: dict[str, tuple[bytes, bytes]] = {}

    def etag_of(self, path: str, body: bytes) -> bytes:
        """Which version of a file its bytes are; computed once for each."""
        kept = self._etags.get(path)
        if kept is None or kept[0] is not body:
            kept = self._etags[path] = body, hashlib.sha256(body).digest()[:4]
        return kept[1]

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """Answer one request (what aiocoap asks of a site)."""
        pipe.add_response(self.answer(pipe.request), is_last=True)

    def answer(self, request: aiocoap.Message) -> aiocoap.Message:
        """The answer to one request."""
        if refusal := refusal_of_options(request):
            return aiocoap.Message(code=refusal, payload=said_of_options(refusal).encode())
        path = path_of(request)
        try:
            body = self.files[path]
        except KeyError:
            return aiocoap.Message(code=Code.NOT_FOUND, payload=b"Not Found")
        if request.code != Code.GET:
            return aiocoap.Message(code=Code.METHOD_NOT_ALLOWED)
        if request.opt.accept not in (None, OCTET_STREAM):
            return aiocoap.Message(code=Code.NOT_ACCEPTABLE, payload=b"application/octet-stream (42) is here")
        etag = self.etag_of(path, body) if self._tells_etags else None
        if etag is not None and etag in request.opt.etags and not (request.opt.block2 and request.opt.block2.start):
            return aiocoap.Message(code=Code.VALID, etag=etag)
        return self.block(request, body, etag)

    def block(self, request: aiocoap.Message, body: bytes, etag: bytes | None) -> aiocoap.Message:
        """The block that is asked for."""
        self._progress(request.opt.block2.start if request.opt.block2 else 0)
        return serve_block(request, body, etag=etag, largest_szx=self._szx)

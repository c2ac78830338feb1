"""A firmware repository: files under ``/fw``, served over CoAP block by block."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import aiocoap
from aiocoap.numbers.codes import Code
from aiocoap.pipe import Pipe

from lwm2m_lab.live.blockwise import serve_block, szx_of
from lwm2m_lab.live.requests import path_of

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
        self._etags = {path: hashlib.sha256(body).digest()[:4] for path, body in files.items()}

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """Answer one request (what aiocoap asks of a site)."""
        path = path_of(pipe.request)
        if path not in self.files:
            response = aiocoap.Message(code=Code.NOT_FOUND, payload=b"Not Found")
        elif pipe.request.code != Code.GET:
            response = aiocoap.Message(code=Code.METHOD_NOT_ALLOWED)
        else:
            self._progress(pipe.request.opt.block2.start if pipe.request.opt.block2 else 0)
            etag = self._etags[path] if self._tells_etags else None
            response = serve_block(pipe.request, self.files[path], etag=etag, largest_szx=self._szx)
        pipe.add_response(response, is_last=True)

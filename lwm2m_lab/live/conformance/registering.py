"""What a device says to the bench: what it declares as it registers, and the values in its answers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from aiocoap.numbers.codes import Code
from aiocoap.pipe import Pipe

from lwm2m_lab.live.requests import path_of
from lwm2m_lab.live.server import Registrar
from lwm2m_lab.live.tree import OCTET_STREAM
from lwm2m_lab.spec.objects import OBJECT_VERSION_OF_LWM2M
from lwm2m_lab.trace.typed import typed
from lwm2m_lab.wire import links, values

__all__ = ["BenchServer", "Declared", "value_text"]


@dataclass(frozen=True, slots=True)
class Declared:
    """What a device said of itself when it registered.

    Attributes
    ----------
    lwm2m, object_version : str
        The object version is that of Object 5, declared or the one that belongs to the LwM2M version.
    """

    lwm2m: str
    object_version: str


class BenchServer(Registrar):
    """An LwM2M server that keeps what registrations declare, and says when there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.declared: dict[str, Declared] = {}
        self.news: Callable[[], None] = lambda: None

    async def render_to_pipe(self, pipe: Pipe) -> None:
        """Answer one request of a device."""
        request = pipe.request
        if path_of(request) == "/rd" and request.code == Code.POST:
            query = dict(item.partition("=")[::2] for item in request.opt.uri_query)
            self.declared[query.get("ep", "")] = _declared(query.get("lwm2m", "1.0"), request.payload)
        await super().render_to_pipe(pipe)
        self.news()


def _declared(lwm2m: str, payload: bytes) -> Declared:
    versions = dict(OBJECT_VERSION_OF_LWM2M.get(lwm2m, {}))
    with contextlib.suppress(links.NoLinkFormat):
        for link in links.parse_links(payload):
            if link.target == "/5" and "ver" in link.attributes:
                versions[5] = link.attributes["ver"]
    return Declared(lwm2m, versions.get(5, "1.0"))


def value_text(payload: bytes, content_format: int | None, path: str) -> str | None:
    """The one value of a payload as text, by the type of its resource: in TLV a number is bytes.

    Examples
    --------
    >>> value_text(bytes.fromhex("c10302"), 11542, "/5/0/3"), value_text(b"2", 0, "/5/0/3")
    ('2', '2')
    >>> value_text(b"[", 110, "/5/0/3") is None
    True
    """
    try:
        entries = values.decode(payload, content_format=content_format, path=path)
    except values.Undecodable:
        return None
    if len(entries) != 1:
        return None
    value, _ = typed(entries[0], bare=content_format in (None, OCTET_STREAM))
    return None if value is None else str(value)

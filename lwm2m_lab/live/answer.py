"""`Answer`: what a device says to one request of a server, as it came and as it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import aiocoap

from lwm2m_lab.live.requests import text_of
from lwm2m_lab.live.tree import LINK_FORMAT, OCTET_STREAM
from lwm2m_lab.trace.typed import typed
from lwm2m_lab.wire import links, values

__all__ = ["Answer"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a device, its body whole.

    Attributes
    ----------
    code : str
        ``"2.05"``.
    payload : bytes
    content_format : int or None
    path : str
        What was asked for.

    Examples
    --------
    >>> Answer("2.05", b"1.0.0", 0, "/3/0/3").text
    '1.0.0'
    >>> Answer("2.05", bytes.fromhex("c10302"), 11542, "/5/0/3").text
    '2'
    >>> Answer("4.05", b"in State 1", None, "/5/0/2").diagnostic
    'in State 1'
    """

    code: str
    payload: bytes = b""
    content_format: int | None = None
    path: str = ""

    @classmethod
    def of(cls, response: aiocoap.Message, path: str, payload: bytes | None = None) -> Answer:
        """An answer of aiocoap's, with another body if it came in blocks."""
        body = response.payload if payload is None else payload
        content_format = response.opt.content_format
        return cls(text_of(response.code), body, None if content_format is None else int(content_format), path)

    @property
    def is_success(self) -> bool:
        """Whether the code is 2.xx."""
        return self.code.startswith("2")

    @property
    def diagnostic(self) -> str:
        """What the device says of its refusal, for people; "" where it says nothing, or did not refuse."""
        return "" if self.is_success else self.payload.decode(errors="replace")[:200]

    @property
    def entries(self) -> tuple[values.Entry, ...]:
        """The values by path; none of a refusal.

        Raises
        ------
        lwm2m_lab.wire.values.Undecodable
            For a payload that is not of its format.
        """
        if not self.is_success:
            return ()
        return tuple(values.decode(self.payload, content_format=self.content_format, path=self.path))

    @property
    def text(self) -> str | None:
        """The one value as text, by the type of its resource: in TLV a number is bytes.

        None of a refusal, of several values and of a payload that cannot be read.
        """
        try:
            entries = self.entries
        except values.Undecodable:
            return None
        if len(entries) != 1:
            return None
        value, _ = typed(entries[0], bare=self.content_format in (None, OCTET_STREAM))
        return values.as_text(cast("values.Value", value))

    @property
    def integers(self) -> tuple[int, ...] | None:
        """The values of a resource of integers, one or several; None of a refusal, and of what cannot be read."""
        try:
            entries = self.entries
        except values.Undecodable:
            return None
        found = (typed(one, bare=self.content_format in (None, OCTET_STREAM))[0] for one in entries)
        numbers = [values.as_integer(values.as_text(cast("values.Value", one))) for one in found]
        return tuple(one for one in numbers if one is not None) if self.is_success else None

    @property
    def links(self) -> tuple[links.Link, ...]:
        """The links of a Discover; none of any other answer.

        Raises
        ------
        lwm2m_lab.wire.links.NoLinkFormat
            For a payload that is none.
        """
        if not self.is_success or self.content_format != LINK_FORMAT:
            return ()
        return tuple(links.parse_links(self.payload))

    def __str__(self) -> str:
        said = self.diagnostic if not self.is_success else self.text or f"{len(self.payload)} bytes"
        return f"{self.code} {said}".rstrip()

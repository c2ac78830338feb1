"""Link format (RFC 6690): what a registration and a Discover carry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lwm2m_lab.errors import LabError

__all__ = ["Link", "NoLinkFormat", "format_links", "parse_links"]


class NoLinkFormat(LabError):
    """A payload that is no link format."""


@dataclass(frozen=True, slots=True)
class Link:
    """One link.

    Attributes
    ----------
    target : str
        Between the angle brackets: ``/5/0``.
    attributes : mapping of str to str
        ``{"ver": "1.1"}``; a flag without value maps to "".
    """

    target: str
    attributes: Mapping[str, str] = field(default_factory=dict)


_TARGET = re.compile(r"\s*<([^>]*)>")
_ATTRIBUTE = re.compile(r"\s*;\s*([^\s=;,]+)(?:\s*=\s*(\"(?:[^\"\\]|\\.)*\"|[^;,\"]*))?")
_PLAIN = re.compile(r"-?[0-9.]+")


def parse_links(payload: bytes) -> list[Link]:
    """The links of a payload.

    Raises
    ------
    NoLinkFormat
        For bytes that are none.

    Examples
    --------
    >>> parse_links(b'</>;rt="oma.lwm2m";ct="60 110",</5>;ver=1.1,</5/0>')[1]
    Link(target='/5', attributes={'ver': '1.1'})
    """
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise NoLinkFormat(f"{len(payload)} bytes are no link format; UTF-8 text is expected") from None
    links, at = [], 0
    while at < len(text.rstrip()):
        target = _TARGET.match(text, at)
        if target is None:
            raise NoLinkFormat(f"link format breaks off at character {at}; '<target>' is expected")
        at, attributes = target.end(), {}
        while found := _ATTRIBUTE.match(text, at):
            attributes[found[1]] = _unquoted(found[2] or "")
            at = found.end()
        links.append(Link(target[1], attributes))
        rest = text[at:].lstrip()
        if rest and not rest.startswith(","):
            raise NoLinkFormat(f"link format breaks off at character {at}; ',' or the end is expected")
        at = len(text) - len(rest) + 1
    return links


def _unquoted(value: str) -> str:
    if value.startswith('"'):
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value.strip()


def format_links(links: Iterable[Link]) -> bytes:
    """Links as a payload; numbers stand bare, everything else in quotes.

    Examples
    --------
    >>> format_links([Link("/", {"rt": "oma.lwm2m"}), Link("/5", {"ver": "1.1"})])
    b'</>;rt="oma.lwm2m",</5>;ver=1.1'
    """
    return ",".join(_formatted(link) for link in links).encode()


def _formatted(link: Link) -> str:
    parts = [f"<{link.target}>"]
    for name, value in link.attributes.items():
        quoted = value if _PLAIN.fullmatch(value) else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        parts.append(f"{name}={quoted}" if value else name)
    return ";".join(parts)

"""What makes two requests parts of one: the options that are part of the cache key (RFC 7252, 5.4.2 and 5.6)."""

from __future__ import annotations

from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.rows import Rows
from lwm2m_lab.wire import coap

__all__ = ["differing", "is_from_elsewhere"]

_BLOCKS = frozenset({coap.BLOCK1, coap.BLOCK2})


def differing(case: Case, requests: Rows, one: int, other: int) -> list[str]:
    """Names of the options in which two requests differ so that they are requests for two things.

    Block, and what is marked as no part of the cache key (Size1, Size2, Echo), may differ.

    Parameters
    ----------
    case : Case
    requests : Rows
        Exchanges.
    one, other : int
        Positions in them.
    """
    columns = case.capture.columns
    messages = [coap.decode(columns.datagram(int(requests["_row"][at]))) for at in (one, other)]
    if any(message.error for message in messages):
        return []
    first, second = map(_key, messages)
    numbers = dict.fromkeys(number for number in [*first, *second] if first.get(number) != second.get(number))
    return [coap.OPTIONS.get(number, f"option {number}") for number in sorted(numbers)]


def _key(message: coap.Message) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for number, value in message.options:
        if number not in _BLOCKS and number & 0x1E != 0x1C:
            found.setdefault(number, []).append(value)
    return found


def is_from_elsewhere(case: Case, requests: Rows, one: int, other: int) -> str | None:
    """Why the receiver takes two requests for those of two senders: another address, or another DTLS session."""
    columns = case.capture.columns
    was, now = (requests["_src"][at] for at in (one, other))
    if was != now:
        names = columns.categories["src"]
        return f"it comes from {names[now]}, block 0 from {names[was]}"
    sessions = columns.session[requests["_row"][[one, other]]]
    if sessions[0] != sessions[1]:
        return "it comes in another DTLS session than block 0"
    return None

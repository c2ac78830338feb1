"""Messages that stand in a capture twice because it was made on both sides of a NAT, as on `any` of a router."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.wire import Columns

__all__ = ["Translation", "translated"]

#: A router passes a message on within this time, seconds.
_PASSED_ON_S = 0.05
#: Without a copy among so many messages at the beginning there is none.
_PROBE = 20_000
#: Copies from which on two hosts saying the same is no accident, and the share of the messages that they have to be.
_ENOUGH, _SHARE = 4, 0.8
#: How many times more often than the other way round the order has to be that of a NAT.
_CLEARLY = 10
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Translation:
    """What stands in a capture on either side of a NAT.

    Attributes
    ----------
    again : array of bool
        For each message whether it is one that stands there under another address, too, which is the one looked at.
    names : dict of str to str
        The host of the copies, by the host that is looked at instead.
    """

    again: NDArray[np.bool_]
    names: dict[str, str]


def translated(columns: Columns) -> Translation:
    """Which messages are the same as others, with another host at one end, a moment earlier or later.

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> translated(lab.read("anjay-push-256-ok").columns).names
    {}
    """
    nothing = Translation(np.zeros(columns.rows, bool), {})
    if columns.rows > _PROBE and not len(_pairs(columns, np.arange(_PROBE))[0]):
        return nothing
    one, other = _pairs(columns, np.arange(columns.rows))
    if not len(one):
        return nothing
    # Codes of addresses are the same in both columns.
    src, dst = columns["src"].astype(np.int64), columns["dst"].astype(np.int64)
    sent = src[one] != src[other]
    # What goes out has the inner address first, what comes in has it last: two devices in step are no NAT.
    inner = np.where(sent, src[one], dst[other])
    outer = np.where(sent, src[other], dst[one])
    server = np.where(sent, dst[one], src[one])
    return _between_hosts(columns, np.stack([inner, outer, server, sent]), src, dst) or nothing


def _pairs(columns: Columns, rows: Ints) -> tuple[Ints, Ints]:
    """Rows of the same message, sent by or to somebody else, within a moment."""
    keys = [columns[name][rows] for name in ("mid", "token", "code", "type", "payload_length", "uri_query")]
    order = np.lexsort(keys)
    same = np.diff(columns["time"][rows][order]) < _PASSED_ON_S * 1e9
    for key in keys:
        same &= np.diff(key[order]) == 0
    one, other = rows[order[:-1][same]], rows[order[1:][same]]
    moved = (columns["src"][one] != columns["src"][other]) != (columns["dst"][one] != columns["dst"][other])
    return one[moved], other[moved]


def _between_hosts(columns: Columns, found: Ints, src: Ints, dst: Ints) -> Translation | None:
    """The flows of which one is the other under another address; None without any."""
    hosts = [name.rpartition(":")[0] for name in columns.categories["src"]]
    flows: Counter[tuple[int, int, int]] = Counter()
    between: Counter[tuple[str, str, bool]] = Counter()
    for inner, outer, server, sent in found.T.tolist():
        if hosts[inner] != hosts[outer]:
            flows[inner, outer, server] += 1
            between[hosts[inner], hosts[outer], bool(sent)] += 1
    sizes = Counter(zip(np.minimum(src, dst).tolist(), np.maximum(src, dst).tolist(), strict=True)) if flows else {}
    again = np.zeros(columns.rows, bool)
    names: dict[str, str] = {}
    for (inner, outer, server), count in flows.items():
        one, other = hosts[inner], hosts[outer]
        ways = between[one, other, True], between[one, other, False]
        against = between[other, one, True] + between[other, one, False]
        few = min(sizes.get((min(end, server), max(end, server)), 0) for end in (inner, outer))
        if min(ways) and sum(ways) >= max(_ENOUGH, _CLEARLY * against) and count >= _SHARE * few:
            names[one] = other
            again |= ((src == outer) & (dst == server)) | ((dst == outer) & (src == server))
    return Translation(again, names) if names else None

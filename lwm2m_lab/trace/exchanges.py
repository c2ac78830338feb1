"""Requests with their responses: who asked, who answered, how long it took, what was sent again.

Everything is done on the integer columns of `wire`: copies are grouped by sorting, responses find their request by
sorting both together and carrying the last request of each key forward.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.trace.peers import ends
from lwm2m_lab.trace.translated import translated
from lwm2m_lab.wire import Columns

__all__ = [
    "EXCHANGE_COLUMNS",
    "EXCHANGE_LIFETIME",
    "Table",
    "alike",
    "build_exchanges",
    "copy_groups",
    "group_codes",
    "last_before",
    "numbered",
    "seconds",
    "stale_notifications",
]  # fmt: skip

_PUT = 3
#: A message id names one message between two endpoints for this long (RFC 7252, 4.8.2), seconds.
EXCHANGE_LIFETIME = 247.0
EXCHANGE_COLUMNS = (
    "endpoint", "frame", "time", "src", "dst", "type", "code", "uri_path", "uri_query", "token", "mid", "observe",
    "block1_num", "block2_num", "response_frame", "response_time", "response_code", "rtt_s", "retransmissions",
    "duplicates",
)  # fmt: skip

Ints = NDArray[np.int64]
#: Columns of one length by their names.
Table = dict[str, NDArray[Any]]


def seconds(columns: Columns) -> NDArray[np.float64]:
    """Seconds since the first message of the file."""
    time: Ints = columns["time"]
    return (time - columns.origin_ns) / 1e9


def group_codes(*columns: NDArray[Any]) -> Ints:
    """One integer for each distinct combination.

    The columns are packed into 63 bits side by side; only where that is not enough are the combinations numbered.
    """
    combined, room = np.zeros(len(columns[0]), np.int64), 1
    for column in columns:
        lowest = int(column.min(initial=0))
        span = int(column.max(initial=0)) - lowest + 1
        if room * span >= 1 << 63:
            found, combined = np.unique(combined, return_inverse=True)
            room = len(found)
        if room * span >= 1 << 63:
            found, column = np.unique(column, return_inverse=True)
            lowest, span = 0, len(found)
        combined = combined * span + (column.astype(np.int64) - lowest)
        room *= span
    return combined


def alike(rows: Ints, key: Ints) -> list[Ints]:
    """The rows of each key together, in the order in which the keys are first seen.

    Examples
    --------
    >>> [rows.tolist() for rows in alike(np.array([2, 5, 7]), np.array([9, 1, 9]))]
    [[2, 7], [5]]
    """
    if not len(rows):
        return []
    order = np.argsort(key, kind="stable")
    parts = np.split(rows[order], np.nonzero(np.diff(key[order]))[0] + 1)
    return sorted(parts, key=lambda part: int(part[0]))


def numbered(names: NDArray[np.object_]) -> tuple[Ints, list[Any]]:
    """A number for each name, counted in the order in which they are first seen, and the names; -1 for None.

    Examples
    --------
    >>> numbers, names = numbered(np.array(["b", None, "a", "b"], object))
    >>> numbers.tolist(), names
    ([0, -1, 1, 0], ['b', 'a'])
    """
    seen: dict[Any, int] = {}
    numbers = (-1 if name is None else seen.setdefault(name, len(seen)) for name in names.tolist())
    return np.fromiter(numbers, np.int64, len(names)), list(seen)


def first_copies(columns: Columns, rows: Ints) -> tuple[Ints, Ints, Ints]:
    """The first and the last row of each message among `rows`, and how often it was sent in all.

    Copies have the same source, destination, message id, code and token within EXCHANGE_LIFETIME of the first one.
    """
    if not rows.size:
        return rows, rows, np.zeros(0, np.int64)
    ordered, starts = copy_groups(columns, rows)
    bounds = np.append(np.nonzero(starts)[0], len(ordered))
    first, last, copies = ordered[starts], ordered[bounds[1:] - 1], np.diff(bounds)
    back = np.argsort(first, kind="stable")
    return first[back], last[back], copies[back]


def copy_groups(columns: Columns, rows: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """The rows with the copies of one message next to each other, and where a new message begins.

    Another block, or another notification, is another message, though a careless sender gives it the same id and token.
    """
    peers = (one[rows] for one in ends(columns))
    key = group_codes(*peers, *(columns[name][rows] for name in ("mid", "code", "token")))
    order = np.argsort(key, kind="stable")
    key, ordered = key[order], rows[order]
    time = columns["time"][ordered]
    starts = np.ones(len(ordered), bool)
    starts[1:] = (key[1:] != key[:-1]) | (np.diff(time) > EXCHANGE_LIFETIME * 1e9)
    for name in ("block1_num", "block2_num", "observe"):
        starts[1:] |= np.diff(columns[name][ordered]) != 0
    return ordered, starts


def last_before(request_key: Ints, request_row: Ints, response_key: Ints, response_row: Ints) -> Ints:
    """For each response the position of the last request with the same key before it; -1 where there is none."""
    keys = np.concatenate([request_key, response_key])
    rows = np.concatenate([request_row, response_row])
    position = np.concatenate([np.arange(len(request_row)), np.full(len(response_row), -1)])
    # By key, and by row within it: rows are distinct, so putting each in its place sorts them.
    place = np.full(int(rows.max(initial=-1)) + 1, -1, np.int64)
    place[rows] = np.arange(len(rows))
    order = place[place >= 0]
    order = order[np.argsort(keys[order], kind="stable")]
    keys, position = keys[order], position[order]
    # Carry forward the last request within each key: positions are found by the running maximum of where they stand.
    at = np.where(position >= 0, np.arange(len(order)), -1)
    start_of_key = np.maximum.accumulate(np.where(np.append(True, keys[1:] != keys[:-1]), np.arange(len(keys)), 0))
    last = np.maximum.accumulate(at)
    found = np.where(last >= start_of_key, position[np.maximum(last, 0)], -1)
    result = np.full(len(order), -1)
    result[order] = found
    return result[len(request_row) :]


def build_exchanges(columns: Columns) -> tuple[Table, Table]:
    """The exchanges, and the further responses that observations brought.

    Returns
    -------
    exchanges : dict of arrays
        One row a request, copies merged, with integer codes of `columns` in ``_src``, ``_dst``, ``_path`` and so on.
    notifications : dict of arrays
        One row a notification: ``_row`` and the position of its observation in `exchanges`.
    """
    code, kind = columns["code"], columns["type"]
    good = (columns["mid"] >= 0) & ~translated(columns).again
    requests, repeated, copies = first_copies(columns, np.nonzero(good & (code > 0) & (code < 32))[0])
    responses, _, answers = first_copies(columns, np.nonzero(good & (code >= 64) & (code < 192))[0])
    both = np.concatenate([requests, responses])
    split = len(requests)
    # A response carries the token back the other way: the same endpoints with source and destination swapped.
    src, dst = ends(columns)
    near = np.concatenate([src[requests], dst[responses]])
    far = np.concatenate([dst[requests], src[responses]])
    by_token = group_codes(near, far, columns["token"][both])
    by_mid = group_codes(by_token, columns["mid"][both])
    piggybacked = kind[responses] == 2
    matched = np.where(
        piggybacked,
        last_before(by_mid[:split], requests, by_mid[split:], responses),
        last_before(by_token[:split], requests, by_token[split:], responses),
    )
    table = _table(columns, requests, copies)
    table["_last_frame"] = columns["frame"][repeated]
    first = _first_responses(matched, responses, len(requests))
    _add_responses(table, columns, first, answers, responses)
    observed = columns["observe"][requests] == 0
    # One more behind the last: a capture of responses alone has no request to point at.
    at = np.where(matched >= 0, matched, split)
    later = (matched >= 0) & (np.append(first, -1)[at] != responses) & np.append(observed, False)[at]
    # A registration that is renewed with the same token, and its own copies, are no news.
    return table, {"_row": responses[later], "_exchange": matched[later]}


def _first_responses(matched: Ints, responses: Ints, count: int) -> Ints:
    """The row of the first response to each request; -1 where there is none."""
    first = np.full(count, -1, np.int64)
    there = np.nonzero(matched >= 0)[0][::-1]
    # Written backwards, so that the earliest one stays.
    first[matched[there]] = responses[there]
    return first


def _table(columns: Columns, requests: Ints, copies: Ints) -> Table:
    time, (src, dst) = seconds(columns), ends(columns)
    table: Table = {
        "frame": columns["frame"][requests],
        "time": time[requests],
        "_row": requests,
        "_src": src[requests],
        "_dst": dst[requests],
        "_code": columns["code"][requests],
        "_type": columns["type"][requests],
        "_path": columns["uri_path"][requests],
        "_query": columns["uri_query"][requests],
        "_token": columns["token"][requests],
        "_copies": copies,
    }
    for name in ("mid", "observe", "block1_num", "block2_num", "content_format", "accept", "size1"):
        table[name] = columns[name][requests]
    table["retransmissions"] = np.where(table["_type"] == 0, copies - 1, 0)
    table["_path"] = _with_lost_paths(table)
    return table


def _with_lost_paths(table: Table) -> Ints:
    """The paths, and for a further block of a PUT that has none that of the blocks before it between the same ends."""
    path, block, put = table["_path"], table["block1_num"], table["_code"] == _PUT
    lost = np.nonzero(put & (path < 0) & (block > 0))[0]
    if not lost.size:
        return path
    known = np.nonzero(put & (path >= 0) & (block >= 0))[0]
    both = np.concatenate([known, lost])
    key = group_codes(table["_src"][both], table["_dst"][both])
    donor = last_before(key[: len(known)], known, key[len(known) :], lost)
    filled = path.copy()
    filled[lost[donor >= 0]] = path[known[donor[donor >= 0]]]
    return filled


def _add_responses(table: Table, columns: Columns, first: Ints, answers: Ints, responses: Ints) -> None:
    """Columns of the response, and how often it was repeated."""
    there = first >= 0
    row = np.maximum(first, 0)
    time = seconds(columns)
    empty = not len(time)
    table["_response"] = first
    table["response_frame"] = np.where(there, 0 if empty else columns["frame"][row], -1)
    table["response_time"] = np.where(there, np.nan if empty else time[row], np.nan)
    table["_response_code"] = np.where(there, 0 if empty else columns["code"][row], -1).astype(np.int64)
    table["rtt_s"] = table["response_time"] - table["time"]
    repeats = np.zeros(len(time) + 1, np.int64)
    repeats[responses] = answers - 1
    table["duplicates"] = np.where(there, repeats[row], 0)


def stale_notifications(columns: Columns) -> Ints:
    """Frames of notifications that came after a newer one of the same observation, ascending (RFC 7641, 3.4).

    Numbers count anew with each request to observe; after 128 s a number says nothing.
    """
    code, observe = columns["code"], columns["observe"].astype(np.int64)
    told, asked = (code >= 64) & (observe > 0), (code > 0) & (code < 32) & (observe == 0)
    if not told.any():
        return np.zeros(0, np.int64)
    rows = np.nonzero(told | asked)[0]
    begins = asked[rows]
    device = np.where(begins, columns["dst"][rows], columns["src"][rows])
    server = np.where(begins, columns["src"][rows], columns["dst"][rows])
    key = group_codes(device, server, columns["token"][rows])
    order = np.lexsort((rows, key))
    rows, begins, key = rows[order], begins[order], key[order]
    # The newest number so far within each observation: a running maximum that starts anew with it.
    observation = np.cumsum(begins | np.append(True, key[1:] != key[:-1]))
    number = (observation << 25) + np.where(begins, 0, observe[rows])
    newest = np.maximum.accumulate(number)
    at = np.maximum.accumulate(np.where(number == newest, np.arange(len(rows)), 0))
    behind = newest - number
    recent = columns["time"][rows] - columns["time"][rows[at]] <= 128 * 10**9
    stale = ~begins & (behind > 0) & (behind < 1 << 23) & recent
    return np.sort(columns["frame"][rows[stale]].astype(np.int64))

"""Every value seen on the wire: by reading, observing, notification, Send or Write, on one time axis."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from lwm2m_lab.trace import objects, transfers
from lwm2m_lab.trace.exchanges import Table, seconds
from lwm2m_lab.trace.rows import Rows
from lwm2m_lab.trace.typed import typed
from lwm2m_lab.wire import Columns, values

__all__ = ["EXECUTE_COLUMNS", "TIMELINE_COLUMNS", "build_executes", "build_timeline"]

TIMELINE_COLUMNS = ("frame", "time", "endpoint", "path", "name", "value", "label", "how")
EXECUTE_COLUMNS = ("frame", "time", "endpoint", "path", "response_code", "response_frame")
_GET, _POST, _PUT, _FETCH, _IPATCH = _CODES = 1, 2, 3, 5, 7
_CONTENT = 69
#: Formats in which a POST to a resource is a Write; without one, or as text, it is an Execute.
_EXECUTE_FORMATS = (-1, 0)
#: Formats that carry one value without saying of which kind; a device that says 42 may mean text.
_BARE = (-1, 0, 42)
#: A body of values beyond this is no reading of a device.
LARGEST_BODY = 1 << 20


def build_timeline(columns: Columns, exchanges: Table, notifications: Table, blocks: Rows) -> list[tuple[Any, ...]]:
    """The rows of the timeline; packages are no values and stay out.

    Parameters
    ----------
    columns : Columns
    exchanges, notifications : dict of arrays
        As `lwm2m_lab.trace.exchanges.build_exchanges` gives them, with the endpoints.
    blocks : Rows
        All of the capture, in the order of their transfers: values may come in several.
    """
    time, frames = seconds(columns), columns["frame"]
    decoded: dict[tuple[str, int, bytes], list[tuple[str, str | None, object, str]]] = {}
    rows = []
    for row, endpoint, path, how in _sources(columns, exchanges, notifications):
        # Devices say the same few things over and over.
        key = path, int(columns["content_format"][row]), columns.payload(row)
        if key not in decoded:
            decoded[key] = list(_said(*key))
        rows += [(int(frames[row]), float(time[row]), endpoint, *said, how) for said in decoded[key]]
    for row, endpoint, path, how, form, body in _bodies(columns, exchanges, blocks):
        rows += [(int(frames[row]), float(time[row]), endpoint, *said, how) for said in _said(path, form, body)]
    return sorted(rows, key=operator.itemgetter(0))


def _said(path: str, form: int, payload: bytes) -> Iterator[tuple[str, str | None, object, str]]:
    """What one payload says: path, name, value and label of each resource."""
    for entry in _entries(path, form, payload):
        if entry.value is not None and entry.path != "/5/0/0" and _is_resource_path(entry.path):
            yield entry.path, objects.name_of(entry.path), *typed(entry, bare=form in _BARE)


def _is_resource_path(path: str) -> bool:
    parts = path[1:].split("/")
    return 3 <= len(parts) <= 4 and all(part.isdecimal() for part in parts)


def _sources(columns: Columns, exchanges: Table, notifications: Table) -> Iterator[tuple[int, str, str, str]]:
    """Messages that carry values, whole in themselves: row, endpoint, path, how."""
    names = np.array([*columns.categories["uri_path"], "/"], object)
    carrying = _carries_values(columns, exchanges)
    paths = names[exchanges["_path"][carrying]].tolist()
    wanted = ("_row", "_response", "_code", "_response_code", "observe", "endpoint")
    parts = (exchanges[name][carrying].tolist() for name in wanted)
    sent, answered_whole = _is_whole(columns, "block1"), _is_whole(columns, "block2")
    for path, row, response, code, answered, observe, endpoint in zip(paths, *parts, strict=True):
        if path == "/dp":
            if sent[row]:
                yield row, endpoint, "/", "send"
        elif code in (_GET, _FETCH):
            if answered == _CONTENT and answered_whole[response]:
                yield response, endpoint, path, "observe" if observe == 0 else "read"
        elif 64 <= answered < 96 and sent[row]:
            yield row, endpoint, path, "write"
    told = notifications["_exchange"]
    endpoints, told_paths = exchanges["endpoint"][told].tolist(), names[exchanges["_path"][told]].tolist()
    for row, endpoint, path in zip(notifications["_row"].tolist(), endpoints, told_paths, strict=True):
        if columns["code"][row] == _CONTENT and answered_whole[row]:
            yield row, endpoint, path, "notify"


def _is_whole(columns: Columns, kind: str) -> np.ndarray:
    """Whether a message carries a body of its own, not one block of several."""
    number, more = columns[f"{kind}_num"], columns[f"{kind}_more"]
    whole: np.ndarray = (number < 0) | ((number == 0) & (more == 0))
    return whole


def _bodies(columns: Columns, exchanges: Table, blocks: Rows) -> Iterator[tuple[int, str, str, str, int, bytes]]:
    """Values that came in several blocks: row of the last one, endpoint, path, how, Content-Format, body."""
    if not len(blocks):
        return
    names = [*columns.categories["uri_path"], "/"]
    wanted = np.array([_has_values(path) for path in names[:-1]] + [True])
    observe = exchanges["observe"]
    for group in blocks[wanted[blocks["_path"]]].split("transfer"):
        path = names[group.first("_path")]
        if len(group) < 2 or int(group.length.sum()) > LARGEST_BODY or not _succeeded(group, path):
            continue
        body = transfers.body_of(columns, group)
        if body is None:
            continue
        position = group.first("_exchange")
        read = "notify" if position < 0 else "observe" if observe[position] == 0 else "read"
        sent = "send" if path == "/dp" else "write"
        how = read if group.first("kind") == "block2" else sent
        last, form = group.last("_carrier"), int(columns["content_format"][group.first("_carrier")])
        yield last, group.first("endpoint"), "/" if path == "/dp" else path, how, form, body


def _succeeded(group: Rows, path: str) -> bool:
    """A body that was written counts once it was accepted; one that was read, or sent by the device, at once."""
    if group.first("kind") == "block2" or path == "/dp":
        return True
    return str(group.last("response_code")).startswith("2.")


def _carries_values(columns: Columns, exchanges: Table) -> np.ndarray:
    """Exchanges whose payload names or is a value: reads, Writes, Sends; no Executes, no Write-Attributes."""
    wanted = np.array([_has_values(path) for path in columns.categories["uri_path"]] + [False])
    path, code, form = (exchanges[name] for name in ("_path", "_code", "content_format"))
    root = (path < 0) & np.isin(code, (_GET, _FETCH, _IPATCH))
    execute = (code == _POST) & np.isin(form, _EXECUTE_FORMATS)
    attributes = (code == _PUT) & (form < 0) & (columns["uri_query"][exchanges["_row"]] >= 0)
    carries: np.ndarray = (wanted[path] | root) & ~execute & ~attributes & np.isin(code, _CODES)
    return carries


def _has_values(path: str) -> bool:
    parts = path[1:].split("/")
    return path == "/dp" or (all(part.isdecimal() for part in parts) and len(parts) <= 4 and path != "/5/0/0")


def _entries(path: str, form: int, payload: bytes) -> list[values.Entry]:
    """The values of one message; what cannot be decoded has none (a finding says so elsewhere)."""
    try:
        return values.decode(payload, content_format=None if form < 0 else form, path=path)
    except values.Undecodable:
        return []


def build_executes(columns: Columns, exchanges: Table) -> Table:
    """One row an Execute: a POST to a resource without a Content-Format, or with text."""
    paths = columns.categories["uri_path"]
    resource = np.array([_is_resource(path) for path in paths] + [False])
    path, form = exchanges["_path"], exchanges["content_format"]
    posted = (exchanges["_code"] == _POST) & np.isin(form, _EXECUTE_FORMATS) & (exchanges["block1_num"] < 0)
    chosen = resource[path] & posted
    table = {name: exchanges[name][chosen] for name in EXECUTE_COLUMNS if name != "path"}
    return {**table, "path": np.array([*paths, None], object)[path[chosen]]}


def _is_resource(path: str) -> bool:
    parts = path[1:].split("/")
    return len(parts) == 3 and all(part.isdecimal() for part in parts)

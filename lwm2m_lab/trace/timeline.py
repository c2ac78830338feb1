"""Every value seen on the wire: by reading, observing, notification, Send or Write, on one time axis."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from lwm2m_lab.trace import objects, transfers
from lwm2m_lab.trace.exchanges import seconds
from lwm2m_lab.trace.rows import Rows
from lwm2m_lab.trace.typed import typed
from lwm2m_lab.wire import Columns, values

__all__ = ["TIMELINE_COLUMNS", "build_executes", "build_timeline"]

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


def build_timeline(
    columns: Columns, exchanges: pd.DataFrame, notifications: pd.DataFrame, blocks: Rows
) -> pd.DataFrame:
    """The timeline; packages are no values and stay out.

    Parameters
    ----------
    columns : Columns
    exchanges, notifications : DataFrame
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
    table = pd.DataFrame(rows, columns=list(TIMELINE_COLUMNS))
    return table.sort_values("frame", kind="stable", ignore_index=True)


def _said(path: str, form: int, payload: bytes) -> Iterator[tuple[str, str | None, object, str]]:
    """What one payload says: path, name, value and label of each resource."""
    for entry in _entries(path, form, payload):
        if entry.value is not None and entry.path != "/5/0/0" and _is_resource_path(entry.path):
            yield entry.path, objects.name_of(entry.path), *typed(entry, bare=form in _BARE)


def _is_resource_path(path: str) -> bool:
    parts = path[1:].split("/")
    return 3 <= len(parts) <= 4 and all(part.isdecimal() for part in parts)


def _sources(
    columns: Columns, exchanges: pd.DataFrame, notifications: pd.DataFrame
) -> Iterator[tuple[int, str, str, str]]:
    """Messages that carry values, whole in themselves: row, endpoint, path, how."""
    names = np.array([*columns.categories["uri_path"], "/"], object)
    carrying = exchanges[_carries_values(columns, exchanges)]
    paths = names[carrying["_path"]].tolist()
    wanted = ("_row", "_response", "_code", "_response_code", "observe", "endpoint")
    parts = (carrying[name].tolist() for name in wanted)
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
    told = exchanges.iloc[notifications["_exchange"].to_numpy()]
    for row, endpoint, path in zip(notifications["_row"].tolist(), told["endpoint"], names[told["_path"]], strict=True):
        if columns["code"][row] == _CONTENT and answered_whole[row]:
            yield row, endpoint, path, "notify"


def _is_whole(columns: Columns, kind: str) -> np.ndarray:
    """Whether a message carries a body of its own, not one block of several."""
    number, more = columns[f"{kind}_num"], columns[f"{kind}_more"]
    whole: np.ndarray = (number < 0) | ((number == 0) & (more == 0))
    return whole


def _bodies(columns: Columns, exchanges: pd.DataFrame, blocks: Rows) -> Iterator[tuple[int, str, str, str, int, bytes]]:
    """Values that came in several blocks: row of the last one, endpoint, path, how, Content-Format, body."""
    if not len(blocks):
        return
    names = [*columns.categories["uri_path"], "/"]
    wanted = np.array([_has_values(path) for path in names[:-1]] + [True])
    observe = exchanges["observe"].to_numpy()
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


def _carries_values(columns: Columns, exchanges: pd.DataFrame) -> np.ndarray:
    """Exchanges whose payload names or is a value: reads, Writes, Sends; no Executes, no Discover."""
    wanted = np.array([_has_values(path) for path in columns.categories["uri_path"]] + [False])
    path, code = exchanges["_path"].to_numpy(), exchanges["_code"].to_numpy()
    form = exchanges["content_format"].to_numpy()
    root = (path < 0) & np.isin(code, (_GET, _FETCH, _IPATCH))
    execute = (code == _POST) & np.isin(form, _EXECUTE_FORMATS)
    carries: np.ndarray = (wanted[path] | root) & ~execute & np.isin(code, _CODES)
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


def build_executes(columns: Columns, exchanges: pd.DataFrame) -> pd.DataFrame:
    """One row an Execute: a POST to a resource without a Content-Format, or with text."""
    paths = columns.categories["uri_path"]
    resource = np.array([_is_resource(path) for path in paths] + [False])
    chosen = exchanges[
        resource[exchanges["_path"].to_numpy()]
        & (exchanges["_code"] == _POST).to_numpy()
        & exchanges["content_format"].isin(_EXECUTE_FORMATS).to_numpy()
        & (exchanges["block1_num"] < 0).to_numpy()
    ]
    table = pd.DataFrame(
        {
            "frame": chosen["frame"],
            "time": chosen["time"],
            "endpoint": chosen["endpoint"],
            "path": [paths[number] for number in chosen["_path"]],
            "response_code": chosen["response_code"],
            "response_frame": chosen["response_frame"],
        }
    )
    return table.reset_index(drop=True)


def _is_resource(path: str) -> bool:
    parts = path[1:].split("/")
    return len(parts) == 3 and all(part.isdecimal() for part in parts)

"""Every value seen on the wire: by reading, observing, notification, Send or Write, on one time axis."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from lwm2m_lab.spec.objects import DEVICE, FIRMWARE_UPDATE, State, UpdateResult, resource_name
from lwm2m_lab.trace.exchanges import seconds
from lwm2m_lab.wire import Columns, values

__all__ = ["TIMELINE_COLUMNS", "build_executes", "build_timeline"]

TIMELINE_COLUMNS = ("frame", "time", "endpoint", "path", "name", "value", "label", "how")
EXECUTE_COLUMNS = ("frame", "time", "endpoint", "path", "response_code", "response_frame")
_GET, _POST, _PUT, _FETCH, _IPATCH = _CODES = 1, 2, 3, 5, 7
_CONTENT = 69
#: Formats in which a POST to a resource is a Write; without one, or as text, it is an Execute.
_EXECUTE_FORMATS = (-1, 0)


def build_timeline(columns: Columns, exchanges: pd.DataFrame, notifications: pd.DataFrame) -> pd.DataFrame:
    """The timeline; packages are no values and stay out."""
    time, frames = seconds(columns), columns["frame"]
    decoded: dict[tuple[str, int, bytes], list[tuple[str, str | None, object, str]]] = {}
    rows = []
    for row, endpoint, path, how in _sources(columns, exchanges, notifications):
        # Devices say the same few things over and over.
        key = path, int(columns["content_format"][row]), columns.payload(row)
        if key not in decoded:
            decoded[key] = list(_said(*key))
        rows += [(int(frames[row]), float(time[row]), endpoint, *said, how) for said in decoded[key]]
    table = pd.DataFrame(rows, columns=list(TIMELINE_COLUMNS))
    return table.sort_values("frame", kind="stable", ignore_index=True)


def _said(path: str, form: int, payload: bytes) -> Iterator[tuple[str, str | None, object, str]]:
    """What one payload says: path, name, value and label of each resource."""
    for entry in _entries(path, form, payload):
        if entry.path != "/5/0/0" and entry.value is not None:
            yield entry.path, resource_name(entry.path), *_typed(entry)


def _sources(
    columns: Columns, exchanges: pd.DataFrame, notifications: pd.DataFrame
) -> Iterator[tuple[int, str, str, str]]:
    """Messages that carry values: row, endpoint, path, how."""
    names = np.array([*columns.categories["uri_path"], "/"], object)
    carrying = exchanges[_carries_values(columns, exchanges)]
    paths = names[carrying["_path"]].tolist()
    wanted = ("_row", "_response", "_code", "_response_code", "observe", "endpoint")
    parts = (carrying[name].tolist() for name in wanted)
    for path, row, response, code, answered, observe, endpoint in zip(paths, *parts, strict=True):
        if path == "/dp":
            yield row, endpoint, "/", "send"
        elif code in (_GET, _FETCH):
            if answered == _CONTENT:
                yield response, endpoint, path, "observe" if observe == 0 else "read"
        elif 64 <= answered < 96:
            yield row, endpoint, path, "write"
    told = exchanges.iloc[notifications["_exchange"].to_numpy()]
    for row, endpoint, path in zip(notifications["_row"].tolist(), told["endpoint"], names[told["_path"]], strict=True):
        if columns["code"][row] == _CONTENT:
            yield row, endpoint, path, "notify"


def _carries_values(columns: Columns, exchanges: pd.DataFrame) -> np.ndarray:
    """Exchanges whose payload names or is a value: reads, Writes, Sends; no blocks of images, no Executes."""
    wanted = np.array([_has_values(path) for path in columns.categories["uri_path"]] + [False])
    path, code = exchanges["_path"].to_numpy(), exchanges["_code"].to_numpy()
    form = exchanges["content_format"].to_numpy()
    composite = (path < 0) & np.isin(code, (_FETCH, _IPATCH))
    execute = (code == _POST) & np.isin(form, _EXECUTE_FORMATS)
    block = exchanges["block1_num"].to_numpy() > 0
    carries: np.ndarray = (wanted[path] | composite) & ~execute & ~block & np.isin(code, _CODES)
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


_NUMBERS = ("Integer", "Unsigned Integer", "Time")


def _typed(entry: values.Entry) -> tuple[object, str]:
    """A value in the type of its resource, and how people say it."""
    parts = entry.path.strip("/").split("/")
    known = {"3": DEVICE["1.2"], "5": FIRMWARE_UPDATE["1.2"]}.get(parts[0])
    kind = ""
    if known is not None and len(parts) >= 3 and parts[2].isdecimal() and int(parts[2]) in known.resources:
        kind = known.resources[int(parts[2])].type
    if kind in _NUMBERS:
        number = values.as_integer(entry.value)
        return number, _number_label(entry.path, number)
    if kind == "String" or not kind:
        text = values.as_text(entry.value)
        return text if text is not None else entry.value, str(text)
    return entry.value, str(values.as_text(entry.value))


def _number_label(path: str, number: int | None) -> str:
    if path == "/5/0/3" and number in list(State):
        return str(State(number))
    if path == "/5/0/5" and number in list(UpdateResult):
        return str(UpdateResult(number))
    return str(number)


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

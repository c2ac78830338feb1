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
#: Formats in which a POST to a resource is a Write; without one, or as text, it is an Execute.
_EXECUTE_FORMATS = (-1, 0)


def build_timeline(columns: Columns, exchanges: pd.DataFrame, notifications: pd.DataFrame) -> pd.DataFrame:
    """The timeline; packages are no values and stay out."""
    time = seconds(columns)
    rows = []
    for row, frame_of, endpoint, path, how in _sources(columns, exchanges, notifications):
        for entry in _entries(columns, row, path):
            if entry.path == "/5/0/0" or entry.value is None:
                continue
            value, label = _typed(entry)
            rows.append(
                (
                    int(columns["frame"][frame_of]),
                    float(time[frame_of]),
                    endpoint,
                    entry.path,
                    resource_name(entry.path),
                    value,
                    label,
                    how,
                )
            )
    table = pd.DataFrame(rows, columns=list(TIMELINE_COLUMNS))
    return table.sort_values("frame", kind="stable", ignore_index=True)


def _sources(
    columns: Columns, exchanges: pd.DataFrame, notifications: pd.DataFrame
) -> Iterator[tuple[int, int, str, str, str]]:
    """Messages that carry values: row, row whose frame shows it, endpoint, path, how."""
    paths = columns.categories["uri_path"]
    for one in exchanges[_carries_values(columns, exchanges)].to_dict("records"):
        path = paths[one["_path"]] if one["_path"] >= 0 else "/"
        code, response, answered = one["_code"], one["_response"], one["_response_code"]
        if path == "/dp":
            yield one["_row"], one["_row"], one["endpoint"], "/", "send"
        elif code in (_GET, _FETCH):
            if answered == 69:
                yield response, response, one["endpoint"], path, "observe" if one["observe"] == 0 else "read"
        elif 64 <= answered < 96:
            yield one["_row"], one["_row"], one["endpoint"], path, "write"
    for row, exchange in zip(notifications["_row"].tolist(), notifications["_exchange"].tolist(), strict=True):
        number = exchanges["_path"].iat[exchange]
        if columns["code"][row] == 69:
            yield row, row, exchanges["endpoint"].iat[exchange], paths[number] if number >= 0 else "/", "notify"


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


def _entries(columns: Columns, row: int, path: str) -> list[values.Entry]:
    """The values of one message; what cannot be decoded has none (a finding says so elsewhere)."""
    form = int(columns["content_format"][row])
    try:
        return values.decode(columns.payload(row), content_format=None if form < 0 else form, path=path)
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

"""Endpoints: one device across new ports, new addresses and new registrations."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lwm2m_lab.spec.objects import OBJECT_VERSION_OF_LWM2M
from lwm2m_lab.wire import Columns, coap, links

__all__ = ["REGISTRATION_COLUMNS", "build_registrations", "device_of", "name_endpoints", "owners"]

REGISTRATION_COLUMNS = (
    "frame", "time", "endpoint", "address", "operation", "accepted", "lifetime", "lwm2m", "binding",
    "object3_version", "object5_version", "declared",
)  # fmt: skip
Ints = NDArray[np.int64]


def build_registrations(columns: Columns, exchanges: pd.DataFrame) -> pd.DataFrame:
    """One row a Register, Update or De-register.

    The object versions are those declared in the links (``</5>;ver=1.1``), else what ``lwm2m=`` stands for;
    ``declared`` says whether Object 5's was declared.
    """
    paths = columns.categories["uri_path"]
    interesting = {code for code, path in enumerate(paths) if path == "/rd" or path.startswith("/rd/")}
    rows = []
    location_of: dict[str, str] = {}
    for at in np.nonzero(exchanges["_path"].isin(interesting).to_numpy())[0].tolist():
        path = paths[exchanges["_path"].iat[at]]
        row = _registration(columns, exchanges, at, path)
        if row is None:
            continue
        address = str(row["address"])
        if row["operation"] == "register":
            row["endpoint"] = row["endpoint"] or address
            if row["accepted"]:
                location_of[str(row.pop("_location"))] = str(row["endpoint"])
        else:
            row["endpoint"] = location_of.get(path) or address
        row.pop("_location", None)
        rows.append(row)
    return pd.DataFrame(rows, columns=list(REGISTRATION_COLUMNS))


def _registration(columns: Columns, exchanges: pd.DataFrame, at: int, path: str) -> dict[str, object] | None:
    """What one request to /rd says."""
    request, response = int(exchanges["_row"].iat[at]), int(exchanges["_response"].iat[at])
    code = columns.text("code", request)
    operation = {"0.02": "register" if path == "/rd" else "update", "0.04": "deregister"}.get(str(code))
    if operation is None:
        return None
    query = dict(item.partition("=")[::2] for item in (columns.text("uri_query", request) or "").split("&"))
    answered = None if response < 0 else columns.text("code", response)
    lwm2m = query.get("lwm2m")
    versions, declared = _object_versions(columns.payload(request), lwm2m)
    return {
        "frame": int(exchanges["frame"].iat[at]),
        "time": float(exchanges["time"].iat[at]),
        "endpoint": query.get("ep") or None,
        "address": columns.text("src", request),
        "operation": operation,
        "accepted": None if answered is None else answered.startswith("2."),
        "lifetime": int(query["lt"]) if query.get("lt", "").isdecimal() else None,
        "lwm2m": lwm2m,
        "binding": query.get("b"),
        "object3_version": versions.get(3),
        "object5_version": versions.get(5),
        "declared": declared,
        "_location": _location(columns, response),
    }


def _location(columns: Columns, response: int) -> str:
    """The Location-Path of a response."""
    if response < 0:
        return ""
    parts = coap.decode(columns.datagram(response)).values(8)
    return "/" + "/".join(part.decode(errors="replace") for part in parts)


def _object_versions(payload: bytes, lwm2m: str | None) -> tuple[dict[int, str], bool]:
    """Versions of Objects 3 and 5, and whether 5's was declared."""
    versions = dict(OBJECT_VERSION_OF_LWM2M.get(lwm2m or "1.0", {}))
    declared = False
    try:
        found = links.parse_links(payload)
    except links.NoLinkFormat:
        return versions, False
    for link in found:
        number = link.target.strip("/")
        if number in ("3", "5") and "ver" in link.attributes:
            versions[int(number)] = link.attributes["ver"]
            declared |= number == "5"
    return versions, declared


def device_of(columns: Columns, exchanges: pd.DataFrame) -> Ints:
    """Address code of the device in each exchange.

    Who is asked for ``/5/0/3`` is the device, whoever asks for anything else (``/rd``, ``/dp``, a file) too.
    """
    managed = np.array([_is_managed(path) for path in columns.categories["uri_path"]] + [False])
    path = exchanges["_path"].to_numpy()
    # Composite operations go to the root, with the paths in the payload.
    composite = (path < 0) & np.isin(exchanges["_code"].to_numpy(), (5, 7))
    asked = managed[path] | composite
    device: Ints = np.where(asked, exchanges["_dst"], exchanges["_src"]).astype(np.int64)
    return device


def _is_managed(path: str) -> bool:
    first = path[1:].split("/", 1)[0]
    return first.isdecimal()


def name_endpoints(columns: Columns, exchanges: pd.DataFrame, registrations: pd.DataFrame) -> list[str]:
    """The endpoint of each exchange: who registered from that address last, else who did so first, else the address."""
    addresses = columns.categories["src"]
    known: dict[str, tuple[list[float], list[str]]] = {}
    for row in registrations.itertuples():
        if row.endpoint != row.address and row.operation != "deregister":
            times, names = known.setdefault(str(row.address), ([], []))
            times.append(float(row.time))
            names.append(str(row.endpoint))
    device, time = exchanges["_device"].to_numpy(), exchanges["time"].to_numpy()
    named = np.array(addresses, object)[device] if len(device) else np.zeros(0, object)
    for address, (times, names) in known.items():
        here = np.nonzero(device == addresses.index(address))[0]
        at = np.searchsorted(np.array(times), time[here], side="right") - 1
        named[here] = np.array(names, object)[np.maximum(at, 0)]
    return [str(name) for name in named]


def owners(columns: Columns, exchanges: pd.DataFrame) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """For each message the endpoint that it belongs to, None for none, and whether the device sent it.

    A message belongs to whom the last request between the same two addresses belongs to, or the first one, where none
    came before.
    """
    nobody = np.full(columns.rows, None, object)
    if not len(exchanges):
        return nobody, np.zeros(columns.rows, bool)
    rows = np.arange(columns.rows)
    src, dst = columns["src"].astype(np.int64), columns["dst"].astype(np.int64)
    _, pair = np.unique(np.minimum(src, dst) << 32 | np.maximum(src, dst), return_inverse=True)
    asked = exchanges["_row"].to_numpy()
    key = pair[asked] * (columns.rows + 1) + asked
    order = np.argsort(key, kind="stable")
    at = np.searchsorted(key[order], pair * (columns.rows + 1) + rows, side="right") - 1
    before = order[np.maximum(at, 0)]
    fits = (at >= 0) & (pair[asked[before]] == pair)
    after = order[np.minimum(at + 1, len(order) - 1)]
    chosen = np.where(fits, before, np.where(pair[asked[after]] == pair, after, -1))
    endpoint = np.array([*exchanges["endpoint"], None], object)
    sender = src == exchanges["_device"].to_numpy()[np.maximum(chosen, 0)]
    return endpoint[chosen], sender & (chosen >= 0)

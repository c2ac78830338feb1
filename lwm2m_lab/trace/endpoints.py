"""Endpoints: one device across new ports, new addresses and new registrations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.spec.objects import OBJECT_VERSION_OF_LWM2M
from lwm2m_lab.trace.exchanges import Table
from lwm2m_lab.trace.peers import ends
from lwm2m_lab.wire import Columns, coap, links

__all__ = ["REGISTRATION_COLUMNS", "Registration", "build_registrations", "device_of", "name_endpoints", "owners"]

REGISTRATION_COLUMNS = (
    "frame", "time", "endpoint", "address", "operation", "accepted", "lifetime", "lwm2m", "binding",
    "object3_version", "object5_version", "declared",
)  # fmt: skip
Ints = NDArray[np.int64]
#: One request to /rd, or to the location of a registration, by the names of the columns.
Registration = dict[str, Any]
_POST, _DELETE, _CONTINUE = 2, 4, 95
#: Bytes of links that a Register may have.
MOST_LINKS = 1 << 20


def build_registrations(columns: Columns, exchanges: Table) -> list[Registration]:
    """Each Register, Update and De-register.

    The object versions are those declared in the links (``</5>;ver=1.1``), else what ``lwm2m=`` stands for;
    ``declared`` says whether Object 5's was declared.
    """
    paths, path, code = columns.categories["uri_path"], exchanges["_path"], exchanges["_code"]
    registers = np.nonzero((path == _number(paths, "/rd")) & (code == _POST))[0].tolist()
    locations = {at: _location(columns, int(exchanges["_response"][at])) for at in registers}
    brought = set(locations.values()) - {""}
    known = [number for number, name in enumerate(paths) if name.startswith("/rd/") or name in brought]
    later = np.nonzero(np.isin(path, known) & np.isin(code, (_POST, _DELETE)))[0].tolist()
    rows: list[Registration] = []
    links_of: dict[tuple[int, int, int], bytes] = {}
    declared: dict[bytes, dict[int, str]] = {}
    for at in sorted({*registers, *later}):
        # The links of a long Register come in blocks; only the last one is answered 2.01.
        sender = (int(exchanges["_src"][at]), int(exchanges["_dst"][at]), int(exchanges["_query"][at]))
        body = links_of.pop(sender, b"") + columns.payload(int(exchanges["_row"][at]))
        if exchanges["_response_code"][at] == _CONTINUE and len(body) < MOST_LINKS:
            links_of[sender] = body
            continue
        if body not in declared:
            # Devices of one kind have the same links.
            declared[body] = _declared_versions(body)
        row = _registration(columns, exchanges, at, declared[body])
        place = locations[at] if at in locations else paths[int(path[at])]
        rows.append({**row, "_location": (sender[1], place) if place else None})
    _name(rows)
    return rows


def _number(paths: list[str], name: str) -> int:
    return paths.index(name) if name in paths else -2


def _name(rows: list[Registration]) -> None:
    """Say whose each row is: by ``ep=``, else by the location, else by who registered from that address before.

    A location is known from the Register that brought it, an earlier one or, where it has but one name in the whole
    capture, a later one; without any its first address stands for the device wherever it goes.
    """
    of_location: dict[Any, str] = {}
    of_address: dict[str, str] = {}
    first_at: dict[str, str] = {}
    named: dict[Any, set[str]] = {}
    for row in rows:
        place, address = row["_location"], row["address"]
        if row["operation"] == "register":
            name = row["endpoint"] or of_location.get(place) or of_address.get(address)
        else:
            name = of_location.get(place) or of_address.get(address)
        row["endpoint"] = name
        if name is not None:
            of_address[address] = name
            first_at.setdefault(address, name)
            if place is not None and (row["accepted"] or row["operation"] != "register"):
                of_location[place] = name
                named.setdefault(place, set()).add(name)
        if row["operation"] == "deregister":
            of_location.pop(place, None)
    began: dict[Any, str] = {}
    for row in rows:
        place, address = row["_location"], row["address"]
        if row["endpoint"] is None:
            names = named.get(place, set())
            only = next(iter(names)) if len(names) == 1 else first_at.get(address)
            row["endpoint"] = only or (address if place is None else began.setdefault(place, address))


def _registration(columns: Columns, exchanges: Table, at: int, declared: dict[int, str]) -> Registration:
    """What one request to /rd, or to the location of a registration, says."""
    request, response = int(exchanges["_row"][at]), int(exchanges["_response"][at])
    is_register = columns.text("uri_path", request) == "/rd"
    query = dict(item.partition("=")[::2] for item in (columns.text("uri_query", request) or "").split("&"))
    answered = None if response < 0 else columns.text("code", response)
    lwm2m = query.get("lwm2m")
    versions = {**OBJECT_VERSION_OF_LWM2M.get(lwm2m or "1.0", {}), **declared}
    operation = "register" if is_register else "update"
    return {
        "frame": int(exchanges["frame"][at]),
        "time": float(exchanges["time"][at]),
        "endpoint": query.get("ep") or None,
        "address": columns.categories["src"][exchanges["_src"][at]],
        "operation": "deregister" if exchanges["_code"][at] == _DELETE else operation,
        "accepted": None if answered is None else answered.startswith("2."),
        "lifetime": _lifetime(query.get("lt", "")),
        "lwm2m": lwm2m,
        "binding": query.get("b"),
        "object3_version": versions.get(3),
        "object5_version": versions.get(5),
        "declared": 5 in declared,
    }


def _location(columns: Columns, response: int) -> str:
    """The Location-Path of a response; empty where it has none."""
    if response < 0:
        return ""
    parts = coap.decode(columns.datagram(response)).values(8)
    return "/" + "/".join(part.decode(errors="replace") for part in parts) if parts else ""


def _lifetime(text: str) -> int | None:
    """Seconds; None for what is no number, or one that no device can mean."""
    return int(text) if text.isdecimal() and len(text) < 20 else None


def _declared_versions(payload: bytes) -> dict[int, str]:
    """Versions of Objects 3 and 5 as the links of a Register have them."""
    try:
        found = links.parse_links(payload)
    except links.NoLinkFormat:
        return {}
    numbered_links = ((link.target.strip("/"), link.attributes) for link in found)
    return {int(number): said["ver"] for number, said in numbered_links if number in ("3", "5") and "ver" in said}


def device_of(columns: Columns, exchanges: Table) -> Ints:
    """Address code of the device in each exchange.

    Who is asked for ``/5/0/3`` is the device, whoever asks for anything else (``/rd``, ``/dp``, a file) too.
    """
    managed = np.array([_is_managed(path) for path in columns.categories["uri_path"]] + [False])
    path = exchanges["_path"]
    # Composite operations go to the root, with the paths in the payload.
    composite = (path < 0) & np.isin(exchanges["_code"], (5, 7))
    asked = managed[path] | composite
    device: Ints = np.where(asked, exchanges["_dst"], exchanges["_src"]).astype(np.int64)
    return device


def _is_managed(path: str) -> bool:
    first = path[1:].split("/", 1)[0]
    return first.isdecimal()


def name_endpoints(columns: Columns, exchanges: Table, registrations: list[Registration]) -> NDArray[np.object_]:
    """The endpoint of each exchange: who registered from that address last, else who did so first, else the address.

    In a DTLS session it is who registered in that session, wherever it went from there; where nobody did, who
    registered elsewhere under the same PSK identity, or the identity itself.
    """
    addresses = columns.categories["src"]
    device, time = exchanges["_device"], exchanges["time"]
    session = columns.session[exchanges["_row"]].astype(np.int64)
    told: dict[int, tuple[list[float], list[str]]] = {}
    for one in registrations:
        if one["endpoint"] != one["address"] and one["operation"] != "deregister":
            at = int(np.searchsorted(exchanges["frame"], one["frame"]))
            # A registration before a selected part is none of its exchanges.
            here = at < len(device) and exchanges["frame"][at] == one["frame"]
            address, within = (int(device[at]), int(session[at])) if here else (addresses.index(one["address"]), -1)
            for place in (address, _place(within)) if within >= 0 else (address,):
                times, names = told.setdefault(place, ([], []))
                times.append(one["time"])
                names.append(one["endpoint"])
    named = np.array([*addresses, None], object)[device]
    place = np.where(np.isin(_place(session), list(told)) & (session >= 0), _place(session), device)
    for number, those in _places(place):
        if number in told:
            times, names = told[number]
            last = np.searchsorted(np.array(times), time[those], side="right") - 1
            named[those] = np.array(names, object)[np.maximum(last, 0)]
    _name_by_identity(columns, named, np.where(place < 0, -1, session), told)
    return named


def _place(session: Any) -> Any:
    """A DTLS session as a number that no address has."""
    return -2 - session


def _places(place: Ints) -> Iterator[tuple[int, Ints]]:
    """Each place with the exchanges there."""
    order = np.argsort(place, kind="stable")
    numbers, starts = np.unique(place[order], return_index=True)
    bounds = [*starts.tolist(), len(order)]
    for at, number in enumerate(numbers.tolist()):
        yield number, order[bounds[at] : bounds[at + 1]]


def _name_by_identity(
    columns: Columns, named: NDArray[np.object_], session: Ints, told: Mapping[int, tuple[list[float], list[str]]]
) -> None:
    """Name what was said in sessions without a registration; an identity that several devices share names none."""
    known: dict[str | None, set[str]] = {}
    for number, one in enumerate(columns.sessions):
        known.setdefault(one.identity, set()).update(told.get(_place(number), ([], []))[1])
    for number, here in _places(session):
        identity = columns.sessions[number].identity if number >= 0 else None
        if identity and len(known[identity]) <= 1:
            named[here] = next(iter(known[identity]), identity)


def owners(columns: Columns, exchanges: Table) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """For each message the endpoint that it belongs to, None for none, and whether the device sent it.

    A message belongs to whom the last request between the same two addresses belongs to, or the first one, where none
    came before.
    """
    nobody = np.full(columns.rows, None, object)
    asked = exchanges["_row"]
    if not len(asked):
        return nobody, np.zeros(columns.rows, bool)
    rows = np.arange(columns.rows)
    src, dst = (one.astype(np.int64) for one in ends(columns))
    _, pair = np.unique(np.minimum(src, dst) << 32 | np.maximum(src, dst), return_inverse=True)
    key = pair[asked] * (columns.rows + 1) + asked
    order = np.argsort(key, kind="stable")
    at = np.searchsorted(key[order], pair * (columns.rows + 1) + rows, side="right") - 1
    before = order[np.maximum(at, 0)]
    fits = (at >= 0) & (pair[asked[before]] == pair)
    after = order[np.minimum(at + 1, len(order) - 1)]
    chosen = np.where(fits, before, np.where(pair[asked[after]] == pair, after, -1))
    endpoint = np.append(exchanges["endpoint"], np.array([None], object))
    sender = src == exchanges["_device"][np.maximum(chosen, 0)]
    return endpoint[chosen], sender & (chosen >= 0)

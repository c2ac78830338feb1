"""Pulls by CoAP: the GETs that fetch the Package URI of a delivery, and the image that they bring.

A device may download from another port than it registered from; the GETs are found by the URI, and where several
devices behind one address fetch the same URI at once, the flows are given out in the order of the Writes, but for those
that come from where another device registered. A download that breaks off may begin again, or go on, from yet another
port.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from lwm2m_lab.trace.delivery import Delivery, extend, is_success, note_unanswered, package_of
from lwm2m_lab.trace.exchanges import alike, group_codes
from lwm2m_lab.trace.packages import Package
from lwm2m_lab.trace.pullflows import Flow, Flows
from lwm2m_lab.trace.rows import Rows
from lwm2m_lab.trace.transfers import runs

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["add_pulls", "uri_target"]

_GET = 1
#: Of a URI that names none.
_PORTS = {"coap": 5683, "coaps": 5684}


def add_pulls(capture: Capture, exchanges: Rows, deliveries: list[Delivery]) -> None:
    """Give each accepted Package URI its GETs: each its own flow first, then those that restart or resume one."""
    flows = Flows(_flows(capture))
    wanted = [
        one
        for one in deliveries
        if flows and one.kind == "pull" and one.accepted is not False and one.uri and not one.uri.startswith("http")
    ]
    found: list[tuple[Delivery, str, Flow]] = []
    for delivery in wanted:
        own, (path, port) = capture.device_address(delivery.exchanges[0]), uri_target(delivery.uri or "")
        chosen = flows.best(delivery, own, path=path, query=_query(delivery.uri or ""), port=port)
        if chosen is not None:
            # Updates one after the other may share the flow of the device's own address.
            flows.taken |= {chosen} if chosen.source != own else set()
            found.append((delivery, own, chosen))
            _add_download(capture, exchanges, delivery, chosen.within(delivery))
    for delivery, own, chosen in found:
        first, mine = chosen.within(delivery)[0], [chosen]
        for flow in flows.like(chosen, delivery, own) if delivery.package is None else ():
            if delivery.package is None and flow.within(delivery)[0] > first:
                flows.taken.add(flow)
                mine.append(flow)
                _add_download(capture, exchanges, delivery, sorted(at for one in mine for at in one.within(delivery)))


def _flows(capture: Capture) -> Iterator[Flow]:
    """The GETs of the capture that are no reading of a device."""
    columns, table = capture.columns, capture._wired
    paths, path = columns.categories["uri_path"], table["_path"]
    chosen = np.nonzero((table["_code"] == _GET) & (path >= 0) & ~np.isin(path, _managed(paths)))[0]
    names, owners = ("_path", "_query", "_src", "_dst"), table["endpoint"]
    registered = {one["endpoint"] for one in capture._registered if one["endpoint"] != one["address"]}
    addresses, queries = columns.categories["src"], [*columns.categories["uri_query"], ""]
    for positions in alike(chosen, group_codes(*(table[name][chosen] for name in names))):
        of, query, source, destination = (int(table[name][positions[0]]) for name in names)
        ends = addresses[source], addresses[destination]
        owner = owners[positions[0]]
        whose = owner if owner in registered else None
        yield Flow(*ends, paths[of], queries[query], table["frame"][positions], positions, whose)


def _managed(paths: list[str]) -> list[int]:
    """Paths of a device's own resources: nobody downloads an image there."""
    return [number for number, path in enumerate(paths) if path[1:].split("/", 1)[0].isdecimal()]


def uri_target(uri: str) -> tuple[str, int]:
    """Path and port of a Package URI; an unreadable one has neither."""
    try:
        parts = urllib.parse.urlsplit(uri)
        return urllib.parse.unquote(parts.path) or "/", parts.port or _PORTS.get(parts.scheme, 5683)
    except ValueError:
        return "", 0


def _query(uri: str) -> str:
    try:
        return urllib.parse.unquote(urllib.parse.urlsplit(uri).query)
    except ValueError:
        return ""


def _add_download(capture: Capture, exchanges: Rows, delivery: Delivery, positions: list[int]) -> None:
    """Add the GETs of a download, and the image they brought."""
    known = set(delivery.exchanges)
    extend(exchanges, delivery, [at for at in positions if at not in known])
    mine = capture.block_rows(positions)
    last = exchanges[positions[-1:]]
    code, row = last.first("response_code"), last.first("_response")
    if len(mine):
        # By transfer, and within one in the order of the file.
        delivery.package = package_of(capture, mine[np.argsort(mine.transfer, kind="stable")].split("transfer"))
        delivery.block_sizes = tuple(runs(mine["size"]))
        whole = delivery.package is not None
    else:
        whole = code == "2.05"
        if whole:
            delivery.package = Package.of(lambda: capture.columns.payload(row))
    error = code is not None and code.startswith(("4.", "5."))
    delivery.final_code = code if whole or error else None
    delivery.accepted = is_success(delivery.final_code)
    delivery.refused_by = "repository" if delivery.accepted is False else None
    note_unanswered(exchanges, delivery, positions[-1], f"GET {last.first('uri_path')}")

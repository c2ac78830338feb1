"""Pulls by CoAP: the GETs that fetch the Package URI of a delivery, and the image that they bring.

A device may download from another port than it registered from; the GETs are found by the URI, and where several
devices behind one address fetch the same URI at once, the flows are given out in the order of the Writes. A download
that breaks off may begin again, or go on, from yet another port.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.trace.delivery import Delivery, extend, is_success, note_unanswered, package_of
from lwm2m_lab.trace.exchanges import alike, group_codes
from lwm2m_lab.trace.overtcp import host_of
from lwm2m_lab.trace.packages import Package
from lwm2m_lab.trace.rows import Rows
from lwm2m_lab.trace.transfers import runs

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["add_pulls", "uri_target"]

_GET = 1
#: Of a URI that names none.
_PORTS = {"coap": 5683, "coaps": 5684}


@dataclass(frozen=True, eq=False)
class _Flow:
    """The GETs of one path and query from one address to another: their frames, and positions in the exchanges."""

    source: str
    destination: str
    path: str
    query: str
    frames: NDArray[Any]
    positions: NDArray[Any]

    def within(self, delivery: Delivery) -> list[int]:
        """The positions in the time of a delivery."""
        first, end = np.searchsorted(self.frames, [delivery.first_frame + 1, delivery.until])
        positions: list[int] = self.positions[first:end].tolist()
        return positions


def add_pulls(capture: Capture, exchanges: Rows, deliveries: list[Delivery]) -> None:
    """Give each accepted Package URI its GETs: each its own flow first, then those that restart or resume one."""
    flows = list(_flows(capture))
    wanted = [
        one
        for one in deliveries
        if flows and one.kind == "pull" and one.accepted is not False and one.uri and not one.uri.startswith("http")
    ]
    taken: set[_Flow] = set()
    found: list[tuple[Delivery, str, list[_Flow]]] = []
    for delivery in wanted:
        own = capture.device_address(delivery.exchanges[0])
        chosen = _chosen(flows, delivery, own, taken)
        if chosen is not None:
            # Updates one after the other may share the flow of the device's own address.
            taken |= {chosen} if chosen.source != own else set()
            found.append((delivery, own, [chosen]))
            _add_download(capture, exchanges, delivery, chosen.within(delivery))
    for delivery, own, mine in found:
        rest = [flow for flow in _near(flows, delivery, own, taken) if flow not in mine and _like(flow, mine[0])]
        for flow in rest:
            if delivery.package is None and flow.within(delivery)[0] > mine[0].within(delivery)[0]:
                taken.add(flow)
                mine.append(flow)
                _add_download(capture, exchanges, delivery, sorted(at for one in mine for at in one.within(delivery)))


def _flows(capture: Capture) -> Iterator[_Flow]:
    """The GETs of the capture that are no reading of a device."""
    columns, table = capture.columns, capture._wired
    paths, path = columns.categories["uri_path"], table["_path"]
    chosen = np.nonzero((table["_code"] == _GET) & (path >= 0) & ~np.isin(path, _managed(paths)))[0]
    names = ("_path", "_query", "_src", "_dst")
    addresses, queries = columns.categories["src"], [*columns.categories["uri_query"], ""]
    for positions in alike(chosen, group_codes(*(table[name][chosen] for name in names))):
        of, query, source, destination = (int(table[name][positions[0]]) for name in names)
        ends = addresses[source], addresses[destination]
        yield _Flow(*ends, paths[of], queries[query], table["frame"][positions], positions)


def _managed(paths: list[str]) -> list[int]:
    """Paths of a device's own resources: nobody downloads an image there."""
    return [number for number, path in enumerate(paths) if path[1:].split("/", 1)[0].isdecimal()]


def _near(flows: list[_Flow], delivery: Delivery, own: str, taken: set[_Flow]) -> list[_Flow]:
    """The flows from the device's host in the time of a delivery, to the port of its URI."""
    port = uri_target(delivery.uri or "")[1]
    return [
        flow
        for flow in flows
        if flow not in taken
        and host_of(flow.source) == host_of(own)
        and flow.destination.endswith(f":{port}")
        and flow.within(delivery)
    ]


def _like(flow: _Flow, chosen: _Flow) -> bool:
    return (flow.path, flow.query, flow.destination) == (chosen.path, chosen.query, chosen.destination)


def _chosen(flows: list[_Flow], delivery: Delivery, own: str, taken: set[_Flow]) -> _Flow | None:
    """The flow of one download: from the device's own address and port, else from its host, else from anywhere."""
    path, port = uri_target(delivery.uri or "")
    query = _query(delivery.uri or "")
    ranked: list[tuple[bool, bool, int, int, int]] = []
    for number, flow in enumerate(flows):
        # A path that was cut off on the way (F10) is the beginning of the one written.
        cut = flow.path != path
        if flow in taken or not flow.destination.endswith(f":{port}"):
            continue
        if cut and (len(flow.path) < 2 or not path.startswith(flow.path)):
            continue
        if positions := flow.within(delivery):
            near = 0 if flow.source == own else 1 if host_of(flow.source) == host_of(own) else 2
            ranked.append((cut, flow.query != query, near, positions[0], number))
    return flows[min(ranked)[-1]] if ranked else None


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

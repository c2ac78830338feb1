"""Deliveries: the Writes that begin an update, with the blocks, downloads and answers that belong to each.

A push is all Block1 transfers to ``/5/0/0`` until its final answer: a block 0 sent again, or blocks that go on
elsewhere, restart or resume what is still open. A pull is a Write of ``/5/0/1`` and the GETs that follow it. A device
may download from another port than it registered from; the GETs are found by the URI, and where several devices behind
one address fetch the same URI at once, the flows are given out in the order of the Writes.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lwm2m_lab.trace import httppulls, transfers
from lwm2m_lab.trace.packages import Package
from lwm2m_lab.wire import values
from lwm2m_lab.wire.image import ImageInfo

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture
    from lwm2m_lab.wire.http import HttpExchange

__all__ = ["Delivery", "build_deliveries", "uri_target"]

_POST, _PUT, _IPATCH, _GET = 2, 3, 7, 1
PACKAGE, PACKAGE_URI = "/5/0/0", "/5/0/1"
RESET_VALUES = (b"\0", b"")


@dataclass
class Delivery:
    """One delivery of a package.

    Attributes
    ----------
    endpoint, kind : str
    first_frame, last_frame : int
        The first Write, and the last frame of the delivery itself.
    accepted : bool or None
        Whether its final answer was 2.xx; None where none was seen.
    final_code, refused_by : str or None
        That answer, and who gave it where it is an error: ``"device"`` or ``"repository"``.
    package : Package or None
        The package, unwrapped; None where a byte is missing.
    uri : str or None
        The Package URI of a pull.
    resets : list of int
        Frames of later Writes of the reset value that were answered 2.04.
    unanswered : (int, int) or None
        Frame and copies of the last request where it was never answered.
    exchanges : list of int
        Positions in the exchanges of the capture.
    request_frames : list of int
    block_sizes : tuple of int
    http : tuple of HttpExchange
        The requests of a download by HTTP.
    unfinished : str
        Why the capture does not show its end, where something is known of that.
    until : float
        Frame of the endpoint's next delivery.
    """

    endpoint: str
    kind: Literal["push", "pull"]
    first_frame: int
    last_frame: int
    accepted: bool | None = None
    final_code: str | None = None
    refused_by: str | None = None
    package: Package | None = None
    uri: str | None = None
    resets: list[int] = field(default_factory=list)
    unanswered: tuple[int, int] | None = None
    unanswered_what: str = ""
    exchanges: list[int] = field(default_factory=list)
    request_frames: list[int] = field(default_factory=list)
    block_sizes: tuple[int, ...] = ()
    is_open: bool = True
    first_refusal: tuple[str, int] | None = None
    http: tuple[HttpExchange, ...] = ()
    unfinished: str = ""
    until: float = np.inf

    @property
    def image(self) -> bytes | None:
        """The bytes of the package."""
        return None if self.package is None else self.package.read()

    @property
    def info(self) -> ImageInfo | None:
        """What the package says of itself."""
        return None if self.package is None else self.package.info


@dataclass(frozen=True)
class _Write:
    """One Write to Object 5 that concerns the package: a block-wise body, one message, a URI, or a reset."""

    kind: Literal["push", "uri", "reset"]
    exchange: int
    frame: int
    endpoint: str
    accepted: bool | None
    code: str | None
    uri: str = ""
    blocks: pd.DataFrame | None = None
    body: bytes | None = None
    form: int = -1


def build_deliveries(capture: Capture) -> list[Delivery]:
    """The deliveries of a capture, in the order of their first Writes."""
    table: pd.DataFrame = capture._wire[0]
    deliveries: list[Delivery] = []
    current: dict[str, Delivery] = {}
    pending: list[tuple[Delivery, list[pd.DataFrame]]] = []
    endings = _endings(capture)
    for write in sorted(_writes(capture, table), key=lambda one: one.frame):
        last = current.get(write.endpoint)
        if last is not None and any(last.last_frame < frame < write.frame for frame in endings.get(write.endpoint, ())):
            last.is_open = False
        if write.kind == "reset":
            if last is not None and write.accepted:
                last.resets.append(write.frame)
                last.is_open = False
            continue
        kind: Literal["push", "pull"] = "push" if write.kind == "push" else "pull"
        continued = last is not None and last.is_open and last.kind == kind and (last.uri or "") == write.uri
        if last is None or not continued:
            last = Delivery(write.endpoint, kind, write.frame, write.frame, uri=write.uri or None)
            deliveries.append(last)
            current[write.endpoint] = last
            pending.append((last, []))
        parts = next(found for one, found in pending if one is last)
        if kind == "push":
            _add_push(capture, table, last, write, parts)
        else:
            _add_uri(table, last, write)
    following: dict[str, int] = {}
    for one in reversed(deliveries):
        one.until = following.get(one.endpoint, np.inf)
        following[one.endpoint] = one.first_frame
    _add_pulls(capture, table, deliveries)
    httppulls.add_http_pulls(capture, deliveries)
    return deliveries


def _endings(capture: Capture) -> dict[str, list[int]]:
    """Frames in which a device reports that a delivery has ended badly, by endpoint."""
    timeline = capture.timeline
    chosen = timeline[(timeline["path"] == "/5/0/5") & timeline["value"].isin([2, 3, 4, 5, 6, 7, 8, 9, 10])]
    # An old result that is read again ends nothing: only its first sighting does.
    changed = chosen[chosen.groupby("endpoint")["value"].shift() != chosen["value"]] if len(chosen) else chosen
    return {str(name): group["frame"].tolist() for name, group in changed.groupby("endpoint")}


# ---------------------------------------------------------------- the Writes


def _writes(capture: Capture, table: pd.DataFrame) -> Iterator[_Write]:
    paths = capture.columns.categories["uri_path"]
    blocks = capture._blocks
    package = (
        blocks[(blocks["kind"] == "block1") & blocks["_path"].isin([_index(paths, PACKAGE)])] if len(blocks) else blocks
    )
    for _, group in package.groupby("transfer", sort=True) if len(package) else ():
        yield _push_write(capture, table, group)
    wanted = [_index(paths, name) for name in (PACKAGE, PACKAGE_URI, "/5/0", "/5")]
    form = table["content_format"].to_numpy()
    code = table["_code"].to_numpy()
    # A POST without Content-Format is an Execute (A11).
    write = (code == _PUT) | ((code == _POST) & (form >= 0))
    composite = (code == _IPATCH) & (table["_path"] < 0).to_numpy()
    single = (table["block1_num"] < 0).to_numpy()
    chosen = np.nonzero(((write & table["_path"].isin(wanted).to_numpy()) | composite) & single)[0]
    for at in chosen.tolist():
        yield from _single_writes(capture, table, at)


def _index(paths: list[str], path: str) -> int:
    return paths.index(path) if path in paths else -2


def _push_write(capture: Capture, table: pd.DataFrame, group: pd.DataFrame) -> _Write:
    """A block-wise Write of the package, or of its reset value."""
    first, last = group.iloc[0], group.iloc[-1]
    at = int(first["_exchange"])
    body = None
    if len(group) == 1 and not bool(first["more"]):
        raw = capture.columns.payload(int(first["_carrier"]))
        body = values.unwrap_package(raw, None if first["_form"] < 0 else int(first["_form"]))
    code = last["response_code"]
    if body in RESET_VALUES:
        return _Write("reset", at, int(first["frame"]), str(first["endpoint"]), _is_success(code), code)
    return _Write("push", at, int(first["frame"]), str(first["endpoint"]), None, code, blocks=group)


def _single_writes(capture: Capture, table: pd.DataFrame, at: int) -> Iterator[_Write]:
    """The Writes in one message; a Write to the instance, or a composite one, may carry several resources."""
    row = int(table["_row"].iat[at])
    frame, endpoint, code = int(table["frame"].iat[at]), str(table["endpoint"].iat[at]), table["response_code"].iat[at]
    number, form = int(table["_path"].iat[at]), int(table["content_format"].iat[at])
    path = capture.columns.categories["uri_path"][number] if number >= 0 else "/"
    payload, accepted = capture.columns.payload(row), _is_success(code)
    if path == PACKAGE:
        body = values.unwrap_package(payload, None if form < 0 else form)
        kind: Literal["push", "reset"] = "reset" if body in RESET_VALUES else "push"
        yield _Write(kind, at, frame, endpoint, accepted, code, body=body, form=form)
        return
    try:
        entries = values.decode(payload, content_format=None if form < 0 else form, path=path)
    except values.Undecodable:
        entries = [values.Entry(path, None)] if path == PACKAGE_URI else []
    for entry in entries:
        if entry.path == PACKAGE_URI:
            uri = values.as_text(entry.value)
            if uri == "":
                yield _Write("reset", at, frame, endpoint, accepted, code)
            else:
                yield _Write("uri", at, frame, endpoint, accepted, code, uri=uri or "?")
        elif entry.path == PACKAGE and isinstance(entry.value, bytes):
            kind = "reset" if entry.value in RESET_VALUES else "push"
            yield _Write(kind, at, frame, endpoint, accepted, code, body=entry.value)


def _is_success(code: object) -> bool | None:
    return code.startswith("2.") if isinstance(code, str) else None


# ---------------------------------------------------------------- push


def _add_push(
    capture: Capture, table: pd.DataFrame, delivery: Delivery, write: _Write, parts: list[pd.DataFrame]
) -> None:
    """Add a transfer, a part of one, or a package in one message."""
    if write.blocks is None:
        delivery.package = Package.of(lambda: write.body)
        positions = [write.exchange]
        ended = write.code is not None
    else:
        parts.append(write.blocks)
        positions = [int(one) for one in write.blocks["_exchange"]]
        delivery.package = _package(capture, list(parts))
        delivery.block_sizes = _runs([*delivery.block_sizes, *write.blocks["size"].tolist()])
        refused = write.blocks[write.blocks["response_code"].str.startswith(("4.", "5.")).fillna(False)]
        if len(refused) and delivery.first_refusal is None:
            delivery.first_refusal = (str(refused["response_code"].iat[0]), int(refused["response_frame"].iat[0]))
        last = write.blocks.iloc[-1]
        # 2.31 is no final answer; an error ends the transfer at whatever block it comes.
        ended = isinstance(write.code, str) and (not bool(last["more"]) or write.code.startswith(("4.", "5.")))
    _extend(table, delivery, positions)
    delivery.final_code = write.code if ended else None
    delivery.accepted = _is_success(delivery.final_code)
    delivery.refused_by = "device" if delivery.accepted is False else None
    # 4.08 asks for the body again, 4.13 with Block1 for smaller blocks: what follows is the same delivery.
    delivery.is_open = delivery.accepted is None or delivery.final_code in ("4.08", "4.13")
    _note_unanswered(table, delivery, positions[-1], f"block {_number(write)} of the push")


def _number(write: _Write) -> int:
    return 0 if write.blocks is None else int(write.blocks["num"].iloc[-1])


def _package(capture: Capture, parts: list[pd.DataFrame]) -> Package | None:
    """The package in the last transfer, or in all of them together where it was resumed."""
    last = Package.of(lambda: _unwrapped(capture, parts[-1]))
    return last or (Package.of(lambda: _unwrapped(capture, pd.concat(parts))) if len(parts) > 1 else None)


def _unwrapped(capture: Capture, blocks: pd.DataFrame) -> bytes | None:
    """The body that the blocks make, out of its wrapping."""
    body, form = transfers.body_of(capture.columns, blocks), int(blocks["_form"].iloc[0])
    return None if body is None else values.unwrap_package(body, None if form < 0 else form)


# ---------------------------------------------------------------- pull


def _add_uri(table: pd.DataFrame, delivery: Delivery, write: _Write) -> None:
    """Add a Write of the Package URI."""
    _extend(table, delivery, [write.exchange])
    delivery.accepted = False if write.accepted is False else None
    delivery.final_code = write.code if write.accepted is False else None
    delivery.refused_by = "device" if write.accepted is False else None
    delivery.is_open = write.accepted is not False
    _note_unanswered(table, delivery, write.exchange, "the Write of the Package URI")


def _add_pulls(capture: Capture, table: pd.DataFrame, deliveries: list[Delivery]) -> None:
    """Give each accepted Package URI its GETs."""
    paths = capture.columns.categories["uri_path"]
    gets = table[(table["_code"] == _GET).to_numpy() & ~table["_path"].isin(_managed(paths)).to_numpy()]
    if not len(gets):
        return
    flows: dict[int, list[_Flow]] = {}
    for (path, source, destination), group in gets.groupby(["_path", "_src", "_dst"], sort=False):
        addresses = capture.columns.categories["src"]
        flow = _Flow(addresses[source], addresses[destination], group["frame"].to_numpy(), group.index.to_numpy())
        flows.setdefault(int(path), []).append(flow)
    taken: set[_Flow] = set()
    for delivery in deliveries:
        if delivery.kind != "pull" or delivery.accepted is False or not delivery.uri:
            continue
        own = capture.device_address(delivery.exchanges[0])
        positions = _download(paths, flows, delivery, own, taken)
        if positions:
            _add_download(capture, table, delivery, positions)


def _managed(paths: list[str]) -> list[int]:
    """Paths of a device's own resources: nobody downloads an image there."""
    return [number for number, path in enumerate(paths) if path[1:].split("/", 1)[0].isdecimal()]


@dataclass(frozen=True, eq=False)
class _Flow:
    """The GETs of one path from one address to another: their frames, and positions in the exchanges."""

    source: str
    destination: str
    frames: NDArray[Any]
    positions: NDArray[Any]


def _download(
    paths: list[str],
    flows: dict[int, list[_Flow]],
    delivery: Delivery,
    own: str,
    taken: set[_Flow],
) -> list[int]:
    """The GETs of one download: from the device's own address and port, else from its host, else from anywhere."""
    path, port = uri_target(delivery.uri or "")
    # A path that was cut off on the way (F10) is the beginning of the one written.
    asked = [number for number, name in enumerate(paths) if name == path]
    cut = [number for number, name in enumerate(paths) if len(name) > 1 and path.startswith(name)]
    for wanted in (asked, cut):
        ranked: list[tuple[int, int, int, _Flow, NDArray[Any]]] = []
        for flow in (one for number in wanted for one in flows.get(number, ())):
            first, end = np.searchsorted(flow.frames, [delivery.first_frame + 1, delivery.until])
            if first == end or flow in taken or not flow.destination.endswith(f":{port}"):
                continue
            near = 0 if flow.source == own else 1 if _host(flow.source) == _host(own) else 2
            ranked.append((near, int(flow.frames[first]), len(ranked), flow, flow.positions[first:end]))
        if ranked:
            near, _, _, flow, positions = min(ranked, key=lambda one: one[:3])
            if near:
                taken.add(flow)
            return [int(at) for at in positions]
    return []


def _host(address: str) -> str:
    return address.rsplit(":", 1)[0]


def uri_target(uri: str) -> tuple[str, int]:
    """Path and port of a Package URI; an unreadable one has neither."""
    try:
        parts = urllib.parse.urlsplit(uri)
        return urllib.parse.unquote(parts.path) or "/", parts.port or 5683
    except ValueError:
        return "", 0


def _add_download(capture: Capture, table: pd.DataFrame, delivery: Delivery, positions: list[int]) -> None:
    """Add the GETs of a download, and the image they brought."""
    _extend(table, delivery, positions)
    mine = capture.blocks_of(positions)
    last = table.iloc[positions[-1]]
    code = last["response_code"]
    if len(mine):
        groups = [group for _, group in mine.groupby("transfer", sort=True)]
        delivery.package = _package(capture, groups)
        delivery.block_sizes = _runs(mine["size"].tolist())
        whole = delivery.package is not None
    else:
        whole = code == "2.05"
        if whole:
            row = int(last["_response"])
            delivery.package = Package.of(lambda: capture.columns.payload(row))
    error = isinstance(code, str) and code.startswith(("4.", "5."))
    delivery.final_code = code if whole or error else None
    delivery.accepted = _is_success(delivery.final_code)
    delivery.refused_by = "repository" if delivery.accepted is False else None
    path = capture.columns.categories["uri_path"][int(last["_path"])]
    _note_unanswered(table, delivery, positions[-1], f"GET {path}")


# ---------------------------------------------------------------- both


def _extend(table: pd.DataFrame, delivery: Delivery, positions: list[int]) -> None:
    delivery.exchanges += positions
    part = table.iloc[positions]
    delivery.request_frames += [int(frame) for frame in part["frame"]]
    delivery.last_frame = max(delivery.last_frame, int(part["_last_frame"].max()), int(part["response_frame"].max()))


def _note_unanswered(table: pd.DataFrame, delivery: Delivery, at: int, what: str) -> None:
    answered = int(table["_response"].iat[at]) >= 0
    delivery.unanswered = None if answered else (int(table["frame"].iat[at]), int(table["_copies"].iat[at]))
    delivery.unanswered_what = what


def _runs(sizes: list[int]) -> tuple[int, ...]:
    """Sizes with repeats dropped."""
    return tuple(int(size) for at, size in enumerate(sizes) if at == 0 or size != sizes[at - 1])

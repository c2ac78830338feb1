"""Deliveries: the Writes that begin an update, with the blocks, downloads and answers that belong to each.

A push is all Block1 transfers to ``/5/0/0`` until its final answer: a block 0 sent again, or blocks that go on
elsewhere, restart or resume what is still open. A pull is a Write of ``/5/0/1`` and the GETs that follow it, by CoAP
(`pulls`), HTTP (`httppulls`) or CoAP over TCP (`tcppulls`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lwm2m_lab.trace import httppulls, pulls, tcppulls
from lwm2m_lab.trace.delivery import Delivery, extend, is_success, note_unanswered, package_of
from lwm2m_lab.trace.packages import Package
from lwm2m_lab.trace.rows import Rows
from lwm2m_lab.trace.transfers import body_of, runs
from lwm2m_lab.wire import values

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["build_deliveries"]

_POST, _PUT, _IPATCH = 2, 3, 7
PACKAGE, PACKAGE_URI = "/5/0/0", "/5/0/1"
RESET_VALUES = (b"\0", b"")
#: Update Results that end a delivery badly.
_BAD_RESULTS = range(2, 11)


@dataclass(frozen=True)
class _Write:
    """One Write to Object 5 that concerns the package: a block-wise body, one message, a URI, or a reset."""

    kind: Literal["push", "uri", "reset"]
    exchanges: tuple[int, ...]
    frame: int
    endpoint: str
    accepted: bool | None
    code: str | None
    uri: str = ""
    blocks: Rows | None = None
    body: bytes | None = None
    form: int = -1


def build_deliveries(capture: Capture) -> list[Delivery]:
    """The deliveries of a capture, in the order of their first Writes."""
    exchanges = capture.rows("exchanges")
    deliveries: list[Delivery] = []
    current: dict[str, Delivery] = {}
    pending: dict[int, list[Rows]] = {}
    endings = _endings(capture)
    for write in sorted(_writes(capture, exchanges), key=lambda one: one.frame):
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
        if kind == "push":
            _add_push(capture, exchanges, last, write, pending.setdefault(id(last), []))
        else:
            _add_uri(exchanges, last, write)
    _end_each(capture, exchanges, deliveries)
    pulls.add_pulls(capture, exchanges, deliveries)
    httppulls.add_http_pulls(capture, deliveries)
    tcppulls.add_tcp_pulls(capture, deliveries)
    return deliveries


def _end_each(capture: Capture, exchanges: Rows, deliveries: list[Delivery]) -> None:
    """A delivery lasts until the next one of its endpoint, but for one that another server tried in vain meanwhile."""
    under_way: dict[str, Delivery] = {}
    for one in deliveries:
        last = under_way.get(one.endpoint)
        if last is not None and _in_vain(capture, exchanges, one, last):
            one.until = one.last_frame + 1
            continue
        if last is not None:
            last.until = one.first_frame
        under_way[one.endpoint] = one


def _in_vain(capture: Capture, exchanges: Rows, one: Delivery, last: Delivery) -> bool:
    """Whether a Write that the device refused is another server's, and the one before it goes on afterwards."""
    server, other = exchanges["_src"][last.exchanges[0]], exchanges["_src"][one.exchanges[0]]
    if one.refused_by != "device" or server == other:
        return False
    executed = capture.of("executes", one.endpoint).where(path="/5/0/2").after(last.first_frame).first("frame", np.inf)
    return bool(last.request_frames[-1] > one.last_frame or one.last_frame < executed < np.inf)


def _endings(capture: Capture) -> dict[str, list[int]]:
    """Frames in which a device reports that a delivery has ended badly, by endpoint."""
    found: dict[str, list[int]] = {}
    last: dict[str, Any] = {}
    for endpoint, frame, value in capture.rows("timeline").where(path="/5/0/5").each("endpoint", "frame", "value"):
        if value in _BAD_RESULTS:
            # An old result that is read again ends nothing: only its first sighting does.
            if last.get(endpoint) != value:
                found.setdefault(endpoint, []).append(frame)
            last[endpoint] = value
    return found


# ---------------------------------------------------------------- the Writes


def _writes(capture: Capture, exchanges: Rows) -> Iterator[_Write]:
    code, form, path = (exchanges[name] for name in ("_code", "content_format", "_path"))
    # A POST without Content-Format is an Execute (A11).
    write = (code == _PUT) | ((code == _POST) & (form >= 0))
    wanted = np.isin(path, [_index(capture, name) for name in (PACKAGE_URI, "/5/0", "/5")])
    carries = (write & wanted) | ((code == _IPATCH) & (path < 0))
    package = _index(capture, PACKAGE)
    blocks = capture.rows("blocks")
    if len(blocks):
        blocks = blocks[blocks.kind == "block1"]
        yield from (_push_write(capture, group) for group in blocks[blocks["_path"] == package].split("transfer"))
        for group in blocks[carries[blocks["_exchange"]]].split("transfer"):
            yield from _values_in_blocks(capture, exchanges, group)
    alone = exchanges.block1_num < 0
    for at in np.nonzero(write & (path == package) & alone)[0].tolist():
        yield _whole_package(capture, exchanges[[at]], at)
    for at in np.nonzero(carries & alone)[0].tolist():
        yield from _values_in_one(capture, exchanges[[at]], at)


def _index(capture: Capture, path: str) -> int:
    paths = capture.columns.categories["uri_path"]
    return paths.index(path) if path in paths else -2


def _push_write(capture: Capture, group: Rows) -> _Write:
    """A block-wise Write of the package, or of its reset value."""
    at, frame, endpoint = group.first("_exchange"), group.first("frame"), group.first("endpoint")
    code, form = group.last("response_code"), group.first("_form")
    body = None
    if len(group) == 1 and not group.first("more"):
        body = values.unwrap_package(capture.columns.payload(group.first("_carrier")), None if form < 0 else form)
    if body in RESET_VALUES:
        return _Write("reset", (at,), frame, endpoint, is_success(code), code)
    return _Write("push", (at,), frame, endpoint, None, code, blocks=group)


def _whole_package(capture: Capture, write: Rows, at: int) -> _Write:
    """A Write of the package, or of its reset value, in one message."""
    ((row, frame, endpoint, code, form),) = write.each("_row", "frame", "endpoint", "response_code", "content_format")
    body = values.unwrap_package(capture.columns.payload(row), None if form < 0 else form)
    kind: Literal["push", "reset"] = "reset" if body in RESET_VALUES else "push"
    return _Write(kind, (at,), frame, endpoint, is_success(code), code, body=body, form=form)


def _values_in_one(capture: Capture, write: Rows, at: int) -> Iterator[_Write]:
    """A Write of values in one message: of the Package URI, of the instance, or a composite one."""
    ((row, frame, endpoint, code, form),) = write.each("_row", "frame", "endpoint", "response_code", "content_format")
    payload = capture.columns.payload(row)
    for kind, said in _said(write.first("uri_path") or "/", form, payload):
        yield _Write(kind, (at,), frame, endpoint, is_success(code), code, **said)


def _values_in_blocks(capture: Capture, exchanges: Rows, group: Rows) -> Iterator[_Write]:
    """The same in several blocks: whoever has a small link or a long URI writes even that block-wise."""
    positions = tuple(group["_exchange"].tolist())
    path, form = exchanges[[positions[0]]].first("uri_path") or "/", group.first("_form")
    code = group.last("response_code")
    ended = code is not None and (not group.last("more") or code.startswith(("4.", "5.")))
    code = code if ended else None
    for kind, said in _said(path, form, body_of(capture.columns, group)):
        yield _Write(kind, positions, group.first("frame"), group.first("endpoint"), is_success(code), code, **said)


def _said(
    path: str, form: int, payload: bytes | None
) -> Iterator[tuple[Literal["push", "uri", "reset"], dict[str, Any]]]:
    """What the values of one Write mean for the package; a Package URI that cannot be read is told as ``?``."""
    entries = [values.Entry(path, None)] if path == PACKAGE_URI else []
    if payload is not None:
        with contextlib.suppress(values.Undecodable):
            entries = values.decode(payload, content_format=None if form < 0 else form, path=path)
    for entry in entries:
        if entry.path == PACKAGE_URI:
            uri = values.as_text(entry.value)
            yield ("reset", {}) if uri == "" else ("uri", {"uri": uri or "?"})
        elif entry.path == PACKAGE and isinstance(entry.value, bytes):
            yield ("reset", {}) if entry.value in RESET_VALUES else ("push", {"body": entry.value})


# ---------------------------------------------------------------- push


def _add_push(capture: Capture, exchanges: Rows, delivery: Delivery, write: _Write, parts: list[Rows]) -> None:
    """Add a transfer, a part of one, or a package in one message."""
    if write.blocks is None:
        delivery.package = Package.of(lambda: write.body)
        positions = list(write.exchanges)
        number, ended = 0, write.code is not None
    else:
        parts.append(write.blocks)
        positions = write.blocks["_exchange"].tolist()
        delivery.package = package_of(capture, list(parts))
        delivery.block_sizes = tuple(runs(np.append(delivery.block_sizes, write.blocks["size"]).astype(np.int64)))
        errors = tuple(code for code in set(write.blocks.response_code.tolist()) if is_success(code) is False)
        if errors and delivery.first_refusal is None:
            refused = write.blocks.where(response_code=errors)
            delivery.first_refusal = (refused.first("response_code"), refused.first("response_frame"))
        number = write.blocks.last("num")
        # 2.31 is no final answer; an error ends the transfer at whatever block it comes.
        ended = write.code is not None and (not write.blocks.last("more") or write.code.startswith(("4.", "5.")))
    extend(exchanges, delivery, positions)
    delivery.final_code = write.code if ended else None
    delivery.accepted = is_success(delivery.final_code)
    delivery.refused_by = "device" if delivery.accepted is False else None
    # 4.08 asks for the body again, 4.13 with Block1 for smaller blocks: what follows is the same delivery.
    delivery.is_open = delivery.accepted is None or delivery.final_code in ("4.08", "4.13")
    note_unanswered(exchanges, delivery, positions[-1], f"block {number} of the push")


def _add_uri(exchanges: Rows, delivery: Delivery, write: _Write) -> None:
    """Add a Write of the Package URI."""
    extend(exchanges, delivery, list(write.exchanges))
    delivery.accepted = False if write.accepted is False else None
    delivery.final_code = write.code if write.accepted is False else None
    delivery.refused_by = "device" if write.accepted is False else None
    delivery.is_open = write.accepted is not False
    note_unanswered(exchanges, delivery, write.exchanges[-1], "the Write of the Package URI")

"""Deliveries: the Writes that begin an update, with the blocks, downloads and answers that belong to each.

A push is all Block1 transfers to ``/5/0/0`` until its final answer: a block 0 sent again, or blocks that go on
elsewhere, restart or resume what is still open. A pull is a Write of ``/5/0/1`` and the GETs that follow it, by CoAP
(`pulls`) or HTTP (`httppulls`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from lwm2m_lab.trace import httppulls, pulls
from lwm2m_lab.trace.delivery import Delivery, extend, is_success, note_unanswered, package_of, runs
from lwm2m_lab.trace.packages import Package
from lwm2m_lab.wire import values

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["build_deliveries"]

_POST, _PUT, _IPATCH = 2, 3, 7
PACKAGE, PACKAGE_URI = "/5/0/0", "/5/0/1"
RESET_VALUES = (b"\0", b"")


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
    pending: dict[int, list[pd.DataFrame]] = {}
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
        if kind == "push":
            _add_push(capture, table, last, write, pending.setdefault(id(last), []))
        else:
            _add_uri(table, last, write)
    following: dict[str, int] = {}
    for one in reversed(deliveries):
        one.until = following.get(one.endpoint, np.inf)
        following[one.endpoint] = one.first_frame
    pulls.add_pulls(capture, table, deliveries)
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
        return _Write("reset", at, int(first["frame"]), str(first["endpoint"]), is_success(code), code)
    return _Write("push", at, int(first["frame"]), str(first["endpoint"]), None, code, blocks=group)


def _single_writes(capture: Capture, table: pd.DataFrame, at: int) -> Iterator[_Write]:
    """The Writes in one message; a Write to the instance, or a composite one, may carry several resources."""
    row = int(table["_row"].iat[at])
    frame, endpoint, code = int(table["frame"].iat[at]), str(table["endpoint"].iat[at]), table["response_code"].iat[at]
    number, form = int(table["_path"].iat[at]), int(table["content_format"].iat[at])
    path = capture.columns.categories["uri_path"][number] if number >= 0 else "/"
    payload, accepted = capture.columns.payload(row), is_success(code)
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
        delivery.package = package_of(capture, list(parts))
        delivery.block_sizes = runs([*delivery.block_sizes, *write.blocks["size"].tolist()])
        refused = write.blocks[write.blocks["response_code"].str.startswith(("4.", "5.")).fillna(False)]
        if len(refused) and delivery.first_refusal is None:
            delivery.first_refusal = (str(refused["response_code"].iat[0]), int(refused["response_frame"].iat[0]))
        last = write.blocks.iloc[-1]
        # 2.31 is no final answer; an error ends the transfer at whatever block it comes.
        ended = isinstance(write.code, str) and (not bool(last["more"]) or write.code.startswith(("4.", "5.")))
    extend(table, delivery, positions)
    delivery.final_code = write.code if ended else None
    delivery.accepted = is_success(delivery.final_code)
    delivery.refused_by = "device" if delivery.accepted is False else None
    # 4.08 asks for the body again, 4.13 with Block1 for smaller blocks: what follows is the same delivery.
    delivery.is_open = delivery.accepted is None or delivery.final_code in ("4.08", "4.13")
    note_unanswered(table, delivery, positions[-1], f"block {_number(write)} of the push")


def _number(write: _Write) -> int:
    return 0 if write.blocks is None else int(write.blocks["num"].iloc[-1])


def _add_uri(table: pd.DataFrame, delivery: Delivery, write: _Write) -> None:
    """Add a Write of the Package URI."""
    extend(table, delivery, [write.exchange])
    delivery.accepted = False if write.accepted is False else None
    delivery.final_code = write.code if write.accepted is False else None
    delivery.refused_by = "device" if write.accepted is False else None
    delivery.is_open = write.accepted is not False
    note_unanswered(table, delivery, write.exchange, "the Write of the Package URI")

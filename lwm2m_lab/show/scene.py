"""The lines of a ladder: which messages, between whom, in which words."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lwm2m_lab.wire.coap import code_name

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture
    from lwm2m_lab.trace.updates import Update

__all__ = ["WEB_SERVER", "Rung", "copies_of", "rungs"]

#: Log lines this long before the first message shown and after the last belong to them, seconds.
NEAR_S = 0.5
_GET = 1
#: The lifeline of whoever answers by HTTP.
WEB_SERVER = "web server"
#: What makes a datagram a copy of another.
_IDENTITY = ("src", "dst", "mid", "type", "code", "token")


@dataclass(frozen=True, slots=True)
class Rung:
    """One line of the ladder: a message, or a run of similar blocks.

    Attributes
    ----------
    frame : int
    time : float
        Seconds since the first message.
    source, destination : str
        Lifelines.
    label : str
    kind : {"message", "again", "lost", "run", "log"}
    copy : bool
        Whether the message was sent before; a copy may be lost as well.
    """

    frame: int
    time: float
    source: str
    destination: str
    label: str
    kind: str
    copy: bool = False

    @property
    def note(self) -> str:
        """What is said behind the label: that it was sent again, or lost, or both."""
        words = [word for word, holds in (("sent again", self.copy), ("lost", self.kind == "lost")) if holds]
        return f"({', '.join(words)})" if words else ""


def rungs(
    capture: Capture,
    *,
    endpoint: str | None = None,
    first: int | None = None,
    last: int | None = None,
    frames: Iterable[int] | None = None,
    collapse: bool = True,
    logs: bool = True,
) -> list[Rung]:
    """The lines of a ladder.

    Parameters
    ----------
    capture : Capture
    endpoint : str, optional
        Messages of this endpoint's addresses alone.
    first, last : int, optional
        First and last frame.
    frames : iterable of int, optional
        These frames alone.
    collapse : bool
        Show a run of blocks as its first, its last and their number.
    logs : bool
        Show the lines of the logs that were laid beside the capture.
    """
    columns, scene = capture.columns, _scene(capture)
    frame = columns["frame"]
    chosen = (frame >= (first or 0)) & (frame <= (last if last is not None else np.inf))
    if frames is not None:
        chosen &= np.isin(frame, np.fromiter(frames, np.int64))
    if endpoint is not None:
        own = np.isin(columns.categories["src"], list(_addresses(capture, endpoint)))
        chosen &= own[columns["src"]] | own[columns["dst"]]
    found: list[Rung] = []
    blocks: list[bool] = []
    for row in np.nonzero(chosen)[0].tolist():
        number = int(frame[row])
        lost = "lost" in columns.comments.get(number, "")
        kind = "lost" if lost else "again" if scene.again[row] else "message"
        time = (int(columns["time"][row]) - columns.origin_ns) / 1e9
        source, destination = (scene.names[int(columns[name][row])] for name in ("src", "dst"))
        found.append(Rung(number, time, source, destination, _label(capture, row), kind, bool(scene.again[row])))
        blocks.append(kind == "message" and _is_block(capture, row))
    shown = _collapsed(found, blocks) if collapse else found
    if frames is None:
        web = [one for one in _web(capture, endpoint) if (first or 0) <= one.frame <= (last or np.inf)]
        # A stable sort: what was a run of blocks stays where it began.
        shown = sorted([*shown, *web], key=lambda one: one.frame) if web else shown
    return _with_log(capture, shown, found) if logs and len(capture.log) else shown


def _web(capture: Capture, endpoint: str | None) -> list[Rung]:
    """Requests by HTTP and their responses: a download beside CoAP; a response in the second of what came before it."""
    found, columns = [], capture.columns
    for one in capture.http.to_dict("records"):
        if endpoint is not None and one["endpoint"] != endpoint:
            continue
        device = str(one["endpoint"] if isinstance(one["endpoint"], str) else one["client"])
        part = f" {_cut(one['range'])}" if isinstance(one["range"], str) else ""
        asked = f"HTTP {one['method']} {_cut(one['target'])}{part}"
        found.append(Rung(int(one["request_frame"]), float(one["time"]), device, WEB_SERVER, asked, "message"))
        if pd.isna(one["status"]) or pd.isna(one["response_frame"]):
            continue
        frame = int(one["response_frame"])
        before = max(int(np.searchsorted(columns["frame"], frame, side="right")) - 1, 0)
        time = (int(columns["time"][before]) - columns.origin_ns) / 1e9 if len(columns["frame"]) else 0.0
        told = f"HTTP {one['status']}, {one['body_length']} bytes"
        found.append(Rung(frame, max(time, float(one["time"])), WEB_SERVER, device, told, "message"))
    return found


def _cut(text: object) -> str:
    return str(text) if len(str(text)) <= 48 else str(text)[:47] + "…"


def _with_log(capture: Capture, shown: list[Rung], found: list[Rung]) -> list[Rung]:
    """The lines of the logs between the messages, from the first of them to the last, and what stands just outside."""
    if not found:
        return shown
    table = capture.log
    near = table[table["time"].between(found[0].time - NEAR_S, found[-1].time + NEAR_S)]
    lines = [
        Rung(int(frame), float(time), str(source), str(source), str(text), "log")
        for time, text, source, frame in near[["time", "text", "source", "frame"]].itertuples(index=False)
    ]
    return sorted([*shown, *lines], key=lambda one: one.time)


@dataclass(frozen=True)
class _Scene:
    """What the whole capture says about each of its messages.

    Attributes
    ----------
    names : list of str
        The lifeline of each address, by its code.
    again : array of bool
        Whether a message was seen before.
    """

    names: list[str]
    again: NDArray[np.bool_]


_scenes: weakref.WeakKeyDictionary[Capture, _Scene] = weakref.WeakKeyDictionary()


def _scene(capture: Capture) -> _Scene:
    """The scene of a capture, set once: a widget asks for a ladder with every move."""
    if capture not in _scenes:
        identity = pd.DataFrame({name: capture.columns[name] for name in _IDENTITY})
        _scenes[capture] = _Scene(_lifelines(capture), identity.duplicated().to_numpy())
    return _scenes[capture]


def _collapsed(found: list[Rung], blocks: list[bool]) -> list[Rung]:
    """Runs of more than eight block messages as two, a line of words, and two."""
    shown: list[Rung] = []
    at = 0
    while at < len(found):
        stop = at
        while stop < len(found) and blocks[stop]:
            stop += 1
        if stop - at > 8:
            run = found[at + 2 : stop - 2]
            words = f"… {len(run)} more messages of this transfer, frames {run[0].frame} to {run[-1].frame} …"
            middle = Rung(run[0].frame, run[0].time, run[0].source, run[0].destination, words, "run")
            shown += [*found[at : at + 2], middle, *found[stop - 2 : stop]]
        else:
            shown += found[at : max(stop, at + 1)]
        at = max(stop, at + 1)
    return shown


def _is_block(capture: Capture, row: int) -> bool:
    columns = capture.columns
    return bool(columns["block1_num"][row] >= 0 or columns["block2_num"][row] >= 0)


def _label(capture: Capture, row: int) -> str:
    """What stands on the arrow."""
    columns = capture.columns
    kind, code = columns.text("type", row), str(columns.text("code", row))
    words = [str(kind), code_name(code) if code != "0.00" else ("" if kind in ("ACK", "RST") else "ping")]
    path = columns.text("uri_path", row)
    words += [path] if path else []
    for number in ("1", "2"):
        block = int(columns[f"block{number}_num"][row])
        if block >= 0:
            words.append(
                f"{number}:{block}/{columns[f'block{number}_more'][row]}/{columns[f'block{number}_size'][row]}"
            )
    observe = int(columns["observe"][row])
    if observe >= 0:
        words.append("Observe" if columns["code"][row] < 32 else "notification" if kind != "ACK" else "observed")
    value = _value(capture, row)
    return " ".join(filter(None, [*words, value]))


def _value(capture: Capture, row: int) -> str:
    """A short text payload, in quotes."""
    columns = capture.columns
    if columns["content_format"][row] != 0 or not 0 < columns["payload_length"][row] <= 48:
        return ""
    text = columns.payload(row).decode(errors="replace")
    return f"“{text if len(text) <= 32 else text[:31] + '…'}”"


def _addresses(capture: Capture, endpoint: str) -> set[str]:
    """Those from which an endpoint registered, or downloaded."""
    table = capture.registrations
    own = set(table[table["endpoint"] == endpoint]["address"]) | {endpoint}
    for update in capture._updates:
        if update.endpoint == endpoint:
            own |= {source for source, _ in _downloads(capture, update)}
    return own


def _downloads(capture: Capture, update: Update) -> list[tuple[str, str]]:
    """Who asked whom for the image of a pull."""
    if update.delivery != "pull" or not update.evidence.exchanges:
        return []
    asked = capture.rows("exchanges", np.array(update.evidence.exchanges, np.int64)).where(_code=_GET)
    return list(dict.fromkeys(asked.each("src", "dst")))


def _lifelines(capture: Capture) -> list[str]:
    """The lifeline of each address: the device by its endpoint name, the server, the repository."""
    addresses, paths = capture.columns.categories["src"], capture.columns.categories["uri_path"]
    names: dict[str, str] = {}
    for endpoint, address in capture.registrations[["endpoint", "address"]].itertuples(index=False):
        names[address] = endpoint
    registering = [code for code, path in enumerate(paths) if path == "/rd" or path.startswith("/rd/")]
    table = capture._wired
    for target in np.unique(table["_dst"][np.isin(table["_path"], registering)]).tolist():
        names.setdefault(addresses[target], "server")
    for update in capture._updates:
        for source, target in _downloads(capture, update):
            names.setdefault(source, update.endpoint)
            names.setdefault(target, "repository")
    return [names.get(address, address) for address in addresses]


def copies_of(capture: Capture, blocks: pd.DataFrame) -> list[tuple[float, int]]:
    """Time and offset of every further copy of the requests of these blocks."""
    columns, found = capture.columns, []
    candidates = np.nonzero(_scene(capture).again)[0]
    identity = np.stack([columns[name][candidates] for name in _IDENTITY], axis=1)
    asked = capture._wired["_row"]
    for exchange, offset, copies in blocks[blocks["copies"] > 1][["_exchange", "offset", "copies"]].to_numpy().tolist():
        row = int(asked[int(exchange)])
        same = (identity == [columns[name][row] for name in _IDENTITY]).all(axis=1) & (candidates > row)
        times = columns["time"][candidates[same][: int(copies) - 1]]
        found += [((int(time) - columns.origin_ns) / 1e9, int(offset)) for time in times]
    return found

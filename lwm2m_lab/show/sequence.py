"""The ladder: messages as arrows between lifelines, losses and repetitions told apart, runs of blocks as one line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes

from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.style import COLOURS, new_figure
from lwm2m_lab.wire.coap import code_name

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["Rung", "ladder", "rungs"]

#: Log lines this long before the first message shown and after the last belong to them, seconds.
NEAR_S = 0.5
#: Characters of a log line that are shown.
LOG_WIDTH = 96


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
    """

    frame: int
    time: float
    source: str
    destination: str
    label: str
    kind: str


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
    columns = capture.columns
    wanted = None if frames is None else set(frames)
    names = _lifelines(capture)
    own = None if endpoint is None else _addresses(capture, endpoint)
    seen: set[tuple[int, ...]] = set()
    found: list[Rung] = []
    blocks: list[bool] = []
    start = int(columns["time"][0]) if columns.rows else 0
    for row in range(columns.rows):
        frame = int(columns["frame"][row])
        source, destination = str(columns.text("src", row)), str(columns.text("dst", row))
        identity = tuple(int(columns[name][row]) for name in ("src", "dst", "mid", "type", "code", "token"))
        again = identity in seen
        seen.add(identity)
        outside = (first is not None and frame < first) or (last is not None and frame > last)
        if outside or (wanted is not None and frame not in wanted) or (own and not {source, destination} & own):
            continue
        lost = "lost" in columns.comments.get(frame, "")
        kind = "lost" if lost else "again" if again else "message"
        time = (int(columns["time"][row]) - start) / 1e9
        found.append(Rung(frame, time, names[source], names[destination], _label(capture, row), kind))
        blocks.append(kind == "message" and _is_block(capture, row))
    shown = _collapsed(found, blocks) if collapse else found
    return _with_log(capture, shown, found) if logs and len(capture.log) else shown


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
    table = capture.registrations
    own = set(table[table["endpoint"] == endpoint]["address"]) | {endpoint}
    found = [one.evidence for one in capture._updates if one.endpoint == endpoint]
    exchanges = capture.exchanges
    for evidence in found:
        own |= set(exchanges[exchanges["frame"].isin(evidence.request_frames) & (exchanges["code"] == "0.01")]["src"])
    return own


def _lifelines(capture: Capture) -> dict[str, str]:
    """The lifeline of each address: the device by its endpoint name, the server, the repository."""
    addresses = capture.columns.categories["src"]
    names: dict[str, str] = {}
    registered = capture.registrations
    for endpoint, address in registered[["endpoint", "address"]].itertuples(index=False):
        names[address] = endpoint if endpoint != address else address
    table = capture.exchanges
    for src, dst, path in table[["src", "dst", "uri_path"]].drop_duplicates().itertuples(index=False):
        if isinstance(path, str) and (path == "/rd" or path.startswith("/rd/")):
            names.setdefault(dst, "server")
        elif src in names and names[src] == "server":
            names.setdefault(dst, dst)
    for update in capture._updates:
        asked = table[table["frame"].isin(update.evidence.request_frames) & (table["code"] == "0.01")]
        for src, dst in asked[["src", "dst"]].drop_duplicates().itertuples(index=False):
            names.setdefault(src, update.endpoint)
            names.setdefault(dst, "repository")
    return {address: names.get(address, address) for address in addresses}


def ladder(
    capture: Capture,
    *,
    endpoint: str | None = None,
    first: int | None = None,
    last: int | None = None,
    frames: Iterable[int] | None = None,
    collapse: bool = True,
    logs: bool = True,
    max_rows: int = 40,
) -> Axes:
    """Draw a part of a capture as a sequence diagram.

    Parameters
    ----------
    max_rows : int
        Lines at the most; what does not fit is counted at the end.
    capture, endpoint, first, last, frames, collapse, logs
        As for `rungs`.

    Raises
    ------
    BadInput
        Where no message is left.
    """
    capture.require_messages()
    found = rungs(capture, endpoint=endpoint, first=first, last=last, frames=frames, collapse=collapse, logs=logs)
    if not found:
        raise BadInput(f"{capture.name} has no message in that part; its table of messages lists the frames")
    shown, rest = found[:max_rows], len(found) - max_rows
    order = sorted({end for one in found if one.kind != "log" for end in (one.source, one.destination)}, key=_rank)
    figure, axes = new_figure(height=1.0 + 0.24 * (len(shown) + (rest > 0)))
    ax: Axes = axes[0]
    place = {name: float(at) for at, name in enumerate(order)}
    bottom = len(shown) + 0.6
    for name, x in place.items():
        ax.plot([x, x], [-0.4, bottom], color=COLOURS["faint"], linewidth=1, zorder=0)
        ax.text(x, -0.75, name, ha="center", va="bottom", fontweight="bold")
    for y, rung in enumerate(shown):
        _draw(ax, rung, y, place)
    if rest > 0:
        ax.text(0, bottom, f"… and {rest} lines more", va="center", color=COLOURS["faint"], fontstyle="italic")
    ax.set_ylim(bottom + 0.6, -1.6)
    ax.set_xlim(-0.42, max(place.values(), default=0) + 0.25)
    ax.axis("off")
    figure.suptitle(capture.name, fontsize=10, x=0.01, ha="left")
    return ax


def _rank(name: str) -> tuple[int, str]:
    """Server, devices, repository from left to right."""
    return ({"server": 0, "repository": 2}.get(name, 1), name)


_COLOUR = {"message": "event", "again": "again", "lost": "result", "run": "faint", "log": "package"}


def _draw(ax: Axes, rung: Rung, y: float, place: dict[str, float]) -> None:
    """One arrow with its label above the line, time and frame at the left; a line of a log across all lifelines."""
    colour = COLOURS[_COLOUR[rung.kind]]
    if rung.kind == "log":
        _draw_log(ax, rung, y)
        return
    ax.text(-0.4, y, f"{rung.time:9.3f} s  #{rung.frame}", va="center", fontsize=7.5, color=COLOURS["faint"])
    start, stop = place[rung.source], place[rung.destination]
    middle = (start + stop) / 2
    if rung.kind == "run":
        ax.text(middle, y, rung.label, ha="center", va="center", color=colour, fontstyle="italic", fontsize=8)
        return
    if rung.kind == "lost":
        # The arrow ends where the datagram did: somewhere on the way.
        stop = start + 0.72 * (stop - start)
        ax.plot([stop], [y + 0.18], marker="x", markersize=7, markeredgewidth=2, color=colour)
    style: dict[str, Any] = {"arrowstyle": "-|>" if rung.kind != "lost" else "-", "color": colour, "linewidth": 1.0}
    if rung.kind == "again":
        style["linestyle"] = "--"
    ax.annotate("", (stop, y + 0.18), xytext=(start, y + 0.18), arrowprops=style)
    note = {"again": "  (sent again)", "lost": "  (lost)"}.get(rung.kind, "")
    ax.text(middle, y + 0.1, rung.label + note, ha="center", va="bottom", fontsize=7.5, color=colour)


def _draw_log(ax: Axes, rung: Rung, y: float) -> None:
    """A line of a log: its time, whose it is, what it says; dollar signs are no formula."""
    style: dict[str, Any] = {"va": "center", "fontsize": 7.5, "parse_math": False}
    text = rung.label if len(rung.label) <= LOG_WIDTH else rung.label[: LOG_WIDTH - 1] + "…"
    ax.text(-0.4, y, f"{rung.time:9.3f} s", color=COLOURS["faint"], **style)
    ax.text(-0.02, y, f"{rung.source}: {text}", color=COLOURS["package"], family="DejaVu Sans Mono", **style)

"""Which messages decide an update, and the rows around them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lwm2m_lab.show.page import Cell, Row, escaped, table
from lwm2m_lab.wire.coap import code_name

if TYPE_CHECKING:
    from lwm2m_lab.trace.findings import Finding
    from lwm2m_lab.trace.updates import Update

__all__ = ["decisive_frames", "log_lines", "messages_around"]

#: Messages of the ladder; the table has these and their neighbours.
MOST = 36
NEIGHBOURS = 2
#: Lines of logs beside the messages of one update.
MOST_LINES = 200
_TELLING = ("/5/0/3", "/5/0/5", "/3/0/3", "/5/0/7")


def decisive_frames(update: Update, problems: Sequence[Finding]) -> list[int]:
    """The frames that tell how an update went: what began it, what failed, what ended it; requests with answers.

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> explanation = lab.explain("anjay-push-badcrc")
    >>> len(decisive_frames(explanation.updates[0], explanation.problems)) < 30
    True
    """
    capture = update.capture
    # The cause names its frames, some of them after the update.
    named = [int(number) for number in re.findall(r"frames? (\d{1,10})\b", update.cause or "")]
    wanted = [update.frames[0], update.evidence.last_frame, *named[:8]]
    wanted += [frame for finding in problems for frame in finding.frames[:4]]
    wanted += _changes(update)
    for name in ("executes", "registrations"):
        rows = capture.of(name, update.endpoint)
        wanted += [frame for frame in rows["frame"].tolist() if update.frames[0] <= frame < update.until][:6]
    wanted.append(update.frames[1])
    chosen: dict[int, None] = {}
    answers = _answers(update)
    for frame in wanted:
        if len(chosen) >= MOST:
            break
        chosen[frame] = None
        if frame in answers:
            chosen[answers[frame]] = None
    there = capture.columns["frame"]
    return sorted(frame for frame in chosen if (there == frame).any())


def _changes(update: Update) -> list[int]:
    """Where a state, a result or a version was first seen to be another."""
    rows = update.capture.of("timeline", update.endpoint)
    last: dict[object, object] = {}
    frames = []
    for frame, path, value in zip(rows["frame"].tolist(), rows["path"], rows["value"], strict=True):
        if path in _TELLING and last.get(path) != value:
            last[path] = value
            if update.frames[0] <= frame < update.until:
                frames.append(int(frame))
    return frames[: MOST // 2]


def _answers(update: Update) -> dict[int, int]:
    """The frame of the response by that of the request, and the other way round."""
    rows = update.capture.of("exchanges", update.endpoint)
    pairs = [
        (int(request), int(response))
        for request, response in zip(rows["frame"].tolist(), rows["response_frame"].tolist(), strict=True)
        if response is not None and response == response and response >= 0
    ]
    return dict(pairs) | {response: request for request, response in pairs}


def messages_around(update: Update, evidence: Sequence[int], *, prefix: str) -> tuple[str, set[int]]:
    """The table of the messages at and around the evidence, and the frames that it has."""
    capture, columns = update.capture, update.capture.columns
    own = capture.of("messages", update.endpoint)
    frames = np.unique(np.append(own["frame"], np.array(evidence, np.int64)))
    places = np.searchsorted(frames, evidence)
    near = {place + step for place in places.tolist() for step in range(-NEIGHBOURS, NEIGHBOURS + 1)}
    shown = [int(frames[place]) for place in sorted(near) if 0 <= place < len(frames)]
    rows, before = [], None
    for frame in shown:
        row = int(np.searchsorted(columns["frame"], frame))
        place = int(np.searchsorted(frames, frame))
        if before is not None and place > before + 1:
            left_out = place - before - 1
            rows.append(Row([Cell("…"), Cell(f'<span class="quiet">{left_out} more</span>'), *[""] * 7]))
        before = place
        rows.append(Row(_cells(update, row), id=f"{prefix}{frame}", kind="mark" if frame in set(evidence) else ""))
    heads = ("frame", "time", "from", "to", "message", "path", "block", "bytes", "message id, token")
    kinds = ("number", "number", "code", "code", "short", "code", "code", "number", "code")
    caption = f"The decisive messages, marked, and their neighbours: {len(shown)} of {len(frames)}"
    return table(caption, heads, rows, kinds=kinds), set(shown)


def log_lines(update: Update, frames: set[int], *, prefix: str) -> str:
    """The lines of the logs that were laid beside the capture, each beside the frame that is nearest; these frames."""
    if not update.capture.logs:
        return ""
    lines = update.capture.log
    near = lines[lines["frame"].isin(frames)]
    rows = [
        Row(
            [
                Cell(f'<a href="#{prefix}{frame}">{frame}</a>'), f"{time:.3f} s", source, str(line),
                Cell(escaped(text), "code"),
            ]
        )
        for time, text, source, line, frame in near.head(MOST_LINES).itertuples(index=False)
    ]  # fmt: skip
    caption = f"Lines of the logs beside these messages: {len(rows)} of {len(lines)}"
    heads, kinds = ("frame", "time", "log", "line", "text"), ("number", "number", "short", "number", "code")
    return table(caption, heads, rows, kinds=kinds)


def _cells(update: Update, row: int) -> list[str | Cell]:
    columns = update.capture.columns
    blocks = [
        f"{name}: {int(columns[f'block{name}_num'][row])}/{int(columns[f'block{name}_more'][row])}"
        f"/{int(columns[f'block{name}_size'][row])}"
        for name in ("1", "2")
        if columns[f"block{name}_num"][row] >= 0
    ]
    code = columns.text("code", row) or ""
    said = [columns.text("type", row) or "", code_name(code), columns.text("error", row) or ""]
    return [
        str(int(columns["frame"][row])),
        f"{(int(columns['time'][row]) - columns.origin_ns) / 1e9:.3f} s",
        columns.text("src", row) or "",
        columns.text("dst", row) or "",
        Cell(escaped(" ".join(filter(None, said)))),
        columns.text("uri_path", row) or "",
        ", ".join(blocks),
        str(int(columns["payload_length"][row])),
        f"{int(columns['mid'][row])}, {columns.text('token', row) or '-'}",
    ]

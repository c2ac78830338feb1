"""One endpoint's messages in their order, and what was known at each: the model of the explorer, without a widget."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.page import escaped
from lwm2m_lab.show.scene import Rung, rungs
from lwm2m_lab.show.style import COLOURS
from lwm2m_lab.trace.selection import selected_rows
from lwm2m_lab.wire.anatomy import Part, anatomy

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["Moments", "bytes_html", "ladder_html"]

Ints = NDArray[np.int64]
#: What is told of the device at each moment.
TOLD = (
    ("/5/0/3", "State"), ("/5/0/5", "Update Result"), ("/3/0/3", "Firmware Version"), ("/5/0/7", "PkgVersion"),
)  # fmt: skip
#: Messages of the ladder before and after the one that is looked at.
AROUND = 4
#: Bytes of one part that are written out; the rest is counted.
WRITTEN = 48


class Moments:
    """The messages of one endpoint.

    Parameters
    ----------
    capture : Capture
    endpoint : str

    Attributes
    ----------
    rows : array of int64
        Their rows in the columns of the capture.

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> moments = Moments(lab.read("anjay-push-badcrc"), "urn:dev:anjay-1")
    >>> print(moments.told(len(moments.rows) - 1)["Update Result"])
    5 Integrity check failed
    """

    def __init__(self, capture: Capture, endpoint: str) -> None:
        self.capture, self.endpoint = capture, endpoint
        self.rows: Ints = np.nonzero(selected_rows(capture, endpoint=endpoint, since=None, until=None))[0]
        self.frames: Ints = capture.columns["frame"][self.rows].astype(np.int64)

    def time(self, at: int) -> float:
        """Seconds since the first message of the capture."""
        columns = self.capture.columns
        return float((int(columns["time"][self.rows[at]]) - columns.origin_ns) / 1e9)

    def position(self, frame: int) -> int:
        """Where the message of a frame stands.

        Raises
        ------
        BadInput
            Where no message of the endpoint is in that frame.
        """
        at = int(np.searchsorted(self.frames, frame))
        if at == len(self.frames) or self.frames[at] != frame:
            first, last = self.frames[0], self.frames[-1]
            raise BadInput(
                f"{self.endpoint} has no message in frame {frame}; one of its frames, {first} to {last}, is expected"
            )
        return at

    @functools.cached_property
    def blocks(self) -> Ints:
        """Positions of the messages that carry a block of a body."""
        columns, rows = self.capture.columns, self.rows
        numbered = (columns["block1_num"][rows] >= 0) | (columns["block2_num"][rows] >= 0)
        return np.nonzero(numbered & (columns["payload_length"][rows] > 0))[0]

    def block_after(self, at: int, step: int) -> int:
        """The next block from a position on, or the one before it; the same position where there is none."""
        place = int(np.searchsorted(self.blocks, at, side="right" if step > 0 else "left")) - (step < 0)
        return int(self.blocks[place]) if 0 <= place < len(self.blocks) else at

    @functools.cached_property
    def _seen(self) -> dict[str, tuple[Ints, list[str]]]:
        """Frames and values, as people say them, of what is told."""
        rows = self.capture.of("timeline", self.endpoint)
        found = {}
        for path, _ in TOLD:
            own = rows.where(path=path)
            values = zip(own["label"].tolist(), own["value"].tolist(), strict=True)
            said = [str(value if label is None else label) for label, value in values]
            found[path] = (own["frame"].astype(np.int64), said)
        return found

    def told(self, at: int) -> dict[str, str]:
        """What had been seen of the device by then, the message itself included."""
        known = {}
        for path, name in TOLD:
            frames, said = self._seen[path]
            count = int(np.searchsorted(frames, self.frames[at], side="right"))
            known[name] = said[count - 1] if count else "not seen yet"
        return known

    @functools.cached_property
    def _asked(self) -> dict[int, str]:
        """The path that a response or a notification speaks of, by its frame."""
        rows = self.capture.of("timeline", self.endpoint)
        paths = dict(zip(rows["frame"].tolist(), rows["path"].tolist(), strict=True))
        asked = self.capture.exchanges
        asked = asked[asked["endpoint"] == self.endpoint].dropna(subset=["response_frame", "uri_path"])
        return paths | dict(zip(asked["response_frame"].tolist(), asked["uri_path"].tolist(), strict=True))

    def parts(self, at: int) -> tuple[bytes, tuple[Part, ...]]:
        """The datagram and its parts."""
        datagram = self.capture.columns.datagram(int(self.rows[at]))
        return datagram, anatomy(datagram, path=self._asked.get(int(self.frames[at])))

    def rungs(self, at: int) -> list[Rung]:
        """The messages around a position."""
        near = self.frames[max(0, at - AROUND) : at + AROUND + 1].tolist()
        return rungs(self.capture, frames=near, collapse=False, logs=False)


def ladder_html(found: list[Rung], frame: int) -> str:
    """The messages as lines between lifelines, the one in `frame` marked."""
    lines = []
    for rung in found:
        mark = _MARK if rung.frame == frame else ""
        lines.append(
            f"<tr{mark}><td {_RIGHT}>{rung.time:.3f} s</td><td {_RIGHT}>{rung.frame}</td>"
            f"<td {_LEFT}>{escaped(rung.source)} → {escaped(rung.destination)}</td>"
            f"<td {_LEFT}>{escaped(f'{rung.label} {rung.note}'.rstrip())}</td></tr>"
        )
    heads = "".join(f'<th scope="col" {_LEFT}>{name}</th>' for name in ("time", "frame", "from → to", "message"))
    return f"<table {_TABLE}><caption {_LEFT}>Around this message</caption><tr>{heads}</tr>{''.join(lines)}</table>"


def bytes_html(
    datagram: bytes,
    parts: tuple[Part, ...],
    *,
    caption: str = "Byte by byte",
    bits: bool = False,
    written: int = WRITTEN,
    marked: Part | None = None,
) -> str:
    """A line for each part: where it stands, its bytes in hex, its name, and what it says; with `bits` those too.

    Parameters
    ----------
    caption : str
    bits : bool
        A column with the numbers that share the bytes of a part.
    written : int
        Bytes of one part that are written out; the rest is counted.
    marked : Part, optional
        The one under a cursor.
    """
    lines = []
    for part in parts:
        raw = datagram[part.start : part.stop]
        shown = raw[:written].hex(" ") + (f" … {len(raw) - written} more" if len(raw) > written else "")
        colour = f"border-left:5px solid {_COLOURS[part.kind]}"
        mark = _MARK if part is marked else ""
        lines.append(
            f'<tr{mark}><td style="{colour};text-align:right;padding:1px 8px">{part.start}</td>'
            f"<td {_HEX}>{shown}</td>"
            + (f"<td {_NAME}>{_bits_html(part)}</td>" if bits else "")
            + f"<td {_NAME}>{escaped(part.name)}</td><td {_LEFT}>{escaped(part.says)}</td></tr>"
        )
    names = ("byte", "hex", *(("bits",) if bits else ()), "field", "says")
    heads = "".join(f'<th scope="col" {_LEFT}>{name}</th>' for name in names)
    words = f"{escaped(caption)}: {len(datagram)} bytes"
    return f"<table {_TABLE}><caption {_LEFT}>{words}</caption><tr>{heads}</tr>{''.join(lines)}</table>"


def _bits_html(part: Part) -> str:
    """The numbers of a part side by side, each over its name."""
    return "".join(
        f'<span style="display:inline-block;text-align:center;margin-right:10px" title="{escaped(one.says)}">'
        f'<code style="border-bottom:3px solid {colour}">{one.text}</code><br><small>{escaped(one.name)}</small></span>'
        for one, colour in zip(part.bits, itertools.cycle(_BIT_COLOURS))
    )


_MARK = ' aria-current="true" style="background:rgba(230,159,0,.28);font-weight:600"'
_TABLE = 'style="border-collapse:collapse;font-size:12px;line-height:1.4;margin-top:6px"'
_HEX = 'style="font-family:monospace;text-align:left;padding:1px 8px;max-width:48ch;overflow-wrap:anywhere"'
_NAME = 'style="text-align:left;padding:1px 8px;white-space:nowrap"'
_LEFT, _RIGHT = ('style="text-align:left;padding:1px 8px"', 'style="text-align:right;padding:1px 8px"')
_COLOURS = {
    "header": COLOURS["state"], "token": COLOURS["package"], "option": COLOURS["firmware"],
    "payload": COLOURS["again"], "damage": COLOURS["result"],
}  # fmt: skip
#: Of the numbers in one part, in turn.
_BIT_COLOURS = tuple(COLOURS[name] for name in ("state", "result", "firmware", "package"))

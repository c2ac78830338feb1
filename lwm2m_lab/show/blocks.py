"""The block explorer: pick a block of a body and see it byte by byte and bit by bit, and the answer beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from lwm2m_lab.errors import BadInput
from lwm2m_lab.show.moments import bytes_html
from lwm2m_lab.show.page import escaped
from lwm2m_lab.show.style import marked_png, pixels
from lwm2m_lab.show.transfers import transfer_chart
from lwm2m_lab.trace.rows import Rows
from lwm2m_lab.wire.anatomy import anatomy

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["BlockExplorer", "block_explorer"]

#: Bytes of a payload that are written out; the largest block there is.
MOST_WRITTEN = 1024
#: Bodies that can be chosen from: a list of more is not read.
MOST_BODIES = 1_000
#: Bytes of the payload in the table of the fields, which the written-out one stands below.
IN_TABLE = 4


class BlockExplorer:
    """The blocks of a capture, one at a time.

    Parameters
    ----------
    capture : Capture
    transfer : int, optional
        Which body first, by its number in ``capture.transfers``; the first by default.
    block : int
        Which of its blocks first, counted from 0 in the order of the capture.

    Attributes
    ----------
    transfer : ipywidgets.Dropdown
    cursor : ipywidgets.IntSlider
        Over the blocks of the body; arrow keys move it.
    status, request, answer, payload : ipywidgets.HTML
        What the block is, the two messages in bytes and bits, and the bytes of the body that it carries.
    chart : ipywidgets.Image
        Where the blocks stand in their body over time, with the cursor in it.

    Raises
    ------
    BadInput
        Where the capture has no body in blocks, or not that one, or not that block.

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> explorer = BlockExplorer(lab.read("anjay-push-badcrc"), block=3)
    >>> explorer.press("next")
    >>> explorer.notation
    '1:4/1/1024'
    """

    def __init__(self, capture: Capture, *, transfer: int | None = None, block: int = 0) -> None:
        self.capture = capture
        if not len(capture.transfers):
            raise BadInput(f"{capture.name} has no body in blocks; a capture of a push or a pull is expected")
        numbers = capture.transfers["transfer"].tolist()
        if transfer is not None and transfer not in numbers:
            raise BadInput(f"{capture.name} has no transfer {transfer!r}; 0 to {numbers[-1]} are expected")
        first = 0 if transfer is None else transfer
        listed = [*numbers[:MOST_BODIES], *([first] if first >= MOST_BODIES else [])]
        style = {"description_width": "6em"}
        self.transfer = widgets.Dropdown(
            options=[(self._name_of(number), number) for number in listed], value=first, description="body",
            style=style, layout=widgets.Layout(width="auto"),
        )  # fmt: skip
        self.cursor = widgets.IntSlider(
            min=0, max=0, description="block", style=style, readout=False, layout=widgets.Layout(width="98%")
        )
        self.buttons = {name: self._button(name, icon) for name, icon in _BUTTONS.items()}
        self.status, self.request, self.answer, self.payload = (widgets.HTML() for _ in range(4))
        self.chart = widgets.Image(format="png", layout=widgets.Layout(max_width="100%", align_self="flex-start"))
        wrapped = widgets.Layout(flex_flow="row wrap")
        sides = widgets.HBox([self.request, widgets.VBox([self.answer, self.payload])], layout=wrapped)
        self.panel = widgets.VBox(
            [
                widgets.HBox([self.transfer, *self.buttons.values()], layout=wrapped),
                self.cursor, self.status, self.chart, sides,
            ]
        )  # fmt: skip
        self._load()
        if not 0 <= block <= self.cursor.max:
            raise BadInput(f"this body has no block {block!r}; 0 to {self.cursor.max} are expected")
        self.cursor.value = block
        self.transfer.observe(lambda _: self._load(), "value")
        self.cursor.observe(lambda _: self._show(), "value")
        self._show()

    @property
    def notation(self) -> str:
        """The block as RFC 7959 writes it: ``1:4/1/1024`` is Block1, number 4, more to come, 1024 bytes."""
        one = self._blocks
        size = one.size[0] if one.size[0] > 0 else "reserved"
        return f"{one.kind[0][-1]}:{one.num[0]}/{int(one.more[0])}/{size}"

    def press(self, name: str) -> None:
        """What a button does: ``"previous"`` or ``"next"``."""
        to = self.cursor.value + (1 if name == "next" else -1)
        self.cursor.value = min(max(to, 0), self.cursor.max)

    @property
    def _blocks(self) -> Rows:
        """The block under the cursor, as the only row."""
        return self._body[slice(self.cursor.value, self.cursor.value + 1)]

    def _name_of(self, number: int) -> str:
        one = self.capture.transfers.iloc[number]
        path = one["uri_path"] if isinstance(one["uri_path"], str) else ""
        way = "to" if one["kind"] == "block1" else "from"
        return escaped(f"{number}: {one['blocks']} blocks {way} {path} ({one['endpoint']})")

    @property
    def figure(self) -> Figure:
        """The picture, to be saved: ``lab.show.save_figure(panel.figure, "panel.svg")``."""
        return transfer_chart(self.capture, transfers=[self.transfer.value])

    def _button(self, name: str, icon: str) -> widgets.Button:
        button = widgets.Button(
            description=name, icon=icon, tooltip=f"to the {name} block", layout=widgets.Layout(width="auto")
        )
        button.on_click(lambda _: self.press(name))
        return button

    def _load(self) -> None:
        """The blocks and the chart of the chosen body; the chart is drawn once, the cursor painted into it."""
        number = self.transfer.value
        self._body = self.capture.rows("blocks").where(transfer=number)
        self._size = int(self.capture.transfers.iloc[number]["size"])
        self._picture = pixels(transfer_chart(self.capture, transfers=[number]))
        before = self.cursor.value
        self.cursor.max = len(self._body) - 1
        self.cursor.value = 0
        if before == 0:
            self._show()

    def _show(self) -> None:
        """Redraw everything that follows from the cursor."""
        one, capture = self._blocks, self.capture
        carrier, pushed = int(one["_carrier"][0]), one.kind[0] == "block1"
        frames = {"request": one.request_frame[0], "answer": one.response_frame[0]}
        self.status.value = self._words(one)
        self.chart.value = marked_png(*self._picture, x=float(one.time[0]))
        for name, pane in (("request", self.request), ("answer", self.answer)):
            if frames[name] < 0:
                pane.value = f"<p>No {name} was seen.</p>"
                continue
            row = carrier if pushed == (name == "request") else capture._row(int(frames[name]))
            datagram = capture.columns.datagram(row)
            caption = f"The {name}, frame {frames[name]}"
            pane.value = bytes_html(datagram, anatomy(datagram), caption=caption, bits=True, written=IN_TABLE)
        self.payload.value = hex_html(capture.columns.payload(carrier), offset=int(one.offset[0]))

    def _words(self, one: Rows) -> str:
        first, length = int(one.offset[0]), int(one.length[0])
        answer = one.response_code[0]
        answered = f"answered <b>{escaped(answer)}</b>" if answer else "not answered"
        copies = int(one.copies[0])
        return (
            f"Block <b>{self.notation}</b>, {self.cursor.value + 1} of {len(self._body)}: bytes <b>{first}</b> to "
            f"<b>{first + length - 1}</b> of {self._size}"
            f"<br>at {one.time[0]:.3f} s, {answered}" + (f", sent <b>{copies} times</b>" if copies > 1 else "")
        )

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.panel._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        return f"BlockExplorer({self.capture.name}, {self.notation})"


_BUTTONS = {"previous": "chevron-left", "next": "chevron-right"}


def block_explorer(capture: Capture, *, transfer: int | None = None, block: int = 0) -> BlockExplorer:
    """Pick a block and see it byte by byte, bit by bit, with its answer and the bytes of the body that it carries.

    Parameters
    ----------
    capture : Capture
        A run is one.
    transfer : int, optional
        Which body, by its number in ``capture.transfers``; the first by default.
    block : int
        Which of its blocks, counted from 0 in the order of the capture.

    Raises
    ------
    BadInput
        Where there is no such block.
    """
    return BlockExplorer(capture, transfer=transfer, block=block)


def hex_html(data: bytes, *, offset: int) -> str:
    """Bytes of a body, sixteen a line with their place in it and as text, in a box that scrolls."""
    lines = []
    for at in range(0, min(len(data), MOST_WRITTEN), 16):
        raw = data[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in raw)
        lines.append(f"{offset + at:>8}  {raw.hex(' '):<47}  {escaped(text)}")
    if len(data) > MOST_WRITTEN:
        lines.append(f"          … {len(data) - MOST_WRITTEN} more")
    label = f"{len(data)} bytes of the body"
    return (
        f'<div style="margin-top:6px">{label}, each line with its place in it</div>'
        f'<pre role="region" tabindex="0" aria-label="{label}" '
        f'style="max-height:16em;overflow:auto;font-size:11px;line-height:1.3">{chr(10).join(lines)}</pre>'
    )

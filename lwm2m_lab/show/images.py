"""The image explorer: an MCUboot image field by field; flip a byte, and see what a boot loader says to it."""

from __future__ import annotations

import dataclasses
from typing import Any

import ipywidgets as widgets
import numpy as np

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.image import ImageSource, image_from
from lwm2m_lab.show.moments import bytes_html
from lwm2m_lab.show.page import escaped
from lwm2m_lab.show.style import COLOURS
from lwm2m_lab.wire.anatomy import Part
from lwm2m_lab.wire.image_parts import ImageCheck

__all__ = ["ImageExplorer", "image_explorer"]

#: Bytes of a field that are written out; the rest is counted.
WRITTEN = 8


class ImageExplorer:
    """An image under a cursor, to be damaged.

    Parameters
    ----------
    image : FirmwareImage, bytes or path
    key : bytes, optional
        A public key in PEM, as a boot loader has one; without it no signature is asked for.

    Attributes
    ----------
    image : FirmwareImage
        As it is now, with what was flipped.
    field : ipywidgets.Dropdown
        Moves the cursor to where a field begins.
    cursor : ipywidgets.BoundedIntText
        A byte of the image.
    status, checks, parts : ipywidgets.HTML
        The byte, what the boot loader says, and the fields.

    Raises
    ------
    BadInput
        For a file that cannot be read or is no MCUboot image.

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> explorer = ImageExplorer(lab.image(version="2.1.0", size=1000))
    >>> explorer.flip(500)
    >>> [check.name for check in explorer.image.checks() if check.passed is False]
    ['hash']
    """

    def __init__(self, image: ImageSource, *, key: bytes | None = None) -> None:
        self.original = self.image = image_from(image)
        self.key = key
        if self.original.checks()[0].passed is False:
            raise BadInput("these bytes do not begin with MCUboot's header; an image that imgtool made is expected")
        style = {"description_width": "3.5em"}
        self.field = widgets.Dropdown(
            options=[(f"{one.start}: {one.name}", one.start) for one in self.original.parts],
            value=0, description="field", style=style,
        )  # fmt: skip
        self.cursor = widgets.BoundedIntText(
            value=0, min=0, max=self.original.size - 1, description="byte", style=style,
            layout=widgets.Layout(width="11em"),
        )  # fmt: skip
        self.buttons = {name: self._button(name) for name in _BUTTONS}
        self.status, self.checks, self.parts = widgets.HTML(), widgets.HTML(), widgets.HTML()
        self.panel = widgets.VBox(
            [
                widgets.HBox(
                    [self.field, self.cursor, *self.buttons.values()], layout=widgets.Layout(flex_flow="row wrap")
                ),
                self.status, self.checks, self.parts,
            ]
        )  # fmt: skip
        self.field.observe(lambda _: self._to_field(), "value")
        self.cursor.observe(lambda _: self._show(), "value")
        self._show()

    def press(self, name: str) -> None:
        """What a button does: ``"flip"``, ``"new hash"`` or ``"make whole"``."""
        if name == "flip":
            self.flip(self.cursor.value)
            return
        self.image = self.image.rehashed() if name == "new hash" else self.original
        self._show()

    def flip(self, offset: int) -> None:
        """Turn the lowest bit of a byte; a second time turns it back.

        Raises
        ------
        BadInput
            For an offset beyond the image.
        """
        self.image = self.image.damaged(offset=offset)
        self.cursor.value = offset
        self._show()

    def _button(self, name: str) -> widgets.Button:
        icon, tip = _BUTTONS[name]
        button = widgets.Button(description=name, icon=icon, tooltip=tip, layout=widgets.Layout(width="auto"))
        button.on_click(lambda _: self.press(name))
        return button

    def _to_field(self) -> None:
        self.cursor.value = self.field.value

    def _show(self) -> None:
        """Redraw everything that follows from the image and the cursor."""
        at, data = self.cursor.value, self.image.data
        pair = [np.frombuffer(one.data, np.uint8) for one in (self.original, self.image)]
        changed = np.nonzero(pair[0] != pair[1])[0]
        shown = tuple(_told(part, changed) for part in self.image.parts)
        here = next(part for part in shown if part.start <= at < part.stop)
        was = f", was <code>{self.original.data[at]:02x}</code>" if at in changed else ""
        number = f"{len(changed)} of {len(data)} bytes changed" if len(changed) else "the image is as it was made"
        self.status.value = (
            f"Byte <b>{at}</b>, {escaped(here.name)}: <code>{data[at]:02x}</code>{was} &middot; {number}"
        )
        self.checks.value = checks_html(self.image.checks(key=self.key))
        caption = f"The image, version {self.image.version}"
        self.parts.value = bytes_html(data, shown, caption=caption, written=WRITTEN, marked=here)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.panel._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        return f"ImageExplorer({self.image!r})"


_BUTTONS = {
    "flip": ("bolt", "turn the lowest bit of this byte"),
    "new hash": ("calculator", "store the hash that the image has now"),
    "make whole": ("undo", "the image as it was at first"),
}


def image_explorer(image: ImageSource, *, key: bytes | None = None) -> ImageExplorer:
    """See an MCUboot image field by field, flip a byte, and see what a boot loader says.

    Parameters
    ----------
    image : FirmwareImage, bytes or path
    key : bytes, optional
        A public key in PEM, as a boot loader has one.

    Raises
    ------
    BadInput
        For a file that cannot be read or is no MCUboot image.
    """
    return ImageExplorer(image, key=key)


def checks_html(checks: tuple[ImageCheck, ...]) -> str:
    """What was looked at, line by line, and what follows."""
    marks = {True: ("✓", "firmware"), False: ("✗", "result"), None: ("–", "faint")}
    lines = []
    for one in checks:
        mark, colour = marks[one.passed]
        lines.append(
            f'<li style="border-left:5px solid {COLOURS[colour]};padding-left:8px">'
            f"<b>{mark}</b> <b>{escaped(one.name)}</b> {escaped(one.says)}</li>"
        )
    failed = [one.name for one in checks if one.passed is False]
    verdict = f"A boot loader refuses it: {', '.join(failed)}." if failed else "A boot loader starts it."
    return f'<ul style="list-style:none;padding-left:0;margin:4px 0">{"".join(lines)}</ul><b>{verdict}</b>'


def _told(part: Part, changed: Any) -> Part:
    """A field that says so where it is not as it was."""
    number = int(((changed >= part.start) & (changed < part.stop)).sum())
    if not number:
        return part
    return dataclasses.replace(part, says=f"{part.says} ({number} byte{'s' * (number > 1)} changed)")

"""The instruments as one page without code: stepper, any capture explained and under the cursor, link lab, a case.

`lwm2m-lab app` serves it with Voilà; in a notebook `lab.show.workbench()` is the same thing in a cell.
"""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from lwm2m_lab.errors import LabError
from lwm2m_lab.show.clinic.card import CaseCard
from lwm2m_lab.show.explorer import Explorer
from lwm2m_lab.show.linklab import LinkLab
from lwm2m_lab.show.page import escaped
from lwm2m_lab.show.stepping import Stepper
from lwm2m_lab.trace.capture import Capture, read
from lwm2m_lab.trace.samples import SAMPLES

__all__ = ["Reading", "Workbench", "workbench"]


class Reading:
    """A capture chosen or uploaded, what the analyser says of it, and the trace explorer.

    Attributes
    ----------
    panel : ipywidgets.Widget
        What is shown.
    sample : ipywidgets.Dropdown
        The captures that come with the lab.
    upload : ipywidgets.FileUpload
        One of your own.
    verdict : ipywidgets.HTML
        A line for each update, or why the file could not be read.

    Examples
    --------
    >>> reading = Reading()
    >>> reading.sample.value = "anjay-push-badcrc"
    >>> "Result 5" in reading.verdict.value
    True
    """

    def __init__(self) -> None:
        style = {"description_width": "6em"}
        names = [(f"{one.name}: {one.shows}", one.name) for one in SAMPLES]
        wide = widgets.Layout(width="98%")
        self.sample = widgets.Dropdown(
            options=names, value=names[0][1], description="capture", style=style, layout=wide
        )
        narrow = widgets.Layout(width="auto", align_self="flex-start")
        self.upload = widgets.FileUpload(description="your own capture", accept=".pcap,.pcapng,.gz", layout=narrow)
        self.verdict = widgets.HTML()
        self.place = widgets.VBox()
        self.panel = widgets.VBox([self.sample, self.upload, self.verdict, self.place])
        self.sample.observe(lambda _: self._open(lambda: read(self.sample.value)), "value")
        self.upload.observe(lambda _: self._take(), "value")
        self._open(lambda: read(self.sample.value))

    def _take(self) -> None:
        """The uploaded file; a browser sends its bytes and its name."""
        if self.upload.value:
            one = self.upload.value[0]
            name, data = str(one["name"]), bytes(one["content"])
            self._open(lambda: _uploaded(data, name))

    def _open(self, opened: Any) -> None:
        """Show what a capture is; or the sentence that says why it is none, and nothing of the one before."""
        try:
            capture = opened()
            explorer = Explorer(capture)
        except LabError as error:
            self.verdict.value, self.place.children = _paragraph(f"<b>Not read.</b> {escaped(str(error))}"), ()
            return
        self.verdict.value = _verdict(capture)
        self.place.children = (explorer.panel,)


def _uploaded(data: bytes, name: str) -> Capture:
    return Capture.from_bytes(data, name=name)


def _verdict(capture: Capture) -> str:
    """A line for each update: what came of it, and whether the device kept the rules."""
    lines = [
        f"<b>{escaped(one.endpoint)}</b>, {escaped(one.delivery)}: {escaped(one.outcome)}, verdict "
        f"{escaped(one.verdict)}{'. ' + escaped(one.cause) if one.cause else ''}"
        for one in capture.explain().updates
    ]
    return _paragraph("<br>".join(lines) or "No firmware update was found in this capture.")


def _paragraph(words: str) -> str:
    return f"<div style='padding:4px 0'>{words}</div>"


class Workbench:
    """The instruments side by side, in tabs.

    Examples
    --------
    >>> Workbench().panel.titles
    ('Step', 'Explain', 'Link', 'Case')
    """

    def __init__(self) -> None:
        self.stepper, self.reading, self.link, self.case = Stepper(), Reading(), LinkLab(), CaseCard()
        panels = {
            "Step": self.stepper.panel, "Explain": self.reading.panel, "Link": self.link.panel, "Case": self.case.panel,
        }  # fmt: skip
        self.panel = widgets.Tab(list(panels.values()), titles=list(panels))

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.panel._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        return "Workbench()"


def workbench() -> Workbench:
    """Stepper, trace explorer, link lab and case card as one panel; `lwm2m-lab app` serves it as a page."""
    return Workbench()

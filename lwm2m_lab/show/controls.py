"""Controls that need no arrow keys: Notebook 7 keeps those for its cells, whatever has the focus."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

__all__ = ["nudged"]

_NARROW: dict[str, Any] = {"width": "2.4em", "padding": "0"}


def nudged(control: widgets.Widget, what: str = "") -> widgets.HBox:
    """A slider or a list with a button for one step back and one for one step on: Tab reaches them, Space presses them.

    Parameters
    ----------
    control : ipywidgets.Widget
        Anything with a range of numbers, or with options.
    what : str
        Its name, for screen readers; its description by default.

    Examples
    --------
    >>> slider = widgets.FloatSlider(0.1, min=0, max=1, step=0.05, description="loss")
    >>> _, back, on = nudged(slider).children
    >>> on.click()
    >>> slider.value, on.tooltip
    (0.15, 'loss: one step on')
    """
    name = what or str(control.description)
    buttons = []
    for steps, icon, way in ((-1, "chevron-left", "back"), (1, "chevron-right", "on")):
        button = widgets.Button(icon=icon, tooltip=f"{name}: one step {way}", layout=widgets.Layout(**_NARROW))
        button.on_click(lambda _, by=steps: _move(control, by))
        buttons.append(button)
    # A share of the width is one of what surrounds the box; within it the control takes what the buttons leave.
    width = control.layout.width if str(control.layout.width).endswith("%") else None
    if width:
        control.layout.width, control.layout.flex = "auto", "1 1 auto"
    elif control.layout.width:
        # Else the row shrinks each control by as much as its own letters leave, and columns do not stand in line.
        control.layout.flex, control.layout.max_width = "0 0 auto", "100%"
    return widgets.HBox([control, *buttons], layout=widgets.Layout(width=width))


def _move(control: widgets.Widget, steps: int) -> None:
    """One step, no further than the end."""
    if hasattr(control, "options"):
        control.index = min(max((control.index or 0) + steps, 0), len(control.options) - 1)
        return
    # Steps of a twentieth add up to 0.15000000000000002.
    control.value = min(max(round(control.value + steps * control.step, 9), control.min), control.max)

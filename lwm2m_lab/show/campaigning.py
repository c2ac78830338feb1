"""The campaign panel: limit, cell rate, stages and stop rule as controls, a small campaign run anew, its dashboard."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.campaign_run import CampaignRun
from lwm2m_lab.live.rollout import campaign
from lwm2m_lab.show.campaign_board import campaign_board
from lwm2m_lab.show.controls import nudged
from lwm2m_lab.show.page import escaped
from lwm2m_lab.show.style import png_bytes

__all__ = ["CampaignDashboard", "campaign_dashboard"]

#: Devices that a move of a control may run; a campaign of more is run by a cell.
MOST = 200
#: Campaigns that are remembered: going back to a setting shows its picture at once.
REMEMBERED = 64
RATES = {"20 kbit/s": 20e3, "40 kbit/s": 40e3, "80 kbit/s": 80e3, "160 kbit/s": 160e3, "no limit": math.inf}
STAGES: dict[str, tuple[float, ...]] = {
    "all in one": (1.0,), "10 %, then all": (0.1, 1.0), "5 %, 25 %, then all": (0.05, 0.25, 1.0),
}  # fmt: skip
#: A list takes None for "nothing is chosen": the share that cannot be passed stands for no rule.
_NEVER = 1.0
RULES = {"never": _NEVER, "more than 5 % failed": 0.05, "more than 10 % failed": 0.1, "more than 25 % failed": 0.25}
#: Updates that have to have ended before the rule is asked, at the most.
_AT_LEAST = 4
#: What devices of the usual fleet do wrong.
_FAULTS = {"keeps-firmware-version": 0.05}


class CampaignDashboard:
    """A small campaign with controls.

    Parameters
    ----------
    devices, size : int
        How many, and bytes of the image.
    start : mapping
        Where the controls stand at first, by the names of `controls`.
    **fleet
        Other arguments of `campaign`.

    Attributes
    ----------
    controls : dict of str to ipywidgets.Widget
        ``limit``, ``cell_rate``, ``stages``, ``stop_at``: the arguments of `campaign`.
    run : CampaignRun
        The campaign as the controls have it.
    message : ipywidgets.HTML
        How it went.
    picture : ipywidgets.Image
        The dashboard.
    device : ipywidgets.Dropdown
        A device that did not succeed, to be looked at.
    why : ipywidgets.HTML
        What went wrong there.

    Raises
    ------
    BadInput
        For a control that is not there, or a value that it does not have.

    Examples
    --------
    >>> panel = CampaignDashboard(devices=12, size=2000, faults={})
    >>> panel.run.sentence
    '12 of 12 devices updated in 74 s, 0 failed'
    >>> panel.controls["limit"].value = 12
    >>> panel.run.sentence
    '12 of 12 devices updated in 12 s, 0 failed'
    """

    def __init__(
        self, *, devices: int = 40, size: int = 5_000, start: Mapping[str, Any] | None = None, **fleet: Any
    ) -> None:
        if isinstance(devices, int) and devices > MOST:
            raise BadInput(f"devices is {devices}; {MOST} at the most are expected here, lab.campaign runs more")
        self._fleet = {"faults": _FAULTS, "captures": 5, **fleet, "devices": devices, "size": size}
        self._known: dict[tuple[Any, ...], tuple[CampaignRun, bytes]] = {}
        self.controls = _controls(devices)
        for name, value in (start or {}).items():
            _place(self.controls, name, value)
        self.message, self.why = widgets.HTML(), widgets.HTML()
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%", align_self="flex-start"))
        self.device = widgets.Dropdown(
            description="what went wrong at", style={"description_width": "11em"}, layout=widgets.Layout(width="30em")
        )
        row = widgets.Layout(flex_flow="row wrap")
        self.panel = widgets.VBox(
            [
                widgets.HBox([nudged(self.controls[name]) for name in ("limit", "cell_rate")], layout=row),
                widgets.HBox([nudged(self.controls[name]) for name in ("stages", "stop_at")], layout=row),
                self.message,
                self.picture,
                self.device,
                self.why,
            ]
        )
        for control in self.controls.values():
            control.observe(lambda _: self._moved(), "value")
        self.device.observe(lambda _: self._look(), "value")
        self._run()

    @property
    def settings(self) -> dict[str, Any]:
        """What the controls say, as arguments of `campaign`."""
        said = {name: control.value for name, control in self.controls.items()}
        return {**said, "stop_at": None if said["stop_at"] == _NEVER else said["stop_at"]}

    @property
    def figure(self) -> Figure:
        """The picture, to be saved: ``lab.show.save_figure(panel.figure, "panel.svg")``."""
        return campaign_board(self.run)

    def _moved(self) -> None:
        """What each move does; settings that do not go together are said, and the picture stays."""
        try:
            self._run()
        except BadInput as error:
            self._say(f"<b>{escaped(error)}</b>")

    def _run(self) -> None:
        """Run the campaign, or show again what is known of it."""
        settings = self.settings
        key = tuple(settings.values())
        if key not in self._known:
            self._say("Running …")
            done = self._campaign(settings)
            if len(self._known) >= REMEMBERED:
                self._known.pop(next(iter(self._known)))
            self._known[key] = done, png_bytes(campaign_board(done))
        self.run, self.picture.value = self._known[key]
        again = int(self.run.devices["retransmissions"].sum())
        self._say(f"<b>{escaped(self.run.sentence)}</b>. {again} requests were sent again.")
        failed = self.run.devices.loc[self.run.devices["cause"] != "", "endpoint"].tolist()
        self.device.disabled = not failed
        self.device.options = failed or ["nowhere"]
        # A list that was made empty chooses nothing by itself.
        self.device.index = 0
        self._look()

    def _campaign(self, settings: Mapping[str, Any]) -> CampaignRun:
        # No more than the first stage has, or the rule of a small fleet could never hold there.
        at_least = max(1, min(_AT_LEAST, math.ceil(settings["stages"][0] * self._fleet["devices"])))
        return campaign(**{"at_least": at_least, **self._fleet, **settings})

    def _look(self) -> None:
        """Open the device that is chosen."""
        name = self.device.value
        if self.device.disabled or name is None:
            self.why.value = ""
            return
        (row,) = self.run.devices[self.run.devices["endpoint"] == name].to_dict("records")
        who = "an analysed capture" if row["cause_from"] == "analyser" else f"the {row['cause_from']}"
        self.why.value = (
            f"<div style='padding:4px 0'><b>{escaped(row['cause'])}</b> (by {who})<br>{escaped(row['sentence'])}<br>"
            f"profile {escaped(row['profile'])}, stage {row['stage']}, {row['retransmissions']} requests sent again; "
            f'<code>run("{escaped(name)}")</code> opens its capture</div>'
        )

    def _say(self, words: str) -> None:
        self.message.value = f"<div style='padding:4px 0'>{words}</div>"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.panel._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        return f"CampaignDashboard({', '.join(f'{name}={value!r}' for name, value in self.settings.items())})"


def _controls(devices: int) -> dict[str, widgets.Widget]:
    shared: dict[str, Any] = {"style": {"description_width": "9em"}, "layout": widgets.Layout(width="28em")}
    limits = sorted({limit for limit in (1, 2, 5, 10, 20, 40, 80, 160) if limit < devices} | {devices})
    usual = max(limit for limit in limits if limit <= max(1, devices // 4))
    return {
        "limit": widgets.SelectionSlider(
            options=limits, value=usual, description="limit, at once", continuous_update=False, **shared
        ),
        "cell_rate": widgets.SelectionSlider(
            options=list(RATES.items()),
            value=math.inf,
            description="rate of the cell",
            continuous_update=False,
            **shared,
        ),
        "stages": widgets.Dropdown(options=list(STAGES.items()), value=(1.0,), description="stages", **shared),
        "stop_at": widgets.Dropdown(options=list(RULES.items()), value=_NEVER, description="stop", **shared),
    }


def _place(controls: Mapping[str, widgets.Widget], name: str, value: Any) -> None:
    """Put a control where it is to begin."""
    if name not in controls:
        raise BadInput(f"the campaign panel has no control {name!r}; one of {', '.join(controls)} is expected")
    values: Sequence[Any] = [one[1] if isinstance(one, tuple) else one for one in controls[name].options]
    if value not in values:
        raise BadInput(f"{name} is {value!r}; one of {', '.join(map(str, values))} is expected")
    controls[name].value = value


def campaign_dashboard(
    *, devices: int = 40, size: int = 5_000, start: Mapping[str, Any] | None = None, **fleet: Any
) -> CampaignDashboard:
    """Change limit, cell rate, stages and stop rule of a small campaign, and see its dashboard anew.

    Parameters
    ----------
    devices : int
        200 at the most.
    size : int
        Bytes of the image.
    start : mapping
        Where the controls stand at first: `limit`, `cell_rate`, `stages`, `stop_at`.
    **fleet
        Other arguments of `lwm2m_lab.campaign`, such as `faults`, `profiles` and `links`.

    Raises
    ------
    BadInput
        For a control that is not there, a value that it does not have, or a fleet that cannot be.
    """
    return CampaignDashboard(devices=devices, size=size, start=start, **fleet)

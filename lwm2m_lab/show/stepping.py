"""The stepper: buttons for the events of a `Machine`, and a panel that shows what came of them.

The panel knows no protocol. It asks the machine which events are legal, sends the one that was pressed, and shows what
the machine says, be it a step or the sentence of an error.
"""

from __future__ import annotations

import functools
import html
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from lwm2m_lab.errors import ChoiceNeeded, IllegalEvent
from lwm2m_lab.show.diagram import DiagramPicture, state_diagram
from lwm2m_lab.spec.firmware import Machine
from lwm2m_lab.spec.profiles import PROFILES
from lwm2m_lab.spec.rules import VERSIONS, Event, Outcome

__all__ = ["Stepper", "stepper"]


class Stepper:
    """A machine with buttons.

    Attributes
    ----------
    machine : Machine
        The one that is stepped; a new one after each change of version or profile.
    panel : ipywidgets.Widget
        What is shown.
    message : ipywidgets.HTML
        What the last press did.

    Examples
    --------
    >>> steps = Stepper(version="1.0")
    >>> steps.press(Event.FIRST_BLOCK)
    >>> steps.machine.state
    <State.DOWNLOADING: 1>
    """

    def __init__(self, version: str = "1.1", *, profile: str = "strict") -> None:
        self.machine = Machine(version, profile=profile)
        self.version = widgets.ToggleButtons(options=list(VERSIONS), value=version, description="Object 5")
        self.profile = widgets.Dropdown(options=list(PROFILES), value=profile, description="profile")
        self.again = widgets.Button(description="start again", icon="refresh")
        self.message, self.status = widgets.HTML(), widgets.HTML()
        self.legal, self.illegal = widgets.HBox(), widgets.HBox()
        self.choices = widgets.HBox()
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%", align_self="flex-start"))
        for box in (self.legal, self.illegal, self.choices):
            box.layout = widgets.Layout(flex_flow="row wrap")
        self.version.observe(lambda _: self.restart(), "value")
        self.profile.observe(lambda _: self.restart(), "value")
        self.again.on_click(lambda _: self.restart())
        self.panel = widgets.VBox(
            [
                widgets.HBox([self.version, self.profile, self.again], layout=widgets.Layout(flex_flow="row wrap")),
                self.status,
                widgets.HTML("<b>Accepted now</b>"),
                self.legal,
                self.choices,
                widgets.HTML("<b>Not accepted now</b>, press one to see why"),
                self.illegal,
                self.message,
                self.picture,
            ]
        )
        self._say("Press an event.")
        self._show()

    @property
    def figure(self) -> Figure:
        """The picture, to be saved: ``lab.show.save_figure(panel.figure, "panel.svg")``."""
        figure: Figure = state_diagram(self.machine).figure  # type: ignore[assignment]
        return figure

    def restart(self) -> None:
        """A new machine of the chosen version and profile."""
        self.machine = Machine(self.version.value, profile=self.profile.value)
        self._say("Press an event.")
        self._show()

    def press(self, event: Event, choose: Outcome | None = None) -> None:
        """What a button does: send the event, show the step or why there was none."""
        self.choices.children = ()
        outcomes = self.machine.outcomes(event)
        if choose is None and len(outcomes) > 1 and event in self.machine.legal_events():
            self._offer(event, outcomes)
            return
        try:
            step = self.machine.send(event, choose=choose)
        except IllegalEvent as error:
            self._say(f"<b>Nothing changed.</b> {html.escape(str(error))}")
        except ChoiceNeeded as error:
            self._say(html.escape(str(error)))
        else:
            answer = f", answered {step.response}" if step.response else ""
            named = ", ".join(step.rule.ambiguities)
            doubt = f"<br>Readings differ here: {named}." if named else ""
            self._say(
                f"<b>{step.rule.id}</b> {html.escape(event.value)}{answer}: State {step.after[0]}, Update Result "
                f"{html.escape(str(step.after[1]))}.<br>Clause: {html.escape(step.clause)}.{doubt}"
            )
        self._show()

    def _offer(self, event: Event, outcomes: list[Outcome]) -> None:
        """The permitted outcomes as buttons: the standard leaves the choice to the device."""
        self._say(f"{html.escape(event.value)} may end in {len(outcomes)} ways; the device chooses. Press one.")
        buttons = []
        for outcome in outcomes:
            result = "result unchanged" if outcome[1] is None else str(outcome[1])
            button = _button(f"{outcome[0]}, {result}", "info")
            button.on_click(lambda _, one=outcome: self.press(event, choose=one))
            buttons.append(button)
        self.choices.children = tuple(buttons)

    def _say(self, words: str) -> None:
        self.message.value = f"<div style='padding:4px 0'>{words}</div>"

    def _show(self) -> None:
        """Redraw everything that follows from the machine."""
        machine, legal = self.machine, self.machine.legal_events()
        self.status.value = (
            f"State <b>{machine.state}</b> &middot; Update Result <b>{html.escape(str(machine.result))}</b>"
            f" &middot; {len(machine.history)} {'step' if len(machine.history) == 1 else 'steps'}"
        )
        self.legal.children = tuple(self._event_button(event, "success") for event in legal)
        self.illegal.children = tuple(self._event_button(event, "") for event in Event if event not in legal)
        self.picture.value = _diagram(machine.version).draw(machine)

    def _event_button(self, event: Event, style: str) -> widgets.Button:
        button = _button(event.value, style)
        button.on_click(lambda _: self.press(event))
        return button

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.panel._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        return f"Stepper({self.machine!r})"


@functools.lru_cache(maxsize=len(VERSIONS))
def _diagram(version: str) -> DiagramPicture:
    """One for all steppers: each look paints over it anew."""
    return DiagramPicture(version)


def _button(text: str, style: str) -> widgets.Button:
    return widgets.Button(description=text, button_style=style, layout=widgets.Layout(width="auto"))


def stepper(version: str = "1.1", *, profile: str = "strict") -> Stepper:
    """Step through the firmware update with buttons.

    Parameters
    ----------
    version : {"1.1", "1.0", "1.2"}
        Of Object 5.
    profile : {"strict", "anjay", "zephyr", "wakaama"}
        Whose choices.

    Raises
    ------
    BadInput
        For another version or profile.
    """
    return Stepper(version, profile=profile)

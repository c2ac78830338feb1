"""`Machine`: Object 5 of one device, stepped by events. Pure: no clock, no network.

The machine takes its rows from `lwm2m_lab.spec.rules` and never adds one: an event that no row knows in the present
state is refused, and state, result and history are as they were.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lwm2m_lab.errors import BadInput, ChoiceNeeded, IllegalEvent
from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.spec.profiles import Profile
from lwm2m_lab.spec.profiles import profile as profile_named
from lwm2m_lab.spec.rules import AMBIGUITIES, INTERNAL, RULES, VERSIONS, Ambiguity, Event, Outcome, Rule

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["AMBIGUITIES", "INTERNAL", "RULES", "Ambiguity", "Event", "Machine", "Rule", "Step", "rules_for"]


@dataclass(frozen=True, slots=True)
class Step:
    """One event that the machine took.

    Attributes
    ----------
    rule : Rule
    event : Event
    before, after : (State, UpdateResult)
    response : str or None
        The CoAP code that answers the request.
    clause : str
        Where the standard says so.
    """

    rule: Rule
    event: Event
    before: tuple[State, UpdateResult]
    after: tuple[State, UpdateResult]
    response: str | None
    clause: str

    def __str__(self) -> str:
        return (
            f"{self.rule.id:<4} {self.event.value:<32} {_pair(self.before)} -> {_pair(self.after)}"
            f"{'  ' + self.response if self.response else ''}"
        )


def _pair(status: tuple[State, UpdateResult]) -> str:
    return f"{status[0].value}/{status[1].value}"


def rules_for(
    state: State, event: Event, version: str, *, result: UpdateResult = UpdateResult.INITIAL, delivery: int = 2
) -> list[Rule]:
    """The rows that hold for an event, refusals among them.

    Examples
    --------
    >>> [rule.id for rule in rules_for(State.DOWNLOADED, Event.UPDATE, "1.1")]
    ['T15', 'T16']
    """
    return [
        rule for rule in RULES if rule.source == state and rule.event == event and rule.holds(version, result, delivery)
    ]


class Machine:
    """Object 5 of one device.

    Parameters
    ----------
    version : {"1.1", "1.0", "1.2"}
        Version of Object 5.
    profile : str or None
        Whose choices it makes where several outcomes are permitted: ``"strict"``, ``"anjay"``, ``"zephyr"``,
        ``"wakaama"``; None asks for each.
    state, result : State, UpdateResult, optional
        Where it stands; by default where the profile boots.
    delivery : {2, 1, 0}
        ``/5/0/9``: 2 both, 1 push only, 0 pull only.

    Raises
    ------
    BadInput
        For an unknown version, profile, state or delivery method.

    Examples
    --------
    >>> machine = Machine(version="1.1")
    >>> print(machine.send(Event.FIRST_BLOCK))
    T1   Write Package, first block       0/0 -> 1/0  2.31
    >>> machine.send(Event.UPDATE)
    Traceback (most recent call last):
    lwm2m_lab.errors.IllegalEvent: 'Execute Update' is refused in 1 Downloading with 4.05 (T26: Object 5, ...
    >>> machine.state
    <State.DOWNLOADING: 1>
    """

    def __init__(
        self,
        version: str = "1.1",
        *,
        profile: str | None = "strict",
        state: State | None = None,
        result: UpdateResult | None = None,
        delivery: int = 2,
    ) -> None:
        if version not in VERSIONS:
            raise BadInput(f"version of Object 5 is {version!r}; one of {', '.join(VERSIONS)} is expected")
        if delivery not in (0, 1, 2):
            raise BadInput(f"delivery is {delivery!r}; 0 (pull), 1 (push) or 2 (both) is expected")
        self.version, self.delivery = version, delivery
        self._profile: Profile | None = None if profile is None else profile_named(profile)
        boot = self._profile.initial if self._profile else (State.IDLE, UpdateResult.INITIAL)
        try:
            self._state = State(boot[0] if state is None else state)
            self._result = UpdateResult(boot[1] if result is None else result)
        except ValueError:
            raise BadInput(f"state {state!r} and result {result!r} given; 0 to 3 and 0 to 11 are expected") from None
        if not self._result.valid(version):
            raise BadInput(f"result is {self._result}; Object 5 version {version} has 0 to 9")
        self._start = (self._state, self._result)
        self._history: tuple[Step, ...] = ()

    @property
    def state(self) -> State:
        """State, ``/5/0/3``."""
        return self._state

    @property
    def result(self) -> UpdateResult:
        """Update Result, ``/5/0/5``."""
        return self._result

    @property
    def profile(self) -> str | None:
        """Name of the profile that chooses."""
        return self._profile.name if self._profile else None

    @property
    def history(self) -> tuple[Step, ...]:
        """The steps taken, oldest first."""
        return self._history

    @property
    def start(self) -> tuple[State, UpdateResult]:
        """Where the machine stood before its first step."""
        return self._start

    def rules(self, event: Event) -> list[Rule]:
        """The rows that hold for an event now, refusals among them."""
        return rules_for(self._state, event, self.version, result=self._result, delivery=self.delivery)

    def outcomes(self, event: Event) -> list[Outcome]:
        """The outcomes that the standard permits for an event now, without repeats; empty where it is no trigger."""
        return list(dict.fromkeys(outcome for rule in self.rules(event) for outcome in rule.outcomes))

    def legal_events(self) -> list[Event]:
        """The events that would be accepted now, in the order of `Event`.

        Examples
        --------
        >>> Event.CANCEL in Machine("1.0", state=State.DOWNLOADED).legal_events()
        False
        """
        return [event for event in Event if self.outcomes(event) and not self._refuses(event)]

    def send(self, event: Event | str, *, choose: Outcome | State | UpdateResult | None = None) -> Step:
        """Step by one event.

        Parameters
        ----------
        event : Event or str
            The event, or its text or name.
        choose : State, UpdateResult or (State, UpdateResult), optional
            Which of several permitted outcomes; without it the profile chooses.

        Raises
        ------
        IllegalEvent
            When the event is no trigger now; nothing has changed.
        ChoiceNeeded
            When several outcomes are permitted and nobody has chosen.
        BadInput
            For an event that does not exist, or a choice that is not permitted.
        """
        event = _as_event(event)
        rules = self.rules(event)
        if not any(rule.trigger for rule in rules) or (choose is None and self._refuses(event)):
            raise self._illegal(event, rules)
        outcome = self._choose(event, choose)
        rule = next(rule for rule in rules if outcome in rule.outcomes)
        before = (self._state, self._result)
        self._state = outcome[0]
        self._result = before[1] if outcome[1] is None else outcome[1]
        step = Step(rule, event, before, (self._state, self._result), rule.response, rule.clause)
        self._history = (*self._history, step)
        return step

    def _refuses(self, event: Event) -> bool:
        """Whether the profile refuses what may be refused."""
        return (
            self._profile is not None
            and (self._state, event) in self._profile.refuses
            and all(rule.refusable for rule in self.rules(event))
        )

    def _choose(self, event: Event, choose: Outcome | State | UpdateResult | None) -> Outcome:
        """One of the permitted outcomes."""
        outcomes = self.outcomes(event)
        named = ", ".join(_outcome_text(outcome) for outcome in outcomes)
        if choose is not None:
            fitting = [outcome for outcome in outcomes if _fits(outcome, choose)]
            if len(fitting) != 1:
                raise BadInput(
                    f"{_choice_text(choose)} is not among the permitted outcomes of {event.value!r} in {self._state}; "
                    f"one of {named} is expected"
                )
            return fitting[0]
        if len(outcomes) == 1:
            return outcomes[0]
        chosen = self._profile.choices.get((self._state, event)) if self._profile else None
        if chosen is None or chosen not in outcomes:
            raise ChoiceNeeded(
                f"{event.value!r} in {self._state} has several permitted outcomes: {named}; pass one as choose=",
                outcomes=outcomes,
            )
        return chosen

    def _illegal(self, event: Event, rules: list[Rule]) -> IllegalEvent:
        """The error that says why not, and what instead."""
        accepted = self.legal_events()
        named = ", ".join(repr(one.value) for one in accepted)
        known = [rule for rule in RULES if rule.event == event]
        refusals = [rule for rule in rules if rule.response]
        response, clause = None, "E.6.1"
        if not any(self.version in rule.versions for rule in known):
            response, clause = "4.04", known[0].clause
            why = f"does not exist in Object 5 version {self.version}"
        elif refusals:
            rule = refusals[0]
            response, clause = self._refusal_code(event, rule), rule.clause
            why = f"is refused in {self._state} with {response} ({rule.id}: {rule.clause})"
        else:
            why = f"cannot happen in {self._state} ({clause})"
        return IllegalEvent(
            f"{event.value!r} {why}; accepted here: {named}",
            event=event,
            state=self._state,
            accepted=accepted,
            clause=clause,
            response=response,
        )

    def _refusal_code(self, event: Event, rule: Rule) -> str:
        """The profile's code where it has one, else the rule's, which for a refusable trigger is none of a refusal."""
        code = self._profile.refuses.get((self._state, event)) if self._profile else None
        return code or (rule.response if rule.response and not rule.trigger else None) or "4.05"

    def plot(self) -> Figure:
        """Draw the state diagram from the rules, with the path taken."""
        from lwm2m_lab.show import state_diagram

        figure: Figure = state_diagram(self).figure  # type: ignore[assignment]
        return figure

    def __str__(self) -> str:
        lines = [f"Object 5 version {self.version}, profile {self.profile or 'none'}: {self._state}, {self._result}"]
        lines += [f"  {step}" for step in self._history[-10:]]
        lines.append("  accepted: " + ", ".join(event.value for event in self.legal_events()))
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Machine({self.version!r}, profile={self.profile!r}, state={self._state!s}, result={self._result!s})"

    def _repr_html_(self) -> str:
        events = "".join(
            f"<li>{html.escape(event.value)} <small>{html.escape(self._leads_to(event))}</small></li>"
            for event in self.legal_events()
        )
        steps = "".join(
            f"<tr><td>{step.rule.id}</td><td style='text-align:left'>{html.escape(step.event.value)}</td>"
            f"<td>{html.escape(str(step.before[0]))}</td><td>{html.escape(str(step.after[0]))}</td>"
            f"<td style='text-align:left'>{html.escape(str(step.after[1]))}</td><td>{step.response or ''}</td>"
            f"<td style='text-align:left'>{html.escape(step.clause)}</td></tr>"
            for step in self._history[-8:]
        )
        head = "".join(
            f"<th>{name}</th>" for name in ("rule", "event", "from", "to", "Update Result", "response", "clause")
        )
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{steps}</tbody></table>" if steps else ""
        return (
            f"<p>Object 5 version {self.version}, profile {html.escape(str(self.profile))}<br>"
            f"<b>State {self._state} &middot; Update Result {html.escape(str(self._result))}</b></p>"
            f"{table}<p>Accepted now:</p><ul>{events}</ul>"
        )

    def _leads_to(self, event: Event) -> str:
        return "to " + " or ".join(_outcome_text(outcome) for outcome in self.outcomes(event))


def _as_event(event: Any) -> Event:
    """An event by itself, its text or its name."""
    if isinstance(event, str):
        for one in Event:
            if event in (one.value, one.name):
                return one
    raise BadInput(f"there is no event {event!r}; one of {', '.join(one.name for one in Event)} is expected")


def _fits(outcome: Outcome, choose: Outcome | State | UpdateResult) -> bool:
    if isinstance(choose, tuple):
        return outcome == choose
    return outcome[0] == choose if isinstance(choose, State) else outcome[1] == choose


def _outcome_text(outcome: Outcome) -> str:
    return f"{outcome[0]} with {outcome[1] if outcome[1] is not None else 'the result unchanged'}"


def _choice_text(choose: Outcome | State | UpdateResult) -> str:
    return _outcome_text(choose) if isinstance(choose, tuple) else str(choose)

"""What the conformance bench knows and finds: cases, steps, what came, verdicts. Frozen records, no network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from lwm2m_lab.live.network import Sighting
from lwm2m_lab.live.run import capture_of
from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.spec.rules import VERSIONS
from lwm2m_lab.trace.capture import Capture
from lwm2m_lab.trace.findings import Verdict
from lwm2m_lab.wire.keyring import PreSharedKeys

if TYPE_CHECKING:
    from lwm2m_lab.live.conformance.station import Station

__all__ = [
    "Action",
    "Came",
    "Case",
    "CaseResult",
    "Expectation",
    "Status",
    "Step",
    "StepResult",
    "Verdict",
    "status_text",
    "worst",
]

#: State and Update Result as they were read, None where the device did not say.
Status = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """What came of one step.

    Attributes
    ----------
    codes : tuple of str
        Codes of the answers in order, repeats dropped; empty where nothing was asked.
    before, after : (int or None, int or None)
        State and Update Result before the step and at its end.
    states, results : tuple of int
        Values seen during the step, by reading and by notification, in order, repeats dropped.
    value : str or None
        What a Read brought.
    installed, version_before : str or None
        Version of the image that was delivered last, and `/3/0/3` when the case began.
    silent : str
        Which request went unanswered; the empty string where none did.
    facts : frozenset of str
        What else was noticed, ``"registered"`` or ``"asked from the middle"`` for one.
    """

    codes: tuple[str, ...] = ()
    before: Status = (None, None)
    after: Status = (None, None)
    states: tuple[int, ...] = ()
    results: tuple[int, ...] = ()
    value: str | None = None
    installed: str | None = None
    version_before: str | None = None
    silent: str = ""
    facts: frozenset[str] = frozenset()

    @property
    def code(self) -> str:
        """The code of the last answer."""
        return self.codes[-1] if self.codes else ""

    def __str__(self) -> str:
        said = [", ".join(self.codes)] if self.codes else []
        if self.value is not None:
            said.append(repr(self.value)[:80])
        if self.states or self.results:
            said.append(f"State {_path(self.states)}, Result {_path(self.results)}")
        said += sorted(self.facts)
        if self.silent:
            said.append(f"no answer to {self.silent}")
        return "; ".join(said) or "nothing"


def _path(numbers: Iterable[int]) -> str:
    """Values in the order in which they were seen."""
    return " → ".join(map(str, numbers)) or "not told"


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing that a step expects.

    Attributes
    ----------
    text : str
        In words.
    holds : callable
        Whether it does, given what came; None where that cannot be told.
    """

    text: str
    holds: Callable[[Came], bool | None]

    def judge(self, came: Came) -> Verdict:
        """PASS, FAIL or INCONCLUSIVE.

        Examples
        --------
        >>> from lwm2m_lab.live.conformance.expecting import answer
        >>> answer("4.05").judge(Came(codes=("2.04",))), answer("4.05").judge(Came(silent="POST /5/0/2"))
        (<Verdict.FAIL: 'FAIL'>, <Verdict.INCONCLUSIVE: 'INCONCLUSIVE'>)
        """
        held = self.holds(came)
        if held:
            return Verdict.PASS
        return Verdict.INCONCLUSIVE if held is None or came.silent else Verdict.FAIL


class Action(Protocol):
    """What the server does in a step; its text says so."""

    async def perform(self, station: Station) -> Came:
        """Do it, and tell what came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a case.

    Attributes
    ----------
    do : Action
    expect : tuple of Expectation
        As meant: what the specification asks for.
    printed : tuple of Expectation or None
        As printed in the draft of the test specification, where that differs.
    prepares : bool
        Whether it only leads to what the case is about: where it fails, the case is INCONCLUSIVE.
    unless : Expectation or None
        Where this holds after the step, the case does not apply to the device.
    needs : str
        What the device must offer for this step, as in `Case.needs`; the step is left out otherwise.
    """

    do: Action
    expect: tuple[Expectation, ...]
    printed: tuple[Expectation, ...] | None = None
    prepares: bool = False
    unless: Expectation | None = None
    needs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test case.

    Attributes
    ----------
    id, title : str
        ``"int-772"``; where a case goes both ways, ``"int-776-push"`` and ``"int-776-pull"``. The lab's own checks have
        no number: ``"cancel-updating"``.
    clause : str
        Where it stands, or what it follows from.
    steps : tuple of Step
    versions : tuple of str
        Versions of Object 5 that it is for.
    needs : tuple of str
        What the device must offer: ``"push"``, ``"pull"``, ``"http"``, ``"/5/0/10"``, ``"/3/0/3"``.
    prepared : str
        A state that the device must have been brought to, or an image made for it: a name in `station.PREPARATIONS`.
    errata : tuple of str
        What is wrong in the draft.
    watches : bool
        Whether State and Update Result are observed all along.
    is_printed : bool
        Whether the draft prints steps; False for the lab's own checks, and for a case of which it has the title alone.
    """

    id: str
    title: str
    clause: str
    steps: tuple[Step, ...]
    versions: tuple[str, ...] = VERSIONS
    needs: tuple[str, ...] = ()
    prepared: str = ""
    errata: tuple[str, ...] = ()
    watches: bool = True
    is_printed: bool = True

    def __repr__(self) -> str:
        return f"Case({self.id!r}, {self.title!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """One step as it went.

    Attributes
    ----------
    number : int
        From 1.
    did, expected, came : str
    missed : str
        What of that did not come, as meant or, where only that is missed, as printed.
    printed : str or None
        What the draft prints, where that differs.
    verdict : Verdict
        As meant.
    as_printed : Verdict or None
        As printed; None where the draft prints nothing.
    """

    number: int
    did: str
    expected: str
    came: str
    verdict: Verdict
    missed: str = ""
    printed: str | None = None
    as_printed: Verdict | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """One case as it went.

    Attributes
    ----------
    case : Case
    verdict : Verdict
        As meant: this one counts.
    as_printed : Verdict or None
        By the letter of the draft; None where it prints nothing.
    sentence : str
        Why.
    steps : tuple of StepResult
        Those that were taken; a case ends at the first step that does not pass as meant.
    duration_s : float
        Seconds on the clock of the run, simulated ones where time is.
    awaits : str
        What an operator would have to prepare for the case to be tried; the empty string where it was.
    sightings : tuple of Sighting
        What passed the bench's sockets meanwhile.
    psk : mapping or None
        What opens it, where it is DTLS.
    """

    case: Case
    verdict: Verdict
    sentence: str
    as_printed: Verdict | None = None
    steps: tuple[StepResult, ...] = ()
    duration_s: float = 0.0
    awaits: str = ""
    sightings: tuple[Sighting, ...] = field(default=(), repr=False)
    psk: PreSharedKeys | None = field(default=None, repr=False, compare=False)

    @property
    def is_unanswered(self) -> bool:
        """Whether the case could not be begun because nobody answered."""
        return self.verdict == Verdict.INCONCLUSIVE and not self.steps and not self.awaits

    @property
    def capture(self) -> Capture:
        """What passed the bench's sockets, as any capture: it can be explained, charted and saved."""
        return capture_of(self.sightings, name=self.case.id, side="server", psk=self.psk)


_WORST_FIRST = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.NOT_APPLICABLE)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of several together.

    Examples
    --------
    >>> print(worst([Verdict.PASS, Verdict.NOT_APPLICABLE, Verdict.INCONCLUSIVE]))
    INCONCLUSIVE
    """
    return min(verdicts, key=_WORST_FIRST.index, default=Verdict.NOT_APPLICABLE)


def status_text(status: Status) -> str:
    """State and Update Result in words.

    Examples
    --------
    >>> status_text((2, 0)), status_text((None, 12))
    ('State 2 Downloaded, Result 0 Initial value', 'State not told, Result 12')
    """
    state, result = status
    state_text = "not told" if state is None else str(State(state)) if state in set(State) else str(state)
    known = result in set(UpdateResult)
    result_text = "not told" if result is None else str(UpdateResult(result)) if known else str(result)
    return f"State {state_text}, Result {result_text}"

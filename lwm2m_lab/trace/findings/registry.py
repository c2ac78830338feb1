"""The registry of rules, and how the verdict of an update follows from its findings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.updates import Update, with_verdict

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["RULES", "Case", "Conclusion", "Finding", "Rule", "Said", "Verdict", "findings_of", "judge", "rule"]

Party = Literal["device", "server", "repository", "network"]
Certainty = Literal["proved", "suspected"]


class Verdict(StrEnum):
    """What a rule concluded."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_APPLICABLE = "NOT APPLICABLE"


class Finding(NamedTuple):
    """What one rule concluded of one update.

    Attributes
    ----------
    rule, title : str
    verdict : Verdict
    certainty : {"proved", "suspected"}
    party : {"device", "server", "repository", "network"}
        Whose doing it is.
    sentence, clause : str
    endpoint : str
    frames : tuple of int
        The evidence.
    begins : int
        First frame of the update that it speaks of.
    """

    rule: str
    title: str
    verdict: Verdict
    certainty: Certainty
    party: Party
    sentence: str
    clause: str
    endpoint: str
    frames: tuple[int, ...] = ()
    begins: int = 0

    def speaks_of(self, update: Update) -> bool:
        """Whether it is one of the findings of this update."""
        return (self.endpoint, self.begins) == (update.endpoint, update.frames[0])

    def to_dict(self) -> dict[str, Any]:
        """The fields of the contract."""
        fields = {**self._asdict(), "verdict": str(self.verdict), "frames": list(self.frames)}
        del fields["begins"]
        return fields

    def __str__(self) -> str:
        frames = f" (frames {', '.join(map(str, self.frames[:6]))})" if self.frames else ""
        return f"{self.rule} {self.verdict}, {self.certainty}, {self.party}: {self.sentence}{frames} [{self.clause}]"


class Said(NamedTuple):
    """What a rule yields where its certainty or the party differs from the rule's own.

    Attributes
    ----------
    verdict : Verdict
    sentence : str
    frames : iterable of int
        The evidence.
    certainty, party : str, optional
        Without them the rule's own.
    """

    verdict: Verdict
    sentence: str
    frames: Iterable[int] = ()
    certainty: Certainty | None = None
    party: Party | None = None


Conclusion = Said | tuple[Verdict, str, Iterable[int]]
Body = Callable[[Case], Iterator[Conclusion]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the registry."""

    id: str
    title: str
    clause: str
    party: Party
    certainty: Certainty
    body: Body
    judges_update: bool = True
    after: tuple[str, ...] = ()

    def findings(self, case: Case) -> list[Finding]:
        """What the rule concludes of one update; a rule that yields nothing did not apply.

        An error in the rule ends the rule, not the explanation: it is told as a finding that leaves the case open.
        """
        found = []
        try:
            for said in self.body(case):
                found.append(self._finding(case, *said))
        except Exception as error:
            reason = " ".join(f"the rule could not be applied: {type(error).__name__}: {error}".split())
            found.append(self._finding(case, Verdict.INCONCLUSIVE, reason, ()))
        return found or [self._silent(case)]

    def _silent(self, case: Case) -> Finding:
        said, update = "nothing here that this rule speaks of", case.update
        judged = (self.id, self.title, Verdict.NOT_APPLICABLE)
        return Finding(*judged, "proved", self.party, said, self.clause, update.endpoint, (), update.frames[0])

    def _finding(
        self,
        case: Case,
        said: Verdict,
        sentence: str,
        frames: Iterable[int],
        certainty: Certainty | None = None,
        party: Party | None = None,
    ) -> Finding:
        verdict = Verdict(said)
        usual: Certainty = "suspected" if verdict is Verdict.INCONCLUSIVE else "proved"
        return Finding(
            self.id,
            self.title,
            verdict,
            certainty or (self.certainty if verdict is Verdict.FAIL else usual),
            party or self.party,
            sentence,
            self.clause,
            case.update.endpoint,
            tuple(sorted(set(map(int, frames)))),
            case.update.frames[0],
        )


#: Rules that say what the outcome says already, where both name one frame: nobody answered, the repository refused.
_RESTATES = frozenset({"M0", "F11"})
#: The rules by id, in the order in which they were registered.
RULES: dict[str, Rule] = {}


def rule(
    id: str,
    title: str,
    *,
    clause: str,
    party: Party = "device",
    certainty: Certainty = "proved",
    judges_update: bool = True,
    after: Iterable[str] = (),
) -> Callable[[Body], Body]:
    """Register a rule.

    The function is given a `Case` and yields (verdict, sentence, frames), or `Said` where certainty or party differ
    from the rule's own; it yields nothing where it does not apply.

    Parameters
    ----------
    id, title, clause : str
    party : {"device", "server", "repository", "network"}
        Whose doing a failure is.
    certainty : {"proved", "suspected"}
        Of a failure.
    judges_update : bool
        False for a rule about something else than the update, such as what was declared: its findings are told and
        leave the verdict of the update alone.
    after : iterable of str
        Ids of the rules whose failure or open question in the same update explains this one's: it is then told as
        their consequence.

    Raises
    ------
    BadInput
        For an id that another rule has.

    Examples
    --------
    >>> @rule("X1", "an image of even size", clause="none", party="server", certainty="suspected")
    ... def even(case):
    ...     if case.update.image_size is not None:
    ...         yield (Verdict.FAIL if case.update.image_size % 2 else Verdict.PASS), "the size says it", ()
    >>> del RULES["X1"]
    """

    def register(body: Body) -> Body:
        if id in RULES and RULES[id].body.__qualname__ != body.__qualname__:
            raise BadInput(f"a rule {id!r} exists already; another id is expected")
        RULES[id] = Rule(id, title, clause, party, certainty, body, judges_update, tuple(after))
        return body

    return register


def findings_of(capture: Capture) -> list[Finding]:
    """Everything that the rules conclude of the updates of a capture, update by update."""
    return [finding for one in capture.judged() for finding in one[1]]


def judge(updates: Iterable[Update]) -> list[tuple[Update, list[Finding]]]:
    """Each update with its verdict, a cause where that is FAIL, and the findings behind it, first causes first."""
    return [_judged(update) for update in updates]


def _judged(update: Update) -> tuple[Update, list[Finding]]:
    from lwm2m_lab.trace.findings.chains import chained

    case = Case(update)
    chain = chained([finding for rule in RULES.values() for finding in rule.findings(case)])
    found = [one for _, one in chain]
    counted = [one for one in found if one.party == "device" and RULES[one.rule].judges_update]
    verdict = _verdict(counted)
    cause, clause = _cause(update, chain, verdict)
    return with_verdict(update, str(verdict), cause, clause), found


def _cause(update: Update, chain: list[tuple[int, Finding]], verdict: Verdict) -> tuple[str | None, str]:
    """Why the update did not succeed, or why the device fails: how it ended, and the first cause among the findings."""
    first = _first_cause(update, chain, verdict)
    if first is None:
        return _with_suspicion(update, chain), update.clause
    told = {int(number) for number in re.findall(r"frame (\d+)", update.cause or "")}
    if first.rule in _RESTATES and first.frames and {first.frames[0], first.frames[-1]} & told:
        return update.cause, first.clause
    if update.shown_by in first.frames or update.cause is None:
        # It quotes the frame that shows the outcome: nothing is left to say.
        return first.sentence, first.clause
    return f"{update.cause}; {first.sentence}", first.clause


def _with_suspicion(update: Update, chain: list[tuple[int, Finding]]) -> str | None:
    """The cause of a failure that nothing proved explains, with the first suspicion about it."""
    for depth, one in chain if update.outcome == "failed" else ():
        if depth == 0 and one.verdict is Verdict.FAIL and RULES[one.rule].judges_update:
            return f"{update.cause}; suspected: {one.sentence}"
    return update.cause


def _first_cause(update: Update, chain: list[tuple[int, Finding]], verdict: Verdict) -> Finding | None:
    """What stands above the first failure that explains the outcome, or the verdict where the update succeeded."""
    root = None
    for depth, one in chain:
        if one.verdict not in (Verdict.FAIL, Verdict.INCONCLUSIVE):
            # What accuses nobody stands behind all that does.
            return None
        root = one if depth == 0 or root is None else root
        if not RULES[one.rule].judges_update:
            continue
        if one.verdict == Verdict.INCONCLUSIVE:
            explains = one.party != "device" and _explains_silence(one, update)
        elif update.outcome == "succeeded":
            explains = verdict == Verdict.FAIL and (one.party, one.certainty) == ("device", "proved")
        else:
            explains = one.certainty == "proved" or _explains_silence(one, update)
        if explains:
            return root
    return None


def _explains_silence(one: Finding, update: Update) -> bool:
    """Whether a suspicion is about what came last: a registration that never came, a request that nobody answered."""
    return update.outcome == "unfinished" and bool(one.frames) and one.frames[-1] >= update.evidence.last_frame


def _verdict(findings: list[Finding]) -> Verdict:
    """Of the device: a proved FAIL fails, a suspicion or missing evidence leaves it open."""
    verdicts = {finding.verdict for finding in findings}
    if any(finding.verdict == Verdict.FAIL and finding.certainty == "proved" for finding in findings):
        return Verdict.FAIL
    if Verdict.FAIL in verdicts or Verdict.INCONCLUSIVE in verdicts:
        return Verdict.INCONCLUSIVE
    return Verdict.PASS if Verdict.PASS in verdicts else Verdict.NOT_APPLICABLE

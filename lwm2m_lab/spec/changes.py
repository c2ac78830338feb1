"""What came, went and changed between two versions of Object 5: rules, resources, results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lwm2m_lab.errors import BadInput
from lwm2m_lab.spec.objects import FIRMWARE_UPDATE, Resource, State, UpdateResult
from lwm2m_lab.spec.rules import RULES, VERSIONS, Event, Outcome, Rule

__all__ = ["Change", "Kind", "changes"]

Kind = Literal["came", "went", "changed"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two versions.

    Attributes
    ----------
    kind : {"came", "went", "changed"}
    what : {"rule", "resource", "result"}
    id : str
        ``"T14"``, ``"T15, T16"``, ``"/5/0/10"``, ``"10"``.
    name : str
        What it is: the event in its state, the resource, the result.
    before, after : str
        What each version says; empty where it does not know it.
    clause : str
    state : State or None
        Of a rule: the state in which it holds.
    event : Event or None
    """

    kind: Kind
    what: Literal["rule", "resource", "result"]
    id: str
    name: str
    before: str
    after: str
    clause: str
    state: State | None = None
    event: Event | None = None

    def __str__(self) -> str:
        return f"{self.kind:<8} {self.id:<9} {self.name}: {self.before or '-'} -> {self.after or '-'} [{self.clause}]"


def changes(old: str, new: str) -> tuple[Change, ...]:
    """The differences between two versions of Object 5: rules in the order of states, then resources, then results.

    Parameters
    ----------
    old, new : {"1.0", "1.1", "1.2"}

    Raises
    ------
    BadInput
        For another version.

    Examples
    --------
    >>> for change in changes("1.1", "1.2"):
    ...     print(change)
    came     T20       automatic upgrade in 2 Downloaded: - -> 3 Updating with 0 [Object 5, resource 14]
    came     /5/0/14   Automatic Upgrade at Download: - -> RW, optional, Boolean [Object 5, resource 14]
    """
    for version in (old, new):
        if version not in VERSIONS:
            raise BadInput(f"version of Object 5 is {version!r}; one of {', '.join(VERSIONS)} is expected")
    return (*_rules(old, new), *_resources(old, new), *_results(old, new))


def _rules(old: str, new: str) -> list[Change]:
    found = []
    for state in State:
        for event in Event:
            rows = [rule for rule in RULES if (rule.source, rule.event) == (state, event)]
            pair = [[rule for rule in rows if version in rule.versions] for version in (old, new)]
            before, after = (_outcomes(own) for own in pair)
            if before == after:
                continue
            # The rows that only one of the versions has; where both have all, those of the later one.
            differ = [rule for rule in rows if (rule in pair[0]) != (rule in pair[1])] or pair[1]
            name = f"{event.value} in {state}"
            ids = ", ".join(dict.fromkeys(rule.id for rule in differ))
            clause = "; ".join(dict.fromkeys(rule.clause for rule in differ))
            found.append(Change(_kind(before, after), "rule", ids, name, before, after, clause, state, event))
    return found


def _outcomes(rules: list[Rule]) -> str:
    """What the rules permit, in words; empty where there is none."""
    outcomes = dict.fromkeys(outcome for rule in rules for outcome in rule.outcomes)
    if outcomes:
        return " or ".join(_text(outcome) for outcome in outcomes)
    return "refused, " + " or ".join(dict.fromkeys(rule.response or "" for rule in rules)) if rules else ""


def _text(outcome: Outcome) -> str:
    result = "the result as it was" if outcome[1] is None else outcome[1].value
    return f"{outcome[0]} with {result}"


def _resources(old: str, new: str) -> list[Change]:
    one, other = (FIRMWARE_UPDATE[version].resources for version in (old, new))
    found = []
    for number in sorted({*one, *other}):
        before, after = (_described(rows.get(number)) for rows in (one, other))
        if before != after:
            name = (other.get(number) or one[number]).name
            clause = f"Object 5, resource {number}"
            found.append(Change(_kind(before, after), "resource", f"/5/0/{number}", name, before, after, clause))
    return found


def _described(resource: Resource | None) -> str:
    if resource is None:
        return ""
    need = "mandatory" if resource.mandatory else "optional"
    kind = " ".join(filter(None, (resource.type, resource.range, resource.units)))
    return ", ".join(filter(None, (resource.operations, need, kind)))


def _results(old: str, new: str) -> list[Change]:
    found = []
    for result in UpdateResult:
        before, after = ("a result" if result.valid(version) else "" for version in (old, new))
        if before != after:
            name = str(result).partition(" ")[2]
            clause = "Object 5, resource 5"
            found.append(Change(_kind(before, after), "result", str(result.value), name, before, after, clause))
    return found


def _kind(before: str, after: str) -> Kind:
    return "changed" if before and after else "came" if after else "went"

"""Findings in the order of cause: first causes first, each followed by what it led to."""

from __future__ import annotations

from collections.abc import Iterable

from lwm2m_lab.trace.findings.registry import RULES, Finding, Verdict

__all__ = ["LAYERS", "chained", "layer_of"]

#: From the bottom up, with the first letters of the rules there.
LAYERS = {
    "Messages": "MCN",
    "Block-wise transfer": "WB",
    "Registration": "G",
    "Object 5 and LwM2M": "FORTA",
    "Versions": "V",
}
_LAYER = {letter: number for number, letters in enumerate(LAYERS.values()) for letter in letters}
_PARTIES = ("network", "repository", "server", "device")
_OPEN = (Verdict.FAIL, Verdict.INCONCLUSIVE)
Key = tuple[int, int, float, int, str]


def chained(findings: Iterable[Finding]) -> list[tuple[int, Finding]]:
    """The findings of one update, each with its depth: 0 for a first cause, 1 for what it led to, and so on.

    First the failures that are proved, then the suspected ones, then what is open, and what does not judge the update
    last; among them the lowest layer, the earliest frame, the party furthest from the device. Findings that accuse
    nobody follow at the end, in the order of their rules.

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> found = lab.explain("anjay-push-link-cut-midway").findings
    >>> [(depth, one.rule) for depth, one in chained(found)][0]
    (0, 'M0')
    """
    everything = list(findings)
    open_ = sorted((one for one in everything if one.verdict in _OPEN), key=_key)
    by_rule: dict[str, list[Finding]] = {}
    for one in open_:
        by_rule.setdefault(one.rule, []).append(one)
    parents = _parents(list(by_rule))
    children: dict[str | None, list[str]] = {}
    for name in by_rule:
        children.setdefault(parents.get(name), []).append(name)
    ordered = _walk(None, children, by_rule)[1]
    order = (Verdict.PASS, Verdict.NOT_APPLICABLE)
    return ordered + [(0, one) for verdict in order for one in everything if one.verdict == verdict]


def layer_of(rule: str) -> int:
    """The layer that a rule speaks of: its place in `LAYERS`; that of Object 5 for a rule of the user's own.

    Examples
    --------
    >>> layer_of("M2"), layer_of("V1"), layer_of("house rule")
    (0, 4, 3)
    """
    return _LAYER.get(rule[:1], _LAYER["F"])


def _key(one: Finding) -> Key:
    rule = RULES.get(one.rule)
    rank = 2 if one.verdict == Verdict.INCONCLUSIVE else int(one.certainty == "suspected")
    rank = rank if rule is None or rule.judges_update else 3
    first = one.frames[0] if one.frames else float("inf")
    return rank, layer_of(one.rule), first, _PARTIES.index(one.party), one.rule


def _parents(names: list[str]) -> dict[str, str]:
    """What explains each rule among those that found something; no rule explains itself over others."""
    parents: dict[str, str] = {}
    for name in names:
        for cause in RULES[name].after if name in RULES else ():
            at: str | None = cause
            while at is not None and at != name:
                at = parents.get(at)
            if cause in names and at is None:
                parents[name] = cause
                break
    return parents


def _walk(
    name: str | None, children: dict[str | None, list[str]], by_rule: dict[str, list[Finding]]
) -> tuple[Key | None, list[tuple[int, Finding]]]:
    """One rule's findings with their consequences below; the best place that any of them deserves goes with it."""
    below = [_walk(one, children, by_rule) for one in children.get(name, ())]
    below.sort(key=lambda one: one[0] or ())
    deeper = [(depth + (name is not None), one) for _, found in below for depth, one in found]
    if name is None:
        return None, deeper
    own = by_rule[name]
    keys = [_key(own[0]), *(key for key, _ in below if key is not None)]
    return min(keys), [*((0, one) for one in own), *deeper]

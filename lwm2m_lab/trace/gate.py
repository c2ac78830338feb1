"""The question of a build server: did every update go as expected, and does nothing fail a rule?"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.findings import RULES, Finding, Verdict
from lwm2m_lab.trace.outcomes import Outcome
from lwm2m_lab.trace.updates import Update

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["Check", "CheckedUpdate", "check_capture"]

OUTCOMES: tuple[str, ...] = get_args(Outcome)


@dataclass(frozen=True)
class CheckedUpdate:
    """One update at the gate.

    Attributes
    ----------
    update : Update or None
        None for findings that belong to no update.
    findings : tuple of Finding
        Those that count.
    ignored : tuple of Finding
        Those that were ignored.
    expected : tuple of str
        The outcomes that pass.
    strict : bool
        Whether an INCONCLUSIVE finding stops, too.
    """

    update: Update | None
    findings: tuple[Finding, ...]
    ignored: tuple[Finding, ...]
    expected: tuple[str, ...]
    strict: bool

    @property
    def name(self) -> str:
        """What to call it."""
        if self.update is None:
            return "the capture itself"
        return f"{self.update.endpoint}, {self.update.delivery} from frame {self.update.frames[0]}"

    @property
    def outcome_passes(self) -> bool:
        """Whether it ended as expected."""
        return self.update is None or self.update.outcome in self.expected

    def stops(self, finding: Finding) -> bool:
        """Whether a finding keeps the gate shut."""
        return finding.verdict == Verdict.FAIL or (self.strict and finding.verdict == Verdict.INCONCLUSIVE)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it does not pass, a sentence each."""
        said = []
        if self.update is not None and not self.outcome_passes:
            cause = f": {self.update.cause}" if self.update.cause else ""
            expected = " or ".join(self.expected)
            said.append(f"{self.name}: {self.update.outcome} where {expected} is expected{cause}")
        said += [f"{self.name}: {finding}" for finding in self.findings if self.stops(finding)]
        return tuple(said)


@dataclass(frozen=True)
class Check:
    """What the gate says of a capture; true where it passes.

    Attributes
    ----------
    name : str
        Of the capture.
    updates : tuple of CheckedUpdate
    reasons : tuple of str
        Why it does not pass, a sentence each; empty where it does.

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> bool(lab.read("anjay-push-256-ok").check()), bool(lab.read("anjay-push-badcrc").check())
    (True, False)
    >>> bool(lab.read("anjay-push-badcrc").check(expect="failed"))
    True
    """

    name: str
    updates: tuple[CheckedUpdate, ...]
    reasons: tuple[str, ...]

    @property
    def passes(self) -> bool:
        """Whether every update ended as expected and nothing that counts fails a rule."""
        return not self.reasons

    def __bool__(self) -> bool:
        return self.passes

    def junit(self) -> str:
        """The same as JUnit XML: a test suite for each update, a test case for each rule."""
        from lwm2m_lab.trace.junit import junit_xml

        return junit_xml(self)

    def __str__(self) -> str:
        from lwm2m_lab.wire.text import printable

        number = sum(one.update is not None for one in self.updates)
        head = f"{self.name}: {'passes' if self.passes else 'does not pass'}, {number} update{'s' * (number != 1)}"
        return "\n".join(printable(line) for line in [head, *(f"  {reason}" for reason in self.reasons)])

    def __repr__(self) -> str:
        return str(self)


def check_capture(
    capture: Capture, *, expect: str | Sequence[str], rules: Sequence[str], ignore: Sequence[str], strict: bool
) -> Check:
    """What `Capture.check` does."""
    expected = (expect,) if isinstance(expect, str) else tuple(expect)
    for outcome in expected:
        if outcome not in OUTCOMES:
            raise BadInput(f"the expected outcome is {outcome!r}; one of {', '.join(OUTCOMES)} is expected")
    if not expected:
        raise BadInput(f"no outcome is expected; one of {', '.join(OUTCOMES)} is expected")
    for name in (*rules, *ignore):
        _check_rule(name)
    own = set(rules) or set(RULES)
    shut_out = set(ignore)

    def checked(update: Update | None, findings: Sequence[Finding]) -> CheckedUpdate:
        wanted = [one for one in findings if one.rule in own]
        counted = tuple(one for one in wanted if one.rule not in shut_out)
        return CheckedUpdate(update, counted, tuple(one for one in wanted if one.rule in shut_out), expected, strict)

    judged = capture.judged()
    updates = [checked(update, findings) for update, findings in judged]
    taken = {finding for _, findings in judged for finding in findings}
    others = [finding for finding in capture.explain().findings if finding not in taken]
    if others:
        updates.append(checked(None, others))
    reasons = [reason for one in updates for reason in one.reasons]
    if not judged:
        reasons.insert(0, f"no firmware update was seen: {capture.explain().sentence}")
    return Check(capture.name, tuple(updates), tuple(reasons))


def _check_rule(name: Any) -> None:
    if name not in RULES:
        by_upper = {one.upper(): one for one in RULES}
        near = difflib.get_close_matches(str(name).upper(), by_upper, 1, cutoff=0.0)[0]
        raise BadInput(f"there is no rule {name!r}; {by_upper[near]}, the nearest, is expected")

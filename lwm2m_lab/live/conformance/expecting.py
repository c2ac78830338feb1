"""What a step may expect, in the words of a test specification: each a text and a question to what came."""

from __future__ import annotations

from lwm2m_lab.live.conformance.records import Came, Expectation
from lwm2m_lab.spec.objects import State

__all__ = [
    "answer",
    "any_answer",
    "blocks_continue",
    "both",
    "no_result",
    "not_in",
    "noticed",
    "one_of",
    "passes",
    "passes_only",
    "refused",
    "results_only",
    "status",
    "unchanged",
    "value",
    "version_installed",
    "version_kept",
]


def answer(*codes: str) -> Expectation:
    """The last answer has one of these codes."""
    return Expectation(f"answer {' or '.join(codes)}", lambda came: came.code in codes if came.codes else None)


def any_answer() -> Expectation:
    """An answer, with whatever code: what came of a download shows in Update Result (E.6.1; A15)."""
    return Expectation("an answer, whatever its code", lambda came: True if came.codes else None)


def refused() -> Expectation:
    """The request is refused, with whatever code."""
    return Expectation(
        "a refusal (4.xx or 5.xx)", lambda came: came.code.startswith(("4", "5")) if came.codes else None
    )


def blocks_continue() -> Expectation:
    """Every block but the last is answered 2.31, or 2.04 where each is enacted at once; the last one 2.04."""
    return Expectation(
        "2.31 or 2.04 to each block, 2.04 to the last",
        lambda came: came.code == "2.04" and set(came.codes) <= {"2.31", "2.04"} if came.codes else None,
    )


def status(*texts: str) -> Expectation:
    """State and Update Result at the end of the step, ``"2/0"``."""
    wanted = {(int(state), int(result)) for state, _, result in (text.partition("/") for text in texts)}
    named = " or ".join(f"State {state}, Result {result}" for state, result in sorted(wanted))
    return Expectation(named, lambda came: None if None in came.after else came.after in wanted)


def not_in(state: State) -> Expectation:
    """Any state but this one."""
    return Expectation(
        f"State is not {int(state)}", lambda came: None if came.after[0] is None else came.after[0] != state
    )


def unchanged() -> Expectation:
    """State and Update Result are what they were."""
    return Expectation(
        "State and Result unchanged",
        lambda came: None if None in (*came.before, *came.after) else came.before == came.after,
    )


def passes(state: State) -> Expectation:
    """The state is seen on the way."""
    return Expectation(f"State {int(state)} is seen", lambda came: state in came.states)


def passes_only(*states: int) -> Expectation:
    """No other state is seen; the first sighting, from before the step, may be any."""
    named = ", ".join(map(str, states))
    return Expectation(
        f"no State but {named}", lambda came: set(came.states) <= {*states, came.before[0]} if came.states else None
    )


def results_only(*results: int) -> Expectation:
    """No other Update Result is seen."""
    named = ", ".join(map(str, results))
    return Expectation(
        f"no Result but {named}", lambda came: set(came.results) <= set(results) if came.results else None
    )


def no_result(result: int) -> Expectation:
    """This Update Result is not seen."""
    return Expectation(f"never Result {result}", lambda came: result not in came.results)


def value(text: str, *wanted: str) -> Expectation:
    """The value read is one of these; of none given, any."""
    return Expectation(text, lambda came: came.value is not None and (not wanted or came.value in wanted))


def one_of(text: str, *expectations: Expectation) -> Expectation:
    """At least one of several holds."""

    def holds(came: Came) -> bool | None:
        held = [one.holds(came) for one in expectations]
        return True if True in held else None if None in held else False

    return Expectation(text, holds)


def both(*expectations: Expectation) -> Expectation:
    """Each of several holds."""

    def holds(came: Came) -> bool | None:
        held = [one.holds(came) for one in expectations]
        return False if False in held else None if None in held else True

    return Expectation(" and ".join(one.text for one in expectations), holds)


def noticed(fact: str, text: str, *, is_so: bool = True) -> Expectation:
    """Something else was noticed, or was not."""
    return Expectation(text, lambda came: (fact in came.facts) == is_so)


def version_installed() -> Expectation:
    """`/3/0/3` is the version of the image that was installed; undecided where that is not known."""
    return Expectation(
        "the version of the installed image",
        lambda came: None if came.installed is None else came.value == came.installed,
    )


def version_kept() -> Expectation:
    """`/3/0/3` is what it was when the case began."""
    return Expectation("the version from before", lambda came: came.value == came.version_before)

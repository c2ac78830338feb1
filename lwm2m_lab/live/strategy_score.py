"""A strategy of one's own against the devices of the table and against unseen ones: what errors cost."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.catalogue import CATALOGUE, OTHER_KINDS, NamedDevice
from lwm2m_lab.live.strategies import Judge, Seen
from lwm2m_lab.live.truth_table import Case, observed

__all__ = ["COSTS", "StrategyScore", "judged", "score_strategy", "shuffled_devices"]

#: Points that an answer costs: not to know is cheaper than to be wrong.
COSTS = {"ok": 0, "?": 1, "FF": 3, "FS": 3}


def judged(updated: Judge, seen: Seen) -> bool | None:
    """What a strategy says, held to the three answers.

    Raises
    ------
    BadInput
        For any other answer, and for a function that fails.
    """
    try:
        said = updated(seen)
    except Exception as error:
        raise BadInput(f"the strategy fails with {error!r} for {seen.first}; an answer is expected") from error
    if said is not None and not isinstance(said, bool):
        raise BadInput(f"the strategy answers {said!r}; True, False or None is expected")
    return said


@dataclass(frozen=True, slots=True)
class StrategyScore:
    """How a strategy did; prints as a row.

    Attributes
    ----------
    row : dict of str to str
        Score by device, the row S8.
    unseen : tuple of str
        Scores of the shuffled devices.
    worst : str
        The first wrong answer, else the first that was none, with what was seen; "" where there is neither.
    """

    row: dict[str, str]
    unseen: tuple[str, ...]
    worst: str = ""

    @property
    def cost(self) -> int:
        """Points lost, over both."""
        return sum(COSTS[one] for one in (*self.row.values(), *self.unseen))

    def __str__(self) -> str:
        counted = Counter(self.unseen)
        words = ", ".join(f"{counted[one]} {one}" for one in COSTS if counted[one])
        cells = "  ".join(f"{name} {one}" for name, one in self.row.items())
        return f"S8: {cells}\nunseen: {words}; {self.cost} points lost"


def shuffled_devices(count: int, *, seed: int) -> list[NamedDevice]:
    """Devices with other versions and times: of the catalogue's kinds and of other kinds, in turn."""
    dice = random.Random(seed)
    found = []
    for number in range(count):
        kind = dice.choice(OTHER_KINDS if number % 2 else tuple(CATALOGUE.values()))
        before = f"{dice.randint(1, 4)}.{dice.randint(0, 9)}.0"
        target = before if kind.name == "D10" else f"{dice.randint(5, 9)}.{dice.randint(0, 9)}.0"
        options = replace(
            kind.options, firmware_version=before, reboot_time=float(dice.randint(2, 20)),
            install_time=kind.options.install_time + dice.randint(-2, 6),
        )  # fmt: skip
        found.append(replace(kind, name=f"U{number + 1}", target=target, options=options))
    return found


def score_strategy(updated: Judge, *, unseen: int = 22, seed: int = 1) -> StrategyScore:
    """Score a function as row S8.

    Parameters
    ----------
    updated : callable
        ``def updated(seen) -> True | False | None``.
    unseen : int
        How many shuffled devices.
    seed : int

    Raises
    ------
    BadInput
        For a function that fails, or answers otherwise.

    Examples
    --------
    >>> print(score_strategy(lambda seen: None, unseen=2))
    S8: D1 ?  D2 ?  D3 ?  D4 ?  D5 ?  D6 ?  D7 ?  D8 ?  D9 ?  D10 ?  D11 ?
    unseen: 2 ?; 13 points lost
    """
    if not callable(updated):
        raise BadInput(f"{updated!r} is no strategy; a function of seen is expected")
    known, others = _cases(tuple(CATALOGUE.values())), _cases(shuffled_devices(unseen, seed=seed))
    row = [one.score(judged(updated, one.seen)) for one in known]
    unseen_row = [one.score(judged(updated, one.seen)) for one in others]
    told = [(score, f"{one.name}, which {one.about}", one) for one, score in zip(known, row, strict=True)]
    told += [(score, "a device that you have not seen", one) for one, score in zip(others, unseen_row, strict=True)]
    names = [one.name for one in known]
    return StrategyScore(dict(zip(names, row, strict=True)), tuple(unseen_row), _worst(told))


def _worst(told: Sequence[tuple[str, str, Case]]) -> str:
    """The costliest of all answers in words, the first of them; D11, whom all believe, comes last."""
    lies = CATALOGUE["D11"].about
    score, who, case = max(told, key=lambda one: (COSTS[one[0]], one[2].about != lies))
    if score == "ok":
        return ""
    says = {"FS": "takes for updated", "FF": "takes for not updated", "?": "does not decide on"}[score]
    seen, settled = case.seen, case.seen.settled or "not seen"
    return f"it {says} {who}: downloaded {seen.downloaded}, first look {seen.first}, settled {settled}"


def _cases(devices: Sequence[NamedDevice]) -> list[Case]:
    return [observed(one) for one in devices]

"""Which version is it? Devices x strategies, computed from runs: who is fooled, and who cannot decide.

Each device is updated once, by a server that looks at every moment; each strategy is then asked about what was seen.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lwm2m_lab.live.catalogue import CATALOGUE, NamedDevice
from lwm2m_lab.live.catalogue import device as device_named
from lwm2m_lab.live.client import Happening
from lwm2m_lab.live.image import image
from lwm2m_lab.live.run import Run
from lwm2m_lab.live.server_options import ServerOptions
from lwm2m_lab.live.staged import Stage
from lwm2m_lab.live.strategies import STRATEGIES, Judge, Seen, Strategy, strategy_named

__all__ = ["Case", "TruthTable", "case_run", "observed", "runs_image", "truth_table"]

#: How a server is told to look at everything, and to wait until the device has settled.
PATIENT = ServerOptions(strategy="S7", time_limit=600.0)
SIZE = 2_000


@dataclass(frozen=True, slots=True)
class Case:
    """One device that was updated.

    Attributes
    ----------
    name, about : str
    seen : Seen
        What the server saw.
    runs_new : bool
        Whether the device runs the new image in the end: what the device itself knows.
    run : Run
        Its update.
    """

    name: str
    about: str
    seen: Seen
    runs_new: bool
    run: Run = field(repr=False, compare=False)

    def score(self, judged: bool | None) -> str:
        """``"ok"``, ``"FS"`` (false success), ``"FF"`` (false failure) or ``"?"`` (undecided).

        Examples
        --------
        >>> observed("D4").score(False)
        'FF'
        """
        if judged is None:
            return "?"
        if bool(judged) == self.runs_new:
            return "ok"
        return "FS" if judged else "FF"


@dataclass(frozen=True)
class TruthTable:
    """Who is fooled; prints as the table.

    Attributes
    ----------
    cases : tuple of Case
        The devices.
    strategies : tuple of Strategy
    """

    cases: tuple[Case, ...]
    strategies: tuple[Strategy, ...]

    def __getitem__(self, strategy: str) -> dict[str, str]:
        """The row of a strategy, by device.

        Raises
        ------
        KeyError
            For a strategy that is not in the table.
        """
        judge = {one.name: one.judge for one in self.strategies}[strategy]
        return {case.name: case.score(judge(case.seen)) for case in self.cases}

    @property
    def rows(self) -> Mapping[str, Mapping[str, str]]:
        """Strategy, device, score."""
        return {one.name: self[one.name] for one in self.strategies}

    def with_strategy(self, own: str | Judge) -> TruthTable:
        """The table with a strategy more, a function of one's own for example."""
        return replace(self, strategies=(*self.strategies, strategy_named(own)))

    def readings(self) -> list[tuple[str, ...]]:
        """What the servers read: device, whether it runs the new image, and the three looks."""
        return [
            (
                f"{one.name} {one.about}",
                "yes" if one.runs_new else "no",
                str(one.seen.downloaded),
                str(one.seen.first),
                "same" if one.seen.settled == one.seen.first else str(one.seen.settled or "not seen"),
            )
            for one in self.cases
        ]

    def _lines(self) -> list[tuple[str, ...]]:
        head = ("server asks", *(case.name for case in self.cases))
        return [head, *((f"{one.name} {one.asks}", *self[one.name].values()) for one in self.strategies)]

    def __str__(self) -> str:
        lines = self._lines()
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)

    def _repr_html_(self) -> str:
        head, *body = self._lines()
        cells = "".join(f"<th>{html.escape(one)}</th>" for one in head)
        rows = "".join(f"<tr>{''.join(f'<td>{html.escape(one)}</td>' for one in line)}</tr>" for line in body)
        return f"<table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>"


def case_run(device: NamedDevice | str, *, seed: int = 1) -> Run:
    """Update one device, by a server that looks at every moment."""
    found = device_named(device) if isinstance(device, str) else device
    package = image(version=found.target, size=SIZE)
    return Stage(image=package, device=found.options, server=PATIENT, seed=seed).run()


def observed(device: NamedDevice | str, *, seed: int = 1) -> Case:
    """Update one device, and keep what the server saw beside what is true."""
    found = device_named(device) if isinstance(device, str) else device
    run = case_run(found, seed=seed)
    return Case(found.name, found.about, run.report.seen, runs_image(run.truth, found.target), run)


def runs_image(truth: Sequence[Happening], version: str) -> bool:
    """Whether a device runs an image of that version in the end, and came to it by the update: it has rebooted."""
    return any(one.what == "reboot" for one in truth) and truth[-1].firmware_version == version


def truth_table(
    strategies: Iterable[str | Judge] = tuple(STRATEGIES),
    devices: Iterable[NamedDevice | str] = tuple(CATALOGUE),
    *,
    told: Callable[[str], None] = lambda _: None,
) -> TruthTable:
    """Update each device and ask each strategy.

    Parameters
    ----------
    strategies : iterable of str or callable
        Names, and functions of one's own: ``def updated(seen) -> True | False | None``.
    devices : iterable of str or NamedDevice
    told : callable
        Called with the name of each device that is done.

    Raises
    ------
    BadInput
        For a name that nobody has.

    Examples
    --------
    >>> print(truth_table(["S1", "S7"], ["D1", "D4"]))
    server asks                                    D1  D4
    S1 Result = 1                                  ok  FF
    S7 settled, 1 and 3/0/3 = the image's version  ok  ?
    """
    asked, cases = tuple(map(strategy_named, strategies)), []
    for one in devices:
        cases.append(observed(one))
        told(cases[-1].name)
    return TruthTable(tuple(cases), asked)

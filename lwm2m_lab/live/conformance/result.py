"""`Conformance`: one device in one object version, case by case."""

from __future__ import annotations

import os
import pathlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

from lwm2m_lab.errors import BadInput
from lwm2m_lab.files import write_beside
from lwm2m_lab.live.conformance.records import CaseResult, Verdict

__all__ = ["Conformance"]

_SHORT = {Verdict.PASS: "PASS", Verdict.FAIL: "FAIL", Verdict.INCONCLUSIVE: "open", Verdict.NOT_APPLICABLE: "n/a"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conformance:
    """What the bench found of one device.

    Attributes
    ----------
    device : str
        What it is: ``"profile anjay"``, an endpoint name.
    endpoint, lwm2m, object_version : str
        As registered; the object version is that of Object 5.
    network : {"simulated", "loopback", "registered"}
        A world of the lab's, in simulated time or on real sockets, or a device that registered by itself.
    results : tuple of CaseResult
    """

    device: str
    endpoint: str
    lwm2m: str
    object_version: str
    network: str
    results: tuple[CaseResult, ...]

    @property
    def conforms(self) -> bool:
        """Whether every case that applies passes as meant, but for those that wait for an image of the operator's."""
        passes = [one.verdict == Verdict.PASS for one in self.results if not self._is_left_out(one)]
        return any(passes) and all(passes)

    @staticmethod
    def _is_left_out(one: CaseResult) -> bool:
        return one.verdict == Verdict.NOT_APPLICABLE or bool(one.awaits)

    def failing(self, *, as_printed: bool = False) -> tuple[str, ...]:
        """The cases that fail, as meant or by the letter of the draft.

        Examples
        --------
        >>> from lwm2m_lab.live.conformance import conformance
        >>> conformance(cases=["int-772", "int-774-pull"]).failing(as_printed=True)
        ('int-774-pull',)
        """
        found = ((one, one.as_printed if as_printed else one.verdict) for one in self.results)
        return tuple(one.case.id for one, verdict in found if verdict == Verdict.FAIL)

    def case(self, id: str) -> CaseResult:
        """One case by its name.

        Raises
        ------
        BadInput
            For a name that was not run.
        """
        for one in self.results:
            if one.case.id == id:
                return one
        raise BadInput(f"no case {id!r} was run; one of {', '.join(one.case.id for one in self.results)} is expected")

    def counts(self, *, as_printed: bool = False) -> dict[str, int]:
        """How many cases have each verdict, those that none has left out."""
        found = Counter(one.as_printed if as_printed else one.verdict for one in self.results)
        return {str(verdict): found[verdict] for verdict in Verdict if found[verdict]}

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        counts = self.counts()
        said = ", ".join(f"{number} {name}" for name, number in counts.items())
        verb = "conforms" if self.conforms else "does not conform" if self.failing() else "is not shown to conform"
        return f"{self.device} {verb} to Object 5 version {self.object_version}: {said}"

    # ---------------------------------------------------------------- out

    def to_dict(self) -> dict[str, Any]:
        """Everything but the captures, as JSON has it."""
        head = {name: getattr(self, name) for name in ("device", "endpoint", "lwm2m", "object_version", "network")}
        return {**head, "conforms": self.conforms, "cases": [_case_dict(one) for one in self.results]}

    def save_captures(self, folder: str | os.PathLike[str]) -> list[pathlib.Path]:
        """Write the capture of each case that was tried as ``CASE.pcapng``; the folder is made where it is not there.

        Raises
        ------
        BadInput
            Where it cannot be written.
        """
        place = pathlib.Path(folder)
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(f"{place} cannot be made ({error.strerror}); a folder is expected") from None
        written = []
        for one in self.results:
            if one.sightings:
                written.append(place / f"{one.case.id}.pcapng")
                one.capture.save(written[-1])
        return written

    def report(self, path: str | os.PathLike[str]) -> None:
        """Write the page of the bench, one self-contained HTML file.

        Raises
        ------
        BadInput
            Where it cannot be written.
        """
        from lwm2m_lab.show.board import conformance_page

        write_beside(path, conformance_page([self]).encode())

    def __str__(self) -> str:
        rows = [
            f"  {one.case.id:<20} {_short(one.verdict):<5} {_short(one.as_printed):<5} {one.case.title}"
            for one in self.results
        ]
        failing = [f"  {one.case.id}: {one.sentence}" for one in self.results if one.verdict == Verdict.FAIL]
        head = f"  {'case':<20} {'meant':<5} {'print':<5} title"
        return "\n".join([self.sentence, head, *rows, *(["why:"] if failing else []), *failing])

    def __repr__(self) -> str:
        return f"<Conformance: {self.sentence}>"

    def _repr_html_(self) -> str:
        from lwm2m_lab.show.board import conformance_board

        return conformance_board(self)._repr_html_()


def _short(verdict: Verdict | None) -> str:
    return "" if verdict is None else _SHORT[verdict]


def _case_dict(one: CaseResult) -> dict[str, Any]:
    steps = [
        {
            "number": step.number,
            "did": step.did,
            "expected": step.expected,
            "printed": step.printed,
            "came": step.came,
            "verdict": str(step.verdict),
            "as_printed": None if step.as_printed is None else str(step.as_printed),
        }
        for step in one.steps
    ]
    return {
        "id": one.case.id,
        "title": one.case.title,
        "clause": one.case.clause,
        "verdict": str(one.verdict),
        "as_printed": None if one.as_printed is None else str(one.as_printed),
        "sentence": one.sentence,
        "errata": list(one.case.errata),
        "duration_s": one.duration_s,
        "steps": steps,
    }

"""Devices x strategies from runs: the table of who is fooled, and the servers that decide for themselves."""

from __future__ import annotations

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.catalogue import CATALOGUE
from lwm2m_lab.live.image import image
from lwm2m_lab.live.server_options import ServerOptions
from lwm2m_lab.live.staged import Stage
from lwm2m_lab.live.strategies import STRATEGIES, Reading, Seen
from lwm2m_lab.live.truth_table import TruthTable, truth_table

#: Who is fooled: the page's table.
TABLE = """
S1 ok ok ok FF ok ok ok ok FS ok FS
S2 ok ok FS ok FS FS ok FF FS ok FS
S3 ok FF FS ok FS ok FF ok ok ok FS
S4 ok FF FS ok FS ok FF ok ok FF FS
S5 ok FF FS ok FS ok FF FF ok ok FS
S6 ok ok ok ok ok ok ok ok FS ok FS
S7 ok ? ok ? ok ok ? ok ? ok FS
"""

#: What the servers read: Downloaded, first look, settled.
READ = """
D1 2/0 · 2.0.0 · 1.0.0 | 0/1 · – · 2.0.0 | same
D2 2/0 · 2.0.0 · 1.0.0 | 0/1 · – · 1.0.0 | same
D3 2/0 · 2.0.0 · 2.0.0 | 2/8 · 2.0.0 · 2.0.0 | same
D4 2/0 · 2.0.0 · 1.0.0 | 0/0 · – · 2.0.0 | same
D5 2/0 · 2.0.0 · 1.0.0 | 3/0 · – · 2.0.0 | 0/8 · – · 1.0.0
D6 2/0 · 2.0.0 · 1.0.0 | 2/8 · 2.0.0 · 1.0.0 | same
D7 2/0 · 2.0.0 · – | 0/1 · – · – | same
D8 2/0 · b77 · 1.0.0 | 0/1 · b77 · 2.0.0 | same
D9 2/1 · 2.0.0 · 1.0.0 | 0/1 · – · 1.0.0 | same
D10 2/0 · 1.0.0 · 1.0.0 | 0/1 · – · 1.0.0 | same
D11 2/0 · 2.0.0 · 1.0.0 | 0/1 · – · 2.0.0 | same
"""


@pytest.fixture(scope="module")
def table() -> TruthTable:
    """All devices, all strategies."""
    return truth_table()


def test_who_is_fooled(table: TruthTable) -> None:
    """Every cell of the table, computed from runs."""
    expected = {line.split()[0]: line.split()[1:] for line in TABLE.strip().splitlines()}
    assert {name: list(row.values()) for name, row in table.rows.items()} == expected


def test_what_the_servers_read(table: TruthTable) -> None:
    """Every reading of the page; on trial is State 3 with the new version."""
    found = [f"{row[0].split()[0]} {' | '.join(row[2:])}" for row in table.readings()]
    assert found == READ.strip().splitlines()


def test_the_truth_is_the_devices_own(table: TruthTable) -> None:
    """Who runs the new image is what the catalogue says of each device."""
    assert {one.name: one.runs_new for one in table.cases} == {n: one.runs_target for n, one in CATALOGUE.items()}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("device", ["D1", "D3", "D5", "D9"])
def test_a_server_that_decides_for_itself(strategy: str, device: str, table: TruthTable) -> None:
    """A server with the strategy, which stops looking when it has decided, concludes what the table says."""
    found = CATALOGUE[device]
    server = ServerOptions(strategy=strategy, time_limit=600.0)
    run = Stage(image=image(version=found.target, size=2000), device=found.options, server=server).run()
    case = next(one for one in table.cases if one.name == device)
    judged = {"succeeded": True, "failed": False, "undecided": None}[run.report.outcome]
    assert case.score(judged) == table[strategy][device]
    assert run.report.sentence.startswith(f"{strategy}, ")


def test_a_strategy_of_ones_own(table: TruthTable) -> None:
    """A function is a row by its name, and a server that asks it."""

    def updated(seen: Seen) -> bool | None:
        """On trial is not yet."""
        if seen.settled is None:
            return None
        return seen.settled.result == 1 and seen.settled.state == 0

    assert list(table.with_strategy(updated)["updated"].values())[:6] == ["ok", "ok", "ok", "FF", "ok", "ok"]
    run = lab.push(size=2000, strategy=updated)
    assert (run.report.outcome, run.report.strategy) == ("succeeded", "updated")


def test_a_strategy_decides_at_its_moment() -> None:
    """One that looks once is fooled by a trial; its server never sees the revert."""
    device = lab.DeviceOptions.named("D5")
    fooled = lab.push(version="2.0.0", size=2000, device=device, strategy="S3")
    assert (fooled.report.outcome, fooled.report.seen.settled) == ("succeeded", None)
    patient = lab.push(version="2.0.0", size=2000, device=device, strategy="S7")
    assert (patient.report.outcome, patient.report.seen.settled) == ("failed", Reading(0, 8, None, "1.0.0"))


def test_what_is_no_strategy() -> None:
    """An unknown name is refused before anything runs."""
    with pytest.raises(BadInput, match=r"'S8'; one of lab, S1, S2"):
        ServerOptions(strategy="S8")
    with pytest.raises(KeyError):
        truth_table(["S1"], ["D1"])["S2"]


def test_it_prints_as_a_table() -> None:
    """In a terminal and in a notebook, whatever a function calls itself."""

    def own(seen: Seen) -> bool | None:
        """<script>"""
        return None

    small = truth_table(["S6", own], ["D4"])
    assert str(small).splitlines()[1:] == ["S6 State 0 again  ok", "own <script>      ?"]
    assert "<script>" not in small._repr_html_()
    assert "<th>D4</th>" in small._repr_html_()

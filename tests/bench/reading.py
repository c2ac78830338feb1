"""The reader against other tools: small, middle and large captures, a stream of parts, and the whole explanation."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tests.bench.measuring import Bench, Program, Row, at_most, faster, python, race, ratio, tool, tshark

COLUMNS = """from lwm2m_lab.wire import read_columns
columns = read_columns(FILE)
assert columns.rows and all(len(columns.numbers(name)) == columns.rows for name in columns)"""
FRAME = "import lwm2m_lab as lab\nlab.read(FILE).messages"
EXPLAIN = "import lwm2m_lab as lab\nstr(lab.explain(lab.read(FILE)))"
STREAM = "import lwm2m_lab as lab\nfor part in lab.read(FILE, stream=True): pass"
IMPORTS = "import lwm2m_lab as lab, lwm2m_lab.trace.stream\nlab.read"


def large(bench: Bench) -> Iterator[Row]:
    """A million packets to columns, against reading the file at all, and against tshark (once: it takes minutes)."""
    path, name = bench.capture(bench.size), f"{bench.size:,}"
    dump, shark = tool("tcpdump", "-r", path, "-w", "/dev/null"), tshark(path, rounds=1)
    ours = python("columns", COLUMNS, path)
    race([dump, ours, shark], bench.rounds)
    yield from (Row(name, one) for one in (dump, shark) if one is not None)
    yield at_most(name, ours, dump, 4, "tcpdump")
    yield faster(name, ours, shark, 250, "tshark")
    yield Row(name, ours, f"{ours.memory:.0f} MiB", "<= 180 MiB", ours.memory <= 180)


def middle(bench: Bench) -> Iterator[Row]:
    """A tenth of it, with and without a DataFrame."""
    path, name = bench.capture(bench.size // 10), f"{bench.size // 10:,}"
    shark, ours = tshark(path), python("columns", COLUMNS, path)
    frame = python("DataFrame", FRAME, path)
    race([shark, ours, frame], bench.rounds)
    yield from (Row(name, one) for one in (shark,) if one is not None)
    yield faster(name, ours, shark, 12, "tshark")
    yield faster(name, frame, shark, 8, "tshark")


def small(bench: Bench) -> Iterator[Row]:
    """A small capture: what is measured is how long a process takes to begin."""
    path, name = bench.capture(bench.size // 200), f"{bench.size // 200:,}"
    shark, ours = tshark(path), python("columns", COLUMNS, path)
    table = Program("lwm2m-lab messages", [sys.executable, "-m", "lwm2m_lab", "messages", str(path)])
    explain = Program("lwm2m-lab explain", [sys.executable, "-m", "lwm2m_lab", "explain", str(path)])
    race([shark, ours, table, explain], bench.rounds)
    yield from (Row(name, one) for one in (shark,) if one is not None)
    yield at_most(name, ours, shark, 1 / 3, "tshark")
    if shark is not None:
        yield Row(name, table, f"{ratio(table, shark):.2f} x tshark")
    yield at_most(name, explain, shark, 2, "tshark")


def explanation(bench: Bench) -> Iterator[Row]:
    """All exchanges, transfers, updates and findings, against the message table alone."""
    path, name = bench.capture(bench.size), f"{bench.size:,}"
    table, explain = python("DataFrame", FRAME, path), python("explanation", EXPLAIN, path)
    race([table, explain], bench.rounds)
    yield Row(name, table)
    yield at_most(name, explain, table, 5, "the message table")


def stream(bench: Bench) -> Iterator[Row]:
    """Ten times the large capture, part by part."""
    path, name = bench.capture(bench.size), f"{10 * bench.size:,}"
    with bench.tenfold() as tenfold:
        imports, ours, all_at_once = (
            python("imports alone", IMPORTS, path),
            python("stream", STREAM, tenfold),
            python("columns", COLUMNS, path),
        )
        race([imports, all_at_once, ours], min(bench.rounds, 3))
    if not (ours.seconds and imports.seconds and all_at_once.seconds):
        yield Row(name, ours, "failed", "", False)
        return
    above = ours.memory - imports.memory
    yield Row(name, ours, f"{above:.0f} MiB above the imports", "<= 100 MiB", above <= 100)
    pace = ratio(ours, all_at_once) / 10
    yield Row(name, ours, f"{pace:.2f} x the time of columns, a packet", "the same rate", pace <= 1.2)

"""Cold start: the import of the lab beyond bare Python, and the first picture of a fresh process."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator

from tests.bench.measuring import Bench, Program, Row, race

IMPORT = "import lwm2m_lab"
PLOT = "import lwm2m_lab as lab\nlab.push(version='2.1.0', size=20_000).plot()"
#: Rounds for each of those that are asked for.
TIMES = 3


def start(bench: Bench) -> Iterator[Row]:
    """Whole processes, in turns."""
    bare = Program("python -c pass", [sys.executable, "-c", "pass"])
    package, plot = (Program(name, [sys.executable, "-c", code]) for name, code in (("import", IMPORT), ("plot", PLOT)))
    package.name, plot.name = "import lwm2m_lab", "lab.push(...).plot()"
    race([bare, package, plot], bench.rounds * TIMES)
    beyond = 1000 * statistics.median(a - b for a, b in zip(package.seconds, bare.seconds, strict=True))
    yield Row("start", bare)
    yield Row("start", package, f"{beyond:.0f} ms beyond bare Python", "< 60 ms", beyond < 60)
    yield Row(
        "start", plot, f"{plot.median:.2f} s ({statistics.median(plot.cpu):.2f} s of the processor)",
        "< 1.5 s", plot.median < 1.5,
    )  # fmt: skip

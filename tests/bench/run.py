"""Measure the lab against other tools and against itself, all in one run, and print a table.

Every round runs each program once, one after the other, so that a change of the machine's pace hits all alike; times
are medians, memory is the peak of a process, which counts its parent's at its birth: so nothing heavy is imported here,
and a section that runs the lab itself does so in a child. What a section needs is generated first and kept in
`build/bench`. A section is a function that gives rows, in a module beside this one; another one is a few lines.
"""

from __future__ import annotations

import argparse
import compileall
import pathlib
import sys
from collections.abc import Callable, Iterator

from tests.bench.device import device
from tests.bench.fleet import fleet
from tests.bench.growth import growth
from tests.bench.many import many
from tests.bench.measuring import HERE, Bench, Row
from tests.bench.panels import panels
from tests.bench.peers import peers
from tests.bench.reading import explanation, large, middle, small, stream
from tests.bench.simulation import simulation
from tests.bench.soak import soak
from tests.bench.start import start
from tests.bench.sweep import sweep

SECTIONS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "small": small, "middle": middle, "large": large, "stream": stream, "explanation": explanation, "peers": peers,
    "start": start, "simulation": simulation, "device": device, "fleet": fleet,
    "sweep": sweep, "many": many, "growth": growth, "panels": panels, "soak": soak,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"which, of {', '.join(SECTIONS)} (all)")
    parser.add_argument("--size", type=int, default=1_000_000, help="packets of the large capture (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each program runs (%(default)s)")
    parser.add_argument("--updates", type=int, default=10_000, help="updates of the soak (%(default)s)")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("build/bench"), help="for the captures")
    options = parser.parse_args()
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown or options.size < 2000 or options.rounds < 1 or options.updates < 1:
        parser.error(
            f"no section {unknown[0]}" if unknown else "at least 2000 packets, one round and one update are expected"
        )
    options.folder.mkdir(parents=True, exist_ok=True)
    # As installing a package does: where Python is told not to write it, each process would compile our source anew.
    compileall.compile_dir(HERE.parents[1] / "lwm2m_lab", quiet=1)
    bench = Bench(options.size, options.rounds, options.folder, updates=options.updates)
    print("| what | program | seconds | MiB | figure | required | |\n|---:|---|---:|---:|---|---|---|")
    for name in options.sections or SECTIONS:
        for row in SECTIONS[name](bench):
            seconds = f"{row.program.median:.3f}" if row.program.seconds else "failed" if row.program.command else ""
            met = "" if row.met is None else "yes" if row.met else "**no**"
            print(f"| {row.capture} | {row.program.name} | {seconds} | {row.program.memory:.0f} | {row.figure} "
                  f"| {row.required} | {met} |", flush=True)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())

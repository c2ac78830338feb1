"""Measure the reader against other tools on the same captures, all in one run, and print a table.

Every round runs each program once, one after the other, so that a change of the machine's pace hits all alike; times
are medians of whole processes, memory is the peak of a process. What a section needs is generated first and kept in
`build/bench`. A section is a function that gives rows; another one is added in a few lines.
"""

from __future__ import annotations

import argparse
import compileall
import importlib.util
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

HERE = pathlib.Path(__file__).resolve().parent
#: Longest time of one process, in seconds.
PATIENCE = 1200
TSHARK_FIELDS = (
    "frame.number", "frame.time_epoch", "ip.src", "ipv6.src", "ip.dst", "ipv6.dst", "udp.srcport", "udp.dstport",
    "coap.type", "coap.code", "coap.mid", "coap.token", "coap.opt.name", "coap.opt.uri_path", "coap.opt.uri_query",
    "coap.opt.observe", "coap.opt.ctype", "coap.opt.accept", "coap.opt.block_number", "coap.opt.block_mflag",
    "coap.opt.block_size", "coap.opt.size1", "coap.opt.etag", "coap.payload_length",
)  # fmt: skip
COLUMNS = """from lwm2m_lab.wire import read_columns
columns = read_columns(FILE)
assert columns.rows and all(len(columns.numbers(name)) == columns.rows for name in columns)"""
FRAME = "import lwm2m_lab as lab\nlab.read(FILE).messages"
EXPLAIN = "import lwm2m_lab as lab\nstr(lab.explain(lab.read(FILE)))"
STREAM = "import lwm2m_lab as lab\nfor part in lab.read(FILE, stream=True): pass"
IMPORTS = "import lwm2m_lab as lab, lwm2m_lab.trace.stream\nlab.read"
FLEET = """from lwm2m_lab.live.fleet import update_fleet
from lwm2m_lab.live.image import image
from lwm2m_lab.live.options import DeviceOptions
devices = [DeviceOptions(endpoint=f'urn:dev:{number}') for number in range(1000)]
assert update_fleet(devices, image(size=20_000)).campaign.outcomes == {'succeeded': 1000}"""
DPKT = """import dpkt, aiocoap
for _, frame in dpkt.pcap.Reader(open(FILE, 'rb')):
    udp = getattr(getattr(dpkt.ethernet.Ethernet(frame), 'data', None), 'data', None)
    if isinstance(udp, dpkt.udp.UDP) and 5683 in (udp.sport, udp.dport):
        message = aiocoap.Message.decode(bytes(udp.data))
        message.opt.uri_path, message.opt.block1, message.opt.block2, message.opt.observe"""


@dataclass
class Program:
    """Something to be timed.

    Attributes
    ----------
    name : str
    command : sequence of str
    rounds : int
        In how many rounds it takes part; 0: in all.
    """

    name: str
    command: Sequence[str]
    rounds: int = 0
    seconds: list[float] = field(default_factory=list)
    memory: float = 0.0

    def run(self) -> None:
        """Once; a process that fails or does not end leaves no time."""
        start = time.perf_counter()
        process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        previous = signal.signal(signal.SIGALRM, lambda *_: process.kill())
        signal.alarm(PATIENCE)
        try:
            _, status, used = os.wait4(process.pid, 0)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, previous)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode == 0:
            self.seconds.append(time.perf_counter() - start)
            self.memory = max(self.memory, used.ru_maxrss / 1024)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Row:
    """A line of the table: a program, and what its figure is to be."""

    capture: str
    program: Program
    figure: str = ""
    required: str = ""
    met: bool | None = None


def ratio(one: Program, other: Program) -> float:
    """How many times the time of the other one takes: the median over the rounds that both were in."""
    pairs = list(zip(one.seconds, other.seconds, strict=False))
    return statistics.median(a / b for a, b in pairs) if pairs else float("nan")


def python(name: str, code: str, path: pathlib.Path) -> Program:
    """A program of ours."""
    return Program(name, [sys.executable, "-c", code.replace("FILE", repr(str(path)))])


def tool(name: str, *arguments: object, rounds: int = 0) -> Program | None:
    """Another program, where it is installed."""
    path = shutil.which(name)
    return None if path is None else Program(name, [path, *map(str, arguments)], rounds)


def tshark(path: pathlib.Path, *, rounds: int = 0) -> Program | None:
    """Wireshark's dissector, asked for the same columns."""
    fields = [word for name in TSHARK_FIELDS for word in ("-e", name)]
    found = tool("tshark", "-n", "-r", path, "-Y", "coap", "-T", "fields", *fields, rounds=rounds)
    return found and Program("tshark -T fields", found.command, rounds)


def race(programs: Sequence[Program | None], rounds: int) -> None:
    """Run them in turns."""
    for number in range(rounds):
        for program in programs:
            if program is not None and (number < program.rounds or not program.rounds):
                program.run()


class Bench:
    """What the sections share: size, rounds, and captures made once."""

    def __init__(self, size: int, rounds: int, folder: pathlib.Path) -> None:
        self.size, self.rounds, self.folder = size, rounds, folder

    def capture(self, packets: int) -> pathlib.Path:
        """A capture of so many packets."""
        path = self.folder / f"{packets}.pcap"
        if not path.exists():
            print(f"writing {path.name}", file=sys.stderr)
            subprocess.run(
                [sys.executable, str(HERE / "generate.py"), str(path), "--packets", str(packets)], check=True
            )
        return path


def at_most(capture: str, one: Program, other: Program | None, limit: float, what: str) -> Row:
    """A row whose ratio to another program has an upper limit."""
    if other is None or not other.seconds or not one.seconds:
        return Row(capture, one, f"{what} was not measured", f"<= {limit:g} x")
    found = ratio(one, other)
    return Row(capture, one, f"{found:.2f} x {what}", f"<= {limit:g} x", found <= limit)


def faster(capture: str, one: Program, other: Program | None, least: float, what: str) -> Row:
    """A row that is to be so many times faster than another program."""
    if other is None or not other.seconds or not one.seconds:
        return Row(capture, one, f"{what} was not measured", f">= {least:g} x faster")
    found = ratio(other, one)
    return Row(capture, one, f"{found:.1f} x faster than {what}", f">= {least:g} x faster", found >= least)


# ---------------------------------------------------------------- sections


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
    plain = python("dpkt and aiocoap", DPKT, path) if importlib.util.find_spec("dpkt") else None
    race([shark, ours, frame, plain], bench.rounds)
    yield from (Row(name, one) for one in (shark, plain) if one is not None)
    yield faster(name, ours, shark, 12, "tshark")
    yield faster(name, frame, shark, 8, "tshark")
    if plain is not None:
        yield Row(name, ours, f"{ratio(plain, ours):.1f} x faster than dpkt and aiocoap")


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
    tenfold = bench.folder / "tenfold.pcap"
    with path.open("rb") as source, tenfold.open("wb") as out:
        shutil.copyfileobj(source, out)
        for _ in range(9):
            source.seek(24)
            shutil.copyfileobj(source, out, 1 << 24)
    imports, ours, all_at_once = (
        python("imports alone", IMPORTS, path),
        python("stream", STREAM, tenfold),
        python("columns", COLUMNS, path),
    )
    try:
        race([imports, all_at_once, ours], min(bench.rounds, 3))
    finally:
        tenfold.unlink()
    if not (ours.seconds and imports.seconds and all_at_once.seconds):
        yield Row(name, ours, "failed", "", False)
        return
    above = ours.memory - imports.memory
    yield Row(name, ours, f"{above:.0f} MiB above the imports", "<= 100 MiB", above <= 100)
    pace = ratio(ours, all_at_once) / 10
    yield Row(name, ours, f"{pace:.2f} x the time of columns, a packet", "the same rate", pace <= 1.2)


def fleet(_: Bench) -> Iterator[Row]:
    """A campaign over 1,000 simulated devices, 20 kB each, 100 at once: one server, one process, simulated time."""
    ours = python("campaign", FLEET, HERE)
    race([ours], 1)
    yield Row("1,000 devices", ours, f"{1000 / ours.median:.0f} devices a second" if ours.seconds else "failed")


SECTIONS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "small": small, "middle": middle, "large": large, "stream": stream, "explanation": explanation,
    "fleet": fleet,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"which, of {', '.join(SECTIONS)} (all)")
    parser.add_argument("--size", type=int, default=1_000_000, help="packets of the large capture (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each program runs (%(default)s)")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("build/bench"), help="for the captures")
    options = parser.parse_args()
    unknown = [name for name in options.sections if name not in SECTIONS]
    if unknown or options.size < 2000 or options.rounds < 1:
        parser.error(f"no section {unknown[0]}" if unknown else "at least 2000 packets and one round are expected")
    options.folder.mkdir(parents=True, exist_ok=True)
    # As installing a package does: where Python is told not to write it, each process would compile our source anew.
    compileall.compile_dir(HERE.parents[1] / "lwm2m_lab", quiet=1)
    bench = Bench(options.size, options.rounds, options.folder)
    print("| packets | program | seconds | MiB | figure | required | |\n|---:|---|---:|---:|---|---|---|")
    for name in options.sections or SECTIONS:
        for row in SECTIONS[name](bench):
            seconds = f"{row.program.median:.3f}" if row.program.seconds else "failed"
            met = "" if row.met is None else "yes" if row.met else "**no**"
            print(f"| {row.capture} | {row.program.name} | {seconds} | {row.program.memory:.0f} | {row.figure} "
                  f"| {row.required} | {met} |", flush=True)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())

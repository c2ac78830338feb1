"""What the sections of the bench have in common: programs, rounds, ratios, and the lines of the table."""

from __future__ import annotations

import contextlib
import json
import math
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
#: Longest time of one process, in seconds.
PATIENCE = 1200
TSHARK_FIELDS = (
    "frame.number", "frame.time_epoch", "ip.src", "ipv6.src", "ip.dst", "ipv6.dst", "udp.srcport", "udp.dstport",
    "coap.type", "coap.code", "coap.mid", "coap.token", "coap.opt.name", "coap.opt.uri_path", "coap.opt.uri_query",
    "coap.opt.observe", "coap.opt.ctype", "coap.opt.accept", "coap.opt.block_number", "coap.opt.block_mflag",
    "coap.opt.block_size", "coap.opt.size1", "coap.opt.etag", "coap.payload_length",
)  # fmt: skip


@dataclass
class Program:
    """Something to be timed.

    Attributes
    ----------
    name : str
    command : sequence of str
    rounds : int
        In how many rounds it takes part; 0: in all.
    seconds, cpu : list of float
        Of each round: on the wall's clock, and of the processor.
    memory : float
        MiB at the peak.
    """

    name: str
    command: Sequence[str]
    rounds: int = 0
    seconds: list[float] = field(default_factory=list)
    memory: float = 0.0
    cpu: list[float] = field(default_factory=list)

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
            self.cpu.append(used.ru_utime + used.ru_stime)
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
    return median_ratio(one.seconds, other.seconds)


def median_ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios of each round."""
    pairs = list(zip(ones, others, strict=False))
    return statistics.median(a / b for a, b in pairs) if pairs else float("nan")


def spread(ones: Sequence[float], others: Sequence[float]) -> str:
    """The middle half of the ratios of each round, in words."""
    first, _, third = statistics.quantiles([a / b for a, b in zip(ones, others, strict=False)], n=4)
    return f"{first:.2f} to {third:.2f}"


def measured(name: str, seconds: Sequence[float], memory: float = 0.0) -> Program:
    """What a section has timed itself, as a program's figures."""
    return Program(name, (), seconds=list(seconds), memory=memory)


def child(module: str, *arguments: object) -> Any:
    """What a module beside this one prints as JSON, in a process of its own."""
    command = [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)]
    quiet = {**os.environ, "TQDM_DISABLE": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=PATIENCE, env=quiet)
    return json.loads(done.stdout)


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
    """What the sections share: size, rounds, updates of the soak, and captures made once."""

    def __init__(self, size: int, rounds: int, folder: pathlib.Path, *, updates: int = 10_000) -> None:
        self.size, self.rounds, self.folder, self.updates = size, rounds, folder, updates

    def capture(self, packets: int) -> pathlib.Path:
        """A capture of so many packets."""
        path = self.folder / f"{packets}.pcap"
        if not path.exists():
            print(f"writing {path.name}", file=sys.stderr)
            subprocess.run(
                [sys.executable, str(HERE / "generate.py"), str(path), "--packets", str(packets)], check=True
            )
        return path

    @contextlib.contextmanager
    def tenfold(self) -> Iterator[pathlib.Path]:
        """The large capture ten times over, for as long as it is needed."""
        path = self.folder / "tenfold.pcap"
        try:
            with self.capture(self.size).open("rb") as source, path.open("wb") as out:
                shutil.copyfileobj(source, out)
                for _ in range(9):
                    source.seek(24)
                    shutil.copyfileobj(source, out, 1 << 24)
            yield path
        finally:
            path.unlink(missing_ok=True)


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


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How steep a cost is in log and log, by least squares: 1 is linear, 2 quadratic."""
    across, up = ([math.log10(point[at]) for point in points] for at in (0, 1))
    return statistics.linear_regression(across, up).slope


def keep(bench: Bench, name: str, found: Any) -> None:
    """Keep what was measured for the picture."""
    (bench.folder / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")

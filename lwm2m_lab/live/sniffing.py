"""A capture of an interface by dumpcap, or else tcpdump, which ends by itself at a limit or with us.

The tool writes into a pipe and we write the file, whole records at a time: so there is no moment at which it could not
be read, whoever is killed, and a tool whose reader has gone ends at its next packet.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from lwm2m_lab.errors import BadInput, LabError
from lwm2m_lab.wire.growing import GrowingCapture

__all__ = ["Sniffed", "sniff"]

PIECE = 1 << 18
#: Seconds that a tool has to end when it is told to, and that its own limit lies behind ours.
GRACE = 5
#: Seconds until a tool that may capture has said so.
BEGINS_WITHIN = 10.0
#: Seconds between two looks at the clock.
SLICE = 0.1
#: Seconds for what a tool has caught and not handed over yet.
LINGER = 1.25
_NO_REASON = re.compile("Capturing on|File:|Packets|tcpdump: (listening|data link)|dumpcap: cap_set_proc|\\d+ packets")
_DROPPED = re.compile(r"(\d+) packets dropped by kernel|received/dropped on interface .*: \d+/(\d+) ")


@dataclass(frozen=True)
class Sniffed:
    """A capture that has ended.

    Attributes
    ----------
    tool : {"dumpcap", "tcpdump"}
        dumpcap writes pcapng, tcpdump pcap.
    packets, size : int
        Packets and bytes in the file.
    ended : str
        What ended it: ``"60 s"``, ``"100 packets"``, ``"1 MB"``, ``"an interrupt"``, or what the tool says.
    dropped : int
        Packets that passed and were not caught, as far as the tool knows.
    passed_over : tuple of str
        Why another tool was not used.
    """

    tool: str
    packets: int
    size: int
    ended: str
    dropped: int = 0
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Limits:
    seconds: int
    packets: int
    megabytes: int


def sniff(
    interface: str,
    path: str | os.PathLike[str],
    *,
    ports: Sequence[int] = (5683, 5684),
    seconds: int = 600,
    packets: int = 1_000_000,
    megabytes: int = 100,
    told: Callable[[int], None] = lambda _: None,
) -> Sniffed:
    """Capture what passes an interface on some ports; the first limit that is reached ends it, and so does Ctrl-C.

    The file holds whole records at any moment. The tool has limits of its own and ends with this process, if that is
    killed.

    Parameters
    ----------
    interface : str
        As in `ip link`, or ``any``.
    path : path
        Written over, once a tool captures; pcapng by dumpcap, pcap by tcpdump.
    ports : sequence of int
        Of UDP and TCP.
    seconds, packets, megabytes : int
        The limits, each at least 1; a megabyte has 1,000,000 bytes.
    told : callable
        Told how many packets there are, first 0 when the tool listens.

    Returns
    -------
    Sniffed

    Raises
    ------
    BadInput
        For limits, ports and interfaces that are none, where no tool may capture, for a file that cannot be written.
    LabError
        Where the disk is full; the file holds what came before.

    Examples
    --------
    >>> sniff("no-such-interface", "out.pcapng")
    Traceback (most recent call last):
    lwm2m_lab.errors.BadInput: there is no interface 'no-such-interface'; ...
    """
    limits = _Limits(seconds, packets, megabytes)
    _check(interface, ports, limits)
    file = pathlib.Path(path).absolute()
    if not file.parent.is_dir() or file.is_dir():
        raise BadInput(f"{str(path)!r} cannot be written; a file in a folder that exists is expected")
    heard = " or ".join(f"port {port}" for port in ports)
    refusals: list[str] = []
    for name, arguments in _tools(interface, heard, limits).items():
        if shutil.which(name) is None:
            refusals.append(f"{name} is not installed")
            continue
        with _running([*_tied(seconds), name, *arguments]) as (tool, words):
            writer = _Writer(file, tool, limits, told)
            if first := writer.first():
                writer.run(first)
            _end(tool)
            said = _said(words)
        why = next(filter(None, map(_reason, said)), f"it ended with status {tool.returncode}")
        if first:
            lost = sum(int(one or other) for one, other in _DROPPED.findall("\n".join(said)))
            return Sniffed(name, writer.packets, writer.size, writer.ended or why, lost, tuple(refusals))
        refusals.append(f"{name}: {why}")
    raise BadInput(
        f"nothing captures on {interface} ({'; '.join(refusals)}); root, or a dumpcap that may "
        "(sudo setcap cap_net_raw,cap_net_admin=eip $(which dumpcap)), is expected"
    )


def _check(interface: str, ports: Sequence[int], limits: _Limits) -> None:
    for name, value in vars(limits).items():
        if value < 1:
            raise BadInput(f"{name} is {value}; at least 1 is expected")
    if not ports or not all(0 < port < 65536 for port in ports):
        raise BadInput(f"the ports are {list(ports)}; one or more from 1 to 65535 are expected")
    names = [name for _, name in socket.if_nameindex()] + ["any"]
    if interface not in names:
        raise BadInput(f"there is no interface {interface!r}; one of {', '.join(names)} is expected")


# ---------------------------------------------------------------- the tools


def _tools(interface: str, heard: str, limits: _Limits) -> dict[str, list[str]]:
    """Who can capture, in the order of preference, and how it is asked to write into a pipe at once."""
    common = ["-i", interface, "-c", str(limits.packets), "-w", "-"]
    ends = ["-a", f"duration:{limits.seconds + GRACE}"]
    # Not in tcpdump's immediate mode, whose buffer holds eight packets.
    return {"dumpcap": ["-q", *ends, *common, "-f", heard], "tcpdump": ["-U", *common, heard]}


def _tied(seconds: int) -> list[str]:
    """What stands before a tool so that none is left behind by a kill -9 of ours.

    The signal at a parent's death is lost by a program with privileges of its own, which `timeout` is not: it gets the
    signal and passes it on. Where these two are missing, a tool whose reader has gone ends at its next packet.
    """
    setpriv = ["setpriv", "--pdeathsig", "INT"] if shutil.which("setpriv") else []
    limit = ["timeout", "--preserve-status", "-s", "INT", "-k", str(GRACE), str(seconds + 2 * GRACE)]
    return [*setpriv, *(limit if shutil.which("timeout") else [])]


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], IO[str]]]:
    """A tool and what it says, until the end of the block."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as words,
        # A session of its own: Ctrl-C reaches the tool through us alone, once.
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words, start_new_session=True
        ) as tool,
    ):
        try:
            yield tool, words
        finally:
            _end(tool)


def _end(tool: subprocess.Popen[bytes]) -> None:
    """Wait until a tool has ended, by itself, by a word, or by force; nobody reads any more what it writes."""
    assert tool.stdout is not None
    tool.stdout.close()
    for ends in (False, True):
        if ends:
            tool.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            tool.wait(GRACE if ends else SLICE)
            return
    # All of its session, for what stands before it cannot pass on a kill.
    os.killpg(tool.pid, signal.SIGKILL)


def _said(words: IO[str]) -> list[str]:
    """What a tool has said, by lines."""
    words.seek(0)
    return [line.strip() for line in words if line.strip()]


def _reason(line: str) -> str:
    """A line that says why a tool has ended; nothing for one that says something else."""
    # dumpcap run by any user complains first that it cannot raise its privileges, which it tries in any case.
    return "" if _NO_REASON.match(line) else line


# ---------------------------------------------------------------- the file


class _Writer:
    """Writes what a tool sends, whole records at a time, until a limit."""

    def __init__(
        self, path: pathlib.Path, tool: subprocess.Popen[bytes], limits: _Limits, told: Callable[[int], None]
    ) -> None:
        self._path, self._tool, self._limits, self._told = path, tool, limits, told
        self._growing, self._deadline, self._phase = GrowingCapture(), time.monotonic() + BEGINS_WITHIN, 0
        self.packets, self.size = 0, 0
        #: What ended it; empty where the tool did.
        self.ended = ""

    def first(self) -> bytes:
        """What a tool says first; nothing where it may not capture."""
        return self._read() or b""

    def run(self, data: bytes) -> None:
        """From the first bytes to the end."""
        self._told(0)
        try:
            # Unbuffered: what is written stays when we are killed.
            with self._path.open("wb", buffering=0) as out, self._interrupted():
                self._pump(out, data)
        except OSError as error:
            if self.size:
                raise LabError(
                    f"{self._path} cannot grow ({error.strerror}): the {self.packets} packets in it are whole, "
                    "and room on the disk is expected for more"
                ) from None
            if self._path.is_file():
                self._path.unlink()
            raise BadInput(
                f"{self._path} cannot be written ({error.strerror}); a file of yours, and room, are expected"
            ) from None

    def _pump(self, out: IO[bytes], data: bytes | None) -> None:
        """Read and write until a limit, and on to what the tool holds back."""
        self._deadline = time.monotonic() + self._limits.seconds
        most = self._limits.megabytes * 1_000_000
        while data != b"":
            if data is not None:
                self._write(out, self._growing.feed(data, room=most - self.size))
            elif not self._goes_on():
                return
            if self._growing.is_full:
                self.ended = f"{self._limits.megabytes} MB"
                return
            data = self._read()
        if not self.ended and self.packets >= self._limits.packets:
            self.ended = f"{self._limits.packets} packets"

    def _goes_on(self) -> bool:
        """What follows when the time of a phase is over; whether anything does."""
        self._phase += 1
        if self._phase == 1:
            # They hand packets over each second, or quarter of one, and forget at their end what they hold.
            self.ended = self.ended or f"{self._limits.seconds} s"
            self._deadline = time.monotonic() + LINGER
        elif self._phase == 2:
            self._tool.send_signal(signal.SIGINT)
            self._deadline = time.monotonic() + GRACE
        return self._phase < 3

    def _read(self) -> bytes | None:
        """What comes next; empty at the end of the tool, None where the time is over."""
        assert self._tool.stdout is not None
        while True:
            left = self._deadline - time.monotonic()
            # In slices, for an interrupt changes the deadline.
            ready, _, _ = select.select([self._tool.stdout], [], [], max(0.0, min(left, SLICE)))
            if ready:
                return os.read(self._tool.stdout.fileno(), PIECE)
            if left <= 0:
                return None

    def _write(self, out: IO[bytes], whole: bytes) -> None:
        rest = memoryview(whole)
        try:
            while rest:
                rest = rest[out.write(rest) :]
        except OSError:
            if self.size:
                self._cut(out)
            raise
        self.size, self.packets = self.size + len(whole), self._growing.packets
        self._told(self.packets)

    def _cut(self, out: IO[bytes]) -> None:
        """Take back the record in whose midst the room ended."""
        found, self.size = GrowingCapture(), 0
        with self._path.open("rb") as file:
            while piece := file.read(PIECE):
                self.size += len(found.feed(piece))
        self.packets = found.packets
        out.truncate(self.size)

    @contextlib.contextmanager
    def _interrupted(self) -> Iterator[None]:
        """Ctrl-C and a kill end the tool, whose last packets are written still: never in the midst of a record."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(*_: object) -> None:
            self.ended, self._deadline = self.ended or "an interrupt", time.monotonic()

        before = {one: signal.signal(one, stop) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

"""`follow()`: a capture that is still being written, and what it shows as it shows it."""

from __future__ import annotations

import os
import pathlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import IO, Any, Self

from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace import samples
from lwm2m_lab.trace.capture import Capture
from lwm2m_lab.trace.explain import Explanation, explain
from lwm2m_lab.trace.findings import Verdict
from lwm2m_lab.trace.news import News, Teller
from lwm2m_lab.trace.recent import Recent
from lwm2m_lab.trace.tail import FileTail, PipeTail, Tail
from lwm2m_lab.wire.growing import GrowingCapture
from lwm2m_lab.wire.keyring import PreSharedKeys

__all__ = ["PACKETS", "Follower", "follow"]

#: Packets that are kept at the most: some fifty megabytes.
PACKETS = 100_000
#: The part of what is kept that has to be new before all is looked at again; and the waits behind which it is in any
#: case.
_SHARE, _PATIENCE = 1 / 20, 4
_INTERRUPT = "an interrupt"


class Follower:
    """What `follow` gives: an iterator of `News`.

    Attributes
    ----------
    packets : int
        Seen so far.
    forgotten : int
        Packets that were let go, for no more than a number of them is kept.
    ended : str
        Why nothing more comes; empty while it goes on.
    notes : list of str
        What was damaged or forgotten, in words.
    """

    def __init__(
        self,
        tail: Tail,
        *,
        idle: float | None,
        poll: float,
        packets: int,
        wait: Callable[[float], None] | None,
        **options: Any,
    ) -> None:
        self.packets, self.forgotten, self.ended = 0, 0, ""
        self.notes: list[str] = []
        self._tail, self._idle, self._poll, self._most = tail, idle, poll, packets
        self._wait = tail.wait if wait is None else wait
        self._growing, self._teller = GrowingCapture(), Teller()
        self._recent = Recent(tail.name, **options)
        self._capture: Capture | None = None
        self._damaged, self._let_go = False, 0
        self._news = self._run()

    # ---------------------------------------------------------------- what it has found

    @property
    def capture(self) -> Capture:
        """What is kept, as a capture: all of it, unless something was forgotten.

        Raises
        ------
        BadInput
            Before anything was read.
        """
        if self._capture is None:
            raise BadInput(f"{self._tail.name} has not been read yet; iterate over it first")
        return self._capture

    def explain(self) -> Explanation:
        """What there is to say of `capture`."""
        return explain(self.capture)

    @property
    def outcomes(self) -> Counter[str]:
        """How many updates ended how, the forgotten ones included."""
        now = [update.outcome for update, _ in self._judged]
        return self._teller.outcomes + Counter(now)

    @property
    def failing_rules(self) -> Counter[str]:
        """In how many updates each rule fails, the forgotten ones included."""
        now = ({one.rule for one in found if one.verdict == Verdict.FAIL} for _, found in self._judged)
        return self._teller.failing + Counter(rule for rules in now for rule in rules)

    @property
    def passes(self) -> bool:
        """Whether there was an update, every one succeeded, and nothing fails a rule."""
        return set(self.outcomes) == {"succeeded"} and not self.failing_rules

    @property
    def _judged(self) -> list[Any]:
        return [] if self._capture is None else self._capture.judged()

    # ---------------------------------------------------------------- following

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> News:
        return next(self._news)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._news.close()
        self._tail.close()

    def close(self) -> None:
        """End it, from another thread too; what is left to say still comes."""
        self.ended = self.ended or "being closed"
        self._tail.stop()

    def _run(self) -> Generator[News, None, None]:
        """All that is new, to the end."""
        try:
            yield from self._follow()
            if len(self._recent):
                yield from self._look(final=True)
            elif self.ended not in (_INTERRUPT, "being closed"):
                raise BadInput(f"{self._tail.name} is empty; a pcap or pcapng file is expected")
            if self._growing.waiting and not self._damaged:
                self.notes.append(f"the last {self._growing.waiting} bytes are no whole packet")
            if self._let_go:
                self.notes.append(f"{self._let_go} open updates were let go{self._why()}")
            for note in self.notes:
                yield News("note", 0.0 if self._capture is None else _end_of(self._capture), 0, "", note)
        finally:
            self._tail.close()
        if self._tail.is_another:
            raise BadInput(
                f"{self._tail.name} {self._tail.ended} after frame {self.packets}; what is there now has to be "
                "followed anew"
            )

    def _follow(self) -> Iterator[News]:
        """Take what comes and look at it, until nothing more comes."""
        silent, polls, new = 0.0, 0, 0
        while not self.ended:
            try:
                came, packets = self._take()
                new += packets
                is_full = self._recent.packets >= self._most
                if is_full or (not came and (new > self._recent.packets * _SHARE or (new and polls >= _PATIENCE))):
                    yield from self._look()
                    polls, new = 0, 0
                if came or self.ended:
                    silent = 0.0
                    continue
                if self._tail.ended:
                    self.ended = self._tail.ended
                elif self._idle is not None and silent >= self._idle:
                    self.ended = f"{self._idle:g} s without growth"
                else:
                    self._wait(self._poll)
                    silent, polls = silent + self._poll, polls + 1
            except KeyboardInterrupt:
                self.ended = _INTERRUPT

    def _take(self) -> tuple[bool, int]:
        """Whether something has come, and how many packets are whole by it."""
        piece, before = self._tail.more(), self._growing.packets
        try:
            whole = self._growing.feed(piece)
        except BadInput as error:
            if not len(self._recent):
                raise BadInput(f"{self._tail.name}: {error}") from None
            self._damaged, self.ended = True, f"damage: {error}"
            self.notes.append(f"the file is damaged after frame {self.packets}: {error}")
            return False, 0
        packets = self._growing.packets - before
        self._recent.add(whole, packets)
        self.packets += packets
        return bool(piece), packets

    def _look(self, *, final: bool = False) -> Iterator[News]:
        """What is new since the last time; what is over is let go where too much is kept."""
        capture = self._capture = self._recent.capture()
        yield from self._teller.tell(capture, final=final)
        if final:
            self.notes += capture.notes
        elif self._recent.packets >= self._most:
            gone = self._recent.trim(capture, self._most * 3 // 4)
            kept = self._capture = self._recent.capture()
            self._teller.forget(capture, kept)
            self.forgotten += gone.packets
            if gone.open_updates and not self._let_go:
                yield News("note", _end_of(capture), self.packets, "", f"open updates are let go{self._why()}")
            self._let_go += gone.open_updates

    def _why(self) -> str:
        return f", those of the devices that were silent longest: more than {self._most} packets are not kept"


def _end_of(capture: Capture) -> float:
    """Seconds from the first message to the last one."""
    columns = capture.columns
    return (int(columns["time"].max()) - columns.origin_ns) / 1e9 if columns.rows else 0.0


def follow(
    path: str | os.PathLike[str] | IO[bytes],
    *,
    idle: float | None = None,
    poll: float = 0.5,
    packets: int = PACKETS,
    interface: str | int | None = None,
    ports: Sequence[int] = (5683,),
    psk: PreSharedKeys | None = None,
    keylog: str | os.PathLike[str] | None = None,
    wait: Callable[[float], None] | None = None,
) -> Follower:
    """Follow a capture that is still being written, and tell what it shows as soon as it does.

    A packet that is half written is waited for. It ends after `idle` seconds without growth, at the end of a pipe, at
    Ctrl-C while it waits, or by ``close()``; then it tells what else there is to say. Afterwards ``.capture`` and
    ``.explain()`` are those of what was kept.

    Parameters
    ----------
    path : path or binary stream
        A pcap or pcapng file that dumpcap, tcpdump or the lab writes, not compressed; an empty one is waited for. Or
        the reading end of a pipe, as ``sys.stdin.buffer``. Or the name of a sample.
    idle : float, optional
        Seconds; without it, it goes on until somebody ends it.
    poll : float
        Seconds between two looks at the file.
    packets : int
        So many are kept at the most. Beyond them those of settled updates go first, then those of the devices that
        were silent longest; what explains later messages (registrations, observations, last values) stays longest.
    interface, ports, psk, keylog
        As for `read`.
    wait : callable, optional
        Called with `poll` where nothing has come: what waits, instead of the clock.

    Returns
    -------
    Follower
        An iterator of `lwm2m_lab.trace.news.News`: each thing once, in order of time with each look; what turns out
        otherwise is taken back.

    Raises
    ------
    BadInput
        For a file that is not there, is compressed or no capture; and, after all else was told, for one that was cut,
        replaced or removed meanwhile.

    Examples
    --------
    >>> for news in follow("anjay-push-badcrc", idle=0):
    ...     print(news)
         0.407 s  urn:dev:anjay-1: an update began: push, Write to /5/0/0
         0.417 s  urn:dev:anjay-1: its package of 20000 bytes was taken
         0.417 s  urn:dev:anjay-1: Update Result 5 Integrity check failed
         0.417 s  urn:dev:anjay-1: the update failed after 0.010 s: the package arrived as it was sent, 20000 bytes ...
    """
    for name, value, least in (("idle", idle, 0), ("poll", poll, 1e-3), ("packets", packets, 100)):
        if value is not None and not value >= least:
            raise BadInput(f"{name} is {value!r}; {least} or more is expected")
    tail: Tail
    if isinstance(path, str | os.PathLike):
        known = isinstance(path, str) and not pathlib.Path(path).exists() and samples.known(path)
        tail = FileTail(samples.path_of(str(path)) if known else path)
    else:
        tail = PipeTail(path)
    options = {"interface": interface, "ports": ports, "psk": psk, "keylog": keylog}
    return Follower(tail, idle=idle, poll=poll, packets=packets, wait=wait, **options)

"""`Stream`: a capture larger than memory, part by part."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lwm2m_lab.errors import BadInput
from lwm2m_lab.wire import Columns, coap, stream_columns
from lwm2m_lab.wire.keyring import PreSharedKeys
from lwm2m_lab.wire.text import printable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ROWS", "Part", "Stream"]

#: Messages in a part: some ten megabytes of columns.
ROWS = 100_000


class Part:
    """Some consecutive messages of a capture.

    Attributes
    ----------
    columns : Columns
    number : int
        From 1.
    """

    def __init__(self, columns: Columns, number: int) -> None:
        self.columns, self.number = columns, number

    @property
    def messages(self) -> pd.DataFrame:
        """The message table of these messages."""
        from lwm2m_lab.trace import frames

        return frames.messages(self.columns)

    def __repr__(self) -> str:
        frames = self.columns["frame"]
        where = f", frames {frames[0]} to {frames[-1]}" if len(frames) else ""
        return f"part {self.number}: {len(frames):,} messages{where}"


class Stream:
    """The messages of a capture, part by part, in memory that does not grow with the file.

    Iterating gives one `Part` after another; each iteration reads the file from its beginning. Totals run along. What
    needs the whole capture cannot be had from a stream: exchanges across parts, transfers, updates, `explain`, TCP.
    Cut the time of interest out (``editcap -A -B``) and read that. DTLS sessions and IP fragments go on across parts.
    CoAP on a port that was not named is recognised by what one part shows of a flow. A payload of a gzip file costs its
    unpacking as a whole.

    Parameters
    ----------
    path : path
        A pcap or pcapng file, plain or gzip.
    rows : int
        About how many messages a part has.
    interface, ports, psk, keylog
        As for `lwm2m_lab.read`.

    Attributes
    ----------
    messages, packets, parts : int
        So far, in the present or latest iteration.
    encrypted_records : int
        DTLS records that were not decrypted, so far.
    codes : dict of str to int
        Messages of each code, so far.
    notes : tuple of str
        What was damaged or left out, so far.
    complete : bool
        Whether the latest iteration came to the end.

    Raises
    ------
    BadInput
        For what is no capture, at the first part; for `rows` below 1 at once.

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> stream = lab.read("anjay-push-256-ok", stream=True)
    >>> for part in stream:
    ...     print(part, int((part.columns["payload_length"] > 0).sum()), "with payload")
    part 1: 194 messages, frames 1 to 194 ...
    >>> stream.messages, stream.codes["2.31"] > 0
    (194, True)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        rows: int = ROWS,
        interface: str | int | None = None,
        ports: Sequence[int] = (5683,),
        psk: PreSharedKeys | None = None,
        keylog: str | os.PathLike[str] | None = None,
    ) -> None:
        if rows < 1:
            raise BadInput(f"rows is {rows}; at least 1 message in a part is expected")
        self.path, self.rows, self.name = path, rows, pathlib.Path(path).name
        self._options: dict[str, Any] = {"ports": ports, "interface": interface, "psk": psk, "keylog": keylog}
        self._begin()

    def _begin(self) -> None:
        self.messages = self.packets = self.parts = self.encrypted_records = 0
        self.codes: dict[str, int] = {}
        self.notes: tuple[str, ...] = ()
        self.complete = False
        self._times: tuple[int, int] | None = None

    def __iter__(self) -> Iterator[Part]:
        self._begin()
        for columns in stream_columns(self.path, rows=self.rows, **self._options):
            self._count(columns)
            # What comes behind the last message counts in the totals alone.
            if columns.rows or self.parts == 1:
                yield Part(columns, self.parts)
        self.complete = True

    def _count(self, columns: Columns) -> None:
        """Let the totals run along."""
        self.parts += bool(columns.rows) or not self.parts
        self.messages += columns.rows
        self.packets, self.encrypted_records, self.notes = columns.packets, columns.encrypted_records, columns.notes
        names = columns.categories["code"]
        for code, count in enumerate(np.bincount(columns["code"]).tolist() if columns.rows else ()):
            if count:
                self.codes[names[code]] = self.codes.get(names[code], 0) + count
        if columns.rows:
            first, last = int(columns["time"].min()), int(columns["time"].max())
            before = self._times or (first, last)
            self._times = min(first, before[0]), max(last, before[1])

    @property
    def seconds(self) -> float:
        """From the earliest to the latest message so far."""
        return 0.0 if self._times is None else (self._times[1] - self._times[0]) / 1e9

    def __str__(self) -> str:
        if not self.parts:
            return f"{printable(self.name)}: a stream, not read yet; iterate over it"
        how_far = "" if self.complete else " so far"
        lines = [
            f"{printable(self.name)}: {self.messages:,} CoAP messages in {self.packets:,} packets{how_far}, "
            f"{self.seconds:.3f} s, {self.parts} parts"
        ]
        if self.encrypted_records:
            lines.append(f"encrypted: {self.encrypted_records} records")
        lines += [f"note: {printable(note)}" for note in self.notes]
        width = max((len(f"{count:,}") for count in self.codes.values()), default=0)
        by_count = sorted(self.codes.items(), key=lambda item: -item[1])
        return "\n".join([*lines, *(f"  {count:>{width},}  {coap.code_name(code)}" for code, count in by_count)])

    __repr__ = __str__

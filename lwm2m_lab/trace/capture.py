"""`Capture`: what was seen on the wire, its tables, its updates, and what can be done with it."""

from __future__ import annotations

import copy
import functools
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np

from lwm2m_lab.errors import BadInput
from lwm2m_lab.files import write_beside
from lwm2m_lab.trace import samples
from lwm2m_lab.trace.handing import HandedOn
from lwm2m_lab.wire import Columns, read_columns
from lwm2m_lab.wire.keyring import PreSharedKeys
from lwm2m_lab.wire.pcapng import with_key_log
from lwm2m_lab.wire.text import printable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from lwm2m_lab.trace.findings.registry import Finding, Rule
    from lwm2m_lab.trace.logs import Log
    from lwm2m_lab.trace.measures import Alike
    from lwm2m_lab.trace.selection import Moment
    from lwm2m_lab.trace.stream import Stream
    from lwm2m_lab.trace.triage import Triage
    from lwm2m_lab.trace.updates import Update
    from lwm2m_lab.wire.anonymize import Anonymized

__all__ = ["Capture", "read"]


class Capture(HandedOn):
    """CoAP messages as they were seen on the wire, and the tables that follow from them.

    Parameters
    ----------
    columns : Columns
        As `lwm2m_lab.wire.read_columns` gives them.
    name : str
        What to call it.
    data : bytes or path
        The file itself, for `save`.

    Examples
    --------
    >>> capture = read("anjay-push-256-ok")
    >>> capture.updates[["endpoint", "outcome", "firmware_version_after"]].values.tolist()
    [['urn:dev:anjay-1', 'succeeded', '3.14.0']]
    """

    def __init__(self, columns: Columns, *, name: str, data: bytes | str | os.PathLike[str]) -> None:
        super().__init__(columns, name=name)
        self._data = data
        self._judged: tuple[tuple[Rule, ...], list[tuple[Update, list[Finding]]]] | None = None
        self.logs: tuple[Log, ...] = ()

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        *,
        name: str,
        interface: str | int | None = None,
        ports: Sequence[int] = (5683,),
        psk: PreSharedKeys | None = None,
        keylog: str | os.PathLike[str] | None = None,
    ) -> Capture:
        """A capture from the content of a file; the options are those of `read`."""
        columns = read_columns(data, ports=ports, interface=interface, psk=psk, keylog=keylog)
        return cls(columns, name=name, data=data)

    # ---------------------------------------------------------------- updates

    @functools.cached_property
    def _found_updates(self) -> list[Update]:
        from lwm2m_lab.trace.updates import build_updates

        return build_updates(self)

    @functools.cached_property
    def _by_endpoint(self) -> dict[str, list[Update]]:
        found: dict[str, list[Update]] = {}
        for one in self._found_updates:
            found.setdefault(one.endpoint, []).append(one)
        return found

    def updates_of(self, endpoint: str | None = None) -> list[Update]:
        """The updates of one endpoint, or of all, by their first Writes, before the findings judged them."""
        return self._found_updates if endpoint is None else self._by_endpoint.get(endpoint, [])

    def judged(self) -> list[tuple[Update, list[Finding]]]:
        """Each update with its verdict and the findings behind it; rules registered since then are heard too."""
        from lwm2m_lab.trace.findings import RULES, judge

        rules = tuple(RULES.values())
        if self._judged is None or self._judged[0] != rules:
            self._judged = rules, judge(self._found_updates)
        return self._judged[1]

    @property
    def _updates(self) -> list[Update]:
        return [update for update, _ in self.judged()]

    @property
    def updates(self) -> pd.DataFrame:
        """One row an update, in the words of the contract."""
        import pandas as pd

        from lwm2m_lab.trace.updates import UPDATE_FIELDS

        return pd.DataFrame([one.to_dict() for one in self._updates], columns=list(UPDATE_FIELDS))

    def update(self, which: int | str = 0) -> Update:
        """One update: by its position, or the last one of an endpoint by its name.

        Raises
        ------
        BadInput
            Where there is none such.
        """
        everything = self._updates
        found = [one for one in everything if one.endpoint == which] if isinstance(which, str) else everything
        position = -1 if isinstance(which, str) else which
        if not -len(found) <= position < len(found):
            there = ", ".join(dict.fromkeys(one.endpoint for one in everything)) or "no endpoint"
            raise BadInput(f"{self.name} has no update {which!r}; it has {len(everything)}, of {there}")
        return found[position]

    @functools.cached_property
    def memo(self) -> dict[Any, Any]:
        """What the rules work out once for all updates."""
        return {}

    @functools.cached_property
    def _alike(self) -> Alike:
        from lwm2m_lab.trace.measures import Alike

        return Alike(self)

    @functools.cached_property
    def measures(self) -> pd.DataFrame:
        """One row a block-wise transfer: round trips, copies, where its time went, and its lower bound."""
        from lwm2m_lab.trace.measures import build_measures

        return build_measures(self)

    @functools.cached_property
    def dtls_records(self) -> pd.DataFrame:
        """One row a DTLS record of the file, opened or not: epoch, sequence number and Connection ID are in the clear.

        Examples
        --------
        >>> read("coaps-pull-rest").dtls_records["kind"].iloc[:2].tolist()
        ['ClientHello', 'HelloVerifyRequest']
        """
        import pandas as pd

        from lwm2m_lab.wire.dtls_records import DtlsRecord, dtls_records

        agreed = {cid for one in self.columns.sessions for cid in (one.client_cid, one.server_cid) if cid}
        source = self._data if isinstance(self._data, bytes) else os.fspath(self._data)
        found = dtls_records(source, cids=[bytes.fromhex(cid) for cid in sorted(agreed)])
        table = pd.DataFrame(list(found), columns=list(DtlsRecord._fields))
        table.insert(1, "time", (table.pop("time_ns") - self.columns.origin_ns) / 1e9)
        return table

    # ---------------------------------------------------------------- logs

    def with_log(
        self,
        path: str | os.PathLike[str],
        *,
        pattern: str | None = None,
        offset: float | None = None,
        name: str | None = None,
    ) -> Self:
        """The same capture with a device's or server's log beside it, on the same axis of time.

        Parameters
        ----------
        path : path
            A text file, a line an event. A line without a time stamp belongs to the one before it.
        pattern : str, optional
            Regular expression whose group ``time`` is the time stamp; without it the format is guessed: ISO 8601,
            syslog, time of day, seconds or milliseconds since the epoch or since boot (Zephyr, ESP-IDF, kernel).
        offset : float, optional
            Seconds to add to the log's clock; of a clock that counts from boot, the second of the capture at which it
            was 0. Without it message ids, tokens, paths and versions that the log names set the clock; each boot of
            the device has an offset of its own.
        name : str, optional
            What to call it; the name of the file by default.

        Raises
        ------
        BadInput
            For a log without time stamps, a pattern without group ``time``, or a capture without messages.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> lines = pathlib.Path(tempfile.mkdtemp(), "device.log")
        >>> _ = lines.write_text("[00:00:01.500,000] <inf> fota: download begins\\n")
        >>> capture = read("anjay-push-256-ok").with_log(lines, offset=0.0)
        >>> capture.log[["time", "text", "source"]].values.tolist()
        [[1.5, '<inf> fota: download begins', 'device.log']]
        """
        from lwm2m_lab.trace.logs import read_log

        beside = copy.copy(self)
        beside.logs = (*self.logs, read_log(self, path, pattern=pattern, offset=offset, name=name))
        # What points back at this capture is made anew, so that its pictures have the log, too.
        for made in ("log", "_found_updates"):
            beside.__dict__.pop(made, None)
        beside._judged = None
        return beside

    @functools.cached_property
    def log(self) -> pd.DataFrame:
        """One row a line of the logs that were laid beside, in order of time."""
        from lwm2m_lab.trace.logs import log_table

        return log_table(self, self.logs)

    # ---------------------------------------------------------------- words and pictures

    def triage(self) -> Triage:
        """Whether the capture can be explained, and what to ask for if not."""
        from lwm2m_lab.trace.triage import triage

        return triage(self)

    def plot(self, endpoint: str | None = None) -> Figure:
        """Draw the version chart."""
        from lwm2m_lab.show import version_chart

        figure: Figure = version_chart(self, endpoint=endpoint)
        return figure

    def ladder(self, **part: Any) -> Figure:
        """Draw the messages as a sequence diagram; `part` as for `lwm2m_lab.show.ladder`."""
        from lwm2m_lab.show import ladder

        figure: Figure = ladder(self, **part).figure  # type: ignore[assignment]
        return figure

    def _summary(self) -> list[str]:
        """What a person wants to know first."""
        columns = self.columns
        lines = [f"{self.name}: {columns.rows} CoAP messages in {columns.packets} packets"]
        if columns.rows:
            time = columns["time"]
            lines[0] += f", {(int(time.max()) - int(time.min())) / 1e9:.3f} s"
        if columns.encrypted_records:
            lines.append(f"encrypted: {columns.encrypted_records} records")
        lines += [f"note: {note}" for note in self.notes]
        lines += [printable(str(log)) for log in self.logs]
        return lines

    def __str__(self) -> str:
        return "\n".join([*self._summary(), *(f"  {one.headline()}" for one in self._updates)])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        import html

        lines = "<br>".join(html.escape(line) for line in self._summary())
        shown = ["endpoint", "delivery", "image_size", "states", "results", "firmware_versions", "outcome", "verdict"]
        table = self.updates[shown].to_html(index=False, escape=True, border=0) if self._updates else ""
        return f"<p>{lines}</p>{table}"

    # ---------------------------------------------------------------- out

    def save(self, path: str | os.PathLike[str], *, session_keys: bool = False) -> None:
        """Write the capture file: beside the target, then moved into place.

        Parameters
        ----------
        path : path
        session_keys : bool
            Put the keys of the DTLS sessions that were opened into the file, so that whoever has it can read it. They
            open these sessions alone; the pre-shared key is not among them.

        Raises
        ------
        BadInput
            For a selected part, which has no file of its own, or a place that cannot be written; for `session_keys` in
            a file that is no pcapng.
        """
        if self.selection is not None:
            raise BadInput(f"this is a part of {self.name} and has no file of its own; the whole capture is expected")
        data = self._data if isinstance(self._data, bytes) else pathlib.Path(self._data).read_bytes()
        write_beside(path, with_key_log(data, self.columns.key_log) if session_keys else data)

    def anonymized(
        self,
        path: str | os.PathLike[str],
        *,
        seed: int = 0,
        payload: Literal["keep", "zero"] = "keep",
        endpoint: str | None = None,
        since: Moment | None = None,
        until: Moment | None = None,
    ) -> Anonymized:
        """Write the capture, or a part of it, with nobody's names in it, and say what was replaced.

        With a part goes what explains it: TCP segments, ICMP errors and DTLS records of the endpoint, and from before
        `since` the handshakes, the last registration, what is observed, and the last values.

        Parameters
        ----------
        path : path
            Where to: pcap where the capture is one, else pcapng.
        seed : int
            Same seed, same file.
        payload : {"keep", "zero"}
            Whether image bytes stay or become zeros.
        endpoint, since, until : optional
            A part, as in `select`.

        Raises
        ------
        BadInput
            For an argument out of range, a part that is not there, a capture that is a selected part itself, or a path
            that cannot be written.
        """
        from lwm2m_lab.wire.anonymize import anonymize

        columns = self.columns
        used = {columns.categories["src"][code] for code in np.unique(np.append(columns["src"], columns["dst"]))}
        ports = tuple(sorted({5683, *(int(address.rsplit(":", 1)[1]) for address in used)} - {0}))
        source = self._data if isinstance(self._data, bytes) else os.fspath(self._data)
        if self.selection is not None:
            raise BadInput(f"this is a part of {self.name}; the whole, with endpoint, since and until, is expected")
        if (endpoint, since, until) != (None, None, None):
            from lwm2m_lab.trace.parts import part_file

            source = part_file(self, source, endpoint=endpoint, since=since, until=until)
        found = anonymize(source, seed=seed, payload=payload, ports=ports)
        write_beside(path, found.data)
        return found


@overload
def read(
    path: str | os.PathLike[str] | None = None,
    *,
    interface: str | int | None = None,
    ports: Sequence[int] = (5683,),
    psk: PreSharedKeys | None = None,
    keylog: str | os.PathLike[str] | None = None,
    stream: Literal[False] = False,
) -> Capture: ...


@overload
def read(
    path: str | os.PathLike[str] | None = None,
    *,
    interface: str | int | None = None,
    ports: Sequence[int] = (5683,),
    psk: PreSharedKeys | None = None,
    keylog: str | os.PathLike[str] | None = None,
    stream: Literal[True],
) -> Stream: ...


def read(
    path: str | os.PathLike[str] | None = None,
    *,
    interface: str | int | None = None,
    ports: Sequence[int] = (5683,),
    psk: PreSharedKeys | None = None,
    keylog: str | os.PathLike[str] | None = None,
    stream: bool = False,
) -> Capture | Stream:
    """Open a capture file, or a sample by its name.

    Parameters
    ----------
    path : path or str, optional
        A pcap or pcapng file, plain or gzip, or the name of a sample; without it the first sample.
    interface : str or int, optional
        Which interface of a file with several.
    ports : sequence of int
        UDP ports that carry CoAP in any case; elsewhere it is recognised by content.
    psk : mapping of str to bytes or hexadecimal text, optional
        Pre-shared keys of DTLS by identity; the one of ``""`` is tried for any identity.
    keylog : path or str, optional
        A key log file, or its text: ``CLIENT_RANDOM`` lines. One inside a pcapng file is used without being named.
    stream : bool
        Give a `Stream` to iterate over part by part, in constant memory, for files of many millions of packets.

    Raises
    ------
    BadInput
        For what is no capture, no key or no key log.

    Examples
    --------
    >>> print(read())
    anjay-push-256-ok.pcap: 194 CoAP messages in 194 packets, ...
    """
    if path is None:
        path = samples.path_of(samples.SAMPLES[0].name)
    elif isinstance(path, str) and not pathlib.Path(path).exists():
        path = samples.meant(path)
    if stream:
        from lwm2m_lab.trace.stream import Stream

        return Stream(path, ports=ports, interface=interface, psk=psk, keylog=keylog)
    columns = read_columns(path, ports=ports, interface=interface, psk=psk, keylog=keylog)
    return Capture(columns, name=pathlib.Path(path).name, data=path)

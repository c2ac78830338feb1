"""What is handed on of a capture: a part of it, a verdict for a build server, a report, comments, tables as files."""

from __future__ import annotations

import hashlib
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from lwm2m_lab.files import moved_into_place
from lwm2m_lab.trace.selection import Moment, selected_rows
from lwm2m_lab.trace.tables import Tables
from lwm2m_lab.wire.annotate import annotated_chunks

if TYPE_CHECKING:
    import pandas as pd

    from lwm2m_lab.show.explorer import Explorer
    from lwm2m_lab.trace.capture import Capture
    from lwm2m_lab.trace.explain import Explanation
    from lwm2m_lab.trace.gate import Check

__all__ = ["HandedOn"]


class HandedOn(Tables):
    """The tables of a capture with what can be handed on of them; a `Capture` is one."""

    #: The file itself.
    _data: bytes | str | os.PathLike[str]
    #: What was selected, in words; None for the whole capture.
    selection: str | None = None

    @property
    def _capture(self) -> Capture:
        return cast("Capture", self)

    def explain(self) -> Explanation:
        """What happened, why, and which clause."""
        from lwm2m_lab.trace.explain import explain

        return explain(self._capture)

    @property
    def findings(self) -> pd.DataFrame:
        """One row for each thing that a rule concluded, in the order of `explain`."""
        import pandas as pd

        rows = [one.to_dict() for one in self.explain().findings]
        names = ("rule", "title", "verdict", "certainty", "party", "sentence", "clause", "endpoint", "frames")
        return pd.DataFrame(rows, columns=list(names))

    def select(
        self, *, endpoint: str | None = None, since: Moment | None = None, until: Moment | None = None
    ) -> Capture:
        """A part of the capture: one endpoint, a stretch of time, or both.

        Frame numbers and seconds stay what they are in the whole. Registrations from before `since` are still known,
        so that the endpoint keeps its name and versions.

        Parameters
        ----------
        endpoint : str, optional
            Its messages, and those of its downloads.
        since, until : float, str or datetime, optional
            Seconds since the first message, ``"frame:120"``, or an ISO 8601 time (UTC where it names no zone); both
            belong to the part.

        Raises
        ------
        BadInput
            For an endpoint that is not there, or what is no moment.

        Examples
        --------
        >>> import lwm2m_lab as lab
        >>> capture = lab.read("anjay-push-256-ok")
        >>> capture.select(since="frame:10", until="frame:19").messages["frame"].tolist()
        [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]
        """
        if endpoint is since is until is None:
            return self._capture
        from lwm2m_lab.trace.capture import Capture

        rows = selected_rows(self._capture, endpoint=endpoint, since=since, until=until)
        part = Capture(self.columns.take(rows), name=self.name, data=self._data)
        frames = part.columns["frame"]
        part.logs = self._capture.logs
        if len(frames) and since is not None:
            part._earlier = [one for one in self._registered if one["frame"] < frames[0]]
        chosen = {"endpoint": endpoint, "from": since, "to": until}
        words = ", ".join(f"{name} {value}" for name, value in chosen.items() if value is not None)
        part.selection = ", ".join(filter(None, [self.selection, words]))
        return part

    def check(
        self,
        *,
        expect: str | Sequence[str] = "succeeded",
        rules: Sequence[str] = (),
        ignore: Sequence[str] = (),
        strict: bool = False,
    ) -> Check:
        """Whether every update ended as expected and nothing fails a rule; a capture without update does not pass.

        Parameters
        ----------
        expect : str or sequence of str
            The outcomes that pass.
        rules : sequence of str
            Ids of the rules that count; all by default.
        ignore : sequence of str
            Ids of rules that do not count.
        strict : bool
            Let INCONCLUSIVE stop, too.

        Raises
        ------
        BadInput
            For an outcome or a rule that does not exist.
        """
        from lwm2m_lab.trace.gate import check_capture

        return check_capture(self._capture, expect=expect, rules=rules, ignore=ignore, strict=strict)

    def fingerprint(self) -> tuple[str, int]:
        """SHA-256 of the capture file, in hex, and its size in bytes."""
        if isinstance(self._data, bytes):
            return hashlib.sha256(self._data).hexdigest(), len(self._data)
        path = pathlib.Path(self._data)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size

    def explore(self, *, endpoint: str | None = None, frame: int | None = None) -> Explorer:
        """A widget for notebooks: a slider over the messages, what was known then, the message byte by byte.

        Parameters
        ----------
        endpoint : str, optional
            Which one first; the first that is updated by default.
        frame : int, optional
            Where the cursor begins; with the first message by default.

        Raises
        ------
        BadInput
            Where there is no such message.
        """
        from lwm2m_lab.show.explorer import Explorer

        return Explorer(self._capture, endpoint=endpoint, frame=frame)

    def report(self, path: str | os.PathLike[str]) -> None:
        """Write one self-contained HTML page: what happened and why, with the evidence; no network, no script.

        Raises
        ------
        BadInput
            For a place that cannot be written.
        """
        self.explain().report(path)

    def annotated(self, path: str | os.PathLike[str]) -> tuple[int, ...]:
        """Write the capture as pcapng with what was found as packet comments, which Wireshark shows.

        Every packet stays as it is, byte for byte, with its time stamp and interface; comments that were there stay.

        Returns
        -------
        tuple of int
            Frames that can carry no comment: those in Simple Packet Blocks.

        Raises
        ------
        BadInput
            For a place that cannot be written.
        """
        from lwm2m_lab.trace.comments import comments_of

        unplaced: list[int] = []
        with moved_into_place(path) as beside, beside.open("wb") as out:
            for chunk in annotated_chunks(self._data, comments_of(self.explain()), unplaced=unplaced):
                out.write(chunk)
        return tuple(unplaced)

    def export(
        self, path: str | os.PathLike[str], *, table: str | None = None, format: str | None = None
    ) -> list[pathlib.Path]:
        """Write tables as CSV, JSON or Parquet: one into a file, or all into a folder.

        Parameters
        ----------
        path : path
            A file for one table, a folder for all of them (made where it is missing).
        table : str, optional
            ``"messages"``, ``"exchanges"``, ``"transfers"``, ``"blocks"``, ``"timeline"``, ``"registrations"``,
            ``"executes"``, ``"updates"``, ``"findings"``, ``"sessions"``, ``"http"`` or ``"tcp_messages"``.
        format : {"csv", "json", "parquet"}, optional
            By the ending of `path`, else CSV. Parquet needs pyarrow: ``pip install 'lwm2m-lab[parquet]'``.

        Returns
        -------
        list of path
            What was written.

        Raises
        ------
        BadInput
            For another table or format, a missing pyarrow, or a place that cannot be written.
        """
        from lwm2m_lab.trace.export import export

        return export(self._capture, path, table=table, format=format)

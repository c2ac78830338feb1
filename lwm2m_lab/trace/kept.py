"""Finished rows of a sweep in one Parquet file, which the same sweep, or another one, goes on from."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pathlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from lwm2m_lab.errors import BadInput
from lwm2m_lab.files import held, moved_into_place

__all__ = ["Kept", "kept_in"]

Row = dict[str, Any]
#: Seconds between two writings, at least; and how many times longer than a writing takes.
EVERY_S, SHARE = 2.0, 20.0


class Kept:
    """Rows by their keys, written to the file now and then and at the end.

    Attributes
    ----------
    path : Path
    problem : str or None
        Why the last writing failed; the rows are here still, and the next one tries again.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.problem: str | None = None
        self._rows: dict[str, Row] = _read(path)
        self._unwritten = 0
        self._next = time.monotonic() + EVERY_S

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, key: str) -> Row | None:
        """The row of a finished run."""
        return self._rows.get(key)

    def add(self, rows: Mapping[str, Row]) -> None:
        """Take rows, and write the file if it is time to."""
        self._rows.update(rows)
        self._unwritten += len(rows)
        if time.monotonic() >= self._next:
            self.write()

    def write(self) -> None:
        """Write everything beside the file and move it into place; a failure is told, and nothing is lost."""
        if not self._unwritten:
            return
        began = time.monotonic()
        table = pd.DataFrame([{"key": key, **row} for key, row in self._rows.items()])
        try:
            with moved_into_place(self.path) as beside:
                table.to_parquet(beside, engine="pyarrow", index=False)
        except BadInput as error:
            self.problem = str(error)
        else:
            self._unwritten, self.problem = 0, None
        now = time.monotonic()
        self._next = now + max(EVERY_S, SHARE * (now - began))

    @property
    def unwritten(self) -> int:
        """Rows that are not in the file yet."""
        return self._unwritten


@contextlib.contextmanager
def kept_in(path: str | os.PathLike[str]) -> Iterator[Kept]:
    """The rows of a file, or of ``sweep.parquet`` in a folder, for one sweep at a time; written at the end in any case.

    Raises
    ------
    BadInput
        Where pyarrow is missing, another sweep is at work there, or the file is no table of a sweep.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise BadInput("keep needs pyarrow, which is not installed; pip install 'lwm2m-lab[parquet]' is expected")
    file = _file_of(pathlib.Path(path))
    with held(file, "another sweep"):
        kept = Kept(file)
        try:
            yield kept
        finally:
            kept.write()


def _file_of(path: pathlib.Path) -> pathlib.Path:
    """A path that ends in ``.parquet`` is the file; any other one is the folder that it is in."""
    folder, name = (
        (path.parent, path.name) if path.suffix == ".parquet" and not path.is_dir() else (path, "sweep.parquet")
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"{folder} cannot be made ({error.strerror}); a folder, or a file that ends in .parquet, is expected"
        ) from None
    return folder / name


def _read(path: pathlib.Path) -> dict[str, Row]:
    """The rows by their keys."""
    if not path.exists():
        return {}
    try:
        table = pd.read_parquet(path, engine="pyarrow")
        rows = table.to_dict("records")
        return {row.pop("key"): row for row in rows}
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(
            f"{path} is no table of a sweep ({str(error)[:80]}); a new file, or one that a sweep wrote, is expected"
        ) from None

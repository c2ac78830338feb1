"""Many captures as one table: a row an update, for a campaign."""

from __future__ import annotations

import glob
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from lwm2m_lab.errors import BadInput, LabError
from lwm2m_lab.trace.capture import read
from lwm2m_lab.trace.updates import UPDATE_FIELDS

__all__ = ["CAMPAIGN_COLUMNS", "read_many"]

CAMPAIGN_COLUMNS = ("file", "problem", "messages", "encrypted_records", *UPDATE_FIELDS, "failing_rules")
#: Endings of captures in a folder.
_ENDINGS = (".pcap", ".pcapng", ".cap", ".ntar", ".pcap.gz", ".pcapng.gz", ".cap.gz")
Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def read_many(paths: Paths, **options: Any) -> pd.DataFrame:
    """Read many captures and tell their updates in one table.

    One capture at a time is in memory. Progress is shown once it takes longer than two seconds.

    Parameters
    ----------
    paths : path, pattern, or a sequence of them
        Files; a folder, with everything below it that ends as captures do; or a pattern such as
        ``"captures/*.pcap"``.
    options
        As for `read`: `ports`, `psk`, `keylog`, `interface`.

    Returns
    -------
    DataFrame
        One row an update with its fields, the file, and the rules that fail. A file without an update is a row, too,
        and so is one that cannot be read: ``problem`` says why.

    Raises
    ------
    BadInput
        Where there is no such file, or no capture in the folder.

    Examples
    --------
    >>> from lwm2m_lab.trace.samples import path_of
    >>> table = read_many([path_of("anjay-push-256-ok"), path_of("anjay-push-badcrc")])
    >>> table[["file", "outcome", "verdict"]].values.tolist()
    [['anjay-push-256-ok.pcap', 'succeeded', 'INCONCLUSIVE'], ['anjay-push-badcrc.pcap', 'failed', 'PASS']]
    """
    from tqdm import tqdm

    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    files = list(dict.fromkeys(path for one in given for path in _files(one)))
    if not files:
        raise BadInput("no capture is given; the path of a file or folder, or a pattern, is expected")
    parents = [path.parent for path in files]
    root = pathlib.Path(os.path.commonpath(parents)) if len({one.is_absolute() for one in parents}) == 1 else None
    rows = [
        {"file": str(path.relative_to(root)) if root else str(path), **row}
        for path in tqdm(files, desc="captures", unit="file", delay=2, leave=False)
        for row in _rows(path, options)
    ]
    table = pd.DataFrame(rows, columns=list(CAMPAIGN_COLUMNS))
    table["problem"] = table["problem"].astype(object).where(table["problem"].notna(), None)
    numbers = ("messages", "encrypted_records", "image_size", "retransmissions")
    return table.astype({**dict.fromkeys(numbers, "Int64"), "duration_s": "float64"})


def _files(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """The files that a path, a folder or a pattern stands for, in order of their names."""
    one = pathlib.Path(path)
    if one.is_dir():
        found = [inner for inner in one.rglob("*") if inner.name.lower().endswith(_ENDINGS) and inner.is_file()]
    elif one.exists() or not glob.has_magic(str(path)):
        # A file that is not there becomes a row that says so: one of many must not end the rest.
        found = [one]
    else:
        # pathlib takes no pattern that begins with the root.
        names = glob.glob(str(path), recursive=True)  # noqa: PTH207
        found = [inner for inner in map(pathlib.Path, names) if inner.is_file()]
    if not found:
        raise BadInput(f"{path} holds no capture; files that end in .pcap or .pcapng are expected")
    yield from sorted(found)


def _rows(path: pathlib.Path, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One row an update of one file, or one row that says why there is none."""
    try:
        capture = read(path, **options)
        judged = capture.judged()
        seen = {"messages": capture.columns.rows, "encrypted_records": capture.encrypted_records}
        if not judged:
            yield {**seen, "problem": capture.explain().sentence}
        for update, findings in judged:
            failing = sorted({one.rule for one in findings if one.verdict == "FAIL"})
            yield {**seen, **update.to_dict(), "failing_rules": ", ".join(failing)}
    except LabError as error:
        yield {"problem": str(error)}

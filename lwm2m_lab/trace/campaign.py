"""Many captures as one table: a row an update, for a campaign."""

from __future__ import annotations

import functools
import gc
import glob
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lwm2m_lab.errors import BadInput, LabError
from lwm2m_lab.trace.capture import Capture, read
from lwm2m_lab.trace.updates import UPDATE_FIELDS
from lwm2m_lab.trace.workers import cores, on_cluster, on_cores
from lwm2m_lab.wire.plain import read_plain

if TYPE_CHECKING:
    import pandas as pd

    from lwm2m_lab.trace.findings import Finding
    from lwm2m_lab.trace.updates import Update

__all__ = ["CAMPAIGN_COLUMNS", "read_many"]

CAMPAIGN_COLUMNS = ("file", "problem", "messages", "encrypted_records", *UPDATE_FIELDS, "failing_rules")
#: Endings of captures in a folder.
_ENDINGS = (".pcap", ".pcapng", ".cap", ".ntar", ".pcap.gz", ".pcapng.gz", ".cap.gz")
#: Bytes of captures for one message to a worker, and files at the most.
BATCH, LARGEST_BATCH = 2 << 20, 64
#: Bytes of captures for which it pays to have processes begin.
WORTH = 8 << 20
#: Bytes of captures that may wait for the collector of garbage, and new objects that it waits for meanwhile.
HELD, OBJECTS = 4 << 20, 100_000
#: Below so many bytes numpy's columns cost more than they save.
SMALL = 1 << 17
Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def read_many(paths: Paths, *, workers: int | None = None, client: Any = None, **options: Any) -> pd.DataFrame:
    """Read many captures and tell their updates in one table, on all cores.

    Same files, same table, whatever the number of workers. Each worker has one capture at a time in memory. Progress is
    shown once it takes longer than two seconds; Ctrl-C stops it.

    Parameters
    ----------
    paths : path, pattern, or a sequence of them
        Files; a folder, with everything below it that ends as captures do; or a pattern such as
        ``"captures/*.pcap"``.
    workers : int, optional
        Processes; as many as there are cores by default. One reads everything here, and so are a few small files.
    client : dask.distributed.Client, optional
        A cluster to read on instead; its workers have to see the files under the same paths. Needs
        ``pip install 'lwm2m-lab[dask]'``.
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
    import pandas as pd

    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise BadInput(f"workers is {workers!r}; a whole number of 1 or more is expected")
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    files = list(dict.fromkeys(path for one in given for path in _files(one)))
    if not files:
        raise BadInput("no capture is given; the path of a file or folder, or a pattern, is expected")
    parents = [path.parent for path in files]
    root = pathlib.Path(os.path.commonpath(parents)) if len({one.is_absolute() for one in parents}) == 1 else None
    found = _all_rows(files, options, workers or cores(), client)
    names = [str(path.relative_to(root)) if root else str(path) for path in files]
    rows = [(names[place], *row) for place in range(len(files)) for row in found.pop(place)]
    table = pd.DataFrame(rows, columns=list(CAMPAIGN_COLUMNS))
    table["problem"] = table["problem"].astype(object).where(table["problem"].notna(), None)
    numbers = ("messages", "encrypted_records", "image_size", "retransmissions")
    return table.astype({**dict.fromkeys(numbers, "Int64"), "duration_s": "float64"})


# ---------------------------------------------------------------- the work

#: One update, or why there is none: the columns behind ``file``.
Row = tuple[Any, ...]


def _all_rows(
    files: Sequence[pathlib.Path], options: dict[str, Any], workers: int, client: Any
) -> dict[int, list[Row]]:
    """The rows of each file by its place."""
    from tqdm import tqdm

    batches = _batches(files)
    work = functools.partial(_read_batch, options)
    several = client is not None or (workers > 1 and sum(map(_size, files)) > WORTH)
    if client is not None:
        results = on_cluster(work, batches, client=client)
    else:
        results = on_cores(work, batches, workers=workers) if several else map(work, batches)
    found: dict[int, list[Row]] = {}
    with tqdm(total=len(files), desc="captures", unit="file", delay=2, leave=False) as bar:
        for batch in results:
            found.update(batch)
            bar.update(len(batch))
    return found


def _batches(files: Sequence[pathlib.Path]) -> Iterator[list[tuple[int, str, str]]]:
    """Files for one message to a worker: place, absolute path (a worker may stand elsewhere), and path as given."""
    batch, size = list[tuple[int, str, str]](), 0
    for place, path in enumerate(files):
        batch.append((place, str(path.absolute()), str(path)))
        size += _size(path)
        if size >= BATCH or len(batch) >= LARGEST_BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _size(path: pathlib.Path) -> int:
    """Bytes of a file; nothing for one that is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read_batch(options: dict[str, Any], batch: Sequence[tuple[int, str, str]]) -> list[tuple[int, list[Row]]]:
    """What a worker does: the rows of each file, one file at a time in memory."""
    results, held = [], 0
    # A capture and its updates point at each other: only the collector of garbage gives them back. It need not look
    # for them after every few hundred objects, but between files, and small ones can wait.
    thresholds = gc.get_threshold()
    gc.set_threshold(OBJECTS)
    try:
        for place, path, given in batch:
            results.append((place, [_named(row, path, given) for row in _rows(path, options)]))
            held += _size(pathlib.Path(path))
            if held >= HELD:
                gc.collect()
                held = 0
    finally:
        gc.set_threshold(*thresholds)
    return results


def _named(row: Row, path: str, given: str) -> Row:
    """A problem speaks of the file as the caller did."""
    return row if row[0] is None or path == given else (row[0].replace(path, given), *row[1:])


def _rows(path: str, options: dict[str, Any]) -> list[Row]:
    """One row an update of one file, or one row that says why there is none."""
    missing = (None,) * len(UPDATE_FIELDS)
    try:
        capture = _capture(path, options)
        judged = capture.judged()
        seen = capture.columns.rows, capture.encrypted_records
        if not judged:
            return [(capture.explain().sentence, *seen, *missing, None)]
        return [(None, *seen, *_fields(update), _failing(findings)) for update, findings in judged]
    except LabError as error:
        return [(str(error), None, None, *missing, None)]


def _capture(path: str, options: dict[str, Any]) -> Capture:
    """A capture; a small one is read sooner message by message than by columns."""
    if not (options.keys() - {"ports"}) and _size(pathlib.Path(path)) <= SMALL:
        columns = read_plain(path, options.get("ports", (5683,)))
        if columns is not None:
            return Capture(columns, name=pathlib.Path(path).name, data=path)
    whole: Capture = read(path, **options)
    return whole


def _fields(update: Update) -> list[Any]:
    return [*update.to_dict().values()]


def _failing(findings: Sequence[Finding]) -> str:
    return ", ".join(sorted({one.rule for one in findings if one.verdict == "FAIL"}))


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

"""`sweep()`: every combination of some parameters, each with many seeds, on all cores; one row a run."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, overload

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.experiment import Experiment
from lwm2m_lab.live.grid import Combination, Grid
from lwm2m_lab.live.measured import measure
from lwm2m_lab.trace.kept import Kept, kept_in
from lwm2m_lab.trace.radio import RadioModel, radio_model
from lwm2m_lab.trace.sweep_table import SweepTable, table_of
from lwm2m_lab.trace.workers import cores, on_cluster, on_cores

__all__ = ["sweep"]

Row = dict[str, Any]
#: Runs that a sweep has at the most, if nobody says otherwise.
LIMIT = 100_000
#: Seconds of work in a batch, about; and how many runs it has at the most.
BATCH_S, LARGEST_BATCH = 0.25, 200
#: Seconds for which runs happen here before it pays to have processes begin, and how many have to be left then.
HERE_S, WORTH_S = 0.5, 2.0


@overload
def sweep(
    *,
    seeds: int | Iterable[int] = range(10),
    keep: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    client: Any = None,
    limit: int = LIMIT,
    model: str | RadioModel = "nb-iot",
    stream: Literal[False] = False,
    **parameters: Any,
) -> SweepTable: ...


@overload
def sweep(
    *,
    seeds: int | Iterable[int] = range(10),
    keep: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    client: Any = None,
    limit: int = LIMIT,
    model: str | RadioModel = "nb-iot",
    stream: Literal[True],
    **parameters: Any,
) -> Iterator[Row]: ...


def sweep(
    *,
    seeds: int | Iterable[int] = range(10),
    keep: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    client: Any = None,
    limit: int = LIMIT,
    model: str | RadioModel = "nb-iot",
    stream: bool = False,
    **parameters: Any,
) -> SweepTable | Iterator[Row]:
    """Run an update with every combination of parameters, each with every seed, on all cores.

    Same arguments, same table, whatever the number of workers. Ctrl-C stops it; with `keep` the same call goes on
    from there. Progress is shown once it takes longer than two seconds.

    Parameters
    ----------
    seeds : int or sequence of int
        Each combination runs once with each.
    keep : path, optional
        A file that ends in ``.parquet``, or a folder for one: finished runs are kept there every few seconds and are
        not run again, neither by the same call nor by one with another grid that has them too. Needs pyarrow.
    workers : int, optional
        Processes; as many as there are cores by default. One runs everything here.
    client : dask.distributed.Client, optional
        A cluster to run on instead. Needs ``pip install 'lwm2m-lab[dask]'``.
    limit : int
        More runs than that are refused, with the time that they would take.
    model : {"nb-iot", "lte-m"} or RadioModel
        Of the device's radio, for `energy_j` (`lwm2m_lab.trace.radio`).
    stream : bool
        Give the rows one by one as they come, as an iterator of dictionaries.
    **parameters
        One value or a sequence of values of each: `delivery` (``"push"``, ``"pull"``), the arguments of `push` and
        `pull` (`block_size`, `size`, `version`, `image`, `link`, `device`, `ack_timeout`, `max_retransmit`, `patience`,
        `time_limit`, `method`, `package_format`), and the fields of a link (`loss`, `delay`, `jitter`, `rate`,
        `duplication`, `reordering`, `outages`), which replace those of `link`. A link may be named: ``"nb_iot"``,
        ``"nb_iot_poor"``, ``"lte_m"``, ``"lan"``, ``"ieee802154"``; links and devices may come as a mapping of labels.

    Returns
    -------
    SweepTable
        A DataFrame with one row a run in the order of the grid: the parameters, ``seed``, ``outcome``, ``delivered``
        (whether the image arrived), ``duration_s`` (from the first Write on), ``transfer_s`` of the image, ``bound_s``,
        ``expected_s`` and ``expected_delivered`` by the closed formula (`lwm2m_lab.trace.bound`, `.lossy`), ``goodput``
        in bytes a second, ``retransmissions``, ``datagrams``, ``lost``, ``bytes_on_air``, ``energy_j``, ``sentence``.

    Raises
    ------
    BadInput
        For a parameter or value that no run takes, too many runs, or a `keep` that another sweep is using.

    Examples
    --------
    >>> table = sweep(block_size=[256, 1024], loss=[0.0, 0.1], seeds=range(2), size=5_000)
    >>> table[["block_size", "loss", "seed", "outcome"]].values.tolist()[0]
    [256, 0.0, 0, 'succeeded']
    >>> sweep(loss=[2])
    Traceback (most recent call last):
    lwm2m_lab.errors.BadInput: loss of the link is 2; a probability from 0 to 1 is expected
    """
    chosen = radio_model(model)
    grid = Grid(parameters, seeds=seeds, model=repr(chosen))
    crew = _Crew(_number("workers", workers, cores()), client)
    if grid.runs > _number("limit", limit, LIMIT):
        _refuse(grid, limit, crew.workers, chosen)
    rows = _rows(grid, list(grid.combinations()), chosen, crew, keep)
    if stream:
        return (row for _, row in rows)
    placed = sorted(rows, key=lambda one: one[0])
    return table_of((row for _, row in placed), tuple(grid.axes))


def _number(name: str, value: int | None, usual: int) -> int:
    if value is None:
        return usual
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadInput(f"{name} is {value!r}; a whole number of 1 or more is expected")
    return value


def _refuse(grid: Grid, limit: int, workers: int, model: RadioModel) -> None:
    """Say how long so many runs would take, from one of them."""
    first = next(grid.combinations())
    began = time.perf_counter()
    _run_batch([_Task((0, 0), "", first.experiment, model)])
    seconds = time.perf_counter() - began
    raise BadInput(
        f"the grid has {grid.runs} runs, which would take about {_span(grid.runs * seconds / workers)} on {workers} "
        f"{'core' if workers == 1 else 'cores'}; a smaller grid, or limit={grid.runs} if that is meant, is expected "
        f"(limit is {limit})"
    )


def _span(seconds: float) -> str:
    for unit, length in (("years", 31_557_600), ("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 1):.0f} seconds"


# ---------------------------------------------------------------- the work

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Task:
    """One run: where it stands in the table, by which key it is kept, and what it is."""

    place: Place
    key: str
    experiment: Experiment
    model: RadioModel


_Done = tuple[Place, str, Row]


def _run_batch(tasks: Sequence[_Task]) -> list[_Done]:
    """What a worker does."""
    return [(one.place, one.key, measure(one.experiment, one.experiment.live(), one.model)) for one in tasks]


@dataclass(frozen=True)
class _Crew:
    """Who works: so many processes of this machine, or a cluster."""

    workers: int
    client: Any

    def run(self, tasks: Iterator[_Task], number: int) -> Iterator[list[_Done]]:
        """The results of all tasks, in any order; the first ones happen here, and tell how long one takes."""
        began, done = time.perf_counter(), 0
        here = 0.0 if self.client is not None else HERE_S
        for task in tasks:
            yield _run_batch([task])
            done, spent = done + 1, time.perf_counter() - began
            is_worth_it = self.client is not None or (self.workers > 1 and (number - done) * spent / done > WORTH_S)
            if spent > here and is_worth_it:
                break
        else:
            return
        batches = _batches(tasks, min(max(round(BATCH_S * done / spent), 1), LARGEST_BATCH))
        if self.client is not None:
            yield from on_cluster(_run_batch, batches, client=self.client)
        else:
            yield from on_cores(_run_batch, batches, workers=self.workers)


def _batches(tasks: Iterator[_Task], size: int) -> Iterator[list[_Task]]:
    while batch := list(itertools.islice(tasks, size)):
        yield batch


def _rows(
    grid: Grid,
    combinations: Sequence[Combination],
    model: RadioModel,
    crew: _Crew,
    keep: str | os.PathLike[str] | None,
) -> Iterator[tuple[Place, Row]]:
    """Rows and where they belong: first those that are kept, then the others as they come."""
    from tqdm import tqdm

    with (
        contextlib.nullcontext() if keep is None else kept_in(keep) as kept,
        tqdm(total=grid.runs, desc="sweep", unit="run", delay=2, leave=False) as bar,
    ):
        places = [(at, number, seed) for number, seed in enumerate(grid.seeds) for at in range(len(combinations))]
        missing = []
        for at, number, seed in places:
            row = None if kept is None else kept.get(combinations[at].key(seed))
            if row is None:
                missing.append((at, number, seed))
            else:
                yield (at, number), _told(combinations[at], seed, row)
        bar.update(grid.runs - len(missing))
        tasks = (
            _Task((at, number), combinations[at].key(seed), combinations[at].with_seed(seed), model)
            for at, number, seed in missing
        )
        for results in crew.run(tasks, len(missing)):
            _keep(kept, results, bar)
            for (at, number), _, row in results:
                bar.update()
                yield (at, number), _told(combinations[at], grid.seeds[number], row)
        _keep(kept, [], bar)


def _told(combination: Combination, seed: int, row: Row) -> Row:
    """A row as the table has it: what was given, what was measured, what the formula says."""
    told = {**combination.labels, "seed": seed}
    for name, value in row.items():
        told[name] = value
        if name == "transfer_s":
            told |= combination.formula
    return told


def _keep(kept: Kept | None, results: Sequence[_Done], bar: Any) -> None:
    """Keep results; where they cannot be written they stay here, and it is said once."""
    if kept is None:
        return
    before = kept.problem
    kept.add({key: row for _, key, row in results})
    if not results:
        kept.write()
    if kept.problem and (before is None or not results):
        more = "the sweep goes on and tries again" if results else f"{kept.unwritten} rows are in the table alone"
        bar.write(f"note: {kept.problem}; {more}", file=sys.stderr)

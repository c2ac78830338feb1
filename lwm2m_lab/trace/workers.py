"""Where runs happen and files are read: on all cores, or on a cluster; in batches, since a message costs as well."""

from __future__ import annotations

import collections
import functools
import importlib
import itertools
import os
import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from lwm2m_lab.errors import BadInput, LabError

__all__ = ["Work", "cores", "on_cluster", "on_cores"]

In = TypeVar("In")
Out = TypeVar("Out")
#: What a worker does: takes a batch, gives its results. It has to be a function of a module.
Work = Callable[[Sequence[In]], list[Out]]
#: Batches that wait for each worker.
AHEAD = 3
#: How often a batch may lose its worker before it is thought to be at fault.
RETRIES = 3


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def on_cores(work: Work[In, Out], batches: Iterable[Sequence[In]], *, workers: int) -> Iterator[list[Out]]:
    """Results of the batches as they come, from processes that stay for the next sweep.

    A process that dies, for want of memory as a rule, takes what the others were at with it: these batches are tried
    again, a few times.

    Raises
    ------
    LabError
        Where processes die again and again.
    """
    import joblib
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    waiting = collections.deque[tuple[int, Sequence[In]]]()
    source = iter(enumerate(batches))
    for attempt in range(RETRIES + 1):
        open_batches: dict[int, Sequence[In]] = {}

        def begun(open_batches: dict[int, Sequence[In]] = open_batches) -> Iterator[Any]:
            while True:
                number, batch = waiting.popleft() if waiting else next(source, (-1, ()))
                if number < 0:
                    return
                open_batches[number] = batch
                yield joblib.delayed(_numbered)(work, number, batch)

        parallel = joblib.Parallel(
            n_jobs=workers, return_as="generator_unordered", batch_size=1, pre_dispatch=AHEAD * workers
        )
        try:
            for number, results in parallel(begun()):
                del open_batches[number]
                yield results
            return
        except TerminatedWorkerError:
            waiting.extend(sorted(open_batches.items()))
            if attempt == RETRIES:
                raise LabError(
                    f"worker processes died {RETRIES + 1} times, for want of memory as a rule; fewer workers=, or "
                    "smaller inputs, are expected"
                ) from None


def _numbered(work: Work[In, Out], number: int, batch: Sequence[In]) -> tuple[int, list[Out]]:
    """In the worker: the results of a batch. Ctrl-C in a terminal reaches everybody; the parent is who answers it."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    return number, work(batch)


def on_cluster(work: Work[In, Out], batches: Iterable[Sequence[In]], *, client: Any) -> Iterator[list[Out]]:
    """Results of the batches as they come, from the workers of a `dask.distributed.Client`; lost ones are done anew.

    Raises
    ------
    BadInput
        Where the workers do not have the lab, or not the same, or `client` is no client.
    """
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError:
        raise BadInput("client needs dask.distributed; pip install 'lwm2m-lab[dask]' is expected") from None
    if not isinstance(client, distributed.Client):
        raise BadInput(f"client is a {type(client).__name__}; a dask.distributed.Client is expected")
    _check_workers(client, _home(work))
    source = iter(batches)

    def begun(most: int) -> list[Any]:
        return [client.submit(work, one, pure=False, retries=RETRIES) for one in itertools.islice(source, most)]

    running = distributed.as_completed(begun(AHEAD * max(sum(client.nthreads().values()), 1)))
    try:
        for future in running:
            results = future.result()
            running.update(begun(1))
            yield results
    except distributed.scheduler.KilledWorker:
        raise LabError(
            "the cluster lost one worker after the other with the same work, for want of memory as a rule; workers "
            "with more memory, or smaller inputs, are expected"
        ) from None
    finally:
        client.cancel(list(running.futures))


def _home(work: Any) -> str:
    """The module of a function, or of one with some of its arguments."""
    while isinstance(work, functools.partial):
        work = work.func
    return str(work.__module__)


def _check_workers(client: Any, needed: str) -> None:
    """Each worker has this version of the lab, so that the same run gives the same row everywhere."""
    import lwm2m_lab

    try:
        found = client.run(_version, needed)
    except Exception as error:
        # A worker that cannot unpickle the question answers with the text of its error alone.
        missing = re.search(r"No module named '([\w.]+)'", str(error))
        if missing is None:
            raise
        raise BadInput(
            f"a worker of the cluster has no {missing[1]}; an environment with lwm2m-lab is expected on each of them"
        ) from None
    for address, version in found.items():
        if version != lwm2m_lab.__version__:
            raise BadInput(f"worker {address} has lwm2m-lab {version}; {lwm2m_lab.__version__}, as here, is expected")


def _version(needed: str) -> str:
    """The version there, once all is imported that the work needs."""
    import lwm2m_lab

    importlib.import_module(needed)
    return lwm2m_lab.__version__

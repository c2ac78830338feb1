"""The tables of a campaign: devices, states and versions over time, causes, the cells' queues."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lwm2m_lab.spec.objects import State

__all__ = [
    "DEVICE_COLUMNS",
    "STATE_NAMES",
    "causes_table",
    "counts_over_time",
    "devices_table",
    "queue_table",
]

#: The columns of a campaign's table of devices.
DEVICE_COLUMNS = (
    "endpoint", "stage", "cell", "profile", "fault", "link", "outcome", "cause", "cause_from", "update_result",
    "firmware_before", "firmware_after", "firmware_runs", "began_s", "ended_s", "duration_s", "retransmissions",
    "datagrams", "lost", "bytes_on_air", "energy_j", "captured", "sentence",
)  # fmt: skip
#: Where a device may be, in the order in which it gets there.
STATE_NAMES = ("waiting", *map(str, State), "succeeded", "not succeeded")
_WHOLE = ("update_result", "retransmissions", "datagrams", "lost", "bytes_on_air")
_SECONDS = ("began_s", "ended_s", "duration_s", "energy_j")
Change = tuple[float, str, str]


def devices_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a device by `DEVICE_COLUMNS`; what a device that was never begun does not have is missing."""
    table = pd.DataFrame(list(rows), columns=list(DEVICE_COLUMNS))
    kinds = {**dict.fromkeys(_WHOLE, "Int64"), **dict.fromkeys(_SECONDS, "float64"), "captured": "bool"}
    return table.astype(kinds)


def counts_over_time(names: Sequence[str], start: Mapping[str, int], changes: Iterable[Change]) -> pd.DataFrame:
    """How many devices are what, from one change to the next.

    Parameters
    ----------
    names : sequence of str
        The columns.
    start : mapping of str to int
        How many there are of each at second 0.
    changes : iterable of (float, str, str)
        Second, what a device was, and what it became.

    Returns
    -------
    DataFrame
        ``time_s``, and a column for each name.

    Examples
    --------
    >>> counts_over_time(["old", "new"], {"old": 2}, [(5.0, "old", "new"), (9.0, "old", "new")]).values.tolist()
    [[0.0, 2.0, 0.0], [5.0, 1.0, 1.0], [9.0, 0.0, 2.0]]
    """
    ordered = sorted(changes, key=lambda one: one[0])
    at = {name: number for number, name in enumerate(names)}
    steps = np.zeros((len(ordered) + 1, len(names)), np.int64)
    times = np.zeros(len(ordered) + 1)
    for name, count in start.items():
        steps[0, at[name]] = count
    for row, (time_s, was, became) in enumerate(ordered, 1):
        times[row] = time_s
        steps[row, at[was]] -= 1
        steps[row, at[became]] += 1
    table = pd.DataFrame(steps.cumsum(axis=0), columns=list(names))
    table.insert(0, "time_s", times)
    return table.drop_duplicates("time_s", keep="last", ignore_index=True)


def causes_table(devices: pd.DataFrame) -> pd.DataFrame:
    """One row a cause, the most frequent first: who says so, how many devices, and the first of them."""
    failed = devices[devices["cause"].notna() & (devices["cause"] != "")].sort_values("ended_s", kind="stable")
    groups = failed.groupby(["cause", "cause_from"], sort=False)
    table = groups.agg(devices=("endpoint", "size"), first=("endpoint", "first")).reset_index()
    return table.sort_values("devices", ascending=False, kind="stable", ignore_index=True)


def queue_table(slices: Iterable[tuple[float, int, Sequence[float]]]) -> pd.DataFrame:
    """One row a second of a cell in which it sent: longest wait in its queues, and bits that left, up and down."""
    rows = [(time_s, cell, *told) for time_s, cell, told in slices]
    names = ["time_s", "cell", "wait_up_s", "wait_down_s", "bits_up", "bits_down"]
    return pd.DataFrame(rows, columns=names).sort_values(["time_s", "cell"], kind="stable", ignore_index=True)

"""What a download over TCP cost in time: HTTP, or CoAP over TCP.

A round trip is that of a SYN, and that of a request up to the first byte of its answer. Silence that exceeds the
smallest round trip by far is somebody's: before a retransmission the path's, before a request the device's, before
bytes of the answer the repository's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.trace.bound import PathModel
from lwm2m_lab.trace.measures import PAUSE_S, Given, Losses, Measures
from lwm2m_lab.trace.overtcp import tcp_body_bytes, tcp_of
from lwm2m_lab.wire.segments import ACK, SYN

if TYPE_CHECKING:
    from lwm2m_lab.trace.updates import Update
    from lwm2m_lab.wire.tcp_packets import TcpPackets

__all__ = ["measure_tcp"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def measure_tcp(update: Update, given: Given) -> Measures | None:
    """The measures of a download over TCP; None where no packet of its connections is in the capture.

    ``blocks`` are the requests, ``retransmissions`` the segments that were sent again, ``spurious`` those of them that
    had been acknowledged before, ``duplicate_acks`` bare acknowledgements of what was acknowledged before.
    """
    seen = tcp_of(update)
    if seen is None or not len(seen):
        return None
    time = (seen.time_ns - seen.time_ns[0]) / 1e9
    asked, trips, first = _trips(seen, time)
    payload, wire = tcp_body_bytes(update), int(seen.size.sum())
    carries = np.flatnonzero((seen.payload > 0) | (seen.flags & SYN > 0))
    duration = float(time[carries[-1]] - time[carries[0]]) if carries.size else 0.0
    spurious = int((seen.again & _acknowledged(seen)).sum())
    again = int(seen.again.sum())
    shortest = float(trips.min()) if len(trips) else float("nan")
    lost = _losses(seen, time, shortest=0.0 if np.isnan(shortest) else shortest, first=first, duration=duration)
    path = PathModel(rtt0_s=0.0 if np.isnan(shortest) else shortest)
    path = replace(path, **{name: value for name, value in given.items() if value is not None})
    opened = int(((seen.flags & (SYN | ACK) == SYN) & ~seen.again).sum())
    down, up = (float(seen.size[way & ~seen.again].sum()) for way in (~seen.up, seen.up))
    empty = PathModel(rtt0_s=0.0, down_bps=path.down_bps, up_bps=path.up_bps)
    count = len(update.evidence.http) or len(asked)
    how = "HTTP" if update.evidence.http else "CoAP over TCP"
    steps = np.diff(time[asked])
    return Measures(
        what=f"{update.delivery} to {update.endpoint} by {how} of {payload} bytes in {count} "
        f"{'request' if count == 1 else 'requests'}",
        blocks=count,
        payload_bytes=payload,
        wire_bytes=wire,
        duration_s=duration,
        rtt_min_s=_at(trips, 0),
        rtt_median_s=_at(trips, 50),
        rtt_p95_s=_at(trips, 95),
        first_block_rtt_s=first,
        block_delay_median_s=_at(steps, 50),
        block_delay_p95_s=_at(steps, 95),
        retransmissions=again,
        needed=again - spurious,
        spurious=spurious,
        unanswered=int(update.evidence.unanswered is not None),
        duplicate_acks=_duplicate_acks(seen),
        goodput_bytes_s=payload / duration if duration > 0 else float("nan"),
        efficiency=payload / wire if wire else float("nan"),
        lost=lost,
        path=path,
        bound_s=(opened + len(asked)) * path.rtt0_s + empty.exchange_s(down, up),
    )


def _trips(seen: TcpPackets, time: Floats) -> tuple[Ints, Floats, float]:
    """Positions of the requests, all round trips, and that of the first request; nothing that was sent again counts."""
    asked: list[int] = []
    trips: list[float] = []
    first = float("nan")
    for number in range(int(seen.connection.max()) + 1):
        rows = np.flatnonzero((seen.connection == number) & ~seen.again)
        waits, opening = -1, -1
        for at in rows.tolist():
            if seen.flags[at] & SYN:
                if seen.up[at]:
                    opening = at
                elif opening >= 0:
                    trips.append(float(time[at] - time[opening]))
                    opening = -1
            elif seen.payload[at] and seen.up[at] and waits < 0:
                waits = at
                asked.append(at)
            elif seen.payload[at] and not seen.up[at] and waits >= 0:
                trips.append(float(time[at] - time[waits]))
                first, waits = trips[-1] if np.isnan(first) else first, -1
    return np.array(sorted(asked), np.int64), np.array(trips), first


def _acknowledged(seen: TcpPackets) -> NDArray[np.bool_]:
    """Whether the other side had acknowledged a packet's end before."""
    done = np.zeros(len(seen), bool)
    for number in range(int(seen.connection.max()) + 1):
        for up in (True, False):
            back = np.flatnonzero((seen.connection == number) & (seen.up != up) & (seen.flags & ACK > 0))
            for at in np.flatnonzero((seen.connection == number) & (seen.up == up) & seen.again).tolist():
                before = back[: np.searchsorted(back, at)]
                ahead = (seen.ack[before] - seen.reach[at] + (1 << 31)) % (1 << 32) - (1 << 31)
                done[at] = bool((ahead >= 0).any())
    return done


def _duplicate_acks(seen: TcpPackets) -> int:
    """Bare acknowledgements that say again what their sender had said last."""
    count = 0
    for number in range(int(seen.connection.max()) + 1):
        for up in (True, False):
            mine = np.flatnonzero((seen.connection == number) & (seen.up == up))
            same = (np.diff(seen.ack[mine]) == 0) & (np.diff(seen.seq[mine]) == 0)
            count += int((same & seen.bare[mine][1:] & seen.bare[mine][:-1]).sum())
    return count


def _losses(seen: TcpPackets, time: Floats, *, shortest: float, first: float, duration: float) -> Losses:
    """Each silence that is longer than a round trip by far, to who ends it; between connections it is the device's."""
    gaps = np.diff(time)
    long = gaps > 2 * shortest + PAUSE_S
    excess = np.where(long, gaps - shortest, 0.0)
    again, up = seen.again[1:], seen.up[1:]
    waited = float(excess[again].sum())
    receiver = float(excess[~again & up].sum())
    sender = float(excess[~again & ~up].sum())
    begin = max(0.0, first - shortest) if first > 2 * shortest + PAUSE_S else 0.0
    begin = min(begin, sender)
    return Losses(
        retransmission_s=waited,
        first_block_s=begin,
        sender_s=sender - begin,
        receiver_s=receiver,
        path_s=max(0.0, duration - waited - sender - receiver),
    )


def _at(values: Floats, percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else float("nan")

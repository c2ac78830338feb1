"""What a transfer cost in time, and what it cost it: round trips, copies, pauses, and the bound that it could reach.

The time of a transfer is cut at the answers: from the first copy of a request to the copy that was answered is waiting
for retransmission; from there to the answer is the round trip; from the answer to the next request is the requester's
turn. What exceeds the usual round trip, or the usual turn, by far is somebody's pause, the rest is the path's.
"""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.bound import PathModel, fit_path, in_series
from lwm2m_lab.trace.exchanges import group_codes
from lwm2m_lab.trace.rows import Rows

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture
    from lwm2m_lab.trace.updates import Update

__all__ = ["MEASURE_COLUMNS", "Losses", "Measures", "build_measures", "measure_update"]

Floats = NDArray[np.float64]
#: A round trip or a turn is a pause from twice the usual one and this many seconds on.
PAUSE_S = 0.05


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Seconds of a transfer by their causes; they add up to its duration.

    Attributes
    ----------
    retransmission_s : float
        Waiting until a copy that was needed was sent.
    first_block_s : float
        What the first block took longer than others: the receiver made room for the image.
    sender_s, receiver_s : float
        Pauses of who sends the image, and of who receives it.
    path_s : float
        The rest: round trips, as the path and both ends usually make them.
    """

    retransmission_s: float
    first_block_s: float
    sender_s: float
    receiver_s: float
    path_s: float


@dataclass(frozen=True, kw_only=True)
class Measures:
    """One transfer, measured.

    Attributes
    ----------
    what : str
    blocks, payload_bytes, wire_bytes : int
        Blocks that make the image, bytes of them, and bytes of all IP packets in both directions, copies included.
    duration_s, rtt_min_s, rtt_median_s, rtt_p95_s, first_block_rtt_s : float
        First copy to last answer; round trips from the copy that was answered.
    block_delay_median_s, block_delay_p95_s : float
        From one block to the next.
    retransmissions, needed, spurious, unanswered, duplicate_acks : int
        Copies of requests, those that were needed and not; requests without answer; further copies of answers.
    goodput_bytes_s, efficiency : float
        Payload bytes per second; payload bytes per byte on the wire.
    lost : Losses
    path : PathModel
        Measured, or given.
    bound_s : float
        The same transfer over that path with nothing lost and nobody pausing.
    """

    what: str
    blocks: int
    payload_bytes: int
    wire_bytes: int
    duration_s: float
    rtt_min_s: float
    rtt_median_s: float
    rtt_p95_s: float
    first_block_rtt_s: float
    block_delay_median_s: float
    block_delay_p95_s: float
    retransmissions: int
    needed: int
    spurious: int
    unanswered: int
    duplicate_acks: int
    goodput_bytes_s: float
    efficiency: float
    lost: Losses
    path: PathModel
    bound_s: float

    @property
    def factor(self) -> float:
        """How many times the bound it took."""
        return self.duration_s / self.bound_s if self.bound_s > 0 else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """All numbers in one flat mapping."""
        found = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("lost", "path")}
        causes = {name if name == "path_s" else f"lost_{name}": value for name, value in asdict(self.lost).items()}
        return {**found, **causes, **asdict(self.path), "factor": self.factor}

    def __str__(self) -> str:
        lost = self.lost
        causes = [
            f"{name} {value:.3f} s"
            for name, value in (
                ("retransmission", lost.retransmission_s),
                ("first block", lost.first_block_s),
                ("sender's pauses", lost.sender_s),
                ("receiver's pauses", lost.receiver_s),
            )
            if value >= 0.0005
        ]
        copies = f"{self.retransmissions} retransmissions ({self.needed} needed, {self.spurious} spurious)"
        return "\n".join(
            [
                f"{self.what}: took {self.duration_s:.3f} s, bound {self.bound_s:.3f} s, x{self.factor:.1f}; "
                f"lost: {', '.join(causes) or 'nothing'}; path {lost.path_s:.3f} s",
                f"  bound from {self.path}; {self.blocks} blocks",
                f"  round trip: smallest {self.rtt_min_s:.3f} s, median {self.rtt_median_s:.3f} s, 95 % within "
                f"{self.rtt_p95_s:.3f} s, first block {self.first_block_rtt_s:.3f} s",
                f"  block to block: median {self.block_delay_median_s:.3f} s, 95 % within "
                f"{self.block_delay_p95_s:.3f} s",
                f"  {copies}; {self.duplicate_acks} duplicate ACKs; {self.unanswered} requests unanswered",
                f"  {self.payload_bytes} bytes at {self.goodput_bytes_s:.0f} bytes/s; {self.wire_bytes} bytes on the "
                f"wire, efficiency {self.efficiency:.1%}",
            ]
        )

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        lines = str(self).split("\n")
        return f"<p><b>{html.escape(lines[0])}</b><br>{'<br>'.join(html.escape(line) for line in lines[1:])}</p>"


MEASURE_COLUMNS = (
    "transfer", "endpoint", "kind", "uri_path", "blocks", "payload_bytes", "wire_bytes", "duration_s", "rtt_min_s",
    "rtt_median_s", "rtt_p95_s", "first_block_rtt_s", "block_delay_median_s", "block_delay_p95_s", "retransmissions",
    "needed", "spurious", "unanswered", "duplicate_acks", "goodput_bytes_s", "efficiency", "lost_retransmission_s",
    "lost_first_block_s", "lost_sender_s", "lost_receiver_s", "path_s", "rtt0_s", "down_bps", "up_bps", "bound_s",
    "factor",
)  # fmt: skip


def build_measures(capture: Capture) -> pd.DataFrame:
    """One row a block-wise transfer, measured."""
    rows = []
    blocks = capture.rows("blocks")
    if len(blocks):
        names = [*capture.columns.categories["uri_path"], None]
        first = blocks[np.unique(blocks.transfer, return_index=True)[1]]
        measured = _measured(capture, blocks["_exchange"], blocks.transfer)
        heads = first.each("transfer", "endpoint", "kind", "_path")
        for (transfer, endpoint, kind, path), one in zip(heads, measured, strict=True):
            known = {"transfer": transfer, "endpoint": endpoint, "kind": kind, "uri_path": names[path]}
            rows.append({**known, **one.to_dict()})
    return pd.DataFrame(rows, columns=list(MEASURE_COLUMNS))


def measure_update(
    update: Update, *, rtt0_s: float | None = None, down_bps: float | None = None, up_bps: float | None = None
) -> Measures:
    """Measure the delivery of one update; what is given of the path is taken instead of what was measured."""
    capture = update.capture
    positions = np.array(sorted(set(update.evidence.exchanges)), np.int64)
    path = capture._wired["_path"][positions]
    uri = [code for code, name in enumerate(capture.columns.categories["uri_path"]) if name == "/5/0/1"]
    positions = positions[~np.isin(path, uri)]
    given = {"rtt0_s": rtt0_s, "down_bps": down_bps, "up_bps": up_bps}
    if update.evidence.connections:
        from lwm2m_lab.trace.tcpmeasures import measure_tcp

        over_tcp = measure_tcp(update, given)
        if over_tcp is not None:
            return over_tcp
    if not len(positions):
        raise BadInput(
            f"the image of {update.endpoint} was not delivered in the clear; "
            "a push by CoAP, or a pull by CoAP or HTTP, is expected"
        )
    what = f"{update.delivery} to {update.endpoint}"
    (found,) = _measured(capture, positions, np.zeros(len(positions), np.int64), what=what, given=given)
    return found


Given = dict[str, float | None]


def _measured(
    capture: Capture,
    positions: NDArray[np.int64],
    group: NDArray[np.int64],
    *,
    what: str = "",
    given: Given | None = None,
) -> list[Measures]:
    """The measures of each group of exchanges, in the order of the groups."""
    table = _turns(capture, positions, group)
    lost = _losses(table)
    return [
        _one(capture, part, lost.loc[number], what=what or f"transfer {number}", given=given or {})
        for number, part in table.groupby("group", sort=True)
    ]


def _turns(capture: Capture, positions: NDArray[np.int64], group: NDArray[np.int64]) -> pd.DataFrame:
    """One row an exchange of a transfer: its pieces of time in seconds, and what it carried."""
    timing, wired = Rows(capture._timing, positions), Rows(capture._wired, positions)
    columns = capture.columns
    pull = wired["_code"] == 1
    carrier = np.where(pull, wired["_response"], wired["_row"])
    lengths = np.append(columns["payload_length"], 0).astype(np.int64)
    number = np.append(columns["block1_num"], -1)[carrier], np.append(columns["block2_num"], -1)[carrier]
    size = np.append(columns["block1_size"], 0)[carrier], np.append(columns["block2_size"], 0)[carrier]
    start, sent, answer = (timing[name] for name in ("start_ns", "sent_ns", "answer_ns"))
    table = pd.DataFrame(
        {
            "group": group,
            "position": positions,
            "pull": pull,
            "start": start,
            "end": np.where(answer < 0, sent, answer),
            "wait": (sent - start) / 1e9,
            "trip": np.where(answer < 0, np.nan, (answer - sent) / 1e9),
            "copies": wired["_copies"],
            "offset": np.where(pull, number[1] * np.maximum(size[1], 0), number[0] * np.maximum(size[0], 0)),
            "length": np.where(carrier >= 0, lengths[carrier], 0),
            **{
                name: timing[name]
                for name in ("needed", "spurious", "answers", "duplicate_acks", "request_bytes", "response_bytes")
            },
        }
    ).sort_values(["group", "start", "position"], kind="stable", ignore_index=True)
    last = table.groupby("group")["start"].shift(-1)
    table["turn"] = ((last - table["end"]) / 1e9).clip(lower=0)
    return table


def _losses(table: pd.DataFrame) -> pd.DataFrame:
    """Seconds by cause, one row a group."""
    groups = table.groupby("group")
    first = groups.cumcount() == 0
    usual_trip = table["trip"].mask(first & (groups["trip"].transform("count") > 1)).groupby(table["group"])
    trip = _excess(table["trip"], usual_trip.transform("median"))
    turn = _excess(table["turn"], groups["turn"].transform("median"))
    # Who is asked makes the round trip longer, who asks the turn; in a push the sender asks, in a pull the receiver.
    pull = table["pull"]
    pieces = pd.DataFrame(
        {
            "retransmission_s": table["wait"],
            "first_block_s": trip.where(first, 0),
            "sender_s": turn.where(~pull, 0) + trip.where(pull & ~first, 0),
            "receiver_s": turn.where(pull, 0) + trip.where(~pull & ~first, 0),
        }
    )
    sums = pieces.groupby(table["group"]).sum()
    duration = (groups["end"].max() - groups["start"].min()) / 1e9
    # Requests that overlap wait at the same time: no cause takes more than there was.
    sums = sums.mul((duration / sums.sum(axis=1)).clip(upper=1).fillna(1), axis=0)
    sums["path_s"] = (duration - sums.sum(axis=1)).clip(lower=0)
    sums["duration_s"] = duration
    return sums


def _excess(seconds: pd.Series, usual: pd.Series) -> pd.Series:
    """What exceeds the usual by far; 0 elsewhere."""
    return (seconds - usual).where(seconds > 2 * usual + PAUSE_S, 0.0).fillna(0.0)


def _one(capture: Capture, part: pd.DataFrame, lost: pd.Series, *, what: str, given: Given) -> Measures:
    """The measures of one group."""
    body = part.drop_duplicates("offset", keep="last")
    body = body[body["length"] > 0]
    payload, duration = int(body["length"].sum()), float(lost["duration_s"])
    wire = int(part["request_bytes"].sum() + part["response_bytes"].sum())
    trips = part["trip"].dropna().to_numpy()
    steps = np.diff(part["start"].to_numpy()) / 1e9
    path, bound = _bound(capture, part, body, given)
    kind = f"{what} of {payload} bytes in {len(body)} blocks" if len(body) > 1 else f"{what} of {payload} bytes"
    return Measures(
        what=kind,
        blocks=len(body),
        payload_bytes=payload,
        wire_bytes=wire,
        duration_s=duration,
        rtt_min_s=_at(trips, 0),
        rtt_median_s=_at(trips, 50),
        rtt_p95_s=_at(trips, 95),
        first_block_rtt_s=float(part["trip"].iloc[0]),
        block_delay_median_s=_at(steps, 50),
        block_delay_p95_s=_at(steps, 95),
        retransmissions=int((part["needed"] + part["spurious"]).sum()),
        needed=int(part["needed"].sum()),
        spurious=int(part["spurious"].sum()),
        unanswered=int(part["trip"].isna().sum()),
        duplicate_acks=int(part["duplicate_acks"].sum()),
        goodput_bytes_s=payload / duration if duration > 0 else float("nan"),
        efficiency=payload / wire if wire else float("nan"),
        lost=Losses(**{one.name: float(lost[one.name]) for one in fields(Losses)}),
        path=path,
        bound_s=bound,
    )


def _at(values: Floats, percent: float) -> float:
    return float(np.percentile(values, percent)) if len(values) else float("nan")


def _per_exchange(part: pd.DataFrame, pull: bool) -> tuple[Floats, Floats]:
    """Bytes to the device and from it of one copy of each exchange."""
    request = part["request_bytes"].to_numpy() / part["copies"].to_numpy()
    response = part["response_bytes"].to_numpy() / np.maximum(part["answers"].to_numpy(), 1)
    return (response, request) if pull else (request, response)


def _fit(capture: Capture, part: pd.DataFrame) -> tuple[PathModel, PathModel]:
    """What the round trips show of the path, and what the turns: near the requester it is all in the round trips."""
    pull = bool(part["pull"].iloc[0])
    chosen = capture._alike.positions(int(part["position"].iloc[0]))
    sample = Rows(capture._timing, chosen)
    request = sample.request_bytes / capture._wired["_copies"][chosen]
    response = sample.response_bytes / np.maximum(sample.answers, 1)
    seconds = (sample.answer_ns - sample.sent_ns) / 1e9
    trips = _fitted(request, response, seconds, pull=pull)
    clear = ((part["needed"] == 0) & part["trip"].notna()).to_numpy()
    pairs = np.nonzero(clear[:-1] & clear[1:])[0]
    request = (part["request_bytes"] / part["copies"]).to_numpy()[pairs + 1]
    response = (part["response_bytes"] / part["answers"].clip(lower=1)).to_numpy()[pairs]
    return trips, _fitted(request, response, part["turn"].to_numpy()[pairs], pull=pull)


def _fitted(request: Floats, response: Floats, seconds: Floats, *, pull: bool) -> PathModel:
    if not len(seconds):
        return PathModel(rtt0_s=0.0)
    return fit_path(response, request, seconds) if pull else fit_path(request, response, seconds)


def _bound(capture: Capture, part: pd.DataFrame, body: pd.DataFrame, given: Given) -> tuple[PathModel, float]:
    """The path of a transfer, and the seconds that its blocks take over it at least."""
    trips, turns = _fit(capture, part)
    path = in_series(trips, turns)
    blocks = body if len(body) else part
    down, up = _per_exchange(blocks, bool(part["pull"].iloc[0]))
    if any(value is not None for value in given.values()):
        path = replace(path, **{name: value for name, value in given.items() if value is not None})
        return path, float(sum(map(path.exchange_s, down, up)))
    # Turns are one less than blocks, and the bytes of a turn are those of the answer before it and the request behind.
    last_down, last_up = (down[:-1], up[1:]) if bool(part["pull"].iloc[0]) else (down[1:], up[:-1])
    return path, float(sum(map(trips.exchange_s, down, up)) + sum(map(turns.exchange_s, last_down, last_up)))


class Alike:
    """The exchanges that say something of a path: those between the same two ends that needed no copy."""

    def __init__(self, capture: Capture) -> None:
        wired, timing = capture._wired, capture._timing
        self._clear = (timing["needed"] == 0) & (timing["answer_ns"] >= 0)
        self._pair = group_codes(wired["_src"], wired["_dst"])
        self._order = np.argsort(self._pair, kind="stable")
        self._sorted = self._pair[self._order]

    def positions(self, position: int) -> NDArray[np.int64]:
        """Positions of the exchanges between the ends of this one."""
        low, high = np.searchsorted(self._sorted, [self._pair[position], self._pair[position] + 1])
        found: NDArray[np.int64] = self._order[low:high]
        clear: NDArray[np.int64] = found[self._clear[found]]
        return clear

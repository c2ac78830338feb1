"""What an update costs on the air: bytes by layer, radio and energy by a stated model, money, and telling gaps."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.exchanges import copy_groups, seconds
from lwm2m_lab.trace.overtcp import tcp_body_bytes, tcp_of
from lwm2m_lab.trace.radio import Radio, RadioModel, radio_model, radio_use
from lwm2m_lab.trace.timing import HEADERS, wire_bytes

if TYPE_CHECKING:
    from lwm2m_lab.trace.updates import Update
    from lwm2m_lab.wire.tcp_packets import TcpPackets

__all__ = ["LAYERS", "LAYERS_WITH_TCP", "Cost", "Gap", "cost_of"]

LAYERS = ("payload", "CoAP", "DTLS", "UDP", "IP")
#: Of an update whose package came over TCP; bare acknowledgements, headers without anything behind, stand apart.
LAYERS_WITH_TCP = ("payload", "CoAP", "HTTP", "DTLS", "UDP", "TCP", "TCP ACK", "IP")
_UDP = 8
#: A battery's volts, to say joules as milliampere-hours.
VOLTS = 3.6
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Gap:
    """A silence in which a door may have closed.

    Attributes
    ----------
    door : {"NAT", "PSM", "eDRX"}
        The NAT's mapping, the device's sleep, its paging cycle.
    frames : (int, int)
        The messages before and after it.
    seconds : float
    by : {"device", "server"}
        Who spoke first after it.
    """

    door: Literal["NAT", "PSM", "eDRX"]
    frames: tuple[int, int]
    seconds: float
    by: Literal["device", "server"]

    def __str__(self) -> str:
        silent = f"{self.seconds:.1f} s silent between frames {self.frames[0]} and {self.frames[1]}"
        if self.door == "NAT":
            after = "then the server spoke: through a NAT it is not heard" if self.by == "server" else (
                "then the device spoke: it may have a new port"
            )  # fmt: skip
        elif self.door == "PSM":
            after = "then the server spoke to a device that sleeps"
        else:
            after = "then the server spoke: up to a whole paging cycle later it is heard"
        return f"{self.door}: {silent}, {after}"


@dataclass(frozen=True)
class Cost:
    """What one update costs.

    Attributes
    ----------
    endpoint : str
    layers : DataFrame
        Bytes, one row a layer (payload, CoAP, DTLS, UDP, IP): ``up``, ``down`` of first copies, ``up_again`` and
        ``down_again`` of further ones, ``total``. Of a download over TCP also HTTP, TCP, and TCP ACK: the headers of
        segments that carry nothing but an acknowledgement. What TCP sent again counts as payload where it has any.
    duration_s : float
        First to last message.
    model : RadioModel
    radio : Radio
    price_per_mb, price : float or None
        Of 1 000 000 bytes, and of all bytes.
    gaps : tuple of Gap
    notes : tuple of str
        What is not in the numbers.
    """

    endpoint: str
    layers: pd.DataFrame
    duration_s: float
    model: RadioModel
    radio: Radio
    price_per_mb: float | None
    price: float | None
    gaps: tuple[Gap, ...]
    notes: tuple[str, ...]

    @property
    def total_bytes(self) -> int:
        """Bytes of all IP packets in both directions."""
        return int(self.layers["total"].sum())

    @property
    def again_bytes(self) -> int:
        """Bytes of what was sent again."""
        return int(self.layers[["up_again", "down_again"]].to_numpy().sum())

    def _lines(self) -> list[str]:
        radio, total = self.radio, self.total_bytes
        lines = [
            f"{self.endpoint}: {total} bytes on the air in {self.duration_s:.3f} s, "
            f"{self.again_bytes} of them ({self.again_bytes / max(total, 1):.1%}) sent again",
            f"radio on for {radio.on_s:.1f} s in {radio.connections} "
            f"{'connection' if radio.connections == 1 else 'connections'} (sending {radio.tx_s:.1f} s, receiving "
            f"{radio.rx_s:.1f} s), {radio.energy_j:.1f} J or {radio.energy_j / VOLTS / 3.6:.2f} mAh at {VOLTS} V, "
            f"by the model {self.model.name}",
        ]
        if self.price is not None:
            lines.append(f"data: {self.price:.4f} at {self.price_per_mb:g} per MB")
        lines += map(str, self.gaps[:8])
        if len(self.gaps) > 8:
            lines.append(f"and {len(self.gaps) - 8} more gaps")
        return lines + [f"note: {note}" for note in self.notes]

    def __str__(self) -> str:
        head, *rest = self._lines()
        return "\n".join([head, *(f"  {line}" for line in [*self.layers.to_string().split("\n"), *rest])])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        head, *rest = (html.escape(line) for line in self._lines())
        return f"<p><b>{head}</b></p>{self.layers.to_html(border=0)}<p>{'<br>'.join(rest)}</p>"


def cost_of(
    update: Update,
    *,
    model: str | RadioModel = "nb-iot",
    price_per_mb: float | None = None,
    nat_timeout_s: float | None = None,
    psm: float | None = None,
    edrx: float | None = None,
) -> Cost:
    """Count what one update costs; the parameters are those of `Update.cost`."""
    chosen = radio_model(model)
    for name, value in (("price_per_mb", price_per_mb), ("nat_timeout_s", nat_timeout_s), ("psm", psm), ("edrx", edrx)):
        if value is not None and not 0 <= value < math.inf:
            raise BadInput(f"{name} is {value!r}; a finite number of 0 or more is expected")
    rows, up = _rows(update)
    capture = update.capture
    layers = _layers(update, rows, up)
    time, size, frame = (
        seconds(capture.columns)[rows],
        wire_bytes(capture.columns)[rows],
        capture.columns["frame"][rows],
    )
    segments = tcp_of(update)
    if segments is not None:
        layers = _with_tcp(update, layers, segments)
        time = np.append(time, (segments.time_ns - capture.columns.origin_ns) / 1e9)
        size, frame = np.append(size, segments.size), np.append(frame, segments.frame)
        up = np.append(up, segments.up)
        order = np.lexsort((frame, time))
        time, size, frame, up = time[order], size[order], frame[order], up[order]
    total = int(layers["total"].sum())
    return Cost(
        endpoint=update.endpoint,
        layers=layers,
        duration_s=float(time[-1] - time[0]),
        model=chosen,
        radio=radio_use(time, size.astype(float), up, chosen),
        price_per_mb=price_per_mb,
        price=None if price_per_mb is None else total / 1e6 * price_per_mb,
        gaps=tuple(_gaps(frame, time, up, chosen, nat_timeout_s, psm, edrx)),
        notes=tuple(_notes(update)),
    )


def _rows(update: Update) -> tuple[Ints, NDArray[np.bool_]]:
    """The messages of the update, to and from the device under all its addresses, and whether the device sent each."""
    capture = update.capture
    columns, wired = capture.columns, capture._wired
    frame = columns["frame"]
    first, last = update.frames
    own = (wired["endpoint"] == update.endpoint) & (wired["frame"] >= first) & (wired["frame"] <= last)
    positions = np.union1d(np.nonzero(own)[0], np.array(update.evidence.exchanges, np.int64))
    device = np.zeros(len(columns.categories["src"]), bool)
    device[wired["_device"][positions]] = True
    within = (frame >= update.frames[0]) & (frame <= update.frames[1])
    src, dst = columns["src"], columns["dst"]
    rows = np.nonzero(within & (device[src] | device[dst]))[0]
    rows = rows[np.argsort(columns["time"][rows], kind="stable")]
    return rows, device[src[rows]]


def _layers(update: Update, rows: Ints, up: NDArray[np.bool_]) -> pd.DataFrame:
    """Bytes by layer and direction, first copies and further ones apart."""
    columns = update.capture.columns
    length = columns.lengths[rows].astype(np.int64)
    payload = np.maximum(columns["payload_length"][rows], 0).astype(np.int64)
    wide = np.array([address.startswith("[") for address in columns.categories["src"]], bool)
    below = np.where(wide[columns["src"][rows]], HEADERS[6], HEADERS[4])
    dtls = wire_bytes(columns)[rows] - length - below
    parts = (payload, length - payload, dtls, np.full(len(rows), _UDP), below - _UDP)
    again = _again(update, rows)
    ways = {"up": up & ~again, "down": ~up & ~again, "up_again": up & again, "down_again": ~up & again}
    table = pd.DataFrame(
        {name: [int(part[way].sum()) for part in parts] for name, way in ways.items()}, index=list(LAYERS)
    )
    table["total"] = table.sum(axis=1)
    return table


def _with_tcp(update: Update, layers: pd.DataFrame, segments: TcpPackets) -> pd.DataFrame:
    """The layers with those of the segments added."""
    table = layers.drop(columns="total").reindex(list(LAYERS_WITH_TCP), fill_value=0)
    up, again = segments.up, segments.again
    said, body = ("HTTP" if update.evidence.http else "CoAP"), tcp_body_bytes(update)
    for name, way in (
        ("up", up & ~again),
        ("down", ~up & ~again),
        ("up_again", up & again),
        ("down_again", ~up & again),
    ):
        carried = int(segments.payload[way].sum())
        own = carried if name.endswith("again") else min(body, carried) if name == "down" else 0
        table.loc["payload", name] += own
        table.loc[said, name] += carried - own
        table.loc["TCP", name] += int(segments.tcp[way & ~segments.bare].sum())
        table.loc["TCP ACK", name] += int(segments.tcp[way & segments.bare].sum())
        table.loc["IP", name] += int(segments.ip[way].sum())
    table["total"] = table.sum(axis=1)
    return table


def _again(update: Update, rows: Ints) -> NDArray[np.bool_]:
    """Which of the messages are further copies of one that was sent before."""
    ordered, starts = copy_groups(update.capture.columns, np.sort(rows))
    first = np.zeros(update.capture.columns.rows, bool)
    first[ordered[starts]] = True
    again: NDArray[np.bool_] = ~first[rows]
    return again


def _gaps(
    frame: Ints,
    time: NDArray[np.float64],
    up: NDArray[np.bool_],
    model: RadioModel,
    nat: float | None,
    psm: float | None,
    edrx: float | None,
) -> list[Gap]:
    """The silences that are longer than a door stays open."""
    found = []
    for at, gap in enumerate(np.diff(time).tolist()):
        frames, by = (int(frame[at]), int(frame[at + 1])), "device" if up[at + 1] else "server"
        if nat is not None and gap > nat:
            found.append(Gap("NAT", frames, gap, by))  # type: ignore[arg-type]
        if by == "device":
            continue
        if psm is not None and gap > model.inactivity_s + psm:
            found.append(Gap("PSM", frames, gap, "server"))
        elif edrx is not None and gap > model.inactivity_s:
            found.append(Gap("eDRX", frames, gap, "server"))
    return found


def _notes(update: Update) -> list[str]:
    """What the numbers do not hold."""
    notes = []
    uri = update.evidence.uri or ""
    over_tcp = bool(update.evidence.connections)
    if (
        update.delivery == "pull"
        and not uri.startswith("coap:")
        and len(update.evidence.exchanges) < 2
        and not over_tcp
    ):
        notes.append("the download is not among the CoAP messages, its bytes are not counted")
    if update.capture.encrypted_records:
        notes.append(f"{update.capture.encrypted_records} encrypted records and the handshakes are not counted")
    return notes

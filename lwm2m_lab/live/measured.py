"""What a run comes to as one row of numbers, counted from its datagrams as they were sent and as they arrived.

`Run` and its tables would say the same and more; they cost as much time again as the run itself.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lwm2m_lab.live.experiment import Experiment
from lwm2m_lab.live.network import Sighting
from lwm2m_lab.live.world import Ended
from lwm2m_lab.trace.radio import RadioModel, radio_use
from lwm2m_lab.trace.timing import HEADERS
from lwm2m_lab.wire.coap import Message, decode

__all__ = ["MEASURED", "Asked", "blocks_asked", "measure"]

#: The columns of a row, in order.
MEASURED = (
    "outcome", "delivered", "duration_s", "transfer_s", "goodput", "retransmissions", "datagrams", "lost",
    "bytes_on_air", "energy_j", "sentence",
)  # fmt: skip
_PUT, _POST, _GET, _RESPONSE = 3, 2, 1, 64
#: Uri-Path 5, 0, 0 as its options follow one another; to decode every block would cost a tenth of the run.
_PACKAGE = b"5\x010\x010"


def measure(experiment: Experiment, ended: Ended, model: RadioModel) -> dict[str, Any]:
    """One row.

    Returns
    -------
    dict
        By the names of `MEASURED`, counted from the first Write of the package or its URI on; seconds are simulated,
        bytes are those of IP packets, goodput is in bytes a second, NaN where the image did not arrive.
    """
    # A fault may send what is no message: shorter than CoAP's header.
    seen_by = {side: [one for one in ended.sightings if one.side == side and len(one.payload) >= 4]
               for side in ("server", "device")}  # fmt: skip
    server, device = seen_by["server"], seen_by["device"]
    at_device = experiment.addresses.device[0]
    began = _first_write(server, at_device)
    row: dict[str, Any] = {"outcome": ended.report.outcome, "sentence": ended.report.sentence}
    sent = [one for one in server if one.source[0] != at_device and one.time_ns >= began]
    sent += [one for one in device if one.source[0] == at_device and one.time_ns >= began]
    seen = [one for one in device if one.time_ns >= began]
    transfer = _transfer(experiment, server, device)
    row |= {
        "delivered": not math.isnan(transfer),
        "duration_s": (max((one.time_ns for one in server), default=0) - began) / 1e9 if sent else 0.0,
        "transfer_s": transfer,
        "goodput": experiment.package.size / transfer if transfer else math.nan,
        "retransmissions": _again(sent),
        "datagrams": len(sent),
        "lost": sum(one.note is not None and one.note.startswith("lost") for one in sent),
        "bytes_on_air": int(_sizes(sent).sum()),
        "energy_j": radio_use(
            np.array([one.time_ns for one in seen], float) / 1e9,
            _sizes(seen),
            np.array([one.source[0] == at_device for one in seen], bool),
            model,
        ).energy_j,
    }
    return {name: row[name] for name in MEASURED}


def _sizes(seen: Sequence[Sighting]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Bytes of each packet, headers of IP and UDP included."""
    return np.array([len(one.payload) + HEADERS[6 if ":" in one.source[0] else 4] for one in seen], float)


def _first_write(server: Sequence[Sighting], device: str) -> int:
    """When the server first wrote; without a Write, after everything."""
    for one in server:
        if one.destination[0] == device and one.payload[1] in (_PUT, _POST):
            return one.time_ns
    return sys.maxsize


def _again(sent: Sequence[Sighting]) -> int:
    """Confirmable requests that were sent again."""
    requests = [
        (one.source, one.destination, one.payload[2:4])
        for one in sent
        if not one.payload[0] & 0x30 and 0 < one.payload[1] < 32
    ]
    return len(requests) - len(set(requests))


def _transfer(experiment: Experiment, server: Sequence[Sighting], device: Sequence[Sighting]) -> float:
    """Seconds from the first block's first copy to the last block's answer, at whoever asks; NaN if it never came."""
    asks = _Asks(experiment)
    asked: dict[bytes, Sighting] = {}
    last: tuple[Sighting, Sighting] | None = None
    for one in server if asks.by_server else device:
        token = one.payload[4 : 4 + (one.payload[0] & 15)]
        if asks.for_block(one):
            asked.setdefault(token, one)
        elif one.source[0] == asks.peer and one.payload[1] >= _RESPONSE and token in asked:
            last = asked[token], one
    if last is None or not _is_end(*(decode(one.payload) for one in last)):
        return math.nan
    return (last[1].time_ns - next(iter(asked.values())).time_ns) / 1e9


class _Asks:
    """Who asks for blocks, or sends them, and which datagrams do."""

    def __init__(self, experiment: Experiment) -> None:
        self.by_server = experiment.delivery == "push"
        self.peer = (experiment.addresses.device if self.by_server else experiment.addresses.repository)[0]
        self._codes = (_PUT, _POST) if self.by_server else (_GET,)

    def for_block(self, seen: Sighting) -> bool:
        """Whether this datagram carries a block, or asks for one."""
        is_ours = seen.destination[0] == self.peer and seen.payload[1] in self._codes
        return is_ours and (not self.by_server or _PACKAGE in seen.payload[:40])


@dataclass(frozen=True, slots=True)
class Asked:
    """One copy of a request that carries a block of a push, or asks for one of a pull.

    Attributes
    ----------
    time_s : float
        Since the first one.
    offset : int
        Bytes of the image before the block.
    is_copy : bool
        Whether it was sent before.
    """

    time_s: float
    offset: int
    is_copy: bool


def blocks_asked(experiment: Experiment, ended: Ended) -> list[Asked]:
    """Every copy of every request for a block, in order of time."""
    asks, seen = _Asks(experiment), set[bytes]()
    side = "server" if asks.by_server else "device"
    requests = [one for one in ended.sightings if one.side == side and len(one.payload) >= 4 and asks.for_block(one)]
    asked = []
    for one in requests:
        message = decode(one.payload)
        block = message.block1 or message.block2
        offset = block.num * block.size if block is not None else 0
        asked.append(Asked((one.time_ns - requests[0].time_ns) / 1e9, offset, one.payload[:4] in seen))
        seen.add(one.payload[:4])
    return asked


def _is_end(request: Message, answer: Message) -> bool:
    """Whether this exchange ends a transfer well."""
    block = request.block1 or answer.block2
    return answer.code.startswith("2.") and (block is None or not block.more)

"""The yardstick: how long a block-wise transfer takes at least, and the link that a capture shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.timing import HEADERS
from lwm2m_lab.wire.coap import Block, Message, encode

__all__ = ["PathModel", "fit_path", "in_series", "lower_bound", "overheads"]

Floats = NDArray[np.float64]
#: Bytes that DTLS 1.2 adds to a record with AES-128-CCM-8 and no Connection ID (RFC 6655): header, nonce, tag.
CCM_8 = 29
_BLOCK1, _BLOCK2, _CONTENT_FORMAT, _URI_PATH, _OCTETS = 27, 23, 12, 11, b"\x2a"
#: How many times further the plane through the quickest round trips has to rise than they miss it.
CLOSE = 10.0
#: Share of a round trip that it has to rise where nothing can miss it.
CLEAR = 0.02
#: From these block numbers on a Block option has another byte (RFC 7959, 2.2).
_WIDTHS = (1, 16, 4096)


@dataclass(frozen=True, kw_only=True)
class PathModel:
    """A path between device and server, as far as stop-and-wait depends on it.

    Attributes
    ----------
    rtt0_s : float
        Seconds of an empty round trip, the peer's own time included.
    down_bps, up_bps : float
        Bits per second to the device and from it.

    Examples
    --------
    >>> round(PathModel(rtt0_s=0.1, down_bps=20e3).exchange_s(500, 50), 6)
    0.3
    """

    rtt0_s: float
    down_bps: float = math.inf
    up_bps: float = math.inf

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rtt0_s) and self.rtt0_s >= 0):
            raise BadInput(f"rtt0_s of the path is {self.rtt0_s!r}; seconds, 0 or more, are expected")
        for name in ("down_bps", "up_bps"):
            if not getattr(self, name) > 0:
                raise BadInput(f"{name} of the path is {getattr(self, name)!r}; bits per second above 0 are expected")

    def exchange_s(self, down_bytes: float, up_bytes: float) -> float:
        """Seconds of one exchange of so many bytes on the wire."""
        return self.rtt0_s + 8 * down_bytes / self.down_bps + 8 * up_bytes / self.up_bps

    def __str__(self) -> str:
        rates = [f"{name} {rate / 1000:.3g} kbit/s" for name, rate in (("down", self.down_bps), ("up", self.up_bps))
                 if math.isfinite(rate)]  # fmt: skip
        return ", ".join([f"RTT {self.rtt0_s:.4g} s", *rates])


def overheads(
    *,
    delivery: Literal["push", "pull"] = "push",
    number: int = 1,
    token_length: int = 8,
    path: str = "/5/0/0",
    ipv6: bool = False,
    dtls: int = 0,
) -> tuple[int, int]:
    """Bytes on the wire of one block beside its payload: down (the block) and up (its answer, or the GET).

    Parameters
    ----------
    delivery : {"push", "pull"}
    number : int
        Block number, which decides the length of the Block option.
    token_length : int
        Bytes.
    path : str
        What is written or fetched.
    ipv6 : bool
    dtls : int
        Bytes that DTLS adds: 29 with AES-128-CCM-8, one and the Connection ID more where there is one.

    Examples
    --------
    >>> overheads(dtls=29)
    (81, 72)
    """
    token = bytes(token_length)
    value = Block(number, True, 6)
    raw = value.num << 4 | 1 << 3 | value.szx
    option = raw.to_bytes((raw.bit_length() + 7) // 8, "big")
    parts = tuple((_URI_PATH, part.encode()) for part in path.strip("/").split("/") if part)
    if delivery == "push":
        block = Message("CON", "0.03", 0, token, (*parts, (_CONTENT_FORMAT, _OCTETS), (_BLOCK1, option)), b"x")
        answer = Message("ACK", "2.31", 0, token, ((_BLOCK1, option),))
    else:
        block = Message("ACK", "2.05", 0, token, ((_CONTENT_FORMAT, _OCTETS), (_BLOCK2, option)), b"x")
        answer = Message("CON", "0.01", 0, token, (*parts, (_BLOCK2, option)))
    below = HEADERS[6 if ipv6 else 4] + dtls
    return below + len(encode(block)) - 1, below + len(encode(answer))


def lower_bound(
    size: int,
    *,
    block_size: int = 1024,
    path: PathModel,
    delivery: Literal["push", "pull"] = "push",
    token_length: int = 8,
    uri_path: str | None = None,
    ipv6: bool = False,
    dtls: int = 0,
    pause_s: float = 0.0,
) -> float:
    """Seconds that a transfer takes at least: one block a round trip, nothing lost, nobody pausing.

    ``T = N * (RTT0 + 8 * (B + h_down) / R_down + 8 * h_up / R_up + p)``, the last block as long as it is.

    Parameters
    ----------
    size, block_size : int
        Bytes of the image, and of a block.
    path : PathModel
    delivery, token_length, ipv6, dtls
        As for `overheads`.
    uri_path : str, optional
        Path of the image in a pull; ``/fw.bin`` by default.
    pause_s : float
        Seconds that the peers need for each block.

    Raises
    ------
    BadInput
        For sizes out of range.

    Examples
    --------
    An image of 200 000 bytes over the peak rates of NB-IoT (Release 13), with DTLS:

    >>> round(lower_bound(200_000, block_size=512, path=PathModel(rtt0_s=0.3, down_bps=25.5e3, up_bps=62.5e3), dtls=29))
    194
    """
    if size < 1 or block_size not in (16, 32, 64, 128, 256, 512, 1024):
        raise BadInput(
            f"{size} bytes in blocks of {block_size} cannot be timed; 1 or more in blocks of 16 to 1024 are expected"
        )
    blocks = -(-size // block_size)
    where = "/5/0/0" if delivery == "push" else uri_path or "/fw.bin"
    total = 8 * size / path.down_bps + blocks * (path.rtt0_s + pause_s)
    for at, first in enumerate(_WIDTHS):
        first = 0 if at == 0 else first
        last = _WIDTHS[at + 1] if at + 1 < len(_WIDTHS) else blocks
        count = max(min(last, blocks) - first, 0)
        down, up = overheads(
            delivery=delivery, number=max(first, 1), token_length=token_length, path=where, ipv6=ipv6, dtls=dtls
        )
        total += count * (8 * down / path.down_bps + 8 * up / path.up_bps)
    return total


def fit_path(down_bytes: Floats, up_bytes: Floats, round_trip_s: Floats) -> PathModel:
    """The path that these exchanges show: the quickest of each size, and a plane below them.

    Parameters
    ----------
    down_bytes, up_bytes, round_trip_s : arrays of float
        One entry for each exchange that needed no copy; at least one.

    Examples
    --------
    >>> import numpy as np
    >>> down, up = np.array([50.0, 550.0, 550.0]), np.array([50.0, 50.0, 60.0])
    >>> print(fit_path(down, up, 0.1 + 8 * down / 20e3 + 8 * up / 10e3))
    RTT 0.1 s, down 20 kbit/s, up 10 kbit/s
    """
    sizes, inverse = np.unique(np.stack([down_bytes, up_bytes], 1), axis=0, return_inverse=True)
    quickest = np.full(len(sizes), np.inf)
    np.minimum.at(quickest, inverse.ravel(), round_trip_s)
    varying = [at for at in (0, 1) if len(np.unique(sizes[:, at])) > 1]
    for used in (varying, varying[:1], varying[1:]):
        slopes = _slopes(sizes, quickest, used)
        if slopes is not None:
            rates = [8 / slope if slope > 0 else math.inf for slope in slopes.tolist()]
            rest = float((quickest - sizes @ slopes).min())
            return PathModel(rtt0_s=max(rest, 0.0), down_bps=rates[0], up_bps=rates[1])
    return PathModel(rtt0_s=float(quickest.min()))


def _slopes(sizes: Floats, quickest: Floats, used: list[int]) -> Floats | None:
    """Seconds a byte in each direction; None where these sizes do not tell, or do not explain the times."""
    matrix = np.column_stack([np.ones(len(sizes)), sizes[:, used]])
    if not used or len(sizes) <= len(used) or np.linalg.matrix_rank(matrix) <= len(used):
        return None
    found = np.linalg.lstsq(matrix, quickest, rcond=None)[0]
    weight = (found[1:] * np.ptp(sizes[:, used], axis=0)).min()
    missed = abs(matrix @ found - quickest).max()
    # Rates are believed where the times lie on the plane much closer than it rises; a plane through as many points as
    # it has numbers always fits, and has to rise clearly.
    exact = len(sizes) == len(used) + 1
    good = found[0] >= -1e-9 and weight > (CLEAR * quickest.min() if exact else max(CLOSE * missed, 1e-6))
    slopes = np.zeros(2)
    slopes[used] = found[1:]
    return slopes if good else None


def in_series(one: PathModel, other: PathModel) -> PathModel:
    """Two parts of a path, one after the other.

    Examples
    --------
    >>> print(in_series(PathModel(rtt0_s=0.1, down_bps=20e3), PathModel(rtt0_s=0.2)))
    RTT 0.3 s, down 20 kbit/s
    """
    down, up = (
        1 / (1 / first + 1 / second) if math.isfinite(first) and math.isfinite(second) else min(first, second)
        for first, second in ((one.down_bps, other.down_bps), (one.up_bps, other.up_bps))
    )
    return PathModel(rtt0_s=one.rtt0_s + other.rtt0_s, down_bps=down, up_bps=up)

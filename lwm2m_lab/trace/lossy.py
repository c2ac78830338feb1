"""The closed formula for a link that loses datagrams: how long a transfer takes, and how likely it arrives."""

from __future__ import annotations

from dataclasses import dataclass

from lwm2m_lab.errors import BadInput

__all__ = ["Lossy"]


@dataclass(frozen=True, kw_only=True)
class Lossy:
    """Stop-and-wait over a link that loses each datagram with the same probability, whatever became of the others.

    A block needs its datagram and the answer to it: it goes wrong with ``q = 1 - (1 - up) (1 - down)``, is sent again
    after t, 2t, 4t ... seconds, and the transfer ends without an answer once a block has gone wrong in all its
    ``max_retransmit + 1`` copies. The first time-out is drawn evenly from ``ack_timeout`` to ``ack_random_factor``
    times it; its mean is t.

    Attributes
    ----------
    up, down : float
        Probability that a datagram is lost, from the device and to it.
    ack_timeout, ack_random_factor, max_retransmit
        Transmission parameters (RFC 7252, 4.8).

    Raises
    ------
    BadInput
        For a probability that is none.

    Examples
    --------
    391 blocks, as 200 kB in blocks of 512 have: 10 % of loss in each direction, and twice as much.

    >>> link = Lossy(up=0.1, down=0.1)
    >>> round(link.delivered(391), 2), round(391 * link.extra_s)
    (0.91, 290)
    >>> round(Lossy(up=0.2, down=0.2).delivered(391), 2)
    0.09
    """

    up: float
    down: float
    ack_timeout: float = 2.0
    ack_random_factor: float = 1.5
    max_retransmit: int = 4

    def __post_init__(self) -> None:
        for name in ("up", "down"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadInput(f"loss {name} is {getattr(self, name)!r}; a probability from 0 to 1 is expected")

    @property
    def wrong(self) -> float:
        """Probability that one copy of a block goes unanswered."""
        return 1 - (1 - self.up) * (1 - self.down)

    @property
    def first_timeout_s(self) -> float:
        """Mean seconds until the first copy is sent again."""
        return self.ack_timeout * (1 + self.ack_random_factor) / 2

    def delivered(self, blocks: int) -> float:
        """Probability that so many blocks all arrive and are answered."""
        return float((1 - self.wrong ** (self.max_retransmit + 1)) ** blocks)

    @property
    def extra_s(self) -> float:
        """Mean seconds that a block waits for its time-outs, among the blocks that arrive."""
        if self.wrong == 1:
            return float("nan")
        share = (1 - self.wrong) / (1 - self.wrong ** (self.max_retransmit + 1))
        waits = (self.wrong**copy * (2**copy - 1) for copy in range(1, self.max_retransmit + 1))
        return float(self.first_timeout_s * share * sum(waits))

    @property
    def copies(self) -> float:
        """Mean number of further copies of a block that arrives."""
        if self.wrong == 1:
            return float("nan")
        share = (1 - self.wrong) / (1 - self.wrong ** (self.max_retransmit + 1))
        return float(share * sum(copy * self.wrong**copy for copy in range(1, self.max_retransmit + 1)))

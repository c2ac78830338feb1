"""How a server carries updates through: `ServerOptions`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.blockwise import szx_of
from lwm2m_lab.live.server_faults import server_fault_named
from lwm2m_lab.live.strategies import Judge, Strategy, strategy_named

__all__ = ["ServerOptions"]


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """How the server carries an update through.

    Parameters
    ----------
    block_size : int
        Bytes of a block that the server pushes or the repository serves: 16 to 1024.
    method : {"PUT", "POST"}
        How the package is written; the standard's own example uses POST (A11).
    package_format : {"opaque", "tlv"}
        Content-Format of a pushed package.
    patience : float
        Seconds without news after which the server reads State and Result.
    time_limit : float
        Seconds after which the server gives up waiting for the download, and again for the installation.
    observes_again : bool
        Whether it observes anew after the device has registered anew; one that does not hears nothing more.
    strategy : str or callable
        How it finds out whether the update has succeeded: ``"S1"`` to ``"S7"``, ``"lab"``, or a function of one's own
        (`lwm2m_lab.live.strategies`).
    retries : int
        How often it tries again after silence: it looks what has become of the device, and goes on from there, in a
        push with the block after the last one acknowledged.
    retry_after : float
        Seconds until it does; sooner where the device is heard.
    answer_within : float
        Seconds that a device has for its answer once it has acknowledged a request (EXCHANGE_LIFETIME).
    deadline : float or None
        Seconds after which the whole update is given up.
    faults : tuple of str
        What the server or its repository does wrong, by name (`lwm2m_lab.live.server_faults`).

    Raises
    ------
    BadInput
        For a value out of range.

    Examples
    --------
    >>> ServerOptions(strategy="S3").strategy
    'S3'
    """

    block_size: int = 1024
    method: Literal["PUT", "POST"] = "PUT"
    package_format: Literal["opaque", "tlv"] = "opaque"
    patience: float = 60.0
    time_limit: float = 7_200.0
    observes_again: bool = True
    strategy: str | Judge = "lab"
    retries: int = 0
    retry_after: float = 60.0
    answer_within: float = 247.0
    deadline: float | None = None
    faults: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        szx_of(self.block_size)
        if self.method not in ("PUT", "POST"):
            raise BadInput(f"method is {self.method!r}; 'PUT' or 'POST' is expected")
        if self.package_format not in ("opaque", "tlv"):
            raise BadInput(f"package_format is {self.package_format!r}; 'opaque' or 'tlv' is expected")
        for name in ("patience", "time_limit", "retry_after", "answer_within", "deadline"):
            seconds = getattr(self, name)
            if name == "deadline" and seconds is None:
                continue
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 10**7:
                raise BadInput(f"{name} is {seconds!r}; seconds above 0 and up to 10000000 are expected")
        if self.retries not in range(1001):
            raise BadInput(f"retries is {self.retries!r}; a whole number from 0 to 1000 is expected")
        strategy_named(self.strategy)
        for one in self.faults:
            server_fault_named(one)

    @property
    def decides(self) -> Strategy:
        """The strategy itself."""
        return strategy_named(self.strategy)

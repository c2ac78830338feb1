"""Worlds staged for a purpose: a file replaced under way, a server that does not observe, several runs in one capture.

`push` and `pull` make what an engineer asks for. Here are the knobs besides, for the cases of the clinic and for exams.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from lwm2m_lab.live.experiment import SIMULATED
from lwm2m_lab.live.image import FirmwareImage
from lwm2m_lab.live.link import Link
from lwm2m_lab.live.network import SimulatedNetwork
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.requests import Timers
from lwm2m_lab.live.run import Run, capture_of
from lwm2m_lab.live.server_options import ServerOptions
from lwm2m_lab.live.world import Addresses, World, run_blocking
from lwm2m_lab.trace.capture import Capture

__all__ = ["Stage", "together"]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a world is made of, all of it.

    Attributes
    ----------
    image : FirmwareImage
    path : str or None
        Where the repository keeps the image, as in ``/fw/a.bin``, for a pull; None pushes it.
    asked : str or None
        The path in the Package URI, where it is not `path`.
    seed : int
    device : DeviceOptions
    link : Link
    server : ServerOptions
    timers : Timers
    addresses : Addresses
    etags : bool
        Whether the repository sends any.
    replaced : (float, bytes) or None
        Second at which the file becomes another one, and which.

    Examples
    --------
    >>> from lwm2m_lab.live.image import image
    >>> run = Stage(image=image(size=4000), path="/a.bin", asked="/b.bin").run()
    >>> run.report.outcome
    'failed'
    """

    image: FirmwareImage
    path: str | None = None
    asked: str | None = None
    seed: int = 1
    device: DeviceOptions = field(default_factory=DeviceOptions)
    link: Link = field(default_factory=Link)
    server: ServerOptions = field(default_factory=ServerOptions)
    timers: Timers = field(default_factory=Timers)
    addresses: Addresses = SIMULATED
    etags: bool = True
    replaced: tuple[float, bytes] | None = None

    @property
    def uri(self) -> str | None:
        """What the server writes to ``/5/0/1``; None for a push."""
        if self.path is None:
            return None
        host, port = self.addresses.repository
        return f"coap://{host}{'' if port == 5683 else f':{port}'}{self.asked or self.path}"

    def run(self) -> Run:
        """Let it happen."""
        files: Mapping[str, bytes] = {} if self.path is None else {self.path: self.image.data}
        network = SimulatedNetwork(link=self.link, seed=self.seed)
        world = World(
            network=network,
            addresses=self.addresses,
            device=self.device,
            server=self.server,
            timers=self.timers,
            image=self.image,
            uri=self.uri,
            files=files,
            etags=self.etags,
            replaced=self.replaced and (self.replaced[0], dict.fromkeys(files, self.replaced[1])),
        )
        ended = run_blocking(network, self.seed, world.live)
        delivery: Literal["push", "pull"] = "push" if self.path is None else "pull"
        return Run(ended, image=self.image, delivery=delivery, link=self.link, seed=self.seed)


def together(runs: Sequence[tuple[float, Run]], *, name: str) -> Capture:
    """Runs as one capture, each begun at its second, as a tap before the servers has it.

    What became of a datagram on its way stands in the comments of a run; a tap does not know it, and has none.

    Parameters
    ----------
    runs : sequence of (float, Run)
        Seconds after the beginning, and what began then.
    name : str
        What to call the capture.
    """
    seen = [
        replace(one, time_ns=one.time_ns + round(start * 1e9), note=None)
        for start, run in runs
        for one in run.sightings
        if one.side == "server"
    ]
    return capture_of(sorted(seen, key=lambda one: one.time_ns), name=name, side="server")

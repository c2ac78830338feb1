"""`Run`: a capture with the truth of what the device did beside it."""

from __future__ import annotations

import dataclasses
import html
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lwm2m_lab.errors import BadInput
from lwm2m_lab.files import write_beside
from lwm2m_lab.live.client import Happening
from lwm2m_lab.live.image import FirmwareImage
from lwm2m_lab.live.link import Link
from lwm2m_lab.live.network import Sighting
from lwm2m_lab.live.report import Report
from lwm2m_lab.live.world import Ended
from lwm2m_lab.trace.capture import Capture
from lwm2m_lab.wire import read_columns
from lwm2m_lab.wire.keyring import PreSharedKeys
from lwm2m_lab.wire.packets import tcp_packet, udp_packet
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes, with_key_log

__all__ = ["Run", "capture_of"]

Side = Literal["server", "device", "both"]
_SIDES: dict[str, tuple[str, ...]] = {"server": ("server",), "device": ("device",), "both": ("server", "device")}


@dataclass(frozen=True)
class Conclusion(Report):
    """What the server concluded; called with a path, it writes the page that every capture's `report` writes."""

    page: Callable[[str | os.PathLike[str]], None] = field(kw_only=True, repr=False, compare=False)

    def __call__(self, path: str | os.PathLike[str]) -> None:
        self.page(path)


class Run(Capture):
    """One finished experiment: what the server's side saw, and what really happened.

    A run is a `Capture`: everything that a field capture gets, a run gets. Beside it stand

    Attributes
    ----------
    truth : tuple of Happening
        What the device itself knows: every event with State, Update Result and versions.
    report : Report
        What the server concluded; ``run.report("out.html")`` writes the HTML report, as of any capture.
    image : FirmwareImage
    link : Link
    seed : int
    delivery : {"push", "pull"}
    sightings : tuple of Sighting
        Every datagram as each side saw it.
    """

    def __init__(
        self,
        ended: Ended,
        *,
        image: FirmwareImage,
        delivery: Literal["push", "pull"],
        link: Link,
        seed: int,
        psk: PreSharedKeys | None = None,
    ) -> None:
        self.sightings = ended.sightings
        self.truth: tuple[Happening, ...] = ended.truth
        self.report: Conclusion = Conclusion(**_fields(ended.report), page=super().report)
        self.image, self.delivery, self.link, self.seed = image, delivery, link, seed
        data, self._psk = self.pcapng(), psk
        super().__init__(read_columns(data, psk=psk), name=f"{delivery} of {image.version}", data=data)

    @property
    def succeeded(self) -> bool:
        """Whether the server found the update successful."""
        return self.report.outcome == "succeeded"

    def pcapng(self, *, side: Side = "server") -> bytes:
        """The capture as a pcapng file.

        Parameters
        ----------
        side : {"server", "device", "both"}
            Whose side of the link; both stand in one file as two interfaces. Datagrams that were lost on the way are
            seen by their sender alone, with a packet comment that says so.

        Raises
        ------
        BadInput
            For another side.
        """
        if side not in _SIDES:
            raise BadInput(f"side is {side!r}; 'server', 'device' or 'both' is expected")
        sides = _SIDES[side]
        return _pcapng(self.sightings, sides)

    def save(self, path: str | os.PathLike[str], *, side: Side = "server", session_keys: bool = False) -> None:
        """Write the capture as pcapng, with the keys of its DTLS sessions if you want: as `Capture.save`."""
        data = self.pcapng(side=side)
        write_beside(path, with_key_log(data, self.columns.key_log) if session_keys else data)

    def device_side(self) -> Capture:
        """The same run as the device's side of the link saw it."""
        return Capture.from_bytes(self.pcapng(side="device"), name=f"{self.name}, device's side", psk=self._psk)

    def __str__(self) -> str:
        return f"{self.report.outcome}: {self.report.sentence}\n{super().__str__()}"

    def _repr_html_(self) -> str:
        report = f"<p><b>{html.escape(self.report.outcome)}</b>: {html.escape(self.report.sentence)}</p>"
        return report + super()._repr_html_()


def _fields(report: Report) -> dict[str, Any]:
    """The fields of a record by name, as they are."""
    return {one.name: getattr(report, one.name) for one in dataclasses.fields(report)}


def capture_of(
    sightings: Sequence[Sighting],
    *,
    name: str,
    side: Literal["server", "device"] = "device",
    psk: PreSharedKeys | None = None,
    tls_keys: Sequence[str] = (),
) -> Capture:
    """What one side saw, as a capture; whatever its ports, it is CoAP, under DTLS where `psk` opens it.

    The lines of `tls_keys` go into a saved file where its session keys are wanted.
    """
    data = _pcapng(sightings, (side,))
    ports = {address[1] for one in sightings for address in (one.source, one.destination)}
    columns = read_columns(data, ports=tuple(sorted(ports)), psk=psk)
    columns.key_log += tuple(tls_keys)
    return Capture(columns, name=name, data=data)


def _pcapng(sightings: Iterable[Sighting], sides: Sequence[str]) -> bytes:
    seen = sorted((one for one in sightings if one.side in sides), key=lambda one: one.time_ns)
    packets = [_packet(one, sides.index(one.side)) for one in seen]
    return pcapng_bytes(packets, interfaces=[Interface(name) for name in sides])


def _packet(seen: Sighting, interface: int) -> Packet:
    """A sighting as a packet of the file."""
    ends = seen.source, seen.destination
    one = seen.segment
    if one is not None:
        numbers = one.sequence, one.acknowledged
        return Packet(seen.time_ns, tcp_packet(*ends, *numbers, one.flags, seen.payload), interface, seen.note)
    return Packet(seen.time_ns, udp_packet(*ends, seen.payload), interface, seen.note)

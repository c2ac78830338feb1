"""What lies where in a device's flash: the image that runs, and what the other slot holds."""

from __future__ import annotations

from dataclasses import dataclass

from lwm2m_lab.live.flash import Flash
from lwm2m_lab.live.object5 import image_info
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.spec.objects import State

__all__ = ["Slot", "slots_of"]

_RUNS = {
    "settled": "runs",
    "pending": "runs",
    "swapped": "starts",
    "trial": "runs on trial",
    "reverted": "runs again",
}


@dataclass(frozen=True, slots=True)
class Slot:
    """A part of the flash that holds an image.

    Attributes
    ----------
    name : str
        ``"primary"``, from which the firmware runs; ``"secondary"``, or ``"download"`` in a device with one slot.
    version : str or None
        Of the image in it; None where there is no whole one.
    what : str
        What the image is there for: ``"runs on trial"``, ``"waits for Update"``, ``"left over"``.
    """

    name: str
    version: str | None
    what: str

    def __str__(self) -> str:
        return f"{self.version} {self.what}" if self.version else self.what


def slots_of(flash: Flash, options: DeviceOptions) -> tuple[Slot, Slot]:
    """The slot that the firmware runs from, and the other one.

    Examples
    --------
    >>> options = DeviceOptions(slots="ab", firmware_version="1.0.0")
    >>> print(*slots_of(Flash.new(options), options), sep=" | ")
    1.0.0 runs | empty
    """
    two = options.slots == "ab"
    return Slot("primary", flash.running, _RUNS[flash.boot]), _other(flash, two=two)


def _other(flash: Flash, *, two: bool) -> Slot:
    """In a device with one slot a package waits elsewhere, and nothing is left of what it replaces."""
    name = "secondary" if two else "download"
    if flash.boot in ("swapped", "trial"):
        return Slot(name, flash.previous, "to go back to") if two else Slot(name, None, "empty")
    if flash.boot == "reverted":
        return Slot(name, flash.previous, "failed its trial")
    if flash.package:
        info = image_info(flash.package)
        return Slot(name, info.version if info else None, _waits(flash, two=two))
    if flash.state == State.DOWNLOADING:
        return Slot(name, None, "being written")
    return Slot(name, flash.previous, "left over") if two and flash.previous else Slot(name, None, "empty")


def _waits(flash: Flash, *, two: bool) -> str:
    """What a whole package waits for."""
    if flash.boot == "pending":
        return "to be swapped in" if two else "to be copied over the other"
    return "is being installed" if flash.state == State.UPDATING else "waits for Update"

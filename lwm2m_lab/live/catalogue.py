"""Eleven devices that an update goes to: which of them runs the new firmware, and which lets a server think so.

Each is a handful of options; the table of who is fooled about the version is computed from their runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.options import DeviceOptions

__all__ = ["CATALOGUE", "OTHER_KINDS", "NamedDevice", "device"]

_BEFORE, _TARGET = "1.0.0", "2.0.0"


@dataclass(frozen=True, slots=True)
class NamedDevice:
    """One device of the catalogue.

    Attributes
    ----------
    name, about : str
    options : DeviceOptions
    target : str
        Version of the image that it is to be given.
    runs_target : bool
        Whether the firmware that runs in the end is the target's: the truth that a server tries to find.
    """

    name: str
    about: str
    options: DeviceOptions
    target: str = _TARGET
    runs_target: bool = True


def _named(*devices: NamedDevice) -> Mapping[str, NamedDevice]:
    return MappingProxyType({one.name: one for one in devices})


#: The devices, by name.
CATALOGUE: Mapping[str, NamedDevice] = _named(
    NamedDevice("D1", "by the book", DeviceOptions()),
    NamedDevice("D2", "never sets /3/0/3", DeviceOptions(faults=("keeps-firmware-version",))),
    NamedDevice(
        "D3", "copies the version at download, and the installation fails",
        DeviceOptions(faults=("copies-version-at-download",), install_fails=True), runs_target=False,
    ),
    NamedDevice("D4", "forgets the result", DeviceOptions(faults=("forgets-result",))),
    NamedDevice(
        "D5", "boots on trial, fails its self-test and reverts", DeviceOptions(slots="ab", trial_fails=True),
        runs_target=False,
    ),
    NamedDevice("D6", "fails and keeps the package", DeviceOptions(install_fails=True), runs_target=False),
    NamedDevice("D7", "has no /3/0/3", DeviceOptions(has_firmware_version=False)),
    NamedDevice("D8", "names packages by another scheme than firmware", DeviceOptions(package_version="b77")),
    NamedDevice(
        "D9", "reports success before the Execute and installs nothing",
        DeviceOptions(faults=("success-before-execute",)), runs_target=False,
    ),
    NamedDevice("D10", "is given the version that it runs already", DeviceOptions(), target=_BEFORE),
    NamedDevice(
        "D11", "stores a string that lies", DeviceOptions(faults=("stored-string-lies",)), runs_target=False
    ),
)  # fmt: skip

#: Devices of other kinds, for a strategy that has seen the eleven. Half of them keep every rule.
OTHER_KINDS: tuple[NamedDevice, ...] = (
    NamedDevice("names", "has no /5/0/6 and /5/0/7", DeviceOptions(has_package_names=False)),
    NamedDevice("trial", "is looked at while the new image is on trial, and confirms it", DeviceOptions(slots="ab")),
    NamedDevice(
        "idle", "fails and goes back to Idle", DeviceOptions(profile="zephyr", install_fails=True), runs_target=False
    ),
    NamedDevice("slow", "still installs when the server ends", DeviceOptions(install_time=900.0), runs_target=False),
    NamedDevice(
        "early", "shows the version of a package whose installation has failed",
        DeviceOptions(faults=("changes-version-on-failure",), install_fails=True), runs_target=False,
    ),
    NamedDevice("deaf", "ignores the Execute", DeviceOptions(faults=("ignores-execute",)), runs_target=False),
    NamedDevice(
        "borrowed", "has no Update Result that Object 5 knows",
        DeviceOptions(faults=("borrows-results",), install_fails=True), runs_target=False,
    ),
    NamedDevice("silent", "does not register again", DeviceOptions(faults=("does-not-register-again",))),
)  # fmt: skip


def device(name: str) -> NamedDevice:
    """A device of the catalogue by its name.

    Raises
    ------
    BadInput
        For a name that none has.

    Examples
    --------
    >>> device("D5").about
    'boots on trial, fails its self-test and reverts'
    """
    if name not in CATALOGUE:
        raise BadInput(f"no device is named {name!r}; one of {', '.join(CATALOGUE)} is expected")
    return CATALOGUE[name]

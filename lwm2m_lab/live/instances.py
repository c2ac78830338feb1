"""Objects 1 and 3 of a device: how it treats its server, and what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aiocoap.numbers.codes import Code

from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.tree import Refusal, Value
from lwm2m_lab.spec.objects import ObjectDefinition, object_definition
from lwm2m_lab.spec.server_object import SERVER

__all__ = ["DeviceInstance", "ServerInstance", "ServerSettings", "Versions"]

#: Object 3 for each LwM2M version (1.1 stands for 1.1.1 here).
DEVICE_OBJECT = {"1.0": "1.0", "1.1": "1.1", "1.2": "1.2"}


@dataclass
class ServerSettings:
    """The writable side of Object 1; it survives a reboot."""

    lifetime: int
    binding: str = "U"
    default_pmin: int | None = None
    default_pmax: int | None = None
    disable_timeout: int = 86_400
    keeps_notifications: bool = False
    mute_send: bool = False


#: Which setting each resource of Object 1 shows.
_SETTINGS = {
    1: "lifetime",
    2: "default_pmin",
    3: "default_pmax",
    5: "disable_timeout",
    6: "keeps_notifications",
    7: "binding",
    23: "mute_send",
}


class Registered(Protocol):
    """What Object 1 needs of the registration."""

    def renew(self) -> None:
        """Send an Update soon."""

    def disable(self) -> None:
        """De-register, and register again after the Disable Timeout."""


class ServerInstance:
    """`/1/0` and its like: the settings of one server."""

    def __init__(
        self, settings: ServerSettings, options: DeviceOptions, registration: Registered, *, number: int = 0
    ) -> None:
        self.settings, self.registration, self.number = settings, registration, number
        self.definition: ObjectDefinition = SERVER[options.lwm2m]

    def has(self, resource: int) -> bool:
        return resource in self.definition.resources

    def values(self) -> dict[int, Value]:
        """The short server id, and the settings that the server has made."""
        shown: dict[int, Value] = {0: self.number + 1}
        for resource, name in _SETTINGS.items():
            value = getattr(self.settings, name)
            if value is not None and self.has(resource):
                shown[resource] = value
        return shown

    def set(self, resource: int, value: Value) -> Code:
        """Take a setting; another lifetime or binding is told to the server (LwM2M, Update)."""
        if resource == 7 and value not in ("U", "UQ"):
            raise Refusal(Code.BAD_REQUEST, "this device speaks UDP: binding U is expected")
        if resource == 1 and not 0 < int(value) < 2**32:  # type: ignore[arg-type]
            raise Refusal(Code.BAD_REQUEST, "a lifetime of 1 to 4294967295 seconds is expected")
        changes = getattr(self.settings, _SETTINGS[resource]) != value
        setattr(self.settings, _SETTINGS[resource], value)
        if resource in (1, 7) and changes:
            self.registration.renew()
        return Code.CHANGED

    def clear(self, resource: int) -> None:
        setattr(self.settings, _SETTINGS[resource], getattr(ServerSettings, _SETTINGS[resource]))

    def execute(self, resource: int, arguments: str) -> Code:
        if resource == 8:
            self.registration.renew()
        else:
            self.registration.disable()
        return Code.CHANGED


class Versions(Protocol):
    """What runs on the device."""

    firmware_version: str
    software_version: str | None


class DeviceInstance:
    """`/3/0`: what the device is, and which firmware runs on it."""

    number = 0
    #: Manufacturer, model, reboot, error code, binding.
    _ALWAYS = frozenset({0, 1, 4, 11, 16})

    def __init__(self, options: DeviceOptions, versions: Versions, *, reboot: Callable[[], object]) -> None:
        self.definition: ObjectDefinition = object_definition(3, DEVICE_OBJECT[options.lwm2m])
        self.options, self.versions, self._reboot = options, versions, reboot

    def has(self, resource: int) -> bool:
        optional = {3: self.options.has_firmware_version, 19: self.versions.software_version is not None}
        return resource in self._ALWAYS or optional.get(resource, False)

    def values(self) -> dict[int, Value]:
        """What the device says of itself, its versions among it."""
        shown: dict[int, Value] = {0: "lwm2m_lab", 1: "simulated device"}
        if self.options.has_firmware_version:
            shown[3] = self.versions.firmware_version
        shown |= {11: (0,), 16: "U"}
        if self.versions.software_version is not None:
            shown[19] = self.versions.software_version
        return shown

    def set(self, resource: int, value: Value) -> Code:
        raise Refusal(Code.METHOD_NOT_ALLOWED, "nothing of this device's Object 3 is writable")

    def clear(self, resource: int) -> None:
        """Nothing is."""

    def execute(self, resource: int, arguments: str) -> Code:
        self._reboot()
        return Code.CHANGED

"""What a simulated device is like: `DeviceOptions`."""

from __future__ import annotations

from dataclasses import dataclass

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.blockwise import szx_of

__all__ = ["DeviceOptions"]


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """A device, as far as an update depends on it.

    Parameters
    ----------
    endpoint : str
        Endpoint name.
    firmware_version : str
        What runs before the update: ``/3/0/3``.
    lwm2m : {"1.1", "1.0", "1.2"}
        LwM2M version in the registration.
    object_version : {"1.1", "1.0", "1.2"}
        Version of Object 5, declared as ``</5>;ver=`` from LwM2M 1.1 on.
    lifetime : int
        Seconds of the registration.
    delivery : {2, 1, 0}
        ``/5/0/9``: 0 pull, 1 push, 2 both.
    storage : int
        Bytes that a package may take.
    block_size : int
        Largest block that the device wants, bytes.
    install_time, reboot_time : float
        Seconds.
    has_firmware_version : bool
        Whether the device has ``/3/0/3``; without it the version rule does not apply.
    has_package_names : bool
        Whether the device has ``/5/0/6`` and ``/5/0/7`` while a package is there.
    install_fails : bool
        Whether the installation fails, with the package kept: Downloaded, Result 8.
    forget_after : float
        Seconds after which half a pushed package is given up (EXCHANGE_LIFETIME).

    Raises
    ------
    BadInput
        For a value out of range.

    Examples
    --------
    >>> DeviceOptions(lwm2m="1.3")
    Traceback (most recent call last):
    lwm2m_lab.errors.BadInput: lwm2m of the device is '1.3'; one of '1.0', '1.1', '1.2' is expected
    """

    endpoint: str = "urn:dev:lab-1"
    firmware_version: str = "1.0.0"
    lwm2m: str = "1.1"
    object_version: str = "1.1"
    lifetime: int = 86_400
    delivery: int = 2
    storage: int = 16 * 2**20
    block_size: int = 1024
    install_time: float = 3.0
    reboot_time: float = 8.0
    has_firmware_version: bool = True
    has_package_names: bool = True
    install_fails: bool = False
    forget_after: float = 247.0

    def __post_init__(self) -> None:
        for name in ("lwm2m", "object_version"):
            if getattr(self, name) not in ("1.0", "1.1", "1.2"):
                raise BadInput(
                    f"{name} of the device is {getattr(self, name)!r}; one of '1.0', '1.1', '1.2' is expected"
                )
        if self.delivery not in (0, 1, 2):
            raise BadInput(f"delivery of the device is {self.delivery!r}; 0 (pull), 1 (push) or 2 (both) is expected")
        if not self.endpoint or "&" in self.endpoint or len(self.endpoint.encode()) > 250:
            raise BadInput(
                f"endpoint of the device is {self.endpoint!r}; a name of 1 to 250 bytes without '&' is expected"
            )
        for name in ("install_time", "reboot_time", "lifetime", "storage", "forget_after"):
            if not 0 <= getattr(self, name) < 2**31:
                raise BadInput(
                    f"{name} of the device is {getattr(self, name)!r}; a number from 0 to 2147483647 is expected"
                )
        szx_of(self.block_size)

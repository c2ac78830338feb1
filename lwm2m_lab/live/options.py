"""What a simulated device is like: `DeviceOptions`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.blockwise import szx_of
from lwm2m_lab.live.faults import fault_named
from lwm2m_lab.spec.profiles import profile

__all__ = ["DeviceOptions"]

_CHOICES = {
    "lwm2m": ("1.0", "1.1", "1.2"),
    "object_version": ("1.0", "1.1", "1.2"),
    "slots": ("one", "ab"),
    "installs": ("firmware", "software"),
}
#: Options that are a number of bytes, seconds or times.
_NUMBERS = (
    "install_time",
    "reboot_time",
    "confirm_after",
    "lifetime",
    "storage",
    "memory",
    "forget_after",
    "user_defers",
    "max_defer_period",
    "resume_attempts",
    "resume_after",
)


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
        Bytes that a package may take; a larger one ends in Result 2.
    memory : int
        Bytes of working memory that a package may take on its way; a larger one ends in Result 3.
    block_size : int
        Largest block that the device wants, bytes.
    install_time, reboot_time : float
        Seconds.
    has_firmware_version : bool
        Whether the device has ``/3/0/3``; without it the version rule does not apply.
    has_package_names : bool
        Whether the device has ``/5/0/6`` and ``/5/0/7`` while a package is there.
    package_version : str or None
        What ``/5/0/7`` says whatever the package: a second naming scheme. None shows the package's own version.
    install_fails : bool
        Whether the installation fails; the strict reading keeps the package: Downloaded, Result 8.
    slots : {"one", "ab"}
        ``"one"``: the new image replaces the old one. ``"ab"``: it is swapped into the other slot, boots on trial, and
        registers in State 3 until it is confirmed.
    confirm_after : float
        Seconds of a trial until the new image is confirmed.
    trial_fails : bool
        Whether the new image fails its self-test, so that the old one is swapped back: Idle, Result 8.
    installs : {"firmware", "software"}
        What a package replaces: the version in ``/3/0/3``, or that in ``/3/0/19``.
    software_version : str or None
        ``/3/0/19``, where firmware and the software on top of it are apart; without it there is none.
    verify_key : bytes or None
        A public key in PEM; a package whose signature it does not verify ends in Result 5.
    user_defers : float
        Seconds by which the user puts an installation off, as far as ``/5/0/13`` allows and the severity is not 0.
    max_defer_period : int
        ``/5/0/13`` before a server writes it, seconds; 0 allows no deferral.
    resume_attempts : int
        How often a download that broke off is resumed, with offset and ETag.
    resume_after : float
        Seconds until it is.
    profile : {"strict", "anjay", "zephyr", "wakaama"}
        Whose choices the device makes where the standard leaves one (`lwm2m_lab.spec.profiles`).
    faults : tuple of str
        What the device does wrong, by name (`lwm2m_lab.live.faults`).
    queue_mode : bool
        Whether the device sleeps between its messages and says so in the registration.
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
    memory: int = 2**31 - 1
    block_size: int = 1024
    install_time: float = 3.0
    reboot_time: float = 8.0
    has_firmware_version: bool = True
    has_package_names: bool = True
    package_version: str | None = None
    install_fails: bool = False
    slots: Literal["one", "ab"] = "one"
    confirm_after: float = 30.0
    trial_fails: bool = False
    installs: Literal["firmware", "software"] = "firmware"
    software_version: str | None = None
    verify_key: bytes | None = None
    user_defers: float = 0.0
    max_defer_period: int = 0
    resume_attempts: int = 0
    resume_after: float = 30.0
    profile: str = "strict"
    faults: tuple[str, ...] = ()
    queue_mode: bool = False
    forget_after: float = 247.0

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                named = ", ".join(map(repr, choices))
                raise BadInput(f"{name} of the device is {getattr(self, name)!r}; one of {named} is expected")
        if self.delivery not in (0, 1, 2):
            raise BadInput(f"delivery of the device is {self.delivery!r}; 0 (pull), 1 (push) or 2 (both) is expected")
        if not self.endpoint or "&" in self.endpoint or len(self.endpoint.encode()) > 250:
            raise BadInput(
                f"endpoint of the device is {self.endpoint!r}; a name of 1 to 250 bytes without '&' is expected"
            )
        for name in _NUMBERS:
            if not 0 <= getattr(self, name) < 2**31:
                raise BadInput(
                    f"{name} of the device is {getattr(self, name)!r}; a number from 0 to 2147483647 is expected"
                )
        if self.installs == "software" and self.software_version is None:
            raise BadInput("installs is 'software' and there is none; software_version is expected, as in '1.0.0'")
        if self.verify_key is not None:
            from lwm2m_lab.live.image import check_key

            check_key(self.verify_key)
        szx_of(self.block_size)
        profile(self.profile)
        for name in self.faults:
            fault_named(name)

    @classmethod
    def named(cls, name: str, **changes: Any) -> DeviceOptions:
        """One of the eleven devices that show who is fooled about the version, by its name: `lwm2m_lab.live.catalogue`.

        Parameters
        ----------
        name : str
            ``"D1"`` to ``"D11"``.
        **changes
            Options that differ.

        Raises
        ------
        BadInput
            For a name that none has.

        Examples
        --------
        >>> DeviceOptions.named("D4", endpoint="urn:dev:4").faults
        ('forgets-result',)
        """
        from lwm2m_lab.live.catalogue import device

        return replace(device(name).options, **changes)

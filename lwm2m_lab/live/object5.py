"""Object 5 of a device: its resources, and the one place where its state moves.

The `Machine` says which state and result follow and whether an event is one at all. The rooms beside make the events:
`push` and `pull` deliver, `install` installs, `updater` puts them together. What a fault changes is a method of theirs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from aiocoap.numbers.codes import Code

from lwm2m_lab.errors import IllegalEvent
from lwm2m_lab.live import blockwise, tree
from lwm2m_lab.live.blockwise import Partial
from lwm2m_lab.live.flash import Flash
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.requests import Requester, text_of
from lwm2m_lab.spec.firmware import Event, Machine
from lwm2m_lab.spec.objects import State, object_definition
from lwm2m_lab.spec.profiles import profile
from lwm2m_lab.spec.rules import Outcome
from lwm2m_lab.wire.image import ImageInfo, read_image

__all__ = ["CODES", "PROTOCOLS", "FirmwareObject", "Host", "image_info", "refused"]

#: Values of ``/5/0/8`` by scheme.
PROTOCOLS = {"coap": 0, "coaps": 1, "http": 2, "https": 3, "coap+tcp": 4, "coaps+tcp": 5}
#: aiocoap's codes by their digits, ``"4.05"``.
CODES = {text_of(code): code for code in Code if isinstance(code, Code)}


class Host(Protocol):
    """What the update needs of its device."""

    def changed(self, what: str) -> None:
        """An event has changed Object 5: keep it, tell the observers, write it down."""

    def refresh(self) -> None:
        """Values have changed without an event: keep them, tell the observers."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> Callable[[], object]:
        """Do something beside; what comes back ends it."""

    def later(self, seconds: float, work: Callable[[], None]) -> Callable[[], object]:
        """Do something after a while; what comes back calls it off."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""

    def clock(self) -> float:
        """Seconds since the epoch."""

    def reboot(self) -> None:
        """Restart the device: the socket and every observation are gone."""

    def own_addresses(self) -> frozenset[str]:
        """Hosts and ports, ``192.0.2.2:50000``, under which the device itself answers."""

    def schemes(self) -> tuple[str, ...]:
        """Schemes of a Package URI that the device can fetch."""

    def requester(self, scheme: str, own: Requester) -> AbstractAsyncContextManager[Requester]:
        """Who sends requests to URIs of a scheme of CoAP."""

    async def fetch_by_http(self, uri: str, *, limit: int, partial: Partial) -> bytes:
        """The body of a URI of HTTP or HTTPS: `lwm2m_lab.live.web.fetch_by_http`."""

    def server_is_local(self) -> bool:
        """Whether the server lives in a network that only its members reach."""


class FirmwareObject:
    """`/5/0`: values, settings, and the step of the machine."""

    number = 0

    def __init__(self, options: DeviceOptions, flash: Flash, host: Host) -> None:
        self.options, self.flash, self.host = options, flash, host
        self.profile = profile(options.profile)
        self.definition = object_definition(5, options.object_version)
        self.requester: Requester | None = None
        self.enter(flash.state, flash.result)
        #: Whether State 1 is hidden now, in a profile that does not show it (A4).
        self.hidden = False
        self.receiver = self.new_receiver(min(options.storage, options.memory), blockwise.szx_of(options.block_size))
        if flash.state_changed_at is None:
            flash.state_changed_at = int(host.clock())

    def new_receiver(self, limit: int, szx: int) -> blockwise.Block1Receiver:
        """What puts a pushed package together."""
        return blockwise.Block1Receiver(limit, szx)

    def enter(self, *status: Any) -> None:
        """Stand in a state with a result, however one got there."""
        options = self.options
        self.machine = Machine(
            options.object_version,
            profile=options.profile,
            state=status[0],
            result=status[1],
            delivery=options.delivery,
        )

    # ---------------------------------------------------------------- what a server sees (operations.Instance)

    def has(self, resource: int) -> bool:
        """Whether the device has a resource of Object 5."""
        if resource in (6, 7):
            return self.options.has_package_names
        return resource in self.definition.resources

    def values(self) -> dict[int, tree.Value]:
        """The resources of Object 5 that can be read now."""
        shown: dict[int, tree.Value] = {
            1: self.flash.package_uri,
            3: self.shown_state(),
            5: int(self.machine.result),
            8: self.protocols(),
            9: self.options.delivery,
        }
        version = self.package_version()
        if version is not None:
            shown |= {6: "firmware", 7: version}
        later = {11: self.flash.severity, 13: self.flash.max_defer_period, 14: self.flash.automatic_upgrade}
        if self.flash.state_changed_at is not None:
            later[12] = self.flash.state_changed_at
        return shown | {resource: value for resource, value in later.items() if self.has(resource)}

    def shown_state(self) -> int:
        """State, ``/5/0/3``."""
        return int(State.IDLE if self.hidden and self.machine.state == State.DOWNLOADING else self.machine.state)

    def protocols(self) -> tuple[int, ...]:
        """Firmware Update Protocol Support, ``/5/0/8``: exactly what the device can fetch from where it is."""
        return tuple(PROTOCOLS[scheme] for scheme in self.host.schemes())

    def package_version(self) -> str | None:
        """PkgVersion, ``/5/0/7``; None where there is none to show."""
        if not self.options.has_package_names:
            return None
        if self.options.package_version is not None:
            return self.options.package_version
        shown = self.profile.pkg_version.get(self.machine.state, "absent")
        if shown != "package":
            return None if shown == "absent" else shown
        info = image_info(self.flash.package) if self.flash.package else None
        return info.version if info else None

    def set_value(self, resource: int, value: tree.Value) -> None:
        """Severity, Maximum Defer Period, Automatic Upgrade at Download."""
        name = {11: "severity", 13: "max_defer_period", 14: "automatic_upgrade"}[resource]
        setattr(self.flash, name, value)

    def clear(self, resource: int) -> None:
        """Back to what the device had at first, where a Write that replaces the instance leaves it out."""
        if resource != 1:
            self.set_value(resource, {11: 1, 13: self.options.max_defer_period, 14: False}[resource])

    # ---------------------------------------------------------------- the step

    def step(self, event: Event, *, choose: Outcome | State | None = None) -> bool:
        """Send an event to the machine; what it says is kept over a reboot and told to the observers.

        Returns
        -------
        bool
            False where the profile lets the event pass without anything happening.

        Raises
        ------
        IllegalEvent
            When the event is no trigger now; nothing has changed.
        """
        key = (self.machine.state, event)
        if key in self.profile.deviates:
            outcome = self.profile.deviates[key]
            if outcome is None:
                return False
            self.enter(outcome[0], self.machine.result if outcome[1] is None else outcome[1])
        else:
            self.machine.send(event, choose=choose)
        self.keep(str(event.value))
        return True

    def keep(self, what: str) -> None:
        """Keep state and result, and tell who wants to know."""
        if self.flash.state != self.machine.state:
            self.flash.state_changed_at = int(self.host.clock())
        self.flash.state, self.flash.result = self.machine.state, self.machine.result
        self.host.changed(what)

    def is_ignored(self, event: Event) -> bool:
        """Whether the profile lets an event pass without anything happening now."""
        return self.profile.deviates.get((self.machine.state, event), 0) is None


@functools.lru_cache(maxsize=8)
def image_info(package: bytes) -> ImageInfo | None:
    """What the package says of itself; asked at every reading of `/5/0/7`, so the hash is computed once."""
    return read_image(package)


def refused(error: IllegalEvent) -> tree.Refusal:
    """The answer to a request that is no trigger now; 4.05 where the rules name no code."""
    return tree.Refusal(CODES[error.response or "4.05"], str(error)[:200])

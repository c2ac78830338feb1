"""Installing: now or when the user lets it, into one slot or two, with a trial boot that is confirmed or reverted."""

from __future__ import annotations

import math
from collections.abc import Callable

from lwm2m_lab.live.object5 import image_info
from lwm2m_lab.live.pull import Pull
from lwm2m_lab.spec.firmware import Event
from lwm2m_lab.spec.objects import State, UpdateResult

__all__ = ["Install"]

_NOW, _LATER = (State.UPDATING, UpdateResult.INITIAL), (State.DOWNLOADED, UpdateResult.DEFERRED)


class Install(Pull):
    """What Execute of Update begins, over the reboot to the settled result."""

    _stop_deferral: Callable[[], object] = staticmethod(lambda: None)

    # ---------------------------------------------------------------- before the reboot

    def update(self) -> None:
        """Execute of Update: begin, or wait as long as the user wants and the server allows."""
        seconds = self.deferral()
        if seconds <= 0 or self.machine.state != State.DOWNLOADED:
            self.step(Event.UPDATE, choose=self._now())
            self.begin_installation()
            return
        self.step(Event.UPDATE, choose=_LATER)
        if self.flash.deferred_until is None:
            self.flash.deferred_until = math.ceil(self.host.clock() + seconds)
        self._defer()

    def _now(self) -> tuple[State, UpdateResult] | None:
        """Of the two outcomes in Downloaded the one without deferral; elsewhere there is nothing to choose."""
        return _NOW if self.machine.state == State.DOWNLOADED and self.options.object_version != "1.0" else None

    def deferral(self) -> float:
        """Seconds of a deferral: the user's wish within Maximum Defer Period; a critical package does not wait."""
        if self.options.object_version == "1.0" or self.flash.severity == 0:
            return 0.0
        return min(self.options.user_defers, self.flash.max_defer_period)

    def _defer(self) -> None:
        """Wait for the end of the deferral, as it was set before a reboot too."""
        assert self.flash.deferred_until is not None
        self._stop_deferral()
        self._stop_deferral = self.host.spawn(self._end_deferral(self.flash.deferred_until - self.host.clock()))

    async def _end_deferral(self, seconds: float) -> None:
        await self.host.sleep(max(seconds, 0.0))
        self.flash.deferred_until = None
        self.step(Event.DEFERRAL_ENDS)
        self.begin_installation()

    def drop_package(self) -> None:
        self._stop_deferral()
        super().drop_package()

    def complete(self) -> None:
        super().complete()
        if self.flash.automatic_upgrade and self.options.object_version == "1.2":
            self.step(Event.AUTOMATIC_UPGRADE)
            self.begin_installation()

    def begin_installation(self) -> None:
        """Install beside; a profile in which nothing follows an Execute is not in Updating."""
        if self.machine.state == State.UPDATING:
            self._stop_deferral()
            self.flash.deferred_until = None
            self.host.spawn(self.install())

    async def install(self) -> None:
        """Hand the package to the boot loader, and reboot into it."""
        await self.host.sleep(self.options.install_time)
        info = image_info(self.flash.package)
        if self.options.install_fails or info is None:
            self.install_failed()
            return
        self.flash.boot = "pending"
        self.host.reboot()

    def install_failed(self) -> None:
        """The profile says whether the package is kept (A2)."""
        self.step(Event.INSTALL_FAILED)
        if self.machine.state == State.IDLE:
            self.drop_package()

    # ---------------------------------------------------------------- between

    def load(self) -> None:
        """What the boot loader does before the firmware runs: swap a package in, or back if nobody has confirmed it."""
        if self.flash.boot == "pending":
            info = image_info(self.flash.package)
            assert info is not None
            self.swap(info.version)
            self.flash.boot = "swapped"
        elif self.flash.boot == "trial":
            self.swap(self.flash.previous)
            self.flash.boot = "reverted"

    def swap(self, version: str) -> None:
        """An image of this version runs from now on."""
        self.flash.previous, self.flash.running = self.flash.running, version

    # ---------------------------------------------------------------- after it

    def boot(self, *, rebooted: bool) -> None:
        """Take up what was going on before the power went."""
        if self.machine.state == State.IDLE and self.flash.boot == "settled" and self.flash.package:
            # The power went between the end of an update and that of its package.
            self.flash.package, self.flash.package_uri, self.flash.deferred_until = b"", "", None
        if rebooted and self._loses_status():
            self.step(Event.REBOOT)
        if self.flash.boot == "swapped":
            self._first_boot()
        elif self.flash.boot == "reverted":
            self._reverted()
        elif self.machine.state == State.UPDATING:
            self.host.spawn(self.install())
        elif self.flash.deferred_until is not None:
            self._defer()

    def _loses_status(self) -> bool:
        """Whether the profile's state or result is another one after a reboot (A6)."""
        status = (self.machine.state, self.machine.result)
        state, result = self.profile.choices.get((status[0], Event.REBOOT), (status[0], None))
        return (state, status[1] if result is None else result) != status

    def _first_boot(self) -> None:
        """The new image runs: for good with one slot, on trial with two."""
        self.flash.package = b""
        self.show_version(self.flash.running)
        if self.options.slots == "one":
            self.flash.boot = "settled"
            self.installed()
        else:
            self.flash.boot = "trial"
            self.host.spawn(self._trial())

    def show_version(self, version: str) -> None:
        """The new image runs, so `/3/0/3` says its version (E.6, the change request)."""
        if self.options.installs == "software":
            self.flash.software_version = version
        else:
            self.flash.firmware_version = version

    def installed(self) -> None:
        """Success."""
        if self.machine.state == State.UPDATING:
            self.step(Event.INSTALLED)

    async def _trial(self) -> None:
        """The self-test of a new image: confirmed it stays, failed it is swapped back at the next boot."""
        await self.host.sleep(self.options.confirm_after)
        if self.options.trial_fails:
            self.host.reboot()
            return
        self.flash.boot = "settled"
        self.installed()

    def _reverted(self) -> None:
        """The boot loader has put the old image back: the trial failed, or ended in a reboot unconfirmed."""
        self.flash.boot = "settled"
        self.show_version(self.flash.running)
        if self.machine.state == State.UPDATING:
            # The package was swapped in and out again: nothing is left to install (A2).
            self.step(Event.INSTALL_FAILED, choose=State.IDLE)

"""Faults of Object 5: versions, results, states and what is taken when."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType
from typing import Any

import aiocoap
from aiocoap.numbers.codes import Code

from lwm2m_lab.live.faults import fault
from lwm2m_lab.live.object5 import image_info
from lwm2m_lab.live.tree import Value
from lwm2m_lab.live.updater import Updater
from lwm2m_lab.spec.firmware import Event
from lwm2m_lab.spec.objects import State, UpdateResult

# ---------------------------------------------------------------- versions and results


@fault("keeps-firmware-version", "V1", "F15")
class KeepsFirmwareVersion(Updater):
    """/3/0/3 stays as it was after a successful installation."""

    def show_version(self, version: str) -> None:
        """The boot loader knows, nobody else is told."""


@fault("copies-version-at-download", "V3")
class CopiesVersionAtDownload(Updater):
    """/3/0/3 shows the version of a package that is downloaded and not installed."""

    def complete(self) -> None:
        info = image_info(self.flash.package)
        assert info is not None
        self.flash.firmware_version = info.version
        super().complete()


@fault("changes-version-on-failure", "V4")
class ChangesVersionOnFailure(Updater):
    """/3/0/3 shows the version of a package whose installation has failed."""

    def install_failed(self) -> None:
        info = image_info(self.flash.package)
        if info is not None:
            self.flash.firmware_version = info.version
        super().install_failed()


@fault("updates-software-version", "F17")
class UpdatesSoftwareVersion(Updater):
    """An update of the firmware shows in /3/0/19, and /3/0/3 stays."""

    def show_version(self, version: str) -> None:
        self.flash.software_version = version


@fault("stored-string-lies")
class StoredStringLies(Updater):
    """The installation writes the new version into /3/0/3 and leaves the old firmware running: nobody can see it."""

    def swap(self, version: str) -> None:
        self.flash.firmware_version = version

    def show_version(self, version: str) -> None:
        """The string is written already."""


@fault("forgets-result", "F3", "V2")
class ForgetsResult(Updater):
    """After the reboot into the new firmware Update Result is 0, as if nothing had been updated."""

    def installed(self) -> None:
        self.enter(State.IDLE, UpdateResult.INITIAL)
        self.keep("result forgotten")


@fault("success-before-execute", "F4")
class SuccessBeforeExecute(Updater):
    """Update Result is 1 as soon as the package is downloaded, and the Execute installs nothing."""

    def complete(self) -> None:
        super().complete()
        self.enter(State.DOWNLOADED, UpdateResult.SUCCESS)
        self.keep("success reported")

    async def install(self) -> None:
        await self.host.sleep(self.options.install_time)
        self.flash.package = b""
        self.enter(State.IDLE, UpdateResult.SUCCESS)
        self.keep("success reported")
        self.host.reboot()


@fault("overwrites-result", "F8")
class OverwritesResult(Updater):
    """Some seconds after a failure Update Result is 0 again."""

    def keep(self, what: str) -> None:
        super().keep(what)
        if self.machine.state == State.IDLE and self.machine.result not in (UpdateResult.INITIAL, UpdateResult.SUCCESS):
            self.host.spawn(self._overwrite())

    async def _overwrite(self) -> None:
        await self.host.sleep(10.0)
        if self.machine.state == State.IDLE:
            self.enter(State.IDLE, UpdateResult.INITIAL)
            self.keep("result overwritten")


@fault("borrows-results", "R5")
class BorrowsResults(Updater):
    """A failed installation is Update Result 12, which belongs to another object."""

    def values(self) -> dict[int, Value]:
        shown = super().values()
        return shown | ({5: 12} if shown[5] == UpdateResult.UPDATE_FAILED else {})


@fault("empties-uri-after-download")
class EmptiesUriAfterDownload(Updater):
    """Package URI is empty once the package is there: legal, and some servers take it for a reset (A10)."""

    def values(self) -> dict[int, Value]:
        return super().values() | ({1: ""} if self.machine.state == State.DOWNLOADED else {})


# ---------------------------------------------------------------- states


@fault("old-state-numbers", "F20")
class OldStateNumbers(Updater):
    """State is numbered from 1, as in the drafts before 1.0."""

    def shown_state(self) -> int:
        return min(super().shown_state() + 1, 3)


@fault("invents-state", "R3")
class InventsState(Updater):
    """While it is installed State is 4."""

    def shown_state(self) -> int:
        shown = super().shown_state()
        return 4 if shown == State.UPDATING else shown


@fault("installs-without-execute", "O5")
class InstallsWithoutExecute(Updater):
    """The installation begins by itself when the download is complete, and nobody has allowed it."""

    def complete(self) -> None:
        super().complete()
        self.enter(State.UPDATING, UpdateResult.INITIAL)
        self.keep("installing unasked")
        self.begin_installation()


@fault("ignores-execute", "F5")
class IgnoresExecute(Updater):
    """The Execute of Update is answered 2.04, and nothing follows."""

    def update(self) -> None:
        if self.machine.state != State.DOWNLOADED:
            super().update()


@fault("executes-anywhere", "T26")
class ExecutesAnywhere(Updater):
    """The Execute of Update is accepted in every state."""

    def update(self) -> None:
        if self.machine.state == State.DOWNLOADED:
            super().update()


@fault("cancels-too-late", "T25")
class CancelsTooLate(Updater):
    """Cancel is accepted while the installation runs."""

    def cancel(self) -> None:
        if self.machine.state != State.UPDATING:
            super().cancel()


@fault("cancels-success", "T28")
class CancelsSuccess(Updater):
    """Cancel is accepted after a success, and Update Result is 10."""

    def cancel(self) -> None:
        if (self.machine.state, self.machine.result) != (State.IDLE, UpdateResult.SUCCESS):
            super().cancel()
            return
        self.enter(State.IDLE, UpdateResult.CANCELLED)
        self.keep("success cancelled")


@fault("takes-package-over-package", "T27")
class TakesPackageOverPackage(Updater):
    """A new package is taken while another one is downloaded and waits."""

    def write_package(self, request: aiocoap.Message) -> aiocoap.Message:
        block = request.opt.block1
        if self.machine.state == State.DOWNLOADED and (block is None or block.block_number == 0):
            self.enter(State.IDLE, UpdateResult.INITIAL)
        return super().write_package(request)


# ---------------------------------------------------------------- resources


@fault("takes-any-severity", "R11")
class TakesAnySeverity(Updater):
    """Severity may be set to anything."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        rows = dict(self.definition.resources)
        if 11 in rows:
            rows[11] = dataclasses.replace(rows[11], range="")
        self.definition = dataclasses.replace(self.definition, resources=MappingProxyType(rows))


@fault("defers-without-leave", "R13")
class DefersWithoutLeave(Updater):
    """The installation is deferred although Maximum Defer Period is 0."""

    def deferral(self) -> float:
        return 600.0


@fault("invents-delivery-method", "R9")
class InventsDeliveryMethod(Updater):
    """Delivery Method is 3."""

    def values(self) -> dict[int, Value]:
        return super().values() | {9: 3}


@fault("claims-coaps", "F13")
class ClaimsCoaps(Updater):
    """/5/0/8 lists CoAPS, and a Package URI with it ends in Update Result 9."""

    def protocols(self) -> tuple[int, ...]:
        return (0, 1)


# ---------------------------------------------------------------- Package URI


@fault("downloads-empty-uri", "F9")
class DownloadsEmptyUri(Updater):
    """An empty Package URI begins a download instead of a reset."""

    def write_uri(self, uri: str) -> None:
        if uri or self.machine.state != State.IDLE:
            super().write_uri(uri)
        else:
            self.step(Event.PACKAGE_URI)
            self.host.spawn(self._fail_soon())

    async def _fail_soon(self) -> None:
        await self.host.sleep(2.0)
        self.step(Event.INVALID_URI)


@fault("cuts-uri", "F10")
class CutsUri(Updater):
    """The buffer for the Package URI has 255 bytes, its terminator included: the 255th byte is cut."""

    def uri_to_fetch(self, uri: str) -> str:
        return uri.encode()[:254].decode(errors="ignore")


@fault("erases-uri", "F12")
class ErasesUri(Updater):
    """The Package URI is empty once the download is complete."""

    def complete(self) -> None:
        self.flash.package_uri = ""
        super().complete()


@fault("gives-up-silently", "W15")
class GivesUpSilently(Updater):
    """A download whose connection is lost leaves State 1 for ever: no retry, no result."""

    def download_failed(self, event: Event) -> None:
        if event != Event.CONNECTION_LOST:
            super().download_failed(event)


@fault("keeps-tlv-header")
class KeepsTlvHeader(Updater):
    """A package in TLV is stored with the header in front of it."""

    def unwrapped(self, request: aiocoap.Message, body: bytes) -> bytes | None:
        return body


@fault("refuses-after-taking")
class RefusesAfterTaking(Updater):
    """A push is answered 5.00 at its last block, and State is 2 all the same."""

    def take_block(self, request: aiocoap.Message) -> aiocoap.Message:
        answer = super().take_block(request)
        if answer.code == Code.CHANGED:
            answer.code = Code.INTERNAL_SERVER_ERROR
        return answer

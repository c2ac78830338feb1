"""Object 5 of a device: from requests and from what happens inside to events of the `Machine`, and on to answers.

The Machine says which state and result follow and whether an event is one at all; here is what makes the events: blocks
that fit or do not, an image whose hash matches or does not, a download that ends, an installation that fails.
"""

from __future__ import annotations

import functools
import urllib.parse
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

import aiocoap
from aiocoap.numbers.codes import Code

from lwm2m_lab.errors import IllegalEvent
from lwm2m_lab.live import blockwise, tree
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.requests import NoAnswer, Requester, UnknownHost, text_of
from lwm2m_lab.spec.firmware import Event, Machine
from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.wire import values
from lwm2m_lab.wire.image import ImageInfo, read_image

__all__ = ["Flash", "Host", "Updater"]

#: Formats in which a package or a Package URI may be written.
WRITABLE = (tree.TEXT, tree.OCTET_STREAM, tree.TLV, tree.SENML_JSON, tree.SENML_CBOR)
#: A Package URI is a string of 0 to 255 bytes (Object 5, resource 1).
LONGEST_URI = 255


@dataclass
class Flash:
    """What survives a reboot: the firmware that runs, the package, and where the update stands.

    The standard is silent on the last two since 1.0 (ambiguity A6), yet without them no device could report Result 1.
    """

    firmware_version: str
    state: State = State.IDLE
    result: UpdateResult = UpdateResult.INITIAL
    package: bytes = b""
    package_uri: str = ""


class Host(Protocol):
    """What the update needs of its device."""

    def changed(self, what: str) -> None:
        """Values of Object 5 have changed: tell the observers, write it down."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> Callable[[], object]:
        """Do something beside; what comes back ends it."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""

    def reboot(self) -> None:
        """Restart the device: the socket and every observation are gone."""


class Updater:
    """The firmware update of one device from boot to reboot."""

    def __init__(self, options: DeviceOptions, flash: Flash, host: Host) -> None:
        self.options, self.flash, self.host = options, flash, host
        self.machine = Machine(
            options.object_version, state=flash.state, result=flash.result, delivery=options.delivery
        )
        self.requester: Requester | None = None
        self.receiver = blockwise.Block1Receiver(
            limit=options.storage, preferred_szx=blockwise.szx_of(options.block_size)
        )
        self._pushing = False
        self._stop_download: Callable[[], object] = lambda: None
        self._stop_waiting: Callable[[], object] = lambda: None

    # ---------------------------------------------------------------- what a server sees

    def values(self) -> dict[str, tree.Value]:
        """The resources of Object 5 that can be read now."""
        shown: dict[str, tree.Value] = {
            "/5/0/1": self.flash.package_uri,
            "/5/0/3": int(self.machine.state),
            "/5/0/5": int(self.machine.result),
            "/5/0/8": (0,),
            "/5/0/9": self.options.delivery,
        }
        if self.options.has_package_names and self.machine.state in (State.DOWNLOADED, State.UPDATING):
            info = _info(self.flash.package)
            shown["/5/0/6"] = "firmware"
            shown["/5/0/7"] = info.version if info else ""
        return shown

    def write(self, resource: int, request: aiocoap.Message) -> aiocoap.Message:
        """A Write to Package or Package URI."""
        if request.opt.content_format is None:
            return aiocoap.Message(code=Code.BAD_REQUEST, payload=b"a Write needs a Content-Format")
        if request.opt.content_format not in WRITABLE:
            return aiocoap.Message(code=Code.UNSUPPORTED_CONTENT_FORMAT)
        try:
            return self._write_package(request) if resource == 0 else self._write_uri(request)
        except IllegalEvent as error:
            return _refusal(error)

    def execute(self, resource: int) -> aiocoap.Message:
        """An Execute of Update or Cancel."""
        try:
            if resource == 10:
                self._step(Event.CANCEL)
                self._drop_package()
            else:
                self._step(Event.UPDATE)
                if self.machine.state == State.UPDATING:
                    self.host.spawn(self._install())
        except IllegalEvent as error:
            return _refusal(error)
        return aiocoap.Message(code=Code.CHANGED)

    def finish_installation(self) -> None:
        """After the reboot into the new image: it runs, so `/3/0/3` says its version (E.6, the change request)."""
        self._step(Event.INSTALLED)
        self.flash.package = b""

    # ---------------------------------------------------------------- push

    def _write_package(self, request: aiocoap.Message) -> aiocoap.Message:
        block = request.opt.block1
        first, more = block is None or block.block_number == 0, block is not None and block.more
        if first and not more and self._is_reset(request.payload):
            self._reset()
            return self.receiver.answer(request, Code.CHANGED)
        if self.receiver.is_malformed(request):
            return self.receiver.answer(request, Code.BAD_REQUEST)
        if first and not self._pushing:
            self._step(Event.FIRST_BLOCK if more else Event.PACKAGE)
            self._pushing = True
        elif not self._pushing:
            return self.receiver.answer(request, Code.REQUEST_ENTITY_INCOMPLETE)
        return self._take_block(request)

    def _take_block(self, request: aiocoap.Message) -> aiocoap.Message:
        """What follows from a block that belongs to a push under way."""
        verdict = self.receiver.take(request)
        if verdict == "unmatched":
            return self.receiver.answer(request, Code.REQUEST_ENTITY_INCOMPLETE)
        self._stop_waiting()
        if verdict == "too large":
            self._pushing = False
            self._step(Event.NO_STORAGE)
            return self.receiver.answer(request, Code.REQUEST_ENTITY_TOO_LARGE)
        if verdict == "whole":
            self._pushing = False
            body = bytes(self.receiver.body)
            self.receiver.forget()
            self._judge(values.unwrap_package(body, request.opt.content_format))
            # Errors of the process show in Update Result alone (E.6.1): the last block is answered 2.04 all the same.
            return self.receiver.answer(request, Code.CHANGED)
        self._stop_waiting = self.host.spawn(self._give_up_on_sender())
        return self.receiver.answer(request, Code.CONTINUE)

    async def _give_up_on_sender(self) -> None:
        """Nothing tells a receiver that the sender has gone (A13): it looks at its own clock."""
        await self.host.sleep(self.options.forget_after)
        self.receiver.forget()
        self._pushing = False
        self._step(Event.SENDER_GONE)

    def _is_reset(self, payload: bytes) -> bool:
        """The reset value: one byte 0x00, in Object 5 version 1.0 also the empty string (A5)."""
        return payload == b"\0" or (payload == b"" and self.options.object_version == "1.0")

    # ---------------------------------------------------------------- pull

    def _write_uri(self, request: aiocoap.Message) -> aiocoap.Message:
        try:
            entries = values.decode(request.payload, content_format=request.opt.content_format, path="/5/0/1")
        except values.Undecodable:
            return aiocoap.Message(code=Code.BAD_REQUEST)
        uri = values.as_text(entries[0].value) if len(entries) == 1 else None
        if uri is None or len(uri.encode()) > LONGEST_URI:
            return aiocoap.Message(code=Code.BAD_REQUEST, payload=b"a Package URI has 0 to 255 bytes")
        if not uri:
            self._reset()
        else:
            self._step(Event.PACKAGE_URI)
            self.flash.package_uri = uri
            self._stop_download = self.host.spawn(self._download(uri))
        return aiocoap.Message(code=Code.CHANGED)

    async def _download(self, uri: str) -> None:
        """Fetch the package and say what came of it."""
        event = self._unusable(uri)
        if event is not None:
            self._step(event)
            return
        assert self.requester is not None
        try:
            fetched = await blockwise.fetch_blocks(
                self.requester, uri, block_size=self.options.block_size, limit=self.options.storage
            )
        except UnknownHost:
            self._step(Event.INVALID_URI)
        except NoAnswer:
            self._step(Event.CONNECTION_LOST)
        except blockwise.Refused as refused:
            # 4.xx: the repository has nothing under this URI; 5.xx: it is in no state to serve.
            gone = refused.response.code.class_ == 4
            self._step(Event.INVALID_URI if gone else Event.CONNECTION_LOST)
        except MemoryError:
            self._step(Event.NO_STORAGE)
        else:
            self._judge(fetched.body)

    @staticmethod
    def _unusable(uri: str) -> Event | None:
        """Why a URI cannot be fetched from, before anything is sent."""
        try:
            parts = urllib.parse.urlsplit(uri)
            named = bool(parts.scheme and parts.hostname and (parts.port is None or parts.port > 0))
        except ValueError:
            return Event.INVALID_URI
        if not named:
            return Event.INVALID_URI
        return None if parts.scheme == "coap" else Event.UNSUPPORTED_SCHEME

    # ---------------------------------------------------------------- both

    def _judge(self, package: bytes | None) -> None:
        """Check the whole package: a known type, and a hash that matches."""
        info = _info(package) if package is not None else None
        if package is None or info is None:
            self._step(Event.UNSUPPORTED_TYPE)
        elif info.hash_valid is not True:
            self._step(Event.INTEGRITY_FAILURE)
        else:
            self.flash.package = package
            self._step(Event.PACKAGE_COMPLETE)

    async def _install(self) -> None:
        """Install the package; on success the device reboots into it."""
        await self.host.sleep(self.options.install_time)
        if self.options.install_fails:
            self._step(Event.INSTALL_FAILED, choose=State.DOWNLOADED)
            return
        info = _info(self.flash.package)
        assert info is not None
        self.flash.firmware_version = info.version
        self.host.reboot()

    def _reset(self) -> None:
        self._step(Event.RESET)
        self._drop_package()

    def _drop_package(self) -> None:
        self._stop_download()
        self._stop_waiting()
        self.receiver.forget()
        self._pushing = False
        self.flash.package, self.flash.package_uri = b"", ""

    def _step(self, event: Event, *, choose: State | None = None) -> None:
        """Send an event to the machine; what it says is kept over a reboot and told to the observers."""
        self.machine.send(event, choose=choose)
        self.flash.state, self.flash.result = self.machine.state, self.machine.result
        self.host.changed(str(event.value))


@functools.lru_cache(maxsize=8)
def _info(package: bytes) -> ImageInfo | None:
    """What the package says of itself; asked at every reading of `/5/0/7`, so the hash is computed once."""
    return read_image(package)


def _refusal(error: IllegalEvent) -> aiocoap.Message:
    """The answer to a request that is no trigger now; 4.05 where the rules name none."""
    codes = {text_of(code): code for code in Code if isinstance(code, Code)}
    return aiocoap.Message(code=codes[error.response or "4.05"], payload=str(error).encode()[:200])

"""Push: a package that a server writes to `/5/0/0`, block by block."""

from __future__ import annotations

from collections.abc import Callable

import aiocoap
from aiocoap.numbers.codes import Code

from lwm2m_lab.errors import IllegalEvent
from lwm2m_lab.live import tree
from lwm2m_lab.live.blockwise import Verdict
from lwm2m_lab.live.object5 import CODES, FirmwareObject, image_info, refused
from lwm2m_lab.spec.firmware import Event
from lwm2m_lab.spec.objects import State
from lwm2m_lab.wire import values

__all__ = ["Push"]


class Push(FirmwareObject):
    """The receiving side of a push, and the judgement over a package however it came."""

    _pushing = False
    _sender: object = None
    _stop_waiting: Callable[[], object] = staticmethod(lambda: None)

    def write_package(self, request: aiocoap.Message) -> aiocoap.Message:
        """A block of a Write to Package, or all of it."""
        if request.opt.content_format is None:
            return self.receiver.answer(request, Code.BAD_REQUEST)
        if request.opt.content_format not in tree.formats(self.options.lwm2m):
            return self.receiver.answer(request, Code.UNSUPPORTED_CONTENT_FORMAT)
        if self.receiver.is_malformed(request):
            return self.receiver.answer(request, Code.BAD_REQUEST)
        try:
            return self._write_package(request)
        except IllegalEvent as error:
            refusal = refused(error)
            answer = self.receiver.answer(request, refusal.code)
            answer.payload = str(refusal).encode()
            return answer

    def _write_package(self, request: aiocoap.Message) -> aiocoap.Message:
        block = request.opt.block1
        first, more = block is None or block.block_number == 0, block is not None and block.more
        if self.is_ignored(Event.FIRST_BLOCK if more else Event.PACKAGE):
            return self.receiver.answer(request, Code.CONTINUE if more else Code.CHANGED)
        if first and not more and self.is_reset(self.unwrapped(request, request.payload)):
            self.reset()
            return self.receiver.answer(request, Code.CHANGED)
        if first and not (self._pushing and more and request.remote == self._sender):
            if self.machine.state != State.DOWNLOADING:
                self.hidden = not self.profile.shows_downloading
            # A block 0 begins the push under way anew (A14); from another sender, beside a pull, or whole in itself it
            # is no trigger (T27).
            self.step(Event.FIRST_BLOCK if more and self.machine.state != State.DOWNLOADING else Event.PACKAGE)
            self._pushing, self._sender = True, request.remote
        elif not self._pushing:
            return self.receiver.answer(request, Code.REQUEST_ENTITY_INCOMPLETE)
        return self.take_block(request)

    def take_block(self, request: aiocoap.Message) -> aiocoap.Message:
        """What follows from a block that belongs to a push under way."""
        verdict = self.receiver.take(request)
        if verdict == "unmatched":
            return self.receiver.answer(request, Code.REQUEST_ENTITY_INCOMPLETE)
        self._stop_waiting()
        if verdict == "too large":
            self._end_of_push()
            return self._too_large(request)
        if verdict == "whole":
            body = bytes(self.receiver.body)
            self._end_of_push()
            self.judge(self.unwrapped(request, body))
            return self.receiver.answer(request, self._final_code())
        self._stop_waiting = self.host.later(self.options.forget_after, self._give_up_on_sender)
        return self.answer_block(request, verdict)

    def answer_block(self, request: aiocoap.Message, verdict: Verdict) -> aiocoap.Message:
        """The answer to a block that is not the last."""
        return self.receiver.answer(request, Code.CONTINUE)

    def _end_of_push(self) -> None:
        self.receiver.forget()
        self._pushing = False

    def _final_code(self) -> Code:
        """Errors of the process show in Update Result alone (E.6.1), unless the profile says them in the code too."""
        if self.machine.state != State.IDLE:
            return Code.CHANGED
        return CODES[self.profile.failed_push.get(self.machine.result, "2.04")]

    def _too_large(self, request: aiocoap.Message) -> aiocoap.Message:
        """Out of storage is 4.13 with the limit in Size1 (RFC 7959, 2.9.3), out of memory 5.00."""
        event = self.limit_hit()
        self.step(event)
        usual = "4.13" if event == Event.NO_STORAGE else "5.00"
        return self.receiver.answer(request, CODES[self.profile.failed_push.get(self.machine.result, usual)])

    def limit_hit(self) -> Event:
        """Which limit a package meets first that is larger than one of them."""
        return Event.NO_MEMORY if self.options.memory < self.options.storage else Event.NO_STORAGE

    def _give_up_on_sender(self) -> None:
        """Nothing tells a receiver that the sender has gone (A13): it looks at its own clock."""
        self._end_of_push()
        self.step(Event.SENDER_GONE)

    def unwrapped(self, request: aiocoap.Message, body: bytes) -> bytes | None:
        """The package out of its wrapping."""
        return values.unwrap_package(body, request.opt.content_format)

    def write_whole_package(self, package: bytes) -> None:
        """A package of one message, out of a Write of several values."""
        if self.is_reset(package):
            self.reset()
        elif self.step(Event.PACKAGE):
            if len(package) > self.receiver.limit:
                self.step(self.limit_hit())
            else:
                self.judge(package)

    # ---------------------------------------------------------------- whatever the way

    def is_reset(self, package: bytes | None) -> bool:
        """The reset value: one byte 0x00, in Object 5 version 1.0 also the empty string (A5)."""
        may_be_empty = self.options.object_version == "1.0" and self.profile.name == "strict"
        return package in self.profile.reset_values or (package == b"" and may_be_empty)

    def reset(self) -> None:
        """Back to Idle; what is there of a package is dropped (Object 5, resource 3)."""
        if self.step(Event.RESET):
            self.drop_package()

    def drop_package(self) -> None:
        """Forget the package and whatever was going on with it."""
        self._stop_waiting()
        self._end_of_push()
        self.flash.package, self.flash.package_uri, self.flash.deferred_until = b"", "", None
        self.host.refresh()

    def judge(self, package: bytes | None) -> None:
        """Check the whole package: a known type, a hash that matches, a signature where one is asked for."""
        info = image_info(package) if package is not None else None
        if package is None or info is None:
            self.step(Event.UNSUPPORTED_TYPE)
        elif info.hash_valid is not True or not self._is_signed_well(package):
            self.step(Event.INTEGRITY_FAILURE)
        else:
            self.flash.package = package
            self.complete()

    def complete(self) -> None:
        """The package is there and good."""
        self.step(Event.PACKAGE_COMPLETE)

    def _is_signed_well(self, package: bytes) -> bool:
        if self.options.verify_key is None:
            return True
        from lwm2m_lab.live.image import FirmwareImage

        return FirmwareImage(package, "").verify(key=self.options.verify_key) == "OK"

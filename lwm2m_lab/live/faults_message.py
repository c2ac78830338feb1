"""Faults of the message layer, made in the lab's datagram endpoint: aiocoap itself keeps every rule of RFC 7252."""

from __future__ import annotations

import abc
import asyncio
import collections
from collections.abc import Iterable
from dataclasses import replace

from lwm2m_lab.live.endpoint import Address, Endpoint
from lwm2m_lab.live.faults import fault
from lwm2m_lab.wire.coap import BLOCK2, OBSERVE, Message, decode, encode

__all__: list[str] = []

#: Message ids that an endpoint remembers of its peers.
REMEMBERED = 512


class _Memory(Endpoint):
    """An endpoint that knows which requests came before."""

    def __init__(self) -> None:
        self._seen: collections.OrderedDict[object, None] = collections.OrderedDict()

    def is_repeated(self, key: object) -> bool:
        """Whether something was here before; it is remembered."""
        known = key in self._seen
        self._seen[key] = None
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return known


def _is_request(message: Message) -> bool:
    return message.code.startswith("0.") and message.code != "0.00"


# ---------------------------------------------------------------- receiving


@fault("ignores-duplicates", "M2")
class IgnoresDuplicates(_Memory):
    """A confirmable request that comes again is not acknowledged again."""

    def incoming(self, data: bytes, sender: Address) -> Iterable[bytes]:
        message = decode(data)
        if message.type == "CON" and _is_request(message) and self.is_repeated((sender, message.mid)):
            return ()
        return super().incoming(data, sender)


@fault("answers-non-twice", "C4")
class AnswersNonTwice(_Memory):
    """A non-confirmable request that comes twice is acted on twice."""

    def incoming(self, data: bytes, sender: Address) -> Iterable[bytes]:
        message = decode(data)
        if message.type == "NON" and _is_request(message) and self.is_repeated((sender, message.mid)):
            data = encode(replace(message, mid=message.mid ^ 0x8000))
        return super().incoming(data, sender)


@fault("acknowledges-pings", "C5")
class AcknowledgesPings(Endpoint):
    """An empty confirmable message is acknowledged, where a reset belongs."""

    def incoming(self, data: bytes, sender: Address) -> Iterable[bytes]:
        message = decode(data)
        if message.type == "CON" and message.code == "0.00":
            self.send(encode(Message("ACK", "0.00", message.mid)), sender)
            return ()
        return super().incoming(data, sender)


# ---------------------------------------------------------------- answering


@fault("answers-with-wrong-token", "W17")
class AnswersWithWrongToken(Endpoint):
    """2.31 carries another token than the block that it acknowledges."""

    def outgoing(self, data: bytes, to: Address) -> Iterable[bytes]:
        message = decode(data)
        if message.code == "2.31" and message.token:
            data = encode(replace(message, token=message.token[:-1] + bytes([message.token[-1] ^ 0xFF])))
        return super().outgoing(data, to)


@fault("never-acknowledges", "M10")
class NeverAcknowledges(Endpoint):
    """A response in a message of its own is neither acknowledged nor reset."""

    def outgoing(self, data: bytes, to: Address) -> Iterable[bytes]:
        message = decode(data)
        return () if message.type in ("ACK", "RST") and message.code == "0.00" else super().outgoing(data, to)


# ---------------------------------------------------------------- asking


@fault("reuses-message-ids", "M9")
class ReusesMessageIds(Endpoint):
    """Every message of the device's own has the same message id."""

    MID = 0x1234
    _meant = 0

    def outgoing(self, data: bytes, to: Address) -> Iterable[bytes]:
        message = decode(data)
        if message.type == "CON":
            self._meant = message.mid
            data = encode(replace(message, mid=self.MID))
        return super().outgoing(data, to)

    def incoming(self, data: bytes, sender: Address) -> Iterable[bytes]:
        message = decode(data)
        if message.type in ("ACK", "RST") and message.mid == self.MID:
            data = encode(replace(message, mid=self._meant))
        return super().incoming(data, sender)


class _OwnRetransmission(Endpoint):
    """Sends copies by a clock of its own; aiocoap's are held back."""

    wait, copies = 2.0, 4

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.TimerHandle] = {}

    def outgoing(self, data: bytes, to: Address) -> Iterable[bytes]:
        message = decode(data)
        if message.type != "CON":
            return super().outgoing(data, to)
        if message.mid in self._waiting:
            return ()
        self._again(message.mid, data, to, self.copies)
        return super().outgoing(data, to)

    def _again(self, mid: int, data: bytes, to: Address, left: int) -> None:
        """Send a copy after the wait, as long as nobody has acknowledged."""

        def send() -> None:
            self.send(data, to)
            self._again(mid, data, to, left - 1)

        loop = asyncio.get_running_loop()
        self._waiting[mid] = loop.call_later(self.wait, send if left else lambda: None)

    def incoming(self, data: bytes, sender: Address) -> Iterable[bytes]:
        message = decode(data)
        if message.type in ("ACK", "RST") and message.mid in self._waiting:
            self._waiting.pop(message.mid).cancel()
        return super().incoming(data, sender)

    def connection_lost(self, exc: Exception | None) -> None:
        for handle in self._waiting.values():
            handle.cancel()
        super().connection_lost(exc)


@fault("does-not-back-off", "M7")
class DoesNotBackOff(_OwnRetransmission):
    """Retransmissions leave every two seconds."""


@fault("retransmits-for-ever", "C3")
class RetransmitsForEver(_OwnRetransmission):
    """A confirmable message is sent twelve times."""

    copies = 11


@fault("asks-twice-after-duplicates", "M8")
class AsksTwiceAfterDuplicates(_Memory):
    """An acknowledgement that comes twice brings the request for the block after the next one."""

    MARK = b"\xee\xee"
    _last = b""

    def outgoing(self, data: bytes, to: Address) -> Iterable[bytes]:
        if decode(data).code == "0.01":
            self._last = data
        return super().outgoing(data, to)

    def incoming(self, data: bytes, sender: Address) -> Iterable[bytes]:
        message = decode(data)
        answers = message.type == "ACK" and message.code == "2.05" and not message.token.startswith(self.MARK)
        if answers and self.is_repeated((sender, message.mid)):
            # By then the request for the next block has left.
            asyncio.get_running_loop().call_later(0.001, self._ask_again, sender)
        return super().incoming(data, sender)

    def _ask_again(self, sender: Address) -> None:
        last = decode(self._last)
        if last.block2 is not None:
            block = last.block2
            value = ((block.num + 1) << 4 | block.szx).to_bytes(3, "big").lstrip(b"\0")
            options = tuple((number, value if number == BLOCK2 else old) for number, old in last.options)
            twin = replace(last, mid=last.mid ^ 0x4000, token=self.MARK + last.token, options=options)
            self.send(encode(twin), sender)


@fault("asks-in-acknowledgements", "M11")
class AsksInAcknowledgements(Endpoint):
    """The requests of a download are of type ACK."""

    def outgoing(self, data: bytes, to: Address) -> Iterable[bytes]:
        message = decode(data)
        return super().outgoing(encode(replace(message, type="ACK")) if message.code == "0.01" else data, to)


@fault("asks-with-m", "B2")
class AsksWithM(Endpoint):
    """The request for a block has M set."""

    def outgoing(self, data: bytes, to: Address) -> Iterable[bytes]:
        message = decode(data)
        if message.code == "0.01" and message.block2 is not None:
            value = (message.block2.num << 4 | 8 | message.block2.szx).to_bytes(3, "big").lstrip(b"\0")
            options = tuple((number, value if number == BLOCK2 else old) for number, old in message.options)
            data = encode(replace(message, options=options))
        return super().outgoing(data, to)


# ---------------------------------------------------------------- notifying


def _observe(message: Message, value: bytes | None) -> Message:
    """A message with another Observe option, or none."""
    rest = [(number, old) for number, old in message.options if number != OBSERVE]
    return replace(message, options=tuple(rest if value is None else [(OBSERVE, value), *rest]))


class _Notifier(Endpoint, abc.ABC):
    """Changes notifications on their way out."""

    def outgoing(self, data: bytes, to: Address) -> Iterable[bytes]:
        message = decode(data)
        notifies = message.type != "ACK" and message.code == "2.05" and bool(message.values(OBSERVE))
        return super().outgoing(encode(self.changed(message)) if notifies else data, to)

    @abc.abstractmethod
    def changed(self, message: Message) -> Message:
        """What leaves instead."""


@fault("repeats-observe-numbers", "N1")
class RepeatsObserveNumbers(_Notifier):
    """Every notification has the same number."""

    def changed(self, message: Message) -> Message:
        return _observe(message, b"\x07")


@fault("notifies-with-wrong-token", "N3")
class NotifiesWithWrongToken(_Notifier):
    """A notification carries a token that nobody observes with."""

    def changed(self, message: Message) -> Message:
        return replace(message, token=b"\xdd" + message.token)


@fault("observes-silently", "N4")
class ObservesSilently(Endpoint):
    """An observation is taken, and its first answer does not say so."""

    def outgoing(self, data: bytes, to: Address) -> Iterable[bytes]:
        message = decode(data)
        return super().outgoing(encode(_observe(message, None)) if message.type == "ACK" else data, to)


@fault("ignores-resets", "N2")
class IgnoresResets(Endpoint):
    """A reset of a notification is taken for its acknowledgement."""

    def incoming(self, data: bytes, sender: Address) -> Iterable[bytes]:
        message = decode(data)
        return super().incoming(encode(replace(message, type="ACK")) if message.type == "RST" else data, sender)

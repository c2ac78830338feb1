"""One request and its answer, over aiocoap, one block at a time.

aiocoap would hand over whole bodies; the lab needs the single block (State 1 begins with the first one, 4.13 and resume
happen between two), so every request here goes out with aiocoap's block-wise handling switched off.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import socket
import urllib.parse
from dataclasses import dataclass
from typing import Any

import aiocoap
import aiocoap.error
from aiocoap.numbers.codes import Code
from aiocoap.numbers.constants import TransportTuning
from aiocoap.numbers.optionnumbers import OptionNumber

from lwm2m_lab.errors import BadInput, LabError
from lwm2m_lab.live.secure import Sessions

__all__ = [
    "COAPS_PORT",
    "NoAnswer",
    "OnlyAcknowledged",
    "Requester",
    "Timers",
    "UnknownHost",
    "begun_tasks",
    "cancel",
    "end_loop",
    "path_of",
    "refusal_of_options",
    "said_of_options",
    "text_of",
]


#: Seconds, with the parameters of RFC 7252, 4.8.2.
EXCHANGE_LIFETIME = 247.0
#: How often the end of a loop looks for what has begun meanwhile.
MOST_ROUNDS = 100
#: Port of coaps where a URI names none (RFC 7252, 6.2).
COAPS_PORT = 5684


class NoAnswer(LabError):
    """A request went unanswered after all its retransmissions, or could not be sent."""


class OnlyAcknowledged(NoAnswer):
    """A request was acknowledged, and its answer never came."""


class UnknownHost(NoAnswer):
    """The host of a URI has no address."""


@dataclass(frozen=True, kw_only=True)
class Timers:
    """The transmission parameters of RFC 7252, 4.8.

    Parameters
    ----------
    ack_timeout : float
        Seconds; the first time-out is drawn evenly from this to `ack_random_factor` times this.
    ack_random_factor : float
        1.0 or more.
    max_retransmit : int
        Copies sent after the first, 0 to 10.

    Examples
    --------
    >>> Timers(ack_timeout=8.0).give_up_after
    372.0
    """

    ack_timeout: float = 2.0
    ack_random_factor: float = 1.5
    max_retransmit: int = 4

    def __post_init__(self) -> None:
        if not _is_number(self.ack_timeout) or not 0 < self.ack_timeout <= 600:
            raise BadInput(f"ack_timeout is {self.ack_timeout!r}; seconds above 0 and up to 600 are expected")
        if not _is_number(self.ack_random_factor) or not 1 <= self.ack_random_factor <= 10:
            raise BadInput(f"ack_random_factor is {self.ack_random_factor!r}; a factor from 1 to 10 is expected")
        if type(self.max_retransmit) is not int or self.max_retransmit not in range(11):
            raise BadInput(f"max_retransmit is {self.max_retransmit!r}; a whole number from 0 to 10 is expected")

    @property
    def give_up_after(self) -> float:
        """MAX_TRANSMIT_WAIT: seconds from the first copy until the sender gives up, at the most."""
        return self.ack_timeout * float(2 ** (self.max_retransmit + 1) - 1) * self.ack_random_factor

    @functools.cached_property
    def tuning(self) -> TransportTuning:
        """The same for aiocoap, made once for all messages."""
        tuning = TransportTuning()
        tuning.ACK_TIMEOUT, tuning.ACK_RANDOM_FACTOR = self.ack_timeout, self.ack_random_factor
        tuning.MAX_RETRANSMIT = self.max_retransmit
        return tuning


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True)
class Requester:
    """Sends requests from one context with one set of timers.

    Attributes
    ----------
    context : aiocoap.Context
    timers : Timers
    scheme : {"coap", "coaps", "coap+tcp"}
        What the context's socket speaks, and so the scheme of every URI that can be asked through it.
    sessions : Sessions or None
        Of DTLS, on the context's socket: a request ends with the handshake that was made for it.
    """

    context: aiocoap.Context
    timers: Timers
    scheme: str = "coap"
    sessions: Sessions | None = None

    def message(self, code: Code, *, to: Any, path: str = "", payload: bytes = b"", **options: Any) -> aiocoap.Message:
        """A request, confirmable; `to` is an aiocoap remote or a URI, `options` are aiocoap's names."""
        message = aiocoap.Message(code=code, payload=payload, transport_tuning=self.timers.tuning)
        if isinstance(to, str):
            message.set_request_uri(self._as_aiocoap_knows_it(to))
        else:
            message.remote = to
        if path:
            message.opt.uri_path = tuple(path.strip("/").split("/"))
        for name, value in options.items():
            if value is not None:
                setattr(message.opt, name, value)
        return message

    def _as_aiocoap_knows_it(self, uri: str) -> str:
        """DTLS is beneath aiocoap, which knows ``coap`` alone; nothing meant for one scheme leaves by another."""
        if uri.partition(":")[0].lower() != self.scheme:
            raise BadInput(f"{uri[:60]!r} cannot be asked over this socket; a URI {self.scheme}://... is expected")
        if self.scheme != "coaps":
            return uri
        parts = urllib.parse.urlsplit(uri)
        port = "" if parts.port is not None else f":{COAPS_PORT}"
        return parts._replace(scheme="coap", netloc=parts.netloc.removesuffix(":") + port).geturl()

    async def send(self, message: aiocoap.Message, *, answer_within: float = EXCHANGE_LIFETIME) -> aiocoap.Message:
        """Send a request and wait for its answer, retransmissions included; as long over TCP, which does those itself.

        Raises
        ------
        NoAnswer, OnlyAcknowledged, UnknownHost
            As of `answer`.
        """
        return await self.answer(self.request(message), message, answer_within)

    def request(self, message: aiocoap.Message) -> Any:
        """A request on its way, as aiocoap has it."""
        return self.context.request(message, handle_blockwise=False)

    async def answer(
        self, request: Any, message: aiocoap.Message, answer_within: float = EXCHANGE_LIFETIME
    ) -> aiocoap.Message:
        """The first answer to a request of aiocoap's that is on its way.

        Parameters
        ----------
        request : aiocoap.protocol.Request
        message : aiocoap.Message
            What it asks.
        answer_within : float
            Seconds in which an answer comes that was promised by an empty acknowledgement.

        Raises
        ------
        NoAnswer
            When the retransmissions are used up, or the peer reset the exchange.
        OnlyAcknowledged
            When the answer does not come in time.
        UnknownHost
            When the host has no address.
        """
        # Over UDP a request that was acknowledged is sent no more, and its answer may never come (RFC 7252, 4.2).
        within = self.timers.give_up_after + (0.0 if self.scheme == "coap+tcp" else answer_within)
        try:
            if self.sessions is not None:
                return await self._unless_refused(self.sessions, request.response, message, within)
            return await _unless_late(request.response, within)
        except (aiocoap.error.ResolutionError, socket.gaierror) as error:
            raise UnknownHost(f"the host of {message.get_request_uri()} has no address") from error
        except (aiocoap.error.NetworkError, aiocoap.error.LibraryShutdown) as error:
            raise NoAnswer(
                f"{message.code} {path_of(message)} got no answer within {self.timers.max_retransmit} retransmissions"
            ) from error
        except TimeoutError:
            promised = "" if self.scheme == "coap+tcp" else "acknowledged and "
            raise OnlyAcknowledged(
                f"{message.code} {path_of(message)} was {promised}not answered within {within:g} s"
            ) from None

    async def _unless_refused(
        self, sessions: Sessions, response: asyncio.Future[aiocoap.Message], message: aiocoap.Message, within: float
    ) -> aiocoap.Message:
        """A response, or NoAnswer as soon as the handshake with its peer has failed."""
        refused: list[str] = []

        def ended(key: tuple[str, int], why: str) -> None:
            if message.remote is not None and message.remote.address[:2] == key:
                refused.append(why)
                response.cancel()

        with sessions.watched(ended):
            try:
                return await _unless_late(response, within)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if refused and task is not None and not task.cancelling():
                    raise NoAnswer(refused[0]) from None
                raise

    async def ask(
        self, code: Code, *, to: Any, path: str = "", payload: bytes = b"", **options: Any
    ) -> aiocoap.Message:
        """`message` and `send` in one."""
        return await self.send(self.message(code, to=to, path=path, payload=payload, **options))


async def _unless_late(response: asyncio.Future[aiocoap.Message], within: float) -> aiocoap.Message:
    """A response, or TimeoutError; with each datagram, and so at a third of what `asyncio.timeout` costs."""
    late = False

    def expire() -> None:
        nonlocal late
        late = True
        response.cancel()

    timer = asyncio.get_running_loop().call_later(within, expire)
    try:
        return await response
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if late and task is not None and not task.cancelling():
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()


def path_of(message: aiocoap.Message) -> str:
    """The Uri-Path of a message, ``/5/0/3``."""
    return "/" + "/".join(message.opt.uri_path)


#: Critical options that somebody here knows what to do with; Uri-Host and Uri-Port name us, whatever they say.
_UNDERSTOOD = frozenset({OptionNumber.URI_HOST, OptionNumber.URI_PORT, OptionNumber.URI_PATH, OptionNumber.URI_QUERY,
                         OptionNumber.ACCEPT, OptionNumber.BLOCK1, OptionNumber.BLOCK2})  # fmt: skip


def refusal_of_options(request: aiocoap.Message) -> Code | None:
    """4.02 for a critical option that is not understood (RFC 7252, 5.4.1), 5.05 for a proxy's work (5.7.2), or None."""
    numbers = {option.number for option in request.opt.option_list()}
    if numbers & {OptionNumber.PROXY_URI, OptionNumber.PROXY_SCHEME}:
        return Code.PROXYING_NOT_SUPPORTED
    return Code.BAD_OPTION if any(one % 2 and one not in _UNDERSTOOD for one in numbers) else None


def said_of_options(refusal: Code) -> str:
    """The diagnostic that goes with it."""
    return "nobody is a proxy here" if refusal == Code.PROXYING_NOT_SUPPORTED else "a critical option is not understood"


def text_of(code: Code) -> str:
    """A response code in digits, ``4.05``."""
    return str(code.dotted)


async def cancel(*tasks: asyncio.Task[Any] | None) -> None:
    """End tasks of ours and wait until they have ended; what they raised before is raised here."""
    running = [task for task in tasks if task is not None]
    for task in running:
        task.cancel()
    for result in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            raise result


def end_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what still runs on a loop, wait until it has ended, and close the loop.

    Where an end was cut short a socket may be open still, and what arrives there begins something new: so it is looked
    again, until nothing is left, or somebody has been sending for `MOST_ROUNDS` rounds.
    """
    _end_tasks(loop)
    with contextlib.suppress(asyncio.CancelledError):  # whoever stops us from another thread cancels this, too
        loop.run_until_complete(loop.shutdown_asyncgens())
    _end_tasks(loop)
    loop.close()


def begun_tasks(loop: asyncio.AbstractEventLoop) -> list[asyncio.Task[object]]:
    """The tasks of a loop that have taken their first step.

    One that is cancelled before never awaits what aiocoap put into it, and Python complains of that at its end.
    """
    return [one for one in asyncio.all_tasks(loop) if _has_begun(one)]


def _has_begun(task: asyncio.Task[object]) -> bool:
    coroutine = task.get_coro()
    return not inspect.iscoroutine(coroutine) or inspect.getcoroutinestate(coroutine) != inspect.CORO_CREATED


def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel every task of a loop that does not run, and let each come to its end."""
    for _ in range(MOST_ROUNDS):
        if not asyncio.all_tasks(loop):
            return
        begun = begun_tasks(loop)
        for task in begun:
            task.cancel()
        if begun:
            loop.run_until_complete(asyncio.gather(*begun, return_exceptions=True))
        else:
            loop.call_soon(loop.stop)
            loop.run_forever()  # one turn, in which they begin

"""The registration of a device: Register, Update, De-register, and Send, which goes the same way (LwM2M, 5.3)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiocoap
from aiocoap.numbers.codes import Code

from lwm2m_lab.live import tree
from lwm2m_lab.live.instances import ServerSettings
from lwm2m_lab.live.operations import Operations
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.requests import NoAnswer, Requester
from lwm2m_lab.wire import links

__all__ = ["Registration"]

#: Seconds after a registration that nobody answered until the next try.
REGISTER_AGAIN_AFTER = 30.0
#: Part of the lifetime after which the registration is renewed.
RENEW_AT = 0.75


@dataclass
class Registration:
    """One device at one server, from power on to power off.

    Parameters
    ----------
    server : str
        URI, ``coap://192.0.2.1``.
    requester : Requester
    options : DeviceOptions
    settings : ServerSettings
        Lifetime and binding, which the server may write.
    operations : Operations
        What is registered.
    happened : callable
        Told ``"registered"`` and ``"de-registered"``.
    """

    server: str
    requester: Requester
    options: DeviceOptions
    settings: ServerSettings
    operations: Operations
    happened: Callable[[str], None]
    location: str | None = None
    #: Where the server answered from, as aiocoap knows it.
    remote: Any = None
    _told: dict[str, str] = field(default_factory=dict)
    _awake: asyncio.Event = field(default_factory=asyncio.Event)
    _disabled: bool = False

    async def keep(self) -> None:
        """Register, and renew the registration before its lifetime ends, for ever."""
        while True:
            pause = REGISTER_AGAIN_AFTER
            with contextlib.suppress(NoAnswer):
                if self._disabled:
                    await self.deregister()
                    await asyncio.sleep(self.settings.disable_timeout)
                    self._disabled = False
                if self.location is not None:
                    await self._update()
                if self.location is None:
                    await self._register()
                if self.location is not None:
                    pause = self.settings.lifetime * RENEW_AT
            # A Registration Update Trigger (Execute of /1/0/8), another lifetime or Disable cut the pause short.
            self._awake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._awake.wait(), pause)

    def renew(self) -> None:
        """Send an Update soon."""
        self._awake.set()

    def disable(self) -> None:
        """De-register, and register again after the Disable Timeout."""
        self._disabled = True
        self._awake.set()

    def _parameters(self) -> dict[str, str]:
        """Lifetime and binding; Q is a letter of the binding in 1.0 and a flag of its own later."""
        queue = self.options.queue_mode
        binding = "UQ" if queue and self.options.lwm2m == "1.0" else "U"
        flag = {"Q": ""} if queue and self.options.lwm2m != "1.0" else {}
        return {"lt": str(self.settings.lifetime), "b": binding, **flag}

    async def _register(self) -> None:
        """Register; the location stays None where the server refuses."""
        parameters = self._parameters()
        first = (f"lwm2m={self.options.lwm2m}", f"ep={self.options.endpoint}")
        response = await self.requester.ask(
            Code.POST,
            to=f"{self.server}/rd",
            payload=links.format_links(self.links()),
            content_format=tree.LINK_FORMAT,
            uri_query=(*first, *_queries(parameters)),
        )
        if response.code == Code.CREATED:
            self.location, self._told = "/" + "/".join(response.opt.location_path), parameters
            self.remote = response.remote
            self.happened("registered")

    async def _update(self) -> None:
        """Update with what has changed; the location is None where the server no longer knows it."""
        parameters = self._parameters()
        changed = {name: value for name, value in parameters.items() if self._told.get(name) != value}
        response = await self.requester.ask(
            Code.POST, to=f"{self.server}{self.location}", uri_query=_queries(changed) or None
        )
        if response.code == Code.CHANGED:
            self._told, self.remote = parameters, response.remote
        else:
            self.location = None

    async def deregister(self) -> None:
        """De-register, where there is a registration.

        Raises
        ------
        NoAnswer
            When the server does not answer.
        """
        if self.location is not None:
            location, self.location = self.location, None
            await self.requester.ask(Code.DELETE, to=f"{self.server}{location}")
            self.happened("de-registered")

    async def send(self, paths: tuple[str, ...]) -> aiocoap.Message | None:
        """Send values to the server unasked (LwM2M 1.1); None where the server has muted it or there is no Send.

        Raises
        ------
        NoAnswer
            When the server does not answer.
        """
        if self.options.lwm2m == "1.0" or self.settings.mute_send or self.location is None:
            return None
        readable = self.operations.readable()
        entries = [entry for path in paths for entry in tree.spread(path, readable)]
        payload = tree.pack(entries, tree.SENML_CBOR, self.options.lwm2m)
        return await self.requester.ask(
            Code.POST, to=f"{self.server}/dp", payload=payload, content_format=tree.SENML_CBOR
        )

    def links(self) -> list[links.Link]:
        """The object links of the registration; versions are named from LwM2M 1.1 on, Object 0 is never."""
        later = self.options.lwm2m != "1.0"
        formats = " ".join(str(one) for one in sorted(tree.formats(self.options.lwm2m)) if one > tree.OCTET_STREAM)
        root: Mapping[str, str] = {"rt": "oma.lwm2m", **({"ct": formats} if later else {})}
        found = [links.Link("/", root)]
        for (number, which), instance in self.operations.instances.items():
            # Objects 1 and 2 have the version that belongs to `lwm2m=`; what need not be said is not.
            if later and number > 2:
                found.append(links.Link(f"/{number}", {"ver": instance.definition.version}))
            found.append(links.Link(f"/{number}/{which}", {}))
        return found


def _queries(parameters: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}={value}" if value else name for name, value in parameters.items())

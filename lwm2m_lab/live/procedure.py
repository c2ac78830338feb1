"""The update procedure of the server, step by step: look, deliver, execute, wait through the reboot, look again."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import aiocoap
from aiocoap.numbers.codes import Code

from lwm2m_lab.errors import BadInput
from lwm2m_lab.live import tree
from lwm2m_lab.live.blockwise import push_blocks, szx_of
from lwm2m_lab.live.image import FirmwareImage
from lwm2m_lab.live.requests import NoAnswer, Requester, text_of
from lwm2m_lab.live.server import FIRMWARE_VERSION, PKG_VERSION, RESULT, STATE, Client, Server
from lwm2m_lab.spec.objects import State, UpdateResult
from lwm2m_lab.wire import encoding, values

__all__ = ["Report", "ServerOptions", "update_device"]

Outcome = Literal["succeeded", "failed", "unfinished"]


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """How the server carries an update through.

    Parameters
    ----------
    block_size : int
        Bytes of a block that the server pushes or the repository serves: 16 to 1024.
    method : {"PUT", "POST"}
        How the package is written; the standard's own example uses POST (A11).
    package_format : {"opaque", "tlv"}
        Content-Format of a pushed package.
    patience : float
        Seconds without news after which the server reads State and Result.
    time_limit : float
        Seconds after which the server gives up waiting for the download, and again for the installation.
    observes_again : bool
        Whether it observes anew after the device has registered anew; one that does not hears nothing more.

    Raises
    ------
    BadInput
        For a value out of range.
    """

    block_size: int = 1024
    method: Literal["PUT", "POST"] = "PUT"
    package_format: Literal["opaque", "tlv"] = "opaque"
    patience: float = 60.0
    time_limit: float = 7_200.0
    observes_again: bool = True

    def __post_init__(self) -> None:
        szx_of(self.block_size)
        if self.method not in ("PUT", "POST"):
            raise BadInput(f"method is {self.method!r}; 'PUT' or 'POST' is expected")
        if self.package_format not in ("opaque", "tlv"):
            raise BadInput(f"package_format is {self.package_format!r}; 'opaque' or 'tlv' is expected")
        for name in ("patience", "time_limit"):
            seconds = getattr(self, name)
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 10**7:
                raise BadInput(f"{name} is {seconds!r}; seconds above 0 and up to 10000000 are expected")


@dataclass(frozen=True, slots=True)
class Report:
    """What the server concluded.

    Attributes
    ----------
    outcome : {"succeeded", "failed", "unfinished"}
        How the update went, as far as the server knows.
    sentence : str
        Why it thinks so.
    firmware_version_before, firmware_version_after, pkg_version : str or None
        What it read.
    """

    outcome: Outcome
    sentence: str
    firmware_version_before: str | None = None
    firmware_version_after: str | None = None
    pkg_version: str | None = None


class _Ended(Exception):
    """The procedure is over before its last step."""

    def __init__(self, outcome: Outcome, sentence: str) -> None:
        super().__init__(sentence)
        self.outcome: Outcome = outcome


async def update_device(
    server: Server,
    requester: Requester,
    endpoint: str,
    image: FirmwareImage,
    options: ServerOptions,
    *,
    uri: str | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Update one device: push the image, or have it pulled from `uri`.

    Returns
    -------
    Report
        Also for an update that fails or that nobody answers; an update that goes wrong is a result, not an error.
    """
    procedure = _Procedure(server, requester, endpoint, image, options, uri, progress)
    try:
        return await procedure.run()
    except _Ended as end:
        return procedure.report(end.outcome, str(end))
    except NoAnswer as error:
        return procedure.report("unfinished", f"{error}, so the server gave up")
    finally:
        if procedure.client is not None:
            await procedure.client.close()


@dataclass
class _Procedure:
    """One update under way."""

    server: Server
    requester: Requester
    endpoint: str
    image: FirmwareImage
    options: ServerOptions
    uri: str | None
    progress: Callable[[int], None]
    client: Client | None = None
    before: str | None = None
    after: str | None = None
    pkg_version: str | None = None

    def report(self, outcome: Outcome, sentence: str) -> Report:
        return Report(outcome, sentence, self.before, self.after, self.pkg_version)

    async def run(self) -> Report:
        """The whole procedure, from the first registration to the report."""
        client = await self._meet()
        self.before = await client.read(FIRMWARE_VERSION)
        await client.read("/5/0/9")
        await client.read(PKG_VERSION)
        await self._deliver(client)
        await self._await_download(client)
        self.pkg_version = await client.read(PKG_VERSION)
        await self._execute(client)
        client = await self._await_installation(client)
        self.after = await client.read(FIRMWARE_VERSION)
        await client.read(PKG_VERSION)
        return self._conclude(client)

    async def _meet(self, old: Client | None = None) -> Client:
        """Wait for the (new) registration and observe; observations do not survive one."""
        waiting = self.server.registration_after(old.registration if old else None, self.endpoint)
        try:
            registration = await asyncio.wait_for(waiting, self.options.time_limit)
        except TimeoutError:
            raise _Ended(
                "unfinished", f"{self.endpoint} did not register within {self.options.time_limit:g} s"
            ) from None
        self.client = Client(self.requester, registration)
        await self.client.observe(STATE)
        await self.client.observe(RESULT)
        return self.client

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self.options.time_limit

    async def _deliver(self, client: Client) -> None:
        """Write the package or its URI."""
        if self.uri is not None:
            response = await client.write("/5/0/1", self.uri.encode(), content_format=tree.TEXT)
            what = f"the Package URI {self.uri}"
        else:
            response = await self._push(client)
            what = "the package"
        if not response.code.is_successful():
            await client.read(STATE)
            result = await client.read(RESULT)
            raise _Ended("failed", f"{what} was answered {text_of(response.code)}, and the Update Result is {result}")

    async def _push(self, client: Client) -> aiocoap.Message:
        body, content_format = self.image.data, tree.OCTET_STREAM
        if self.options.package_format == "tlv":
            body, content_format = encoding.encode_tlv([values.Entry("/5/0/0", body)], base="/5/0/0"), tree.TLV
        return await push_blocks(
            self.requester,
            to=client.registration.remote,
            path="/5/0/0",
            body=body,
            block_size=self.options.block_size,
            content_format=content_format,
            method=Code.PUT if self.options.method == "PUT" else Code.POST,
            progress=self.progress,
        )

    async def _await_download(self, client: Client) -> None:
        """Wait until the package is there, or a result says why not."""
        done = await client.until(
            lambda: client.state == State.DOWNLOADED or _has_failed(client),
            patience=self.options.patience,
            deadline=self._deadline(),
        )
        if not done:
            raise _Ended("unfinished", f"the device is in State {client.state} after {self.options.time_limit:g} s")
        if client.state != State.DOWNLOADED:
            self.after = await client.read(FIRMWARE_VERSION)
            raise _Ended("failed", f"the delivery ended in State {client.state} with Update Result {client.result}")

    async def _execute(self, client: Client) -> None:
        response = await client.execute("/5/0/2")
        if not response.code.is_successful():
            raise _Ended("failed", f"the Execute of Update was answered {text_of(response.code)}")

    async def _await_installation(self, client: Client) -> Client:
        """Wait for a settled result, through the reboot if there is one."""
        deadline = self._deadline()
        while True:
            reborn = asyncio.ensure_future(self.server.registration_after(client.registration, self.endpoint))
            settled = asyncio.ensure_future(
                client.until(functools.partial(_has_settled, client), patience=self.options.patience, deadline=deadline)
            )
            try:
                await asyncio.wait({reborn, settled}, return_when=asyncio.FIRST_COMPLETED)
                if settled.done() and not reborn.done():
                    if settled.result():
                        return client
                    raise _Ended("unfinished", f"the device is in State {client.state}; no result came")
            finally:
                reborn.cancel()
                settled.cancel()
                await asyncio.gather(reborn, settled, return_exceptions=True)
            await client.close()
            if not self.options.observes_again:
                await asyncio.sleep(max(deadline - asyncio.get_running_loop().time(), 0.0))
                raise _Ended("unfinished", f"no news since State {client.state} in {self.options.time_limit:g} s")
            client = await self._meet(client)

    def _conclude(self, client: Client) -> Report:
        """Success is Result 1 and the image's version in /3/0/3, where the device has that."""
        result = client.result
        if result != UpdateResult.SUCCESS:
            return self.report("failed", f"the installation ended with Update Result {result}")
        if self.after is not None and self.after != self.image.version:
            return self.report(
                "failed",
                f"Update Result is {result}, but /3/0/3 is {self.after} and the image's version {self.image.version}",
            )
        shown = f"/3/0/3 is {self.after}" if self.after is not None else "the device has no /3/0/3"
        return self.report("succeeded", f"Update Result is {result} and {shown}")


def _has_failed(client: Client) -> bool:
    """Idle with a reason; Idle alone may be the first of two notifications."""
    return client.state == State.IDLE and client.result not in (None, UpdateResult.INITIAL)


def _has_settled(client: Client) -> bool:
    """Back from Updating, with a reason."""
    return client.state in (State.IDLE, State.DOWNLOADED) and client.result not in (None, UpdateResult.INITIAL)

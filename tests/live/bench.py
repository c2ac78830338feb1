"""A device on a simulated network, and a server that asks it whatever a test wants to ask."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiocoap
from aiocoap.numbers.codes import Code

from lwm2m_lab.live.blockwise import push_blocks
from lwm2m_lab.live.client import LwM2MClient
from lwm2m_lab.live.endpoint import Endpoint
from lwm2m_lab.live.flash import StateFile
from lwm2m_lab.live.link import Link
from lwm2m_lab.live.network import SimulatedNetwork
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.repository import Repository
from lwm2m_lab.live.requests import Requester, Timers, cancel
from lwm2m_lab.live.server import Registrar
from lwm2m_lab.live.world import run_blocking
from lwm2m_lab.wire import values

T = TypeVar("T")
SERVER, DEVICE, SECOND = ("192.0.2.1", 5683), ("192.0.2.2", 50000), ("192.0.2.4", 5683)


class LoggingServer(Registrar):
    """An LwM2M server that remembers what devices sent it."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[aiocoap.Message] = []

    async def render_to_pipe(self, pipe: Any) -> None:
        self.received.append(pipe.request)
        await super().render_to_pipe(pipe)


class Bench:
    """One device that has registered, and the means to speak to it."""

    repository: Repository
    #: Another server that the device has registered with, and the means to speak to it from there.
    second: Bench
    server_port: Any
    name = "urn:dev:lab-1"

    def __init__(self, device: LwM2MClient, server: LoggingServer, requester: Requester) -> None:
        self.device, self.server, self.requester = device, server, requester
        self.tasks: list[asyncio.Task[None]] = []
        self.living: asyncio.Future[None]
        #: Makes the device anew, as a process that is started again does.
        self.build: Callable[[], LwM2MClient]

    async def kill(self, dark: float) -> None:
        """End the device without a word, and start it again after so many seconds, with what its state file keeps."""
        old = self.server.registrations.get(self.name)
        await cancel(self.living)
        await asyncio.sleep(dark)
        self.device = self.build()
        self.living = asyncio.ensure_future(self.device.run())
        await asyncio.wait_for(self.server.registration_after(old, self.name), 10_000)
        await asyncio.sleep(1)

    @property
    def remote(self) -> Any:
        """Where the device answers now."""
        return self.server.registry.by_endpoint[self.name].remote

    async def ask(self, method: str, path: str = "", payload: bytes = b"", **options: Any) -> aiocoap.Message:
        """One request, one answer."""
        codes = {str(code.name): code for code in Code}
        return await self.requester.ask(codes[method], to=self.remote, path=path, payload=payload, **options)

    async def code(self, method: str, path: str = "", payload: bytes = b"", **options: Any) -> str:
        """The code of the answer, ``4.05``."""
        return str((await self.ask(method, path, payload, **options)).code.dotted)

    async def read(self, path: str) -> str | None:
        """A resource as text; None where the device refuses."""
        response = await self.ask("GET", path)
        return response.payload.decode() if response.code.is_successful() else None

    async def write(self, path: str, text: str | int, *, content_format: int = 0) -> str:
        """A Write of text; the code of the answer."""
        return await self.code("PUT", path, str(text).encode(), content_format=content_format)

    async def push(self, body: bytes, *, block_size: int = 1024) -> str:
        """A whole push; the code of its last answer."""
        response = await push_blocks(
            self.requester, to=self.remote, path="/5/0/0", body=body, block_size=block_size, content_format=42
        )
        return str(response.code.dotted)

    async def status(self) -> str:
        """State and Update Result, ``2/0``."""
        return f"{await self.read('/5/0/3')}/{await self.read('/5/0/5')}"

    async def reborn(self) -> None:
        """Wait for the next registration."""
        old = self.server.registrations[self.name]
        await asyncio.wait_for(self.server.registration_after(old, self.name), 10_000)
        await asyncio.sleep(1)

    async def observe(self, path: str, method: Code = Code.GET, **options: Any) -> list[tuple[float, Any]]:
        """Observe; the list grows by (seconds, value) with each notification, the first answer included."""
        message = self.requester.message(method, to=self.remote, path=path, observe=0, **options)
        request = self.requester.context.request(message, handle_blockwise=False)
        told: list[tuple[float, Any]] = []

        def keep(response: aiocoap.Message) -> None:
            read = values.decode(response.payload, content_format=response.opt.content_format, path=path)
            shown = [values.as_text(one.value) for one in read] if len(read) > 1 else values.as_text(read[0].value)
            told.append((round(self.now, 1), shown))

        async def watch() -> None:
            async for response in request.observation:
                keep(response)

        keep(await request.response)
        self.tasks.append(asyncio.get_running_loop().create_task(watch()))
        return told

    @property
    def now(self) -> float:
        """Simulated seconds."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)


def converse(
    script: Callable[[Bench], Awaitable[T]],
    *,
    link: Link | None = None,
    files: dict[str, bytes] | None = None,
    store: StateFile | None = None,
    options: DeviceOptions | None = None,
    timers: Timers | None = None,
    access: dict[int, str] | None = None,
    **more: Any,
) -> T:
    """Let a device register, and hold a conversation with it; `files` are served by a repository at 192.0.2.3.

    `timers` are the device's. With `access` it has a second server, `bench.second`.
    """
    network = SimulatedNetwork(link=link or Link(), seed=1)

    async def live() -> T:
        server = LoggingServer()
        context = await network.context(server, side="server", bind=SERVER, endpoint=Endpoint())
        repository = Repository(files or {})
        contexts = [context, await network.context(repository, side="server", bind=("192.0.2.3", 5683))]
        second = LoggingServer()
        if access is not None:
            contexts.append(await network.context(second, side="server", bind=SECOND))

        def build() -> LwM2MClient:
            return LwM2MClient(
                options or DeviceOptions(**more),
                network=network,
                server="coap://192.0.2.1" if access is None else ["coap://192.0.2.1", "coap://192.0.2.4"],
                access=access or {},
                bind=DEVICE,
                timers=timers or Timers(),
                store=None if store is None else StateFile(store.path),
            )

        device = build()
        bench = Bench(device, server, Requester(context, Timers()))
        bench.build, bench.living = build, asyncio.ensure_future(device.run())
        bench.repository, bench.server_port = repository, network.ports[SERVER]
        try:
            await server.registration_after(None, device.options.endpoint)
            if access is not None:
                bench.second = Bench(device, second, Requester(contexts[-1], Timers()))
                await second.registration_after(None, device.options.endpoint)
            # The answer to the registration is on its way still.
            await asyncio.sleep(1)
            return await script(bench)
        finally:
            await cancel(*bench.tasks)
            await cancel(bench.living)
            for one in contexts:
                await one.shutdown()

    return run_blocking(network, 1, live)

"""A session written down message by message, for the cases that no real capture at hand shows."""

from __future__ import annotations

from typing import Any

import pytest

import lwm2m_lab as lab
from lwm2m_lab.wire.coap import Block, Message, encode
from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes

DEVICE, SERVER = ("192.0.2.2", 50000), ("192.0.2.1", 5683)
#: Numbers of the options that a session needs.
NUMBERS = {"observe": 6, "content_format": 12, "block2": 23, "block1": 27}


def number(value: int) -> bytes:
    """A number as an option's value."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


class Session:
    """Messages of one device and its server; each exchange takes a tenth of a second."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.now, self.mid, self.device = 1_700_000_000.0, 100, DEVICE
        self.observed: dict[str, bytes] = {}

    def wait(self, seconds: float) -> Session:
        """Let time pass."""
        self.now += seconds
        return self

    def say(self, source: tuple[str, int], target: tuple[str, int], message: Message) -> int:
        """One datagram; returns its frame number."""
        self.packets.append(Packet(round(self.now * 10**9), udp_packet(source, target, encode(message))))
        self.now += 0.05
        return len(self.packets)

    def exchange(
        self, method: str, path: str, code: str | None, *, payload: bytes = b"", answer: bytes = b"",
        from_device: bool = False, queries: tuple[str, ...] = (), copies: int = 1, answer_format: int | None = None,
        **options: int | Block,
    ) -> int:  # fmt: skip
        """A request and its answer (None: none); returns the frame of the request."""
        self.mid += 1
        token = self.mid.to_bytes(2, "big")
        source, target = (self.device, SERVER) if from_device else (SERVER, self.device)
        said = [(11, part.encode()) for part in path.strip("/").split("/") if part]
        said += [(15, query.encode()) for query in queries]
        for name, value in options.items():
            raw = number(value.num << 4 | value.more << 3 | value.szx) if isinstance(value, Block) else number(value)
            said.append((NUMBERS[name], raw))
        request = Message("CON", method, self.mid, token, tuple(sorted(said, key=lambda one: one[0])), payload)
        first = self.say(source, target, request)
        for _ in range(copies - 1):
            self.wait(2.5).say(source, target, request)
        if code is not None:
            back = [(27, dict(said)[27])] if 27 in dict(said) else []
            back += [(6, b"\x01")] if options.get("observe") == 0 else []
            back += [(12, number(answer_format))] if answer_format is not None else []
            ack = Message("ACK", code, self.mid, token, tuple(sorted(back, key=lambda one: one[0])), answer)
            self.say(target, source, ack)
        return first

    def register(self, *, version: str | None = "1.1", lwm2m: str = "1.1", code: str = "2.01") -> int:
        """Register from a new port, as after a boot."""
        self.device = (self.device[0], self.device[1] + 1)
        ver = f";ver={version}" if version else ""
        links = f"</3/0>,</5>{ver},</5/0>".encode()
        queries = ("ep=dev-1", f"lwm2m={lwm2m}", "lt=300", "b=U")
        return self.exchange("0.02", "/rd", code, payload=links, from_device=True, queries=queries, content_format=40)

    def read(self, path: str, value: Any, *, code: str = "2.05") -> int:
        """Read a resource as text."""
        return self.exchange("0.01", path, code, answer=str(value).encode() if code == "2.05" else b"", answer_format=0)

    def observe(self, path: str, value: Any) -> int:
        """Observe a resource."""
        frame = self.exchange("0.01", path, "2.05", answer=str(value).encode(), observe=0, answer_format=0)
        self.observed[path] = self.mid.to_bytes(2, "big")
        return frame

    def notify(self, path: str, value: Any, *, sequence: int = 2) -> int:
        """Tell an observed value."""
        self.mid += 1
        options = ((6, number(sequence)), (12, b""))
        frame = self.say(
            self.device, SERVER, Message("CON", "2.05", self.mid, self.observed[path], options, str(value).encode())
        )
        self.say(SERVER, self.device, Message("ACK", "0.00", self.mid))
        return frame

    def push(self, image: bytes, *, szx: int = 6, final: str | None = "2.04", upto: int | None = None) -> int:
        """Write the package block by block; returns the first frame."""
        size = 16 << szx
        parts = [image[at : at + size] for at in range(0, len(image), size)]
        first = 0
        for at, part in enumerate(parts[:upto]):
            more = at + 1 < len(parts)
            frame = self.exchange(
                "0.03",
                "/5/0/0",
                "2.31" if more else final,
                payload=part,
                content_format=42,
                block1=Block(at, more, szx),
            )
            first = first or frame
        return first

    def execute(self, path: str = "/5/0/2", code: str | None = "2.04") -> int:
        """Execute a resource."""
        return self.exchange("0.02", path, code)

    def capture(self) -> lab.Capture:
        """All of it, read."""
        data = pcapng_bytes(self.packets, interfaces=[Interface("server")])
        return lab.Capture.from_bytes(data, name="session")


@pytest.fixture
def session() -> Session:
    """An empty session."""
    return Session()


@pytest.fixture
def ready(session: Session) -> Session:
    """A session in which a device has registered and runs 1.0.0 in State 0."""
    session.register()
    session.observe("/5/0/3", 0)
    session.observe("/5/0/5", 0)
    session.read("/3/0/3", "1.0.0")
    return session


@pytest.fixture
def image() -> bytes:
    """An image of 2.1.0."""
    return lab.image(version="2.1.0", size=3000).data

"""Any request to a device or a server, byte for byte: an answer by the book, never 5.00, and the next is answered."""

from __future__ import annotations

import json
from typing import Any

import cbor2
from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m_lab.live.requests import Requester, Timers
from lwm2m_lab.wire.coap import Message, decode, encode
from lwm2m_lab.wire.encoding import encode_tlv
from lwm2m_lab.wire.values import Entry
from tests.live.bench import SERVER, Bench, converse

#: What a device and a server may say, 5.05 to whoever takes them for a proxy; 5.00 is an answer to a package alone.
CODES = {"2.01", "2.02", "2.04", "2.05", "2.31", "4.00", "4.01", "4.02", "4.03", "4.04", "4.05", "4.06", "4.08", "4.12",
         "4.13", "4.15", "5.05"}  # fmt: skip
METHODS = st.sampled_from(["0.01", "0.02", "0.03", "0.04", "0.05", "0.06", "0.07", "0.08", "0.31"])
PARTS = st.sampled_from(["", "0", "1", "2", "3", "5", "8", "10", "13", "65535", "65536", "-1", "x", "rd", "dp", "fw",
                         "..", "99999999999999999999"])  # fmt: skip
FORMATS = st.sampled_from([b"", b"\x28", b"\x2a", b"\x2e", b"\x32", b"\x3c", b"\x6e", b"\x70", b"\x2d\x16", b"\x2d\x18",
                           b"\xff\xff"])  # fmt: skip
NUMBERS = st.integers(0, 3).flatmap(lambda size: st.binary(min_size=size, max_size=size))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["n", "bn", "v", "vs", "vb", "vd", "vlo", "bt", "bv", "t", "e"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
LABELS = st.sampled_from([0, 1, -1, -2, 2, 3, 4, 5, 6, 8, "vlo", "/5/0/3", "n"])
CBOR = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LABELS, inner, max_size=4),
    max_leaves=8,
)
RECORDS = st.lists(
    st.dictionaries(st.sampled_from(["n", "bn", "v", "vs", "vb", "vd"]),
                    st.sampled_from(["/5/0/", "/5/0/1", "1", "/1/0/1", 1, 1.5, True, None, "", "coap://", 10**30, -1]),
                    max_size=3), max_size=3)  # fmt: skip
PAYLOADS = st.one_of(
    st.binary(max_size=60),
    JSON.map(lambda one: json.dumps(one).encode()),
    RECORDS.map(lambda one: json.dumps(one).encode()),
    CBOR.map(cbor2.dumps),
    st.builds(
        lambda number, tail, cut: (encode_tlv([Entry(f"/5/0/{number}", 7)], base="/5/0") + tail)[: cut or None],
        st.integers(0, 14), st.binary(max_size=12), st.integers(-3, 3),
    ),
    st.sampled_from([b"\x80" * 900, b"[" * 900, b"\x9f" * 900, b"{" * 900, b"\xc8\xff" * 400, b"<" * 900]),
)  # fmt: skip
PATHS = st.one_of(
    st.sampled_from(["/5/0/0", "/5/0/1", "/5/0/2", "/5/0/3", "/5/0/8", "/5/0/8/0", "/5/0/10", "/5/0/13", "/5/0", "/5",
                     "/1/0", "/1/0/1", "/1/0/6", "/1/0/7", "/1/0/8", "/3/0", "/3/0/3", "/", "/rd", "/rd/1", "/dp"]
                    ).map(lambda path: [part for part in path.split("/") if part]),
    st.lists(PARTS, max_size=5),
)  # fmt: skip
QUERIES = [b"pmin=1", b"pmax", b"gt=1e9", b"lt", b"st=1", b"ep=a", b"lwm2m=1.1", b"lt=60", b"b=U", b"", b"=", b"\xff"]
#: What most requests have, and any option, most of them known; Uri-Path apart.
OPTIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([6, 14, 17, 23, 27, 28, 60, 252, 258, 292]), NUMBERS),
        st.tuples(st.just(17), FORMATS),
        st.tuples(st.just(15), st.sampled_from(QUERIES)),
        st.tuples(st.sampled_from([1, 3, 4, 5, 7, 9, 20, 35, 39, 2048, 65_000]), st.binary(max_size=9)),
    ),
    max_size=3,
)
REQUESTS = st.builds(
    lambda *parts: parts, st.sampled_from(["CON", "CON", "NON"]), METHODS, PATHS, st.none() | FORMATS, OPTIONS, PAYLOADS
)


def datagram(request: tuple[Any, ...], mid: int) -> bytes:
    """A request, byte by byte, its options in order."""
    kind, method, path, content_format, options, payload = request
    said = [(11, part.encode()) for part in path] + list(options)
    said += [(12, content_format)] if content_format is not None else []
    ordered = tuple(sorted(said, key=lambda one: one[0]))
    return encode(Message(kind, method, mid, token=mid.to_bytes(2, "big"), options=ordered, payload=payload))


async def say(bench: Bench, requests: list[tuple[Any, ...]], *, to_server: bool) -> list[str]:
    """Send them from a port of their own; the codes of what is answered, and of a good request in the end."""
    side: Any = "device" if to_server else "server"
    here = ("192.0.2.7", 5683)
    heard: list[Message] = []

    class Peer:
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, _: Any) -> None:
            one = decode(data)
            heard.append(one)
            if one.type == "CON":
                self.transport.sendto(encode(Message("RST", "0.00", one.mid)), there)

        def connection_lost(self, _: Any) -> None:
            """The end."""

    from lwm2m_lab.live.network import _side

    there = SERVER if to_server else bench.device.endpoint.address
    peer, token = Peer(), _side.set(side)
    try:
        bench.device.network.open(peer, here)  # type: ignore[attr-defined]
    finally:
        _side.reset(token)
    for number, request in enumerate(requests):
        peer.transport.sendto(datagram(request, 1000 + number), there)
        await bench.sleep(20)
        there = SERVER if to_server else bench.device.endpoint.address
    peer.transport.close()
    answered = {one.mid for one in heard if one.type in ("ACK", "RST")}
    asked = {1000 + number for number, request in enumerate(requests) if request[0] == "CON"}
    assert to_server is False or asked <= answered, "a confirmable message that nobody acknowledged or reset"
    return [one.code for one in heard if one.code != "0.00"]


@settings(max_examples=300, deadline=None)
@given(st.lists(REQUESTS, min_size=1, max_size=4), st.sampled_from(["1.0", "1.1", "1.2"]))
def test_any_request_to_a_device(requests: list[tuple[Any, ...]], lwm2m: str) -> None:
    """Whatever it makes of them, it has an answer, and is a device afterwards."""

    async def script(bench: Bench) -> None:
        codes = await say(bench, requests, to_server=False)
        assert set(codes) <= CODES, codes
        await bench.sleep(200)
        if bench.name not in bench.server.registrations:  # Disable was executed
            await bench.server.registration_after(None, bench.name)
            await bench.sleep(1)
        assert await bench.read("/3/0/1") == "simulated device"

    converse(script, lwm2m=lwm2m, object_version=lwm2m)


@settings(max_examples=300, deadline=None)
@given(st.lists(REQUESTS, min_size=1, max_size=4))
def test_any_request_to_a_server(requests: list[tuple[Any, ...]]) -> None:
    """Likewise, and a device registers as ever."""

    async def script(bench: Bench) -> None:
        codes = await say(bench, requests, to_server=True)
        assert set(codes) <= CODES, codes
        context = await bench.device.network.context(None, side="device", bind=("192.0.2.8", 5683))
        from aiocoap.numbers.codes import Code

        answer = await Requester(context, Timers()).ask(
            Code.POST, to="coap://192.0.2.1/rd", uri_query=("ep=z", "lwm2m=1.1"), payload=b"</5/0>"
        )
        assert answer.code == Code.CREATED
        await context.shutdown()

    converse(script)

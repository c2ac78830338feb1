"""Bad input at the sockets of a device and of a server: whatever arrives is answered by the book, and nothing is lost.

Line by line what the two have to bear. The same without sockets, with memory measured: `test_memory`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

import lwm2m_lab as lab
from lwm2m_lab.live.network import LoopbackNetwork
from lwm2m_lab.live.requests import Timers
from lwm2m_lab.wire.coap import Message, decode, encode
from lwm2m_lab.wire.encoding import encode_tlv
from lwm2m_lab.wire.values import Entry

IMAGE = lab.image(version="2.1.0", size=3000)
TEXT, OPAQUE, TLV = b"", b"\x2a", b"\x2d\x16"
GOOD = (b"lwm2m=1.1", b"ep=urn:dev:good")
LOOPBACK = ("127.0.0.1", 0)


class Peer:
    """Somebody with a bare socket, who asks byte by byte."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((host, int(port)))
        self.socket.settimeout(20)
        self.mid = 0

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Anything."""
        self.socket.send(data)

    def ask(self, code: str, path: str, payload: bytes = b"", *, content_format: bytes | None = None,
            queries: tuple[bytes, ...] = (), block1: tuple[int, bool, int] | None = None,
            other: tuple[tuple[int, bytes], ...] = ()) -> str:  # fmt: skip
        """A request; code and diagnostic of its answer."""
        self.mid += 1
        options = [(11, part.encode()) for part in path.split("/") if part] + [(15, one) for one in queries]
        options += [(12, content_format)] if content_format is not None else []
        if block1 is not None:
            value = block1[0] << 4 | block1[1] << 3 | block1[2]
            options.append((27, value.to_bytes((value.bit_length() + 7) // 8, "big")))
        ordered = tuple(sorted([*options, *other], key=lambda one: one[0]))
        token = self.mid.to_bytes(2, "big")
        self.send(encode(Message("CON", code, self.mid, token=token, options=ordered, payload=payload)))
        while True:
            one = decode(self.socket.recv(70_000))
            if one.type == "CON":
                self.send(encode(Message("ACK", "0.00", one.mid)))
            if bytes(one.token) == token:
                return f"{one.code} {bytes(one.payload).decode(errors='replace')}".strip()

    def code(self, *request: object, **options: object) -> str:
        """The code alone."""
        return self.ask(*request, **options)[:4]  # type: ignore[arg-type]


@pytest.fixture
def device() -> Iterator[lab.Device]:
    """A device whose own server is not there."""
    options = lab.DeviceOptions(storage=20_000)
    with lab.Device(options, server="coap://127.0.0.1:9", timers=Timers(ack_timeout=0.2)) as one:
        yield one


@pytest.fixture
def server() -> Iterator[lab.Server]:
    """A server with an image."""
    with lab.Server(images={"/fw/a.bin": IMAGE.data}, bind=LOOPBACK) as one:
        yield one


#: Not CoAP: another protocol, nothing, half a header, a wrong version, a token too long, options that lie, noise.
JUNK = [b"GET / HTTP/1.1\r\n\r\n", b"", b"\0", b"\x40\x01", b"\x80\x01\0\1", b"\x49\x01\0\1" + bytes(9),
        b"\x40\x01\0\1\xff", b"\x40\x01\0\1\xf0", b"\x40\x01\0\1\xed\xff", bytes(range(256)), b"\x7f" * 65_000,
        b"\x16\xfe\xfd" + bytes(40)]  # fmt: skip


def test_not_coap(device: lab.Device, server: lab.Server) -> None:
    """Nobody is answered a code, and the next request is answered as ever."""
    for address, path, code in ((device.address, "/5/0/3", "2.05"), (server.address, "/fw/a.bin", "2.05")):
        with Peer(address) as peer:
            for junk in JUNK * 20:
                peer.send(junk)
                assert peer.code("0.01", path) == code


def test_unknown_critical_options(device: lab.Device, server: lab.Server) -> None:
    """4.02 at either side, for each that nobody knows."""
    with Peer(device.address) as peer:
        assert peer.code("0.01", "/5/0/3", other=((35, b"coap://192.0.2.1/x"),)) == "5.05", "it is no proxy"
        for number in (9, 2049, 65_001):
            assert peer.code("0.01", "/5/0/3", other=((number, b"x"),)) == "4.02"
    with Peer(server.address) as peer:
        assert peer.code("0.01", "/fw/a.bin", other=((39, b"coap"),)) == "5.05"
        assert peer.code("0.02", "/rd", b"</5/0>", queries=GOOD, other=((39, b"coap"),)) == "5.05"
        for number in (9, 2049, 65_001):
            assert peer.code("0.02", "/rd", b"</5/0>", queries=GOOD, other=((number, b"x"),)) == "4.02"
            assert peer.code("0.01", "/fw/a.bin", other=((number, b"x"),)) == "4.02"
    assert server.registrations == ()


def test_options_that_are_no_text(device: lab.Device, server: lab.Server) -> None:
    """A path, a query and a host that are no UTF-8: 4.02, with a word why."""
    for address in (device.address, server.address):
        with Peer(address) as peer:
            for number in (3, 11, 15):
                assert peer.ask("0.01", "/5/0", other=((number, b"\xff"),)).startswith("4.02 an option of the request")


def test_a_register_with_a_thousand_links_and_with_64_kb_of_them(device: lab.Device, server: lab.Server) -> None:
    """A thousand are taken, 64 kB in blocks and in one datagram are too much; a device is no place to register."""
    links = b",".join(b"</%d/0>" % number for number in range(1000))
    large = b",".join(b"</%d/%d>" % (number, number) for number in range(6000))[:65_000]
    with Peer(server.address) as peer:
        codes = [
            peer.code("0.02", "/rd", links[at : at + 1024], queries=GOOD, content_format=b"\x28",
                      block1=(at // 1024, at + 1024 < len(links), 6))
            for at in range(0, len(links), 1024)
        ]  # fmt: skip
        assert (set(codes[:-1]), codes[-1]) == ({"2.31"}, "2.01")
        (registered,) = server.registrations
        assert len(registered.links) == 1000
        other = (b"lwm2m=1.1", b"ep=urn:dev:large")
        codes = [peer.code("0.02", "/rd", large[at : at + 1024], queries=other, block1=(at // 1024, True, 6))
                 for at in range(0, len(large), 1024)]  # fmt: skip
        assert (codes[:32], codes[32]) == (["2.31"] * 32, "4.13")
        assert set(codes[33:-1]) == {"4.08"}
        assert peer.code("0.02", "/rd", large, queries=other) == "4.13"
    assert [one.endpoint for one in server.registrations] == ["urn:dev:good"]
    assert len(server._registrar.bodies) == 0
    with Peer(device.address) as peer:
        assert peer.code("0.02", "/rd", links[:1024], queries=GOOD, content_format=b"\x28") in ("4.04", "4.05")


def test_package_uris_that_lead_nowhere(device: lab.Device) -> None:
    """The device itself by each of its names, a file, what is none; 10 kB of it in one datagram and in blocks."""
    port = device.address.rpartition(":")[2]
    for uri, results in (
        (f"coap://{device.address}/5/0/0", {7}),
        (f"coap://localhost:{port}/5/0/0", {7}),
        ("file:///etc/passwd", {9}),
        ("FILE:///etc/passwd", {9}),
        ("javascript:alert(1)", {9}),
        ("coap://", {7}),
        ("coap:", {7}),
        ("//127.0.0.1/x", {7, 9}),
        ("coap://[::1", {7}),
        ("coap://127.0.0.1:99999/x", {7}),
        ("coap://user@127.0.0.1/x", {7}),
        ("coap://127.0.0.1/a b", {7}),
        *((f"{scheme}://{host}/x", {7}) for scheme in ("coap", "coap+tcp", "http") for host in ("a..b", "a" * 70)),
        ("\x00", {7, 9}),
    ):
        with Peer(device.address) as peer:
            assert peer.code("0.03", "/5/0/1", uri.encode(), content_format=TEXT) == "2.04", uri
            while peer.ask("0.01", "/5/0/3") != "2.05 0":
                pass
            told = peer.ask("0.01", "/5/0/5")
            assert told in {f"2.05 {one}" for one in results}, (uri, told)
            assert peer.code("0.03", "/5/0/1", b"", content_format=TEXT) == "2.04"
    long = b"coap://127.0.0.1/" + b"x" * 10_000
    with Peer(device.address) as peer:
        assert peer.code("0.03", "/5/0/1", long, content_format=TEXT) == "4.00"
        codes = [
            peer.code("0.03", "/5/0/1", long[at : at + 1024], content_format=TEXT,
                      block1=(at // 1024, at + 1024 < len(long), 6))
            for at in range(0, len(long), 1024)
        ]  # fmt: skip
        assert (set(codes[:-1]), codes[-1]) == ({"2.31"}, "4.00")
        assert peer.ask("0.01", "/5/0/3") == "2.05 0"


def test_a_block_1_without_a_block_0(device: lab.Device, server: lab.Server) -> None:
    """4.08 at every place that takes a body."""
    with Peer(device.address) as peer:
        for path, content_format in (("/5/0/0", OPAQUE), ("/5/0/1", TEXT), ("/1/0", TLV)):
            for more in (True, False):
                block = (1, more, 6)
                assert peer.code("0.03", path, bytes(1024), content_format=content_format, block1=block) == "4.08"
        assert peer.ask("0.01", "/5/0/3") == "2.05 0"
    with Peer(server.address) as peer:
        assert peer.code("0.02", "/rd", bytes(1024), queries=GOOD, block1=(1, True, 6)) == "4.08"
        assert peer.code("0.02", "/dp", bytes(1024), block1=(1, True, 6)) == "4.08"


def test_a_body_that_never_ends(device: lab.Device, server: lab.Server) -> None:
    """4.13 at the limit of each side; the device is in no delivery afterwards, and nothing of it is kept."""
    with Peer(device.address) as peer:
        codes = [peer.code("0.03", "/5/0/0", bytes(1024), content_format=OPAQUE, block1=(at, True, 6))
                 for at in range(30)]  # fmt: skip
        # 20,000 bytes are its storage.
        assert (set(codes[:19]), codes[19], set(codes[20:])) == ({"2.31"}, "4.13", {"4.08"})
        assert (peer.ask("0.01", "/5/0/3"), peer.ask("0.01", "/5/0/5")) == ("2.05 0", "2.05 2")
        codes = [peer.code("0.03", "/1/0", bytes(1024), content_format=TLV, block1=(at, True, 6)) for at in range(20)]
        assert (set(codes[:16]), codes[16]) == ({"2.31"}, "4.13")
    assert len(device._client.updater.receiver.body) == 0
    with Peer(server.address) as peer:
        codes = [peer.code("0.02", "/rd", bytes(1024), queries=GOOD, block1=(at, True, 6)) for at in range(40)]
        assert (set(codes[:32]), codes[32]) == ({"2.31"}, "4.13")
    assert len(server._registrar.bodies) == 0


def test_tlv_with_the_wrong_id(device: lab.Device, server: lab.Server) -> None:
    """4.00, and nothing has changed; what a device sends has to be a format with paths."""
    wrong = [
        (encode_tlv([Entry("/5/0/3", 2)], base="/5/0"), "/5/0/1"),
        (encode_tlv([Entry("/1/0/2", 7)], base="/1/0"), "/1/0/1"),
        (encode_tlv([Entry("/5/0/99", 2)], base="/5/0"), "/5/0"),
        (b"\xff" * 40, "/5/0"),
    ]
    with Peer(device.address) as peer:
        before = device._client.operations.readable()
        for payload, path in wrong:
            assert peer.code("0.03", path, payload, content_format=TLV) in ("4.00", "4.04"), path
        after = device._client.operations.readable()
    assert before == after
    with Peer(server.address) as peer:
        peer.code("0.02", "/rd", b"</5/0>", queries=GOOD)
        assert peer.code("0.02", "/dp", b"\xff" * 40, content_format=TLV) == "4.00"


def test_an_update_with_arguments(device: lab.Device, server: lab.Server) -> None:
    """An Execute takes those of the grammar (in Idle it is no trigger), no others; so does a registration Update."""
    with Peer(device.address) as peer:
        for arguments, code in ((b"0='x'", "4.05"), (b"x", "4.00"), (b"0=\xff", "4.00"), (b"1" * 2000, "4.00")):
            assert peer.code("0.02", "/5/0/2", arguments) == code
        assert peer.ask("0.01", "/5/0/3") == "2.05 0"
    with Peer(server.address) as peer:
        assert peer.code("0.02", "/rd", b"</5/0>", queries=GOOD) == "2.01"
        (one,) = server.registrations
        for queries in ((b"colour=red",), (b"ep=other",), (b"lwm2m=1.0",), (b"lt=x",), (b"lt=1", b"lt=2")):
            assert peer.code("0.02", one.location, queries=queries) == "4.00", queries
        assert server.registrations == (one,)


def test_a_second_server(device: lab.Device) -> None:
    """Another socket takes nothing of a push that is under way."""
    blocks = [IMAGE.data[at : at + 1024] for at in range(0, 3000, 1024)]
    with Peer(device.address) as first, Peer(device.address) as second:
        assert first.code("0.03", "/5/0/0", blocks[0], content_format=OPAQUE, block1=(0, True, 6)) == "2.31"
        assert second.code("0.03", "/5/0/0", blocks[0], content_format=OPAQUE, block1=(0, True, 6)) == "4.05"
        assert second.code("0.03", "/5/0/0", blocks[1], content_format=OPAQUE, block1=(1, True, 6)) == "4.08"
        assert second.code("0.03", "/5/0/1", b"coap://127.0.0.1/x", content_format=TEXT) == "4.05"
        for number in (1, 2):
            block = (number, number < 2, 6)
            code = first.code("0.03", "/5/0/0", blocks[number], content_format=OPAQUE, block1=block)
            assert code == ("2.31" if number < 2 else "2.04")
        assert second.ask("0.01", "/5/0/7") == "2.05 2.1.0"


def test_a_thousand_who_begin_and_never_end(device: lab.Device, server: lab.Server) -> None:
    """Each from a socket of its own: open bodies stay within their limit, and the next request is answered."""
    for _ in range(200):
        with Peer(device.address) as peer:
            assert peer.code("0.03", "/1/0", bytes(1024), content_format=TLV, block1=(0, True, 6)) == "2.31"
        with Peer(server.address) as peer:
            assert peer.code("0.02", "/rd", bytes(1024), queries=GOOD, block1=(0, True, 6)) == "2.31"
    assert len(server._registrar.bodies) <= 64
    with Peer(device.address) as peer:
        assert peer.ask("0.01", "/5/0/3") == "2.05 0"
    with lab.Device(lab.DeviceOptions(endpoint="z"), server=server.uri):
        assert server.wait_for("z").endpoint == "z"


def test_what_is_kept_of_datagrams_is_bounded_in_number_and_in_bytes() -> None:
    """Whoever sends the largest there are is given no more memory than others."""
    network = LoopbackNetwork(most=1000, most_bytes=1_000_000)
    kept = []
    for number in range(5000):
        network.see("device", LOOPBACK, LOOPBACK, bytes(65_000 if number > 2500 else 10))
        kept.append((len(network.sightings), sum(len(one.payload) for one in network.sightings)))
    assert max(count for count, _ in kept) == 1000
    assert max(count for _, count in kept) <= 1_000_000
    assert min(count for _, count in kept[3000:]) > 400_000, "and what is there is the latest"
    network.see("device", LOOPBACK, LOOPBACK, bytes(2_000_000))
    assert network.sightings == []

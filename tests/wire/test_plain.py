"""The reader of small captures, which does without numpy, gives what the columnar reader gives, or nothing."""

from __future__ import annotations

import gzip
import pathlib
import struct
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m_lab.errors import BadInput
from lwm2m_lab.wire import Columns, plain, read_columns
from lwm2m_lab.wire.coap import Message, encode
from lwm2m_lab.wire.collecting import collect
from lwm2m_lab.wire.formats import LINK_TYPES, Interface
from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
from tests.wire.test_packets import framed
from tests.wire.test_pcap import block, enhanced, interface, option, pcap, section

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PORTS = (5683,)
HOSTS = ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2")


@pytest.fixture(autouse=True, scope="module")
def _every_message_in_lock_step() -> Iterator[None]:
    """A few messages would be decoded one by one, by the very functions that are held against the columns here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lwm2m_lab.wire.options.FEW", 0)
        yield


def assert_same(ours: Columns, theirs: Columns) -> None:
    """The same table: values, types, texts and what stands beside it; the numbers of texts may be others."""
    assert (ours.rows, ours.packets, ours.notes, ours.comments) == (
        theirs.rows, theirs.packets, theirs.notes, theirs.comments,
    )  # fmt: skip
    assert (ours.interfaces, ours.interface, ours.sessions) == (theirs.interfaces, theirs.interface, theirs.sessions)
    assert (ours.encrypted_records, ours.origin_ns) == (theirs.encrypted_records, theirs.origin_ns)
    for name in theirs:
        assert ours[name].dtype == theirs[name].dtype, name
        if name in theirs.categories:
            assert ours.texts(name).tolist() == theirs.texts(name).tolist(), name
        else:
            assert ours[name].tolist() == theirs[name].tolist(), name
        assert ours.numbers(name).tolist() == ours[name].tolist()
    for row in range(theirs.rows):
        assert (ours.datagram(row), ours.payload(row)) == (theirs.datagram(row), theirs.payload(row))
    assert ours.lengths.tolist() == theirs.lengths.tolist()
    assert ours.icmp_errors == theirs.icmp_errors
    assert ours.segments.total == theirs.segments.total


def both(source: pathlib.Path | bytes, ports: tuple[int, ...] = PORTS) -> Columns | None:
    """What the plain reader reads, once it is known to be right; None where it leaves the file to the other."""
    found = plain.read_plain(source, ports)
    if found is not None:
        assert_same(found, collect(source, ports=ports))
    return found


def certainly(source: pathlib.Path | bytes, ports: tuple[int, ...] = PORTS) -> Columns:
    """The same of what is usual."""
    found = both(source, ports)
    assert found is not None
    return found


def in_file(*packets: bytes, linktype: int = 101, comment: str | None = None) -> bytes:
    """A capture of these packets."""
    return pcapng_bytes(
        [Packet(10**9 + at, packet, comment=comment) for at, packet in enumerate(packets)],
        interfaces=[Interface("x", linktype)],
    )


# ---------------------------------------------------------------- real captures


@pytest.mark.parametrize("path", sorted((ROOT / "data" / "captures").glob("*.pcap*")), ids=lambda path: path.name)
def test_the_samples(path: pathlib.Path) -> None:
    """Those in the clear are read; the encrypted ones are left to the other reader."""
    assert (both(path) is None) == bool(collect(path, ports=PORTS).sessions)


@pytest.mark.parametrize("path", sorted((HERE / "data").glob("*.pcap*")), ids=lambda path: path.name)
def test_the_captures_of_the_tests(path: pathlib.Path) -> None:
    """TCP and DTLS: nothing is read that is not the same."""
    assert (both(path) is None) == bool(collect(path, ports=PORTS).sessions)


def test_every_real_capture(shared: pathlib.Path) -> None:
    """Most of them are usual."""
    paths = sorted(path for path in (shared / "captures").rglob("*.pcap*") if path.is_file())
    read = [path for path in paths if both(path) is not None]
    assert len(read) > len(paths) / 2


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_pcap(order: str, nanoseconds: bool) -> None:
    """Both byte orders and resolutions, plain and packed."""
    data = pcap(order, nanoseconds=nanoseconds)
    assert certainly(data).rows == certainly(gzip.compress(data)).rows == 4


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng(order: str) -> None:
    """Options of interfaces and packets, blocks of no meaning here."""
    packet = udp_packet((HOSTS[0], 5683), (HOSTS[1], 5683), encode(Message("CON", "0.01", 1)))
    names = interface(order, option(order, 2, b"eth0"), option(order, 9, b"\x09"))
    comment = option(order, 1, b"look") + option(order, 2, b"\0\0\0\1") + option(order, 0, b"")
    data = section(order) + names + block(order, 5, bytes(12)) + enhanced(order, 123_456_789, packet, comment)
    columns = certainly(data)
    assert (columns.interfaces, columns.comments) == (("eth0",), {1: "look"})
    assert columns["time"].tolist() == [123_456_789]


def test_what_is_unusual_is_left() -> None:
    """Damage, two sections or sides, an unknown layer, fragments, DTLS: the other reader knows what to say of them."""
    packet = udp_packet((HOSTS[0], 5683), (HOSTS[1], 5683), encode(Message("CON", "0.01", 1)))
    good = in_file(packet)
    fragment = packet[:6] + b"\x20\x00" + packet[8:]
    hello = udp_packet((HOSTS[0], 5684), (HOSTS[1], 5684), bytes.fromhex("16feff0000000000000000000100"))
    sides = [Interface("server"), Interface("device")]
    for data in (
        b"", b"no capture", good[:-3], good + good, in_file(packet, linktype=147), in_file(fragment), in_file(hello),
        pcapng_bytes([Packet(0, packet)], interfaces=sides), pcap()[:-1], pcap()[:20],
    ):  # fmt: skip
        assert plain.read_plain(data, PORTS) is None
    assert plain.read_plain(good, PORTS) is not None


def test_what_is_large_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """By bytes, packed or not, and by packets."""
    data = pcap()
    for name, most in (("MOST_BYTES", len(data) - 1), ("MOST_PACKETS", 3)):
        with monkeypatch.context() as patch:
            patch.setattr(plain, name, most)
            assert plain.read_plain(data, PORTS) is None
            assert plain.read_plain(gzip.compress(data), PORTS) is None
    assert plain.read_plain(data, PORTS) is not None


def test_no_such_file_is_said(tmp_path: pathlib.Path) -> None:
    """As the other reader says it."""
    with pytest.raises(BadInput, match="cannot be read"):
        plain.read_plain(tmp_path / "nowhere.pcap", PORTS)


# ---------------------------------------------------------------- packets and messages


@pytest.mark.parametrize("linktype", sorted(LINK_TYPES))
@pytest.mark.parametrize("hosts", [HOSTS[:2], HOSTS[2:]], ids=["IPv4", "IPv6"])
def test_every_link_type(linktype: int, hosts: tuple[str, str]) -> None:
    """With tags where there may be some."""
    packet = udp_packet((hosts[0], 5683), (hosts[1], 5683), encode(Message("CON", "0.01", 1)))
    tags = (0, 1, 2, 3) if linktype in (1, 113, 276) else (0,)
    assert certainly(in_file(*(framed(linktype, packet, tags=n) for n in tags), linktype=linktype)).rows == len(tags)


def test_extension_headers() -> None:
    """Hop-by-hop and destination options stand before UDP."""
    packet = udp_packet((HOSTS[2], 5683), (HOSTS[3], 5683), encode(Message("CON", "0.01", 1)))
    behind = bytes([60, 0]) + bytes(6) + bytes([17, 0]) + bytes(6)
    longer = packet[:4] + struct.pack("!HB", len(packet) - 40 + 16, 0) + packet[7:40] + behind + packet[40:]
    assert certainly(in_file(longer, packet)).rows == 2


messages = st.builds(
    lambda kind, code, mid, token, options, payload: encode(Message(kind, code, mid, token, tuple(options), payload)),
    st.sampled_from(["CON", "NON", "ACK", "RST"]),
    st.sampled_from(["0.00", "0.01", "0.02", "0.03", "2.04", "2.05", "2.31", "4.04", "7.01"]),
    st.integers(0, 3),
    st.sampled_from([b"", b"t", b"token678"]),
    st.lists(
        st.tuples(
            st.sampled_from([4, 6, 11, 11, 12, 15, 17, 23, 27, 28, 60, 2049]),
            st.sampled_from(
                [b"", b"3", b"\x06", b"\x07", b"\x01\x0e", b"\xff\xfe\xfd", b"\0\0\0\x06", b"\xe2\x82", b"x" * 14]
            ),
        ),
        max_size=6,
    ),
    st.binary(max_size=5),
)
ends = st.tuples(st.sampled_from(HOSTS[:2]), st.sampled_from([5683, 5684, 40000, 40001]))
wide_ends = st.tuples(st.sampled_from(HOSTS[2:]), st.sampled_from([5683, 40000]))
datagrams = st.one_of(messages, st.binary(max_size=30))
packets = st.one_of(
    st.builds(udp_packet, ends, ends, datagrams),
    st.builds(udp_packet, wide_ends, wide_ends, datagrams),
    st.binary(max_size=60),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(packets, max_size=12))
def test_any_messages(found: list[bytes]) -> None:
    """Of all kinds, on known ports and others, damaged or not."""
    both(in_file(*found))


@settings(max_examples=300, deadline=None)
@given(st.lists(packets, min_size=1, max_size=4), st.data(), st.sampled_from(sorted(LINK_TYPES)))
def test_damaged_packets(found: list[bytes], data: st.DataObject, linktype: int) -> None:
    """A few bytes are others, and the snap length cuts, on every link layer."""
    damaged = []
    for one in found:
        packet = bytearray(framed(linktype, one) if one else one)
        for _ in range(data.draw(st.integers(0, 3)) if packet else 0):
            packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
        damaged.append(bytes(packet[: data.draw(st.integers(0, len(packet)))] if data.draw(st.booleans()) else packet))
    both(in_file(*damaged, linktype=linktype))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_files(data: st.DataObject) -> None:
    """A byte of the file is another, in its headers too: the same, or nothing."""
    packet = udp_packet((HOSTS[0], 5683), (HOSTS[1], 5683), encode(Message("CON", "0.01", 1)))
    form = data.draw(st.sampled_from([pcap(), in_file(packet, packet, comment="a comment")]))
    raw = bytearray(form)
    for _ in range(data.draw(st.integers(1, 2))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = plain.read_plain(bytes(raw), PORTS)
    except BadInput:
        return
    if found is not None:
        assert_same(found, collect(bytes(raw), ports=PORTS))


def test_coap_on_other_ports_is_recognised() -> None:
    """A request with its response is; a request alone, and what does not decode, is not."""

    def say(source: int, destination: int, datagram: bytes) -> bytes:
        return udp_packet((HOSTS[0], source), (HOSTS[1], destination), datagram)

    asked, answered = encode(Message("CON", "0.01", 1, b"t")), encode(Message("ACK", "2.05", 1, b"t", payload=b"x"))
    back = udp_packet((HOSTS[1], 7000), (HOSTS[0], 7001), answered)
    noise = udp_packet((HOSTS[1], 53), (HOSTS[0], 7002), b"\x12\x34\x81\x80")
    columns = certainly(in_file(say(7001, 7000, asked), noise, back, say(7003, 7000, asked)))
    assert columns["frame"].tolist() == [1, 3]
    assert certainly(in_file(say(7003, 7000, asked)), (7000,)).rows == 1


# ---------------------------------------------------------------- without numpy


def run(code: str, *arguments: object) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_numpy_comes_with_the_first_array() -> None:
    """Not with the columns; and what comes is of the same memory."""
    path = ROOT / "data" / "captures" / "anjay-push-256-ok.pcap"
    code = (
        "import sys\nfrom lwm2m_lab.wire import read_columns\ncolumns = read_columns(sys.argv[1])\n"
        "print(columns.rows, columns.text('uri_path', 0), 'numpy' in sys.modules)\n"
        "columns['mid'][0] = 7\nprint(columns.numbers('mid')[0], 'numpy' in sys.modules)"
    )
    assert run(code, path).split("\n")[:2] == ["194 /rd False", "7 True"]


def test_the_csv_of_a_small_capture_needs_no_numpy(tmp_path: pathlib.Path) -> None:
    """And is, to the byte, that of the columnar reader."""
    from lwm2m_lab.wire.table import write_csv

    path, out = ROOT / "data" / "captures" / "anjay-push-256-ok.pcap", tmp_path / "with.csv"
    code = (
        "import sys\nfrom lwm2m_lab.__main__ import main\nmain(['messages', sys.argv[1], '-o', sys.argv[2]])\n"
        "print(sorted({'numpy', 'pandas'} & set(sys.modules)))"
    )
    assert run(code, path, tmp_path / "without.csv") == "[]\n"
    with out.open("w", newline="") as stream:
        write_csv(collect(path, ports=PORTS), stream)
    assert (tmp_path / "without.csv").read_bytes() == out.read_bytes()


def test_where_numpy_is_there_it_is_used() -> None:
    """A process that has imported it gains nothing without it."""
    columns = read_columns(in_file(udp_packet((HOSTS[0], 5683), (HOSTS[1], 5683), b"\x40\x01\0\1")))
    assert isinstance(columns._arrays["mid"], np.ndarray)

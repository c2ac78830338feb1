"""Packet comments in every kind of capture file; the packets themselves judged by tshark, before and after."""

from __future__ import annotations

import gzip
import pathlib
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.samples import path_of
from lwm2m_lab.wire.annotate import annotated_chunks
from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcap import Interface, RecordReader, open_capture
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes

PACKET = udp_packet(("192.0.2.1", 5683), ("192.0.2.2", 5683), bytes.fromhex("4001000db133"))


def annotated(source: bytes | pathlib.Path, comments: dict[int, list[str]]) -> bytes:
    """The whole file."""
    return b"".join(annotated_chunks(source, comments))


def packets(data: bytes) -> list[tuple[int, bytes, int]]:
    """Time, bytes and original length of each packet."""
    found = []
    for records in RecordReader(*open_capture(data)):
        for at in range(len(records.frame)):
            start = int(records.start[at])
            content = records.data[start : start + int(records.captured[at])].tobytes()
            found.append((int(records.time_ns[at]), content, int(records.original[at])))
    return found


def comments_in(data: bytes) -> dict[int, str]:
    """The comments by frame."""
    return {frame: text for records in RecordReader(*open_capture(data)) for frame, text in records.comments.items()}


def block(order: str, kind: int, body: bytes) -> bytes:
    """A block of a pcapng."""
    return struct.pack(order + "II", kind, 12 + len(body)) + body + struct.pack(order + "I", 12 + len(body))


def pcap(order: str, *, magic: int, linktype: int = 101) -> bytes:
    """A classic pcap with two packets, the second cut by its snap length."""
    head = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, linktype)
    records = [
        struct.pack(order + "IIII", 1_700_000_000, 123_456, len(PACKET), len(PACKET)) + PACKET,
        struct.pack(order + "IIII", 1_700_000_001, 999_999, 30, len(PACKET)) + PACKET[:30],
    ]
    return head + b"".join(records)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D])
def test_a_classic_pcap_becomes_a_pcapng_with_the_same_packets(order: str, magic: int) -> None:
    """Both byte orders, microseconds and nanoseconds, a cut packet."""
    before = pcap(order, magic=magic)
    after = annotated(before, {2: ["look here", "and here"]})
    assert packets(after) == packets(before)
    assert comments_in(after) == {2: "look here; and here"}
    assert annotated(gzip.compress(before), {2: ["look here", "and here"]}) == after


def test_every_block_of_a_pcapng_stays_as_it_is() -> None:
    """Secrets, names, statistics and unknown blocks, byte for byte; only the packet that is spoken of grows."""
    others = [block("<", kind, b"12345678") for kind in (4, 5, 10, 0x0BAD)]
    data = pcapng_bytes([Packet(5, PACKET), Packet(6, PACKET, comment="was there")], interfaces=[Interface("server")])
    data += b"".join(others)
    after = annotated(data, {2: ["new"]})
    assert after.endswith(b"".join(others))
    first_packet = data.index(PACKET) + len(PACKET)
    assert after[:first_packet] == data[:first_packet]
    assert packets(after) == packets(data)
    assert comments_in(after) == {2: "new; was there"}


def test_annotating_twice_says_it_once() -> None:
    """The second time changes nothing."""
    data = pcapng_bytes([Packet(5, PACKET)], interfaces=[Interface("server")])
    once = annotated(data, {1: ["new"]})
    assert annotated(once, {1: ["new"]}) == once


def test_sections_of_both_byte_orders_count_on() -> None:
    """A frame is the number of the packet in the file, whatever section it stands in; lengths of sections give way."""
    parts = []
    for order in ("<", ">"):
        section = block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, 4711))
        interface = block(order, 1, struct.pack(order + "HHI", 101, 0, 0))
        head = struct.pack(order + "IIIII", 0, 0, 7, len(PACKET), len(PACKET))
        parts.append(section + interface + block(order, 6, head + PACKET + bytes(-len(PACKET) % 4)))
    after = annotated(b"".join(parts), {2: ["second section"]})
    assert comments_in(after) == {2: "second section"}
    assert struct.unpack_from("<q", after, 16) == (-1,)
    assert packets(after) == packets(b"".join(parts))


def test_a_simple_packet_has_no_room_for_a_comment() -> None:
    """It is left as it is, and the caller is told which."""
    head = pcapng_bytes([], interfaces=[Interface()])
    data = head + block("<", 3, struct.pack("<I", len(PACKET)) + PACKET + bytes(-len(PACKET) % 4))
    unplaced: list[int] = []
    assert b"".join(annotated_chunks(data, {1: ["no room"]}, unplaced=unplaced)) == data
    assert unplaced == [1]


def test_a_comment_longer_than_an_option_is_cut_at_a_character() -> None:
    """65,535 bytes is what an option holds."""
    data = pcapng_bytes([Packet(5, PACKET)], interfaces=[Interface("server")])
    said = comments_in(annotated(data, {1: ["é" * 100_000]}))[1]
    assert set(said) == {"é"}
    assert len(said) == 30_000


@given(st.binary(max_size=200), st.integers(0, 200))
def test_damage_ends_the_file_and_nothing_else(noise: bytes, at: int) -> None:
    """What came before the damage is there; nothing is raised but for what is no capture at all."""
    data = pcapng_bytes([Packet(at, PACKET) for at in range(3)], interfaces=[Interface("server")])
    for original in (data, pcap("<", magic=0xA1B2C3D4)):
        damaged = original[: 32 + at] + noise
        try:
            after = annotated(damaged, {1: ["first"], 2: ["second"]})
        except BadInput as error:
            assert "is no capture" in str(error)
            continue
        assert packets(after) == packets(damaged)[: len(packets(after))]


def fields(tshark: str, path: pathlib.Path, *names: str) -> list[str]:
    """What tshark says of each packet."""
    command = [tshark, "-r", str(path), "-T", "fields", "-o", "dtls.psk:"]
    for name in names:
        command += ["-e", name]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_tshark_sees_the_same_packets_and_the_comments(
    shared: pathlib.Path, tshark: str, tmp_path: pathlib.Path
) -> None:
    """Every field that we could have spoilt, on real captures of both formats."""
    names = ("frame.number", "frame.time_epoch", "frame.len", "frame.cap_len", "frame.encap_type", "frame.protocols",
             "ip.src", "udp.srcport", "coap.mid", "coap.payload", "udp.checksum")  # fmt: skip
    paths = [path_of("anjay-dtls-psk"), *sorted(shared.glob("captures/*/*senml-json.pcapng"))]
    assert len(paths) == 2
    for path in paths:
        out = tmp_path / f"{path.stem}.pcapng"
        out.write_bytes(annotated(path, {3: ["of the third"]}))
        assert fields(tshark, out, *names) == fields(tshark, path, *names)
        assert fields(tshark, out, "frame.comment")[2].split(",")[0] == "of the third"

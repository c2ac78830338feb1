"""Whole records of a capture that is still being written."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwm2m_lab.errors import BadInput
from lwm2m_lab.wire.growing import GrowingCapture, records
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes

BODIES = st.lists(st.binary(max_size=40), max_size=6)


def pcapng(bodies: list[bytes]) -> bytes:
    """A file of dumpcap's format."""
    return pcapng_bytes([Packet(0, body) for body in bodies], interfaces=[Interface("lo")])


def pcap(bodies: list[bytes]) -> bytes:
    """A file of tcpdump's format."""
    records = [struct.pack("=IIII", 0, 0, len(body), len(body)) + body for body in bodies]
    return struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(records)


@pytest.mark.parametrize("write", [pcapng, pcap])
@given(bodies=BODIES, pieces=st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_pieces_of_any_size_make_the_same_file(write, bodies: list[bytes], pieces: list[int]) -> None:
    """After each piece all that is whole has been handed out, and nothing else."""
    data, growing, out, at = write(bodies), GrowingCapture(), b"", 0
    ends = [len(write(bodies[:count])) for count in range(len(bodies) + 1)]
    while at < len(data):
        size = pieces[at % len(pieces)]
        out += growing.feed(data[at : at + size])
        at += size
        assert growing.packets == sum(end <= at for end in ends[1:])
    assert (out, growing.packets) == (data, len(bodies))


@pytest.mark.parametrize("write", [pcapng, pcap])
@given(bodies=BODIES, room=st.integers(0, 300))
def test_what_does_not_fit_is_left_out_from_there_on(write, bodies: list[bytes], room: int) -> None:
    data, growing = write(bodies), GrowingCapture()
    out = growing.feed(data, room=room)
    assert len(out) <= room
    assert data.startswith(out)
    assert growing.is_full == (len(data) > room)
    assert growing.feed(b"more", room=room) == b"" or not growing.is_full


@pytest.mark.parametrize("data", [b"no capture", pcapng([]) + struct.pack("=II", 6, 4)])
def test_what_is_no_capture_is_said(data: bytes) -> None:
    """Also in the midst, where a length would never end: behind what is whole before it."""
    growing = GrowingCapture()
    with pytest.raises(BadInput, match="expected"):
        assert growing.feed(data) + growing.feed(b"") == b""
    assert len(data) - growing.waiting in (0, len(pcapng([])))


@given(bodies=BODIES)
def test_the_other_byte_order(bodies: list[bytes]) -> None:
    """A file from another kind of machine, and a section of the other order behind one of ours."""
    records_of = [struct.pack(">IIII", 0, 0, len(body), len(body)) + body for body in bodies]
    data = struct.pack(">IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(records_of)
    growing = GrowingCapture()
    assert (growing.feed(data), growing.packets) == (data, len(bodies))
    turned = struct.pack(">IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28) + struct.pack(">III", 11, 12, 12)
    mixed, growing = pcapng(bodies) + turned + pcapng(bodies), GrowingCapture()
    assert (growing.feed(mixed), growing.packets) == (mixed, 2 * len(bodies))
    assert [kind for _, _, kind in records(mixed)].count(True) == 2 * len(bodies)

"""Datagrams under every link layer, behind tags and extension headers, in fragments, cut short."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwm2m_lab.wire import Columns, read_columns
from lwm2m_lab.wire.packets import LINK_TYPES, udp_packet
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes

FOUR = (("192.0.2.2", 50000), ("192.0.2.1", 5683))
SIX = (("2001:db8::2", 50000), ("2001:db8::1", 5683))
BODY = b"a firmware, in part, and in more than a few words"
MESSAGE = bytes.fromhex("4103000daab1350130ff") + BODY


def read(linktype: int, *packets: bytes) -> Columns:
    """The messages of some packets of one link type."""
    return read_columns(
        pcapng_bytes([Packet(at, packet) for at, packet in enumerate(packets)], interfaces=[Interface("x", linktype)])
    )


def framed(linktype: int, packet: bytes, *, tags: int = 0) -> bytes:
    """A packet under the header of a link layer."""
    kind = b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"
    tag = b"".join(b"\x00\x05" + (b"\x81\x00" if at + 1 < tags else kind) for at in range(tags))
    first = b"\x81\x00" if tags else kind
    if linktype == 1:
        return bytes(range(12)) + first + tag + packet
    if linktype == 113:
        return bytes(14) + first + tag + packet
    if linktype == 276:
        return first + bytes(18) + tag + packet
    if linktype in (0, 108):
        return struct.pack("<I" if linktype == 0 else ">I", 2 if packet[0] >> 4 == 4 else 30) + packet
    return packet


def test_the_message_is_one() -> None:
    """What the other tests look for decodes without fault."""
    columns = read(101, udp_packet(*FOUR, MESSAGE))
    assert (columns.text("uri_path", 0), columns.text("error", 0), columns.payload(0)) == ("/5/0", None, BODY)


@pytest.mark.parametrize("linktype", sorted(set(LINK_TYPES)))
@pytest.mark.parametrize("ends", [FOUR, SIX], ids=["IPv4", "IPv6"])
def test_every_link_type(linktype: int, ends: tuple[tuple[str, int], tuple[str, int]]) -> None:
    """The same message comes out with the same ends."""
    columns = read(linktype, framed(linktype, udp_packet(*ends, MESSAGE)))
    assert columns.payload(0) == BODY
    shown = ["[{}]:{}" if ":" in host else "{}:{}" for host, _ in ends]
    assert [columns.text("src", 0), columns.text("dst", 0)] == [
        form.format(*end) for form, end in zip(shown, ends, strict=True)
    ]


@pytest.mark.parametrize("linktype", [1, 113, 276])
@pytest.mark.parametrize("tags", [1, 2, 3])
def test_vlan_tags(linktype: int, tags: int) -> None:
    """One, two and three tags between the link layer and IP."""
    assert read(linktype, framed(linktype, udp_packet(*SIX, MESSAGE), tags=tags)).payload(0) == BODY


def test_ethernet_padding_is_no_payload() -> None:
    """A short frame is filled to 60 bytes; UDP says where the datagram ends."""
    columns = read(1, framed(1, udp_packet(*FOUR, bytes.fromhex("4001000db133"))) + bytes(12))
    assert (columns.text("uri_path", 0), columns.datagram(0).hex()) == ("/3", "4001000db133")


def test_what_is_no_udp_is_passed_over() -> None:
    """ARP, TCP and an ICMP error that quotes a message give no row."""
    arp = bytes(12) + b"\x08\x06" + bytes(46)
    packet = bytearray(udp_packet(*FOUR, MESSAGE))
    packet[9] = 6
    icmp = bytearray(udp_packet(*FOUR, b"")[:20]) + b"\x03\x03" + bytes(6) + udp_packet(*FOUR, MESSAGE)
    icmp[9] = 1
    columns = read(1, arp, framed(1, bytes(packet)), framed(1, bytes(icmp)), framed(1, udp_packet(*FOUR, MESSAGE)))
    assert (columns.rows, columns.packets, int(columns["frame"][0])) == (1, 4, 4)


def test_an_unknown_link_type_is_said() -> None:
    """Packets of a layer nobody here reads are counted in a note."""
    columns = read(147, udp_packet(*FOUR, MESSAGE))
    assert columns.rows == 0
    assert columns.notes == ("1 packets of link type 147 were left out: the lab cannot read it",)


def test_ipv4_options_and_ipv6_extension_headers() -> None:
    """The header length counts, and hop-by-hop and destination options stand between."""
    plain = udp_packet(*FOUR, MESSAGE)
    longer = bytes([0x46]) + plain[1:2] + struct.pack("!H", len(plain) + 4) + plain[4:20] + b"\x94\x04\0\0" + plain[20:]
    six = udp_packet(*SIX, MESSAGE)
    hop = bytes([60, 0]) + b"\x01\x04\0\0\0\0"
    destination = bytes([17, 1]) + b"\x01\x0c" + bytes(12)
    extended = six[:4] + struct.pack("!HB", len(six) - 40 + 24, 0) + six[7:40] + hop + destination + six[40:]
    columns = read(101, longer, extended)
    assert [columns.payload(row) for row in range(columns.rows)] == [BODY, BODY]


def test_an_authentication_header_counts_in_units_of_four() -> None:
    """Every other extension header in units of eight (RFC 4302, 2.2; RFC 8200, 4.8)."""
    six = udp_packet(*SIX, MESSAGE)
    authentication = bytes([17, 4]) + bytes(22)
    extended = six[:4] + struct.pack("!HB", len(six) - 40 + 24, 51) + six[7:40] + authentication + six[40:]
    alone, many = read(101, extended), read(101, *[extended] * 300)
    assert [columns.payload(columns.rows - 1) for columns in (alone, many)] == [BODY, BODY]
    assert many.rows == 300


def fragments4(packet: bytes, size: int) -> list[bytes]:
    """An IPv4 packet in fragments of `size` bytes."""
    parts, rest = [], packet[20:]
    for at in range(0, len(rest), size):
        more = 0x2000 if at + size < len(rest) else 0
        piece = rest[at : at + size]
        parts.append(packet[:2] + struct.pack("!HHH", 20 + len(piece), 77, more | at // 8) + packet[8:20] + piece)
    return parts


def fragments6(packet: bytes, size: int) -> list[bytes]:
    """An IPv6 packet in fragments of `size` bytes."""
    parts, rest = [], packet[40:]
    for at in range(0, len(rest), size):
        piece = rest[at : at + size]
        head = struct.pack("!BBHI", 17, 0, at | (at + size < len(rest)), 77)
        parts.append(packet[:4] + struct.pack("!HB", 8 + len(piece), 44) + packet[7:40] + head + piece)
    return parts


@given(st.permutations(range(4)), st.booleans())
def test_fragments_in_any_order(order: list[int], wide: bool) -> None:
    """The message appears with the fragment that completes it, whole."""
    parts = (fragments6(udp_packet(*SIX, MESSAGE), 24) if wide else fragments4(udp_packet(*FOUR, MESSAGE), 24))[:4]
    assert len(parts) == 3 or len(parts) == 4
    shuffled = [parts[at] for at in order if at < len(parts)]
    columns = read(101, *shuffled)
    assert columns.rows == 1
    assert (int(columns["frame"][0]), columns.payload(0)) == (len(shuffled), BODY)


def test_a_missing_fragment_is_said() -> None:
    """Without all of them there is no message, and a note tells why."""
    columns = read(101, *fragments4(udp_packet(*FOUR, MESSAGE), 24)[:-1])
    assert columns.rows == 0
    assert any("fragment" in note for note in columns.notes)


def test_an_atomic_fragment_is_a_whole_packet() -> None:
    """An IPv6 fragment header with neither offset nor more stands for nothing (RFC 6946)."""
    (whole,) = fragments6(udp_packet(*SIX, MESSAGE), 800)
    assert read(101, whole).payload(0) == BODY


def test_the_snap_length_cuts() -> None:
    """What is there is decoded, and the row says that it is not all."""
    packet = udp_packet(*FOUR, MESSAGE)
    data = bytearray(pcapng_bytes([Packet(0, packet[:-20])], interfaces=[Interface("x")]))
    at = data.index(struct.pack("<II", len(packet) - 20, len(packet) - 20))
    data[at + 4 : at + 8] = struct.pack("<I", len(packet))
    columns = read_columns(bytes(data))
    assert (columns.text("error", 0), columns.text("uri_path", 0)) == ("cut by the snap length", "/5/0")
    assert columns.payload(0) == BODY[:-20]


def ones_complement(data: bytes) -> int:
    """The sum that a receiver forms; 0xffff where the checksum is right."""
    total = sum(struct.unpack(f"!{len(data) // 2 + len(data) % 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@given(st.binary(max_size=60), st.sampled_from([FOUR, SIX]))
def test_checksums_are_right(payload: bytes, ends: tuple[tuple[str, int], tuple[str, int]]) -> None:
    """Of the IPv4 header and of UDP with its pseudo header."""
    packet = udp_packet(*ends, payload)
    four = packet[0] >> 4 == 4
    if four:
        assert ones_complement(packet[:20]) == 0xFFFF
    at = 20 if four else 40
    addresses = packet[12:20] if four else packet[8:40]
    assert ones_complement(addresses + struct.pack("!IHH", len(packet) - at, 0, 17) + packet[at:]) == 0xFFFF


@given(st.lists(st.binary(max_size=90), max_size=6), st.sampled_from(sorted(LINK_TYPES)))
def test_any_bytes_are_messages_or_nothing(packets: list[bytes], linktype: int) -> None:
    """No packet makes the reader raise, and every row points into its packet."""
    columns = read(linktype, *packets)
    assert columns.packets == len(packets)
    assert np.all(columns["frame"] <= len(packets))
    for row in range(columns.rows):
        assert columns.datagram(row).endswith(columns.payload(row))

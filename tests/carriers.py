"""The same messages carried in another way: what a capture says must not hang on how it was taken.

Each function takes the packets of a `tests.peers.Session`, raw IPv4 in the order of time, and gives a capture file.
"""

from __future__ import annotations

import dataclasses
import gzip
import ipaddress
import struct
from collections.abc import Callable, Sequence

from lwm2m_lab.wire.coap import Message, decode, encode
from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
from tests.peers import DEVICE, Address, icmp_packet
from tests.talks import tcp_packet

Packets = Sequence[Packet]
_ETHERNET = bytes.fromhex("020202020202 040404040404".replace(" ", ""))


def as_it_is(packets: Packets) -> bytes:
    """Raw IP in a pcapng of one section."""
    return pcapng_bytes(packets, interfaces=[Interface("server")])


def rewritten(
    packets: Packets,
    *,
    address: Callable[[Address], Address] = lambda one: one,
    message: Callable[[Message], Message] = lambda one: one,
    later_ns: int = 0,
) -> list[Packet]:
    """The packets with other addresses, and with what they carry, or quote, put in other words."""

    def carried(packet: bytes) -> bytes:
        source, target = (str(ipaddress.ip_address(packet[at : at + 4])) for at in (12, 16))
        if packet[9] == 1:
            ends = (address((source, DEVICE[1]))[0], 0), (address((target, DEVICE[1]))[0], 0)
            return icmp_packet(*ends, (packet[20], packet[21]), carried(packet[28:]))
        ports = struct.unpack("!HH", packet[20:24])
        if packet[9] == 6:
            head = 5 + (options := (packet[32] >> 4) - 5)
            ends = address((source, ports[0])), address((target, ports[1]))
            sequence = int.from_bytes(packet[24:28], "big")
            return tcp_packet(*ends, sequence, packet[33], packet[20 + 4 * head :], options)
        payload = packet[28:]
        read = decode(payload)
        if read.error is None and encode(read) == payload:
            payload = encode(message(read))
        return udp_packet(address((source, ports[0])), address((target, ports[1])), payload)

    return [dataclasses.replace(one, time_ns=one.time_ns + later_ns, data=carried(one.data)) for one in packets]


def pcap(packets: Packets, *, order: str, magic: int, linktype: int, frame: Callable[[bytes], bytes]) -> bytes:
    """A classic file."""
    out = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, linktype)]
    for one in packets:
        data, (second, fraction) = frame(one.data), divmod(one.time_ns, 10**9)
        fraction //= 1000 if magic == 0xA1B2C3D4 else 1
        out.append(struct.pack(order + "IIII", second, fraction, len(data), len(data)) + data)
    return b"".join(out)


def _ether_type(packet: bytes) -> bytes:
    return b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"


def ipv6_in_two_vlans(packets: Packets) -> bytes:
    """IPv6, Ethernet with two tags (802.1ad), nanoseconds, big endian, gzip."""

    def six(one: Address) -> Address:
        return str(
            ipaddress.IPv6Address(bytes.fromhex("20010db8") + bytes(8) + ipaddress.ip_address(one[0]).packed)
        ), one[1]

    def frame(packet: bytes) -> bytes:
        return _ETHERNET + bytes.fromhex("88a80005 81000007".replace(" ", "")) + _ether_type(packet) + packet

    plain = [one for one in packets if one.data[9] != 1]
    return gzip.compress(
        pcap(rewritten(plain, address=six), order=">", magic=0xA1B23C4D, linktype=1, frame=frame), mtime=0
    )


def cooked_v2(packets: Packets) -> bytes:
    """Linux cooked, version 2, microseconds."""
    head = struct.pack("!HIHBB8s", 0, 3, 1, 0, 6, bytes(8))
    return pcap(packets, order="<", magic=0xA1B2C3D4, linktype=276, frame=lambda one: _ether_type(one) + head + one)


def three_sections(packets: Packets) -> bytes:
    """Sections of either byte order, two interfaces in each, another resolution of time in each, a comment a packet."""

    def block(order: str, kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)

    third, comment, out = len(packets) // 3, b"look <b>here</b>", []
    parts = (packets[:third], packets[third : 2 * third], packets[2 * third :])
    for part, order, resolution, ticks in zip(parts, "<><", (6, 9, 0x94), (10**6, 10**9, 2**20), strict=True):
        out.append(block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)))
        for exponent in (6, resolution):
            options = struct.pack(order + "HHB3xHH", 9, 1, exponent, 0, 0)
            out.append(block(order, 1, struct.pack(order + "HHI", 101, 0, 0) + options))
        for one in part:
            time = -(-one.time_ns * ticks // 10**9)
            head = struct.pack(order + "IIIII", 1, time >> 32, time & 0xFFFFFFFF, len(one.data), len(one.data))
            said = struct.pack(order + "HH", 1, len(comment)) + comment + bytes(4)
            out.append(block(order, 6, head + one.data + bytes(-len(one.data) % 4) + said))
    return b"".join(out)


def long_tokens(packets: Packets) -> bytes:
    """Each token 8 bytes longer than a header has room for (RFC 8974)."""

    def longer(one: Message) -> Message:
        return dataclasses.replace(one, token=one.token + bytes(16)) if one.token else one

    return as_it_is(rewritten(packets, message=longer))


def more_options(packets: Packets) -> bytes:
    """Uri-Host and Uri-Port in each request, Max-Age in each response, and an elective option of nobody's."""

    def richer(one: Message) -> Message:
        if one.code == "0.00":
            return one
        more = [(3, b"coap.example.org"), (7, b"\x16\x33")] if one.code[0] == "0" else [(14, b"")]
        options = sorted([*one.options, *more, (65000, b"x")], key=lambda option: option[0])
        return dataclasses.replace(one, options=tuple(options))

    return as_it_is(rewritten(packets, message=richer))


def ids_that_wrap(packets: Packets) -> bytes:
    """Message ids that go over 65535."""
    return as_it_is(rewritten(packets, message=lambda one: dataclasses.replace(one, mid=(one.mid + 65430) % 65536)))


def with_a_twin(packets: Packets) -> bytes:
    """Another device behind the same address does and says the same, 20 ms later, from other ports."""

    def address(one: Address) -> Address:
        return (one[0], one[1] + 1000) if one[0] == DEVICE[0] else one

    def renamed(one: Message) -> Message:
        options = tuple((number, b"ep=twin" if value == b"ep=dev-1" else value) for number, value in one.options)
        return dataclasses.replace(one, options=options)

    twin = rewritten(packets, address=address, message=renamed, later_ns=20_000_000)
    return as_it_is(sorted([*packets, *twin], key=lambda one: one.time_ns))


def both_sides_of_a_nat(packets: Packets) -> bytes:
    """As on `any` of a router: each message of the device twice, before and after its address was translated."""

    def address(one: Address) -> Address:
        return ("198.51.100.9", one[1]) if one[0] == DEVICE[0] else one

    there = []
    for one, outside in zip(packets, rewritten(packets, address=address), strict=True):
        ways = [one, outside] if one.data[12:16] == ipaddress.ip_address(DEVICE[0]).packed else [outside, one]
        there += [dataclasses.replace(way, time_ns=one.time_ns + 20_000 * at) for at, way in enumerate(ways)]
    return as_it_is(there)


CARRIERS = (
    ipv6_in_two_vlans, cooked_v2, three_sections, long_tokens, more_options, ids_that_wrap, with_a_twin,
)  # fmt: skip

"""ICMP errors: what they say of which datagram."""

from __future__ import annotations

import pathlib
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwm2m_lab.wire import read_columns
from lwm2m_lab.wire.icmp import MOST_ERRORS
from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
from tests.peers import DEVICE, SERVER, Session, icmp_packet


def errors(*packets: bytes) -> list[tuple[object, ...]]:
    """What is read of a capture of these packets."""
    data = pcapng_bytes([Packet(n, one) for n, one in enumerate(packets)], interfaces=[Interface("x")])
    found = read_columns(data).icmp_errors
    return [(one.frame, one.reporter, one.meaning, one.src, one.dst, one.mid) for one in found]


def test_an_error_quotes_a_request() -> None:
    """It is an error, and no second message."""
    capture = Session("server > device CON GET /5/0/3 mid=7\ndevice > server ICMP port-unreachable").capture()
    (one,) = capture.columns.icmp_errors
    assert (one.frame, one.reporter, one.meaning) == (2, "192.0.2.2", "port unreachable")
    assert (one.src, one.dst, one.mid) == ("192.0.2.1:5683", "192.0.2.2:50000", 7)
    assert capture.columns.rows == 1


def test_a_quote_may_end_behind_the_ports() -> None:
    """RFC 792 asks for eight bytes only: the message id is not among them."""
    quoted = udp_packet(SERVER, DEVICE, bytes.fromhex("40010007"))[:28]
    expected = (1, "192.0.2.9", "host unreachable", "192.0.2.1:5683", "192.0.2.2:50000", -1)
    assert errors(icmp_packet(("192.0.2.9", 0), SERVER, (3, 1), quoted)) == [expected]


def test_icmp_version_6() -> None:
    """Type 1, code 4."""
    quoted = udp_packet(("2001:db8::1", 5683), ("2001:db8::2", 5683), bytes.fromhex("40010007"))
    body = struct.pack("!BBHI", 1, 4, 0, 0) + quoted
    packet = struct.pack("!IHBB", 6 << 28, len(body), 58, 64) + quoted[24:40] + quoted[8:24] + body
    expected = (1, "[2001:db8::2]", "port unreachable", "[2001:db8::1]:5683", "[2001:db8::2]:5683", 7)
    assert errors(packet) == [expected]


def test_no_error_of_ours() -> None:
    """An echo, an error about TCP, and one that ends too early."""
    quoted = udp_packet(SERVER, DEVICE, b"")
    tcp = quoted[:9] + b"\x06" + quoted[10:]
    assert (
        errors(*(icmp_packet(DEVICE, SERVER, (kind, 0), what) for kind, what in ((8, quoted), (3, tcp), (3, b""))))
        == []
    )


def test_a_flood_of_errors_is_bounded() -> None:
    """More of them tell nothing new."""
    packet = icmp_packet(DEVICE, SERVER, (3, 3), udp_packet(SERVER, DEVICE, bytes.fromhex("40010007")))
    assert len(errors(*[packet] * (MOST_ERRORS + 10))) == MOST_ERRORS


@given(st.binary(max_size=80), st.sampled_from([3, 11]))
def test_any_quote_can_be_read(quoted: bytes, kind: int) -> None:
    """Never an exception."""
    assert len(errors(icmp_packet(DEVICE, SERVER, (kind, 0), quoted))) <= 1


@pytest.mark.parametrize("name", ["wakaama/wakaama-raw-client-crash-last-block", "anjay/anjay-pull-coap-404"])
def test_errors_are_those_of_tshark(shared: pathlib.Path, tshark: str, name: str) -> None:
    """Frames of real captures."""
    path = shared / "captures" / f"{name}.pcap"
    command = [tshark, "-r", str(path), "-Y", "icmp.type==3", "-T", "fields", "-e", "frame.number"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert [one.frame for one in read_columns(path).icmp_errors] == list(map(int, shown))

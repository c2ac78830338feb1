"""Files as other tools write them: every flavour of editcap and mergecap gives the table that tshark has."""

from __future__ import annotations

import gzip
import pathlib
import struct
import subprocess

import pytest

from lwm2m_lab.wire import Columns, coap, read_columns
from lwm2m_lab.wire.coap import Message
from lwm2m_lab.wire.packets import udp_packet
from tests.conftest import need_tool
from tests.tshark import as_ours, our_row, tshark_rows

SERVER, OTHER = ("192.0.2.1", 5683), ("2001:db8::1", 5683)
TIME = 1_700_000_000


def conversation(count: int = 40) -> list[bytes]:
    """IP packets of a block-wise write over IPv4 and of reads over IPv6."""
    packets = []
    for number in range(count):
        block = (number << 4 | 8 | 2).to_bytes(2, "big")
        write = Message("CON", "0.03", number, b"push", ((11, b"5"), (11, b"0"), (11, b"0"), (27, block)), bytes(64))
        going_on = Message("ACK", "2.31", number, b"push", ((27, block),))
        read = Message("CON", "0.01", number, number.to_bytes(2, "big"), ((11, b"3"), (11, b"0"), (11, b"3")))
        for ends, message in ((((SERVER), ("192.0.2.7", 5683)), write), ((("192.0.2.7", 5683), SERVER), going_on),
                              ((OTHER, ("2001:db8::7", 40000)), read)):  # fmt: skip
            packets.append(udp_packet(*ends, coap.encode(message)))
    return packets


def ethernet(packet: bytes) -> bytes:
    """The packet in an Ethernet frame."""
    return bytes(12) + (b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd") + packet


def loopback(packet: bytes, *, order: str) -> bytes:
    """The packet behind the address family, as BSD writes it."""
    return struct.pack(order + "I", 2 if packet[0] >> 4 == 4 else 30) + packet


def pcap(packets: list[bytes], linktype: int, *, order: str = "<", first: int = TIME) -> bytes:
    """A classic pcap, a packet every millisecond."""
    out = struct.pack(order + "IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, linktype)
    for at, packet in enumerate(packets):
        out += struct.pack(order + "IIII", first, 1000 * at, len(packet), len(packet)) + packet
    return out


@pytest.fixture
def plain(tmp_path: pathlib.Path) -> pathlib.Path:
    """The conversation on Ethernet."""
    path = tmp_path / "plain.pcap"
    path.write_bytes(pcap([ethernet(packet) for packet in conversation()], 1))
    return path


def run(*command: object) -> None:
    """Run one of Wireshark's tools."""
    subprocess.run([need_tool(str(command[0])), *map(str, command[1:])], check=True, capture_output=True)


def assert_tsharks(tshark: str, path: pathlib.Path, *, rows: int) -> Columns:
    """The message table of a file is tshark's, times included."""
    columns = read_columns(path)
    theirs = list(tshark_rows(tshark, path))
    assert columns.rows == len(theirs) == rows
    for row, line in enumerate(theirs):
        expected = as_ours(line)
        assert our_row(columns, row, list(expected)) == expected
        seconds, fraction = line["frame.time_epoch"].split(".")
        assert int(columns["time"][row]) == int(seconds) * 10**9 + int(fraction.ljust(9, "0"))
    return columns


@pytest.mark.parametrize("kind", ["pcap", "nsecpcap", "pcapng"])
def test_formats(kind: str, plain: pathlib.Path, tmp_path: pathlib.Path, tshark: str) -> None:
    """What editcap -F writes."""
    path = tmp_path / f"{kind}.cap"
    run("editcap", "-F", kind, plain, path)
    assert_tsharks(tshark, path, rows=120)


@pytest.mark.parametrize(("name", "linktype"), [("rawip", 101), ("linux-sll", 113), ("null", 0), ("user0", 147)])
def test_renamed_link_types(name: str, linktype: int, plain: pathlib.Path, tmp_path: pathlib.Path, tshark: str) -> None:
    """editcap -T says another link type than there is: whatever tshark makes of it, nothing is garbled."""
    path = tmp_path / "renamed.pcap"
    run("editcap", "-F", "pcap", "-T", name, plain, path)
    assert struct.unpack_from("<I", path.read_bytes(), 20) == (linktype,)
    assert read_columns(path).rows == len(list(tshark_rows(tshark, path))) == 0


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("linktype", "order_of_family"), [(0, "<"), (0, ">"), (108, ">"), (101, "")])
def test_link_layers_without_addresses(
    order: str, linktype: int, order_of_family: str, tmp_path: pathlib.Path, tshark: str
) -> None:
    """NULL in both orders, LOOP and RAW, in files of both byte orders."""
    packets = conversation()
    if order_of_family:
        packets = [loopback(packet, order=order_of_family) for packet in packets]
    path = tmp_path / "loopback.pcap"
    path.write_bytes(pcap(packets, linktype, order=order))
    assert_tsharks(tshark, path, rows=120)


def test_merged_files_have_interfaces_of_their_own(plain: pathlib.Path, tmp_path: pathlib.Path, tshark: str) -> None:
    """mergecap of Ethernet, RAW and nanoseconds: three interfaces, two link types and resolutions, by time."""
    raw, fine, merged = tmp_path / "raw.pcap", tmp_path / "fine.pcap", tmp_path / "merged.pcapng"
    raw.write_bytes(pcap(conversation(), 101, order=">"))
    run("editcap", "-F", "nsecpcap", "-t", "0.000000123", plain, fine)
    run("mergecap", "-I", "none", "-w", merged, plain, raw, fine)
    assert len(assert_tsharks(tshark, merged, rows=360).interfaces) == 3


def test_files_one_behind_another_are_sections(plain: pathlib.Path, tmp_path: pathlib.Path, tshark: str) -> None:
    """pcapng files may simply be put together."""
    one, path = tmp_path / "one.pcapng", tmp_path / "sections.pcapng"
    run("editcap", "-F", "pcapng", plain, one)
    path.write_bytes(3 * one.read_bytes())
    columns = read_columns(path)
    assert (columns.rows, columns.packets, columns.notes) == (360, 360, ())
    # tshark 4.0 reads all sections too.
    assert_tsharks(tshark, path, rows=360)


def test_secrets_comments_and_gzip(plain: pathlib.Path, tmp_path: pathlib.Path, tshark: str) -> None:
    """Secrets in front, a comment on a packet, everything compressed: the same table."""
    keys, path = tmp_path / "keys.txt", tmp_path / "secrets.pcapng"
    keys.write_text(f"CLIENT_RANDOM {'ab' * 32} {'cd' * 48}\n")
    run("editcap", "--inject-secrets", f"tls,{keys}", "-a", "7:the seventh", plain, path)
    assert assert_tsharks(tshark, path, rows=120).comments == {7: "the seventh"}
    packed = tmp_path / "secrets.pcapng.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert assert_tsharks(tshark, packed, rows=120).comments == {7: "the seventh"}


@pytest.mark.parametrize("length", [40, 60, 80, 100])
def test_snapped_files(length: int, plain: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """editcap -s cuts every packet; rows that lost bytes say so, and headers that are there are read."""
    path = tmp_path / "cut.pcap"
    run("editcap", "-F", "pcap", "-s", length, plain, path)
    whole, columns = read_columns(plain), read_columns(path)
    for row in range(columns.rows):
        of_whole = int((whole["frame"] == columns["frame"][row]).argmax())
        cut = len(whole.datagram(of_whole)) > len(columns.datagram(row))
        assert columns.text("error", row) == ("cut by the snap length" if cut else None)
        if len(columns.datagram(row)) >= 4:
            assert columns["mid"][row] == whole["mid"][of_whole]

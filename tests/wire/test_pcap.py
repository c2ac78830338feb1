"""Capture files of every flavour give the same packets; what is damaged is said, and what came before is kept."""

from __future__ import annotations

import gzip
import io
import pathlib
import struct
import subprocess
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwm2m_lab.errors import BadInput
from lwm2m_lab.wire import read_columns
from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcap import Interface, RecordReader, open_capture
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes

CLIENT, SERVER = ("192.0.2.2", 50000), ("192.0.2.1", 5683)
SECOND = 1_000_000_000
TIMES = [1_700_000_000 * SECOND + at * 1000 for at in (0, 1, 999_999, 1_000_000)]


def message(number: int) -> bytes:
    """An IP packet around CON GET /3 with this message id."""
    return udp_packet(CLIENT, SERVER, bytes([0x40, 1]) + number.to_bytes(2, "big") + b"\xb1" + b"3")


MESSAGES = [message(number) for number in range(len(TIMES))]


def pcap(order: str = "<", *, nanoseconds: bool = False, linktype: int = 101, packets: Sequence[bytes] = ()) -> bytes:
    """A pcap file of the messages."""
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, linktype)
    for time, packet in zip(TIMES, packets or MESSAGES, strict=True):
        fraction = time % SECOND // (1 if nanoseconds else 1000)
        out += struct.pack(order + "IIII", time // SECOND, fraction, len(packet), len(packet)) + packet
    return out


def block(order: str, kind: int, body: bytes) -> bytes:
    """One pcapng block."""
    body += bytes(-len(body) % 4)
    return struct.pack(order + "II", kind, 12 + len(body)) + body + struct.pack(order + "I", 12 + len(body))


def option(order: str, code: int, value: bytes) -> bytes:
    """One option of a pcapng block."""
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order: str) -> bytes:
    """A section header."""
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order: str, *options: bytes, linktype: int = 101) -> bytes:
    """An interface description."""
    return block(order, 1, struct.pack(order + "HHI", linktype, 0, 0) + b"".join(options))


def enhanced(order: str, ticks: int, packet: bytes, *options: bytes, number: int = 0) -> bytes:
    """An enhanced packet block."""
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(packet), len(packet))
    return block(order, 6, head + packet + bytes(-len(packet) % 4) + b"".join(options))


def times(data: bytes) -> list[int]:
    """Time of each message, nanoseconds since the epoch."""
    return [int(one) for one in read_columns(data)["time"]]


def mids(data: bytes) -> list[int]:
    """Message id of each message."""
    return [int(one) for one in read_columns(data)["mid"]]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_pcap_in_both_byte_orders_and_resolutions(order: str, nanoseconds: bool) -> None:
    """The magic tells, and the times come out the same."""
    data = pcap(order, nanoseconds=nanoseconds)
    assert (times(data), mids(data)) == (TIMES, [0, 1, 2, 3])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("resolution", "per_second"),
    [(None, 10**6), (6, 10**6), (9, 10**9), (0x80 | 20, 2**20), (0x80 | 30, 2**30), (0, 1), (3, 1000)],
)
def test_pcapng_resolutions(order: str, resolution: int | None, per_second: int) -> None:
    """if_tsresol counts in powers of ten or of two; without it the unit is a microsecond."""
    options = [] if resolution is None else [option(order, 9, bytes([resolution]))]
    ticks = [time * per_second // SECOND for time in TIMES]
    data = section(order) + interface(order, *options)
    data += b"".join(enhanced(order, tick, packet) for tick, packet in zip(ticks, MESSAGES, strict=True))
    assert times(data) == [tick * SECOND // per_second for tick in ticks]


def test_pcapng_time_offset() -> None:
    """if_tsoffset is in seconds and is added."""
    data = (
        section("<") + interface("<", option("<", 14, struct.pack("<q", 3600))) + enhanced("<", 5_000_000, MESSAGES[0])
    )
    assert times(data) == [3605 * SECOND]


def test_interfaces_of_one_section_do_not_reach_into_the_next() -> None:
    """Each section numbers its interfaces anew, in a byte order of its own."""
    data = section("<") + interface("<", option("<", 9, b"\x09")) + enhanced("<", 7, MESSAGES[0])
    data += section(">") + interface(">") + enhanced(">", 7, MESSAGES[1])
    assert times(data) == [7, 7000]


def test_many_sections_of_one_order() -> None:
    """Captures put one behind another: the second's interface 0 is not the first's."""
    data = section("<") + interface("<", option("<", 9, b"\x09")) + enhanced("<", 7, MESSAGES[0])
    data += section("<") + interface("<") + enhanced("<", 7, MESSAGES[1])
    assert (times(data), mids(data)) == ([7, 7000], [0, 1])


def test_interfaces_differ_in_resolution_and_link_type() -> None:
    """A packet block names its interface, and time and link layer follow from that."""
    ethernet = bytes(12) + b"\x08\x00" + MESSAGES[1]
    data = section("<") + interface("<", option("<", 2, b"wan")) + interface("<", option("<", 9, b"\x09"), linktype=1)
    data += enhanced("<", 7, MESSAGES[0]) + enhanced("<", 7, ethernet, number=1)
    columns = read_columns(data)
    assert (times(data), mids(data), columns.interfaces) == ([7000, 7], [0, 1], ("wan", ""))
    assert read_columns(data, interface="wan").rows == read_columns(data, interface=1).rows == 1
    with pytest.raises(BadInput, match="has no interface 'lan'; one of wan, number 1 is expected"):
        read_columns(data, interface="lan")


def test_simple_packets_and_unknown_blocks() -> None:
    """A simple packet block has neither interface nor time; blocks that are no packets are passed over."""
    simple = block("<", 3, struct.pack("<I", len(MESSAGES[0])) + MESSAGES[0])
    data = section("<") + interface("<") + simple + block("<", 0xBAD, b"whatever") + enhanced("<", 9, MESSAGES[1])
    assert mids(data) == [0, 1]
    assert times(data)[1] == 9000


def test_comments_stay_with_their_frame() -> None:
    """opt_comment of a packet, also where frames before have none."""
    data = pcapng_bytes([Packet(0, MESSAGES[0]), Packet(1, MESSAGES[1], comment="lost")], interfaces=[Interface()])
    assert read_columns(data).comments == {2: "lost"}


def test_gzip_is_unpacked(tmp_path: pathlib.Path) -> None:
    """Wireshark writes and reads .pcap.gz; so do we read it, from a path and from bytes."""
    path = tmp_path / "capture.pcap.gz"
    path.write_bytes(gzip.compress(pcap()))
    columns = read_columns(path)
    assert (columns.rows, columns.datagram(3)[:4].hex()) == (4, "40010003")
    assert mids(gzip.compress(pcap())) == [0, 1, 2, 3]


@pytest.mark.parametrize("written", [pcap(), pcap(">", nanoseconds=True)])
def test_a_cut_file_gives_what_came_before(written: bytes) -> None:
    """Wherever the file ends, whole packets are there and the rest is said in a word."""
    lengths = [24 + sum(16 + len(packet) for packet in MESSAGES[:count]) for count in range(5)]
    for end in range(24, len(written)):
        columns = read_columns(written[:end])
        assert columns.rows == sum(end >= length for length in lengths[1:])
        assert bool(columns.notes) == (end not in lengths)
    assert "byte 24 on" in read_columns(written[:30]).notes[0]


def test_a_cut_pcapng_gives_what_came_before() -> None:
    """The same for pcapng."""
    written = pcapng_bytes([Packet(at, packet) for at, packet in enumerate(MESSAGES)], interfaces=[Interface("x")])
    rows = [read_columns(written[:end]).rows for end in range(60, len(written) + 1)]
    assert rows == sorted(rows)
    assert (rows[-1], read_columns(written).notes) == (4, ())
    assert read_columns(written[:-1]).rows == 3
    assert len(read_columns(written[:-1]).notes) == 1


def test_a_length_that_lies_ends_the_file() -> None:
    """A record of four gigabytes is no packet."""
    data = bytearray(pcap())
    second = 24 + 16 + len(MESSAGES[0])
    data[second + 8 : second + 12] = b"\xff\xff\xff\x7f"
    columns = read_columns(bytes(data))
    assert columns.rows == 1
    assert str(second) in columns.notes[0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"%PDF-1.7\n%\xe2\xe3", "%PDF"),
        (b"\xd4\xc3", "pcap"),
        (b"{}" * 40, "pcap"),
        (gzip.compress(b"hello, hello, hello", mtime=0), "pcap"),
    ],
)
def test_what_is_no_capture_is_refused(content: bytes, said: str, tmp_path: pathlib.Path) -> None:
    """One sentence that names the file and what would have been accepted."""
    path = tmp_path / "some.file"
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read_columns(path)
    assert "some.file" in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_path_and_a_folder(tmp_path: pathlib.Path) -> None:
    """What is not there, and what is no file."""
    with pytest.raises(BadInput, match="nowhere.pcap"):
        open_capture(tmp_path / "nowhere.pcap")
    with pytest.raises(BadInput, match="folder"):
        open_capture(tmp_path)


def test_reading_in_small_windows_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record may straddle any number of windows."""
    whole = mids(pcap())
    for size in (32, 64, 100, 1000):
        monkeypatch.setattr("lwm2m_lab.wire.pcap.WINDOW", size)
        assert mids(pcap()) == whole


def test_tshark_reads_what_we_write(tmp_path: pathlib.Path, tshark: str) -> None:
    """Interfaces, times to the nanosecond, and comments, as Wireshark's own reader has them."""
    path = tmp_path / "ours.pcapng"
    packets = [
        Packet(time, packet, at % 2, f"note {at}")
        for at, (time, packet) in enumerate(zip(TIMES, MESSAGES, strict=True))
    ]
    path.write_bytes(pcapng_bytes(packets, interfaces=[Interface("server"), Interface("device")], comment="by the lab"))
    fields = ["frame.interface_name", "frame.time_epoch", "frame.comment", "coap.mid", "_ws.malformed"]
    command = [tshark, "-r", str(path), "-T", "fields", *(word for field in fields for word in ("-e", field))]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    for at, (line, time) in enumerate(zip(shown, TIMES, strict=True)):
        name, seconds, comment, mid, malformed = line.split("\t")
        assert (name, comment, int(mid), malformed) == (("server", "device")[at % 2], f"note {at}", at, "")
        whole, fraction = seconds.split(".")
        assert int(whole) * SECOND + int(fraction.ljust(9, "0")) == time


@given(st.binary(max_size=300), st.sampled_from([pcap()[:24], section("<") + interface("<"), pcap(">")[:24]]))
def test_any_bytes_behind_a_header_end_in_records_or_notes(tail: bytes, head: bytes) -> None:
    """No content makes the reader raise once the magic is right, and every record lies in the file."""
    reader = RecordReader(io.BytesIO(head + tail), "fuzz")
    for records in reader:
        assert (records.start + records.captured <= len(records.data)).all()


@given(st.data())
def test_flipped_bytes_never_raise(data: st.DataObject) -> None:
    """A capture with any few bytes changed is read, in part or with notes, or refused in one sentence."""
    written = bytearray(
        data.draw(
            st.sampled_from(
                [
                    pcap(),
                    pcapng_bytes(
                        [Packet(at, packet, comment="x") for at, packet in enumerate(MESSAGES)],
                        interfaces=[Interface("server")],
                    ),
                ]
            )
        )
    )
    for _ in range(data.draw(st.integers(1, 6))):
        written[data.draw(st.integers(0, len(written) - 1))] = data.draw(st.integers(0, 255))
    try:
        columns = read_columns(bytes(written))
    except BadInput as error:
        assert "\n" not in str(error)
    else:
        assert 0 <= columns.rows <= 4

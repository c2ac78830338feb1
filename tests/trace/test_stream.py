"""Part by part a capture says what it says as a whole, within a bounded memory."""

from __future__ import annotations

import gzip
import os
import pathlib
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.stream import Stream
from lwm2m_lab.wire import COLUMN_NAMES, Columns, coap, collecting, read_columns, stream_columns
from lwm2m_lab.wire.coap import Message
from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
from tests.wire.dtls_peer import CLIENT, IDENTITY, KEY, DtlsPeer, capture_of
from tests.wire.test_packets import fragments4

DEVICE, SERVER = ("192.0.2.2", 50000), ("192.0.2.1", 5683)


def exchanges(count: int, *, port: int = 5683) -> list[bytes]:
    """Reads of /3/0/3 and their answers, a new token each time."""
    packets = []
    for mid in range(count):
        token = mid.to_bytes(4, "big")
        ask = Message("CON", "0.01", mid % 65536, token, ((11, b"3"), (11, b"0"), (11, b"3")))
        answer = Message("ACK", "2.05", mid % 65536, token, ((12, b""),), b"1.0.0")
        packets += [udp_packet((SERVER[0], port), DEVICE, coap.encode(ask))]
        packets += [udp_packet(DEVICE, (SERVER[0], port), coap.encode(answer))]
    return packets


def file_of(packets: list[bytes]) -> bytes:
    """A pcapng of raw IP packets."""
    return pcapng_bytes([Packet(at, packet) for at, packet in enumerate(packets)], interfaces=[Interface()])


def table(parts: list[Columns]) -> dict[str, list[object]]:
    """All rows of some parts, texts as texts, and the payloads."""
    rows: dict[str, list[object]] = {name: [] for name in (*COLUMN_NAMES, "payload")}
    for part in parts:
        for name in COLUMN_NAMES:
            rows[name] += (part.texts(name) if name in part.categories else part[name]).tolist()
        rows["payload"] += [part.payload(row) for row in range(part.rows)]
    return rows


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts end at window's ends: small ones make many."""
    monkeypatch.setattr("lwm2m_lab.wire.pcap.WINDOW", 2048)


@pytest.mark.usefixtures("small_windows")
def test_the_parts_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every column and payload, also where texts are forgotten on the way."""
    data = file_of(exchanges(300))
    whole = table([read_columns(data)])
    parts = list(stream_columns(data, rows=50))
    assert len(parts) > 5
    assert all(part.rows < 50 + 2048 // 40 for part in parts)
    assert table(parts) == whole
    monkeypatch.setattr(collecting, "MOST_REMEMBERED", 40)
    forgetful = list(stream_columns(data, rows=50))
    assert table(forgetful) == whole
    assert max(len(part.categories["token"]) for part in forgetful) < 150


@pytest.mark.usefixtures("small_windows")
def test_fragments_and_dtls_go_on_across_parts() -> None:
    """A message whose fragments lie in two parts, and a session whose handshake was in an earlier one."""
    (_, answer) = exchanges(1)
    first, *rest = fragments4(answer, 16)
    data = file_of([first, *exchanges(100), *rest])
    parts = [part for part in stream_columns(data, rows=10) if part.rows]
    assert parts[-1].payload(parts[-1].rows - 1) == b"1.0.0"
    assert sum(part.rows for part in parts) == 201
    assert parts[-1].notes == ()
    peer = DtlsPeer().connect()
    for mid in range(60):
        peer.say(CLIENT, coap.encode(Message("CON", "0.01", mid, b"t", ((11, b"3"),))))
    sealed = capture_of(peer.packets)
    opened = list(stream_columns(sealed, rows=10, psk={IDENTITY: KEY}))
    assert len(opened) > 2
    assert table(opened) == table([read_columns(sealed, psk={IDENTITY: KEY})])
    assert opened[-1].encrypted_records == read_columns(sealed, psk={IDENTITY: KEY}).encrypted_records


@pytest.mark.usefixtures("small_windows")
def test_other_ports_are_recognised_in_a_part() -> None:
    """A request with its response in one part makes their flow CoAP."""
    data = file_of(exchanges(100, port=6000))
    assert sum(part.rows for part in stream_columns(data, rows=20)) >= 190


def test_a_stream_prints_its_totals(tmp_path: pathlib.Path) -> None:
    """Before, and after."""
    path = tmp_path / "many.pcapng.gz"
    path.write_bytes(gzip.compress(file_of(exchanges(20))))
    stream = lab.read(path, stream=True)
    assert str(stream) == "many.pcapng.gz: a stream, not read yet; iterate over it"
    (part,) = stream
    assert repr(part) == "part 1: 40 messages, frames 1 to 40"
    assert str(stream).splitlines() == [
        "many.pcapng.gz: 40 CoAP messages in 40 packets, 0.000 s, 1 parts",
        "  20  GET",
        "  20  2.05 Content",
    ]
    assert (stream.messages, stream.packets, stream.codes) == (40, 40, {"0.01": 20, "2.05": 20})


def test_a_part_has_a_message_table() -> None:
    """The same as that of the capture."""
    (part,) = lab.read("anjay-push-256-ok", stream=True)
    pd.testing.assert_frame_equal(part.messages, lab.read("anjay-push-256-ok").messages)


def test_each_iteration_begins_anew() -> None:
    """The totals too."""
    stream = lab.read("anjay-push-256-ok", stream=True)
    assert len(list(stream)) == len(list(stream)) == 1
    assert (stream.messages, stream.complete) == (194, True)


def test_what_is_no_capture_is_said(tmp_path: pathlib.Path) -> None:
    """At the first part; and a part of nothing at once."""
    (tmp_path / "x").write_bytes(b"hello")
    with pytest.raises(BadInput, match="is no capture"):
        list(lab.read(tmp_path / "x", stream=True))
    with pytest.raises(BadInput, match="rows is 0"):
        Stream("x", rows=0)


def test_memory_does_not_grow_with_the_file(tmp_path: pathlib.Path) -> None:
    """Four hundred thousand messages, each with a token and every other with a flow of its own, cost some 60 MiB."""
    path = tmp_path / "large.pcap"
    head = bytes.fromhex("d4c3b2a1020004000000000000000000ffff000065000000")
    record = np.dtype([("seconds", "<u4"), ("ticks", "<u4"), ("captured", "<u4"), ("original", "<u4"),
                       ("packet", "V44")])  # fmt: skip
    packet = udp_packet(DEVICE, SERVER, bytes.fromhex("4801000101020304050607080b") + b"\xff")
    assert len(packet) == 42
    count = 400_000
    rows = np.zeros(count, record)
    rows["captured"] = rows["original"] = len(packet)
    content = rows.view(np.uint8).reshape(count, -1)[:, : 16 + len(packet)].copy()
    content[:, 16:] = np.frombuffer(packet, np.uint8)
    numbers = np.arange(count, dtype=">u4")
    content[:, 16 + 32 : 16 + 36] = numbers.view(np.uint8).reshape(-1, 4)
    content[:, 16 + 20 : 16 + 22] = (numbers // 2 % 60000).astype(">u2").view(np.uint8).reshape(-1, 2)
    path.write_bytes(head + content.tobytes())
    code = (
        "import resource, sys\nfrom lwm2m_lab.trace.stream import Stream\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "before, stream = peak(), Stream(sys.argv[1])\n"
        "for part in stream: pass\n"
        "print(stream.messages, peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, os.fspath(path)], capture_output=True, text=True)
    assert done.stderr == ""
    messages, grown = map(int, done.stdout.split())
    assert messages == count
    assert grown <= 100

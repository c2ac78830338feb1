"""A capture that is followed while it is written says in the end what it says as a whole, and each thing once."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import os
import pathlib
import struct
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lwm2m_lab as lab
from lwm2m_lab.__main__ import main
from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.findings import Finding
from lwm2m_lab.trace.follow import Follower
from lwm2m_lab.trace.news import News
from lwm2m_lab.trace.samples import SAMPLES, path_of
from lwm2m_lab.wire import coap
from lwm2m_lab.wire.coap import Message
from lwm2m_lab.wire.growing import records
from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
from tests.peers import Session
from tests.trace.triggers import TRIGGERS

NAMES = [one.name for one in SAMPLES]


class Writer:
    """Writes a file slice by slice: once whenever somebody would wait."""

    def __init__(self, path: pathlib.Path, slices: Iterable[bytes]) -> None:
        self.path, self.slices, self.waits = path, iter(slices), 0
        path.write_bytes(b"")

    def __call__(self, seconds: float) -> None:
        self.waits += 1
        with self.path.open("ab") as out:
            out.write(next(self.slices, b""))


def cut(data: bytes, places: Iterable[int]) -> Iterator[bytes]:
    """The slices between these places."""
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return (data[begin:end] for begin, end in itertools.pairwise(bounds))


def packet_by_packet(data: bytes) -> Iterator[bytes]:
    """A slice a packet."""
    return cut(data, [end for _, end, _ in records(data)])


def held(news: Sequence[News]) -> list[tuple[int, str, str, str]]:
    """The findings that were told and not taken back, at last."""
    found: dict[int, list[Finding]] = {}
    for one in news:
        if one.finding is None:
            continue
        mine = found.setdefault(one.begins, [])
        if one.kind == "withdrawn" or one.sentence.startswith("now "):
            # What is said anew takes the place of the one of the same rule.
            mine.remove(one.finding if one.kind == "withdrawn" else next(x for x in mine if x.rule == one.finding.rule))
        if one.kind == "finding":
            mine.append(one.finding)
    return sorted((begins, x.rule, x.verdict, x.sentence) for begins, mine in found.items() for x in mine)


def check_same(follower: Follower, news: Sequence[News], path: pathlib.Path) -> None:
    """What is known at the end is what the whole file says, and what was told adds up to it."""
    whole = lab.read(path).explain()
    assert follower.explain().to_dict(all_findings=True) == {
        **whole.to_dict(all_findings=True), "file": follower.capture.name,
    }  # fmt: skip
    assert held(news) == sorted((one.begins, one.rule, one.verdict, one.sentence) for one in whole.problems)
    outcomes: dict[int, str] = {}
    for one in news:
        if one.kind == "ended" and one.update is not None:
            outcomes[one.begins] = one.update["outcome"]
    assert outcomes == {update.frames[0]: update.outcome for update in whole.updates}
    assert follower.passes == (bool(whole.updates) and bool(lab.read(path).check()))


# ---------------------------------------------------------------- the same in the end


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=5, deadline=None)
@given(places=st.lists(st.integers(0, 10**6), max_size=6))
def test_slices_of_any_size_say_the_same(name: str, places: list[int]) -> None:
    """All samples, cut anywhere."""
    data = path_of(name).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "live.pcap")
        with lab.follow(path_written := _begun(path), idle=1, wait=Writer(path_written, cut(data, places))) as follower:
            news = [*follower]
        check_same(follower, news, path)
        assert follower.packets == lab.read(path).columns.packets


def _begun(path: pathlib.Path) -> pathlib.Path:
    path.write_bytes(b"")
    return path


@pytest.mark.parametrize("name", ["anjay-push-delayed-failure", "anjay-push-256-ok", "anjay-push-link-cut-midway"])
def test_packet_by_packet_each_thing_is_told_once(name: str, tmp_path: pathlib.Path) -> None:
    """As it happens: no line comes twice, and none is taken back."""
    path = _begun(tmp_path / "live.pcap")
    with lab.follow(path, idle=1, wait=Writer(path, packet_by_packet(path_of(name).read_bytes()))) as follower:
        news = [*follower]
    check_same(follower, news, path)
    assert len({str(one) for one in news}) == len(news)
    assert [one for one in news if one.kind == "withdrawn"] == []


SCRIPTS = sorted({one.script for one in TRIGGERS.values()})


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_triggers_each_rule(script: str, tmp_path: pathlib.Path) -> None:
    """A few packets at a time: what was told adds up, whatever had to be taken back on the way."""
    session = Session(script)
    data = pcapng_bytes(session.packets, interfaces=[Interface()])
    path = _begun(tmp_path / "live.pcapng")
    pieces = cut(data, [end for _, end, _ in records(data)][:: max(len(session.packets) // 4, 1)])
    with lab.follow(path, idle=1, wait=Writer(path, pieces)) as follower:
        news = [*follower]
    check_same(follower, news, path)


# ---------------------------------------------------------------- a bounded memory


def later(data: bytes, seconds: float) -> list[bytes]:
    """The packet blocks of a capture of the lab's, so much later."""
    moved = []
    for begin, end, is_packet in records(data):
        if is_packet:
            high, low = struct.unpack_from("<II", data, begin + 12)
            ticks = (high << 32 | low) + int(seconds * 1e9)
            moved.append(
                data[begin : begin + 12] + struct.pack("<II", ticks >> 32, ticks & 0xFFFFFFFF) + data[begin + 20 : end]
            )
    return moved


@functools.cache
def one_after_another() -> bytes:
    """Fourteen devices at one address, one after the other, each updated once; one of them lies about its version."""
    devices = [lab.DeviceOptions(endpoint=f"urn:dev:{number}") for number in range(14)]
    devices[3] = dataclasses.replace(devices[3], faults=("keeps-firmware-version",))
    devices[8] = dataclasses.replace(devices[8], install_fails=True)
    runs = [lab.push(size=5_000, block_size=256, device=one, seed=at)._data for at, one in enumerate(devices)]
    assert all(isinstance(run, bytes) for run in runs)
    first = runs[0]
    head = next(begin for begin, _, is_packet in records(first) if is_packet)
    return first[:head] + b"".join(packet for at, run in enumerate(runs) for packet in later(run, 1000.0 * at))


@pytest.mark.parametrize("slices", [1, 40])
def test_what_is_over_is_let_go(slices: int, tmp_path: pathlib.Path) -> None:
    """Far less is kept than there is; each update is told as the whole capture has it, with its frames."""
    data, path = one_after_another(), tmp_path / "live.pcapng"
    places = range(0, len(data), len(data) // slices)
    with lab.follow(_begun(path), idle=1, packets=150, wait=Writer(path, cut(data, places))) as follower:
        news, kept = [], []
        for one in follower:
            news.append(one)
            kept.append(follower.capture.columns.packets)
    whole = lab.read(path).explain()
    assert follower.forgotten > 0.7 * follower.packets
    assert follower.outcomes == Counter(one.outcome for one in whole.updates) == {"succeeded": 13, "failed": 1}
    assert follower.failing_rules == Counter(one.rule for one in whole.findings if one.verdict == "FAIL")
    assert set(follower.failing_rules) != set()
    ended = {one.begins: (one.endpoint, one.update and one.update["outcome"]) for one in news if one.kind == "ended"}
    assert ended == {one.frames[0]: (one.endpoint, one.outcome) for one in whole.updates}
    values = [(one.frame, one.endpoint, one.sentence) for one in news if one.kind == "value"]
    with lab.follow(path, idle=0) as everything:
        assert values == [(one.frame, one.endpoint, one.sentence) for one in everything if one.kind == "value"]
    assert [one for one in news if one.kind in ("note", "withdrawn")] == []
    if slices > 1:
        assert max(kept) <= 150 + 120


def test_more_open_updates_than_can_be_kept(tmp_path: pathlib.Path) -> None:
    """All at once and none at its end: those silent longest are let go, that is said, and memory stays bounded."""
    packets = [
        Packet(
            number * 10**6 + at * 10**9, udp_packet(("192.0.2.1", 5683), (f"192.0.3.{number + 1}", 50000), block(at))
        )
        for at in range(20)
        for number in range(14)
    ]
    path = _begun(tmp_path / "live.pcapng")
    pieces = packet_by_packet(pcapng_bytes(packets, interfaces=[Interface()]))
    kept = []
    with lab.follow(path, idle=1, packets=100, wait=Writer(path, pieces)) as follower:
        news = []
        for one in follower:
            news.append(one)
            kept.append(follower.capture.columns.packets)
    assert max(kept) <= 100
    notes = [one.sentence for one in news if one.kind == "note"]
    assert notes[0].startswith("open updates are let go, those of the devices that were silent longest: more than 100 ")
    assert notes[-1].endswith("more than 100 packets are not kept")
    assert len(notes) == 2
    assert set(follower.outcomes) == {"unfinished"}
    assert not follower.passes


def block(number: int) -> bytes:
    """A block of a package that nobody answers."""
    options = ((11, b"5"), (11, b"0"), (11, b"0"), (12, b"\x2a"), (27, struct.pack(">H", number << 4 | 0x8 | 2)))
    return coap.encode(Message("CON", "0.03", number, b"t", options, bytes(64)))


# ---------------------------------------------------------------- how it ends, and what it refuses


def ready(tmp_path: pathlib.Path, name: str = "anjay-push-badcrc") -> pathlib.Path:
    """A copy of a sample."""
    path = tmp_path / "live.pcap"
    path.write_bytes(path_of(name).read_bytes())
    return path


def test_a_half_written_packet_is_waited_for(tmp_path: pathlib.Path) -> None:
    """It is told in the end where it never came whole; nobody waits more often than the time that was given."""
    path, waits = ready(tmp_path), []
    with path.open("ab") as out:
        out.write(path.read_bytes()[24:50])
    with lab.follow(path, idle=3, poll=0.5, wait=waits.append) as follower:
        news = [*follower]
    assert waits == [0.5] * 6
    assert follower.ended == "3 s without growth"
    assert [one.sentence for one in news if one.kind == "note"] == ["the last 26 bytes are no whole packet"]


def test_growth_begins_the_wait_anew(tmp_path: pathlib.Path) -> None:
    """Something comes at every second look: a silence shorter than `idle` ends nothing."""
    path = _begun(tmp_path / "live.pcap")
    data = path_of("anjay-push-256-ok").read_bytes()
    pieces = [piece for one in cut(data, range(0, len(data), 5000)) for piece in (b"", one)]
    writer = Writer(path, pieces)
    with lab.follow(path, idle=1, wait=writer) as follower:
        assert "succeeded" in {one.update["outcome"] for one in follower if one.update is not None}
    assert follower.packets == 194
    assert writer.waits == len(pieces) + 2


def test_ctrl_c_while_it_waits(tmp_path: pathlib.Path) -> None:
    """It ends, and what is left to say is said."""

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    with lab.follow(ready(tmp_path, "coaps-pull-rest"), wait=interrupted) as follower:
        news = [*follower]
    assert follower.ended == "an interrupt"
    assert [one.update["outcome"] for one in news if one.kind == "ended" and one.update] == ["unfinished"]


def test_close_ends_a_wait(tmp_path: pathlib.Path) -> None:
    """From another thread, while it waits by the real clock."""
    follower = lab.follow(ready(tmp_path), poll=60)
    threading.Timer(0.2, follower.close).start()
    assert len([*follower]) > 3
    assert follower.ended == "being closed"


def test_closed_before_anything_came(tmp_path: pathlib.Path) -> None:
    """Nothing to say, and nothing to explain."""
    follower = lab.follow(_begun(tmp_path / "live.pcap"))
    follower.close()
    assert [*follower] == []
    assert not follower.passes
    with pytest.raises(BadInput, match="has not been read yet; iterate over it first"):
        follower.explain()


def _cut(path: pathlib.Path) -> None:
    with path.open("r+b") as file:
        file.truncate(1000)


def _replaced(path: pathlib.Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes() * 2)
    other.replace(path)


def _begun_anew(path: pathlib.Path) -> None:
    path.write_bytes(path_of("anjay-push-256-ok").read_bytes()[:24][::-1] + bytes(60_000))


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (_cut, r"was cut to 1000 bytes, of which 25272 had been read after frame 71; .* has to be followed anew"),
        (_replaced, "was replaced by another file after frame 71"),
        (pathlib.Path.unlink, "was removed after frame 71"),
        (_begun_anew, "was begun anew after frame 71"),
    ],
)  # fmt: skip
def test_another_file_in_its_place(what: Callable[[pathlib.Path], None], words: str, tmp_path: pathlib.Path) -> None:
    """All that was seen is told first, then the sentence."""
    path = ready(tmp_path)
    follower = lab.follow(path, idle=9, wait=lambda seconds: what(path))
    news = []
    with pytest.raises(BadInput, match=words):
        news.extend(follower)
    assert follower.outcomes == {"failed": 1}


def test_damage_in_the_midst(tmp_path: pathlib.Path) -> None:
    """A note, as for a file that is read whole."""
    path = ready(tmp_path)
    with path.open("ab") as out:
        out.write(b"\xff" * 64)
    with lab.follow(path, idle=9, wait=lambda seconds: pytest.fail("nothing more can come")) as follower:
        news = [*follower]
    assert news[-1].kind == "note"
    assert news[-1].sentence.startswith(
        "the file is damaged after frame 71: a packet of the capture has 4294967295 bytes"
    )
    assert follower.outcomes == {"failed": 1}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x1f\x8b\x08" + bytes(30), r"is compressed \(gzip\); a plain pcap or pcapng is expected"),
        (b"\x28\xb5\x2f\xfd" + bytes(30), r"is compressed \(zstd\)"),
        (b"no capture at all", "begins with 6e6f2063; the header of pcap or pcapng is expected"),
        (b"", "is empty; a pcap or pcapng file is expected"),
        (None, r"cannot be followed \(No such file or directory\); a pcap or pcapng file is expected"),
    ],
)  # fmt: skip
def test_what_is_no_capture_is_refused(content: bytes | None, words: str, tmp_path: pathlib.Path) -> None:
    """In one sentence."""
    path = tmp_path / "x.pcap"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=words):
        [*lab.follow(path, idle=0)]


@pytest.mark.parametrize("wrong", [{"idle": -1}, {"poll": 0}, {"packets": 1}, {"idle": float("nan")}])
def test_options_out_of_range(wrong: dict[str, Any], tmp_path: pathlib.Path) -> None:
    """Also what is no number."""
    with pytest.raises(BadInput, match="or more is expected"):
        lab.follow(ready(tmp_path), **wrong)


# ---------------------------------------------------------------- the command


def test_a_pipe(tmp_path: pathlib.Path) -> None:
    """Its end is the end; a writer that pauses is waited for."""
    reading, writing = os.pipe()
    data = path_of("anjay-push-256-ok").read_bytes()
    pieces = cut(data, [30, 9_999, 20_000])

    def write(seconds: float) -> None:
        piece = next(pieces, None)
        os.close(writing) if piece is None else os.write(writing, piece)

    with os.fdopen(reading, "rb") as stream, lab.follow(stream, wait=write) as follower:
        assert "ended" in {one.kind for one in follower}
    assert follower.ended == "the end of the stream"
    assert follower.passes


@pytest.mark.parametrize(("name", "status"), [("anjay-push-256-ok", 0), ("anjay-push-badcrc", 1)])
def test_the_command(name: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines as they appear; the status of `check`."""
    path = str(path_of(name))
    assert main(["follow", path, "--idle", "0"]) == status == main(["check", path])
    out, err = capsys.readouterr()
    assert "urn:dev:anjay-1: an update began: push, Write to /5/0/0" in out
    assert "ended by 0 s without growth" in err
    assert main(["follow", path, "--idle", "0", "--json"]) == status
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"kind", "seconds", "frame", "endpoint", "sentence", "begins", "finding", "update"} == set(lines[0])
    assert [one["update"]["outcome"] for one in lines if one["kind"] == "ended"] == [
        "succeeded" if status == 0 else "failed"
    ]


def test_the_command_refuses(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad input is status 2."""
    path = tmp_path / "x.pcap.gz"
    path.write_bytes(b"\x1f\x8b" + bytes(30))
    assert main(["follow", str(path)]) == 2
    assert "compressed" in capsys.readouterr().err

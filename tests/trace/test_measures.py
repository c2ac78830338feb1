"""Measures against the truth: simulated links tell what was lost, how long everything takes, and what it should."""

from __future__ import annotations

import math
import pathlib
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.bound import PathModel, fit_path, lower_bound
from lwm2m_lab.trace.measures import Measures
from lwm2m_lab.trace.samples import path_of
from lwm2m_lab.trace.timing import wire_bytes
from lwm2m_lab.wire.coap import Block, Message
from tests import peers


def truth(run: Any, delay: float) -> tuple[int, int, float]:
    """Needed and spurious copies of the blocks of a push, and the seconds waited for the needed ones.

    Both sides are in one file, and a comment says what was lost: a copy was for nothing if an answer to an earlier one
    was on its way and arrived.
    """
    both = lab.Capture.from_bytes(run.pcapng(side="both"), name="both", interface=None)
    server = lab.Capture.from_bytes(run.pcapng(side="both"), name="server", interface="server")
    device = lab.Capture.from_bytes(run.pcapng(side="both"), name="device", interface="device")
    assert both.columns.interface == "server"
    sent, answered = defaultdict(list), defaultdict(list)
    messages = server.messages
    for row in messages[(messages["uri_path"] == "/5/0/0") & (messages["block1_num"].notna())].itertuples():
        sent[row.mid].append(row.time)
    messages = device.messages
    for row in messages[(messages["type"] == "ACK") & messages["block1_num"].notna()].itertuples():
        if "lost" not in device.comments.get(row.frame, ""):
            answered[row.mid].append(row.time)
    needed, spurious, waited = 0, 0, 0.0
    for mid, times in sent.items():
        last = times[0]
        for time in times[1:]:
            if any(answer < time + delay - 1e-6 for answer in answered[mid]):
                spurious += 1
            else:
                needed, last = needed + 1, time
        waited += last - times[0]
    return needed, spurious, waited


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("delay", "loss"), [(0.05, 0.2), (0.9, 0.15), (1.3, 0.1), (2.0, 0.0)])
def test_copies_needed_and_spurious_are_the_truth(seed: int, delay: float, loss: float) -> None:
    """Also where the round trip is longer than the time-out, so that every block is sent again for nothing."""
    run = lab.push(size=9000, seed=seed, link=lab.Link(delay=delay, loss=loss))
    needed, spurious, waited = truth(run, delay)
    found = run.update().measures()
    assert (found.needed, found.spurious) == (needed, spurious)
    assert found.lost.retransmission_s == pytest.approx(waited, abs=1e-6)
    assert found.retransmissions == needed + spurious


def test_seen_from_the_device_the_same_copies_were_needed() -> None:
    """Copies whose answer was lost on the way back arrive twice; a request that was lost never arrives."""
    run = lab.push(size=9000, seed=2, link=lab.Link(loss={"up": 0.25, "down": 0.0}))
    far, near = run.update().measures(), run.device_side().update().measures()
    assert far.needed == near.needed > 0
    assert near.spurious == far.spurious == 0
    assert near.lost.retransmission_s == pytest.approx(far.lost.retransmission_s, abs=1e-6)


@pytest.mark.parametrize("way", ["push", "pull"])
@pytest.mark.parametrize(
    "link", [lab.Link(), lab.Link(rate=20e3), lab.Link.nb_iot(), lab.Link.lte_m(), lab.Link.ieee802154()], ids=str
)
def test_a_clean_transfer_is_its_own_bound(way: str, link: Any) -> None:
    """The path is measured as it is, and nothing is lost, from either side of the link.

    How a round trip divides into two rates shows only where sizes vary in both directions: a few per cent are open.
    """
    run = getattr(lab, way)(size=20_000, link=link)
    for capture in (run, run.device_side()):
        found = capture.update().measures()
        assert found.factor == pytest.approx(1.0, abs=5e-3)
        assert sum((found.lost.retransmission_s, found.lost.sender_s, found.lost.receiver_s)) == 0
        assert found.path.rtt0_s == pytest.approx(link.path("up").delay + link.path("down").delay, rel=0.02)
        for measured, true in (
            (found.path.down_bps, link.path("down").rate),
            (found.path.up_bps, link.path("up").rate),
        ):
            assert math.isinf(measured) or measured == pytest.approx(true, rel=0.05)


def test_the_bound_is_the_formulas() -> None:
    """A given path instead of the measured one: the seconds of `lower_bound` over it."""
    run = lab.push(size=20_000, link=lab.Link(loss=0.1), seed=4)
    path = PathModel(rtt0_s=1.5, down_bps=20e3, up_bps=30e3)
    found = run.update().measures(rtt0_s=1.5, down_bps=20e3, up_bps=30e3)
    length = len(bytes.fromhex(run.exchanges[run.exchanges["block1_num"].notna()]["token"].iloc[0]))
    assert found.bound_s == pytest.approx(lower_bound(20_000, path=path, token_length=length), rel=0.01)
    assert found.path == path


@pytest.mark.parametrize(
    ("rtt0", "down", "up", "at_512", "at_1024"),
    [
        (0.3, 25.5e3, 62.5e3, 194, 129),
        (1.5, 20e3, 30e3, 687, 384),
        (4.0, 5e3, 5e3, 1980, 1153),
        (0.15, 300e3, 375e3, 65, 35),
        (0.05, 100e3, 100e3, 40, 28),
        (0.02, 10e6, 10e6, 8, 4),
    ],
)
def test_published_lower_bounds(rtt0: float, down: float, up: float, at_512: int, at_1024: int) -> None:
    """200 000 bytes with DTLS (CCM_8) over IPv4, as they were computed elsewhere; the last block is not a whole one."""
    path = PathModel(rtt0_s=rtt0, down_bps=down, up_bps=up)
    for block_size, seconds in ((512, at_512), (1024, at_1024)):
        assert lower_bound(200_000, block_size=block_size, path=path, dtls=29) == pytest.approx(seconds, abs=1.1)


def test_pauses_have_their_causes(ready: Any, image: bytes) -> None:
    """A first block that takes long, a sender that waits, a receiver that waits: each in its own place."""
    for at in range(8):
        if at == 4:
            ready.wait(3)
        frame = ready.exchange(
            "0.03", "/5/0/0", "2.31", payload=bytes(64), content_format=42, block1=Block(at, True, 2)
        )
        for late, which in ((1.5, 0), (2.5, 6)):
            if at == which:
                answer = ready.packets.pop()
                ready.packets.append(type(answer)(answer.time_ns + round(late * 1e9), answer.data))
                ready.wait(late)
    assert frame > 0
    lost = ready.capture().update().measures().lost
    assert lost.first_block_s == pytest.approx(1.5, abs=0.01)
    assert lost.sender_s == pytest.approx(3.0, abs=0.01)
    assert lost.receiver_s == pytest.approx(2.5, abs=0.01)
    assert lost.retransmission_s == 0


@pytest.mark.parametrize("seed", range(4))
def test_the_pieces_make_the_whole(seed: int) -> None:
    """Whatever the link does, the causes add up to the duration, and nothing is quicker than its bound."""
    link = lab.Link(delay=0.3, jitter=0.4, loss=0.1, duplication=0.2, reordering=0.1, rate=30e3)
    for run in (lab.push(size=9000, seed=seed, link=link), lab.pull(size=9000, seed=seed, link=link)):
        found = run.update().measures()
        lost = found.lost
        pieces = (lost.retransmission_s, lost.first_block_s, lost.sender_s, lost.receiver_s, lost.path_s)
        assert min(pieces) >= 0
        assert sum(pieces) == pytest.approx(found.duration_s, abs=1e-9)
        assert found.bound_s <= found.duration_s + 1e-9
        assert found.goodput_bytes_s * found.duration_s == pytest.approx(9000)


def test_bytes_on_the_wire_are_the_packets(shared: pathlib.Path) -> None:
    """IP packets of the blocks and their answers, as the file has them (Ethernet: 14 bytes more)."""
    capture = lab.read(shared / "captures" / "wakaama" / "wakaama-push-lossy-80ms-7pct.pcap")
    messages = capture.messages
    mids = messages[messages["uri_path"].eq("/5/0/0") & messages["block1_num"].notna()]["mid"]
    lengths = capture.columns.lengths[messages["mid"].isin(mids).to_numpy()]
    assert int((lengths + 28).sum()) == capture.update().measures().wire_bytes


def test_dtls_counts_on_the_wire(shared: pathlib.Path) -> None:
    """What DTLS adds is the difference to the records in the file; a record with a Connection ID may be padded."""
    for name, padding in (("anjay-dtls-psk-push-ok", 0), ("anjay-dtls-psk-cid-push-ok", 15)):
        path = shared / "captures" / "anjay" / f"{name}.pcap"
        capture = lab.read(path, psk={"h1-device-identity": "00112233445566778899aabbccddeeff"})
        frames = dict(zip(capture.columns["frame"].tolist(), wire_bytes(capture.columns).tolist(), strict=True))
        assert len(frames) > 50
        data, at, number = path.read_bytes(), 24, 0
        while at < len(data):
            number += 1
            length = int.from_bytes(data[at + 12 : at + 16], "little")
            if number in frames:
                ip = data[at + 16 :].index(b"\x45\x00")
                assert 0 <= int.from_bytes(data[at + 18 + ip : at + 20 + ip], "big") - frames[number] <= padding
            at += 16 + length


def test_real_captures_have_sober_measures(shared: pathlib.Path) -> None:
    """No transfer is quicker than its bound, and pieces are never negative."""
    for path in sorted(shared.glob("captures/*/*.pcap")):
        table = lab.read(path).measures
        assert (table["bound_s"] <= table["duration_s"] * (1 + 1e-9)).all(), path.name
        assert (table.filter(like="lost_") >= 0).all(axis=None)
        assert table["payload_bytes"].gt(0).all()
        assert (table["needed"] + table["spurious"] == table["retransmissions"]).all()


def test_the_table_has_a_row_for_each_transfer() -> None:
    """The same numbers as those of the update; none where there is no transfer."""
    run = lab.push(size=20_000, link=lab.Link(loss=0.1), seed=4)
    (row,) = run.measures.to_dict("records")
    found = run.update().measures()
    assert row["duration_s"] == found.duration_s
    assert row["lost_retransmission_s"] == found.lost.retransmission_s
    assert len(lab.read("anjay-dtls-psk").measures) == 0


def test_nothing_to_measure(ready: Any) -> None:
    """A Package URI of another protocol leads nowhere that CoAP shows."""
    ready.exchange("0.03", "/5/0/1", "2.04", payload=b"http://example.com/fw", content_format=0)
    with pytest.raises(BadInput, match="a push by CoAP, or a pull by CoAP or HTTP, is expected"):
        ready.capture().update().measures()


def test_noise_has_no_rate() -> None:
    """Times that sizes do not explain give a round trip alone; a path that cannot be is refused."""
    down = np.array([50.0, 1000.0, 1000.0])
    assert math.isinf(fit_path(down, down * 0, np.array([0.3, 0.1, 0.2])).down_bps)
    for wrong in ({"rtt0_s": -1.0}, {"rtt0_s": 1.0, "down_bps": 0.0}, {"rtt0_s": math.nan}):
        with pytest.raises(BadInput, match="expected"):
            PathModel(**wrong)
    with pytest.raises(BadInput, match="16 to 1024 are expected"):
        lower_bound(0, path=PathModel(rtt0_s=1))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8000), st.integers(0, 255)), max_size=60), st.integers(0, 3))
def test_no_capture_is_too_damaged(changes: list[tuple[int, int]], which: int) -> None:
    """Bytes changed anywhere: every count, measure and comparison comes to an end, and adds up."""
    names = ("anjay-push-256-ok", "anjay-pull-coap-404", "anjay-push-badcrc", "anjay-push-delayed-failure")
    data = bytearray(path_of(names[which]).read_bytes()[:9000])
    for at, value in changes:
        data[24 + at % (len(data) - 24)] = value
    capture = lab.Capture.from_bytes(bytes(data), name="damaged")
    table = capture.measures
    assert (table["needed"] + table["spurious"] == table["retransmissions"]).all()
    for update in capture._updates:
        assert update.cost(nat_timeout_s=1, psm=1, edrx=1).total_bytes >= 0
    assert str(capture.triage()).startswith("damaged")
    assert lab.compare(capture, capture).same


def test_an_acknowledgement_with_a_request_in_it_answers_nothing(ready: Any) -> None:
    """Against the rules, but seen in the field."""
    ready.say(peers.SERVER, ready.device, Message("ACK", "0.01", 7, b"\1", ((11, b"5"),)))
    timing = ready.capture()._timing
    assert timing["answers"][-1] == 0


def test_it_reads_as_one_line_says() -> None:
    """Duration, bound, factor, causes."""
    found: Measures = lab.push(size=20_000, link=lab.Link(loss=0.1), seed=4).update().measures()
    assert str(found).startswith(
        "push to urn:dev:lab-1 of 20000 bytes in 20 blocks: took 16.129 s, bound 2.000 s, x8.1;"
    )
    assert "lost: retransmission 14.129 s" in str(found)
    assert "urn:dev:lab-1" in found._repr_html_()

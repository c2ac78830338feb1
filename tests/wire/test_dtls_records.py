"""The records of a file as an observer without a key sees them."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lwm2m_lab as lab
from lwm2m_lab.trace.samples import path_of
from lwm2m_lab.wire.dtls_records import dtls_records
from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes

CID = bytes.fromhex("c1d0000000000009")


def in_file(payload: bytes) -> bytes:
    """One datagram as a file."""
    packet = udp_packet(("192.0.2.2", 40000), ("192.0.2.1", 5684), payload)
    return pcapng_bytes([Packet(0, packet)], interfaces=[Interface()])


@pytest.mark.parametrize("name", ["anjay-dtls-psk", "coaps-pull-rest"])
def test_the_records_are_tsharks(name: str, tshark: str) -> None:
    """Frame, epoch and sequence number of every record."""
    fields = ["-T", "fields", "-E", "occurrence=a"]
    for field in ("frame.number", "dtls.record.epoch", "dtls.record.sequence_number"):
        fields += ["-e", field]
    shown = subprocess.run(
        [tshark, "-r", str(path_of(name)), "-Y", "dtls", *fields], capture_output=True, text=True, check=True
    ).stdout
    theirs = []
    for line in shown.splitlines():
        frame, epochs, numbers = line.split("\t")
        theirs += [(int(frame), int(e), int(n)) for e, n in zip(epochs.split(","), numbers.split(","), strict=True)]
    ours = [(one.frame, one.epoch, one.sequence) for one in dtls_records(path_of(name))]
    assert ours == theirs


def test_a_connection_id_is_found_by_what_was_agreed() -> None:
    """Towards the repository every record under keys has it; without knowing it nothing breaks."""
    table = lab.read("coaps-pull-rest-cid").dtls_records
    under_keys = table[(table["epoch"] == 1) & table["dst"].str.endswith(":5684")]
    assert set(under_keys["cid"]) == {CID.hex()}
    assert under_keys["sequence"].tolist() == list(range(len(under_keys)))
    blind = list(dtls_records(path_of("coaps-pull-rest-cid")))
    assert {one.cid for one in blind} == {""}


def test_a_device_that_goes_on_from_another_port() -> None:
    """The same epoch, the next sequence number."""
    table = lab.read("coaps-pull-rest").dtls_records
    own = table[(table["kind"] == "ApplicationData") & table["src"].str.startswith("192.0.2.2:")]
    moved = own[own["src"] == "192.0.2.2:52344"].iloc[0]
    before = own[own["src"] == "192.0.2.2:40001"].iloc[-1]
    assert (moved["epoch"], moved["sequence"]) == (before["epoch"], before["sequence"] + 1)


@given(st.binary(max_size=80), st.sampled_from([20, 21, 22, 23, 25]))
def test_any_bytes_end(noise: bytes, kind: int) -> None:
    """Lengths that lie, cut headers: every record lies in its datagram."""
    payload = bytes([kind]) + b"\xfe\xfd" + noise
    found = list(dtls_records(in_file(payload), cids=(CID, b"")))
    assert sum(one.length for one in found) <= len(payload)
    assert len(found) <= len(payload)

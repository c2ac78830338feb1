"""The chains followed in lock-step find what a plain loop finds, whatever the packets hold."""

from __future__ import annotations

import io
import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m_lab.wire import chain
from lwm2m_lab.wire.chain import LONGEST_RECORD, Chain, follow
from lwm2m_lab.wire.window import Window


def pcap_chain(order: str, mark: bytes) -> Chain:
    """The records of a classic pcap, the mark in the upper half of the seconds."""
    return Chain(order, length_at=8, header=16, uncounted=16, step=1, mark=mark, mark_at=2 if order == "<" else 0)


def block_chain(order: str) -> Chain:
    """The blocks of a pcapng."""
    return Chain(order, length_at=4, header=12, uncounted=0, step=4, mark=struct.pack(order + "I", 6), mark_at=0)


def record(order: str, payload: bytes, seconds: int = 1_700_000_000) -> bytes:
    """One record of a classic pcap."""
    return struct.pack(order + "IIII", seconds, 7, len(payload), len(payload)) + payload


def block(order: str, payload: bytes) -> bytes:
    """One packet block of a pcapng."""
    payload += bytes(-len(payload) % 4)
    length = 32 + len(payload)
    head = struct.pack(order + "IIIIIII", 6, length, 0, 0, 0, len(payload), len(payload))
    return head + payload + struct.pack(order + "I", length)


def loop(data: bytes, kind: Chain) -> tuple[list[int], int, int | None]:
    """What `follow` says, found by the loop that everybody would write."""
    offsets: list[int] = []
    at = 0
    while at + kind.header <= len(data):
        (length,) = struct.unpack_from(kind.order + "I", data, at + kind.length_at)
        if length > LONGEST_RECORD or length + kind.uncounted < kind.header or length % kind.step:
            return offsets, at, length
        if at + length + kind.uncounted > len(data):
            break
        offsets.append(at)
        at += length + kind.uncounted
    return offsets, at, None


def assert_followed(data: bytes, kind: Chain) -> None:
    """Both ways find the same records, the same end and the same lie."""
    window = Window(io.BytesIO(data))
    window.fill(len(data) + 1)
    offsets, used, lies = follow(window, kind)
    assert (offsets.tolist(), used, lies) == loop(data, kind)


@pytest.fixture(autouse=True)
def _lock_step_from_the_first_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small captures too are followed from many guesses."""
    monkeypatch.setattr(chain, "LEAST", 1)
    monkeypatch.setattr(chain, "CHAINS", 20)


PAYLOADS = st.lists(
    st.binary(max_size=40)
    | st.integers(0, 90).map(bytes)
    # A capture carried in a capture: records that look right and are none.
    | st.lists(st.integers(0, 60), max_size=6).map(lambda sizes: b"".join(record("<", bytes(size)) for size in sizes))
    | st.lists(st.integers(0, 60), max_size=6).map(lambda sizes: b"".join(block("<", bytes(size)) for size in sizes))
    | st.just(struct.pack("<I", 6) * 12),
    max_size=120,
)


@settings(max_examples=150, deadline=None)
@given(PAYLOADS, st.sampled_from("<>"), st.integers(0, 40))
def test_pcap_records(payloads: list[bytes], order: str, cut: int) -> None:
    """Classic records with captures inside, cut anywhere near the end."""
    data = b"".join(record(order, payload) for payload in payloads)
    data = data[: len(data) - cut] if cut else data
    mark = struct.pack(order + "I", 1_700_000_000)[2:] if order == "<" else struct.pack(">I", 1_700_000_000)[:2]
    assert_followed(data, pcap_chain(order, mark))


@settings(max_examples=150, deadline=None)
@given(PAYLOADS, st.sampled_from("<>"), st.integers(0, 40))
def test_pcapng_blocks(payloads: list[bytes], order: str, cut: int) -> None:
    """Blocks with captures inside, cut anywhere near the end."""
    data = b"".join(block(order, payload) for payload in payloads)
    assert_followed(data[: len(data) - cut] if cut else data, block_chain(order))


@settings(max_examples=150, deadline=None)
@given(PAYLOADS, st.sampled_from("<>"), st.data())
def test_lengths_that_lie(payloads: list[bytes], order: str, data: st.DataObject) -> None:
    """A few words overwritten with anything, nothing and everything: the chain ends where the loop's does."""
    for write, kind in ((record, pcap_chain(order, b"\x53\x65")), (block, block_chain(order))):
        written = bytearray(b"".join(write(order, payload) for payload in payloads))
        for _ in range(data.draw(st.integers(1, 3)) if len(written) > 4 else 0):
            at = data.draw(st.integers(0, len(written) - 4))
            word = data.draw(st.sampled_from([0, 1, 8, 13, 0xFFFFFFFF, LONGEST_RECORD]) | st.integers(0, 2000))
            struct.pack_into(order + "I", written, at, word)
        assert_followed(bytes(written), kind)


def test_a_mark_that_is_everywhere() -> None:
    """Seconds of 0 stand in every header and payload of zeros: hundreds of wrong guesses, and nothing lost."""
    data = b"".join(record("<", bytes(size % 300), seconds=0) for size in range(2000))
    assert_followed(data, pcap_chain("<", b"\0\0"))


@pytest.mark.parametrize("seed", range(3))
def test_a_whole_window_with_captures_inside(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte in the ordinary size of things."""
    monkeypatch.undo()
    r = random.Random(seed)
    inner = [b"".join(record("<", r.randbytes(r.randrange(200))) for _ in range(r.randrange(8))) for _ in range(1500)]
    data = b"".join(record("<", r.choice([r.randbytes(r.randrange(600)), one])) for one in inner)
    assert len(data) > chain.LEAST
    assert_followed(data, pcap_chain("<", struct.pack("<I", 1_700_000_000)[2:]))
    assert np.all(np.diff(loop(data, pcap_chain("<", b""))[0]) >= 16)

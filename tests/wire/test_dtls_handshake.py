"""Handshake messages out of fragments, and what a hello says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lwm2m_lab.wire.dtls_handshake import LONGEST_MESSAGE, MOST_PARTIAL, Assembly, read_hello


def fragment(kind: int, number: int, body: bytes, start: int, end: int, *, total: int | None = None) -> bytes:
    """One fragment of a message."""
    head = bytes([kind]) + (len(body) if total is None else total).to_bytes(3, "big") + number.to_bytes(2, "big")
    return head + start.to_bytes(3, "big") + len(body[start:end]).to_bytes(3, "big") + body[start:end]


@given(st.binary(min_size=1, max_size=60), st.data())
def test_fragments_in_any_order_with_overlaps(body: bytes, data: st.DataObject) -> None:
    """The message comes once, whole, with the fragment that completes it."""
    cuts = st.integers(0, len(body))
    extra = data.draw(st.lists(st.tuples(cuts, cuts).map(sorted), max_size=4))
    middle = data.draw(cuts)
    spans = data.draw(st.permutations([*extra, [0, middle], [middle, len(body)]]))
    assembly, found = Assembly(), []
    for start, end in spans:
        found += assembly.add(fragment(11, 3, body, start, end))
    assert found
    assert set(found) == {(11, 3, body)}


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes_are_messages_or_nothing(contents: list[bytes]) -> None:
    """Never an exception, and never more than a few messages under construction."""
    assembly = Assembly()
    for content in contents:
        for _, _, body in assembly.add(content):
            assert body in content or len(body) <= sum(map(len, contents))
    assert len(assembly.parts) <= MOST_PARTIAL


def test_a_length_that_lies_reserves_nothing() -> None:
    """16 MB announced, a few bytes sent: nothing is kept."""
    assembly = Assembly()
    assert [*assembly.add(fragment(11, 0, b"abc", 0, 3, total=2**24 - 1))] == []
    assert [*assembly.add(fragment(11, 0, b"abc", 0, 3, total=LONGEST_MESSAGE + 1))] == []
    assert assembly.parts == {}


@given(st.binary(max_size=120), st.booleans())
def test_any_bytes_are_a_hello_or_none(body: bytes, is_client: bool) -> None:
    """A hello of odd shape has no contents, and never an exception."""
    hello = read_hello(body, is_client=is_client)
    assert hello is None or len(hello.random) == 32

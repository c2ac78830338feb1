"""Bodies in blocks from many senders at once: whole ones come out, and no more is kept than the limits say."""

from __future__ import annotations

import aiocoap
import pytest
from aiocoap.numbers.codes import Code

from lwm2m_lab.live.bodies import OpenBodies


def block(
    number: int, *, more: bool, sender: str = "a", payload: bytes = b"x" * 16, path: str = "rd"
) -> aiocoap.Message:
    """One block of 16 bytes."""
    message = aiocoap.Message(code=Code.POST, payload=payload, uri_path=(path,), block1=(number, more, 0))
    message.remote = sender
    return message


def code(bodies: OpenBodies, message: aiocoap.Message, *, now: float = 0.0) -> str:
    """The code of the answer; the whole body where there is one."""
    found = bodies.whole(message, now=now)
    return str(found.code.dotted) if found.code.is_response() else str(len(found.payload))


@pytest.fixture
def bodies() -> OpenBodies:
    """Room for two bodies of 64 bytes."""
    return OpenBodies(limit=64, most=2)


def test_two_senders_at_once(bodies: OpenBodies) -> None:
    """Their blocks alternate, and each body is its own."""
    assert [code(bodies, block(0, more=True, sender=one)) for one in "ab"] == ["2.31", "2.31"]
    assert [code(bodies, block(1, more=False, sender=one)) for one in "ab"] == ["32", "32"]
    assert len(bodies) == 0


def test_the_one_that_rested_longest_makes_room(bodies: OpenBodies) -> None:
    """A third sender takes its place; its next block is answered 4.08, and nothing is kept of it."""
    for one in "ab":
        code(bodies, block(0, more=True, sender=one))
    assert code(bodies, block(1, more=True, sender="a")) == "2.31"
    assert code(bodies, block(0, more=True, sender="c")) == "2.31"
    assert code(bodies, block(1, more=True, sender="b")) == "4.08"
    assert code(bodies, block(2, more=False, sender="a")) == "48"
    assert len(bodies) == 1


def test_a_body_without_end(bodies: OpenBodies) -> None:
    """4.13 with the limit in Size1, and a diagnostic; then it is forgotten."""
    for number in range(4):
        assert code(bodies, block(number, more=True)) == "2.31"
    refusal = bodies.whole(block(4, more=True), now=0.0)
    assert (refusal.code, refusal.opt.size1, refusal.payload) == (
        Code.REQUEST_ENTITY_TOO_LARGE, 64, b"a body has at most 64 bytes")  # fmt: skip
    assert len(bodies) == 0


def test_one_that_never_comes_back(bodies: OpenBodies) -> None:
    """After EXCHANGE_LIFETIME it is dropped, whoever asks next."""
    code(bodies, block(0, more=True))
    assert code(bodies, block(1, more=False), now=246.0) == "32"
    code(bodies, block(0, more=True), now=300.0)
    code(bodies, block(0, more=False, sender="b"), now=548.0)
    assert len(bodies) == 0
    assert code(bodies, block(1, more=False), now=548.0) == "4.08"


def test_a_body_in_one_piece(bodies: OpenBodies) -> None:
    """It needs no room; one that is too long is refused all the same."""
    message = aiocoap.Message(code=Code.POST, payload=b"x" * 64, uri_path=("rd",))
    message.remote = "a"
    assert code(bodies, message) == "64"
    message.payload += b"x"
    assert code(bodies, message) == "4.13"

"""Exercises of lesson 05, lossy links."""

from __future__ import annotations

from typing import Any

from lwm2m_lab.live.experiment import push
from lwm2m_lab.show.answers import whole
from lwm2m_lab.show.exercises.judging import Exercise, whole_number
from lwm2m_lab.trace.lossy import Lossy

__all__ = ["EXERCISES"]

_LOSS, _BLOCKS = 0.2, 1000
_DELAY = 2.25
_SIZE, _BLOCK_SIZE, _SHARE = 1_000_000, 512, 0.999


def _go_wrong(answer: Any) -> str:
    right = round(_BLOCKS * Lossy(up=_LOSS, down=_LOSS).wrong)
    slips = {
        round(_BLOCKS * _LOSS): "These are the blocks that are lost; a block whose answer is lost goes wrong as well.",
        round(2 * _BLOCKS * _LOSS): "That counts the blocks twice that lose both, block and answer.",
        round(_BLOCKS * _LOSS**2): "That is where both are lost; one of them is enough.",
        _BLOCKS - right: "So many go well.",
    }
    return whole_number(answer, right, slips, "{} of 1000 is not 1 - (1 - p)(1 - p).")


def _needless(ack_timeout: float) -> int:
    """Requests that are sent again on the satellite's link, where nothing is lost."""
    run = push(size=5_000, delay=_DELAY, ack_timeout=ack_timeout)
    return int(run.update().retransmissions)


def _time_out(answer: Any) -> str:
    answer = whole(answer)
    if answer is None:
        return "A whole number of seconds is asked for."
    if not 1 <= answer <= 60:
        return f"{answer} s is out of the question here."
    needless = _needless(answer)
    if needless:
        return f"With {answer} s {needless} requests are sent again, though nothing is lost."
    if not _needless(answer - 1 or 0.5):
        return f"With {answer} s nothing is sent again; with {answer - 1} s nothing is either."
    return ""


def _copies(answer: Any) -> str:
    blocks = -(-_SIZE // _BLOCK_SIZE)
    answer = whole(answer)
    if answer is None:
        return "A whole number is asked for."
    if not 0 <= answer <= 100:
        return f"{answer} is out of the question here."
    share = Lossy(up=0.1, down=0.1, max_retransmit=answer).delivered(blocks)
    if share < _SHARE:
        return f"With {answer} further copies {share:.1%} of the images arrive."
    if Lossy(up=0.1, down=0.1, max_retransmit=answer - 1).delivered(blocks) >= _SHARE:
        return f"{answer} is enough, but fewer are as well."
    return ""


EXERCISES: dict[str, Exercise] = {
    "05-go-wrong": Exercise(
        _go_wrong,
        (
            "a block goes well if its datagram arrives and the answer to it does.",
            "0.8 times 0.8 of the blocks go well.",
        ),
        "1 - 0.8 * 0.8 is 36 %: two datagrams, two chances to lose one.",
    ),
    "05-time-out": Exercise(
        _time_out,
        (
            "the first time-out is drawn between ack_timeout and one and a half times it.",
            "even the shortest time-out has to be longer than the round trip, twice 2.25 s.",
        ),
        "five seconds outlast the round trip of 4.5 s, whatever the dice say.",
    ),
    "05-copies": Exercise(
        _copies,
        (
            "a block is lost with q to the power of max_retransmit + 1, where q is 0.19, and there are 1954 blocks.",
            "try lab.sweep(size=1_000_000, block_size=512, loss=0.1, max_retransmit=[6, 7, 8], seeds=1).",
        ),
        "nine copies in all: each further one takes another factor of five from the failures.",
    ),
}

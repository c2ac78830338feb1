"""Exercises of lesson 01, one update."""

from __future__ import annotations

from lwm2m_lab.live.image import image
from lwm2m_lab.show.exercises import judging
from lwm2m_lab.show.exercises.judging import Exercise

__all__ = ["EXERCISES"]


def _image_blocks() -> int:
    return -(-image(size=20_000).size // 256)


EXERCISES: dict[str, Exercise] = {
    "01-blocks": Exercise(
        lambda answer: judging.number(
            answer, _image_blocks(), "the blocks of 256 bytes in 20000 bytes, the last one too"
        ),
        ("divide, and think of what is left over.", "20000 / 256 is a little more than 78."),
        "78 full blocks and one that is shorter: the last block ends the transfer by its M bit, not by its size.",
    ),
    "01-what-runs": Exercise(
        lambda answer: judging.path(answer, "/3/0/3"),
        ("which object describes the device itself?", "Object 3; the change request speaks of its resource 3."),
        "/3/0/3 says what runs, and the change request makes the device keep it true.",
    ),
}

"""Exercises of lesson 09, images and slots."""

from __future__ import annotations

import functools
from typing import Any

from lwm2m_lab.live.experiment import push
from lwm2m_lab.live.image import FirmwareImage, image, public_key
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.show.exercises.judging import Exercise, whole_number

__all__ = ["EXERCISES"]

_NAMES = ("magic", "lengths", "hash", "key", "signature")


def _failing_check(answer: Any) -> str:
    """What fails once a bit of the signature is turned, as the checks themselves say."""
    signed = image(version="2.1.0", size=2_000, signed=True, seed=3)
    at = next(part.start for part in signed.parts if part.name == "Ed25519 signature")
    failed = [one.name for one in signed.damaged(offset=at).checks(key=public_key(3)) if one.passed is False]
    if not isinstance(answer, str) or answer.strip().lower() not in _NAMES:
        return f"The name of a check is asked for: one of {', '.join(_NAMES)}."
    if answer.strip().lower() in failed:
        return ""
    return f"The {answer.strip().lower()} is as good as before: it is not made over the bytes of the signature."


def _forged(answer: Any) -> str:
    wanted = image(version="2.1.0", size=2_000)
    if not isinstance(answer, FirmwareImage):
        return "An image is asked for, as lab.image makes one."
    if answer.size != wanted.size:
        return f"It has {answer.size} bytes, the other one {wanted.size}."
    if answer.data == wanted.data:
        return "It is the very same image."
    failed = [one.name for one in answer.checks() if one.passed is False]
    if failed:
        return f"It does not pass: {', '.join(failed)}."
    return "" if answer.version == wanted.version else f"It says version {answer.version}, not {wanted.version}."


@functools.lru_cache(maxsize=1)
def _boots() -> int:
    run = push(version="2.1.0", device=DeviceOptions(slots="ab", trial_fails=True), seed=1)
    return [one.what for one in run.truth].count("boot")


def _number_of_boots(answer: Any) -> str:
    slips = {_boots() - 1: "Count the very first start, too, or the one back into the old firmware."}
    return whole_number(answer, _boots(), slips, "The truth of the run does not tell of {} boots.")


EXERCISES: dict[str, Exercise] = {
    "09-check": Exercise(
        _failing_check,
        (
            "hash and signature are made over the bytes that stand before them.",
            "flip byte 19936 or a later one in the explorer.",
        ),
        "the hash does not cover the signature, and need not: a signature that was changed matches nothing.",
    ),
    "09-forge": Exercise(
        _forged,
        (
            "damage it in the firmware, then do what the button 'new hash' does.",
            "image.damaged(...).rehashed()",
        ),
        "nobody who looks at the hash alone can tell the two apart.",
    ),
    "09-boots": Exercise(
        _number_of_boots,
        ("print the truth of the run and count the lines that say boot.", "at the start, into the trial, and back."),
        "once at the start, once into the trial, once back into what ran before.",
    ),
}

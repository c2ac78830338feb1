"""Exercises of lesson 06, push or pull."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from lwm2m_lab.live.experiment import pull
from lwm2m_lab.live.link import Link
from lwm2m_lab.live.options import DeviceOptions
from lwm2m_lab.live.run import Run
from lwm2m_lab.show.exercises.judging import Exercise, whole_number
from lwm2m_lab.wire import coap

__all__ = ["EXERCISES"]

_PARTIES = ("server", "device", "repository")


@functools.lru_cache(maxsize=1)
def _resumed() -> Run:
    device = DeviceOptions(resume_attempts=1)
    return pull(size=20_000, link=Link(outages=[(1, 120)]), device=device, patience=300, seed=1)


def _asks(answer: Any) -> str:
    if not isinstance(answer, str) or answer.strip().lower() not in _PARTIES:
        return f"One of {', '.join(map(repr, _PARTIES))} is asked for."
    run = _resumed()
    gets = run.exchanges[run.exchanges["block2_num"].ge(0)]
    registered = set(run.registrations["address"])
    device = "device" if set(gets["src"]) <= registered else "server"
    if answer.strip().lower() == device:
        return ""
    return f"The {answer.strip().lower()} sends no GET: look at the arrows of the ladder."


def _block(answer: Any) -> str:
    blocks = _resumed().rows("blocks")
    right = int(blocks["num"][1:][np.diff(blocks["time"]).argmax()])
    slips = {
        right - 1: "That block was answered before the cut.",
        0: "A push would begin there, not this pull.",
    }
    return whole_number(answer, right, slips, "Block {} did not follow the pause.")


def _option(answer: Any) -> str:
    if not isinstance(answer, str) or not answer.strip():
        return "The name of an option is asked for, as 'Observe'."
    name = answer.strip().lower()
    if name == coap.OPTIONS[coap.ETAG].lower():
        return ""
    if name in ("size2", "block2"):
        return f"{answer.strip()} is the same where the new file is as long as the old one."
    known = {one.lower() for one in coap.OPTIONS.values()}
    return (
        f"{answer.strip()} says nothing of the version of a file."
        if name in known
        else "CoAP has no option of that name."
    )


EXERCISES: dict[str, Exercise] = {
    "06-asks": Exercise(
        _asks,
        ("who sends the GETs?", "not the server, and a repository only answers."),
        "the device asks and the repository answers: pace, timers and repair are the device's.",
    ),
    "06-resumed": Exercise(
        _block,
        ("look at the ladder: which GET comes after the long pause?", "four blocks had come: 0, 1, 2 and 3."),
        "blocks 0 to 3 were there, and the device asked for the next one.",
    ),
    "06-option": Exercise(
        _option,
        ("it stands in every answer, and its value is opaque.", "compare the column etag of blocks 3 and 4."),
        "a name for the version of the file: where it changes, blocks must not be put together.",
    ),
}

"""What a conclusion lacks, in words: the layer, the frames, who, outcome and verdict, each for itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lwm2m_lab.show.answers import whole
from lwm2m_lab.show.clinic.keys import Needed
from lwm2m_lab.trace.capture import Capture

__all__ = ["LAYERS", "OUTCOMES", "PARTIES", "VERDICTS", "Conclusion", "conclusion_of", "lacking_frames", "named"]

MOST_FRAMES = 3
#: The layers, and what a capture would show if one of them were to blame.
LAYERS = {
    "message": "copies, resets, or confirmable messages without an answer",
    "block-wise": "a block that is missing, repeated, of another size, or of another file",
    "Object 5": "a State or Result that the rules forbid, or one that says what failed",
    "registration": "a Register or an observation that is missing where it is needed",
    "version": "two readings of a version that do not fit together, or a version where another one is expected",
    "path": "an address or port that changes, ICMP errors, or a session that is lost on the way",
    "tool": "nothing at all: each sequence would be whole, in order, and hash to its file",
}
#: Who it may be, and what the capture would have to show of them.
PARTIES = {
    "device": "a message of the device's own that a rule forbids, or one that it owes and does not send",
    "server": "a request that is wrong, one that it sends for a wrong reason, or one that it owes and does not send",
    "repository": "an answer of the repository that refuses, or that serves something else",
    "campaign": "an order that makes no sense, whatever server and device do with it",
    "image": "a body that arrived as it was sent, and is bad all the same",
    "link": "messages that one side sent and the other never got",
    "timer": "copies that nobody needed, since the answers were on their way",
    "tool": "bytes that are right where the tool says that they are not",
    "nobody": "no rule that anybody broke",
}
#: How an update may end, and what says so.
OUTCOMES = {
    "succeeded": "Update Result 1",
    "failed": "an Update Result from 2 to 9, or a delivery that was refused",
    "unfinished": "no Result at all by the end of the capture",
    "cancelled": "Update Result 10, or a reset that was answered",
    "deferred": "Update Result 11",
}
#: What may be said of the device, and what it takes.
VERDICTS = {
    "PASS": "that every rule which the capture can decide is kept",
    "FAIL": "a rule that the device breaks, proved by what is in the capture",
    "undecided": "a reading, a file or a log that is not in the capture, and that would decide",
}
_SAME = {"inconclusive": "undecided", "object5": "Object 5", "blockwise": "block-wise", "registry": "repository"}


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a learner concludes: five things, none of which follows from another."""

    layer: str
    frames: tuple[int, ...]
    who: str
    outcome: str
    verdict: str


def named(word: Any, choices: Iterable[str]) -> str | None:
    """A word as the clinic spells it; None for one that it does not know.

    Examples
    --------
    >>> named("object 5", LAYERS), named("INCONCLUSIVE", VERDICTS), named("weather", PARTIES)
    ('Object 5', 'undecided', None)
    """
    if not isinstance(word, str):
        return None
    plain = word.strip().casefold()
    plain = _SAME.get(plain, plain).casefold()
    return next((one for one in choices if one.casefold() == plain), None)


def conclusion_of(answer: Any) -> Conclusion | str:
    """The conclusion in an answer, or in words what is no conclusion in it."""
    if isinstance(answer, dict):
        answer = [answer.get(name) for name in ("layer", "frames", "who", "outcome", "verdict")]
    if not isinstance(answer, tuple | list) or len(answer) != 5:
        return "Five things are asked for: (layer, [frames], who, outcome, verdict)."
    layer, frames, who, outcome, verdict = answer
    words = []
    for what, word, choices in (
        ("layer", layer, LAYERS),
        ("party", who, PARTIES),
        ("outcome", outcome, OUTCOMES),
        ("verdict", verdict, VERDICTS),
    ):
        found = named(word, choices)
        if found is None:
            return f"The {what} is one of {', '.join(choices)}."
        words.append(found)
    frames = frames if isinstance(frames, list | tuple | set | frozenset) else [frames]
    numbers = [whole(one) for one in frames]
    named_frames = tuple(one for one in numbers if one is not None)
    if not numbers or len(named_frames) < len(numbers):
        return "Name the frames that decide, as in [15, 23]."
    if len(named_frames) > MOST_FRAMES:
        return f"{len(named_frames)} frames are too many to be read: name at most {MOST_FRAMES} that decide."
    return Conclusion(words[0], named_frames, words[1], words[2], words[3])


def lacking_frames(frames: Sequence[int], needed: Sequence[Needed], capture: Capture) -> str:
    """What is missing among the frames, without saying where it is."""
    missing = [one.words for one in needed if not one.frames & set(frames)]
    if not missing:
        return ""
    idle = next((one for one in frames if not any(one in group.frames for group in needed)), None)
    said = f"Frame {idle} ({_what_is(idle, capture)}) does not decide. " if idle is not None else ""
    return f"{said}Among the frames is missing: {' and '.join(missing)}."


def _what_is(frame: int, capture: Capture) -> str:
    """A frame in a few words."""
    table = capture.messages
    found = table[table["frame"] == frame]
    if len(found):
        path = found["uri_path"].iloc[0]
        kind = str(capture.message(frame)).split(" mid=", 1)[0]
        return kind if pd.isna(path) else f"{kind} {path}"
    records = capture.dtls_records if capture.columns.sessions else None
    kinds = [] if records is None else records.loc[records["frame"] == frame, "kind"].tolist()
    return f"DTLS, {kinds[0]}" if kinds else "no message of this capture"

"""The captures of the twelve cases, and which of their frames decide, found in the capture itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lwm2m_lab.live.clinic import STAGED, staged_case
from lwm2m_lab.trace.capture import Capture, read

__all__ = ["KEYS", "Key", "Needed", "captures_of"]

_RECORDED: Mapping[int, tuple[str, ...]] = {
    1: ("anjay-pull-coap-404",),
    2: ("anjay-push-badcrc",),
    3: ("anjay-push-same-version",),
    6: ("anjay-push-link-cut-midway", "anjay-push-link-cut-client"),
    9: ("coaps-pull-rest", "coaps-pull-rest-cid"),
    11: ("anjay-push-delayed-failure",),
}
#: Of the written session that a server without the device could open as well.
_KEY = {"urn:dev:valve-9": "101112131415161718191a1b1c1d1e1f"}


@dataclass(frozen=True, slots=True)
class Needed:
    """Something that the evidence must contain: one of these frames shows it.

    Attributes
    ----------
    frames : frozenset of int
    words : str
        What it is, without saying where.
    """

    frames: frozenset[int]
    words: str


@dataclass(frozen=True, slots=True)
class Key:
    """What decides a case.

    Attributes
    ----------
    needed : callable
        From the capture that is judged to what a conclusion must name.
    capture, update : int
        Which of the captures is judged, and which update in it.
    """

    needed: Callable[[Capture], tuple[Needed, ...]]
    capture: int = 0
    update: int = 0


def captures_of(number: int) -> tuple[Capture, ...]:
    """The captures of a case: recorded ones, or runs of the lab."""
    if number in STAGED:
        return staged_case(number)
    return tuple(read(name, psk=_KEY if name.startswith("coaps-") else None) for name in _RECORDED[number])


# ---------------------------------------------------------------- finding frames


def _needed(frames: Any, words: str) -> Needed:
    return Needed(frozenset(int(one) for one in frames if pd.notna(one)), words)


def _asked(capture: Capture, path: str) -> pd.DataFrame:
    """The exchanges with one path."""
    return capture.exchanges[capture.exchanges["uri_path"] == path]


def _seen(capture: Capture, path: str, value: str) -> pd.Series:
    """The frames in which a resource was seen with a value."""
    table = capture.timeline
    return table.loc[(table["path"] == path) & (table["value"].astype(str) == value), "frame"]


def _copies(capture: Capture, path: str = "/5/0/0", block: int | None = None) -> pd.DataFrame:
    """The messages to a path that were sent more than once, all their copies."""
    table = capture.messages[capture.messages["uri_path"] == path]
    if block is not None:
        table = table[table["block1_num"] == block]
    return table[table.duplicated(["src", "dst", "mid", "token"], keep=False)]


# ---------------------------------------------------------------- case by case


def _case_1(capture: Capture) -> tuple[Needed, ...]:
    return (_needed(_asked(capture, "/nope.bin")["response_frame"], "the message in which somebody refuses"),)


def _case_2(capture: Capture) -> tuple[Needed, ...]:
    last = _asked(capture, "/5/0/0").iloc[-1:]
    return (
        _needed(last["response_frame"], "the answer to the last block"),
        _needed(_seen(capture, "/5/0/5", "5"), "the news of the failed check"),
    )


def _case_3(capture: Capture) -> tuple[Needed, ...]:
    result = _seen(capture, "/5/0/5", "1")
    versions = _seen(capture, "/3/0/3", "3.13.1")
    return (
        _needed(result, "the Result after the update"),
        _needed(versions[versions > result.min()], "the version that runs after the update"),
    )


def _case_4(capture: Capture) -> tuple[Needed, ...]:
    first, second = (capture.update(night).frames[0] for night in (0, 1))
    read_again = _seen(capture, "/3/0/3", "2.0.0")
    between = read_again[(read_again > first) & (read_again < second)]
    return (_needed(between, "what ran when the second download began"),)


def _case_5(capture: Capture) -> tuple[Needed, ...]:
    twice = capture.exchanges[capture.exchanges["retransmissions"] > 0]
    messages = capture.messages
    requests = messages.merge(twice[["mid", "src", "dst"]], on=["mid", "src", "dst"])
    answers = messages.merge(
        twice[["mid", "src", "dst"]].rename(columns={"src": "dst", "dst": "src"}), on=["mid", "src", "dst"]
    )
    again = answers.loc[answers.duplicated(["mid", "src", "dst"]), "frame"]
    return (
        _needed(requests["frame"], "a message that was sent twice"),
        _needed(again, "an acknowledgement that shows that no copy was lost"),
    )


def _case_6(capture: Capture) -> tuple[Needed, ...]:
    copies = _copies(capture)["frame"]
    answers = capture.messages[capture.messages["code"] == "5.03"]["frame"]
    return (
        _needed(copies, "the message that nobody heard"),
        _needed(answers, "a sign that the device is alive afterwards"),
    )


def _case_7(capture: Capture) -> tuple[Needed, ...]:
    return (_needed(_copies(capture, block=0)["frame"], "the block that came twice"),)


def _case_8(capture: Capture) -> tuple[Needed, ...]:
    registers = capture.registrations
    again = registers[registers["operation"] == "register"].iloc[1:]
    frames = [*again["frame"], *_asked(capture, "/rd")["response_frame"].iloc[1:]]
    return (_needed(frames, "the message after which the server should have spoken"),)


def _case_9(capture: Capture) -> tuple[Needed, ...]:
    records = capture.dtls_records
    under_keys = records[(records["epoch"] == 1) & (records["kind"] == "ApplicationData")]
    own = under_keys[under_keys["dst"].str.endswith(":5684")]
    first = own["src"].iloc[0]
    # Up to the new handshake, after which the numbers begin anew.
    moved = own[(own["src"] != first) & (own["sequence"] > own[own["src"] == first]["sequence"].max())]
    return (_needed(moved["frame"], "a record that goes on from another port"),)


def _case_10(capture: Capture) -> tuple[Needed, ...]:
    return tuple(
        _needed(_asked(capture, path)["frame"], f"a request of the download of {path}") for path in ("/a.bin", "/b.bin")
    )


def _case_11(capture: Capture) -> tuple[Needed, ...]:
    return (
        _needed(_seen(capture, "/5/0/5", "8"), "the Result that says failed"),
        _needed(_seen(capture, "/3/0/3", "3.14.0"), "the version that says otherwise"),
    )


def _case_12(capture: Capture) -> tuple[Needed, ...]:
    gets = _asked(capture, "/fw/meter.bin")
    pause = gets["time"].diff()
    resumed = gets[pause == pause.max()]
    frames = [*resumed["frame"], *resumed["response_frame"]]
    return (_needed(frames, "the block at which the download goes on after the break"),)


#: By the number of the case.
KEYS: Mapping[int, Key] = {
    1: Key(_case_1),
    2: Key(_case_2),
    3: Key(_case_3),
    4: Key(_case_4, update=1),
    5: Key(_case_5),
    6: Key(_case_6),
    7: Key(_case_7),
    8: Key(_case_8),
    9: Key(_case_9),
    10: Key(_case_10),
    11: Key(_case_11),
    12: Key(_case_12, capture=1),
}

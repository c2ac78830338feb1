"""The messages of one update as the rules of the message layer see them: copies, and what answers what."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.trace.exchanges import EXCHANGE_LIFETIME
from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import Party
from lwm2m_lab.trace.ordered import distinct
from lwm2m_lab.trace.rows import Rows
from lwm2m_lab.wire import coap

__all__ = [
    "ACK",
    "CON",
    "NON",
    "NO_CHANCE",
    "RST",
    "Traffic",
    "answers_others",
    "body_ends",
    "body_starts",
    "gets",
    "listed",
    "period",
    "remaining",
    "requester",
    "traffic",
    "writes",
]

CON, NON, ACK, RST = range(4)
Ints = NDArray[np.int64]
#: Copies closer together than this are the network's doing: no sender repeats itself so soon (RFC 7252, 4.8).
NETWORK_COPY_S = 0.5
#: A path that carried something is there for so long before and after, seconds.
_SHORTLY = 6.0
#: Later messages under one id are looked at this far back.
_MOST_STEPS = 64
#: What is less likely than this is no chance.
NO_CHANCE = 2e-4


@dataclass(eq=False)
class Traffic:
    """Messages of an update, those of a download from another port among them.

    Positions are those in `rows`. A group is a message and its copies; its name is the position of the first one.

    Attributes
    ----------
    rows : Rows
    type, code, mid, src, dst, token : arrays of int
        Codes of the message table.
    time : array of float
        Seconds since the first message of the capture.
    first, rank : arrays of int
        The first copy of each message, and how many came before it.
    gap : array of float
        Seconds since the copy before; 0 for a first one.
    """

    rows: Rows

    def __post_init__(self) -> None:
        rows = self.rows
        self.type, self.code, self.mid = rows["_type"], rows["_code"], rows.mid.astype(np.int64)
        self.src, self.dst = rows["_src"].astype(np.int64), rows["_dst"].astype(np.int64)
        self.token, self.time, self.frame = rows["_token"], rows.time, rows.frame
        self._addresses = int(max(self.src.max(initial=0), self.dst.max(initial=0))) + 1
        # An acknowledgement lives in the other's message ids, not in its sender's own.
        answer = self.type >= ACK
        self._key = ((self.src * self._addresses + self.dst) << 17) | (answer.astype(np.int64) << 16) | self.mid
        self._order = np.argsort(self._key, kind="stable")
        self._sorted = self._key[self._order]
        self._group()

    def _group(self) -> None:
        """Copies: the same ends, message id, code, token and block, each within EXCHANGE_LIFETIME of the one before."""
        order, count = self._order, len(self._order)
        self.first, self.rank = np.arange(count), np.zeros(count, np.int64)
        self.gap = np.zeros(count)
        if count < 2:
            return
        what = (self.code.astype(np.int64) << 32 | (self.token.astype(np.int64) + 1))[order]
        gap = np.diff(self.time[order])
        same = (np.diff(self._sorted) == 0) & (np.diff(what) == 0) & (gap <= EXCHANGE_LIFETIME)
        for name in ("block1_num", "block2_num", "observe"):
            same &= np.diff(self.rows[name][order]) == 0
        begins = np.append(True, ~same)
        start = np.maximum.accumulate(np.where(begins, np.arange(count), 0))
        self.first[order], self.rank[order] = order[start], np.arange(count) - start
        self.gap[order[1:]] = np.where(same, gap, 0)

    @cached_property
    def copies(self) -> Ints:
        """How often each message was sent in all, by the name of its group; 0 for what is no first copy."""
        return np.bincount(self.first, minlength=len(self.first))

    @cached_property
    def repeats(self) -> Ints:
        """Positions of copies that their sender made, network duplicates left out."""
        found: Ints = np.nonzero((self.rank > 0) & (self.gap >= NETWORK_COPY_S) & (self.type <= NON))[0]
        return found

    @cached_property
    def answered(self) -> Ints:
        """For each ACK and RST the position of the message it answers, the last copy before it; -1 for none."""
        found = np.full(len(self.type), -1, np.int64)
        answers = np.nonzero(self.type >= ACK)[0]
        back = ((self.dst[answers] * self._addresses + self.src[answers]) << 17) | self.mid[answers]
        at = np.searchsorted(self._sorted, back, side="right") - 1
        open_ = np.arange(len(answers))
        for _ in range(_MOST_STEPS):
            open_ = open_[(at[open_] >= 0) & (self._sorted[at[open_]] == back[open_])]
            if not open_.size:
                break
            there = self._order[at[open_]]
            fits = (there < answers[open_]) & (self.time[answers[open_]] - self.time[there] <= EXCHANGE_LIFETIME)
            found[answers[open_[fits]]] = there[fits]
            open_ = open_[~fits]
            at[open_] -= 1
        return found

    @cached_property
    def answers(self) -> Ints:
        """How many ACKs and RSTs each message got in all its copies, by the name of its group."""
        got = self.answered[self.answered >= 0]
        return np.bincount(self.first[got], minlength=len(self.first))

    @cached_property
    def answer(self) -> Ints:
        """The first ACK or RST that each message got, by the name of its group; -1 for none."""
        found = np.full(len(self.first), -1, np.int64)
        there = np.nonzero(self.answered >= 0)[0][::-1]
        found[self.first[self.answered[there]]] = there
        return found

    @cached_property
    def last_answered(self) -> Ints:
        """The last copy of each message that an ACK or RST follows, by the name of its group; -1 for none."""
        found = np.full(len(self.first), -1, np.int64)
        got = self.answered[self.answered >= 0]
        np.maximum.at(found, self.first[got], got)
        return found

    @cached_property
    def answers_of_their_own(self) -> Ints:
        """How many ACKs and RSTs each message got, by the name of its group, without copies that the network made."""
        own = (self.answered >= 0) & ((self.rank == 0) | (self.gap >= NETWORK_COPY_S))
        return np.bincount(self.first[self.answered[own]], minlength=len(self.first))

    @cached_property
    def path_doubles(self) -> bool:
        """Whether the path makes copies: they come too soon, or acknowledgements outnumber what they answer."""
        soon = (self.rank > 0) & (self.gap < NETWORK_COPY_S) & (self.type <= NON)
        return bool(soon.any() or ((self.answers > self.copies) & (self.copies > 0)).any())

    def last_copy_before_answer(self, groups: Ints) -> Ints:
        """For each of these messages, which have an answer, its last copy before the first answer."""
        found: Ints = self.answered[self.answer[groups]]
        return found

    def sender_of(self, positions: Ints) -> NDArray[np.bool_]:
        """Whether the device sent each of these."""
        found: NDArray[np.bool_] = self.rows.sender[positions]
        return found

    def heard(self, source: int, after: float, until: float = np.inf) -> bool:
        """Whether an address says anything between two times."""
        return bool(((self.src == source) & (self.time > after) & (self.time <= until)).any())

    def spoke_next(self, positions: Ints) -> Ints:
        """For each message the next one that its receiver sends, whatever it is; -1 for none."""
        found = np.full(len(positions), -1, np.int64)
        for receiver in distinct(self.dst[positions]).tolist():
            own, to_it = np.nonzero(self.src == receiver)[0], self.dst[positions] == receiver
            at = np.searchsorted(own, positions[to_it], side="right")
            found[to_it] = np.append(own, -1)[at]
        return found

    def copies_in_reach(self, group: int) -> int:
        """How many copies of a message were sent shortly before its receiver was heard.

        It acknowledges something else, or asks for something and is content with the answer: a path that was gone for
        a while, either way, looks otherwise. What was sent at other times the path may have swallowed.
        """
        copies = np.nonzero(self.first == group)[0]
        begin, end = self.time[copies[0]], self.time[copies[-1]]
        during = (self.time > begin) & (self.time < end) & (self.src == self.dst[group]) & (self.dst == self.src[group])
        acknowledges = during & (self.type >= ACK) & (self.first[np.maximum(self.answered, 0)] != group)
        asks = during & (self.type == CON) & (self.rank == 0) & (self.copies == 1) & (self.answer >= 0)
        heard = np.nonzero(acknowledges | (asks & (self.time < end - 5)))[0]
        # The last word before a copy says that the path was there then, and not that it is there still.
        since = self.time[heard][None, :] - self.time[copies][:, None]
        return int(((since >= 0) & (since < _SHORTLY)).any(axis=1).sum())


def traffic(case: Case) -> Traffic:
    """The traffic of an update, worked out once."""
    if "traffic" not in case.memo:
        case.memo["traffic"] = Traffic(_messages(case))
    found: Traffic = case.memo["traffic"]
    return found


def _messages(case: Case) -> Rows:
    """The messages of the endpoint, and those of its download, which may come from another port."""
    rows = case.messages
    others = set(case.delivery.endpoint.tolist()) - {case.update.endpoint}
    if others:
        ends = distinct(case.delivery["_src"], case.delivery["_dst"])
        parts = [rows.index]
        for name in others:
            part = case.capture.of("messages", name).between(case.update.frames[0], case.update.until)
            parts.append(part[np.isin(part["_src"], ends) & np.isin(part["_dst"], ends)].index)
        rows = case.capture.rows("messages")[distinct(*parts)]
    return rows[rows.mid >= 0] if len(rows) else rows


def writes(case: Case) -> Rows:
    """The blocks of a push as requests, answered or not, in the order of the file."""
    if "writes" not in case.memo:
        own = case.delivery
        case.memo["writes"] = own[(own.request_block1_num >= 0) & (own["_code"] != 1)]
    found: Rows = case.memo["writes"]
    return found


def gets(case: Case) -> Rows:
    """The GETs of a pull, in the order of the file."""
    if "gets" not in case.memo:
        own = case.delivery
        case.memo["gets"] = own[own["_code"] == 1] if case.update.evidence.kind == "pull" else own[:0]
    found: Rows = case.memo["gets"]
    return found


def body_ends(blocks: Rows, *, pull: bool) -> tuple[Ints, Ints, Ints, Ints]:
    """NUM, M, size and payload bytes of the block in each exchange of a delivery; NUM is -1 where there is none.

    What the snap length took from a block in the middle was there: such a block has the size that it names.
    """
    side, kind = ("response", "block2") if pull else ("request", "block1")
    num, more, size = (blocks[f"{side}_{kind}_{name}"].astype(np.int64) for name in ("num", "more", "size"))
    length = blocks[f"{side}_payload_length"].astype(np.int64)
    length = np.where((blocks[f"{side}_error"] == coap.ERRORS[coap.SNAPPED]) & (more == 1), size, length)
    if pull:
        num = np.where(blocks["_response_code"] < 96, num, -1)
    return num, more, size, length


def body_starts(num: Ints) -> Ints:
    """For each block the position of the block 0 that its body began with; -1 where the body began before."""
    starts: Ints = np.maximum.accumulate(np.where(num == 0, np.arange(len(num)), -1))
    return starts


def requester(case: Case) -> tuple[Party, Party]:
    """Who asks and who answers in the delivery."""
    return ("device", "repository") if case.update.evidence.kind == "pull" else ("server", "device")


def answers_others(case: Case, frame: int) -> bool:
    """Whether the device answers other requests while the one of this frame is sent again and again."""
    seen = traffic(case)
    at = int(np.searchsorted(seen.frame, frame))
    if at >= len(seen.frame) or seen.frame[at] != frame:
        return False
    last = seen.time[seen.first == seen.first[at]][-1]
    asked = case.requests
    small = (asked.response_frame >= 0) & (asked.request_block1_num < 0)
    return bool((small & (asked.time > seen.time[at]) & (asked.response_time < last)).any())


def remaining(case: Case, time: float) -> float:
    """How long the capture goes on after a time, or until the next update of the endpoint; seconds."""
    columns = case.capture.columns
    row = columns.rows - 1
    if np.isfinite(case.update.until):
        row = int(np.searchsorted(columns["frame"], case.update.until)) - 1
    return (int(columns["time"][row]) - int(columns["time"][0])) / 1e9 - time


def listed(numbers: Any, most: int = 5) -> str:
    """Some numbers in words.

    Examples
    --------
    >>> listed([3, 5]), listed(range(9), 3)
    ('3 and 5', '0, 1, 2 and 6 more')
    """
    texts = [f"{one:g}" if isinstance(one, float) else str(one) for one in numbers]
    if len(texts) > most:
        return f"{', '.join(texts[:most])} and {len(texts) - most} more"
    return " and ".join(filter(None, [", ".join(texts[:-1]), *texts[-1:]]))


def period(seconds: float) -> str:
    """Seconds as people say them.

    Examples
    --------
    >>> period(40.62), period(0.0481)
    ('40.6 s', '48 ms')
    """
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"

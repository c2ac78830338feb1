"""Each exchange in time: which copies were needed, how long was waited, how long the round trip was, bytes on the wire.

A copy of a request was needed if no answer to an earlier copy was on its way. Seen from anywhere on the path: an answer
that comes sooner after the copy than the smallest round trip to that peer, or so shortly before it that it cannot have
reached the sender, belongs to an earlier copy, and this one was spurious. Everything is integers of nanoseconds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.trace.exchanges import EXCHANGE_LIFETIME, Table, copy_groups, group_codes, last_before
from lwm2m_lab.trace.peers import ends
from lwm2m_lab.wire import Columns

__all__ = ["HEADERS", "build_timing", "host_codes", "wire_bytes"]

Ints = NDArray[np.int64]
#: Bytes of IP and UDP headers in front of a datagram, by IP version.
HEADERS = {4: 28, 6: 48}
#: Room for the time since the first copy within one key: EXCHANGE_LIFETIME in nanoseconds has 38 bits.
_BITS = 38
_LIFETIME_NS = int(EXCHANGE_LIFETIME * 1e9)
_ACK = 2
#: Bytes of a DTLS record's header.
_RECORD = 13


def host_codes(columns: Columns) -> Ints:
    """A number for each address code of the columns, the same for the ports of one host."""
    hosts = [address.rsplit(":", 1)[0] for address in columns.categories["src"]]
    codes: Ints = np.unique(np.array(hosts, object).astype(str), return_inverse=True)[1].astype(np.int64)
    return codes


def wire_bytes(columns: Columns) -> Ints:
    """Bytes of each message's IP packet: headers of IP and UDP, what DTLS adds, and the message.

    Padding that a sender adds to records with a Connection ID is not in it.
    """
    length: Ints = columns.lengths.astype(np.int64)
    if not len(length):
        return length
    wide = np.array([address.startswith("[") for address in columns.categories["src"]], bool)
    return length + np.where(wide[columns["src"]], HEADERS[6], HEADERS[4]) + _dtls_bytes(columns, length)


def _dtls_bytes(columns: Columns, length: Ints) -> Ints:
    """Bytes that DTLS adds to each message (RFC 6347, 6655, 5288, 5246; the Connection ID of RFC 9146)."""
    added = np.zeros(len(length), np.int64)
    for number in np.unique(columns.session[columns.session >= 0]).tolist():
        session = columns.sessions[number]
        here = np.nonzero(columns.session == number)[0]
        names = columns.categories["src"]
        from_client = np.array([name != session.server for name in names], bool)[columns["src"][here]]
        cids = session.server_cid, session.client_cid
        # A Connection ID is followed by the inner content type; an empty one leaves the record as it was.
        extra = [1 + len(cid) // 2 if cid else 0 for cid in cids]
        suite = session.suite or ""
        if "CBC" in suite:
            protected = _RECORD + 16 + 32 + 16 - length[here] % 16
        else:
            protected = np.full(len(here), _RECORD + 8 + (8 if "CCM_8" in suite else 16))
        added[here] = protected + np.where(from_client, extra[0], extra[1])
    return added


def build_timing(columns: Columns, exchanges: Table) -> Table:
    """One row an exchange, in their order.

    Returns
    -------
    dict of arrays
        ``needed``, ``spurious``: copies of the request after the first; ``answers``: acknowledgements and responses
        seen; ``duplicate_acks``; ``start_ns``, ``sent_ns`` (the copy that was answered; of an unanswered one the last),
        ``answer_ns`` (-1: none), ``request_bytes`` and ``response_bytes`` on the wire with all copies.
    """
    count = len(exchanges["_row"])
    if not count:
        names = ("needed", "spurious", "answers", "duplicate_acks", "start_ns", "sent_ns", "answer_ns")
        return {name: np.zeros(0, np.int64) for name in (*names, "request_bytes", "response_bytes")}
    rows, owner = _copies(columns, exchanges)
    answers, answered = _answers(columns, exchanges)
    time = columns["time"]
    start = time[exchanges["_row"]]
    sent = _Keyed(owner, time[rows] - start[owner])
    heard = _Keyed(answered, time[answers] - start[answered])
    trip, back = _round_trips(columns, exchanges, sent, heard)
    spurious = _spurious(sent, heard, trip, back)
    further = sent.place > 0
    needed = further & ~spurious
    last = np.zeros(count, np.int64)
    np.maximum.at(last, sent.owner[needed], sent.since[needed])
    answer = heard.first_from(last)
    response = exchanges["_response"]
    separate = np.where(response >= 0, time[response] - start, -1)
    answer = np.maximum(answer, separate)
    size = wire_bytes(columns)
    heard_rows, heard_owner = _with_separate(columns, exchanges, answers, answered)
    return {
        "needed": np.bincount(sent.owner, needed, count).astype(np.int64),
        "spurious": np.bincount(sent.owner, further & spurious, count).astype(np.int64),
        "answers": np.bincount(heard.owner, minlength=count),
        "duplicate_acks": np.maximum(np.bincount(heard.owner, minlength=count) - 1, 0),
        "start_ns": start,
        "sent_ns": start + last,
        "answer_ns": np.where(answer < 0, -1, start + answer),
        "request_bytes": np.bincount(owner, size[rows], count).astype(np.int64),
        "response_bytes": np.bincount(heard_owner, size[heard_rows], count).astype(np.int64),
    }


class _Keyed:
    """Events of exchanges, sorted by exchange and time.

    Attributes
    ----------
    owner, since : arrays of int64
        Position of the exchange; nanoseconds since its first copy, from 0 to EXCHANGE_LIFETIME.
    place : array of int64
        How many events of the same exchange come before.
    """

    def __init__(self, owner: Ints, since: Ints) -> None:
        key = np.sort(owner << _BITS | np.clip(since, 0, _LIFETIME_NS))
        self.key: Ints = key
        self.owner: Ints = key >> _BITS
        self.since: Ints = key & ((1 << _BITS) - 1)
        starts = np.searchsorted(self.owner, self.owner)
        self.place: Ints = np.arange(len(key)) - starts

    def count_between(self, owner: Ints, low: Ints, high: Ints) -> Ints:
        """Number of events of these exchanges from `low` up to, but not at, `high`."""
        base = owner << _BITS
        end = np.searchsorted(self.key, base | np.clip(high, 0, _LIFETIME_NS))
        found: Ints = end - np.searchsorted(self.key, base | np.clip(low, 0, _LIFETIME_NS))
        return np.maximum(found, 0)

    def first_from(self, since: Ints) -> Ints:
        """For every exchange its first event at `since` or later; -1 where there is none."""
        owner = np.arange(len(since), dtype=np.int64)
        at = np.searchsorted(self.key, owner << _BITS | since)
        there = (at < len(self.key)) & (np.append(self.owner, -1)[np.minimum(at, len(self.key))] == owner)
        return np.where(there, np.append(self.since, 0)[np.minimum(at, len(self.key))], -1)


def _copies(columns: Columns, exchanges: Table) -> tuple[Ints, Ints]:
    """Rows of all copies of the requests, and to which exchange each belongs."""
    good = (columns["mid"] >= 0) & (columns["code"] > 0) & (columns["code"] < 32)
    ordered, starts = copy_groups(columns, np.nonzero(good)[0])
    first = ordered[starts]
    place = np.searchsorted(exchanges["_row"], first)
    owner: Ints = place[np.cumsum(starts) - 1]
    return ordered, owner


def _answers(columns: Columns, exchanges: Table) -> tuple[Ints, Ints]:
    """Rows of acknowledgements and resets, and which exchange each answers."""
    # A request in an acknowledgement is against the rules, but it occurs; it answers nothing.
    acks = np.nonzero((columns["type"] >= _ACK) & ((columns["code"] == 0) | (columns["code"] >= 32)))[0]
    asked = exchanges["_row"]
    src, dst = ends(columns)
    near, far = np.concatenate([src[asked], dst[acks]]), np.concatenate([dst[asked], src[acks]])
    key = group_codes(near, far, columns["mid"][np.concatenate([asked, acks])])
    owner = last_before(key[: len(asked)], asked, key[len(asked) :], acks)
    row = asked[np.maximum(owner, 0)]
    time = columns["time"]
    good = (owner >= 0) & (columns["type"][row] == 0) & (time[acks] - time[row] <= _LIFETIME_NS)
    return acks[good], owner[good]


def _with_separate(columns: Columns, exchanges: Table, answers: Ints, answered: Ints) -> tuple[Ints, Ints]:
    """The answers, with the responses that came in a message of their own."""
    response = exchanges["_response"]
    own = np.nonzero((response >= 0) & (columns["type"][response] < _ACK))[0]
    return np.append(answers, response[own]), np.append(answered, own)


def _round_trips(columns: Columns, exchanges: Table, sent: _Keyed, heard: _Keyed) -> tuple[Ints, Ints]:
    """The smallest round trip to whom each exchange asks, and that to who asks; nanoseconds, 0 where none is known."""
    count = len(exchanges["_row"])
    hosts = host_codes(columns)
    near, far = hosts[exchanges["_src"]], hosts[exchanges["_dst"]]
    total = int(hosts.max()) + 1
    copies, answers = np.bincount(sent.owner, minlength=count), np.bincount(heard.owner, minlength=count)
    first, last = heard.first_from(np.zeros(count, np.int64)), np.zeros(count, np.int64)
    last_sent = last.copy()
    np.maximum.at(last, heard.owner, heard.since)
    np.maximum.at(last_sent, sent.owner, sent.since)
    # Karn: what was sent again says nothing, unless every copy was answered: then the last answer is to the last copy.
    clear = (copies == 1) & (answers >= 1)
    paired = (copies > 1) & (answers == copies) & (last > last_sent)
    sample = np.where(clear, first, np.where(paired, last - last_sent, -1))
    known = np.nonzero((sample >= 0) & (clear | paired))[0]
    pair = near * total + far
    pairs, number = np.unique(np.concatenate([pair, far * total + near]), return_inverse=True)
    best = np.full(len(pairs), np.iinfo(np.int64).max)
    np.minimum.at(best, number[:count][known], sample[known])
    best[best == np.iinfo(np.int64).max] = 0
    return best[number[:count]], best[number[count:]]


def _spurious(sent: _Keyed, heard: _Keyed, trip: Ints, back: Ints) -> NDArray[np.bool_]:
    """Which copies were not needed."""
    owner = sent.owner
    crossing = heard.count_between(owner, sent.since - back[owner], sent.since + trip[owner]) > 0
    # Near the sender every answer that is seen is received: of n copies with m answers m - 1 were for nothing.
    near = back < trip
    distinct = _distinct(sent, heard, len(trip))
    copies = np.bincount(owner, minlength=len(trip))
    surplus = sent.place >= (copies - np.maximum(distinct - 1, 0))[owner]
    # Wherever the tap is: where each copy got an answer of its own, those sent before the first answer were too early.
    early = (distinct == copies)[owner] & (sent.since < heard.first_from(np.zeros(len(trip), np.int64))[owner])
    spurious: NDArray[np.bool_] = (crossing | (near[owner] & surplus) | early) & (sent.place > 0)
    return spurious


def _distinct(sent: _Keyed, heard: _Keyed, count: int) -> Ints:
    """Answers of each exchange, those that the network doubled counted once: copies of a request lie further apart."""
    gap = np.full(count, np.iinfo(np.int64).max)
    again = np.nonzero(sent.place > 0)[0]
    np.minimum.at(gap, sent.owner[again], sent.since[again] - sent.since[again - 1])
    far = heard.place == 0
    later = np.nonzero(~far)[0]
    far[later] = heard.since[later] - heard.since[later - 1] >= gap[heard.owner[later]] // 2
    return np.bincount(heard.owner, far, count).astype(np.int64)

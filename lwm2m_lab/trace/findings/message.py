"""Rules of single messages (RFC 7252): message ids, tokens, types and options, and separate responses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.trace.exchanges import EXCHANGE_LIFETIME
from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import Conclusion, Party, Said, Verdict, rule
from lwm2m_lab.trace.findings.tap import chance
from lwm2m_lab.trace.findings.traffic import ACK, CON, NO_CHANCE, NON, RST, Traffic, period, traffic
from lwm2m_lab.trace.rows import Rows
from lwm2m_lab.wire import coap

__all__: list[str] = []

#: A message id of a NON message names it for this long (RFC 7252, 4.8.2), seconds.
NON_LIFETIME = 145.0
#: Copies of a message around which its receiver is heard: the path may have lost one or two.
_HEARD_AGAIN = 3
#: Copies that were sent while the path was there are not lost one and all with a likelihood like this.
_UNLIKELY = 1e-3
#: What is asked so long before the last copy was not asked on a path that came back for that, seconds.
_SETTLED = 5.0
#: Messages that are decoded option by option in one update.
_MOST_DECODED = 16
#: Critical options that a device needs for LwM2M 1.0 and for Object 5.
_NEEDED = {1, 3, 5, 7, 11, 15, 17, 23, 27}
Ints = NDArray[np.int64]


def _party(seen: Traffic, at: int, *, receiver: bool = False) -> Party:
    """Who sent, or received, a message: the device or who serves it."""
    return "device" if bool(seen.rows.sender[at]) != receiver else "server"


@rule("M9", "a message id is not used again within its lifetime", clause="RFC 7252, 4.4 and 4.8.2", party="server")
def message_id_reused(case: Case) -> Iterator[Conclusion]:
    """Two different messages with one message id between the same endpoints: 247 s for CON, 145 s for NON."""
    seen = traffic(case)
    begun = np.nonzero((seen.type <= NON) & (seen.rank == 0))[0]
    if not begun.size:
        return
    key = (seen.src[begun] << 40) ^ (seen.dst[begun] << 16) ^ seen.mid[begun]
    order = begun[np.argsort(key, kind="stable")]
    one, other = order[:-1], order[1:]
    same = (seen.mid[one] == seen.mid[other]) & (seen.src[one] == seen.src[other]) & (seen.dst[one] == seen.dst[other])
    one, other = one[same], other[same]
    gap = seen.time[other] - seen.time[one]
    soon = gap < np.where(seen.type[one] == CON, EXCHANGE_LIFETIME, NON_LIFETIME)
    boots = case.registers.frame
    for earlier, later, after in sorted(zip(one[soon].tolist(), other[soon].tolist(), gap[soon].tolist(), strict=True)):
        rebooted = (boots > seen.frame[earlier]) & (boots <= seen.frame[later])
        because = " (it registered again in between, and seems to count from the same number after a boot)"
        yield Said(
            Verdict.FAIL,
            f"message id {seen.mid[later]} is used again in frame {seen.frame[later]} for another message, "
            f"{period(after)} after frame {seen.frame[earlier]}{because if rebooted.any() else ''}",
            [int(seen.frame[earlier]), int(seen.frame[later])],
            party=_party(seen, later),
            certainty="suspected" if rebooted.any() else None,
        )
    if not soon.any():
        yield Verdict.PASS, f"{len(begun)} messages have message ids of their own", ()


@rule("M10", "a separate response is acknowledged", clause="RFC 7252, 5.2.2", party="server", certainty="suspected")
def response_ignored(case: Case) -> Iterator[Conclusion]:
    """A CON response that is sent to the last copy, while its receiver is there and never acknowledges it."""
    seen = traffic(case)
    responses = np.nonzero((seen.type == CON) & (seen.code >= 64) & (seen.rank == 0))[0]
    if not responses.size:
        return
    silent = responses[(seen.answer[responses] < 0) & (seen.copies[responses] > 1)]
    told = False
    for at in silent.tolist()[:_MOST_DECODED]:
        copies = np.nonzero(seen.first == at)[0]
        in_reach = max(seen.copies_in_reach(at), _before_heard_elsewhere(seen, at, copies))
        if not in_reach or chance(case, silent, len(copies)) > NO_CHANCE:
            continue
        told = True
        span = float(seen.time[copies[-1]] - seen.time[at])
        there = in_reach >= _HEARD_AGAIN and chance(case, silent, in_reach) < _UNLIKELY
        yield Said(
            Verdict.FAIL if there else Verdict.INCONCLUSIVE,
            f"the response in frame {seen.frame[at]} is confirmable and was sent {len(copies)} times over "
            f"{period(span)}; its receiver, which is heard {'meanwhile' if there else 'near few of them'}, "
            f"neither acknowledged nor rejected it{'' if there else '; the path may have lost them'}",
            seen.frame[copies],
            party=_party(seen, at, receiver=True),
        )
    if not told:
        yield Verdict.PASS, f"{len(responses)} confirmable responses, none sent to the end without an answer", ()


def _before_heard_elsewhere(seen: Traffic, at: int, copies: Ints) -> int:
    """How many copies a device was sent before it last asked somebody else for something, and was content."""
    if seen.rows.sender[at]:
        return 0
    during = (seen.time > seen.time[copies[0]]) & (seen.time < seen.time[copies[-1]] - _SETTLED)
    asks = during & (seen.type == CON) & (seen.rank == 0) & (seen.copies == 1) & (seen.answer >= 0) & seen.rows.sender
    heard = np.flatnonzero(asks)
    return int((seen.time[copies] < seen.time[heard[-1]]).sum()) if heard.size else 0


@rule("M11", "a request is no acknowledgement", clause="RFC 7252, 4.2 and 4.3, table 1")
def request_in_ack(case: Case) -> Iterator[Conclusion]:
    """An ACK carries a response or nothing, an RST nothing."""
    seen = traffic(case)
    wrong = np.nonzero((seen.type >= ACK) & (seen.code > 0) & ((seen.code < 32) | (seen.type == RST)))[0]
    if wrong.size:
        at = int(wrong[0])
        code = case.capture.columns.categories["code"][int(seen.code[at])]
        kind = "an acknowledgement" if seen.type[at] == ACK else "a reset"
        yield Said(
            Verdict.FAIL,
            f"{coap.code_name(code)} travels in {kind} in frame {seen.frame[at]}"
            + (f" and in {len(wrong) - 1} more" if len(wrong) > 1 else ""),
            seen.frame[wrong],
            party=_party(seen, at),
        )
    elif len(seen.type):
        yield Verdict.PASS, f"{int((seen.type >= ACK).sum())} acknowledgements and resets carry no request", ()


@rule("W17", "an acknowledgement carries the token of what it acknowledges", clause="RFC 7252, 5.3.1 and 5.3.2")
def another_token(case: Case) -> Iterator[Conclusion]:
    """A piggybacked response matches by message id and by token; with another token it is no answer."""
    seen = traffic(case)
    answers = np.nonzero((seen.type == ACK) & (seen.code >= 64) & (seen.answered >= 0))[0]
    asked = seen.answered[answers]
    request = (seen.code[asked] > 0) & (seen.code[asked] < 32)
    wrong = request & (seen.token[answers] != seen.token[asked])
    # Where one message id names several requests, the answer may be to another of them.
    if wrong.any():
        again = {int(seen.mid[at]) for at in answers[request & ~wrong].tolist()}
        wrong &= np.array([int(mid) not in again for mid in seen.mid[answers]])
    tokens = case.capture.columns.categories["token"]
    for answer, of in list(zip(answers[wrong].tolist(), asked[wrong].tolist(), strict=True))[:1]:
        one, other = (tokens[int(seen.token[at])] if seen.token[at] >= 0 else "" for at in (answer, of))
        yield Said(
            Verdict.FAIL,
            f"the acknowledgement in frame {seen.frame[answer]} carries the token {one or 'of no bytes'}, the request "
            f"in frame {seen.frame[of]} with the same message id {other or 'none'}"
            + (f"; so do {int(wrong.sum()) - 1} more" if wrong.sum() > 1 else ""),
            [*seen.frame[asked[wrong]].tolist(), *seen.frame[answers[wrong]].tolist()],
            party=_party(seen, answer),
        )
    strange = None if wrong.any() else _separate_with_another_token(case, seen)
    if strange is not None:
        yield strange
    elif not wrong.any() and request.any():
        yield Verdict.PASS, f"{int(request.sum())} acknowledgements carry the tokens of their requests", ()


def _separate_with_another_token(case: Case, seen: Traffic) -> Said | None:
    """A request that was acknowledged and never answered, and a response with a token of nobody, which is reset.

    No message id ties the two together, but Block1 has the number of the block.
    """
    waiting = case.exchanges[(case.exchanges.response_frame < 0) & (case.exchanges.request_block1_num >= 0)]
    for frame, mid, num, token in waiting.each("frame", "mid", "request_block1_num", "_token"):
        at = np.nonzero((seen.frame == frame) & (seen.mid == mid))[0]
        answer = int(seen.answer[at[0]]) if at.size else -1
        if answer < 0 or seen.code[answer] != 0 or seen.type[answer] != ACK:
            continue
        back = (seen.src == seen.dst[at[0]]) & (seen.type == CON) & (seen.code >= 64) & (seen.rank == 0)
        back &= (seen.rows.block1_num == num) & (seen.token != token) & (seen.frame > frame)
        back &= (seen.answer >= 0) & (seen.type[seen.answer] == RST)
        reset = np.nonzero(back)[0].tolist()
        if reset:
            return Said(
                Verdict.FAIL,
                f"block {num} in frame {frame} was acknowledged and never answered; the response in frame "
                f"{seen.frame[reset[0]]} names that block, carries a token with which nobody asked, and was reset",
                [frame, int(seen.frame[answer]), int(seen.frame[reset[0]]), int(seen.frame[seen.answer[reset[0]]])],
                certainty="suspected",
            )
    return None


@rule(
    "C4",
    "a non-confirmable message that comes twice is acted on once",
    clause="RFC 7252, 4.3 and 4.5",
    certainty="suspected",
)
def duplicate_answered(case: Case) -> Iterator[Conclusion]:
    """Two different responses to two copies of one NON request."""
    seen = traffic(case)
    asked = np.nonzero((seen.type == NON) & (seen.code > 0) & (seen.code < 32) & (seen.rank == 0))[0]
    asked = asked[seen.copies[asked] > 1] if asked.size else asked
    for at in asked.tolist()[:_MOST_DECODED]:
        back = (seen.src == seen.dst[at]) & (seen.dst == seen.src[at]) & (seen.token == seen.token[at])
        found = np.nonzero(back & (seen.code >= 64) & (seen.rank == 0) & (seen.time >= seen.time[at]))[0]
        if len(found) > 1 and seen.time[found[1]] - seen.time[at] < NON_LIFETIME:
            yield Said(
                Verdict.FAIL,
                f"the request in frame {seen.frame[at]} came {seen.copies[at]} times and was answered by "
                f"{len(found)} different messages: each copy was acted on",
                [*seen.frame[seen.first == at].tolist(), *seen.frame[found].tolist()],
                party=_party(seen, at, receiver=True),
            )
            return
    if asked.size:
        yield Verdict.PASS, f"{len(asked)} non-confirmable requests came more than once", seen.frame[asked]


@rule("C5", "an empty confirmable message is reset", clause="RFC 7252, 4.3", certainty="suspected")
def ping_unanswered(case: Case) -> Iterator[Conclusion]:
    """A ping: whoever hears it answers with RST."""
    seen = traffic(case)
    pings = np.nonzero((seen.type == CON) & (seen.code == 0) & (seen.rank == 0))[0]
    if not pings.size:
        return
    answer = seen.answer[pings]
    wrong = pings[(answer >= 0) & (seen.type[answer] != RST)]
    if wrong.size:
        at = int(wrong[0])
        yield Said(
            Verdict.FAIL,
            f"the empty confirmable message in frame {seen.frame[at]} was answered by an acknowledgement in frame "
            f"{seen.frame[seen.answer[at]]} where a reset is expected",
            [int(seen.frame[at]), int(seen.frame[seen.answer[at]])],
            party=_party(seen, at, receiver=True),
            certainty="proved",
        )
        return
    silent = pings[(answer < 0) & (seen.copies[pings] >= 4)]
    silent = silent[[seen.copies_in_reach(at) >= _HEARD_AGAIN for at in silent.tolist()]]
    kept = [at for at in silent.tolist() if chance(case, silent, int(seen.copies[at])) < NO_CHANCE]
    silent = np.array(kept, np.int64)
    if silent.size:
        at = int(silent[0])
        yield Said(
            Verdict.FAIL,
            f"the empty confirmable message in frame {seen.frame[at]} was sent {seen.copies[at]} times, and its "
            "receiver, which is heard meanwhile, never reset it",
            seen.frame[seen.first == at],
            party=_party(seen, at, receiver=True),
        )
    else:
        yield Verdict.PASS, f"{int((answer >= 0).sum())} of {len(pings)} empty confirmable messages were reset", ()


@rule("C6", "unknown critical options are refused, known ones are not", clause="RFC 7252, 5.4.1", certainty="suspected")
def critical_options(case: Case) -> Iterator[Conclusion]:
    """4.02 for a critical option that nobody knows; no 4.02 for what every LwM2M device has to know."""
    asked = case.exchanges[(case.exchanges.response_frame >= 0).astype(bool)]
    if not len(asked):
        return
    refused = np.nonzero(asked["_response_code"] == 0x82)[0]
    kinds = (asked["_path"].astype(np.int64) << 8) | asked["_code"]
    _, first = np.unique(kinds, return_index=True)
    looked, known = 0, True
    for at in [*refused[:_MOST_DECODED].tolist(), *first[:_MOST_DECODED].tolist()]:
        looked += 1
        options = coap.decode(case.capture.columns.datagram(int(asked["_row"][at]))).options
        critical = {number for number, _ in options if number % 2}
        strange = sorted(critical - set(coap.OPTIONS))
        frames = [int(asked.frame[at]), int(asked.response_frame[at])]
        code = asked.response_code[at]
        party = _answers(case, asked, at)
        if strange and code[0] == "2":
            known = False
            yield Said(
                Verdict.FAIL,
                f"the request in frame {frames[0]} has the critical option {strange[0]}, which no registry knows, and "
                f"was answered {code} instead of 4.02",
                frames,
                party=party,
            )
        elif code == "4.02" and not strange and critical <= _NEEDED and not _is_behind_block_0(asked, at):
            known = False
            names = ", ".join(coap.OPTIONS[one] for one in sorted(critical)) or "none at all"
            yield Said(
                Verdict.FAIL,
                f"the request in frame {frames[0]} was refused with 4.02, and its critical options are ones that every "
                f"LwM2M client knows: {names}",
                frames,
                party=party,
            )
        if not known:
            return
    yield Verdict.PASS, f"the critical options of {looked} kinds of requests were treated as the registry has them", ()


def _is_behind_block_0(asked: Rows, at: int) -> bool:
    """Whether a request is for a block behind the first: there the number is refused, and not the option."""
    return max(int(asked.request_block1_num[at]), int(asked.request_block2_num[at])) > 0


def _answers(case: Case, asked: Rows, at: int) -> Party:
    """Who answers an exchange."""
    to_device = asked["_dst"][at] == asked["_device"][at]
    return "device" if to_device else "repository" if case.update.evidence.kind == "pull" else "server"

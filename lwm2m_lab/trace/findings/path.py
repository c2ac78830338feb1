"""Rules of the path below the messages: addresses that change, DTLS sessions that are lost, ICMP errors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import Conclusion, Party, Said, Verdict, rule
from lwm2m_lab.trace.findings.traffic import ACK, gets, period, remaining, traffic, writes
from lwm2m_lab.wire import segments, streams
from lwm2m_lab.wire.icmp import IcmpError

__all__: list[str] = []

#: Mappings of UDP in a NAT live longer than this (RFC 4787, REQ-5 asks for 120 s; the field knows 30), seconds.
_MAPPING = 30.0
#: No mapping of UDP is known to time out sooner than this, seconds.
_SOONEST = 10.0


def _host(address: str) -> str:
    return address.rsplit(":", 1)[0]


@rule(
    "M12",
    "the device keeps its address",
    clause="RFC 4787, REQ-5; RFC 9146, 6",
    party="network",
    certainty="suspected",
    judges_update=False,
)
def address_changed(case: Case) -> Iterator[Conclusion]:
    """After a pause the device speaks from another port, and what is sent to the old one is lost: a NAT forgot it."""
    seen = traffic(case)
    server = case.delivery["_src"][:1] if len(case.delivery) else case.delivery["_src"]
    if not len(server):
        return
    own = np.nonzero(seen.rows.sender & (seen.dst == server[0]))[0]
    moves = own[1:][np.diff(seen.src[own]) != 0] if own.size else own
    installed = case.installs.first("frame", np.inf)
    boots = set(case.registers.frame.tolist())
    addresses = case.capture.columns.categories["src"]
    for at in moves.tolist()[:16]:
        last = int(own[np.searchsorted(own, at) - 1])
        gap = float(seen.time[at] - seen.time[last])
        # A Register after the installation comes from a new process, whatever the path does.
        booted = installed < seen.frame[at] and int(seen.frame[at]) in boots
        if gap <= _MAPPING or booted:
            continue
        old, new = addresses[int(seen.src[last])], addresses[int(seen.src[at])]
        asked = case.exchanges
        lost = asked[(asked["_dst"] == seen.src[last]) & (asked.response_frame < 0) & (asked.frame > seen.frame[last])]
        moved = (
            f"after {period(gap)} of silence the device speaks from {new} in frame {seen.frame[at]}, before from {old}"
        )
        frames = [int(seen.frame[last]), int(seen.frame[at])]
        if len(lost) and int(seen.frame[at]) in boots:
            yield (
                Verdict.INCONCLUSIVE,
                f"{moved}, with a new registration; {len(lost)} requests to the old address were never answered, the "
                f"first in frame {lost.first('frame')}: it started anew, or a NAT forgot the mapping and it registered "
                "anew; its own log would tell which",
                [*frames, *lost.frame.tolist()],
            )
        elif len(lost):
            # No mapping times out in the middle of a conversation.
            idle = float(lost.time[0]) - float(seen.time[last])
            why = f"a NAT forgot the mapping; speak every {period(min(gap, 120) / 2)} at least, or agree on a "
            why += "Connection ID"
            if idle < _SOONEST:
                why = f"{period(idle)} after the device's last word a NAT had lost the mapping, as at its restart, or "
                why += "the device its address; a Connection ID would have carried over"
            yield (
                Verdict.FAIL,
                f"{moved}; {len(lost)} requests to the old address were never answered, the first in frame "
                f"{lost.first('frame')}: {why}",
                [*frames, *lost.frame.tolist()],
            )
        else:
            yield Verdict.PASS, f"{moved}; nothing was lost by it", frames
        return
    if own.size and not moves.size:
        yield Verdict.PASS, f"the device speaks from {addresses[int(seen.src[own[0]])]} all the time", ()


@rule(
    "M13",
    "the DTLS session lasts as long as the transfer",
    clause="RFC 6347, 4.2.8; RFC 9146",
    party="network",
    certainty="suspected",
    judges_update=False,
)
def session_lost(case: Case) -> Iterator[Conclusion]:
    """A handshake between two blocks, and then block 0 or nothing."""
    sessions = case.capture.columns.sessions
    pull = case.update.evidence.kind == "pull"
    blocks = gets(case) if pull else writes(case)
    if not sessions or not len(blocks):
        return
    devices = {_host(one) for one in (blocks.src if pull else blocks.dst).tolist()}
    num = np.maximum(blocks.request_block2_num, 0) if pull else blocks.request_block1_num
    first = blocks.first("frame")
    ended = case.update.evidence.last_frame if case.update.evidence.accepted else np.inf
    for session in sessions:
        hello = session.first_frame
        if not first < hello < min(ended, case.update.until) or session.epoch > 1:
            continue
        if _host(session.client) not in devices or len(case.installs.before(hello)):
            continue
        before, after = blocks.before(hello), blocks.after(hello)
        kept = "" if session.client_cid or session.server_cid else " (no Connection ID was agreed on)"
        said = f"a new DTLS handshake begins in frame {hello}, after block {num[len(before) - 1]} of the transfer{kept}"
        frames = [before.last("frame"), hello]
        if len(after) and num[len(before)] > 0:
            yield Verdict.PASS, f"{said}, and the transfer goes on", [*frames, after.first("frame")]
        elif len(after):
            yield (
                Verdict.FAIL,
                f"{said}, and the transfer begins again at block 0 in frame {after.first('frame')}: with a "
                "Connection ID, or a resumed session, it would have gone on",
                [*frames, after.first("frame")],
            )
        else:
            silence = remaining(case, float(before.time[-1]))
            verdict = Verdict.FAIL if silence > _MAPPING else Verdict.INCONCLUSIVE
            yield verdict, f"{said}, and in {period(silence)} no block follows", frames
        return
    yield Verdict.PASS, "no handshake interrupts the transfer", ()


@rule(
    "M14",
    "the device can be reached",
    clause="RFC 7252, 4.2; RFC 792",
    party="device",
    certainty="suspected",
    judges_update=False,
)
def unreachable(case: Case) -> Iterator[Conclusion]:
    """An ICMP error quotes a message of ours: nobody listens there, or no path leads there."""
    errors = case.capture.columns.icmp_errors
    if not errors:
        return
    columns = case.capture.columns
    until = case.update.until
    seen = traffic(case)
    pairs = {(int(one), int(other)) for one, other in np.unique(np.stack([seen.src, seen.dst]), axis=1).T}
    codes = {(columns.categories["src"][one], columns.categories["src"][other]) for one, other in pairs}
    mine = [one for one in errors if case.update.frames[0] <= one.frame < until and (one.src, one.dst) in codes]
    if not mine:
        return
    back = case.again.first("frame", np.inf)
    installed = case.installs.first("frame", np.inf)
    frames = [one.frame for one in mine]
    others = [one for one in mine if not installed < one.frame < back]
    if not others:
        yield Verdict.PASS, f"{len(mine)} ICMP errors while the device restarts for the installation", frames
        return
    # One conclusion for each address: a server that stopped and a device that stopped are two things.
    for at in dict.fromkeys((one.reporter, one.dst) for one in others):
        yield _unreachable_address(case, [one for one in others if (one.reporter, one.dst) == at])


def _unreachable_address(case: Case, errors: list[IcmpError]) -> Said:
    """What ICMP errors of one reporter about one address say."""
    seen, first = traffic(case), errors[0]
    if _are_late_copies(case, errors):
        return Said(
            Verdict.PASS,
            f"{len(errors)} copies of answers found nobody at {first.dst} any more: who asked had its answer, and left",
            [one.frame for one in errors],
        )
    quoted = np.nonzero((seen.mid == first.mid) & (seen.frame < first.frame))[0]
    asked = f" (frame {seen.frame[quoted[-1]]})" if quoted.size else ""
    itself = first.reporter == _host(first.dst)
    party: Party = "device" if itself else "network"
    addresses = case.capture.columns.categories["src"]
    if itself and first.src in {addresses[code] for code in np.unique(seen.src[seen.rows.sender]).tolist()}:
        party = "server"
    who = f"{first.reporter} itself" if itself else f"{first.reporter} on the way"
    why = "no path leads there"
    if itself:
        why = "nobody listens on that port: asleep, stopped, or restarted on another one"
        why += ", or it is a NAT that forgot the device" if party == "device" else ""
    return Said(
        Verdict.FAIL,
        f"{who} says {first.meaning!r} in frame {first.frame} of a message to {first.dst}{asked}"
        + {0: "", 1: ", and once more"}.get(len(errors) - 1, f", and {len(errors) - 1} times more")
        + f": {why}",
        [*(int(seen.frame[at]) for at in quoted[-1:]), *(one.frame for one in errors)],
        party=party,
    )


def _are_late_copies(case: Case, errors: list[IcmpError]) -> bool:
    """Whether each error quotes an answer that had been given before, to somebody who has closed its port since."""
    seen, names = traffic(case), case.capture.columns.categories
    for one in errors:
        same = (seen.mid == one.mid) & (seen.frame < one.frame) & (seen.type >= ACK)
        ends = [
            (names["src"][seen.src[at]], names["src"][seen.dst[at]]) == (one.src, one.dst)
            for at in np.nonzero(same)[0].tolist()
        ]
        if sum(ends) < 2:
            return False
    return True


@rule(
    "C7",
    "what TCP sends again is what it sent",
    clause="RFC 9293, 3.4 (each octet has its sequence number)",
    party="network",
    certainty="suspected",
)
def repeated_as_another(case: Case) -> Iterator[Conclusion]:
    """A retransmission with other bytes: a box on the way, or a broken stack, has changed the package."""
    wanted = set(case.update.evidence.connections)
    if not wanted:
        return
    columns = case.capture.columns
    look = segments.HTTP if case.update.evidence.http else segments.COAP
    if ("streams", look) not in case.capture.memo:
        found = streams.connections(columns.segments, look, columns.bytes_at)
        case.capture.memo["streams", look] = [one.server for one in found]
    own = [one for one in case.capture.memo["streams", look] if (one.destination, one.source) in wanted]
    other = [frame for one in own for _, _, frame in one.disputed if case.update.frames[0] <= frame < case.update.until]
    again = sum(one.retransmitted for one in own)
    if other:
        yield (
            Verdict.FAIL,
            f"{len(other)} of {max(again, len(other))} segments that were sent again carry other bytes under the same "
            f"sequence numbers, the first in frame {other[0]}: a box on the way, or a broken stack, changed them, and "
            "which of both the device took is not certain",
            other,
        )
    elif again:
        yield Verdict.PASS, f"{again} segments were sent again, each as it had been", ()

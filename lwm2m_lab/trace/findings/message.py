"""Rules of the message layer (RFC 7252)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lwm2m_lab.trace.exchanges import EXCHANGE_LIFETIME
from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import Conclusion, Verdict, rule

__all__: list[str] = []


@rule("M0", "every confirmable message is answered", clause="RFC 7252, 4.2", party="network", certainty="suspected")
def unanswered(case: Case) -> Iterator[Conclusion]:
    """All copies of a request without an answer: the path was gone, or nobody was there."""
    confirmable = case.exchanges.where(type="CON")
    lost = confirmable[(confirmable.response_frame < 0) & (confirmable.retransmissions >= 4)]
    for frame, copies, path in lost.each("frame", "retransmissions", "uri_path"):
        yield Verdict.FAIL, f"{path} was sent {copies + 1} times from frame {frame} on and never answered", [frame]
    if not len(lost) and len(confirmable):
        yield Verdict.PASS, "no request ran out of retransmissions", ()


@rule("M2", "a duplicate is answered again", clause="RFC 7252, 4.2 and 4.5", certainty="suspected")
def duplicate_ignored(case: Case) -> Iterator[Conclusion]:
    """A CON that was sent several times and answered fewer times: copies were lost, or the receiver ignores them."""
    again = case.delivery[case.delivery.retransmissions > 0]
    if len(again):
        answered = again[again.response_frame >= 0]
        yield Verdict.PASS, f"{len(again)} requests were sent again, {len(answered)} of them answered", again.frame


@rule("M6", "retransmissions are needed", clause="RFC 7252, 4.8.1", party="server", certainty="suspected")
def spurious_retransmissions(case: Case) -> Iterator[Conclusion]:
    """An answer that comes sooner after the last copy than any round trip can be answers an earlier copy."""
    answered = case.exchanges.where(type="CON")
    answered = answered[answered.response_frame >= 0]
    single, again = answered[answered.retransmissions == 0], answered[answered.retransmissions > 0]
    if not len(again):
        return
    slow = again[(again.rtt_s > 2.0) & (again.duplicates >= again.retransmissions)]
    share = len(slow) / len(answered)
    if len(slow) >= 3 and share > 0.3 and (not len(single) or float(np.median(single.rtt_s)) > 1.5):
        yield (
            Verdict.FAIL,
            f"{len(slow)} of {len(answered)} requests were sent again although their answers were on the way: every "
            "copy was answered; a larger ACK_TIMEOUT would spare them",
            slow.frame,
        )
    else:
        yield Verdict.PASS, f"{len(again)} of {len(answered)} requests were sent again, as losses explain", ()


@rule("M9", "a message id is not used again within 247 s", clause="RFC 7252, 4.4", party="server")
def message_id_reused(case: Case) -> Iterator[Conclusion]:
    """Two different messages with one message id between the same endpoints."""
    sent = case.exchanges.where(type="CON")
    if not len(sent):
        return
    order = np.lexsort((sent.frame, sent.mid, sent["_dst"], sent["_src"]))
    sent = sent[order]
    same = (np.diff(sent.mid) == 0) & (np.diff(sent["_dst"]) == 0) & (np.diff(sent["_src"]) == 0)
    reused = sent[1:][same & (np.diff(sent.time) < EXCHANGE_LIFETIME)]
    for frame, mid in sorted(reused.each("frame", "mid")):
        yield Verdict.FAIL, f"message id {mid} is used again in frame {frame} for another message", [frame]
    if not len(reused):
        yield Verdict.PASS, f"{len(sent)} confirmable requests have message ids of their own", ()

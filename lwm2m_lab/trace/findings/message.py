"""Rules of the message layer (RFC 7252)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lwm2m_lab.trace.findings.case import Case
from lwm2m_lab.trace.findings.registry import Conclusion, Verdict, rule

__all__: list[str] = []


@rule("M0", "every confirmable message is answered", clause="RFC 7252, 4.2", party="network", certainty="suspected")
def unanswered(case: Case) -> Iterator[Conclusion]:
    """All copies of a request without an answer: the path was gone, or nobody was there."""
    confirmable = case.exchanges[case.exchanges["type"] == "CON"]
    lost = confirmable[confirmable["response_frame"].isna() & (confirmable["retransmissions"] >= 4)]
    for frame, copies, path in lost[["frame", "retransmissions", "uri_path"]].itertuples(index=False):
        yield Verdict.FAIL, f"{path} was sent {copies + 1} times from frame {frame} on and never answered", [frame]
    if not len(lost) and len(confirmable):
        yield Verdict.PASS, "no request ran out of retransmissions", ()


@rule("M2", "a duplicate is answered again", clause="RFC 7252, 4.2 and 4.5", certainty="suspected")
def duplicate_ignored(case: Case) -> Iterator[Conclusion]:
    """A CON that was sent several times and answered fewer times: copies were lost, or the receiver ignores them."""
    sent = case.delivery
    again = sent[sent["retransmissions"] > 0]
    if len(again):
        answered = again[again["response_frame"].notna()]
        yield (
            Verdict.PASS,
            f"{len(again)} requests were sent again, {len(answered)} of them answered",
            again["frame"].tolist(),
        )


@rule("M6", "retransmissions are needed", clause="RFC 7252, 4.8.1", party="server", certainty="suspected")
def spurious_retransmissions(case: Case) -> Iterator[Conclusion]:
    """An answer that comes sooner after the last copy than any round trip can be answers an earlier copy."""
    answered = case.exchanges[case.exchanges["rtt_s"].notna() & (case.exchanges["type"] == "CON")]
    single = answered[answered["retransmissions"] == 0]["rtt_s"]
    again = answered[answered["retransmissions"] > 0]
    if not len(again):
        return
    slow = again[(again["rtt_s"] > 2.0) & (again["duplicates"] >= again["retransmissions"])]
    share = len(slow) / len(answered)
    if len(slow) >= 3 and share > 0.3 and (not len(single) or float(np.median(single)) > 1.5):
        yield (
            Verdict.FAIL,
            f"{len(slow)} of {len(answered)} requests were sent again although their answers were on the way: every "
            "copy was answered; a larger ACK_TIMEOUT would spare them",
            slow["frame"].tolist(),
        )
    else:
        yield Verdict.PASS, f"{len(again)} of {len(answered)} requests were sent again, as losses explain", ()


@rule("M9", "a message id is not used again within 247 s", clause="RFC 7252, 4.4", party="server")
def message_id_reused(case: Case) -> Iterator[Conclusion]:
    """Two different messages with one message id between the same endpoints."""
    table = case.exchanges[case.exchanges["type"] == "CON"].sort_values("frame")
    if not len(table):
        return
    grouped = table.groupby(["src", "dst", "mid"])
    gap = grouped["time"].diff()
    reused = table[gap.notna() & (gap < 247.0)]
    for frame, mid in reused[["frame", "mid"]].itertuples(index=False):
        yield Verdict.FAIL, f"message id {mid} is used again in frame {frame} for another message", [frame]
    if not len(reused):
        yield Verdict.PASS, f"{len(table)} confirmable requests have message ids of their own", ()

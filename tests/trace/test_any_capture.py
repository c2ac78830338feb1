"""No capture, however damaged, makes a rule of the lab raise: what it cannot say it leaves unsaid."""

from __future__ import annotations

import functools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import lwm2m_lab as lab
from lwm2m_lab.wire.packets import udp_packet
from lwm2m_lab.wire.pcap import Interface
from lwm2m_lab.wire.pcapng import Packet, pcapng_bytes
from tests.peers import SERVER, Session
from tests.trace.triggers import TRIGGERS

DEVICE = ("192.0.2.2", 50001)
SCRIPTS = sorted({one.script for one in TRIGGERS.values()})
#: Bytes of IPv4 and UDP before the message.
HEAD = 28


@functools.cache
def packets(script: str) -> tuple[Packet, ...]:
    """What a script says."""
    return tuple(Session(script).packets)


Change = tuple[str, int, int, int]
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["drop", "again", "swap", "byte", "cut", "late", "wild"]),
        st.integers(0, 10**6),
        st.integers(0, 10**6),
        st.integers(0, 255),
    ),
    max_size=12,
)


def changed(script: str, changes: list[Change]) -> bytes:
    """The capture file of a script, with packets dropped, repeated, exchanged, delayed, cut and overwritten."""
    kept = list(packets(script))
    for what, first, second, value in changes:
        if not kept:
            break
        at, other = first % len(kept), second % len(kept)
        one = kept[at]
        if what == "drop":
            del kept[at]
        elif what == "again":
            kept.insert(other, one)
        elif what == "swap":
            kept[at], kept[other] = kept[other], one
        elif what == "late":
            kept[at] = Packet(one.time_ns + value * 10**9, one.data)
        elif what == "wild":
            kept.insert(
                other, Packet(one.time_ns, udp_packet(SERVER, ("192.0.2.2", 50001), bytes([value]) * (second % 40)))
            )
        elif len(one.data) > HEAD:
            data = bytearray(one.data)
            if what == "byte":
                data[HEAD + second % (len(data) - HEAD)] = value
            else:
                del data[HEAD + second % (len(data) - HEAD) :]
            kept[at] = Packet(one.time_ns, bytes(data))
    return pcapng_bytes(kept, interfaces=[Interface("x")])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SCRIPTS), CHANGES)
def test_no_rule_raises(script: str, changes: list[Change]) -> None:
    """Each finding is a finding, in text, in HTML and in JSON; a rule that raised would say so."""
    explanation = lab.explain(lab.Capture.from_bytes(changed(script, changes), name="changed"))
    told: list[Any] = [one for one in explanation.findings if "could not be applied" in one.sentence]
    assert told == [], "\n".join(map(str, told))
    assert "urn:" not in explanation._repr_html_()
    assert len(explanation.to_dict(all_findings=True)["findings"]) == len(explanation.findings)
    assert str(explanation)

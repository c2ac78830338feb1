"""What can be wrong with a file: damage, clocks, copies, and what cannot be read in it. A function each.

A check is silent where nothing is wrong. A false alarm would send somebody out to capture anew what was there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from lwm2m_lab.trace.ordered import distinct
from lwm2m_lab.trace.translated import translated
from lwm2m_lab.trace.triage import Lack, Weight
from lwm2m_lab.wire.survey import Flow, Survey

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["CHECKS", "ENOUGH", "Check"]

Check = Callable[["Capture", Survey], Iterator[Lack]]
#: Copies of one packet on several interfaces or from a mirror port follow within this time, seconds.
COPY_S = 0.05
#: Messages from which on it is no accident.
ENOUGH = 3
#: A clock that ticks in steps of this or more cannot time a round trip, ns.
COARSE_NS = 10**7
SNAPPED = "cut by the snap length"


def damaged(capture: Capture, seen: Survey) -> Iterator[Lack]:
    """A file that ends in the middle of a packet, or whose lengths lie."""
    for note in seen.notes:
        yield Lack(
            "damaged file", "limits", note, (), "copy the file again (binary, whole), or ask for the capture anew"
        )


def link_types(capture: Capture, seen: Survey) -> Iterator[Lack]:
    """Link layers that cannot be read."""
    for number, count in seen.link_types.items():
        yield Lack(
            "link type",
            "stops" if count == seen.packets else "limits",
            f"{count} of {seen.packets} packets have link type {number}, which the lab cannot read",
            (),
            "capture on an IP interface (Ethernet, Linux cooked, raw IP), or convert the file with editcap or tshark",
        )


def cut_packets(capture: Capture, seen: Survey) -> Iterator[Lack]:
    """A snap length that was too short."""
    if not seen.cut:
        return
    errors = capture.columns.categories["error"]
    snapped = int((capture.columns["error"] == errors.index(SNAPPED)).sum()) if SNAPPED in errors else 0
    if not snapped and not any(flow.dtls for flow in seen.flows):
        return
    found = f"{seen.cut} of {seen.packets} packets were cut, to at most {seen.snaplen} bytes; {snapped} CoAP messages"
    yield Lack(
        "cut packets", "limits", f"{found} are incomplete", tuple(seen.cut_frames), "capture anew without a limit: -s 0"
    )


def doubled(capture: Capture, seen: Survey) -> Iterator[Lack]:
    """Every packet twice: two interfaces of one machine, or a mirror port for both directions."""
    columns = capture.columns
    rows = columns.rows
    if rows < 8:
        return
    names = ("src", "dst", "type", "code", "mid", "token", "payload_length")
    order = np.lexsort((columns["time"], *(columns[name] for name in names)))
    same = np.ones(rows - 1, bool)
    for name in names:
        same &= np.diff(columns[name][order]) == 0
    same &= np.diff(columns["time"][order]) < COPY_S * 1e9
    copies = int(same.sum())
    # Of messages that stand there twice, half are copies.
    if copies >= 0.4 * rows:
        frames = tuple(np.sort(columns["frame"][order[1:][same]])[:6].tolist())
        yield Lack(
            "duplicated packets",
            "limits",
            f"{copies} of {rows} messages stand in the file again within {COPY_S * 1000:.0f} ms: retransmissions and "
            "duplicates are counted too high",
            frames,
            "remove the copies (editcap -d), or capture on one interface (not 'any'), one direction of the mirror port",
        )


def both_sides_of_a_nat(capture: Capture, seen: Survey) -> Iterator[Lack]:
    """Every message twice, each time with another host: `any` on a router."""
    found = translated(capture.columns)
    for kept, copy in found.names.items():
        yield Lack(
            "both sides of a NAT",
            "note",
            f"what {kept} says and hears stands there again under {copy}: the capture sees both sides of a NAT, and "
            f"the {int(found.again.sum())} messages of the other side are left out",
            tuple(capture.columns["frame"][found.again][:6].tolist()),
            "capture on one interface of the router; a filter (host ADDRESS) makes one side of this file",
        )


def time_stamps(capture: Capture, seen: Survey) -> Iterator[Lack]:
    """Clocks that jump, or tick too slowly."""
    if seen.backwards:
        most = max(by for _, by in seen.backwards)
        yield Lack(
            "time runs backwards",
            "limits",
            f"time stamps step back, by up to {most:.3f} s: durations and timers cannot be trusted",
            tuple(frame for frame, _ in seen.backwards),
            "sort the file if it was merged (reordercap); else capture with the clock at rest (no NTP step)",
        )
    asked = capture.rows("exchanges")
    late = asked[asked.rtt_s > 3600]
    if len(late):
        yield Lack(
            "time jumps",
            "limits",
            f"an answer follows its request by {late.rtt_s.max() / 3600:.1f} h: the clock was set in between",
            tuple(late.response_frame.tolist()[:6]),
            "capture with the clock at rest; durations across that frame mean nothing",
        )
    if seen.tick_ns >= COARSE_NS and seen.packets >= 10 and _at_once(capture):
        yield Lack(
            "coarse clock",
            "limits",
            f"time stamps are multiples of {seen.tick_ns / 1e9:g} s: round trips and timers cannot be measured",
            (),
            "capture with microseconds (the tool's default), and do not convert the file to a text format in between",
        )


# ---------------------------------------------------------------- what can be read in it


def encrypted(capture: Capture, seen: Survey) -> Iterator[Lack]:
    """DTLS without its key, or without its handshake."""
    if not capture.encrypted_records:
        return
    weight: Weight = "stops" if not capture._updates else "limits"
    closed = [one for one in capture.columns.sessions if one.records > one.decrypted]
    asked, unseen = [one for one in closed if one.suite], [one for one in closed if not one.suite]
    found = f"{capture.encrypted_records} records could not be decrypted"
    if asked:
        reasons = dict.fromkeys(
            f"{'' if one.identity is None else f'identity {one.identity!r}, '}{one.suite}: {one.reason}"
            for one in asked
        )
        yield Lack(
            "encrypted",
            weight,
            f"{found}; the handshake of {_number(len(asked), 'session')} is there ({'; '.join([*reasons][:3])})",
            tuple(one.first_frame for one in asked[:6]),
            "give the device's pre-shared key (--psk ID:HEX), or a key log of the session (--keylog FILE); a suite "
            "with forward secrecy (ECDHE) needs the key log",
        )
    if unseen:
        yield Lack(
            "encrypted, without handshake",
            weight,
            f"{found if not asked else _number(len(unseen), 'session') + ' began before the capture'}; "
            "without its handshake a pre-shared key opens nothing",
            tuple(one.first_frame for one in unseen[:6]),
            "start the capture first, then restart the device or let it register anew; a key log with a Connection ID "
            "does not help without the handshake either",
        )


def no_coap(capture: Capture, seen: Survey) -> Iterator[Lack]:
    """Nothing to explain."""
    if capture.columns.rows or capture.encrypted_records:
        return
    if not seen.packets:
        found, remedy = "the file has no packet", "check interface and filter of the capture"
    else:
        found = f"none of {seen.packets} packets is a CoAP message"
        remedy = "check the filter (udp), the interface, and on which port the device speaks (--port N)"
    yield Lack("no CoAP", "stops", found, (), remedy)


def no_update(capture: Capture, seen: Survey) -> Iterator[Lack]:
    """Messages, but no firmware update among them."""
    if capture.columns.rows and not capture._updates and not capture.encrypted_records:
        yield Lack(
            "no update",
            "stops",
            "no Write to /5/0/0 or /5/0/1 is in the capture",
            (),
            "capture from before the server begins the update; is it another object (33629) or another protocol?",
        )


def unusual_ports(capture: Capture, seen: Survey) -> Iterator[Lack]:
    """Flows that look like CoAP and were not taken for it."""
    columns = capture.columns
    taken = {columns.categories["src"][code] for code in distinct(columns["src"], columns["dst"])}
    for pair in _conversations([flow for flow in seen.flows if flow.plausible]):
        ends = (pair[0].source, pair[0].destination)
        datagrams, plausible = sum(one.datagrams for one in pair), sum(one.plausible for one in pair)
        port = min(_port(end) for end in ends)
        if plausible < datagrams or datagrams < ENOUGH + 1 or port < 1024 or all(end in taken for end in ends):
            continue
        yield Lack(
            "unusual port",
            "limits",
            f"{datagrams} datagrams between {ends[0]} and {ends[1]} look like CoAP but were not taken for it: no "
            "request has its response there",
            (min(one.first_frame for one in pair),),
            f"read with --port {port} (ports=({port},)) if it is CoAP",
        )


# ---------------------------------------------------------------- help


def _at_once(capture: Capture) -> bool:
    """Whether answers come in no time from both ends: no network is so quick, but a clock may be so slow."""
    asked = capture.rows("exchanges")
    answered = asked[asked["_response"] >= 0]
    from_device, quick = answered["_device"] == answered["_src"], answered.rtt_s == 0
    return all(quick[way].mean() >= 0.3 for way in (from_device, ~from_device) if way.any())


def _conversations(flows: list[Flow]) -> list[list[Flow]]:
    """Flows by the two ends between which they go."""
    pairs: dict[frozenset[str], list[Flow]] = {}
    for flow in flows:
        pairs.setdefault(frozenset((flow.source, flow.destination)), []).append(flow)
    return list(pairs.values())


def _port(address: str) -> int:
    return int(address.rsplit(":", 1)[1])


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


CHECKS: tuple[Check, ...] = (
    no_coap, encrypted, no_update, link_types, damaged, cut_packets, doubled, both_sides_of_a_nat, time_stamps,
    unusual_ports,
)  # fmt: skip

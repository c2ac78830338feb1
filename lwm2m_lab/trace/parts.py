"""Which packets of the file belong to a part of a capture, so that the part can be handed on as a file of its own.

The messages are those that `Capture.select` has. With them go, as far as they are of the endpoint: segments of its TCP
connections, ICMP errors that quote its packets, records of its DTLS sessions; where it has a host for itself, all else
of that host. From before the part go what it cannot be understood without: SYNs, DTLS handshakes, the last Register,
the requests to observe, and the last State, Update Result and Firmware Version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lwm2m_lab.errors import BadInput
from lwm2m_lab.trace.outcomes import FIRMWARE_VERSION, RESULT, STATE
from lwm2m_lab.trace.overtcp import host_of
from lwm2m_lab.trace.selection import Moment, moment_within, selected_rows
from lwm2m_lab.wire.columns import Source
from lwm2m_lab.wire.part import PacketEnds, packets_of, part_of
from lwm2m_lab.wire.pcap import open_capture

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["frames_of_part", "part_file"]


def part_file(
    capture: Capture,
    source: Source,
    *,
    endpoint: str | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
) -> bytes:
    """A capture file of the part alone.

    Raises
    ------
    BadInput
        As `Capture.select`, and where nothing is in the part.
    """
    stream, name = open_capture(source)
    with stream:
        content = stream.read()
    frames = frames_of_part(capture, content, endpoint=endpoint, since=since, until=until)
    if not frames:
        raise BadInput(f"no packet of {name} is in this part; an earlier beginning or a later end is expected")
    return part_of(content, frames, name)


def frames_of_part(
    capture: Capture, content: bytes, *, endpoint: str | None, since: Moment | None, until: Moment | None
) -> set[int]:
    """The frames of a part, with what explains it.

    Parameters
    ----------
    capture : Capture
        The whole.
    content : bytes
        Its file.
    endpoint : str or None
    since, until : moment or None
        As in `Capture.select`.

    Raises
    ------
    BadInput
        As `Capture.select`.
    """
    columns = capture.columns
    rows = selected_rows(capture, endpoint=endpoint, since=since, until=until)
    chosen = set(columns["frame"][rows].tolist())
    whose = _Whose(capture, endpoint) if endpoint is not None else None
    for one in packets_of(content, capture.name):
        if one.frame in chosen or (whose is not None and not whose.has(one)):
            continue
        within = all(
            moment is None or moment_within(capture, moment, one.frame, one.time_ns, at_least=at_least)
            for moment, at_least in ((since, True), (until, False))
        )
        early = since is not None and not moment_within(capture, since, one.frame, one.time_ns, at_least=True)
        if (one.kind != "udp" and within) or (one.opens and (within or early)) or _hidden(capture, one, within=within):
            chosen.add(one.frame)
    if chosen and since is not None:
        names = (
            {endpoint} if endpoint is not None else {str(one) for one in capture._owners[0][rows] if one is not None}
        )
        for name in names:
            chosen |= _before(capture, name, min(columns["frame"][rows].tolist(), default=0))
    return chosen


def _hidden(capture: Capture, one: PacketEnds, *, within: bool) -> bool:
    """A datagram that is no row of the message table: a record that stayed closed, or no CoAP at all."""
    frames = capture.columns["frame"]
    at = int(np.searchsorted(frames, one.frame))
    return within and one.kind == "udp" and not (at < len(frames) and int(frames[at]) == one.frame)


class _Whose:
    """Which packets are an endpoint's: by both ends, or by its host where no other endpoint lives there."""

    def __init__(self, capture: Capture, endpoint: str) -> None:
        columns, wired = capture.columns, capture._wired
        addresses = columns.categories["src"]
        mine = capture._owners[0] == endpoint
        pairs = set(zip(columns["src"][mine].tolist(), columns["dst"][mine].tolist(), strict=True))
        self.ends = {frozenset((addresses[one], addresses[other])) for one, other in pairs}
        for update in capture._found_updates:
            if update.endpoint == endpoint:
                self.ends |= {frozenset(one) for one in update.evidence.connections}
        own = wired["endpoint"] == endpoint
        hosts = {host_of(addresses[code]) for code in wired["_device"][own].tolist()}
        others = {host_of(addresses[code]) for code in wired["_device"][~own].tolist()}
        self.hosts = hosts - others

    def has(self, one: PacketEnds) -> bool:
        if one.ends:
            return one.ends in self.ends or any(host_of(end) in self.hosts for end in one.ends)
        return bool(one.hosts & self.hosts)


def _before(capture: Capture, endpoint: str, begin: int) -> set[int]:
    """Frames from before a part that say who the endpoint is, what is observed, and in what state it was."""
    own = capture.of("exchanges", endpoint).before(begin)
    registers = [one["frame"] for one in capture._registered if one["endpoint"] == endpoint and one["frame"] < begin
                 and one["operation"] == "register"]  # fmt: skip
    told = [capture.values_of(endpoint, path).before(begin).last("frame") for path in (STATE, RESULT, FIRMWARE_VERSION)]
    wanted = (
        np.isin(own.frame, registers[-1:])
        | (own.observe == 0)
        | np.isin(own.response_frame, [one for one in told if one])
    )
    kept = own[wanted]
    return {
        *kept.frame.tolist(),
        *(one for one in kept.response_frame.tolist() if one >= 0),
        *(one for one in told if one),
    }

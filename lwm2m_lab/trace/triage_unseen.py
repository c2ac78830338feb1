"""What a capture may not have seen: a direction, packets, the beginning, the end, a reading. A function each."""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.trace.endpoints import Registration
from lwm2m_lab.trace.exchanges import alike, group_codes
from lwm2m_lab.trace.ordered import among, distinct
from lwm2m_lab.trace.outcomes import accepted_installs
from lwm2m_lab.trace.triage import Lack
from lwm2m_lab.trace.triage_file import ENOUGH, Check
from lwm2m_lab.trace.updates import Update
from lwm2m_lab.wire import Columns
from lwm2m_lab.wire.survey import Survey

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = ["CHECKS"]

#: MAX_TRANSMIT_SPAN (RFC 7252, 4.8.2): who has sent nothing for this long has no copy of it left to send, seconds.
GIVEN_UP_S = 45.0
#: An installation and the boot after it are waited for this long, seconds.
BOOT_S = 300.0
_STATE, _RESULT, _VERSION = "/5/0/3", "/5/0/5", "/3/0/3"


def one_direction(capture: Capture, seen: Survey) -> Iterator[Lack]:
    """Requests without responses, or responses without requests, between two hosts."""
    columns = capture.columns
    pair, way = _by_hosts(columns)
    for rows in alike(np.arange(columns.rows), pair):
        different = len(distinct(columns["mid"][rows]))
        if way[rows].any() != way[rows].all() or different < ENOUGH:
            continue
        code = columns["code"][rows]
        answers = ((code >= 64) & (code < 192)) | (columns["type"][rows] == 2)
        # A sender that repeats everything is not answered; one that goes on was.
        if not answers.any() and len(rows) - different >= 0.5 * different:
            continue
        what = "responses without their requests" if answers.all() else "requests without their responses"
        source, target = (_host(columns.categories[name][columns[name][rows[0]]]) for name in ("src", "dst"))
        yield Lack(
            "one direction",
            "stops",
            f"{len(rows)} messages from {source} to {target}, none back: {what}",
            tuple(columns["frame"][rows[:6]].tolist()),
            "capture both directions: no filter by source, both fibres of a tap, both directions of a mirror port; "
            "with NAT capture on one side of it",
        )


def sampled(capture: Capture, seen: Survey) -> Iterator[Lack]:
    """Packets that the capture lost: what was answered must have been asked."""
    columns = capture.columns
    if not columns.rows:
        return
    requests = np.nonzero((columns["type"] == 0) & (columns["code"] > 0) & (columns["code"] < 32))[0]
    acks = np.nonzero((columns["type"] == 2) & (columns["code"] >= 64))[0]
    # Who asked whom with which message id.
    ends = (("src", "dst"), ("dst", "src"), ("mid", "mid"))
    key = group_codes(*(np.append(columns[asks][requests], columns[answers][acks]) for asks, answers in ends))
    answered = among(key[len(requests) :], key[: len(requests)])
    orphans = acks[~answered & _both_ways(*_by_hosts(columns))[acks]]
    if len(orphans) >= ENOUGH:
        yield Lack(
            "packets missing",
            "limits",
            f"{len(orphans)} answers stand there without their requests ({len(requests)} requests were seen): "
            "the capture was sampled, filtered, or lost packets",
            tuple(columns["frame"][orphans][:6].tolist()),
            "look at 'packets dropped by kernel' of the capture tool; use a larger buffer (-B), no sampling, no filter",
        )


def starts_late(capture: Capture, seen: Survey) -> Iterator[Lack]:
    """A capture that begins after the registration, or within the transfer."""
    known = {one["endpoint"] for one in _registers(capture)}
    missing = [one for one in capture._updates if one.endpoint not in known]
    within = []
    for update in capture._updates:
        numbers = capture.block_rows(update.evidence.exchanges)["num"]
        if len(numbers) and int(numbers.min()) > 0:
            within.append(update)
    if within:
        yield Lack(
            "starts within the transfer",
            "limits",
            f"{_names(within)}: the first block seen is not block 0, so the image cannot be put together",
            tuple(one.frames[0] for one in within[:6]),
            "capture from before the server begins; the image file itself (--image) can stand in for the blocks",
        )
    if missing:
        yield Lack(
            "starts late",
            "limits",
            f"{_names(missing)}: no registration is in the capture, so endpoint name, LwM2M version and object "
            "versions are not known for certain",
            tuple(one.frames[0] for one in missing[:6]),
            "start the capture, then let the device register: restart it, or execute /1/0/8 (Registration Update)",
        )


def not_registered(capture: Capture, seen: Survey) -> Iterator[Lack]:
    """An endpoint that no server let in, so that no update could begin."""
    everything = capture.rows("registrations")
    updated = {one.endpoint for one in capture._updates}
    for endpoint in dict.fromkeys(everything.endpoint.tolist()):
        own = everything.where(endpoint=endpoint)
        asked = own.where(operation="register")
        if endpoint in updated or len(asked) < len(own) or any(one is True for one in asked.accepted.tolist()):
            continue
        frame, columns = int(asked.frame[-1]), capture.columns
        request = int(np.flatnonzero(columns["frame"] == frame)[0])
        copies, answers = _copies_and_answers(columns, request)
        said, frames = "was never answered", [frame]
        if answers:
            frames.append(int(columns["frame"][answers[0]]))
            said = f"was answered {columns.text('code', answers[0])} in frame {frames[1]}"
            if columns.text("token", answers[0]) != columns.text("token", request):
                said += " under another token, so that the device cannot know its answer (RFC 7252, 5.3.1)"
        elif not copies:
            # Whoever does not ask again may have had an answer that the capture lacks.
            continue
        yield Lack(
            "not registered",
            "note" if updated else "stops",
            f"{endpoint}: its Register in frame {frame} {said}, and no other one was taken",
            tuple(frames),
            "look at what the server wants of a Register (its diagnostic payload, its log, its list of endpoints)",
        )


def _copies_and_answers(columns: Columns, request: int) -> tuple[list[int], list[int]]:
    """Rows behind a request that repeat it, and those that answer it by its message id, whatever their token."""
    ends = columns.text("src", request), columns.text("dst", request)
    rows = np.flatnonzero(columns["mid"] == columns["mid"][request])
    later = [(row, (columns.text("src", row), columns.text("dst", row))) for row in rows[rows > request].tolist()]
    copies = [row for row, way in later if way == ends and columns["type"][row] == columns["type"][request]]
    answers = [row for row, way in later if way == ends[::-1] and columns["type"][row] == 2]
    return copies, [row for row in answers if columns["code"][row] >= 64]


def ends_early(capture: Capture, seen: Survey) -> Iterator[Lack]:
    """A capture that stops before it shows how the update went."""
    if not capture.columns.rows:
        return
    end = seen.span_s - (int(capture.columns["time"][0]) - seen.first_ns) / 1e9
    for update in _followed(capture):
        found = _still_open(capture, update, end) if update.outcome == "unfinished" else None
        if found and not any(frame > update.evidence.last_frame for frame in seen.unreachable):
            yield Lack(
                "ends early",
                "limits",
                f"{update.endpoint}: {found}",
                (update.frames[1],),
                "capture until the device has registered again and /5/0/3, /5/0/5 and /3/0/3 were read",
            )


def _still_open(capture: Capture, update: Update, end: float) -> str | None:
    """What the capture did not wait for."""
    executed = _executed(capture, update)
    own = capture.rows("exchanges", np.array(update.evidence.exchanges, np.int64))
    last = float(np.nanmax(np.append(own.time, own.response_time)))
    if executed is None:
        if update.evidence.unanswered is not None and update.evidence.unanswered[1] >= 5:
            return None
        waited = end - last
        what = "the delivery" if update.image_accepted is None else "the Execute"
        return f"the capture ends {waited:.1f} s later, before {what} did" if waited < GIVEN_UP_S else None
    frame, time = executed
    after = capture.of("timeline", update.endpoint).after(frame).where(path=(_STATE, _RESULT))
    if len(after) or end - time > BOOT_S:
        return None
    return f"Execute was accepted in frame {frame} and the capture ends {end - time:.1f} s later, without a reading"


def no_reading(capture: Capture, seen: Survey) -> Iterator[Lack]:
    """Resources that nobody read after the installation."""
    for update in _followed(capture):
        executed = _executed(capture, update)
        if executed is None or update.outcome in ("cancelled", "deferred"):
            continue
        again = capture.of("registrations", update.endpoint).after(executed[0]).where(operation="register")
        since = again.first("frame", executed[0])
        seen_after = set(capture.of("timeline", update.endpoint).after(since).before(update.until).path)
        refused = set(capture.of("exchanges", update.endpoint).after(since).uri_path)
        missing = [path for path in (_STATE, _RESULT, _VERSION) if path not in seen_after | refused]
        if missing and not (len(missing) == 3 and _ends_before(capture, since)):
            when = f"the registration in frame {since}" if len(again) else f"the Execute in frame {since}"
            yield Lack(
                "no reading",
                "limits",
                f"{update.endpoint}: after {when} nobody read {', '.join(missing)}",
                (since,),
                "let the server read (or observe) them after the reboot; /3/0/3 alone tells which firmware runs",
            )


def _ends_before(capture: Capture, frame: int) -> bool:
    """Whether the capture ends right behind a frame: `ends_early` has said so."""
    return int((capture.columns["frame"] > frame).sum()) < ENOUGH


def wrong_side(capture: Capture, seen: Survey) -> Iterator[Lack]:
    """A capture on the side of a NAT where a part of the session cannot be seen."""
    for update in capture._updates:
        host = _uri_host(update.evidence.uri)
        device = _host(capture.device_address(update.evidence.exchanges[0]))
        if host is None or len(update.evidence.exchanges) > 1 or host == device:
            continue
        here, there = _is_private(device), _is_private(host)
        scheme = urllib.parse.urlsplit(update.evidence.uri or "").scheme
        if here is None or there is None or here == there or not scheme.startswith("coap"):
            continue
        yield Lack(
            "other side of a NAT",
            "limits",
            f"{update.endpoint} is {'private' if here else 'public'} ({device}), the Package URI points to the "
            f"{'private' if there else 'public'} {host}, and no download is in the capture",
            (update.frames[0],),
            "capture where the download passes too: at the device, or between it and the repository",
        )
    behind: dict[str, list[Registration]] = {}
    for one in _registers(capture):
        if one["endpoint"] != one["address"]:
            behind.setdefault(_host(one["address"]), []).append(one)
    for address, those in sorted(behind.items()):
        names = dict.fromkeys(one["endpoint"] for one in those)
        if len(names) > 1 and _is_private(address) is False:
            yield Lack(
                "behind a NAT",
                "note",
                f"{len(names)} endpoint names register from {address}: the capture sees them from outside a NAT",
                tuple(one["frame"] for one in those[:6]),
                "devices are told apart by port and name; what happens behind the NAT only a capture there shows",
            )


# ---------------------------------------------------------------- help


def _followed(capture: Capture) -> list[Update]:
    """The updates whose device is known after its next boot, too: without a registration a new port is a stranger."""
    known = {one["endpoint"] for one in _registers(capture)}
    last = max((one["frame"] for one in _registers(capture)), default=0)
    return [one for one in capture._updates if one.endpoint in known or last < one.frames[0]]


def _registers(capture: Capture) -> list[Registration]:
    return [one for one in capture._registered if one["operation"] == "register"]


def _by_hosts(columns: Columns) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """For each message a number for the two hosts between which it went, and which way it went there."""
    if not columns.rows:
        return np.zeros(0, np.int64), np.zeros(0, bool)
    hosts, host = np.unique([_host(one) for one in columns.categories["src"]], return_inverse=True)
    src, dst = host[columns["src"]], host[columns["dst"]]
    # On one host, as on loopback, the ports tell the ways apart.
    way = np.where(src == dst, columns["src"] < columns["dst"], src < dst)
    return np.minimum(src, dst) * len(hosts) + np.maximum(src, dst), way


def _both_ways(pair: NDArray[np.int64], way: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """For each message whether others went the other way between the same hosts."""
    return among(pair, pair[way]) & among(pair, pair[~way])


def _executed(capture: Capture, update: Update) -> tuple[int, float] | None:
    """Frame and time of the first accepted Execute of Update."""
    own = accepted_installs(capture.of("executes", update.endpoint), update.frames[0], update.until)
    return (own.first("frame"), own.first("time")) if len(own) else None


def _host(address: str) -> str:
    return address.rsplit(":", 1)[0].strip("[]")


def _uri_host(uri: str | None) -> str | None:
    try:
        return urllib.parse.urlsplit(uri or "").hostname
    except ValueError:
        return None


def _is_private(host: str) -> bool | None:
    """Whether an address is a private one; None for a name and for loopback."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return None if address.is_loopback else not address.is_global


def _names(updates: list[Update]) -> str:
    names = list(dict.fromkeys(one.endpoint for one in updates))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


CHECKS: tuple[Check, ...] = (
    not_registered, one_direction, sampled, wrong_side, starts_late, ends_early, no_reading,
)  # fmt: skip

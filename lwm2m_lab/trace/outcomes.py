"""How an update ended, by the last evidence, and why: the sentence that names what was seen, and the clause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lwm2m_lab.spec.objects import UpdateResult
from lwm2m_lab.trace.delivery import Delivery
from lwm2m_lab.trace.packages import Package
from lwm2m_lab.trace.rows import Rows

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture

__all__ = [
    "FIRMWARE_VERSION",
    "PKG_VERSION",
    "RESULT",
    "STATE",
    "Ending",
    "Outcome",
    "Values",
    "accepted_installs",
    "how_it_ended",
]

Outcome = Literal["succeeded", "failed", "cancelled", "deferred", "unfinished"]
#: Silence of a device after the last copy that nobody answered, as on a path that is gone; seconds.
QUIET = 10.0
STATE, RESULT, PKG_VERSION, FIRMWARE_VERSION = "/5/0/3", "/5/0/5", "/5/0/7", "/3/0/3"


@dataclass(frozen=True, slots=True)
class Ending:
    """How an update ended.

    Attributes
    ----------
    outcome : str
    frame : int or None
        The frame that shows it.
    cause : str or None
        Why, or what is missing; None where it succeeded.
    clause : str
    """

    outcome: Outcome
    frame: int | None
    cause: str | None
    clause: str


def accepted_installs(executes: Rows, first: int, until: float) -> Rows:
    """The Executes of Update between two frames that were accepted."""
    own = executes.between(first, until).where(path="/5/0/2")
    return own[np.array([code is not None and code[0] == "2" for code in own.response_code], bool)]


class Values:
    """The values of one endpoint, split at the first Write of an update."""

    def __init__(self, capture: Capture, delivery: Delivery, until: float, *, from_start: bool) -> None:
        own = {
            path: capture.values_of(delivery.endpoint, path) for path in (STATE, RESULT, PKG_VERSION, FIRMWARE_VERSION)
        }
        # What is no number where one is due says nothing about State or Result: it is neither None nor a value.
        own = {
            path: rows[np.array([one is not None for one in rows.value.tolist()], bool)] for path, rows in own.items()
        }
        self.before = {path: rows.before(delivery.first_frame) for path, rows in own.items()}
        self.during = {path: rows.between(delivery.first_frame, until) for path, rows in own.items()}
        self.from_start = from_start
        self.last_frame = max(rows.last("frame", 0) for rows in self.during.values())

    def sequence(self, path: str) -> tuple[Any, ...]:
        """The values in order, repeats dropped; earlier ones as the contract says."""
        earlier = self.before[path].value.tolist()
        seen = (earlier if self.from_start else earlier[-1:]) + self.during[path].value.tolist()
        values = [_text(value) for value in seen]
        return tuple(value for at, value in enumerate(values) if at == 0 or value != values[at - 1])

    def last_before(self, path: str) -> Any:
        return _text(self.before[path].last("value"))

    def last_after(self, path: str) -> Any:
        return _text(self.during[path].last("value"))

    def results(self, settled: int | None) -> list[tuple[int, int]]:
        """Frames and results that speak of this update: not the old value that is still there before anything ended."""
        old, changed, found = self.last_before(RESULT), False, []
        for frame, value in self.during[RESULT].each("frame", "value"):
            changed |= value != old or (settled is not None and frame > settled)
            if changed and value != 0:
                found.append((frame, value))
        return found


def _text(value: Any) -> Any:
    """A version that is no UTF-8 as text: whoever joins versions or writes them as JSON must not meet bytes."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def how_it_ended(capture: Capture, delivery: Delivery, values: Values, executed: int | None, until: float) -> Ending:
    """The outcome by the last evidence."""
    results = values.results(executed)
    if results:
        value = results[-1][1]
        first = next(one for one, number in results if number == value)
        return _by_result(delivery, value, first)
    resets = [frame for frame in delivery.resets if frame < until]
    if resets:
        cause = f"the server wrote the reset value in frame {resets[-1]} and it was answered 2.04"
        return Ending("cancelled", resets[-1], cause, "Object 5, resource 3")
    forgotten = _forgotten(values, executed)
    if forgotten is not None:
        return Ending("succeeded", forgotten, None, "Object 5, resources 3 and 5")
    if delivery.accepted is False:
        return _refused(delivery)
    return _unfinished(capture, delivery, values, executed)


def _by_result(delivery: Delivery, value: int, frame: int) -> Ending:
    """What a result says."""
    clause = f"Object 5, resource 5, value {value}"
    if value == 1:
        return Ending("succeeded", frame, None, clause)
    if value == 10:
        return Ending("cancelled", frame, f"the device reports Update Result 10 Cancelled in frame {frame}", clause)
    if value == 11:
        return Ending("deferred", frame, f"the device reports Update Result 11 Deferred in frame {frame}", clause)
    known = str(UpdateResult(value)) if value in list(UpdateResult) else f"{value}, unknown to Object 5,"
    if delivery.accepted is False and delivery.final_code is not None:
        served = delivery.refused_by == "repository"
        who, also = ("the repository", "and the device") if served else ("the device", "and")
        result = f"{also} reports Update Result {known} in frame {frame}"
        cause = f"{who} answered {delivery.final_code} in frame {delivery.last_frame}, {result}"
    elif delivery.accepted and delivery.package is not None and value in (2, 3, 5, 6):
        cause = (
            f"the package arrived as it was sent, {delivery.package.size} bytes without a gap by frame "
            f"{delivery.last_frame}, and the device refuses it with Update Result {known} in frame {frame}"
            f"{_image(delivery.package, value)}"
        )
    else:
        cause = f"the device reports Update Result {known} in frame {frame}"
    return Ending("failed", frame, cause, clause)


def _image(package: Package, value: int) -> str:
    """What the image itself says of a failed integrity check."""
    if value != UpdateResult.INTEGRITY_FAILED:
        return ""
    if package.info is not None and package.info.hash_valid is not None:
        return (
            f": {'the hash in the image is right' if package.info.hash_valid else 'the image does not match its hash'}"
        )
    return f": compare SHA-256 {package.sha256[:16]}… with the file in the repository"


def _refused(delivery: Delivery) -> Ending:
    """The delivery's final answer was an error, and no result contradicts."""
    what = "the repository answered" if delivery.refused_by == "repository" else "the device answered"
    sentence = f"{what} the delivery with {delivery.final_code} in frame {delivery.last_frame}"
    if delivery.first_refusal is not None and delivery.first_refusal[1] != delivery.last_frame:
        sentence += f", after a first {delivery.first_refusal[0]} in frame {delivery.first_refusal[1]}"
    blockwise = delivery.final_code in ("4.08", "4.13")
    return Ending("failed", delivery.last_frame, sentence, "RFC 7959, 2.9" if blockwise else "RFC 7252, 5.9")


def _forgotten(values: Values, executed: int | None) -> int | None:
    """The frame that shows the success of a device that forgot its result: installed, Idle with 0, version changed."""
    if executed is None:
        return None
    state, result, version = (values.during[path].after(executed) for path in (STATE, RESULT, FIRMWARE_VERSION))
    before = values.last_before(FIRMWARE_VERSION)
    idle = (state.last("value"), result.last("value")) == (0, 0)
    if before is None or not idle or version.last("value", before) == before:
        return None
    return max(int(state.last("frame", 0)), int(version.last("frame", 0)))


def _unfinished(capture: Capture, delivery: Delivery, values: Values, executed: int | None) -> Ending:
    """What is missing to say how the update went."""
    if delivery.unanswered is not None:
        return Ending("unfinished", None, _silence(capture, delivery), "RFC 7252, 4.2; RFC 7959, 2.5")
    state = values.last_after(STATE)
    if executed is None:
        if delivery.accepted is None:
            cause = f"the delivery that began in frame {delivery.first_frame} does not end in the capture"
            cause = delivery.unfinished or cause
            return Ending("unfinished", None, cause, "RFC 7959, 2.5")
        cause = f"the package was delivered by frame {delivery.last_frame}, but no accepted Execute of Update was seen"
        return Ending("unfinished", None, cause, "LwM2M E.6.1, T15")
    # An Update of the registration is no new one.
    again = capture.of("registrations", delivery.endpoint).after(executed).where(operation="register")
    seen = f"the last State seen is {state}" if state is not None else "no State was seen"
    missing = "no Update Result and no new registration was seen"
    if len(again):
        missing = "the device registered again, but no Update Result was seen"
        if not any(one is True for one in again.accepted.tolist()):
            missing = (
                f"the device asked to register again in frame {again.first('frame')}, and neither a 2.01 to it nor "
            )
            missing += "an Update Result was seen"
    return Ending("unfinished", None, f"after the Execute in frame {executed} {missing}; {seen}", "LwM2M E.6.1, T21")


def _silence(capture: Capture, delivery: Delivery) -> str:
    """A request that nobody answered: how often it was sent, and whether the device was heard of again."""
    assert delivery.unanswered is not None
    frame, copies = delivery.unanswered
    own = capture.of("messages", delivery.endpoint)
    sent = own[own.frame >= frame]
    first = sent[:1]
    same = (
        sent.where(mid=first.first("mid"), token=first.first("token"), code=first.first("code")) if len(sent) else sent
    )
    back = sent[(sent["_src"] == first["_dst"][0]) & (sent.mid == first.mid[0])] if len(sent) else sent
    for kind, what in (("RST", "reset"), ("ACK", "acknowledged")):
        got = back.where(type=kind, code="0.00")
        if len(got):
            silent = " and never answered" if kind == "ACK" else ""
            ends = f"frame {frame} ({delivery.unanswered_what}) was {what} in frame {got.first('frame')}{silent}"
            return f"{ends}, and no Update Result followed"
    times = f"sent {copies} times" if copies > 1 else "sent once"
    gaps = np.diff(same.time)
    doubling = len(gaps) >= 2 and bool((np.abs(gaps[1:] / np.maximum(gaps[:-1], 1e-9) - 2) < 0.2).all())
    said = f"frame {frame} ({delivery.unanswered_what}) was {times}"
    said += ", each gap twice the one before it, and never answered" if doubling else " and never answered"
    heard = own[own.sender & (own.frame > same.last("frame", frame))]
    if not len(heard):
        return f"{said}, and no Update Result followed"
    if doubling and heard.first("time") - same.last("time") > QUIET:
        said += ": the path was gone"
    said += f"; the device speaks again in frame {heard.first('frame')}"
    busy = heard.where(code="5.03")
    if len(busy) and busy.first("frame") == heard.first("frame"):
        said += " with 5.03, as one does that holds half a body"
    return f"{said}, and no Update Result followed"

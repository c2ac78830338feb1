"""Updates: which Writes begin one, what was seen until the next, how it went."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from lwm2m_lab.spec.objects import UpdateResult
from lwm2m_lab.trace import deliveries
from lwm2m_lab.trace.delivery import Delivery
from lwm2m_lab.trace.rows import Rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lwm2m_lab.trace.capture import Capture
    from lwm2m_lab.trace.cost import Cost
    from lwm2m_lab.trace.measures import Measures
    from lwm2m_lab.trace.radio import RadioModel

__all__ = ["UPDATE_FIELDS", "Update", "accepted_installs", "build_updates"]

UPDATE_FIELDS = (
    "endpoint", "delivery", "image_size", "image_sha256", "image_accepted", "states", "results", "pkg_versions",
    "firmware_versions", "firmware_version_before", "firmware_version_after", "block_sizes", "retransmissions",
    "duration_s", "frames", "outcome", "verdict", "cause",
)  # fmt: skip
Outcome = Literal["succeeded", "failed", "cancelled", "deferred", "unfinished"]
STATE, RESULT, PKG_VERSION, FIRMWARE_VERSION = "/5/0/3", "/5/0/5", "/5/0/7", "/3/0/3"


@dataclass(frozen=True)
class Update:
    """One firmware update of one endpoint, as a capture shows it; the fields are those of ``docs/json.md``."""

    endpoint: str
    delivery: Literal["push", "pull"]
    image_size: int | None
    image_sha256: str | None
    image_accepted: bool | None
    states: tuple[int, ...]
    results: tuple[int, ...]
    pkg_versions: tuple[str, ...]
    firmware_versions: tuple[str, ...]
    firmware_version_before: str | None
    firmware_version_after: str | None
    block_sizes: tuple[int, ...]
    retransmissions: int
    duration_s: float | None
    frames: tuple[int, int]
    outcome: Outcome
    verdict: str
    cause: str | None
    capture: Capture = field(repr=False, compare=False)
    evidence: Delivery = field(repr=False, compare=False)
    until: float = field(repr=False, compare=False, default=np.inf)

    def to_dict(self) -> dict[str, Any]:
        """The fields of the contract, lists as lists."""
        fields = {name: getattr(self, name) for name in UPDATE_FIELDS}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    def headline(self) -> str:
        """One line."""
        versions = f"/3/0/3 {self.firmware_version_before or '?'} -> {self.firmware_version_after or '?'}"
        size = f"{self.image_size} bytes" if self.image_size is not None else "image not whole"
        return f"{self.endpoint}: {self.delivery}, {size}, {versions}: {self.outcome}, verdict {self.verdict}"

    def __str__(self) -> str:
        rows = [f"  {name:<24} {value}" for name, value in self.to_dict().items()]
        return "\n".join([self.headline(), *rows])

    def _repr_html_(self) -> str:
        frame = pd.DataFrame({"value": [str(value) for value in self.to_dict().values()]}, index=list(UPDATE_FIELDS))
        return str(frame.to_html(escape=True, border=0))

    def measures(
        self, *, rtt0_s: float | None = None, down_bps: float | None = None, up_bps: float | None = None
    ) -> Measures:
        """What the delivery cost in time, and how long it would have taken at least.

        Parameters
        ----------
        rtt0_s : float, optional
            Seconds of an empty round trip; measured where it is not given.
        down_bps, up_bps : float, optional
            Bits per second to the device and from it; measured where they are not given.

        Raises
        ------
        BadInput
            Where the image was not delivered over CoAP in the clear.

        Examples
        --------
        >>> import lwm2m_lab as lab
        >>> print(lab.push(size=20_000, link=lab.Link(rate=20e3)).update().measures())
        push to urn:dev:lab-1 of 20000 bytes in 20 blocks: took 10.669 s, bound 10.669 s, x1.0; lost: nothing; path ...
        """
        from lwm2m_lab.trace.measures import measure_update

        return measure_update(self, rtt0_s=rtt0_s, down_bps=down_bps, up_bps=up_bps)

    def cost(
        self,
        *,
        model: str | RadioModel = "nb-iot",
        price_per_mb: float | None = None,
        nat_timeout_s: float | None = None,
        psm: float | None = None,
        edrx: float | None = None,
    ) -> Cost:
        """Bytes on the air by layer, radio and energy by a model, money, and the gaps in which doors close.

        Parameters
        ----------
        model : {"nb-iot", "lte-m"} or RadioModel
            Powers, rates and timers of the radio; `lwm2m_lab.trace.radio` says where the numbers come from.
        price_per_mb : float, optional
            Of 1 000 000 bytes, in any currency.
        nat_timeout_s : float, optional
            Seconds after which a NAT forgets a silent UDP flow.
        psm : float, optional
            Seconds that the device listens after its connection has ended (T3324), then sleeps.
        edrx : float, optional
            Seconds of the paging cycle.

        Raises
        ------
        BadInput
            For a number that is negative or a model that is unknown.

        Examples
        --------
        >>> import lwm2m_lab as lab
        >>> cost = lab.push(size=20_000).update().cost(price_per_mb=0.5)
        >>> cost.total_bytes, round(cost.price, 4)
        (22483, 0.0112)
        """
        from lwm2m_lab.trace.cost import cost_of

        return cost_of(self, model=model, price_per_mb=price_per_mb, nat_timeout_s=nat_timeout_s, psm=psm, edrx=edrx)

    def plot(self) -> Figure:
        """Draw the version chart of this update."""
        from lwm2m_lab.show import version_chart

        figure: Figure = version_chart(self.capture, endpoint=self.endpoint)
        return figure

    def ladder(self, **part: Any) -> Figure:
        """Draw the messages of this update."""
        from lwm2m_lab.show import ladder

        part = {"first": self.frames[0], "last": self.frames[1], "endpoint": self.endpoint, **part}
        figure: Figure = ladder(self.capture, **part).figure  # type: ignore[assignment]
        return figure


def build_updates(capture: Capture) -> list[Update]:
    """The updates of a capture, in the order of their first Writes; verdicts are added by the findings."""
    found = deliveries.build_deliveries(capture)
    updates = []
    for endpoint in dict.fromkeys(one.endpoint for one in found):
        own = [one for one in found if one.endpoint == endpoint]
        for number, delivery in enumerate(own):
            until = own[number + 1].first_frame if number + 1 < len(own) else np.inf
            updates.append(_update(capture, delivery, until, since=0 if number == 0 else None))
    return sorted(updates, key=lambda one: one.frames[0])


def _update(capture: Capture, delivery: Delivery, until: float, *, since: int | None) -> Update:
    """One update from its delivery to the frame `until`."""
    values = _Values(capture.of("timeline", delivery.endpoint), delivery, until, from_start=since is not None)
    execute = accepted_installs(capture.of("executes", delivery.endpoint), delivery.first_frame, until)
    executed = execute.first("frame")
    outcome, shown_by, cause = _outcome(capture, delivery, values, executed, until)
    before, after = values.last_before(FIRMWARE_VERSION), values.last_after(FIRMWARE_VERSION)
    time_of = capture.columns["time"]
    frames = capture.columns["frame"]
    duration = None
    if shown_by is not None:
        at, began = np.searchsorted(frames, [shown_by, delivery.first_frame])
        duration = round((int(time_of[at]) - int(time_of[began])) / 1e9, 9)
    last = max([delivery.last_frame, values.last_frame, *execute.response_frame.tolist()])
    return Update(
        endpoint=delivery.endpoint,
        delivery=delivery.kind,
        image_size=None if delivery.package is None else delivery.package.size,
        image_sha256=None if delivery.package is None else delivery.package.sha256,
        image_accepted=delivery.accepted,
        states=values.sequence(STATE),
        results=values.sequence(RESULT),
        pkg_versions=values.sequence(PKG_VERSION),
        firmware_versions=values.sequence(FIRMWARE_VERSION),
        firmware_version_before=before,
        firmware_version_after=after,
        block_sizes=delivery.block_sizes,
        retransmissions=_retransmissions(capture, delivery, until),
        duration_s=duration,
        frames=(delivery.first_frame, last),
        outcome=outcome,
        verdict="NOT APPLICABLE",
        cause=cause,
        capture=capture,
        evidence=delivery,
        until=until,
    )


def accepted_installs(executes: Rows, first: int, until: float) -> Rows:
    """The Executes of Update between two frames that were accepted."""
    own = executes.where(path="/5/0/2")
    own = own[(own.frame >= first) & (own.frame < until)]
    return own[np.array([code is not None and code[0] == "2" for code in own.response_code], bool)]


class _Values:
    """The values of one endpoint, split at the first Write of an update."""

    def __init__(self, timeline: Rows, delivery: Delivery, until: float, *, from_start: bool) -> None:
        own = timeline.where(path=(STATE, RESULT, PKG_VERSION, FIRMWARE_VERSION))
        self.before = own.before(delivery.first_frame)
        self.during = own[(own.frame >= delivery.first_frame) & (own.frame < until)]
        self.from_start = from_start
        self.last_frame = self.during.last("frame", 0)

    def sequence(self, path: str) -> tuple[Any, ...]:
        """The values in order, repeats dropped; earlier ones as the contract says."""
        earlier = self.before.where(path=path).value.tolist()
        values = (earlier if self.from_start else earlier[-1:]) + self.during.where(path=path).value.tolist()
        return tuple(value for at, value in enumerate(values) if at == 0 or value != values[at - 1])

    def last_before(self, path: str) -> Any:
        return self.before.where(path=path).last("value")

    def last_after(self, path: str) -> Any:
        return self.during.where(path=path).last("value")

    def results(self, settled: int | None) -> list[tuple[int, int]]:
        """Frames and results that speak of this update: not the old value that is still there before anything ended."""
        old, changed, found = self.last_before(RESULT), False, []
        for frame, value in self.during.where(path=RESULT).each("frame", "value"):
            changed |= value != old or (settled is not None and frame > settled)
            if changed and value != 0:
                found.append((frame, value))
        return found


def _outcome(
    capture: Capture, delivery: Delivery, values: _Values, executed: int | None, until: float
) -> tuple[Outcome, int | None, str | None]:
    """How the update went by the last evidence, the frame that shows it, and why where it did not succeed."""
    results = values.results(executed)
    if results:
        value = results[-1][1]
        first = next(one for one, number in results if number == value)
        return _by_result(delivery, value, first)
    resets = [frame for frame in delivery.resets if frame < until]
    if resets:
        return (
            "cancelled",
            resets[-1],
            f"the server wrote the reset value in frame {resets[-1]} and it was answered 2.04",
        )
    forgotten = _forgotten(values, executed)
    if forgotten is not None:
        return "succeeded", forgotten, None
    if delivery.accepted is False:
        code = delivery.final_code
        what = "the repository answered" if delivery.refused_by == "repository" else "the device answered"
        sentence = f"{what} the delivery with {code} in frame {delivery.last_frame}"
        if delivery.first_refusal is not None and delivery.first_refusal[1] != delivery.last_frame:
            sentence += f", after a first {delivery.first_refusal[0]} in frame {delivery.first_refusal[1]}"
        return "failed", delivery.last_frame, sentence
    return "unfinished", None, _missing(capture, delivery, values, executed)


def _by_result(delivery: Delivery, value: int, frame: int) -> tuple[Outcome, int | None, str | None]:
    if value == 1:
        return "succeeded", frame, None
    if value == 10:
        return "cancelled", frame, f"the update was cancelled: Update Result 10 in frame {frame}"
    if value == 11:
        return "deferred", frame, f"the device deferred the update: Update Result 11 in frame {frame}"
    known = str(UpdateResult(value)) if value in list(UpdateResult) else f"{value}, which Object 5 does not know"
    if delivery.accepted is False and delivery.final_code is not None:
        who = "the repository" if delivery.refused_by == "repository" else "the device"
        return (
            "failed",
            frame,
            (
                f"{who} answered {delivery.final_code} in frame {delivery.last_frame}, and the device reports "
                f"Update Result {known} in frame {frame}"
            ),
        )
    whole = " although the whole package was delivered" if delivery.accepted and value in (2, 3, 5, 6) else ""
    return "failed", frame, f"the device reports Update Result {known} in frame {frame}{whole}"


def _forgotten(values: _Values, executed: int | None) -> int | None:
    """The frame that shows the success of a device that forgot its result: installed, Idle with 0, version changed."""
    if executed is None:
        return None
    after = values.during.after(executed)
    state, result, version = (after.where(path=path) for path in (STATE, RESULT, FIRMWARE_VERSION))
    before = values.last_before(FIRMWARE_VERSION)
    idle = (state.last("value"), result.last("value")) == (0, 0)
    if before is None or not idle or version.last("value", before) == before:
        return None
    return max(int(state.last("frame", 0)), int(version.last("frame", 0)))


def _missing(capture: Capture, delivery: Delivery, values: _Values, executed: int | None) -> str:
    """What is missing to say how the update went."""
    if delivery.unanswered is not None:
        frame, copies = delivery.unanswered
        times = f"sent {copies} times" if copies > 1 else "sent once"
        return (
            f"frame {frame} ({delivery.unanswered_what}) was {times} and never answered, and no Update Result followed"
        )
    state = values.last_after(STATE)
    if executed is None:
        if delivery.accepted is None and delivery.unfinished:
            return delivery.unfinished
        if delivery.accepted is None:
            return f"the delivery that began in frame {delivery.first_frame} does not end in the capture"
        return f"the package was delivered by frame {delivery.last_frame}, but no accepted Execute of Update was seen"
    again = capture.of("registrations", delivery.endpoint).after(executed)
    seen = f"the last State seen is {state}" if state is not None else "no State was seen"
    if not len(again):
        return f"after the Execute in frame {executed} no Update Result and no new registration was seen; {seen}"
    return f"after the Execute in frame {executed} the device registered again, but no Update Result was seen; {seen}"


def _retransmissions(capture: Capture, delivery: Delivery, until: float) -> int:
    """CON requests of this endpoint sent again between the first Write and the next update."""
    own = capture.of("exchanges", delivery.endpoint)
    own = own[(own.frame >= delivery.first_frame) & (own.frame < until)]
    positions = np.union1d(own.index, np.array(delivery.exchanges, np.int64))
    return int(capture.rows("exchanges", positions).retransmissions.sum())


def with_verdict(update: Update, verdict: str, cause: str | None) -> Update:
    """The update with what the findings say of it."""
    return dataclasses.replace(update, verdict=verdict, cause=cause)

"""Updates: which Writes begin one, what was seen until the next, how it went."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lwm2m_lab.trace import deliveries
from lwm2m_lab.trace.delivery import Delivery
from lwm2m_lab.trace.ordered import distinct
from lwm2m_lab.trace.outcomes import (
    FIRMWARE_VERSION,
    PKG_VERSION,
    RESULT,
    STATE,
    Outcome,
    Values,
    accepted_installs,
    how_it_ended,
)  # fmt: skip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lwm2m_lab.trace.capture import Capture
    from lwm2m_lab.trace.cost import Cost
    from lwm2m_lab.trace.images import ImageComparison
    from lwm2m_lab.trace.measures import Measures
    from lwm2m_lab.trace.radio import RadioModel

__all__ = ["UPDATE_FIELDS", "Update", "build_updates"]

UPDATE_FIELDS = (
    "endpoint", "delivery", "image_size", "image_sha256", "image_accepted", "states", "results", "pkg_versions",
    "firmware_versions", "firmware_version_before", "firmware_version_after", "block_sizes", "retransmissions",
    "duration_s", "frames", "outcome", "verdict", "cause",
)  # fmt: skip


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
    shown_by: int | None = field(repr=False, compare=False, default=None)
    clause: str = field(repr=False, compare=False, default="")

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
        import pandas as pd

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

    def save_image(self, path: str | os.PathLike[str]) -> None:
        """Write the image to a file: beside the target, then moved into place.

        Raises
        ------
        BadInput
            Where the image is not whole in the capture, or the file cannot be written.
        """
        from lwm2m_lab.trace.images import save_image

        save_image(self, path)

    def compare_image(self, expected: bytes | str | os.PathLike[str]) -> ImageComparison:
        """Compare the image with a file, or with bytes: equal, or where the first difference is.

        An image that is not whole is compared as far as it was seen.

        Raises
        ------
        BadInput
            Where the file cannot be read.

        Examples
        --------
        >>> import lwm2m_lab as lab
        >>> update = lab.read("anjay-push-256-ok").update(0)
        >>> image = bytearray(update.evidence.image)
        >>> image[1000] ^= 1
        >>> print(update.compare_image(bytes(image)))
        the image differs from what was expected from byte 1000 on, in block 3, frame 21: 47 2b ...
        """
        from lwm2m_lab.trace.images import compare_image

        return compare_image(self, expected)

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
            updates.append(_update(capture, delivery, delivery.until, since=0 if number == 0 else None))
    return sorted(updates, key=lambda one: one.frames[0])


def _time_of(capture: Capture, frame: int) -> int:
    """When a packet came, nanoseconds: a message, or a part of a download over TCP."""
    messages = capture.columns
    at = int(np.searchsorted(messages["frame"], frame))
    if at < len(messages["frame"]) and messages["frame"][at] == frame:
        return int(messages["time"][at])
    # Not asked for above: of a small capture the columnar reader would have to look for it.
    table = messages.segments.columns()
    return int(table["time"][np.searchsorted(table["frame"], frame)])


def _update(capture: Capture, delivery: Delivery, until: float, *, since: int | None) -> Update:
    """One update from its delivery to the frame `until`."""
    values = Values(capture, delivery, until, from_start=since is not None)
    execute = accepted_installs(capture.of("executes", delivery.endpoint), delivery.first_frame, until)
    executed = execute.first("frame")
    ending = how_it_ended(capture, delivery, values, executed, until)
    before, after = values.last_before(FIRMWARE_VERSION), values.last_after(FIRMWARE_VERSION)
    duration = None
    if ending.frame is not None:
        duration = round((_time_of(capture, ending.frame) - _time_of(capture, delivery.first_frame)) / 1e9, 9)
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
        outcome=ending.outcome,
        verdict="NOT APPLICABLE",
        cause=ending.cause,
        capture=capture,
        evidence=delivery,
        until=until,
        shown_by=ending.frame,
        clause=ending.clause,
    )


def _retransmissions(capture: Capture, delivery: Delivery, until: float) -> int:
    """CON requests of this endpoint sent again between the first Write and the next update."""
    own = capture.of("exchanges", delivery.endpoint).between(delivery.first_frame, until)
    positions = distinct(own.index, np.array(delivery.exchanges, np.int64))
    return int(capture.rows("exchanges", positions).retransmissions.sum())


def with_verdict(update: Update, verdict: str, cause: str | None, clause: str) -> Update:
    """The update with what the findings say of it."""
    return dataclasses.replace(update, verdict=verdict, cause=cause, clause=clause)

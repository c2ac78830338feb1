"""Which GETs are the download of which delivery: the index of flows against looking at all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lwm2m_lab.trace import pullflows
from lwm2m_lab.trace.delivery import Delivery
from lwm2m_lab.trace.pullflows import Flow, Flows


@dataclass(frozen=True)
class Time:
    """The time of a delivery: all that a flow asks of one."""

    first_frame: int
    until: float
    endpoint: str = "dev"

    def __call__(self) -> Delivery:
        return cast("Delivery", self)


def best_of_all(flows: Sequence[Flow], taken: set[Flow], time: Time, own: str, path: str, query: str) -> Flow | None:
    """The definition: every flow looked at and ranked."""
    ranked: list[tuple[Any, ...]] = []
    for number, flow in enumerate(flows):
        cut = flow.path != path
        if flow in taken or not flow.destination.endswith(":5683"):
            continue
        if flow.source != own and flow.owner not in (None, time.endpoint):
            continue
        if cut and (len(flow.path) < 2 or not path.startswith(flow.path)):
            continue
        host, own_host = (end.rsplit(":", 1)[0] for end in (flow.source, own))
        if positions := flow.within(time()):
            near = 0 if flow.source == own else 1 if flow.owner else 2 if host == own_host else 3
            ranked.append((cut, flow.query != query, near, positions[0], number))
    return flows[min(ranked)[-1]] if ranked else None


SOURCES = ["10.0.0.1:1", "10.0.0.1:2", "10.0.0.2:1", "[2001:db8::1]:9"]
PATHS = ["/", "/f", "/fw", "/fw.bin", "/other"]
KINDS = st.tuples(
    st.sampled_from(SOURCES), st.sampled_from(["10.9.9.9:5683", "10.9.9.9:56830"]), st.sampled_from(PATHS),
    st.sampled_from(["", "v=1"]),
)  # fmt: skip


@st.composite
def some_flows(draw: st.DrawFn) -> list[Flow]:
    """Every GET a frame of its own, of some flow; the flows in the order of their first ones."""
    kinds = draw(st.lists(KINDS, min_size=1, max_size=8, unique=True))
    owner = draw(st.lists(st.integers(0, len(kinds) - 1), min_size=1, max_size=60))
    flows = []
    for number in dict.fromkeys(owner):
        positions = np.flatnonzero(np.array(owner) == number)
        whose = draw(st.sampled_from([None, None, "dev", "other"]))
        flows.append(Flow(*kinds[number], (10 * positions + 5).astype(np.int32), positions, whose))
    return flows


TIMES = st.builds(Time, st.integers(0, 300), st.sampled_from([float("inf"), 200.0, 400.5, 604.0]))


@settings(max_examples=300, deadline=None)
@given(
    some_flows(),
    st.lists(
        st.tuples(TIMES, st.sampled_from(SOURCES), st.sampled_from(PATHS), st.sampled_from(["", "v=1"])), max_size=12
    ),
)
def test_the_index_finds_what_looking_at_all_finds(flows: list[Flow], asked: list[tuple[Time, str, str, str]]) -> None:
    """Delivery after delivery, while flows are given away."""
    index = Flows(flows)
    for time, own, path, query in asked:
        found = index.best(time(), own, path=path, query=query, port=5683)
        assert found is best_of_all(flows, index.taken, time, own, path, query)
        if found is not None and found.source != own:
            index.taken.add(found)


@given(some_flows(), TIMES, st.sampled_from(SOURCES))
def test_what_is_like_a_flow(flows: list[Flow], time: Time, own: str) -> None:
    """From the device's host, to the same place, within the time, not taken; in the order of the file."""
    index, (chosen, *_) = Flows(flows), flows
    index.taken |= {chosen, flows[-1]}

    def kind(flow: Flow) -> tuple[str, str, str]:
        return flow.path, flow.query, flow.destination

    assert [*index.like(chosen, time(), own)] == [
        flow
        for flow in flows
        if flow not in index.taken and flow.source.rsplit(":", 1)[0] == own.rsplit(":", 1)[0]
        and kind(flow) == kind(chosen) and flow.within(time()) and flow.owner != "other"
    ]  # fmt: skip


@pytest.mark.parametrize("known", [True, False])
def test_many_devices_cost_what_each_of_them_costs(monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    """Devices that fetch the same image, from their own addresses or from others: each looks at a few flows."""
    devices, looked = 600, 0
    numbers = np.arange(devices)
    flows = []
    for at in range(devices):
        frames = np.arange(at, 20 * devices, devices) + devices
        source = f"10.1.{at // 250}.{at % 250}:7"
        flows.append(Flow(source, "10.9.9.9:5683", "/fw.bin", "", frames, numbers[at : at + 1].repeat(20)))
    during = pullflows._during

    def counted(frames: Any, delivery: Delivery) -> slice:
        nonlocal looked
        looked += 1
        return during(frames, delivery)

    monkeypatch.setattr(pullflows, "_during", counted)
    index = Flows(flows)
    for at in range(devices):
        own = flows[at].source if known else f"172.16.{at // 250}.{at % 250}:7"
        found = index.best(Time(at, float("inf"))(), own, path="/fw.bin", query="", port=5683)
        assert found is flows[at]
        index.taken.add(found)
    assert looked < 5 * devices

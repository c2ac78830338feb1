"""What the server does about silence: it resumes, begins anew, or sees that all is done already."""

from __future__ import annotations

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.image import image
from lwm2m_lab.live.run import Run
from lwm2m_lab.live.server_options import ServerOptions
from lwm2m_lab.live.staged import Stage

IMAGE = image(version="2.1.0", size=20_000)
PERSISTENT = ServerOptions(retries=10, retry_after=30.0, block_size=256)


def update(*outages: tuple[float, float], server: ServerOptions = PERSISTENT, **device: object) -> Run:
    """An update over a link that is down meanwhile."""
    link = lab.Link(outages=outages)
    return Stage(image=IMAGE, link=link, server=server, device=lab.DeviceOptions(**device)).run()  # type: ignore[arg-type]


def firsts(run: Run) -> list[int]:
    """Block numbers of the push in order, copies left out."""
    rows = run.messages
    blocks = rows[(rows["uri_path"] == "/5/0/0") & rows["code"].isin(["0.03", "0.02"])].drop_duplicates("mid")
    return [int(one) for one in blocks["block1_num"]]


def test_a_push_goes_on_where_it_left_off() -> None:
    """Two minutes of silence: the next block is the one that was not acknowledged, and State is read before."""
    run = update((4.0, 130.0))
    numbers = firsts(run)
    assert (run.report.outcome, run.report.attempts > 0) == ("succeeded", True)
    assert sorted(set(numbers)) == list(range(79))
    assert len(numbers) == 80, "one block is sent anew"


def test_a_device_that_gave_up_gets_block_0() -> None:
    """After ten minutes the device has forgotten its half (A13): Idle, and the body begins anew."""
    numbers = firsts(update((4.0, 600.0)))
    assert numbers.count(0) == 2
    assert numbers[-79:] == list(range(79))


def test_silence_around_the_execute() -> None:
    """The Execute is done once: after the outage the server looks first."""
    whole = update()
    (executed,) = whole.messages.loc[whole.messages["uri_path"] == "/5/0/2", "time"]
    began = float(executed - whole.messages["time"].iloc[0])
    run = update((began + 0.04, began + 200.0))
    assert run.report.outcome == "succeeded"
    assert [one.what for one in run.truth].count("reboot") == 1


def test_without_retries_silence_is_the_end() -> None:
    """As ever."""
    run = update((4.0, 130.0), server=ServerOptions(block_size=256))
    assert (run.report.outcome, run.report.attempts) == ("unfinished", 0)


def test_a_deadline() -> None:
    """The whole update has so many seconds."""
    run = update((4.0, 10**6), server=ServerOptions(retries=100, deadline=500.0))
    assert run.report.sentence == "the deadline of 500 s is over"
    assert run.report.duration == pytest.approx(500.0)


def test_a_pull_rides_out_an_outage() -> None:
    """The device resumes by ETag, the server waits for State 2."""
    link = lab.Link(outages=[(4.0, 200.0)])
    device = lab.DeviceOptions(resume_attempts=5)
    run = Stage(image=IMAGE, path="/fw/a.bin", link=link, server=PERSISTENT, device=device).run()
    assert (run.report.outcome, run.report.delivery) == ("succeeded", "pull")


def test_options_out_of_range() -> None:
    """One sentence each."""
    for wrong in ({"retries": -1}, {"deadline": 0.0}, {"retry_after": True}, {"answer_within": 10**8}):
        with pytest.raises(BadInput, match=f"{next(iter(wrong))} is"):
            ServerOptions(**wrong)  # type: ignore[arg-type]

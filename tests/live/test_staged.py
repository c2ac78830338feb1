"""Staged worlds: what the knobs do, and that a capture of several runs tells no more than a tap sees."""

from __future__ import annotations

import pathlib

import pytest

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from lwm2m_lab.live.clinic import NIGHT, STAGED, staged_case
from lwm2m_lab.live.procedure import ServerOptions
from lwm2m_lab.live.staged import Stage, together

IMAGE = lab.image(version="2.1.0", size=8000)


def test_a_server_that_does_not_observe_again_hears_nothing() -> None:
    """Nothing follows the second registration, and the device itself knows of its success."""
    run = Stage(image=IMAGE, server=ServerOptions(observes_again=False, time_limit=900.0)).run()
    assert run.report.outcome == "unfinished"
    last = run.messages.iloc[-2:]
    assert last["code"].tolist() == ["0.02", "2.01"]
    assert run.truth[-1].result == lab.UpdateResult.SUCCESS


def test_a_file_is_replaced_under_way() -> None:
    """The device by the book sees another ETag and begins again; the body is the new file."""
    new = lab.image(version="2.2.0", size=8000)
    server = ServerOptions(block_size=512)
    run = Stage(image=IMAGE, path="/fw.bin", server=server, replaced=(1.5, new.data)).run()
    gets = run.messages[run.messages["uri_path"] == "/fw.bin"]
    assert gets["block2_num"].tolist().count(0) == 2
    assert run.truth[-1].firmware_version == "2.2.0"
    assert run.messages["etag"].nunique() == 2


def test_a_repository_may_send_no_etag() -> None:
    """Nothing in the capture says which file it is."""
    run = Stage(image=IMAGE, path="/fw.bin", etags=False).run()
    assert run.succeeded
    assert run.messages["etag"].isna().all()


def test_runs_together_have_their_times_and_no_comments(tmp_path: pathlib.Path) -> None:
    """The second begins when it is said to; what was lost on its way is not told."""
    stage = Stage(image=IMAGE, link=lab.Link(loss=0.2), seed=3)
    run = stage.run()
    assert any(one.note for one in run.sightings)
    both = together([(0.0, run), (NIGHT, run)], name="two")
    assert len(both.messages) == 2 * len(run.messages)
    times = both.messages["time"].astype(float)
    assert times.iloc[len(run.messages)] - times.iloc[0] == pytest.approx(NIGHT)
    both.save(tmp_path / "both.pcapng")
    assert b"lost" in run.pcapng()
    assert b"lost" not in (tmp_path / "both.pcapng").read_bytes()


@pytest.mark.parametrize("number", STAGED)
def test_a_case_is_the_same_each_time(number: int) -> None:
    """Same seeds, same messages."""
    first = [capture.messages for capture in STAGED[number]()]
    second = [capture.messages for capture in STAGED[number]()]
    assert all(one.equals(other) for one, other in zip(first, second, strict=True))


def test_another_case_is_refused() -> None:
    """With those there are."""
    with pytest.raises(BadInput, match="case 1 did not happen in the lab; one of 4, 5, 7, 8, 10, 12"):
        staged_case(1)

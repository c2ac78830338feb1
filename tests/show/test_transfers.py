"""The picture of the transfers, and a table that stays pandas' own where it is not asked for it."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Annotation

import lwm2m_lab as lab
from lwm2m_lab.errors import BadInput
from tests.peers import Session

mpl.use("agg")


def words(figure: object) -> str:
    """Everything that is written in a picture."""
    texts = figure.findobj(lambda one: hasattr(one, "get_text"))  # type: ignore[attr-defined]
    return "\n".join(one.get_text() for one in texts)


def test_the_title_states_the_finding_and_the_axes_their_units() -> None:
    """Goodput, copies, whole or not; offset in kB over seconds; a cross for each copy."""
    capture = lab.read("wakaama-push-lossy")
    figure = capture.transfers.plot()
    (transfer,) = capture.transfers.to_dict("records")
    said = words(figure)
    assert f"1 transfer, all whole, {transfer['retransmissions']} requests sent again" in said
    assert f"goodput {transfer['goodput'] / 1000:.2f} kB/s" in said
    (ax,) = figure.axes
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("offset, kB", "seconds since the first message")
    blocks, crosses = ax.lines
    assert len(blocks.get_xdata()) == len(capture.blocks)
    assert len(crosses.get_xdata()) == transfer["retransmissions"]


def test_a_restart_and_a_pause_are_named(ready: Session, image: bytes) -> None:
    """The first attempt stops half-way, the second begins anew, and pauses before it goes on."""
    ready.push(image, upto=2)
    ready.wait(30)
    ready.push(image)
    capture = ready.capture()
    assert len(capture.transfers) == 2
    said = words(capture.transfers.plot())
    assert "begins anew" in said
    assert "1 not whole" in said
    assert "attempt 2" in said
    paused = lab.push(size=20_000, block_size=256, link=lab.Link(outages=[(3, 12)]))
    assert "goes on after" in words(paused.transfers.plot())


CAPTURES: dict[str, Callable[[], lab.Capture]] = {
    "much lost": lambda: lab.push(size=20_000, block_size=512, loss=0.1, seed=1),
    "more lost": lambda: lab.push(size=20_000, block_size=256, loss=0.2, max_retransmit=8, seed=3),
    "a long cut": lambda: lab.push(size=20_000, block_size=256, link=lab.Link(outages=[(3, 12)])),
    "a slow link": lambda: lab.pull(size=20_000, loss=0.15, delay=0.4, seed=5),
    "wakaama-push-lossy": lambda: lab.read("wakaama-push-lossy"),
    "wakaama-push-link-cut": lambda: lab.read("wakaama-push-link-cut"),
    "anjay-push-link-cut-midway": lambda: lab.read("anjay-push-link-cut-midway"),
}


@pytest.mark.parametrize("name", CAPTURES)
def test_no_note_covers_a_point_or_another_note(name: str) -> None:
    """Blocks, crosses and words each have their own place, inside of the axes."""
    figure = CAPTURES[name]().transfers.plot()
    figure.canvas.draw()
    for ax in figure.axes:
        notes = [text.get_window_extent() for text in ax.texts if isinstance(text, Annotation)]
        points = np.concatenate(
            [ax.transData.transform(line.get_xydata()) for line in ax.lines if line.get_marker() != "None"]
        )
        for at, box in enumerate(notes):
            assert not ((points > box.min) & (points < box.max)).all(axis=1).any()
            assert not any(box.overlaps(other) for other in notes[at + 1 :])
            assert ax.bbox.x0 <= box.x0
            assert box.x1 <= ax.bbox.x1


def test_the_table_is_a_data_frame_in_every_other_respect() -> None:
    """Rows of it can be drawn; with arguments pandas draws; columns of it are pandas' own."""
    transfers = lab.read("anjay-push-256-ok").transfers
    for part in (transfers[transfers["complete"]], transfers.sort_values("size"), transfers.copy(), transfers.head(1)):
        assert "goodput" in words(part.plot())
    assert transfers.plot(x="start", y="size").get_xlabel() == "start"
    assert len(transfers.plot.bar(x="transfer", y="size").patches) == 1
    assert type(transfers[["blocks", "size"]]) is pd.DataFrame
    assert type(transfers["size"]) is pd.Series
    assert type(transfers.T) is pd.DataFrame
    assert pd.concat([transfers, transfers])["size"].tolist() == [20000, 20000]


def test_what_cannot_be_drawn_is_refused(session: Session) -> None:
    """No transfer, or a table that has lost its capture."""
    session.register()
    with pytest.raises(BadInput, match="a body in blocks is expected"):
        session.capture().transfers.plot()
    orphan = pd.concat([lab.read("anjay-push-256-ok").transfers] * 2)
    orphan._capture = None
    with pytest.raises(BadInput, match="lost its capture"):
        orphan.plot()

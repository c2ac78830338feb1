"""Rows: cut, asked and joined like the DataFrames that they stand for, with -1 and None for what is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwm2m_lab.trace.rows import Rows, Source, grouped

RECORDS = [(1, "/a", None), (2, "/b", 7), (3, "/c", "text")]


@pytest.fixture
def rows() -> Rows:
    """Three rows of records."""
    return Rows(Source.of_records(("frame", "path", "value"), RECORDS))


def test_records_keep_their_values(rows: Rows) -> None:
    """Frames are numpy's numbers, everything else is what it was: a missing value None, no number made a float."""
    assert rows.frame.dtype == np.int64
    assert rows.value.tolist() == [None, 7, "text"]
    assert rows.where(value=None).frame.tolist() == [1]
    assert Source.of_records(("frame", "path"), [])["frame"].dtype == np.int64


def test_where_takes_one_value_or_several(rows: Rows) -> None:
    """Like ``==`` and ``isin``; nothing is left of nothing."""
    assert rows.where(path=("/a", "/c")).frame.tolist() == [1, 3]
    assert len(rows[:0].where(path="/a")) == 0
    assert (rows[:0].first("frame"), rows.last("frame"), rows[:0].last("frame", 9)) == (None, 3, 9)


def test_a_column_that_is_not_there_is_named_with_those_that_are(rows: Rows) -> None:
    """As an attribute, with what would have been accepted."""
    with pytest.raises(AttributeError, match="no column 'frames'; frame"):
        _ = rows.frames


@given(st.lists(st.sampled_from(["a", "b", None]), max_size=20))
def test_grouped_is_groupby(names: list[str | None]) -> None:
    """Each name with its rows in order; rows without a name belong to nobody."""
    found, order, bounds = grouped(np.array(names, object))
    parts = {str(name): order[bounds[at] : bounds[at + 1]].tolist() for at, name in enumerate(found)}
    assert parts == {
        name: [at for at, one in enumerate(names) if one == name] for name in dict.fromkeys(names) if name is not None
    }


def test_the_parts_of_a_capture_make_the_whole(ready: Any, image: bytes) -> None:
    """Every exchange and every message belongs to the one device; requests and responses bring their own columns."""
    ready.push(image)
    capture = ready.capture()
    own = capture.of("exchanges", "dev-1")
    assert own.frame.tolist() == capture.exchanges["frame"].tolist()
    assert own.request_block1_more[-3:].tolist() == [1, 1, 0]
    assert own.response_code[-3:].tolist() == ["2.31", "2.31", "2.04"]
    messages = capture.of("messages", "dev-1")
    assert len(messages) == capture.columns.rows
    assert messages.where(sender=True).src[-1].startswith("192.0.2.2:")
    assert len(capture.of("messages", "nobody")) == 0


def test_rows_print_as_their_table(ready: Any) -> None:
    """In a notebook a rule's author looks at them."""
    rows = ready.capture().of("registrations", "dev-1")
    assert isinstance(rows.to_frame(), pd.DataFrame)
    assert "dev-1" in repr(rows)
    assert "<table" in rows._repr_html_()

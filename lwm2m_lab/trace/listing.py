"""A table that is there to be read: its sentences are shown whole."""

from __future__ import annotations

from typing import Any

import pandas as pd

__all__ = ["Listing"]


class Listing(pd.DataFrame):  # type: ignore[misc]
    """A DataFrame whose words are not cut after fifty letters, on a page or in a terminal.

    Examples
    --------
    >>> len(str(Listing({"shows": ["x" * 200]}))) > 200
    True
    """

    @property
    def _constructor(self) -> Any:
        return Listing

    def _repr_html_(self) -> str | None:
        with pd.option_context("display.max_colwidth", None):
            return super()._repr_html_()  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        with pd.option_context("display.max_colwidth", None):
            return str(super().__repr__())

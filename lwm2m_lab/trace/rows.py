"""`Rows`: some rows of a table as numpy columns, cheap to cut and cheap to ask.

A rule asks dozens of small questions of each update. Asked of a DataFrame, each costs a tenth of a millisecond
whatever its size; here a cut is an index, and a column is gathered when somebody looks at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from lwm2m_lab.trace.exchanges import EXCHANGE_COLUMNS, Table, numbered, seconds
from lwm2m_lab.wire import COLUMN_NAMES, Columns

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Rows", "Source", "exchange_source", "grouped", "message_source"]

Array = NDArray[Any]
#: The columns that hold texts, and what the exchanges call their codes.
_TEXTS = {"src": "_src", "dst": "_dst", "type": "_type", "code": "_code", "token": "_token", "uri_path": "_path",
          "uri_query": "_query", "etag": "_etag", "error": "_error"}  # fmt: skip
_NUMBERS: dict[str, type] = {"frame": int, "time": float, "declared": bool}
T = TypeVar("T")


class Source(dict[str, Array]):
    """The columns of a whole table, made when they are first asked for.

    Parameters
    ----------
    names : tuple of str
        Those that a reader of the table should see.
    make : callable
        Makes one column by its name; raises KeyError for one that the table has not.
    rows : int
    """

    def __init__(self, names: tuple[str, ...], make: Callable[[str], Array], *, rows: int) -> None:
        super().__init__()
        self.names, self.make, self.rows = names, make, rows

    def __missing__(self, name: str) -> Array:
        column = self[name] = self.make(name)
        return column

    @classmethod
    def of(cls, table: Table) -> Source:
        """Columns that are there already."""
        shown = tuple(name for name in table if not name.startswith("_"))
        source = cls(shown, _unknown, rows=len(table[shown[0]]))
        source.update(table)
        return source

    @classmethod
    def of_records(cls, names: Sequence[str], records: Sequence[tuple[Any, ...]]) -> Source:
        """The columns of records; frames and times are numpy's numbers, everything else Python's objects."""
        columns = zip(*records, strict=True) if records else ((),) * len(names)
        kinds = (_NUMBERS.get(name, object) for name in names)
        return cls.of(
            {
                name: np.fromiter(values, kind, len(records))
                for name, kind, values in zip(names, kinds, columns, strict=True)
            }
        )


def _unknown(name: str) -> Array:
    raise KeyError(name)


class Rows:
    """Some rows of a table, in the order of the file.

    A column is an attribute or an item: ``rows.frame``, ``rows["frame"]``; a number that is missing is -1 there, a text
    None. A boolean mask or positions cut: ``rows[rows.rtt_s > 2]``.

    Parameters
    ----------
    source : Source
    index : array of int64, optional
        Which rows of it; all without.

    Examples
    --------
    >>> rows = Rows(Source.of_records(("frame", "path"), [(3, "/5/0/3"), (5, "/5/0/5"), (8, "/5/0/3")]))
    >>> rows.where(path="/5/0/3").after(3).frame.tolist()
    [8]
    >>> list(rows.each("frame", "path"))[0]
    (3, '/5/0/3')
    """

    def __init__(self, source: Source, index: NDArray[np.int64] | None = None) -> None:
        self._source = source
        #: Positions in the whole table.
        self.index: NDArray[np.int64] = np.arange(source.rows) if index is None else index

    def __len__(self) -> int:
        return len(self.index)

    @overload
    def __getitem__(self, what: str) -> Array: ...
    @overload
    def __getitem__(self, what: Array | slice | list[int]) -> Rows: ...
    def __getitem__(self, what: str | Array | slice | list[int]) -> Array | Rows:
        if not isinstance(what, str):
            return Rows(self._source, self.index[what])
        # A column that was gathered once is an attribute from then on.
        known = self.__dict__
        if what not in known:
            known[what] = self._source[what][self.index]
        column: Array = known[what]
        return column

    def __getattr__(self, name: str) -> Array:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"these rows have no column {name!r}; {', '.join(self._source.names)}") from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._source.names]

    def where(self, **wanted: Any) -> Rows:
        """The rows in which each of these columns has this value, or one of these where a tuple is given."""
        rows = self
        for name, value in wanted.items():
            column = rows[name]
            if isinstance(value, tuple):
                chosen = np.zeros(len(column), bool)
                for one in value:
                    chosen |= column == one
            else:
                chosen = column == value
            rows = rows[chosen]
        return rows

    def __add__(self, other: Rows) -> Rows:
        """These rows of a table and then those."""
        return Rows(self._source, np.concatenate([self.index, other.index]))

    def split(self, name: str) -> list[Rows]:
        """The runs of rows in which a column has one value."""
        bounds = np.nonzero(self[name][1:] != self[name][:-1])[0] + 1
        return [Rows(self._source, part) for part in np.split(self.index, bounds)] if len(self) else []

    def after(self, frame: float) -> Rows:
        """The rows of later frames."""
        return self[self["frame"].searchsorted(frame, "right") :]

    def before(self, frame: float) -> Rows:
        """The rows of earlier frames."""
        return self[: self["frame"].searchsorted(frame)]

    def between(self, first: float, until: float) -> Rows:
        """The rows from a frame on, up to and without another one."""
        begin, end = self["frame"].searchsorted((first, until))
        return self[begin:end]

    def each(self, *names: str) -> Iterator[tuple[Any, ...]]:
        """Row by row these columns, as Python's own numbers and texts."""
        return zip(*(self[name].tolist() for name in names), strict=True)

    def first(self, name: str, default: T | None = None) -> Any | T:
        """A column of the first row; `default` where there is no row."""
        return self._source[name].item(self.index[0]) if len(self.index) else default

    def last(self, name: str, default: T | None = None) -> Any | T:
        """A column of the last row; `default` where there is no row."""
        return self._source[name].item(self.index[-1]) if len(self.index) else default

    def to_frame(self) -> pd.DataFrame:
        """A DataFrame of the columns that a reader should see."""
        import pandas as pd

        return pd.DataFrame({name: self[name] for name in self._source.names}, index=self.index)

    def __repr__(self) -> str:
        return str(self.to_frame())

    def _repr_html_(self) -> str:
        return str(self.to_frame().to_html(escape=True, border=0))


def message_source(columns: Columns, owners: Callable[[], tuple[Array, Array]]) -> Source:
    """The messages as a source.

    Beside the columns of the message table there are their codes (``_src``, ``_dst``, ``_type``, ``_code``, ``_token``,
    ``_path``, ``_query``, ``_etag``, ``_error``), `row` for `Columns.payload`, and `sender`: whether the device sent
    it. `time` is in seconds since the first message.

    Parameters
    ----------
    columns : Columns
    owners : callable
        Gives for each message the endpoint that it belongs to (None for none), and whether the device sent it.
    """
    own: dict[str, Callable[[], Array]] = {
        "row": lambda: np.arange(columns.rows),
        "time": lambda: seconds(columns),
        "sender": lambda: owners()[1],
        "_endpoint": lambda: owners()[0],
    }
    codes = {code: name for name, code in _TEXTS.items()}

    def make(name: str) -> Array:
        if name in own:
            return own[name]()
        return columns[codes[name]] if name in codes else _text_or_number(columns, name, columns[name])

    return Source((*COLUMN_NAMES, "row", "sender"), make, rows=columns.rows)


def exchange_source(columns: Columns, table: Table) -> Source:
    """The exchanges as a source.

    Beside their own columns each column of the message table is there for the request and for the response:
    ``request_size1``, ``response_block1_num``; -1 or None where there was no response.
    """

    def make(name: str) -> Array:
        if name in _TEXTS and _TEXTS[name] in table:
            return _text_or_number(columns, name, table[_TEXTS[name]])
        of, _, column = name.partition("_")
        rows = table[{"request": "_row", "response": "_response"}[of]]
        # A row behind the last one stands for a response that never came.
        values = np.append(columns[column], -1).astype(columns[column].dtype)
        return _text_or_number(columns, column, values[rows])

    source = Source(EXCHANGE_COLUMNS, make, rows=len(table["_row"]))
    source.update(table)
    return source


def _text_or_number(columns: Columns, name: str, values: Array) -> Array:
    if name not in columns.categories:
        return values
    table: Array = np.array([*columns.categories[name], None], object)
    return table[values]


def grouped(names: Array) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
    """The rows of each name together: the names, the rows in the order of the names, and where each one's begin.

    Examples
    --------
    >>> names, order, bounds = grouped(np.array(["b", "a", "b"], object))
    >>> names.tolist(), order.tolist(), bounds.tolist()
    (['b', 'a'], [0, 2, 1], [0, 2, 3])
    """
    codes, found = numbered(names)
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(found) + 1))
    # Rows without a name (-1) stand before the first bound.
    return np.array(found, object), order, bounds

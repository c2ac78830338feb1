"""Small pieces of a page: text made harmless, tables that a screen reader can read, pictures with words beside them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lwm2m_lab.wire.text import printable

__all__ = ["Cell", "Row", "escaped", "facts_table", "picture", "table"]

#: A text longer than this is cut: a device may call itself anything.
_LONGEST = 2000


def escaped(value: Any) -> str:
    """A value as text of a page, whatever a capture carries.

    Examples
    --------
    >>> print(escaped("<script>\\x1b[2J\\u202e"))
    &lt;script&gt;\\x1b[2J\\u202e
    """
    text = printable(str(value))
    return html.escape(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table that is more than its text.

    Attributes
    ----------
    html : str
        Its content, escaped already.
    kind : str
        A class of the style sheet: ``number``, ``code``, ``words``, ``short``.
    """

    html: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes
    ----------
    cells : sequence of str or Cell
        The first is the head of the row; texts are escaped here.
    id, kind : str
        Anchor and class, empty for none.
    """

    cells: Sequence[str | Cell]
    id: str = ""
    kind: str = ""


def table(caption: str, heads: Sequence[str], rows: Iterable[Row], *, kinds: Sequence[str] = ()) -> str:
    """A table with a caption, heads for columns and rows, in a box that scrolls sideways where it is too wide.

    Parameters
    ----------
    kinds : sequence of str
        The class of each column; none by default.
    """
    kinds = [*kinds, *[""] * (len(heads) - len(kinds))]
    head = "".join(f'<th scope="col"{_class(kind)}>{escaped(one)}</th>' for one, kind in zip(heads, kinds, strict=True))
    body = "\n".join(_row(row, kinds) for row in rows)
    label = f'role="region" tabindex="0" aria-label="{escaped(caption)}"'
    return (
        f'<div class="scroll" {label}><table><caption>{escaped(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _row(row: Row, kinds: Sequence[str]) -> str:
    cells = []
    for number, (cell, kind) in enumerate(zip(row.cells, kinds, strict=True)):
        one = _cell(cell)
        tag, scope = ("th", ' scope="row"') if number == 0 else ("td", "")
        cells.append(f"<{tag}{scope}{_class(one.kind or kind)}>{one.html}</{tag}>")
    anchor = f' id="{row.id}"' if row.id else ""
    return f"<tr{anchor}{_class(row.kind)}>{''.join(cells)}</tr>"


def _cell(value: str | Cell) -> Cell:
    return value if isinstance(value, Cell) else Cell(escaped(value))


def facts_table(facts: Iterable[tuple[str, str | Cell]]) -> str:
    """Names and values, a line each."""
    rows = (f'<tr><th scope="row">{escaped(name)}</th><td>{_cell(value).html}</td></tr>' for name, value in facts)
    return f'<table class="facts"><tbody>{"".join(rows)}</tbody></table>'


def picture(svg: str, *, title: str, words: str) -> str:
    """A picture with a title for those who cannot see it, and words under it for all."""
    named = svg.replace("<svg ", f'<svg role="img" aria-label="{escaped(title)}" ', 1)
    label = f'class="scroll" role="region" tabindex="0" aria-label="{escaped(title)}, scrolls sideways"'
    return f"<figure><div {label}>{named}</div><figcaption>{escaped(words)}</figcaption></figure>"


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""

"""Small pieces of a page: text made harmless, tables that a screen reader can read, pictures with words beside them."""

from __future__ import annotations

import html
import pathlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lwm2m_lab.wire.text import printable

__all__ = ["Cell", "Row", "escaped", "facts_table", "picture", "signed", "table", "whole_page"]

#: A text longer than this is cut: a device may call itself anything.
_LONGEST = 2000
_SIGNS = {"good": "✓", "bad": "✗", "open": "?", "quiet": "–"}


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


def signed(kind: str, words: str) -> str:
    """Words in the colour of a kind, ``good``, ``bad``, ``open`` or ``quiet``, with a sign for those who see no colour.

    Examples
    --------
    >>> signed("bad", "FAIL")
    '<b class="bad"><span aria-hidden="true">✗ </span>FAIL</b>'
    """
    return f'<b class="{kind}"><span aria-hidden="true">{_SIGNS[kind]} </span>{escaped(words)}</b>'


def whole_page(title: str, parts: Iterable[str]) -> str:
    """A page of its own: no network, no script; light or dark as the reader has it.

    The parts end with what stands in `<main>`, which the first of them opens.
    """
    style = pathlib.Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escaped(title)}</title>",
            f"<style>\n{style}</style>\n</head>\n<body>",
            *parts,
            "</main>\n</body>\n</html>\n",
        ]
    )

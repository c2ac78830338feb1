"""Text out of a capture, made harmless for terminals, spreadsheets and XML."""

from __future__ import annotations

__all__ = ["printable", "safe_cell"]


def printable(text: str) -> str:
    """The text with everything that does not print escaped: control characters, marks that turn the line round.

    What is left is legal in XML too, and a terminal obeys none of it.

    Examples
    --------
    >>> print(printable("dev\\x1b[2J\\u202e1"))
    dev\\x1b[2J\\u202e1
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def safe_cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula, and no terminal for a command.

    Examples
    --------
    >>> safe_cell("=cmd()"), safe_cell("/5/0/3")
    ("'=cmd()", '/5/0/3')
    """
    shown = printable(text)
    return "'" + shown if text[:1] in ("=", "+", "-", "@", "\t", "\r") and text else shown

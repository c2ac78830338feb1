"""The triage card: can this capture be explained, what does it lack, and what to do about each lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lwm2m_lab.show.board import Fragment
from lwm2m_lab.show.page import escaped

if TYPE_CHECKING:
    from lwm2m_lab.trace.capture import Capture
    from lwm2m_lab.trace.triage import Lack

__all__ = ["triage_card"]

#: A sign and a ground for each answer, legible in light and dark.
_ANSWERS = {
    "yes": ("✓", "rgba(0,158,115,.20)"),
    "in part": ("?", "rgba(230,159,0,.28)"),
    "no": ("✗", "rgba(213,94,0,.38)"),
}
_WEIGHTS = {"stops": "stops every explanation", "limits": "leaves a part open", "note": "good to know"}


def triage_card(capture: Capture) -> Fragment:
    """What to ask for before a capture is read, as a card: each lack with its remedy.

    Parameters
    ----------
    capture : Capture

    Examples
    --------
    >>> import lwm2m_lab as lab
    >>> "pre-shared key" in triage_card(lab.read("anjay-dtls-psk")).html
    True
    """
    found = capture.triage()
    sign, ground = _ANSWERS[found.explainable]
    facts = "".join(f"<li>{escaped(fact)}</li>" for fact in found.facts)
    lacks = "".join(_lack(one) for one in found.lacks) or "<p style='margin:4px 0'>It lacks nothing.</p>"
    return Fragment(
        f"<div style='border:1px solid rgba(128,128,128,.5);border-radius:6px;max-width:60em'>"
        f"<p style='margin:0;padding:6px 10px;background:{ground}'><b>{sign} Can it be explained? "
        f"{escaped(found.explainable)}</b> ({escaped(found.name)})</p><div style='padding:2px 10px 6px'>"
        f"<ul style='margin:4px 0'>{facts}</ul>{lacks}</div></div>"
    )


def _lack(one: Lack) -> str:
    frames = f" (frames {', '.join(map(str, one.frames[:6]))})" if one.frames else ""
    return (
        f"<p style='margin:6px 0 0'><b>{escaped(one.what)}</b>, {_WEIGHTS[one.weight]}: "
        f"{escaped(one.found + frames)}<br><b>Do:</b> {escaped(one.remedy)}</p>"
    )

"""Failure modes as the field shows them: what a table of transcripts is made of, and what is compared."""

from __future__ import annotations

from dataclasses import dataclass

import lwm2m_lab as lab
from tests.peers import Session

__all__ = ["ALIVE", "URI", "Mode", "again", "asked", "block", "conclusions", "put", "taken"]

URI = "ready\nuri coap://192.0.2.3/fw.bin\n"
ALIVE = "device > server CON POST /rd/1\nserver > device ACK 2.04\n"


@dataclass(frozen=True)
class Mode:
    """A script, what fails in it, and what is left open.

    Attributes
    ----------
    script : str
        See `tests.peers`.
    fails : str
        Rules with the party that they accuse and whether that is proved: ``"M4 device proved, M0 network suspected"``.
        Nothing else fails.
    left_open : str
        Rules of messages, blocks and notifications that leave something open.
    says : str
        What a sentence of the first of these rules says.
    """

    script: str
    fails: str = ""
    left_open: str = ""
    says: str = ""


def conclusions(script: str) -> tuple[str, str, list[str]]:
    """What fails, what is left open, and the sentences of both, as `Mode` has them."""
    found = lab.explain(Session(script).capture()).problems
    assert not [str(one) for one in found if "could not be applied" in one.sentence]
    failed = dict.fromkeys(f"{one.rule} {one.party} {one.certainty}" for one in found if str(one.verdict) == "FAIL")
    left = dict.fromkeys(one.rule for one in found if str(one.verdict) != "FAIL" and one.rule[0] in "MWBNC")
    return ", ".join(sorted(failed)), ", ".join(sorted(left)), [f"{one.rule} {one.sentence}" for one in found]


# ---------------------------------------------------------------- lines that are said often


def put(num: int, more: int = 1, size: int = 1024, *words: str, length: int = 0, kind: str = "CON") -> str:
    """A block of a push."""
    return f"server > device {kind} PUT /5/0/0 1:{num}/{more}/{size} cf=42 {length or size}B {' '.join(words)}\n"


def taken(num: int, more: int = 1, size: int = 1024, *words: str, code: str = "2.31", kind: str = "ACK") -> str:
    """What the device answers to it."""
    return f"device > server {kind} {code} 1:{num}/{more}/{size} {' '.join(words)}\n"


def asked(num: int, size: int = 1024, *words: str, path: str = "/fw.bin", kind: str = "CON") -> str:
    """The device asks for a block."""
    return f"device > repository {kind} GET {path} 2:{num}/0/{size} {' '.join(words)}\n"


def block(num: int, more: int = 1, size: int = 1024, *words: str, length: int = 0, kind: str = "ACK") -> str:
    """The block that it gets."""
    return f"repository > device {kind} 2.05 2:{num}/{more}/{size} {' '.join(words)} {length or size}B\n"


def again(ends: str = "server > device", gaps: tuple[float, ...] = (2.5, 5, 10, 20)) -> str:
    """The last datagram between these ends, sent again after these seconds."""
    return "".join(f"+{gap} {ends} again\n" for gap in gaps)

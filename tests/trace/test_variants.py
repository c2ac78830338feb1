"""Failure modes in other clothes than those of the triggers: separate responses, NON, lost options, an early stop.

Each is told by its sentence: the right cause stands in it, and nobody else is accused beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import lwm2m_lab as lab
from tests.peers import Session

URI = "ready\nuri coap://192.0.2.3/fw.bin\n"
ALIVE = "\ndevice > server CON POST /rd/1\nserver > device ACK 2.04"
SLOW_BLOCK = """
+1.9 server > device CON PUT /5/0/0 1:{0}/1/1024 cf=42 1024B
device > server ACK
device > server CON 2.31 1:{0}/1/1024
server > device ACK
"""
TWICE_ANSWERED = """
server > device CON PUT /5/0/0 1:{0}/{1}/1024 cf=42 {2}B
+2.1 server > device again
+0.9 device > server ACK {3} 1:{0}/{1}/1024
+2 device > server ACK {3} 1:{0}/{1}/1024
"""


@dataclass(frozen=True)
class Variant:
    """A script; how the update ended, what its sentence says, and who fails which rule."""

    script: str
    outcome: str
    says: str
    fails: tuple[tuple[str, str], ...]


VARIANTS = {
    "the server stops at 120 s, each block answered in a message of its own": Variant(
        "image 60000\nready\n" + "".join(SLOW_BLOCK.format(at) for at in range(58)) + "+400 " + ALIVE[1:],
        "unfinished",
        "a time-out of 120 s for the whole body",
        (("M1", "server"), ("W18", "server")),
    ),
    "later blocks have no Uri-Path": Variant(
        """
        ready
        server > device CON PUT /5/0/0 1:0/1/512 cf=42 512B token=a1
        device > server ACK 2.31 1:0/1/512
        server > device CON PUT 1:1/1/512 cf=42 512B token=a1
        device > server ACK 4.08 1:1/1/512
        """,
        "failed",
        "block 1 in frame 11 has no Uri-Path, and 4.08 is the answer",
        (("W1", "server"), ("W2", "server")),
    ),
    "4.08 to a new token, all in NON": Variant(
        """
        ready
        server > device NON PUT /5/0/0 1:0/1/512 cf=42 512B token=a1
        device > server NON 2.31 1:0/1/512
        server > device NON PUT /5/0/0 1:1/1/512 cf=42 512B token=a2
        device > server NON 4.08 1:1/1/512
        """,
        "failed",
        "it differs from block 0 in nothing but its token",
        (("W1", "device"),),
    ),
    "a device that pulls never acknowledges a separate response, and speaks with its server": Variant(
        f"""{URI}
        device > repository CON GET /fw.bin 2:0/0/1024 token=a1
        repository > device ACK
        +1 repository > device CON 2.05 2:0/1/1024 token=a1 1024B
        +2.5 repository > device again
        +5 repository > device again
        +10 repository > device again
        {ALIVE}
        +20 repository > device again
        +200 device > server CON POST /rd/1
        server > device ACK 2.04
        """,
        "unfinished",
        "confirmable and was sent 5 times",
        (("M10", "device"),),
    ),
    "the repository ends its file with M=1 and refuses the block behind it": Variant(
        f"""image 2048
        {URI}
        device > repository CON GET /fw.bin 2:0/0/1024
        repository > device ACK 2.05 2:0/1/1024 size2=2048 1024B
        device > repository CON GET /fw.bin 2:1/0/1024
        repository > device ACK 2.05 2:1/1/1024 1024B
        device > repository CON GET /fw.bin 2:2/0/1024
        repository > device ACK 4.00
        notify /5/0/5 4
        """,
        "failed",
        "ends the 2048 bytes that were announced, and has M=1",
        (("F11", "repository"), ("W9", "repository")),
    ),
    "the file grows in mid-download, told by Size2 alone": Variant(
        f"""image 3072
        {URI}
        device > repository CON GET /fw.bin 2:0/0/1024
        repository > device ACK 2.05 2:0/1/1024 size2=3000 1024B
        device > repository CON GET /fw.bin 2:1/0/1024
        repository > device ACK 2.05 2:1/1/1024 size2=3072 1024B
        device > repository CON GET /fw.bin 2:2/0/1024
        repository > device ACK 2.05 2:2/0/1024 size2=3072 1024B
        notify /5/0/3 2
        notify /5/0/5 5
        """,
        "failed",
        "Size2 is 3000 in block 0 and 3072 in block 1",
        (("B7", "repository"), ("W11", "device")),
    ),
    "a download goes on behind a hole": Variant(
        f"{URI}pull /fw.bin 0-3 size=256 etag=aa\nwait 200\npull /fw.bin 6-11 size=256 etag=aa\nnotify /5/0/5 5",
        "failed",
        "suspected: after a break of 200.1 s the device goes on at byte 1536",
        (("W12", "device"),),
    ),
    "2.31 with another token, twice": Variant(
        f"""
        ready
        server > device CON PUT /5/0/0 1:0/1/1024 cf=42 1024B token=aabb
        device > server ACK 2.31 1:0/1/1024 token=00
        +2.5 server > device again
        device > server ACK 2.31 1:0/1/1024 token=00
        +90 {ALIVE[1:]}
        """,
        "unfinished",
        "carries the token 00, the request in frame 9",
        (("W17", "device"),),
    ),
    "the last block is answered 2.31": Variant(
        """
        ready
        push 0-1
        server > device CON PUT /5/0/0 1:2/0/1024 cf=42 952B
        device > server ACK 2.31 1:2/0/1024
        """,
        "unfinished",
        "block 2 is the last block and was answered 2.31",
        (("B5", "device"), ("W8", "device")),
    ),
    "another resource is answered 4.08 while a package waits for its rest": Variant(
        """
        ready
        push 0-1 size=512
        server > device CON PUT /9/0/2 1:0/1/1024 cf=42 1024B
        device > server ACK 4.08 1:0/1/1024
        """,
        "unfinished",
        "the device keeps one body at a time",
        (("W14", "device"),),
    ),
    "a message id again within 30 s, by the device, and the old answer for it": Variant(
        f"""{URI}
        device > repository CON GET /fw.bin 2:0/0/1024 mid=7 token=a1
        repository > device ACK 2.05 2:0/1/1024 1024B
        +20 device > repository CON GET /fw.bin 2:1/0/1024 mid=7 token=a2
        repository > device ACK 2.05 2:0/1/1024 token=a1 1024B mid=7
        +1 device > repository CON GET /fw.bin 2:1/0/1024 mid=8 token=a3
        repository > device ACK 2.05 2:1/1/1024 1024B
        pull /fw.bin 2
        installed
        """,
        "succeeded",
        "message id 7 is used again in frame 13",
        (("M9", "device"),),
    ),
    "the block number is not rescaled after a 2.31 that asks for 256 bytes": Variant(
        """
        ready
        server > device CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
        device > server ACK 2.31 1:0/1/256
        server > device CON PUT /5/0/0 1:1/1/256 cf=42 256B
        device > server ACK 4.08 1:1/1/256
        """,
        "failed",
        "byte 256 where byte 1024 is next",
        (("W5", "server"),),
    ),
    "each block is sent twice and answered twice: the timer is too short": Variant(
        "image 8192\nready\n"
        + "".join(TWICE_ANSWERED.format(at, int(at < 7), 1024, "2.31" if at < 7 else "2.04") for at in range(8))
        + "installed",
        "succeeded",
        "succeeded",
        (("M6", "server"),),
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_is_told_by_its_cause(name: str) -> None:
    """Outcome, sentence, and exactly these failures."""
    variant = VARIANTS[name]
    explanation = lab.explain(Session(variant.script).capture())
    (update,) = explanation.updates
    failures = {(one.rule, one.party) for one in explanation.problems if str(one.verdict) == "FAIL"}
    assert (update.outcome, failures) == (variant.outcome, {*variant.fails}), str(explanation)
    assert variant.says in explanation.sentence


@pytest.mark.parametrize(
    "script",
    [
        # The size is made smaller from the first answer on, and the server follows, or goes on as it began.
        "ready\nserver > device CON PUT /5/0/0 1:0/1/1024 cf=42 1024B\ndevice > server ACK 2.31 1:0/1/256\n"
        "push 4-11 size=256\ninstalled",
        # A download of many blocks.
        f"image 60000\n{URI}pull /fw.bin\ninstalled",
        # Resumed after a break, under one ETag.
        f"{URI}pull /fw.bin 0-3 size=256 etag=aa\nwait 200\npull /fw.bin 4-11 size=256 etag=aa\ninstalled",
    ],
)
def test_a_healthy_variant_is_healthy(script: str) -> None:
    """No failure, no open question."""
    explanation = lab.explain(Session(script).capture())
    assert [one.verdict for one in explanation.updates] == ["PASS"], str(explanation)
    assert explanation.problems == ()

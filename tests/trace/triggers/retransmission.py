"""Triggers of the rules of retransmission (RFC 7252, 4.2, 4.5 and 4.8)."""

from __future__ import annotations

import string

from tests.trace.triggers.trigger import Trigger

__all__ = ["TRIGGERS"]

HEALTHY = "ready\npush\ninstalled"
SILENCE = """
server > device CON GET /5/0/3
+2.5 server > device again
+5 server > device again
+10 server > device again
+20 server > device again
"""


PUT, ANSWER = (
    "server > device  CON PUT /5/0/0 1:$num/$more/$size cf=42 ${size}B",
    "device > server  ACK $code 1:$num/$more/$size",
)


def blocks(script: str, count: int = 6, size: int = 512) -> str:
    """The script for each block."""
    lines = ["ready"]
    for num in range(count):
        more = num + 1 < count
        lines.append(
            string.Template(script).substitute(num=num, more=int(more), size=size, code="2.31" if more else "2.04")
        )
    return "\n".join(lines)


TRIGGERS = {
    "M0": Trigger(
        "block 1 is sent five times and never answered",
        """
        ready
        push 0
        server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B
        +2.5 server > device  again
        +5 server > device  again
        +10 server > device  again
        +20 server > device  again
        """,
        party="network",
        certainty="suspected",
        quiet=(
            HEALTHY,
            # A device that installs and comes back owes no answer meanwhile.
            f"ready\npush\nnotify /5/0/3 2\nexecute\nnotify /5/0/3 3\n{SILENCE}register\nread /5/0/5 1\nread /5/0/3 0",
        ),
    ),
    "M2": Trigger(
        "each acknowledgement is lost behind the tap, and no copy is acknowledged again",
        blocks(f"{PUT}\n{ANSWER}\n+2.5 server > device again\n+5 server > device again", 3) + "\nread /5/0/3 1" * 6,
        certainty="suspected",
        quiet=(
            HEALTHY,
            # One copy may have been lost itself.
            blocks(f"{PUT}\n{ANSWER}", 5) + "\nserver > device again",
            blocks(f"{PUT}\n{ANSWER}\n+2.5 server > device again\n+0.1 device > server again"),
        ),
    ),
    "M5": Trigger(
        "block 0 is answered after 6 s, and each of its copies; the others at once",
        """
        ready
        server > device  CON PUT /5/0/0 1:0/1/256 cf=42 256B
        +2.5 server > device  again
        +3.5 device > server  ACK 2.31 1:0/1/256
        device > server  again
        push 1-11 size=256
        """,
        certainty="suspected",
        quiet=(
            HEALTHY,
            # The first copy was lost: the copy is answered at once.
            """
            ready
            server > device  CON PUT /5/0/0 1:0/1/256 cf=42 256B
            +2.5 server > device  again
            device > server  ACK 2.31 1:0/1/256
            push 1-11 size=256
            """,
            # And the path, which loses other messages too, doubles its answer.
            """
            ready
            server > device  CON PUT /5/0/0 1:0/1/256 cf=42 256B
            +2.5 server > device  again
            device > server  ACK 2.31 1:0/1/256
            +0.01 device > server  again
            push 1-5 size=256
            server > device  CON PUT /5/0/0 1:6/1/256 cf=42 256B
            +2.5 server > device  again
            device > server  ACK 2.31 1:6/1/256
            push 7-11 size=256
            """,
            # All are slow: that is the path, not the flash.
            blocks(f"{PUT}\n+2.5 {ANSWER}"),
        ),
    ),
    "M6": Trigger(
        "each block is sent again although its answer is on the way",
        blocks(f"{PUT}\n+2.5 server > device again\n+0.5 {ANSWER}\n+2.4 device > server again"),
        party="server",
        certainty="suspected",
        quiet=(
            HEALTHY,
            blocks(f"{PUT}\n+2.5 server > device again\n+0.5 {ANSWER}"),
            # The path doubles the answers to the copies.
            blocks(f"{PUT}\n+2.5 server > device again\n+0.1 {ANSWER}\n+0.01 device > server again"),
            # The only round trip without a copy was a long one.
            "ready\nserver > device CON GET /5/0/9\n+0.4 device > server ACK 2.05 text=2 cf=0\n"
            + blocks(f"{PUT}\n+2.5 server > device again\n+0.3 {ANSWER}", 4).partition("\n")[2],
        ),
    ),
    "M7": Trigger(
        "a block is sent every two seconds",
        """
        ready
        push 0
        server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B
        +2 server > device  again
        +2 server > device  again
        +2 server > device  again
        device > server  ACK 2.31 1:1/1/1024
        """,
        party="server",
        quiet=(
            HEALTHY,
            # The second copy was lost before the tap.
            """
            ready
            push 0
            server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B
            +2.5 server > device  again
            +5 server > device  again lost
            +10 server > device  again
            +20 server > device  again
            device > server  ACK 2.31 1:1/1/1024
            """,
        ),
    ),
    "M8": Trigger(
        "the repeated answer to block 0 brings block 2 before block 1 is answered",
        """
        ready
        server > device  CON PUT /5/0/0 1:0/1/512 cf=42 512B mid=200 token=b0
        device > server  ACK 2.31 1:0/1/512
        server > device  CON PUT /5/0/0 1:1/1/512 cf=42 512B mid=201 token=b1
        device > server  ACK 2.31 1:0/1/512 mid=200 token=b0
        server > device  CON PUT /5/0/0 1:2/1/512 cf=42 512B mid=202 token=b2
        device > server  ACK 2.31 1:1/1/512 mid=201 token=b1
        device > server  ACK 2.31 1:2/1/512 mid=202 token=b2
        """,
        party="server",
        quiet=(
            HEALTHY,
            blocks(f"{PUT}\n{ANSWER}\n+0.1 device > server again"),
        ),
    ),
    "C2": Trigger(
        "the copy has other content",
        """
        ready
        push 0
        server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B mid=7 token=aa
        +2.5 server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1000B mid=7 token=aa
        device > server  ACK 2.31 1:1/1/1024
        """,
        party="server",
        quiet=(HEALTHY, blocks(f"{PUT}\n+2.5 server > device again\n{ANSWER}")),
    ),
    "C3": Trigger(
        "a block is sent ten times",
        """
        ready
        push 0
        server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B
        """
        + "\n".join(f"+{2 + n} server > device  again" for n in range(9)),
        party="server",
        certainty="suspected",
        quiet=(
            HEALTHY,
            """
            ready
            push 0
            server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B
            +2 server > device  again
            +4 server > device  again
            +8 server > device  again
            +16 server > device  again
            server > device  again
            """,
        ),
    ),
}

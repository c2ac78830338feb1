"""Triggers of the rules of the message layer (RFC 7252)."""

from __future__ import annotations

from tests.trace.triggers.trigger import Trigger

__all__ = ["TRIGGERS"]

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
        quiet=("ready\npush\ninstalled",),
    ),
    "M2": Trigger(
        "block 1 is sent twice and answered twice",
        "ready\npush 0\nserver > device CON PUT /5/0/0 1:1/1/1024 cf=42 1024B\n+2.5 server > device again\n"
        "device > server ACK 2.31 1:1/1/1024\ndevice > server again\npush 2",
        verdict="PASS",
        quiet=("ready\npush\ninstalled",),
    ),
    "M6": Trigger(
        "each block is sent again although its answer is on the way",
        "ready\n"
        + "\n".join(
            f"""
            server > device  CON PUT /5/0/0 1:{num}/{int(num < 5)}/512 cf=42 512B
            +2.5 server > device  again
            +0.5 device > server  ACK {"2.31" if num < 5 else "2.04"} 1:{num}/{int(num < 5)}/512
            +2.4 device > server  again
            """
            for num in range(6)
        ),
        party="server",
        certainty="suspected",
        quiet=("ready\npush\ninstalled",),
    ),
    "M9": Trigger(
        "two blocks under one message id",
        """
        ready
        server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B mid=7 token=aa
        device > server  ACK 2.31 1:0/1/1024
        server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B mid=7 token=bb
        device > server  ACK 2.31 1:1/1/1024
        """,
        party="server",
        quiet=("ready\npush\ninstalled",),
    ),
}

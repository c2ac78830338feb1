"""Triggers of the rules of single messages (RFC 7252)."""

from __future__ import annotations

from tests.trace.triggers.trigger import Trigger

__all__ = ["TRIGGERS"]

HEALTHY = "ready\npush\ninstalled"
TRIGGERS = {
    "M9": Trigger(
        "two blocks under one message id, 0.1 s apart",
        """
        ready
        server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B mid=7 token=aa
        device > server  ACK 2.31 1:0/1/1024
        server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B mid=7 token=bb
        device > server  ACK 2.31 1:1/1/1024
        """,
        party="server",
        quiet=(
            HEALTHY,
            """
            ready
            server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B mid=7 token=aa
            device > server  ACK 2.31 1:0/1/1024
            +248 server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B mid=7 token=bb
            device > server  ACK 2.31 1:1/1/1024
            """,
            # Both count alike: the ids of one side are none of the other's business.
            """
            ready
            server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B mid=7 token=aa
            device > server  ACK 2.31 1:0/1/1024
            device > server  CON POST /rd/1 mid=7
            server > device  ACK 2.04
            """,
        ),
    ),
    "M10": Trigger(
        "the response comes as CON, and the server never acknowledges it",
        """
        ready
        push
        notify /5/0/3 2
        server > device  CON GET /3/0/3 token=ee
        device > server  ACK
        +3 device > server  CON 2.05 text=1.0.0 token=ee mid=900
        +2.5 device > server  again
        +2 server > device  CON GET /5/0/3 token=ef
        device > server  ACK 2.05 text=2 cf=0 token=ef
        +3 device > server  CON 2.05 text=1.0.0 token=ee mid=900
        +1 server > device  CON GET /5/0/5 token=f0
        device > server  ACK 2.05 text=0 cf=0 token=f0
        +9 device > server  CON 2.05 text=1.0.0 token=ee mid=900
        +1 server > device  CON GET /5/0/3 token=f1
        device > server  ACK 2.05 text=2 cf=0 token=f1
        +19 device > server  CON 2.05 text=1.0.0 token=ee mid=900
        """,
        party="server",
        certainty="suspected",
        quiet=(
            HEALTHY,
            """
            ready
            push
            server > device  CON GET /3/0/3 token=ee
            device > server  ACK
            +3 device > server  CON 2.05 text=1.0.0 token=ee
            +2.5 device > server  again
            server > device  ACK
            """,
            # Nothing is heard of the server any more: the path is gone.
            """
            ready
            push
            server > device  CON GET /3/0/3 token=ee
            device > server  ACK
            +3 device > server  CON 2.05 text=1.0.0 token=ee
            +2.5 device > server  again
            +5 device > server  again
            +10 device > server  again
            +20 device > server  again
            """,
        ),
    ),
    "M11": Trigger(
        "a GET in an acknowledgement",
        """
        ready
        uri coap://192.0.2.3/fw.bin
        device > repository  ACK GET /fw.bin 2:0/0/1024 mid=9 token=ab
        repository > device  ACK 2.05 2:0/1/1024 1024B mid=9 token=ab
        """,
        quiet=(HEALTHY, "ready\nuri coap://192.0.2.3/fw.bin\npull /fw.bin\ninstalled"),
    ),
    "M15": Trigger(
        "a block under a new message id gets an empty acknowledgement, and nothing for 120 s",
        """
        ready
        push 0
        server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B token=aa
        +62 server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B token=aa
        device > server  ACK
        +120 device > server  CON POST /rd/1
        server > device  ACK 2.04
        """,
        certainty="suspected",
        quiet=(
            HEALTHY,
            """
            ready
            push 0
            server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B token=aa
            +62 server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B token=aa
            device > server  ACK
            +4 device > server  CON 2.31 1:1/1/1024
            server > device  ACK
            push 2
            """,
        ),
    ),
    "W17": Trigger(
        "2.31 with the right message id and another token",
        """
        ready
        server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B token=aa
        device > server  ACK 2.31 1:0/1/1024 token=bb
        """,
        quiet=(
            HEALTHY,
            # A message id that names two requests: the second answer is late, not wrong.
            """
            ready
            server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B token=aa mid=7
            server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B token=bb mid=7
            device > server  ACK 2.31 1:0/1/1024 token=aa mid=7
            device > server  ACK 2.31 1:1/1/1024 token=bb mid=7
            """,
        ),
    ),
    "C4": Trigger(
        "a NON request comes twice and is answered by two messages",
        """
        ready
        push
        server > device  NON GET /5/0/3 token=ee
        +1 server > device  again
        device > server  NON 2.05 text=2 cf=0 token=ee
        device > server  NON 2.05 text=2 cf=0 token=ee
        """,
        certainty="suspected",
        quiet=(
            HEALTHY,
            """
            ready
            push
            server > device  NON GET /5/0/3 token=ee
            +1 server > device  again
            device > server  NON 2.05 text=2 cf=0 token=ee
            device > server  again
            """,
        ),
    ),
    "C5": Trigger(
        "a ping is acknowledged instead of reset",
        "ready\npush\nserver > device CON 0.00\ndevice > server ACK",
        quiet=(
            HEALTHY,
            "ready\npush\nserver > device CON 0.00\ndevice > server RST",
            "ready\npush\nserver > device CON 0.00",
        ),
    ),
    "C6": Trigger(
        "Block1 is refused as an unknown option",
        """
        ready
        server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
        device > server  ACK 4.02
        """,
        certainty="suspected",
        quiet=(
            HEALTHY,
            """
            ready
            push
            server > device  CON GET /5/0/3 opt65001=aa
            device > server  ACK 4.02
            """,
        ),
    ),
}

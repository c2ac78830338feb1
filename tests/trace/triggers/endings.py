"""Triggers of the rules of transfers that end early."""

from __future__ import annotations

from tests.trace.triggers.trigger import Trigger

__all__ = ["TRIGGERS"]

HEALTHY = "ready\npush\ninstalled"
URI = "ready\nuri coap://192.0.2.3/fw.bin\n"
PULLED = f"{URI}pull /fw.bin etag=aa\ninstalled"

TRIGGERS = {
    "M1": Trigger(
        "the server stops 120 s after block 0, though each block is acknowledged",
        """
        ready
        image 20000 raw
        push 0-9
        wait 59.5
        push 10
        wait 59.33
        push 11
        wait 100
        read /5/0/3 1
        """,
        party="server",
        certainty="suspected",
        quiet=(
            HEALTHY,
            # One block, begun anew, and the capture ends there.
            "ready\nimage 20000 raw\npush 0-3\npush 0\nwait 20",
            # The capture ends there.
            "ready\nimage 20000 raw\npush 0-11",
            # The last block was never acknowledged.
            """
            ready
            image 20000 raw
            push 0-11
            server > device  CON PUT /5/0/0 1:12/1/1024 cf=42 1024B
            wait 100
            read /5/0/3 1
            """,
        ),
    ),
    "W13": Trigger(
        "4.13 at 8,192 bytes",
        """
        ready
        image 20000 raw
        push 0-7
        server > device  CON PUT /5/0/0 1:8/1/1024 cf=42 1024B
        device > server  ACK 4.13 1:8/1/1024
        """,
        certainty="suspected",
        quiet=(
            HEALTHY,
            "ready\nimage 8192 raw\npush",
            """
            ready
            image 20000 raw
            push 0-8
            server > device  CON PUT /5/0/0 1:9/1/1024 cf=42 1024B
            device > server  ACK 4.13 1:9/1/1024
            """,
        ),
    ),
    "W15": Trigger(
        "the download stops, and State 1 is still shown after five minutes",
        URI
        + """
        notify /5/0/3 1
        pull /fw.bin 0
        device > repository  CON GET /fw.bin 2:1/0/1024
        +300 server > device  CON GET /5/0/3
        device > server  ACK 2.05 cf=0 text=1
        """,
        certainty="suspected",
        quiet=(
            PULLED,
            # It says that the connection was lost.
            URI
            + """
            notify /5/0/3 1
            pull /fw.bin 0
            device > repository  CON GET /fw.bin 2:1/0/1024
            wait 300
            notify /5/0/5 4
            notify /5/0/3 0
            """,
            # Too soon to tell.
            URI
            + """
            pull /fw.bin 0
            device > repository  CON GET /fw.bin 2:1/0/1024
            +60 server > device  CON GET /5/0/3
            device > server  ACK 2.05 cf=0 text=1
            """,
        ),
    ),
    "W18": Trigger(
        "block 0 gets an empty acknowledgement, 2.31 comes by itself, and no block follows",
        """
        ready
        server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
        device > server  ACK
        +1 device > server  CON 2.31 1:0/1/1024
        server > device  ACK
        wait 60
        read /5/0/3 1
        """,
        party="server",
        certainty="suspected",
        quiet=(
            HEALTHY,
            """
            ready
            server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
            device > server  ACK
            +1 device > server  CON 2.31 1:0/1/1024
            server > device  ACK
            push 1-2
            installed
            """,
            # No acknowledgement at all: the blocks are NON, and what followed was lost.
            """
            ready
            server > device  NON PUT /5/0/0 1:0/1/1024 cf=42 1024B
            device > server  NON 2.31 1:0/1/1024
            wait 60
            read /5/0/3 1
            """,
        ),
    ),
}

"""Triggers of the rules of whole bodies (RFC 7959, 2.3 to 2.5 and 4)."""

from __future__ import annotations

from tests.trace.triggers.trigger import Trigger

__all__ = ["TRIGGERS"]

HEALTHY = "ready\npush\ninstalled"
URI = "ready\nuri coap://192.0.2.3/fw.bin\n"
PULLED = f"{URI}pull /fw.bin etag=aa\ninstalled"

TRIGGERS = {
    "W1": Trigger(
        "block 1 has a token of its own and is answered 4.08",
        """
        ready
        push 0
        server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B
        device > server  ACK 4.08 1:1/1/1024
        """,
        quiet=(
            HEALTHY,
            # Block 1 was never acknowledged: 4.08 to block 2 is right.
            """
            ready
            push 0
            server > device  CON PUT /5/0/0 1:2/0/1024 cf=42 952B
            device > server  ACK 4.08 1:2/0/1024
            """,
            # The capture begins in the middle of the delivery.
            """
            ready
            server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B
            device > server  ACK 4.08 1:1/1/1024
            """,
        ),
    ),
    "W2": Trigger(
        "the query of block 0 is missing in block 1, and 4.04 is the answer",
        URI.replace("fw.bin", "fw.bin?v=2")
        + """
        device > repository  CON GET /fw.bin ?v=2 2:0/0/1024
        repository > device  ACK 2.05 2:0/1/1024 1024B
        device > repository  CON GET /fw.bin 2:1/0/1024
        repository > device  ACK 4.04
        """,
        quiet=(
            HEALTHY,
            PULLED,
            URI.replace("fw.bin", "fw.bin?v=2")
            + """
            device > repository  CON GET /fw.bin ?v=2 2:0/0/1024
            repository > device  ACK 2.05 2:0/1/1024 1024B
            device > repository  CON GET /fw.bin ?v=2 2:1/0/1024
            repository > device  ACK 2.05 2:1/1/1024 1024B
            """,
        ),
    ),
    "B3": Trigger(
        "Content-Format stands on block 0 alone",
        """
        ready
        push 0
        server > device  CON PUT /5/0/0 1:1/1/1024 1024B
        device > server  ACK 4.08 1:1/1/1024
        """,
        party="server",
        quiet=(HEALTHY, PULLED),
    ),
    "W7": Trigger(
        "block 1 was never sent, as the message ids tell, and the last block is answered 2.04",
        "ready\npush 0\npush 2",
        quiet=(
            HEALTHY,
            "ready\npush 0\npush 2 final=4.08",
        ),
    ),
    "B7": Trigger(
        "Size1 says 4000, the body has 3000",
        """
        ready
        server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 size1=4000 1024B
        device > server  ACK 2.31 1:0/1/1024
        push 1-2
        """,
        party="server",
        certainty="suspected",
        quiet=(
            HEALTHY,
            """
            ready
            server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 size1=3000 1024B
            device > server  ACK 2.31 1:0/1/1024
            push 1-2
            installed
            """,
            # It does not end in the capture.
            """
            ready
            server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 size1=4000 1024B
            device > server  ACK 2.31 1:0/1/1024
            push 1
            """,
        ),
    ),
}

"""Triggers of the rules of the block size (RFC 7959, 2.3 and 2.9.3)."""

from __future__ import annotations

from tests.trace.triggers.trigger import Trigger

__all__ = ["TRIGGERS"]

HEALTHY = "ready\npush\ninstalled"
URI = "ready\nuri coap://192.0.2.3/fw.bin\n"
PULLED = f"{URI}pull /fw.bin etag=aa\ninstalled"
LARGE = """
server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
+2.5 server > device  again
+5 server > device  again
+10 server > device  again
+20 server > device  again
"""
MEANWHILE = """
server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B mid=500 token=e0
+2.5 server > device  again
+5 server > device  again
read /5/0/3 0
+10 server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B mid=500 token=e0
"""

TRIGGERS = {
    "W3": Trigger(
        "4.13 asks for 256 bytes, and the server goes on with block 4",
        """
        ready
        server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
        device > server  ACK 4.13 1:0/1/256
        server > device  CON PUT /5/0/0 1:4/1/256 cf=42 256B
        device > server  ACK 4.08 1:4/1/256
        """,
        party="server",
        quiet=(
            HEALTHY,
            """
            ready
            server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
            device > server  ACK 4.13 1:0/1/256
            push size=256
            """,
            # A limit, not a hint: the image is too large, whatever its blocks.
            """
            ready
            server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
            device > server  ACK 4.13 size1=2000
            """,
        ),
    ),
    "W4": Trigger(
        "256 bytes are answered with size 1024",
        """
        ready
        server > device  CON PUT /5/0/0 1:0/1/256 cf=42 256B
        device > server  ACK 2.31 1:0/1/1024
        """,
        quiet=(
            HEALTHY,
            PULLED,
            """
            ready
            server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
            device > server  ACK 2.31 1:0/1/256
            """,
        ),
    ),
    "W5": Trigger(
        "after block 0 of 1024 bytes comes block 1 of 256",
        """
        ready
        server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
        device > server  ACK 2.31 1:0/1/256
        server > device  CON PUT /5/0/0 1:1/1/256 cf=42 256B
        device > server  ACK 2.31 1:1/1/256
        """,
        party="server",
        quiet=(
            HEALTHY,
            """
            ready
            server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
            device > server  ACK 2.31 1:0/1/256
            push 4-11 size=256
            """,
            # The requester follows the smaller size of the first answer.
            URI
            + """
            device > repository  CON GET /fw.bin 2:0/0/1024
            repository > device  ACK 2.05 2:0/1/256 256B
            device > repository  CON GET /fw.bin 2:1/0/256
            repository > device  ACK 2.05 2:1/1/256 256B
            """,
        ),
    ),
    "W16": Trigger(
        "no block of 1024 bytes arrives, each of 512 does",
        f"ready\n{MEANWHILE}\npush size=512",
        party="network",
        certainty="suspected",
        quiet=(
            HEALTHY,
            # The path is gone: nothing is answered any more.
            f"ready\n{LARGE}",
            # The path came back, and a block as large is answered.
            f"ready\n{LARGE}\nread /5/0/3 0\npush",
            # A block of that size was answered before.
            f"ready\npush 0\n{LARGE.replace('1:0', '1:1')}\nread /5/0/3 1",
        ),
    ),
    "B8": Trigger(
        "4.13, and not a word about what would be accepted",
        """
        ready
        server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
        device > server  ACK 4.13 1:0/1/1024
        """,
        verdict="INCONCLUSIVE",
        certainty="suspected",
        quiet=(
            HEALTHY,
            """
            ready
            server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
            device > server  ACK 4.13 1:0/1/1024 size1=2000
            """,
        ),
    ),
}

"""Triggers of the rules of single blocks (RFC 7959)."""

from __future__ import annotations

from tests.trace.triggers.trigger import Trigger

__all__ = ["TRIGGERS"]

HEALTHY = "ready\npush\ninstalled"
PULLED = "ready\nuri coap://192.0.2.3/fw.bin\npull /fw.bin etag=aa\ninstalled"
URI = "ready\nuri coap://192.0.2.3/fw.bin\n"

TRIGGERS = {
    "W6": Trigger(
        "a block says 1024 bytes and carries 1000",
        """
        ready
        push 0
        server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1000B
        device > server  ACK 2.31 1:1/1/1024
        """,
        party="server",
        quiet=(HEALTHY, PULLED),
    ),
    "W8": Trigger(
        "2.04 to a block in the middle, with M=1",
        """
        ready
        server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
        device > server  ACK 2.04 1:0/1/1024
        """,
        quiet=(
            HEALTHY,
            # Block by block, without assembling: legal.
            """
            ready
            server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
            device > server  ACK 2.04 1:0/0/1024
            """,
            "ready\npush final=4.00",
        ),
    ),
    "W9": Trigger(
        "the last block of the file still has M=1, and the next one is refused",
        URI
        + """
        pull /fw.bin 0-1
        device > repository  CON GET /fw.bin 2:2/0/1024
        repository > device  ACK 2.05 2:2/1/1024 size2=3072 1024B
        device > repository  CON GET /fw.bin 2:3/0/1024
        repository > device  ACK 4.02
        """,
        party="repository",
        quiet=(
            PULLED,
            HEALTHY,
            # The capture ends in the middle.
            URI + "pull /fw.bin 0-1",
        ),
    ),
    "W10": Trigger(
        "the repository sends block 0 whatever is asked for",
        URI
        + """
        device > repository  CON GET /fw.bin 2:0/0/1024
        repository > device  ACK 2.05 2:0/1/1024 1024B
        device > repository  CON GET /fw.bin 2:1/0/1024
        repository > device  ACK 2.05 2:0/1/1024 1024B
        """,
        party="repository",
        quiet=(
            PULLED,
            # A smaller size that begins at the same byte.
            URI
            + """
            device > repository  CON GET /fw.bin 2:0/0/1024
            repository > device  ACK 2.05 2:0/1/256 256B
            device > repository  CON GET /fw.bin 2:1/0/256
            repository > device  ACK 2.05 2:1/1/256 256B
            """,
            # The first request says no size.
            URI
            + """
            device > repository  CON GET /fw.bin
            repository > device  ACK 2.05 2:0/1/128 128B
            device > repository  CON GET /fw.bin 2:2/0/64
            repository > device  ACK 2.05 2:2/1/64 64B
            """,
        ),
    ),
    "B1": Trigger(
        "a block with size exponent 7, and the device takes it",
        """
        ready
        push 0
        server > device  CON PUT /5/0/0 1:1/1/2048 cf=42 1024B
        device > server  ACK 2.31 1:1/1/1024
        """,
        quiet=(HEALTHY,),
    ),
    "B2": Trigger(
        "the device asks for a block with M=1",
        URI + "device > repository CON GET /fw.bin 2:0/1/1024\nrepository > device ACK 2.05 2:0/1/1024 1024B",
        quiet=(PULLED,),
    ),
    "B5": Trigger(
        "2.31 with M=0",
        """
        ready
        server > device  CON PUT /5/0/0 1:0/1/1024 cf=42 1024B
        device > server  ACK 2.31 1:0/0/1024
        """,
        quiet=(HEALTHY, "ready\npush final=4.00"),
    ),
    "B9": Trigger(
        "block 1 is answered as block 0",
        """
        ready
        push 0
        server > device  CON PUT /5/0/0 1:1/1/1024 cf=42 1024B
        device > server  ACK 2.31 1:0/1/1024
        """,
        quiet=(HEALTHY,),
    ),
}
